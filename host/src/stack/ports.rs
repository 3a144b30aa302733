//! Ephemeral ports, in the order in which a search tries them.

use core::ops::RangeInclusive;

use xila_network_engine::ports::FreePorts;
use xila_network_engine::random::Random;

/// The default range of ephemeral ports (RFC 6335 section 6).
pub(crate) const EPHEMERAL: RangeInclusive<u16> = 49152..=65535;

/// Every port of `range`, starting at a random one (RFC 6056 algorithm 1).
pub(crate) fn candidates(range: &RangeInclusive<u16>, random: u64) -> impl Iterator<Item = u16> + use<> {
    let (first, last) = (u64::from(*range.start()), u64::from(*range.end()));
    let count = (last + 1).saturating_sub(first);
    (0..count).map(move |step| {
        let port = first + (random % count + step) % count;
        u16::try_from(port).unwrap_or(u16::MAX)
    })
}

/// The free ports in random order: every one is equally likely to be the next (RFC 6056 section 3.3).
pub(super) fn shuffled(mut free: FreePorts, mut random: Random) -> impl Iterator<Item = u16> + use<> {
    core::iter::from_fn(move || {
        let port = free.choose(&mut random)?;
        free.remove(port);
        Some(port)
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
}
