//! The rate limit of an account, which counts the requests of all its flags.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use http::HeaderMap;
use tokio::time::{Instant, sleep_until};

use crate::optoggles::failure::retry_after;

/// The pause if the response does not name one.
const UNNAMED: Duration = Duration::from_secs(1);

/// The longest pause, so that no header and no clock that is wrong stops the account for long.
const LONGEST: Duration = Duration::from_secs(5 * 60);

/// When the next request may be sent.
#[derive(Default)]
pub(super) struct RateLimit(Mutex<Option<Instant>>);

impl RateLimit {
    /// Waits until a request may be sent.
    pub(super) async fn wait(&self) {
        loop {
            let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match until {
                // It may be a later time afterwards.
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// Notes that a response says that the limit is reached. Returns the pause.
    pub(super) fn reached(&self, headers: &HeaderMap) -> Duration {
        let pause = pause(headers, SystemTime::now());
        let until = Instant::now() + pause;
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = Some(noted.map_or(until, |noted| noted.max(until)));
        pause
    }
}

/// How long the account must pause: as `Retry-After` says, or until `X-Ratelimit-Reset` in
/// milliseconds since 1970.
fn pause(headers: &HeaderMap, now: SystemTime) -> Duration {
    let number = |value: &http::HeaderValue| value.to_str().ok()?.trim().parse::<u64>().ok();
    let pause = retry_after(headers, now).or_else(|| {
        let reset = headers.get("x-ratelimit-reset").and_then(number)?;
        let reset = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(reset))?;
        Some(reset.duration_since(now).unwrap_or_default())
    });
    pause.unwrap_or(UNNAMED).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use http::header::RETRY_AFTER;

    use super::*;

    #[test]
    fn the_pause_is_what_the_headers_say() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        for (headers, expected) in [
            (&[("retry-after", "7")][..], 7_000),
            (&[("x-ratelimit-reset", "1003500")], 3_500),
            (&[("retry-after", "2"), ("x-ratelimit-reset", "1003500")], 2_000),
            (&[("retry-after", "Thu, 01 Jan 1970 00:16:50 GMT")], 10_000),
            (&[("retry-after", "soon"), ("x-ratelimit-reset", "1003500")], 3_500),
            (&[("x-ratelimit-reset", "999000")], 0),
            (&[], 1_000),
            (&[("retry-after", "18446744073709551615")], 300_000),
            (&[("x-ratelimit-reset", "18446744073709551615")], 300_000),
        ] {
            let pairs = headers
                .iter()
                .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
            let pause = pause(&pairs.collect(), now);
            assert_eq!(pause, Duration::from_millis(expected), "{headers:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_pause_does_not_end_a_longer_one() {
        let limit = RateLimit::default();
        let begun = Instant::now();
        limit.wait().await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        let headers =
            |seconds: &str| HeaderMap::from_iter([(RETRY_AFTER, seconds.parse().unwrap())]);
        limit.reached(&headers("30"));
        limit.reached(&headers("1"));
        limit.wait().await;
        assert_eq!(begun.elapsed().as_secs(), 30);
    }
}
