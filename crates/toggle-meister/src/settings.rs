//! The options of the program: one table for flags, variables and the file.
//!
//! The variables of the original that have a meaning here are accepted; docs/toggle-meister.md
//! names the others.

use std::{net::SocketAddr, time::Duration};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use service::{
    access::SessionOptions,
    settings::{Opt, Serving, SettingsError, Values, opt, switch},
    signin::{OidcOptions, SignInOptions, SignInSettings},
    storage::Database,
};

use crate::{
    reminder::{Schedule, Slack},
    role::Role,
};

/// The issuer with which people sign in unless another is named, as in the original.
const GOOGLE: &str = "https://accounts.google.com";

/// The paths of the redirect URI: ours, and that of the original.
const CALLBACKS: [&str; 2] = ["/auth/oidc/callback", "/oauth_callback/google"];

/// The options.
pub const OPTIONS: &[Opt] = &[
    opt("listen", &["TOGGLE_MEISTER_LISTEN"], "127.0.0.1:8445", "The address and port to serve at"),
    opt(
        "database",
        &["TOGGLE_MEISTER_DATABASE", "DATABASE_URL"],
        "toggle-meister.db",
        "The database: the path of a file, or a URL that begins with postgres://. DATABASE_URL \
         may also be a host name, which DATABASE_USER, DATABASE_PASS and DATABASE_DB_NAME go with",
    ),
    opt(
        "database-user",
        &["TOGGLE_MEISTER_DATABASE_USER", "DATABASE_USER"],
        "postgres",
        "The user, where the database is a host name",
    ),
    opt(
        "database-password",
        &["TOGGLE_MEISTER_DATABASE_PASSWORD", "DATABASE_PASS"],
        "",
        "The password, where the database is a host name",
    ),
    opt(
        "database-name",
        &["TOGGLE_MEISTER_DATABASE_NAME", "DATABASE_DB_NAME"],
        "postgres",
        "The name of the database, where the database is a host name",
    ),
    opt(
        "database-ca-file",
        &["TOGGLE_MEISTER_DATABASE_CA_FILE"],
        "",
        "The certification authorities of the database's server, as a PEM file",
    ),
    switch(
        "skip-migrations",
        &["TOGGLE_MEISTER_SKIP_MIGRATIONS", "SKIP_MIGRATIONS"],
        "false",
        "Does not migrate the database, and does not start unless its schema is the newest",
    ),
    opt(
        "tls-cert-file",
        &["TOGGLE_MEISTER_TLS_CERT_FILE"],
        "",
        "The certificate to serve with, as a PEM file",
    ),
    opt("tls-key-file", &["TOGGLE_MEISTER_TLS_KEY_FILE"], "", "Its private key, as a PEM file"),
    switch(
        "require-auth",
        &["TOGGLE_MEISTER_REQUIRE_AUTH"],
        "true",
        "Whether changes need a token or a session; without, everybody is admin.user, on loopback \
         only",
    ),
    switch("insecure", &["TOGGLE_MEISTER_INSECURE"], "false", "Serves other machines without TLS"),
    switch(
        "dev",
        &["TOGGLE_MEISTER_DEV", "IS_LOCAL"],
        "false",
        "For a first look: on loopback only, and nobody has to sign in",
    ),
    opt(
        "flags-evaluation",
        &["TOGGLE_MEISTER_FLAGS_EVALUATION"],
        "127.0.0.1:8013",
        "Where flagd's evaluation protocol is served; off for nowhere",
    ),
    opt(
        "flags-sync",
        &["TOGGLE_MEISTER_FLAGS_SYNC"],
        "127.0.0.1:8015",
        "Where flagd's sync protocol is served; off for nowhere",
    ),
    opt(
        "flags-ofrep",
        &["TOGGLE_MEISTER_FLAGS_OFREP"],
        "127.0.0.1:8016",
        "Where the OpenFeature Remote Evaluation Protocol is served; off for nowhere",
    ),
    opt(
        "flags-default-environment",
        &["TOGGLE_MEISTER_FLAGS_DEFAULT_ENVIRONMENT"],
        "production",
        "The environment that a flag client without a selector reads",
    ),
    opt(
        "flags-cors-origins",
        &["TOGGLE_MEISTER_FLAGS_CORS_ORIGINS"],
        "",
        "The origins of web pages that may ask for flags, separated by commas",
    ),
    opt(
        "production-role",
        &["TOGGLE_MEISTER_PRODUCTION_ROLE"],
        "dev",
        "The role with the least rights that may switch toggles in production: admin, qa or dev",
    ),
    opt(
        "public-url",
        &["TOGGLE_MEISTER_PUBLIC_URL"],
        "",
        "Where browsers reach the server, such as https://toggles.example; by default, where it \
         listens",
    ),
    opt(
        "session-key",
        &["TOGGLE_MEISTER_SESSION_KEY", "COOKIE_KEY"],
        "",
        "What signs the cookies of people who sign in: at least 32 random bytes",
    ),
    opt(
        "cookie-name",
        &["TOGGLE_MEISTER_COOKIE_NAME", "COOKIE_NAME"],
        "tmeister-auth",
        "The name of these cookies",
    ),
    opt(
        "oidc-issuer",
        &["TOGGLE_MEISTER_OIDC_ISSUER"],
        GOOGLE,
        "The issuer of OpenID Connect with which people sign in",
    ),
    opt(
        "oidc-client-id",
        &["TOGGLE_MEISTER_OIDC_CLIENT_ID", "GOOGLE_ID"],
        "",
        "The client id at the issuer; people sign in if it is set",
    ),
    opt(
        "oidc-client-secret",
        &["TOGGLE_MEISTER_OIDC_CLIENT_SECRET", "GOOGLE_SECRET"],
        "",
        "The client secret at the issuer",
    ),
    opt(
        "oidc-domains",
        &["TOGGLE_MEISTER_OIDC_DOMAINS", "GOOGLE_ORG"],
        "",
        "The domains whose verified e-mail addresses may sign in, separated by commas",
    ),
    opt(
        "oidc-name",
        &["TOGGLE_MEISTER_OIDC_NAME"],
        "Google",
        "What the issuer is called on the page to sign in",
    ),
    opt(
        "oidc-callback",
        &["TOGGLE_MEISTER_OIDC_CALLBACK"],
        CALLBACKS[0],
        "The path of the redirect URI at the issuer: /auth/oidc/callback, or that of the \
         original, /oauth_callback/google",
    ),
    opt(
        "audit-retention-days",
        &["TOGGLE_MEISTER_AUDIT_RETENTION_DAYS"],
        "3650",
        "For how many days the audit trail is kept",
    ),
    opt(
        "metrics-retention-days",
        &["TOGGLE_MEISTER_METRICS_RETENTION_DAYS"],
        "400",
        "For how many days the numbers of requests are kept",
    ),
    opt(
        "metrics-flush-seconds",
        &["TOGGLE_MEISTER_METRICS_FLUSH_SECONDS"],
        "10",
        "How often the numbers of requests are written to the database, in seconds",
    ),
    opt(
        "slack-webhook-url",
        &["TOGGLE_MEISTER_SLACK_WEBHOOK_URL", "SLACK_WEBHOOK_URL"],
        "",
        "Where to send the weekly reminder; without, it is logged",
    ),
    opt(
        "slack-channel",
        &["TOGGLE_MEISTER_SLACK_CHANNEL", "SLACK_CHANNEL"],
        "",
        "The channel of the reminder",
    ),
    opt(
        "slack-username",
        &["TOGGLE_MEISTER_SLACK_USERNAME", "SLACK_USERNAME"],
        "",
        "In whose name the reminder is sent",
    ),
    opt(
        "slack-icon-url",
        &["TOGGLE_MEISTER_SLACK_ICON_URL", "SLACK_ICON_URL", "ICON_URL"],
        "",
        "The picture of the reminder",
    ),
    opt(
        "reminder-day",
        &["TOGGLE_MEISTER_REMINDER_DAY", "SLACK_REMINDER_DAY"],
        "wednesday",
        "The day of the week of the reminder",
    ),
    opt(
        "reminder-time",
        &["TOGGLE_MEISTER_REMINDER_TIME", "SLACK_REMINDER_TIME"],
        "16:00",
        "The time of the reminder, in UTC",
    ),
];

/// The options with their values.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How it is reached.
    pub serving: Serving,
    /// The database.
    pub database: Database,
    /// Whether the schema of the database is taken as it is.
    pub skip_migrations: bool,
    /// Where flagd's protocols are served.
    pub flags: FlagsSettings,
    /// The role with the least rights that may switch toggles in production.
    pub production_role: Role,
    /// How people sign in. `None`: they do not.
    pub sign_in: Option<SignInSettings>,
    /// For how many days the audit trail is kept.
    pub audit_retention_days: i64,
    /// For how many days the numbers of requests are kept.
    pub metrics_retention_days: i64,
    /// When people are reminded of what is due for removal.
    pub schedule: Schedule,
    /// Where they are reminded. `None`: in the log.
    pub slack: Option<Slack>,
    /// How often the numbers of requests are written.
    pub flush_every: Duration,
    /// Whether PostgreSQL notifies this replica of changes. It would find them without, only
    /// later; no option switches it off, but a test does.
    pub notifications: bool,
}

/// Where flagd's protocols are served; `None`: nowhere.
#[derive(Clone, Debug)]
pub struct FlagsSettings {
    /// Evaluation, over gRPC and Connect.
    pub evaluation: Option<SocketAddr>,
    /// Sync.
    pub sync: Option<SocketAddr>,
    /// OFREP.
    pub ofrep: Option<SocketAddr>,
    /// The environment that a client without a selector reads.
    pub default_environment: String,
    /// The origins of web pages that may ask for flags.
    pub cors_origins: Vec<String>,
}

impl Settings {
    /// Reads the options from the values of the table.
    ///
    /// # Errors
    ///
    /// The first option that is invalid.
    pub fn from_values(values: &Values) -> Result<Self, SettingsError> {
        let mut serving = serving(values)?;
        let production_role = values.text("production-role");
        let production_role =
            Role::parse(&production_role).filter(|it| *it < Role::ReadOnly).ok_or_else(|| {
                let reason = format!("expected admin, qa or dev, got {production_role:?}");
                values.invalid("production-role", reason)
            })?;
        let seconds = values.number("metrics-flush-seconds", 1, 3_600)?;
        let sign_in = sign_in(values, &serving)?;
        // Nobody can sign in on a first look, so nobody has to.
        serving.require_auth &= !serving.dev || sign_in.is_some();
        Ok(Self {
            database: database(values)?,
            skip_migrations: values.switch("skip-migrations")?,
            flags: FlagsSettings {
                evaluation: port(values, "flags-evaluation", &serving)?,
                sync: port(values, "flags-sync", &serving)?,
                ofrep: port(values, "flags-ofrep", &serving)?,
                default_environment: values.text("flags-default-environment").to_lowercase(),
                cors_origins: values.list("flags-cors-origins"),
            },
            production_role,
            sign_in,
            audit_retention_days: values.number("audit-retention-days", 1, 36_500)?,
            metrics_retention_days: values.number("metrics-retention-days", 31, 36_500)?,
            schedule: schedule(values)?,
            slack: slack(values)?,
            flush_every: Duration::from_secs(seconds.unsigned_abs()),
            notifications: true,
            serving,
        })
    }
}

/// How it is reached. Where nobody signs in, everybody is an administrator, so `insecure` does not
/// open that to other machines.
fn serving(values: &Values) -> Result<Serving, SettingsError> {
    let listen = values.address("listen")?;
    if !values.switch("require-auth")? && !listen.ip().is_loopback() {
        return Err(SettingsError::Together(format!(
            "without authentication everybody is an administrator, so listen ({listen}) must be an \
             address of loopback: switch require-auth on"
        )));
    }
    values.serving()
}

/// The address of one of flagd's ports.
fn port(
    values: &Values,
    name: &'static str,
    serving: &Serving,
) -> Result<Option<SocketAddr>, SettingsError> {
    if values.text(name) == "off" {
        return Ok(None);
    }
    let address = values.address(name)?;
    if address.ip().is_loopback()
        || (!serving.dev && (serving.insecure || (serving.tls.is_some() && name != "flags-ofrep")))
    {
        return Ok(Some(address));
    }
    let reason = if serving.dev {
        format!("--dev listens on loopback only, got {address}")
    } else if name == "flags-ofrep" {
        format!(
            "{address} is not loopback, and this port has no TLS; --insecure lifts this, for a \
             port behind a proxy that terminates TLS"
        )
    } else {
        format!(
            "{address} is not loopback, so tls-cert-file and tls-key-file are needed; --insecure \
         lifts this"
        )
    };
    Err(values.invalid(name, reason))
}

/// When people are reminded.
fn schedule(values: &Values) -> Result<Schedule, SettingsError> {
    let day = values.text("reminder-day");
    let day = Schedule::day(&day).ok_or_else(|| {
        let reason = format!("expected a day of the week such as wednesday, got {day:?}");
        values.invalid("reminder-day", reason)
    })?;
    let time = values.text("reminder-time");
    let time = Schedule::time(&time).ok_or_else(|| {
        let reason = format!("expected a time such as 16:00 or 16:00:30, in UTC, got {time:?}");
        values.invalid("reminder-time", reason)
    })?;
    Ok(Schedule::new(day, time))
}

/// Where people are reminded.
fn slack(values: &Values) -> Result<Option<Slack>, SettingsError> {
    let Some(webhook) = values.secret("slack-webhook-url") else { return Ok(None) };
    let mut slack = Slack::new(webhook).ok_or_else(|| {
        let reason = "expected a URL that begins with https:// or http://".to_owned();
        values.invalid("slack-webhook-url", reason)
    })?;
    slack.channel = values.optional("slack-channel");
    slack.username = values.optional("slack-username");
    slack.icon_url = values.optional("slack-icon-url");
    Ok(Some(slack))
}

/// The database. The original's variables are a host name, a user, a password and a name.
fn database(values: &Values) -> Result<Database, SettingsError> {
    let text = values.text("database");
    if values.origin("database") != "DATABASE_URL" || text.contains("://") {
        return values.database("database", "database-ca-file");
    }
    let part = |name| utf8_percent_encode(&values.text(name), NON_ALPHANUMERIC).to_string();
    let password = Some(part("database-password")).filter(|it| !it.is_empty());
    let password = password.map(|it| format!(":{it}")).unwrap_or_default();
    let url =
        format!("postgres://{}{password}@{text}/{}", part("database-user"), part("database-name"));
    Database::parse(&url, values.path("database-ca-file")).map_err(|source| {
        SettingsError::Database { option: "database", origin: values.origin("database"), source }
    })
}

/// How people sign in, if there is an issuer.
fn sign_in(values: &Values, serving: &Serving) -> Result<Option<SignInSettings>, SettingsError> {
    let callback = values.text("oidc-callback");
    if !CALLBACKS.contains(&callback.as_str()) {
        let reason = format!("expected {}, got {callback:?}", CALLBACKS.join(" or "));
        return Err(values.invalid("oidc-callback", reason));
    }
    let Some(client_id) = values.optional("oidc-client-id") else { return Ok(None) };
    let secret = values.secret("oidc-client-secret");
    let oidc = OidcOptions {
        name: values.text("oidc-name"),
        domains: values.list("oidc-domains"),
        callback,
        ..OidcOptions::new(values.text("oidc-issuer"), client_id, secret)
    };
    let scheme = if serving.tls.is_some() { "https" } else { "http" };
    let url = values.optional("public-url");
    let url = url.unwrap_or_else(|| format!("{scheme}://{}", serving.listen));
    let cookie = values.text("cookie-name");
    let mut sessions = SessionOptions::new(cookie, values.secret("session-key"), url);
    sessions.dev = serving.dev;
    let service = "Toggle-Meister".to_owned();
    let options = SignInOptions { service, oidc: Some(oidc), ..SignInOptions::default() };
    Ok(Some(SignInSettings { sessions, options }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::collections::HashMap;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Values::read(OPTIONS, &HashMap::new(), None, variable)
            .and_then(|values| Settings::from_values(&values))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn d44_the_variables_of_the_original_are_read() {
        let settings = read(&[
            ("DATABASE_URL", "db.internal"),
            ("DATABASE_USER", "tm"),
            ("DATABASE_PASS", "p@ss/word"),
            ("DATABASE_DB_NAME", "toggles"),
            ("GOOGLE_ID", "id"),
            ("GOOGLE_SECRET", "hunter2"),
            ("GOOGLE_ORG", "corp.example"),
            ("COOKIE_NAME", "mine"),
            ("SKIP_MIGRATIONS", "True"),
        ]);
        let settings = settings.unwrap();
        assert!(settings.skip_migrations);
        assert_eq!(settings.database.to_string(), "PostgreSQL at db.internal");
        let sign_in = settings.sign_in.as_ref().unwrap();
        assert_eq!(sign_in.sessions.name, "mine");
        let oidc = sign_in.options.oidc.as_ref().unwrap();
        assert_eq!(
            (oidc.issuer.as_str(), &*oidc.domains),
            (GOOGLE, &["corp.example".to_owned()][..])
        );
        let shown = format!("{settings:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("p@ss"), "{shown}");
        let url = read(&[("DATABASE_URL", "postgres://u:p@other/x")]).unwrap();
        assert_eq!(url.database.to_string(), "PostgreSQL at other");
        assert_eq!(read(&[]).unwrap().database.to_string(), "SQLite in toggle-meister.db");
    }

    #[test]
    fn the_redirect_uri_has_our_path_or_that_of_the_original() {
        let callback = |more: &[(&str, &str)]| {
            let settings = read(&[&[("GOOGLE_ID", "id")], more].concat())?;
            Ok(settings.sign_in.unwrap().options.oidc.unwrap().callback)
        };
        let name = "TOGGLE_MEISTER_OIDC_CALLBACK";
        assert_eq!(callback(&[]), Ok("/auth/oidc/callback".to_owned()));
        let original = "/oauth_callback/google";
        assert_eq!(callback(&[(name, original)]), Ok(original.to_owned()));
        let error: Result<_, String> = callback(&[(name, "/login")]);
        let error = error.unwrap_err();
        assert!(
            error.starts_with("option oidc-callback (TOGGLE_MEISTER_OIDC_CALLBACK)"),
            "{error}"
        );
    }

    #[test]
    fn local_mode_is_for_loopback_and_only_when_asked_for() {
        assert!(read(&[]).unwrap().serving.require_auth);
        assert!(!read(&[("IS_LOCAL", "true")]).unwrap().serving.require_auth);
        let open = ("TOGGLE_MEISTER_LISTEN", "0.0.0.0:8445");
        assert!(read(&[open, ("IS_LOCAL", "true")]).unwrap_err().contains("loopback only"));
        let (nobody, insecure) =
            (("TOGGLE_MEISTER_REQUIRE_AUTH", "false"), ("TOGGLE_MEISTER_INSECURE", "true"));
        assert!(read(&[nobody]).is_ok());
        assert!(read(&[open, insecure]).is_ok());
        let error = read(&[open, insecure, nobody]).unwrap_err();
        assert!(error.contains("(0.0.0.0:8445) must be an address of loopback"), "{error}");
        let port = ("TOGGLE_MEISTER_FLAGS_OFREP", "0.0.0.0:8016");
        assert!(read(&[port]).unwrap_err().contains("not loopback"));
        assert!(read(&[port, ("TOGGLE_MEISTER_INSECURE", "true")]).is_ok());
        assert_eq!(read(&[("TOGGLE_MEISTER_FLAGS_SYNC", "off")]).unwrap().flags.sync, None);
    }

    /// The addresses are those of the image.
    #[test]
    fn with_a_certificate_ofrep_has_to_be_off_where_other_machines_are_served() {
        let image = [
            ("TOGGLE_MEISTER_LISTEN", "[::]:8445"),
            ("TOGGLE_MEISTER_FLAGS_EVALUATION", "[::]:8013"),
            ("TOGGLE_MEISTER_FLAGS_SYNC", "[::]:8015"),
            ("TOGGLE_MEISTER_TLS_CERT_FILE", "tls.crt"),
            ("TOGGLE_MEISTER_TLS_KEY_FILE", "tls.key"),
        ];
        let ofrep = |at| read(&[&image[..], &[("TOGGLE_MEISTER_FLAGS_OFREP", at)]].concat());
        assert!(ofrep("[::]:8016").unwrap_err().contains("this port has no TLS"));
        assert_eq!(ofrep("off").unwrap().flags.ofrep, None);
    }

    #[test]
    fn an_invalid_reminder_is_an_error_that_names_the_option() {
        for (variable, value, expected) in [
            ("SLACK_REMINDER_DAY", "wed", "option reminder-day (SLACK_REMINDER_DAY): expected"),
            ("SLACK_REMINDER_TIME", "4pm", "option reminder-time (SLACK_REMINDER_TIME): expected"),
            ("SLACK_WEBHOOK_URL", "hunter2", "option slack-webhook-url (SLACK_WEBHOOK_URL)"),
        ] {
            let error = read(&[(variable, value)]).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let settings = read(&[
            ("SLACK_WEBHOOK_URL", "https://hooks.example/hunter2"),
            ("SLACK_CHANNEL", "#dev"),
            ("ICON_URL", "https://icons.example/x.png"),
        ]);
        let settings = settings.unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
        let slack = settings.slack.unwrap();
        assert_eq!(slack.channel.as_deref(), Some("#dev"));
        assert_eq!(slack.icon_url.as_deref(), Some("https://icons.example/x.png"));
    }
}
