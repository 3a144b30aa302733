//! The rate limit of ICMP errors (RFC 4443 section 2.4 (f), RFC 1812 section 4.3.2.8).
//!
//! The [interface](crate::interface) asks the [`Limiter`] before it sends an error.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use crate::random::{Random, Secret};
use crate::time::Instant;

#[cfg(test)]
mod tests;

/// The table of destinations has this many sets, with `WAYS` places each.
const SETS: usize = 64;
const WAYS: usize = 4;

/// How many errors may be sent. A rate of 0 allows none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Errors per second, to all destinations together.
    pub rate: u32,
    /// The burst, to all destinations together.
    pub burst: u32,
    /// Errors per second, to one destination.
    pub destination_rate: u32,
    /// The burst, to one destination.
    pub destination_burst: u32,
}

/// 1000 errors per second in all with bursts of 50 are the values of Linux (`icmp_msgs_per_sec`, `icmp_msgs_burst`).
/// Linux allows one destination only one error per second (`icmp_ratelimit`), so that a scan of a host's 1000 ports
/// takes a quarter of an hour; RFC 4443 suggests 10. A burst of 20 is enough for the last hop of a traceroute, which
/// has 16 probes under way.
impl Default for Config {
    fn default() -> Self {
        Self { rate: 1000, burst: 50, destination_rate: 10, destination_burst: 20 }
    }
}

/// Token buckets: one for all errors, and one for each destination.
///
/// An attacker must not learn the state of the common bucket by counting the errors that it receives itself. Otherwise
/// it could tell how many errors were caused by packets that it sent with spoofed sources, and so which ports are open
/// (CVE-2020-25705). So each error takes zero, one or two tokens from the common bucket at random, one on average, as
/// on Linux. The destination's own bucket is checked too, and an error that it refuses takes no token from the common
/// one.
///
/// The buckets of destinations are in a table of fixed size, in sets chosen by a keyed hash. If a set is full, the
/// bucket that is full again first is replaced, because it carries the least information. An attacker that uses many
/// addresses to have their buckets replaced is still limited by the common bucket. A host with one IPv6 address usually
/// has its whole /64, so a /64 counts as one destination, except for link-local addresses.
///
/// Errors to loopback addresses are not limited, because they go to this host itself.
#[derive(Debug)]
pub struct Limiter {
    all: Bucket,
    all_rate: Rate,
    destination_rate: Rate,
    /// `SETS * WAYS` places, allocated when the first error is sent.
    places: Vec<Option<Place>>,
    secret: Secret,
    suppressed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    destination: IpAddr,
    bucket: Bucket,
}

/// A token bucket, represented by the time at which it is full again.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    /// The time in which one token is added; `None` if the rate is 0.
    token: Option<Duration>,
    burst: u32,
}

impl Limiter {
    /// A limiter with full buckets.
    #[must_use]
    pub fn new(config: Config, random: &mut Random) -> Self {
        let Config { rate, burst, destination_rate, destination_burst } = config;
        Self {
            all: Bucket { full: Instant::ORIGIN },
            all_rate: Rate::new(rate, burst),
            destination_rate: Rate::new(destination_rate, destination_burst),
            places: Vec::new(),
            secret: Secret::new(random),
            suppressed: 0,
        }
    }

    /// Whether an error may be sent to a destination now. Takes the tokens for it, or counts the error as suppressed.
    pub fn allows(&mut self, destination: IpAddr, now: Instant, random: &mut Random) -> bool {
        if destination.is_loopback() {
            return true;
        }
        let (all, all_rate, rate) = (self.all, self.all_rate, self.destination_rate);
        let allowed = all.has_token(all_rate, now) && self.bucket(destination).take(rate, 1, now);
        if allowed {
            self.all.spend(all_rate, random.below(3), now);
        } else {
            self.suppressed = self.suppressed.saturating_add(1);
        }
        allowed
    }

    /// The number of errors that were not sent.
    #[must_use]
    pub const fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// The bytes of memory held.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.places.capacity() * size_of::<Option<Place>>()
    }

    fn bucket(&mut self, destination: IpAddr) -> &mut Bucket {
        let destination = one_host(destination);
        if self.places.is_empty() {
            self.places = alloc::vec![None; SETS * WAYS];
        }
        let start = (self.secret.hash(&destination) % SETS as u64) as usize * WAYS;
        let set = &mut self.places[start..start + WAYS];
        let is_known = |place: &Option<Place>| place.is_some_and(|place| place.destination == destination);
        let known = set.iter().position(is_known);
        let index = known.unwrap_or_else(|| {
            let least = set.iter().enumerate().min_by_key(|(_, place)| place.map(|place| place.bucket.full));
            least.map_or(0, |(index, _)| index)
        });
        let fresh = Place { destination, bucket: Bucket { full: Instant::ORIGIN } };
        let place = &mut set[index];
        if known.is_none() {
            *place = Some(fresh);
        }
        &mut place.get_or_insert(fresh).bucket
    }
}

impl Rate {
    fn new(rate: u32, burst: u32) -> Self {
        let token = (rate > 0 && burst > 0).then(|| Duration::from_secs(1) / rate.max(1));
        Self { token, burst }
    }
}

impl Bucket {
    /// Whether there is a token.
    fn has_token(self, rate: Rate, now: Instant) -> bool {
        let Some(token) = rate.token else { return false };
        self.full <= now + token.saturating_mul(rate.burst.saturating_sub(1))
    }

    /// Takes tokens, if there is at least one.
    fn take(&mut self, rate: Rate, tokens: u32, now: Instant) -> bool {
        let has_token = self.has_token(rate, now);
        if has_token {
            self.spend(rate, tokens, now);
        }
        has_token
    }

    fn spend(&mut self, rate: Rate, tokens: u32, now: Instant) {
        if let Some(token) = rate.token {
            self.full = self.full.max(now) + token.saturating_mul(tokens);
        }
    }
}

/// The destination whose bucket counts for an address: the address itself, or the /64 of an IPv6 address that is not
/// link-local.
fn one_host(destination: IpAddr) -> IpAddr {
    match destination {
        IpAddr::V6(address) if !address.is_unicast_link_local() => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        IpAddr::V4(_) | IpAddr::V6(_) => destination,
    }
}
