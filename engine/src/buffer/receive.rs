//! The receive queue of a connection.

use alloc::boxed::Box;
use core::ops::Range;

use super::bounded;
use super::budget::Charge;
use super::chunk::{Memory, Slices};
use super::payload::Payload;
use super::pieces::Pieces;
use super::ranges::Ranges;

/// The maximum number of separate out-of-order ranges. A peer exceeds it only by sending tiny segments with gaps
/// between them; it then has to send the refused bytes again.
const MAX_RANGES: usize = 512;

/// Bytes that have arrived: in order, to be read by the application, and out of order after a gap.
///
/// Offsets, called `at`, count from the end of the bytes in order: 0 is the next expected byte.
#[derive(Debug)]
pub struct ReceiveQueue {
    pieces: Pieces,
    /// The offset in the stream of the first byte that was not read yet.
    begin: u64,
    /// The bytes in order.
    length: u32,
    /// The ranges that are out of order; `None` if there are none, as is usual.
    ranges: Option<Box<Ranges>>,
    limit: u32,
}

/// The result of [`ReceiveQueue::insert`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// The number of bytes by which the data in order has grown.
    pub advanced: usize,
    /// The out-of-order range that holds the bytes now, merged with the ranges next to it, in offsets as they were
    /// before the insertion. Empty if the bytes are in order now, or if none of them was taken.
    pub range: Range<usize>,
    /// The payload was not empty, and all of it had been received out of order before.
    pub duplicate: bool,
    /// All bytes out of order were dropped, because there was no memory for bytes in order.
    pub reneged: bool,
}

impl ReceiveQueue {
    /// An empty queue, without memory, for up to `limit` bytes, at most [`LARGEST_LIMIT`](super::LARGEST_LIMIT). It
    /// takes only bytes for which the budgets of `charge` have memory left.
    #[must_use]
    pub const fn new(limit: usize, charge: Charge) -> Self {
        Self { pieces: Pieces::new(charge), begin: 0, length: 0, ranges: None, limit: bounded(limit) }
    }

    /// The largest number of bytes that the queue takes.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Changes the limit, at most to [`LARGEST_LIMIT`](super::LARGEST_LIMIT). Bytes that were received beyond a smaller
    /// limit stay.
    pub const fn set_limit(&mut self, limit: usize) {
        self.limit = bounded(limit);
    }

    /// How many bytes are in order and can be read.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether there is nothing to read. Bytes may be waiting out of order.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many bytes beyond the bytes in order the queue would take: what the receive window may offer.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.limit.saturating_sub(self.length) as usize
    }

    /// Adds a part of a payload at an offset. Bytes beyond [`room`](Self::room) are cut off, and bytes that were
    /// received before stay as they are.
    ///
    /// Returns `None`, and takes no byte, if there would be more than 512 ranges out of order, or if there is no
    /// memory. For bytes at offset 0 there is always memory while the queue has no bytes to read: if necessary, bytes
    /// out of order are dropped to free theirs (RFC 2018 section 8).
    pub fn insert(
        &mut self,
        at: usize,
        payload: &Payload<'_>,
        part: Range<usize>,
        memory: &Memory,
    ) -> Option<Inserted> {
        let all = at..at.saturating_add(part.len());
        if at > 0
            && !part.is_empty()
            && let Some(range) = self.ranges.as_ref().and_then(|ranges| ranges.holder(&all))
        {
            return Some(Inserted { range, duplicate: true, ..Inserted::default() });
        }
        let length = part.len().min(self.room().saturating_sub(at));
        if length == 0 {
            return Some(Inserted::default());
        }
        // The end does not lie beyond the limit, so no sum below overflows.
        if at > 0 {
            if self.ranges.as_ref().is_some_and(|ranges| !ranges.takes(&(at..at + length), MAX_RANGES)) {
                return None;
            }
            let taken = self.keep(at, payload, part.start..part.start + length, memory);
            if taken == 0 {
                return None;
            }
            let range = self.ranges.get_or_insert_default().insert(&(at..at + taken), MAX_RANGES)?;
            return Some(Inserted { range, ..Inserted::default() });
        }
        let mut taken = self.keep(0, payload, part.start..part.start + length, memory);
        let reneged = taken < length && self.ranges.is_some();
        if reneged {
            self.pieces.cut_at(self.begin + (self.len() + taken) as u64);
            self.ranges = None;
            taken += self.keep(taken, payload, part.start + taken..part.start + length, memory);
        }
        if taken == 0 {
            return None;
        }
        let advanced = self.ranges.as_mut().map_or(taken, |ranges| ranges.advance(taken));
        self.ranges.take_if(|ranges| ranges.is_empty());
        self.length += bounded(advanced);
        Some(Inserted { advanced, reneged, ..Inserted::default() })
    }

    /// Stores a part of a payload at an offset, as many bytes as there is memory for. Returns how many.
    fn keep(&mut self, at: usize, payload: &Payload<'_>, part: Range<usize>, memory: &Memory) -> usize {
        let origin = self.begin + (self.len() + at) as u64;
        let mut kept = 0;
        for (offset, bytes) in payload.parts(part.clone()) {
            let length = bytes.len();
            let count = self.pieces.insert(origin + (offset - part.start) as u64, bytes, memory);
            kept += count;
            if count < length {
                break;
            }
        }
        kept
    }

    /// How many more bytes of memory the queue could hold.
    #[must_use]
    pub fn left(&self) -> usize {
        self.pieces.left()
    }

    /// The ranges of bytes out of order, in ascending order.
    pub fn ranges(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.ranges.iter().flat_map(|ranges| ranges.iter())
    }

    /// Copies bytes in order to `target`, removes them from the queue, and returns how many.
    pub fn read(&mut self, target: &mut [u8]) -> usize {
        let count = self.peek(target);
        self.consume(count);
        count
    }

    /// Copies bytes in order to `target` without removing them, and returns how many.
    pub fn peek(&self, target: &mut [u8]) -> usize {
        let count = target.len().min(self.len());
        self.pieces.copy_to(self.begin, target.get_mut(..count).unwrap_or_default())
    }

    /// Removes up to `most` bytes in order and returns them by reference.
    pub fn take(&mut self, most: usize) -> Slices {
        let count = most.min(self.len());
        let slices = self.pieces.slices(self.begin..self.begin + count as u64);
        self.consume(count);
        slices
    }

    /// Drops all bytes in order, and returns how many. Bytes out of order stay.
    pub fn discard(&mut self) -> usize {
        let count = self.len();
        self.consume(count);
        count
    }

    /// The bytes of memory that are charged for. The list of out-of-order ranges is not charged, since its size is
    /// bounded.
    #[must_use]
    pub const fn charged(&self) -> usize {
        self.pieces.held()
    }

    /// Declares that nothing will be added any more: the unused part of the reservation is given back now, and the rest
    /// as the bytes leave the queue.
    pub fn forgo(&mut self) {
        self.pieces.forgo();
    }

    /// Frees memory that holds no bytes.
    pub fn sleep(&mut self) {
        self.pieces.sleep();
    }

    /// The bytes of memory held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.pieces.held() + self.ranges.as_ref().map_or(0, |ranges| ranges.held())
    }

    /// Drops `count` bytes from the front. The caller makes sure that as many are in order.
    fn consume(&mut self, count: usize) {
        self.length -= bounded(count);
        self.begin += count as u64;
        self.pieces.skip_to(self.begin);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::super::Slice;
    use super::*;

    fn taken(advanced: usize, range: Range<usize>) -> Option<Inserted> {
        Some(Inserted { advanced, range, ..Inserted::default() })
    }

    fn taken_bytes(queue: &mut ReceiveQueue, most: usize) -> Vec<u8> {
        queue.take(most).iter().flat_map(|slice| slice.to_vec()).collect()
    }

    fn insert(queue: &mut ReceiveQueue, at: usize, bytes: &[u8]) -> Option<Inserted> {
        queue.insert(at, &bytes.into(), 0..bytes.len(), &Memory::HEAP)
    }

    fn ranges(queue: &ReceiveQueue) -> Vec<Range<usize>> {
        queue.ranges().collect()
    }

    #[test]
    fn bytes_behind_a_gap_are_read_when_it_is_filled() {
        let mut queue = ReceiveQueue::new(100, Charge::NONE);
        assert_eq!(insert(&mut queue, 3, b"def"), taken(0, 3..6));
        assert_eq!(insert(&mut queue, 8, b"ij"), taken(0, 8..10));
        assert_eq!(insert(&mut queue, 5, b"fg"), taken(0, 3..7));
        assert!(queue.is_empty());
        assert_eq!(insert(&mut queue, 0, b"abc"), taken(7, 0..0));
        assert_eq!(ranges(&queue), vec![1..3]);
        assert_eq!(insert(&mut queue, 0, b"hij"), taken(3, 0..0));
        assert_eq!(
            (taken_bytes(&mut queue, 4), taken_bytes(&mut queue, usize::MAX)),
            (b"abcd".to_vec(), b"efghij".to_vec())
        );
    }

    #[test]
    fn bytes_received_before_are_reported_as_duplicates() {
        let mut queue = ReceiveQueue::new(100, Charge::NONE);
        insert(&mut queue, 3, b"defgh");
        assert_eq!(
            insert(&mut queue, 4, b"ef"),
            Some(Inserted { range: 3..8, duplicate: true, ..Inserted::default() })
        );
        assert_eq!(insert(&mut queue, 7, b"hi"), taken(0, 3..9));
        assert_eq!(insert(&mut queue, 4, b""), taken(0, 0..0));
        assert_eq!(insert(&mut queue, 0, b""), taken(0, 0..0));
    }

    #[test]
    fn what_lies_beyond_the_room_is_cut_off() {
        let mut queue = ReceiveQueue::new(5, Charge::NONE);
        assert_eq!(insert(&mut queue, 5, b"f"), taken(0, 0..0));
        assert_eq!(insert(&mut queue, usize::MAX, b"f"), taken(0, 0..0));
        assert_eq!(insert(&mut queue, 4, b"ef"), taken(0, 4..5));
        assert_eq!(insert(&mut queue, 0, b"abcdefgh"), taken(5, 0..0));
        assert_eq!((queue.room(), insert(&mut queue, 0, b"f")), (0, taken(0, 0..0)));
        assert_eq!(taken_bytes(&mut queue, 9), b"abcde");
    }

    #[test]
    fn a_smaller_limit_keeps_what_was_received() {
        let mut queue = ReceiveQueue::new(100, Charge::NONE);
        insert(&mut queue, 0, b"ab");
        insert(&mut queue, 1, b"defgh");
        queue.set_limit(3);
        assert_eq!((queue.room(), insert(&mut queue, 6, b"i")), (1, taken(0, 0..0)));
        assert_eq!(insert(&mut queue, 0, b"cxxx"), taken(6, 0..0), "it meets the range beyond the limit");
        assert_eq!((queue.len(), queue.room()), (8, 0));
    }

    #[test]
    fn ranges_are_bounded_and_bytes_in_order_are_not_refused() {
        let mut queue = ReceiveQueue::new(10_000, Charge::NONE);
        for index in 0..MAX_RANGES {
            assert!(insert(&mut queue, 2 + 2 * index, b"x").is_some());
        }
        assert_eq!(insert(&mut queue, 2 + 2 * MAX_RANGES, b"x"), None);
        assert_eq!(insert(&mut queue, 1 + 2 * MAX_RANGES, b"x"), taken(0, 2 * MAX_RANGES..2 + 2 * MAX_RANGES));
        assert_eq!(insert(&mut queue, 0, b"x").map(|inserted| inserted.advanced), Some(1));
    }

    #[test]
    fn memory_is_held_from_the_first_byte_to_the_last() {
        let mut queue = ReceiveQueue::new(1 << 20, Charge::NONE);
        assert_eq!(queue.held(), 0);
        insert(&mut queue, 1, &[1; 1000]);
        assert!((1024..1500).contains(&queue.held()), "{}", queue.held());
        insert(&mut queue, 0, b"a");
        assert_eq!(queue.discard(), 1001);
        assert!(queue.held() < 200, "{}", queue.held());
        for at in 0..10 {
            insert(&mut queue, 1 + 1000 * at, &[1; 900]);
        }
        insert(&mut queue, 0, &[0; 10_000]);
        assert_eq!(queue.discard(), 10_000);
        assert_eq!(queue.held(), 0);
    }

    /// A slice keeps its whole chunk allocated, so small slices of a large chunk are copied.
    #[test]
    fn a_small_slice_does_not_hold_a_large_chunk() {
        let chunk = Slice::from([3; 60_000].as_slice());
        let mut queue = ReceiveQueue::new(1 << 20, Charge::NONE);
        for at in 0..30 {
            let slice = [chunk.slice(at * 2000..at * 2000 + 1900)];
            queue.insert(1 + 2000 * at, &Payload::new(&[], &slice), 0..1900, &Memory::HEAP);
        }
        assert!(queue.held() < 2 * 60_000, "{}", queue.held());
        let mut whole = ReceiveQueue::new(1 << 20, Charge::NONE);
        for at in 0..30 {
            let slice = [chunk.slice(at * 2000..at * 2000 + 2000)];
            whole.insert(0, &Payload::new(&[], &slice), 0..2000, &Memory::HEAP);
        }
        assert!((60_000..70_000).contains(&whole.held()), "{}", whole.held());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Insert(usize, usize),
        Read(usize),
        Take(usize),
        Limit(usize),
        Discard,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            20 => (0usize..9000, 0usize..3000).prop_map(|(at, length)| Step::Insert(at, length)),
            10 => (0usize..3000).prop_map(|length| Step::Insert(0, length)),
            6 => (0usize..8000).prop_map(Step::Read),
            6 => (0usize..8000).prop_map(Step::Take),
            2 => (0usize..20_000).prop_map(Step::Limit),
            1 => Just(Step::Discard),
        ]
    }

    proptest! {
        // The model is the stream: the value of byte number n is computed from n, and a set of numbers records which
        // bytes were received.
        #[test]
        fn the_queue_is_a_window_over_a_stream(steps in prop::collection::vec(step(), 1..40)) {
            let byte = |number: usize| (number % 251) as u8;
            let stream = |from: usize, to: usize| (from..to).map(byte).collect::<Vec<u8>>();
            let mut queue = ReceiveQueue::new(10_000, Charge::NONE);
            let mut received = vec![false; 500_000];
            let (mut read, mut next) = (0, 0);
            for step in steps {
                match step {
                    Step::Insert(at, length) => {
                        let end = (at + length).min(queue.room()).max(at);
                        let duplicate = length > 0 && received[next + at..next + at + length].iter().all(|known| *known);
                        let inserted = insert(&mut queue, at, &stream(next + at, next + at + length));
                        prop_assert!(inserted.is_some(), "so few steps do not make so many ranges");
                        let Some(inserted) = inserted else { continue };
                        prop_assert_eq!(inserted.duplicate, duplicate);
                        received[next + at..next + end].fill(true);
                        let advanced = received[next..].iter().take_while(|received| **received).count();
                        prop_assert_eq!(inserted.advanced, advanced);
                        if advanced > 0 || (end == at && !inserted.duplicate) {
                            prop_assert!(inserted.range.is_empty());
                        } else {
                            let (start, stop) = (next + inserted.range.start, next + inserted.range.end);
                            prop_assert!(start <= next + at && next + end <= stop);
                            prop_assert!(received[start..stop].iter().all(|received| *received));
                            prop_assert!(!received[start - 1] && !received[stop]);
                        }
                        next += advanced;
                    }
                    Step::Read(length) => {
                        let mut target = vec![0; length];
                        let count = length.min(next - read);
                        prop_assert_eq!(queue.peek(&mut target), count);
                        prop_assert_eq!(queue.read(&mut target), count);
                        prop_assert_eq!(&target[..count], stream(read, read + count));
                        read += count;
                    }
                    Step::Take(most) => {
                        let count = most.min(next - read);
                        prop_assert_eq!(taken_bytes(&mut queue, most), stream(read, read + count));
                        read += count;
                    }
                    Step::Limit(limit) => queue.set_limit(limit),
                    Step::Discard => {
                        prop_assert_eq!(queue.discard(), next - read);
                        read = next;
                    }
                }
                prop_assert_eq!((queue.len(), queue.room()), (next - read, queue.limit().saturating_sub(next - read)));
                let (mut expected, mut at) = (Vec::new(), 0);
                for run in received[next..next + 13_000].chunk_by(|one, other| one == other) {
                    if run[0] {
                        expected.push(at..at + run.len());
                    }
                    at += run.len();
                }
                prop_assert_eq!(ranges(&queue), expected);
            }
            prop_assert_eq!(taken_bytes(&mut queue, usize::MAX), stream(read, next));
        }
    }
}
