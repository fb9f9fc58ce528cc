//! The signals that ask the program to end, or to read its configuration again.
//!
//! Once [`Signals`] exists, SIGINT and SIGTERM no longer end the program by themselves: the
//! commands wait for them beside their work, and shut down gracefully.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM; on systems other than Unix, Ctrl-C.
///
/// Needs to be created within a runtime.
pub(crate) struct Signals {
    /// SIGTERM, which process managers and container runtimes send.
    #[cfg(unix)]
    terminate: Signal,
    /// SIGINT, which Ctrl-C sends.
    #[cfg(unix)]
    interrupt: Signal,
}

impl Signals {
    /// Starts to listen. A signal that arrives between this and [`next`](Self::next) is not
    /// lost.
    #[cfg(unix)]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Does nothing yet: here, listening starts with [`next`](Self::next).
    #[cfg(not(unix))]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next signal. Cancel-safe: a signal that arrives meanwhile is returned by
    /// the next call.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Waits for Ctrl-C, or for ever if the system cannot report it.
    #[cfg(not(unix))]
    pub(crate) async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}

/// SIGHUP, which asks to read the configuration again; it comes on unix alone.
pub(crate) struct Hangup {
    #[cfg(unix)]
    hangup: Signal,
}

impl Hangup {
    #[cfg(unix)]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { hangup: signal(SignalKind::hangup())? })
    }

    #[cfg(not(unix))]
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) {
        #[cfg(unix)]
        if self.hangup.recv().await.is_some() {
            return;
        }
        std::future::pending::<()>().await;
    }
}
