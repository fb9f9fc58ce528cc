//! Prints the state of the provider and each change of a flag, until Ctrl-C.
//!
//! `cargo run --example events [FILE]` serves the flag file (`examples/flags.json` unless one is
//! named) by this crate's own server: edit it meanwhile. With `FLAGD_HOST` set it watches that flagd:
//! edit its flags, stop it, start it again.

mod stand_in;
use stand_in::Flags;

use std::error::Error;

use flagstaff::ProviderEvent;
use open_feature::OpenFeature;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Flags { provider, server: _server } = Flags::connect().await?;
    let mut events = provider.events();
    OpenFeature::singleton_mut().await.set_provider(provider.clone()).await;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(ProviderEvent::ConfigurationChanged(flags)) => println!("changed: {flags:?}"),
                Some(ProviderEvent::Error { message, fatal }) => println!("error (fatal: {fatal}): {message}"),
                Some(other) => println!("{other:?}"),
                None => break,
            },
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    println!("{:?}", provider.stats());
    provider.shutdown().await;
    Ok(())
}
