//! Finding out what was lost, and how fast it may be sent again: RACK-TLP (RFC 8985), selective acknowledgements
//! (RFC 6675, RFC 2883), NewReno where the peer has none (RFC 6582), proportional rate reduction (RFC 6937), and taking
//! back what turned out not to be a loss (RFC 3522, RFC 4015, RFC 3708).
//!
//! How large the window is afterwards is for the [congestion control](super::congestion) to say.

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

use delivery::{Delivery, Moment};
use duplicates::Duplicates;
use phase::Phase;
pub use phase::RecoveryState;
use probe::{Outcome, Probe};
use prr::Prr;
use rack::Rack;
use report::Heard;
pub(super) use report::Report;
pub(super) use sleeper::Sleeper;
use undo::Undo;

use super::congestion::{Acknowledgement, Congestion, CongestionControl};
use super::rtt::RoundTrip;
use super::scoreboard::{Lost, Scoreboard};
use super::segment::SackBlock;
use super::sequence::Sequence;
use crate::time::Instant;

/// What an acknowledgement has brought.
struct News<'a> {
    report: &'a Report<'a>,
    /// FlightSize before it (RFC 5681 section 2): all that was sent and not acknowledged, whatever is known of it.
    flight: usize,
    /// Bytes that it shows to have arrived.
    delivered: usize,
    /// The round-trip time that it shows.
    rtt: Option<Duration>,
    /// The round-trip time of what was sent only once.
    exact_rtt: Option<Duration>,
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
    duplicates: Duplicates,
    /// When the earliest range becomes a loss that is not one yet.
    reordering: Option<Instant>,
    retransmitted: u64,
    lost: u64,
    /// The rate of delivery, where the congestion control wants to know.
    delivery: Option<Box<Delivery>>,
}

impl Recovery {
    /// The recovery of a connection whose peer has selective acknowledgements, or not.
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

    /// The rate of delivery is sampled from now on.
    pub(super) fn take_samples(&mut self, now: Instant) {
        self.delivery = Some(Box::new(Delivery::new(now)));
    }

    /// The path takes segments of this many bytes from now on.
    pub(super) const fn set_segment_size(&mut self, bytes: usize) {
        self.segment = bytes;
    }

    /// Whether it knows nothing that a new one would not: everything was acknowledged, and nothing was ever lost or late.
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

    /// Where the sender stands.
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

    /// Bytes on their way. What duplicate acknowledgements show to have left counts, where the peer does not say what it
    /// was (RFC 3042 and RFC 5681 section 3.2, step 4).
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

    /// What is to be sent again first.
    pub(super) fn first_lost(&mut self) -> Option<(Sequence, Sequence)> {
        self.board.first_lost()
    }

    /// The last range that was sent.
    #[must_use]
    pub(super) fn last(&self) -> Option<(Sequence, Sequence)> {
        self.board.last()
    }

    /// How many ranges are remembered.
    #[must_use]
    pub(super) fn ranges(&self) -> usize {
        self.board.len()
    }

    /// Nothing is outstanding.
    #[must_use]
    pub(super) fn is_idle(&self) -> bool {
        self.board.is_empty()
    }

    /// Whether a loss probe may be sent (RFC 8985 section 7.2).
    #[must_use]
    pub(super) const fn may_probe(&self) -> bool {
        self.selective && self.phase.is_open() && self.probe.is_none() && self.board.sacked() == 0
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

    /// Whether what is sent next is the first after everything was acknowledged and there was nothing to send, as far as
    /// that is sampled.
    #[must_use]
    pub(super) fn is_resting(&self) -> bool {
        self.delivery.as_ref().is_some_and(|delivery| delivery.is_limited()) && self.in_flight() == 0
    }

    /// There is nothing more to send. Whether that is what limits the rate is for the window to say, and for losses that
    /// were not sent again yet.
    pub(super) fn on_application_limit(&mut self, congestion: &Congestion) {
        let in_flight = self.in_flight();
        if let Some(delivery) = &mut self.delivery
            && self.board.lost() == 0
            && in_flight < congestion.window()
        {
            delivery.limit(in_flight);
        }
    }

    /// Something is about to leave, as the next transmission.
    fn note_sent(&mut self, now: Instant) {
        if let Some(delivery) = &mut self.delivery {
            delivery.on_sent(self.board.next_transmission(), self.board.in_flight() == 0, now);
        }
    }

    /// New data was sent.
    pub(super) fn on_sent(&mut self, start: Sequence, end: Sequence, now: Instant) {
        self.note_sent(now);
        self.board.on_sent(start, end, now);
        self.count(end.since(start));
    }

    /// Something was sent again; `stamp` is the clock that it carries.
    pub(super) fn on_sent_again(&mut self, start: Sequence, end: Sequence, stamp: Option<u32>, now: Instant) {
        self.note_sent(now);
        self.board.on_sent_again(start, end, now);
        self.retransmitted += 1;
        self.count(end.since(start));
        if let Some(undo) = &mut self.undo {
            undo.on_sent_again(end.since(start), stamp);
        }
    }

    /// A loss probe was sent, as the last of everything.
    pub(super) const fn on_probe(&mut self, end: Sequence, again: bool) {
        self.probe = Some(Probe::new(end, again));
    }

    fn count(&mut self, bytes: usize) {
        if let Phase::Recovery { prr, .. } = &mut self.phase {
            prr.on_sent(bytes);
        }
    }

    /// Takes an acknowledgement. Returns how many bytes it shows to have arrived.
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
        // As many acknowledgements as come in a round trip (RFC 7323 appendix G).
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
        self.take_back(report, congestion);
        self.find_losses(&news, rtt, congestion);
        self.mark(&news, congestion);
        self.advance(&news, rtt.smoothed(), congestion);
        self.sample(&news, rtt, congestion);
        delivered
    }

    /// Tells the congestion control of the rate of delivery, where it wants to know.
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

    /// Tells the congestion control of what is taken for lost, where it wants to know.
    fn lose(delivery: &mut Option<Box<Delivery>>, lost: &Lost, congestion: &mut Congestion, now: Instant) {
        if let Some(sent) = delivery.as_mut().and_then(|delivery| delivery.lose(lost)) {
            congestion.on_lost(now, lost.bytes as u64, &sent);
        }
    }

    /// Where the peer has no selective acknowledgements, repeated ones stand for segments that arrived.
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

    /// Takes a recovery back that was not needed.
    fn take_back(&mut self, report: &Report<'_>, congestion: &mut Congestion) {
        if self.undo.as_mut().is_some_and(|undo| undo.is_spurious(report)) {
            self.undo = None;
            self.phase = Phase::Open;
            self.duplicates.clear();
            self.board.find_all();
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

    /// Whether an acknowledgement is one of a part, in a recovery without selective ones: then what follows is lost too
    /// (RFC 6582 section 3.2, step 3).
    fn is_partial(&self, report: &Report<'_>) -> bool {
        let within = matches!(self.phase, Phase::Recovery { point, .. } if report.acknowledged.before(point));
        !self.selective && within && report.is_progress()
    }

    /// Looks for ranges that are late by now.
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
        // Once for each window, whether routers marked packets or lost them (RFC 3168 section 6.1.2).
        self.undo = self.marked_until.is_none().then(Undo::new);
        if self.undo.is_some() {
            congestion.on_congestion(now, flight);
        }
        self.phase = Phase::Recovery { point: next, prr: Prr::new(flight, self.segment) };
        self.probe = None;
    }

    /// RFC 3168 section 6.1.2: an echo of congestion is a congestion, once for each window.
    fn mark(&mut self, news: &News<'_>, congestion: &mut Congestion) {
        let report = news.report;
        if report.congestion_experienced && self.marked_until.is_none() && self.phase.is_open() {
            self.marked_until = Some(report.next);
            self.undo = None;
            congestion.on_mark(report.now, news.flight);
        }
    }

    /// Ends a phase whose point is reached, and lets the window grow where there is none.
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
        // What is only reported to be there does not open the window (RFC 5681 section 3.1).
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

    /// The time of [`reordering_deadline`](Self::reordering_deadline) has come.
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

    /// The retransmission timer has run out (RFC 6298 section 5, RFC 5681 section 3.1, RFC 8985 section 6.3).
    pub(super) fn on_timeout(&mut self, now: Instant, next: Sequence, rtt: &RoundTrip, congestion: &mut Congestion) {
        // The threshold is lowered once for what was sent until then, and not again before some of it was acknowledged
        // (RFC 5681 section 3.1, RFC 3168 section 6.1.2).
        let first = match self.phase {
            Phase::Open => self.marked_until.is_none(),
            Phase::Recovery { .. } => false,
            Phase::Loss { progress, .. } => progress,
        };
        congestion.on_timeout(now, self.board.outstanding(), first);
        // A peer that acknowledges up to what it holds, or for which the timer runs out again, may have thrown that away
        // (RFC 2018 section 8). Otherwise it is believed (RFC 6675 section 5.1).
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

    /// The path has become narrower: what was in flight and too long is sent again, cut up, and that is no congestion.
    pub(super) fn on_narrower_path(&mut self) {
        self.board.lose_all(|_| ());
    }

    /// Bytes of memory held.
    #[must_use]
    pub(super) fn held(&self) -> usize {
        self.board.held() + self.delivery.as_ref().map_or(0, |delivery| delivery.held())
    }
}

#[cfg(test)]
mod tests;
