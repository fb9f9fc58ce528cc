//! `toggle-meister due`: what should leave the code, and where it is in it.

use std::{collections::BTreeSet, path::PathBuf, process::ExitCode};

use axum::http::{Request, StatusCode, header};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use flagstaff::http::{Client, public_name};
use serde::Deserialize;
use service::{describe, program::Failure};
use toggle_meister::occurrences;

/// The exit code where something is due.
const DUE: u8 = 1;

/// The exit code where that cannot be said.
const FAILED: u8 = 2;

pub(crate) fn command() -> Command {
    Command::new("due")
        .about("Lists features that are due for removal, and the files in which they occur")
        .after_help(
            "A feature is due when it has been ON in production for 14 days, or when nobody can have \
             used it there for 30 days. It is looked for as a whole identifier in text files of up \
             to 1 MiB, but not in .git, node_modules and target.\nExit code: 0 if nothing is due, 1 if something is, 2 if it failed.",
        )
        .arg(
            Arg::new("url")
                .long("url")
                .value_name("URL")
                .required(true)
                .help("Where the server is, such as https://toggles.example"),
        )
        .arg(
            Arg::new("dir")
                .long("dir")
                .value_name("FOLDER")
                .action(ArgAction::Append)
                .default_value(".")
                .value_parser(value_parser!(PathBuf))
                .help("Where the code is; may be repeated"),
        )
}

#[derive(Deserialize)]
struct Answer {
    features: Vec<Due>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    #[default]
    On,
    Unused,
}

#[derive(Deserialize)]
struct Due {
    name: String,
    #[serde(default)]
    reason: Reason,
    since: String,
}

pub(crate) async fn run(matches: &ArgMatches) -> ExitCode {
    match list(matches).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => DUE.into(),
        Err(error) => {
            eprintln!("error: {}", describe(&*error));
            FAILED.into()
        }
    }
}

/// Prints the features that are due, and returns how many there are.
async fn list(matches: &ArgMatches) -> Result<usize, Failure> {
    let url = matches.get_one::<String>("url").map_or("", String::as_str).trim_end_matches('/');
    let features = ask(url).await?;
    let names: BTreeSet<&str> = features.iter().map(|it| it.name.as_str()).collect();
    let mut found = Vec::new();
    for folder in matches.get_many::<PathBuf>("dir").unwrap_or_default() {
        let places = occurrences::find(folder, &names);
        found.push(places.map_err(|error| format!("cannot read {}: {error}", folder.display()))?);
    }
    for Due { name, reason, since } in &features {
        let day = since.get(..10).unwrap_or(since);
        let what = match reason {
            Reason::On => "on",
            Reason::Unused => "unused",
        };
        println!("{name}: {what} in production since {day}");
        for place in found.iter().filter_map(|it| it.get(name.as_str())).flatten() {
            println!("  {}:{}", place.file.display(), place.line);
        }
    }
    Ok(features.len())
}

/// Asks the server what is due.
async fn ask(url: &str) -> Result<Vec<Due>, Failure> {
    let request = Request::get(format!("{url}/api/features?due=true"))
        .header(header::ACCEPT, "application/json")
        .body("")
        .map_err(|error| format!("option url: {error}"))?;
    let response = Client::builder().build()?.send(request).await?;
    let (status, url) = (response.status(), public_name(url));
    if status != StatusCode::OK {
        return Err(format!("{url} answered with {status}").into());
    }
    let body = response.into_body().bytes().await?;
    let answer: Answer = serde_json::from_slice(&body).map_err(|error| {
        format!("{url} did not answer as a server of Toggle-Meister does: {error}")
    })?;
    Ok(answer.features)
}
