//! A policy that tests write as they like.

use std::collections::BTreeMap;

use async_trait::async_trait;
use axum::{Router, routing::get};
use flagstaff::optoggles::{Answer, Failure, PolicySource, Rule, Users};
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::{Mutex, watch},
};

/// A source whose rules have the users that a test gives them; a rule without any is undefined.
#[derive(Clone)]
pub struct Policy(watch::Sender<BTreeMap<String, Users>>);

/// What the engine asks.
pub struct Source {
    rules: watch::Sender<BTreeMap<String, Users>>,
    changes: Mutex<watch::Receiver<BTreeMap<String, Users>>>,
}

/// The names in a text.
pub fn users(names: &str) -> Users {
    names.split_whitespace().collect()
}

/// An OPA whose every rule has the same users.
pub struct Opa {
    pub url: String,
    users: watch::Sender<Users>,
}

impl Opa {
    pub async fn start(names: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let users = watch::Sender::new(users(names));
        let answers = users.clone();
        let router = Router::new().fallback(get(async move || {
            let names: Vec<_> = answers.borrow().iter().map(str::to_owned).collect();
            json!({"result": names}).to_string()
        }));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, users }
    }

    /// Gives the rules other users.
    pub fn set(&self, names: &str) {
        self.users.send_replace(users(names));
    }
}

impl Policy {
    /// A policy of rules and the names of their users.
    pub fn new<const N: usize>(rules: [(&str, &str); N]) -> Self {
        let rules = rules.map(|(rule, names)| (rule.to_owned(), users(names)));
        Self(watch::Sender::new(rules.into()))
    }

    /// Gives a rule other users.
    pub fn set(&self, rule: &str, names: &str) {
        self.0.send_modify(|rules| {
            rules.insert(rule.to_owned(), users(names));
        });
    }

    /// The source of an engine.
    pub fn source(&self) -> Source {
        let mut changes = self.0.subscribe();
        changes.mark_changed();
        Source { rules: self.0.clone(), changes: Mutex::new(changes) }
    }
}

#[async_trait]
impl PolicySource for Source {
    async fn users(&self, rule: &Rule) -> Result<Answer, Failure> {
        let users = self.rules.borrow().get(&rule.name).cloned();
        Ok(users.map_or(Answer::Undefined, Answer::users))
    }

    async fn changed(&self) -> Result<(), Failure> {
        self.changes.lock().await.changed().await.map_err(Failure::temporary)
    }

    async fn check(&self) -> Result<(), Failure> {
        Ok(())
    }
}
