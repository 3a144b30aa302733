//! Time as the engine counts it: an argument, never read from a clock.

use core::fmt;
use core::num::NonZeroU64;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A point on a monotonic time line: the time since its origin, in nanoseconds. Unrelated to the calendar.
///
/// The line ends 584 years after its origin; what would lie beyond lies at its end, and that is for ever away. An `Option` of an instant is no larger than an instant: a connection has many.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64);

/// How long something took, in nanoseconds: half as large as a [`Duration`], of which a connection remembers many, and so is an
/// `Option` of it. What is longer than 584 years is that long.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(NonZeroU64);

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanoseconds(duration)))
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        Self::from_nanos(span.0.get() - 1)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        Duration::from(*self).fmt(formatter)
    }
}

const NANOSECONDS: u64 = 1_000_000_000;

impl Instant {
    /// The origin of the time line.
    pub const ORIGIN: Self = Self(NonZeroU64::MIN);

    /// The instant that lies `elapsed` after the origin.
    #[must_use]
    pub const fn from_origin(elapsed: Duration) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanoseconds(elapsed)))
    }

    /// The time since the origin.
    #[must_use]
    pub const fn since_origin(self) -> Duration {
        Duration::from_nanos(self.0.get() - 1)
    }

    /// The time from `earlier` to this instant; zero where `earlier` is the later one, and `Duration::MAX` to the end of time.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        if self.0.get() == u64::MAX && earlier.0.get() < u64::MAX {
            return Duration::MAX;
        }
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }

    /// Whole milliseconds since the origin.
    #[must_use]
    pub const fn millis(self) -> u64 {
        (self.0.get() - 1) / 1_000_000
    }
}

/// The first of some times, of those that there are. Every packet asks when something is due next, so nothing is in the way of
/// comparing them one after the other.
#[must_use]
pub fn earliest<const N: usize>(times: [Option<Instant>; N]) -> Option<Instant> {
    let mut first = None;
    for time in times {
        first = match (first, time) {
            (Some(first), Some(time)) if time >= first => Some(first),
            (first, None) => first,
            (_, time) => time,
        };
    }
    first
}

/// As many as there are, or as 64 bits hold.
const fn nanoseconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(NANOSECONDS).saturating_add(duration.subsec_nanos() as u64)
}

impl Default for Instant {
    fn default() -> Self {
        Self::ORIGIN
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Instant").field(&self.since_origin()).finish()
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates at the end of time instead of overflowing: an application may name any duration.
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(duration)))
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
    fn the_earliest_of_some_times_is_the_first_of_those_that_there_are() {
        let at = |seconds| Some(Instant::from_origin(Duration::from_secs(seconds)));
        assert_eq!(earliest([at(3), None, at(1), at(2)]), at(1));
        assert_eq!(earliest([None, at(2), at(2)]), at(2));
        assert_eq!(earliest([None, None]), None);
        assert_eq!(earliest([]), None);
    }

    #[test]
    fn the_end_of_time_is_not_passed() {
        let end = Instant::ORIGIN + Duration::MAX;
        assert_eq!(end + Duration::from_secs(1), end);
        assert_eq!(
            (Instant::ORIGIN - end, end - Instant::ORIGIN, end - end),
            (Duration::ZERO, Duration::MAX, Duration::ZERO)
        );
        assert_eq!(Instant::from_origin(Duration::from_millis(1500)).millis(), 1500);
        assert_eq!(Instant::from_origin(Duration::from_nanos(1)).since_origin(), Duration::from_nanos(1));
        assert_eq!(size_of::<Option<Instant>>(), size_of::<Instant>());
    }

    #[test]
    fn a_span_is_the_duration_that_it_was_made_of() {
        for duration in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(3600)] {
            assert_eq!(Duration::from(Span::from(duration)), duration);
        }
        assert_eq!(Duration::from(Span::from(Duration::MAX)), Duration::from_nanos(u64::MAX - 1));
        assert_eq!(size_of::<Option<Span>>(), size_of::<Duration>() / 2);
    }
}
