//! What somebody does with toggles and release notes.

use flagstaff_browser::{Browser, Key};
use serde_json::json;
use service::{problem::Problem, storage::Sql, time::now};
use toggle_meister::{
    model::{PRODUCTION, feature},
    role::Role,
    toggle::{State, Wanted},
};

use crate::{browser, support::Server};

/// Waits until the focus is on an element.
async fn focused(browser: &Browser, selector: &str) {
    browser.wait(&format!("document.activeElement.matches({})", json!(selector))).await;
}

#[tokio::test]
async fn somebody_creates_rolls_pauses_and_turns_on_by_keyboard() {
    let server = Server::start().await;
    server.environment("stage").await;
    let Some(browser) = browser(&server, "octocat", Role::Admin).await else { return };
    browser.open("/ui").await;
    browser.wait_for("No features yet").await;

    // The server's message stands beside the field.
    browser.tab_to("#name").await;
    browser.press("New-Checkout").await;
    browser.press(Key::Enter).await;
    browser.wait_for("Name must be only lower case with underscores").await;
    focused(&browser, "#name").await;
    browser.press(Key::Control + "a").await;
    browser.press("new_checkout").await;
    browser.press(Key::Enter).await;
    browser.wait_for("Created new_checkout. It is off everywhere.").await;

    // Where it is not production, a switch switches at once, and keeps the focus.
    browser.open("/ui").await;
    browser.wait_for("new_checkout").await;
    browser.tab_to("#stage-new_checkout").await;
    browser.press(" ").await;
    browser.wait_for("Turned new_checkout on in stage.").await;
    focused(&browser, "#stage-new_checkout").await;
    assert_eq!(server.state("new_checkout", "stage"), State::On);
    browser.press(Key::Enter).await;
    browser.wait_for("Turned new_checkout off in stage.").await;

    // In production it asks first. Escape leaves everything as it is.
    browser.tab_to("#production-new_checkout").await;
    browser.press(Key::Enter).await;
    browser.wait_for("customers may notice").await;
    focused(&browser, "dialog [value=ROLL]").await;
    browser.press(Key::Escape).await;
    browser.wait("!document.querySelector('dialog')").await;
    focused(&browser, "#production-new_checkout").await;
    assert_eq!(server.state("new_checkout", PRODUCTION), State::Off);

    // Days that are no number are rejected beside the field, in the dialog.
    browser.press(Key::Enter).await;
    browser.wait("document.querySelector('dialog #days')?.value === '3'").await;
    browser.tab_to("#days").await;
    browser.press(Key::Control + "a").await;
    browser.press("400").await;
    browser.press(Key::Enter).await;
    // The browser itself objects; a form that was sent all the same is rejected.
    browser.script("document.querySelector('dialog form').noValidate = true").await;
    browser.press(Key::Enter).await;
    browser.wait_for("from 0.02 to 365").await;
    focused(&browser, "dialog #days").await;
    browser.press(Key::Control + "a").await;
    browser.press("2").await;
    browser.press(Key::Enter).await;
    browser.wait_for("new_checkout is being rolled out in production over 2 days.").await;
    browser.wait_for("ROLL 1 %").await;
    assert_eq!(server.state("new_checkout", PRODUCTION), State::Roll);
    assert_eq!(server.state("new_checkout", "stage"), State::On, "production comes last");

    browser.tab_to("#pause-production-new_checkout").await;
    browser.press(Key::Enter).await;
    browser.wait_for("goes on by itself").await;
    browser.press(Key::Enter).await;
    browser.wait_for("PAUSE 1 %").await;
    assert_eq!(server.state("new_checkout", PRODUCTION), State::Pause);

    // On its page, with the picture of the rollout.
    browser.open("/ui/feature/new_checkout").await;
    browser.wait("document.querySelector('svg.curve circle.now')").await;
    browser.wait_for("Paused until").await;
    browser.tab_to("#production-on").await;
    browser.press(Key::Enter).await;
    browser.wait_for("turned on for ALL users at once").await;
    browser.press(Key::Enter).await;
    browser.wait_for("Turned new_checkout on in production.").await;
    assert_eq!(server.state("new_checkout", PRODUCTION), State::On);
    browser.wait("!document.querySelector('svg.curve')").await;
    // The button is gone, so the focus is on the first one of its card.
    focused(&browser, "#production-off").await;
    browser.press(Key::Enter).await;
    browser.wait_for("is turned off for ALL users").await;
    browser.press(Key::Enter).await;
    browser.wait_for("Turned new_checkout off in production.").await;

    // Deleting says what happens.
    browser.tab_to("#delete").await;
    browser.press(Key::Enter).await;
    browser.wait_for("For 14 days every program gets the same answer as now").await;
    focused(&browser, "dialog [data-cancel]").await;
    browser.press(Key::Shift + Key::Tab).await;
    browser.press(Key::Enter).await;
    browser
        .wait_for("Deleted new_checkout. Programs get the same results as before for 14 days.")
        .await;
    browser.wait_for("Deleted features").await;
    browser.quit().await;
}

#[tokio::test]
async fn somebody_writes_a_release_note_and_looks_at_it_first() {
    let server = Server::start().await;
    server.feature("new_checkout").await;
    let Some(browser) = browser(&server, "octocat", Role::Dev).await else { return };
    browser.open("/ui/notes").await;
    browser.wait_for("No notes found").await;
    browser.tab_to("a[href='/ui/notes/new']").await;
    browser.press(Key::Enter).await;
    focused(&browser, "#title").await;
    browser.press("Checkout").await;
    browser.press(Key::Tab).await;
    browser.press(Key::Tab).await;
    focused(&browser, "#body").await;
    browser.press("It is **fast**. <b>really</b>").await;
    browser.tab_to("#feature").await;
    browser.press("new").await;
    browser.tab_to("[name=preview]").await;
    browser.press(Key::Enter).await;
    browser.wait("document.querySelector('.prose strong')?.innerText === 'fast'").await;
    browser.wait_for("<b>really</b>").await;
    focused(&browser, "section[aria-label=Preview]").await;
    browser.wait("document.querySelector('#feature').value === 'new_checkout'").await;
    browser.tab_to("form.rows button").await;
    browser.press(Key::Enter).await;
    browser.wait_for("Saved Checkout.").await;
    browser.wait_for("For those who have new_checkout").await;
    // The form of an edit begins with what there is.
    browser.tab_to("a[aria-label='Edit Checkout']").await;
    browser.press(Key::Enter).await;
    browser.wait("document.querySelector('#feature')?.value === 'new_checkout'").await;
    browser.press(Key::Escape).await;
    browser.wait("document.title.startsWith('Release notes')").await;
    browser.tab_to("summary[aria-label='Delete Checkout']").await;
    browser.press(Key::Enter).await;
    browser.wait("document.activeElement.innerText === 'Delete the note'").await;
    browser.press(Key::Enter).await;
    browser.wait_for("No notes found").await;
    browser.quit().await;
}

#[tokio::test]
async fn somebody_who_may_only_read_is_refused_and_sees_what_others_change() {
    let server = Server::start().await;
    server.environment("stage").await;
    server.feature("new_checkout").await;
    let Some(browser) = browser(&server, "octocat", Role::Dev).await else { return };
    browser.open("/ui/notes/new").await;
    focused(&browser, "#title").await;
    browser.press("Checkout").await;
    // The right is taken away while the form is open.
    server.set_role("octocat", Role::ReadOnly).await;
    browser.press(Key::Enter).await;
    browser.wait_for("You are not authorized to do that dave.").await;
    server.set_role("octocat", Role::Dev).await;
    browser.open("/ui").await;
    browser.wait("document.querySelector('#stage-new_checkout')").await;
    // An open list offers it no longer.
    server.set_role("octocat", Role::ReadOnly).await;
    browser.wait("!document.querySelector('#list .switch')").await;

    browser.open("/ui").await;
    browser.wait_for("new_checkout").await;
    browser.wait("!document.querySelector('#main form[method=post]')").await;
    assert!(!browser.text().await.contains("Tokens"), "{}", browser.text().await);
    browser.script("window.same = true").await;
    server.switch("stage", "new_checkout", Wanted::On, now()).await;
    browser
        .wait("document.querySelector('[data-row=new_checkout]').innerText.includes('ON')")
        .await;
    server.feature("another_one").await;
    browser.wait_for("another_one").await;
    server.environment("dev").await;
    browser.wait("[...document.querySelectorAll('th')].some(it => it.innerText === 'dev')").await;
    assert_eq!(browser.script("return window.same").await, json!(true), "the page is the same");

    // The search has the focus, and finds letters in their order.
    browser.press("nck").await;
    browser.wait("!document.querySelector('#list').innerText.includes('another_one')").await;
    assert!(browser.text().await.contains("new_checkout"));
    // An environment that somebody hides stays hidden, but production does not.
    browser.open("/ui").await;
    browser.wait_for("another_one").await;
    browser.tab_to("[value=dev]").await;
    browser.press(" ").await;
    let shown = "[...document.querySelectorAll('#list th')].map(it => it.innerText).join(' ')";
    browser.wait(&format!("!({shown}).includes('dev')")).await;
    browser.open("/ui").await;
    browser.wait_for("another_one").await;
    browser.wait(&format!("({shown}).startsWith('Feature stage production')")).await;
    browser.open("/ui/notes/new").await;
    browser.wait_for("You are not authorized to do that dave.").await;
    browser.driver.clone().quit().await.unwrap();
}

#[tokio::test]
async fn the_open_page_of_a_feature_says_that_somebody_else_has_deleted_it() {
    let server = Server::start().await;
    server.feature("new_checkout").await;
    let Some(browser) = browser(&server, "octocat", Role::Admin).await else { return };
    browser.open("/ui/feature/new_checkout").await;
    browser.wait_for("Turn on…").await;
    let delete = async |delete: fn(&mut Sql<'_>, &str, &str, bool) -> Result<(), Problem>| {
        let deleted = server.store().write(move |sql| delete(sql, "test", "new_checkout", true));
        deleted.await.unwrap();
    };
    delete(feature::soft_delete).await;
    browser.wait_for("This feature was deleted.").await;
    browser.wait("!document.querySelector('#production-roll')").await;
    delete(feature::hard_delete).await;
    browser.wait_for("There is no feature new_checkout.").await;
    // The browser logs the status 404.
    browser.driver.clone().quit().await.unwrap();
}

#[tokio::test]
async fn a_list_follows_changes_while_somebody_edits_a_row_of_it() {
    let server = Server::start().await;
    for username in ["anna", "bert"] {
        server.sign_in(username, Role::Dev).await;
    }
    let Some(browser) = browser(&server, "octocat", Role::Admin).await else { return };
    browser.open("/ui/employees?edit=anna").await;
    focused(&browser, "#name").await;
    browser.press("Anna").await;
    // The row that is being edited changes, and then another one.
    server.set_role("anna", Role::ReadOnly).await;
    server.set_role("bert", Role::ReadOnly).await;
    browser.wait("document.querySelector('[data-row=bert]').innerText.includes('Read only')").await;
    browser.wait("document.querySelector('#name').value.includes('Anna')").await;
    focused(&browser, "#name").await;
    browser.quit().await;
}
