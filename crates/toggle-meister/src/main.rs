//! The program `toggle-meister`.

mod command;

use std::{env, process::ExitCode};

use clap::{Arg, ArgMatches, Command};
use secrecy::ExposeSecret as _;
use service::{
    access::NewToken,
    command::{backup, check},
    describe, health,
    problem::Problem,
    program::{self, Failure},
    storage::Sql,
};
use toggle_meister::{
    MIGRATIONS, PERMISSIONS,
    model::{change, employee},
    serve,
    settings::{OPTIONS, Settings},
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

/// The command line. Each option of the table is a flag of every command but `due`.
fn command_line() -> Command {
    let command = Command::new("toggle-meister")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Serves short-lived feature toggles with gradual rollout")
        .subcommand(Command::new("serve").about("Starts the server, which is the default"))
        .subcommand(command::due::command())
        .subcommand(command::import::command())
        .subcommand(backup::backup_command())
        .subcommand(backup::restore_command())
        .subcommand(
            Command::new("check").about("Checks the options and the database, and changes nothing"),
        )
        .subcommand(
            Command::new("admin")
                .about("Manages administrators")
                .subcommand_required(true)
                .subcommand(
                    Command::new("add")
                        .about("Makes an employee an administrator, also one who has not signed in")
                        .arg(
                            Arg::new("email")
                                .required(true)
                                .value_name("EMAIL")
                                .help("The e-mail address with which they sign in"),
                        ),
                ),
        )
        .subcommand(health::command().mut_arg("readiness", |it| {
            it.help("Checks that toggles are loaded, and not only that the server runs")
        }))
        .subcommand(
            Command::new("token")
                .about("Manages tokens for automation")
                .subcommand_required(true)
                .subcommand(
                    Command::new("add")
                        .about("Makes a token and prints it once")
                        .arg(Arg::new("name").required(true).help("What the token is for"))
                        .arg(
                            Arg::new("role")
                                .long("role")
                                .required(true)
                                .value_parser(
                                    PERMISSIONS.iter().map(|it| it.id).collect::<Vec<_>>(),
                                )
                                .help("What it may do"),
                        ),
                ),
        );
    // It asks a server, and has no use for the options of one.
    let is_due = env::args().skip(1).find(|it| it != "help").is_some_and(|it| it == "due");
    if is_due { command } else { program::with_options(command, OPTIONS) }
}

fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    if let Some(("due", matches)) = matches.subcommand() {
        return program::run(async { Ok(command::due::run(matches).await) });
    }
    let values = program::values(matches, OPTIONS)?;
    let settings = Settings::from_values(&values)?;
    let database = &settings.database;
    program::run(async {
        match matches.subcommand() {
            Some(("token", matches)) => match matches.subcommand() {
                Some(("add", matches)) => add_token(&settings, matches).await,
                _ => Ok(()),
            },
            Some(("health", matches)) => {
                health::run(&settings.serving, matches).await.map_err(Failure::from)
            }
            Some(("admin", matches)) => match matches.subcommand() {
                Some(("add", matches)) => add_admin(&settings, matches).await,
                _ => Ok(()),
            },
            Some(("import", matches)) => {
                let authorities = values.path("database-ca-file");
                return command::import::run(&settings, authorities, matches).await;
            }
            Some(("backup", matches)) => backup::backup(database, matches).await,
            Some(("restore", matches)) => {
                backup::restore(database, matches, MIGRATIONS, change::forget).await
            }
            Some(("check", _)) => {
                let (serving, sign_in) = (&settings.serving, settings.sign_in.as_ref());
                let (name, more) = ("toggle-meister", |_: &mut _, _, _: &mut _| {});
                check::run(serving, sign_in, database, name, MIGRATIONS, more).await.print()
            }
            _ => serve(&settings).await,
        }
        .map(|()| ExitCode::SUCCESS)
    })
}

async fn serve(settings: &Settings) -> Result<(), Failure> {
    let running = serve::start(settings).await?;
    let scheme = if settings.serving.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", running.address());
    if settings.serving.dev {
        println!("toggle-meister serves at {url}");
        println!("flagd's protocols: {}", running.flags());
        println!("create a feature, roll it out, and ask for it:");
        println!("  curl {url}/api/features -d '{{\"name\":\"hello\"}}'");
        println!(
            "  curl -X PATCH {url}/api/toggles -d \
             '{{\"toggle\":{{\"env\":\"production\",\"feature\":\"hello\",\"state\":\"ROLL:1\"}}}}'"
        );
        println!("  curl '{url}/api/envs/production/toggles?feature=hello&enrollment_id=jane'");
    } else {
        tracing::info!(url, database = %settings.database, "serving");
    }
    program::terminated().await?;
    tracing::info!("shutting down");
    running.shutdown().await;
    Ok(())
}

async fn add_token(settings: &Settings, matches: &ArgMatches) -> Result<(), Failure> {
    let access = serve::access(settings, serve::storage(settings).await?)?;
    let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let new = NewToken {
        name: text("name"),
        permissions: vec![text("role")],
        prefixes: None,
        expires: None,
    };
    let created = access.create_token(new, "command line").await;
    let (_, token) = created.map_err(|problem| problem.detail().to_owned())?;
    println!("{}", token.expose_secret());
    Ok(())
}

async fn add_admin(settings: &Settings, matches: &ArgMatches) -> Result<(), Failure> {
    let storage = serve::storage(settings).await?;
    let email = matches.get_one::<String>("email").cloned().unwrap_or_default();
    let added = storage.write(move |sql: &mut Sql<'_>| -> Result<_, Problem> {
        let usernames = employee::make_admin(sql, "command line", &email)?;
        sql.notify(change::CHANGES)?;
        Ok(usernames)
    });
    for username in added.await.map_err(|problem| problem.detail().to_owned())? {
        println!("{username} is an administrator");
    }
    Ok(())
}
