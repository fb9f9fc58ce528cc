//! People sign in with a real issuer of OpenID Connect, become employees, and sign out.

use reqwest::{Method, Url, header};
use serde_json::{Value, json};
use testing::Issuer;

use crate::{
    browser::{Browser, Page},
    support::{Answer, Service, send, service},
};

/// A service with an issuer, if that is installed.
async fn with_issuer(more: &[(&'static str, &str)]) -> Option<(Service, Issuer)> {
    with_redirect_to("/auth/oidc/callback", more).await
}

/// The same, whose redirect URI has this path at the issuer.
async fn with_redirect_to(
    callback: &str,
    more: &[(&'static str, &str)],
) -> Option<(Service, Issuer)> {
    let address = format!("127.0.0.1:{}", testing::free_port());
    let url = format!("http://{address}");
    let Some(issuer) = Issuer::start(&format!("{url}{callback}")) else {
        testing::skip("oidc-provider");
        return None;
    };
    let issuer_url = issuer.url();
    let options = [
        ("dev", "true"),
        ("listen", &address),
        ("oidc-issuer", &issuer_url),
        ("oidc-client-id", "things"),
        ("oidc-client-secret", Issuer::SECRET),
        ("oidc-domains", "corp.example"),
        ("cookie-name", "mine"),
    ];
    Some((service(&[&options, more].concat()).await, issuer))
}

/// The whole way, through the forms of the issuer.
async fn sign_in(service: &Service, browser: &mut Browser, login: &str) -> Page {
    let begin = Url::parse(&format!("{}/auth/login?next=/api/envs", service.url)).unwrap();
    let mut page = browser.get(begin).await;
    for (prompt, form) in [
        ("login", &[("prompt", "login"), ("login", login), ("password", "x")][..]),
        ("consent", &[("prompt", "consent")]),
    ] {
        page = browser.follow(page).await;
        assert!(page.answer.text.contains(&format!("value=\"{prompt}\"")), "{page:?}");
        let action = page.answer.text.split("action=\"").nth(1).unwrap().split('"').next();
        let action = page.url.join(action.unwrap()).unwrap();
        page = browser.post(action, form).await;
    }
    browser.follow(page).await
}

/// A request of a page of the service.
async fn act(
    service: &Service,
    browser: &Browser,
    method: Method,
    path: &str,
    body: Value,
) -> Answer {
    let request = service.open(method, path).header("sec-fetch-site", "same-origin");
    send(request.header(header::COOKIE, browser.cookies(&service.url)).json(&body)).await
}

#[tokio::test]
async fn the_first_is_an_administrator_and_the_others_are_developers() {
    let Some((service, _issuer)) = with_issuer(&[]).await else { return };
    let (mut ann, mut bob) = (Browser::default(), Browser::default());
    let page = sign_in(&service, &mut ann, "Ann.Lee@corp.example").await;
    page.answer.is(200, json!({ "envs": [{ "name": "production" }] }));
    assert!(ann.cookies.contains_key(&(service.url.clone(), "mine".to_owned())));
    sign_in(&service, &mut bob, "bob@corp.example").await;
    act(&service, &bob, Method::GET, "/api/envs", json!(null))
        .await
        .is(200, json!({ "envs": [{ "name": "production" }] }));
    let employee = |username: &str, name: &str, role: &str| {
        json!({ "username": username, "name": name, "email": format!("{username}@corp.example"),
                "role": role })
    };
    let both = [employee("ann.lee", "Ann Lee", "admin"), employee("bob", "Bob", "dev")];
    service.get("/api/employees").await.is(200, json!({ "employees": both }));

    // Their names stand in the audit trail.
    let new = json!({ "name": "f" });
    act(&service, &bob, Method::POST, "/api/features", new).await.is(201, json!({ "name": "f" }));
    assert_eq!(service.audited(1).await[0]["user"], "bob");
    // Each may edit their own name, and a role takes effect at once.
    let own = act(&service, &bob, Method::PATCH, "/api/employees/bob", json!({ "name": "Bobby" }));
    assert_eq!(own.await.json()["name"], "Bobby");
    let env = json!({ "name": "stage" });
    act(&service, &bob, Method::POST, "/api/envs", env.clone()).await.is_forbidden();
    for (role, allowed) in [("admin", true), ("read_only", false)] {
        let edit = json!({ "role": role });
        let edited = act(&service, &ann, Method::PATCH, "/api/employees/bob", edit).await;
        if allowed {
            assert_eq!(edited.status, 200, "{edited:?}");
            act(&service, &bob, Method::POST, "/api/envs", env.clone())
                .await
                .is(201, json!({ "name": "stage" }));
        } else {
            edited.says(403, "Cannot modify someone of greater permissions than yourself");
        }
    }
    // Whoever signs in again is the same employee.
    let mut again = Browser::default();
    sign_in(&service, &mut again, "bob@corp.example").await;
    let listed = service.get("/api/employees").await.json();
    assert_eq!(listed["employees"].as_array().unwrap().len(), 2);
    let rename = act(&service, &again, Method::PATCH, "/api/employees/bob", json!({ "name": "B" }));
    assert_eq!(rename.await.status, 200);
}

#[tokio::test]
async fn a_person_who_was_an_employee_before_keeps_their_role() {
    use toggle_meister::role::Role;
    let Some((service, _issuer)) = with_issuer(&[]).await else { return };
    crate::employees::employee(&service, "jane", Role::ReadOnly).await;
    let mut jane = Browser::default();
    sign_in(&service, &mut jane, "jane@corp.example").await;
    let new = json!({ "name": "f" });
    act(&service, &jane, Method::POST, "/api/features", new.clone()).await.is_forbidden();
    let promote = json!({ "role": "dev" });
    assert_eq!(service.patch("/api/employees/jane", promote).await.status, 200);
    assert_eq!(act(&service, &jane, Method::POST, "/api/features", new).await.status, 201);
    let listed = service.get("/api/employees").await.json();
    assert_eq!(listed["employees"].as_array().unwrap().len(), 1, "the same employee");
}

#[tokio::test]
async fn d36_a_name_may_be_long_and_those_with_the_same_name_are_told_apart() {
    let Some((service, _issuer)) =
        with_issuer(&[("oidc-domains", "corp.example, sub.corp.example")]).await
    else {
        return;
    };
    let long = "x".repeat(60);
    for domain in ["corp.example", "sub.corp.example"] {
        sign_in(&service, &mut Browser::default(), &format!("{long}@{domain}")).await;
    }
    let listed = service.get("/api/employees").await.json();
    let employees = listed["employees"].as_array().unwrap().iter();
    let names: Vec<_> = employees.map(|it| (&it["username"], &it["role"])).collect();
    let second = format!("{long}-2");
    assert_eq!(names, [(&json!(long), &json!("admin")), (&json!(second), &json!("dev"))]);
}

#[tokio::test]
async fn d15_and_d16_another_domain_is_403_and_no_other_website_is_next() {
    let Some((service, _issuer)) = with_issuer(&[]).await else { return };
    for login in ["eve@other.example", "eve+unverified@corp.example", "eve@corp.example.evil"] {
        let mut eve = Browser::default();
        let page = sign_in(&service, &mut eve, login).await;
        assert_eq!(page.answer.status, 403, "{page:?}");
        act(&service, &eve, Method::GET, "/api/envs", json!(null)).await.is_unauthenticated();
    }
    service.get("/api/employees").await.is(200, json!({ "employees": [] }));
    let begin = format!("{}/auth/login?next=https://evil.example/", service.url);
    let mut browser = Browser::default();
    let page = browser.get(Url::parse(&begin).unwrap()).await;
    let location = page.answer.header("location");
    assert!(!location.contains("evil"), "{location}");
}

#[tokio::test]
async fn whoever_signs_out_is_nobody() {
    let Some((service, _issuer)) = with_issuer(&[]).await else { return };
    let mut ann = Browser::default();
    sign_in(&service, &mut ann, "ann@corp.example").await;
    let kept = ann.cookies(&service.url);
    let out = Url::parse(&format!("{}/auth/logout", service.url)).unwrap();
    let page = ann.post(out, &[]).await;
    assert_eq!(page.answer.status, 303, "{page:?}");
    for cookies in [ann.cookies(&service.url), kept] {
        let request = service.open(Method::GET, "/api/envs").header(header::COOKIE, cookies);
        send(request).await.is_unauthenticated();
    }
}

#[tokio::test]
async fn a_change_with_a_cookie_comes_from_a_page_of_the_service() {
    let Some((service, _issuer)) = with_issuer(&[]).await else { return };
    let mut ann = Browser::default();
    sign_in(&service, &mut ann, "ann@corp.example").await;
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        let request = service.open(Method::POST, "/api/features").header(name, value);
        let request = request.header(header::COOKIE, ann.cookies(&service.url));
        send(request.json(&json!({ "name": "f" }))).await.is_problem(403, "cross_site");
    }
}

#[tokio::test]
async fn d38_a_cookie_of_garbage_is_nobody() {
    let Some((service, _issuer)) = with_issuer(&[]).await else { return };
    for cookie in ["mine=garbage", "mine=", "mine", "=;;=", "mine=%FF; mine=\"x\"", "mine=a.b.c"] {
        let with =
            |path: &str| send(service.open(Method::GET, path).header(header::COOKIE, cookie));
        assert_eq!(with("/api/features").await.status, 200, "{cookie}");
        with("/api/envs").await.is_unauthenticated();
    }
}

#[tokio::test]
async fn the_redirect_uri_of_the_original_need_not_be_registered_anew() {
    let original = "/oauth_callback/google";
    let option = [("oidc-callback", original)];
    let Some((service, _issuer)) = with_redirect_to(original, &option).await else { return };
    let page = sign_in(&service, &mut Browser::default(), "ann@corp.example").await;
    page.answer.is(200, json!({ "envs": [{ "name": "production" }] }));
    // Whoever has not begun to sign in is sent nowhere.
    let stale = service.public(&format!("{original}?state=x&code=y")).await;
    assert_eq!((stale.status.as_u16(), stale.header("set-cookie")), (400, ""), "{stale:?}");
}
