//! Finding out what was lost, and how fast it may be sent again: RACK-TLP (RFC 8985), selective acknowledgements
//! (RFC 6675, RFC 2883), NewReno where the peer has none (RFC 6582), proportional rate reduction (RFC 6937), and taking
//! back what turned out not to be a loss (RFC 3522, RFC 4015, RFC 3708).
//!
//! How large the window is afterwards is for the [congestion control](super::congestion) to say.

mod prr;
mod rack;

use core::time::Duration;

use prr::Prr;
use rack::Rack;

use super::congestion::{Acknowledgement, Congestion, CongestionControl};
use super::rtt::RoundTrip;
use super::scoreboard::{Delivered, Scoreboard};
use super::segment::SackBlock;
use super::sequence::Sequence;
use crate::time::Instant;

/// Duplicate acknowledgements after which the first segment is taken for lost, where the peer has no selective ones
/// (RFC 5681 section 3.2).
const DUPLICATES: u32 = 3;

/// The state of loss recovery, by the names that `ss -i` has for it (Linux `tcp_ca_state`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RecoveryState {
    /// Nothing is missing.
    #[default]
    Open,
    /// The peer has something out of order, and nothing is taken for lost yet.
    Disorder,
    /// The window was lowered because routers marked packets (RFC 3168), for the present round.
    Cwr,
    /// Something was lost, and is sent again while acknowledgements come (fast recovery).
    Recovery,
    /// The retransmission timer ran out.
    Loss,
}

/// Where the sender stands.
#[derive(Clone, Debug, Default)]
enum Phase {
    /// Nothing is taken for lost. Left for `Recovery` with the first loss that an acknowledgement shows, or for `Loss` by
    /// the timer.
    #[default]
    Open,
    /// Left for `Open` when everything before `point` is acknowledged.
    Recovery { point: Sequence, prr: Prr },
    /// Left for `Open` likewise.
    Loss { point: Sequence },
}

/// What can show that a recovery was not needed.
#[derive(Clone, Copy, Debug)]
struct Undo {
    /// The clock at the first retransmission: an acknowledgement that echoes an older one was caused by the original
    /// (RFC 3522, Eifel).
    stamp: Option<u32>,
    /// Bytes sent again that no duplicate was reported for yet; all of them reported means that none was lost (RFC 3708).
    unreported: usize,
    /// Nothing was sent again yet.
    untouched: bool,
}

/// A loss probe under way (RFC 8985 section 7).
#[derive(Clone, Copy, Debug)]
struct Probe {
    /// SND.NXT when it was sent.
    end: Sequence,
    /// It repeated something, and was not new data.
    again: bool,
}

/// What an acknowledgement says to the sender's recovery.
#[derive(Clone, Debug)]
pub(super) struct Report<'a> {
    /// When it arrived.
    pub now: Instant,
    /// SND.UNA before it.
    pub before: Sequence,
    /// SEG.ACK, at or after `before`.
    pub acknowledged: Sequence,
    /// SND.NXT.
    pub next: Sequence,
    /// Its ranges.
    pub sack: &'a [SackBlock],
    /// TSecr: what of this end's clock it echoes.
    pub echo: Option<u32>,
    /// The round-trip time by that echo.
    pub echoed_rtt: Option<Duration>,
    /// It carries no data and changes no window, so that it may count as a duplicate (RFC 5681 section 2).
    pub bare: bool,
    /// It echoes congestion (RFC 3168).
    pub congestion_experienced: bool,
    /// The congestion window was what kept more from being sent.
    pub limited: bool,
}

/// The recovery of one connection's sending half.
#[derive(Clone, Debug)]
pub(super) struct Recovery {
    board: Scoreboard,
    rack: Rack,
    phase: Phase,
    selective: bool,
    segment: usize,
    undo: Option<Undo>,
    probe: Option<Probe>,
    /// Until this is acknowledged, echoes of congestion are of the same round.
    marked_until: Option<Sequence>,
    /// Duplicate acknowledgements of a peer without selective ones.
    duplicates: u32,
    /// When the earliest range becomes a loss that is not one yet.
    reordering: Option<Instant>,
    retransmitted: u64,
    lost: u64,
}

impl Recovery {
    /// The recovery of a connection whose peer has selective acknowledgements, or not.
    #[must_use]
    pub(super) fn new(selective: bool, segment: usize) -> Self {
        Self {
            board: Scoreboard::default(),
            rack: Rack::default(),
            phase: Phase::Open,
            selective,
            segment,
            undo: None,
            probe: None,
            marked_until: None,
            duplicates: 0,
            reordering: None,
            retransmitted: 0,
            lost: 0,
        }
    }

    /// The path takes segments of this many bytes from now on.
    pub(super) const fn set_segment_size(&mut self, bytes: usize) {
        self.segment = bytes;
    }

    /// Where the sender stands.
    #[must_use]
    pub(super) const fn state(&self) -> RecoveryState {
        match self.phase {
            Phase::Recovery { .. } => RecoveryState::Recovery,
            Phase::Loss { .. } => RecoveryState::Loss,
            Phase::Open if self.marked_until.is_some() => RecoveryState::Cwr,
            Phase::Open if self.board.sacked() > 0 || self.duplicates > 0 => RecoveryState::Disorder,
            Phase::Open => RecoveryState::Open,
        }
    }

    /// Bytes on their way. What duplicate acknowledgements show to have left counts, where the peer does not say what it
    /// was (RFC 3042 and RFC 5681 section 3.2, step 4).
    #[must_use]
    pub(super) fn in_flight(&self) -> usize {
        self.board.in_flight().saturating_sub(self.duplicates as usize * self.segment)
    }

    /// How many bytes may be sent now.
    #[must_use]
    pub(super) fn room(&self, congestion: &Congestion) -> usize {
        match &self.phase {
            Phase::Recovery { prr, .. } => prr.room(),
            Phase::Open | Phase::Loss { .. } => congestion.window().saturating_sub(self.in_flight()),
        }
    }

    /// What is to be sent again first.
    pub(super) fn first_lost(&mut self) -> Option<(Sequence, Sequence)> {
        self.board.first_lost()
    }

    /// The last range that was sent.
    #[must_use]
    pub(super) fn last(&self) -> Option<(Sequence, Sequence)> {
        self.board.last()
    }

    /// Nothing is outstanding.
    #[must_use]
    pub(super) fn is_idle(&self) -> bool {
        self.board.is_empty()
    }

    /// Whether a loss probe may be sent (RFC 8985 section 7.2).
    #[must_use]
    pub(super) const fn may_probe(&self) -> bool {
        self.selective && matches!(self.phase, Phase::Open) && self.probe.is_none() && self.board.sacked() == 0
    }

    /// When the earliest range becomes a loss that may still only be late (RFC 8985 section 6.2, step 5).
    #[must_use]
    pub(super) const fn reordering_deadline(&self) -> Option<Instant> {
        self.reordering
    }

    /// Segments sent again so far.
    #[must_use]
    pub(super) const fn retransmitted(&self) -> u64 {
        self.retransmitted
    }

    /// Bytes taken for lost that were not sent again yet.
    #[must_use]
    pub(super) const fn lost_now(&self) -> usize {
        self.board.lost()
    }

    /// Bytes that were taken for lost so far.
    #[must_use]
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Bytes that the peer holds out of order.
    #[must_use]
    pub(super) const fn sacked(&self) -> usize {
        self.board.sacked()
    }

    /// New data was sent.
    pub(super) fn on_sent(&mut self, start: Sequence, end: Sequence, now: Instant) {
        self.board.on_sent(start, end, now);
        self.count(end.since(start));
    }

    /// Something was sent again; `stamp` is the clock that it carries.
    pub(super) fn on_sent_again(&mut self, start: Sequence, end: Sequence, stamp: Option<u32>, now: Instant) {
        self.board.on_sent_again(start, end, now);
        self.retransmitted += 1;
        self.count(end.since(start));
        if let Some(undo) = &mut self.undo {
            if undo.untouched {
                (undo.untouched, undo.stamp) = (false, stamp);
            }
            undo.unreported = undo.unreported.saturating_add(end.since(start));
        }
    }

    /// A loss probe was sent, as the last of everything.
    pub(super) const fn on_probe(&mut self, end: Sequence, again: bool) {
        self.probe = Some(Probe { end, again });
    }

    fn count(&mut self, bytes: usize) {
        if let Phase::Recovery { prr, .. } = &mut self.phase {
            prr.on_sent(bytes);
        }
    }

    /// The ranges from `end` on were not sent after all.
    pub(super) fn retract(&mut self, end: Sequence) {
        self.board.retract(end);
    }

    /// Takes an acknowledgement. Returns how many bytes it shows to have arrived.
    pub(super) fn on_report(&mut self, report: &Report<'_>, rtt: &mut RoundTrip, congestion: &mut Congestion) -> usize {
        let flight = self.in_flight();
        let duplicate = self.duplicate_range(report);
        let mut heard = Heard::new(&mut self.rack, report.now, rtt.minimum());
        let mut delivered = self.board.acknowledge(report.acknowledged, |range| heard.take(&range));
        if self.selective {
            let known = report.sack.iter().skip(usize::from(duplicate.is_some()));
            for &(start, end) in known.filter(|block| is_sensible(block, report)) {
                delivered += self.board.sack(start, end, |range| heard.take(&range));
            }
        }
        let (shortest, longest) = (heard.shortest, heard.longest);
        let measured = shortest.or(report.echoed_rtt);
        self.measure(report, shortest, longest, rtt, flight);
        let advanced = report.acknowledged.after(report.before);
        if advanced {
            rtt.settle();
        }
        if let Some((start, end)) = duplicate {
            self.on_duplicate_range(report, end.since(start));
        }
        self.count_duplicates(report, advanced, delivered, flight);
        self.end_probe(report, duplicate, congestion, flight);
        self.take_back(report, advanced, congestion);
        self.find_losses(report, rtt, congestion, flight, advanced);
        self.mark(report, congestion, flight);
        self.advance(report, delivered, advanced, measured, rtt.smoothed(), congestion, flight);
        delivered
    }

    /// The round-trip time that an acknowledgement shows. What was sent once tells exactly; otherwise only the echo of a
    /// timestamp does (Karn's algorithm, RFC 6298 section 3; RFC 7323 section 4.1).
    fn measure(
        &self,
        report: &Report<'_>,
        shortest: Option<Duration>,
        longest: Option<Duration>,
        rtt: &mut RoundTrip,
        flight: usize,
    ) {
        let echoed = report.echoed_rtt.filter(|_| report.acknowledged.after(report.before));
        let each_trip = u32::try_from(flight / (2 * self.segment.max(1))).unwrap_or(u32::MAX).max(1);
        match (longest.or(echoed), shortest) {
            // The timeout has to bear with delayed acknowledgements, the minimum is of the path.
            (Some(longest), Some(shortest)) => rtt.measure_between(shortest, longest, each_trip, report.now),
            (Some(sample), None) => rtt.measure(sample, each_trip, report.now),
            (None, _) => {}
        }
    }

    /// The range of a duplicate that the peer reports (RFC 2883 section 4): the first one, below what is acknowledged or
    /// within the second.
    fn duplicate_range(&self, report: &Report<'_>) -> Option<SackBlock> {
        if !self.selective {
            return None;
        }
        let &(start, end) = report.sack.first()?;
        let within = |&(outer, outer_end): &SackBlock| start.at_or_after(outer) && end.at_or_before(outer_end);
        let below = end.at_or_before(report.acknowledged);
        (start.before(end) && (below || report.sack.get(1).is_some_and(within))).then_some((start, end))
    }

    fn on_duplicate_range(&mut self, report: &Report<'_>, bytes: usize) {
        self.rack.on_duplicate(report.next, report.acknowledged);
        if let Some(undo) = &mut self.undo {
            undo.unreported = undo.unreported.saturating_sub(bytes);
        }
    }

    /// Where the peer has no selective acknowledgements, repeated ones stand for segments that arrived.
    fn count_duplicates(&mut self, report: &Report<'_>, advanced: bool, delivered: usize, flight: usize) {
        if self.selective {
            return;
        }
        if advanced {
            let segments = u32::try_from(delivered / self.segment.max(1)).unwrap_or(u32::MAX);
            // In a recovery, one of the acknowledged segments was the one sent again, the others had been counted.
            self.duplicates = match self.phase {
                Phase::Recovery { .. } => self.duplicates.saturating_sub(segments.saturating_sub(1)),
                Phase::Open | Phase::Loss { .. } => 0,
            };
        } else if report.bare && flight > 0 && !self.board.is_empty() {
            self.duplicates = self.duplicates.saturating_add(1);
        }
    }

    /// RFC 8985 section 7.4: a probe that filled a hole hid a loss from the congestion control.
    fn end_probe(
        &mut self,
        report: &Report<'_>,
        duplicate: Option<SackBlock>,
        congestion: &mut Congestion,
        flight: usize,
    ) {
        let Some(probe) = self.probe else { return };
        if report.acknowledged.before(probe.end) {
            return;
        }
        let reported = duplicate.is_some_and(|(_, end)| end == probe.end);
        let silent = report.acknowledged == probe.end && report.acknowledged == report.before && report.sack.is_empty();
        if !probe.again || reported || silent {
            self.probe = None;
        } else if report.acknowledged.after(probe.end) {
            self.probe = None;
            congestion.on_congestion(report.now, flight);
            congestion.on_recovered(report.now);
        }
    }

    /// Takes a recovery back that was not needed.
    fn take_back(&mut self, report: &Report<'_>, advanced: bool, congestion: &mut Congestion) {
        let Some(undo) = &mut self.undo else { return };
        if undo.untouched {
            return;
        }
        let older = |stamp: u32, echo: u32| echo.wrapping_sub(stamp).cast_signed() < 0;
        let original = advanced && matches!((undo.stamp, report.echo), (Some(stamp), Some(echo)) if older(stamp, echo));
        if original || undo.unreported == 0 {
            self.undo = None;
            self.phase = Phase::Open;
            self.duplicates = 0;
            self.board.find_all();
            congestion.undo(report.now);
            self.rack.on_reordering();
        } else if advanced && undo.stamp.is_some() {
            // The first acknowledgement after a retransmission decides (RFC 3522 section 3.2, step 5).
            undo.stamp = None;
        }
    }

    fn find_losses(
        &mut self,
        report: &Report<'_>,
        rtt: &RoundTrip,
        congestion: &mut Congestion,
        flight: usize,
        advanced: bool,
    ) {
        let lost = if self.selective {
            self.detect(report.now, rtt)
        } else {
            let partial =
                advanced && matches!(self.phase, Phase::Recovery { point, .. } if report.acknowledged.before(point));
            let third = self.duplicates >= DUPLICATES && matches!(self.phase, Phase::Open);
            if partial || third { self.board.lose_first() } else { 0 }
        };
        self.lost += lost as u64;
        if lost > 0 {
            self.enter_recovery(report.now, report.next, congestion, flight);
        }
    }

    /// Looks for ranges that are late by now.
    fn detect(&mut self, now: Instant, rtt: &RoundTrip) -> usize {
        let recovering = !matches!(self.phase, Phase::Open);
        let window = self.rack.reordering_window(rtt, recovering, self.board.sacked() / self.segment.max(1));
        let (mut deadline, rack) = (None, &self.rack);
        let lost = self.board.detect(|sent| {
            let due = rack.is_late_at(&sent, window)?;
            if due > now {
                deadline = Some(due);
            }
            Some(due <= now)
        });
        self.reordering = deadline;
        lost
    }

    fn enter_recovery(&mut self, now: Instant, next: Sequence, congestion: &mut Congestion, flight: usize) {
        if !matches!(self.phase, Phase::Open) {
            return;
        }
        congestion.on_congestion(now, flight);
        self.phase = Phase::Recovery { point: next, prr: Prr::new(flight, self.segment) };
        self.undo = Some(Undo { stamp: None, unreported: 0, untouched: true });
        self.probe = None;
    }

    /// RFC 3168 section 6.1.2: an echo of congestion is a congestion, once for each window.
    fn mark(&mut self, report: &Report<'_>, congestion: &mut Congestion, flight: usize) {
        if self.marked_until.is_some_and(|until| report.acknowledged.at_or_after(until)) {
            self.marked_until = None;
        }
        if report.congestion_experienced && self.marked_until.is_none() && matches!(self.phase, Phase::Open) {
            self.marked_until = Some(report.next);
            congestion.on_mark(report.now, flight);
        }
    }

    /// Ends a phase whose point is reached, and lets the window grow where there is none.
    fn advance(
        &mut self,
        report: &Report<'_>,
        delivered: usize,
        advanced: bool,
        rtt: Option<Duration>,
        smoothed_rtt: Option<Duration>,
        congestion: &mut Congestion,
        flight: usize,
    ) {
        let ended = match &self.phase {
            Phase::Recovery { point, .. } | Phase::Loss { point } => report.acknowledged.at_or_after(*point),
            Phase::Open => false,
        };
        if ended {
            if matches!(self.phase, Phase::Recovery { .. }) {
                congestion.on_recovered(report.now);
            }
            self.phase = Phase::Open;
            self.duplicates = 0;
            self.rack.on_recovered();
            // Duplicates may be reported later; the echo has decided.
            if let Some(undo) = &mut self.undo {
                undo.stamp = None;
            }
            return;
        }
        let in_flight = self.in_flight();
        match &mut self.phase {
            Phase::Recovery { prr, .. } => {
                let arrived = delivered.max(if self.selective || advanced { 0 } else { self.segment });
                let losing = self.board.lost() > 0;
                prr.on_delivered(arrived, in_flight, congestion.threshold(), advanced && !losing);
            }
            Phase::Open | Phase::Loss { .. } if delivered > 0 && self.marked_until.is_none() => {
                congestion.on_acknowledgement(&Acknowledgement {
                    now: report.now,
                    bytes: delivered,
                    unacknowledged: report.acknowledged,
                    next: report.next,
                    in_flight: flight,
                    limited: report.limited,
                    rtt,
                    smoothed_rtt,
                });
            }
            Phase::Open | Phase::Loss { .. } => {}
        }
    }

    /// The time of [`reordering_deadline`](Self::reordering_deadline) has come.
    pub(super) fn on_reordering_timeout(
        &mut self,
        now: Instant,
        next: Sequence,
        rtt: &RoundTrip,
        congestion: &mut Congestion,
    ) {
        let flight = self.in_flight();
        self.reordering = None;
        let lost = self.detect(now, rtt);
        self.lost += lost as u64;
        if lost > 0 {
            self.enter_recovery(now, next, congestion, flight);
            let in_flight = self.in_flight();
            if let Phase::Recovery { prr, .. } = &mut self.phase {
                prr.on_delivered(0, in_flight, congestion.threshold(), false);
            }
        }
    }

    /// The retransmission timer has run out (RFC 6298 section 5, RFC 5681 section 3.1, RFC 8985 section 6.3).
    pub(super) fn on_timeout(&mut self, now: Instant, next: Sequence, rtt: &RoundTrip, congestion: &mut Congestion) {
        let first = !matches!(self.phase, Phase::Loss { .. }) || rtt.doublings() == 0;
        congestion.on_timeout(now, self.in_flight(), first);
        // A peer that the timer runs out for may have thrown away what it held (RFC 2018 section 8).
        if rtt.doublings() > 0 {
            self.board.renege();
        }
        self.lost += self.board.lose_all() as u64;
        self.duplicates = 0;
        self.reordering = None;
        self.probe = None;
        self.marked_until = None;
        self.phase = Phase::Loss { point: next };
        if first {
            self.undo = Some(Undo { stamp: None, unreported: 0, untouched: true });
        }
    }

    /// The path has become narrower: what was in flight and too long is sent again, cut up, and that is no congestion.
    pub(super) fn on_narrower_path(&mut self) {
        self.board.lose_all();
    }

    /// Bytes of memory held.
    #[must_use]
    pub(super) fn held(&self) -> usize {
        self.board.held()
    }
}

/// Whether a range can be what the peer holds: beyond what it acknowledges, within what was sent.
fn is_sensible(block: &SackBlock, report: &Report<'_>) -> bool {
    let &(start, end) = block;
    start.before(end) && start.at_or_after(report.acknowledged) && end.at_or_before(report.next)
}

/// What an acknowledgement teaches RACK, and the round-trip times that it shows without a timestamp.
struct Heard<'a> {
    rack: &'a mut Rack,
    now: Instant,
    least: Option<Duration>,
    /// Of the last and of the first of what was sent only once.
    shortest: Option<Duration>,
    longest: Option<Duration>,
    /// Something that was sent again is among it: then the first may have waited for that.
    again: bool,
}

impl<'a> Heard<'a> {
    const fn new(rack: &'a mut Rack, now: Instant, least: Option<Duration>) -> Self {
        Self { rack, now, least, shortest: None, longest: None, again: false }
    }

    fn take(&mut self, delivered: &Delivered) {
        let elapsed = self.now - delivered.sent;
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
}

#[cfg(test)]
mod tests;
