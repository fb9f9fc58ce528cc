//! What is logged while a test runs.

use std::{
    fmt::{Debug, Write as _},
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

/// All events of all crates, down to `trace`, each as a line with its level.
#[derive(Clone, Default)]
pub struct Logs(Arc<Mutex<Vec<(Level, String)>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl<S: Subscriber> Layer<S> for Logs {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push((*event.metadata().level(), line.0));
    }
}

impl Logs {
    /// Listens in the tasks of this thread.
    pub fn listen() -> (Self, DefaultGuard) {
        let logs = Self::default();
        let guard = tracing_subscriber::registry().with(logs.clone()).set_default();
        (logs, guard)
    }

    /// The lines that hold a text, of this level and above.
    pub fn with(&self, text: &str, level: Level) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let found = lines.iter().filter(|(of, line)| *of <= level && line.contains(text));
        found.map(|(_, line)| line.clone()).collect()
    }
}
