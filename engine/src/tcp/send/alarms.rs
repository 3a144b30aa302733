//! The timers of the sending half: which of them expires next, and why.

use core::time::Duration;

use crate::tcp::rtt::CEILING;
use crate::time::Instant;

/// A limit on the number of doublings that is large enough to reach the longest wait.
const MAX_DOUBLINGS: u32 = 16;

/// The timer that has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    /// The retransmission timeout (RFC 6298).
    Retransmission,
    /// The loss probe (RFC 8985 section 7).
    Probe,
    /// A range that is late is taken for lost (the reordering timer, RFC 8985 section 6).
    Reordering,
    /// The window probe, which is the persist timer (RFC 9293 section 3.8.6.1).
    Window,
    /// Data that was held back by pacing may be sent.
    Pacing,
}

/// The timers of one sending half, except the reordering timer, which recovery has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alarms {
    /// When the retransmission timer was started.
    since: Option<Instant>,
    /// When the loss probe is due.
    probe: Option<Instant>,
    /// When the window probe is due, and how many probes were sent since the window closed.
    window: Option<Instant>,
    window_probes: u32,
    /// When the data that is held back by pacing may be sent.
    pacing: Option<Instant>,
}

impl Alarms {
    /// The timer that expires first, and when. `timeout` is the retransmission timeout; `reordering` is when a late
    /// range is taken for lost.
    pub(super) fn next(&self, timeout: Duration, reordering: Option<Instant>) -> Option<(Instant, Alarm)> {
        let pacing = self.pacing.map(|at| (at, Alarm::Pacing));
        let other = self.next_unpaced(timeout, reordering);
        [other, pacing].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn next_unpaced(&self, timeout: Duration, reordering: Option<Instant>) -> Option<(Instant, Alarm)> {
        if let Some(at) = self.window {
            return Some((at, Alarm::Window));
        }
        let retransmission = self.since? + timeout;
        let probe = self.probe.map(|at| (at.min(retransmission), Alarm::Probe));
        let reordering = reordering.map(|at| (at, Alarm::Reordering));
        [Some((retransmission, Alarm::Retransmission)), reordering, probe].into_iter().flatten().min_by_key(
            |(at, alarm)| {
                // If both expire at the same time, the loss probe comes before the retransmission timer.
                (*at, *alarm == Alarm::Retransmission)
            },
        )
    }

    /// Starts the retransmission timer because something is in flight, unless it runs already (RFC 6298 section 5.1).
    pub(super) fn run(&mut self, now: Instant) {
        self.since.get_or_insert(now);
        self.window = None;
    }

    /// Restarts the retransmission timer (RFC 6298 section 5.3).
    pub(super) const fn restart(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// Restarts the retransmission timer if it is running.
    pub(super) fn postpone(&mut self, now: Instant) {
        self.since = self.since.map(|_| now);
    }

    /// Stops the retransmission timer and the loss probe because nothing is in flight (RFC 6298 section 5.2).
    pub(super) const fn stop(&mut self) {
        (self.since, self.probe) = (None, None);
    }

    /// Sets or cancels the loss probe.
    pub(super) const fn set_probe(&mut self, at: Option<Instant>) {
        self.probe = at;
    }

    /// Sets when the data that is held back by pacing may be sent; `None` if there is none.
    pub(super) const fn set_pacing(&mut self, at: Option<Instant>) {
        self.pacing = at;
    }

    /// Schedules a window probe because the peer's window, which `is_shut` or too small, holds everything back. A
    /// closed window is probed at increasing intervals. Data that fits into a window that is only small waits no longer
    /// than the override timeout (RFC 9293 section 3.8.6.2.1).
    pub(super) fn schedule_window_probe(&mut self, is_shut: bool, timeout: Duration, now: Instant) {
        self.stop();
        let soon = now + timeout;
        self.window = match self.window {
            Some(at) if is_shut => Some(at),
            at => {
                self.window_probes = 0;
                Some(at.map_or(soon, |at| at.min(soon)))
            }
        };
    }

    /// Cancels the window probe because the window holds nothing back.
    pub(super) const fn cancel_window_probe(&mut self) {
        (self.window, self.window_probes) = (None, 0);
    }

    /// Counts a window probe that was sent, and schedules the next.
    pub(super) fn on_window_probe_sent(&mut self, timeout: Duration, now: Instant) {
        self.window_probes = self.window_probes.saturating_add(1);
        self.postpone_window_probe(timeout, now);
    }

    /// Schedules the next window probe, in case the window has not opened by then.
    pub(super) fn postpone_window_probe(&mut self, timeout: Duration, now: Instant) {
        let wait = timeout.saturating_mul(1 << self.window_probes.min(MAX_DOUBLINGS)).min(CEILING);
        self.window = Some(now + wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn a_probe_goes_before_the_timeout_and_never_after_it() {
        let mut alarms = Alarms::default();
        assert_eq!(alarms.next(TIMEOUT, Some(at(1))), None, "nothing is under way");
        alarms.run(at(0));
        assert_eq!(alarms.next(TIMEOUT, None), Some((at(1000), Alarm::Retransmission)));
        alarms.set_probe(Some(at(5000)));
        assert_eq!(alarms.next(TIMEOUT, None), Some((at(1000), Alarm::Probe)));
        assert_eq!(alarms.next(TIMEOUT, Some(at(20))), Some((at(20), Alarm::Reordering)));
        alarms.stop();
        assert_eq!(alarms.next(TIMEOUT, None), None);
    }

    #[test]
    fn pacing_runs_beside_the_other_timers_and_needs_nothing_in_flight() {
        let mut alarms = Alarms::default();
        alarms.set_pacing(Some(at(20)));
        assert_eq!(alarms.next(TIMEOUT, None), Some((at(20), Alarm::Pacing)));
        alarms.run(at(0));
        assert_eq!(alarms.next(TIMEOUT, Some(at(20))), Some((at(20), Alarm::Reordering)), "a loss goes before");
        assert_eq!(alarms.next(TIMEOUT, Some(at(21))), Some((at(20), Alarm::Pacing)));
        alarms.set_pacing(None);
        assert_eq!(alarms.next(TIMEOUT, None), Some((at(1000), Alarm::Retransmission)));
    }

    /// RFC 9293 section 3.8.6.1.
    #[test]
    fn a_closed_window_is_probed_at_increasing_intervals() {
        let mut alarms = Alarms::default();
        alarms.schedule_window_probe(true, TIMEOUT, at(0));
        assert_eq!(alarms.next(TIMEOUT, None), Some((at(1000), Alarm::Window)));
        for (now, next) in [(1000, 3000), (3000, 7000), (7000, 15_000)] {
            alarms.on_window_probe_sent(TIMEOUT, at(now));
            alarms.schedule_window_probe(true, TIMEOUT, at(now + 1));
            assert_eq!(alarms.next(TIMEOUT, None), Some((at(next), Alarm::Window)));
        }
        // Data that fits into a small window waits no longer than a timeout.
        alarms.schedule_window_probe(false, TIMEOUT, at(8000));
        assert_eq!(alarms.next(TIMEOUT, None), Some((at(9000), Alarm::Window)));
        (0..100).for_each(|_| alarms.on_window_probe_sent(TIMEOUT, at(9000)));
        assert_eq!(alarms.next(TIMEOUT, None), Some((at(9000) + CEILING, Alarm::Window)));
    }
}
