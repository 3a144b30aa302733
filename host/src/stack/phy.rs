//! The engine's view of a device: smoltcp's `phy` traits over [`Device`].
//!
//! smoltcp sees either one received frame ([`Ingress`]) or room for frames to send ([`Egress`]), never the device
//! itself: which frame meets which sockets is the stack's decision.

use std::collections::VecDeque;

use smoltcp::phy;
use smoltcp::time::Instant as WireInstant;

use super::cut::{self, Cut};
use super::demux::glimpse;
use super::groups;
use crate::device::{Capabilities, Checksums, Device, Frame, Medium, Offloads};
use crate::platform::Instant;
use xila_network_commands::interface::Counters;
use xila_network_engine::ip::Paths;

/// What smoltcp needs to know of a device.
pub(super) fn capabilities(of: &Capabilities) -> phy::DeviceCapabilities {
    let mut capabilities = phy::DeviceCapabilities::default();
    capabilities.medium = match of.medium {
        Medium::Ethernet => phy::Medium::Ethernet,
        Medium::Ip => phy::Medium::Ip,
    };
    capabilities.max_transmission_unit = of.frame_length();
    capabilities.max_burst_size = of.max_burst;
    if of.checksums == Checksums::Omitted {
        capabilities.checksum = phy::ChecksumCapabilities::ignored();
    }
    capabilities
}

/// Pieces that wait for the device. One packet may be cut into more, answers to received frames may add to them.
const MOST_BEHIND: usize = 256;

/// The device as the stack holds it: with its properties at hand and the count of what leaves.
pub(super) struct Port {
    pub(super) device: Box<dyn Device>,
    pub(super) capabilities: phy::DeviceCapabilities,
    pub(super) offloads: Offloads,
    pub(super) sent: Counters,
    /// Where packets must be smaller than the device takes them.
    pub(super) paths: Paths,
    /// What the device had no room for of the last packet that was cut up. Nothing is built until it has left.
    behind: VecDeque<Vec<u8>>,
    /// The packet that is being cut up; memory that is used again.
    whole: Vec<u8>,
    /// Of the next packet that is cut into fragments.
    pub(super) identification: u16,
    /// The engine has panicked and has to be built anew.
    pub(super) broken: bool,
}

impl Port {
    pub(super) fn new(mut device: Box<dyn Device>) -> Self {
        let capabilities = capabilities(&device.capabilities());
        let offloads = device.set_offloads(true);
        Self {
            device,
            capabilities,
            offloads,
            sent: Counters::default(),
            paths: Paths::default(),
            behind: VecDeque::new(),
            whole: Vec::new(),
            identification: 0,
            broken: false,
        }
    }

    /// Sends a frame that smoltcp has built.
    pub(super) fn transmit(&mut self, now: Instant, mut frame: Frame) {
        groups::mend(&self.capabilities, &mut frame);
        self.transmit_whole(now, frame);
    }

    /// Sends a frame, in pieces where its path takes no longer ones.
    pub(super) fn transmit_whole(&mut self, now: Instant, frame: Frame) {
        if frame.segment().is_none()
            && self.paths.may_exceed(frame.len())
            && let Some(cut) = self.cut(now, &frame)
        {
            return self.transmit_cut(now, frame, &cut);
        }
        self.put(now, frame);
    }

    /// Sends what is left of a packet that was cut up; false where the device does not take it yet.
    pub(super) fn catch_up(&mut self, now: Instant) -> bool {
        while let Some(next) = self.behind.front() {
            let Some(mut frame) = self.device.allocate(now, next.len()) else { return false };
            frame.copy_from_slice(next);
            self.behind.pop_front();
            self.put(now, frame);
        }
        true
    }

    pub(super) fn is_behind(&self) -> bool {
        !self.behind.is_empty()
    }

    /// How to cut up a frame for its path, where it has to be.
    fn cut(&mut self, now: Instant, frame: &[u8]) -> Option<Cut> {
        let medium = self.capabilities.medium;
        let mtu = self.paths.mtu(cut::destination(medium, frame)?, now)?;
        self.identification = self.identification.wrapping_add(1);
        Cut::plan(medium, frame, mtu, self.identification)
    }

    /// Sends a frame in pieces. Room is asked for each when the one before has been sent, as the device counts them.
    fn transmit_cut(&mut self, now: Instant, mut frame: Frame, cut: &Cut) {
        let mut whole = core::mem::take(&mut self.whole);
        whole.clear();
        whole.extend_from_slice(&frame);
        frame.truncate(cut.length(0));
        cut.finish_first(&self.capabilities, &mut frame);
        self.put(now, frame);
        for piece in 1..cut.pieces() {
            let length = cut.length(piece);
            let room = if self.behind.is_empty() { self.device.allocate(now, length) } else { None };
            match room {
                Some(mut room) => {
                    cut.write(&whole, piece, &self.capabilities, &mut room);
                    self.put(now, room);
                }
                // As on a full link: peers repeat what matters.
                None if self.behind.len() >= MOST_BEHIND => self.sent.dropped += 1,
                None => {
                    let mut bytes = vec![0; length];
                    cut.write(&whole, piece, &self.capabilities, &mut bytes);
                    self.behind.push_back(bytes);
                }
            }
        }
        self.whole = whole;
    }

    fn put(&mut self, now: Instant, frame: Frame) {
        let length = frame.len() as u64;
        match self.device.transmit(now, frame) {
            Ok(()) => {
                self.sent.packets += 1;
                self.sent.bytes += length;
            }
            Err(error) => {
                self.sent.errors += 1;
                tracing::debug!(%error, "a frame was not sent");
            }
        }
    }
}

/// One received frame, and the device to answer it on.
pub(super) struct Ingress<'a> {
    pub(super) frame: Option<&'a [u8]>,
    pub(super) port: &'a mut Port,
    pub(super) now: Instant,
}

impl phy::Device for Ingress<'_> {
    type RxToken<'t>
        = Received<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Answer<'t>
    where
        Self: 't;

    fn receive(&mut self, _: WireInstant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let frame = self.frame.take()?;
        Some((Received(frame), Answer { port: self.port, now: self.now }))
    }

    fn transmit(&mut self, _: WireInstant) -> Option<Self::TxToken<'_>> {
        None
    }

    fn capabilities(&self) -> phy::DeviceCapabilities {
        self.port.capabilities.clone()
    }
}

pub(super) struct Received<'a>(&'a [u8]);

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, take: F) -> R {
        take(self.0)
    }
}

/// The right to answer a received frame. Room is asked for only when there is an answer; if there is none, the answer
/// is lost, as it would be on a full link: peers repeat what matters.
pub(super) struct Answer<'a> {
    port: &'a mut Port,
    now: Instant,
}

impl phy::TxToken for Answer<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        match self.port.device.allocate(self.now, length) {
            Some(mut frame) => {
                let result = fill(&mut frame);
                self.port.transmit(self.now, frame);
                result
            }
            None => {
                self.port.sent.dropped += 1;
                fill(&mut vec![0; length])
            }
        }
    }
}

/// Room for frames to send, and what became of it.
pub(super) struct Egress<'a> {
    pub(super) port: &'a mut Port,
    pub(super) now: Instant,
    pub(super) outcome: Outcome,
}

/// What an egress poll did with the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// There was no room for a frame.
    pub(super) exhausted: bool,
    /// A frame was about to be sent.
    pub(super) attempted: bool,
    /// The packet itself was sent, and not a neighbour solicitation for it.
    pub(super) carried: bool,
    /// A neighbour solicitation was sent instead.
    pub(super) solicited: bool,
    /// The transaction of the DHCP client's message that was sent.
    pub(super) transaction: Option<u32>,
    /// The engine panicked over it.
    pub(super) panicked: bool,
}

impl Outcome {
    /// The packet stayed behind because its next hop's hardware address is not known yet.
    pub(super) const fn awaits_neighbour(&self) -> bool {
        self.attempted && !self.carried && !self.exhausted && !self.panicked
    }
}

impl phy::Device for Egress<'_> {
    type RxToken<'t>
        = Received<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Room<'t>
    where
        Self: 't;

    fn receive(&mut self, _: WireInstant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        None
    }

    /// Room for the largest frame is reserved before smoltcp builds one: once it has, it takes the packet as sent.
    fn transmit(&mut self, _: WireInstant) -> Option<Self::TxToken<'_>> {
        if !self.port.catch_up(self.now) {
            self.outcome.exhausted = true;
            return None;
        }
        match self.port.device.allocate(self.now, self.port.capabilities.max_transmission_unit) {
            Some(frame) => {
                self.outcome.attempted = true;
                Some(Room { frame, port: self.port, now: self.now, outcome: &mut self.outcome })
            }
            None => {
                self.outcome.exhausted = true;
                None
            }
        }
    }

    fn capabilities(&self) -> phy::DeviceCapabilities {
        self.port.capabilities.clone()
    }
}

pub(super) struct Room<'a> {
    frame: Frame,
    port: &'a mut Port,
    now: Instant,
    outcome: &'a mut Outcome,
}

impl phy::TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let Self { mut frame, port, now, outcome } = self;
        frame.truncate(length);
        let result = fill(&mut frame);
        let seen = glimpse(port.capabilities.medium, &frame);
        outcome.carried = !seen.solicitation;
        outcome.solicited |= seen.solicitation;
        outcome.transaction = seen.transaction.or(outcome.transaction);
        port.transmit(now, frame);
        result
    }
}
