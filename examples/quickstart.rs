//! Evaluates a flag of each type, shows a cache hit, and a change of a flag as it arrives.
//!
//! `cargo run --example quickstart` needs nothing else: it starts this crate's own server. With
//! `FLAGD_HOST` set, and the flags of `examples/flags.json` in that flagd, it uses that one.

mod stand_in;
use stand_in::Flags;

use std::{error::Error, fmt::Debug, time::Duration};

use flagstaff::{
    FlagdProvider, ProviderEvent,
    flagd::{ChangedFlags, Events},
    reason,
};
use open_feature::{
    EvaluationContext, EvaluationDetails, EvaluationError, OpenFeature, StructValue,
};
use serde_json::json;
use tokio::time::timeout;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Flags { provider, server } = Flags::connect().await?;
    let mut events = provider.events();
    OpenFeature::singleton_mut().await.set_provider(provider.clone()).await;
    match events.next().await {
        Some(ProviderEvent::Ready) => println!("the provider is ready\n"),
        other => return Err(format!("flagd is out of reach: {other:?}").into()),
    }

    let client = OpenFeature::singleton().await.create_client();
    let user =
        EvaluationContext::default().with_targeting_key("user-1").with_custom_field("beta", true);
    let user = Some(&user);
    show("new-checkout", client.get_bool_details("new-checkout", user, None).await);
    show("greeting", client.get_string_details("greeting", user, None).await);
    show("page-size", client.get_int_details("page-size", user, None).await);
    show("discount", client.get_float_details("discount", user, None).await);
    show("banner", client.get_struct_details::<StructValue>("banner", user, None).await);
    show("beta", client.get_bool_details("beta", user, None).await);
    show("no-such-flag", client.get_bool_details("no-such-flag", user, None).await);

    println!("\nonce more, from the cache:");
    show("new-checkout", client.get_bool_details("new-checkout", user, None).await);

    if let Some(server) = &server {
        println!("\n`greeting` is switched to \"long\":");
        let variants = json!({"short": "hi", "long": "good morning"});
        server.flags().set("greeting", json!({"variants": variants, "defaultVariant": "long"}))?;
        let flags = timeout(Duration::from_secs(10), change(&mut events)).await;
        let flags = flags.map_err(|_| "no change arrived")?.ok_or("the provider has ended")?;
        println!("event: changed {flags:?}");
        show("greeting", client.get_string_details("greeting", user, None).await);
    }
    summary(&provider);
    provider.shutdown().await;
    if let Some(server) = server {
        server.shutdown().await;
    }
    Ok(())
}

/// The flags that change next.
async fn change(events: &mut Events) -> Option<ChangedFlags> {
    loop {
        if let ProviderEvent::ConfigurationChanged(flags) = events.next().await? {
            return Some(flags);
        }
    }
}

fn show<T: Debug>(key: &str, result: Result<EvaluationDetails<T>, EvaluationError>) {
    match result {
        Ok(details) => {
            let reason = details.reason.map(|reason| reason.to_string()).unwrap_or_default();
            let variant = details.variant.unwrap_or_default();
            println!("{key:13} = {:?}, variant {variant:?}, reason {reason}", details.value);
        }
        Err(error) => {
            let message = error.message.clone().unwrap_or_default();
            println!("{key:13}   no value, reason {}, {message}", reason(&error));
        }
    }
}

fn summary(provider: &FlagdProvider) {
    let stats = provider.stats();
    println!(
        "\n{} evaluations from the cache, {} from flagd, state {:?}",
        stats.cache_hits, stats.cache_misses, stats.state
    );
}
