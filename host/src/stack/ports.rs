//! Local addresses and ports: who covers what, and which port is free.

use core::net::IpAddr;
use core::ops::RangeInclusive;

/// The local address that a socket is bound to: one address, or every address of a family.
///
/// `0.0.0.0` covers IPv4 only and `::` IPv6 only: no socket here serves both families (as in wasi:sockets).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound(pub(crate) IpAddr);

impl Bound {
    /// Whether a packet to `address` is for this socket.
    pub(crate) fn covers(self, address: IpAddr) -> bool {
        self.0 == address || (self.0.is_unspecified() && self.0.is_ipv4() == address.is_ipv4())
    }

    /// Whether two sockets cannot have one port.
    pub(crate) fn conflicts(self, other: Self) -> bool {
        self.covers(other.0) || other.covers(self.0)
    }
}

/// The ports that are handed out where none is asked for (RFC 6335 section 6).
pub(crate) const EPHEMERAL: RangeInclusive<u16> = 49152..=65535;

/// Every port of `range`, from a random place on (RFC 6056 algorithm 1).
pub(crate) fn candidates(range: &RangeInclusive<u16>, random: u64) -> impl Iterator<Item = u16> + use<> {
    let (first, last) = (u64::from(*range.start()), u64::from(*range.end()));
    let count = (last + 1).saturating_sub(first);
    (0..count).map(move |step| {
        let port = first + (random % count + step) % count;
        u16::try_from(port).unwrap_or(u16::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_comes_once() {
        let mut ports: Vec<u16> = candidates(&EPHEMERAL, u64::MAX - 3).collect();
        ports.sort_unstable();
        assert_eq!(ports, EPHEMERAL.collect::<Vec<_>>());
        assert_eq!(candidates(&(7..=7), 12).collect::<Vec<_>>(), [7]);
        #[expect(clippy::reversed_empty_ranges, reason = "an empty range is the case")]
        let none = 9..=8;
        assert_eq!(candidates(&none, 12).count(), 0);
    }

    #[test]
    fn wildcards_cover_their_family_only() {
        let any = Bound([0, 0, 0, 0].into());
        let one = Bound([10, 0, 0, 1].into());
        let any6 = Bound([0u16; 8].into());
        assert!(any.conflicts(one) && one.conflicts(any) && any.conflicts(any));
        assert!(!any.conflicts(any6));
        assert!(!one.conflicts(Bound([10, 0, 0, 2].into())));
    }
}
