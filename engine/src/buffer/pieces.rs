//! The bytes of a stream, stored as slices at ascending offsets. The send queue and the receive queue are built on
//! this.

use alloc::collections::VecDeque;
use core::ops::Range;

use super::budget::Charge;
use super::chunk::{Buffer, LARGEST_CHUNK, Memory, SMALLEST_CHUNK, Slice, Slices};
use super::payload::Part;

/// The size of the first chunk that bytes are copied to, unless more bytes than that are written at once.
const FIRST_CHUNK: usize = 256;
/// The largest chunk that is allocated in the expectation that more bytes follow.
const GROWN_CHUNK: usize = 16 * 1024;
/// The number of pieces that an empty queue may keep list memory for.
const KEPT: usize = 4;
/// The memory that a piece needs in addition to its bytes: its place in the list, and the reference count.
const OVERHEAD: usize = 64;

/// Slices that do not overlap, each with the offset in the stream where it begins. There may be gaps between the
/// slices.
///
/// A slice is kept by reference if possible. Bytes are copied if they come without memory of their own, or if they are
/// few compared with the memory that their slice holds.
///
/// All memory held is charged: the whole chunk of every slice, and the overhead of its piece.
#[derive(Debug)]
pub(super) struct Pieces {
    list: VecDeque<Piece>,
    charge: Charge,
}

#[derive(Debug)]
struct Piece {
    at: u64,
    slice: Slice,
}

impl Piece {
    fn end(&self) -> u64 {
        self.at + self.slice.len() as u64
    }

    /// The bytes that are charged for this piece.
    fn cost(&self) -> usize {
        self.slice.held() + OVERHEAD
    }
}

/// The distance between two offsets. It always fits, since offsets differ by no more than a queue holds.
fn distance(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)
}

impl Pieces {
    pub(super) const fn new(charge: Charge) -> Self {
        Self { list: VecDeque::new(), charge }
    }

    /// The bytes of memory that are held, overhead included.
    pub(super) const fn held(&self) -> usize {
        self.charge.held()
    }

    /// How many more bytes of memory could be held.
    pub(super) fn left(&self) -> usize {
        self.charge.left()
    }

    /// Reserves up to `bytes` bytes of memory for what is added next, in place of any earlier promise. Returns how many
    /// bytes are reserved.
    pub(super) fn promise(&mut self, bytes: usize) -> usize {
        self.charge.promise(bytes)
    }

    /// Gives back the memory that was promised and not used.
    pub(super) fn forget_promise(&mut self) {
        self.charge.forget_promise();
    }

    /// The memory that is enough to copy `bytes` bytes in one call of [`append`](Self::append).
    pub(super) const fn cost_of(bytes: usize) -> usize {
        // If memory is short, the capacity of a chunk is the largest power of two that is left, which is more than half
        // of what is left.
        2 * bytes + (bytes / LARGEST_CHUNK + 2) * OVERHEAD
    }

    /// Declares that nothing will be added any more, and releases the reserved memory.
    pub(super) fn forgo(&mut self) {
        self.charge.forgo();
    }

    /// The offset where the last piece ends.
    fn end(&self) -> Option<u64> {
        self.list.back().map(Piece::end)
    }

    /// Copies bytes to an offset at or after the end of the last piece, as many as there is memory for. Returns how
    /// many.
    pub(super) fn append(&mut self, at: u64, bytes: &[u8], memory: &Memory) -> usize {
        let mut copied = 0;
        let mut wanted = FIRST_CHUNK;
        if let Some(last) = self.list.back_mut() {
            if last.end() == at {
                copied = last.slice.append(bytes);
            }
            // If the last chunk is full, more bytes are likely to follow, so the next chunk is larger. If the last
            // chunk has room but could not be appended to, others hold references to it and will take these bytes soon
            // too, so the new chunk need not be larger than the bytes.
            wanted = if last.slice.is_full() { last.slice.held().saturating_mul(2).min(GROWN_CHUNK) } else { 0 };
        }
        while let Some(rest) = bytes.get(copied..).filter(|rest| !rest.is_empty()) {
            let Some(mut buffer) = self.buffer(wanted, rest.len(), memory) else { break };
            let count = buffer.append(rest);
            self.list.push_back(Piece { at: at + copied as u64, slice: buffer.share() });
            copied += count;
        }
        copied
    }

    /// Allocates a buffer for `length` bytes, or for `wanted` bytes if that is more. If less memory is left, the buffer
    /// is smaller.
    fn buffer(&mut self, wanted: usize, length: usize, memory: &Memory) -> Option<Buffer> {
        let mut least = wanted.max(length).min(LARGEST_CHUNK);
        loop {
            let capacity = Memory::capacity(least);
            if self.charge.take(capacity + OVERHEAD) {
                return Some(memory.buffer(least));
            }
            least = capacity / 2;
            if least < SMALLEST_CHUNK {
                return None;
            }
        }
    }

    /// Adds a slice at or after the end of the last piece, by reference or as a copy. Returns how many of its bytes
    /// were added.
    pub(super) fn keep(&mut self, at: u64, slice: Slice, memory: &Memory) -> usize {
        self.add(at, Part::Slice(slice), memory)
    }

    /// Adds bytes at or after the end of the last piece. Returns how many were added.
    fn add(&mut self, at: u64, part: Part<'_>, memory: &Memory) -> usize {
        let slice = match part {
            Part::Bytes(bytes) => return self.append(at, bytes, memory),
            Part::Slice(slice) => slice,
        };
        let length = slice.len();
        if self.list.back_mut().is_some_and(|last| last.end() == at && last.slice.join(&slice)) {
            return length;
        }
        let piece = Piece { at, slice };
        if piece.slice.is_wasteful() || !self.charge.take(piece.cost()) {
            return self.append(at, &piece.slice, memory);
        }
        self.list.push_back(piece);
        length
    }

    /// Adds bytes at any offset, except those that are present already, as far as there is memory for them. Returns how
    /// many of the bytes, counted from the first one without a gap, are present afterwards.
    pub(super) fn insert(&mut self, at: u64, part: Part<'_>, memory: &Memory) -> usize {
        if self.end().is_none_or(|end| end <= at) {
            return self.add(at, part, memory);
        }
        let end = at + part.len() as u64;
        let mut from = at;
        let mut index = self.list.partition_point(|piece| piece.end() <= at);
        while from < end {
            let next = self.list.get(index);
            let gap = next.map_or(end, |piece| piece.at.min(end));
            if from < gap {
                let missing = part.clone().cut(distance(at, from)..distance(at, gap));
                if next.is_none() {
                    return distance(at, from) + self.add(from, missing, memory);
                }
                let piece = Piece { at: from, slice: missing.own(memory) };
                if !self.charge.take(piece.cost()) {
                    break;
                }
                self.list.insert(index, piece);
                index += 1;
            }
            let Some(piece) = self.list.get(index) else { break };
            from = piece.end();
            index += 1;
        }
        distance(at, from.min(end))
    }

    /// The bytes of a range without gaps, by reference.
    pub(super) fn slices(&self, range: Range<u64>) -> Slices {
        self.between(range).map(|(slice, range)| slice.slice(range)).collect()
    }

    /// The slices that overlap a range of offsets, each with the part of it that lies in the range.
    fn between(&self, range: Range<u64>) -> impl Iterator<Item = (&Slice, Range<usize>)> {
        let first = self.list.partition_point(|piece| piece.end() <= range.start);
        self.list.range(first..).take_while(move |piece| piece.at < range.end).map(move |piece| {
            let (start, end) = (range.start.max(piece.at), range.end.min(piece.end()));
            (&piece.slice, distance(piece.at, start)..distance(piece.at, end))
        })
    }

    /// Copies bytes from an offset on, until `target` is full or a gap begins. Returns how many.
    pub(super) fn copy_to(&self, at: u64, target: &mut [u8]) -> usize {
        let range = at..at.saturating_add(target.len() as u64);
        let mut copied = 0;
        for (slice, part) in self.between(range) {
            let bytes = slice.get(part).unwrap_or_default();
            if let Some(place) = target.get_mut(copied..copied + bytes.len()) {
                place.copy_from_slice(bytes);
                copied += bytes.len();
            }
        }
        copied
    }

    /// Drops all bytes before an offset.
    pub(super) fn skip_to(&mut self, at: u64) {
        while let Some(first) = self.list.front_mut() {
            if first.end() > at {
                first.slice.skip(distance(first.at, at));
                first.at = first.at.max(at);
                return;
            }
            self.charge.give_back(first.cost());
            self.list.pop_front();
        }
        if self.list.capacity() > KEPT {
            self.list = VecDeque::new();
        }
    }

    /// Frees the memory of the list if the list is empty.
    pub(super) fn sleep(&mut self) {
        if self.list.is_empty() {
            self.list = VecDeque::new();
        }
    }

    /// Drops all bytes at or after an offset.
    pub(super) fn cut_at(&mut self, at: u64) {
        while let Some(last) = self.list.back_mut() {
            if last.at < at {
                last.slice = last.slice.slice(0..distance(last.at, at));
                return;
            }
            self.charge.give_back(last.cost());
            self.list.pop_back();
        }
    }
}
