//! Whether it pays to stay awake until the next frame.
//!
//! To fall asleep and to be woken by the kernel costs several microseconds, on a virtual machine ten times that: more than everything else that
//! is done about a frame. Who looks again until the next frame is there saves that, where it comes soon (busy polling, as
//! `net.core.busy_read` of Linux has it). Where it did not, the next lulls are slept through, twice as many after each failure: so
//! frames that are far apart cost next to nothing, and those of a conversation are found out again.

use core::time::Duration;
use std::time::Instant;

/// The longest that a lull is waited out awake. A peer on this machine answers in less.
const SHORT: Duration = Duration::from_micros(100);

/// At most two to this power lulls are slept through after a failure.
const MOST_FAILURES: u32 = 6;

/// The time in which no frame comes.
#[derive(Debug, Default)]
pub(super) struct Lull {
    /// Since when; None while frames come.
    since: Option<Instant>,
    /// How often in a row it was waited in vain.
    failures: u32,
    /// So many more lulls are slept through.
    skipped: u32,
}

impl Lull {
    /// No frame is there. Whether to look again at once.
    pub(super) fn is_worth_waiting(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        self.skipped == 0 && now.duration_since(since) < SHORT
    }

    /// Whether no frame was there when one was last looked for.
    pub(super) const fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// A frame has come.
    pub(super) fn end(&mut self, now: Instant) {
        let Some(since) = self.since.take() else { return };
        if self.skipped > 0 {
            self.skipped -= 1;
        } else if now.duration_since(since) < SHORT {
            self.failures = 0;
        } else {
            self.failures = (self.failures + 1).min(MOST_FAILURES);
            self.skipped = 1 << self.failures;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_lulls_are_waited_out_and_long_ones_slept_through_ever_more_often() {
        let mut now = Instant::now();
        let mut lull = Lull::default();
        // Whether it is waited at first, and still at its end.
        let mut take = |length: Duration| {
            let first = lull.is_worth_waiting(now);
            now += length;
            let last = lull.is_worth_waiting(now);
            assert!(lull.is_on());
            lull.end(now);
            assert!(!lull.is_on());
            (first, last)
        };
        assert_eq!(take(SHORT / 2), (true, true));
        let waited = (0..1000).filter(|_| take(SHORT) == (true, false)).count();
        assert_eq!(waited, 5 + (1000 - (2 + 4 + 8 + 16 + 32 + 5)) / 65 + 1, "2, 4, 8 and so on up to 64 between them");
        let found = (0..).find(|_| take(SHORT / 2) == (true, true));
        assert!(found.is_some_and(|skipped| skipped <= 64));
        assert_eq!([SHORT / 2, SHORT / 2].map(&mut take), [(true, true); 2]);
    }
}
