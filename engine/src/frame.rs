//! Frames that leave: the boundary between the engine and a device.

use crate::buffer::Slice;

/// A frame that is about to leave.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The bytes that the engine writes: the link header and the part of the packet that is not in `apart`.
    pub length: usize,
    /// The rest of the packet, by reference.
    pub apart: &'a [Slice],
    /// If the packet is longer than its path allows: how many bytes of data each segment has that the device must cut
    /// it into. Otherwise 0.
    pub segment: usize,
    /// The transport checksum covers only the pseudo-header so far: the device completes it.
    pub is_unchecked: bool,
}

impl Frame<'_> {
    /// A complete frame in one piece, exactly as it is on the wire.
    #[must_use]
    pub const fn plain(length: usize) -> Self {
        Self { length, apart: &[], segment: 0, is_unchecked: false }
    }
}

/// A device that takes frames to send.
pub trait Transmitter {
    /// Takes a whole frame, or returns false if there is no space for it. If there is space, `write` is called once
    /// with memory of the frame's length, whose previous content is arbitrary.
    fn transmit(&mut self, frame: Frame<'_>, write: &mut dyn FnMut(&mut [u8])) -> bool;
}
