//! The program on a database.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use testing::Process;

use crate::support::Http;

/// The program with its options.
pub(crate) struct Program {
    folder: TempDir,
    database: String,
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// A server, killed when it is dropped.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) http: Http,
}

impl Program {
    /// On a file that does not exist yet.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("toggles.db").display().to_string();
        Self { folder, database }
    }

    pub(crate) fn on(database: &str) -> Self {
        Self { database: database.to_owned(), ..Self::new() }
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// A path that is deleted with the test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toggle-meister"));
        command.args(arguments).current_dir(self.folder.path());
        command.env("TOGGLE_MEISTER_DATABASE", &self.database);
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran {
            code: output.status.code().unwrap(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// Starts the server. Everybody may do everything.
    pub(crate) fn serve(&self, options: &[&str]) -> Server {
        let port = testing::free_port();
        let listen = format!("--listen=127.0.0.1:{port}");
        let mut arguments = vec!["serve", &listen, "--require-auth=false"];
        arguments.extend(["--flags-evaluation=off", "--flags-sync=off", "--flags-ofrep=off"]);
        arguments.extend(options);
        let mut process = Process::start(&self.command(&arguments));
        process.wait_for_port(port);
        Server { process, http: Http::new(format!("http://127.0.0.1:{port}")) }
    }
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
