//! From a callback of OPAL until the changed list arrives at a REST target, and what that costs:
//! `flagstaff optoggles` beside the original, if the variable `OPTOGGLES_BIN` names its program. OPAL,
//! OPA and the target are in this process; both have the same configuration, and their turns alternate.

// A benchmark that fails may panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    env,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Path as Key, State},
    http::StatusCode,
    routing::{get, patch, post},
};
use flagstaff::http::{Client, Server};
use http::Request;
use serde_json::{Value, json};
use tokio::{
    runtime::Runtime,
    sync::mpsc,
    time::{sleep, timeout},
};

use support::ports::free_port;

/// How many toggles, how many users each, and how often one user of one of them changes.
const SHAPES: [(usize, usize, u16); 3] = [(1, 100, 200), (100, 1000, 200), (1000, 10_000, 10)];
/// For how long the programs have nothing to do while their CPU time at rest is measured.
const REST: Duration = Duration::from_secs(20);

fn main() {
    let mut programs = vec![("flagstaff", PathBuf::from(env!("CARGO_BIN_EXE_flagstaff")))];
    match env::var_os("OPTOGGLES_BIN") {
        Some(path) => programs.push(("original", path.into())),
        None => println!("OPTOGGLES_BIN is not set: the original is left out"),
    }
    for (toggles, users, changes) in SHAPES {
        println!("{toggles} toggles of {users} users, {changes} changes of one user");
        Runtime::new().unwrap().block_on(measure(&programs, toggles, users, changes));
    }
}

async fn measure(programs: &[(&'static str, PathBuf)], toggles: usize, users: usize, changes: u16) {
    let mut peers = Vec::new();
    for (name, program) in programs {
        peers.push(Peer::start(name, program, toggles, users).await);
    }
    let cpu: Vec<_> = peers.iter().map(Peer::cpu).collect();
    sleep(REST).await;
    let at_rest: Vec<_> =
        peers.iter().zip(cpu).map(|(peer, cpu)| (peer.cpu() - cpu, peer.memory("VmRSS"))).collect();
    let cpu: Vec<_> = peers.iter().map(Peer::cpu).collect();
    for change in 0..usize::from(changes) {
        for peer in &mut peers {
            peer.change(change * 37 % toggles).await;
        }
    }
    for ((peer, cpu), (rest, memory)) in peers.iter_mut().zip(cpu).zip(at_rest) {
        let (cpu, most) = ((peer.cpu() - cpu) / f64::from(changes), peer.memory("VmHWM"));
        let requests = u32::try_from(peer.world.requests.load(Relaxed) - peer.before).unwrap();
        let requests = f64::from(requests) / f64::from(changes);
        let times = &mut peer.times;
        times.sort_unstable();
        let [median, p99] =
            [50, 99].map(|share| times[times.len() * share / 100].as_secs_f64() * 1000.0);
        println!(
            "{:10} full sync {:.2?}; a change: median {median:.1} ms, p99 {p99:.1} ms, {:.2} ms of CPU and \
             {requests:.0} requests; at rest {:.2} % of a core and {memory:.1} MB; {most:.1} MB at most",
            peer.name,
            peer.full,
            cpu * 1000.0,
            rest / REST.as_secs_f64() * 100.0,
        );
    }
}

/// A program that keeps toggles in step, with a world of its own; killed when dropped.
struct Peer {
    name: &'static str,
    world: Arc<World>,
    writes: mpsc::UnboundedReceiver<Arrived>,
    client: Client,
    /// From its start until every toggle was written.
    full: Duration,
    times: Vec<Duration>,
    /// The requests that were made before the first change.
    before: usize,
    process: Child,
    _directory: tempfile::TempDir,
}

impl Peer {
    async fn start(name: &'static str, program: &Path, toggles: usize, users: usize) -> Self {
        let (writes, mut written) = mpsc::unbounded_channel();
        let world = Arc::new(World {
            users,
            firsts: (0..toggles).map(|_| AtomicUsize::new(0)).collect(),
            requests: AtomicUsize::new(0),
            callback: Mutex::default(),
            writes,
        });
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let file = directory.path().join("config.yaml");
        fs::write(file, configuration(&world.clone().serve().await, port, toggles)).unwrap();
        let mut command = Command::new(program);
        command.args((name == "flagstaff").then_some("optoggles")).current_dir(&directory);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        let process = command.spawn().unwrap();
        for _ in 0..toggles {
            let write = timeout(Duration::from_secs(300), written.recv());
            write.await.expect("the first list of each toggle").unwrap();
        }
        let full = begun.elapsed();
        let client = Client::builder().without_proxy().build().unwrap();
        let mut peer = Self {
            name,
            world,
            writes: written,
            client,
            full,
            times: Vec::new(),
            before: 0,
            process,
            _directory: directory,
        };
        peer.is_quiet().await;
        peer.before = peer.world.requests.load(Relaxed);
        peer
    }

    /// Waits until it has done what it does.
    async fn is_quiet(&mut self) {
        loop {
            let requests = self.world.requests.load(Relaxed);
            sleep(Duration::from_millis(50)).await;
            if self.world.requests.load(Relaxed) == requests {
                while self.writes.try_recv().is_ok() {}
                return;
            }
        }
    }

    /// Changes a user of a toggle, calls back as OPAL does, and waits for the list at the target.
    async fn change(&mut self, toggle: usize) {
        self.is_quiet().await;
        let first = self.world.firsts[toggle].fetch_add(1, Relaxed) + 1;
        let (key, first) = (format!("t{toggle}"), user(first));
        let callback = self.world.callback.lock().unwrap().clone().expect("it has registered");
        let report = json!({"update_id": "u", "policy_hash": null, "user_data": {}, "reports": [{
            "entry": {"url": "", "topics": ["policy_data"], "dst_path": "/users", "data": {}},
            "fetched": true, "saved": true, "hash": null}]});
        let request = Request::post(callback["url"].as_str().unwrap())
            .header(
                "authorization",
                callback["config"]["headers"]["Authorization"].as_str().unwrap(),
            )
            .header("content-type", "application/json")
            .body(report.to_string().into_bytes())
            .unwrap();
        let begun = Instant::now();
        let sent = self.client.send(request).await.unwrap();
        assert_eq!(sent.status(), 200);
        let arrived = timeout(Duration::from_secs(300), async {
            loop {
                let write = self.writes.recv().await.unwrap();
                if write.key == key && write.first == first {
                    return write.at;
                }
            }
        });
        self.times.push(arrived.await.expect("the write") - begun);
    }

    /// CPU time so far, in seconds: `/proc` counts hundredths.
    fn cpu(&self) -> f64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / 100.0
    }

    /// Its memory, in MB.
    fn memory(&self, what: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(what)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What both programs take.
fn configuration(world: &str, port: u16, toggles: usize) -> String {
    let mut text = format!(
        "bind: 127.0.0.1:{port}\nmanagementBind: 127.0.0.1:{}\nsources:\n  - {{id: opal, url: '{world}', \
         token: '', advertisedAddress: '127.0.0.1:{port}'}}\ntarget: {{targetType: restapi, targetSpec: \
         {{endpointUrl: '{world}/toggles'}}}}\ntoggles:\n",
        free_port()
    );
    for toggle in 0..toggles {
        writeln!(
            text,
            "  - {{key: t{toggle}, usersPolicy: {{source: opal, package: app.t{toggle}, rule: users}}}}"
        )
        .unwrap();
    }
    text
}

fn user(number: usize) -> String {
    format!("user-{number:07}")
}

/// A list that has arrived whole at the target.
struct Arrived {
    key: String,
    first: String,
    at: Instant,
}

/// An OPAL client, its OPA, and a REST service. The service answers with 200 and the OPA with nothing but
/// the result, or the original would not go on.
struct World {
    users: usize,
    /// The number of the first user of each toggle.
    firsts: Vec<AtomicUsize>,
    requests: AtomicUsize,
    callback: Mutex<Option<Value>>,
    writes: mpsc::UnboundedSender<Arrived>,
}

type Shared = State<Arc<World>>;

impl World {
    /// Serves for as long as the runtime lives; returns the URL.
    async fn serve(self: Arc<Self>) -> String {
        let server = Server::builder().listen(([127, 0, 0, 1], 0)).max_body(64 << 20).bind();
        let bound = server.await.unwrap();
        let url = format!("http://{}", bound.addresses()[0]);
        let store = json!({"type": "OPA", "url": url, "auth_type": "none"});
        let router = Router::new()
            .route("/policy-store/config", get(async || Json(store)))
            .route("/callbacks", post(register))
            .route("/callbacks/{key}", get(async || "{}").delete(async || StatusCode::NO_CONTENT))
            .route("/v1/data/app/{toggle}/users", get(query))
            .route("/toggles", post(async || StatusCode::OK))
            .route("/toggles/{key}", patch(write))
            .with_state(self);
        tokio::spawn(async move {
            let _server = bound.serve(move |_| router.clone());
            std::future::pending::<()>().await;
        });
        url
    }
}

async fn register(State(world): Shared, Json(body): Json<Value>) -> Json<Value> {
    *world.callback.lock().unwrap() = Some(body.clone());
    Json(body)
}

async fn query(State(world): Shared, Key(toggle): Key<String>) -> Json<Value> {
    world.requests.fetch_add(1, Relaxed);
    let toggle: usize = toggle[1..].parse().unwrap();
    let first = world.firsts[toggle].load(Relaxed);
    let users: Vec<_> = (first..first + world.users).map(user).collect();
    Json(json!({"result": users}))
}

async fn write(State(world): Shared, Key(key): Key<String>, Json(body): Json<Value>) {
    let at = Instant::now();
    world.requests.fetch_add(1, Relaxed);
    let first = body["users"][0].as_str().unwrap().to_owned();
    let _ = world.writes.send(Arrived { key, first, at });
}
