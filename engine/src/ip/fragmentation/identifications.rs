//! Identifications of packets that are cut (RFC 7739, RFC 6864).

use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::wire::IpProtocol;

use crate::random::{Random, Secret};
use crate::time::Instant;

/// Counters. Addresses share them, so there need not be one for each.
const COUNTERS: u32 = 1024;
/// In 32 bits, identifications advance by up to so many at once: after 2^28 packets, some come again.
const STRIDE: u32 = 16;
/// In 16 bits they advance by one, and by what is drawn from the time since the last, up to so many milliseconds.
const IDLE: u32 = 1 << 10;

/// Where identifications come from: one that was used a short time ago between the same addresses is not used again,
/// and who sees some cannot foresee those between other addresses.
///
/// It is the hash of RFC 7739 section 5.3: each pair of addresses has a place in the ring of numbers where its own
/// begin, and one of a few counters, both by secrets. In 32 bits a counter advances at random, so that who shares it
/// cannot count the packets of others. In 16 bits that would make numbers come again too soon (RFC 6864):
/// there it advances by one, and at random by the time that has passed, as Linux had it. That hides what others send
/// unless they send much, and then almost all 65,536 are used before one comes again.
#[derive(Debug)]
pub struct Identifications {
    places: Secret,
    shares: Secret,
    /// Empty until the first is asked for: most hosts never cut a packet.
    counters: Vec<Counter>,
}

#[derive(Clone, Copy, Debug)]
struct Counter {
    value: u32,
    used: Instant,
}

impl Identifications {
    /// With secrets of its own.
    #[must_use]
    pub fn new(random: &mut Random) -> Self {
        Self { places: Secret::new(random), shares: Secret::new(random), counters: Vec::new() }
    }

    /// The identification of a packet between two addresses; of IPv4 it has 16 bits. An IPv6 packet with a Routing
    /// header is for the final destination in it (RFC 8200 section 4.5). In IPv4 packets of different protocols are
    /// told apart (RFC 791 section 3.2), in IPv6 they are not.
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
