//! When the sending half has to be looked at, and why.

use core::time::Duration;

use crate::tcp::rtt::CEILING;
use crate::time::Instant;

/// More doublings than lead to the longest wait.
const MOST_DOUBLINGS: u32 = 16;

/// Why the sender is to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    /// The retransmission timeout (RFC 6298).
    Retransmission,
    /// The loss probe (RFC 8985 section 7).
    Probe,
    /// Something late becomes lost (RFC 8985 section 6).
    Reordering,
    /// The peer's window is asked for (RFC 9293 section 3.8.6.1).
    Window,
    /// What pacing held back may leave.
    Pacing,
}

/// The alarms of one sending half, but for the one that recovery has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Alarms {
    /// Since when the retransmission timer runs.
    since: Option<Instant>,
    /// When the loss probe is due.
    probe: Option<Instant>,
    /// When the window is asked for, and how often it was without its opening.
    window: Option<Instant>,
    asked: u32,
    /// When what pacing holds back may leave.
    pacing: Option<Instant>,
}

impl Alarms {
    /// What is due first. The retransmission timeout is `timeout` long, and `reordering` is when something late becomes lost.
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
                // At the same time a probe goes before the timeout.
                (*at, *alarm == Alarm::Retransmission)
            },
        )
    }

    /// Something is under way: the retransmission timer runs, from now on if it did not yet (RFC 6298 section 5.1).
    pub(super) fn run(&mut self, now: Instant) {
        self.since.get_or_insert(now);
        self.window = None;
    }

    /// The retransmission timer begins anew (RFC 6298 section 5.3).
    pub(super) const fn restart(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// The retransmission timer begins anew, if it runs.
    pub(super) fn postpone(&mut self, now: Instant) {
        self.since = self.since.map(|_| now);
    }

    /// Nothing is under way (RFC 6298 section 5.2).
    pub(super) const fn stop(&mut self) {
        (self.since, self.probe) = (None, None);
    }

    /// The loss probe is due then, or not at all.
    pub(super) const fn set_probe(&mut self, at: Option<Instant>) {
        self.probe = at;
    }

    /// What pacing holds back may leave then, or it holds nothing back.
    pub(super) const fn set_pacing(&mut self, at: Option<Instant>) {
        self.pacing = at;
    }

    /// The peer's window, which `is_shut` or only too small, keeps everything back. One that is shut is asked for less and
    /// less often; what fits into one that is only small does not wait for longer than the override timeout (RFC 9293
    /// section 3.8.6.2.1).
    pub(super) fn ask_for_window(&mut self, is_shut: bool, timeout: Duration, now: Instant) {
        self.stop();
        let soon = now + timeout;
        self.window = match self.window {
            Some(at) if is_shut => Some(at),
            at => {
                self.asked = 0;
                Some(at.map_or(soon, |at| at.min(soon)))
            }
        };
    }

    /// The window does not keep anything back.
    pub(super) const fn forget_window(&mut self) {
        (self.window, self.asked) = (None, 0);
    }

    /// The window was asked for.
    pub(super) fn on_asked(&mut self, timeout: Duration, now: Instant) {
        self.asked = self.asked.saturating_add(1);
        self.ask_again(timeout, now);
    }

    /// The window is asked for again later, where nothing comes of it until then.
    pub(super) fn ask_again(&mut self, timeout: Duration, now: Instant) {
        let wait = timeout.saturating_mul(1 << self.asked.min(MOST_DOUBLINGS)).min(CEILING);
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
    fn pacing_has_its_turn_beside_the_others_and_needs_nothing_under_way() {
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
    fn a_shut_window_is_asked_for_less_and_less_often() {
        let mut alarms = Alarms::default();
        alarms.ask_for_window(true, TIMEOUT, at(0));
        assert_eq!(alarms.next(TIMEOUT, None), Some((at(1000), Alarm::Window)));
        for (now, next) in [(1000, 3000), (3000, 7000), (7000, 15_000)] {
            alarms.on_asked(TIMEOUT, at(now));
            alarms.ask_for_window(true, TIMEOUT, at(now + 1));
            assert_eq!(alarms.next(TIMEOUT, None), Some((at(next), Alarm::Window)));
        }
        // What fits into a small one waits no longer than for a timeout.
        alarms.ask_for_window(false, TIMEOUT, at(8000));
        assert_eq!(alarms.next(TIMEOUT, None), Some((at(9000), Alarm::Window)));
        (0..100).for_each(|_| alarms.on_asked(TIMEOUT, at(9000)));
        assert_eq!(alarms.next(TIMEOUT, None), Some((at(9000) + CEILING, Alarm::Window)));
    }
}
