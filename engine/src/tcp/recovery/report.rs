//! An acknowledgement as loss recovery sees it, and the round-trip times that follow from it.

use core::time::Duration;

use super::rack::Rack;
use crate::tcp::rtt::RoundTrip;
use crate::tcp::scoreboard::Delivered;
use crate::tcp::segment::{SackBlock, SackBlocks};
use crate::tcp::sequence::Sequence;
use crate::time::Instant;

/// The parts of an acknowledgement that loss recovery needs.
#[derive(Clone, Debug)]
pub(in crate::tcp) struct Report<'a> {
    /// When it arrived.
    pub now: Instant,
    /// SND.UNA before it.
    pub before: Sequence,
    /// SEG.ACK, at or after `before`.
    pub acknowledged: Sequence,
    /// SND.NXT.
    pub next: Sequence,
    /// The SACK blocks.
    pub sack: &'a [SackBlock],
    /// TSecr: the TSval of this end that it echoes.
    pub echo: Option<u32>,
    /// The round-trip time that the echo measures.
    pub echoed_rtt: Option<Duration>,
    /// It carries no data and does not change the window, so it may count as a duplicate (RFC 5681 section 2).
    pub bare: bool,
    /// It has ECE on a connection with ECN (RFC 3168).
    pub congestion_experienced: bool,
    /// The congestion window limited the sender.
    pub limited: bool,
}

impl Report<'_> {
    /// Whether it acknowledges new data.
    pub(super) fn is_progress(&self) -> bool {
        self.acknowledged.after(self.before)
    }

    /// Whether it matters to a sender that has nothing in flight.
    pub(in crate::tcp) fn is_news(&self) -> bool {
        self.is_progress() || self.congestion_experienced || self.duplicate().is_some()
    }

    /// The duplicate that the peer reports (RFC 2883 section 4): the first block, if it lies below the acknowledgement
    /// number or within the second block.
    pub(super) fn duplicate(&self) -> Option<SackBlock> {
        let &(start, end) = self.sack.first()?;
        let within = |&(outer, outer_end): &SackBlock| start.at_or_after(outer) && end.at_or_before(outer_end);
        let below = end.at_or_before(self.acknowledged);
        (start.before(end) && (below || self.sack.get(1).is_some_and(within))).then_some((start, end))
    }

    /// The valid SACK blocks: those above the acknowledgement number and within what was sent. They are returned in
    /// ascending order and not in the peer's, which has the most recent block first: all blocks of one acknowledgement
    /// are taken as delivered together, so a lower block must not look as if it had arrived after a higher one.
    pub(super) fn held(&self) -> SackBlocks {
        let reported = self.sack.iter().skip(usize::from(self.duplicate().is_some())).copied();
        let mut held: SackBlocks = reported
            .filter(|(start, end)| {
                start.before(*end) && start.at_or_after(self.acknowledged) && end.at_or_before(self.next)
            })
            .collect();
        held.sort_unstable_by_key(|(start, _)| start.since(self.acknowledged));
        held
    }
}

/// Collects what the delivered ranges of one acknowledgement show: the state of RACK, and round-trip times without
/// timestamps.
pub(super) struct Heard<'a> {
    rack: &'a mut Rack,
    now: Instant,
    least: Option<Duration>,
    /// The times since the last and since the first of the ranges that were sent only once.
    shortest: Option<Duration>,
    longest: Option<Duration>,
    /// A retransmitted range is among the delivered ones: the acknowledgement of the first range may have waited for
    /// it.
    again: bool,
}

impl<'a> Heard<'a> {
    pub(super) const fn new(rack: &'a mut Rack, now: Instant, least: Option<Duration>) -> Self {
        Self { rack, now, least, shortest: None, longest: None, again: false }
    }

    /// Processes a delivered range.
    pub(super) fn take(&mut self, delivered: &Delivered) {
        let elapsed = self.now - delivered.recency.sent;
        if delivered.again {
            (self.again, self.longest) = (true, None);
        } else {
            self.shortest = Some(self.shortest.map_or(elapsed, |least| least.min(elapsed)));
            if !self.again {
                self.longest = Some(self.longest.map_or(elapsed, |most| most.max(elapsed)));
            }
        }
        self.rack.on_delivered(delivered, elapsed, self.least);
    }

    /// The round-trip time of ranges that were sent only once.
    pub(super) const fn exact(&self) -> Option<Duration> {
        self.shortest
    }

    /// Adds a measurement of the round-trip time, one of about `each_trip` in a round trip, and returns the time that
    /// it shows for the path. Ranges that were sent once measure it exactly; otherwise only the echo of a timestamp
    /// does (Karn's algorithm, RFC 6298 section 3; RFC 7323 section 4.1).
    pub(super) fn measure(self, report: &Report<'_>, each_trip: usize, rtt: &mut RoundTrip) -> Option<Duration> {
        let echoed = report.echoed_rtt.filter(|_| report.is_progress());
        let each_trip = u32::try_from(each_trip).unwrap_or(u32::MAX).max(1);
        match (self.longest.or(echoed), self.shortest) {
            // The timeout must allow for delayed acknowledgements, so it uses the longest time; the minimum is that of
            // the path.
            (Some(longest), Some(shortest)) => rtt.measure_between(shortest, longest, each_trip, report.now),
            (Some(sample), None) => rtt.measure(sample, each_trip, report.now),
            (None, _) => {}
        }
        self.shortest.or(report.echoed_rtt)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::tcp::scoreboard::Recency;

    fn blocks(ranges: &[(u32, u32)]) -> Vec<SackBlock> {
        ranges.iter().map(|&(start, end)| (Sequence(start), Sequence(end))).collect()
    }

    fn report(sack: &[SackBlock]) -> Report<'_> {
        Report {
            now: Instant::ORIGIN,
            before: Sequence(100),
            acknowledged: Sequence(200),
            next: Sequence(1000),
            sack,
            echo: None,
            echoed_rtt: None,
            bare: true,
            congestion_experienced: false,
            limited: true,
        }
    }

    /// RFC 2883 section 4.
    #[test]
    fn a_duplicate_is_the_first_range_below_the_acknowledgement_or_within_the_second() {
        for (ranges, duplicate) in [
            (&[(100, 200)][..], true),
            (&[(100, 201)], false),
            (&[(300, 400), (250, 500)], true),
            (&[(300, 400), (350, 500)], false),
            (&[(300, 400), (500, 600), (250, 450)], false),
            (&[(200, 100)], false),
            (&[], false),
        ] {
            let sack = blocks(ranges);
            assert_eq!(report(&sack).duplicate(), duplicate.then(|| sack[0]), "{ranges:?}");
        }
    }

    #[test]
    fn blocks_are_valid_between_the_acknowledgement_and_what_was_sent() {
        let sack = blocks(&[(100, 150), (900, 1000), (200, 300), (199, 300), (300, 300), (900, 1001), (400, 350)]);
        let held: Vec<SackBlock> = report(&sack).held().into_iter().collect();
        assert_eq!(held, blocks(&[(200, 300), (900, 1000)]), "in ascending order");
    }

    /// Karn's algorithm, and RFC 7323 section 4.1.
    #[test]
    fn retransmitted_data_is_measured_by_its_echo_alone() {
        let now = Instant::ORIGIN + Duration::from_millis(500);
        let sent = |millis, again| Delivered {
            recency: Recency {
                sent: Instant::ORIGIN + Duration::from_millis(millis),
                transmission: 1,
                end: Sequence(200),
            },
            again,
            bytes: 100,
            in_flight: 100,
        };
        for (again, echoed, measured) in [(false, None, Some(100)), (true, None, None), (true, Some(30), Some(30))] {
            let (mut rack, mut rtt) = (Rack::new(), RoundTrip::default());
            let mut heard = Heard::new(&mut rack, now, None);
            heard.take(&sent(400, again));
            let measured = measured.map(Duration::from_millis);
            let report = Report { now, echoed_rtt: echoed.map(Duration::from_millis), ..report(&[]) };
            assert_eq!(heard.measure(&report, 1, &mut rtt), measured);
            assert_eq!(rtt.smoothed(), measured);
        }
    }
}
