//! A database with features, and the program that serves it.

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::Command,
};

use service::{problem::Problem, settings::Values, time};
use toggle_meister::{
    model::{environment, feature, toggle},
    rollout::Pace,
    serve,
    settings::{OPTIONS, Settings},
    toggle::{Rollout, Toggle},
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Off,
    On,
    Roll,
}

/// One in five is being rolled out; of the others, every second one is on.
pub(crate) fn state(index: usize) -> State {
    match index {
        _ if index.is_multiple_of(5) => State::Roll,
        _ if index.is_multiple_of(2) => State::On,
        _ => State::Off,
    }
}

pub(crate) fn name(index: usize) -> String {
    format!("feature_{index}")
}

/// Fills a database with so many features in some environments.
pub(crate) fn store(database: &Path, count: usize, environments: &[&str]) {
    let options = HashMap::from([("database", database.display().to_string())]);
    let values = Values::read(OPTIONS, &options, None, |_| None).unwrap();
    let settings = Settings::from_values(&values).unwrap();
    let environments: Vec<String> = environments.iter().map(|it| (*it).to_owned()).collect();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let storage = serve::storage(&settings).await.unwrap();
        let filled = storage.write(move |sql| {
            for env in environments.iter().filter(|it| *it != "production") {
                environment::create(sql, "benchmark", env)?;
            }
            let pace = Pace::over_days(365.0).unwrap();
            // In the middle of the twelfth step, at 30 %.
            let start = time::now() - 11 * pace.step() - pace.step() / 2;
            for index in 0..count {
                let name = name(index);
                feature::create(sql, "benchmark", &name, true)?;
                for env in &environments {
                    let toggle = match state(index) {
                        State::Off => continue,
                        State::On => Toggle::On { since: start },
                        State::Roll => Toggle::Roll(Rollout { number: 1, start, pace }),
                    };
                    toggle::put(sql, &name, env, toggle)?;
                }
            }
            Ok::<_, Problem>(())
        });
        assert!(filled.await.is_ok(), "the database cannot be filled");
    });
}

/// The program, on a database.
pub(crate) fn program(database: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toggle-meister"));
    let variables = std::env::vars_os().map(|(name, _)| name);
    for name in variables.filter(|name| name.to_string_lossy().starts_with("TOGGLE_MEISTER_")) {
        command.env_remove(name);
    }
    command.args(["--dev", "--listen", &address.to_string(), "--database"]).arg(database);
    for port in ["evaluation", "sync", "ofrep"] {
        command.arg(format!("--flags-{port}={}", free_address()));
    }
    command
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).unwrap()
}
