//! Parameters that are true or false.

use serde_json::json;

use crate::support::service;

#[tokio::test]
async fn a_parameter_that_is_neither_true_nor_false_is_rejected() {
    let service = service(&[]).await;
    service.feature("f").await;
    service.set("production", "f", "ON").await;
    for wrong in ["1", "0", "yes", "no", "tru", "%20"] {
        let path = format!("/api/features?due={wrong}");
        service.public(&path).await.is_problem(400, "invalid_request");
        let path = format!("/api/features/f?hard={wrong}");
        service.delete(&path).await.is_problem(400, "invalid_request");
    }
    let listed = json!({ "features": [{ "name": "f" }] });
    for all in ["", "?due=false", "?due=FALSE", "?due="] {
        service.public(&format!("/api/features{all}")).await.is(200, listed.clone());
    }
    service.public("/api/features?due=True").await.is(200, json!({ "features": [] }));
    // A soft delete keeps what programs get.
    service.delete("/api/features/f?hard=false").await.is_empty();
    assert!(service.is_on("production", "f", "").await);
    service.delete("/api/features/f?hard=TRUE").await.is_empty();
    assert!(!service.is_on("production", "f", "").await);
}
