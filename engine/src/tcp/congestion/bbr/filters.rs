//! BBR's model of the path: filters over measurements (draft-ietf-ccwg-bbr section 5.5).

use core::time::Duration;

use crate::tcp::congestion::{Rate, RateSample};
use crate::time::Instant;

/// How long the shortest round-trip time is valid (`MinRTTFilterLen`).
const MIN_RTT_MEMORY: Duration = Duration::from_secs(10);
/// The time without a shorter round-trip time after which it is measured again (`ProbeRTTInterval`).
pub(super) const PROBE_RTT_INTERVAL: Duration = Duration::from_secs(5);
/// The number of round trips for which aggregation is remembered (`ExtraAckedFilterLen`).
const EXTRA_ROUNDS: u64 = 10;

/// Round trips, counted by deliveries (section 5.5.1): a round ends when data is delivered that was sent after the
/// round had begun.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rounds {
    pub(super) count: u64,
    /// Whether the present acknowledgement has ended one.
    pub(super) started: bool,
    /// The bytes that had been delivered when the present one began.
    next: u64,
}

impl Rounds {
    pub(super) fn update(&mut self, sample: &RateSample) {
        self.started = sample.delivered > 0 && sample.prior >= self.next;
        if self.started {
            self.count += 1;
            self.restart(sample.total);
        }
    }

    /// Restarts the present round, when `total` bytes have been delivered.
    pub(super) const fn restart(&mut self, total: u64) {
        self.next = total;
    }
}

/// The highest rate of this probing cycle and of the previous one (sections 5.5.5 and 5.5.6).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MaxRate {
    cycles: [Rate; 2],
}

impl MaxRate {
    pub(super) fn highest(&self) -> Rate {
        let [before, present] = self.cycles;
        before.max(present)
    }

    /// Records a rate. A rate that the application has limited counts only if it is higher than the known one.
    pub(super) fn update(&mut self, rate: Rate, application_limited: bool) {
        if !application_limited || rate >= self.highest() {
            let [_, present] = &mut self.cycles;
            *present = rate.max(*present);
        }
    }

    /// Ends a cycle.
    pub(super) fn advance(&mut self) {
        let [_, present] = self.cycles;
        // A cycle in which nothing was measured does not count.
        if present > Rate(0) {
            self.cycles = [present, Rate(0)];
        }
    }
}

/// The shortest round-trip time (section 5.3.4.3).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct MinRtt {
    /// `min_rtt`, and when it was measured.
    shortest: Option<(Duration, Instant)>,
    /// `probe_rtt_min_delay`: the shortest round-trip time since it was last due to be measured again, and when it was
    /// measured.
    recent: Option<(Duration, Instant)>,
    /// Whether it is time to measure it again.
    pub(super) expired: bool,
}

impl MinRtt {
    pub(super) fn shortest(&self) -> Option<Duration> {
        self.shortest.map(|(rtt, _)| rtt)
    }

    pub(super) fn update(&mut self, rtt: Option<Duration>, now: Instant) {
        self.expired = self.recent.is_some_and(|(_, at)| now - at > PROBE_RTT_INTERVAL);
        if let Some(rtt) = rtt
            && (self.expired || self.recent.is_none_or(|(shortest, _)| rtt < shortest))
        {
            self.recent = Some((rtt, now));
        }
        let old = self.shortest.is_some_and(|(_, at)| now - at > MIN_RTT_MEMORY);
        if let Some((recent, _)) = self.recent
            && (old || self.shortest.is_none_or(|(shortest, _)| recent < shortest))
        {
            self.shortest = self.recent;
        }
    }

    /// Records that it was just measured again.
    pub(super) fn renew(&mut self, now: Instant) {
        self.recent = self.recent.map(|(rtt, _)| (rtt, now));
    }
}

/// How much more data is delivered at once than the rate explains, due to receivers and links that acknowledge or
/// deliver in bursts (section 5.5.9).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Aggregation {
    /// The time since which bytes are counted, and the bytes delivered since.
    since: Option<Instant>,
    delivered: u64,
    /// The maximum of the latest round trips, and of those before.
    windows: [u64; 2],
    /// The round in which the latest of the two began.
    began: u64,
}

impl Aggregation {
    /// `extra_acked`: the maximum of at least the last five round trips and at most the last ten.
    pub(super) fn extra(&self) -> u64 {
        let [before, present] = self.windows;
        before.max(present)
    }

    /// Processes an acknowledgement. The excess is at most `window`. Until the pipe was `filled` once, only the latest
    /// acknowledgement counts.
    pub(super) fn update(&mut self, sample: &RateSample, rate: Rate, window: u64, round: u64, filled: bool) {
        let since = *self.since.get_or_insert(sample.now);
        let mut expected = rate.bytes_in(sample.now - since);
        if self.delivered <= expected {
            (self.delivered, self.since, expected) = (0, Some(sample.now), 0);
        }
        self.delivered += sample.newly_delivered;
        let extra = self.delivered.saturating_sub(expected).min(window);
        let [_, present] = self.windows;
        if !filled {
            self.windows = [0, extra];
            self.began = round;
        } else if round >= self.began + EXTRA_ROUNDS / 2 {
            self.windows = [present, extra];
            self.began = round;
        } else {
            self.windows[1] = present.max(extra);
        }
    }

    /// Restarts the count, because something is sent after an idle time (section 5.4.1).
    pub(super) const fn restart(&mut self, now: Instant) {
        (self.since, self.delivered) = (Some(now), 0);
    }
}

/// Whether the rate has stopped growing, which means that the pipe is full (section 5.3.1.2).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FullPipe {
    /// The pipe was full once in the life of the connection (`full_bw_reached`).
    pub(super) reached: bool,
    /// The pipe is full, since the last reset (`full_bw_now`).
    pub(super) now: bool,
    /// The rate from which growth is measured, and the number of round trips without growth.
    base: Rate,
    rounds: u32,
}

/// The growth, in thousandths, which shows that the pipe is not full, and the number of round trips without it which
/// show that it is.
const GROWTH: u64 = 1250;
const FULL_ROUNDS: u32 = 3;

impl FullPipe {
    /// Resets the filter; growth is measured from `base`.
    pub(super) const fn reset(&mut self, base: Rate) {
        (self.now, self.base, self.rounds) = (false, base, 0);
    }

    /// Processes an acknowledgement that has ended a round trip.
    pub(super) fn update(&mut self, sample: &RateSample) {
        if self.now || sample.sent.application_limited {
            return;
        }
        let Some(rate) = sample.rate else { return };
        if rate >= self.base.scaled(GROWTH) {
            return self.reset(rate);
        }
        self.rounds += 1;
        self.now = self.rounds >= FULL_ROUNDS;
        self.reached |= self.now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_origin(Duration::from_millis(millis))
    }

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn a_round_ends_when_something_arrives_that_was_sent_in_it() {
        let mut rounds = Rounds::default();
        let steps = [(0, 1000, true), (0, 2000, false), (999, 3000, false), (1000, 4000, true), (3999, 5000, false)];
        for (prior, total, started) in steps {
            rounds.update(&RateSample { prior, total, delivered: total - prior, ..RateSample::default() });
            assert_eq!(rounds.started, started, "{prior}");
        }
        assert_eq!(rounds.count, 2);
        // An acknowledgement without a sample ends no round.
        rounds.update(&RateSample { total: 9000, ..RateSample::default() });
        assert!(!rounds.started);
    }

    #[test]
    fn the_highest_rate_is_of_two_cycles() {
        let mut highest = MaxRate::default();
        highest.update(Rate(100), false);
        highest.update(Rate(80), false);
        highest.update(Rate(90), true);
        assert_eq!(highest.highest(), Rate(100));
        highest.advance();
        highest.update(Rate(90), true);
        assert_eq!(highest.highest(), Rate(100), "the application has limited it");
        highest.advance();
        assert_eq!(highest.highest(), Rate(100), "nothing else was measured");
        highest.update(Rate(70), false);
        highest.advance();
        assert_eq!(highest.highest(), Rate(70));
        highest.update(Rate(75), true);
        assert_eq!(highest.highest(), Rate(75), "higher than what is known");
    }

    #[test]
    fn the_shortest_round_trip_time_is_asked_for_after_5_and_forgotten_after_10_seconds() {
        let mut shortest = MinRtt::default();
        shortest.update(Some(millis(10)), at(0));
        shortest.update(Some(millis(15)), at(5000));
        assert!(!shortest.expired);
        shortest.update(Some(millis(15)), at(5001));
        assert!(shortest.expired);
        assert_eq!(shortest.shortest(), Some(millis(10)));
        shortest.update(Some(millis(12)), at(5100));
        assert!(!shortest.expired, "a new one began");
        shortest.update(None, at(10_001));
        assert_eq!(shortest.shortest(), Some(millis(12)));
        shortest.update(Some(millis(3)), at(10_002));
        assert_eq!(shortest.shortest(), Some(millis(3)));
        shortest.renew(at(12_000));
        shortest.update(None, at(17_000));
        assert!(!shortest.expired);
    }

    #[test]
    fn aggregation_is_what_arrives_beyond_the_rate() {
        let (mut aggregation, rate) = (Aggregation::default(), Rate(100_000));
        let mut take = |now, newly_delivered, round| {
            let sample = RateSample { now: at(now), newly_delivered, ..RateSample::default() };
            aggregation.update(&sample, rate, 50_000, round, true);
            aggregation.extra()
        };
        assert_eq!(take(0, 1000, 0), 1000);
        // The rate carries 1000 bytes in 10 ms: the count restarts, and all of the burst is extra.
        assert_eq!(take(10, 8000, 1), 8000);
        assert_eq!(take(20, 4000, 2), 11_000);
        assert_eq!(take(1000, 100, 6), 11_000, "of the five rounds before");
        assert_eq!(take(2000, 100, 11), 100);
        assert_eq!(take(2000, 90_000, 12), 50_000, "no more than a window");
    }

    #[test]
    fn three_rounds_without_growth_by_a_quarter_fill_the_pipe() {
        let mut full = FullPipe::default();
        let sample = |rate, application_limited| RateSample {
            rate: Some(Rate(rate)),
            sent: crate::tcp::congestion::SentState { application_limited, ..Default::default() },
            ..RateSample::default()
        };
        for (rate, limited, now) in [
            (100, false, false),
            (125, false, false),
            (150, false, false),
            (150, true, false),
            (156, false, false),
            (157, false, false),
            (157, false, false),
            (157, true, false),
            (190, false, true),
        ] {
            full.update(&sample(rate, limited));
            assert_eq!(full.now, now, "{rate}");
        }
        full.reset(Rate(200));
        assert!(full.reached && !full.now);
    }
}
