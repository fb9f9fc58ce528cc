//! The program `flagstaff optoggles`: its signals, its commands, and what it survives.

use std::{
    fmt::Write as _,
    fs,
    io::Read as _,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    engine::quoted,
    opa::Opa,
    opal::{Opal, Store},
    peers::{needs_opa, needs_opal},
    process::{send, status},
    support::{
        ports::free_port,
        wait::{becomes_true, eventually},
    },
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("program_reads_its_configuration_again", needs_opa(), reloads),
        trial("program_reads_its_configuration_again_at_the_signal_alone", needs_opa(), hangup),
        trial("program_finds_the_configuration_of_the_machine_first", needs_mounts(), search),
        trial("program_with_a_state_on_a_full_disk_waits_for_room", needs_both(), full_state),
        trial("program_survives_a_kill_in_the_middle_of_a_sync", needs_opa(), killed),
        trial("program_with_a_full_disk_keeps_the_old_file", needs_opa(), full_disk),
        trial("program_holds_back_a_large_removal_until_it_is_confirmed", needs_opa(), confirms),
        trial("program_commands_and_exit_codes", needs_opa(), commands),
        trial("program_ends_within_its_time_and_deregisters", needs_opal(), terminates),
    ]
}

const FLAGSTAFF: &str = env!("CARGO_BIN_EXE_flagstaff");

/// A directory with a configuration.
struct Program {
    directory: tempfile::TempDir,
    port: u16,
    management: u16,
    child: Option<Child>,
}

impl Program {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory, port: free_port(), management: free_port(), child: None }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a configuration with these rules as toggles, and `more` at the top.
    fn configure(&self, source: &str, rules: &[&str], more: &str) {
        let mut text = format!(
            "bind: 127.0.0.1:{}\nmanagementBind: 127.0.0.1:{}\n{more}\nsources: [{source}]\n\
             target: {{targetType: flagd, targetSpec: {{file: {}}}}}\ntoggles:\n",
            self.port,
            self.management,
            quoted(&self.path("out/flags.json"))
        );
        for rule in rules {
            let policy = format!("{{source: policy, package: app.rbac, rule: {rule}}}");
            let _ = writeln!(text, "  - {{key: {rule}, usersPolicy: {policy}}}");
        }
        fs::create_dir_all(self.path("out")).unwrap();
        fs::write(self.path("config.yaml"), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(FLAGSTAFF);
        command.arg("optoggles").args(arguments).current_dir(self.directory.path());
        command
    }

    fn output(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let Output { status, stdout, stderr } = self.command(arguments).output().unwrap();
        let text =
            String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
        (status.code(), text)
    }

    /// Starts it with `./config.yaml`, which it finds by itself.
    async fn start(&mut self) {
        let log = fs::File::create(self.path("log")).unwrap();
        let child = self.command(&[]).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        self.child = Some(child);
        let url = self.url("/health/started");
        becomes_true("the program to start", async || status(&url).await == Some(200)).await;
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.as_ref().unwrap().id();
        kill_process(Pid::from_raw(i32::try_from(id).unwrap()).unwrap(), signal).unwrap();
    }

    async fn ended(&mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        let mut code = None;
        eventually("the program to end", || {
            let ended = child.try_wait().unwrap();
            code = ended.and_then(|status| status.code());
            ended.is_some()
        })
        .await;
        code
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn flags(&self) -> String {
        fs::read_to_string(self.path("out/flags.json")).unwrap_or_default()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", fs::read_to_string(self.path("log")).unwrap_or_default());
        }
    }
}

fn source(opa: &Opa) -> String {
    format!("{{id: policy, sourceType: opa, url: '{}', pollInterval: 50ms}}", opa.url)
}

async fn reloads() {
    let opa = Opa::with(&[("alice", "US"), ("bob", "UK")]).await;
    let mut program = Program::new();
    program.configure(&source(&opa), &["us_users"], "");
    program.start().await;
    eventually("a flag", || program.flags().contains("us_users")).await;
    // What is secret, and who has a toggle, is in no log.
    assert!(!program.log().contains("alice"), "{}", program.log());
    // By the change of the file alone.
    program.configure(&source(&opa), &["us_users", "long_names"], "");
    eventually("a second flag", || program.flags().contains("long_names")).await;
    // What is broken changes nothing.
    let valid = fs::read_to_string(program.path("config.yaml")).unwrap();
    fs::write(program.path("config.yaml"), valid.replace("rule: long_names", "rol: x")).unwrap();
    program.signal(Signal::HUP);
    eventually("an error in the log", || {
        program.log().contains("the last valid one stays in force")
    })
    .await;
    assert!(program.log().contains("unknown key `toggles[].usersPolicy.rol`"), "{}", program.log());
    opa.put_users(&[("bob", "US")]).await;
    eventually("the former to be at work", || program.flags().contains("\"bob\"")).await;
    assert!(program.flags().contains("long_names"));
    // By the signal.
    program.configure(&source(&opa), &["us_users"], "instance: other");
    program.signal(Signal::HUP);
    eventually("the next to be at work", || {
        program.log().matches("the configuration was read again").count() >= 2
    })
    .await;
    program.signal(Signal::TERM);
    assert_eq!(program.ended().await, Some(0));
}

/// A named pipe is not watched, so that only the signal has it read.
async fn hangup() {
    let opa = Opa::with(&[("alice", "US")]).await;
    let mut program = Program::new();
    program.configure(&source(&opa), &["us_users"], "");
    let (pipe, first) = (program.path("pipe"), fs::read(program.path("config.yaml")).unwrap());
    program.configure(&source(&opa), &["us_users", "long_names"], "");
    let second = fs::read(program.path("config.yaml")).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let log = fs::File::create(program.path("log")).unwrap();
    program.child = Some(program.command(&["--config", "pipe"]).stderr(log).spawn().unwrap());
    let write = |text| {
        let pipe = pipe.clone();
        // Opening it waits for the reader.
        tokio::task::spawn_blocking(move || fs::write(pipe, text).unwrap())
    };
    write(first).await.unwrap();
    eventually("a flag", || program.flags().contains("us_users")).await;
    eventually("the pipe to be left alone", || {
        program.log().contains("pipe is not a regular file")
    })
    .await;
    let written = write(second);
    assert!(!program.flags().contains("long_names"));
    program.signal(Signal::HUP);
    written.await.unwrap();
    eventually("a second flag", || program.flags().contains("long_names")).await;
}

/// In a mount namespace of its own, `/etc` is empty but for the configuration.
async fn search() {
    let program = Program::new();
    let valid = "sources: [{id: a, sourceType: opa, url: 'http://127.0.0.1:9'}]\n\
                 target: {targetType: flagd, targetSpec: {file: flags.json}}\n";
    fs::write(program.path("config.yaml"), "here: 1\n").unwrap();
    fs::write(program.path("valid.yaml"), valid).unwrap();
    let check = |prepare: &str| {
        let script =
            format!("mount -t tmpfs tmpfs /etc && {prepare} exec {FLAGSTAFF} optoggles check");
        let mut command = in_mounts(&script);
        let Output { status, stdout, .. } =
            command.current_dir(program.directory.path()).output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap())
    };
    let install = "mkdir /etc/optoggles && cp valid.yaml /etc/optoggles/config.yaml &&";
    assert_eq!(check(install), (Some(0), String::new()));
    let (code, text) = check("");
    assert!(code == Some(1) && text.starts_with("./config.yaml:1:1: error: "), "{text}");
}

/// The state is on a disk of 64 KiB that is full at first, and again when a toggle is added.
async fn full_state() {
    let opa = Opa::with(&[("alice", "US")]).await;
    let mut program = Program::new();
    program.configure(&source(&opa), &["us_users"], "state: state/state.json");
    fs::create_dir_all(program.path("state")).unwrap();
    let fill = "cat /dev/zero > state/filler";
    let script =
        format!("mount -t tmpfs -o size=64k tmpfs state && {fill}; exec {FLAGSTAFF} optoggles");
    let log = fs::File::create(program.path("log")).unwrap();
    let mut command = in_mounts(&script);
    let command = command.current_dir(program.directory.path()).stderr(log);
    program.child = Some(command.spawn().unwrap());
    let id = program.child.as_ref().unwrap().id();
    // As the program sees it.
    let root = PathBuf::from(format!("/proc/{id}/root"));
    let state = root.join(program.path("state").strip_prefix("/").unwrap());
    let recorded = || fs::read_to_string(state.join("state.json")).unwrap_or_default();
    let fails = "No space left on device";
    let health = program.url("/health");
    becomes_true("the failure to be shown", async || status(&health).await == Some(500)).await;
    assert!(program.log().contains(fails), "{}", program.log());
    assert!(!program.flags().contains("us_users"), "nothing is created unrecorded");
    assert_eq!(recorded(), "");
    fs::remove_file(state.join("filler")).unwrap();
    eventually("the flag", || program.flags().contains("us_users")).await;
    becomes_true("health", async || status(&health).await == Some(200)).await;
    let former = recorded();
    assert!(former.contains("us_users"), "{former}");
    // Again, with a change that is longer than what is left of the last block.
    let _ = std::io::copy(
        &mut std::io::repeat(0).take(1 << 20),
        &mut fs::File::create(state.join("filler")).unwrap(),
    )
    .unwrap_err();
    let failures = program.log().matches(fails).count();
    let mut text = fs::read_to_string(program.path("config.yaml")).unwrap();
    let (policy, note) =
        ("{source: policy, package: app.rbac, rule: long_names}", "x".repeat(20_000));
    let _ =
        writeln!(text, "  - {{key: long_names, usersPolicy: {policy}, spec: {{note: {note}}}}}");
    fs::write(program.path("config.yaml"), text).unwrap();
    eventually("the next failure", || program.log().matches(fails).count() > failures).await;
    assert_eq!(recorded(), former, "half a change is taken back");
    assert!(!program.flags().contains("long_names"));
    fs::remove_file(state.join("filler")).unwrap();
    eventually("the second flag", || program.flags().contains("long_names")).await;
    assert!(recorded().contains("xxx"));
    program.signal(Signal::TERM);
    assert_eq!(program.ended().await, Some(0));
}

/// A shell with mounts of its own.
fn in_mounts(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script]).stdout(Stdio::piped());
    command
}

fn needs_mounts() -> Result<(), String> {
    let tried = in_mounts("mount -t tmpfs tmpfs /etc").output().map(|output| output.status);
    match tried {
        Ok(status) if status.success() => Ok(()),
        _ => Err("no mount namespaces".to_owned()),
    }
}

fn needs_both() -> Result<(), String> {
    needs_opa()?;
    needs_mounts()
}

async fn killed() {
    let opa = Opa::with(&[("alice", "US")]).await;
    let mut program = Program::new();
    program.configure(&source(&opa), &["us_users", "long_names"], "");
    for round in 0..5 {
        let user = format!("user-{round}");
        opa.put_users(&[(&user, "US")]).await;
        let log = fs::File::create(program.path("log")).unwrap();
        program.child = Some(program.command(&[]).stderr(log).spawn().unwrap());
        // To be somewhere in the middle of its work is the point: a little further in each round.
        tokio::time::sleep(Duration::from_millis(20 * (round + 1))).await;
        program.signal(Signal::KILL);
        program.ended().await;
        let text = program.flags();
        let whole = text.is_empty() || flagstaff::evaluator::FlagSet::parse(&text).is_ok();
        assert!(whole, "half a file: {text}");
    }
    opa.put_users(&[("alice", "US"), ("bob", "US")]).await;
    program.start().await;
    eventually("the policy to be in force", || {
        let flags = program.flags();
        flags.contains(r#"["alice","bob"]"#) && !flags.contains("user-")
    })
    .await;
}

/// A directory where the temporary file belongs cannot be written to, as a full disk cannot.
async fn full_disk() {
    let opa = Opa::with(&[("alice", "US")]).await;
    let mut program = Program::new();
    program.configure(&source(&opa), &["us_users"], "");
    program.start().await;
    eventually("a flag", || program.flags().contains("alice")).await;
    let id = program.child.as_ref().unwrap().id();
    fs::create_dir_all(program.path(&format!("out/flags.json.{id}.tmp/x"))).unwrap();
    let former = program.flags();
    opa.put_users(&[("alice", "US"), ("bob", "US")]).await;
    let health = program.url("/health");
    becomes_true("the error to be shown", async || status(&health).await == Some(500)).await;
    assert_eq!(program.flags(), former);
    assert!(program.log().contains("cannot write the flag definitions in "), "{}", program.log());
}

async fn confirms() {
    let opa = Opa::with(&[("alice", "US"), ("bob", "US"), ("carol", "US")]).await;
    let mut program = Program::new();
    program.configure(&source(&opa), &["us_users"], "maxRemoved: 0.5\nconfirmToken: hush");
    program.start().await;
    eventually("a flag", || program.flags().contains("carol")).await;
    let url = format!("http://127.0.0.1:{}", program.management);
    let confirm =
        |token: &str| program.output(&["confirm", "us_users", "--url", &url, "--token", token]);
    assert_eq!(confirm("hush").0, Some(1), "nothing is held back");
    opa.put_users(&[("alice", "US")]).await;
    let details = format!("{url}/details");
    becomes_true("the change to be held back", async || {
        let request = http::Request::get(&details).body(Vec::new()).unwrap();
        let (_, body) = send(request).await.unwrap();
        body.contains(r#""heldBack":{"removed":2,"of":3}"#)
    })
    .await;
    // It is no failure.
    assert_eq!(status(&program.url("/health")).await, Some(200));
    assert!(program.flags().contains("carol"));
    let (code, text) = confirm("wrong");
    assert!(code == Some(1) && text.contains("the token was rejected"), "{text}");
    assert!(program.flags().contains("carol"));
    let (code, text) = confirm("hush");
    assert_eq!((code, &*text), (Some(0), "confirmed\n"));
    eventually("the change", || program.flags().contains(r#"["alice"]"#)).await;
    let (code, text) = program.output(&["confirm", "nope", "--url", &url, "--token", "hush"]);
    assert!(code == Some(1) && text.contains("there is no toggle"), "{text}");
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    assert_eq!(program.output(&["confirm", "a", "--url", &nowhere, "--token", "t"]).0, Some(3));
}

async fn commands() {
    let mut opa = Opa::with(&[("alice", "US")]).await;
    let program = Program::new();
    let (code, text) = program.output(&["check"]);
    assert!(code == Some(2) && text.contains("name one with `--config`"), "{text}");
    program.configure(&source(&opa), &["us_users"], "");
    assert_eq!(program.output(&["check"]), (Some(0), String::new()));
    assert_eq!(program.output(&["check", "--live"]), (Some(0), String::new()));
    let (code, text) = program.output(&["plan"]);
    assert_eq!((code, &*text), (Some(1), "us_users at target: 1 added, 0 removed\n  + alice\n"));
    let (code, text) = program.output(&["plan", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(code, Some(1));
    assert_eq!(plan["changes"][0]["added"], serde_json::json!(["alice"]));
    opa.stop();
    let (code, text) = program.output(&["check", "--live"]);
    assert!(code == Some(1) && text.starts_with("source `policy`: "), "{text}");
    assert_eq!(program.output(&["plan"]).0, Some(3));
    fs::write(program.path("bad.yaml"), "bind: x\nfoo: 1\n").unwrap();
    let (code, text) = program.output(&["check", "--config", "bad.yaml"]);
    assert_eq!(code, Some(1));
    assert!(text.starts_with("bad.yaml:1:7: error: `bind`: expected an address"), "{text}");
    assert!(text.contains("bad.yaml:2:1: error: unknown key `foo`"), "{text}");
    program.configure("{id: policy, sourceType: opa, url: 'opa:8181'}", &["us_users"], "");
    let (code, text) = program.output(&["check"]);
    assert_eq!(code, Some(1));
    assert!(text.starts_with("./config.yaml: error: source `policy`: "), "{text}");
}

async fn terminates() {
    let opa = Opa::start(&[]).await;
    let opal = Opal::start(Store::External(&opa.url), &[("alice", "US")], &[]).await;
    let mut program = Program::new();
    program.configure(&format!("{{id: policy, url: '{}'}}", opal.url), &["us_users"], "");
    program.start().await;
    eventually("a flag", || program.flags().contains("alice")).await;
    assert_eq!(opal.callbacks().await.len(), 1);
    let asked = Instant::now();
    program.signal(Signal::TERM);
    assert_eq!(program.ended().await, Some(0));
    println!("ended after {:?}", asked.elapsed());
    assert_eq!(opal.callbacks().await.len(), 0);
}
