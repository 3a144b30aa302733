//! The output of TCP segments.

use core::net::IpAddr;

use super::Interface;
use super::egress::{EtherType, Lead, write_link_header};
use crate::frame::{Frame, Transmitter};
use crate::ip::output::{Blocked, Checksums, Outlet, Packet};
use crate::ip::routes::NextHop;
use crate::ports::Owner;
use crate::time::Instant;

/// TCP data of up to this many bytes is copied into the frame after the headers, because that costs less than to keep
/// its memory.
const COPIED: usize = 512;

/// The output of TCP segments: an interface and its device.
pub struct Way<'a> {
    /// The interface.
    pub interface: &'a mut Interface,
    /// Its device.
    pub device: &'a mut dyn Transmitter,
    /// Whose segments they are.
    pub owner: Owner,
    /// The time.
    pub now: Instant,
    /// Whether segments without data are queued for an unresolved neighbour: answers, which nobody would send again.
    pub keeps: bool,
    /// Whether a neighbour is resolved even if this displaces another one of the same owner.
    pub displaces: bool,
    /// The neighbour that the last segment could not be sent to.
    pub wanted: Option<IpAddr>,
}

impl Outlet for Way<'_> {
    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Blocked> {
        let Self { interface, device, owner, now, keeps, displaces, wanted } = self;
        // A loopback link carries every local address of the process's interfaces.
        if !interface.link.loops_back && !interface.is_local(packet.source) {
            return Err(Blocked::Unreachable);
        }
        let next_hop = interface.way_to(packet.destination, *now).map_err(|_| Blocked::Unreachable)?;
        if !*displaces
            && let Some(NextHop { hop, .. }) = next_hop
            && !interface.may_ask(hop, *owner)
        {
            *wanted = Some(hop);
            return Err(Blocked::Unresolved);
        }
        let lead = interface.lead(packet.destination, next_hop, *owner, *now);
        if let Lead::Unresolved(hop) = lead {
            if *keeps && packet.payload.is_empty() {
                let mut bytes = alloc::vec![0; packet.length()];
                packet.emit(&mut bytes, true);
                return interface.wait(hop, *owner, bytes, *now).map_err(|_| Blocked::Unresolved);
            }
            *wanted = Some(hop);
            return Err(Blocked::Unresolved);
        }
        // The remaining fragments of an earlier packet go first.
        if !interface.backlog.flush(*device) {
            return Err(Blocked::Full);
        }
        let start = interface.link_header();
        let (head, length) = (packet.head_length(), packet.length());
        let is_apart = length - head > COPIED;
        let checksums = interface.link.offloaded_checksums();
        let frame = Frame {
            length: start + if is_apart { head } else { length },
            apart: if is_apart { packet.payload } else { &[] },
            segment: if is_apart { packet.segment } else { 0 },
            is_unchecked: checksums == Checksums::Partial,
        };
        let (own, family) = (interface.link.hardware, EtherType::of(packet.source));
        let sent = device.transmit(frame, &mut |into| {
            let (link, ip) = into.split_at_mut(start);
            write_link_header(link, own, lead, family);
            packet.emit_head(ip, checksums);
            if !is_apart {
                packet.copy_payload(&mut ip[head..]);
            }
        });
        if sent { Ok(()) } else { Err(Blocked::Full) }
    }

    fn longest(&self) -> usize {
        self.interface.link.segmentation
    }

    fn mtu(&self, destination: IpAddr) -> usize {
        self.interface.mtu_to(destination, self.now)
    }
}
