//! Loss detection and recovery of a connection's sending half: RACK-TLP (RFC 8985); selective acknowledgements (RFC
//! 6675, RFC 2883), or NewReno if the peer has none (RFC 6582); proportional rate reduction (RFC 6937); and the undoing
//! of recoveries that turn out to be spurious (RFC 3522, RFC 4015, RFC 3708).
//!
//! The size of the window after a loss is decided by [congestion control](super::congestion).

mod delivery;
mod duplicates;
mod phase;
mod probe;
mod prr;
mod rack;
mod report;
mod sleeper;
mod undo;

use alloc::boxed::Box;
use core::time::Duration;

use super::congestion::{Acknowledgement, Congestion, CongestionControl};
use super::rtt::RoundTrip;
use super::scoreboard::{Lost, Scoreboard};
use super::segment::SackBlock;
use super::sequence::Sequence;
use crate::time::Instant;
use delivery::{Delivery, Moment};
use duplicates::Duplicates;
use phase::Phase;
use probe::{Outcome, Probe};
use prr::Prr;
use rack::Rack;
use report::Heard;
use undo::Undo;

pub use phase::RecoveryState;
pub(super) use report::Report;
pub(super) use sleeper::Sleeper;

/// What an acknowledgement has shown.
struct News<'a> {
    report: &'a Report<'a>,
    /// FlightSize before it (RFC 5681 section 2): all data that was sent and not acknowledged, in whatever state.
    flight: usize,
    /// The bytes that it shows to be delivered.
    delivered: usize,
    /// The round-trip time that it measures.
    rtt: Option<Duration>,
    /// The round-trip time of data that was sent only once.
    exact_rtt: Option<Duration>,
}

/// Loss recovery of one connection's sending half.
#[derive(Clone, Debug)]
pub(super) struct Recovery {
    board: Scoreboard,
    rack: Rack,
    phase: Phase,
    selective: bool,
    segment: usize,
    undo: Option<Undo>,
    probe: Option<Probe>,
    /// Until this number is acknowledged, further ECN echoes belong to the same round and are ignored.
    marked_until: Option<Sequence>,
    /// Duplicate acknowledgements of a peer that has no selective acknowledgements.
    duplicates: Duplicates,
    /// When the next late range is to be taken for lost.
    reordering: Option<Instant>,
    retransmitted: u64,
    lost: u64,
    /// Samples of the delivery rate, if the congestion control wants them.
    delivery: Option<Box<Delivery>>,
}

impl Recovery {
    /// The recovery of a new connection. `selective` says whether the peer has selective acknowledgements.
    #[must_use]
    pub(super) const fn new(selective: bool, segment: usize) -> Self {
        Self {
            board: Scoreboard::new(),
            rack: Rack::new(),
            phase: Phase::Open,
            selective,
            segment,
            undo: None,
            probe: None,
            marked_until: None,
            duplicates: Duplicates::NONE,
            reordering: None,
            retransmitted: 0,
            lost: 0,
            delivery: None,
        }
    }

    /// Starts taking samples of the delivery rate.
    pub(super) fn take_samples(&mut self, now: Instant) {
        self.delivery = Some(Box::new(Delivery::new(now)));
    }

    /// Sets the bytes of data in a full segment.
    pub(super) const fn set_segment_size(&mut self, bytes: usize) {
        self.segment = bytes;
    }

    /// Whether this is in the same state as a new one: everything was acknowledged, and nothing was ever lost or late.
    fn is_as_new(&self) -> bool {
        self.board.is_empty()
            && self.retransmitted == 0
            && self.lost == 0
            && !self.rack.has_seen_reordering()
            && self.phase.is_open()
            && self.undo.is_none()
            && self.probe.is_none()
            && self.marked_until.is_none()
            && self.duplicates.is_none()
            && self.reordering.is_none()
            && self.delivery.is_none()
    }

    /// The state of loss recovery.
    #[must_use]
    pub(super) const fn state(&self) -> RecoveryState {
        match self.phase {
            Phase::Recovery { .. } => RecoveryState::Recovery,
            Phase::Loss { .. } => RecoveryState::Loss,
            Phase::Open if self.marked_until.is_some() => RecoveryState::Cwr,
            Phase::Open if self.board.sacked() > 0 || !self.duplicates.is_none() => RecoveryState::Disorder,
            Phase::Open => RecoveryState::Open,
        }
    }

    /// The bytes in flight. If the peer has no selective acknowledgements, each duplicate acknowledgement counts as a
    /// segment that has left the path (RFC 3042; RFC 5681 section 3.2, step 4).
    #[must_use]
    pub(super) fn in_flight(&self) -> usize {
        self.board.in_flight().saturating_sub(self.duplicates.bytes(self.segment))
    }

    /// How many bytes may be sent now.
    #[must_use]
    pub(super) fn room(&self, congestion: &Congestion) -> usize {
        match &self.phase {
            Phase::Recovery { prr, .. } if !congestion.rules_recovery() => prr.room(),
            Phase::Open | Phase::Recovery { .. } | Phase::Loss { .. } => {
                congestion.window().saturating_sub(self.in_flight())
            }
        }
    }

    /// The first range that is to be retransmitted.
    pub(super) fn first_lost(&mut self) -> Option<(Sequence, Sequence)> {
        self.board.first_lost()
    }

    /// The last range that was sent.
    #[must_use]
    pub(super) fn last(&self) -> Option<(Sequence, Sequence)> {
        self.board.last()
    }

    /// The number of ranges in the scoreboard.
    #[must_use]
    pub(super) fn ranges(&self) -> usize {
        self.board.len()
    }

    /// Whether nothing is outstanding.
    #[must_use]
    pub(super) fn is_idle(&self) -> bool {
        self.board.is_empty()
    }

    /// Whether a loss probe may be sent (RFC 8985 section 7.2).
    #[must_use]
    pub(super) const fn may_probe(&self) -> bool {
        self.selective && self.phase.is_open() && self.probe.is_none() && self.board.sacked() == 0
    }

    /// When the next range that is late is to be taken for lost (RFC 8985 section 6.2, step 5).
    #[must_use]
    pub(super) const fn reordering_deadline(&self) -> Option<Instant> {
        self.reordering
    }

    /// Segments retransmitted so far.
    #[must_use]
    pub(super) const fn retransmitted(&self) -> u64 {
        self.retransmitted
    }

    /// The bytes that are taken for lost and were not retransmitted yet.
    #[must_use]
    pub(super) const fn lost_now(&self) -> usize {
        self.board.lost()
    }

    /// The bytes that were taken for lost so far.
    #[must_use]
    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    /// The bytes that the peer has reported by selective acknowledgements.
    #[must_use]
    pub(super) const fn sacked(&self) -> usize {
        self.board.sacked()
    }

    /// Whether the sender is idle: everything was acknowledged, and there was nothing more to send. Known only if
    /// samples of the delivery rate are taken.
    #[must_use]
    pub(super) fn is_resting(&self) -> bool {
        self.delivery.as_ref().is_some_and(|delivery| delivery.is_limited()) && self.in_flight() == 0
    }

    /// Records that there is nothing more to send. This limits the delivery rate only if the congestion window has room
    /// and all losses were retransmitted.
    pub(super) fn on_application_limit(&mut self, congestion: &Congestion) {
        let in_flight = self.in_flight();
        if let Some(delivery) = &mut self.delivery
            && self.board.lost() == 0
            && in_flight < congestion.window()
        {
            delivery.limit(in_flight);
        }
    }

    /// Records the state of delivery just before the next transmission.
    fn note_sent(&mut self, now: Instant) {
        if let Some(delivery) = &mut self.delivery {
            delivery.on_sent(self.board.next_transmission(), self.board.in_flight() == 0, now);
        }
    }

    /// Records new data that was sent.
    pub(super) fn on_sent(&mut self, start: Sequence, end: Sequence, now: Instant) {
        self.note_sent(now);
        self.board.on_sent(start, end, now);
        self.count(end.since(start));
    }

    /// Records a retransmission; `stamp` is the TSval that it carries.
    pub(super) fn on_retransmitted(&mut self, start: Sequence, end: Sequence, stamp: Option<u32>, now: Instant) {
        self.note_sent(now);
        self.board.on_retransmitted(start, end, now);
        self.retransmitted += 1;
        self.count(end.since(start));
        if let Some(undo) = &mut self.undo {
            undo.on_retransmitted(end.since(start), stamp);
        }
    }

    /// Records a loss probe. `end` is SND.NXT after it; `again` says that it was a retransmission.
    pub(super) const fn on_probe(&mut self, end: Sequence, again: bool) {
        self.probe = Some(Probe::new(end, again));
    }

    fn count(&mut self, bytes: usize) {
        if let Phase::Recovery { prr, .. } = &mut self.phase {
            prr.on_sent(bytes);
        }
    }

    /// Processes an acknowledgement. Returns how many bytes it shows to be delivered.
    pub(super) fn on_report(&mut self, report: &Report<'_>, rtt: &mut RoundTrip, congestion: &mut Congestion) -> usize {
        let flight = self.board.outstanding();
        let mut heard = Heard::new(&mut self.rack, report.now, rtt.minimum());
        let delivery = &mut self.delivery;
        let mut take = |range| {
            heard.take(&range);
            if let Some(delivery) = delivery {
                delivery.take(&range, report.now);
            }
        };
        let mut delivered = self.board.acknowledge(report.acknowledged, &mut take);
        if self.selective {
            for (start, end) in report.held() {
                delivered += self.board.sack(start, end, &mut take);
            }
        }
        let exact_rtt = heard.exact();
        // The number of acknowledgements in a round trip (RFC 7323 appendix G).
        let each_trip = flight / (2 * self.segment.max(1));
        let measured = heard.measure(report, each_trip, rtt);
        let news = News { report, flight, delivered, rtt: measured, exact_rtt };
        let duplicate = report.duplicate().filter(|_| self.selective);
        if let Some((start, end)) = duplicate {
            self.rack.on_duplicate(report.next, report.acknowledged);
            if let Some(undo) = &mut self.undo {
                undo.on_duplicate(end.since(start));
            }
        }
        self.marked_until = self.marked_until.filter(|until| report.acknowledged.before(*until));
        self.count_duplicates(&news);
        self.end_probe(&news, duplicate, congestion);
        self.undo_if_spurious(report, congestion);
        self.find_losses(&news, rtt, congestion);
        self.mark(&news, congestion);
        self.advance(&news, rtt.smoothed(), congestion);
        self.sample(&news, rtt, congestion);
        delivered
    }

    /// Gives the congestion control a sample of the delivery rate, if it wants samples.
    fn sample(&mut self, news: &News<'_>, rtt: &RoundTrip, congestion: &mut Congestion) {
        let in_flight = self.in_flight();
        let Some(delivery) = &mut self.delivery else { return };
        let moment = Moment {
            now: news.report.now,
            least_rtt: rtt.minimum(),
            rtt: news.exact_rtt,
            in_flight,
            limited: news.report.limited,
            recovering: !self.phase.is_open(),
        };
        let sample = delivery.sample(&moment, self.board.oldest_transmission());
        if sample.newly_delivered > 0 || sample.newly_lost > 0 {
            congestion.on_sample(&sample);
        }
        if congestion.holds_back() {
            delivery.limit(in_flight);
        }
    }

    /// Tells the congestion control of a lost range, if it wants samples.
    fn lose(delivery: &mut Option<Box<Delivery>>, lost: &Lost, congestion: &mut Congestion, now: Instant) {
        if let Some(sent) = delivery.as_mut().and_then(|delivery| delivery.lose(lost)) {
            congestion.on_lost(now, lost.bytes as u64, &sent);
        }
    }

    /// Counts duplicate acknowledgements if the peer has no selective ones: each stands for a segment that has arrived.
    fn count_duplicates(&mut self, news: &News<'_>) {
        if self.selective {
            return;
        }
        if !news.report.is_progress() {
            if news.report.bare && !self.board.is_empty() {
                self.duplicates.on_duplicate();
            }
        } else if let Phase::Recovery { .. } = self.phase {
            self.duplicates.on_part(news.delivered, self.segment);
        } else {
            self.duplicates.clear();
        }
    }

    fn end_probe(&mut self, news: &News<'_>, duplicate: Option<SackBlock>, congestion: &mut Congestion) {
        let Some(probe) = self.probe else { return };
        match probe.judge(news.report, duplicate) {
            Outcome::Pending => return,
            Outcome::Needless => {}
            Outcome::Repair => {
                congestion.on_congestion(news.report.now, news.flight);
                congestion.on_recovered(news.report.now);
            }
        }
        self.probe = None;
    }

    /// Undoes a recovery if the acknowledgement shows that it was spurious.
    fn undo_if_spurious(&mut self, report: &Report<'_>, congestion: &mut Congestion) {
        if self.undo.as_mut().is_some_and(|undo| undo.is_spurious(report)) {
            self.undo = None;
            self.phase = Phase::Open;
            self.duplicates.clear();
            self.board.undo_losses();
            congestion.undo(report.now);
            self.rack.on_reordering();
        }
    }

    fn find_losses(&mut self, news: &News<'_>, rtt: &RoundTrip, congestion: &mut Congestion) {
        let report = news.report;
        let lost = if self.selective {
            self.detect(report.now, rtt, congestion)
        } else if (self.duplicates.show_loss() && self.phase.is_open()) || self.is_partial(report) {
            let delivery = &mut self.delivery;
            self.board.lose_first(|lost| Self::lose(delivery, &lost, congestion, report.now))
        } else {
            0
        };
        self.lost += lost as u64;
        if lost > 0 {
            self.enter_recovery(report.now, report.next, congestion, news.flight);
        }
    }

    /// Whether an acknowledgement is partial, in a recovery without selective acknowledgements: then the next segment
    /// is lost too (RFC 6582 section 3.2, step 3).
    fn is_partial(&self, report: &Report<'_>) -> bool {
        let within = matches!(self.phase, Phase::Recovery { point, .. } if report.acknowledged.before(point));
        !self.selective && within && report.is_progress()
    }

    /// Takes ranges for lost that are late by now. Returns how many bytes those have.
    fn detect(&mut self, now: Instant, rtt: &RoundTrip, congestion: &mut Congestion) -> usize {
        let recovering = !self.phase.is_open();
        let window = self.rack.reordering_window(rtt, recovering, self.board.sacked() / self.segment.max(1));
        let (mut deadline, rack, delivery) = (None, &self.rack, &mut self.delivery);
        let is_lost = |sent| {
            let due = rack.is_late_at(&sent, window)?;
            if due > now {
                deadline = Some(due);
            }
            Some(due <= now)
        };
        let lost = self.board.detect(is_lost, |lost| Self::lose(delivery, &lost, congestion, now));
        self.reordering = deadline;
        lost
    }

    fn enter_recovery(&mut self, now: Instant, next: Sequence, congestion: &mut Congestion, flight: usize) {
        if !self.phase.is_open() {
            return;
        }
        // The window is reduced once for each window of data, whether routers have marked or lost packets (RFC 3168
        // section 6.1.2).
        self.undo = self.marked_until.is_none().then(Undo::new);
        if self.undo.is_some() {
            congestion.on_congestion(now, flight);
        }
        self.phase = Phase::Recovery { point: next, prr: Prr::new(flight, self.segment) };
        self.probe = None;
    }

    /// Handles an ECN echo, which counts as congestion once for each window of data (RFC 3168 section 6.1.2).
    fn mark(&mut self, news: &News<'_>, congestion: &mut Congestion) {
        let report = news.report;
        if report.congestion_experienced && self.marked_until.is_none() && self.phase.is_open() {
            self.marked_until = Some(report.next);
            self.undo = None;
            congestion.on_mark(report.now, news.flight);
        }
    }

    /// Ends the phase if its recovery point is reached. Outside of recovery, lets the window grow.
    fn advance(&mut self, news: &News<'_>, smoothed_rtt: Option<Duration>, congestion: &mut Congestion) {
        let &News { report, flight, delivered, rtt, .. } = news;
        if self.phase.is_over(report.acknowledged) {
            return self.end_phase(report, congestion);
        }
        let (in_flight, partial) = (self.in_flight(), self.is_partial(report));
        match &mut self.phase {
            Phase::Recovery { prr, .. } => {
                let (progress, losing) = (report.is_progress(), self.board.lost() > 0);
                let arrived = delivered.max(if self.selective || progress { 0 } else { self.segment });
                prr.on_delivered(arrived, in_flight, congestion.threshold(), progress && !losing);
                if partial {
                    prr.allow_segment();
                }
                return;
            }
            Phase::Loss { progress, .. } => *progress |= report.is_progress(),
            Phase::Open => {}
        }
        // Data that is only reported by selective acknowledgements does not open the window (RFC 5681 section 3.1).
        if report.is_progress() && self.marked_until.is_none() {
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
    }

    fn end_phase(&mut self, report: &Report<'_>, congestion: &mut Congestion) {
        if matches!(self.phase, Phase::Recovery { .. }) {
            congestion.on_recovered(report.now);
        }
        self.phase = Phase::Open;
        self.duplicates.clear();
        self.rack.on_recovered();
        if let Some(undo) = &mut self.undo {
            undo.on_end();
        }
    }

    /// Handles the expiry of [`reordering_deadline`](Self::reordering_deadline).
    pub(super) fn on_reordering_timeout(
        &mut self,
        now: Instant,
        next: Sequence,
        rtt: &RoundTrip,
        congestion: &mut Congestion,
    ) {
        let flight = self.board.outstanding();
        self.reordering = None;
        let lost = self.detect(now, rtt, congestion);
        self.lost += lost as u64;
        if lost > 0 {
            self.enter_recovery(now, next, congestion, flight);
            let in_flight = self.in_flight();
            if let Phase::Recovery { prr, .. } = &mut self.phase {
                prr.on_delivered(0, in_flight, congestion.threshold(), false);
            }
        }
    }

    /// Handles the expiry of the retransmission timer (RFC 6298 section 5, RFC 5681 section 3.1, RFC 8985 section 6.3).
    pub(super) fn on_timeout(&mut self, now: Instant, next: Sequence, rtt: &RoundTrip, congestion: &mut Congestion) {
        // The threshold is lowered once for the data sent until then, and not again before some of it was acknowledged
        // (RFC 5681 section 3.1, RFC 3168 section 6.1.2).
        let first = match self.phase {
            Phase::Open => self.marked_until.is_none(),
            Phase::Recovery { .. } => false,
            Phase::Loss { progress, .. } => progress,
        };
        congestion.on_timeout(now, self.board.outstanding(), first);
        // If the peer has reported the first unacknowledged data by a selective acknowledgement, or if the timer
        // expires again, the peer may have dropped the reported data (RFC 2018 section 8). Otherwise its reports still
        // count (RFC 6675 section 5.1).
        if rtt.doublings() > 1 || self.board.begins_sacked() {
            self.board.renege();
        }
        let delivery = &mut self.delivery;
        self.lost += self.board.lose_all(|lost| Self::lose(delivery, &lost, congestion, now)) as u64;
        self.duplicates.clear();
        self.reordering = None;
        self.probe = None;
        self.marked_until = None;
        self.phase = Phase::Loss { point: next, progress: false };
        if first {
            self.undo = Some(Undo::new());
        }
    }

    /// Marks all data in flight as lost because the path MTU was lowered, whether its segments fit the path or not. It
    /// is retransmitted in shorter segments, and this does not count as congestion.
    pub(super) fn on_narrower_path(&mut self) {
        self.board.lose_all(|_| ());
    }

    /// The bytes of memory held.
    #[must_use]
    pub(super) fn held(&self) -> usize {
        self.board.held() + self.delivery.as_ref().map_or(0, |delivery| delivery.held())
    }
}

#[cfg(test)]
mod tests;
