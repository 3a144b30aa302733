//! Bytes on their way out.

use super::bounded;
use super::ring::Ring;

/// Bytes that the application has written and the peer has not yet acknowledged.
///
/// Offsets count from the first unacknowledged byte.
#[derive(Debug)]
pub struct SendQueue {
    ring: Ring,
    length: usize,
    limit: usize,
}

impl SendQueue {
    /// An empty queue, without memory, that takes up to `limit` bytes, at most [`LARGEST_LIMIT`](super::LARGEST_LIMIT).
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { ring: Ring::new(), length: 0, limit: bounded(limit) }
    }

    /// How many bytes the queue takes.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Changes the limit, at most to [`LARGEST_LIMIT`](super::LARGEST_LIMIT). Bytes beyond a smaller one stay until they are acknowledged.
    pub const fn set_limit(&mut self, limit: usize) {
        self.limit = bounded(limit);
    }

    /// How many bytes are in the queue.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether every byte written has been acknowledged.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many bytes [`write`](Self::write) takes now.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.limit.saturating_sub(self.length)
    }

    /// Appends as many of the bytes as there is room for, and returns how many.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.get(..self.room()).unwrap_or(bytes);
        if !taken.is_empty() {
            let end = self.length + taken.len();
            self.ring.reserve(self.length, end, self.limit);
            self.ring.put(self.length, taken);
            self.length = end;
        }
        taken.len()
    }

    /// The bytes at the offsets `at..at + length`, as far as they are there, in one piece or two.
    #[must_use]
    pub fn slices(&self, at: usize, length: usize) -> [&[u8]; 2] {
        self.ring.slices(at, length.min(self.length.saturating_sub(at)))
    }

    /// Drops that many bytes from the front: the peer has acknowledged them.
    pub fn acknowledge(&mut self, count: usize) {
        let count = count.min(self.length);
        self.length -= count;
        if self.length == 0 {
            self.ring.rewind();
        } else {
            self.ring.skip(count);
        }
    }

    /// Drops every byte and keeps the memory.
    pub const fn clear(&mut self) {
        self.length = 0;
        self.ring.rewind();
    }

    /// Gives the memory back where the queue is empty. For a connection that is idle or over.
    pub fn release(&mut self) {
        if self.length == 0 {
            self.ring.release();
        }
    }

    /// The bytes of memory held.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.ring.capacity()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::super::LARGEST_LIMIT;
    use super::*;

    #[test]
    fn the_queue_takes_what_the_limit_allows() {
        let mut queue = SendQueue::new(5);
        assert_eq!((queue.write(b"abc"), queue.write(b"defg"), queue.write(b"x")), (3, 2, 0));
        assert_eq!(queue.slices(0, usize::MAX).concat(), b"abcde");
        queue.set_limit(2);
        assert_eq!((queue.room(), queue.len()), (0, 5), "a smaller limit takes nothing back");
        queue.acknowledge(4);
        assert_eq!((queue.room(), queue.slices(0, 9).concat().as_slice()), (1, b"e".as_slice()));
        assert_eq!(SendQueue::new(usize::MAX).limit(), LARGEST_LIMIT);
    }

    #[test]
    fn slices_are_clipped_to_what_is_there() {
        let mut queue = SendQueue::new(10);
        queue.write(b"0123456789");
        assert_eq!(queue.slices(8, 5).concat(), b"89");
        assert_eq!(queue.slices(usize::MAX, usize::MAX).concat(), b"");
        queue.acknowledge(usize::MAX);
        assert!(queue.is_empty());
    }

    #[test]
    fn memory_is_held_from_the_first_byte_to_the_release() {
        let mut queue = SendQueue::new(1 << 20);
        assert_eq!(queue.held(), 0);
        queue.write(b"");
        assert_eq!(queue.held(), 0);
        queue.write(b"a");
        assert_eq!(queue.held(), 4096);
        queue.release();
        assert_eq!(queue.held(), 4096, "not while it holds bytes");
        queue.acknowledge(1);
        assert_eq!(queue.held(), 4096);
        queue.release();
        assert_eq!(queue.held(), 0);
        queue.write(b"b");
        queue.clear();
        assert_eq!((queue.len(), queue.held()), (0, 4096));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Write(usize),
        Acknowledge(usize),
        Limit(usize),
        Look(usize, usize),
        Clear,
        Release,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0usize..6000).prop_map(Step::Write),
            6 => (0usize..6000).prop_map(Step::Acknowledge),
            2 => (0usize..20_000).prop_map(Step::Limit),
            6 => (0usize..20_000, 0usize..20_000).prop_map(|(at, length)| Step::Look(at, length)),
            1 => Just(Step::Clear),
            1 => Just(Step::Release),
        ]
    }

    proptest! {
        #[test]
        fn the_queue_is_a_vector_of_bytes(steps in prop::collection::vec(step(), 1..60)) {
            let mut queue = SendQueue::new(10_000);
            let mut model: Vec<u8> = Vec::new();
            let mut bytes = (0..=250u8).cycle();
            for step in steps {
                match step {
                    Step::Write(length) => {
                        let written: Vec<u8> = bytes.by_ref().take(length).collect();
                        let taken = length.min(queue.limit().saturating_sub(model.len()));
                        prop_assert_eq!(queue.write(&written), taken);
                        model.extend_from_slice(&written[..taken]);
                    }
                    Step::Acknowledge(count) => {
                        queue.acknowledge(count);
                        model.drain(..count.min(model.len()));
                    }
                    Step::Limit(limit) => queue.set_limit(limit),
                    Step::Look(at, length) => {
                        let (start, end) = (at.min(model.len()), (at + length).min(model.len()));
                        prop_assert_eq!(&queue.slices(at, length).concat(), &model[start..end]);
                    }
                    Step::Clear => {
                        queue.clear();
                        model.clear();
                    }
                    Step::Release => queue.release(),
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.room(), queue.limit().saturating_sub(model.len()));
                prop_assert!(queue.held() <= 20_000);
            }
            prop_assert_eq!(queue.slices(0, usize::MAX).concat(), model);
        }
    }
}
