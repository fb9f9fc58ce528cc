//! A server of Redis without data.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    process::Command,
};

use tempfile::TempDir;

use crate::process::{Process, find, free_port};

/// A running server. Its data is lost when it is dropped.
pub struct Redis {
    _process: Process,
    port: u16,
    _folder: TempDir,
}

impl Redis {
    /// Starts a server, if Redis is installed.
    ///
    /// # Panics
    ///
    /// The server does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let server = find("redis-server", &[])?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let mut command = Command::new(server);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--save", "", "--appendonly", "no", "--dir"]).arg(folder.path());
        let mut process = Process::start(&command);
        process.wait_for_port(port);
        Some(Self { _process: process, port, _folder: folder })
    }

    /// The URL of its database with this number.
    #[must_use]
    pub fn url(&self, database: u8) -> String {
        format!("redis://127.0.0.1:{}/{database}", self.port)
    }

    /// Runs commands, one after the other on one connection.
    ///
    /// # Panics
    ///
    /// The server cannot be reached, or rejects a command.
    pub fn run(&self, commands: &[&[&[u8]]]) {
        drop(self.reply(commands));
    }

    /// Runs commands, and returns what the last replied, as it was sent.
    ///
    /// # Panics
    ///
    /// The server cannot be reached, or rejects a command.
    #[must_use]
    pub fn reply(&self, commands: &[&[&[u8]]]) -> Vec<u8> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("a connection");
        let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
        let mut writer = stream;
        let mut reply = Vec::new();
        for command in commands {
            let mut request = format!("*{}\r\n", command.len()).into_bytes();
            for argument in *command {
                request.extend(format!("${}\r\n", argument.len()).bytes());
                request.extend_from_slice(argument);
                request.extend(b"\r\n");
            }
            writer.write_all(&request).expect("the command is sent");
            reply = read(&mut reader);
            assert!(!reply.starts_with(b"-"), "{}", String::from_utf8_lossy(&reply));
        }
        reply
    }
}

/// A reply that is not an array: a line, or a string with its length before it.
fn read(reader: &mut BufReader<TcpStream>) -> Vec<u8> {
    let mut line = String::new();
    reader.read_line(&mut line).expect("a reply");
    let Some(length) = line.strip_prefix('$') else { return line.into_bytes() };
    let length: usize = length.trim().parse().expect("a string");
    let mut text = vec![0; length + 2];
    reader.read_exact(&mut text).expect("the whole string");
    text.truncate(length);
    text
}
