//! An issuer whose ID tokens the test writes.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use service::signin::{OidcOptions, SignIn, SignInOptions};

use crate::{
    assert_rejected,
    browser::{Browser, Page},
    support::{access, sqlite},
};

const CLIENT: &str = "things";
const SECRET: &str = "a secret of the client, which is long enough";

#[derive(Clone)]
struct Hostile(Arc<Mutex<Server>>);

struct Server {
    url: String,
    keys: Vec<Value>,
    id_token: Value,
    /// What its discovery document names as the issuer, if not this one.
    claimed: Option<&'static str>,
    user_info: Value,
    /// Fetches of the keys.
    fetches: usize,
}

impl Hostile {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Server {
            url,
            keys: Vec::new(),
            id_token: Value::Null,
            claimed: None,
            user_info: json!({"sub": "1"}),
            fetches: 0,
        };
        let hostile = Self(Arc::new(Mutex::new(server)));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/me", get(user_info))
            .with_state(hostile.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        hostile
    }
}

async fn discovery(State(Hostile(server)): State<Hostile>) -> Json<Value> {
    let server = server.lock().unwrap();
    let url = &server.url;
    Json(json!({
        "issuer": server.claimed.unwrap_or(url),
        "userinfo_endpoint": format!("{url}/me"),
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        // It says that it supports what nobody should.
        "id_token_signing_alg_values_supported": ["EdDSA", "RS256", "HS256", "none"],
    }))
}

async fn keys(State(Hostile(server)): State<Hostile>) -> Json<Value> {
    let mut server = server.lock().unwrap();
    server.fetches += 1;
    Json(json!({"keys": server.keys}))
}

async fn token(State(Hostile(server)): State<Hostile>) -> Json<Value> {
    let id_token = server.lock().unwrap().id_token.clone();
    Json(json!({"access_token": "at", "token_type": "Bearer", "id_token": id_token}))
}

async fn user_info(State(Hostile(server)): State<Hostile>) -> Json<Value> {
    Json(server.lock().unwrap().user_info.clone())
}

fn pair() -> Ed25519KeyPair {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap()
}

fn public(pair: &Ed25519KeyPair, id: &str) -> Value {
    let x = BASE64.encode(pair.public_key().as_ref());
    json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": id, "x": x})
}

/// A token, with a signature of what is signed.
fn jwt(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Value {
    let signed =
        format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let signature = BASE64.encode(sign(signed.as_bytes()));
    Value::String(format!("{signed}.{signature}"))
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn seconds() -> i64 {
    service::time::now() / 1_000
}

/// A service, its issuer, and the key of that.
struct Setup {
    hostile: Hostile,
    url: String,
    key: Ed25519KeyPair,
    access: service::access::Access,
    browser: Browser,
    _folder: tempfile::TempDir,
}

impl Setup {
    async fn new() -> Self {
        let hostile = Hostile::start().await;
        let key = pair();
        let url = hostile.0.lock().unwrap().url.clone();
        hostile.0.lock().unwrap().keys = vec![public(&key, "k1")];
        let mut options = OidcOptions::new(&url, CLIENT, Some(SECRET.into()));
        options.domains = vec!["example.com".to_owned()];
        let options = SignInOptions {
            oidc: Some(options),
            client: flagstaff::http::Client::builder().without_proxy(),
            steps_per_minute: 0,
            ..SignInOptions::default()
        };
        let (storage, folder) = sqlite().await;
        let access = access(&storage);
        let browser = Browser::new(SignIn::new(access.clone(), options).unwrap().router());
        Self { hostile, url, key, access, browser, _folder: folder }
    }

    /// Claims that are valid, but for the nonce.
    fn claims(&self) -> Value {
        let now = seconds();
        json!({
            "iss": self.url, "sub": "1", "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": "",
            "email": "anna@example.com", "email_verified": true,
        })
    }

    fn signed(&self, claims: &Value) -> Value {
        let header = json!({"alg": "EdDSA", "kid": "k1", "typ": "JWT"});
        jwt(&header, claims, |it| self.key.sign(it).as_ref().to_vec())
    }

    /// A sign-in for which the issuer has the token that `make` writes for valid claims.
    async fn sign_in(&mut self, make: impl FnOnce(&Self, Value) -> Value) -> Page {
        self.sign_in_with("", make).await
    }

    async fn sign_in_with(
        &mut self,
        parameters: &str,
        make: impl FnOnce(&Self, Value) -> Value,
    ) -> Page {
        self.browser.cookies.clear();
        let page = self.browser.get("/auth/login").await;
        let mut claims = self.claims();
        claims["nonce"] = page.parameter("nonce").into();
        let token = make(self, claims);
        self.hostile.0.lock().unwrap().id_token = token;
        let state = page.parameter("state");
        let callback = format!("/auth/oidc/callback?code=c&state={state}{parameters}");
        self.browser.get(&callback).await
    }

    async fn assert_valid(&mut self) {
        let page = self.sign_in(|it, claims| it.signed(&claims)).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{page:?}");
        self.access.principal(&self.browser.headers()).await.unwrap();
    }
}

/// Writes a token for valid claims.
type Forge = fn(&Setup, Value) -> Value;

fn with(setup: &Setup, mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    setup.signed(&claims)
}

fn without(setup: &Setup, mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    setup.signed(&claims)
}

/// Tokens with one fault each, and what is logged of it.
const FORGERIES: &[(&str, &str, Forge)] = &[
    ("alg none", "No signature found", |_, it| jwt(&json!({"alg": "none"}), &it, |_| Vec::new())),
    ("alg none with a key id", "No signature found", |_, it| {
        jwt(&json!({"alg": "none", "kid": "k1"}), &it, |_| Vec::new())
    }),
    ("alg none of another case", "no valid token", |_, it| {
        jwt(&json!({"alg": "nOnE"}), &it, |_| Vec::new())
    }),
    ("no signature", "invalid signature", |_, it| {
        jwt(&json!({"alg": "EdDSA", "kid": "k1"}), &it, |_| Vec::new())
    }),
    ("signed with the client secret", "Disallowed signature algorithm", |_, it| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        jwt(&json!({"alg": "HS256"}), &it, |it| hmac::sign(&key, it).as_ref().to_vec())
    }),
    ("signed with the public key as a secret", "Disallowed signature algorithm", |setup, it| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, setup.key.public_key().as_ref());
        let header = json!({"alg": "HS256", "kid": "k1"});
        jwt(&header, &it, |it| hmac::sign(&key, it).as_ref().to_vec())
    }),
    ("wrong key", "incorrect EdDSA signature", |_, it| {
        let header = json!({"alg": "EdDSA", "kid": "k1"});
        jwt(&header, &it, |it| pair().sign(it).as_ref().to_vec())
    }),
    ("a key in the token itself", "No matching key", |_, it| {
        let pair = pair();
        let header = json!({"alg": "EdDSA", "kid": "k2", "jwk": public(&pair, "k2")});
        jwt(&header, &it, |it| pair.sign(it).as_ref().to_vec())
    }),
    ("unknown key id", "No matching key", |setup, it| {
        let header = json!({"alg": "EdDSA", "kid": "k2"});
        jwt(&header, &it, |it| setup.key.sign(it).as_ref().to_vec())
    }),
    ("another algorithm of the same key", "No matching key", |setup, it| {
        let header = json!({"alg": "RS256", "kid": "k1"});
        jwt(&header, &it, |it| setup.key.sign(it).as_ref().to_vec())
    }),
    ("claims that were not signed", "incorrect EdDSA signature", |setup, it| {
        let Value::String(token) = setup.signed(&it) else { unreachable!() };
        let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
        parts[1] = BASE64.encode(it.to_string().replace("anna@", "root@"));
        Value::String(parts.join("."))
    }),
    ("a critical extension", "critical JWT header", |setup, it| {
        let header = json!({"alg": "EdDSA", "kid": "k1", "crit": ["x"], "x": 1});
        jwt(&header, &it, |it| setup.key.sign(it).as_ref().to_vec())
    }),
    ("audience", "must contain `things`", |setup, it| with(setup, it, "aud", "other".into())),
    ("a second audience", "`other` is not a trusted audience", |setup, it| {
        with(setup, it, "aud", json!([CLIENT, "other"]))
    }),
    ("no audience", "must contain `things`", |setup, it| without(setup, it, "aud")),
    ("authorized party", "issued to another client", |setup, it| {
        with(setup, it, "azp", "other".into())
    }),
    ("issuer", "Invalid issuer", |setup, it| {
        with(setup, it, "iss", "https://issuer.example".into())
    }),
    ("no issuer", "no valid token", |setup, it| without(setup, it, "iss")),
    ("nonce", "nonce mismatch", |setup, it| with(setup, it, "nonce", "other".into())),
    ("no nonce", "missing nonce", |setup, it| without(setup, it, "nonce")),
    ("expired", "ID token expired", |setup, it| with(setup, it, "exp", (seconds() - 1).into())),
    ("no expiry", "no valid token", |setup, it| without(setup, it, "exp")),
    ("not valid yet", "not valid yet", |setup, it| {
        with(setup, it, "nbf", (seconds() + 300).into())
    }),
    ("from the future", "from the future", |setup, it| {
        with(setup, it, "iat", (seconds() + 300).into())
    }),
    ("no subject", "no valid token", |setup, it| without(setup, it, "sub")),
    ("for another access token", "for another access token", |setup, it| {
        with(setup, it, "at_hash", BASE64.encode([0; 16]).into())
    }),
    ("no token", "no ID token", |_, _| Value::Null),
    ("not a token", "no valid token", |_, _| "a.b.c".into()),
    ("a token of two parts", "no valid token", |setup, it| {
        let Value::String(token) = setup.signed(&it) else { unreachable!() };
        Value::String(token.rsplit_once('.').unwrap().0.to_owned())
    }),
];

#[tokio::test]
async fn each_hostile_id_token_is_rejected() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
    // The runtime of this test has one thread.
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut setup = Setup::new().await;
    setup.assert_valid().await;
    for (name, why, forge) in FORGERIES {
        log.take();
        let page = setup.sign_in(forge).await;
        let logged = log.take();
        assert!(logged.contains(why), "{name}: expected {why:?} in {logged:?}");
        assert!(!logged.contains(SECRET) && !logged.contains("eyJ"), "{logged}");
        assert_rejected(&page, StatusCode::BAD_GATEWAY, "did not confirm who you are");
        assert!(setup.browser.cookies.is_empty(), "{name}");
        assert!(!page.text.contains(SECRET), "{name}");
    }
    setup.assert_valid().await;
    assert_eq!(setup.access.people(0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_an_id_token_may_say_is_accepted() {
    let mut setup = Setup::new().await;
    for (name, value) in [
        ("azp", json!(CLIENT)),
        ("aud", json!([CLIENT])),
        ("nbf", json!(seconds())),
        ("iat", json!(seconds() + 30)),
        ("email_verified", json!("true")),
        ("email", json!("Anna@EXAMPLE.com")),
        ("hd", json!("example.com")),
    ] {
        let page = setup
            .sign_in(|setup, mut claims| {
                claims[name] = value;
                setup.signed(&claims)
            })
            .await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{name}: {page:?}");
    }
}

#[tokio::test]
async fn d9_an_address_that_nobody_verified_or_of_another_domain_lets_nobody_in() {
    let mut setup = Setup::new().await;
    for (name, value) in [
        ("email_verified", json!(false)),
        ("email_verified", Value::Null),
        ("email", json!("anna@example.com.evil.example")),
        ("email", json!("anna@evilexample.com")),
        ("email", json!("anna@example.com@evil.example")),
        ("email", json!("example.com")),
        ("email", json!("")),
        ("email", Value::Null),
        // The account belongs to another organization.
        ("hd", json!("evil.example")),
        ("hd", json!(["example.com"])),
    ] {
        let shown = value.clone();
        let page = setup
            .sign_in(|setup, mut claims| {
                claims[name] = value;
                setup.signed(&claims)
            })
            .await;
        println!("{name}: {shown}");
        assert_rejected(&page, StatusCode::FORBIDDEN, "may not sign in here");
    }
}

#[tokio::test]
async fn a_response_of_another_issuer_is_rejected() {
    let mut setup = Setup::new().await;
    let page =
        setup.sign_in_with("&iss=https://evil.example", |it, claims| it.signed(&claims)).await;
    assert_rejected(&page, StatusCode::BAD_GATEWAY, "did not confirm who you are");
    let own = format!("&iss={}", setup.url);
    let page = setup.sign_in_with(&own, |it, claims| it.signed(&claims)).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn new_keys_of_an_issuer_are_fetched_when_they_are_needed() {
    let mut setup = Setup::new().await;
    setup.assert_valid().await;
    setup.assert_valid().await;
    assert_eq!(setup.hostile.0.lock().unwrap().fetches, 1, "they are kept");
    setup.key = pair();
    setup.hostile.0.lock().unwrap().keys = vec![public(&setup.key, "k1")];
    setup.assert_valid().await;
    assert_eq!(setup.hostile.0.lock().unwrap().fetches, 2);
}

#[tokio::test]
async fn user_info_of_somebody_else_is_rejected() {
    let mut setup = Setup::new().await;
    let without_email = |setup: &Setup, mut claims: Value| {
        claims.as_object_mut().unwrap().remove("email");
        setup.signed(&claims)
    };
    for (subject, status) in [("2", StatusCode::BAD_GATEWAY), ("1", StatusCode::SEE_OTHER)] {
        setup.hostile.0.lock().unwrap().user_info =
            json!({"sub": subject, "email": "anna@example.com", "email_verified": true});
        let page = setup.sign_in(without_email).await;
        assert_eq!(page.status, status, "{page:?}");
    }
}

#[tokio::test]
async fn a_discovery_document_of_another_issuer_is_rejected() {
    let mut setup = Setup::new().await;
    setup.hostile.0.lock().unwrap().claimed = Some("https://issuer.example");
    let page = setup.browser.get("/auth/login").await;
    assert_rejected(&page, StatusCode::BAD_GATEWAY, "is unavailable");
    // What failed is not remembered.
    setup.hostile.0.lock().unwrap().claimed = None;
    setup.assert_valid().await;
}
