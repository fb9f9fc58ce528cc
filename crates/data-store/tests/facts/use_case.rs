//! What all of it is for: a system writes a fact, and flags change wherever they are evaluated.

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use flagstaff::{
    FlagdOptions, FlagdProvider, ProviderEvent,
    flagd::{ChangedFlags, Events, Resolver},
    flagops::{Facts, FactsClient, Secret},
    open_feature::{EvaluationContext, provider::FeatureProvider as _},
};
use serde_json::{Value, json};
use testing::Process;
use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    http::{LONG, client},
    program::Program,
    python::Python,
    support::becomes,
};

/// The number of replicas by the tier of a deployment.
fn flags() -> Value {
    let is = |tier: &str| json!({ "==": [{ "var": "tier" }, tier] });
    json!({ "flags": { "replicas": {
        "state": "ENABLED",
        "variants": { "one": 1, "three": 3, "five": 5 },
        "defaultVariant": "one",
        "targeting": { "if": [is("gold"), "five", is("silver"), "three"] },
    } } })
}

/// The program `flagstaff` of this workspace. `None` if it has not been built.
fn flagstaff() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_BIN_EXE_flagops-store")).with_file_name("flagstaff");
    path.exists().then_some(path)
}

/// Without the variables of whoever runs the tests.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let is_ours = |name: &str| ["FLAGD_", "FLAGSTAFF_"].iter().any(|it| name.starts_with(it));
        if name.to_str().is_some_and(is_ours) {
            command.env_remove(name);
        }
    }
    command
}

/// A program in Rust, whose provider evaluates in flagd or, with facts, from a file.
async fn in_rust(options: FlagdOptions, facts: Option<Facts>) -> FlagdProvider {
    let provider = FlagdProvider::new(options);
    let provider = match facts {
        Some(facts) => provider.with_context_source(facts),
        None => provider,
    };
    provider.clone().initialize(&EvaluationContext::default()).await;
    provider
}

/// How long it takes until the flag has changed for a program.
async fn notified(events: &mut Events, begun: Instant) -> Duration {
    loop {
        let event = timeout(LONG, events.next()).await.expect("a change of the flag");
        if let Some(ProviderEvent::ConfigurationChanged(ChangedFlags::Keys(keys))) = event {
            assert_eq!(*keys, ["replicas"]);
            return begun.elapsed();
        }
    }
}

/// A server of flags with facts, and its ports for gRPC and OFREP.
fn serve_flags(flagstaff: &Path, folder: &Path, facts: [&str; 4]) -> (Process, [u16; 2]) {
    let ports: [u16; 4] = std::array::from_fn(|_| testing::free_port());
    let mut start = command(flagstaff);
    start.args(["start", "--uri", "file:flags.json"]).args(facts).current_dir(folder);
    for (option, port) in
        ["--port", "--management-port", "--sync-port", "--ofrep-port"].into_iter().zip(ports)
    {
        start.args([option, &port.to_string()]);
    }
    let [rpc, _, _, ofrep] = ports;
    let mut process = Process::start(&start);
    process.wait_for_port(ofrep);
    (process, [rpc, ofrep])
}

async fn replicas(provider: &FlagdProvider) -> i64 {
    let context = EvaluationContext::default().with_targeting_key("acme-prod");
    provider.resolve_int_value("replicas", &context).await.unwrap().value
}

async fn by_ofrep(port: u16) -> i64 {
    let url = format!("http://127.0.0.1:{port}/ofrep/v1/evaluate/flags/replicas");
    let body = json!({ "context": { "targetingKey": "acme-prod" } });
    let response = client().post(url).json(&body).send().await.unwrap();
    response.json::<Value>().await.unwrap()["value"].as_i64().unwrap()
}

async fn in_python(python: &Arc<Mutex<Python>>) -> i64 {
    let python = Arc::clone(python);
    let question = json!({
        "key": "replicas", "type": "integer", "default": 0, "context": { "targetingKey": "acme-prod" },
    });
    let ask = move || python.lock().unwrap().ask(&question)["value"].as_i64().unwrap();
    spawn_blocking(ask).await.unwrap()
}

/// The standard output of a program that succeeds.
async fn printed(make: impl FnOnce() -> Command) -> String {
    let mut command = make();
    let output = spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A CMS sets the tier of a customer's deployment, and a flag rule turns it into replicas: in a
/// program in Rust, a program in Python, over OFREP, and in a manifest.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_fact_that_a_cms_writes_changes_flags_everywhere() {
    let Some(flagstaff) = flagstaff() else {
        return testing::skip("flagstaff, which cargo build --workspace builds");
    };
    let store = Program::new();
    let token = |name: &str, permission: &str| {
        let added =
            store.run(&["token", "add", name, "--permission", permission, "--prefix=acme-"]);
        assert_eq!(added.code, 0, "{added:?}");
        added.out.trim().to_owned()
    };
    let cms = token("cms", "facts-write");
    let (flags_file, token_file) = (store.path("flags.json"), store.path("token"));
    fs::write(&flags_file, flags().to_string()).unwrap();
    fs::write(&token_file, token("flags", "facts-read")).unwrap();
    fs::write(store.path("web.yaml"), r#"replicas: [{ env "replicas" }]"#).unwrap();
    let folder = flags_file.parent().unwrap();
    let server = store.serve_under(&[], &cms);
    server.set("/api/fact/acme-prod/tier", "gold").await;

    // Any program evaluates in this server.
    let facts = ["--facts", &server.url, "--facts-token-file", "token"];
    let (_flagd, [rpc, ofrep]) = serve_flags(&flagstaff, folder, facts);

    // One in Rust needs no server.
    let client = FactsClient::builder(&server.url).token(Secret::file(&token_file)).build();
    let options = FlagdOptions::builder().without_env().resolver(Resolver::File);
    let options = options.offline_flag_source_path(&flags_file).build().unwrap();
    let from_file = in_rust(options, Some(Facts::new(client.unwrap()))).await;
    let options = FlagdOptions::builder().without_env().host("127.0.0.1").port(rpc);
    let over_rpc = in_rust(options.build().unwrap(), None).await;
    let mut events = over_rpc.events();
    let python = Python::start(rpc).map(|it| Arc::new(Mutex::new(it)));
    if python.is_none() {
        testing::skip("the provider for Python, which tests/clients/install installs");
    }
    let render = async || {
        let begun = Instant::now();
        let make = || {
            let mut render = command(&flagstaff);
            render.args(["render", "web.yaml", "--file", "flags.json", "--identity", "acme-prod"]);
            render.args(["--deadline-ms", "20000"]).args(facts).current_dir(folder);
            render
        };
        (printed(make).await, begun)
    };

    // How long each takes to have so many replicas. A manifest has them from the start of the
    // program on that renders it.
    let is_everywhere = async |expected: i64, begun: Instant| {
        let manifest = format!("replicas: {expected}\n");
        let rendered = Cell::new(begun);
        let rendering = async || {
            let (manifest, begun) = render().await;
            rendered.set(begun);
            manifest
        };
        let in_python = async || match &python {
            Some(python) => in_python(python).await,
            None => expected,
        };
        let (rust, rpc, python, ofrep, _) = tokio::join!(
            becomes("Rust from a file", begun, expected, async || replicas(&from_file).await),
            becomes("Rust over gRPC", begun, expected, async || replicas(&over_rpc).await),
            becomes("Python", begun, expected, in_python),
            becomes("OFREP", begun, expected, async || by_ofrep(ofrep).await),
            becomes("the manifest", begun, manifest, rendering),
        );
        [rust, rpc, python, ofrep, rendered.get() - begun]
    };
    is_everywhere(5, Instant::now()).await;

    let mut delays: [Vec<Duration>; 6] = Default::default();
    for (tier, expected) in [("silver", 3), ("gold", 5), ("silver", 3), ("gold", 5), ("silver", 3)]
    {
        let begun = Instant::now();
        server.set("/api/fact/acme-prod/tier", tier).await;
        let notified = notified(&mut events, begun);
        let (notified, seen) = tokio::join!(notified, is_everywhere(expected, begun));
        for (delays, delay) in delays.iter_mut().zip(seen.into_iter().chain([notified])) {
            delays.push(delay);
        }
    }
    // Not each of them: the machine may do something else for a while. A flag is notified of once
    // a second at most.
    let places =
        ["Rust from a file", "Rust over gRPC", "Python", "OFREP", "a manifest", "the event"];
    for ((place, delays), most) in places.iter().zip(&mut delays).zip([1, 1, 1, 1, 1, 2]) {
        println!("{place}: {delays:?}");
        delays.sort();
        assert!(delays[2] < Duration::from_secs(most), "{place}: {delays:?}");
    }
    if let Some(python) = &python {
        let changed = json!({ "event": "changed", "flags": ["replicas"] });
        let python = Arc::clone(python);
        spawn_blocking(move || python.lock().unwrap().expect(&changed)).await.unwrap();
    }

    // The CMS may not read, and the flags may not write.
    let read = server.get("/api/fact/acme-prod").await;
    assert_eq!(read.status(), 403);
    from_file.shutdown().await;
    over_rpc.shutdown().await;
}
