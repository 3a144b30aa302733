//! Reports of multicast groups: smoltcp writes them, but says to nobody when they are due, and swaps joining and leaving.

use core::time::Duration;

use smoltcp::phy::{DeviceCapabilities, Medium};
use smoltcp::wire::{EthernetFrame, Icmpv6Packet, IpProtocol, Ipv6Packet};

use super::Core;
use crate::platform::Instant;

/// How often the engine is asked whether an answer to a query is due.
const LOOK: Duration = Duration::from_millis(100);
/// The longest time that a query leaves for its answers (RFC 2236 section 2.2: 255 tenths of a second).
const LONGEST: Duration = Duration::from_millis(25_500);

/// A version 2 report of listeners, and its records that say which filter a group has from now on (RFC 3810 sections 5.2.12).
const MLD_REPORT: u8 = 143;
const CHANGE_TO_INCLUDE: u8 = 3;
const CHANGE_TO_EXCLUDE: u8 = 4;

/// While answers to a query may be due.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Queried {
    next: Option<Instant>,
    until: Instant,
}

impl Core {
    /// A router asks who is a member of which groups.
    pub(super) fn groups_queried(&mut self) {
        self.queried = Queried { next: Some(self.now + LOOK), until: self.now + LONGEST };
    }

    /// When the engine is to be asked again.
    pub(super) const fn groups_next(&self) -> Option<Instant> {
        self.queried.next
    }

    pub(super) fn groups_expire(&mut self) {
        self.icmp.reports_pending = true;
        self.queried.next = Some(self.now + LOOK).filter(|next| *next <= self.queried.until);
    }
}

/// Turns a report of a joined group into one. To join is to exclude no source, to leave is to include none (RFC 3810 section
/// 6.1); smoltcp 0.14 has it the other way round, and a switch that believes it takes every member for gone.
pub(super) fn mend(capabilities: &DeviceCapabilities, frame: &mut [u8]) -> Option<()> {
    let ip = match capabilities.medium {
        Medium::Ethernet => EthernetFrame::<&[u8]>::header_len(),
        _ => 0,
    };
    let packet = frame.get_mut(ip..)?;
    // The fixed places of what the engine writes: an IPv6 header, eight bytes with the router alert, the report.
    if *packet.first()? >> 4 != 6 || *packet.get(6)? != u8::from(IpProtocol::HopByHop) || *packet.get(48)? != MLD_REPORT
    {
        return None;
    }
    let header = Ipv6Packet::new_unchecked(&*packet);
    let (source, destination) = (header.src_addr(), header.dst_addr());
    let report = packet.get_mut(48..)?;
    let record = report.get_mut(8)?;
    *record = match *record {
        CHANGE_TO_INCLUDE => CHANGE_TO_EXCLUDE,
        CHANGE_TO_EXCLUDE => CHANGE_TO_INCLUDE,
        _ => return None,
    };
    if capabilities.checksum.icmpv6.tx() {
        Icmpv6Packet::new_checked(report).ok()?.fill_checksum(&source, &destination);
    }
    Some(())
}
