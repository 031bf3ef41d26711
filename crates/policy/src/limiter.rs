//! Counts events of each client against a rate.
//!
//! The generic cell rate algorithm (ITU-T I.371): one number a client, the time at which it would
//! be idle again if each event took `per / count`. It is a token bucket of `count` tokens without
//! the tokens. A client whose time has passed is as good as unknown: forgetting it loses nothing.

use crate::{ClientKey, Rate};
use mail::UnixTime;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Counts events of clients, each against the same rate.
///
/// Memory is bounded: at most `clients_max` clients are known at a time, 32 bytes and a share of a
/// tree node each. When as many are active, further ones pass uncounted: refusing them would let a
/// flood from many addresses lock out everybody, and the limit on sessions still holds.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    rate: Rate,
    clients_max: usize,
    /// When each client is idle again, in microseconds of 1970 times `rate.count`, so that no
    /// division loses a part of an event.
    idle_at: BTreeMap<ClientKey, u128>,
    /// Not before this time are idle clients looked for again.
    sweep_at: UnixTime,
}

impl RateLimiter {
    /// Knows at most `clients_max` clients. A `count` of zero counts as one, a `per` of zero as a
    /// microsecond.
    pub fn new(rate: Rate, clients_max: usize) -> Self {
        let rate = Rate { count: rate.count.max(1), per: rate.per };
        Self { rate, clients_max, idle_at: BTreeMap::new(), sweep_at: UnixTime::default() }
    }

    /// Counts one event of `client`; false when that exceeds the rate. What is denied does not
    /// count, so that a client gets its rate however hard it knocks.
    pub fn admit(&mut self, client: IpAddr, now: UnixTime) -> bool {
        let key = ClientKey::of(client);
        let (burst, event) = (self.burst(), self.per_micros());
        let now_scaled = self.scaled(now);
        if !self.idle_at.contains_key(&key) && !self.make_room(now) {
            return true;
        }
        let idle_at = self.idle_at.entry(key).or_insert(now_scaled);
        // A wall clock that was set back would leave a client denied for as long as it was.
        let busy = idle_at.saturating_sub(now_scaled).min(burst);
        let admitted = busy + event <= burst;
        *idle_at = now_scaled + busy + if admitted { event } else { 0 };
        admitted
    }

    /// How many clients are known now.
    pub fn clients(&self) -> usize {
        self.idle_at.len()
    }

    /// Whether one more client can be known, after forgetting idle ones when there is no room.
    fn make_room(&mut self, now: UnixTime) -> bool {
        if self.idle_at.len() < self.clients_max {
            return true;
        }
        // A quarter of `per` between sweeps: a flood must not make each connection walk them all.
        let pause = self.rate.per / 4;
        if now >= self.sweep_at || self.sweep_at.since(now) > pause {
            let now_scaled = self.scaled(now);
            self.idle_at.retain(|_, idle_at| *idle_at > now_scaled);
            self.sweep_at = now.plus(pause);
        }
        self.idle_at.len() < self.clients_max
    }

    /// The length of a full burst, scaled: `count` events of `per / count`.
    fn burst(&self) -> u128 {
        self.per_micros() * u128::from(self.rate.count)
    }

    /// The length of one event, scaled: `per / count` times `count`.
    fn per_micros(&self) -> u128 {
        self.rate.per.as_micros().max(1)
    }

    fn scaled(&self, time: UnixTime) -> u128 {
        u128::from(time.0) * u128::from(self.rate.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    const START: UnixTime = UnixTime(1_795_564_799_000_000);

    fn limiter(count: u32, seconds: u64, clients_max: usize) -> RateLimiter {
        RateLimiter::new(Rate { count, per: Duration::from_secs(seconds) }, clients_max)
    }

    fn client(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn a_burst_of_count_passes_and_then_one_each_interval() {
        let mut limiter = limiter(3, 60, 10);
        // (seconds, admitted): three at once, then one every twenty seconds.
        let cases = [
            (0, true),
            (0, true),
            (0, true),
            (0, false),
            (19, false),
            (20, true),
            (20, false),
            (59, true),
            (60, true),
            (60, false),
            (1_000, true),
            (1_000, true),
            (1_000, true),
            (1_000, false),
        ];
        for (seconds, admitted) in cases {
            let now = START.plus(Duration::from_secs(seconds));
            assert_eq!(limiter.admit(client(1), now), admitted, "at {seconds} s");
        }
    }

    #[test]
    fn one_client_does_not_use_up_another_ones_rate() {
        let mut limiter = limiter(1, 60, 10);
        assert!(limiter.admit(client(1), START));
        assert!(!limiter.admit(client(1), START));
        assert!(limiter.admit(client(2), START));
    }

    #[test]
    fn addresses_of_one_ipv6_64_are_one_client() {
        let mut limiter = limiter(1, 60, 10);
        assert!(limiter.admit("2001:db8::1".parse().expect("v6"), START));
        assert!(!limiter.admit("2001:db8::2".parse().expect("v6"), START));
        assert!(limiter.admit("2001:db8:0:1::2".parse().expect("v6"), START));
    }

    #[test]
    fn a_clock_set_back_denies_nobody_for_longer_than_the_rate() {
        let mut limiter = limiter(1, 60, 10);
        assert!(limiter.admit(client(1), START));
        let earlier = UnixTime(START.0 - 3_600_000_000);
        assert!(!limiter.admit(client(1), earlier));
        assert!(limiter.admit(client(1), earlier.plus(Duration::from_secs(60))));
    }

    #[test]
    fn at_most_so_many_clients_are_known_and_idle_ones_make_room() {
        let mut limiter = limiter(1, 60, 4);
        for number in 0..100 {
            assert!(limiter.admit(client(number), START));
        }
        assert_eq!(limiter.clients(), 4);
        assert!(!limiter.admit(client(0), START), "a known client is still counted");
        let later = START.plus(Duration::from_secs(60));
        assert!(limiter.admit(client(50), later));
        assert!(!limiter.admit(client(50), later), "it is known now");
        assert_eq!(limiter.clients(), 1);
    }

    proptest! {
        /// The naive twin keeps the times of all admitted events and looks at every interval that
        /// ends now: `t` seconds may hold at most `count + t × count / per`.
        #[test]
        fn admissions_agree_with_a_log_of_all_events(
            count in 1u32..6,
            per in 1u64..50,
            steps in prop::collection::vec(0u64..20, 1..80),
        ) {
            let mut limiter = limiter(count, per, 1);
            let mut log: Vec<u64> = Vec::new();
            let mut seconds = 0;
            for step in steps {
                seconds += step;
                let fits = (0..log.len()).all(|first| {
                    let events = (log.len() - first + 1) as u64;
                    events * per <= u64::from(count) * (per + seconds - log[first])
                });
                let now = START.plus(Duration::from_secs(seconds));
                prop_assert_eq!(limiter.admit(client(1), now), fits, "at {} s", seconds);
                if fits {
                    log.push(seconds);
                }
            }
        }
    }
}
