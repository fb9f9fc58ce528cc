//! The selector is sent on every call and on the stream (docs/flagd.md, "Selectors").

use std::fs;

use flagstaff::flagd::ChangedFlags;
use open_feature::{EvaluationErrorCode, EvaluationReason};
use serde_json::{Value as Json, json};

use crate::{
    subject::{Subject, options_for, plain},
    support::flagd::FlagdProcess,
    trial::trials,
};

trials![a_selector_chooses_the_source, a_selector_with_an_unknown_key, changes_of_the_selected_set];

fn source(set: &str, own: &str) -> Json {
    json!({ "metadata": { "flagSetId": set }, "flags": { "shared": plain(set), own: plain(set) } })
}

/// `shared` is in both sources; each has a flag that the other does not have.
async fn flagd() -> FlagdProcess {
    let builder = FlagdProcess::with(&source("alpha", "of-alpha"));
    builder.source("beta.json", &source("beta", "of-beta")).watching().start().await.unwrap()
}

async fn a_selector_chooses_the_source() {
    let flagd = flagd().await;
    for (selector, chosen, other) in [
        ("source=flags.json", "alpha", "of-beta"),
        ("source=beta.json", "beta", "of-alpha"),
        ("flags.json", "alpha", "of-beta"),
        ("flagSetId=alpha", "alpha", "of-beta"),
        ("flagSetId=beta", "beta", "of-alpha"),
    ] {
        let subject = Subject::ready(options_for(&flagd).selector(selector)).await;
        for key in ["shared", &format!("of-{chosen}")] {
            assert_eq!(subject.text(key).await.unwrap().0, chosen, "{selector}");
            assert_eq!(subject.text(key).await.unwrap().1, EvaluationReason::Cached, "{selector}");
        }
        let error = subject.text(other).await.unwrap_err();
        assert_eq!(error.code, EvaluationErrorCode::FlagNotFound, "{selector}");
        subject.shut_down().await;
    }
}

async fn a_selector_with_an_unknown_key() {
    let flagd = flagd().await;
    // A call right after the change must not fall between two connections, which does not show
    // every time.
    for _ in 0..20 {
        let mut subject = Subject::start(options_for(&flagd).selector("bogus=alpha")).await;
        let error = subject.text("shared").await.unwrap_err();
        assert_eq!(error.code, EvaluationErrorCode::InvalidContext, "{error:?}");
        for message in [error.message.unwrap(), subject.error().await] {
            assert!(message.contains("bogus"), "{message}");
        }
        subject.shut_down().await;
    }
}

/// flagd notifies each stream only of the flags that match its selector.
async fn changes_of_the_selected_set() {
    let flagd = flagd().await;
    let subject = async |set| Subject::ready(options_for(&flagd).selector(set)).await;
    let (mut alpha, mut beta) = (subject("flagSetId=alpha").await, subject("flagSetId=beta").await);
    alpha.cache("shared", "alpha").await;
    beta.cache("shared", "beta").await;
    flagd.edit_flags(|definition| definition["flags"]["of-alpha"] = plain("new"));
    assert_eq!(alpha.change().await, ChangedFlags::Keys(["of-alpha".to_owned()].into()));
    alpha.until("of-alpha", "new").await;
    assert_eq!(alpha.text("shared").await.unwrap().1, EvaluationReason::Cached);

    let mut definition = source("beta", "of-beta");
    definition["flags"]["shared"] = plain("new");
    fs::write(flagd.dir().join("beta.json"), definition.to_string()).unwrap();
    assert_eq!(beta.change().await, ChangedFlags::Keys(["shared".to_owned()].into()));
    beta.until("shared", "new").await;
    assert_eq!(alpha.text("shared").await.unwrap(), ("alpha".to_owned(), EvaluationReason::Cached));
    assert_eq!(alpha.events_so_far().await, []);
    drop(beta);
    alpha.shut_down().await;
}
