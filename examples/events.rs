//! Prints the state of the provider and each change of a flag, until Ctrl-C.
//!
//! `cargo run --example events [FILE]` serves the flag file (`examples/flags.json` unless one is
//! named) by a stand-in for flagd: edit it meanwhile. With `FLAGD_HOST` set it watches that flagd:
//! edit its flags, stop it, start it again.

mod stand_in;
use stand_in::{Flags, support};

use std::{error::Error, time::Duration};

use flagstaff::ProviderEvent;
use open_feature::OpenFeature;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Flags { provider, mut stand_in } = Flags::connect()?;
    let mut events = provider.events();
    OpenFeature::singleton_mut().await.set_provider(provider.clone()).await;
    let mut poll = tokio::time::interval(Duration::from_millis(500));
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(ProviderEvent::ConfigurationChanged(flags)) => println!("changed: {flags:?}"),
                Some(ProviderEvent::Error { message, fatal }) => println!("error (fatal: {fatal}): {message}"),
                Some(other) => println!("{other:?}"),
                None => break,
            },
            _ = poll.tick() => if let Some(stand_in) = &mut stand_in {
                // An editor may be half way through writing the file.
                if let Err(error) = stand_in.reload() {
                    println!("the former flags stay: {error}");
                }
            },
            _ = tokio::signal::ctrl_c() => break,
        }
    }
    println!("{:?}", provider.stats());
    provider.shutdown().await;
    Ok(())
}
