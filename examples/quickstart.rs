//! Evaluates a flag of each type, shows a cache hit, and a change of a flag as it arrives.
//!
//! `cargo run --features server --example quickstart` needs nothing else: it starts this crate's own
//! server. With `FLAGD_HOST` set, and the flags of `examples/flags.json` in that flagd, it uses that
//! one.

mod stand_in;
use stand_in::Flags;

use std::{
    error::Error,
    fmt::{self, Display},
    time::Duration,
};

use flagstaff::{
    ProviderEvent,
    flagd::{ChangedFlags, Events},
    reason,
};
use open_feature::{
    EvaluationContext, EvaluationDetails, EvaluationError, EvaluationReason, OpenFeature,
    StructValue, Value,
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
        Some(ProviderEvent::Error { message, .. }) => return Err(message.into()),
        _ => return Err("the provider is not ready".into()),
    }

    let client = OpenFeature::singleton().await.create_client();
    let user =
        EvaluationContext::default().with_targeting_key("user-1").with_custom_field("beta", true);
    let user = Some(&user);
    show("new-checkout", client.get_bool_details("new-checkout", user, None).await);
    show("greeting", client.get_string_details("greeting", user, None).await);
    show("page-size", client.get_int_details("page-size", user, None).await);
    show("discount", client.get_float_details("discount", user, None).await);
    show("banner", client.get_struct_details::<Banner>("banner", user, None).await);
    show("beta", client.get_bool_details("beta", user, None).await);
    show("no-such-flag", client.get_bool_details("no-such-flag", user, None).await);

    println!("\nonce more, from the cache:");
    show("new-checkout", client.get_bool_details("new-checkout", user, None).await);

    if let Some(server) = &server {
        println!("\nthe flag `greeting` is switched to its variant `long`:");
        let variants = json!({"short": "hi", "long": "good morning"});
        server.flags().set("greeting", json!({"variants": variants, "defaultVariant": "long"}))?;
        let flags = timeout(Duration::from_secs(10), change(&mut events)).await;
        let flags = flags.map_err(|_| "no change arrived")?.ok_or("the provider has ended")?;
        if let ChangedFlags::Keys(keys) = flags {
            println!("event: {} has changed", keys.join(", "));
        }
        show("greeting", client.get_string_details("greeting", user, None).await);
    }
    let stats = provider.stats();
    println!("\nevaluations: {} from the cache, {} by flagd", stats.cache_hits, stats.cache_misses);
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

fn show<T: Display>(key: &str, result: Result<EvaluationDetails<T>, EvaluationError>) {
    match result {
        Ok(EvaluationDetails { value, variant, reason, .. }) => {
            let variant = variant.unwrap_or_default();
            let reason = reason.map(|reason| reason.to_string()).unwrap_or_default();
            println!("{key:13} {value} (variant {variant}, {reason})");
        }
        Err(error) => match reason(&error) {
            EvaluationReason::Error => {
                println!("{key:13} error: {}", error.message.unwrap_or_default());
            }
            // The flag is disabled, or has no default variant.
            reason => println!("{key:13} your default value ({reason})"),
        },
    }
}

/// A flag that is an object becomes a type of the program.
struct Banner {
    text: String,
    colours: Vec<String>,
}

impl TryFrom<StructValue> for Banner {
    type Error = &'static str;

    fn try_from(mut value: StructValue) -> Result<Self, Self::Error> {
        let Some(Value::String(text)) = value.fields.remove("text") else {
            return Err("`text` is not a string");
        };
        let Some(Value::Array(colours)) = value.fields.remove("colours") else {
            return Err("`colours` is not an array");
        };
        let colours = colours.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        Ok(Self { text, colours })
    }
}

impl Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.text, self.colours.join(" and "))
    }
}
