//! A server in a process of its own.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use testing::free_port;

/// A running server, killed when it is dropped.
pub struct Peer {
    pub name: &'static str,
    pub address: String,
    /// The header that its requests need, with the end of its line; or nothing.
    pub authorization: String,
    process: Child,
}

impl Peer {
    /// The store, on a file or on PostgreSQL.
    pub fn store(database: &str, folder: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flagops-store"));
        command.args(["--dev", "--listen=127.0.0.1:0", "--database", database]);
        command.current_dir(folder).stdin(Stdio::null()).stderr(Stdio::null());
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut after = |prefix: &str| {
            let line = lines.find(|line| line.starts_with(prefix)).unwrap();
            line[prefix.len()..].to_owned()
        };
        let address = after("flagops-store serves at http://");
        let authorization = format!("Authorization: Bearer {}\r\n", after("token: "));
        // The rest is read until the end, or the program could not write it.
        thread::spawn(move || lines.for_each(drop));
        Self { name: "flagops-store", address, authorization, process }
    }

    /// This program as a server that answers with a constant.
    pub fn bare() -> Self {
        let port = free_port();
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--bare", &port.to_string()]);
        Self::spawn("bare axum", command, port)
    }

    /// etcd, if it is installed.
    pub fn etcd(folder: &Path) -> Option<Self> {
        if Command::new("etcd").arg("--version").output().is_err() {
            println!("no etcd on the PATH: it is left out");
            return None;
        }
        let (port, peers) = (free_port(), free_port());
        let [client, peer] = [port, peers].map(|port| format!("http://127.0.0.1:{port}"));
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(folder.join("etcd"));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}")]);
        let etcd = Self::spawn("etcd", command, port);
        let ready =
            "POST /v3/maintenance/status HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
        until("etcd to have a leader", || {
            Connection::to(&etcd.address).ask(ready).contains("\"leader\"")
        });
        Some(etcd)
    }

    fn spawn(name: &'static str, mut command: Command, port: u16) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().unwrap();
        until(name, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        let address = format!("127.0.0.1:{port}");
        Self { name, address, authorization: String::new(), process }
    }

    /// A request in HTTP/1.1.
    pub fn request(&self, method: &str, path: &str, body: &str) -> String {
        let Self { authorization, .. } = self;
        let length = body.len();
        format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}\
             Content-Length: {length}\r\n\r\n{body}"
        )
    }

    /// CPU time so far, in seconds: `/proc` counts hundredths.
    pub fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / 100.0
    }

    /// The memory that it has now, in MiB.
    pub fn memory(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection that is written to and read by hand, so that ten thousand cost little.
pub struct Connection(TcpStream);

impl Connection {
    pub fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        Self(stream)
    }

    pub fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until this text has come, and returns everything that came.
    pub fn read_until(&mut self, wanted: &str) -> String {
        let mut text = String::new();
        while !text.contains(wanted) {
            text += &self.read();
        }
        text
    }

    fn read(&mut self) -> String {
        let mut buffer = [0; 16 << 10];
        let count = self.0.read(&mut buffer).unwrap();
        assert!(count > 0, "the connection was closed");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }

    /// Sends a request and reads its response.
    pub fn ask(&mut self, request: &str) -> String {
        self.send(request);
        self.read_response()
    }

    /// Reads a response with a length.
    pub fn read_response(&mut self) -> String {
        let mut text = self.read_until("\r\n\r\n");
        let head = text.find("\r\n\r\n").unwrap() + 4;
        let length = text.to_ascii_lowercase();
        let length = length.lines().find_map(|line| line.strip_prefix("content-length: "));
        let end = head + length.map_or(0, |it| it.parse().unwrap());
        while text.len() < end {
            text += &self.read();
        }
        text
    }

    /// Sends a request that has to be a success.
    pub fn succeed(&mut self, request: &str) {
        let response = self.ask(request);
        assert!(response.starts_with("HTTP/1.1 200"), "{request}\n{response}");
    }
}

/// Waits for a state of another process, which can only be polled.
fn until(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !ready() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
