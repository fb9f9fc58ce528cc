//! The page of a feature, and how one is deleted.

use reqwest::StatusCode;
use service::time::now;
use toggle_meister::{
    model::{PRODUCTION, metric, note, toggle},
    role::Role,
    rollout::{HOUR, Pace},
    serve::DAY,
    toggle::{State, Wanted},
};

use crate::{Client, html, support::Server};

#[tokio::test]
async fn the_page_shows_the_rollout_the_requests_and_what_was_done() {
    let server = Server::start().await;
    server.environment("stage").await;
    server.feature("f").await;
    let (now, over) = (now(), Pace::over_days(1.0).unwrap());
    server.switch(PRODUCTION, "f", Wanted::Roll(over), now - 11 * HOUR).await;
    let write = server.store().write(move |sql| {
        metric::add(sql, "f", "stage", now / DAY, 1_200)?;
        metric::add(sql, "f", "stage", now / DAY - 29, 34)?;
        metric::add(sql, "f", "stage", now / DAY - 30, 5)?;
        toggle::enrol(sql, "f", PRODUCTION, "jane")?;
        Ok(())
    });
    write.await.unwrap();
    // What is in memory is read again with the next change.
    server.switch("stage", "f", Wanted::Off, now).await;
    let reader = Client::new(&server, Role::ReadOnly).await;
    let page = reader.page("/ui/feature/f").await;
    assert!(page.contains("now 30 %") && page.contains("Started "), "{page}");
    assert!(page.contains("1 imported user has it whatever the curve says"), "{page}");
    assert!(page.contains("1,234 requests") && page.matches("<rect ").count() == 2, "{page}");
    assert!(page.contains("Roll feature out") && page.contains("new_state"), "{page}");
    assert!(!page.contains("Write one"), "a reader writes no notes");
    let nothing = reader.get("/ui/feature/nothing").await;
    assert_eq!(nothing.status(), StatusCode::NOT_FOUND);
    assert!(html(nothing).await.contains("There is no feature nothing."));
}

#[tokio::test]
async fn d13_the_question_before_deleting_says_what_the_button_does() {
    let server = Server::start().await;
    server.environment("stage").await;
    server.feature("f").await;
    server.switch(PRODUCTION, "f", Wanted::On, now()).await;
    let write = server.store().write(|sql| {
        metric::add(sql, "f", "stage", now() / DAY, 3)?;
        metric::add(sql, "f", "stage", now() / DAY - 1, 4)?;
        metric::add(sql, "f", "stage", now() / DAY - 7, 99)?;
        Ok(())
    });
    write.await.unwrap();
    let admin = Client::new(&server, Role::Admin).await;
    let asked = admin.page("/ui/feature/f/delete").await;
    assert!(asked.contains("stage: 7 requests (yesterday – today)"), "{asked}");
    assert!(asked.contains("<b>14 days</b>") && asked.contains("production ON"), "{asked}");
    assert!(asked.contains("notes become visible to everyone"), "{asked}");

    assert_eq!(admin.done("/ui/feature/f/delete", &[("back", "/ui")]).await, "/ui");
    assert_eq!(server.state("f", PRODUCTION), State::On, "as the question says");
    let list = admin.page("/ui").await;
    assert!(list.contains("Deleted features") && list.contains(">14 days<"), "{list}");
    assert!(!list.contains("data-row=\"f\""), "{list}");
    let page = admin.page("/ui/feature/f").await;
    let live = page.split("data-live=").nth(1).unwrap();
    assert!(live.contains("This feature was deleted.") && live.contains("Turn off…"), "{page}");
    assert!(!page.contains("Turn on…") && !page.contains("Roll out…"), "{page}");
    // It can be switched off, and nothing else.
    let off = [("env", "stage"), ("state", "OFF")];
    admin.done("/ui/feature/f/switch", &off).await;
    let on = [("env", "stage"), ("state", "ON")];
    let error = admin.rejected("/ui/feature/f/switch", &on, "state").await;
    assert_eq!(error, "No valid feature provided.");
    admin.done("/ui/feature/f/delete", &[("hard", "true")]).await;
    assert_eq!(server.state("f", PRODUCTION), State::Off);
    assert_eq!(admin.get("/ui/feature/f").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_question_before_deleting_says_what_becomes_of_the_release_notes() {
    let server = Server::start().await;
    server.feature("f").await;
    let admin = Client::new(&server, Role::Admin).await;
    admin.done("/ui/notes/new", &[("title", "T"), ("feature", "f")]).await;
    let now = now();
    let over = Pace::over_days(30.0).unwrap();
    let withheld = "notes that are not published yet are withheld: nobody sees them until somebody \
                    edits them.</span>";
    let late = "If that is not within the 14 days, they are withheld";
    let stays = "notes stay unpublished";
    for (wanted, soft, for_good) in [
        (Wanted::Off, stays, withheld),
        (Wanted::Roll(over), late, withheld),
        (Wanted::Pause, late, withheld),
        (
            Wanted::On,
            "notes become visible to everyone, since",
            "notes become visible to everyone at once.</span>",
        ),
    ] {
        server.switch(PRODUCTION, "f", wanted, now).await;
        let asked = admin.page("/ui/feature/f/delete").await;
        assert!(asked.contains(soft) && asked.contains(for_good), "{wanted:?}: {asked}");
        assert_eq!(asked.contains(stays), soft == stays, "{wanted:?}: {asked}");
    }
    // Nobody sees the notes of a rollout that is deleted for good, as the question says.
    server.switch(PRODUCTION, "f", Wanted::Off, now).await;
    server.switch(PRODUCTION, "f", Wanted::Roll(over), now).await;
    admin.done("/ui/feature/f/delete", &[]).await;
    let again = admin.page("/ui/feature/f/delete").await;
    assert!(again.contains(withheld) && !again.contains(late), "{again}");
    let linked = server.store().read(|sql| note::get(sql, 1)).await.unwrap();
    assert_eq!((linked.feature.as_deref(), linked.is_withheld), (Some("f"), false));
    admin.done("/ui/feature/f/delete", &[("hard", "true")]).await;
    let detached = server.store().read(|sql| note::get(sql, 1)).await.unwrap();
    assert_eq!((detached.feature, detached.is_withheld), (None, true));
}

#[tokio::test]
async fn each_chart_says_where_the_feature_is_not_known_to_be_in_use() {
    let server = Server::start().await;
    for env in ["stage", "test"] {
        server.environment(env).await;
    }
    server.feature("f").await;
    let today = now() / DAY;
    let write = server.store().write(move |sql| {
        sql.execute("UPDATE feature SET created = 0", &[])?;
        metric::add(sql, "f", "stage", today, 1)?;
        // No client for 30 days in production, and one yesterday in the others.
        let seen = "UPDATE environment SET flag_client_seen = ?1";
        sql.execute(seen, &[(today - 1).into()])?;
        let long_ago = "UPDATE environment SET flag_client_seen = ?1 WHERE name = 'production'";
        Ok(sql.execute(long_ago, &[(today - 30).into()]).map(drop)?)
    });
    write.await.unwrap();
    let page = Client::new(&server, Role::ReadOnly).await.page("/ui/feature/f").await;
    let caption = |env: &str| {
        let caption = page.split(&format!("<figcaption><b>{env}</b>")).nth(1).unwrap();
        caption.split("</figcaption>").next().unwrap().to_owned()
    };
    assert!(caption(PRODUCTION).contains("<b>unused</b>: no requests"), "{page}");
    assert!(caption("test").contains("<b>unknown</b>: connected clients may use it"), "{page}");
    assert!(caption("stage").contains("1 request<"), "{page}");
}
