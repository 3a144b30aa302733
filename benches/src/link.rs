//! A loopback link with an MTU of 1500 and without checksums.

use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::io;

use smoltcp::phy;
use xila_network_host::device::{Capabilities, Checksums, Device, Frame, Medium, Offloads, Pool};
use xila_network_host::platform::Instant;

/// The IP MTU: Ethernet's.
pub const MTU: usize = 1500;

/// The maximum number of frames in the queue.
const QUEUE: usize = 256;

/// The link. It is a [`Device`] for our stack, and through [`Wire`] a device for smoltcp.
///
/// It differs from the host crate's loopback only in its MTU: at 65535 a benchmark would measure memory copies.
#[derive(Debug)]
pub struct Link {
    pool: Pool,
    segments: Segments,
    queue: VecDeque<Frame>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// How TCP segments are put into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segments {
    /// One frame has the data of several segments, as in hubs within a process.
    Together,
    /// Each segment has its own frame.
    Single,
}

impl Default for Link {
    fn default() -> Self {
        Self::new(Segments::Single)
    }
}

impl Link {
    /// An empty link.
    #[must_use]
    pub fn new(segments: Segments) -> Self {
        let (pool, queue) = (Pool::new(MTU, QUEUE), VecDeque::with_capacity(QUEUE));
        Self { pool, segments, queue, reader: None, writer: None }
    }

    fn take(&mut self) -> Option<Frame> {
        let frame = self.queue.pop_front();
        if let Some(writer) = self.writer.take_if(|_| frame.is_some()) {
            writer.wake();
        }
        frame
    }

    fn room(&self) -> bool {
        self.queue.len() < QUEUE
    }
}

impl Device for Link {
    fn capabilities(&self) -> Capabilities {
        Capabilities { medium: Medium::Ip, mtu: MTU, checksums: Checksums::Omitted, max_burst: None, lossless: true }
    }

    fn receive(&mut self, _now: Instant) -> io::Result<Option<Frame>> {
        Ok(self.take())
    }

    fn allocate(&mut self, _now: Instant, length: usize) -> Option<Frame> {
        (self.room() && length <= MTU).then(|| self.pool.frame(length))
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
        if self.room() {
            return Poll::Ready(());
        }
        self.writer = Some(context.waker().clone());
        Poll::Pending
    }

    fn set_offloads(&mut self, _wanted: bool) -> Offloads {
        match self.segments {
            Segments::Together => Offloads { segmentation: 65535, checksums: false, datagrams: true },
            Segments::Single => Offloads::default(),
        }
    }

    fn loops_back(&self) -> bool {
        true
    }

    fn driver(&self) -> &'static str {
        "benchmark"
    }
}

/// The same link as a smoltcp device.
#[derive(Debug, Default)]
pub struct Wire(Link);

impl phy::Device for Wire {
    type RxToken<'a> = Received;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Received, Room<'_>)> {
        let frame = self.0.take()?;
        Some((Received(frame), Room(&mut self.0)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Room<'_>> {
        self.0.room().then_some(Room(&mut self.0))
    }

    fn capabilities(&self) -> phy::DeviceCapabilities {
        let mut capabilities = phy::DeviceCapabilities::default();
        capabilities.medium = phy::Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        capabilities.checksum = phy::ChecksumCapabilities::ignored();
        capabilities
    }
}

/// A received frame.
#[derive(Debug)]
pub struct Received(Frame);

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(&self.0)
    }
}

/// Room for a frame.
#[derive(Debug)]
pub struct Room<'a>(&'a mut Link);

impl phy::TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let mut frame = self.0.pool.frame(length);
        let result = fill(&mut frame);
        self.0.queue.push_back(frame);
        result
    }
}
