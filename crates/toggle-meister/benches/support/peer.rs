//! Servers in processes of their own, and what they cost under load.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A server; killed when dropped.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    process: Child,
}

/// What is measured of a load.
pub(crate) struct Row {
    /// Microseconds of CPU time that the server took for a request.
    pub(crate) cpu: f64,
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Peer {
    /// Starts a server, and waits until it listens.
    pub(crate) fn start(name: &'static str, command: &mut Command, address: SocketAddr) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = command.spawn().expect(name);
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = process.try_wait().expect(name);
            assert!(ended.is_none(), "{name} has ended: {ended:?}");
            assert!(began.elapsed() < Duration::from_mins(1), "{name} does not listen");
            thread::sleep(Duration::from_millis(1));
        }
        Self { name, address, process }
    }

    /// Sends requests of a script of `wrk` for a second.
    pub(crate) fn measure(&self, script: &Path) -> Row {
        let (cpu, began) = (self.cpu(), Instant::now());
        let mut command = Command::new("wrk");
        command.args(["-t", "1", "-d", "1s", "-c", "16", "--latency", "-s"]).arg(script);
        let output = command.arg(format!("http://{}", self.address)).output().expect("wrk");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && !text.contains("Non-2xx"), "{}: {text}", self.name);
        let line = |part: &str| text.lines().find(|line| line.contains(part)).expect(&text).trim();
        let requests: f64 =
            line("requests in").split(' ').next().and_then(|it| it.parse().ok()).expect(&text);
        let percentile = |part| microseconds(line(part).split_whitespace().nth(1).expect(&text));
        Row {
            cpu: (self.cpu() - cpu) * 1e6 / requests,
            rate: requests / began.elapsed().as_secs_f64(),
            p50: percentile("50%"),
            p99: percentile("99%"),
        }
    }

    /// CPU time so far, in seconds: `/proc` counts hundredths.
    fn cpu(&self) -> f64 {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |index: usize| fields[index].parse::<f64>().expect("a number");
        (ticks(11) + ticks(12)) / 100.0
    }

    /// The most memory it had, in MB.
    pub(crate) fn memory(&self) -> f64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("VmHWM");
        let kibibytes = line.split_whitespace().nth(1).and_then(|it| it.parse::<f64>().ok());
        kibibytes.expect("a number") / 1024.0
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.process.id())).expect("/proc")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn microseconds(text: &str) -> f64 {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text.trim_end_matches(unit).parse().expect("a number");
    number
        * match unit {
            "us" => 1.0,
            "ms" => 1e3,
            "s" => 1e6,
            other => panic!("{other} in {text}"),
        }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
