//! The circuit breaker: limits calls to a flagd that does not respond. Pure: time
//! is passed in.
//!
//! While the circuit is closed, every call is made. While it is open, one call at
//! a time is made as a probe, and the others fail immediately. Without it, a
//! flagd that hangs would cost every evaluation its deadline.
//!
//! ```text
//!          `limit` unanswered calls in a row, over two deadlines
//! closed ─────────────────────────────────────────────────────────> open
//!    ^                                                                │
//!    └──────── a call gets a response, or `reset` ────────────────────┘
//! ```
//!
//! Only calls that have waited for a quarter of the deadline count, because only
//! they show that flagd hangs. A flagd that refuses connections fails fast anyway
//! and does not open the circuit. There is no timer that half-opens it, unlike in
//! most circuit breakers: the probe is simply the next call of the program, so
//! that a program that makes no calls sends none either.
//!
//! The same rule of one call at a time holds in the state ERROR while calls get
//! no response, whether or not the circuit is open. See `maxUnansweredCalls` in
//! `docs/options.md`.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// For how many deadlines calls must go unanswered before the circuit opens. Calls
/// that began together also fail together, and show only one problem.
const DEADLINES: u32 = 2;

/// A call counts if it has waited for the deadline divided by this. One that ended
/// sooner, for example because its connection was closed, does not show that
/// flagd hangs.
const LONG: u32 = 4;

/// The outcome of a call, as far as it says whether flagd responds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    /// flagd responded, with a value or an error.
    Answered,
    /// There was no connection, the call was aborted, or the response was
    /// `UNAVAILABLE`. Such calls fail fast.
    Unreachable,
    /// The call ended without a response, possibly after a long wait.
    Unanswered,
}

/// Decides which calls may be made; see the [module](self).
///
/// It is shared by all calls of a provider. The flags are atomics, and a lock is
/// only taken for unanswered calls that count, and for the first response after
/// them.
pub(crate) struct CircuitBreaker {
    /// How many unanswered calls in a row open the circuit; 0 means that it never
    /// opens.
    limit: u32,
    /// The deadline of a call; zero means that there is none.
    deadline: Duration,
    /// Whether the last call got no response. True at first, when there was no call.
    unreachable: AtomicBool,
    /// Whether the circuit is open: calls have gone unanswered for too long, and
    /// none has got a response since.
    open: AtomicBool,
    /// Whether a probe is being made.
    probing: AtomicBool,
    /// Whether `unanswered` is set, so that a call that gets a response need not
    /// lock it.
    counting: AtomicBool,
    unanswered: Mutex<Option<Unanswered>>,
}

/// The unanswered calls in a row, of those that have waited long enough to count.
#[derive(Clone, Copy, Debug)]
struct Unanswered {
    calls: u32,
    /// When the call that failed first began.
    since: Instant,
}

/// Permission to make one call. Keep it until the call has ended: dropping that
/// of a probe lets the next probe through, also if the call was cancelled.
pub(crate) struct Admission<'a> {
    breaker: &'a CircuitBreaker,
    /// Whether the call is a probe, the only one at its time.
    probe: bool,
}

impl CircuitBreaker {
    /// A closed circuit, for the options `maxUnansweredCalls` and `deadlineMs`.
    pub(crate) fn new(limit: u32, deadline: Duration) -> Self {
        Self {
            // Without a deadline, a call is never late.
            limit: if deadline.is_zero() { 0 } else { limit },
            deadline,
            unreachable: AtomicBool::new(true),
            open: AtomicBool::new(false),
            probing: AtomicBool::new(false),
            counting: AtomicBool::new(false),
            unanswered: Mutex::default(),
        }
    }

    /// Permits a call, or returns `None` if it must fail immediately.
    ///
    /// One call at a time is permitted while the circuit is open, and also in the
    /// state ERROR while the last call got no response. Any number is permitted
    /// otherwise.
    pub(crate) fn admit(&self, in_error: bool) -> Option<Admission<'_>> {
        let guarded = self.open.load(Ordering::Acquire)
            || in_error && self.unreachable.load(Ordering::Acquire);
        let taken = guarded && self.probing.swap(true, Ordering::AcqRel);
        (!taken).then(|| Admission { breaker: self, probe: guarded })
    }

    /// Whether the circuit is open, so that only probes are made.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Whether the last call got no response.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.unreachable.load(Ordering::Acquire)
    }

    /// Whether a call that ended without a response after this time counts.
    pub(crate) fn is_long(&self, waited: Duration) -> bool {
        !self.deadline.is_zero() && waited >= self.deadline / LONG
    }

    /// Notes that calls get no response, if that is known from the event stream.
    pub(crate) fn set_unreachable(&self) {
        self.unreachable.store(true, Ordering::Release);
    }

    /// Notes the outcome of a call that began at `begun`, and returns whether that
    /// has opened the circuit.
    ///
    /// Every call of the program passes here, so one with a response writes
    /// nothing while there is nothing to reset: a shared cache line that is only
    /// read does not slow down other cores. `now` is only called for outcomes that
    /// need the time.
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

    /// Closes the circuit, and forgets the unanswered calls.
    pub(crate) fn reset(&self) {
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        *unanswered = None;
        self.counting.store(false, Ordering::Relaxed);
        self.open.store(false, Ordering::Release);
    }

    /// Counts an unanswered call, and returns whether that has opened the circuit.
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

    /// Notes outcomes at these times in milliseconds, of calls that took a whole deadline, and
    /// returns the times at which the circuit opened.
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
        assert!(!breaker.is_open());
    }

    #[test]
    fn flagd_counts_as_reachable_from_its_first_answer_on() {
        let breaker = breaker();
        assert!(breaker.is_unreachable());
        opened(&breaker, &[(0, Answered)]);
        assert!(!breaker.is_unreachable());
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
