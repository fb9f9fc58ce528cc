//! A task that evaluates a flag all the time.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use flagstaff::FlagdProvider;
use open_feature::EvaluationErrorCode;
use tokio::{task::JoinHandle, time::sleep};

use crate::{subject::text, support::wait::becomes_true};

/// A task that evaluates one flag again and again.
pub(crate) struct Witness {
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

/// The result of an evaluation, and when it began.
#[derive(Clone, Debug)]
struct Seen {
    asked: Instant,
    value: Result<String, EvaluationErrorCode>,
}

impl Witness {
    /// At least one evaluation has ended when this returns.
    pub(crate) async fn of(provider: &FlagdProvider, key: &'static str) -> Self {
        let (provider, seen) = (provider.clone(), Arc::<Mutex<Vec<Seen>>>::default());
        let log = seen.clone();
        let task = tokio::spawn(async move {
            loop {
                let asked = Instant::now();
                let value = text(&provider, key).await;
                let value = value.map(|(value, _)| value).map_err(|error| error.code);
                log.lock().unwrap().push(Seen { asked, value });
                // This yields to the other tasks and to flagd.
                sleep(Duration::from_millis(1)).await;
            }
        });
        let witness = Self { seen, task };
        becomes_true("the first question", async || !witness.seen().is_empty()).await;
        witness
    }

    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap()
    }

    /// Asserts that no evaluation after `recovery` returned the value from before the loss. flagd
    /// may not know the flag yet.
    pub(crate) async fn saw_no(self, stale: &str, recovery: Instant) {
        let after = |seen: &Seen| seen.asked > recovery;
        becomes_true("a question after the recovery", async || self.seen().iter().any(after)).await;
        self.task.abort();
        let _ = self.task.await; // cancelled
        for Seen { asked, value } in self.seen.lock().unwrap().iter().filter(|seen| after(seen)) {
            let late = *asked - recovery;
            match value {
                Ok(value) => assert_ne!(value, stale, "evaluated {late:?} after the recovery"),
                Err(EvaluationErrorCode::FlagNotFound) => {}
                Err(code) => panic!("{code} {late:?} after the recovery"),
            }
        }
    }
}
