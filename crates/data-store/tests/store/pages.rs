//! The pages for people, without a browser.

use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use service::storage::Database::Postgres;

use crate::{
    http::builder,
    people::{sign_in, with_sign_in},
    support::{Store, client, encode, settings, start, store, stores},
};

/// Names that must not become markup, a path or anything else than themselves.
const HOSTILE: &[&str] = &[
    "<script>alert(1)<",
    "\"><img src=x onerror=alert(1)>",
    "a%2Fb",
    "..%2f..",
    "'; DROP TABLE fact; --",
    "a&b=c#d?e",
    " spaces ",
    "{{ 7 * 7 }}",
    "ä 😀",
    "a+b",
];

async fn page(store: &Store, path: &str) -> String {
    let response = store.get(path).await;
    assert_eq!(response.status(), StatusCode::OK, "{path}");
    html(response).await
}

async fn html(response: Response) -> String {
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    response.text().await.unwrap()
}

/// Sends a form, and returns the response without following where it leads.
async fn post(store: &Store, path: &str, fields: &[(&str, &str)]) -> Response {
    let token = store.token(&["admin"], None).await;
    post_with(store, &token, path, fields).await
}

async fn post_with(store: &Store, token: &str, path: &str, fields: &[(&str, &str)]) -> Response {
    let client = builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    client
        .post(format!("{}{path}", store.url))
        .bearer_auth(token)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(serde_urlencoded::to_string(fields).unwrap())
        .send()
        .await
        .unwrap()
}

/// Text as it stands in a page.
fn escaped(text: &str) -> String {
    text.replace('&', "&#38;")
        .replace('<', "&#60;")
        .replace('>', "&#62;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

#[tokio::test]
async fn d34_hostile_names_are_text_in_every_page_and_work_in_every_path() {
    let store = store().await;
    for name in HOSTILE {
        store.fact(name, name, name).await;
        let secret = format!("/api/secret/{}/{}", encode(name), encode(name));
        assert_eq!(store.put(&secret, json!({ "value": name })).await.status(), 200);
        let one = format!("/ui/identity/{}", encode(name));
        let paths = [
            "/ui".to_owned(),
            format!("/ui?q={}", encode(name)),
            one.clone(),
            format!("{one}?edit={}", encode(name)),
            format!("{one}?replace={}", encode(name)),
            format!("{one}/fact/{}", encode(name)),
            "/ui/audit".to_owned(),
        ];
        for path in paths {
            let page = page(&store, &path).await;
            assert!(page.contains(&escaped(name)), "{name} in {path}: {page}");
            if escaped(name) != *name {
                assert!(!page.contains(name), "{name} in {path}: {page}");
            }
        }
        // Each link of the list leads to its identity.
        let list = page(&store, &format!("/ui?q={}", encode(name))).await;
        let link = list.split("class=\"key\" href=\"").nth(1).unwrap();
        let link = link.split('"').next().unwrap();
        assert!(page(&store, link).await.contains(&format!("</small>{}</h1>", escaped(name))));
        // A form changes the fact, and leads back to the page.
        let changed = post(&store, &format!("{one}/fact/{}/delete", encode(name)), &[]).await;
        assert_eq!(changed.status(), StatusCode::SEE_OTHER);
        let back = changed.headers()["location"].to_str().unwrap();
        assert!(page(&store, back).await.contains("No facts yet"), "{name}");
    }
}

#[tokio::test]
async fn each_page_says_what_to_do_where_there_is_nothing() {
    let store = store().await;
    for (path, text) in [
        ("/ui", "No identities yet"),
        ("/ui?q=acme", "No identity contains “acme”"),
        ("/ui/identity/acme", "No facts yet"),
        ("/ui/identity/acme", "No secrets yet"),
        ("/ui/users", "Nobody has signed in yet"),
        ("/ui/streams", "Nobody is connected"),
        ("/ui/audit?actor=nobody", "No events match the filter"),
    ] {
        assert!(page(&store, path).await.contains(text), "{path}");
    }
}

#[tokio::test]
async fn d34_the_list_is_there_at_once_and_finds_parts_of_names_in_any_case() {
    let store = store().await;
    for number in 0..60 {
        store.fact(&format!("customer-{number:03}"), "k", "v").await;
    }
    store.fact("ACME", "k", "v").await;
    store.fact("prod acme", "k", "v").await;
    let listed = |page: &str| page.matches("class=\"key\" href=").count();
    let first = page(&store, "/ui").await;
    assert_eq!(listed(&first), 50);
    let next = first.split("<a href=\"/ui?q=&amp;after=").nth(1).unwrap();
    let next = next.split('"').next().unwrap();
    assert_eq!(listed(&page(&store, &format!("/ui?q=&after={next}")).await), 12);
    let found = page(&store, "/ui?q=acme").await;
    assert_eq!(listed(&found), 2);
    assert!(found.contains(">ACME<") && found.contains(">prod acme<"));
    // Those that begin with the text come first, and each comes once.
    let found = page(&store, "/ui?q=customer-05").await;
    assert_eq!(listed(&found), 10);
    assert_eq!(listed(&page(&store, "/ui?q=%00").await), 0);
}

#[tokio::test]
async fn d34_what_is_wrong_stands_beside_the_field_with_what_was_written() {
    let store = store().await;
    store.fact("c0", "tier", "gold").await;
    let long = "x".repeat(200);
    for (path, fields, field, text) in [
        (
            "/ui",
            vec![("identity", "a/b"), ("key", "k"), ("value", "v")],
            "new-identity",
            "must not contain",
        ),
        ("/ui", vec![("identity", "a"), ("key", "."), ("value", "v")], "new-key", "must not be"),
        (
            "/ui",
            vec![("identity", "a"), ("key", "k"), ("value", "")],
            "new-value",
            "must not be empty",
        ),
        ("/ui", vec![("identity", "c0"), ("key", "tier"), ("value", "v")], "new-key", "has a fact"),
        ("/ui/identity/c0/fact", vec![("key", &long), ("value", "v")], "add-key", "at most 128"),
        ("/ui/identity/c0/fact", vec![("key", "tier"), ("value", "v")], "add-key", "edit it"),
        (
            "/ui/identity/c0/fact",
            vec![("key", "k"), ("value", "v"), ("expires", "2020-01-01T00:00")],
            "add-expires",
            "is in the past",
        ),
        (
            "/ui/identity/c0/fact/tier",
            vec![("change", "1"), ("value", "")],
            "edit-value",
            "must not be empty",
        ),
        (
            "/ui/identity/c0/secret",
            vec![("key", ""), ("value", "v")],
            "secret-key",
            "must not be empty",
        ),
        (
            "/ui/identity/c0/secret",
            vec![("key", "k"), ("value", "")],
            "secret-value",
            "must not be empty",
        ),
        ("/ui/tokens", vec![("name", " "), ("permission", "admin")], "name", "needs a name"),
        ("/ui/tokens", vec![("name", "n")], "permission", "at least one permission"),
        ("/ui/tokens", vec![("name", "n"), ("permission", "root")], "name", "does not exist"),
    ] {
        let response = post(&store, path, &fields).await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY, "{path} {fields:?}");
        let page = html(response).await;
        let error = page.split(&format!("id=\"{field}-error\">")).nth(1);
        let error = error.unwrap_or_else(|| panic!("{path} {fields:?}: {page}"));
        let error = error.split('<').next().unwrap();
        assert!(error.contains(text), "{path} {fields:?}: {error}");
        assert!(page.contains(&format!("aria-describedby=\"{field}-error\"")), "{page}");
    }
    // What was written is still there, but not a secret.
    let fields = [("key", ""), ("value", "hunter2")];
    let page = html(post(&store, "/ui/identity/c0/fact", &fields).await).await;
    assert!(page.contains("value=\"hunter2\""));
    let page = html(post(&store, "/ui/identity/c0/secret", &fields).await).await;
    assert!(!page.contains("hunter2"));
}

#[tokio::test]
async fn whoever_saves_over_a_change_sees_it_first() {
    let store = store().await;
    store.fact("c0", "tier", "gold").await;
    let edit = page(&store, "/ui/identity/c0?edit=tier").await;
    let change = edit.split("name=\"change\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    store.fact("c0", "tier", "silver").await;
    let path = "/ui/identity/c0/fact/tier";
    let response = post(&store, path, &[("change", change), ("value", "bronze")]).await;
    assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let late = html(response).await;
    assert!(late.contains("Somebody else has changed this fact"));
    assert!(late.contains("silver") && late.contains("value=\"bronze\""));
    assert_eq!(store.json("/api/fact/c0").await, json!({ "tier": "silver" }));
    let change = late.split("name=\"change\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let saved = post(&store, path, &[("change", change), ("value", "bronze\r\nand so on")]).await;
    assert_eq!(saved.status(), StatusCode::SEE_OTHER);
    assert_eq!(store.json("/api/fact/c0").await, json!({ "tier": "bronze\nand so on" }));
    store.delete("/api/fact/c0/tier").await;
    let gone = post(&store, path, &[("change", change), ("value", "copper")]).await;
    assert!(html(gone).await.contains("Somebody else has removed this fact"));
}

#[tokio::test]
async fn a_secret_is_masked_until_somebody_asks_for_it_and_the_audit_says_who() {
    let store = store().await;
    let add = [("key", "password"), ("value", "hunter2")];
    let added = post(&store, "/ui/identity/c0/secret", &add).await;
    assert_eq!(added.status(), StatusCode::SEE_OTHER);
    assert_eq!(store.json("/api/secret/c0").await, json!({ "password": "hunter2" }));
    let listed = page(&store, "/ui/identity/c0").await;
    assert!(listed.contains("password") && !listed.contains("hunter2"));
    let reads = "/api/audit?action=secret.read&subject=c0/password";
    assert_eq!(store.json(reads).await, json!({ "events": [] }));
    let revealed = post(&store, "/ui/identity/c0/secret/password/reveal", &[]).await;
    assert_eq!(revealed.headers()["cache-control"], "no-store");
    assert!(html(revealed).await.contains(">hunter2<"));
    assert_eq!(store.json(reads).await["events"][0]["actor"], "token:test");
    // A page that is only read reveals nothing.
    let read = store.get("/ui/identity/c0/secret/password/reveal").await;
    assert_eq!(read.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_token_is_shown_once_and_can_be_revoked() {
    let store = store().await;
    let fields = [
        ("name", "cms"),
        ("permission", "facts-write"),
        ("permission", "facts-read"),
        ("prefixes", "eu-\r\nus-\r\n"),
    ];
    let made = html(post(&store, "/ui/tokens", &fields).await).await;
    let token = made.split("<code id=\"made\">").nth(1).unwrap().split('<').next().unwrap();
    let read = store.request_with(token, Method::GET, "/api/fact/eu-1").send().await.unwrap();
    assert_eq!(read.status(), StatusCode::NOT_FOUND, "the token is valid");
    let read = store.request_with(token, Method::GET, "/api/fact/asia").send().await.unwrap();
    assert_eq!(read.status(), StatusCode::FORBIDDEN);
    let listed = page(&store, "/ui/tokens").await;
    assert!(listed.contains("cms") && !listed.contains(token));
    let tokens = store.json("/api/token").await;
    let listed = tokens.as_array().unwrap().iter().find(|it| it["name"] == "cms").unwrap();
    let revoked = post(&store, &format!("/ui/tokens/{}/revoke", listed["id"]), &[]).await;
    assert_eq!(revoked.headers()["location"], "/ui/tokens");
    let read = store.request_with(token, Method::GET, "/api/fact/eu-1").send().await.unwrap();
    assert_eq!(read.status(), StatusCode::UNAUTHORIZED);
}

/// Each page and form with the permissions without which it is forbidden.
const NEEDS: &[(&str, &str, &[&str])] = &[
    ("GET", "/ui", &["facts-read"]),
    ("POST", "/ui", &["facts-write"]),
    ("GET", "/ui/identity/c0", &["facts-read"]),
    ("POST", "/ui/identity/c0/erase", &["facts-write", "secrets-write"]),
    ("POST", "/ui/identity/c0/fact", &["facts-write"]),
    ("GET", "/ui/identity/c0/fact/k", &["facts-read"]),
    ("POST", "/ui/identity/c0/fact/k", &["facts-write"]),
    ("POST", "/ui/identity/c0/fact/k/delete", &["facts-write"]),
    ("POST", "/ui/identity/c0/secret", &["secrets-write"]),
    ("POST", "/ui/identity/c0/secret/k", &["secrets-write"]),
    ("POST", "/ui/identity/c0/secret/k/reveal", &["secrets-read"]),
    ("POST", "/ui/identity/c0/secret/k/delete", &["secrets-write"]),
    ("GET", "/ui/users", &["users-read"]),
    ("POST", "/ui/users/99", &["users-write"]),
    ("POST", "/ui/users/99/sign-out", &["users-write"]),
    ("POST", "/ui/users/99/remove", &["users-write"]),
    ("POST", "/ui/users/withdraw", &["users-write"]),
    ("GET", "/ui/tokens", &["users-read"]),
    ("POST", "/ui/tokens", &["users-write"]),
    ("POST", "/ui/tokens/99/revoke", &["users-write"]),
    ("GET", "/ui/audit", &["admin"]),
    ("GET", "/ui/streams", &["admin"]),
];

#[tokio::test]
async fn d4_each_page_and_form_needs_its_permissions() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_sign_in(&folder).await;
    let all: Vec<&str> = flagops_store::PERMISSIONS.iter().map(|it| it.id).collect();
    let fields = [
        ("identity", "c0"),
        ("key", "k"),
        ("value", "v"),
        ("change", "1"),
        ("name", "n"),
        ("provider", "github"),
        ("permission", "facts-read"),
    ];
    let client = builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for (method, path, needed) in NEEDS {
        let is_read = *method == "GET";
        let send = async |token: Option<&str>| {
            let method: Method = method.parse().unwrap();
            let mut request = client.request(method, format!("{}{path}", store.url));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            if !is_read {
                request = request
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(serde_urlencoded::to_string(fields).unwrap());
            }
            request.send().await.unwrap()
        };
        let anonymous = send(None).await;
        assert_eq!(anonymous.status(), StatusCode::SEE_OTHER, "{method} {path}");
        let login = anonymous.headers()["location"].to_str().unwrap();
        let next = if is_read { path } else { "/ui" };
        let next = next.replace('/', "%2F");
        assert_eq!(login, format!("/login?next={next}"));
        // Whoever reads secrets sees identities too.
        let reads = path.starts_with("/ui/identity/c0") || *path == "/ui";
        let others = all.iter().copied().filter(|it| !needed.contains(it) && *it != "admin");
        let others: Vec<_> =
            others.filter(|it| !(reads && is_read && *it == "secrets-read")).collect();
        let token = store.token(&others, None).await;
        let rejected = send(Some(&token)).await;
        assert_eq!(rejected.status(), StatusCode::FORBIDDEN, "{method} {path}");
        let page = html(rejected).await;
        assert!(page.contains("<h1>Forbidden</h1>"), "{page}");
        assert!(page.contains("This needs the permission"), "{page}");
        let token = store.token(&["admin"], None).await;
        let status = send(Some(&token)).await.status();
        assert!(status != 403 && status != 401 && !status.is_server_error(), "{path}: {status}");
    }
}

#[tokio::test]
async fn a_page_shows_only_what_its_reader_may_do() {
    let store = store().await;
    store.fact("c0", "tier", "gold").await;
    store.put("/api/secret/c0/password", json!({ "value": "hunter2" })).await;
    let show = async |permissions: &[&str]| {
        let token = store.token(permissions, None).await;
        let request = store.request_with(&token, Method::GET, "/ui/identity/c0");
        html(request.send().await.unwrap()).await
    };
    let facts = show(&["facts-read"]).await;
    assert!(facts.contains("gold") && !facts.contains("password"));
    assert!(!facts.contains("<button") && !facts.contains(">Edit<") && !facts.contains("Audit"));
    let secrets = show(&["secrets-read"]).await;
    assert!(secrets.contains("password") && !secrets.contains("gold"));
    let all = show(&["admin"]).await;
    assert!(all.contains(">Edit<") && all.contains("Erase") && all.contains("Audit"));
}

#[tokio::test]
async fn each_page_has_its_headers_and_its_files_are_kept_for_ever() {
    let store = store().await;
    for path in ["/ui", "/ui/nothing", "/ui/identity/a%2Fb"] {
        let response = store.get(path).await;
        let headers = response.headers();
        assert_eq!(
            headers["content-security-policy"],
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
             connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        );
        assert_eq!(headers["referrer-policy"], "same-origin");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        html(response).await;
    }
    let page = page(&store, "/ui").await;
    for (before, kind) in
        [("stylesheet\" href=\"", "text/css"), ("script src=\"", "text/javascript")]
    {
        let path = page.split(before).nth(1).unwrap().split('"').next().unwrap();
        let file = client().get(format!("{}{path}", store.url)).send().await.unwrap();
        assert_eq!(file.status(), StatusCode::OK);
        assert!(file.headers()["content-type"].to_str().unwrap().starts_with(kind));
        assert_eq!(file.headers()["cache-control"], "public, max-age=31536000, immutable");
        assert!(!file.text().await.unwrap().is_empty());
    }
    assert_eq!(store.get("/").await.url().path(), "/ui");
}

#[tokio::test]
async fn a_message_is_shown_once() {
    let store = store().await;
    let fields = [("identity", "c0"), ("key", "k"), ("value", "v")];
    let added = post(&store, "/ui", &fields).await;
    let cookie = added.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let request = store.request(Method::GET, "/ui/identity/c0").header("cookie", cookie);
    let shown = request.send().await.unwrap();
    let forgotten = shown.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(forgotten.starts_with("flash=; Max-Age=0"), "{forgotten}");
    assert!(html(shown).await.contains("Added c0 with the fact k."));
}

#[tokio::test]
async fn who_follows_changes_is_listed() {
    let store = store().await;
    let mut events = store.stream("/api/changes?identity=%3Cb%3E", None).await;
    events.expect("ready").await;
    let listed = page(&store, "/ui/streams").await;
    assert!(listed.contains("token:test") && listed.contains("&#60;b&#62;"), "{listed}");
}

#[tokio::test]
async fn where_there_may_be_other_replicas_the_page_of_streams_says_so() {
    for store in stores().await {
        let is_postgres = matches!(store.running.store().storage().database(), Postgres(_));
        let listed = page(&store, "/ui/streams").await;
        assert_eq!(listed.contains("connected to this replica"), is_postgres, "{listed}");
    }
}

#[tokio::test]
async fn people_get_permissions_that_their_administrator_has() {
    let store = store().await;
    let access = store.running.store().access().clone();
    access.add_admin("github:hubot").await.unwrap();
    store.person(7, "<octocat>").await;
    let listed = page(&store, "/ui/users").await;
    assert!(listed.contains("&#60;octocat&#62;") && listed.contains("o@example.com"), "{listed}");
    assert!(listed.contains("hubot"), "who was invited is listed");

    // Whoever may write users, but is no administrator, leaves administrators what they are.
    let token = store.token(&["users-write", "users-read", "facts-read"], None).await;
    let fields = [("permission", "facts-read"), ("permission", "secrets-read")];
    let changed = post_with(&store, &token, "/ui/users/7", &fields).await;
    assert_eq!(changed.status(), StatusCode::SEE_OTHER);
    assert_eq!(access.person(7).await.unwrap().permissions, ["admin", "facts-read"]);
    let removed = post_with(&store, &token, "/ui/users/7/remove", &[]).await;
    assert_eq!(removed.status(), StatusCode::FORBIDDEN);

    let changed = post(&store, "/ui/users/7", &[("permission", "secrets-read")]).await;
    assert_eq!(changed.status(), StatusCode::SEE_OTHER);
    assert_eq!(access.person(7).await.unwrap().permissions, ["secrets-read"]);
    assert_eq!(post(&store, "/ui/users/7/sign-out", &[]).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(post(&store, "/ui/users/7/remove", &[]).await.status(), StatusCode::SEE_OTHER);
    assert!(access.people(0, 10).await.unwrap().is_empty());
    let invitation = [("provider", "github"), ("name", "hubot"), ("permission", "admin")];
    let withdrawn = post(&store, "/ui/users/withdraw", &invitation).await;
    assert_eq!(withdrawn.status(), StatusCode::SEE_OTHER);
    assert!(access.invitations().await.unwrap().is_empty());
}

#[tokio::test]
async fn where_nobody_can_sign_in_the_page_says_what_to_do() {
    let store = store().await;
    let response = client().get(format!("{}/ui", store.url)).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert!(html(response).await.contains("configure sign-in"));
}

#[tokio::test]
async fn a_form_with_a_session_must_come_from_our_own_pages() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_sign_in(&folder).await;
    let cookie = sign_in(&store, 1, "anna").await;
    let granted = json!({ "permissions": ["admin"] });
    assert_eq!(store.put("/api/user/1/permission", granted).await.status(), 200);
    let send = async |site: Option<&str>| {
        let mut request = client()
            .post(format!("{}/ui", store.url))
            .header("cookie", &cookie)
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        request.body("identity=c0&key=k&value=v").send().await.unwrap()
    };
    for site in [None, Some("cross-site"), Some("same-site")] {
        assert_eq!(send(site).await.status(), StatusCode::FORBIDDEN, "{site:?}");
    }
    assert_eq!(store.get("/api/fact/c0").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(send(Some("same-origin")).await.url().path(), "/ui/identity/c0");
    assert_eq!(store.json("/api/fact/c0").await, json!({ "k": "v" }));
    let page = store.get("/login").await;
    assert!(html(page).await.contains("Sign in with GitHub"));
}

#[tokio::test]
async fn a_form_that_another_website_sends_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let database = service::storage::Database::Sqlite(folder.path().join("store.db"));
    let mut settings = settings(database);
    settings.serving.require_auth = false;
    let store = start(settings).await;
    let send = async |name: &str, value: &str| {
        let request = client()
            .post(format!("{}/ui", store.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .header(name, value);
        request.body("identity=c0&key=k&value=v").send().await.unwrap()
    };
    for (name, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        let rejected = send(name, value).await;
        assert_eq!(rejected.status(), StatusCode::FORBIDDEN, "{name}: {value}");
        assert!(html(rejected).await.contains("another website"));
    }
    assert_eq!(store.get("/api/fact/c0").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(send("origin", &store.url).await.status(), StatusCode::OK);
    assert_eq!(store.json("/api/fact/c0").await, json!({ "k": "v" }));
}
