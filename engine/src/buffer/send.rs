//! The send queue of a connection.

use super::bounded;
use super::budget::Charge;
use super::chunk::{Memory, Slice, Slices};
use super::pieces::Pieces;

/// Bytes that the application has written and the peer has not yet acknowledged.
///
/// Offsets count from the first unacknowledged byte.
#[derive(Debug)]
pub struct SendQueue {
    pieces: Pieces,
    /// The offset in the stream of the first unacknowledged byte.
    begin: u64,
    length: u32,
    limit: u32,
    /// How many bytes are promised to the next write, even if the limit is lowered before it.
    promised: u32,
}

impl SendQueue {
    /// An empty queue, without memory, for up to `limit` bytes, at most [`LARGEST_LIMIT`](super::LARGEST_LIMIT). It
    /// takes only bytes for which the budgets of `charge` have memory left.
    #[must_use]
    pub const fn new(limit: usize, charge: Charge) -> Self {
        Self { pieces: Pieces::new(charge), begin: 0, length: 0, limit: bounded(limit), promised: 0 }
    }

    /// The largest number of bytes that the queue takes.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit as usize
    }

    /// Changes the limit, at most to [`LARGEST_LIMIT`](super::LARGEST_LIMIT). Bytes beyond a smaller limit stay until
    /// they are acknowledged, and a [promise](Self::promise) that was made before holds.
    pub const fn set_limit(&mut self, limit: usize) {
        self.limit = bounded(limit);
    }

    /// How many bytes are in the queue.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether every byte written has been acknowledged.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many bytes [`write`](Self::write) may take now: those that the limit allows, and no fewer than were
    /// promised.
    #[must_use]
    pub const fn room(&self) -> usize {
        let allowed = self.limit.saturating_sub(self.length);
        if allowed < self.promised { self.promised as usize } else { allowed as usize }
    }

    /// Promises that the next [`write`](Self::write) takes up to `most` bytes, whatever others do meanwhile and
    /// whatever the limit becomes. Returns how many. The promise replaces an earlier one, which it does not reduce
    /// below `most`.
    pub fn promise(&mut self, most: usize) -> usize {
        let wanted = self.room().min(most);
        let memory = self.pieces.promise(Pieces::cost_of(wanted));
        let promised = wanted.min(memory.saturating_sub(Pieces::cost_of(0)) / 2);
        self.promised = bounded(promised);
        if promised == 0 {
            // Memory that is enough for no byte would be kept from the other queues for nothing.
            self.pieces.forget_promise();
        }
        promised
    }

    /// Whether at least one byte is promised, or could be: the limit alone does not decide, because the memory may be
    /// used up. It is not forever while bytes are in the queue, because each of them will give memory back; an empty
    /// queue has its reservation.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.promised > 0 || (self.room() > 0 && self.pieces.left() >= Pieces::cost_of(1))
    }

    /// Appends as many of the bytes as there is room and memory for, and returns how many. If the queue is empty, at
    /// least one byte is taken.
    pub fn write(&mut self, bytes: &[u8], memory: &Memory) -> usize {
        let fitting = bytes.get(..self.room()).unwrap_or(bytes);
        let taken = self.pieces.append(self.begin + u64::from(self.length), fitting, memory);
        self.forget_promise();
        self.length += bounded(taken);
        taken
    }

    /// Like [`write`](Self::write), but appends slices, by reference where possible.
    pub fn append(&mut self, slices: &[Slice], memory: &Memory) -> usize {
        let mut taken = 0;
        let room = self.room();
        for slice in slices {
            let fitting = slice.slice(0..room - taken);
            let length = fitting.len();
            let count = self.pieces.keep(self.begin + u64::from(self.length), fitting, memory);
            self.length += bounded(count);
            taken += count;
            if count < slice.len() || count < length {
                break;
            }
        }
        self.forget_promise();
        taken
    }

    /// Ends the promise to the write that has just happened.
    fn forget_promise(&mut self) {
        self.promised = 0;
        self.pieces.forget_promise();
    }

    /// The bytes at the offsets `at..at + length`, as far as they exist.
    #[must_use]
    pub fn slices(&self, at: usize, length: usize) -> Slices {
        let at = at.min(self.len());
        let start = self.begin + at as u64;
        self.pieces.slices(start..start + length.min(self.len() - at) as u64)
    }

    /// Drops `count` bytes from the front, which the peer has acknowledged.
    pub fn acknowledge(&mut self, count: usize) {
        let count = count.min(self.len());
        self.length -= bounded(count);
        self.begin += count as u64;
        self.pieces.skip_to(self.begin);
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
    pub const fn held(&self) -> usize {
        self.pieces.held()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::super::{Budget, LARGEST_LIMIT};
    use super::*;

    fn write(queue: &mut SendQueue, bytes: &[u8]) -> usize {
        queue.write(bytes, &Memory::HEAP)
    }

    fn bytes(queue: &SendQueue, at: usize, length: usize) -> Vec<u8> {
        queue.slices(at, length).iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn the_queue_takes_what_the_limit_allows() {
        let mut queue = SendQueue::new(5, Charge::NONE);
        assert_eq!((write(&mut queue, b"abc"), write(&mut queue, b"defg"), write(&mut queue, b"x")), (3, 2, 0));
        assert_eq!(bytes(&queue, 0, usize::MAX), b"abcde");
        queue.set_limit(2);
        assert_eq!((queue.room(), queue.len()), (0, 5), "a smaller limit takes nothing back");
        queue.acknowledge(4);
        assert_eq!((queue.room(), bytes(&queue, 0, 9).as_slice()), (1, b"e".as_slice()));
        assert_eq!(SendQueue::new(usize::MAX, Charge::NONE).limit(), LARGEST_LIMIT);
    }

    #[test]
    fn slices_are_clipped_to_what_is_there() {
        let mut queue = SendQueue::new(10, Charge::NONE);
        write(&mut queue, b"0123456789");
        assert_eq!(bytes(&queue, 8, 5), b"89");
        assert_eq!(bytes(&queue, usize::MAX, usize::MAX), b"");
        queue.acknowledge(usize::MAX);
        assert!(queue.is_empty());
    }

    #[test]
    fn memory_is_held_from_the_first_byte_to_the_last() {
        let mut queue = SendQueue::new(1 << 20, Charge::NONE);
        write(&mut queue, b"");
        assert_eq!(queue.held(), 0);
        write(&mut queue, &[1; 65_536]);
        assert!((65_536..66_000).contains(&queue.held()), "{}", queue.held());
        queue.acknowledge(65_535);
        assert!(queue.held() >= 65_536, "the last byte holds them all");
        queue.acknowledge(1);
        assert!(queue.held() < 200, "{}", queue.held());
    }

    /// An application that sends a byte at a time.
    #[test]
    fn single_bytes_share_a_chunk_unless_others_hold_references_to_it() {
        let mut queue = SendQueue::new(1 << 20, Charge::NONE);
        for _ in 0..100_000 {
            write(&mut queue, b"x");
        }
        assert!(queue.held() < 150_000, "{}", queue.held());
        let mut queue = SendQueue::new(1 << 20, Charge::NONE);
        let mut kept = Vec::new();
        for at in 0..1000 {
            write(&mut queue, b"x");
            kept.push(queue.slices(at, 1));
        }
        assert!(queue.held() < 140 * 1000, "{}", queue.held());
    }

    /// An application that asks how much it may write, as `check-write` of wasi:io does.
    #[test]
    fn what_is_promised_is_taken() {
        let budget = Budget::new(100_000);
        let mut queue = SendQueue::new(1 << 20, Charge::new(Some(&budget), None).expect("there is enough"));
        let mut other = Charge::new(Some(&budget), None).expect("there is enough");
        for _ in 0..20 {
            let promised = queue.promise(60_000);
            let rest = other.left();
            assert!(other.take(rest) && (promised > 0 || !queue.is_empty()), "{promised} of {}", queue.len());
            assert_eq!(write(&mut queue, &[1; 60_000][..promised]), promised);
            other.give_back(rest);
            assert!(budget.held() <= budget.limit());
            queue.acknowledge(promised / 3);
        }
        assert_eq!(queue.promise(10), 10);
    }

    #[test]
    fn a_queue_is_open_exactly_if_a_byte_can_be_promised() {
        let budget = Budget::new(20_000);
        let mut queue = SendQueue::new(1 << 20, Charge::new(Some(&budget), None).expect("there is enough"));
        assert!(queue.is_open() && write(&mut queue, &[1; 5000]) == 5000);
        for left in (0..200).rev() {
            assert!(budget.take(budget.left() - left));
            let is_open = queue.is_open();
            assert_eq!(queue.promise(usize::MAX) > 0, is_open, "{left} bytes left");
            assert_eq!(budget.left(), if is_open { 0 } else { left }, "what promises nothing holds nothing");
            assert_eq!(queue.is_open(), is_open, "a promise counts");
            queue.forget_promise();
        }
        assert!(queue.room() > 0 && !queue.is_open());
        queue.acknowledge(5000);
        assert!(queue.is_open(), "its reservation is its own");
        queue.set_limit(0);
        assert!(!queue.is_open());
    }

    /// As a guest does that sets a smaller send buffer between `check-write` and `write`.
    #[test]
    fn a_promise_holds_for_one_write_when_the_limit_becomes_smaller() {
        for by_reference in [false, true] {
            let budget = Budget::new(1 << 20);
            let mut queue = SendQueue::new(100_000, Charge::new(Some(&budget), None).expect("there is enough"));
            let put = |queue: &mut SendQueue, length: usize| match by_reference {
                false => write(queue, &vec![1; length]),
                true => {
                    let half = Slice::from(vec![1; length / 2].as_slice());
                    queue.append(&[half.clone(), half], &Memory::HEAP)
                }
            };
            assert_eq!(put(&mut queue, 2000), 2000);
            assert_eq!(queue.promise(50_000), 50_000);
            queue.set_limit(1);
            assert_eq!((queue.room(), queue.promise(60_000)), (50_000, 50_000), "asking again takes nothing back");
            assert_eq!(queue.promise(40_000), 40_000, "but less may be asked for");
            assert_eq!(put(&mut queue, 60_000), 40_000);
            assert_eq!((queue.room(), queue.promise(60_000), put(&mut queue, 10)), (0, 0, 0));
            queue.acknowledge(42_000);
            assert_eq!((queue.room(), queue.promise(60_000)), (1, 1));
        }
    }

    #[test]
    fn slices_are_taken_by_reference_as_far_as_there_is_room() {
        let budget = Budget::new(200_000);
        let mut queue = SendQueue::new(70_000, Charge::new(Some(&budget), None).expect("there is enough"));
        let slice = Slice::from([5; 60_000].as_slice());
        assert_eq!(queue.append(&[slice.clone(), slice.clone()], &Memory::HEAP), 70_000);
        assert_eq!((queue.len(), queue.append(&[slice], &Memory::HEAP)), (70_000, 0));
        assert!(queue.held() < 65_536 + 16_384 + 1000, "the few bytes of the second are copied: {}", queue.held());
        assert_eq!(bytes(&queue, 0, 70_000), vec![5; 70_000]);
        queue.acknowledge(70_000);
        assert!(queue.held() < 200);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write(usize),
        Acknowledge(usize),
        Limit(usize),
        Look(usize, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0usize..6000).prop_map(Step::Write),
            6 => (0usize..6000).prop_map(Step::Acknowledge),
            2 => (0usize..20_000).prop_map(Step::Limit),
            6 => (0usize..20_000, 0usize..20_000).prop_map(|(at, length)| Step::Look(at, length)),
        ]
    }

    proptest! {
        #[test]
        fn the_queue_is_a_vector_of_bytes(steps in prop::collection::vec(step(), 1..60)) {
            let mut queue = SendQueue::new(10_000, Charge::NONE);
            let mut model: Vec<u8> = Vec::new();
            let mut source = (0..=250u8).cycle();
            for step in steps {
                match step {
                    Step::Write(length) => {
                        let written: Vec<u8> = source.by_ref().take(length).collect();
                        let taken = length.min(queue.limit().saturating_sub(model.len()));
                        prop_assert_eq!(write(&mut queue, &written), taken);
                        model.extend_from_slice(&written[..taken]);
                    }
                    Step::Acknowledge(count) => {
                        queue.acknowledge(count);
                        model.drain(..count.min(model.len()));
                    }
                    Step::Limit(limit) => queue.set_limit(limit),
                    Step::Look(at, length) => {
                        let (start, end) = (at.min(model.len()), (at + length).min(model.len()));
                        prop_assert_eq!(&bytes(&queue, at, length), &model[start..end]);
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.room(), queue.limit().saturating_sub(model.len()));
                prop_assert!(queue.held() <= 2 * model.len() + 40_000, "{}", queue.held());
            }
            prop_assert_eq!(bytes(&queue, 0, usize::MAX), model);
        }
    }
}
