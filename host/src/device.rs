//! Network devices, from which a stack receives frames and to which it sends them.
//!
//! A [`Device`] is a non-blocking queue of received frames and a queue of frames to send. It signals readiness through
//! wakers, so that nothing is polled on an interval. Frames are [`Frame`]s: buffers that return to the pool that they
//! came from. So a steady stream of packets allocates nothing, and an in-process link moves a frame without copying it.
//!
//! | Module | Device |
//! |---|---|
//! | [`loopback`] | a stack's link to itself: MTU 65535, no checksums |
//! | [`hub`] | an Ethernet segment inside the process, with optional latency, jitter, loss, duplication and reordering, which are reproducible by a seed |
//! | [`tap`] | a Linux TAP interface |
//! | [`pcap`] | a wrapper that writes the frames of another device to a capture file |
//! | `intercepted` | a wrapper that shows received frames to an interceptor, and sends others than the stack's |
//! | [`polled`] | a wrapper for a plain [`smoltcp::phy::Device`], which cannot signal and is polled on an interval |

pub mod controller;
pub mod frame;
pub mod hub;
pub(crate) mod intercepted;
pub mod loopback;
pub mod pcap;
mod plain;
pub mod polled;
#[cfg(all(feature = "tap", target_os = "linux"))]
pub mod tap;

use core::task::{Context, Poll};
use std::io;
use std::sync::Arc;

pub use xila_network_commands::interface::Link;

pub use controller::{Controller, Plain};
pub use frame::{Frame, Pool};

use crate::platform::Instant;

/// The kind of frames that a device carries.
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
    /// The stack computes checksums in software and verifies those of received packets.
    Computed,
    /// The stack does neither: the link cannot corrupt a frame, or the device does the work.
    Omitted,
}

/// The fixed properties of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The kind of frames that the device carries.
    pub medium: Medium,
    /// The IP MTU: the largest IP packet in bytes, without the Ethernet header. 1280 to 65535.
    pub mtu: usize,
    /// Whether the stack computes and verifies checksums.
    pub checksums: Checksums,
    /// The number of frames that the device can send or receive at once, if it knows.
    pub max_burst: Option<usize>,
    /// Whether the link neither loses nor delays packets. Such a link (a loopback) needs no congestion control, no
    /// delayed acknowledgements and no Nagle algorithm.
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

/// The offloads of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// The maximum length in bytes of an IP packet with the data of several TCP segments ([`Frame::segment`]). The
    /// device splits such a packet into segments, or passes it on whole to a receiver that accepts it. The stack may
    /// receive such packets, too. 0: none.
    pub segmentation: usize,
    /// The device completes the checksums of TCP and UDP, and marks received frames whose checksum it has verified
    /// ([`Frame::is_unchecked`]).
    pub checksums: bool,
    /// Such a packet may also have the data of several UDP datagrams.
    pub datagrams: bool,
}

/// The length of an Ethernet header without a VLAN tag, in bytes (IEEE 802.3 clause 3).
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

    /// Switches the offloads of the device on (`wanted`) when a stack takes the device that accepts them, and off when
    /// the stack gives it back. Returns the offloads that the device has. A device without any, or a wrapper that does
    /// not forward this call, sends and receives frames as they are on the wire.
    fn set_offloads(&mut self, wanted: bool) -> Offloads {
        let _ = wanted;
        Offloads::default()
    }

    /// Whether the link carries frames. A change wakes the waker of `poll_readable`.
    fn link(&self) -> Link {
        Link::Up
    }

    /// Whether the device is a loopback: it receives what it transmits, at once. The stack then receives right after it
    /// has sent, in the caller, without waiting for a wake-up.
    fn loops_back(&self) -> bool {
        false
    }

    /// The name of the driver in listings of interfaces: `loopback`, `hub`, `tap`, ...
    fn driver(&self) -> &'static str;

    /// The controller, which answers the commands that the stack does not know. It may be called while the device is in
    /// use, and after it was unmounted.
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
