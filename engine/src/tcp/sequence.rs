//! Sequence numbers (RFC 9293 section 3.4).

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A sequence number, modulo 2^32. Two numbers are compared along the shorter way round the number space. This is
/// correct because all compared numbers lie within 2^31 of each other: no window is larger (RFC 7323 section 2.2).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Sequence(pub u32);

impl Sequence {
    /// Whether this number comes before `other`.
    #[must_use]
    pub const fn before(self, other: Self) -> bool {
        self.0.wrapping_sub(other.0).cast_signed() < 0
    }

    /// Whether this number comes after `other`.
    #[must_use]
    pub const fn after(self, other: Self) -> bool {
        other.before(self)
    }

    /// Whether this number is `other` or comes before it.
    #[must_use]
    pub const fn at_or_before(self, other: Self) -> bool {
        !self.after(other)
    }

    /// Whether this number is `other` or comes after it.
    #[must_use]
    pub const fn at_or_after(self, other: Self) -> bool {
        !self.before(other)
    }

    /// The later of the two numbers.
    #[must_use]
    pub const fn latest(self, other: Self) -> Self {
        if self.after(other) { self } else { other }
    }

    /// The earlier of the two numbers.
    #[must_use]
    pub const fn earliest(self, other: Self) -> Self {
        if self.before(other) { self } else { other }
    }

    /// The distance from `earlier` to this number; 0 if `earlier` is the later one.
    #[must_use]
    pub const fn since(self, earlier: Self) -> usize {
        if self.before(earlier) { 0 } else { self.0.wrapping_sub(earlier.0) as usize }
    }
}

impl Add<usize> for Sequence {
    type Output = Self;

    #[expect(clippy::cast_possible_truncation, reason = "sequence numbers count modulo 2^32")]
    fn add(self, count: usize) -> Self {
        Self(self.0.wrapping_add(count as u32))
    }
}

impl AddAssign<usize> for Sequence {
    fn add_assign(&mut self, count: usize) {
        *self = *self + count;
    }
}

impl Sub<usize> for Sequence {
    type Output = Self;

    #[expect(clippy::cast_possible_truncation, reason = "sequence numbers count modulo 2^32")]
    fn sub(self, count: usize) -> Self {
        Self(self.0.wrapping_sub(count as u32))
    }
}

impl fmt::Debug for Sequence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_across_the_end_of_their_space() {
        let (low, high) = (Sequence(5), Sequence(u32::MAX - 5));
        assert!(high.before(low) && low.after(high) && low.at_or_after(low) && low.at_or_before(low));
        assert_eq!(low.since(high), 11);
        assert_eq!(high.since(low), 0);
        assert_eq!((high + 11, low - 11), (low, high));
        assert_eq!((high.latest(low), high.earliest(low)), (low, high));
    }
}
