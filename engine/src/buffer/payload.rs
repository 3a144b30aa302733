//! The payload of a packet that arrives.

use core::ops::Range;

use super::chunk::{Memory, Slice};

/// The payload of a packet: bytes that follow its header in the frame, and after them slices that the frame carries
/// apart.
#[derive(Clone, Copy, Debug, Default)]
pub struct Payload<'a> {
    bytes: &'a [u8],
    slices: &'a [Slice],
    length: usize,
}

impl<'a> Payload<'a> {
    /// An empty payload.
    pub const EMPTY: Self = Self { bytes: &[], slices: &[], length: 0 };

    /// A payload of bytes, followed by slices.
    #[must_use]
    pub fn new(bytes: &'a [u8], slices: &'a [Slice]) -> Self {
        let length = bytes.len() + slices.iter().map(|slice| slice.len()).sum::<usize>();
        Self { bytes, slices, length }
    }

    /// How many bytes there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The bytes, in order, in consecutive chunks.
    pub fn chunks(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        core::iter::once(self.bytes).chain(self.slices.iter().map(|slice| &slice[..])).filter(|bytes| !bytes.is_empty())
    }

    /// The bytes of a range, in parts, each with its offset from the start of the payload.
    pub(super) fn parts(&self, range: Range<usize>) -> impl Iterator<Item = (usize, Part<'a>)> + use<'a> {
        let bytes = core::iter::once(Part::Bytes(self.bytes));
        let slices = self.slices.iter().map(|slice| Part::Slice(slice.clone()));
        let mut at = 0;
        bytes.chain(slices).filter_map(move |part| {
            let begin = at;
            at += part.len();
            let (start, end) = (range.start.max(begin), range.end.min(at));
            (start < end).then(|| (start, part.cut(start - begin..end - begin)))
        })
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::new(bytes, &[])
    }
}

/// A part of a payload.
#[derive(Clone, Debug)]
pub(super) enum Part<'a> {
    /// Borrowed bytes, which must be copied to be kept.
    Bytes(&'a [u8]),
    /// A slice, which can be kept by reference.
    Slice(Slice),
}

impl Part<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Slice(slice) => slice.len(),
        }
    }

    /// The bytes of a range.
    pub(super) fn cut(self, range: Range<usize>) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Bytes(bytes.get(range).unwrap_or_default()),
            Self::Slice(slice) => Self::Slice(slice.slice(range)),
        }
    }

    /// The bytes as a slice that does not hold much more memory than they need: a copy if necessary.
    pub(super) fn own(self, memory: &Memory) -> Slice {
        let copy = |bytes: &[u8]| {
            let mut buffer = memory.buffer(bytes.len());
            buffer.append(bytes);
            buffer.share()
        };
        match self {
            Self::Bytes(bytes) => copy(bytes),
            Self::Slice(slice) if slice.is_wasteful() => copy(&slice),
            Self::Slice(slice) => slice,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn parts_are_cut_to_the_range() {
        let slices = [Slice::from(b"cde".as_slice()), Slice::from(b"fg".as_slice())];
        let payload = Payload::new(b"ab", &slices);
        assert_eq!((payload.len(), payload.chunks().collect::<Vec<_>>().concat()), (7, b"abcdefg".to_vec()));
        let parts = |range| -> Vec<(usize, Vec<u8>)> {
            payload.parts(range).map(|(at, part)| (at, part.own(&Memory::HEAP).to_vec())).collect()
        };
        assert_eq!(parts(1..6), [(1, b"b".to_vec()), (2, b"cde".to_vec()), (5, b"f".to_vec())]);
        assert_eq!(parts(3..4), [(3, b"d".to_vec())]);
        assert_eq!(parts(2..2), []);
        assert!(Payload::EMPTY.is_empty() && Payload::EMPTY.chunks().next().is_none());
    }
}
