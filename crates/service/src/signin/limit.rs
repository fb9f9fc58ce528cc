//! How often somebody may try to sign in.
//!
//! Each attempt costs requests to a provider. A token needs no such limit: nobody guesses 256
//! random bits, and an unknown one costs a look-up.

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::HashMapStateStore,
};

/// How many attempts an address may make at once, and then in a minute. Colleagues may share one,
/// and behind a proxy everybody does.
const ATTEMPTS: NonZeroU32 = NonZeroU32::new(60).unwrap();

/// How many addresses are remembered before those that have been quiet are forgotten.
const REMEMBERED: usize = 10_000;

/// Counts the attempts of each address.
pub(super) struct Limit {
    attempts: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, DefaultClock>,
    clock: DefaultClock,
}

impl Limit {
    pub(super) fn new() -> Self {
        let attempts = RateLimiter::hashmap(Quota::per_minute(ATTEMPTS));
        Self { attempts, clock: DefaultClock::default() }
    }

    /// Counts an attempt. After too many, it returns in how many seconds the next may be made.
    pub(super) fn count(&self, address: IpAddr) -> Result<(), u64> {
        if self.attempts.len() >= REMEMBERED {
            self.attempts.retain_recent();
        }
        let checked = self.attempts.check_key(&network(address));
        checked.map_err(|later| later.wait_time_from(self.clock.now()).as_secs() + 1)
    }
}

/// Whom an address stands for: a customer of a provider has a whole network of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(limit: &Limit, address: &str) -> Result<(), u64> {
        limit.count(address.parse().expect(address))
    }

    #[test]
    fn an_address_has_to_wait_after_60_attempts_and_others_do_not() {
        let limit = Limit::new();
        for attempt in 0..60 {
            assert_eq!(count(&limit, "192.0.2.1"), Ok(()), "{attempt}");
        }
        assert_eq!(count(&limit, "192.0.2.1"), Err(1));
        assert_eq!(count(&limit, "::ffff:192.0.2.1"), Err(1), "the same address");
        assert_eq!(count(&limit, "192.0.2.2"), Ok(()));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let limit = Limit::new();
        for host in 0..60 {
            assert_eq!(count(&limit, &format!("2001:db8::{host:x}")), Ok(()));
        }
        assert!(count(&limit, "2001:db8::ffff").is_err());
        assert_eq!(count(&limit, "2001:db8:0:1::1"), Ok(()));
    }
}
