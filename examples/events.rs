//! Prints the state of the provider and each change of a flag, until Ctrl-C.
//!
//! `cargo run --features server --example events [FILE]` serves a flag file (by default
//! `examples/flags.json`) with this crate's own server: edit the file meanwhile. With `FLAGD_HOST`
//! set, it watches that flagd: edit its flags, stop it, and start it again.

mod stand_in;
use stand_in::Flags;

use std::error::Error;

use flagstaff::{ProviderEvent, flagd::ChangedFlags};
use open_feature::OpenFeature;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Flags { provider, server: _server } = Flags::connect().await?;
    let mut events = provider.events();
    OpenFeature::singleton_mut().await.set_provider(provider.clone()).await;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(ProviderEvent::ConfigurationChanged(ChangedFlags::Keys(keys))) => {
                    println!("changed: {}", keys.join(", "));
                }
                Some(ProviderEvent::ConfigurationChanged(_)) => println!("any flag may have changed"),
                Some(ProviderEvent::Ready) => println!("ready"),
                Some(ProviderEvent::Stale) => println!("stale: values may be out of date"),
                Some(ProviderEvent::Error { message, fatal }) => {
                    println!("{}: {message}", if fatal { "fatal error" } else { "error" });
                }
                Some(_) => {}
                None => break,
            },
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    let stats = provider.stats();
    println!("{} reconnections, {} results cached", stats.reconnections, stats.cache_entries);
    provider.shutdown().await;
    Ok(())
}
