//! Pooled frame buffers.

use core::fmt;
use core::ops::{Deref, DerefMut};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// Bytes at the front of a fresh frame that are zeroed: no header is longer (Ethernet 14, IPv4 with options 60, TCP
/// with options 60). What follows is payload, which the stack always overwrites whole, so zeroing it would be waste.
const ZEROED: usize = 134;

/// A bounded store of idle buffers of one capacity.
///
/// Buffers are made when the pool is empty and freed when it is full, so it bounds only what lies idle; a device bounds
/// its queues. A clone is another handle to the same pool.
#[derive(Clone)]
pub struct Pool(Arc<Shelf>);

struct Shelf {
    idle: Mutex<Vec<Box<[u8]>>>,
    buffer: usize,
    most: usize,
}

impl Pool {
    /// A pool of buffers of `buffer` bytes that keeps at most `most` of them idle.
    #[must_use]
    pub fn new(buffer: usize, most: usize) -> Self {
        Self(Arc::new(Shelf { idle: Mutex::new(Vec::new()), buffer, most }))
    }

    /// A frame of `length` bytes. Headers are zero, the rest is arbitrary (zero or an earlier frame's).
    ///
    /// # Panics
    /// Where `length` is more than the pool's buffers hold: a bug in the device that asks.
    #[must_use]
    pub fn frame(&self, length: usize) -> Frame {
        let shelf = &self.0;
        assert!(length <= shelf.buffer, "a frame of {length} bytes from a pool of {}", shelf.buffer);
        let mut buffer = shelf.idle.lock().pop().unwrap_or_else(|| vec![0; shelf.buffer].into_boxed_slice());
        buffer[..length.min(ZEROED)].fill(0);
        Frame { buffer, length, home: Arc::downgrade(shelf) }
    }

    /// The capacity of the pool's buffers in bytes.
    #[must_use]
    pub fn buffer_length(&self) -> usize {
        self.0.buffer
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").field("buffer", &self.0.buffer).finish_non_exhaustive()
    }
}

/// One frame, as it is on the wire. Its buffer goes back to its pool when it is dropped.
pub struct Frame {
    buffer: Box<[u8]>,
    length: usize,
    home: Weak<Shelf>,
}

impl Frame {
    /// Shortens the frame to its first `length` bytes; a longer `length` changes nothing.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl DerefMut for Frame {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.length]
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let Some(shelf) = self.home.upgrade() {
            let mut idle = shelf.idle.lock();
            if idle.len() < shelf.most {
                idle.push(core::mem::take(&mut self.buffer));
            }
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Frame({} bytes)", self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_frame_is_used_again() {
        let pool = Pool::new(2048, 4);
        let mut frame = pool.frame(100);
        frame[99] = 7;
        let first = frame.as_ptr();
        drop(frame);
        let again = pool.frame(200);
        assert_eq!(again.as_ptr(), first);
        assert_eq!(again[99], 0, "headers of a used buffer are zeroed");
    }

    #[test]
    fn no_more_than_the_bound_lie_idle() {
        let pool = Pool::new(64, 2);
        let frames: Vec<_> = (0..5).map(|_| pool.frame(64)).collect();
        drop(frames);
        assert_eq!(pool.0.idle.lock().len(), 2);
    }

    #[test]
    fn a_frame_outlives_its_pool() {
        let frame = Pool::new(64, 2).frame(10);
        assert_eq!(frame.len(), 10);
    }
}
