//! How far the congestion window is used. A window that is not used says nothing about the path (RFC 7661, RFC 2861).

use core::time::Duration;

use crate::tcp::congestion::{Congestion, CongestionControl};
use crate::tcp::sequence::Sequence;
use crate::time::Instant;

/// The usage of one connection's congestion window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Set if the window was fully used. The window counts as used until more than this number is acknowledged.
    limited_until: Option<Sequence>,
    last_sent: Instant,
    /// When the window was last fully used.
    last_limited: Instant,
    /// The maximum of bytes in flight since then.
    most: usize,
}

impl Usage {
    pub(super) const fn new(now: Instant) -> Self {
        Self { limited_until: None, last_sent: now, last_limited: now, most: 0 }
    }

    /// Whether the congestion window limited the sender (RFC 7661 section 4).
    pub(super) const fn is_limited(&self) -> bool {
        self.limited_until.is_some()
    }

    /// Records that the window holds back data that begins at `next`.
    pub(super) const fn on_blocked(&mut self, next: Sequence) {
        self.limited_until = Some(next);
    }

    /// Records that something was sent.
    pub(super) fn on_sent(&mut self, in_flight: usize, now: Instant) {
        self.last_sent = now;
        self.most = self.most.max(in_flight);
    }

    /// Records that the data sent up to `end` leaves no room in the window for another segment. Whether there is more
    /// to send or not, the path then proves that it bears the whole window (RFC 7661 section 4.3, the validated phase).
    pub(super) fn on_full(&mut self, end: Sequence) {
        let last = end - 1;
        self.limited_until = Some(self.limited_until.map_or(last, |until| until.latest(last)));
    }

    /// Records that everything before this number was acknowledged.
    pub(super) fn on_acknowledged(&mut self, acknowledgement: Sequence) {
        self.limited_until = self.limited_until.filter(|until| acknowledgement.at_or_before(*until));
    }

    /// Records that everything that may be sent now was sent.
    pub(super) const fn on_all_sent(&mut self, now: Instant) {
        if self.is_limited() {
            self.last_limited = now;
        }
    }

    /// Called before something is sent. Tells the congestion control if its window is no longer validated by use: after
    /// a silence, or if less than half of it was used for a while.
    pub(super) fn validate(
        &mut self,
        in_flight: usize,
        is_idle: bool,
        timeout: Duration,
        congestion: &mut Congestion,
        now: Instant,
    ) {
        if is_idle && now - self.last_sent > timeout {
            congestion.on_idle(now, now - self.last_sent, timeout);
            (self.last_sent, self.last_limited, self.most) = (now, now, 0);
        } else if now - self.last_limited > timeout {
            if self.most * 2 < congestion.window() {
                congestion.on_idle(now, timeout, timeout);
            }
            (self.last_limited, self.most) = (now, in_flight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_window_counts_as_used_until_it_is_acknowledged() {
        let mut usage = Usage::new(Instant::ORIGIN);
        usage.on_full(Sequence(1000));
        usage.on_acknowledged(Sequence(999));
        assert!(usage.is_limited());
        usage.on_acknowledged(Sequence(1000));
        assert!(!usage.is_limited());
    }

    #[test]
    fn data_held_back_counts_as_use_until_some_of_it_is_acknowledged() {
        let mut usage = Usage::new(Instant::ORIGIN);
        usage.on_blocked(Sequence(1000));
        usage.on_full(Sequence(500));
        usage.on_acknowledged(Sequence(1000));
        assert!(usage.is_limited());
        usage.on_acknowledged(Sequence(1001));
        assert!(!usage.is_limited());
    }
}
