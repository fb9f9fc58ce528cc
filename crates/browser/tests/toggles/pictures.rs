//! Pictures of the pages.

use flagstaff_browser::Key;
use service::time::now;
use toggle_meister::{
    model::{
        PRODUCTION, metric,
        note::{self, Text},
    },
    role::Role,
    rollout::{HOUR, Pace},
    serve::DAY,
    toggle::Wanted,
};

use crate::{browser, support::Server};

const BODY: &str = "# Faster\n\n**Two** clicks, [as the guide says](https://example.com).\n\n\
    - one\n- two\n- three\n- four\n\n<script>alert(1)</script>\n\n|a|b|\n|-|-|\n|1|2|\n";

#[tokio::test]
async fn the_pages_fit_wide_and_narrow_light_and_dark() {
    let server = Server::start().await;
    let Some(browser) = browser(&server, "octocat", Role::Admin).await else { return };
    for (name, path) in [
        ("tm-toggles-empty", "/ui"),
        ("tm-notes-empty", "/ui/notes"),
        ("tm-tokens-empty", "/ui/tokens"),
    ] {
        browser.open(path).await;
        browser.picture(name).await;
    }
    for env in ["stage", "dev"] {
        server.environment(env).await;
    }
    for feature in ["new_checkout", "dark_mode", "open_source", "search_v2"] {
        server.feature(feature).await;
    }
    let (now, pace) = (now(), Pace::over_days(2.0).unwrap());
    let write = server.store().write(move |sql| {
        let age = "UPDATE feature SET created = ?1, created_by = 'jane.doe'";
        Ok(sql.execute(age, &[(now - 30 * DAY).into()]).map(drop)?)
    });
    write.await.unwrap();
    server.switch(PRODUCTION, "new_checkout", Wanted::Roll(pace), now - 25 * HOUR).await;
    server.switch("stage", "dark_mode", Wanted::On, now - 3 * DAY).await;
    server.switch(PRODUCTION, "open_source", Wanted::On, now - 20 * DAY).await;
    server.switch(PRODUCTION, "search_v2", Wanted::Roll(pace), now - 36 * HOUR).await;
    server.switch(PRODUCTION, "search_v2", Wanted::Pause, now - HOUR).await;
    let write = server.store().write(move |sql| {
        for ago in 0..30 {
            let day = now / DAY - ago;
            metric::add(sql, "new_checkout", PRODUCTION, day, 1 + (ago * 7_919) % 4_000)?;
            if ago % 3 == 0 {
                metric::add(sql, "new_checkout", "stage", day, 1 + ago)?;
            }
        }
        let text = |title: &str, body: &str, feature: Option<&str>| Text {
            title: title.to_owned(),
            body: Some(body.to_owned()),
            feature: feature.map(str::to_owned),
            ..Text::default()
        };
        note::create(sql, "test", &text("New checkout", BODY, Some("new_checkout")))?;
        note::create(sql, "test", &text("Maintenance", "On *Sunday*, from 2 to 3.", None)).map(drop)
    });
    write.await.unwrap();
    // docs/toggle-meister.md has some of the pictures.
    browser.open("/ui").await;
    browser.picture("tm-toggles").await;
    let long =
        "a_feature_with_a_name_that_is_much_longer_than_others_and_has_no_spaces_to_break_at";
    server.feature(long).await;
    for (name, path) in [
        ("tm-toggles-long", "/ui"),
        ("tm-toggles-none", "/ui?q=xyz"),
        ("tm-feature-rolling", "/ui/feature/new_checkout"),
        ("tm-feature-paused", "/ui/feature/search_v2"),
        ("tm-feature-due", "/ui/feature/open_source"),
        ("tm-switch", "/ui/feature/dark_mode/switch?env=production&state=ROLL"),
        ("tm-switch-off", "/ui/feature/search_v2/switch?env=production&state=OFF"),
        ("tm-notes", "/ui/notes"),
        ("tm-note", "/ui/notes/1"),
        ("tm-audit", "/ui/audit"),
        ("tm-employees", "/ui/employees"),
        ("tm-employee", "/ui/employees?edit=octocat"),
        ("tm-environments", "/ui/environments"),
        ("tm-nothing", "/ui/nothing"),
    ] {
        browser.open(path).await;
        browser.picture(name).await;
    }
    for (name, at) in [
        ("tm-dialog-on", "#production-dark_mode"),
        ("tm-dialog-pause", "#pause-production-new_checkout"),
        ("tm-dialog-delete", "#delete-new_checkout"),
    ] {
        browser.open("/ui").await;
        browser.tab_to(at).await;
        browser.press(Key::Enter).await;
        browser.wait("document.querySelector('dialog')").await;
        browser.picture(name).await;
    }
    browser.open("/ui/notes/1").await;
    browser.tab_to("[name=preview]").await;
    browser.press(Key::Enter).await;
    browser.wait("document.querySelector('.prose')").await;
    browser.picture("tm-note-preview").await;
    browser.open("/ui/tokens").await;
    browser.tab_to("#name").await;
    browser.press("pipeline").await;
    browser.press(Key::Enter).await;
    browser.wait("document.querySelector('#made')").await;
    browser.picture("tm-tokens-made").await;
    browser.driver.quit().await.unwrap();
}
