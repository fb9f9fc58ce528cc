//! Who may see and do what.

use reqwest::{Method, StatusCode};
use toggle_meister::{
    role::Role,
    toggle::{State, Wanted},
};

use crate::{Client, client, form, html, support::Server};

/// Each page and form with the role with the least rights that may use it.
const NEEDS: &[(&str, &str, Role)] = &[
    ("GET", "/ui", Role::ReadOnly),
    ("POST", "/ui", Role::Dev),
    ("GET", "/ui/feature/f", Role::ReadOnly),
    ("GET", "/ui/feature/f/switch?env=production&state=ON", Role::Dev),
    ("POST", "/ui/feature/f/switch", Role::Dev),
    ("GET", "/ui/feature/f/delete", Role::Dev),
    ("POST", "/ui/feature/none/delete", Role::Dev),
    ("POST", "/ui/feature/none/delete HARD", Role::Admin),
    ("GET", "/ui/notes", Role::ReadOnly),
    ("GET", "/ui/notes/new", Role::Dev),
    ("POST", "/ui/notes/new", Role::Dev),
    ("GET", "/ui/notes/99", Role::Dev),
    ("POST", "/ui/notes/99", Role::Dev),
    ("POST", "/ui/notes/99/delete", Role::Dev),
    ("GET", "/ui/audit", Role::ReadOnly),
    ("GET", "/ui/employees", Role::ReadOnly),
    ("GET", "/ui/environments", Role::ReadOnly),
    ("POST", "/ui/environments", Role::Admin),
    ("POST", "/ui/environments/none/delete", Role::Admin),
    ("GET", "/ui/tokens", Role::Admin),
    ("POST", "/ui/tokens", Role::Admin),
    ("POST", "/ui/tokens/99/revoke", Role::Admin),
];

#[tokio::test]
async fn each_page_and_form_needs_its_role() {
    let server = Server::start().await;
    server.feature("f").await;
    for role in Role::ALL {
        let somebody = Client::new(&server, role).await;
        for (method, path, least) in NEEDS {
            let (path, hard) = path.split_once(' ').map_or((*path, false), |it| (it.0, true));
            let mut fields = vec![("name", ""), ("title", ""), ("env", "stage"), ("state", "x")];
            if hard {
                fields.push(("hard", "true"));
            }
            let response = match *method {
                "GET" => somebody.get(path).await,
                _ => somebody.post(path, &fields).await,
            };
            let status = response.status();
            if role <= *least {
                let is_fine = !status.is_server_error() && status != 401 && status != 403;
                assert!(is_fine, "{method} {path} as {role:?}: {status}");
            } else {
                assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path} as {role:?}");
                let page = html(response).await;
                assert!(page.contains("<h1>Forbidden</h1>") && page.contains("not authorized"));
            }
        }
    }
    for (method, path, _) in NEEDS {
        let path = path.split(' ').next().unwrap();
        let method: Method = method.parse().unwrap();
        let sent = client().request(method, format!("{}{path}", server.url)).send().await.unwrap();
        assert_eq!(sent.status(), StatusCode::SEE_OTHER, "{path}");
        assert!(sent.headers()["location"].to_str().unwrap().starts_with("/login?next="), "{path}");
    }
    let nothing = Client::new(&server, Role::ReadOnly).await.get("/ui/nothing").await;
    assert_eq!(nothing.status(), StatusCode::NOT_FOUND);
    assert!(html(nothing).await.contains("There is no such page."));
}

#[tokio::test]
async fn a_page_offers_only_what_its_reader_may_do() {
    let server = Server::start().await;
    server.environment("stage").await;
    server.feature("f").await;
    let offers = async |role: Role, path: &str| {
        let page = Client::new(&server, role).await.page(path).await;
        page.split("<main").nth(1).unwrap().to_owned()
    };
    for path in ["/ui", "/ui/feature/f", "/ui/notes", "/ui/environments"] {
        let reader = offers(Role::ReadOnly, path).await;
        let has = ["method=\"post\"", "data-dialog", "/ui/notes/new", "class=\"switch"];
        assert!(!has.iter().any(|it| reader.contains(it)), "{path}: {reader}");
    }
    let dev = offers(Role::Dev, "/ui/feature/f/delete").await;
    assert!(dev.contains("Delete f<") && !dev.contains("for good"), "{dev}");
    let admin = offers(Role::Admin, "/ui/feature/f/delete").await;
    assert!(admin.contains("Delete f for good"), "{admin}");
    let nav = |page: String| page.contains("href=\"/ui/tokens\"");
    assert!(nav(Client::new(&server, Role::Admin).await.page("/ui").await));
    assert!(!nav(Client::new(&server, Role::Qa).await.page("/ui").await));
}

#[tokio::test]
async fn a_form_must_come_from_our_own_pages() {
    let server = Server::start().await;
    server.environment("stage").await;
    server.feature("f").await;
    let cookie = server.sign_in("anna", Role::Admin).await;
    let url = format!("{}/ui/feature/f/switch", server.url);
    let send = async |site: Option<&str>| {
        let mut request = form(&client(), &url, &[("env", "stage"), ("state", "ON")]);
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        request.header("cookie", &cookie).send().await.unwrap().status()
    };
    for site in [None, Some("cross-site"), Some("same-site")] {
        assert_eq!(send(site).await, StatusCode::FORBIDDEN, "{site:?}");
    }
    assert_eq!(server.state("f", "stage"), State::Off);
    assert_eq!(send(Some("same-origin")).await, StatusCode::SEE_OTHER);
    assert_eq!(server.state("f", "stage"), State::On);
}

#[tokio::test]
async fn each_page_has_its_headers_and_no_style_or_script_of_its_own() {
    let server = Server::start().await;
    let over = toggle_meister::rollout::Pace::over_days(1.0).unwrap();
    server.feature("f").await;
    server.switch("production", "f", Wanted::Roll(over), service::time::now()).await;
    let admin = Client::new(&server, Role::Admin).await;
    for path in [
        "/ui",
        "/ui/feature/f",
        "/ui/feature/f/switch?env=production&state=OFF",
        "/ui/feature/f/delete",
        "/ui/notes",
        "/ui/notes/new",
        "/ui/audit",
        "/ui/employees",
        "/ui/environments",
        "/ui/tokens",
        "/ui/nothing",
    ] {
        let response = admin.get(path).await;
        let policy = response.headers()["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        let page = html(response).await;
        assert!(!page.contains("style=") && !page.contains("<style"), "{path}");
        assert!(!page.contains("<script>") && !page.contains(" onclick"), "{path}");
    }
    let home = admin.get("/").await;
    assert_eq!(home.headers()["location"], "/ui");
}

#[tokio::test]
async fn the_front_page_leads_to_the_sign_in() {
    let server = Server::start().await;
    let mut path = "/".to_owned();
    for expected in ["/ui", "/login?next=%2Fui"] {
        let response = client().get(format!("{}{path}", server.url)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::SEE_OTHER, "{path}");
        path = response.headers()["location"].to_str().unwrap().to_owned();
        assert_eq!(path, expected);
    }
    let response = client().get(format!("{}{path}", server.url)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(html(response).await.contains("href=\"/auth/login?provider=github"));
}

#[tokio::test]
async fn pages_and_the_sign_in_are_counted_as_the_api_is() {
    let server = Server::start().await;
    let reader = Client::new(&server, Role::ReadOnly).await;
    for path in ["/ui/feature/none", "/login", "/api/envs"] {
        reader.get(path).await;
    }
    let metrics = reader.get("/metrics").await.text().await.unwrap();
    for (status, endpoint) in [(404, "/ui/feature/{name}"), (200, "/login"), (200, "/api/envs")] {
        let count = format!(
            "service_http_request_count_total{{status=\"{status}\",endpoint=\"{endpoint}\",\
             method=\"GET\"}} 1\n"
        );
        assert!(metrics.contains(&count), "{count}: {metrics}");
    }
}

#[tokio::test]
async fn an_open_page_is_told_of_changes() {
    let server = Server::start().await;
    server.feature("f").await;
    let reader = Client::new(&server, Role::ReadOnly).await;
    let mut events = reader.get("/ui/events").await;
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    let ready = events.chunk().await.unwrap().unwrap();
    assert!(ready.starts_with(b"event: ready\n"), "{ready:?}");
    server.environment("stage").await;
    let change = events.chunk().await.unwrap().unwrap();
    assert!(change.starts_with(b"event: change\n"), "{change:?}");
}

#[tokio::test]
async fn whoever_may_not_switch_production_is_told_why_a_feature_cannot_be_deleted() {
    let server = Server::with(Role::Admin).await;
    for name in ["live", "off"] {
        server.feature(name).await;
    }
    server.switch("production", "live", Wanted::On, service::time::now()).await;
    let dev = Client::new(&server, Role::Dev).await;
    let question = dev.page("/ui/feature/live/delete").await;
    assert!(question.contains("your role may not switch toggles there"), "{question}");
    assert!(!question.contains("method=\"post\""), "{question}");
    let sent = dev.post("/ui/feature/live/delete", &[]).await;
    assert_eq!(sent.status(), StatusCode::FORBIDDEN);
    dev.done("/ui/feature/off/delete", &[]).await;
    let admin = Client::new(&server, Role::Admin).await;
    assert!(admin.page("/ui/feature/live/delete").await.contains("<button class=\"danger\">"));
    admin.done("/ui/feature/live/delete", &[]).await;
}

#[tokio::test]
async fn the_audit_trail_can_be_filtered_by_imports_and_tokens() {
    let server = Server::start().await;
    let admin = Client::new(&server, Role::Admin).await;
    admin.post("/ui/tokens", &[("name", "pipeline"), ("role", "dev")]).await;
    let page = admin.page("/ui/audit?action=token.create").await;
    assert!(page.contains("<option value=\"token.create\" selected>Create token</option>"));
    for action in ["token.revoke", "import"] {
        assert!(page.contains(&format!("<option value=\"{action}\">")), "{action}");
    }
    let list = page.split("id=\"list\"").nth(1).unwrap();
    assert!(list.contains("pipeline"), "{list}");
}
