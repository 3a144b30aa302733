//! RACK (RFC 8985 section 6): a segment is lost if it was sent well before another one that has arrived.

use core::time::Duration;

use crate::tcp::rtt::RoundTrip;
use crate::tcp::scoreboard::{Delivered, Recency};
use crate::tcp::sequence::Sequence;
use crate::time::Instant;

/// The number of segments out of order after which a loss is assumed without waiting, as long as no reordering was seen
/// (RFC 8985 section 6.2, step 4; DupThresh of RFC 5681).
const THRESHOLD: usize = 3;
/// The number of recoveries for which a widened reordering window is kept (RFC 8985 section 6.2, step 4).
const PERSISTENCE: u8 = 16;
/// The maximum of the reordering window, in quarters of the smallest round-trip time.
const MAX_QUARTERS: u32 = 64;

/// The state of RACK for one connection (RFC 8985 section 5.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Rack {
    /// The most recently sent segment that has arrived, and its round-trip time: `RACK.xmit_ts`, `RACK.end_seq`,
    /// `RACK.rtt`.
    latest: Option<(Recency, Duration)>,
    /// The highest sequence number that has arrived: `RACK.fack`.
    highest: Option<Sequence>,
    /// Reordering was seen: a segment has arrived after one with a higher sequence number.
    reordered: bool,
    /// The reordering window in quarters of the smallest round-trip time: `RACK.reo_wnd_mult`.
    quarters: u32,
    /// The number of recoveries until the window is one quarter again: `RACK.reo_wnd_persist`.
    persist: u8,
    /// SND.NXT when a duplicate was last counted: the next one counts only after a round trip.
    round: Option<Sequence>,
}

impl Rack {
    /// The state before anything has arrived.
    pub(super) const fn new() -> Self {
        Self { latest: None, highest: None, reordered: false, quarters: 1, persist: PERSISTENCE, round: None }
    }

    /// Whether reordering was ever seen on the path. This is kept for the rest of the connection.
    pub(super) const fn has_seen_reordering(&self) -> bool {
        self.reordered
    }

    /// Processes a segment that has arrived, `elapsed` after it was last sent (section 6.2, steps 1 to 3). `least` is
    /// the smallest round-trip time of the path.
    pub(super) fn on_delivered(&mut self, delivered: &Delivered, elapsed: Duration, least: Option<Duration>) {
        if delivered.again {
            // This is too soon to be the answer to the retransmission: the original was acknowledged, and its time is
            // not known any more.
            if least.is_some_and(|least| elapsed < least) {
                return;
            }
        } else if self.highest.is_some_and(|highest| delivered.recency.end.before(highest)) {
            self.reordered = true;
        }
        self.highest =
            Some(self.highest.map_or(delivered.recency.end, |highest| highest.latest(delivered.recency.end)));
        if self.latest.is_none_or(|(latest, _)| delivered.recency.after(&latest)) {
            self.latest = Some((delivered.recency, elapsed));
        }
    }

    /// Records that a segment that was taken for lost was only late.
    pub(super) const fn on_reordering(&mut self) {
        self.reordered = true;
    }

    /// Widens the window because the peer reports a duplicate, at most once in a round trip (step 4).
    pub(super) fn on_duplicate(&mut self, next: Sequence, acknowledged: Sequence) {
        if self.round.is_none_or(|round| acknowledged.at_or_after(round)) {
            self.round = Some(next);
            self.quarters = (self.quarters + 1).min(MAX_QUARTERS);
            self.persist = PERSISTENCE;
            self.reordered = true;
        }
    }

    /// Records that a recovery has ended.
    pub(super) const fn on_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            (self.quarters, self.persist) = (1, PERSISTENCE);
        }
    }

    /// The reordering window: how long a segment may be late before it is taken for lost (step 4,
    /// `RACK_update_reo_wnd`).
    pub(super) fn reordering_window(&self, rtt: &RoundTrip, recovering: bool, sacked_segments: usize) -> Duration {
        if !self.reordered && (recovering || sacked_segments >= THRESHOLD) {
            return Duration::ZERO;
        }
        let (Some(least), Some(smoothed)) = (rtt.minimum(), rtt.smoothed()) else { return Duration::ZERO };
        (least / 4 * self.quarters).min(smoothed)
    }

    /// When a segment is to be taken for lost; `None` if nothing that was sent after it has arrived (step 5).
    pub(super) fn is_late_at(&self, sent: &Recency, window: Duration) -> Option<Instant> {
        let (latest, rtt) = self.latest?;
        latest.after(sent).then(|| sent.sent + rtt + window)
    }
}
