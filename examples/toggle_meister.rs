//! Follows a toggle of Toggle-Meister: each environment is a flag set, chosen by the selector.
//!
//! ```sh
//! cargo run -p toggle-meister -- --dev
//! cargo run --example toggle_meister -- hello jane
//! ```
//!
//! The first command prints others that create `hello` and roll it out.

use std::{env, error::Error};

use flagstaff::{FlagdOptions, FlagdProvider, ProviderEvent};
use open_feature::{EvaluationContext, provider::FeatureProvider as _};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let feature = arguments.next().ok_or("the first argument is a feature")?;
    let id = arguments.next().ok_or("the second argument is the id of a user")?;

    // `FLAGD_HOST` and the other variables of the provider count as well.
    let options = FlagdOptions::builder().selector("flagSetId=production").build()?;
    let provider = FlagdProvider::new(options);
    let mut events = provider.events();
    provider.start().await;
    let user = EvaluationContext::default().with_targeting_key(id);
    while let Some(event) = events.next().await {
        match event {
            // The toggle was switched, or its rollout has taken a step.
            ProviderEvent::Ready | ProviderEvent::ConfigurationChanged(_) => {
                match provider.resolve_bool_value(&feature, &user).await {
                    Ok(details) => println!("{feature}: {}", details.value),
                    // A program goes on with its default value, which should be `false`.
                    Err(error) => println!("{feature}: {}", error.message.unwrap_or_default()),
                }
            }
            ProviderEvent::Error { message, .. } => eprintln!("{message}"),
            _ => {}
        }
    }
    Ok(())
}
