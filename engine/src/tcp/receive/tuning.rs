//! How much may wait to be read, where that is left to the connection.

use core::time::Duration;

use crate::buffer::in_32_bits;
use crate::tcp::sequence::Sequence;
use crate::time::{Instant, Span};

/// Dynamic right-sizing (Fisk and Feng, 2001): in a round-trip time the owner reads what the peer has sent in one, and so the
/// buffer has to hold twice as much for a peer that sends twice as fast in the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuning {
    /// The most that the limit may be.
    most: u32,
    /// When the present round trip began.
    since: Option<Instant>,
    /// Bytes read in it, and in the one before.
    read: u32,
    before: u32,
    /// When a window of data began to arrive, and where it ends.
    window: Option<(Instant, Sequence)>,
    /// The least time in which a window of data has arrived: what a round trip takes at least where the window is what keeps the
    /// peer, with the time that both ends take to act.
    fastest: Option<Span>,
}

/// What a buffer holds beyond what one round trip fills.
const HEADROOM: u32 = 16 * 1460;

impl Tuning {
    pub(super) fn new(most: usize) -> Self {
        Self { most: in_32_bits(most), since: None, read: 0, before: 0, window: None, fastest: None }
    }

    pub(super) fn on_read(&mut self, count: usize) {
        self.read = self.read.saturating_add(in_32_bits(count));
    }

    /// Data has arrived up to `next`, and the peer knows of the window up to `edge`.
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

    /// The limit that what was read in a round trip asks for; none before one is over.
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
