//! The receiving half of a connection: what has arrived, the window that is offered, and when to acknowledge.

mod selective;
mod tuning;

use alloc::boxed::Box;
use core::ops::Range;
use core::time::Duration;

use selective::Selective;
use tuning::Tuning;

use super::segment::SackBlocks;
use super::sequence::Sequence;
use crate::buffer::{Charge, Memory, Payload, ReceiveQueue, Slices};
use crate::time::Instant;

/// How long an acknowledgement may wait for data to travel with (RFC 9293 section 3.8.6.3: less than half a second).
const DELAY: Duration = Duration::from_millis(40);
/// What a full segment of the peer's is taken for until a larger one comes (RFC 9293 section 3.7.1, the default MSS).
const SMALL: usize = 536;
/// A message of so many bytes is acknowledged when it was read, whether or not an answer is likely to follow soon: a peer
/// whose send buffer is small may wait for it.
const LARGE: usize = 4096;

/// When the next acknowledgement leaves, unless it travels with data before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Acknowledge {
    /// Nothing is owed.
    #[default]
    Nothing,
    /// At this time.
    At(Instant),
    /// Now.
    Now,
}

/// The peer's end of the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    /// Not heard of yet.
    #[default]
    Unknown,
    /// Its FIN has this number, and something before it is missing.
    Seen(Sequence),
    /// It was received in order.
    Reached,
}

/// What begins a receiving half, once the handshake is over.
#[derive(Debug)]
pub(super) struct ReceiverSetup {
    /// Where data begins: IRS + 1.
    pub first: Sequence,
    /// The window that the handshake offered, in bytes.
    pub window: usize,
    /// By how many bits windows are shifted.
    pub scale: u8,
    /// Bytes that may wait to be read, and the most that this may grow to by itself.
    pub limit: usize,
    pub most: usize,
    /// What their memory is taken of.
    pub charge: Charge,
    /// Bytes of data in a full segment of the peer's, as far as this end can tell.
    pub segment: usize,
    /// Ranges that arrived out of order are reported.
    pub selective: bool,
    /// What was read is acknowledged at once, where no answer is likely to carry the acknowledgement: over a path without
    /// delay, a peer that waits for one loses more than a packet costs.
    pub prompt: bool,
}

/// What a segment brings for the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    /// SEG.SEQ, or the number after it where that is the SYN's.
    pub sequence: Sequence,
    /// Its data.
    pub payload: Payload<'a>,
    /// Its PSH flag.
    pub push: bool,
    /// Its FIN flag.
    pub fin: bool,
}

/// What came of a segment's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// There is more to read, or the end was reached.
    pub readable: bool,
    /// The peer's FIN was reached just now.
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
    /// How many bytes may wait. The queue holds a little more, for windows that are rounded up.
    limit: usize,
    tuning: Tuning,
    segment: usize,
    /// The largest segment that has come, as far as a full one of the peer's is known.
    seen: usize,
    selective: bool,
    prompt: bool,
    end: End,
    /// The owner does not read any more: what arrives is acknowledged and thrown away.
    discarding: bool,
    acknowledge: Acknowledge,
    /// What waits for its acknowledgement seems to end a message, so that nothing more may come before that has left.
    pushed: bool,
    /// Data has come that the owner has not looked at.
    news: bool,
    /// When data came last.
    heard: Option<Instant>,
    /// This end has answered data with data before an acknowledgement would have been due, and may do so again.
    interactive: bool,
    /// RCV.NXT when an acknowledgement was last sent: `Last.ACK.sent` of RFC 7323.
    acknowledged: Sequence,
    /// What there is to tell beside the next number; None where nothing is, as nearly always.
    to_tell: Option<Box<Selective>>,
}

impl Receiver {
    /// A receiver that has nothing yet.
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
            to_tell: None,
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

    /// RCV.NXT as the peer was last told.
    #[must_use]
    pub(super) const fn acknowledged(&self) -> Sequence {
        self.acknowledged
    }

    /// Whether something can be read that the owner has not looked at.
    #[must_use]
    pub(super) const fn has_news(&self) -> bool {
        self.news
    }

    /// Bytes that can be read.
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

    /// RFC 9293 section 3.10.7.4, first check: whether some of a segment lies in the window.
    #[must_use]
    pub(super) fn is_acceptable(&self, sequence: Sequence, length: usize) -> bool {
        let begins = sequence.at_or_after(self.next) && sequence.before(self.edge);
        if length == 0 {
            // At the very edge too, as BSD and Linux have it: a peer that has filled the window acknowledges from there,
            // and what it filled it with may be lost.
            return begins || sequence == self.next || sequence == self.edge;
        }
        let last = sequence + (length - 1);
        begins || (last.at_or_after(self.next) && last.before(self.edge))
    }

    /// Whether something out of order is held.
    fn queue_has_gaps(&self) -> bool {
        self.queue.ranges().next().is_some()
    }

    /// Takes the data of an acceptable segment, as much of it as lies in the window, and its FIN where that does.
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
        // What the FIN follows has to fit: a FIN behind data that was cut off has not arrived (RFC 9293 section 3.10.7.4).
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
            // The FIN takes a number of its own, not room in the window.
            self.edge = self.edge.latest(self.next);
            self.end = End::Reached;
            ended = true;
        }
        self.news |= self.next != before && !self.discarding;
        self.tuning.on_received(self.next, self.edge, now);
        self.decide(sequence, before, gap || had_gap, ended, now);
        if self.discarding {
            self.queue.discard();
        }
        Taken { readable: self.next != before, ended }
    }

    fn insert(&mut self, first: Sequence, payload: &Payload<'_>, part: Range<usize>, memory: &Memory) {
        let at = first.since(self.next);
        let Some(inserted) = self.queue.insert(at, payload, part, memory) else { return };
        if inserted.reneged {
            self.retell(Selective::on_reneged);
        }
        if inserted.advanced == 0 {
            let Range { start, end } = inserted.range;
            let block = (self.next + start, self.next + end);
            self.to_tell.get_or_insert_default().on_range(block);
        } else {
            self.next += inserted.advanced;
            let next = self.next;
            self.retell(|to_tell| to_tell.on_advance(next));
        }
    }

    /// Changes what there is to tell, if there is something.
    fn retell(&mut self, change: impl FnOnce(&mut Selective)) {
        if let Some(to_tell) = &mut self.to_tell {
            change(to_tell);
            self.to_tell.take_if(|to_tell| to_tell.is_empty());
        }
    }

    /// Whether there are as many ranges that the peer does not know of as one acknowledgement tells of: what came next could
    /// push one out of it, and the peer would take for lost what has arrived.
    #[must_use]
    pub(super) fn has_much_to_tell(&self) -> bool {
        self.to_tell.as_ref().is_some_and(|to_tell| to_tell.is_much())
    }

    /// Remembers which part of a segment had been received before: the first such part (RFC 2883 section 4).
    pub(super) fn note_duplicate(&mut self, sequence: Sequence, end: Sequence) {
        if !self.selective || sequence == end {
            return;
        }
        if sequence.before(self.next) {
            self.to_tell.get_or_insert_default().on_duplicate((sequence, end.earliest(self.next)));
            return;
        }
        let next = self.next;
        let overlap =
            self.queue.ranges().map(|range| (next + range.start, next + range.end)).find_map(|(start, stop)| {
                let (from, to) = (start.latest(sequence), stop.earliest(end));
                from.before(to).then_some((from, to))
            });
        if let Some(overlap) = overlap {
            self.to_tell.get_or_insert_default().on_duplicate(overlap);
        }
    }

    /// RFC 9293 section 3.8.6.3 and RFC 5681 section 4.2: at once for what is out of order, fills a hole (`gap` says that
    /// there is one, or was), or is the second full segment; otherwise after a while.
    fn decide(&mut self, sequence: Sequence, before: Sequence, gap: bool, ended: bool, now: Instant) {
        let in_order = sequence == before && !gap && self.next != before;
        let waiting = self.next.since(self.acknowledged);
        // More than a full segment, as Linux has it: a sender takes so much for something that is not waited with, and would
        // begin to probe for losses.
        if !in_order || ended || waiting > self.seen || self.reports_duplicate() {
            self.acknowledge = Acknowledge::Now;
        } else if self.acknowledge == Acknowledge::Nothing {
            self.acknowledge = Acknowledge::At(now + DELAY);
        }
    }

    fn reports_duplicate(&self) -> bool {
        self.to_tell.as_ref().is_some_and(|to_tell| to_tell.has_duplicate())
    }

    /// An acknowledgement leaves as soon as it can.
    pub(super) const fn acknowledge_now(&mut self) {
        self.acknowledge = Acknowledge::Now;
    }

    /// Whether an acknowledgement is to leave now, with data or without.
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

    /// A delayed acknowledgement is due: this end did not answer in time.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.next_timeout().is_some_and(|at| at <= now) {
            self.acknowledge = Acknowledge::Now;
            self.interactive = false;
        }
    }

    /// How many bytes may wait, by what was asked for and by the memory that is left: of that, half, as what comes may hold more
    /// than it is, and others take of the same.
    fn bound(&self) -> usize {
        self.limit.min(self.queue.len() + self.queue.left() / 2)
    }

    /// By how much a window has to grow for the peer to be told (RFC 9293 section 3.8.6.2.2).
    fn worthwhile(&self) -> usize {
        (self.bound() / 2).min(self.segment).max(1)
    }

    /// How far the window may reach now, by the room there is and by what its field can say: an update that says nothing new
    /// would be taken for a duplicate.
    fn offer(&self) -> Sequence {
        let most = usize::from(u16::MAX) << self.scale;
        self.next + self.bound().saturating_sub(self.queue.len()).min(most)
    }

    /// The window field of a segment that leaves now (RFC 7323 section 2.3). The window does not move back: where its size is
    /// no multiple of what the field can say, it is rounded up (section 2.4), and where there is little more room than
    /// before, it stays as it is (RFC 9293 section 3.8.6.2.2).
    #[must_use]
    pub(super) fn window_field(&self) -> u16 {
        let unit = 1usize << self.scale;
        let offer = self.offer();
        let gain = offer.since(self.edge);
        // Less than the field can say is rounded up too, or a small buffer would be shut for ever.
        let least = usize::from(gain > 0 && unit <= self.queue.room());
        let wanted = if gain >= self.worthwhile() { (offer.since(self.next) / unit).max(least) } else { 0 };
        let rounded = self.window().div_ceil(unit);
        // A peer that sends little at a time could have the window rounded up for ever.
        let kept = if rounded * unit <= self.queue.room() { rounded } else { self.window() / unit };
        u16::try_from(wanted.max(kept)).unwrap_or(u16::MAX)
    }

    /// A segment with data, an acknowledgement and this window field has left.
    pub(super) fn on_sent_with_data(&mut self, window: u16, now: Instant) {
        self.interactive |= self.heard.is_some_and(|heard| now < heard + DELAY);
        self.on_sent(window);
    }

    /// A segment with an acknowledgement and this window field has left.
    pub(super) fn on_sent(&mut self, window: u16) {
        let edge = self.next + (usize::from(window) << self.scale);
        self.edge = self.edge.latest(edge);
        self.acknowledged = self.next;
        self.acknowledge = Acknowledge::Nothing;
        self.pushed = false;
        self.retell(Selective::on_told);
    }

    /// The ranges to report.
    #[must_use]
    pub(super) fn sack_blocks(&self) -> SackBlocks {
        self.to_tell.as_ref().filter(|_| self.selective).map(|to_tell| to_tell.blocks()).unwrap_or_default()
    }

    /// Reads what has arrived; how many bytes.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let count = self.queue.read(buffer);
        self.on_read(count);
        count
    }

    /// As [`read`](Self::read), by reference, at most `most` bytes.
    pub(super) fn read_slices(&mut self, most: usize) -> Slices {
        let slices = self.queue.take(most);
        self.on_read(slices.iter().map(|slice| slice.len()).sum());
        slices
    }

    /// As [`read`](Self::read), leaving the bytes where they are.
    #[must_use]
    pub(super) fn peek(&mut self, buffer: &mut [u8]) -> usize {
        self.news = false;
        self.queue.peek(buffer)
    }

    /// The owner has read so many bytes. Once it has the whole of a message, the acknowledgement waits for the answer where one
    /// is likely, and otherwise for nothing (as in Linux, `tcp_cleanup_rbuf`): the peer may wait for it.
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

    /// The owner has read: the peer is told of the room where its window had become small (RFC 9293 section 3.8.6.2.2).
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

    /// The owner is gone, and nothing is reserved for it.
    pub(super) fn forgo(&mut self) {
        self.queue.forgo();
    }

    /// The owner does not read any more. Whether something was unread.
    pub(super) fn discard(&mut self) -> bool {
        (self.discarding, self.news) = (true, false);
        let unread = self.queue.discard() > 0;
        self.reopen(usize::from(unread));
        unread
    }

    /// Sets how many bytes may wait. A window that was offered is honoured.
    pub(super) fn set_limit(&mut self, limit: usize, most: usize) {
        self.tuning = Tuning::new(most);
        self.resize(limit);
    }

    fn resize(&mut self, limit: usize) {
        self.limit = limit;
        self.queue.set_limit((limit + slack(limit, self.scale)).max(self.queue.len() + self.window()));
        self.reopen(1);
    }

    /// After a read, over a path whose round-trip time is `rtt` or longer: lets more bytes wait where the owner reads so fast that
    /// a window would keep the peer waiting.
    pub(super) fn tune(&mut self, rtt: Duration, now: Instant) {
        if let Some(limit) = self.tuning.limit(rtt, now).filter(|limit| *limit > self.limit) {
            self.resize(limit);
        }
    }

    /// What can still be read of a connection that has ended, and whether its end was reached.
    #[must_use]
    pub(super) fn into_remains(self) -> (ReceiveQueue, bool) {
        (self.queue, self.end == End::Reached)
    }

    /// Gives memory back that nothing is in.
    pub(super) fn sleep(&mut self) {
        self.queue.sleep();
    }

    /// Bytes of memory that are charged for.
    #[cfg(test)]
    pub(super) fn charged(&self) -> usize {
        self.queue.charged()
    }

    /// Bytes of memory held.
    #[must_use]
    pub(super) fn held(&self) -> usize {
        self.queue.held() + self.to_tell.as_ref().map_or(0, |to_tell| to_tell.held())
    }
}

/// Room beyond the limit, for windows that are rounded up so that they do not shrink.
const fn slack(limit: usize, scale: u8) -> usize {
    if scale == 0 { 0 } else { limit / 4 + (1 << scale) }
}

/// The least scale by which a window field can offer `limit` bytes (RFC 7323 section 2.2).
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
