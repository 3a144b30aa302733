//! Frames, and the pools that their memory comes from.

use core::fmt;
use core::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use xila_network_engine::buffer::{Buffer, LARGEST_CHUNK, Memory, SMALLEST_STORED, Slice, Slices, Store};

/// The number of bytes at the front of a new frame that are zeroed: no headers are longer (Ethernet 14, IPv4 with
/// options 60, TCP with options 60). The bytes after them are payload, which the stack always overwrites completely.
const ZEROED: usize = 134;

/// A bounded store of unused memory, in pieces whose sizes are powers of two up to 64 KiB.
///
/// If no piece is unused a new one is allocated, and if enough are unused a returned one is freed. So the pool bounds
/// only the unused memory; devices and connections bound what they hold. A clone is another handle to the same pool.
#[derive(Clone)]
pub struct Pool {
    shelves: Arc<Shelves>,
    memory: Memory,
    longest: usize,
}

/// Unused memory, by size.
struct Shelves {
    /// The unused pieces of 2, 4, 8, 16, 32 and 64 KiB.
    idle: Mutex<[Vec<Box<[u8]>>; SIZES]>,
    most: usize,
}

/// The number of sizes from [`SMALLEST_STORED`] to [`LARGEST_CHUNK`].
const SIZES: usize = (LARGEST_CHUNK / SMALLEST_STORED).ilog2() as usize + 1;
/// The default maximum of unused memory of each size, in bytes.
const IDLE: usize = 4 << 20;

impl Shelves {
    /// The index of the shelf for pieces of a length.
    fn shelf(length: usize) -> Option<usize> {
        let fits = length.is_power_of_two() && (SMALLEST_STORED..=LARGEST_CHUNK).contains(&length);
        fits.then(|| (length / SMALLEST_STORED).ilog2() as usize)
    }
}

impl Store for Shelves {
    fn take(&self, length: usize) -> Box<[u8]> {
        let idle = Self::shelf(length).and_then(|shelf| self.idle.lock()[shelf].pop());
        idle.unwrap_or_else(|| vec![0; length].into_boxed_slice())
    }

    fn give_back(&self, memory: Box<[u8]>) {
        let Some(shelf) = Self::shelf(memory.len()) else { return };
        let mut idle = self.idle.lock();
        if idle[shelf].len() * memory.len() < self.most {
            idle[shelf].push(memory);
        }
    }
}

impl Pool {
    /// A pool for frames of up to `longest` bytes that keeps about `most` unused ones.
    #[must_use]
    pub fn new(longest: usize, most: usize) -> Self {
        Self::with_idle(longest, most.saturating_mul(longest.next_power_of_two()))
    }

    /// A pool for the data of connections.
    pub(crate) fn for_streams() -> Self {
        Self::with_idle(LARGEST_CHUNK, IDLE)
    }

    fn with_idle(longest: usize, most: usize) -> Self {
        let shelves = Arc::new(Shelves { idle: Mutex::default(), most });
        Self { memory: Memory::of(shelves.clone()), shelves, longest }
    }

    /// A frame of `length` bytes in one piece. Its first bytes, where headers are, are zero; the rest is arbitrary
    /// (zero or from an earlier frame).
    ///
    /// # Panics
    /// If `length` exceeds the maximum of the pool, which is a bug in the calling device.
    #[must_use]
    pub fn frame(&self, length: usize) -> Frame {
        assert!(length <= self.longest, "a frame of {length} bytes from a pool for {}", self.longest);
        let mut buffer = self.memory.buffer(length);
        buffer.set_length(length);
        buffer[..length.min(ZEROED)].fill(0);
        Frame { head: buffer, payload: Slices::new(), segment: 0, unchecked: false, whole: OnceLock::new() }
    }

    /// The maximum length of a frame in bytes.
    #[must_use]
    pub const fn longest(&self) -> usize {
        self.longest
    }

    /// The memory of the pool.
    pub(crate) const fn memory(&self) -> &Memory {
        &self.memory
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let idle: usize = self.shelves.idle.lock().iter().flatten().map(|memory| memory.len()).sum();
        formatter.debug_struct("Pool").field("longest", &self.longest).field("idle", &idle).finish_non_exhaustive()
    }
}

/// A frame as it is on the wire. Its memory returns to its pool when the last reference to it is dropped.
///
/// A frame is stored in one piece, or in parts: a [head](Self::head) with all of its headers, and [slices](Self::apart)
/// of memory, which others may share, with the rest. A device that copies frames copies from the [parts](Self::parts);
/// one that hands frames on within the process passes the parts on. Code that reads a frame as a slice of bytes sees it
/// in one piece: a frame in parts is copied for that.
pub struct Frame {
    head: Buffer,
    payload: Slices,
    /// The number of bytes of data in each of the segments or datagrams that it consists of; 0 if it is only one.
    segment: u16,
    /// Whether its TCP or UDP checksum is not computed yet, or was verified already.
    unchecked: bool,
    /// A copy in one piece, once somebody has read a frame in parts as a slice.
    whole: OnceLock<Box<[u8]>>,
}

impl Frame {
    /// The number of bytes in all parts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head().len() + self.payload.iter().map(|slice| slice.len()).sum::<usize>()
    }

    /// Whether the frame has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first part, with all headers of the frame.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The slices that follow the head.
    #[must_use]
    pub fn apart(&self) -> &[Slice] {
        &self.payload
    }

    /// The parts, in order.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        core::iter::once(self.head()).chain(self.payload.iter().map(|slice| &slice[..]))
    }

    /// Copies the frame to the beginning of `target`, as much of it as there is room for.
    pub fn copy_to(&self, target: &mut [u8]) {
        let mut target = target;
        for part in self.parts() {
            let count = part.len().min(target.len());
            let Some(place) = target.split_off_mut(..count) else { return };
            place.copy_from_slice(&part[..count]);
        }
    }

    /// If the frame has the data of several TCP segments or UDP datagrams: the number of bytes of data in each but the
    /// last. Only a receiver that [accepts such frames](super::Device::set_offloads) is given one.
    #[must_use]
    pub fn segment(&self) -> Option<usize> {
        (self.segment > 0).then_some(self.segment.into())
    }

    /// Sets [`segment`](Self::segment); 0 if the frame is only one segment or datagram.
    pub fn set_segment(&mut self, bytes: usize) {
        // A segment is not longer than an IP packet.
        self.segment = u16::try_from(bytes).unwrap_or(u16::MAX);
    }

    /// Whether the TCP or UDP checksum field is not a complete checksum. In a frame to be sent the field has the sum of
    /// the pseudo-header, and the device must complete it. In a received frame the field need not be verified. Only a
    /// receiver that [accepts such frames](super::Device::set_offloads) is given one.
    #[must_use]
    pub const fn is_unchecked(&self) -> bool {
        self.unchecked
    }

    /// Sets [`is_unchecked`](Self::is_unchecked).
    pub const fn set_unchecked(&mut self, unchecked: bool) {
        self.unchecked = unchecked;
    }

    /// The head, writable, and the slices that follow it.
    pub(crate) fn split_mut(&mut self) -> (&mut [u8], &[Slice]) {
        self.whole = OnceLock::new();
        (&mut self.head, &self.payload)
    }

    /// Appends slices, by reference.
    pub(crate) fn attach(&mut self, slices: &[Slice]) {
        self.payload.extend(slices.iter().cloned());
        self.whole = OnceLock::new();
    }

    /// Shortens the frame to its first `length` bytes; a longer `length` changes nothing.
    pub fn truncate(&mut self, length: usize) {
        if length < self.len() {
            self.gather().set_length(length);
        }
    }

    /// Copies the frame to one piece, if it is in parts.
    fn gather(&mut self) -> &mut Buffer {
        if !self.payload.is_empty() {
            let mut buffer = Memory::HEAP.buffer(self.len());
            buffer.set_length(self.len());
            self.copy_to(&mut buffer);
            self.head = buffer;
            self.payload.clear();
            self.whole = OnceLock::new();
        }
        &mut self.head
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        if self.payload.is_empty() {
            return self.head();
        }
        self.whole.get_or_init(|| {
            let mut whole = vec![0; self.len()].into_boxed_slice();
            self.copy_to(&mut whole);
            whole
        })
    }
}

impl DerefMut for Frame {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.gather()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Frame({} bytes", self.len())?;
        if self.payload.is_empty() {
            formatter.write_str(")")
        } else {
            write!(formatter, " in {} parts)", 1 + self.payload.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_frame_is_used_again() {
        let pool = Pool::new(2048, 4);
        let mut frame = pool.frame(2000);
        frame[99] = 7;
        let first = frame.as_ptr();
        drop(frame);
        let again = pool.frame(2001);
        assert_eq!(again.as_ptr(), first);
        assert_eq!(again[99], 0, "headers of a used buffer are zeroed");
    }

    #[test]
    fn unused_memory_is_bounded() {
        let pool = Pool::new(2048, 2);
        let frames: Vec<_> = (0..5).map(|_| pool.frame(2048)).collect();
        drop(frames);
        assert_eq!(pool.shelves.idle.lock()[0].len(), 2);
    }

    #[test]
    fn every_size_has_its_shelf() {
        let shelves = [2048, 4096, 8192, 16_384, 32_768, 65_536].map(Shelves::shelf);
        assert_eq!(shelves, [0, 1, 2, 3, 4, 5].map(Some));
        assert_eq!([0, 64, 1024, 3000, 131_072].map(Shelves::shelf), [None; 5]);
    }

    #[test]
    fn a_frame_outlives_its_pool() {
        let frame = Pool::new(64, 2).frame(10);
        assert_eq!(frame.len(), 10);
    }

    #[test]
    fn a_frame_in_parts_reads_as_one() {
        let mut frame = Pool::new(64, 2).frame(2);
        frame.copy_from_slice(b"ab");
        frame.attach(&[Slice::from(b"cd".as_slice()), Slice::from(b"e".as_slice())]);
        assert_eq!((frame.len(), frame.head(), &frame[..]), (5, b"ab".as_slice(), b"abcde".as_slice()));
        frame.split_mut().0[1] = b'B';
        assert_eq!(&frame[..], b"aBcde", "what is written to the head is seen, though the frame was read before");
        frame.split_mut().0[1] = b'b';
        let mut short = [0; 3];
        frame.copy_to(&mut short);
        assert_eq!((&short, frame.apart().len()), (b"abc", 2));
        frame[0] = b'A';
        assert_eq!((&frame[..], frame.apart().len()), (b"Abcde".as_slice(), 0), "who writes to it has it in one piece");
        frame.truncate(9);
        frame.truncate(4);
        assert_eq!(&frame[..], b"Abcd");
    }
}
