//! The store's pages in a real browser, by keyboard.

use flagstaff_browser::{Browser, Key};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{
    people::{sign_in, with_sign_in},
    support::Store,
};

/// What the person in the browser may do.
const GRANTED: &str = "/api/user/1/permission";

/// A browser in which the person with the number 1 has signed in.
async fn start(store: &Store, permissions: &[&str]) -> Option<Browser> {
    let cookie = sign_in(store, 1, "octocat").await;
    let granted = json!({ "permissions": permissions });
    assert_eq!(store.put(GRANTED, granted).await.status(), StatusCode::OK);
    Browser::start(&store.url, Some(&cookie)).await
}

#[tokio::test]
async fn somebody_finds_an_identity_and_edits_a_fact_by_keyboard() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_sign_in(&folder).await;
    for identity in ["acme-prod", "acme-test", "globex"] {
        store.fact(identity, "tier", "gold").await;
    }
    let Some(browser) = start(&store, &["admin"]).await else { return };
    browser.open("/ui").await;
    browser.wait_for("globex").await;
    // The search has the focus, and needs no key to be sent.
    browser.press("ACME-P").await;
    browser.wait("!document.querySelector('#list').innerText.includes('globex')").await;
    assert!(browser.text().await.contains("acme-prod"));
    assert!(browser.driver.current_url().await.unwrap().as_str().ends_with("?q=ACME-P"));
    browser.tab_to("#list a").await;
    browser.press(Key::Enter).await;
    browser.wait("document.title.startsWith('acme-prod')").await;

    // A second page is open all the while.
    let first = browser.driver.window().await.unwrap();
    let second = browser.driver.new_tab().await.unwrap();
    browser.driver.switch_to_window(second.clone()).await.unwrap();
    browser.open("/ui/identity/acme-prod").await;
    browser.wait_for("gold").await;
    browser.script("window.same = true").await;
    browser.driver.switch_to_window(first.clone()).await.unwrap();

    browser.tab_to("a[aria-label='Edit tier']").await;
    browser.press(Key::Enter).await;
    browser.wait("document.activeElement.id === 'edit-value'").await;
    browser.press(Key::Control + "a").await;
    browser.press("silver").await;
    browser.press(Key::Enter).await;
    browser.wait_for("Saved tier.").await;
    browser.wait("document.activeElement.ariaLabel === 'Edit tier'").await;
    assert_eq!(store.json("/api/fact/acme-prod").await, json!({ "tier": "silver" }));

    browser.driver.switch_to_window(second).await.unwrap();
    browser.wait("document.querySelector('[data-row=tier] .value').innerText === 'silver'").await;
    assert_eq!(browser.script("return window.same").await, json!(true), "the page is the same");
    browser.driver.switch_to_window(first).await.unwrap();

    // What a machine writes appears too, and so does what it removes.
    store.fact("acme-prod", "cluster", "eu-1").await;
    browser.wait_for("eu-1").await;
    store.delete("/api/fact/acme-prod/cluster").await;
    browser.wait("!document.body.innerText.includes('eu-1')").await;

    // Whoever is writing keeps what they wrote, and is told.
    browser.tab_to("a[aria-label='Edit tier']").await;
    browser.press(Key::Enter).await;
    browser.wait("document.activeElement.id === 'edit-value'").await;
    browser.press("!").await;
    store.fact("acme-prod", "tier", "bronze").await;
    browser.wait_for("Somebody else has just changed this fact.").await;
    browser.wait("document.activeElement.value === 'silver!'").await;
    browser.press(Key::Enter).await;
    browser.wait_for("It is now: bronze").await;
    browser.wait("document.activeElement.id === 'edit-value'").await;
    browser.press(Key::Enter).await;
    browser.wait_for("Saved tier.").await;
    assert_eq!(store.json("/api/fact/acme-prod").await, json!({ "tier": "silver!" }));

    // Deleting asks once more.
    browser.tab_to("summary[aria-label='Delete tier']").await;
    browser.press(Key::Enter).await;
    browser.wait("document.activeElement.innerText === 'Delete tier'").await;
    browser.press(Key::Escape).await;
    browser.wait("document.activeElement.ariaLabel === 'Delete tier'").await;
    browser.press(Key::Enter).await;
    browser.wait("document.activeElement.innerText === 'Delete tier'").await;
    browser.press(Key::Enter).await;
    browser.wait_for("Deleted tier.").await;
    browser.wait_for("No facts yet").await;
    assert_eq!(store.get("/api/fact/acme-prod").await.status(), StatusCode::NOT_FOUND);
    browser.quit().await;
}

#[tokio::test]
async fn somebody_adds_an_identity_and_reveals_a_secret_by_keyboard() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_sign_in(&folder).await;
    let Some(browser) = start(&store, &["admin"]).await else { return };
    browser.open("/ui").await;
    browser.tab_to("#new-identity").await;
    browser.press("a%2Fb").await;
    browser.tab_to("#new-key").await;
    browser.press("a/b").await;
    browser.tab_to("#new-value").await;
    browser.press(Key::Enter).await;
    // The browser itself asks for what is missing.
    assert_eq!(browser.driver.current_url().await.unwrap().path(), "/ui");
    browser.press("<b>gold</b>").await;
    browser.press(Key::Enter).await;
    browser.wait("document.activeElement.id === 'new-key'").await;
    browser.wait_for("The key must not contain \"/\".").await;
    browser.press(Key::Control + "a").await;
    browser.press("tier").await;
    browser.press(Key::Enter).await;
    browser.wait_for("Added a%2Fb with the fact tier.").await;
    browser.wait_for("<b>gold</b>").await;
    assert_eq!(store.json("/api/fact/a%252Fb").await, json!({ "tier": "<b>gold</b>" }));

    browser.tab_to("#secret-key").await;
    browser.press("password").await;
    browser.press(Key::Tab).await;
    browser.press("hunter2").await;
    browser.press(Key::Tab).await;
    browser.press(Key::Enter).await;
    browser.wait_for("Added password.").await;
    assert!(!browser.text().await.contains("hunter2"));
    browser.tab_to("button[aria-label='Reveal password']").await;
    browser.press(Key::Enter).await;
    browser.wait_for("hunter2").await;
    let audit = store.json("/api/audit?action=secret.read").await;
    assert_eq!(audit["events"][0]["subject"], "a%2Fb/password");
    browser.wait("document.activeElement.ariaLabel === 'Hide password'").await;
    browser.press(Key::Enter).await;
    browser.wait("!document.body.innerText.includes('hunter2')").await;
    browser.quit().await;
}

#[tokio::test]
async fn somebody_without_the_permission_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_sign_in(&folder).await;
    store.fact("acme-prod", "tier", "gold").await;
    let Some(browser) = start(&store, &["facts-read", "facts-write"]).await else { return };
    browser.open("/ui/identity/acme-prod?edit=tier").await;
    browser.wait("document.activeElement.id === 'edit-value'").await;
    // The permission is taken away while the form is open.
    let revoked = json!({ "permissions": ["facts-write"] });
    let revoked = store.request(Method::DELETE, GRANTED).json(&revoked).send().await.unwrap();
    assert_eq!(revoked.status(), StatusCode::OK);
    browser.press("!").await;
    browser.press(Key::Enter).await;
    browser.wait_for("This needs the permission facts-write.").await;
    assert_eq!(store.json("/api/fact/acme-prod").await, json!({ "tier": "gold" }));
    browser.open("/ui/audit").await;
    browser.wait_for("This needs the permission admin.").await;
    let text = browser.text().await;
    assert!(!text.contains("Audit"), "the pages that are forbidden are not offered: {text}");
    assert!(text.contains("octocat"), "{text}");
    browser.tab_to("header button").await;
    browser.press(Key::Enter).await;
    browser.wait_for("Sign in with GitHub").await;
    browser.open("/ui").await;
    browser.wait_for("Sign in with GitHub").await;
    browser.driver.quit().await.unwrap();
}

#[tokio::test]
async fn the_pages_fit_wide_and_narrow_light_and_dark() {
    let folder = tempfile::tempdir().unwrap();
    let store = with_sign_in(&folder).await;
    let Some(browser) = start(&store, &["admin"]).await else { return };
    browser.open("/login").await;
    browser.picture("sign-in").await;
    browser.open("/ui").await;
    browser.picture("identities-empty").await;
    browser.open("/ui/identity/acme-prod").await;
    browser.picture("identity-empty").await;
    let names = ["acme-prod", "acme-staging", "globex-prod", "initech", "umbrella-eu-west-1"];
    for name in names {
        store.fact(name, "tier", "gold").await;
        store.fact(name, "owner", "team-payments@example.com").await;
    }
    store.fact(&"w".repeat(160), &"k".repeat(128), &"v".repeat(2_000)).await;
    let soon = json!({ "value": "on", "expires_in": 86_400 });
    store.put("/api/fact/acme-prod/maintenance", soon).await;
    store.fact("acme-prod", "note", "two lines:\nthe second").await;
    store.put("/api/secret/acme-prod/database-password", json!({ "value": "hunter2" })).await;
    store.put("/api/secret/acme-prod/api-key", json!({ "value": "k-123" })).await;
    store.token(&["facts-read", "facts-write"], Some(&["acme-", "globex-"])).await;
    store.person(2, "hubot").await;
    store.running.store().access().add_admin("github:monalisa").await.unwrap();
    for (name, path) in [
        ("identities", "/ui"),
        ("identities-none", "/ui?q=nothing-like-it"),
        ("identity", "/ui/identity/acme-prod"),
        ("identity-edit", "/ui/identity/acme-prod?edit=tier"),
        ("identity-edit-lines", "/ui/identity/acme-prod?edit=note"),
        ("identity-replace", "/ui/identity/acme-prod?replace=api-key"),
        ("history", "/ui/identity/acme-prod/fact/tier"),
        ("users", "/ui/users"),
        ("tokens", "/ui/tokens"),
        ("audit", "/ui/audit"),
        ("nothing", "/ui/nothing"),
    ] {
        browser.open(path).await;
        browser.picture(name).await;
    }
    browser.open(&format!("/ui/identity/{}", "w".repeat(160))).await;
    browser.picture("identity-long").await;
    let mut events =
        store.stream("/api/changes?identity=acme-prod&identity=globex-prod", None).await;
    events.expect("ready").await;
    browser.open("/ui/streams").await;
    browser.picture("streams").await;

    browser.open("/ui/identity/acme-prod").await;
    browser.tab_to("button[aria-label='Reveal api-key']").await;
    browser.press(Key::Enter).await;
    browser.wait_for("k-123").await;
    browser.picture("identity-revealed").await;
    browser.open("/ui/identity/acme-prod").await;
    browser.tab_to("summary[aria-label='Delete database-password']").await;
    browser.press(Key::Enter).await;
    browser.picture("identity-delete").await;
    browser.open("/ui/tokens").await;
    browser.tab_to("#name").await;
    browser.press("argo-cd").await;
    browser.tab_to("[value=facts-read]").await;
    browser.press(" ").await;
    browser.press(Key::Enter).await;
    browser.wait("document.querySelector('#made')").await;
    browser.picture("tokens-made").await;
    browser.driver.quit().await.unwrap();
}
