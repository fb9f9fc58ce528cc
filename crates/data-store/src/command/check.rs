//! `flagops-store check`: whether a server could start and read all that it has.

use clap::Command;
use flagops_store::{
    MIGRATIONS,
    secret::{self, Keys},
    settings::{SecretsProvider, Settings},
};
use service::{
    describe,
    storage::{Existing, StorageError},
};

use service::program::Failure;

pub(crate) fn command() -> Command {
    Command::new("check")
        .about("Checks the options, the database and the keys of secrets, and changes nothing")
}

/// What the checks found.
#[derive(Default)]
struct Findings {
    lines: Vec<String>,
    problems: usize,
}

impl Findings {
    fn good(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    fn bad(&mut self, line: impl Into<String>) {
        self.problems += 1;
        self.lines.push(format!("PROBLEM {}", line.into()));
    }
}

pub(crate) async fn run(settings: &Settings) -> Result<(), Failure> {
    // Invalid ones have been reported before.
    println!("options: valid");
    println!("database: {}", settings.database);
    let keys = settings.secrets_keys.clone();
    let found =
        settings.database.inspect(move |existing| Ok(inspect(existing, keys.as_deref()))).await;
    let mut findings = found.unwrap_or_else(|error| {
        let mut findings = Findings::default();
        findings.bad(format!("database: {}", describe(&error)));
        findings
    });
    check_provider(settings.secrets_provider, &mut findings).await;
    for line in &findings.lines {
        println!("{line}");
    }
    match findings.problems {
        0 => Ok(()),
        1 => Err("1 problem was found".into()),
        count => Err(format!("{count} problems were found").into()),
    }
}

fn inspect(existing: &mut Existing, keys: Option<&Keys>) -> Findings {
    let mut findings = Findings::default();
    let last = MIGRATIONS.last().map_or(0, |it| it.version);
    match existing.version(MIGRATIONS) {
        Ok(0) => findings.bad("schema: none, so this is not a database of flagops-store"),
        Ok(version) if version == last => findings.good(format!("schema: version {version}")),
        Ok(version) => findings.good(format!(
            "schema: version {version}, which the next start brings to version {last}"
        )),
        Err(error) => findings.bad(format!("schema: {}", describe(&error))),
    }
    match existing.defects() {
        Ok(defects) if defects.is_empty() => findings.good("integrity: ok"),
        Ok(defects) => findings.bad(format!("integrity: {}", defects.join("; "))),
        Err(error) => findings.bad(format!("integrity: {}", describe(&error))),
    }
    // The tables of secrets are there from this version on.
    if existing.version(MIGRATIONS).is_ok_and(|it| it >= 2)
        && let Err(error) = check_keys(existing, keys, &mut findings)
    {
        findings.bad(format!("secrets: {}", describe(&error)));
    }
    findings
}

fn check_keys(
    existing: &mut Existing,
    keys: Option<&Keys>,
    findings: &mut Findings,
) -> Result<(), StorageError> {
    let sealed = secret::sealed(&mut existing.sql())?;
    if sealed.is_empty() {
        findings.good("secrets: none in the database");
    }
    for (id, count) in sealed {
        let line = format!("secrets: {count} sealed with the key {id:?}");
        match keys.filter(|it| it.contains(&id)) {
            None => findings.bad(format!("{line}, which is not among the keys")),
            Some(keys) if secret::opens(&mut existing.sql(), keys, &id)? => {
                findings.good(format!("{line}, which opens them"));
            }
            Some(_) => findings.bad(format!("{line}, which has changed and does not open them")),
        }
    }
    Ok(())
}

#[cfg_attr(not(feature = "aws"), allow(clippy::unused_async, unused_variables))]
async fn check_provider(provider: SecretsProvider, findings: &mut Findings) {
    #[cfg(feature = "aws")]
    if let SecretsProvider::Aws { recovery_days } = provider {
        let checked = match secret::SecretsManager::connect(recovery_days).await {
            Ok(manager) => manager.check().await,
            Err(error) => Err(error),
        };
        match checked {
            Ok(()) => findings.good("secrets: AWS Secrets Manager lists them"),
            Err(error) => findings.bad(format!("secrets: {}", describe(&error))),
        }
    }
}
