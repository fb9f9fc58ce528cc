//! A program that a test started.

use std::{
    env, io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a program may take to accept connections.
const START: Duration = Duration::from_mins(1);

/// Runs a program and kills it when the standard input ends: at the latest when the test's
/// process does, however that ends. A destructor alone would miss values in statics.
const GUARD: &str = r#"
    exec 3<&0
    "$@" </dev/null 3<&- &
    program=$!
    { read -r _ <&3; kill -9 $program; } &
    guard=$!
    wait $program
    status=$?
    kill $guard
    exit $status
"#;

/// Removes a folder when the standard input ends. The server that has its data there is killed at
/// the same time, and may still write for a moment.
const REMOVE: &str = r#"
    read -r _
    until rm -rf "$1"; do sleep 0.1; done
"#;

/// A temporary folder, which is removed when it is dropped and when the test's process ends.
pub(crate) struct Scratch {
    pub(crate) path: PathBuf,
    _guard: ChildStdin,
}

impl Scratch {
    pub(crate) fn new() -> io::Result<Self> {
        let path = tempfile::tempdir()?.keep();
        let mut remove = Command::new("sh");
        remove.args(["-c", REMOVE, "sh"]).arg(&path).stdin(Stdio::piped());
        let guard = remove.spawn()?.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Self { path, _guard: guard })
    }
}

/// A running program, killed when it is dropped and when the test's process ends.
pub struct Process(Child);

impl Process {
    /// Starts a program.
    ///
    /// # Panics
    ///
    /// The program cannot be started.
    #[must_use]
    pub fn start(command: &Command) -> Self {
        let mut guarded = Command::new("sh");
        guarded.args(["-c", GUARD, "sh"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => guarded.env(name, value),
                None => guarded.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            guarded.current_dir(folder);
        }
        guarded.stdin(Stdio::piped());
        if env::var_os("SHOW_PEERS").is_none() {
            guarded.stdout(Stdio::null()).stderr(Stdio::null());
        }
        Self(guarded.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")))
    }

    /// Starts a program that does not run as root, as `nobody` if this is root.
    ///
    /// # Panics
    ///
    /// The program cannot be started.
    #[must_use]
    pub fn start_unprivileged(command: &Command) -> Self {
        let Some(user) = unprivileged() else { return Self::start(command) };
        let mut changed = Command::new("setpriv");
        changed.args([&format!("--reuid={user}"), "--clear-groups", "--"]);
        changed.arg(command.get_program()).args(command.get_args());
        if let Some(folder) = command.get_current_dir() {
            changed.current_dir(folder);
        }
        Self::start(&changed)
    }

    /// Waits until something accepts connections on the port.
    ///
    /// # Panics
    ///
    /// The program ends, or the port stays closed for a minute.
    pub fn wait_for_port(&mut self, port: u16) {
        self.wait_until(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    }

    /// Waits until the program is in the state that `ready` looks for.
    ///
    /// # Panics
    ///
    /// The program ends, or a minute passes.
    pub fn wait_until(&mut self, mut ready: impl FnMut() -> bool) {
        let deadline = Instant::now() + START;
        while !ready() {
            if let Some(status) = self.0.try_wait().expect("the program can be waited for") {
                panic!("the program ended before it was ready: {status}");
            }
            assert!(Instant::now() < deadline, "the program is not ready after {START:?}");
            // The state of another program can only be polled.
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the program has done its work.
    ///
    /// # Panics
    ///
    /// The program fails.
    pub fn wait_for_end(&mut self) {
        let status = wait(&mut self.0).expect("the program can be waited for");
        assert!(status.success(), "the program failed: {status}");
    }

    /// Kills the program with SIGKILL and waits for its end.
    ///
    /// # Panics
    ///
    /// The program cannot be waited for.
    pub fn kill(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().expect("the program can be waited for");
    }
}

/// Waits without closing the standard input, which would kill the program.
fn wait(child: &mut Child) -> io::Result<ExitStatus> {
    let input = child.stdin.take();
    let status = child.wait();
    drop(input);
    status
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port of loopback that was free a moment ago.
///
/// # Panics
///
/// No port is free.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    listener.local_addr().expect("the listener has an address").port()
}

/// Says that a test does not run for want of a program.
///
/// # Panics
///
/// `FLAGSTAFF_REQUIRE_PEERS` is in the environment, as in the project's own checks.
pub fn skip(program: &str) {
    assert!(env::var_os("FLAGSTAFF_REQUIRE_PEERS").is_none(), "{program} is not installed");
    eprintln!("ignored: {program} is not installed");
}

/// The file of a program on the `PATH` or in one of the folders.
pub(crate) fn find(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates = folders.iter().cloned().chain(env::split_paths(&path));
    candidates.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// The user `nobody`, for programs that do not run as root. `None`: this is not root.
pub(crate) fn unprivileged() -> Option<u32> {
    rustix::process::geteuid().is_root().then_some(65534)
}

/// Makes a folder writable for the user under whom programs are started.
pub(crate) fn give(folder: &std::path::Path) -> io::Result<()> {
    if let Some(user) = unprivileged() {
        std::os::unix::fs::chown(folder, Some(user), None)?;
    }
    Ok(())
}
