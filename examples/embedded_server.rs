//! A program that serves flags in place of flagd: those of a file, and its own.
//!
//! `cargo run --features server --example embedded_server` prints the addresses and a command that
//! evaluates a flag. Type `on` or `off` to switch the flag `maintenance`. Ctrl-C, or the end of the
//! input, shuts the server down.

use std::{error::Error, thread, time::Duration};

use flagstaff::{
    server::{Flags, Server},
    source::FileSource,
};
use serde_json::json;
use tokio::sync::mpsc;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/flags.json");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::builder()
        .source(FileSource::new(FILE, Duration::from_secs(5)))
        // Rules can read it, as `{"var": "stage"}`.
        .context_value("stage", "production")
        // Free ports of 127.0.0.1, so that the example runs beside a flagd. A deployment names its
        // ports, such as `.evaluation(([0, 0, 0, 0], 8013))`, and leaves out what it does not serve.
        .ephemeral()
        .bind()
        .await?;

    // They override flags of the file with the same keys.
    let flags = server.flags();
    flags.set_value("maintenance", false)?;
    flags.set(
        "support-chat",
        json!({
            "state": "ENABLED",
            "variants": {"on": true, "off": false},
            "defaultVariant": "off",
            "targeting": {"if": [{"==": [{"var": "plan"}, "premium"]}, "on"]},
        }),
    )?;

    // Clients may connect earlier: their requests wait until the flags are loaded.
    server.ready().await;
    for (service, address) in [
        ("evaluation", server.evaluation_addr()),
        ("sync", server.sync_addr()),
        ("management", server.management_addr()),
        ("OFREP", server.ofrep_addr()),
    ] {
        if let Some(address) = address {
            println!("{service:10} {address}");
        }
    }
    if let Some(address) = server.ofrep_addr() {
        println!("\ncurl -X POST http://{address}/ofrep/v1/evaluate/flags/support-chat \\");
        println!("    -d '{{\"context\": {{\"plan\": \"premium\"}}}}'\n");
    }

    tokio::select! {
        switched = switch(&flags) => switched?,
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    println!("shutting down");
    server.shutdown().await;
    Ok(())
}

/// Switches `maintenance` as typed, until the input ends. Every client is notified.
async fn switch(flags: &Flags) -> Result<(), Box<dyn Error>> {
    let mut lines = typed();
    while let Some(line) = lines.recv().await {
        let on = match line.trim() {
            "on" => true,
            "off" => false,
            _ => {
                println!("type `on` or `off`");
                continue;
            }
        };
        flags.set_value("maintenance", on)?;
        println!("maintenance is {}", if on { "on" } else { "off" });
    }
    Ok(())
}

/// The lines of the standard input. A thread reads them, because a runtime waits for its own readers
/// when it ends.
fn typed() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
