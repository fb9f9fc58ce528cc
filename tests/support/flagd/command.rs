//! Finds flagd, and runs it as a process or in a container.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::process::{Pid, WaitId, WaitIdOptions, getgid, getuid, kill_process, waitid};

pub use rustix::process::Signal;

use crate::support::wait::block_until;

/// A way to run flagd.
#[derive(Clone, Debug)]
pub enum FlagdCommand {
    Binary(PathBuf),
    Docker { image: String },
}

/// flagd from `FLAGD_BIN`, otherwise the image in `FLAGD_IMAGE`, otherwise from `PATH`; the error
/// says why tests that need it are ignored.
pub fn find() -> Result<FlagdCommand, String> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(path) = set("FLAGD_BIN") {
        let path = PathBuf::from(path);
        let missing = || format!("FLAGD_BIN names {}, which is not a file", path.display());
        return path.is_file().then(|| FlagdCommand::Binary(path.clone())).ok_or_else(missing);
    }
    if let Some(image) = set("FLAGD_IMAGE").and_then(|image| image.into_string().ok()) {
        return in_docker(image);
    }
    let paths = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&paths).map(|path| path.join("flagd")).find(|p| p.is_file());
    on_path.map(FlagdCommand::Binary).ok_or_else(|| {
        "no flagd: none on PATH, neither FLAGD_BIN nor FLAGD_IMAGE is set".to_owned()
    })
}

fn in_docker(image: String) -> Result<FlagdCommand, String> {
    match Command::new("docker").arg("version").output() {
        Ok(output) if output.status.success() => Ok(FlagdCommand::Docker { image }),
        Ok(output) => Err(format!("docker: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("FLAGD_IMAGE is set, but there is no docker: {error}")),
    }
}

/// A flagd that was started; killed and reaped when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// The container's name, when it runs in one.
    container: Option<String>,
}

impl FlagdCommand {
    /// flagd from `FLAGD_BIN` or `FLAGD_IMAGE`, otherwise this program; `PATH` is not searched.
    pub fn found_or(program: &str) -> Result<Self, String> {
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        if set("FLAGD_BIN") || set("FLAGD_IMAGE") {
            return find();
        }
        Ok(Self::Binary(PathBuf::from(program)))
    }

    /// Whether it is the server of this package: this has `--version`, flagd does not.
    pub fn is_of_this_package(&self) -> bool {
        let mut command = match self {
            Self::Binary(path) => Command::new(path),
            Self::Docker { image } => {
                let mut command = Command::new("docker");
                command.args(["run", "--rm", image]);
                command
            }
        };
        let output = command.arg("--version").output();
        output.is_ok_and(|output| output.stdout.starts_with(b"flagstaff "))
    }

    /// Starts it in this directory, with its output in this file and no `FLAGD_*` variables.
    pub(super) fn spawn(&self, directory: &Path, args: &[String], log: &File) -> Process {
        let (mut command, container) = match self {
            Self::Binary(path) => {
                let mut command = Command::new(path);
                // Where flagd listens anyway; tests use more than one address of loopback.
                command.env("FLAGSTAFF_HOST", "0.0.0.0");
                (command, None)
            }
            Self::Docker { image } => {
                static NEXT: AtomicU32 = AtomicU32::new(0);
                let next = NEXT.fetch_add(1, Ordering::Relaxed);
                let name = format!("flagstaff-test-{}-{next}", std::process::id());
                (docker_run(&name, image, directory), Some(name))
            }
        };
        for (name, _) in env::vars_os().filter(|(name, _)| is_flagd(name)) {
            command.env_remove(name);
        }
        let child = command
            .args(args)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log.try_clone().unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {self:?}: {error}"));
        Process { child, container }
    }
}

fn is_flagd(name: &OsString) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("FLAGD_"))
}

/// With the directory at the same path inside, and as its owner.
fn docker_run(name: &str, image: &str, directory: &Path) -> Command {
    let directory = directory.display();
    let user = format!("{}:{}", getuid().as_raw(), getgid().as_raw());
    let volume = format!("{directory}:{directory}");
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "--name", name, "--network", "host", "--user", &user]);
    command.args(["--volume", &volume, "--workdir", &directory.to_string(), image]);
    command
}

impl Process {
    /// Whether it has ended by itself or by a signal.
    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Sends a signal, unless it has ended.
    pub(super) fn signal(&mut self, signal: Signal) {
        if self.has_ended() {
            return;
        }
        match &self.container {
            None => {
                let pid = Pid::from_child(&self.child);
                kill_process(pid, signal).unwrap();
                if signal == Signal::STOP {
                    // Its threads run on for a moment, and a late response would surprise a test.
                    waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED).unwrap();
                }
            }
            Some(name) => {
                let number = signal.as_raw().to_string();
                // Fails if the container ends at this moment.
                let _ = Command::new("docker").args(["kill", "--signal", &number, name]).output();
                if signal == Signal::STOP {
                    until_stopped(name);
                }
            }
        }
    }
}

/// Waits until a container has stopped, as `/proc` shows it; the container engine does not.
fn until_stopped(container: &str) {
    let inspect = ["inspect", "--format", "{{.State.Pid}}", container];
    let Ok(output) = Command::new("docker").args(inspect).output() else { return };
    let status_path = format!("/proc/{}/stat", String::from_utf8_lossy(&output.stdout).trim());
    block_until(&format!("container {container} to stop"), || {
        let Ok(text) = fs::read_to_string(&status_path) else { return true };
        // The state follows the name, which is in parentheses.
        text.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    });
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some(name) = &self.container {
            // A container that was still being created outlives the signal.
            let _ = Command::new("docker").args(["rm", "--force", name]).output();
        }
        let _ = self.child.wait();
    }
}
