//! Path MTU discovery (RFC 1191, RFC 8201): what routers say of links that are narrower than this interface's.
//!
//! What is known is kept per destination, and only ever makes packets smaller. It is looked at for packets that are
//! longer than the narrowest path: while none is known, that is one comparison.

use core::net::IpAddr;
use core::time::Duration;

use hashbrown::HashMap;

use crate::time::Instant;
use crate::wire::IPV6_LEAST_MTU;

/// How long a path MTU is believed, after which the path may have become wider (RFC 8201 section 4: ten minutes).
const LIFETIME: Duration = Duration::from_secs(600);
/// Destinations that are remembered; a new one takes the place of the oldest.
const MOST: usize = 256;
/// No link of today is narrower (`net.ipv4.route.min_pmtu` of Linux), and smaller packets would serve an attacker.
const NARROWEST_V4: usize = 552;
/// The MTUs that a path may have where a router does not say (RFC 1191 section 7.1), as far down as they matter.
const PLATEAUS: [usize; 8] = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, NARROWEST_V4];

/// The paths that are known to be narrow.
#[derive(Debug)]
pub struct Paths {
    known: HashMap<IpAddr, Path>,
    /// The smallest MTU among them.
    least: usize,
    /// When the first of them is forgotten.
    next: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Path {
    mtu: usize,
    expires: Instant,
}

impl Default for Paths {
    fn default() -> Self {
        Self::new()
    }
}

impl Paths {
    /// No path is known to be narrow.
    #[must_use]
    pub fn new() -> Self {
        Self { known: HashMap::new(), least: usize::MAX, next: None }
    }

    /// Whether no path is known to be narrow.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether packets of this length may be too long for some path.
    #[must_use]
    pub const fn may_exceed(&self, length: usize) -> bool {
        length > self.least
    }

    /// The MTU of the path to a destination, where it is known to be narrow.
    #[must_use]
    pub fn mtu(&self, destination: IpAddr, now: Instant) -> Option<usize> {
        if self.known.is_empty() {
            return None;
        }
        self.known.get(&destination).filter(|path| path.expires > now).map(|path| path.mtu)
    }

    /// Takes note of what a router says about the path to a destination: that its next link takes packets of `mtu` bytes,
    /// or 0 for "less", where one of `length` bytes was too long. Nothing makes a path wider.
    ///
    /// The caller has made sure that this host may have sent such a packet (RFC 5927 section 4), and that it went out of
    /// this interface.
    pub fn learn(&mut self, destination: IpAddr, mtu: usize, length: usize, now: Instant) {
        let mtu = match destination {
            IpAddr::V4(_) if mtu == 0 => PLATEAUS.into_iter().find(|plateau| *plateau < length).unwrap_or(NARROWEST_V4),
            IpAddr::V4(_) => mtu.max(NARROWEST_V4),
            // Below the minimum it is to be ignored (RFC 8201 section 4).
            IpAddr::V6(_) if mtu < IPV6_LEAST_MTU => return,
            IpAddr::V6(_) => mtu,
        };
        // A link that the packet fits is not why it was dropped (RFC 5927 section 7.2).
        if mtu >= length || self.mtu(destination, now).is_some_and(|known| known <= mtu) {
            return;
        }
        if !self.known.contains_key(&destination) && self.known.len() >= MOST {
            let oldest = self.known.iter().min_by_key(|(_, path)| path.expires).map(|(destination, _)| *destination);
            oldest.and_then(|oldest| self.known.remove(&oldest));
        }
        self.known.insert(destination, Path { mtu, expires: now + LIFETIME });
        self.settle();
    }

    /// Forgets what has been known for long enough: those paths may have become wider.
    pub fn expire(&mut self, now: Instant) {
        self.known.retain(|_, path| path.expires > now);
        self.settle();
    }

    /// When to call [`expire`](Self::expire) again.
    #[must_use]
    pub const fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Finds the least MTU and the first expiry anew.
    fn settle(&mut self) {
        self.least = self.known.values().map(|path| path.mtu).min().unwrap_or(usize::MAX);
        self.next = self.known.values().map(|path| path.expires).min();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(192, 0, 2, 1));
    const V6: IpAddr = IpAddr::V6(core::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

    fn learnt(destination: IpAddr, mtu: usize, length: usize) -> Option<usize> {
        let mut paths = Paths::new();
        paths.learn(destination, mtu, length, Instant::ORIGIN);
        paths.mtu(destination, Instant::ORIGIN)
    }

    #[test]
    fn what_makes_no_sense_is_ignored_or_bounded() {
        assert_eq!(learnt(V4, 1400, 1500), Some(1400));
        assert_eq!(learnt(V6, 1400, 1500), Some(1400));
        assert_eq!(learnt(V4, 68, 1500), Some(552));
        assert_eq!(learnt(V6, 68, 1500), None);
        assert_eq!(learnt(V6, 0, 1500), None);
        for destination in [V4, V6] {
            assert_eq!(learnt(destination, 1500, 1500), None);
            assert_eq!(learnt(destination, usize::MAX, 1500), None);
        }
        assert_eq!(learnt(V4, 68, 552), None);
        assert_eq!(learnt(V4, 0, 552), None);
    }

    #[test]
    fn a_router_that_does_not_say_is_asked_by_plateaus() {
        assert_eq!(learnt(V4, 0, 1500), Some(1492));
        assert_eq!(learnt(V4, 0, 1492), Some(1006));
        assert_eq!(learnt(V4, 0, 9000), Some(8166));
        assert_eq!(learnt(V4, 0, 65_535), Some(32_000));
        assert_eq!(learnt(V4, 0, 560), Some(552));
    }

    #[test]
    fn a_path_becomes_wider_by_time_only() {
        let mut paths = Paths::new();
        paths.learn(V4, 1300, 1500, Instant::ORIGIN);
        paths.learn(V4, 1400, 1500, Instant::ORIGIN);
        assert_eq!(paths.mtu(V4, Instant::ORIGIN), Some(1300));
        assert!(paths.may_exceed(1301) && !paths.may_exceed(1300));
        let end = Instant::ORIGIN + LIFETIME;
        assert_eq!((paths.next(), paths.mtu(V4, end)), (Some(end), None));
        paths.expire(end);
        assert!(!paths.may_exceed(usize::MAX) && paths.next().is_none() && paths.is_empty());
    }

    #[test]
    fn paths_are_bounded() {
        let mut paths = Paths::new();
        for host in 0..10_000u32 {
            paths.learn(core::net::Ipv4Addr::from_bits(host).into(), 1400, 1500, Instant::ORIGIN);
        }
        assert_eq!(paths.known.len(), MOST);
    }
}
