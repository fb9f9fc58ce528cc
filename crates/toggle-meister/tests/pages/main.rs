//! The pages for people, without a browser.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod features;
mod notes;
mod people;
mod support;
mod toggles;

use reqwest::{RequestBuilder, Response, StatusCode, redirect::Policy};
use toggle_meister::role::Role;

use crate::support::Server;

/// Somebody with a token, whose requests lead nowhere else.
struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Client {
    async fn new(server: &Server, role: Role) -> Self {
        Self { http: client(), url: server.url.clone(), token: server.token(role).await }
    }

    async fn get(&self, path: &str) -> Response {
        self.send(self.http.get(format!("{}{path}", self.url))).await
    }

    /// A page that has to be there.
    async fn page(&self, path: &str) -> String {
        let response = self.get(path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        html(response).await
    }

    /// Sends a form.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.send(form(&self.http, &format!("{}{path}", self.url), fields)).await
    }

    /// Sends a form that has to succeed, and returns where it leads.
    async fn done(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let response = self.post(path, fields).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{path} {fields:?}");
        response.headers()["location"].to_str().unwrap().to_owned()
    }

    /// Sends a form that has to be rejected, and returns what stands beside a field.
    async fn rejected(&self, path: &str, fields: &[(&str, &str)], field: &str) -> String {
        let response = self.post(path, fields).await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{path} {fields:?}");
        let page = html(response).await;
        let error = page.split(&format!("id=\"{field}-error\">")).nth(1);
        let error = error.unwrap_or_else(|| panic!("{path} {fields:?}: {page}"));
        error.split('<').next().unwrap().to_owned()
    }

    async fn send(&self, request: RequestBuilder) -> Response {
        request.bearer_auth(&self.token).send().await.unwrap()
    }
}

fn client() -> reqwest::Client {
    static CRYPTOGRAPHY: std::sync::Once = std::sync::Once::new();
    CRYPTOGRAPHY.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap()
}

fn form(client: &reqwest::Client, url: &str, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    client.post(url).header("content-type", "application/x-www-form-urlencoded").body(body)
}

async fn html(response: Response) -> String {
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    response.text().await.unwrap()
}

/// Text as it stands in a page.
fn escaped(text: &str) -> String {
    text.replace('&', "&#38;")
        .replace('<', "&#60;")
        .replace('>', "&#62;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}
