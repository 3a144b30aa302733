//! Rates in bytes per second.

use core::time::Duration;

/// Nanoseconds in a second.
const SECOND: u128 = 1_000_000_000;

/// Bytes per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub u64);

impl Rate {
    /// The rate at which `bytes` bytes take `time`; a time of zero counts as a nanosecond.
    #[must_use]
    pub fn new(bytes: u64, time: Duration) -> Self {
        let rate = u128::from(bytes) * SECOND / time.as_nanos().max(1);
        Self(u64::try_from(rate).unwrap_or(u64::MAX))
    }

    /// The bytes that the rate carries in this time.
    #[must_use]
    pub fn bytes_in(self, time: Duration) -> u64 {
        let bytes = u128::from(self.0).saturating_mul(time.as_nanos()) / SECOND;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// The time that `bytes` bytes take at this rate; a rate of zero counts as a byte per second.
    #[must_use]
    pub fn time_for(self, bytes: u64) -> Duration {
        let nanos = u128::from(bytes) * SECOND / u128::from(self.0.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The rate times `thousandths` / 1000.
    #[must_use]
    pub fn scaled(self, thousandths: u64) -> Self {
        let rate = u128::from(self.0) * u128::from(thousandths) / 1000;
        Self(u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_bytes_by_time() {
        let rate = Rate::new(1500, Duration::from_micros(120));
        assert_eq!(rate, Rate(12_500_000));
        assert_eq!(rate.time_for(1500), Duration::from_micros(120));
        assert_eq!(rate.bytes_in(Duration::from_millis(10)), 125_000);
        assert_eq!(rate.scaled(1250), Rate(15_625_000));
    }

    #[test]
    fn extremes_do_not_overflow() {
        assert_eq!(Rate::new(u64::MAX, Duration::ZERO), Rate(u64::MAX));
        assert_eq!(Rate(0).time_for(u64::MAX), Duration::from_nanos(u64::MAX));
        assert_eq!(Rate(u64::MAX).bytes_in(Duration::MAX), u64::MAX);
        assert_eq!(Rate(u64::MAX).scaled(u64::MAX), Rate(u64::MAX));
    }
}
