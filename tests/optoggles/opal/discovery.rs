//! What an OPAL client says of its OPA.

use flagstaff::optoggles::{Answer, FailureKind, OpalSource, OpalSourceBuilder, PolicySource as _};
use serde_json::json;

use super::Opal;
use crate::{engine::toggle, policy::users};

fn built(builder: OpalSourceBuilder) -> OpalSource {
    builder.build("key", "http://127.0.0.1:1", "t").unwrap()
}

#[tokio::test]
async fn the_token_is_the_one_that_is_for_use() {
    let opal = Opal::start(&["bob"]).await;
    let rule = toggle("us").rule;
    let slash = format!("{}/", opal.url);
    for (store, own, expected) in [
        (json!({"url": slash, "auth_type": "none"}), None, None),
        (json!({"url": slash}), None, None),
        // A token that comes along with `none` is not.
        (json!({"url": slash, "auth_type": "none", "token": "opal's"}), None, None),
        (json!({"url": slash, "auth_type": "token", "token": "opal's"}), None, Some("opal's")),
        (json!({"url": slash, "auth_type": "token", "token": "opal's"}), Some("own"), Some("own")),
        (json!({"url": slash, "auth_type": "token"}), Some("own"), Some("own")),
        (json!({"url": slash, "auth_type": "oauth"}), Some("own"), Some("own")),
    ] {
        opal.says(store.clone());
        let mut builder = OpalSource::builder(&opal.url);
        if let Some(own) = own {
            builder = builder.opa_token(own);
        }
        let answer = built(builder).users(&rule).await.unwrap();
        assert_eq!(answer, Answer::users(users("bob")));
        let expected = expected.map(|token| format!("Bearer {token}"));
        assert_eq!(opal.token(), expected, "{store}");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_said_with_the_remedy() {
    let opal = Opal::start(&["bob"]).await;
    for (store, expected) in [
        (json!({"url": "http://opa", "auth_type": "token"}), "set `opaToken` or `opaTokenFile`"),
        (
            json!({"url": "http://opa", "auth_type": "oauth", "oauth_client_secret": "hush"}),
            "`oauth`",
        ),
        (json!({"url": "http://opa", "auth_type": "tls"}), "`tls`"),
        (json!({"url": "http://ann:hush@", "auth_type": "none"}), "set `opaUrl`"),
    ] {
        opal.says(store);
        let failure = built(OpalSource::builder(&opal.url)).users(&toggle("us").rule).await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Permanent, "{failure}");
        let text = failure.to_string();
        assert!(text.contains(expected) && !text.contains("hush"), "{text}");
    }
    opal.says(json!({"type": "OPA"}));
    let failure = built(OpalSource::builder(&opal.url)).users(&toggle("us").rule).await;
    assert!(failure.unwrap_err().to_string().contains("expected the configuration"));
}

/// OPAL is not there at all.
#[tokio::test]
async fn an_opa_that_is_configured_is_queried_without_opal() {
    let opa = Opal::start(&["bob"]).await;
    let builder = OpalSource::builder("http://127.0.0.1:1").opa_url(&opa.url).opa_token("own");
    let source = built(builder);
    source.changed().await.unwrap();
    let answer = source.users(&toggle("us").rule).await.unwrap();
    assert_eq!(answer, Answer::users(users("bob")));
    assert_eq!(opa.token().as_deref(), Some("Bearer own"));
    source.changed().await.unwrap_err();
}
