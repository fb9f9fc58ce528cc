//! Load by `wrk`, and what it costs a server.

use std::{fs, path::Path, process::Command};

use super::peer::{Peer, median};

/// Short loads, of which the median counts. The first, which warms up, is not counted.
const ROUNDS: usize = 7;

/// A load: its name, and a script of `wrk` that sends its requests.
pub struct Load<'a> {
    pub peer: &'a Peer,
    pub script: String,
}

/// What is measured of a load: medians of the rounds.
pub struct Measured {
    /// Microseconds of CPU time of the server's process for a request.
    pub cpu: f64,
    /// Requests a second.
    pub rate: f64,
    /// Percentiles of the latency in microseconds.
    pub p50: f64,
    pub p99: f64,
}

/// Runs the loads turn by turn, so that a noisy moment meets all of them.
pub fn run(loads: &[Load<'_>], connections: u32, folder: &Path) -> Vec<Measured> {
    let scripts: Vec<_> = (0..loads.len()).map(|n| folder.join(format!("{n}.lua"))).collect();
    for (load, script) in loads.iter().zip(&scripts) {
        fs::write(script, &load.script).unwrap();
    }
    let mut rows: Vec<Vec<Measured>> = loads.iter().map(|_| Vec::new()).collect();
    for round in 0..=ROUNDS {
        for ((load, script), rows) in loads.iter().zip(&scripts).zip(&mut rows) {
            let row = once(load.peer, script, connections);
            rows.extend((round > 0).then_some(row));
        }
    }
    let medians = |rows: Vec<Measured>| {
        let [cpu, rate, p50, p99] = [
            |it: &Measured| it.cpu,
            |it: &Measured| it.rate,
            |it: &Measured| it.p50,
            |it: &Measured| it.p99,
        ]
        .map(|field| median(rows.iter().map(field).collect()));
        Measured { cpu, rate, p50, p99 }
    };
    rows.into_iter().map(medians).collect()
}

pub fn print_head() {
    println!("{:32} {:>9} {:>9} {:>9} {:>9}", "", "CPU us/rq", "rq/s", "p50 us", "p99 us");
}

impl Measured {
    pub fn print(&self, name: &str) {
        let Self { cpu, rate, p50, p99 } = self;
        println!("{name:32} {cpu:9.1} {rate:9.0} {p50:9.0} {p99:9.0}");
    }
}

fn once(peer: &Peer, script: &Path, connections: u32) -> Measured {
    let before = peer.cpu();
    let mut command = Command::new("wrk");
    command.args(["-t", "1", "-d", "1s", "--latency", "-c", &connections.to_string(), "-s"]);
    let output = command.arg(script).arg(format!("http://{}", peer.address)).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
    let line = |part: &str| text.lines().find(|line| line.contains(part)).unwrap().trim();
    let word = |part: &str, index| line(part).split_whitespace().nth(index).unwrap();
    let requests: f64 = word("requests in", 0).parse().unwrap();
    Measured {
        cpu: (peer.cpu() - before) * 1e6 / requests,
        rate: word("Requests/sec", 1).parse().unwrap(),
        p50: microseconds(word("50%", 1)),
        p99: microseconds(word("99%", 1)),
    }
}

fn microseconds(text: &str) -> f64 {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number: f64 = text.trim_end_matches(unit).parse().unwrap();
    number
        * match unit {
            "us" => 1.0,
            "ms" => 1e3,
            "s" => 1e6,
            other => panic!("unknown unit {other}"),
        }
}

impl<'a> Load<'a> {
    /// The same request again and again.
    pub fn constant(peer: &'a Peer, method: &str, path: &str, body: &str) -> Self {
        let request = quoted(&peer.request(method, path, body));
        Self { peer, script: format!("request = function() return {request} end\n") }
    }

    /// Requests whose path and body are expressions of Lua, in which `n` counts requests.
    pub fn varied(peer: &'a Peer, method: &str, path: &str, body: &str) -> Self {
        let authorization = quoted(&peer.authorization);
        let script = format!(
            "local n = 0\n\
             request = function()\n\
               n = n + 1\n\
               local body = {body}\n\
               return '{method} ' .. {path} .. ' HTTP/1.1\\r\\nHost: localhost\\r\\n' ..\n\
                 {authorization} .. 'Content-Length: ' .. #body .. '\\r\\n\\r\\n' .. body\n\
             end\n"
        );
        Self { peer, script }
    }
}

/// Text as a string of Lua.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}
