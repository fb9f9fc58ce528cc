//! The list of features, and how toggles are switched.

use reqwest::StatusCode;
use service::{storage::StorageError, time::now};
use toggle_meister::{
    model::PRODUCTION,
    role::Role,
    rollout::{HOUR, Pace},
    serve::DAY,
    toggle::{State, Wanted},
};

use crate::{Client, escaped, html, support::Server};

#[tokio::test]
async fn the_list_says_what_each_toggle_is_with_production_last() {
    let server = Server::start().await;
    let reader = Client::new(&server, Role::ReadOnly).await;
    assert!(reader.page("/ui").await.contains("No features yet"));
    for env in ["stage", "zzz"] {
        server.environment(env).await;
    }
    for feature in ["rolled", "paused", "old", "off"] {
        server.feature(feature).await;
    }
    let (now, over) = (now(), Pace::over_days(2.0).unwrap());
    server.switch(PRODUCTION, "rolled", Wanted::Roll(over), now - 25 * HOUR).await;
    server.switch(PRODUCTION, "paused", Wanted::Roll(over), now - 25 * HOUR).await;
    server.switch(PRODUCTION, "paused", Wanted::Pause, now).await;
    server.switch(PRODUCTION, "old", Wanted::On, now - 14 * DAY).await;
    let page = reader.page("/ui").await;
    let head = page.split("<thead>").nth(1).unwrap().split("</thead>").next().unwrap();
    let columns: Vec<&str> = head.split("scope=\"col\">").skip(1).collect();
    assert!(columns[1].starts_with("stage<") && columns[2].starts_with("zzz<"), "{head}");
    assert!(columns[3].starts_with("production<"), "{head}");
    let row = |name: &str| {
        let row = page.split(&format!("data-row=\"{name}\"")).nth(1).unwrap();
        row.split("</tr>").next().unwrap().to_owned()
    };
    assert!(row("rolled").contains(">ROLL 35 %<") && row("rolled").contains("for 1 day"));
    assert!(row("rolled").contains("stroke-dasharray=\"35 100\""));
    assert!(row("paused").contains(">PAUSE 35 %<"));
    assert!(row("old").contains(">ON<") && row("old").contains("due for removal"));
    assert!(row("off").contains(">OFF<") && !row("off").contains("due for removal"));
    assert!(row("off").contains("less than a day old, by test"));
    // Only what is due.
    let due = reader.page("/ui?due=true").await;
    assert!(due.contains("data-row=\"old\"") && !due.contains("data-row=\"rolled\""));
    // Letters in their order.
    let found = reader.page("/ui?q=RLD").await;
    assert!(found.contains("data-row=\"rolled\"") && !found.contains("data-row=\"paused\""));
    let hostile = "\"><script>alert(1)</script>";
    let none = reader.page("/ui?q=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert!(none.contains(&escaped(hostile)) && !none.contains(hostile), "{none}");
}

#[tokio::test]
async fn what_nobody_can_have_used_for_a_month_is_due() {
    let server = Server::start().await;
    let reader = Client::new(&server, Role::ReadOnly).await;
    for feature in ["old", "new"] {
        server.feature(feature).await;
    }
    let store = server.store();
    let aged = store.storage.write(|sql| {
        sql.execute("UPDATE feature SET created = 0 WHERE name = 'old'", &[])?;
        sql.execute("UPDATE environment SET flag_client_seen = 0", &[])
    });
    aged.await.map_err(|error: StorageError| error).unwrap();
    store.usage.find_unused(&store.storage, now() / DAY).await.unwrap();
    let due = reader.page("/ui?due=true").await;
    assert!(due.contains("data-row=\"old\"") && !due.contains("data-row=\"new\""), "{due}");
    let page = reader.page("/ui/feature/old").await;
    assert!(page.contains("It has been unused in production since 1970-01-01."), "{page}");
    let list = reader.get("/api/features?due=true").await;
    let list: serde_json::Value = list.json().await.unwrap();
    assert_eq!(list["features"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["features"][0]["reason"], "unused");
    assert_eq!(list["features"][0]["since"], "1970-01-01T00:00:00Z");
    // A client that may use any feature without asking for it makes it unknown, which is not due.
    store.usage.saw_client(Some(PRODUCTION));
    store.usage.flush(&store.storage, now() / DAY).await.unwrap();
    store.usage.find_unused(&store.storage, now() / DAY).await.unwrap();
    assert!(!reader.page("/ui/feature/old").await.contains("due for removal"));
}

#[tokio::test]
async fn a_browser_remembers_the_environments_that_were_hidden() {
    let server = Server::start().await;
    for env in ["stage", "größe"] {
        server.environment(env).await;
    }
    server.feature("f").await;
    let reader = Client::new(&server, Role::ReadOnly).await;
    let chosen = reader.get("/ui?of=stage&of=gr%C3%B6%C3%9Fe&env=gr%C3%B6%C3%9Fe").await;
    let cookie = chosen.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    let has = |page: &str, env: &str| page.contains(&format!("<th scope=\"col\">{env}</th>"));
    let shown = html(chosen).await;
    assert!(has(&shown, "größe") && has(&shown, PRODUCTION) && !has(&shown, "stage"));
    let cookie = cookie.split(';').next().unwrap();
    let request = reader.http.get(format!("{}/ui", server.url)).header("cookie", cookie);
    let again = html(reader.send(request).await).await;
    assert!(has(&again, "größe") && has(&again, PRODUCTION) && !has(&again, "stage"));
    assert!(has(&reader.page("/ui").await, "stage"), "without a cookie all are shown");
    server.environment("new").await;
    let request = reader.http.get(format!("{}/ui", server.url)).header("cookie", cookie);
    assert!(has(&html(reader.send(request).await).await, "new"), "it was not hidden");
}

#[tokio::test]
async fn a_feature_is_created_and_switched_by_forms() {
    let server = Server::start().await;
    server.environment("stage").await;
    let dev = Client::new(&server, Role::Dev).await;
    assert_eq!(dev.done("/ui", &[("name", " f ")]).await, "/ui/feature/f");
    let error = dev.rejected("/ui", &[("name", "f")], "name").await;
    assert_eq!(error, "The feature name &#39;f&#39; already exists.");
    let error = dev.rejected("/ui", &[("name", "F-1")], "name").await;
    assert_eq!(error, "Name must be only lower case with underscores.");

    let path = "/ui/feature/f/switch";
    let stage = [("env", "stage"), ("state", "ON"), ("back", "/ui?q=f")];
    assert_eq!(dev.done(path, &stage).await, "/ui?q=f");
    assert_eq!(server.state("f", "stage"), State::On);
    let elsewhere = [("env", "stage"), ("state", "OFF"), ("back", "https://evil.example")];
    assert_eq!(dev.done(path, &elsewhere).await, "/ui");

    // D42: what the browser does not check, the server does, beside the field.
    for days in ["", "abc", "0", "-1", "366"] {
        let fields = [("env", PRODUCTION), ("state", "ROLL"), ("days", days)];
        let error = dev.rejected(path, &fields, "days").await;
        assert!(error.contains("from 0.02 to 365"), "{days}: {error}");
    }
    assert_eq!(server.state("f", PRODUCTION), State::Off);
    let roll = [("env", PRODUCTION), ("state", "ROLL"), ("days", "3"), ("back", "/ui/feature/f")];
    assert_eq!(dev.done(path, &roll).await, "/ui/feature/f");
    assert_eq!(server.state("f", PRODUCTION), State::Roll);
    assert_eq!(server.state("f", "stage"), State::On);
    assert!(dev.rejected(path, &roll, "state").await.contains("only roll a feature that"));
    dev.done(path, &[("env", PRODUCTION), ("state", "PAUSE")]).await;
    assert_eq!(server.state("f", PRODUCTION), State::Pause);
    dev.done(path, &[("env", PRODUCTION), ("state", "ON")]).await;
    assert_eq!(server.state("f", PRODUCTION), State::On);
    let pause = [("env", PRODUCTION), ("state", "PAUSE")];
    assert!(dev.rejected(path, &pause, "state").await.contains("only pause a feature"));
    dev.done(path, &[("env", PRODUCTION), ("state", "OFF")]).await;
    assert_eq!(server.state("f", PRODUCTION), State::Off);
    for (feature, env) in [("f", "none"), ("none", "stage")] {
        let path = format!("/ui/feature/{feature}/switch?env={env}&state=ON");
        assert_eq!(dev.get(&path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_question_says_for_whom_and_where() {
    let server = Server::start().await;
    for env in ["stage", "dev"] {
        server.environment(env).await;
    }
    server.feature("f").await;
    server.switch("dev", "f", Wanted::On, now()).await;
    let dev = Client::new(&server, Role::Dev).await;
    let ask = async |state: &str| {
        dev.page(&format!("/ui/feature/f/switch?env=production&state={state}")).await
    };
    let on = ask("ROLL").await;
    assert!(on.contains("customers may notice") && on.contains("name=\"days\""), "{on}");
    assert!(on.contains("value=\"3\"") && on.contains("value=\"ROLL\" checked"), "{on}");
    assert!(on.contains("<b>stage</b>") && !on.contains("<b>dev</b>"), "where it is on already");
    let over = Pace::over_days(1.0).unwrap();
    server.switch(PRODUCTION, "f", Wanted::Roll(over), now() - 5 * HOUR).await;
    let pause = ask("PAUSE").await;
    assert!(pause.contains("The 11 % of users") && pause.contains("<b>by itself</b>"), "{pause}");
    assert!(ask("OFF").await.contains("turned off for <b>ALL</b> users"));
    let on = ask("ON").await;
    assert!(on.contains("<b>ALL</b> users at once") && !on.contains("name=\"days\""), "{on}");
}
