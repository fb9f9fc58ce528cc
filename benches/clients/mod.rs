//! One server and several clients, each in a process of its own, measured turn by turn.

pub(crate) mod client;
mod floors;
mod server;

use std::{
    env,
    io::{BufRead, BufReader, Write, stdin},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use flagstaff::{FlagdOptions, FlagdProvider};
use open_feature::{EvaluationContext, provider::FeatureProvider};
use tokio::runtime::Runtime;

use self::{
    client::{Client, DEADLINE, KEY, Spent, run, say},
    floors::{BareH2, RawTonic},
};
use crate::support::ports::local;

/// The program in `benches/rival`.
const RIVAL: &str = "open-feature-flagd";
const OURS: &str = "flagstaff";

/// What is measured, and how much of it.
pub(crate) struct Plan {
    /// The heading of the figure.
    pub(crate) unit: &'static str,
    pub(crate) spent: Spent,
    /// Features of the program in `benches/rival`.
    pub(crate) rival: &'static str,
    pub(crate) rounds: usize,
    /// Calls in one round, by one task and by several.
    pub(crate) calls: [u32; 2],
}

/// The benchmark, or the part of it that this process was started for.
pub(crate) fn main(plan: &Plan) {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--server"] => serve(),
        ["--client", name, port] => call(name, port.parse().unwrap(), plan.spent),
        _ => measure(plan),
    }
}

/// A server until the input ends.
fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(local(0)).await.unwrap();
        say(listener.local_addr().unwrap().port());
        tokio::select! {
            () = server::serve(listener) => {}
            _ = tokio::task::spawn_blocking(|| stdin().lines().map(Result::unwrap).count()) => {}
        }
    });
}

fn call(name: &str, port: u16, spent: Spent) {
    let runtime = Runtime::new().unwrap();
    match name {
        "bare h2" => run(&runtime, &runtime.block_on(BareH2::connect(port)), spent),
        "raw tonic" => run(&runtime, &runtime.block_on(RawTonic::connect(port)), spent),
        OURS => run(&runtime, &runtime.block_on(Ours::connect(port)), spent),
        other => panic!("{other} is no client"),
    }
}

#[derive(Clone)]
struct Ours(FlagdProvider);

impl Ours {
    async fn connect(port: u16) -> Self {
        let options = FlagdOptions::builder().host("127.0.0.1").port(port).deadline(DEADLINE);
        let mut provider = FlagdProvider::new(options.build_with_env(|_| None).unwrap());
        provider.initialize(&EvaluationContext::default()).await;
        Self(provider)
    }
}

impl Client for Ours {
    async fn call(&self, context: &EvaluationContext) -> bool {
        self.0.resolve_bool_value(KEY, context).await.unwrap().value
    }
}

fn measure(plan: &Plan) {
    let this = || Command::new(env::current_exe().unwrap());
    let mut command = this();
    command.arg("--server");
    let mut server = Peer::start("server", command).unwrap();
    let port = server.read();
    let client = |name| {
        let mut command = this();
        command.args(["--client", name, &port]);
        Peer::start(name, command)
    };
    let mut peers: Vec<_> = ["bare h2", "raw tonic", OURS].into_iter().filter_map(client).collect();
    peers.extend(rival(plan.rival, &port));
    peers.retain_mut(|peer| {
        let ready = peer.read() == "ready";
        if !ready {
            println!("{} does not start: it is left out", peer.name);
        }
        ready
    });

    println!("{:20} {:>6} {:>6} {:>16} {:>16}", "", "fields", "tasks", plan.unit, "wall us/call");
    for fields in [0, 10] {
        for tasks in [1, 16, 64] {
            let calls = plan.calls[usize::from(tasks > 1)];
            let mut rows: Vec<Vec<[f64; 2]>> = peers.iter().map(|_| Vec::new()).collect();
            // The first round, which warms up, is not counted.
            for round in 0..=plan.rounds {
                for (peer, rows) in peers.iter_mut().zip(&mut rows) {
                    let row = peer.measure(fields, tasks, calls);
                    rows.extend((round > 0).then_some(row));
                }
            }
            for (peer, rows) in peers.iter().zip(&rows) {
                let [spent, wall] = [0, 1].map(|n| median(rows.iter().map(|row| row[n]).collect()));
                println!("{:20} {fields:6} {tasks:6} {spent:16.2} {wall:16.2}", peer.name);
            }
        }
    }
}

/// Built where there is a `protoc`, which it needs.
fn rival(features: &str, port: &str) -> Option<Peer> {
    let protoc = env::var("PROTOC").unwrap_or_else(|_| "protoc".to_owned());
    if Command::new(protoc).arg("--version").output().is_err() {
        println!("no protoc: {RIVAL} is left out");
        return None;
    }
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/rival/Cargo.toml");
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--release", "--locked", "--quiet", "--manifest-path", manifest]);
    command.args(["--features", features, "--", port]);
    Peer::start(RIVAL, command)
}

/// A process of the benchmark, which ends when its input does.
struct Peer {
    name: &'static str,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    process: Child,
}

impl Peer {
    fn start(name: &'static str, mut command: Command) -> Option<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().ok()?;
        let output = BufReader::new(process.stdout.take()?);
        Some(Self { name, input: process.stdin.take(), output, process })
    }

    fn read(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn measure(&mut self, fields: u32, tasks: u32, calls: u32) -> [f64; 2] {
        writeln!(self.input.as_mut().unwrap(), "{fields} {tasks} {calls}").unwrap();
        let line = self.read();
        let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
        [(); 2].map(|()| numbers.next().unwrap())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.input.take();
        let _ = self.process.wait();
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
