//! Reports of multicast groups: smoltcp writes them, but says to nobody when they are due, swaps joining and leaving, and
//! believes any query: one that names a unicast address as its group makes it panic when the report is written.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use smoltcp::phy::{DeviceCapabilities, Medium};
use smoltcp::wire::{EthernetFrame, Icmpv6Packet, IpProtocol, Ipv6Packet};

use super::Core;
use super::autoconfiguration::ALL_NODES;
use crate::address::is_unicast;
use crate::platform::Instant;

/// Every IPv4 host on a link (RFC 1112 section 4).
const ALL_SYSTEMS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);

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

/// Whether a query of IGMP is one that a host answers; `None` where it is not. It came from this link (time to live 1), from
/// a host or from a switch that has no address, and is about all groups, or about one and sent to that (RFC 2236 sections 2
/// and 9; RFC 3376 sections 4 and 4.1.12).
pub(super) fn check_igmp_query(source: IpAddr, destination: IpAddr, hop_limit: u8, message: &[u8]) -> Option<()> {
    let group: [u8; 4] = message.get(4..8)?.try_into().ok()?;
    let group = Ipv4Addr::from(group);
    let fits = group.is_unspecified() || group.is_multicast();
    let aimed = destination == IpAddr::V4(ALL_SYSTEMS) || (group.is_multicast() && destination == IpAddr::V4(group));
    (hop_limit == 1 && (source.is_unspecified() || is_unicast(source)) && fits && aimed).then_some(())
}

/// Whether a query of MLD is one that a host answers; `None` where it is not. It came from a router on this link, which
/// its hop limit, its link-local source and the router alert in its hop-by-hop `options` say (RFC 3810 sections 5.1.14 and 6.2),
/// and is about all groups, or about one and sent to that (section 5.1.15). Queries for a unicast address of the
/// interface, which that section has for debugging, are not taken.
pub(super) fn check_mld_query(
    source: IpAddr,
    destination: IpAddr,
    hop_limit: u8,
    options: &[u8],
    message: &[u8],
) -> Option<()> {
    let group: [u8; 16] = message.get(8..24)?.try_into().ok()?;
    let group = Ipv6Addr::from(group);
    let IpAddr::V6(source) = source else { return None };
    let fits = group.is_unspecified() || group.is_multicast();
    let aimed = destination == IpAddr::V6(ALL_NODES) || (group.is_multicast() && destination == IpAddr::V6(group));
    (hop_limit == 1 && source.is_unicast_link_local() && alerts_routers(options) && fits && aimed).then_some(())
}

/// Whether hop-by-hop options contain a router alert for MLD (RFC 2711 section 2.1).
fn alerts_routers(mut options: &[u8]) -> bool {
    const PAD1: u8 = 0;
    const ROUTER_ALERT: u8 = 5;
    while let Some((kind, rest)) = options.split_first() {
        if *kind == PAD1 {
            options = rest;
            continue;
        }
        let Some((length, rest)) = rest.split_first() else { return false };
        let Some((value, rest)) = rest.split_at_checked(usize::from(*length)) else { return false };
        if *kind == ROUTER_ALERT && value == [0, 0] {
            return true;
        }
        options = rest;
    }
    false
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
