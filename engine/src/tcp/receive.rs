//! The receiving half of a connection: the receive queue, the window that is offered to the peer, and the decision when
//! to acknowledge.

mod selective;
mod tuning;

use alloc::boxed::Box;
use core::ops::Range;
use core::time::Duration;

use super::segment::SackBlocks;
use super::sequence::Sequence;
use crate::buffer::{Charge, Memory, Payload, ReceiveQueue, Slices};
use crate::time::Instant;
use selective::Selective;
use tuning::Tuning;

/// How long an acknowledgement may be delayed to be sent with data (RFC 9293 section 3.8.6.3: less than half a second).
const DELAY: Duration = Duration::from_millis(40);
/// The assumed size of the peer's full segments until a larger one arrives (the default MSS, RFC 9293 section 3.7.1).
const SMALL: usize = 536;
/// A message of this many bytes is acknowledged as soon as it is read, even if an answer is likely to follow soon: a
/// peer with a small send buffer may wait for the acknowledgement.
const LARGE: usize = 4096;

/// When the next acknowledgement is sent, unless it is sent with data before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Acknowledge {
    /// No acknowledgement is to be sent.
    #[default]
    Nothing,
    /// At this time.
    At(Instant),
    /// Now.
    Now,
}

/// The peer's FIN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    /// The FIN was not received yet.
    #[default]
    Unknown,
    /// The FIN has this sequence number, and something before it is missing.
    Seen(Sequence),
    /// The FIN was received in order.
    Reached,
}

/// The parameters of a receiving half after the handshake.
#[derive(Debug)]
pub(super) struct ReceiverSetup {
    /// The sequence number of the first data: IRS + 1.
    pub first: Sequence,
    /// The window that the handshake offered, in bytes.
    pub window: usize,
    /// The window scale of this end, in bits.
    pub scale: u8,
    /// The receive buffer in bytes, and the size up to which it may grow by itself.
    pub limit: usize,
    pub most: usize,
    /// The charge for the memory of the queue.
    pub charge: Charge,
    /// The bytes of data in a full segment of the peer, as far as this end can tell.
    pub segment: usize,
    /// Whether ranges that arrived out of order are reported.
    pub selective: bool,
    /// Whether data that was read is acknowledged at once, unless an answer is likely to carry the acknowledgement.
    /// Over a path without delay, a peer that waits for an acknowledgement loses more than a packet costs.
    pub prompt: bool,
}

/// The parts of a segment that the receiving half needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    /// SEG.SEQ, or the number after it if SEG.SEQ is the number of the SYN.
    pub sequence: Sequence,
    /// The data.
    pub payload: Payload<'a>,
    /// The PSH flag.
    pub push: bool,
    /// The FIN flag.
    pub fin: bool,
}

/// The effects of a segment's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// There is more to read, or the end was reached.
    pub readable: bool,
    /// The peer's FIN was received in order just now.
    pub ended: bool,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Receiver {
    queue: ReceiveQueue,
    /// RCV.NXT.
    next: Sequence,
    /// The end of the window as the peer knows it. It never moves back (RFC 9293 section 3.8.6).
    edge: Sequence,
    scale: u8,
    /// The receive buffer in bytes. The limit of the queue is a little larger, for windows that are rounded up.
    limit: usize,
    tuning: Tuning,
    segment: usize,
    /// The bytes of data in the largest segment that was received, as an estimate of the peer's full segments.
    seen: usize,
    selective: bool,
    prompt: bool,
    end: End,
    /// The owner has shut down reading: arriving data is acknowledged and dropped.
    discarding: bool,
    acknowledge: Acknowledge,
    /// The unacknowledged data seems to end a message, so no more data may come until it is acknowledged.
    pushed: bool,
    /// Data has arrived that the owner has not looked at.
    news: bool,
    /// When data last arrived.
    heard: Option<Instant>,
    /// This end has answered data with data before a delayed acknowledgement was due, and may do so again.
    interactive: bool,
    /// RCV.NXT when an acknowledgement was last sent: `Last.ACK.sent` of RFC 7323.
    acknowledged: Sequence,
    /// What is to be reported by selective acknowledgements; `None` if nothing is, as is usual.
    sack_state: Option<Box<Selective>>,
}

impl Receiver {
    /// A receiver that has received nothing yet.
    #[must_use]
    pub(super) fn new(setup: ReceiverSetup) -> Self {
        let ReceiverSetup { first, window, scale, limit, most, charge, segment, selective, prompt } = setup;
        Self {
            queue: ReceiveQueue::new(limit + slack(limit, scale), charge),
            next: first,
            edge: first + window,
            scale,
            limit,
            tuning: Tuning::new(most),
            segment,
            seen: segment.min(SMALL),
            selective,
            prompt,
            end: End::Unknown,
            discarding: false,
            acknowledge: Acknowledge::Nothing,
            pushed: false,
            news: false,
            heard: None,
            interactive: false,
            acknowledged: first,
            sack_state: None,
        }
    }

    /// RCV.NXT.
    #[must_use]
    pub(super) const fn next(&self) -> Sequence {
        self.next
    }

    /// The end of the window that the peer was offered.
    pub(super) const fn edge(&self) -> Sequence {
        self.edge
    }

    /// RCV.WND in bytes.
    #[must_use]
    pub(super) const fn window(&self) -> usize {
        self.edge.since(self.next)
    }

    /// RCV.NXT as it was last sent to the peer.
    #[must_use]
    pub(super) const fn acknowledged(&self) -> Sequence {
        self.acknowledged
    }

    /// Whether data can be read that the owner has not looked at.
    #[must_use]
    pub(super) const fn has_news(&self) -> bool {
        self.news
    }

    /// How many bytes can be read.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing can be read.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether everything up to the peer's FIN has arrived.
    #[must_use]
    pub(super) fn is_ended(&self) -> bool {
        self.end == End::Reached
    }

    /// Whether the owner has stopped reading.
    #[must_use]
    pub(super) const fn is_discarding(&self) -> bool {
        self.discarding
    }

    /// Whether a part of a segment lies in the window (RFC 9293 section 3.10.7.4, first step).
    #[must_use]
    pub(super) fn is_acceptable(&self, sequence: Sequence, length: usize) -> bool {
        let begins = sequence.at_or_after(self.next) && sequence.before(self.edge);
        if length == 0 {
            // An empty segment at the edge is acceptable too, as in BSD and Linux: a peer that has filled the window
            // acknowledges from there, and the data in the window may have been lost.
            return begins || sequence == self.next || sequence == self.edge;
        }
        let last = sequence + (length - 1);
        begins || (last.at_or_after(self.next) && last.before(self.edge))
    }

    /// Whether data is held out of order.
    fn queue_has_gaps(&self) -> bool {
        self.queue.ranges().next().is_some()
    }

    /// Takes the data of an acceptable segment as far as it lies in the window, and its FIN if all of the data does.
    pub(super) fn take(&mut self, text: &Text<'_>, memory: &Memory, now: Instant) -> Taken {
        let Text { sequence, payload, push, fin } = *text;
        let nothing = Taken { readable: false, ended: false };
        if payload.is_empty() && !fin {
            return nothing;
        }
        if self.end == End::Reached {
            self.note_duplicate(sequence, sequence + payload.len());
            self.acknowledge = Acknowledge::Now;
            return nothing;
        }
        let end = sequence + payload.len();
        self.seen = self.seen.max(payload.len().min(self.segment));
        self.pushed |= push || payload.len() < self.seen;
        self.heard = Some(now);
        let first = sequence.latest(self.next);
        // The FIN counts only if all data before it fits: a FIN after data that was cut off was not received (RFC 9293
        // section 3.10.7.4).
        let last = end.earliest(self.edge);
        let fits = end.at_or_before(self.edge);
        self.note_duplicate(sequence, end);
        let before = self.next;
        let had_gap = self.queue_has_gaps();
        if first.before(last) {
            let from = first.since(sequence);
            self.insert(first, &payload, from..last.since(sequence), memory);
        }
        if fin && fits && end.at_or_after(self.next) && self.end == End::Unknown {
            self.end = End::Seen(end);
        }
        let gap = self.queue_has_gaps();
        let mut ended = false;
        if self.end == End::Seen(self.next) {
            self.next += 1;
            // The FIN has a sequence number, but takes no room in the window.
            self.edge = self.edge.latest(self.next);
            self.end = End::Reached;
            ended = true;
        }
        self.news |= self.next != before && !self.discarding;
        self.tuning.on_received(self.next, self.edge, now);
        self.schedule_acknowledgement(sequence, before, gap || had_gap, ended, now);
        if self.discarding {
            self.queue.discard();
        }
        Taken { readable: self.next != before, ended }
    }

    fn insert(&mut self, first: Sequence, payload: &Payload<'_>, part: Range<usize>, memory: &Memory) {
        let at = first.since(self.next);
        let Some(inserted) = self.queue.insert(at, payload, part, memory) else { return };
        if inserted.reneged {
            self.update_sack_state(Selective::on_reneged);
        }
        if inserted.advanced == 0 {
            let Range { start, end } = inserted.range;
            let block = (self.next + start, self.next + end);
            self.sack_state.get_or_insert_default().on_range(block);
        } else {
            self.next += inserted.advanced;
            let next = self.next;
            self.update_sack_state(|sack_state| sack_state.on_advance(next));
        }
    }

    /// Changes what is to be reported, if there is something.
    fn update_sack_state(&mut self, change: impl FnOnce(&mut Selective)) {
        if let Some(sack_state) = &mut self.sack_state {
            change(sack_state);
            self.sack_state.take_if(|sack_state| sack_state.is_empty());
        }
    }

    /// Whether there are as many unreported ranges as one acknowledgement can report. The next range could push one of
    /// them out of the acknowledgement, and the peer would take it for lost although it has arrived.
    #[must_use]
    pub(super) fn is_sack_full(&self) -> bool {
        self.sack_state.as_ref().is_some_and(|sack_state| sack_state.is_full())
    }

    /// Records which part of a segment had been received before: the first such part (RFC 2883 section 4).
    pub(super) fn note_duplicate(&mut self, sequence: Sequence, end: Sequence) {
        if !self.selective || sequence == end {
            return;
        }
        if sequence.before(self.next) {
            self.sack_state.get_or_insert_default().on_duplicate((sequence, end.earliest(self.next)));
            return;
        }
        let next = self.next;
        let overlap =
            self.queue.ranges().map(|range| (next + range.start, next + range.end)).find_map(|(start, stop)| {
                let (from, to) = (start.latest(sequence), stop.earliest(end));
                from.before(to).then_some((from, to))
            });
        if let Some(overlap) = overlap {
            self.sack_state.get_or_insert_default().on_duplicate(overlap);
        }
    }

    /// Decides when to acknowledge (RFC 9293 section 3.8.6.3, RFC 5681 section 4.2). The acknowledgement is sent at
    /// once for data that is out of order or fills a gap (`gap` says that there is or was one), and for every second
    /// full segment; otherwise it is delayed.
    fn schedule_acknowledgement(&mut self, sequence: Sequence, before: Sequence, gap: bool, ended: bool, now: Instant) {
        let in_order = sequence == before && !gap && self.next != before;
        let waiting = self.next.since(self.acknowledged);
        // More than a full segment, as in Linux: senders assume that this is not delayed, and would begin to probe for
        // losses.
        if !in_order || ended || waiting > self.seen || self.reports_duplicate() {
            self.acknowledge = Acknowledge::Now;
        } else if self.acknowledge == Acknowledge::Nothing {
            self.acknowledge = Acknowledge::At(now + DELAY);
        }
    }

    fn reports_duplicate(&self) -> bool {
        self.sack_state.as_ref().is_some_and(|sack_state| sack_state.has_duplicate())
    }

    /// Makes an acknowledgement due at once.
    pub(super) const fn acknowledge_now(&mut self) {
        self.acknowledge = Acknowledge::Now;
    }

    /// Whether an acknowledgement is to be sent now, with data or without.
    #[must_use]
    pub(super) fn owes_acknowledgement(&self) -> bool {
        self.acknowledge == Acknowledge::Now
    }

    /// When a delayed acknowledgement is due.
    #[must_use]
    pub(super) const fn next_timeout(&self) -> Option<Instant> {
        match self.acknowledge {
            Acknowledge::At(at) => Some(at),
            Acknowledge::Nothing | Acknowledge::Now => None,
        }
    }

    /// Sends a delayed acknowledgement whose time has come: this end has not answered in time, so it does not count as
    /// interactive.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.next_timeout().is_some_and(|at| at <= now) {
            self.acknowledge = Acknowledge::Now;
            self.interactive = false;
        }
    }

    /// The effective receive buffer: the configured one, limited by the memory that is left. Only half of that memory
    /// counts, because arriving data may hold more memory than its length, and other queues take from the same budgets.
    fn bound(&self) -> usize {
        self.limit.min(self.queue.len() + self.queue.left() / 2)
    }

    /// The growth of the window from which on the peer is told (RFC 9293 section 3.8.6.2.2).
    fn worthwhile(&self) -> usize {
        (self.bound() / 2).min(self.segment).max(1)
    }

    /// The edge that the window may have now, limited by the room and by what the window field can express: an update
    /// that says nothing new would look like a duplicate acknowledgement.
    fn offer(&self) -> Sequence {
        let most = usize::from(u16::MAX) << self.scale;
        self.next + self.bound().saturating_sub(self.queue.len()).min(most)
    }

    /// The window field of a segment that is sent now (RFC 7323 section 2.3). The window never shrinks: if its size is
    /// not a multiple of the unit of the field, it is rounded up (section 2.4). If there is only a little more room
    /// than before, it stays as it is (RFC 9293 section 3.8.6.2.2).
    #[must_use]
    pub(super) fn window_field(&self) -> u16 {
        let unit = 1usize << self.scale;
        let offer = self.offer();
        let gain = offer.since(self.edge);
        // A window of less than one unit is rounded up too; otherwise a small buffer would stay closed for ever.
        let least = usize::from(gain > 0 && unit <= self.queue.room());
        let wanted = if gain >= self.worthwhile() { (offer.since(self.next) / unit).max(least) } else { 0 };
        let rounded = self.window().div_ceil(unit);
        // Rounding up stops at the room in the queue: otherwise a peer that sends little at a time could have the
        // window rounded up for ever.
        let kept = if rounded * unit <= self.queue.room() { rounded } else { self.window() / unit };
        u16::try_from(wanted.max(kept)).unwrap_or(u16::MAX)
    }

    /// Records that a segment with data, an acknowledgement and this window field was sent.
    pub(super) fn on_sent_with_data(&mut self, window: u16, now: Instant) {
        self.interactive |= self.heard.is_some_and(|heard| now < heard + DELAY);
        self.on_sent(window);
    }

    /// Records that a segment with an acknowledgement and this window field was sent.
    pub(super) fn on_sent(&mut self, window: u16) {
        let edge = self.next + (usize::from(window) << self.scale);
        self.edge = self.edge.latest(edge);
        self.acknowledged = self.next;
        self.acknowledge = Acknowledge::Nothing;
        self.pushed = false;
        self.update_sack_state(Selective::on_reported);
    }

    /// The SACK blocks to send.
    #[must_use]
    pub(super) fn sack_blocks(&self) -> SackBlocks {
        self.sack_state.as_ref().filter(|_| self.selective).map(|sack_state| sack_state.blocks()).unwrap_or_default()
    }

    /// Reads bytes that have arrived, and returns how many.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.queue.read(buffer);
        self.on_read(count);
        count
    }

    /// Like [`read`](Self::read), but returns at most `most` bytes by reference.
    pub(super) fn read_slices(&mut self, most: usize) -> Slices {
        let slices = self.queue.take(most);
        self.on_read(slices.iter().map(|slice| slice.len()).sum());
        slices
    }

    /// Like [`read`](Self::read), but leaves the bytes in the queue.
    #[must_use]
    pub(super) fn peek(&mut self, buffer: &mut [u8]) -> usize {
        self.news = false;
        self.queue.peek(buffer)
    }

    /// Called when the owner has read `count` bytes. Once it has read a whole message, the acknowledgement waits for an
    /// answer if one is likely, and is sent at once otherwise, because the peer may be waiting for it (as in Linux,
    /// `tcp_cleanup_rbuf`).
    fn on_read(&mut self, count: usize) {
        self.news = false;
        self.tuning.on_read(count);
        let read_all = self.prompt && count > 0 && self.pushed && self.queue.is_empty();
        let delayed = matches!(self.acknowledge, Acknowledge::At(_));
        if read_all && delayed && (!self.interactive || self.next.since(self.acknowledged) >= LARGE) {
            self.acknowledge = Acknowledge::Now;
        }
        self.reopen(count);
    }

    /// Sends a window update if the window had become small and there is room again (RFC 9293 section 3.8.6.2.2).
    fn reopen(&mut self, count: usize) {
        if count == 0 || self.end != End::Unknown {
            return;
        }
        let (window, offer) = (self.window(), self.offer().since(self.next));
        let gain = offer.saturating_sub(window);
        if gain >= self.worthwhile() && window <= self.bound() / 2 && offer >= 2 * window {
            self.acknowledge = Acknowledge::Now;
        }
    }

    /// Gives back the memory reservation because the owner has released the connection.
    pub(super) fn forgo(&mut self) {
        self.queue.forgo();
    }

    /// Shuts down reading. Returns whether bytes were unread.
    pub(super) fn discard(&mut self) -> bool {
        (self.discarding, self.news) = (true, false);
        let unread = self.queue.discard() > 0;
        self.reopen(usize::from(unread));
        unread
    }

    /// Sets the receive buffer, and the size up to which it may grow. A window that was offered is honoured.
    pub(super) fn set_limit(&mut self, limit: usize, most: usize) {
        self.tuning = Tuning::new(most);
        self.resize(limit);
    }

    fn resize(&mut self, limit: usize) {
        self.limit = limit;
        self.queue.set_limit((limit + slack(limit, self.scale)).max(self.queue.len() + self.window()));
        self.reopen(1);
    }

    /// Called after a read, over a path whose round-trip time is at least `rtt`. Lets the receive buffer grow if the
    /// owner reads so fast that the window would limit the peer.
    pub(super) fn tune(&mut self, rtt: Duration, now: Instant) {
        if let Some(limit) = self.tuning.limit(rtt, now).filter(|limit| *limit > self.limit) {
            self.resize(limit);
        }
    }

    /// The bytes that can still be read of a connection that is over, and whether the peer's FIN was received.
    #[must_use]
    pub(super) fn into_remains(self) -> (ReceiveQueue, bool) {
        (self.queue, self.end == End::Reached)
    }

    /// Frees memory that holds nothing.
    pub(super) fn sleep(&mut self) {
        self.queue.sleep();
    }

    /// The bytes of memory that are charged.
    #[cfg(test)]
    pub(super) fn charged(&self) -> usize {
        self.queue.charged()
    }

    /// The bytes of memory held.
    #[must_use]
    pub(super) fn held(&self) -> usize {
        self.queue.held() + self.sack_state.as_ref().map_or(0, |sack_state| sack_state.held())
    }
}

/// The room beyond the limit for windows that are rounded up so that they do not shrink.
const fn slack(limit: usize, scale: u8) -> usize {
    if scale == 0 { 0 } else { limit / 4 + (1 << scale) }
}

/// The smallest window scale with which the window field can offer `limit` bytes (RFC 7323 section 2.2).
#[must_use]
pub(super) const fn scale_for(limit: usize) -> u8 {
    let mut scale = 0;
    while scale < 14 && limit >> scale > 65_535 {
        scale += 1;
    }
    scale
}

#[cfg(test)]
mod tests;
