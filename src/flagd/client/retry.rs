//! When a unary call that was lost is repeated. Pure: time is passed in.
//!
//! Evaluations are idempotent, so a call may be repeated even if flagd has
//! already processed it. What is worth repeating depends on the error and on what
//! is known of flagd:
//!
//! | error | [`Good`](Outlook::Good) | [`Doubtful`](Outlook::Doubtful) | [`Bad`](Outlook::Bad) |
//! |---|---|---|---|
//! | [`Lost`](TransportError::Lost) | until the deadline | until the deadline | once |
//! | [`Connect`](TransportError::Connect), after the call was lost | until the deadline | until the deadline | no |
//! | [`Connect`](TransportError::Connect) otherwise | until the deadline | no | no |
//! | [`Broken`](TransportError::Broken) | once | once | once |
//! | [`Closed`](TransportError::Closed), [`TimedOut`](TransportError::TimedOut) | no | no | no |
//!
//! A gRPC status of flagd is never repeated: it is a response. In particular,
//! flagd uses `UNKNOWN` for evaluation errors, which the retry policy of the
//! [flagd provider specification] would repeat. See "Lost calls and connections"
//! in `docs/lifecycle.md`.
//!
//! [flagd provider specification]: https://flagd.dev/reference/specifications/providers/#grpc-retry-policy

use std::time::Duration;

use tokio::time::Instant;

use super::transport::TransportError;

/// How long a lost call is repeated if it has no deadline.
const WITHOUT_DEADLINE: Duration = Duration::from_secs(5);

/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_millis(100);

/// Whether flagd is likely to accept the next attempt, as far as the provider
/// knows from its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// It is ready, or was a moment ago: it may be restarting, or have a replica.
    Good,
    /// It has been disconnected for a while, or it responds to calls while no
    /// event stream can be opened.
    Doubtful,
    /// It is unavailable, as far as is known: calls must fail early instead of
    /// costing the program their deadline.
    Bad,
}

/// The repetitions of one call. Created when its first attempt fails, so that a
/// call that succeeds costs nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    /// How many repetitions were allowed so far.
    attempts: u32,
    /// Whether an attempt had a connection, and lost it.
    connected: bool,
    /// Whether an attempt was aborted while the connection stayed usable.
    broken: bool,
    /// No repetition begins at this time or later.
    end: Instant,
}

impl Retries {
    /// The first attempt has failed at `now`; the call must end at `deadline`.
    pub(crate) fn new(now: Instant, deadline: Option<Instant>) -> Self {
        let end = deadline.unwrap_or(now + WITHOUT_DEADLINE);
        Self { attempts: 0, connected: false, broken: false, end }
    }

    /// How long to pause before the next attempt; `None` if there is none, because
    /// the error is final or the deadline would pass during the pause.
    ///
    /// There is no pause before the first repetition, which most often finds a
    /// new connection. Then it is 1, 2, 4 and so on up to 100 ms, because a proxy
    /// that retires its connections may close the next one too.
    pub(crate) fn pause(
        &mut self,
        error: &TransportError,
        outlook: Outlook,
        now: Instant,
    ) -> Option<Duration> {
        if !self.goes_on(error, outlook) {
            return None;
        }
        let pause = match self.attempts {
            0 => Duration::ZERO,
            n => LONGEST.min(Duration::from_millis(1 << (n - 1).min(10))),
        };
        self.attempts += 1;
        (now + pause < self.end).then_some(pause)
    }

    /// The table of the [module](self), and the memory that it needs.
    fn goes_on(&mut self, error: &TransportError, outlook: Outlook) -> bool {
        match error {
            TransportError::Lost(_) => {
                self.connected = true;
                self.attempts == 0 || outlook != Outlook::Bad
            }
            TransportError::Connect(_) if self.connected => outlook != Outlook::Bad,
            TransportError::Connect(_) => outlook == Outlook::Good,
            TransportError::Broken(_) => !std::mem::replace(&mut self.broken, true),
            TransportError::Closed(_) | TransportError::TimedOut => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> TransportError {
        TransportError::Lost("it went away".to_owned())
    }

    fn connect() -> TransportError {
        TransportError::Connect("connection refused".to_owned())
    }

    fn broken() -> TransportError {
        TransportError::Broken("reset".to_owned())
    }

    fn closed() -> TransportError {
        TransportError::Closed("the runtime has ended".to_owned())
    }

    /// The pauses, in milliseconds, of a call that fails with these errors, and then always with the
    /// last one.
    fn pauses(errors: &[TransportError], deadline: Option<Duration>) -> Vec<u64> {
        pauses_where(Outlook::Doubtful, errors, deadline)
    }

    fn pauses_where(
        outlook: Outlook,
        errors: &[TransportError],
        deadline: Option<Duration>,
    ) -> Vec<u64> {
        let mut now = Instant::now();
        let mut retries = Retries::new(now, deadline.map(|deadline| now + deadline));
        let mut pauses = Vec::new();
        loop {
            let error = errors.get(pauses.len()).or(errors.last()).unwrap();
            let Some(pause) = retries.pause(error, outlook, now) else { return pauses };
            now += pause;
            pauses.push(u64::try_from(pause.as_millis()).unwrap());
        }
    }

    const DEADLINE: Option<Duration> = Some(Duration::from_millis(500));

    #[test]
    fn pauses_double_up_to_a_tenth_of_a_second_and_end_with_the_deadline() {
        let expected = [0, 1, 2, 4, 8, 16, 32, 64, 100, 100, 100];
        assert_eq!(pauses(&[lost()], DEADLINE), expected);
        assert_eq!(pauses(&[lost(), connect()], DEADLINE), expected);
        assert_eq!(pauses(&[lost()], Some(Duration::ZERO)), [0; 0]);
    }

    #[test]
    fn without_a_deadline_there_is_an_end_too() {
        assert_eq!(pauses(&[lost()], None).iter().sum::<u64>() / 1000, 4);
    }

    #[test]
    fn a_call_without_a_connection_fails_at_once() {
        assert_eq!(pauses(&[connect()], DEADLINE), [0; 0]);
        assert_eq!(pauses(&[connect()], None), [0; 0]);
    }

    #[test]
    fn it_goes_on_where_flagd_was_ready_a_moment_ago() {
        let now = Instant::now();
        let mut retries = Retries::new(now, None);
        assert_eq!(retries.pause(&connect(), Outlook::Good, now), Some(Duration::ZERO));
        assert!(retries.pause(&connect(), Outlook::Good, now).is_some());
        assert_eq!(retries.pause(&connect(), Outlook::Doubtful, now), None);
    }

    #[test]
    fn where_flagd_is_unavailable_a_lost_call_is_made_once_more() {
        for then in [lost(), connect()] {
            assert_eq!(pauses_where(Outlook::Bad, &[lost(), then], DEADLINE), [0]);
        }
        assert_eq!(pauses_where(Outlook::Bad, &[connect()], DEADLINE), [0; 0]);
    }

    #[test]
    fn a_call_that_is_broken_off_is_made_once_more() {
        assert_eq!(pauses(&[broken()], DEADLINE), [0]);
        assert_eq!(pauses(&[lost(), broken(), lost(), broken()], DEADLINE), [0, 1, 2]);
    }

    #[test]
    fn other_errors_are_final() {
        for error in [closed(), TransportError::TimedOut] {
            assert_eq!(pauses(&[error], DEADLINE), [0; 0]);
        }
        assert_eq!(pauses(&[lost(), closed()], DEADLINE), [0]);
    }
}
