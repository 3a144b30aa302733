//! Chunks of memory. One owner writes to a [`Buffer`], then shares it as [`Slice`]s with all who send, carry or store
//! the bytes.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{Deref, DerefMut, Range};

use smallvec::SmallVec;

/// The largest chunk that is allocated for a stream.
pub const LARGEST_CHUNK: usize = 64 * 1024;
/// The smallest chunk.
pub(super) const SMALLEST_CHUNK: usize = 64;

/// Chunks smaller than this come from the global allocator, which is as fast with them as a [`Store`].
pub const SMALLEST_STORED: usize = 2048;

/// Zeroed memory of the global allocator. For a small chunk, allocating and then clearing is faster than asking for
/// zeroed memory.
fn cleared(length: usize) -> Box<[u8]> {
    if length >= SMALLEST_STORED {
        return vec![0; length].into_boxed_slice();
    }
    let mut bytes = Vec::with_capacity(length);
    bytes.extend(core::iter::repeat_n(0, length));
    bytes.into_boxed_slice()
}

/// A pool of memory, which the platform provides.
pub trait Store: Send + Sync {
    /// Returns memory of exactly `length` bytes, whose content is arbitrary.
    fn take(&self, length: usize) -> Box<[u8]>;

    /// Takes back memory that [`take`](Self::take) returned.
    fn give_back(&self, memory: Box<[u8]>);
}

/// The source of memory: a [`Store`], or the global allocator if there is none.
#[derive(Clone, Default)]
pub struct Memory(Option<Arc<dyn Store>>);

impl Memory {
    /// The global allocator.
    pub const HEAP: Self = Self(None);

    /// Memory that comes from a store.
    #[must_use]
    pub const fn of(store: Arc<dyn Store>) -> Self {
        Self(Some(store))
    }

    /// The capacity of a buffer for at least `least` bytes: a power of two up to [`LARGEST_CHUNK`]; above that, `least`
    /// itself.
    pub(super) const fn capacity(least: usize) -> usize {
        if least > LARGEST_CHUNK {
            least
        } else if least < SMALLEST_CHUNK {
            SMALLEST_CHUNK
        } else {
            least.next_power_of_two()
        }
    }

    /// A buffer for at least `least` bytes; its length is 0.
    #[must_use]
    pub fn buffer(&self, least: usize) -> Buffer {
        let capacity = Self::capacity(least);
        let chunk = match &self.0 {
            Some(store) if capacity >= SMALLEST_STORED => Chunk { bytes: store.take(capacity), home: self.clone() },
            _ => Chunk { bytes: cleared(capacity), home: Self::HEAP },
        };
        Buffer { chunk, length: 0 }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Memory(store)" } else { "Memory(heap)" })
    }
}

/// A chunk of memory. When it is dropped, it goes back to the store that it came from.
struct Chunk {
    bytes: Box<[u8]>,
    home: Memory,
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if let Memory(Some(store)) = &self.home {
            store.give_back(core::mem::take(&mut self.bytes));
        }
    }
}

/// A chunk that has only one owner, who can write to it.
pub struct Buffer {
    chunk: Chunk,
    length: usize,
}

impl Buffer {
    /// The size of the chunk in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.chunk.bytes.len()
    }

    /// Sets the length, up to the capacity. Bytes that become part of the buffer have arbitrary content.
    pub fn set_length(&mut self, length: usize) {
        self.length = length.min(self.capacity());
    }

    /// Appends as many bytes as there is room for, and returns how many.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.capacity() - self.length);
        self.chunk.bytes[self.length..self.length + count].copy_from_slice(&bytes[..count]);
        self.length += count;
        count
    }

    /// Turns the buffer into a slice that can be shared. From now on the bytes are read-only.
    #[must_use]
    pub fn share(self) -> Slice {
        let end = bounded(self.length);
        Slice { chunk: Arc::new(self.chunk), start: 0, end }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.chunk.bytes[..self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.chunk.bytes[..self.length]
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Buffer({} of {} bytes)", self.length, self.capacity())
    }
}

/// A part of a shared [`Buffer`]. A clone is another reference to the same bytes.
#[derive(Clone)]
pub struct Slice {
    chunk: Arc<Chunk>,
    start: u32,
    end: u32,
}

/// Slices whose bytes are consecutive in a stream.
pub type Slices = SmallVec<[Slice; 2]>;

impl Slice {
    /// The bytes of memory that this slice keeps allocated: those of the whole chunk.
    #[must_use]
    pub fn held(&self) -> usize {
        self.chunk.bytes.len()
    }

    /// The bytes of a range, which is clipped to the length of the slice.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let length = self.len();
        let end = range.end.min(length);
        let start = range.start.min(end);
        Self { chunk: self.chunk.clone(), start: self.start + bounded(start), end: self.start + bounded(end) }
    }

    /// Drops up to `count` bytes from the front.
    pub(super) fn skip(&mut self, count: usize) {
        self.start += bounded(count.min(self.len()));
    }

    /// Whether the bytes are few compared with the memory that they hold: less than a quarter of it.
    #[must_use]
    pub(super) fn is_wasteful(&self) -> bool {
        self.len() * 4 < self.held()
    }

    /// Whether the slice reaches to the end of its chunk.
    pub(super) fn is_full(&self) -> bool {
        self.end as usize == self.held()
    }

    /// Extends this slice by `next`, if `next` follows it directly in the same chunk. Returns whether it did.
    pub(super) fn join(&mut self, next: &Self) -> bool {
        let joins = Arc::ptr_eq(&self.chunk, &next.chunk) && self.end == next.start;
        if joins {
            self.end = next.end;
        }
        joins
    }

    /// Appends as many bytes as the chunk has room for after this slice, if nobody else shares the chunk. Returns how
    /// many.
    pub(super) fn append(&mut self, bytes: &[u8]) -> usize {
        if self.is_full() {
            return 0;
        }
        let end = self.end as usize;
        let Some(chunk) = Arc::get_mut(&mut self.chunk) else { return 0 };
        let count = bytes.len().min(chunk.bytes.len() - end);
        chunk.bytes[end..end + count].copy_from_slice(&bytes[..count]);
        self.end += bounded(count);
        count
    }
}

impl Deref for Slice {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.chunk.bytes[self.start as usize..self.end as usize]
    }
}

impl From<&[u8]> for Slice {
    /// Copies the bytes to memory of the global allocator.
    fn from(bytes: &[u8]) -> Self {
        let mut buffer = Memory::HEAP.buffer(bytes.len());
        buffer.append(bytes);
        buffer.share()
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Slice({} of {} bytes)", self.len(), self.held())
    }
}

/// Converts an offset in a buffer to 32 bits. No buffer is larger than 4 GiB: callers ask for the size of a frame, or
/// for at most [`LARGEST_CHUNK`] bytes.
fn bounded(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Count {
        taken: AtomicUsize,
        given: AtomicUsize,
    }

    impl Store for Count {
        fn take(&self, length: usize) -> Box<[u8]> {
            self.taken.fetch_add(length, Ordering::Relaxed);
            vec![7; length].into_boxed_slice()
        }

        fn give_back(&self, memory: Box<[u8]>) {
            self.given.fetch_add(memory.len(), Ordering::Relaxed);
        }
    }

    #[test]
    fn capacities_are_powers_of_two_up_to_the_largest() {
        let capacities = [0, 64, 65, 1500, 65_535, 65_536, 70_000].map(|least| Memory::HEAP.buffer(least).capacity());
        assert_eq!(capacities, [64, 64, 128, 2048, 65_536, 65_536, 70_000]);
    }

    #[test]
    fn memory_goes_back_with_its_last_slice() {
        let store = Arc::new(Count::default());
        let memory = Memory::of(store.clone());
        drop(memory.buffer(1024));
        let mut buffer = memory.buffer(2000);
        assert_eq!((buffer.append(b"abc"), &buffer[..]), (3, b"abc".as_slice()));
        let slice = buffer.share();
        let part = slice.slice(1..9);
        drop(slice);
        assert_eq!((store.taken.load(Ordering::Relaxed), store.given.load(Ordering::Relaxed)), (2048, 0));
        assert_eq!((&part[..], part.held()), (b"bc".as_slice(), 2048));
        drop(part);
        drop(memory.buffer(4096));
        assert_eq!(store.given.load(Ordering::Relaxed), 2048 + 4096);
    }

    #[test]
    fn only_the_sole_owner_of_a_chunk_appends_to_it() {
        let mut slice = Slice::from(b"abc".as_slice());
        assert_eq!(slice.append(b"def"), 3);
        let other = slice.slice(0..1);
        assert_eq!(slice.append(b"x"), 0);
        drop(other);
        assert_eq!((slice.append(&[b'-'; 100]), slice.len()), (58, 64));
        assert_eq!(slice.append(b"x"), 0, "there is no room");
        assert_eq!(&slice[..7], b"abcdef-");
    }

    #[test]
    fn only_adjacent_slices_of_one_chunk_join() {
        let all = Slice::from(b"abcdef".as_slice());
        let (mut first, second) = (all.slice(0..2), all.slice(2..3));
        assert!(first.join(&second) && first.join(&all.slice(3..6)) && !first.join(&all.slice(0..1)));
        assert!(!first.join(&Slice::from(b"g".as_slice())));
        assert_eq!(&first[..], b"abcdef");
        first.skip(4);
        assert_eq!(&first[..], b"ef");
        first.skip(9);
        assert!(first.is_empty());
    }
}
