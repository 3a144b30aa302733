//! The bytes of a stream, in slices at ascending offsets.

use alloc::collections::VecDeque;
use core::ops::Range;

use super::budget::Charge;
use super::chunk::{Buffer, LARGEST_CHUNK, Memory, SMALLEST_CHUNK, Slice, Slices};
use super::payload::Part;

/// The first memory of bytes that are copied, where there are not more of them.
const FIRST_CHUNK: usize = 256;
/// The most that is asked for at once in expectation of more.
const GROWN_CHUNK: usize = 16 * 1024;
/// Pieces that an empty queue may keep memory for.
const KEPT: usize = 4;
/// What a piece takes beside the memory of its bytes: its place in the list, and the count of those who share it.
const OVERHEAD: usize = 64;

/// Slices that do not overlap, each with the offset in the stream where it begins. There may be gaps between them.
///
/// Bytes come by reference, or are copied: where they come without memory of their own, or hold much more than they are.
///
/// What is held is charged: the memory of every slice, whole, and what it takes to know of it.
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

    /// What is charged for it.
    fn cost(&self) -> usize {
        self.slice.held() + OVERHEAD
    }
}

/// Offsets are apart by what a queue holds.
fn distance(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)
}

impl Pieces {
    pub(super) const fn new(charge: Charge) -> Self {
        Self { list: VecDeque::new(), charge }
    }

    /// The bytes of memory held, and what it takes to know of them.
    pub(super) const fn held(&self) -> usize {
        self.charge.held()
    }

    /// How many bytes of memory more could be held.
    pub(super) fn left(&self) -> usize {
        self.charge.left()
    }

    /// Promises memory to what is added next, in place of what was promised before: up to so many bytes; how many.
    pub(super) fn promise(&mut self, bytes: usize) -> usize {
        self.charge.promise(bytes)
    }

    /// Gives back what was promised and not used.
    pub(super) fn forget_promise(&mut self) {
        self.charge.forget_promise();
    }

    /// The memory that suffices to copy so many bytes by one call of [`append`](Self::append).
    pub(super) const fn cost_of(bytes: usize) -> usize {
        // A chunk has the largest power of two that there is memory for, which is more than half of that.
        2 * bytes + (bytes / LARGEST_CHUNK + 2) * OVERHEAD
    }

    /// Nothing is added any more, and nothing reserved for it.
    pub(super) fn forgo(&mut self) {
        self.charge.forgo();
    }

    /// Where the last piece ends.
    fn end(&self) -> Option<u64> {
        self.list.back().map(Piece::end)
    }

    /// Copies bytes to an offset at or behind the end of the last piece, as many as there is memory for; how many.
    pub(super) fn append(&mut self, at: u64, bytes: &[u8], memory: &Memory) -> usize {
        let mut copied = 0;
        let mut wanted = FIRST_CHUNK;
        if let Some(last) = self.list.back_mut() {
            if last.end() == at {
                copied = last.slice.append(bytes);
            }
            // What fills one piece of memory after the other is likely to be followed by more. Where there was room, and others
            // read what is there already, they will read this too.
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

    /// Memory for some of `length` bytes, and for `wanted` if that is more; for less than that where there is less left.
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

    /// Keeps a slice at an offset behind the last piece, or copies it; how many of its bytes.
    pub(super) fn keep(&mut self, at: u64, slice: Slice, memory: &Memory) -> usize {
        self.add(at, Part::Slice(slice), memory)
    }

    /// Adds bytes that lie behind the last piece; how many.
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

    /// Adds bytes wherever they belong, as far as they are not there yet and there is memory for them. How many of them, from
    /// the first, are there then.
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

    /// The slices that a range lies in, each with the part of it.
    fn between(&self, range: Range<u64>) -> impl Iterator<Item = (&Slice, Range<usize>)> {
        let first = self.list.partition_point(|piece| piece.end() <= range.start);
        self.list.range(first..).take_while(move |piece| piece.at < range.end).map(move |piece| {
            let (start, end) = (range.start.max(piece.at), range.end.min(piece.end()));
            (&piece.slice, distance(piece.at, start)..distance(piece.at, end))
        })
    }

    /// Copies bytes from an offset on, as far as `target` has room and there is no gap; how many.
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

    /// Drops what lies before an offset.
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

    /// Gives the list's memory back where it is empty.
    pub(super) fn sleep(&mut self) {
        if self.list.is_empty() {
            self.list = VecDeque::new();
        }
    }

    /// Drops what lies at an offset and behind it.
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
