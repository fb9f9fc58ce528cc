//! Where an OPAL client gets its data from: an HTTP server of the test.

use std::sync::{Arc, Mutex};

use axum::{Json, Router, routing::get};
use flagstaff::http::Server;
use serde_json::Value;

use crate::opa::by_country;

pub(crate) struct DataSource {
    pub(crate) url: String,
    users: Arc<Mutex<Value>>,
    _server: Server,
}

impl DataSource {
    pub(crate) async fn start(users: &[(&str, &str)]) -> Self {
        let users = Arc::new(Mutex::new(by_country(users)));
        let shared = users.clone();
        let answer = move || std::future::ready(Json(shared.lock().unwrap().clone()));
        let router = Router::new().route("/users", get(answer));
        let server = Server::builder().listen(([127, 0, 0, 1], 0)).bind().await.unwrap();
        let server = server.serve(move |_| router.clone());
        let url = format!("http://{}/users", server.addresses()[0]);
        Self { url, users, _server: server }
    }

    pub(crate) fn set(&self, users: &[(&str, &str)]) {
        *self.users.lock().unwrap() = by_country(users);
    }
}
