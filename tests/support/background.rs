//! A runtime on a thread of its own, for servers: a test may block or drop its runtime without
//! stalling the server, and stopping drops every task and socket at once.

use std::{
    future::Future,
    thread::{self, JoinHandle},
};

use tokio::sync::oneshot;

/// A future that runs until it ends, or until this is stopped or dropped.
#[derive(Debug)]
pub struct Background {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Runs the future that `start` makes, inside the new runtime.
    pub fn spawn<F>(name: &str, start: impl FnOnce() -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()>,
    {
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = async { start().await } => {}
                }
            });
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run).unwrap();
        Self { stop: Some(stop), thread: Some(thread) }
    }

    /// Ends it; when this returns, all its sockets are closed.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}
