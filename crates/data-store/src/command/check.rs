//! `flagops-store check`: whether a server could start and read all that it has.

use std::sync::Arc;

use clap::Command;
use flagops_store::{
    MIGRATIONS,
    secret::{self, Keys},
    settings::{SecretsProvider, Settings},
};
use service::{
    command::check::{self, Findings},
    describe,
    program::Failure,
    storage::{Existing, StorageError},
};

pub(crate) fn command() -> Command {
    Command::new("check")
        .about("Checks the options, the database and the keys of secrets, and changes nothing")
}

pub(crate) async fn run(settings: &Settings) -> Result<(), Failure> {
    let keys: Option<Arc<Keys>> = settings.secrets_keys.clone();
    let more = move |existing: &mut Existing, version: i64, findings: &mut Findings| {
        // The tables of secrets are there from this version on.
        if version >= 2
            && let Err(error) = check_keys(existing, keys.as_deref(), findings)
        {
            findings.bad(format!("secrets: {}", describe(&error)));
        }
    };
    let Settings { serving, sign_in, database, .. } = settings;
    let checked =
        check::run(serving, sign_in.as_ref(), database, "flagops-store", MIGRATIONS, more);
    let mut findings = checked.await;
    check_provider(settings.secrets_provider, &mut findings).await;
    findings.print()
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
