//! A program that a test started.

use std::{
    env, io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command},
    thread,
    time::{Duration, Instant},
};

/// How long a program may take to accept connections.
const START: Duration = Duration::from_mins(1);

/// A running program, killed when it is dropped.
pub struct Process(Child);

impl Process {
    /// Starts a program.
    ///
    /// # Panics
    ///
    /// The program cannot be started.
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}")))
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

    /// The number of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Kills the program with SIGKILL and waits for its end.
    ///
    /// # Panics
    ///
    /// The program cannot be waited for.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        self.0.wait().expect("the program can be waited for");
    }
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
