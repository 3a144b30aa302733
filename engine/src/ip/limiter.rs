//! How many ICMP errors strangers get (RFC 4443 section 2.4 (f), RFC 1812 section 4.3.2.8).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use crate::random::{Random, Secret};
use crate::time::Instant;

#[cfg(test)]
mod tests;

/// Destinations that are remembered: so many sets, and so many places in each.
const SETS: usize = 64;
const WAYS: usize = 4;

/// How many errors may leave. A rate of 0 allows none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// In a second, to all together.
    pub rate: u32,
    /// At once, to all together.
    pub burst: u32,
    /// In a second, to one destination.
    pub destination_rate: u32,
    /// At once, to one destination.
    pub destination_burst: u32,
}

/// 1000 a second in all and 50 at once are those of Linux (`icmp_msgs_per_sec`, `icmp_msgs_burst`). Linux allows one
/// destination one a second (`icmp_ratelimit`), with which a scan of a host's 1000 ports takes a quarter of an hour;
/// 10 are what RFC 4443 suggests. 20 at once are enough for the last hop of a traceroute, which has 16 probes on
/// their way.
impl Default for Config {
    fn default() -> Self {
        Self { rate: 1000, burst: 50, destination_rate: 10, destination_burst: 20 }
    }
}

/// Token buckets, one for all errors and one for each destination.
///
/// What is left of the common one must not be told by counting what one gets oneself: it would tell how many errors
/// the packets caused that one sent in others' names, and so which ports are open (CVE-2020-25705). So each error
/// takes none, one or two tokens of it, by chance, one in the mean, as Linux does. One's own bucket is asked first:
/// what it refuses takes none of the others'.
///
/// The destinations' buckets lie in a table of fixed size, in sets that a keyed hash chooses. Where a set is full,
/// the bucket goes that was full again first: it says least. A stranger who makes many up to have theirs forgotten is
/// held by the common one. Whoever has one IPv6 address has its whole /64, which is one destination; a link's own
/// addresses are not.
///
/// Errors to loopback addresses are not limited: this host is no stranger.
#[derive(Debug)]
pub struct Limiter {
    all: Bucket,
    all_rate: Rate,
    destination_rate: Rate,
    /// `SETS` times `WAYS`, once there is one.
    places: Vec<Option<Place>>,
    secret: Secret,
    suppressed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    destination: IpAddr,
    bucket: Bucket,
}

/// A bucket, by the time at which it is full again.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    /// How long it takes until there is one token more; `None` where there never is one.
    token: Option<Duration>,
    burst: u32,
}

impl Limiter {
    /// Nothing has been sent yet.
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

    /// Whether one more error may leave to a destination; counts it either way.
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

    /// How many errors were not sent.
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

    /// Takes tokens, where there is one.
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

/// What is taken for one destination.
fn one_host(destination: IpAddr) -> IpAddr {
    match destination {
        IpAddr::V6(address) if !address.is_unicast_link_local() => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        IpAddr::V4(_) | IpAddr::V6(_) => destination,
    }
}
