//! What the programs of the services do alike: log, read their options, and end on a signal.

use std::{collections::HashMap, env, fs, io, io::IsTerminal as _, path::PathBuf, time::Duration};

use clap::{Arg, ArgMatches, Command};
use tracing_subscriber::EnvFilter;

use crate::settings::{Opt, SettingsError, Values};

/// What ends a program.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Logs to stderr, as JSON unless that is a terminal. The variable `RUST_LOG` filters.
pub fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if io::stderr().is_terminal() {
        builder.init();
    } else {
        builder.json().init();
    }
}

/// Adds the options of a table as flags of every command, and `--config`.
#[must_use]
pub fn with_options(mut command: Command, options: &[Opt]) -> Command {
    command = command.arg(
        Arg::new("config")
            .long("config")
            .value_name("FILE")
            .global(true)
            .help("Reads options from a file, one `name = \"value\"` a line"),
    );
    for option in options {
        let variables = option.variables.join(", ");
        let help = match option.default {
            "" => format!("{} [env: {variables}]", option.help),
            default => format!("{} [default: {default}] [env: {variables}]", option.help),
        };
        let mut arg = Arg::new(option.name).long(option.name).global(true).help(help);
        arg = if option.is_switch {
            arg.num_args(0..=1)
                .default_missing_value("true")
                .value_name("BOOLEAN")
                .require_equals(true)
        } else {
            arg.value_name("VALUE")
        };
        command = command.arg(arg);
    }
    command
}

/// The values of the options of a table, from flags, the environment and a file.
///
/// # Errors
///
/// The file cannot be read, or has something that is no option.
pub fn values(matches: &ArgMatches, options: &[Opt]) -> Result<Values, Failure> {
    let flags = options
        .iter()
        .filter_map(|it| Some((it.name, matches.get_one::<String>(it.name)?.clone())))
        .collect();
    let file = matches.get_one::<String>("config").map(read_file).transpose()?;
    Values::read(options, &flags, file.as_ref(), |name| env::var(name).ok())
        .map_err(SettingsError::into)
}

/// Reads a file of options.
fn read_file(path: &String) -> Result<(PathBuf, HashMap<String, String>), Failure> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    let table: toml::Table = text.parse().map_err(|error| format!("{path}: {error}"))?;
    let values = table.into_iter().map(|(name, value)| match value {
        toml::Value::String(value) => (name, value),
        other => (name, other.to_string()),
    });
    Ok((path.into(), values.collect()))
}

/// Runs a program to its end, which does not wait for threads that a database keeps waiting.
///
/// # Errors
///
/// Whatever `program` returns.
pub fn run<T>(program: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(program);
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
///
/// The signals cannot be caught.
pub async fn terminated() -> io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}
