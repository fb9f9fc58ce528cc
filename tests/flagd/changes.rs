//! Changes of flags reach the cache and subscribers with flagd's usual file source, which is read
//! every second (docs/flagd.md, "Event stream" and "Sources").

use std::{fs, time::Duration};

use flagstaff::{ProviderEvent, flagd::ChangedFlags};
use open_feature::{EvaluationErrorCode, EvaluationReason};
use serde_json::{Value as Json, json};
use tokio::time::sleep;

use crate::{
    subject::{Subject, Type, ask, options_for, plain},
    support::flagd::FlagdProcess,
    trial::trials,
};

trials![
    flags_are_updated_written_and_deleted,
    disabling_and_enabling_are_changes,
    a_flag_that_gets_a_rule_is_cached_no_longer,
    an_invalid_definition_changes_nothing,
    an_empty_definition_deletes_all,
    several_flags_change_in_one_event,
    each_subscriber_is_notified,
];

/// Longer than the interval at which flagd reads its file.
const LOOKS: Duration = Duration::from_millis(1500);

async fn start(flags: Json) -> (FlagdProcess, Subject) {
    let flagd = FlagdProcess::with(&json!({ "flags": flags })).start().await.unwrap();
    let subject = Subject::ready(options_for(&flagd)).await;
    (flagd, subject)
}

/// Waits for the next event, which names these flags and no others.
async fn changed(subject: &mut Subject, keys: &[&str]) {
    let ChangedFlags::Keys(changed) = subject.change().await else { panic!("not {keys:?} alone") };
    let mut changed = changed.to_vec();
    changed.sort_unstable();
    assert_eq!(changed, keys);
}

async fn flags_are_updated_written_and_deleted() {
    let (flagd, mut subject) = start(json!({ "a": plain("old"), "b": plain("same") })).await;
    subject.cache("a", "old").await;
    subject.cache("b", "same").await;
    assert_eq!(subject.text("c").await.unwrap_err().code, EvaluationErrorCode::FlagNotFound);

    flagd.edit_flags(|definition| definition["flags"]["a"] = plain("new"));
    changed(&mut subject, &["a"]).await;
    assert_eq!(subject.text("a").await.unwrap(), ("new".to_owned(), EvaluationReason::Static));
    assert_eq!(subject.text("b").await.unwrap(), ("same".to_owned(), EvaluationReason::Cached));

    flagd.edit_flags(|definition| definition["flags"]["c"] = plain("third"));
    changed(&mut subject, &["c"]).await;
    assert_eq!(subject.text("c").await.unwrap(), ("third".to_owned(), EvaluationReason::Static));

    flagd.edit_flags(|definition| {
        definition["flags"].as_object_mut().unwrap().remove("a");
    });
    changed(&mut subject, &["a"]).await;
    assert_eq!(subject.text("a").await.unwrap_err().code, EvaluationErrorCode::FlagNotFound);
    for key in ["b", "c"] {
        assert_eq!(subject.text(key).await.unwrap().1, EvaluationReason::Cached);
    }
    assert_eq!(subject.provider.stats().cache_invalidations, 2);
    subject.shut_down().await;
}

async fn disabling_and_enabling_are_changes() {
    let (flagd, mut subject) = start(json!({ "a": plain("on") })).await;
    subject.cache("a", "on").await;
    flagd.edit_flags(|definition| definition["flags"]["a"]["state"] = "DISABLED".into());
    changed(&mut subject, &["a"]).await;
    let error = subject.text("a").await.unwrap_err();
    assert_eq!(flagstaff::reason(&error), EvaluationReason::Disabled);
    flagd.edit_flags(|definition| definition["flags"]["a"]["state"] = "ENABLED".into());
    changed(&mut subject, &["a"]).await;
    subject.cache("a", "on").await;
    subject.shut_down().await;
}

async fn a_flag_that_gets_a_rule_is_cached_no_longer() {
    let (flagd, mut subject) = start(json!({ "a": plain("all") })).await;
    subject.cache("a", "all").await;
    flagd.edit_flags(|definition| {
        definition["flags"]["a"]["variants"]["some"] = "some".into();
        definition["flags"]["a"]["targeting"] =
            json!({ "if": [{ "==": [{ "var": "targetingKey" }, "user"] }, "some"] });
    });
    changed(&mut subject, &["a"]).await;
    for (user, expected) in [("user", "some"), ("other", "all"), ("user", "some")] {
        let context = open_feature::EvaluationContext::default().with_targeting_key(user);
        let answer = ask(&subject.provider, Type::Text, "a", &context).await.unwrap();
        assert_eq!(answer.value, expected.into());
    }
    subject.shut_down().await;
}

async fn an_invalid_definition_changes_nothing() {
    let (flagd, mut subject) = start(json!({ "a": plain("old"), "b": plain("same") })).await;
    subject.cache("a", "old").await;
    subject.cache("b", "same").await;
    let mut no_such_default = json!({ "flags": { "a": plain("new") } });
    no_such_default["flags"]["a"]["defaultVariant"] = "nowhere".into();
    for text in ["{ \"flags\": ", "", &no_such_default.to_string()] {
        fs::write(flagd.flags_path(), text).unwrap();
        // There is nothing to wait for: no event reports that nothing has changed.
        sleep(LOOKS).await;
        assert_eq!(subject.events_so_far().await, [], "{text}");
        for (key, value) in [("a", "old"), ("b", "same")] {
            let cached = (value.to_owned(), EvaluationReason::Cached);
            assert_eq!(subject.text(key).await.unwrap(), cached, "{text}");
        }
    }
    flagd.write_flags(&json!({ "flags": { "a": plain("new"), "b": plain("same") } }));
    changed(&mut subject, &["a"]).await;
    subject.cache("a", "new").await;
    subject.shut_down().await;
}

async fn an_empty_definition_deletes_all() {
    let (flagd, mut subject) = start(json!({ "a": plain("a"), "b": plain("b") })).await;
    subject.cache("a", "a").await;
    flagd.write_flags(&json!({ "flags": {} }));
    changed(&mut subject, &["a", "b"]).await;
    for key in ["a", "b"] {
        assert_eq!(subject.text(key).await.unwrap_err().code, EvaluationErrorCode::FlagNotFound);
    }
    assert_eq!(subject.provider.stats().cache_entries, 0);
    flagd.write_flags(&json!({ "flags": { "a": plain("again") } }));
    changed(&mut subject, &["a"]).await;
    subject.cache("a", "again").await;
    subject.shut_down().await;
}

async fn several_flags_change_in_one_event() {
    let flags = |value: &str| {
        let flags = (0..200).map(|index| (format!("flag-{index:03}"), plain(value)));
        Json::Object(flags.chain([("other".to_owned(), plain("same"))]).collect())
    };
    let (flagd, mut subject) = start(flags("old")).await;
    let keys: Vec<String> = (0..200).map(|index| format!("flag-{index:03}")).collect();
    for key in &keys {
        subject.cache(key, "old").await;
    }
    subject.cache("other", "same").await;
    flagd.write_flags(&json!({ "flags": flags("new") }));
    changed(&mut subject, &keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(subject.provider.stats().cache_entries, 1);
    for key in &keys {
        subject.cache(key, "new").await;
    }
    assert_eq!(subject.text("other").await.unwrap().1, EvaluationReason::Cached);
    subject.shut_down().await;
}

async fn each_subscriber_is_notified() {
    let (flagd, mut subject) = start(json!({ "a": plain("old") })).await;
    let mut second = subject.provider.events();
    assert_eq!(second.next().await, Some(ProviderEvent::Ready), "the current state comes first");
    flagd.edit_flags(|definition| definition["flags"]["a"] = plain("new"));
    changed(&mut subject, &["a"]).await;
    let change = ProviderEvent::ConfigurationChanged(ChangedFlags::Keys(["a".to_owned()].into()));
    assert_eq!(second.next().await, Some(change));
    subject.shut_down().await;
    assert_eq!(second.next().await, None);
}
