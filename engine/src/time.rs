//! Time as the engine counts it. Callers pass it in as an argument; the engine never reads a clock.

use core::fmt;
use core::num::NonZeroU64;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A point on a monotonic time line: the time since its origin, in nanoseconds. It is unrelated to the calendar.
///
/// The line ends 584 years after its origin. A later point saturates at the end, which never comes. An `Option` of an
/// instant is no larger than an instant, because a connection has many.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64);

/// A duration in nanoseconds that saturates at 584 years. It is half as large as a [`Duration`], and so is an `Option`
/// of it, because a connection remembers many.
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

    /// The time from `earlier` to this instant: zero if `earlier` is later, and `Duration::MAX` if this instant is the
    /// end of the time line.
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

/// The earliest of the times that are set. This is computed for every packet, so it is a plain chain of comparisons.
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

/// The duration in nanoseconds, saturated at 64 bits.
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

    /// Saturates at the end of the time line instead of overflowing, because an application may pass any duration.
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
    fn the_earliest_time_ignores_times_that_are_not_set() {
        let at = |seconds| Some(Instant::from_origin(Duration::from_secs(seconds)));
        assert_eq!(earliest([at(3), None, at(1), at(2)]), at(1));
        assert_eq!(earliest([None, at(2), at(2)]), at(2));
        assert_eq!(earliest([None, None]), None);
        assert_eq!(earliest([]), None);
    }

    #[test]
    fn instants_saturate_at_the_end_of_the_time_line() {
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
    fn a_span_converts_back_to_the_same_duration() {
        for duration in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(3600)] {
            assert_eq!(Duration::from(Span::from(duration)), duration);
        }
        assert_eq!(Duration::from(Span::from(Duration::MAX)), Duration::from_nanos(u64::MAX - 1));
        assert_eq!(size_of::<Option<Span>>(), size_of::<Duration>() / 2);
    }
}
