//! The memory of a queue: a ring of bytes that grows.

use alloc::vec;
use alloc::vec::Vec;

/// The first memory of a ring, where its limit allows it and the first bytes do not need more.
const FIRST_CAPACITY: usize = 4096;

/// Memory for bytes at offsets from a moving origin. Which of them are meaningful is the queue's to know.
#[derive(Debug, Default)]
pub(super) struct Ring {
    bytes: Vec<u8>,
    /// Where offset 0 lies. Below the capacity, or 0 where there is no memory.
    start: usize,
}

impl Ring {
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), start: 0 }
    }

    /// The bytes of memory held.
    pub(super) const fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Makes room for `needed` bytes from the origin and keeps the first `used`. The capacity at least doubles, so that
    /// a byte is copied a constant number of times, but does not pass `limit` unless `needed` does.
    pub(super) fn reserve(&mut self, used: usize, needed: usize, limit: usize) {
        if needed <= self.capacity() {
            return;
        }
        let capacity = self.capacity().saturating_mul(2).max(FIRST_CAPACITY).min(limit).max(needed);
        // Zeroed memory comes from the allocator, which need not touch a large piece of it before it is written.
        let mut grown = vec![0; capacity];
        self.copy_to(grown.get_mut(..used).unwrap_or_default());
        (self.bytes, self.start) = (grown, 0);
    }

    /// Copies `bytes` to the offsets from `at` on. What does not fit is left out: the caller has reserved for it.
    pub(super) fn put(&mut self, at: usize, bytes: &[u8]) {
        debug_assert!(at.saturating_add(bytes.len()) <= self.capacity(), "room was reserved");
        let fits = self.capacity().saturating_sub(at).min(bytes.len());
        let position = self.position(at);
        let before_end = fits.min(self.capacity() - position);
        let Some((head, tail)) = bytes.get(..fits).and_then(|bytes| bytes.split_at_checked(before_end)) else { return };
        if let Some(target) = self.bytes.get_mut(position..position + head.len()) {
            target.copy_from_slice(head);
        }
        if let Some(target) = self.bytes.get_mut(..tail.len()) {
            target.copy_from_slice(tail);
        }
    }

    /// The bytes at the offsets from `at` on, in two pieces where they lie around the end of the memory.
    pub(super) fn slices(&self, at: usize, length: usize) -> [&[u8]; 2] {
        let length = length.min(self.capacity().saturating_sub(at));
        let position = self.position(at);
        let before_end = length.min(self.capacity() - position);
        [
            self.bytes.get(position..position + before_end).unwrap_or_default(),
            self.bytes.get(..length - before_end).unwrap_or_default(),
        ]
    }

    /// Fills `target` with the first bytes, as far as there is memory.
    pub(super) fn copy_to(&self, target: &mut [u8]) {
        let mut target = target;
        for slice in self.slices(0, target.len()) {
            if let Some(place) = target.split_off_mut(..slice.len()) {
                place.copy_from_slice(slice);
            }
        }
    }

    /// Moves the origin forward.
    pub(super) fn skip(&mut self, count: usize) {
        debug_assert!(count <= self.capacity(), "the queue holds that many");
        self.start = self.position(count);
    }

    /// Moves the origin to the begin of the memory: of use where nothing is held, so that what follows lies in one
    /// piece, and in memory that the processor has seen lately.
    pub(super) const fn rewind(&mut self) {
        self.start = 0;
    }

    /// Gives the memory back.
    pub(super) fn release(&mut self) {
        *self = Self::new();
    }

    /// Where an offset lies: below the capacity, or 0 where there is no memory.
    const fn position(&self, at: usize) -> usize {
        // The offset of the byte after the last is the origin's own position.
        let at = if at < self.capacity() { at } else { 0 };
        let room = self.capacity() - self.start;
        if at < room || room == 0 { self.start + at } else { at - room }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn joined(ring: &Ring, at: usize, length: usize) -> Vec<u8> {
        ring.slices(at, length).concat()
    }

    #[test]
    fn nothing_is_allocated_before_the_first_byte() {
        let ring = Ring::new();
        assert_eq!((ring.capacity(), ring.slices(0, 10)), (0, [[].as_slice(); 2]));
    }

    #[test]
    fn capacity_doubles_up_to_the_limit() {
        let mut ring = Ring::new();
        let capacities = [1, 4097, 8193, 16_385, 20_001].map(|needed| {
            ring.reserve(0, needed, 20_000);
            ring.capacity()
        });
        assert_eq!(capacities, [4096, 8192, 16_384, 20_000, 20_001]);
        let mut ring = Ring::new();
        ring.reserve(0, 10_000, usize::MAX);
        assert_eq!(ring.capacity(), 10_000);
        let mut ring = Ring::new();
        ring.reserve(0, 10, 100);
        assert_eq!(ring.capacity(), 100, "a small limit holds little");
    }

    #[test]
    fn bytes_around_the_end_stay_in_order_when_the_ring_grows() {
        let mut ring = Ring::new();
        ring.reserve(0, 8, 8);
        ring.put(0, b"abcdefgh");
        ring.skip(6);
        ring.put(2, b"ijk");
        assert_eq!(ring.slices(0, 5), [b"gh".as_slice(), b"ijk"]);
        assert_eq!(joined(&ring, 3, 9), b"jkdefgh"[..5], "an offset beyond the capacity is nowhere");
        ring.reserve(5, 9, 100);
        assert_eq!(ring.slices(0, 5), [b"ghijk".as_slice(), b""]);
    }

    #[test]
    fn skipping_everything_ends_at_the_origin() {
        let mut ring = Ring::new();
        ring.reserve(0, 4, 4);
        ring.put(0, b"abcd");
        ring.skip(3);
        ring.skip(4);
        assert_eq!(joined(&ring, 0, 1), b"d");
        assert_eq!(joined(&ring, 4, 1), b"");
        ring.release();
        ring.rewind();
        assert_eq!(ring.capacity(), 0);
    }
}
