//! The scoreboard of RFC 6675 section 3: the ranges that were sent and not acknowledged yet, with the send times that
//! RACK (RFC 8985) needs.

use alloc::collections::VecDeque;

use super::sequence::Sequence;
use crate::time::Instant;

/// The state of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// In flight, as far as this end knows.
    InFlight,
    /// The peer has reported it by a selective acknowledgement.
    Sacked,
    /// Taken for lost, and not retransmitted yet.
    Lost,
}

/// A range of sequence numbers, as it was last sent.
#[derive(Clone, Copy, Debug)]
struct Range {
    start: Sequence,
    end: Sequence,
    sent: Instant,
    /// The number of its transmission, counted from the start of the connection.
    transmission: u64,
    /// The bytes in flight just after it was sent, itself included.
    in_flight: u32,
    status: Status,
    again: bool,
}

impl Range {
    fn length(&self) -> usize {
        self.end.since(self.start)
    }

    fn recency(&self) -> Recency {
        Recency { sent: self.sent, transmission: self.transmission, end: self.end }
    }

    /// The delivery of the range, or of its part up to `end`.
    fn delivered(&self, end: Sequence) -> Delivered {
        Delivered {
            recency: Recency { end, ..self.recency() },
            again: self.again,
            bytes: end.since(self.start),
            in_flight: self.in_flight,
        }
    }
}

/// A transmission of a range, in the list of transmissions in their order.
#[derive(Clone, Copy, Debug)]
struct Transmission {
    number: u64,
    start: Sequence,
    end: Sequence,
}

/// A range that was delivered to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivered {
    /// When it was last sent, and in which order.
    pub recency: Recency,
    /// It was retransmitted.
    pub again: bool,
    /// Its length in bytes.
    pub bytes: usize,
    /// The bytes in flight just after it was last sent.
    pub in_flight: u32,
}

/// A range that is taken for lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// The number of the transmission that was lost.
    pub transmission: u64,
    /// Its length in bytes.
    pub bytes: usize,
    /// The bytes in flight just after it was last sent.
    pub in_flight: u32,
}

/// How recently something was sent. RFC 8985 section 6.2 compares send times, and sequence numbers if the times are
/// equal (`RACK_sent_after`). Here everything that is sent in one go has the same time, even a retransmission among new
/// data, so transmissions are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recency {
    /// When it was sent.
    pub sent: Instant,
    /// The number of its transmission, counted from the start of the connection.
    pub transmission: u64,
    /// The sequence number after it.
    pub end: Sequence,
}

impl Recency {
    /// Whether this was sent after the other, or is a later part of the same transmission.
    #[must_use]
    pub(super) fn after(&self, other: &Self) -> bool {
        self.transmission > other.transmission || (self.transmission == other.transmission && self.end.after(other.end))
    }
}

/// The maximum number of ranges in addition to those that the sender made by sending. If a peer's acknowledgements
/// split ranges more often, for example at every byte, further blocks that would split a range are ignored until ranges
/// are acknowledged or merged.
const MAX_SPLITS: usize = 256;

/// The ranges from SND.UNA to SND.NXT.
#[derive(Clone, Debug)]
pub(super) struct Scoreboard {
    ranges: VecDeque<Range>,
    order: VecDeque<Transmission>,
    transmissions: u64,
    sacked: usize,
    lost: usize,
    splits: usize,
    /// No range before this one is lost.
    lost_from: Sequence,
}

impl Scoreboard {
    /// A scoreboard without ranges.
    #[must_use]
    pub(super) const fn new() -> Self {
        Self {
            ranges: VecDeque::new(),
            order: VecDeque::new(),
            transmissions: 0,
            sacked: 0,
            lost: 0,
            splits: 0,
            lost_from: Sequence(0),
        }
    }

    /// The number of ranges.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether nothing is outstanding.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The bytes that the peer has reported by selective acknowledgements.
    #[must_use]
    pub(super) const fn sacked(&self) -> usize {
        self.sacked
    }

    /// The bytes that are taken for lost and were not retransmitted.
    #[must_use]
    pub(super) const fn lost(&self) -> usize {
        self.lost
    }

    /// The bytes that were not acknowledged, in whatever state: FlightSize of RFC 5681 section 2.
    #[must_use]
    pub(super) fn outstanding(&self) -> usize {
        match (self.ranges.front(), self.ranges.back()) {
            (Some(first), Some(last)) => last.end.since(first.start),
            _ => 0,
        }
    }

    /// The bytes in flight: the pipe of RFC 6675 section 4.
    #[must_use]
    pub(super) fn in_flight(&self) -> usize {
        self.outstanding().saturating_sub(self.sacked + self.lost)
    }

    /// Whether the first unacknowledged range was reported by a selective acknowledgement.
    #[must_use]
    pub(super) fn begins_sacked(&self) -> bool {
        self.ranges.front().is_some_and(|range| range.status == Status::Sacked)
    }

    /// Records new data that was sent.
    pub(super) fn on_sent(&mut self, start: Sequence, end: Sequence, now: Instant) {
        let transmission = self.count(start, end);
        let in_flight = bounded(self.in_flight() + end.since(start));
        let range = Range { start, end, sent: now, transmission, in_flight, status: Status::InFlight, again: false };
        self.ranges.push_back(range);
    }

    /// The number of the next transmission.
    #[must_use]
    pub(super) const fn next_transmission(&self) -> u64 {
        self.transmissions + 1
    }

    /// The number of the first transmission of which a part may be in flight.
    #[must_use]
    pub(super) fn oldest_transmission(&self) -> Option<u64> {
        self.order.front().map(|transmission| transmission.number)
    }

    fn count(&mut self, start: Sequence, end: Sequence) -> u64 {
        self.transmissions += 1;
        if self.order.len() > 2 * self.ranges.len() + 64 {
            self.forget_old_transmissions();
        }
        self.order.push_back(Transmission { number: self.transmissions, start, end });
        self.transmissions
    }

    /// Removes transmissions whose ranges have been retransmitted since, or have arrived. Without this, a peer that
    /// acknowledges nothing would make the list longer with each retransmission.
    fn forget_old_transmissions(&mut self) {
        let mut order = core::mem::take(&mut self.order);
        order.retain(|transmission| {
            let ranges = self.ranges.iter().skip(self.index(transmission.start));
            let mut within = ranges.take_while(|range| range.start.before(transmission.end));
            within.any(|range| range.transmission == transmission.number && range.status == Status::InFlight)
        });
        self.order = order;
    }

    /// The first range that is lost and was not retransmitted.
    pub(super) fn first_lost(&mut self) -> Option<(Sequence, Sequence)> {
        if self.lost == 0 {
            return None;
        }
        let from = self.index(self.lost_from);
        let found = self.ranges.iter().skip(from).find(|range| range.status == Status::Lost)?;
        self.lost_from = found.start;
        Some((found.start, found.end))
    }

    /// The last range that was sent, for a loss probe (RFC 8985 section 7.3).
    #[must_use]
    pub(super) fn last(&self) -> Option<(Sequence, Sequence)> {
        self.ranges.back().map(|range| (range.start, range.end))
    }

    /// Records a retransmission of the numbers from `start` to `end`.
    pub(super) fn on_retransmitted(&mut self, start: Sequence, end: Sequence, now: Instant) {
        let mut at = self.index(start);
        while let Some(range) = self.ranges.get(at).copied().filter(|range| range.start.before(end)) {
            if range.start.before(start) {
                self.split(at, start);
                at += 1;
                continue;
            }
            if range.end.after(end) {
                self.split(at, end);
            }
            let transmission = self.count(range.start, range.end.earliest(end));
            if let Some(range) = self.ranges.get(at).copied().filter(|range| range.status != Status::Sacked) {
                if range.status == Status::Lost {
                    self.lost -= range.length();
                }
                let in_flight = bounded(self.in_flight());
                if let Some(place) = self.ranges.get_mut(at) {
                    *place =
                        Range { sent: now, transmission, in_flight, status: Status::InFlight, again: true, ..range };
                }
            }
            at += 1;
        }
    }

    /// Removes everything before `to` because it was acknowledged. Calls `each` for every range that was not known to
    /// be delivered, and returns how many bytes those have.
    pub(super) fn acknowledge(&mut self, to: Sequence, mut each: impl FnMut(Delivered)) -> usize {
        let mut delivered = 0;
        while let Some(range) = self.ranges.front().copied().filter(|range| range.start.before(to)) {
            let end = range.end.earliest(to);
            let count = end.since(range.start);
            match range.status {
                Status::InFlight => {}
                Status::Sacked => self.sacked -= count,
                Status::Lost => self.lost -= count,
            }
            if range.status != Status::Sacked {
                delivered += count;
                each(range.delivered(end));
            }
            if range.end.after(to) {
                if let Some(front) = self.ranges.front_mut() {
                    front.start = to;
                }
                break;
            }
            self.ranges.pop_front();
            self.splits = self.splits.saturating_sub(1);
        }
        while self.order.front().is_some_and(|transmission| transmission.end.at_or_before(to)) {
            self.order.pop_front();
        }
        if self.ranges.is_empty() {
            self.order.clear();
            self.splits = 0;
        }
        if self.lost_from.before(to) {
            self.lost_from = to;
        }
        delivered
    }

    /// Records that the peer holds the numbers from `start` to `end`. Calls `each` for every range that was not known
    /// to be delivered, and returns how many bytes those have.
    pub(super) fn sack(&mut self, start: Sequence, end: Sequence, mut each: impl FnMut(Delivered)) -> usize {
        let mut delivered = 0;
        let mut at = self.index(start);
        while let Some(range) = self.ranges.get(at).copied().filter(|range| range.start.before(end)) {
            let (head, tail) = (range.start.before(start), range.end.after(end));
            if range.status == Status::Sacked {
                at += 1;
                continue;
            }
            if head || tail {
                if self.splits >= MAX_SPLITS {
                    at += 1;
                    continue;
                }
                self.splits += 1;
                self.split(at, if head { start } else { end });
                at += usize::from(head);
                continue;
            }
            if range.status == Status::Lost {
                self.lost -= range.length();
            }
            self.sacked += range.length();
            delivered += range.length();
            each(range.delivered(range.end));
            if let Some(range) = self.ranges.get_mut(at) {
                range.status = Status::Sacked;
            }
            at = self.merge(at) + 1;
        }
        delivered
    }

    /// Merges a sacked range with its sacked neighbours, so that the reported part of the list stays short. Returns the
    /// index of the merged range.
    fn merge(&mut self, at: usize) -> usize {
        let joins = |ranges: &VecDeque<Range>, at: usize| {
            matches!((ranges.get(at), ranges.get(at + 1)),
                (Some(one), Some(next)) if one.status == Status::Sacked && next.status == Status::Sacked)
        };
        if joins(&self.ranges, at) {
            self.join(at);
        }
        if at > 0 && joins(&self.ranges, at - 1) {
            self.join(at - 1);
            return at - 1;
        }
        at
    }

    /// Merges a range with the next one.
    fn join(&mut self, at: usize) {
        if let Some(next) = self.ranges.remove(at + 1)
            && let Some(range) = self.ranges.get_mut(at)
        {
            range.end = next.end;
            self.splits = self.splits.saturating_sub(1);
        }
    }

    fn split(&mut self, at: usize, middle: Sequence) {
        let Some(range) = self.ranges.get_mut(at) else { return };
        let rest = Range { start: middle, ..*range };
        range.end = middle;
        self.ranges.insert(at + 1, rest);
    }

    /// The index of the first range that ends after `sequence`.
    fn index(&self, sequence: Sequence) -> usize {
        self.ranges.partition_point(|range| range.end.at_or_before(sequence))
    }

    fn mark_lost(&mut self, at: usize, each: &mut dyn FnMut(Lost)) -> usize {
        let Some(range) = self.ranges.get_mut(at).filter(|range| range.status == Status::InFlight) else { return 0 };
        range.status = Status::Lost;
        let (start, length) = (range.start, range.length());
        let (transmission, in_flight) = (range.transmission, range.in_flight);
        if self.lost == 0 || start.before(self.lost_from) {
            self.lost_from = start;
        }
        self.lost += length;
        each(Lost { transmission, bytes: length, in_flight });
        length
    }

    /// Looks for losses among the transmissions, in the order in which they were sent. `is_lost` decides about each;
    /// `Some(false)` or `None` ends the search. Calls `each` for every lost range, and returns how many bytes those
    /// have.
    pub(super) fn detect(
        &mut self,
        mut is_lost: impl FnMut(Recency) -> Option<bool>,
        mut each: impl FnMut(Lost),
    ) -> usize {
        let mut found = 0;
        'transmissions: while let Some(transmission) = self.order.front().copied() {
            let mut at = self.index(transmission.start);
            while let Some(range) = self.ranges.get(at).copied().filter(|range| range.start.before(transmission.end)) {
                if range.transmission == transmission.number && range.status == Status::InFlight {
                    match is_lost(range.recency()) {
                        Some(true) => found += self.mark_lost(at, &mut each),
                        Some(false) | None => break 'transmissions,
                    }
                }
                at += 1;
            }
            self.order.pop_front();
        }
        found
    }

    /// Marks the first range as lost if it is in flight. Reports it like [`detect`](Self::detect).
    pub(super) fn lose_first(&mut self, mut each: impl FnMut(Lost)) -> usize {
        self.mark_lost(0, &mut each)
    }

    /// Marks everything in flight as lost. Reports it like [`detect`](Self::detect).
    pub(super) fn lose_all(&mut self, mut each: impl FnMut(Lost)) -> usize {
        self.order.clear();
        (0..self.ranges.len()).map(|at| self.mark_lost(at, &mut each)).sum()
    }

    /// Marks everything that was taken for lost as in flight again, because nothing was lost (RFC 3522).
    pub(super) fn undo_losses(&mut self) {
        for range in self.ranges.iter_mut().filter(|range| range.status == Status::Lost) {
            range.status = Status::InFlight;
        }
        self.lost = 0;
        // The transmissions that were removed from the order are put back, in the order in which they were sent.
        let mut order: alloc::vec::Vec<Transmission> = self
            .ranges
            .iter()
            .filter(|range| range.status == Status::InFlight)
            .map(|range| Transmission { number: range.transmission, start: range.start, end: range.end })
            .collect();
        order.sort_unstable_by_key(|transmission| transmission.number);
        self.order = order.into();
    }

    /// Marks everything that was reported by selective acknowledgements as in flight, because the peer has dropped it
    /// (RFC 2018 section 8).
    pub(super) fn renege(&mut self) {
        for range in self.ranges.iter_mut().filter(|range| range.status == Status::Sacked) {
            range.status = Status::InFlight;
        }
        self.sacked = 0;
    }

    /// The bytes of memory held.
    #[must_use]
    pub(super) fn held(&self) -> usize {
        self.ranges.capacity() * size_of::<Range>() + self.order.capacity() * size_of::<Transmission>()
    }
}

/// Converts a number of bytes in flight to 32 bits; no window is larger (RFC 7323 section 2.3).
fn bounded(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
