//! The engine under test, made of a configuration as a user would write it, and a program that evaluates
//! its flags.

use std::{fmt::Write as _, net::SocketAddr, path::Path, time::Duration};

use flagstaff::{
    FlagdProvider,
    optoggles::{Config, Engine, Running, Status, ToggleStatus},
};
use open_feature::{EvaluationContext, provider::FeatureProvider as _};

use crate::support::{
    ports::free_port,
    provider::{near, ready},
    wait::becomes_true,
};

/// An engine whose flags are served, and a provider of them.
pub(crate) struct Synced {
    pub(crate) running: Running,
    pub(crate) provider: FlagdProvider,
}

/// A configuration with this source, whose flags are served at a port of the test, and go to a file if
/// there is a directory. `more` is at the top.
pub(crate) fn config(source: &str, rules: &[&str], port: u16, more: &str) -> String {
    let mut text = format!(
        "bind: 127.0.0.1:0\nmanagementBind: 127.0.0.1:0\n{more}\nsources:\n  - {source}\n\
         target: {{targetType: flagd, targetSpec: {{evaluationBind: '127.0.0.1:{port}'}}}}\ntoggles:\n"
    );
    for rule in rules {
        let policy = format!("{{source: policy, package: app.rbac, rule: {rule}}}");
        let _ = writeln!(text, "  - {{key: {rule}, usersPolicy: {policy}}}");
    }
    text
}

impl Synced {
    /// Starts an engine with this source.
    pub(crate) async fn start(source: &str, rules: &[&str], more: &str) -> Self {
        let port = free_port();
        let config = Config::parse(&config(source, rules, port, more)).unwrap();
        let running = Engine::from(config).start().await.unwrap();
        let provider = ready(near(port)).await;
        Self { running, provider }
    }

    /// Whether the flag is on for the user; none if there is no flag.
    pub(crate) async fn is_on(&self, flag: &str, user: &str) -> Option<bool> {
        let context = EvaluationContext::default().with_targeting_key(user);
        let resolved = self.provider.resolve_bool_value(flag, &context).await;
        resolved.ok().map(|details| details.value)
    }

    /// Waits until the flag is on for exactly these of `alice`, `bob`, `carol`.
    pub(crate) async fn becomes(&self, flag: &str, users: &[&str]) {
        becomes_true(&format!("{flag} to be on for {users:?} alone"), async || {
            self.is(flag, users).await
        })
        .await;
    }

    /// Whether the flag is on for exactly these of `alice`, `bob`, `carol`.
    pub(crate) async fn is(&self, flag: &str, users: &[&str]) -> bool {
        for user in ["alice", "bob", "carol"] {
            if self.is_on(flag, user).await != Some(users.contains(&user)) {
                return false;
            }
        }
        true
    }

    /// Waits until the engine says this of the toggle.
    pub(crate) async fn says(&self, toggle: &str, what: &str, is: impl Fn(&ToggleStatus) -> bool) {
        becomes_true(what, async || {
            let status = self.status().await;
            status.toggles.iter().any(|status| status.key == toggle && is(status))
        })
        .await;
    }

    pub(crate) async fn status(&self) -> Status {
        self.running.status().await.unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.address().unwrap()
    }
}

/// Long enough for something to happen that must not, and that would take a few milliseconds.
pub(crate) async fn never<F: AsyncFnMut() -> bool>(what: &str, within: Duration, mut condition: F) {
    let deadline = tokio::time::Instant::now() + within;
    while tokio::time::Instant::now() < deadline {
        assert!(!condition().await, "{what}");
        // Nothing tells when something does not happen.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The path as it is written in YAML.
pub(crate) fn quoted(path: &Path) -> String {
    format!("'{}'", path.display())
}
