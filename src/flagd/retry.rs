//! When a call that was lost with its connection is made again. Pure: time is passed in.

use std::time::Duration;

use tokio::time::Instant;

/// Without a deadline, a lost call is made again for so long.
const WITHOUT_DEADLINE: Duration = Duration::from_secs(5);

/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_millis(100);

/// The attempts of one call since its connection was lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    attempts: u32,
    end: Instant,
}

impl Retries {
    /// The call is lost now; its deadline is at `deadline`.
    pub(crate) fn new(now: Instant, deadline: Option<Instant>) -> Self {
        Self { attempts: 0, end: deadline.unwrap_or(now + WITHOUT_DEADLINE) }
    }

    /// How long to pause before the next attempt: not at all before the first, which most often
    /// finds a new connection, then 1, 2, 4... up to 100 ms, since a server that retires its
    /// connections may close the next one too. None where the time is over by then.
    pub(crate) fn pause(&mut self, now: Instant) -> Option<Duration> {
        let pause = match self.attempts {
            0 => Duration::ZERO,
            n => LONGEST.min(Duration::from_millis(1 << (n - 1).min(10))),
        };
        self.attempts += 1;
        (now + pause < self.end).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(deadline: Option<Duration>) -> Vec<u64> {
        let start = Instant::now();
        let mut now = start;
        let mut retries = Retries::new(now, deadline.map(|deadline| now + deadline));
        let mut pauses = Vec::new();
        while let Some(pause) = retries.pause(now) {
            now += pause;
            pauses.push(u64::try_from(pause.as_millis()).unwrap());
        }
        pauses
    }

    #[test]
    fn pauses_double_up_to_a_tenth_of_a_second_and_end_with_the_deadline() {
        assert_eq!(
            pauses(Some(Duration::from_millis(500))),
            [0, 1, 2, 4, 8, 16, 32, 64, 100, 100, 100]
        );
        assert_eq!(pauses(Some(Duration::ZERO)), [0; 0]);
    }

    #[test]
    fn without_a_deadline_there_is_an_end_too() {
        assert_eq!(pauses(None).iter().sum::<u64>() / 1000, 4);
    }
}
