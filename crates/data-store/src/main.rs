//! The program `flagops-store`.

mod command;

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, process::ExitCode, sync::Arc};

use self::command::check;
use clap::{Arg, ArgAction, ArgMatches, Command};
use flagops_store::{
    MIGRATIONS, PERMISSIONS, fact,
    secret::Keys,
    serve,
    settings::{OPTIONS, Settings},
};
use secrecy::ExposeSecret as _;
use service::{
    access::{Added, NewToken},
    command::backup,
    describe, health,
    program::{self, Failure},
    storage::Database,
    time,
};

fn main() -> ExitCode {
    let matches = command_line().get_matches();
    program::log();
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
    program::with_options(command, OPTIONS)
}

fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let mut settings = Settings::from_values(&program::values(matches, OPTIONS)?)?;
    program::run(async {
        match matches.subcommand() {
            Some(("token", matches)) => match matches.subcommand() {
                Some(("add", matches)) => add_token(&settings, matches).await,
                _ => Ok(()),
            },
            Some(("admin", matches)) => match matches.subcommand() {
                Some(("add", matches)) => add_admin(&settings, matches).await,
                _ => Ok(()),
            },
            Some(("backup", matches)) => backup::backup(&settings.database, matches).await,
            Some(("restore", matches)) => {
                let prepare = fact::after_restore;
                backup::restore(&settings.database, matches, MIGRATIONS, prepare).await
            }
            Some(("check", _)) => check::run(&settings).await,
            Some(("health", matches)) => {
                health::run(&settings.serving, matches).await.map_err(Failure::from)
            }
            #[cfg(feature = "redis")]
            Some(("import", matches)) => return command::import::run(&settings, matches).await,
            _ => serve(&mut settings).await,
        }
        .map(|()| ExitCode::SUCCESS)
    })
}

async fn serve(settings: &mut Settings) -> Result<(), Failure> {
    if settings.serving.dev && settings.secrets_keys.is_none() {
        settings.secrets_keys = dev_keys(&settings.database)?;
    }
    let running = serve::start(settings).await?;
    let scheme = if settings.serving.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", running.address());
    if settings.serving.dev {
        let tomorrow = time::now() + 24 * 60 * 60 * 1000;
        let token = NewToken {
            name: "dev".to_owned(),
            permissions: vec!["admin".to_owned()],
            prefixes: None,
            expires: Some(tomorrow),
        };
        let token = new_token(running.store(), token).await?;
        println!("flagops-store serves at {url}");
        println!("token: {token}");
        println!("  valid for 24 hours");
        println!("write a fact:");
        println!(
            "  curl -X PUT {url}/api/fact/acme-prod/tier -H 'Authorization: Bearer {token}' \
             -d '{{\"value\":\"gold\"}}'"
        );
    } else {
        tracing::info!(url, database = %settings.database, "serving");
    }
    program::terminated().await?;
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
    let prefixes = many("prefix");
    let token = NewToken { name: name.to_owned(), permissions, prefixes, expires: None };
    let token = new_token(&store, token).await?;
    println!("{token}");
    Ok(())
}

async fn new_token(store: &flagops_store::store::Store, new: NewToken) -> Result<String, Failure> {
    let created = store.access().create_token(new, "command line").await;
    let (_, token) = created.map_err(|problem| problem.detail().to_owned())?;
    Ok(token.expose_secret().to_owned())
}
