//! A server of PostgreSQL with an empty database.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;

use crate::process::{Process, find, free_port, give, unprivileged};

/// A running server. Its data is lost when it is dropped.
pub struct Postgres {
    process: Process,
    server: PathBuf,
    port: u16,
    folder: TempDir,
}

impl Postgres {
    /// Starts a server, if PostgreSQL is installed.
    ///
    /// # Panics
    ///
    /// The server does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let folders = installations();
        let initdb = find("initdb", &folders)?;
        let server = initdb.with_file_name("postgres");
        let folder = tempfile::tempdir().expect("a temporary folder");
        give(folder.path()).expect("the folder can be given away");
        let status = as_user(&initdb)
            .args([
                "--no-sync",
                "--auth=trust",
                "--username=postgres",
                "--encoding=UTF8",
                "--pgdata",
            ])
            .arg(folder.path().join("data"))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .status()
            .expect("initdb can be started");
        assert!(status.success(), "initdb failed: {status}");
        let port = free_port();
        let process = launch(&server, folder.path(), port);
        Some(Self { process, server, port, folder })
    }

    /// The URL of a database that is always there.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// Kills the server, as a crash of its machine would.
    pub fn kill(&mut self) {
        // Its children notice that their parent has gone, and follow.
        self.process.kill();
    }

    /// Starts the server again on its data.
    pub fn restart(&mut self) {
        let _ = fs::remove_file(self.folder.path().join("data/postmaster.pid"));
        self.process = launch(&self.server, self.folder.path(), self.port);
    }
}

fn launch(server: &Path, folder: &Path, port: u16) -> Process {
    let mut process = Process::start(
        as_user(server)
            .arg("-D")
            .arg(folder.join("data"))
            .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", folder.display()))
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    process.wait_for_port(port);
    // It listens before it accepts: after a crash it recovers first.
    process.wait_until(|| {
        Command::new(server.with_file_name("pg_isready"))
            .args(["--quiet", "--host=127.0.0.1", &format!("--port={port}")])
            .status()
            .is_ok_and(|status| status.success())
    });
    process
}

fn as_user(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some(user) = unprivileged() {
        command.uid(user);
    }
    command
}

/// Where distributions put the programs of PostgreSQL, the newest version first.
fn installations() -> Vec<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|it| it.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    versions.reverse();
    versions
}
