//! The signals that ask the program to end.

use std::io;

/// Ends with the first SIGINT or SIGTERM.
#[cfg(unix)]
pub(crate) async fn end() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Ends with Ctrl-C.
#[cfg(not(unix))]
pub(crate) async fn end() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}
