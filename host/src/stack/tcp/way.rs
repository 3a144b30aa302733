//! The way out of the engine: next hops, hardware addresses, room on the device.

use core::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

use smoltcp::wire::{EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr};
use xila_network_engine::ip::output::{Blocked, Checksums, Outlet, Packet};

use crate::address::MacAddress;
use crate::device::{ETHERNET_HEADER, Medium};
use crate::platform::Instant;
use crate::stack::addresses::Address;
use crate::stack::neighbours::{Known, Neighbours};
use crate::stack::phy::Port;
use crate::stack::routes::{self, Entry};

/// Data up to this many bytes is copied behind the headers: that costs less than to keep the memory that it lies in.
const COPIED: usize = 512;

/// What of a stack a segment needs in order to leave.
pub(in crate::stack) struct Way<'a> {
    pub(super) port: &'a mut Port,
    pub(super) addresses: &'a [Address],
    pub(super) routes: &'a [Entry],
    pub(super) neighbours: &'a Neighbours,
    /// The interface's IP MTU.
    pub(super) mtu: usize,
    pub(super) hardware: Option<MacAddress>,
    /// The next hop whose hardware address is to be asked for.
    pub(super) wanted: Option<IpAddr>,
    pub(super) now: Instant,
}

impl Way<'_> {
    /// The hardware address that leads to a destination.
    fn resolve(&mut self, destination: IpAddr) -> Result<EthernetAddress, Blocked> {
        let hop = routes::next_hop(self.addresses, self.routes, destination).ok_or(Blocked::Unreachable)?;
        match self.neighbours.find(hop, self.now) {
            Some(Known { hardware, fresh }) => {
                // Asked in passing, so that it is known still when it is needed next.
                self.wanted = (!fresh).then_some(hop).or(self.wanted);
                Ok(EthernetAddress(hardware.octets()))
            }
            None => {
                self.wanted = Some(hop);
                Err(Blocked::Unresolved)
            }
        }
    }

    fn has_address(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|known| known.cidr.address() == address)
    }
}

impl Outlet for Way<'_> {
    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Blocked> {
        // A loopback carries every local address of the process's interfaces.
        if !self.port.device.loops_back() && !self.has_address(packet.source) {
            return Err(Blocked::Unreachable);
        }
        let header = match (self.port.device.capabilities().medium, self.hardware) {
            (Medium::Ethernet, Some(own)) => {
                let ethertype = match packet.source {
                    IpAddr::V4(_) => EthernetProtocol::Ipv4,
                    IpAddr::V6(_) => EthernetProtocol::Ipv6,
                };
                let dst_addr = self.resolve(packet.destination)?;
                Some(EthernetRepr { src_addr: EthernetAddress(own.octets()), dst_addr, ethertype })
            }
            (Medium::Ethernet, None) => return Err(Blocked::Unreachable),
            (Medium::Ip, _) => None,
        };
        // The rest of a packet that was cut up goes first.
        if !self.port.catch_up(self.now) {
            return Err(Blocked::Full);
        }
        let start = if header.is_some() { ETHERNET_HEADER } else { 0 };
        let (head, length) = (packet.head_length(), packet.length());
        let apart = length - head > COPIED;
        let room = self.port.device.allocate(self.now, start + if apart { head } else { length });
        let Some(mut frame) = room else { return Err(Blocked::Full) };
        let bytes = &mut frame[..];
        if let Some(header) = header {
            header.emit(&mut EthernetFrame::new_unchecked(&mut *bytes));
        }
        let checksums = match self.port.capabilities.checksum.tcp.tx() {
            true if self.port.offloads.checksums => Checksums::Partial,
            true => Checksums::All,
            false => Checksums::None,
        };
        packet.emit_head(&mut bytes[start..], checksums);
        if apart {
            frame.attach(packet.payload);
            frame.set_segment(packet.segment);
        } else {
            packet.copy_payload(&mut bytes[start + head..]);
        }
        frame.set_unchecked(checksums == Checksums::Partial);
        // A device that panics loses the frame, as any link may, and nothing else.
        let sent = catch_unwind(AssertUnwindSafe(|| self.port.transmit_whole(self.now, frame)));
        if sent.is_err() {
            tracing::error!("a device has panicked over a frame, which is lost");
        }
        Ok(())
    }

    fn longest(&self) -> usize {
        self.port.offloads.segmentation
    }

    fn mtu(&self, destination: IpAddr) -> usize {
        self.port.paths.mtu(destination, self.now).map_or(self.mtu, |known| known.min(self.mtu))
    }
}
