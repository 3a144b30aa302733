//! How far the congestion window is used: one that is not says nothing of the path (RFC 7661, RFC 2861).

use core::time::Duration;

use crate::tcp::congestion::{Congestion, CongestionControl};
use crate::tcp::sequence::Sequence;
use crate::time::Instant;

/// The use of one connection's congestion window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// The window was used as far as it goes; so it counts as used until more than this is acknowledged.
    limited_until: Option<Sequence>,
    last_sent: Instant,
    /// When the window was last used as far as it goes.
    last_limited: Instant,
    /// The most that was in flight since.
    most: usize,
}

impl Usage {
    pub(super) const fn new(now: Instant) -> Self {
        Self { limited_until: None, last_sent: now, last_limited: now, most: 0 }
    }

    /// Whether the congestion window was what kept more from being sent (RFC 7661 section 4).
    pub(super) const fn is_limited(&self) -> bool {
        self.limited_until.is_some()
    }

    /// The window keeps back what would begin at `next`.
    pub(super) const fn on_blocked(&mut self, next: Sequence) {
        self.limited_until = Some(next);
    }

    /// Something was sent.
    pub(super) fn on_sent(&mut self, in_flight: usize, now: Instant) {
        self.last_sent = now;
        self.most = self.most.max(in_flight);
    }

    /// What was sent up to `end` leaves no room in the window for another segment: whether there is more to send or not, the
    /// path is shown to bear all of the window (RFC 7661 section 4.3, the validated phase).
    pub(super) fn on_full(&mut self, end: Sequence) {
        let last = end - 1;
        self.limited_until = Some(self.limited_until.map_or(last, |until| until.latest(last)));
    }

    /// Everything before this was acknowledged.
    pub(super) fn on_acknowledged(&mut self, acknowledgement: Sequence) {
        self.limited_until = self.limited_until.filter(|until| acknowledgement.at_or_before(*until));
    }

    /// Everything was sent that may be.
    pub(super) const fn rest(&mut self, now: Instant) {
        if self.is_limited() {
            self.last_limited = now;
        }
    }

    /// Before something is sent: tells the congestion control where its window is not proven by use any more, which is after a
    /// silence, and where less than half of it was used for a while.
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
    fn what_is_kept_back_counts_until_it_was_sent_and_some_of_it_acknowledged() {
        let mut usage = Usage::new(Instant::ORIGIN);
        usage.on_blocked(Sequence(1000));
        usage.on_full(Sequence(500));
        usage.on_acknowledged(Sequence(1000));
        assert!(usage.is_limited());
        usage.on_acknowledged(Sequence(1001));
        assert!(!usage.is_limited());
    }
}
