//! The hop limit of packets that are sent.

use core::fmt;
use core::num::NonZeroU8;

use thiserror::Error;

/// The hop limit (RFC 8200 section 3) or time to live (RFC 791 section 3.1) of packets that are sent, 1 to 255. A
/// packet must not be sent with 0 (RFC 1122 section 3.2.1.7).
///
/// The hop limit of a packet that has arrived may be 0, so it is a plain octet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HopLimit(NonZeroU8);

/// No packet may be sent with a hop limit of 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a hop limit is 1 to 255")]
pub struct InvalidHopLimit;

impl HopLimit {
    /// The packet reaches the next hop and is not forwarded.
    pub const ONE: Self = Self(NonZeroU8::MIN);
    /// 64, the recommended value (RFC 1700, "IP time to live parameter").
    pub const DEFAULT: Self = Self::ONE.plus(63);
    /// 255. A receiver of it knows that the packet comes from its own link (RFC 5082).
    pub const MAX: Self = Self(NonZeroU8::MAX);

    /// A hop limit; `None` for 0.
    #[must_use]
    pub const fn new(octet: u8) -> Option<Self> {
        match NonZeroU8::new(octet) {
            Some(octet) => Some(Self(octet)),
            None => None,
        }
    }

    /// The octet in the header.
    #[must_use]
    pub const fn octet(self) -> u8 {
        self.0.get()
    }

    const fn plus(self, hops: u8) -> Self {
        Self(self.0.saturating_add(hops))
    }
}

impl Default for HopLimit {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl TryFrom<u8> for HopLimit {
    type Error = InvalidHopLimit;

    fn try_from(octet: u8) -> Result<Self, InvalidHopLimit> {
        Self::new(octet).ok_or(InvalidHopLimit)
    }
}

impl From<NonZeroU8> for HopLimit {
    fn from(octet: NonZeroU8) -> Self {
        Self(octet)
    }
}

impl From<HopLimit> for u8 {
    fn from(hop_limit: HopLimit) -> Self {
        hop_limit.octet()
    }
}

impl fmt::Display for HopLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_but_0_is_a_hop_limit() {
        assert_eq!((HopLimit::new(0), HopLimit::try_from(0)), (None, Err(InvalidHopLimit)));
        for octet in 1..=u8::MAX {
            assert_eq!(HopLimit::try_from(octet).map(u8::from), Ok(octet));
        }
        assert_eq!([HopLimit::ONE, HopLimit::default(), HopLimit::MAX].map(HopLimit::octet), [1, 64, 255]);
    }
}
