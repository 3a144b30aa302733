//! Durations and sizes, which every WIT package here writes as 64 bits, and hop limits.

use std::time::Duration;

use crate::error::Result;
use crate::socket::HopLimit;

/// A WIT duration. Every number of nanoseconds is one.
pub(super) const fn duration(nanoseconds: u64) -> Duration {
    Duration::from_nanos(nanoseconds)
}

/// A WIT duration; what does not fit (over 584 years) is the longest there is.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A hop limit.
///
/// # Errors
/// [`Error::InvalidArgument`] for 0.
pub(super) fn hop_limit(value: u8) -> Result<HopLimit> {
    Ok(HopLimit::try_from(value)?)
}

/// A size in bytes or places; what this machine cannot address is the largest that it can, which every limit refuses.
pub(super) fn size(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn durations_saturate() {
        assert_eq!(nanoseconds(duration(u64::MAX)), u64::MAX);
        assert_eq!(nanoseconds(Duration::MAX), u64::MAX);
    }

    #[test]
    fn a_hop_limit_of_0_is_none() {
        assert_eq!((hop_limit(0), hop_limit(1)), (Err(Error::InvalidArgument), Ok(HopLimit::ONE)));
    }
}
