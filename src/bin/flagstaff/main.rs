//! The program `flagstaff`: a server in place of flagd, and tools to evaluate, watch
//! and check flags.
//!
//! Each command is a module with `Args`, what clap parses, and `run`, which returns the
//! [`Exit`] code. Whatever the program knows about flags is in the library; here are
//! only options, output and exit codes.
//!
//! | Command | Module | Runtime |
//! |---|---|---|
//! | `flagstaff start` | [`start`] | multi-threaded |
//! | `flagstaff eval` | [`eval`], with [`context`] and [`json`] | one thread |
//! | `flagstaff watch` | [`watch`] | one thread |
//! | `flagstaff check` | [`check`] | none used |
//! | `flagstaff health` | [`health`] | one thread |
//! | `flagstaff render` | [`render`] | one thread, and one for the templates |
//!
//! `eval`, `render` and `watch` share [`connection`], the options that say where flagd is.
//!
//! # Output
//!
//! Results go to standard output, one line at a time ([`output`]); errors, warnings and
//! logs to standard error. Errors name the option or variable at fault and quote at most
//! the beginning of a value ([`excerpt`](mod@excerpt)). The values of headers are not quoted,
//! and neither are the user, password, query and fragment of a source's URL.
//!
//! The doc comments of clap's structs, fields and values are the texts of `--help`. So
//! they are written for users, and what is meant for readers of the code is in `//`.

mod check;
mod connection;
mod context;
#[path = "../../duration.rs"]
mod duration;
mod eval;
// The library's own file, so that both quote alike. It is not part of the public API.
#[path = "../../excerpt.rs"]
mod excerpt;
mod exit;
mod facts;
mod health;
mod json;
mod logging;
mod optoggles;
mod output;
mod render;
mod signals;
mod start;
mod watch;

use std::{env, ffi::OsStr, process::ExitCode};

use clap::{
    Arg, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    builder::Resettable,
    error::{ContextKind, ContextValue},
};
use tokio::runtime::Builder;
use tracing_subscriber::EnvFilter;

use self::exit::{Exit, failed};

/// Feature flags: a server in place of flagd, and tools to evaluate, watch and check flags.
#[derive(Parser)]
#[command(name = "flagstaff", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Args),
    Eval(eval::Args),
    Health(health::Args),
    Optoggles(Box<optoggles::Args>),
    Render(Box<render::Args>),
    Start(Box<start::Args>),
    Watch(watch::Args),
}

/// Parses the command line and runs the command.
///
/// Only the server has a multi-threaded runtime; the other commands wait for one thing at a
/// time.
fn main() -> ExitCode {
    let command = match parse() {
        Ok(cli) => cli.command,
        Err(error) => error.exit(),
    };
    let mut builder = match &command {
        Command::Start(_) | Command::Optoggles(_) => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return failed(Exit::No, &format!("cannot start the runtime: {error}")).into();
        }
    };
    let logs = matches!(&command, Command::Optoggles(args) if args.runs());
    if !logs && !matches!(command, Command::Start(_)) {
        log_when_asked();
    }
    let exit = match command {
        Command::Check(args) => check::run(&args),
        Command::Eval(args) => runtime.block_on(eval::run(args)),
        Command::Health(args) => runtime.block_on(health::run(args)),
        Command::Optoggles(args) => runtime.block_on(optoggles::run(*args)),
        Command::Render(args) => runtime.block_on(render::run(*args)),
        Command::Start(args) => runtime.block_on(start::run(*args)),
        Command::Watch(args) => runtime.block_on(watch::run(args)),
    };
    exit.into()
}

/// Parses the command line and the variables that options name.
///
/// Two kinds of variables are ignored, because they do not come from the user: empty ones,
/// which templates leave behind, and `FLAGD_PORT=tcp://...`, which Kubernetes injects for
/// a Service called flagd. The exception is `FLAGSTAFF_CLIENT_CA_PATH`: to ignore that it
/// is empty would be to accept every client, so it is an error.
///
/// # Errors
///
/// clap's error, which also stands for `--help` and `--version`. It names the variable that
/// an invalid value comes from, and quotes at most the beginning of the value.
fn parse() -> Result<Cli, clap::Error> {
    let ignored = |variable: &OsStr, value: &OsStr| {
        (value.is_empty() && variable != "FLAGSTAFF_CLIENT_CA_PATH")
            || value.to_str().is_some_and(|text| text.starts_with("tcp://"))
    };
    let command = Cli::command().mut_subcommands(|command| {
        command.mut_args(|arg| {
            let variable = arg.get_env().and_then(|name| Some((name, env::var_os(name)?)));
            match variable {
                Some((name, value)) if ignored(name, &value) => arg.env(Resettable::Reset),
                _ => arg,
            }
        })
    });
    let matches =
        command.clone().try_get_matches().map_err(|error| cut(with_variable(error, &command)))?;
    Cli::from_arg_matches(&matches)
}

/// Adds to the name of the option in an error the variable that the invalid value comes
/// from: clap names only the option, which the user may not have written.
///
/// clap does not say where a value comes from. It is taken for the variable's if it is the
/// same.
fn with_variable(mut error: clap::Error, command: &clap::Command) -> clap::Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let (arg, value) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue));
    if let (Some(shown), Some(value)) = (arg, value)
        && let Some(long) = shown.trim_start_matches('-').split([' ', '[']).next()
        && let args = command.get_subcommands().flat_map(clap::Command::get_arguments)
        && let mut same = args.filter(|arg| arg.get_long() == Some(long)).filter_map(Arg::get_env)
        // Commands may have options of the same name with variables of their own.
        && let Some(variable) =
            same.find(|variable| env::var_os(variable).is_some_and(|found| *found == *value))
    {
        let shown = format!("{shown} ({})", variable.display());
        error.insert(ContextKind::InvalidArg, ContextValue::String(shown));
    }
    error
}

/// Shortens the invalid value in an error, and escapes its control characters. Nothing is
/// left of a header, whose value may be a secret.
fn cut(mut error: clap::Error) -> clap::Error {
    let is_header = matches!(error.get(ContextKind::InvalidArg),
        Some(ContextValue::String(arg)) if arg.starts_with("--header "));
    if let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue) {
        let value = if is_header { "…".into() } else { excerpt::excerpt(value) };
        let value = ContextValue::String(value.into_owned());
        error.insert(ContextKind::InvalidValue, value);
    }
    error
}

/// Logs to standard error if `RUST_LOG` is set: what the provider does is of interest when
/// looking for a problem, and otherwise in the way of the output.
fn log_when_asked() {
    if let Ok(filter) = EnvFilter::try_from_default_env() {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .log_internal_errors(false)
            .init();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_header_is_not_quoted() {
        for command in ["eval key", "watch"] {
            let args = ["flagstaff"].into_iter().chain(command.split(' '));
            let args = args.chain(["--header", "authorization: hush"]);
            let error = cut(Cli::command().try_get_matches_from(args).unwrap_err()).to_string();
            assert!(error.contains("'--header <NAME=VALUE>': expected NAME=VALUE"), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
