//! Network devices: where frames come from and go to.
//!
//! A [`Device`] is a non-blocking queue of received frames and a queue of frames to send. It signals readiness through
//! wakers, so that nothing polls on an interval. Frames are [`Frame`]s, buffers that return to the pool they came from,
//! so that a steady stream of packets allocates nothing and an in-process link moves a frame without copying it.
//!
//! | Device | Is |
//! |---|---|
//! | [`loopback`] | a stack's link to itself: MTU 65535, no checksums |
//! | [`hub`] | an Ethernet segment inside the process, with latency, loss and their kin as seeded options |
//! | [`tap`] | a Linux TAP interface |
//! | [`pcap`] | a wrapper that writes what passes through another device to a capture file |
//! | [`polled`] | a wrapper for a plain [`smoltcp::phy::Device`], which cannot signal and is polled on an interval |

pub mod controller;
pub mod frame;
pub mod hub;
pub mod loopback;
pub mod pcap;
mod plain;
pub mod polled;
#[cfg(all(feature = "tap", target_os = "linux"))]
pub mod tap;

use core::task::{Context, Poll};
use std::io;
use std::sync::Arc;

pub use controller::{Controller, Plain};
pub use frame::{Frame, Pool};
pub use xila_network_commands::interface::Link;

use crate::platform::Instant;

/// What a device carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Ethernet frames without preamble and check sequence; neighbours are found by ARP and NDP.
    Ethernet,
    /// Bare IP packets.
    Ip,
}

/// Whether the stack computes and verifies IP, TCP, UDP and ICMP checksums on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksums {
    /// In software, both ways.
    Computed,
    /// Neither way: the link cannot corrupt a frame, or the device does the work.
    Omitted,
}

/// The fixed properties of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// What the device carries.
    pub medium: Medium,
    /// The IP MTU: the largest IP packet in bytes, without the Ethernet header. 1280 to 65535.
    pub mtu: usize,
    /// Who checks.
    pub checksums: Checksums,
    /// How many frames the device takes or gives at once, where it knows.
    pub max_burst: Option<usize>,
    /// Whether packets can be lost or wait in the path. A link without either (loopback) needs no congestion control,
    /// no delayed acknowledgement and no Nagle.
    pub lossless: bool,
}

impl Capabilities {
    /// The largest frame in bytes: the IP MTU and the link header.
    #[must_use]
    pub const fn frame_length(&self) -> usize {
        self.mtu
            + match self.medium {
                Medium::Ethernet => ETHERNET_HEADER,
                Medium::Ip => 0,
            }
    }
}

/// What a device and its stack do for each other beyond carrying frames of the MTU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// The longest IP packet, in bytes, with the data of several TCP segments in it ([`Frame::segment`]) that the device cuts
    /// apart, or hands on whole to who takes it; it may be given such too. 0 for none.
    pub segmentation: usize,
    /// The device completes the checksums of TCP and UDP, and tells of those that it has verified ([`Frame::is_unchecked`]).
    pub checksums: bool,
    /// Such a packet may also have several datagrams of UDP in it.
    pub datagrams: bool,
}

/// Bytes of an Ethernet header without VLAN tag (IEEE 802.3 clause 3).
pub const ETHERNET_HEADER: usize = 14;

/// A non-blocking source and sink of frames, owned and driven by one stack.
///
/// No method blocks, and none may wait for a lock that is held across an `.await`. All are called under the stack's
/// lock, so they must be short.
pub trait Device: Send + 'static {
    /// The device's properties. They do not change while it is mounted.
    fn capabilities(&self) -> Capabilities;

    /// Takes the next frame that has arrived by `now`, oldest first; `None` when there is none.
    ///
    /// # Errors
    /// A failure of the device is returned once. A device that cannot go on then reports [`Link::Down`], has no frames,
    /// takes none (by discarding them) and stays pending in `poll_readable`.
    fn receive(&mut self, now: Instant) -> io::Result<Option<Frame>>;

    /// An empty frame of `length` bytes to be filled and given to [`transmit`](Self::transmit), or `None` while the
    /// transmit queue is full. The content is arbitrary. A frame that is dropped instead of transmitted frees its place.
    fn allocate(&mut self, now: Instant, length: usize) -> Option<Frame>;

    /// Queues a frame from [`allocate`](Self::allocate) for sending.
    ///
    /// # Errors
    /// As for [`receive`](Self::receive); the frame is lost.
    fn transmit(&mut self, now: Instant, frame: Frame) -> io::Result<()>;

    /// Ready when [`receive`](Self::receive) may return a frame or an error; otherwise the waker is kept (the latest
    /// one only) and woken then.
    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// Ready when [`allocate`](Self::allocate) may succeed; otherwise the waker is kept (the latest one only) and woken
    /// then.
    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// A stack takes the device, and takes frames with several segments and without checksums where the device has some
    /// (`wanted`), or gives it back. Returns what the device does. One that does nothing of it, or a wrapper that does not pass
    /// this on, gets and gives frames as they are on the wire.
    fn set_offloads(&mut self, wanted: bool) -> Offloads {
        let _ = wanted;
        Offloads::default()
    }

    /// Whether the link carries frames. A change wakes the waker of `poll_readable`.
    fn link(&self) -> Link {
        Link::Up
    }

    /// Whether the device receives what it transmits, at once: a loopback. The stack then looks for frames right after
    /// it has sent some, in the caller, without waiting for a wake-up.
    fn loops_back(&self) -> bool {
        false
    }

    /// The name of the driver, as interface listings show it: `loopback`, `hub`, `tap`, ...
    fn driver(&self) -> &'static str;

    /// Who answers the commands that the stack does not know. It may be asked while the device is in use, and after it
    /// was unmounted.
    fn controller(&self) -> Arc<dyn Controller> {
        Arc::new(Plain::of(self))
    }
}

impl<D: Device + ?Sized> Device for Box<D> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    fn receive(&mut self, now: Instant) -> io::Result<Option<Frame>> {
        (**self).receive(now)
    }

    fn allocate(&mut self, now: Instant, length: usize) -> Option<Frame> {
        (**self).allocate(now, length)
    }

    fn transmit(&mut self, now: Instant, frame: Frame) -> io::Result<()> {
        (**self).transmit(now, frame)
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        (**self).poll_readable(context)
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        (**self).poll_writable(context)
    }

    fn set_offloads(&mut self, wanted: bool) -> Offloads {
        (**self).set_offloads(wanted)
    }

    fn link(&self) -> Link {
        (**self).link()
    }

    fn loops_back(&self) -> bool {
        (**self).loops_back()
    }

    fn driver(&self) -> &'static str {
        (**self).driver()
    }

    fn controller(&self) -> Arc<dyn Controller> {
        (**self).controller()
    }
}
