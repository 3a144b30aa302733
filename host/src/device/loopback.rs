//! The loopback device.

use core::fmt;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use xila_network_commands::drivers::loopback::GetQueueLength;
use xila_network_commands::interface::Kind;
use xila_network_commands::{Command, CommandId};

use super::controller::execute;
use super::{Capabilities, Checksums, Controller, Device, Frame, Medium, Offloads, Pool};
use crate::error::{Error, Result};
use crate::platform::Instant;

/// The maximum length of an IP packet.
const MTU: usize = 65535;

/// The maximum number of frames that wait.
const QUEUE: usize = 256;

/// The number of unused large buffers that are kept.
const IDLE: usize = 64;

/// A device that receives what it sends: in order, without loss, without a copy and without checksums.
///
/// It holds 256 frames. When it is full, [`allocate`](Device::allocate) returns no frame until one is received.
pub struct Loopback {
    pool: Pool,
    queue: VecDeque<Frame>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Loopback {
    /// A loopback device with an empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self { pool: Pool::new(MTU, IDLE), queue: VecDeque::with_capacity(QUEUE), reader: None, writer: None }
    }
}

impl Default for Loopback {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Loopback {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Loopback").field("waiting", &self.queue.len()).finish_non_exhaustive()
    }
}

impl Device for Loopback {
    fn capabilities(&self) -> Capabilities {
        Capabilities { medium: Medium::Ip, mtu: MTU, checksums: Checksums::Omitted, max_burst: None, lossless: true }
    }

    fn receive(&mut self, _now: Instant) -> io::Result<Option<Frame>> {
        let frame = self.queue.pop_front();
        if let Some(writer) = self.writer.take_if(|_| frame.is_some()) {
            writer.wake();
        }
        Ok(frame)
    }

    fn allocate(&mut self, _now: Instant, length: usize) -> Option<Frame> {
        (self.queue.len() < QUEUE && length <= MTU).then(|| self.pool.frame(length))
    }

    fn transmit(&mut self, _now: Instant, frame: Frame) -> io::Result<()> {
        self.queue.push_back(frame);
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Ok(())
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.queue.is_empty() {
            self.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.queue.len() >= QUEUE {
            self.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn set_offloads(&mut self, _wanted: bool) -> Offloads {
        // No segment is longer than the MTU, but several datagrams may be passed in one frame.
        Offloads { segmentation: MTU, checksums: false, datagrams: true }
    }

    fn loops_back(&self) -> bool {
        true
    }

    fn controller(&self) -> Arc<dyn Controller> {
        Arc::new(LoopbackController)
    }

    fn driver(&self) -> &'static str {
        "loopback"
    }
}

/// Answers the commands of a loopback.
struct LoopbackController;

impl Controller for LoopbackController {
    fn kind(&self) -> Kind {
        Kind::Loopback
    }

    fn control(&self, command: CommandId, input: &[u8], output: &mut Vec<u8>) -> Result<()> {
        match command {
            GetQueueLength::ID => execute::<GetQueueLength>(input, output, |()| Ok(QUEUE as u32)),
            _ => Err(Error::NotSupported),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::platform::counted::Count;

    const NOW: Instant = Instant::ORIGIN;

    fn send(device: &mut Loopback, length: usize, mark: u8) -> Option<*const u8> {
        let mut frame = device.allocate(NOW, length)?;
        frame[0] = mark;
        let address = frame.as_ptr();
        device.transmit(NOW, frame).unwrap();
        Some(address)
    }

    #[test]
    fn frames_come_back_in_order_and_uncopied() {
        let mut device = Loopback::new();
        let sent: Vec<_> = [20, 2048, 2049, 65535]
            .into_iter()
            .zip(1..)
            .map(|(length, mark)| (length, mark, send(&mut device, length, mark).unwrap()))
            .collect();
        for (length, mark, address) in sent {
            let frame = device.receive(NOW).unwrap().unwrap();
            assert_eq!((frame.len(), frame[0], frame.as_ptr()), (length, mark, address));
        }
        assert!(device.receive(NOW).unwrap().is_none());
    }

    #[test]
    fn a_full_queue_holds_back_the_sender_and_a_receive_wakes_it() {
        let mut device = Loopback::new();
        for _ in 0..QUEUE {
            send(&mut device, 40, 0).unwrap();
        }
        assert!(device.allocate(NOW, 40).is_none());
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        assert!(device.poll_writable(&mut Context::from_waker(&waker)).is_pending());
        device.receive(NOW).unwrap().unwrap();
        assert_eq!(count.get(), 1);
        assert!(device.poll_writable(&mut Context::from_waker(&waker)).is_ready());
        send(&mut device, 40, 0).unwrap();
    }

    #[test]
    fn a_frame_wakes_the_reader_once() {
        let mut device = Loopback::new();
        let count = Arc::new(Count::default());
        let waker = Waker::from(count.clone());
        assert!(device.poll_readable(&mut Context::from_waker(&waker)).is_pending());
        send(&mut device, 40, 0);
        send(&mut device, 40, 0);
        assert_eq!(count.get(), 1);
        assert!(device.poll_readable(&mut Context::from_waker(&waker)).is_ready());
    }

    #[test]
    fn a_frame_dropped_instead_of_sent_takes_no_place_and_one_too_long_is_refused() {
        let mut device = Loopback::new();
        for _ in 0..2 * QUEUE {
            assert!(device.allocate(NOW, 40).is_some());
        }
        assert!(device.allocate(NOW, MTU + 1).is_none());
        assert!(device.receive(NOW).unwrap().is_none());
    }
}
