//! Path MTU discovery (RFC 1191, RFC 8201): the path MTUs that are smaller than the MTU of this interface.
//!
//! The MTUs are kept per destination, and only make packets smaller. They are looked up only for packets that are
//! longer than the smallest known path MTU. While no small path MTU is known, this is one comparison.

use core::net::IpAddr;
use core::time::Duration;

use hashbrown::HashMap;

use crate::time::Instant;
use crate::wire::IPV6_LEAST_MTU;

/// How long a path MTU is used. After that the path may have become wider (RFC 8201 section 4: ten minutes).
const LIFETIME: Duration = Duration::from_secs(600);
/// How many destinations are remembered. A new one replaces the oldest.
const MOST: usize = 256;
/// Smaller MTUs are raised to this one: no link is narrower today, and very small packets would help an attacker. Linux
/// has the same limit (`net.ipv4.route.min_pmtu`).
const NARROWEST_V4: usize = 552;
/// The plateau table: MTUs that a path is assumed to have if the router does not report one (RFC 1191 section 7.1),
/// without the values that are too large or too small to matter.
const PLATEAUS: [usize; 8] = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, NARROWEST_V4];

/// The known path MTUs.
#[derive(Debug)]
pub struct Paths {
    known: HashMap<IpAddr, Path>,
    /// The smallest of them.
    least: usize,
    /// When the first of them expires.
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
    /// No known path MTUs.
    #[must_use]
    pub fn new() -> Self {
        Self { known: HashMap::new(), least: usize::MAX, next: None }
    }

    /// Whether no path MTU is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Whether a packet of `length` bytes may be too long for some path.
    #[must_use]
    pub const fn may_exceed(&self, length: usize) -> bool {
        length > self.least
    }

    /// The path MTU to a destination, if it is known.
    #[must_use]
    pub fn mtu(&self, destination: IpAddr, now: Instant) -> Option<usize> {
        if self.known.is_empty() {
            return None;
        }
        self.known.get(&destination).filter(|path| path.expires > now).map(|path| path.mtu)
    }

    /// Records a router's report about the path to a destination: a packet of `length` bytes was too long for its next
    /// link, which takes `mtu` bytes. An `mtu` of 0 means that the router does not say. A report never raises a path
    /// MTU.
    ///
    /// The caller has verified that this host may have sent such a packet (RFC 5927 section 4), and that it left by
    /// this interface.
    pub fn learn(&mut self, destination: IpAddr, mtu: usize, length: usize, now: Instant) {
        let mtu = match destination {
            IpAddr::V4(_) if mtu == 0 => PLATEAUS.into_iter().find(|plateau| *plateau < length).unwrap_or(NARROWEST_V4),
            IpAddr::V4(_) => mtu.max(NARROWEST_V4),
            // An MTU below the minimum is ignored (RFC 8201 section 4).
            IpAddr::V6(_) if mtu < IPV6_LEAST_MTU => return,
            IpAddr::V6(_) => mtu,
        };
        // A router does not drop a packet that fits its next link, so the report is false (RFC 5927 section 7.2).
        if mtu >= length || self.mtu(destination, now).is_some_and(|known| known <= mtu) {
            return;
        }
        if !self.known.contains_key(&destination) && self.known.len() >= MOST {
            let oldest = self.known.iter().min_by_key(|(_, path)| path.expires).map(|(destination, _)| *destination);
            oldest.and_then(|oldest| self.known.remove(&oldest));
        }
        self.known.insert(destination, Path { mtu, expires: now + LIFETIME });
        self.recompute();
    }

    /// Removes the path MTUs whose lifetime has ended, because those paths may have become wider.
    pub fn expire(&mut self, now: Instant) {
        self.known.retain(|_, path| path.expires > now);
        self.recompute();
    }

    /// When to call [`expire`](Self::expire) again.
    #[must_use]
    pub const fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Recomputes the smallest MTU and the first expiry.
    fn recompute(&mut self) {
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
    fn implausible_reports_are_ignored_or_bounded() {
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
    fn a_report_without_an_mtu_uses_the_plateau_table() {
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
