//! The bytes of a stream, in slices at ascending offsets.

use alloc::collections::VecDeque;
use core::ops::Range;

use super::chunk::{LARGEST_CHUNK, Memory, Slice, Slices};
use super::payload::Part;

/// The first memory of bytes that are copied, where there are not more of them.
const FIRST_CHUNK: usize = 256;
/// The most that is asked for at once in expectation of more.
const GROWN_CHUNK: usize = 16 * 1024;
/// Pieces that an empty queue may keep memory for.
const KEPT: usize = 4;

/// Slices that do not overlap, each with the offset in the stream where it begins. There may be gaps between them.
///
/// Bytes come by reference, or are copied: where they come without memory of their own, or hold much more than they are.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    list: VecDeque<Piece>,
    /// The memory of all slices.
    held: usize,
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
}

/// Offsets are apart by what a queue holds.
fn distance(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)
}

impl Pieces {
    pub(super) const fn new() -> Self {
        Self { list: VecDeque::new(), held: 0 }
    }

    /// The bytes of memory held, and what it takes to know of them.
    pub(super) fn held(&self) -> usize {
        self.held + self.list.capacity() * size_of::<Piece>()
    }

    /// Where the last piece ends.
    fn end(&self) -> Option<u64> {
        self.list.back().map(Piece::end)
    }

    /// Copies bytes to an offset at or behind the end of the last piece.
    pub(super) fn append(&mut self, at: u64, mut bytes: &[u8], memory: &Memory) {
        let mut at = at;
        let mut wanted = FIRST_CHUNK;
        if let Some(last) = self.list.back_mut() {
            if last.end() == at {
                let count = last.slice.append(bytes);
                at += count as u64;
                bytes = &bytes[count..];
            }
            // What fills one piece of memory after the other is likely to be followed by more. Where there was room, and others
            // read what is there already, they will read this too.
            wanted = if last.slice.is_full() { last.slice.held().saturating_mul(2).min(GROWN_CHUNK) } else { 0 };
        }
        while !bytes.is_empty() {
            let mut buffer = memory.buffer(wanted.max(bytes.len()).min(LARGEST_CHUNK));
            let count = buffer.append(bytes);
            self.push(at, buffer.share());
            at += count as u64;
            bytes = &bytes[count..];
        }
    }

    /// Adds a piece behind the last.
    fn push(&mut self, at: u64, slice: Slice) {
        self.held += slice.held();
        self.list.push_back(Piece { at, slice });
    }

    /// Adds bytes that lie behind the last piece.
    fn add(&mut self, at: u64, part: Part<'_>, memory: &Memory) {
        match part {
            Part::Bytes(bytes) => self.append(at, bytes, memory),
            Part::Slice(slice) => {
                let joined = self.list.back_mut().is_some_and(|last| last.end() == at && last.slice.join(&slice));
                if joined {
                } else if slice.is_wasteful() {
                    self.append(at, &slice, memory);
                } else {
                    self.push(at, slice);
                }
            }
        }
    }

    /// Adds bytes wherever they belong, as far as they are not there yet.
    pub(super) fn insert(&mut self, at: u64, part: Part<'_>, memory: &Memory) {
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
                    return self.add(from, missing, memory);
                }
                let slice = missing.own(memory);
                self.held += slice.held();
                self.list.insert(index, Piece { at: from, slice });
                index += 1;
            }
            let Some(piece) = self.list.get(index) else { break };
            from = piece.end();
            index += 1;
        }
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
            self.held -= first.slice.held();
            self.list.pop_front();
        }
        if self.list.capacity() > KEPT {
            self.list = VecDeque::new();
        }
    }
}
