//! Signing in, from the page that offers it to the session.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod browser;
mod github;
mod hostile;
mod openid;
#[path = "../support/mod.rs"]
mod support;

use axum::http::{HeaderMap, Method, StatusCode, header};
use service::{
    access::Access,
    signin::{Claim, GithubOptions, OidcOptions, SignIn, SignInError, SignInOptions, login_path},
};
use tempfile::TempDir;

use self::{
    browser::{Browser, Page},
    github::{CLIENT, GithubServer, SECRET},
    support::{ORIGIN, access, audited, sqlite},
};

/// A service whose people sign in with GitHub, and GitHub.
struct Setup {
    github: GithubServer,
    access: Access,
    browser: Browser,
    sign_in: SignIn,
    storage: service::storage::Storage,
    _folder: TempDir,
}

async fn setup(change: impl FnOnce(&mut GithubOptions)) -> Setup {
    let github = GithubServer::default();
    github.user(42, "octo");
    let url = github.start().await;
    let mut options = GithubOptions::new(CLIENT, SECRET.into());
    options.api_url = format!("{url}/api/v3");
    options.url = url;
    change(&mut options);
    let (storage, folder) = sqlite().await;
    let access = access(&storage);
    let sign_in = SignIn::new(access.clone(), with_github(options)).unwrap();
    let browser = Browser::new(sign_in.router());
    Setup { github, access, browser, sign_in, storage, _folder: folder }
}

fn with_github(options: GithubOptions) -> SignInOptions {
    SignInOptions {
        service: "Things".to_owned(),
        github: Some(options),
        client: flagstaff::http::Client::builder().without_proxy(),
        ..SignInOptions::default()
    }
}

fn users(users: &[&str]) -> impl FnOnce(&mut GithubOptions) {
    let users = users.iter().map(|&it| it.to_owned()).collect();
    |options| options.users = users
}

/// The whole way, to a page of the service or a page with an error.
async fn sign_in(browser: &mut Browser) -> Page {
    let page = browser.get("/auth/login?next=/ui/things").await;
    browser.follow(page).await
}

/// Asserts that a page says why nobody is signed in, and gives nothing away.
fn assert_rejected(page: &Page, status: StatusCode, says: &str) {
    assert_eq!(page.status, status, "{page:?}");
    assert!(page.text.contains(says), "{says:?} in {}", page.text);
    assert!(page.text.contains("href=\"/login\""), "{}", page.text);
    for secret in [SECRET, support::KEY, "code-", "gho_"] {
        assert!(!page.text.contains(secret), "{}", page.text);
    }
    let cookies = page.headers.get_all(header::SET_COOKIE);
    assert!(cookies.iter().all(|it| !it.to_str().unwrap().starts_with("__Host-things=")));
    assert_eq!(page.headers[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn with_github_from_the_page_to_the_session_and_out_again() {
    let mut setup = setup(users(&["Octo"])).await;
    setup.access.add_admin("github:octo").await.unwrap();
    let browser = &mut setup.browser;
    let page = browser.get(&login_path("/ui/things?a=1&b=2")).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("Sign in with GitHub"), "{}", page.text);
    let link =
        page.text.split("class=\"button\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let link = link.replace("&amp;", "&").replace("&#38;", "&");
    let page = browser.get(&link).await;
    // D28: scopes for the organizations and the addresses.
    assert_eq!(page.parameter("scope"), "read:org user:email");
    assert_eq!(page.parameter("redirect_uri"), format!("{ORIGIN}/auth/github/callback"));
    let page = browser.follow(page).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(page.location().unwrap().as_str(), format!("{ORIGIN}/ui/things?a=1&b=2"));
    assert_eq!(page.headers[header::REFERRER_POLICY], "no-referrer");

    let session = browser.headers();
    let octo = setup.access.principal(&session).await.unwrap();
    assert_eq!(octo.name(), "person:octo");
    assert!(octo.may("admin"), "as invited");
    assert_eq!(browser.cookies.len(), 1, "only the session is left: {:?}", browser.cookies);

    // Nobody else can sign this browser out.
    for headers in
        [&[("origin", "https://evil.example")][..], &[("sec-fetch-site", "cross-site")], &[]]
    {
        let page = browser.send(Method::POST, "/auth/logout", headers, Some(&[])).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
    }
    let page = browser.get("/auth/logout").await;
    assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED);
    setup.access.principal(&session).await.unwrap();
    let page = browser.post("/auth/logout", &[]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(page.location().unwrap().path(), "/login");
    assert!(browser.cookies.is_empty());
    let result = setup.access.principal(&session).await;
    assert_eq!(result.unwrap_err().status(), StatusCode::UNAUTHORIZED);
    let audited = audited(&setup.storage).await;
    assert!(audited.contains(&"person:octo session.begin github:octo".to_owned()), "{audited:?}");
    assert!(audited.contains(&"person:octo session.end github:octo".to_owned()), "{audited:?}");
    // Signing out twice is not an error.
    assert_eq!(browser.post("/auth/logout", &[]).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn d1_two_accounts_are_two_people_and_one_account_is_one() {
    let mut setup = setup(users(&["octo", "hexa"])).await;
    for (id, login, person) in [(42, "octo", 1), (43, "hexa", 2), (42, "octo", 1)] {
        setup.github.user(id, login);
        sign_in(&mut setup.browser).await;
        let principal = setup.access.principal(&setup.browser.headers()).await.unwrap();
        assert_eq!(principal.person(), Some(person));
        assert!(!principal.may("things-read"));
    }
}

#[tokio::test]
async fn d9_only_those_who_are_let_in_sign_in() {
    type Change = fn(&mut GithubOptions);
    let by_organization: Change = |it| it.organizations = vec!["acme".to_owned()];
    let by_team: Change = |it| it.teams = vec!["acme/ops".to_owned()];
    let by_user: Change = |it| it.users = vec!["OCTO".to_owned()];
    for (change, membership, allowed) in [
        (by_organization, Some(("acme", "active")), true),
        (by_organization, Some(("acme", "pending")), false),
        (by_organization, Some(("other", "active")), false),
        (by_organization, None, false),
        (by_team, Some(("acme/ops", "active")), true),
        (by_team, Some(("acme/ops", "pending")), false),
        (by_team, Some(("acme/dev", "active")), false),
        (by_team, Some(("acme", "active")), false),
        (by_user, None, true),
    ] {
        let mut setup = setup(change).await;
        setup.github.lock().memberships.extend(membership.map(|(name, it)| (name.to_owned(), it)));
        let page = sign_in(&mut setup.browser).await;
        if allowed {
            setup.access.principal(&setup.browser.headers()).await.unwrap();
        } else {
            assert_rejected(&page, StatusCode::FORBIDDEN, "may not sign in here");
            assert!(setup.access.people(0, 1).await.unwrap().is_empty(), "nobody is stored");
        }
    }
    // A display name is nobody's login, and everybody is nobody's limit.
    let mut setup = setup(users(&["root"])).await;
    assert_rejected(&sign_in(&mut setup.browser).await, StatusCode::FORBIDDEN, "octo");
    let open = with_github(GithubOptions::new(CLIENT, SECRET.into()));
    let result = SignIn::new(setup.access.clone(), open);
    assert!(matches!(result, Err(SignInError::NoLimit { .. })));
}

#[tokio::test]
async fn d28_the_login_is_the_name_and_the_verified_primary_address_the_address() {
    let mut setup = setup(users(&["octo"])).await;
    sign_in(&mut setup.browser).await;
    let person = setup.access.person(1).await.unwrap();
    assert_eq!((&*person.login, &*person.email), ("octo", "octo@example.com"));
    assert_eq!((&*person.provider, &*person.subject), ("github", "42"));
    let unverified = serde_json::json!([
        {"email": "new@example.com", "primary": true, "verified": false},
        {"email": "old@example.com", "primary": false, "verified": true},
    ]);
    setup.github.lock().emails = unverified;
    sign_in(&mut setup.browser).await;
    assert_eq!(setup.access.person(1).await.unwrap().email, "");
}

#[tokio::test]
async fn each_sign_in_has_a_session_of_its_own() {
    let mut setup = setup(users(&["octo"])).await;
    sign_in(&mut setup.browser).await;
    let first = setup.browser.headers();
    sign_in(&mut setup.browser).await;
    let second = setup.browser.headers();
    assert_ne!(first, second);
    setup.access.principal(&second).await.unwrap();
    assert!(setup.access.principal(&first).await.is_err(), "the first one was replaced");
}

#[tokio::test]
async fn a_page_of_another_website_is_never_next() {
    let mut setup = setup(users(&["octo"])).await;
    for next in [
        "https://evil.example/",
        "//evil.example",
        "/%5Cevil.example",
        "/%09/evil.example",
        "%5C%5Cevil.example",
        "javascript:alert(1)",
        "@evil.example",
        "/%0d%0aset-cookie:a=b",
    ] {
        let page = setup.browser.get(&format!("/auth/login?next={next}")).await;
        let page = setup.browser.follow(page).await;
        assert_eq!(page.headers[header::LOCATION], "/", "{next}");
        let page = setup.browser.get(&format!("/login?next={next}")).await;
        assert!(page.text.contains("next=%2F\""), "{}", page.text);
        assert!(!page.text.contains("evil"), "{}", page.text);
    }
}

#[tokio::test]
async fn steps_of_a_sign_in_are_limited() {
    let setup = setup(users(&["octo"])).await;
    let mut options = GithubOptions::new(CLIENT, SECRET.into());
    options.users = vec!["octo".to_owned()];
    let options = SignInOptions { steps_per_minute: 4, ..with_github(options) };
    let sign_in = SignIn::new(setup.access.clone(), options).unwrap();
    let mut browser = Browser::new(sign_in.router());
    for path in ["/auth/login", "/auth/github/callback?state=x&code=y"].repeat(2) {
        assert_ne!(browser.get(path).await.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
    for path in ["/auth/login", "/auth/github/callback", "/auth/oidc/callback"] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert_eq!(page.headers[header::CONTENT_TYPE], "application/problem+json");
        let problem: serde_json::Value = serde_json::from_str(&page.text).unwrap();
        assert_eq!(problem["status"], 429);
        assert_eq!(problem["code"], "too_many_attempts");
        let wait: u64 = page.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap();
        assert!((1..=15).contains(&wait), "{wait}");
        // A person sees a page.
        let page = browser.send(Method::GET, path, &[("accept", "text/html,*/*")], None).await;
        assert_rejected(&page, StatusCode::TOO_MANY_REQUESTS, "too many attempts");
        assert!(page.headers.contains_key(header::RETRY_AFTER));
    }
    // What does not count is still there: the choice of providers, and the way out.
    assert_eq!(browser.get("/login").await.status, StatusCode::OK);
    assert_eq!(browser.post("/auth/logout", &[]).await.status, StatusCode::SEE_OTHER);
}

/// The steps of a sign-in up to the callback, which is not requested.
async fn callback(browser: &mut Browser) -> String {
    let page = browser.get("/auth/login").await;
    let page = browser.get(page.location().unwrap().as_str()).await;
    page.location().unwrap().to_string()
}

#[tokio::test]
async fn a_forged_state_is_rejected() {
    let mut setup = setup(users(&["octo"])).await;
    let good = callback(&mut setup.browser).await;
    let says = "began in another browser";
    let (code, state) = good.split_once("&state=").unwrap();
    for bad in [
        code.to_owned(),
        format!("{code}&state="),
        format!("{code}&state={}x", &state[1..]),
        format!("{code}&state={state}&state={state}"),
        format!("/auth/github/callback?state={state}"),
        good.replace("/auth/github/", "/auth/oidc/"),
    ] {
        let before = setup.browser.cookies.clone();
        let page = setup.browser.get(&bad).await;
        assert_rejected(&page, StatusCode::BAD_REQUEST, says);
        setup.browser.cookies = before;
    }
    // An attacker's own code and state, in the browser of a victim who has begun nothing, or
    // something else.
    let mut victim = Browser::new(setup.sign_in.router());
    assert_rejected(&victim.get(&good).await, StatusCode::BAD_REQUEST, says);
    callback(&mut victim).await;
    assert_rejected(&victim.get(&good).await, StatusCode::BAD_REQUEST, says);
    // A cookie that was not signed here.
    let name = (ORIGIN.to_owned(), "__Host-things-sign-in".to_owned());
    let signed = setup.browser.cookies[&name].clone();
    let forged = format!("{}A{}", &signed[..1], &signed[2..]);
    victim.cookies.insert(name.clone(), forged);
    assert_rejected(&victim.get(&good).await, StatusCode::BAD_REQUEST, says);
    // The cookie of a session is none of a sign-in, though it is signed with the same key.
    let session = setup.browser.cookies[&name].clone();
    victim.cookies.insert((ORIGIN.to_owned(), "__Host-things".to_owned()), session);
    assert!(setup.access.principal(&victim.headers()).await.is_err());
    // What was rejected is as good as new in the browser where it began.
    assert_eq!(setup.browser.get(&good).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_code_and_a_state_are_used_once() {
    let mut setup = setup(users(&["octo"])).await;
    let good = callback(&mut setup.browser).await;
    let cookies = setup.browser.cookies.clone();
    assert_eq!(setup.browser.get(&good).await.status, StatusCode::SEE_OTHER);
    // The cookie was removed.
    let page = setup.browser.get(&good).await;
    assert_rejected(&page, StatusCode::BAD_REQUEST, "completed already");
    // Somebody kept it: GitHub rejects the code.
    let mut thief = Browser::new(setup.sign_in.router());
    thief.cookies.clone_from(&cookies);
    let page = thief.get(&good).await;
    assert_rejected(&page, StatusCode::BAD_REQUEST, "completed already");
    // Even if it did not.
    setup.github.lock().accepts_codes_twice = true;
    thief.cookies.clone_from(&cookies);
    let page = thief.get(&good).await;
    assert_rejected(&page, StatusCode::BAD_REQUEST, "completed already");
    assert!(setup.access.principal(&thief.headers()).await.is_err());
}

#[tokio::test]
async fn a_code_of_another_sign_in_is_rejected() {
    let mut setup = setup(users(&["octo"])).await;
    let attackers = callback(&mut Browser::new(setup.sign_in.router())).await;
    let own = callback(&mut setup.browser).await;
    let code = attackers.split_once("&state=").unwrap().0;
    let state = own.split_once("&state=").unwrap().1;
    // Only the verifier of the sign-in (PKCE) tells them apart.
    let page = setup.browser.get(&format!("{code}&state={state}")).await;
    assert_rejected(&page, StatusCode::BAD_REQUEST, "sign in again");
}

#[tokio::test]
async fn what_the_provider_says_instead_is_a_page_without_secrets() {
    let mut setup = setup(users(&["octo"])).await;
    for (answer, status, says) in [
        ("error=access_denied", StatusCode::FORBIDDEN, "cancelled at GitHub"),
        ("error=server_error&error_description=gho_1", StatusCode::BAD_GATEWAY, "GitHub did not"),
        ("code=wrong", StatusCode::BAD_REQUEST, "sign in again"),
    ] {
        let good = callback(&mut setup.browser).await;
        let state = good.split_once("&state=").unwrap().1;
        let page =
            setup.browser.get(&format!("/auth/github/callback?{answer}&state={state}")).await;
        assert_rejected(&page, status, says);
        assert!(setup.browser.cookies.is_empty(), "it has ended");
    }
    setup.github.lock().api_status = Some(StatusCode::INTERNAL_SERVER_ERROR);
    assert_rejected(&sign_in(&mut setup.browser).await, StatusCode::BAD_GATEWAY, "GitHub did not");
    let page = setup.browser.get("/auth/login?provider=oidc").await;
    assert_rejected(&page, StatusCode::BAD_REQUEST, "no such provider");

    let mut wrong = self::setup(|options| {
        options.users = vec!["octo".to_owned()];
        options.client_secret = "another secret".into();
    })
    .await;
    let page = sign_in(&mut wrong.browser).await;
    assert_rejected(&page, StatusCode::BAD_GATEWAY, "GitHub did not");
    assert!(!page.text.contains("another secret"));
    let mut gone = self::setup(|options| {
        options.users = vec!["octo".to_owned()];
        options.api_url = "http://127.0.0.1:1".to_owned();
    })
    .await;
    let page = sign_in(&mut gone.browser).await;
    assert_rejected(&page, StatusCode::BAD_GATEWAY, "GitHub is unavailable");
}

#[tokio::test]
async fn d29_the_cookie_of_a_sign_in_is_short_lived_and_works_on_each_replica() {
    let mut setup = setup(users(&["octo"])).await;
    let page = setup.browser.get("/auth/login").await;
    let cookie = page.headers[header::SET_COOKIE].to_str().unwrap().to_owned();
    for attribute in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=600"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(!cookie.contains("Domain"));
    // Another replica completes what this one has begun: the key is from the configuration.
    let callback = setup.browser.get(page.location().unwrap().as_str()).await.location().unwrap();
    let api = setup.github.start().await;
    let mut options = GithubOptions::new(CLIENT, SECRET.into());
    options.api_url = format!("{api}/api/v3");
    options.url = api;
    options.users = vec!["octo".to_owned()];
    let access = access(&setup.storage);
    let replica = SignIn::new(access.clone(), with_github(options)).unwrap();
    let mut browser = Browser::new(replica.router());
    browser.cookies = setup.browser.cookies.clone();
    assert_eq!(browser.get(callback.as_str()).await.status, StatusCode::SEE_OTHER);
    setup.access.principal(&browser.headers()).await.unwrap();
}

#[tokio::test]
async fn options_are_checked() {
    let (storage, _folder) = sqlite().await;
    let check = |options| SignIn::new(access(&storage), options).err().map(|it| it.to_string());
    let github = |change: fn(&mut GithubOptions)| {
        let mut options = GithubOptions::new(CLIENT, SECRET.into());
        options.users = vec!["octo".to_owned()];
        change(&mut options);
        check(with_github(options))
    };
    assert_eq!(github(|_| {}), None);
    for (error, says) in [
        (github(|it| it.teams = vec!["ops".to_owned()]), "organization/team"),
        (github(|it| it.teams = vec!["acme/../ops".to_owned()]), "organization/team"),
        (github(|it| it.users = vec!["..".to_owned()]), "letters"),
        (github(|it| it.users = vec![String::new()]), "letters"),
        (github(|it| it.url = "http://github.example".to_owned()), "https://"),
        (github(|it| it.api_url = "https://a:hidden@github.example".to_owned()), "user name"),
    ] {
        let error = error.unwrap();
        assert!(error.contains(says), "{error}");
        assert!(!error.contains("hidden"), "{error}");
    }
    let oidc = |change: fn(&mut OidcOptions)| {
        let mut options = OidcOptions::new("https://issuer.example", "things", None);
        options.domains = vec!["example.com".to_owned()];
        change(&mut options);
        check(SignInOptions { oidc: Some(options), ..SignInOptions::default() })
    };
    assert_eq!(oidc(|_| {}), None);
    let no_values = Claim { name: "groups".to_owned(), values: Vec::new() };
    let mut open = OidcOptions::new("https://issuer.example", "things", None);
    open.claim = Some(no_values);
    let error = check(SignInOptions { oidc: Some(open), ..SignInOptions::default() });
    assert!(error.unwrap().contains("could sign in"));
    assert!(oidc(|it| it.domains.clear()).unwrap().contains("could sign in"));
    assert!(oidc(|it| it.domains.push("a@b".to_owned())).unwrap().contains("after the @"));
    assert!(oidc(|it| it.issuer = "issuer".to_owned()).unwrap().contains("URL"));
    let without = Access::new(storage.clone(), support::PERMISSIONS, true);
    let result = SignIn::new(without, SignInOptions::default());
    assert!(matches!(result, Err(SignInError::NoSessions)));
    // A log may show options.
    let shown = with_github(GithubOptions::new(CLIENT, SECRET.into()));
    assert!(!format!("{shown:?}").contains(SECRET));
    // Nothing is configured yet: the page says so.
    let sign_in = SignIn::new(access(&storage), SignInOptions::default()).unwrap();
    let page = Browser::new(sign_in.router()).get("/login").await;
    assert!(page.text.contains("Nobody can sign in yet"), "{}", page.text);
    let result = access(&storage).principal(&HeaderMap::new()).await;
    assert_eq!(result.unwrap_err().status(), StatusCode::UNAUTHORIZED);
}
