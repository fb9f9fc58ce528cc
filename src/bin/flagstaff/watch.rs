//! `flagstaff watch`: prints the states of a provider, and the flags that change, as they
//! happen.
//!
//! ```text
//! $ flagstaff watch
//! 2026-11-28T16:18:51.404833589Z ready
//! 2026-11-28T16:18:52.425488179Z changed new-checkout banner
//! 2026-11-28T16:18:54.408352736Z stale
//! 2026-11-28T16:19:03.37783671Z error: flagd at localhost:8013: cannot connect: [...]
//! ```
//!
//! | Event | Meaning |
//! |---|---|
//! | `ready`, `stale`, `error` | the provider's state; it reconnects by itself |
//! | `fatal` | the provider has given up, and the command ends |
//! | `changed` | the keys of the flags that changed, or `(any flag)` if they are not known |
//! | `lagged` | so many events were missed, because the output was not read fast enough |
//!
//! Each line is flushed, so that a script can react to it. When its reader closes the
//! output, the command ends as if it had been told to.

use std::fmt;

use flagstaff::{FlagdProvider, ProviderEvent, flagd::ChangedFlags};
use open_feature::{EvaluationContext, provider::FeatureProvider as _};
use serde_json::{Value as Json, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    connection::Connection,
    excerpt::chain,
    exit::{Exit, failed},
    output,
    signals::Signals,
};

/// Print the states of a provider and the flags that change, until SIGINT or SIGTERM.
///
/// Exit code 0: ended by a signal, or the output was closed; 2: usage error; 3: fatal error: flagd
/// rejects the provider, or cannot be used with these options.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print each event as a line of JSON: time, event, flags (null: any), message.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Watches until a signal, and shuts the provider down.
pub(crate) async fn run(args: Args) -> Exit {
    let options = match args.connection.options() {
        Ok(options) => options,
        Err(error) => return failed(Exit::Usage, &chain(&error)),
    };
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return failed(Exit::No, &format!("cannot listen for signals: {error}")),
    };
    let provider = FlagdProvider::new(options);
    let exit = tokio::select! {
        exit = watch(&provider, args.json) => exit,
        () = signals.next() => Exit::Success,
    };
    provider.shutdown().await;
    exit
}

/// Prints events until the provider fails for good, or nobody reads them any more.
///
/// The subscription comes before the initialization, so that its events are printed too.
async fn watch(provider: &FlagdProvider, json: bool) -> Exit {
    let mut events = provider.events();
    let mut initialized = provider.clone();
    initialized.initialize(&EvaluationContext::default()).await;
    while let Some(event) = events.next().await {
        let line = Line::new(event);
        let written = if json { output::line(&line.json()) } else { output::line(&line) };
        if written.is_err() {
            return Exit::Success;
        }
        if line.fatal {
            return Exit::Unreachable;
        }
    }
    Exit::Success
}

/// An event to print.
struct Line {
    /// When it was received, in UTC, as RFC 3339 writes it.
    time: String,
    /// The name in the output.
    event: &'static str,
    /// The keys of the flags that changed. `None` if any flag may have changed, and for other
    /// events.
    keys: Option<Vec<String>>,
    /// What went wrong, or was missed.
    message: Option<String>,
    /// Whether the provider has given up.
    fatal: bool,
}

impl Line {
    /// A line for an event that happens now.
    fn new(event: ProviderEvent) -> Self {
        // Formatting fails only for years beyond 9999.
        let time = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let line = |event| Self { time, event, keys: None, message: None, fatal: false };
        match event {
            ProviderEvent::Ready => line("ready"),
            ProviderEvent::Stale => line("stale"),
            ProviderEvent::Error { message, fatal } => Self {
                message: Some(message),
                fatal,
                ..line(if fatal { "fatal" } else { "error" })
            },
            ProviderEvent::ConfigurationChanged(ChangedFlags::Keys(keys)) => {
                Self { keys: Some(keys.to_vec()), ..line("changed") }
            }
            ProviderEvent::ConfigurationChanged(_) => line("changed"),
            ProviderEvent::Lagged(missed) => {
                Self { message: Some(format!("{missed} events were missed")), ..line("lagged") }
            }
            // The enum is non-exhaustive.
            _ => line("other"),
        }
    }

    /// The line of `--json`.
    fn json(&self) -> Json {
        json!({ "time": self.time, "event": self.event, "flags": self.keys, "message": self.message })
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.time, self.event)?;
        match (&self.keys, &self.message) {
            (Some(keys), _) => write!(f, " {}", keys.join(" ")),
            (None, Some(message)) => write!(f, ": {message}"),
            (None, None) if self.event == "changed" => f.write_str(" (any flag)"),
            (None, None) => Ok(()),
        }
    }
}
