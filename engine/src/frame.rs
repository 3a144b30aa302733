//! Frames that leave: the seam between the engine and a device.

use crate::buffer::Slice;

/// A frame that is about to leave.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Bytes that the engine writes: link header and packet, as far as that does not lie apart.
    pub length: usize,
    /// The rest of it, by reference.
    pub apart: &'a [Slice],
    /// Where it is longer than its path takes: how many bytes of data each segment is to have that it is cut into. Else
    /// 0.
    pub segment: usize,
    /// Its transport checksum is that of the addresses alone: the device does the rest.
    pub is_unchecked: bool,
}

impl Frame<'_> {
    /// A frame that lies in one piece, as it is on the wire.
    #[must_use]
    pub const fn plain(length: usize) -> Self {
        Self { length, apart: &[], segment: 0, is_unchecked: false }
    }
}

/// Who takes frames that leave.
pub trait Transmitter {
    /// Takes a frame, all of it or nothing: false while there is no room. Where there is, `write` is called once with
    /// memory of the frame's length, whose content is arbitrary before.
    fn transmit(&mut self, frame: Frame<'_>, write: &mut dyn FnMut(&mut [u8])) -> bool;
}
