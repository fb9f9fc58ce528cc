//! The program `flagops-store`.

mod command;

use std::{
    collections::HashMap,
    env, fs,
    io::{IsTerminal as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use self::command::{Failure, backup, check, health};
use clap::{Arg, ArgAction, ArgMatches, Command};
use flagops_store::{
    PERMISSIONS,
    secret::Keys,
    serve,
    settings::{OPTIONS, Settings},
};
use secrecy::ExposeSecret as _;
use service::{
    access::{Added, NewToken},
    describe,
    storage::Database,
};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let matches = command_line().get_matches();
    let log = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(log).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        builder.init();
    } else {
        builder.json().init();
    }
    match run(&matches) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", describe(&*error));
            ExitCode::FAILURE
        }
    }
}

/// The command line. Each option of the table is a flag of every command.
fn command_line() -> Command {
    let mut command = Command::new("flagops-store")
        .version(env!("CARGO_PKG_VERSION"))
        .about(
            "Keeps facts and secrets of deployments and customers for the rules of feature flags",
        )
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .global(true)
                .help("Reads options from a file, one `name = \"value\"` a line"),
        )
        .subcommand(Command::new("serve").about("Starts the server, which is the default"))
        .subcommand(backup::backup_command())
        .subcommand(backup::restore_command())
        .subcommand(check::command())
        .subcommand(health::command())
        .subcommand(
            Command::new("admin")
                .about("Manages administrators")
                .subcommand_required(true)
                .subcommand(
                    Command::new("add")
                        .about("Makes somebody an administrator, at the latest when they sign in")
                        .arg(Arg::new("who").required(true).value_name("PROVIDER:NAME").help(
                            "github:LOGIN, oidc:EMAIL, or the number or subject that the \
                                     provider gave them",
                        )),
                ),
        )
        .subcommand(
            Command::new("token")
                .about("Manages tokens for machines")
                .subcommand_required(true)
                .subcommand(
                    Command::new("add")
                        .about("Makes a token and prints it once")
                        .arg(Arg::new("name").required(true).help("What the token is for"))
                        .arg(
                            Arg::new("permission")
                                .long("permission")
                                .action(ArgAction::Append)
                                .required(true)
                                .value_parser(
                                    PERMISSIONS.iter().map(|it| it.id).collect::<Vec<_>>(),
                                )
                                .help("What it may do; may be repeated"),
                        )
                        .arg(
                            Arg::new("prefix")
                                .long("prefix")
                                .action(ArgAction::Append)
                                .help("Limits it to identities with this prefix; may be repeated"),
                        ),
                ),
        );
    #[cfg(feature = "redis")]
    {
        command = command.subcommand(command::import::command());
    }
    for option in OPTIONS {
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

fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let flags: HashMap<&'static str, String> = OPTIONS
        .iter()
        .filter_map(|it| Some((it.name, matches.get_one::<String>(it.name)?.clone())))
        .collect();
    let file = matches.get_one::<String>("config").map(read_file).transpose()?;
    let mut settings = Settings::read(&flags, file.as_ref(), |name| env::var(name).ok())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match matches.subcommand() {
            Some(("token", matches)) => match matches.subcommand() {
                Some(("add", matches)) => add_token(&settings, matches).await,
                _ => Ok(()),
            },
            Some(("admin", matches)) => match matches.subcommand() {
                Some(("add", matches)) => add_admin(&settings, matches).await,
                _ => Ok(()),
            },
            Some(("backup", matches)) => backup::backup(&settings, matches).await,
            Some(("restore", matches)) => backup::restore(&settings, matches).await,
            Some(("check", _)) => check::run(&settings).await,
            Some(("health", matches)) => health::run(&settings, matches).await,
            #[cfg(feature = "redis")]
            Some(("import", matches)) => return command::import::run(&settings, matches).await,
            _ => serve(&mut settings).await,
        }
        .map(|()| ExitCode::SUCCESS)
    })
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

async fn serve(settings: &mut Settings) -> Result<(), Failure> {
    if settings.dev && settings.secrets_keys.is_none() {
        settings.secrets_keys = dev_keys(&settings.database)?;
    }
    let running = serve::start(settings).await?;
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", running.address());
    if settings.dev {
        let token = new_token(running.store(), "dev", vec!["admin".to_owned()], None).await?;
        println!("flagops-store serves at {url}");
        println!("token: {token}");
        println!("write a fact:");
        println!(
            "  curl -X PUT {url}/api/fact/acme-prod/tier -H 'Authorization: Bearer {token}' \
             -d '{{\"value\":\"gold\"}}'"
        );
    } else {
        tracing::info!(url, database = %settings.database, "serving");
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    tracing::info!("shutting down");
    running.shutdown().await;
    Ok(())
}

/// Reads the keys of a first look from a file beside the database, and makes it if need be: the
/// next start must open what this one seals.
fn dev_keys(database: &Database) -> Result<Option<Arc<Keys>>, Failure> {
    let Database::Sqlite(path) = database else { return Ok(None) };
    let file = path.with_added_extension("keys");
    let failed = |error| format!("cannot use {}: {error}", file.display());
    if !fs::exists(&file).map_err(failed)? {
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let mut options = fs::OpenOptions::new();
        let mut opened =
            options.write(true).create_new(true).mode(0o600).open(&file).map_err(failed)?;
        opened.write_all(Keys::generate("dev")?.expose_secret().as_bytes()).map_err(failed)?;
    }
    let text = fs::read_to_string(&file).map_err(failed)?;
    Ok(Some(Arc::new(Keys::parse(&text.into())?)))
}

async fn add_admin(settings: &Settings, matches: &ArgMatches) -> Result<(), Failure> {
    let store = serve::open(settings).await?;
    let who = matches.get_one::<String>("who").map_or("", String::as_str);
    match store.access().add_admin(who).await.map_err(|problem| problem.detail().to_owned())? {
        Added::Granted(person) => println!("{} is an administrator", person.login),
        Added::Invited(_) => println!("{who} becomes an administrator at the first sign-in"),
    }
    Ok(())
}

async fn add_token(settings: &Settings, matches: &ArgMatches) -> Result<(), Failure> {
    let store = serve::open(settings).await?;
    let many = |name: &str| matches.get_many::<String>(name).map(|it| it.cloned().collect());
    let name = matches.get_one::<String>("name").map_or("", String::as_str);
    let permissions: Vec<String> = many("permission").unwrap_or_default();
    let token = new_token(&store, name, permissions, many("prefix")).await?;
    println!("{token}");
    Ok(())
}

async fn new_token(
    store: &flagops_store::store::Store,
    name: &str,
    permissions: Vec<String>,
    prefixes: Option<Vec<String>>,
) -> Result<String, Failure> {
    let new = NewToken { name: name.to_owned(), permissions, prefixes, expires: None };
    let created = store.access().create_token(new, "command line").await;
    let (_, token) = created.map_err(|problem| problem.detail().to_owned())?;
    Ok(token.expose_secret().to_owned())
}
