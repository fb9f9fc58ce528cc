//! A function that uses flags, and its tests: `cargo test --features server --example testing`.
//!
//! The function takes an OpenFeature client. The program gives it one for flagd, and each test gives
//! it one for a [`TestServer`](flagstaff::server::testing::TestServer) of its own.

use flagstaff::FlagdProvider;
use open_feature::{Client, EvaluationContext, OpenFeature};

/// The price of a delivery, in cents. It is free for users chosen by the flag `free-delivery`.
async fn delivery_price(flags: &Client, user: &str, country: &str) -> u32 {
    let context =
        EvaluationContext::default().with_targeting_key(user).with_custom_field("country", country);
    let free = flags.get_bool_value("free-delivery", Some(&context), None).await;
    if free.unwrap_or(false) { 0 } else { 490 }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    OpenFeature::singleton_mut().await.set_provider(FlagdProvider::from_env()?).await;
    let flags = OpenFeature::singleton().await.create_client();
    println!("the delivery costs {} cents", delivery_price(&flags, "user-1", "NL").await);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flagstaff::{ProviderEvent, server::testing::TestServer};
    use serde_json::json;
    use tokio::time::timeout;

    use super::*;

    /// A client of its own for each test: the SDK's registry is global, and tests run concurrently.
    async fn client(provider: FlagdProvider) -> Client {
        let mut api = OpenFeature::default();
        api.set_provider(provider).await;
        api.create_client()
    }

    #[tokio::test]
    async fn a_missing_flag_does_not_give_deliveries_away() {
        let server = TestServer::start().await;
        let flags = client(server.provider().await).await;
        assert_eq!(delivery_price(&flags, "user-1", "NL").await, 490);
    }

    #[tokio::test]
    async fn delivery_is_free_in_one_country() {
        let server = TestServer::start().await;
        server.define(
            "free-delivery",
            json!({
                "state": "ENABLED",
                "variants": {"yes": true, "no": false},
                "defaultVariant": "no",
                "targeting": {"if": [{"==": [{"var": "country"}, "NL"]}, "yes"]},
            }),
        );
        let flags = client(server.provider().await).await;
        assert_eq!(delivery_price(&flags, "user-1", "NL").await, 0);
        assert_eq!(delivery_price(&flags, "user-1", "FR").await, 490);
    }

    /// `server.provider()` has no cache, so that a change needs no waiting.
    #[tokio::test]
    async fn a_change_takes_effect() {
        let server = TestServer::start().await;
        server.set("free-delivery", false);
        let flags = client(server.provider().await).await;
        assert_eq!(delivery_price(&flags, "user-1", "NL").await, 490);
        server.set("free-delivery", true);
        assert_eq!(delivery_price(&flags, "user-1", "NL").await, 0);
    }

    /// A provider with a cache, as the program has it, sees a change when its event arrives.
    #[tokio::test]
    async fn a_change_takes_effect_with_a_cache() {
        let server = TestServer::start().await;
        server.set("free-delivery", false);
        let options = server.options().build_with_env(|_| None).unwrap();
        let provider = FlagdProvider::new(options);
        let mut events = provider.events();
        let flags = client(provider.clone()).await;
        provider.wait_ready(Duration::from_secs(10)).await.unwrap();
        assert_eq!(delivery_price(&flags, "user-1", "NL").await, 490);

        server.set("free-delivery", true);
        let changed = async {
            while !matches!(events.next().await.unwrap(), ProviderEvent::ConfigurationChanged(_)) {}
        };
        timeout(Duration::from_secs(10), changed).await.unwrap();
        assert_eq!(delivery_price(&flags, "user-1", "NL").await, 0);
    }
}
