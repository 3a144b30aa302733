//! RACK (RFC 8985 section 6): what was sent well before something that has arrived is lost.

use core::time::Duration;

use crate::tcp::rtt::RoundTrip;
use crate::tcp::scoreboard::{Delivered, Recency};
use crate::tcp::sequence::Sequence;
use crate::time::Instant;

/// Segments out of order after which a loss is believed without waiting, as long as nothing was seen to be reordered
/// (RFC 8985 section 6.2, step 4; DupThresh of RFC 5681).
const THRESHOLD: usize = 3;
/// Recoveries for which a widened window is kept (RFC 8985 section 6.2, step 4).
const PERSISTENCE: u8 = 16;
/// The window is not widened beyond this many quarters of the smallest round-trip time.
const MOST_QUARTERS: u32 = 64;

/// The state of RFC 8985 section 5.2.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rack {
    /// The most recently sent of all that has arrived, and its round-trip time: `RACK.xmit_ts`, `RACK.end_seq`, `RACK.rtt`.
    latest: Option<(Recency, Duration)>,
    /// The highest number that has arrived: `RACK.fack`.
    highest: Option<Sequence>,
    /// Something has arrived after what was sent behind it.
    reordered: bool,
    /// How many quarters of the smallest round-trip time make the window: `RACK.reo_wnd_mult`.
    quarters: u32,
    /// Recoveries until that is one again: `RACK.reo_wnd_persist`.
    persist: u8,
    /// SND.NXT when a duplicate was last counted: the next counts after a round trip.
    round: Option<Sequence>,
}

impl Rack {
    /// Nothing has arrived yet.
    pub(super) const fn new() -> Self {
        Self { latest: None, highest: None, reordered: false, quarters: 1, persist: PERSISTENCE, round: None }
    }

    /// Whether the path was ever seen to reorder, which is for the rest of the connection.
    pub(super) const fn has_seen_reordering(&self) -> bool {
        self.reordered
    }

    /// Takes something that has arrived, `elapsed` after it was last sent (section 6.2, steps 1 to 3). `least` is the
    /// smallest round-trip time of the path.
    pub(super) fn on_delivered(&mut self, delivered: &Delivered, elapsed: Duration, least: Option<Duration>) {
        if delivered.again {
            // Too soon to be of the retransmission: the original was acknowledged, and tells nothing of when.
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

    /// Something turned out to have been late, and not lost.
    pub(super) const fn on_reordering(&mut self) {
        self.reordered = true;
    }

    /// The peer reports a duplicate: the window was too short (step 4). Counted once for each round trip.
    pub(super) fn on_duplicate(&mut self, next: Sequence, acknowledged: Sequence) {
        if self.round.is_none_or(|round| acknowledged.at_or_after(round)) {
            self.round = Some(next);
            self.quarters = (self.quarters + 1).min(MOST_QUARTERS);
            self.persist = PERSISTENCE;
            self.reordered = true;
        }
    }

    /// A recovery has ended.
    pub(super) const fn on_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            (self.quarters, self.persist) = (1, PERSISTENCE);
        }
    }

    /// How long something may be late before it is taken for lost (step 4, `RACK_update_reo_wnd`).
    pub(super) fn reordering_window(&self, rtt: &RoundTrip, recovering: bool, sacked_segments: usize) -> Duration {
        if !self.reordered && (recovering || sacked_segments >= THRESHOLD) {
            return Duration::ZERO;
        }
        let (Some(least), Some(smoothed)) = (rtt.minimum(), rtt.smoothed()) else { return Duration::ZERO };
        (least / 4 * self.quarters).min(smoothed)
    }

    /// When something becomes a loss; `None` where nothing that was sent after it has arrived (step 5).
    pub(super) fn is_late_at(&self, sent: &Recency, window: Duration) -> Option<Instant> {
        let (latest, rtt) = self.latest?;
        latest.after(sent).then(|| sent.sent + rtt + window)
    }
}
