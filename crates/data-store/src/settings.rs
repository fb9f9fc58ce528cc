//! The options of the program: one table for flags, variables and the file.
//!
//! The variables of the original are accepted: those that its documentation names, and those
//! that it reads.

use std::{collections::HashMap, fs, path::PathBuf, sync::Arc};

pub use service::settings::{Opt, SettingsError};
use service::{
    access::SessionOptions,
    settings::{Serving, Values, opt, switch},
    signin::{GithubOptions, OidcOptions, SignInOptions, SignInSettings},
    storage::Database,
};

use crate::secret::Keys;

/// The options.
pub const OPTIONS: &[Opt] = &[
    opt("listen", &["FLAGOPS_LISTEN"], "127.0.0.1:8080", "The address and port to serve at"),
    opt(
        "database",
        &["FLAGOPS_DATABASE", "USER_DB_DSN", "FLAGOPS_POSTGRES_DB_DSN"],
        "flagops.db",
        "The database: the path of a file, or a URL that begins with postgres://",
    ),
    opt(
        "database-ca-file",
        &["FLAGOPS_DATABASE_CA_FILE"],
        "",
        "The certification authorities of the database's server, as a PEM file",
    ),
    opt(
        "tls-cert-file",
        &["FLAGOPS_TLS_CERT_FILE"],
        "",
        "The certificate to serve with, as a PEM file",
    ),
    opt("tls-key-file", &["FLAGOPS_TLS_KEY_FILE"], "", "Its private key, as a PEM file"),
    switch(
        "require-auth",
        &["FLAGOPS_REQUIRE_AUTH", "USER_DB_REQUIRE_AUTH"],
        "true",
        "Whether requests need a token or a session",
    ),
    switch(
        "insecure",
        &["FLAGOPS_INSECURE"],
        "false",
        "Serves other machines without authentication or without TLS",
    ),
    switch(
        "dev",
        &["FLAGOPS_DEV"],
        "false",
        "For a first look: on loopback only, with a new token on each start",
    ),
    opt(
        "facts-provider",
        &["FLAGOPS_FACT_PROVIDER", "FACTS_PROVIDER"],
        "database",
        "Where facts are; the only value is database",
    ),
    opt(
        "secrets-provider",
        &["FLAGOPS_SECRET_PROVIDER", "SECRETS_PROVIDER"],
        "database",
        "Where secrets are: database, or asm for AWS Secrets Manager",
    ),
    opt(
        "secrets-recovery-days",
        &["FLAGOPS_ASM_DELETION_RECOVERY", "SECRETS_ASM_DELETION_RECOVERY_DAYS"],
        "7",
        "For how many days AWS Secrets Manager can recover the secrets of an erased identity",
    ),
    opt(
        "secrets-keys",
        &["FLAGOPS_SECRETS_KEYS"],
        "",
        "The keys that secrets are sealed with, as ID:BASE64 and separated by commas; the first \
         seals, the others still open",
    ),
    opt(
        "secrets-keys-file",
        &["FLAGOPS_SECRETS_KEYS_FILE"],
        "",
        "A file with the keys, one a line",
    ),
    opt(
        "public-url",
        &["FLAGOPS_PUBLIC_URL", "OAUTH_HOSTNAME", "FLAGOPS_HOSTNAME"],
        "",
        "Where browsers reach the server, such as https://facts.example; by default, where it \
         listens",
    ),
    opt(
        "session-key",
        &["FLAGOPS_SESSION_KEY", "USER_DB_SIGNING_SECRET", "FLAGOPS_USER_SESSION_SALT"],
        "",
        "What signs the cookies of people who sign in: at least 32 random bytes",
    ),
    opt(
        "github-client-id",
        &["FLAGOPS_GITHUB_CLIENT_ID", "FLAGOPS_GITHUB_OAUTH_CLIENT_KEY", "OAUTH_GITHUB_CLIENT_KEY"],
        "",
        "The client id of the OAuth app at GitHub; people sign in with GitHub if it is set",
    ),
    opt(
        "github-client-secret",
        &[
            "FLAGOPS_GITHUB_CLIENT_SECRET",
            "FLAGOPS_GITHUB_OAUTH_CLIENT_SECRET",
            "OAUTH_GITHUB_CLIENT_SECRET",
        ],
        "",
        "The client secret of the OAuth app at GitHub",
    ),
    opt(
        "github-organizations",
        &["FLAGOPS_GITHUB_ORGANIZATIONS"],
        "",
        "The organizations whose members may sign in, separated by commas",
    ),
    opt(
        "github-teams",
        &["FLAGOPS_GITHUB_TEAMS"],
        "",
        "The teams whose members may sign in, as ORGANIZATION/TEAM and separated by commas",
    ),
    opt(
        "github-users",
        &["FLAGOPS_GITHUB_USERS"],
        "",
        "The logins of those who may sign in, separated by commas",
    ),
    opt(
        "github-url",
        &["FLAGOPS_GITHUB_URL"],
        "https://github.com",
        "The address of GitHub, or of a GitHub Enterprise Server",
    ),
    opt(
        "github-api-url",
        &["FLAGOPS_GITHUB_API_URL"],
        "https://api.github.com",
        "The address of its API, which ends in /api/v3 for GitHub Enterprise Server",
    ),
    opt(
        "oidc-issuer",
        &["FLAGOPS_OIDC_ISSUER"],
        "",
        "An issuer of OpenID Connect; people sign in with it if it is set",
    ),
    opt("oidc-client-id", &["FLAGOPS_OIDC_CLIENT_ID"], "", "The client id at the issuer"),
    opt(
        "oidc-client-secret",
        &["FLAGOPS_OIDC_CLIENT_SECRET"],
        "",
        "The client secret at the issuer",
    ),
    opt(
        "oidc-domains",
        &["FLAGOPS_OIDC_DOMAINS"],
        "",
        "The domains whose verified e-mail addresses may sign in, separated by commas",
    ),
    opt(
        "oidc-name",
        &["FLAGOPS_OIDC_NAME"],
        "single sign-on",
        "What the issuer is called on the page to sign in",
    ),
    opt(
        "sign-in-steps-per-minute",
        &["FLAGOPS_SIGN_IN_STEPS_PER_MINUTE"],
        "60",
        "How many steps of a sign-in a client address may take in a minute, two for each sign-in; \
         0: no limit, for a server behind a proxy",
    ),
    opt(
        "audit-retention-days",
        &["FLAGOPS_AUDIT_RETENTION_DAYS"],
        "365",
        "For how many days the audit trail is kept",
    ),
];

/// Where secrets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretsProvider {
    /// In the database, sealed.
    Database,
    /// In AWS Secrets Manager.
    Aws {
        /// For how many days it can recover the secrets of an erased identity.
        recovery_days: i64,
    },
}

/// The options with their values.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How it is reached.
    pub serving: Serving,
    /// The database.
    pub database: Database,
    /// Where secrets are.
    pub secrets_provider: SecretsProvider,
    /// The keys that secrets are sealed with. `None`: none are kept in the database.
    pub secrets_keys: Option<Arc<Keys>>,
    /// How people sign in. `None`: they do not.
    pub sign_in: Option<SignInSettings>,
    /// For how many days the audit trail is kept.
    pub audit_retention_days: i64,
}

impl Settings {
    /// Reads the options: `flags` by the names of the options, `file` the options in a file,
    /// and `variable` the environment.
    ///
    /// # Errors
    ///
    /// The first option that is invalid.
    pub fn read(
        flags: &HashMap<&'static str, String>,
        file: Option<&(PathBuf, HashMap<String, String>)>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        Self::from_values(&Values::read(OPTIONS, flags, file, variable)?)
    }

    /// Reads the options from the values of the table.
    ///
    /// # Errors
    ///
    /// The first option that is invalid.
    pub fn from_values(values: &Values) -> Result<Self, SettingsError> {
        let provider = values.text("facts-provider");
        if provider != "database" {
            let reason = if provider == "redis" {
                "facts are no longer kept in Redis: import them once with \
                 `flagops-store import redis://...`, and unset the option"
                    .to_owned()
            } else {
                format!("expected database, got {provider:?}")
            };
            return Err(values.invalid("facts-provider", reason));
        }
        let serving = values.serving()?;
        Ok(Self {
            database: values.database("database", "database-ca-file")?,
            secrets_provider: secrets_provider(values)?,
            secrets_keys: keys(values)?,
            sign_in: sign_in(values, &serving)?,
            audit_retention_days: values.number("audit-retention-days", 1, 36_500)?,
            serving,
        })
    }
}

fn sign_in(values: &Values, serving: &Serving) -> Result<Option<SignInSettings>, SettingsError> {
    let github = values.optional("github-client-id").map(|client_id| GithubOptions {
        url: values.text("github-url"),
        api_url: values.text("github-api-url"),
        organizations: values.list("github-organizations"),
        teams: values.list("github-teams"),
        users: values.list("github-users"),
        ..GithubOptions::new(client_id, values.text("github-client-secret").into())
    });
    let secret = values.secret("oidc-client-secret");
    let oidc = values.optional("oidc-issuer").map(|issuer| OidcOptions {
        name: values.text("oidc-name"),
        domains: values.list("oidc-domains"),
        ..OidcOptions::new(issuer, values.text("oidc-client-id"), secret)
    });
    let key = values.session_key()?;
    if github.is_none() && oidc.is_none() {
        return Ok(None);
    }
    let steps = values.number("sign-in-steps-per-minute", 0, 1_000_000)?;
    let url = values.optional("public-url").unwrap_or_else(|| serving.url());
    let mut sessions = SessionOptions::new("flagops", key, url);
    sessions.dev = serving.dev;
    let service = crate::ui::NAME.to_owned();
    let options = SignInOptions {
        service,
        github,
        oidc,
        steps_per_minute: u32::try_from(steps).unwrap_or(u32::MAX),
        ..SignInOptions::default()
    };
    Ok(Some(SignInSettings { sessions, options }))
}

fn secrets_provider(values: &Values) -> Result<SecretsProvider, SettingsError> {
    let recovery_days = values.number("secrets-recovery-days", 7, 30)?;
    match values.text("secrets-provider").as_str() {
        "database" => Ok(SecretsProvider::Database),
        "asm" if cfg!(feature = "aws") => Ok(SecretsProvider::Aws { recovery_days }),
        "asm" => {
            let reason = "this program was built without the feature aws".to_owned();
            Err(values.invalid("secrets-provider", reason))
        }
        other => {
            let reason = format!("expected database or asm, got {other:?}");
            Err(values.invalid("secrets-provider", reason))
        }
    }
}

/// The keys that secrets are sealed with, from the option or from its file.
fn keys(values: &Values) -> Result<Option<Arc<Keys>>, SettingsError> {
    let (option, text) = match (values.secret("secrets-keys"), values.path("secrets-keys-file")) {
        (None, None) => return Ok(None),
        (Some(keys), None) => ("secrets-keys", keys),
        (None, Some(path)) => {
            let text = fs::read_to_string(&path).map_err(|error| {
                let reason = format!("cannot read {}: {error}", path.display());
                values.invalid("secrets-keys-file", reason)
            })?;
            ("secrets-keys-file", text.into())
        }
        (Some(_), Some(_)) => {
            return Err(SettingsError::Together(
                "the options secrets-keys and secrets-keys-file exclude each other".to_owned(),
            ));
        }
    };
    let keys = Keys::parse(&text).map_err(|error| values.invalid(option, error.to_string()))?;
    Ok(Some(Arc::new(keys)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::read(&HashMap::new(), None, variable).map_err(|error| error.to_string())
    }

    #[test]
    fn a_flag_precedes_a_variable_which_precedes_the_file() {
        let flags = HashMap::from([("listen", "127.0.0.1:1".to_owned())]);
        let values = HashMap::from([("listen".to_owned(), "127.0.0.1:3".to_owned())]);
        let file = (PathBuf::from("store.toml"), values);
        let variable = |name: &str| (name == "FLAGOPS_LISTEN").then(|| "127.0.0.1:2".to_owned());
        let listen = |settings: Settings| settings.serving.listen.to_string();
        let none = HashMap::new();
        assert_eq!(listen(Settings::read(&flags, Some(&file), variable).unwrap()), "127.0.0.1:1");
        assert_eq!(listen(Settings::read(&none, Some(&file), variable).unwrap()), "127.0.0.1:2");
        assert_eq!(listen(Settings::read(&none, Some(&file), |_| None).unwrap()), "127.0.0.1:3");
        assert_eq!(listen(Settings::read(&none, None, |_| None).unwrap()), "127.0.0.1:8080");
    }

    #[test]
    fn d30_variables_of_the_original_are_read_by_both_of_their_names() {
        let known: Vec<_> = OPTIONS.iter().flat_map(|it| it.variables).collect();
        for (documented, read) in [
            ("FLAGOPS_SECRET_PROVIDER", "SECRETS_PROVIDER"),
            ("FLAGOPS_ASM_DELETION_RECOVERY", "SECRETS_ASM_DELETION_RECOVERY_DAYS"),
            ("FLAGOPS_FACT_PROVIDER", "FACTS_PROVIDER"),
            ("FLAGOPS_POSTGRES_DB_DSN", "USER_DB_DSN"),
            ("FLAGOPS_USER_SESSION_SALT", "USER_DB_SIGNING_SECRET"),
            ("FLAGOPS_GITHUB_OAUTH_CLIENT_KEY", "OAUTH_GITHUB_CLIENT_KEY"),
            ("FLAGOPS_GITHUB_OAUTH_CLIENT_SECRET", "OAUTH_GITHUB_CLIENT_SECRET"),
            ("FLAGOPS_HOSTNAME", "OAUTH_HOSTNAME"),
        ] {
            for name in [documented, read] {
                let options = known.iter().filter(|it| **it == &name).count();
                assert_eq!(options, 1, "{name}");
            }
        }
        for name in ["FLAGOPS_POSTGRES_DB_DSN", "USER_DB_DSN"] {
            let settings = read(&[(name, "postgres://u:hunter2@db/x?sslmode=disable")]).unwrap();
            assert_eq!(settings.database.to_string(), "PostgreSQL at db");
            assert!(!format!("{settings:?}").contains("hunter2"));
        }
        for name in ["FLAGOPS_FACT_PROVIDER", "FACTS_PROVIDER"] {
            let error = read(&[(name, "redis")]).unwrap_err();
            assert!(error.contains("flagops-store import redis://"), "{error}");
        }
        assert!(!read(&[("USER_DB_REQUIRE_AUTH", "false")]).unwrap().serving.require_auth);
    }

    #[test]
    fn d5_the_settings_show_no_secret() {
        let key = Keys::generate("1").unwrap();
        let secrets = [
            ("USER_DB_DSN", "postgres://u:hunter-database@db/x"),
            ("USER_DB_SIGNING_SECRET", "hunter-session-with-at-least-32-bytes"),
            ("OAUTH_GITHUB_CLIENT_KEY", "id"),
            ("OAUTH_GITHUB_CLIENT_SECRET", "hunter-github"),
            ("FLAGOPS_OIDC_ISSUER", "https://issuer.example"),
            ("FLAGOPS_OIDC_CLIENT_SECRET", "hunter-oidc"),
            ("FLAGOPS_SECRETS_KEYS", secrecy::ExposeSecret::expose_secret(&key)),
        ];
        let shown = format!("{:?}", read(&secrets).unwrap());
        let sealing = secrets[6].1.split(':').nth(1).unwrap();
        assert!(!shown.contains("hunter") && !shown.contains(sealing), "{shown}");
    }

    #[test]
    fn a_default_key_stops_the_start_even_if_nobody_can_sign_in() {
        let error = read(&[("USER_DB_SIGNING_SECRET", "flagops-salt")]).unwrap_err();
        let expected = "option session-key (USER_DB_SIGNING_SECRET): expected at least 32 random";
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains("flagops-salt"), "{error}");
    }

    #[test]
    fn other_machines_are_served_only_with_authentication_and_tls() {
        let open = ("FLAGOPS_LISTEN", "0.0.0.0:8080");
        assert!(read(&[open]).unwrap_err().contains("tls-cert-file"));
        let error = read(&[open, ("USER_DB_REQUIRE_AUTH", "false")]).unwrap_err();
        assert!(error.contains("without authentication"), "{error}");
        assert!(read(&[open, ("FLAGOPS_INSECURE", "true")]).is_ok());
        let tls = [open, ("FLAGOPS_TLS_CERT_FILE", "a"), ("FLAGOPS_TLS_KEY_FILE", "b")];
        assert!(read(&tls).is_ok());
        assert!(read(&[("FLAGOPS_LISTEN", "[::1]:0"), ("FLAGOPS_DEV", "true")]).is_ok());
        let error = read(&[open, ("FLAGOPS_DEV", "true")]).unwrap_err();
        assert!(error.contains("loopback only"), "{error}");
    }

    #[cfg(feature = "aws")]
    #[test]
    fn d19_recovery_days_outside_of_7_to_30_are_invalid() {
        let asm = ("SECRETS_PROVIDER", "asm");
        for name in ["FLAGOPS_ASM_DELETION_RECOVERY", "SECRETS_ASM_DELETION_RECOVERY_DAYS"] {
            for (days, recovery_days) in [("7", 7), ("30", 30)] {
                let provider = read(&[asm, (name, days)]).unwrap().secrets_provider;
                assert_eq!(provider, SecretsProvider::Aws { recovery_days });
            }
            for days in ["0", "6", "31", "-7", "a week"] {
                let error = read(&[asm, (name, days)]).unwrap_err();
                assert!(error.contains("expected a number from 7 to 30"), "{error}");
            }
        }
        assert_eq!(read(&[]).unwrap().secrets_provider, SecretsProvider::Database);
        let error = read(&[("FLAGOPS_SECRET_PROVIDER", "vault")]).unwrap_err();
        assert!(error.contains("expected database or asm"), "{error}");
    }

    #[test]
    fn an_invalid_value_is_named_with_its_origin() {
        assert_eq!(
            read(&[("FLAGOPS_DEV", "maybe")]).unwrap_err(),
            "option dev (FLAGOPS_DEV): expected true or false, got \"maybe\""
        );
    }
}
