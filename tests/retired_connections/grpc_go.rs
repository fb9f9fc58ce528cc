//! A server of grpc-go that bounds the age of its connections (`MaxConnectionAge`), built from the
//! Go program beside this file.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{accepts_connections, every_call_is_answered, go, provider, support::ports};

const BINARY: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/aging-server");

/// Builds the program; the error says what is missing.
pub(crate) fn build() -> Result<PathBuf, String> {
    go::build("tests/retired_connections/server", BINARY).map(|()| BINARY.into())
}

pub(crate) async fn retires(program: PathBuf) {
    // Connections of 200 ms, with and without time to finish calls in flight.
    for grace in ["1s", "1ms"] {
        let server = Server::start(&program, grace).await;
        every_call_is_answered(&provider(server.port).await, 32).await;
    }
}

struct Server {
    port: u16,
    child: Child,
}

impl Server {
    async fn start(program: &Path, grace: &str) -> Self {
        let port = ports::free_port();
        let child = Command::new(program)
            .args([&format!("127.0.0.1:{port}"), "200ms", grace])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        accepts_connections(port).await;
        Self { port, child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
