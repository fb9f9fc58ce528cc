//! A server of PostgreSQL with an empty database.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::process::{Process, Scratch, find, free_port, give};

/// A running server. Its data is lost when it is dropped.
pub struct Postgres {
    process: Process,
    server: PathBuf,
    port: u16,
    folder: Scratch,
}

impl Postgres {
    /// Starts a server, if PostgreSQL is installed.
    ///
    /// # Panics
    ///
    /// The server does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::start_with(None)
    }

    /// As [`start`](Self::start), with TLS: a certificate and its key as PEM.
    ///
    /// # Panics
    ///
    /// The server does not start.
    #[must_use]
    pub fn start_with_tls(certificate: &str, key: &str) -> Option<Self> {
        Self::start_with(Some((certificate, key)))
    }

    fn start_with(tls: Option<(&str, &str)>) -> Option<Self> {
        let initdb = find("initdb", &installations())?;
        let server = initdb.with_file_name("postgres");
        let folder = Scratch::new().expect("a temporary folder");
        give(&folder.path).expect("the folder can be given away");
        let mut init = Command::new(&initdb);
        init.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8"]);
        init.arg("--pgdata").arg(folder.path.join("data")).current_dir(&folder.path);
        Process::start_unprivileged(&init).wait_for_end();
        if let Some((certificate, key)) = tls {
            let data = folder.path.join("data");
            for (name, text) in [("server.crt", certificate), ("server.key", key)] {
                let file = data.join(name);
                fs::write(&file, text).expect("a file can be written");
                let mode = fs::Permissions::from_mode(0o600);
                fs::set_permissions(&file, mode).expect("its permissions can be set");
                give(&file).expect("the file can be given away");
            }
            // Its last line wins.
            let config = data.join("postgresql.auto.conf");
            fs::write(config, "ssl = on\n").expect("a file can be written");
        }
        let port = free_port();
        let process = launch(&server, &folder.path, port);
        Some(Self { process, server, port, folder })
    }

    /// A new, empty database on a server that all tests of the process share.
    ///
    /// # Panics
    ///
    /// The server does not start, or makes no database.
    #[must_use]
    pub fn database() -> Option<String> {
        static SHARED: OnceLock<Option<Postgres>> = OnceLock::new();
        static LAST: AtomicU32 = AtomicU32::new(0);
        let server = SHARED.get_or_init(Self::start).as_ref()?;
        let name = format!("test{}", LAST.fetch_add(1, Ordering::Relaxed));
        let status = Command::new(server.server.with_file_name("createdb"))
            .args(["--host=127.0.0.1", &format!("--port={}", server.port)])
            .args(["--username=postgres", &name])
            .status()
            .expect("createdb can be started");
        assert!(status.success(), "createdb failed: {status}");
        Some(server.url_of(&name))
    }

    /// Runs a program of PostgreSQL, such as `psql`, to its end and returns what it prints.
    ///
    /// # Panics
    ///
    /// The program is not installed, or fails.
    #[must_use]
    pub fn run(program: &str, arguments: &[&str]) -> String {
        let file = find(program, &installations()).expect("the program is installed");
        let output = Command::new(file).args(arguments).output().expect("it can be started");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} failed: {error}");
        String::from_utf8(output.stdout).expect("it prints text")
    }

    /// The URL of a database that is always there.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Kills the server, as a crash of its machine would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts the server again on its data.
    pub fn restart(&mut self) {
        let _ = fs::remove_file(self.folder.path.join("data/postmaster.pid"));
        self.process = launch(&self.server, &self.folder.path, self.port);
    }
}

fn launch(server: &Path, folder: &Path, port: u16) -> Process {
    let mut command = Command::new(server);
    command.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string()]);
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200", "-c"]);
    command.arg(format!("unix_socket_directories={}", folder.display())).current_dir(folder);
    let mut process = Process::start_unprivileged(&command);
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

/// Where distributions put the programs of PostgreSQL, the newest version first.
fn installations() -> Vec<PathBuf> {
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|it| it.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    versions.reverse();
    versions
}
