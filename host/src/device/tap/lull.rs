//! Busy polling: decides whether a task stays awake until the next frame.
//!
//! To sleep and to be woken by the kernel costs several microseconds, and ten times that on a virtual machine: more
//! than all other work for a frame. If the next frame comes soon, a task that polls until then saves that cost
//! (`net.core.busy_read` of Linux does the same). If the frame did not come soon, the task sleeps in the next pauses
//! without polling, in twice as many after each failure. So frames that are far apart cost almost nothing, and a
//! sequence of frames in quick succession is detected again.

use core::time::Duration;
use std::time::Instant;

/// The maximum time of polling in one pause. A peer on this machine answers in less.
const SHORT: Duration = Duration::from_micros(100);

/// After a failure, at most two to this power pauses are skipped without polling.
const MOST_FAILURES: u32 = 6;

/// A pause: the time between two frames, in which no frame arrives.
#[derive(Debug, Default)]
pub(super) struct Lull {
    /// The start of the present pause; `None` while frames arrive.
    since: Option<Instant>,
    /// How many times in a row polling failed.
    failures: u32,
    /// How many further pauses are skipped without polling.
    skipped: u32,
}

impl Lull {
    /// Called when no frame is there. Whether to poll again at once.
    pub(super) fn is_worth_waiting(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        self.skipped == 0 && now.duration_since(since) < SHORT
    }

    /// Whether no frame was there at the last poll.
    pub(super) const fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// Called when a frame has arrived.
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
    fn short_pauses_are_polled_and_long_ones_are_skipped_more_and_more() {
        let mut now = Instant::now();
        let mut lull = Lull::default();
        // Whether the task polls at the beginning of the pause, and at its end.
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
