//! The automatic size of the receive buffer, if the application has not chosen one.

use core::time::Duration;

use crate::buffer::in_32_bits;
use crate::tcp::sequence::Sequence;
use crate::time::{Instant, Span};

/// Dynamic right-sizing (Fisk and Feng, 2001). In a round-trip time, the owner reads what the peer has sent in one. The
/// buffer has to hold twice as much, so that the peer can send twice as fast in the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuning {
    /// The maximum of the limit.
    most: u32,
    /// When the current round trip began.
    since: Option<Instant>,
    /// The bytes read in the current round trip, and in the one before.
    read: u32,
    before: u32,
    /// When a window of data began to arrive, and the sequence number at its end.
    window: Option<(Instant, Sequence)>,
    /// The shortest time in which a window of data has arrived. If the window is what limits the peer, a round trip
    /// takes at least this long, the processing time of both ends included.
    fastest: Option<Span>,
}

/// What the buffer holds in addition to the data of two round trips.
const HEADROOM: u32 = 16 * 1460;

impl Tuning {
    pub(super) fn new(most: usize) -> Self {
        Self { most: in_32_bits(most), since: None, read: 0, before: 0, window: None, fastest: None }
    }

    pub(super) fn on_read(&mut self, count: usize) {
        self.read = self.read.saturating_add(in_32_bits(count));
    }

    /// Records that data has arrived up to `next`, and that the peer was offered the window up to `edge`.
    pub(super) fn on_received(&mut self, next: Sequence, edge: Sequence, now: Instant) {
        let Some((since, end)) = self.window else {
            self.window = Some((now, edge));
            return;
        };
        if next.at_or_after(end) {
            let took = Span::from(now - since);
            self.fastest = Some(self.fastest.map_or(took, |fastest| fastest.min(took)));
            self.window = Some((now, edge));
        }
    }

    /// The limit that the data read in a round trip requires; `None` while the round trip is not over.
    pub(super) fn limit(&mut self, rtt: Duration, now: Instant) -> Option<usize> {
        let rtt = self.fastest.map_or(rtt, |fastest| rtt.max(fastest.into()));
        let since = *self.since.get_or_insert(now);
        if now < since + rtt {
            return None;
        }
        let faster = self.read.saturating_sub(self.before);
        let wanted = self.read.saturating_add(faster).saturating_mul(2).saturating_add(HEADROOM);
        (self.since, self.before, self.read) = (Some(now), self.read, 0);
        Some(wanted.min(self.most) as usize)
    }
}
