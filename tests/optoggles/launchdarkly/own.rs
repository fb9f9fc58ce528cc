//! Lists that are the policy's.

use flagstaff::optoggles::{Held, ToggleTarget as _};
use serde_json::{Value, json};
use tracing::Level;

use super::{
    Fake,
    fake::{Reply, flag},
    toggle, toggle_in,
};
use crate::{
    engine::{cell, failure, in_step, resync, start},
    logs::Logs,
    policy::{Policy, users},
    support::wait::eventually,
};

/// A flag that has what the policy of most tests says.
fn right(fake: &Fake, variations: [bool; 2]) {
    let mut flag = flag("us", "The flag us", variations);
    let off = variations.iter().position(|value| !value);
    flag["environments"]["test"]["on"] = json!(true);
    flag["environments"]["test"]["fallthrough"] = json!({"variation": off});
    fake.world().flags.insert("us".to_owned(), flag);
    fake.edit_targets("us", "test", &[("user", true, "bob")]);
}

#[tokio::test]
async fn a_flag_is_created_and_serves_true_to_the_users_of_the_policy() {
    let fake = Fake::start().await;
    let policy = Policy::new([("us", "bob al")]);
    let toggle = toggle_in("us", &["test", "production"]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle]).await;
    in_step(&running, "us").await;
    for environment in ["test", "production"] {
        assert!(fake.serves("us", environment, "bob") && fake.serves("us", environment, "al"));
        assert!(!fake.serves("us", environment, "eve"));
    }
    policy.set("us", "al");
    eventually("bob to lose it", || !fake.serves("us", "production", "bob")).await;
    eventually("bob to lose it", || !fake.serves("us", "test", "bob")).await;
    assert!(fake.serves("us", "test", "al"));
    policy.set("us", "");
    eventually("everybody to lose it", || fake.users("us", "test").is_empty()).await;
    running.shutdown().await;
    let writes = fake.writes();
    assert_eq!(writes.len(), 1 + 2 + 2 + 2, "{writes:#?}");
    assert_eq!(
        writes[0].body,
        json!({
            "key": "us", "name": "The flag us", "temporary": false, "tags": ["optoggles"],
            "clientSideAvailability": {"usingEnvironmentId": true, "usingMobileKey": true},
        })
    );
}

#[tokio::test]
async fn a_flag_that_is_as_it_must_be_is_adopted_without_a_write() {
    for variations in [[true, false], [false, true]] {
        let fake = Fake::start().await;
        right(&fake, variations);
        let policy = Policy::new([("us", "bob")]);
        let running = start(&policy, fake.target().build().unwrap(), [toggle("us")]).await;
        in_step(&running, "us").await;
        resync(&running, "us").await;
        running.shutdown().await;
        assert!(fake.writes().is_empty(), "{:#?}", fake.writes());
        assert_eq!(fake.sent().len(), 2, "one request at the start and one at the resync");
    }
}

#[tokio::test]
async fn the_order_of_the_variations_does_not_matter() {
    let fake = Fake::start().await;
    fake.world().flags.insert("us".to_owned(), flag("us", "The flag us", [false, true]));
    let policy = Policy::new([("us", "bob")]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle("us")]).await;
    in_step(&running, "us").await;
    assert!(fake.serves("us", "test", "bob") && !fake.serves("us", "test", "eve"));
    running.shutdown().await;
}

#[tokio::test]
async fn the_name_is_updated_only_if_it_is_another() {
    let fake = Fake::start().await;
    right(&fake, [true, false]);
    fake.edit("us", |flag| flag["name"] = json!("Old"));
    let policy = Policy::new([("us", "bob")]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle("us")]).await;
    in_step(&running, "us").await;
    resync(&running, "us").await;
    running.shutdown().await;
    assert_eq!(fake.world().flags["us"]["name"], "The flag us");
    assert_eq!(fake.writes().len(), 1);
}

#[tokio::test]
async fn a_name_that_cannot_be_updated_keeps_no_user_waiting() {
    let fake = Fake::start().await;
    fake.world().flags.insert("us".to_owned(), flag("us", "Old", [true, false]));
    fake.intercept(|sent| {
        let renames = sent.body["instructions"][0]["kind"] == "updateName";
        renames.then(|| Reply::error(403, "forbidden", "no role for names"))
    });
    let (logs, _guard) = Logs::listen();
    let policy = Policy::new([("us", "bob")]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle("us")]).await;
    in_step(&running, "us").await;
    assert_eq!(fake.users("us", "test"), "bob");
    assert_eq!(logs.with("no role for names", Level::WARN).len(), 1);
    running.shutdown().await;
}

#[tokio::test]
async fn a_change_by_hand_is_undone_at_the_resync() {
    type Edit = (&'static str, fn(&mut Value));
    let edits: [Edit; 4] = [
        ("off", |config| config["on"] = json!(false)),
        ("true for everybody", |config| config["fallthrough"] = json!({"variation": 0})),
        ("true when it is off", |config| config["offVariation"] = json!(0)),
        ("a user more", |config| {
            config["targets"] = json!([{"variation": 0, "values": ["bob", "eve"]}]);
        }),
    ];
    let fake = Fake::start().await;
    let policy = Policy::new([("us", "bob")]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle("us")]).await;
    in_step(&running, "us").await;
    for (name, edit) in edits {
        fake.edit("us", |flag| edit(&mut flag["environments"]["test"]));
        let before = fake.writes().len();
        resync(&running, "us").await;
        assert_eq!(fake.writes().len(), before + 1, "{name}");
        assert!(fake.serves("us", "test", "bob") && !fake.serves("us", "test", "eve"), "{name}");
    }
    // Other kinds of context are the policy's too.
    fake.edit_targets("us", "test", &[("user", true, "bob"), ("org", true, "acme")]);
    resync(&running, "us").await;
    assert_eq!(fake.targeted("us", "test", "org", true), "");
    assert_eq!(fake.users("us", "test"), "bob");
    running.shutdown().await;
}

#[tokio::test]
async fn a_flag_that_was_deleted_by_hand_is_created_again_at_the_resync() {
    let fake = Fake::start().await;
    let policy = Policy::new([("us", "bob")]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle("us")]).await;
    in_step(&running, "us").await;
    fake.world().flags.clear();
    resync(&running, "us").await;
    assert!(fake.serves("us", "test", "bob"));
    running.shutdown().await;
}

#[tokio::test]
async fn contexts_of_another_kind_than_user() {
    let fake = Fake::start().await;
    let policy = Policy::new([("us", "acme")]);
    let toggle = toggle("us").with("contextKind", "organization");
    let running = start(&policy, fake.target().build().unwrap(), [toggle]).await;
    in_step(&running, "us").await;
    resync(&running, "us").await;
    assert_eq!(fake.targeted("us", "test", "organization", true), "acme");
    assert_eq!(fake.targeted("us", "test", "user", true), "");
    assert_eq!(fake.writes().len(), 2);
    running.shutdown().await;
}

#[tokio::test]
async fn a_flag_that_somebody_else_creates_at_the_same_time_is_adopted() {
    let fake = Fake::start().await;
    right(&fake, [true, false]);
    let mut asked = 0;
    fake.intercept(move |_| {
        asked += 1;
        (asked == 1).then(|| Reply::error(404, "not_found", "not yet"))
    });
    let prepared = fake.target().build().unwrap().prepare(&toggle("us")).await.unwrap();
    assert!(!prepared.created, "it is not this program's to remove");
    assert_eq!(prepared.held, Held::users(users("bob")));
    assert_eq!(fake.writes().len(), 1, "the creation that met the conflict");
}

#[tokio::test]
async fn a_lock_at_the_creation_is_tried_again() {
    let fake = Fake::start().await;
    let mut creations = 0;
    fake.intercept(move |sent| {
        creations += usize::from(sent.method == "POST");
        (sent.method == "POST" && creations == 1)
            .then(|| Reply::error(409, "optimistic_locking_error", "try again"))
    });
    let policy = Policy::new([("us", "bob")]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle("us")]).await;
    let failure = failure(&running, "us").await;
    assert_eq!(failure.kind, "temporary");
    assert!(failure.error.contains("did not create the flag `us`"), "{}", failure.error);
    in_step(&running, "us").await;
    assert!(fake.serves("us", "test", "bob"));
    running.shutdown().await;
}

#[tokio::test]
async fn a_lock_at_a_change_has_the_flag_read_and_written_again() {
    let fake = Fake::start().await;
    let mut patches = 0;
    fake.intercept(move |sent| {
        patches += usize::from(sent.method == "PATCH");
        (sent.method == "PATCH" && patches == 1)
            .then(|| Reply::error(409, "optimistic_locking_error", "try again"))
    });
    let policy = Policy::new([("us", "bob")]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle("us")]).await;
    in_step(&running, "us").await;
    assert!(fake.serves("us", "test", "bob"));
    running.shutdown().await;
    let methods: Vec<_> = fake.sent().into_iter().map(|sent| sent.method).collect();
    assert_eq!(methods, ["GET", "POST", "PATCH", "GET", "PATCH"]);
}

#[tokio::test]
async fn a_write_whose_response_is_lost_is_not_repeated() {
    let fake = Fake::start().await;
    let target = fake.target().build().unwrap();
    target.prepare(&toggle("us")).await.unwrap();
    fake.intercept(|sent| sent.patches("test").then(|| Reply::error(502, "bad_gateway", "lost")));
    target.write(&toggle("us"), &users("bob")).await.unwrap_err();
    // It took effect all the same.
    fake.recover();
    right(&fake, [true, false]);
    let before = fake.writes().len();
    target.write(&toggle("us"), &users("bob")).await.unwrap();
    assert_eq!(fake.writes().len(), before);
}

#[tokio::test]
async fn a_flag_that_is_not_boolean_is_an_error_that_names_it() {
    let fake = Fake::start().await;
    let mut text = flag("us", "The flag us", [true, false]);
    text["variations"][0]["value"] = json!("true");
    text["kind"] = json!("multivariate");
    fake.world().flags.insert("us".to_owned(), text);
    let policy = Policy::new([("us", "bob"), ("eu", "al")]);
    let toggles = [toggle("us"), toggle("eu")];
    let running = start(&policy, fake.target().build().unwrap(), toggles).await;
    let failure = failure(&running, "us").await;
    assert_eq!(failure.kind, "permanent");
    assert!(failure.error.contains("flag `us` is not a boolean flag"), "{}", failure.error);
    in_step(&running, "eu").await;
    assert!(cell(&running, "us").await.in_step.is_none());
    running.shutdown().await;
    assert!(fake.writes().iter().all(|sent| !sent.path.ends_with("/us")));
}

#[tokio::test]
async fn more_than_10_000_targets_are_written_with_a_warning() {
    let fake = Fake::start().await;
    let target = fake.target().build().unwrap();
    let (logs, _guard) = Logs::listen();
    target.prepare(&toggle("us")).await.unwrap();
    for (count, warnings) in [(10_000, 0), (10_001, 1)] {
        let all = (0..count).map(|index| format!("user-{index}")).collect();
        target.write(&toggle("us"), &all).await.unwrap();
        assert_eq!(fake.users("us", "test").split(' ').count(), count);
        assert_eq!(logs.with("more than 10,000", Level::WARN).len(), warnings);
    }
}

#[tokio::test]
async fn rules_are_left_alone_with_one_warning() {
    let fake = Fake::start().await;
    right(&fake, [true, false]);
    fake.edit("us", |flag| {
        flag["environments"]["test"]["rules"] = json!([{"clauses": [], "trackEvents": false}]);
    });
    let (logs, _guard) = Logs::listen();
    let policy = Policy::new([("us", "bob")]);
    let running = start(&policy, fake.target().build().unwrap(), [toggle("us")]).await;
    in_step(&running, "us").await;
    resync(&running, "us").await;
    running.shutdown().await;
    assert_eq!(logs.with("the flag has rules", Level::WARN).len(), 1);
    assert!(fake.writes().is_empty());
}
