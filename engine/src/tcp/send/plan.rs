//! The choice of the next segment to send, by the rules for the peer's window, the silly window syndrome and Nagle's
//! algorithm. How much may be in flight is decided by loss recovery and congestion control.

use super::Finish;
use super::window::PeerWindow;
use crate::tcp::sequence::Sequence;

/// A segment that may be sent now, or several that are handed to the outlet as one and cut into segments later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) struct Plan {
    /// The first sequence number.
    pub start: Sequence,
    /// The offset of the data in the queue.
    pub offset: usize,
    /// The length of the data in bytes.
    pub length: usize,
    /// The segment carries the FIN.
    pub fin: bool,
    /// The segment ends the queued data (PSH).
    pub push: bool,
    /// The segment is a retransmission.
    pub again: bool,
    pub(super) kind: PlanKind,
}

/// The purpose of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlanKind {
    Ordinary,
    LossProbe,
    WindowProbe,
}

impl Plan {
    /// The sequence number after the segment.
    #[must_use]
    pub(in crate::tcp) fn end(&self) -> Sequence {
        self.start + self.length + usize::from(self.fin)
    }
}

/// The state of the sending half that the choice depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    /// SND.UNA.
    pub(super) unacknowledged: Sequence,
    /// SND.NXT.
    pub(super) next: Sequence,
    /// The bytes in the queue, which begin at SND.UNA.
    pub(super) queued: usize,
    pub(super) window: PeerWindow,
    /// The bytes of data in a full segment.
    pub(super) segment: usize,
    pub(super) finish: Finish,
}

impl Situation {
    /// The numbers from SND.UNA to SND.NXT.
    const fn outstanding(&self) -> usize {
        self.next.since(self.unacknowledged)
    }

    fn outstanding_data(&self) -> usize {
        let outstanding = self.outstanding();
        outstanding - usize::from(self.finish == Finish::Sent && outstanding > 0)
    }

    /// The bytes that were not sent yet.
    pub(super) fn unsent(&self) -> usize {
        self.queued.saturating_sub(self.outstanding_data())
    }

    /// The first segment of a range that is to be retransmitted, from `start` to `end`.
    pub(super) fn again(&self, start: Sequence, end: Sequence) -> Plan {
        let has_fin = self.finish == Finish::Sent && end == self.next;
        let data = end.since(start) - usize::from(has_fin);
        let length = data.min(self.segment);
        let offset = start.since(self.unacknowledged);
        let push = offset + length == self.queued;
        Plan { start, offset, length, fin: has_fin && length == data, push, again: true, kind: PlanKind::Ordinary }
    }

    /// New data, by the rules of RFC 9293 section 3.8.6.2.1: full segments, or a segment that empties the queue, or one
    /// of half of the largest window. A piece that the congestion window has cut off is none of these. Several full
    /// segments are planned together, up to `most` bytes; at least one is allowed.
    pub(super) fn fresh(&self, no_delay: bool, most: usize) -> Option<Plan> {
        let (outstanding, unsent) = (self.outstanding(), self.unsent());
        if unsent == 0 && self.finish != Finish::Wanted {
            return None;
        }
        let usable = self.window.size().saturating_sub(outstanding);
        let mut length = unsent.min(most.max(self.segment)).min(usable);
        let ends = |length: usize| length == unsent;
        // The remainder after full segments must satisfy the rules by itself.
        let rest = if length > self.segment { length % self.segment } else { 0 };
        if rest > 0 && !(ends(length) && (no_delay || self.finish == Finish::Wanted)) {
            length -= rest;
        }
        let whole = ends(length);
        let fin = whole && self.finish == Finish::Wanted;
        let sensible = length >= self.segment
            // Nagle's algorithm (RFC 9293 section 3.7.4) holds back a segment that is not full while something is
            // outstanding.
            || (whole && (no_delay || fin || outstanding == 0))
            || (length > 0 && length * 2 >= self.window.largest());
        if !sensible || (length == 0 && !fin) {
            return None;
        }
        let offset = self.outstanding_data();
        Some(Plan { start: self.next, offset, length, fin, push: whole, again: false, kind: PlanKind::Ordinary })
    }

    /// A loss probe (RFC 8985 section 7.3): new data if the peer's window allows it, else a retransmission of the end
    /// of the `last` range.
    pub(super) fn loss_probe(&self, last: Option<(Sequence, Sequence)>) -> Option<Plan> {
        if let Some(plan) = self.fresh(true, self.segment) {
            return Some(Plan { kind: PlanKind::LossProbe, ..plan });
        }
        let (start, end) = last?;
        let start = start.latest(end - self.segment.min(end.since(start)));
        Some(Plan { kind: PlanKind::LossProbe, ..self.again(start, end) })
    }

    /// A window probe (RFC 9293 section 3.8.6.1): a byte that the peer may have no room for. If the window is not
    /// closed but too small, everything that fits, however little (the override timeout of section 3.8.6.2.1).
    pub(super) fn window_probe(&self) -> Option<Plan> {
        // Data in flight serves as a probe: the window has opened in the meantime.
        if self.queued == 0 || self.outstanding() > 0 {
            return None;
        }
        let (length, kind) = match self.window.size() {
            0 => (1, PlanKind::WindowProbe),
            room => (room.min(self.segment).min(self.queued), PlanKind::Ordinary),
        };
        let push = length == self.queued;
        Some(Plan { start: self.next, offset: 0, length, fin: false, push, again: false, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNACKNOWLEDGED: Sequence = Sequence(1000);

    /// `sent` of `queued` bytes are in flight.
    fn situation(queued: usize, sent: usize, window: usize) -> Situation {
        Situation {
            unacknowledged: UNACKNOWLEDGED,
            next: UNACKNOWLEDGED + sent,
            queued,
            window: PeerWindow::new(Sequence(0), Sequence(0), window),
            segment: 100,
            finish: Finish::Open,
        }
    }

    fn fresh(queued: usize, sent: usize, window: usize, no_delay: bool) -> Option<(usize, usize)> {
        situation(queued, sent, window).fresh(no_delay, 0).map(|plan| (plan.offset, plan.length))
    }

    /// RFC 9293 section 3.7.4.
    #[test]
    fn a_segment_that_is_not_full_waits_while_data_is_in_flight() {
        assert_eq!(fresh(30, 0, 1000, false), Some((0, 30)));
        assert_eq!(fresh(230, 200, 1000, false), None);
        assert_eq!(fresh(230, 200, 1000, true), Some((200, 30)));
        assert_eq!(fresh(230, 100, 1000, false), Some((100, 100)));
        let ending = Situation { finish: Finish::Wanted, ..situation(230, 200, 1000) };
        assert_eq!(ending.fresh(false, 0).map(|plan| (plan.length, plan.fin)), Some((30, true)));
    }

    /// Several segments that are sent as one follow the same rules as segments that are sent one by one.
    #[test]
    fn full_segments_are_planned_together_and_the_remainder_by_the_usual_rules() {
        let fresh = |queued, window, no_delay, most| {
            situation(queued, 100, window).fresh(no_delay, most).map(|plan| (plan.length, plan.push))
        };
        assert_eq!(fresh(1050, 2000, false, 400), Some((400, false)));
        assert_eq!(fresh(1050, 2000, false, 450), Some((400, false)), "a part of a segment waits for the rest of it");
        assert_eq!(fresh(1050, 2000, true, 1000), Some((950, true)));
        assert_eq!(fresh(1050, 2000, false, 1000), Some((900, false)), "Nagle");
        assert_eq!(fresh(1050, 450, true, 1000), Some((300, false)), "the peer's window");
        assert_eq!(fresh(1050, 2000, true, 0), Some((100, false)));
    }

    /// RFC 9293 section 3.8.6.2.1.
    #[test]
    fn silly_windows_are_not_filled() {
        assert_eq!(fresh(500, 0, 60, false), Some((0, 60)), "all that the peer ever offered");
        assert_eq!(fresh(500, 0, 0, false), None);
        let mut narrow = situation(500, 0, 200);
        for (window, length) in [(99, None), (100, Some(100))] {
            narrow.window.update(Sequence(0), Sequence(0), window);
            assert_eq!(narrow.fresh(true, 0).map(|plan| plan.length), length, "{window}");
        }
    }

    #[test]
    fn a_fin_is_sent_alone_and_retransmitted_with_the_data_before_it() {
        let ending = Situation { finish: Finish::Wanted, ..situation(0, 0, 0) };
        assert_eq!(ending.fresh(false, 0).map(|plan| (plan.length, plan.fin)), Some((0, true)));
        let ended = Situation { finish: Finish::Sent, ..situation(150, 151, 1000) };
        assert_eq!(ended.fresh(true, 0), None);
        let plan = ended.again(UNACKNOWLEDGED + 50, ended.next);
        assert_eq!((plan.offset, plan.length, plan.fin, plan.end()), (50, 100, true, ended.next));
        let plan = ended.again(UNACKNOWLEDGED, ended.next);
        assert_eq!((plan.length, plan.fin), (100, false));
    }

    /// RFC 8985 section 7.3.
    #[test]
    fn a_loss_probe_is_new_data_or_the_last_segment() {
        let plan = situation(230, 200, 1000).loss_probe(None).expect("there is more");
        assert_eq!((plan.offset, plan.length, plan.again), (200, 30, false));
        let last = (UNACKNOWLEDGED, UNACKNOWLEDGED + 230);
        let plan = situation(230, 230, 1000).loss_probe(Some(last)).expect("something is under way");
        assert_eq!((plan.offset, plan.length, plan.again), (130, 100, true));
        assert_eq!(situation(0, 0, 1000).loss_probe(None), None);
    }

    /// RFC 9293 section 3.8.6.1.
    #[test]
    fn a_window_probe_is_a_byte_or_all_that_fits() {
        let probe = |queued, sent, window| situation(queued, sent, window).window_probe().map(|plan| plan.length);
        assert_eq!([probe(500, 0, 0), probe(500, 0, 7), probe(5, 0, 7)], [Some(1), Some(7), Some(5)]);
        assert_eq!([probe(0, 0, 0), probe(500, 100, 0)], [None, None]);
    }
}
