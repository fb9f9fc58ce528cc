//! Sign-in with a real issuer.

use axum::http::StatusCode;
use service::signin::{Claim, OidcOptions, SignIn, SignInOptions};
use testing::Issuer;

use crate::{
    assert_rejected,
    browser::{Browser, Page},
    support::{ORIGIN, access, sqlite},
};

fn options(issuer: &str, change: impl FnOnce(&mut OidcOptions)) -> SignInOptions {
    let mut oidc = OidcOptions::new(issuer, "things", Some(Issuer::SECRET.into()));
    oidc.name = "Example".into();
    change(&mut oidc);
    SignInOptions {
        service: "Things".to_owned(),
        oidc: Some(oidc),
        client: flagstaff::http::Client::builder().without_proxy(),
        ..SignInOptions::default()
    }
}

/// The forms of the issuer: who are you, and may the service know?
async fn fill_in(browser: &mut Browser, mut page: Page, login: &str) -> Page {
    for (prompt, form) in [
        ("login", &[("prompt", "login"), ("login", login), ("password", "x")][..]),
        ("consent", &[("prompt", "consent")]),
    ] {
        page = browser.follow(page).await;
        assert!(page.text.contains(&format!("value=\"{prompt}\"")), "{page:?}");
        let action = page.text.split("action=\"").nth(1).unwrap().split('"').next().unwrap();
        let action = page.url.join(action).unwrap();
        page = browser.post(action.as_str(), form).await;
    }
    browser.follow(page).await
}

async fn sign_in(browser: &mut Browser, login: &str) -> Page {
    let page = browser.get("/auth/login?next=/ui/things").await;
    fill_in(browser, page, login).await
}

#[tokio::test]
async fn with_a_real_issuer_limited_to_a_domain() {
    let Some(issuer) = Issuer::start(&format!("{ORIGIN}/auth/oidc/callback")) else {
        return testing::skip("oidc-provider");
    };
    let (storage, _folder) = sqlite().await;
    let access = access(&storage);
    let options = options(&issuer.url(), |it| it.domains = vec!["example.com".to_owned()]);
    let sign_in_ = SignIn::new(access.clone(), options).unwrap();
    access.add_admin("oidc:anna@example.com").await.unwrap();

    let mut browser = Browser::new(sign_in_.router());
    let page = browser.get("/login?next=/ui/things").await;
    assert!(page.text.contains("Sign in with Example"), "{}", page.text);
    let page = browser.get("/auth/login?provider=oidc&next=/ui/things").await;
    assert_eq!(page.parameter("code_challenge_method"), "S256");
    assert_eq!(page.parameter("scope"), "openid email profile");
    assert!(!page.parameter("nonce").is_empty());
    let page = fill_in(&mut browser, page, "anna@example.com").await;
    assert_eq!(page.location().unwrap().as_str(), format!("{ORIGIN}/ui/things"), "{page:?}");
    let anna = access.principal(&browser.headers()).await.unwrap();
    assert!(anna.may("admin"));
    let stored = access.person(1).await.unwrap();
    assert_eq!((&*stored.login, &*stored.email), ("anna@example.com", "anna@example.com"));
    assert_eq!((&*stored.provider, &*stored.subject), ("oidc", "anna@example.com"));

    // The issuer rejects a code that was used.
    let callback = page.url.to_string();
    let mut again = Browser::new(sign_in_.router());
    assert_rejected(&again.get(&callback).await, StatusCode::BAD_REQUEST, "sign in again");

    for login in ["eve@example.org", "eve+unverified@example.com", "example.com", "eve"] {
        let mut browser = Browser::new(sign_in_.router());
        let page = sign_in(&mut browser, login).await;
        assert_rejected(&page, StatusCode::FORBIDDEN, "may not sign in here");
        assert!(access.principal(&browser.headers()).await.is_err());
    }
    assert_eq!(access.people(0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn with_a_real_issuer_limited_to_a_claim() {
    let Some(issuer) = Issuer::start(&format!("{ORIGIN}/auth/oidc/callback")) else {
        return testing::skip("oidc-provider");
    };
    let (storage, _folder) = sqlite().await;
    let access = access(&storage);
    let claim = Claim { name: "groups".to_owned(), values: vec!["ops".to_owned()] };
    let options = options(&issuer.url(), |it| it.claim = Some(claim));
    let sign_in_ = SignIn::new(access.clone(), options).unwrap();
    // Whoever chooses a user name does not become who has it.
    access.add_admin("oidc:admin").await.unwrap();
    let mut browser = Browser::new(sign_in_.router());
    let page = sign_in(&mut browser, "ops+unverified@example.com").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{page:?}");
    let ops = access.principal(&browser.headers()).await.unwrap();
    assert!(!ops.may("admin"));
    assert_eq!(access.person(1).await.unwrap().email, "");
    let mut browser = Browser::new(sign_in_.router());
    let page = sign_in(&mut browser, "anna@example.com").await;
    assert_rejected(&page, StatusCode::FORBIDDEN, "may not sign in here");
}

#[tokio::test]
async fn an_issuer_that_is_unreachable_is_a_page() {
    let (storage, _folder) = sqlite().await;
    let options = options("http://127.0.0.1:1", |it| it.domains = vec!["example.com".to_owned()]);
    let sign_in = SignIn::new(access(&storage), options).unwrap();
    let mut browser = Browser::new(sign_in.router());
    let page = browser.get("/auth/login").await;
    assert_rejected(&page, StatusCode::BAD_GATEWAY, "Example is unavailable");
}
