//! Prometheus' [text format](https://prometheus.io/docs/instrumenting/exposition_formats/).
//!
//! ```text
//! # HELP flagstaff_event_streams Streams of events.
//! # TYPE flagstaff_event_streams gauge
//! flagstaff_event_streams 3
//! ```

use std::fmt::Write;

/// A page in the making. Writing to a string cannot fail, so errors are ignored.
#[derive(Default)]
pub(crate) struct Exposition(pub(crate) String);

impl Exposition {
    /// Begins a metric. Its samples must follow before the next one begins.
    pub(crate) fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Writes one sample. Values of labels are escaped; names are taken as they
    /// are.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        self.0.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"", if index == 0 { '{' } else { ',' });
            for c in value.chars() {
                match c {
                    '\n' => self.0.push_str("\\n"),
                    '"' | '\\' => self.0.extend(['\\', c]),
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}
