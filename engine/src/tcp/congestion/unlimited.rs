//! No congestion control: for links that lose nothing, where the peer's window alone is the limit.

use core::time::Duration;

use super::{Acknowledgement, CongestionControl, MAXIMUM_WINDOW};
use crate::time::Instant;

/// A window that is always [`MAXIMUM_WINDOW`], 2^30 bytes: no peer's window is larger (RFC 7323 section 2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unlimited;

impl CongestionControl for Unlimited {
    fn window(&self) -> usize {
        MAXIMUM_WINDOW
    }

    fn threshold(&self) -> usize {
        MAXIMUM_WINDOW
    }

    fn set_segment_size(&mut self, _bytes: usize) {}

    fn on_acknowledgement(&mut self, _acknowledgement: &Acknowledgement) {}

    fn on_congestion(&mut self, _now: Instant, _in_flight: usize) {}

    fn on_mark(&mut self, _now: Instant, _in_flight: usize) {}

    fn on_timeout(&mut self, _now: Instant, _in_flight: usize, _first: bool) {}

    fn on_recovered(&mut self, _now: Instant) {}

    fn undo(&mut self, _now: Instant) {}

    fn on_idle(&mut self, _now: Instant, _idle: Duration, _timeout: Duration) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_loss_nor_idleness_lowers_the_window() {
        let mut control = Unlimited;
        control.on_congestion(Instant::ORIGIN, 1);
        control.on_mark(Instant::ORIGIN, 1);
        control.on_recovered(Instant::ORIGIN);
        control.on_timeout(Instant::ORIGIN, 1, true);
        control.on_idle(Instant::ORIGIN, Duration::from_secs(3600), Duration::from_secs(1));
        assert_eq!((control.window(), control.threshold()), (1 << 30, 1 << 30));
    }
}
