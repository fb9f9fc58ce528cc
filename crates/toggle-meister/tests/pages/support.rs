//! A running Toggle-Meister, and whoever signs in. The tests in a browser use it too.

use std::{collections::HashMap, time::Duration};

use secrecy::ExposeSecret as _;
use service::{
    access::{NewSession, NewToken, Profile, SessionOptions},
    settings::Values,
    signin::{GithubOptions, SignInOptions, SignInSettings},
    storage::Database,
    time,
};
use tempfile::TempDir;
use toggle_meister::{
    model::{
        employee::{self, Edit, Editor, Employee},
        environment, feature,
        toggle::{self, Switch},
    },
    role::Role,
    serve::{self, Running},
    settings::{OPTIONS, Settings},
    store::Store,
    toggle::{State, Wanted},
};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A server, with a database that is removed when it is dropped.
pub(crate) struct Server {
    running: Running,
    pub(crate) url: String,
    _folder: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Role::Dev).await
    }

    /// One on which this role and those above it may switch production.
    pub(crate) async fn with(production_role: Role) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let off = ["flags-evaluation", "flags-sync", "flags-ofrep"];
        let mut flags: HashMap<&str, String> =
            off.iter().map(|it| (*it, "off".to_owned())).collect();
        flags.insert("listen", "127.0.0.1:0".to_owned());
        let values = Values::read(OPTIONS, &flags, None, |_| None).unwrap();
        let mut settings = Settings::from_values(&values).unwrap();
        settings.production_role = production_role;
        settings.database = Database::Sqlite(folder.path().join("toggles.db"));
        let url = "http://127.0.0.1".to_owned();
        let mut sessions = SessionOptions::new("toggles", Some(KEY.into()), url);
        sessions.dev = true;
        let mut github = GithubOptions::new("client", "secret".into());
        github.organizations = vec!["acme".to_owned()];
        let options = SignInOptions {
            service: "Toggle-Meister".to_owned(),
            github: Some(github),
            ..SignInOptions::default()
        };
        settings.sign_in = Some(SignInSettings { sessions, options });
        let running = serve::start(&settings).await.unwrap();
        let url = format!("http://{}", running.address());
        Self { running, url, _folder: folder }
    }

    pub(crate) fn store(&self) -> &Store {
        self.running.store()
    }

    /// Adds an employee, signs them in, and returns their cookie.
    pub(crate) async fn sign_in(&self, username: &str, role: Role) -> String {
        let email = format!("{username}@acme.example");
        let employee = Employee {
            username: username.to_owned(),
            name: username.to_owned(),
            email: email.clone(),
            role,
            person: None,
        };
        self.store().write(move |sql| Ok(employee::insert(sql, &employee)?)).await.unwrap();
        let profile = Profile {
            provider: "github".to_owned(),
            issuer: "https://github.com/".to_owned(),
            subject: username.to_owned(),
            login: username.to_owned(),
            email,
        };
        let attempt_lasts = Duration::from_mins(1);
        // Each attempt signs in once.
        let mut attempt = [0; 32];
        for (to, from) in attempt.iter_mut().zip(username.bytes()) {
            *to = from;
        }
        let new = NewSession { profile, attempt, attempt_lasts, replaces: None };
        let access = &self.store().access;
        let key = access.sign_in(new).await.unwrap();
        let cookie = access.sessions().unwrap().session_cookie(&key).unwrap();
        cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    /// Gives somebody another role.
    pub(crate) async fn set_role(&self, username: &'static str, role: Role) {
        let by = Editor { name: "test".to_owned(), role: Role::Admin };
        let edit = Edit { role: Some(role), ..Edit::default() };
        let edited = self.store().write(move |sql| employee::edit(sql, &by, username, &edit));
        edited.await.unwrap();
    }

    /// A token with a role.
    pub(crate) async fn token(&self, role: Role) -> String {
        let new = NewToken {
            name: "test".to_owned(),
            permissions: vec![role.name().to_owned()],
            prefixes: None,
            expires: None,
        };
        let created = self.store().access.create_token(new, "test").await;
        created.unwrap().1.expose_secret().to_owned()
    }

    pub(crate) async fn environment(&self, name: &'static str) {
        let created = self.store().write(move |sql| environment::create(sql, "test", name));
        created.await.unwrap();
    }

    pub(crate) async fn feature(&self, name: &'static str) {
        let created = self.store().write(move |sql| feature::create(sql, "test", name, true));
        created.await.unwrap();
    }

    /// Switches a toggle, as a machine does.
    pub(crate) async fn switch(&self, env: &str, feature: &str, wanted: Wanted, at: i64) {
        let (env, feature) = (env.to_owned(), feature.to_owned());
        let switch = Switch { env, feature, wanted, days: None };
        let written = self.store().write(move |sql| toggle::switch(sql, "test", &switch, at));
        written.await.unwrap();
    }

    pub(crate) fn state(&self, feature: &str, env: &str) -> State {
        self.store().live.world().toggle(feature, env).at(time::now()).state()
    }
}
