//! Who may call a flagd that is out of reach: one call at a time, the others fail at once.

use std::sync::atomic::{AtomicBool, Ordering};

/// Without it, a flagd that hangs would cost every evaluation its deadline.
pub(crate) struct Gate {
    closed: AtomicBool,
    probing: AtomicBool,
}

/// Closed until a call was answered.
impl Default for Gate {
    fn default() -> Self {
        Self { closed: AtomicBool::new(true), probing: AtomicBool::new(false) }
    }
}

/// The right to make one call.
pub(crate) struct Admission<'a> {
    gate: &'a Gate,
    probe: bool,
}

impl Gate {
    /// Lets a call through, or not; in any case while the gate is open or not guarded.
    pub(crate) fn admit(&self, guarded: bool) -> Option<Admission<'_>> {
        if !guarded || !self.closed.load(Ordering::Acquire) {
            return Some(Admission { gate: self, probe: false });
        }
        let free = !self.probing.swap(true, Ordering::AcqRel);
        free.then(|| Admission { gate: self, probe: true })
    }

    pub(crate) fn set_closed(&self, closed: bool) {
        self.closed.store(closed, Ordering::Release);
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.gate.probing.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_gate_admits_all() {
        let gate = Gate::default();
        gate.set_closed(false);
        let admitted: Vec<_> = (0..3).map(|_| gate.admit(true)).collect();
        assert!(admitted.iter().all(Option::is_some));
    }

    #[test]
    fn a_closed_gate_admits_one_at_a_time() {
        let gate = Gate::default();
        gate.set_closed(true);
        let probe = gate.admit(true);
        assert!(probe.is_some());
        assert!(gate.admit(true).is_none());
        drop(probe);
        assert!(gate.admit(true).is_some(), "the next one probes");
    }

    #[test]
    fn a_closed_gate_admits_all_while_it_is_not_guarded() {
        let gate = Gate::default();
        gate.set_closed(true);
        assert!(gate.admit(false).is_some() && gate.admit(false).is_some());
    }

    #[test]
    fn success_opens_the_gate_for_all() {
        let gate = Gate::default();
        gate.set_closed(true);
        let _probe = gate.admit(true);
        gate.set_closed(false);
        assert!(gate.admit(true).is_some() && gate.admit(true).is_some());
    }
}
