//! Identifications of fragmented packets (RFC 7739, RFC 6864).

use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::wire::IpProtocol;

use crate::random::{Random, Secret};
use crate::time::Instant;

/// The number of counters. Pairs of addresses share them.
const COUNTERS: u32 = 1024;
/// A 32-bit counter advances by a random step of at most this. So some identifications repeat after 2^28 packets.
const STRIDE: u32 = 16;
/// A 16-bit counter advances by one, plus a random number of at most the milliseconds since its last use, up to this
/// many.
const IDLE: u32 = 1 << 10;

/// A source of identifications. It does not soon repeat one for the same pair of addresses, and identifications for one
/// pair do not reveal those for other pairs.
///
/// This is the hash-based algorithm of RFC 7739 section 5.3: each pair of addresses has a secret offset into the number
/// space, and shares one of a few counters, chosen by another secret. A 32-bit counter advances by random steps, so
/// that a host which shares the counter cannot count the packets of others. With 16 bits this would repeat numbers too
/// soon (RFC 6864), so there the counter advances by one, and by a random number that depends on the time since its
/// last use, as Linux did. That hides the packets of others unless they send many, and then almost all 65,536 numbers
/// are used before one repeats.
#[derive(Debug)]
pub struct Identifications {
    places: Secret,
    shares: Secret,
    /// Empty until the first use, because most hosts never fragment a packet.
    counters: Vec<Counter>,
}

#[derive(Clone, Copy, Debug)]
struct Counter {
    value: u32,
    used: Instant,
}

impl Identifications {
    /// A source with new secrets.
    #[must_use]
    pub fn new(random: &mut Random) -> Self {
        Self { places: Secret::new(random), shares: Secret::new(random), counters: Vec::new() }
    }

    /// The identification for a packet between two addresses; for IPv4 it has 16 bits. If an IPv6 packet has a Routing
    /// header, pass its final destination (RFC 8200 section 4.5). In IPv4, different protocols have separate
    /// identifications (RFC 791 section 3.2); in IPv6 they do not.
    pub fn next(
        &mut self,
        source: IpAddr,
        destination: IpAddr,
        protocol: IpProtocol,
        now: Instant,
        random: &mut Random,
    ) -> u32 {
        if self.counters.is_empty() {
            self.counters.extend((0..COUNTERS).map(|_| Counter { value: random.next_u32(), used: now }));
        }
        let protocol = source.is_ipv4().then(|| u8::from(protocol));
        let parts = (source, destination, protocol);
        let share = usize::try_from(self.shares.hash(&parts) % u64::from(COUNTERS)).unwrap_or(0);
        let place = (self.places.hash(&parts) & u64::from(u32::MAX)) as u32;
        let Some(counter) = self.counters.get_mut(share) else { return random.next_u32() };
        let step = if source.is_ipv4() {
            let idle = now.millis().saturating_sub(counter.used.millis());
            random.below(u32::try_from(idle).unwrap_or(IDLE).min(IDLE))
        } else {
            random.below(STRIDE)
        };
        *counter = Counter { value: counter.value.wrapping_add(1 + step), used: now };
        let number = place.wrapping_add(counter.value);
        if source.is_ipv4() { number & 0xffff } else { number }
    }
}
