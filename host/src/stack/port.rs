//! The device of a stack, and the counters of sent frames.

use std::panic::{AssertUnwindSafe, catch_unwind};

use xila_network_commands::interface::Counters;
use xila_network_engine::frame::{Frame, Transmitter};

use crate::device::{Device, Offloads};
use crate::platform::Instant;

/// A device, the offloads that it does for the stack, and the counters of what was sent.
pub(super) struct Port {
    pub(super) device: Box<dyn Device>,
    pub(super) offloads: Offloads,
    pub(super) sent: Counters,
    /// The number of packets on the link: the device cuts a large frame into several.
    pub(super) packets_on_link: u64,
    /// The time of the present call.
    pub(super) now: Instant,
}

impl Port {
    pub(super) fn new(mut device: Box<dyn Device>, now: Instant) -> Self {
        let offloads = device.set_offloads(true);
        Self { device, offloads, sent: Counters::default(), packets_on_link: 0, now }
    }
}

impl Transmitter for Port {
    fn transmit(&mut self, frame: Frame<'_>, write: &mut dyn FnMut(&mut [u8])) -> bool {
        let Some(mut room) = self.device.allocate(self.now, frame.length) else { return false };
        write(&mut room[..]);
        let mut packets = 1;
        if !frame.apart.is_empty() {
            if frame.segment > 0 {
                let apart: usize = frame.apart.iter().map(|slice| slice.len()).sum();
                packets = apart.div_ceil(frame.segment).max(1) as u64;
            }
            room.attach(frame.apart);
            room.set_segment(frame.segment);
        }
        room.set_unchecked(frame.is_unchecked);
        let length = room.len() as u64;
        // A panic of the device only loses the frame, as any link may.
        match catch_unwind(AssertUnwindSafe(|| self.device.transmit(self.now, room))) {
            Ok(Ok(())) => {
                self.sent.packets += 1;
                self.sent.bytes += length;
                self.packets_on_link += packets;
            }
            Ok(Err(error)) => {
                self.sent.errors += 1;
                tracing::debug!(%error, "a frame was not sent");
            }
            Err(_) => {
                self.sent.errors += 1;
                tracing::error!("a device has panicked over a frame, which is lost");
            }
        }
        true
    }
}
