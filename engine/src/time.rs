//! Time as the engine counts it: an argument, never read from a clock.

use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A point on a monotonic time line: the time since its origin. Unrelated to the calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The origin of the time line.
    pub const ORIGIN: Self = Self(Duration::ZERO);

    /// The instant that lies `elapsed` after the origin.
    #[must_use]
    pub const fn from_origin(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// The time since the origin.
    #[must_use]
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to this instant; zero where `earlier` is the later one.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole milliseconds since the origin, in 64 bits of them.
    #[must_use]
    pub const fn millis(self) -> u64 {
        self.0.as_secs().wrapping_mul(1000).wrapping_add(self.0.subsec_millis() as u64)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the end of time instead of overflowing: an application may name any duration.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_time_is_not_passed() {
        let end = Instant::ORIGIN + Duration::MAX;
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(Instant::ORIGIN - end, Duration::ZERO);
        assert_eq!(Instant::from_origin(Duration::from_millis(1500)).millis(), 1500);
    }
}
