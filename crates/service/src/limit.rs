//! Limits on how often one client may attempt something.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::{NonZeroU32, NonZeroUsize},
    sync::{Arc, Mutex, PoisonError},
};

use axum::http::Extensions;
use flagstaff::http::Peer;
use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::StateStore,
};
use lru::LruCache;

use crate::problem::Problem;

/// How many addresses are remembered: those that attempted something last.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

/// A limit for each client address. Cloning is cheap.
///
/// A client may use up the attempts of a minute at once, and then has one more as often as they are
/// spread over a minute. The address is that of the connection: all clients behind a proxy share
/// one, and so do those over a unix socket. So does a network of IPv6 (`/64`), whose addresses one
/// client can have at will.
#[derive(Clone)]
pub struct Limit<C: Clock = DefaultClock>(Option<Arc<Limiter<C>>>);

type Limiter<C> = RateLimiter<IpAddr, Recent, C, NoOpMiddleware<<C as Clock>::Instant>>;

impl Limit {
    /// A limit of this many attempts a minute; 0: none.
    #[must_use]
    pub fn per_minute(attempts: u32) -> Self {
        Self::with_clock(attempts, DefaultClock::default())
    }
}

impl<C: Clock> Limit<C> {
    fn with_clock(attempts: u32, clock: C) -> Self {
        let quota = NonZeroU32::new(attempts).map(Quota::per_minute);
        Self(quota.map(|quota| Arc::new(RateLimiter::new(quota, Recent::default(), clock))))
    }

    /// Counts an attempt in a request with these extensions, of which one is its [`Peer`].
    ///
    /// # Errors
    ///
    /// 429 where the client has used up its attempts, with the header `retry-after`.
    pub fn check(&self, extensions: &Extensions) -> Result<(), Problem> {
        let address = extensions.get::<Peer>().and_then(Peer::address).map(|it| it.ip());
        self.check_address(address.unwrap_or(Ipv6Addr::UNSPECIFIED.into()))
    }

    fn check_address(&self, address: IpAddr) -> Result<(), Problem> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        limiter.check_key(&client(address)).map_err(|rejected| {
            Problem::too_many_attempts(rejected.wait_time_from(limiter.clock().now()))
        })
    }
}

/// The address that is counted for a client.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// What is known of each address, in bounded memory. An address that is forgotten has all its
/// attempts again, which takes attempts from 10,000 other addresses.
struct Recent(Mutex<LruCache<IpAddr, Nanos>>);

impl Default for Recent {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }
}

impl StateStore for Recent {
    type Key = IpAddr;

    fn measure_and_replace<T, F, E>(&self, key: &IpAddr, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (result, next) = f(recent.get(key).copied())?;
        recent.put(*key, next);
        Ok(result)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use axum::{
        http::{StatusCode, header},
        response::IntoResponse as _,
    };
    use governor::clock::FakeRelativeClock;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn a_client_has_the_attempts_of_a_minute_and_then_waits() {
        let clock = FakeRelativeClock::default();
        let limit = Limit::with_clock(6, clock.clone());
        for _ in 0..6 {
            limit.check_address(ONE).unwrap();
        }
        let rejected = limit.check_address(ONE).unwrap_err().into_response();
        assert_eq!(rejected.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(rejected.headers()[header::RETRY_AFTER], "10");
        limit.check_address(Ipv4Addr::new(192, 0, 2, 2).into()).unwrap();
        clock.advance(Duration::from_millis(8_500));
        let rejected = limit.check_address(ONE).unwrap_err().into_response();
        assert_eq!(rejected.headers()[header::RETRY_AFTER], "2", "rounded up");
        clock.advance(Duration::from_millis(1_500));
        limit.check_address(ONE).unwrap();
        limit.check_address(ONE).unwrap_err();
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let limit = Limit::per_minute(0);
        assert!((0..1_000).all(|_| limit.check_address(ONE).is_ok()));
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let limit = Limit::with_clock(1, FakeRelativeClock::default());
        limit.check_address("2001:db8:0:1::1".parse().unwrap()).unwrap();
        limit.check_address("2001:db8:0:1:ffff::".parse().unwrap()).unwrap_err();
        limit.check_address("2001:db8:0:2::1".parse().unwrap()).unwrap();
        limit.check_address(ONE).unwrap();
        limit.check_address("::ffff:192.0.2.1".parse().unwrap()).unwrap_err();
    }

    #[test]
    fn the_memory_is_bounded() {
        let limit = Limit::with_clock(1, FakeRelativeClock::default());
        let others = u32::try_from(REMEMBERED.get()).unwrap() + 1;
        for number in 0..others {
            limit.check_address(Ipv4Addr::from_bits(number).into()).unwrap();
        }
        let recent = limit.0.unwrap();
        assert!(recent.check_key(&Ipv4Addr::from_bits(others - 1).into()).is_err());
        assert!(recent.check_key(&Ipv4Addr::from_bits(0).into()).is_ok(), "it was forgotten");
        let recent = Arc::into_inner(recent).unwrap().into_state_store();
        assert_eq!(recent.0.lock().unwrap().len(), REMEMBERED.get());
    }
}
