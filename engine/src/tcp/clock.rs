//! The timestamps of a connection (RFC 7323 sections 3 to 5).

use core::time::Duration;

use super::segment::Timestamp;
use super::sequence::Sequence;
use crate::time::Instant;

/// After this time without a segment, the last timestamp of the peer is no longer used to detect old segments, since
/// the peer's clock may have wrapped around (RFC 7323 section 5.5).
const STALE: Duration = Duration::from_secs(24 * 24 * 3600);

/// The timestamp clock of this end, in milliseconds from a secret offset, and the latest timestamp of the peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    offset: u32,
    /// TS.Recent, and when it was received.
    recent: Option<(u32, Instant)>,
}

/// The timestamp clock of this end at `now`.
#[expect(clippy::cast_possible_truncation, reason = "the clock goes round (RFC 7323 section 5.4)")]
pub(super) const fn stamp(offset: u32, now: Instant) -> u32 {
    (now.millis() as u32).wrapping_add(offset)
}

impl Clock {
    /// A clock. `recent` is the timestamp of the peer's SYN, if the connection uses timestamps.
    pub(super) fn new(offset: u32, recent: Option<u32>, now: Instant) -> Self {
        Self { offset, recent: recent.map(|recent| (recent, now)) }
    }

    pub(super) const fn offset(&self) -> u32 {
        self.offset
    }

    /// A number that differs between connections, for random choices that need not be secret. The offset and the
    /// initial sequence number both come from keyed hashes, and neither reveals anything about other connections.
    pub(super) const fn seed(&self, isn: Sequence) -> u64 {
        ((isn.0 as u64) << 32) | self.offset as u64
    }

    /// TS.Recent, if timestamps are used.
    pub(super) fn recent(&self) -> Option<u32> {
        self.recent.map(|(recent, _)| recent)
    }

    pub(super) const fn is_used(&self) -> bool {
        self.recent.is_some()
    }

    /// The timestamps option of a segment that is sent.
    pub(super) fn option(&self, now: Instant) -> Option<Timestamp> {
        self.recent.map(|(echo, _)| Timestamp { value: stamp(self.offset, now), echo })
    }

    /// Whether a segment with this TSval is an old duplicate (PAWS, RFC 7323 section 5.3).
    pub(super) fn is_old(&self, value: u32, now: Instant) -> bool {
        self.recent.is_some_and(|(recent, at)| {
            value.wrapping_sub(recent).cast_signed() < 0 && now.saturating_duration_since(at) < STALE
        })
    }

    /// Records the TSval of a segment that begins at or before the sequence number that was last acknowledged (RFC 7323
    /// section 4.3).
    pub(super) fn hear(&mut self, value: u32, now: Instant) {
        if self.recent.is_some() && !self.is_old(value, now) {
            self.recent = Some((value, now));
        }
    }

    /// The time since this end's clock had the value that a segment echoes: at least a millisecond, which is the
    /// resolution of the clock. `None` if the clock never had that value.
    pub(super) fn elapsed(&self, echo: u32, now: Instant) -> Option<Duration> {
        let elapsed = stamp(self.offset, now).wrapping_sub(echo);
        // At most about 17 minutes: longer times are taken for invalid echoes.
        (self.is_used() && elapsed < 1 << 20).then(|| Duration::from_millis(elapsed.max(1).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn old_timestamps_are_detected_across_the_wrap_of_the_clock() {
        let mut clock = Clock::new(7, Some(u32::MAX - 1), at(0));
        assert!(clock.is_old(u32::MAX - 2, at(1)) && !clock.is_old(3, at(1)) && !clock.is_old(u32::MAX - 1, at(1)));
        clock.hear(3, at(1));
        assert!(clock.is_old(u32::MAX, at(1)));
        clock.hear(u32::MAX, at(1));
        assert_eq!(clock.recent(), Some(3));
    }

    /// RFC 7323 section 5.5.
    #[test]
    fn after_weeks_of_silence_any_timestamp_is_new() {
        let clock = Clock::new(7, Some(1000), at(0));
        assert!(clock.is_old(999, at(1)) && !clock.is_old(999, at(0) + STALE));
    }

    #[test]
    fn an_echo_tells_the_round_trip_time() {
        let clock = Clock::new(u32::MAX, Some(1), at(0));
        let sent = stamp(clock.offset(), at(10));
        assert_eq!(clock.elapsed(sent, at(35)), Some(Duration::from_millis(25)));
        assert_eq!(clock.elapsed(sent, at(10)), Some(Duration::from_millis(1)));
        assert_eq!(clock.elapsed(sent.wrapping_add(1000), at(35)), None, "from the future");
        assert_eq!(Clock::new(0, None, at(0)).elapsed(0, at(5)), None);
    }
}
