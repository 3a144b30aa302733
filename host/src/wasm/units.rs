//! Durations and sizes, which every WIT package here writes as 64 bits.

use std::time::Duration;

/// A WIT duration. Every number of nanoseconds is one.
pub(super) const fn duration(nanoseconds: u64) -> Duration {
    Duration::from_nanos(nanoseconds)
}

/// A WIT duration; what does not fit (over 584 years) is the longest there is.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A size in bytes or places; what this machine cannot address is the largest that it can, which every limit refuses.
pub(super) fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_saturate() {
        assert_eq!(nanoseconds(duration(u64::MAX)), u64::MAX);
        assert_eq!(nanoseconds(Duration::MAX), u64::MAX);
    }
}
