//! The task that passes changes of the context source on to the clients.
//!
//! ```text
//! changed() -- names of fields --> flags whose rules read them -- pace --> store --> event streams
//! ```
//!
//! A flag is reported at once, and then at most once a second, however often its
//! fields change.

mod pace;

use std::{sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use self::pace::Pace;
use crate::{
    context_change::ContextChange, context_source::ContextSource, excerpt::excerpt,
    server::core::Core,
};

/// How long a flag that was reported is not reported again.
const PERIOD: Duration = Duration::from_secs(1);

/// Follows the context source for as long as the server runs.
pub(crate) async fn follow(core: Arc<Core>, source: Arc<dyn ContextSource>) {
    let mut pace = Pace::new(PERIOD);
    let mut seen = 0;
    loop {
        let elapsed = async {
            match pace.deadline() {
                Some(deadline) => sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let due = tokio::select! {
            ContextChange { version, fields } = source.changed(seen) => {
                seen = version;
                let name = &*excerpt(source.name());
                tracing::debug!(source = name, "fields of a context source changed");
                let flags = core.store.snapshot().clone();
                // The first one after an update looks through all rules.
                let Ok(readers) = spawn_blocking(move || flags.readers(&fields)).await else {
                    return; // the runtime shuts down
                };
                pace.changed(readers, Instant::now())
            }
            () = elapsed => pace.elapsed(Instant::now()),
        };
        if !due.is_empty() {
            core.store.touch(due);
        }
    }
}
