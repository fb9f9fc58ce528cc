//! Who may call a flagd that does not answer: everybody, or one call at a time while the others fail
//! at once. Pure: time is passed in.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// Calls must go unanswered for so many deadlines before the circuit opens: a few calls that began
/// together and fail together say little.
const DEADLINES: u32 = 2;

/// A call has waited long when it has waited for this part of the deadline. One that ended sooner, such
/// as with a connection that was closed, does not show that flagd hangs.
const LONG: u32 = 4;

/// What became of a call, as far as it tells whether flagd is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    /// flagd answered, with a value or an error.
    Answered,
    /// There was no connection, or flagd said that it is unavailable.
    Unreachable,
    /// It ended without an answer, perhaps after a long wait for it.
    Unanswered,
}

/// Without it, a flagd that hangs would cost every evaluation its deadline.
pub(crate) struct CircuitBreaker {
    /// So many unanswered calls in a row open the circuit; 0 is never.
    limit: u32,
    deadline: Duration,
    /// The last call got no answer. At first no call did.
    unreachable: AtomicBool,
    /// The circuit is open: calls have gone unanswered for too long, and none was answered since.
    open: AtomicBool,
    probing: AtomicBool,
    /// Whether `unanswered` holds anything, for calls that are answered to look at.
    counting: AtomicBool,
    unanswered: Mutex<Option<Unanswered>>,
}

/// Calls in a row without an answer.
#[derive(Clone, Copy, Debug)]
struct Unanswered {
    calls: u32,
    /// When the first of them began.
    since: Instant,
}

/// The right to make one call.
pub(crate) struct Admission<'a> {
    breaker: &'a CircuitBreaker,
    probe: bool,
}

impl CircuitBreaker {
    pub(crate) fn new(limit: u32, deadline: Duration) -> Self {
        Self {
            // Without a deadline there is no time by which a call is unanswered.
            limit: if deadline.is_zero() { 0 } else { limit },
            deadline,
            unreachable: AtomicBool::new(true),
            open: AtomicBool::new(false),
            probing: AtomicBool::new(false),
            counting: AtomicBool::new(false),
            unanswered: Mutex::default(),
        }
    }

    /// Lets a call through, or not: one at a time while the circuit is open, and while the last call
    /// got no answer in the state ERROR.
    pub(crate) fn admit(&self, in_error: bool) -> Option<Admission<'_>> {
        let guarded = self.open.load(Ordering::Acquire)
            || in_error && self.unreachable.load(Ordering::Acquire);
        let taken = guarded && self.probing.swap(true, Ordering::AcqRel);
        (!taken).then(|| Admission { breaker: self, probe: guarded })
    }

    /// Whether the circuit is open.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Whether the last call got no answer.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.unreachable.load(Ordering::Acquire)
    }

    /// Whether a call that has waited so long for its answer says something of flagd.
    pub(crate) fn is_long(&self, waited: Duration) -> bool {
        !self.deadline.is_zero() && waited >= self.deadline / LONG
    }

    /// Calls are known to get no answer, from elsewhere.
    pub(crate) fn set_unreachable(&self) {
        self.unreachable.store(true, Ordering::Release);
    }

    /// Notes what became of a call that began at `begun`; true when that opened the circuit. An
    /// answered call writes nothing while all is well: every call in the program comes here.
    pub(crate) fn note(
        &self,
        outcome: CallOutcome,
        begun: Instant,
        now: impl FnOnce() -> Instant,
    ) -> bool {
        let unreachable = outcome != CallOutcome::Answered;
        if self.unreachable.load(Ordering::Relaxed) != unreachable {
            self.unreachable.store(unreachable, Ordering::Release);
        }
        match outcome {
            CallOutcome::Answered => {
                if self.counting.load(Ordering::Relaxed) {
                    self.reset();
                }
                false
            }
            CallOutcome::Unreachable => false,
            CallOutcome::Unanswered => self.count(begun, now()),
        }
    }

    /// Closes the circuit.
    pub(crate) fn reset(&self) {
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        *unanswered = None;
        self.counting.store(false, Ordering::Relaxed);
        self.open.store(false, Ordering::Release);
    }

    fn count(&self, begun: Instant, now: Instant) -> bool {
        if !self.is_long(now.duration_since(begun)) {
            return false;
        }
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        self.counting.store(true, Ordering::Relaxed);
        let row = unanswered.get_or_insert(Unanswered { calls: 0, since: begun });
        row.calls = row.calls.saturating_add(1);
        let opens = self.limit > 0
            && row.calls >= self.limit
            && now.duration_since(row.since) >= self.deadline * DEADLINES;
        opens && !self.open.swap(true, Ordering::AcqRel)
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.probing.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use CallOutcome::{Answered, Unanswered, Unreachable};

    use super::*;

    const DEADLINE: Duration = Duration::from_millis(500);

    fn breaker() -> CircuitBreaker {
        CircuitBreaker::new(5, DEADLINE)
    }

    /// Outcomes at these milliseconds, of calls that took a deadline; gives the times at which the
    /// circuit opened.
    fn opened(breaker: &CircuitBreaker, outcomes: &[(u64, CallOutcome)]) -> Vec<u64> {
        opened_after(DEADLINE, breaker, outcomes)
    }

    fn opened_after(
        taken: Duration,
        breaker: &CircuitBreaker,
        outcomes: &[(u64, CallOutcome)],
    ) -> Vec<u64> {
        let start = Instant::now() + Duration::from_secs(3600);
        let at = |millis: u64| start + Duration::from_millis(millis);
        let opens = |ms, outcome| breaker.note(outcome, at(ms) - taken, || at(ms));
        let noted = outcomes.iter().filter(|(ms, outcome)| opens(*ms, *outcome));
        noted.map(|(ms, _)| *ms).collect()
    }

    fn note(breaker: &CircuitBreaker, outcome: CallOutcome) {
        breaker.note(outcome, Instant::now(), Instant::now);
    }

    #[test]
    fn five_unanswered_calls_in_a_row_open_the_circuit() {
        let breaker = breaker();
        let calls = [500, 1000, 1500, 2000, 2500, 3000].map(|ms| (ms, Unanswered));
        assert_eq!(opened(&breaker, &calls), [2500], "once");
        assert!(breaker.is_open());
    }

    #[test]
    fn calls_that_fail_together_do_not_open_it_before_two_deadlines_have_passed() {
        let breaker = breaker();
        let together = [500; 20].map(|ms| (ms, Unanswered));
        assert_eq!(opened(&breaker, &together), [0; 0]);
        let breaker = self::breaker();
        let calls: Vec<_> = [500; 20].into_iter().chain([999, 1000]).collect();
        let calls: Vec<_> = calls.into_iter().map(|ms| (ms, Unanswered)).collect();
        assert_eq!(opened(&breaker, &calls), [1000]);
    }

    #[test]
    fn an_answer_starts_the_row_anew_and_an_unreachable_flagd_does_not() {
        let outcomes = |fifth| {
            let mut outcomes: Vec<_> = (1..=9).map(|n| (n * 500, Unanswered)).collect();
            outcomes.insert(4, (2200, fifth));
            outcomes
        };
        assert_eq!(opened(&breaker(), &outcomes(Answered)), [4500]);
        assert_eq!(opened(&breaker(), &outcomes(Unreachable)), [2500]);
    }

    #[test]
    fn only_calls_that_have_waited_long_count() {
        let calls: Vec<_> = (1..=30).map(|n| (n * 200, Unanswered)).collect();
        for (taken, times) in [(0, vec![]), (124, vec![]), (125, vec![1200]), (200, vec![1000])] {
            let breaker = breaker();
            let taken = Duration::from_millis(taken);
            assert_eq!(opened_after(taken, &breaker, &calls), times, "{taken:?}");
            assert!(breaker.is_unreachable());
        }
    }

    #[test]
    fn without_a_limit_or_a_deadline_it_never_opens() {
        for breaker in [CircuitBreaker::new(0, DEADLINE), CircuitBreaker::new(5, Duration::ZERO)] {
            let calls: Vec<_> = (1..100).map(|n| (n * 500, Unanswered)).collect();
            assert_eq!(opened(&breaker, &calls), [0; 0]);
        }
    }

    #[test]
    fn a_closed_circuit_admits_all() {
        let breaker = breaker();
        let admitted: Vec<_> = (0..3).map(|_| breaker.admit(false)).collect();
        assert!(admitted.iter().all(Option::is_some));
    }

    #[test]
    fn an_open_circuit_admits_one_at_a_time_until_one_is_answered() {
        let breaker = breaker();
        opened(&breaker, &[500, 1000, 1500, 2000, 2500].map(|ms| (ms, Unanswered)));
        let probe = breaker.admit(false);
        assert!(probe.is_some());
        assert!(breaker.admit(false).is_none());
        drop(probe);
        let probe = breaker.admit(false);
        assert!(probe.is_some(), "the next one probes");
        note(&breaker, Answered);
        assert!(breaker.admit(false).is_some() && breaker.admit(false).is_some());
    }

    #[test]
    fn in_error_one_call_at_a_time_is_admitted_until_one_is_answered() {
        let breaker = breaker();
        let probe = breaker.admit(true);
        assert!(probe.is_some() && breaker.admit(true).is_none());
        assert!(breaker.admit(false).is_some(), "in another state all may call");
        note(&breaker, Answered);
        assert!(breaker.admit(true).is_some() && breaker.admit(true).is_some());
        note(&breaker, Unreachable);
        assert!(breaker.admit(true).is_none(), "the probe of before is still under way");
        drop(probe);
        assert!(breaker.admit(true).is_some());
    }
}
