//! Conversion of durations and sizes, which are 64-bit numbers in all WIT packages here, and of hop limits.

use std::time::Duration;

use crate::error::Result;
use crate::socket::HopLimit;

/// Converts a WIT duration, which is a number of nanoseconds.
pub(super) const fn duration(nanoseconds: u64) -> Duration {
    Duration::from_nanos(nanoseconds)
}

/// Converts to a WIT duration. A duration that does not fit (over 584 years) becomes the maximum.
pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Converts a hop limit.
///
/// # Errors
/// [`Error::InvalidArgument`] for 0.
pub(super) fn hop_limit(value: u8) -> Result<HopLimit> {
    Ok(HopLimit::try_from(value)?)
}

/// Converts a size in bytes or places. A size that this machine cannot address becomes the maximum, which every limit
/// refuses.
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
    fn a_hop_limit_of_0_is_refused() {
        assert_eq!((hop_limit(0), hop_limit(1)), (Err(Error::InvalidArgument), Ok(HopLimit::ONE)));
    }
}
