//! Multicast group membership: the groups that this host is a member of on an interface, and the reports about them to
//! routers and switches.
//!
//! This is the host side of IGMPv3 (RFC 3376) and MLDv2 (RFC 3810). While a querier of an older version is on the link,
//! it speaks IGMPv2 (RFC 2236), IGMPv1 (RFC 1112 appendix I) or MLDv1 (RFC 2710). Source filters are not supported: a
//! member accepts packets from every source, which the newer versions call EXCLUDE with an empty list. So a query about
//! some sources of a group is answered like a query about the group. That answer says more than was asked, but it is
//! true.
//!
//! | Module | Contents |
//! |---|---|
//! | `membership` | the memberships of one family, and when they are reported |
//! | `version` | which protocol version is spoken |
//! | `query` | parsing and checking of received messages |
//! | `message` | emitting of reports as IP packets |

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::EthernetAddress;
use thiserror::Error;

use crate::random::Random;
use crate::time::{Instant, earliest};
use membership::Memberships;
use message::Protocol;

mod membership;
mod message;
mod query;
#[cfg(test)]
mod tests;
mod version;

/// The default limit of groups per interface.
pub const DEFAULT_LIMIT: usize = 1024;

/// The groups of one interface, of both families.
///
/// The caller reports [joins](Self::join), [leaves](Self::leave), received [messages](Self::receive_igmp),
/// [addresses](Self::set_sources) and [link changes](Self::link_up). [`poll`](Self::poll) returns the packets to send,
/// and [`next_timeout`](Self::next_timeout) when to call it again; each of the calls above may change that time.
///
/// Each group has one record, however often it is joined or queried. The limit bounds the records of joined groups.
/// Each family may have as many more records for groups that were left, until the leave was reported often enough.
#[derive(Debug)]
pub struct Groups {
    limit: usize,
    v4: Memberships,
    v6: Memberships,
}

/// Why a group was not joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JoinError {
    /// The address is not a multicast address.
    #[error("not a multicast address")]
    NotAGroup,
    /// The interface is a member of as many groups as it may be, or this group was joined 2^32 times.
    #[error("too many memberships")]
    TooMany,
}

/// The group was left more often than it was joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a member of the group")]
pub struct NotMember;

/// The addresses of the interface from which reports are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// An IPv4 address. Without one nothing is sent over IPv4. RFC 3376 section 4.2.13 specifies 0.0.0.0 for that case,
    /// but the older versions do not, and an interface without an IPv4 address need not announce on the link that it
    /// supports IPv4.
    pub v4: Option<Ipv4Addr>,
    /// A link-local IPv6 address that is not tentative. Without one the source is the unspecified address, for switches
    /// that snoop reports (RFC 3590 section 4, RFC 3810 section 5.2.13): duplicate address detection needs its group
    /// before there is an address.
    pub v6_link_local: Option<Ipv6Addr>,
}

/// A received IGMP or MLD message.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The source address.
    pub source: IpAddr,
    /// The destination address.
    pub destination: IpAddr,
    /// The hop limit, or time to live.
    pub hop_limit: u8,
    /// The options of the IPv6 packet's hop-by-hop header, without its first two bytes; empty if there is none, and for
    /// IPv4.
    pub hop_by_hop: &'a [u8],
    /// The message from its type on, with the length given by the IP header.
    pub message: &'a [u8],
    /// Whether to verify the checksum. It is false if the device has verified it.
    pub verify: bool,
}

/// A packet to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The whole IP packet, with its checksums.
    pub packet: Vec<u8>,
    /// Its destination, a group; see [`multicast_hardware`].
    pub destination: IpAddr,
}

impl Groups {
    /// No memberships. At most `limit` groups of both families together can be joined. The link is assumed to be up;
    /// there are no addresses.
    ///
    /// All users of the interface share the limit. The caller must account for them, so that no one user fills it
    /// alone.
    #[must_use]
    pub fn new(limit: usize, random: &mut Random) -> Self {
        let v4 = Memberships::new(Protocol::Igmp, limit, random);
        let v6 = Memberships::new(Protocol::Mld, limit, random);
        Self { limit, v4, v6 }
    }

    /// Joins a group once more. Returns whether this was the first join.
    ///
    /// The first join is reported (RFC 3376 section 5.1, RFC 3810 section 6.1), unless the group is [never
    /// reported](Self::is_member).
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn join(&mut self, group: IpAddr, now: Instant) -> Result<bool, JoinError> {
        if !group.is_multicast() {
            return Err(JoinError::NotAGroup);
        }
        let is_full = self.len() >= self.limit;
        self.family(group).join(group, is_full, now)
    }

    /// Undoes one [`join`](Self::join). Returns whether it was the last one, which is reported.
    ///
    /// # Errors
    /// If the group was not joined.
    pub fn leave(&mut self, group: IpAddr, now: Instant) -> Result<bool, NotMember> {
        self.family(group).leave(group, now)
    }

    /// Whether packets for a group are for this host.
    ///
    /// Every host is a member of 224.0.0.1 (RFC 3376 section 5), ff01::1 and ff02::1 (RFC 4291 section 2.8) without
    /// joining. These are never reported, and neither are other IPv6 groups of reserved or interface-local scope (RFC
    /// 3810 section 6). Other link-local IPv4 groups, 224.0.0.0/24, are reported like any group: RFC 3376 exempts only
    /// 224.0.0.1, although switches must forward those groups anyway (RFC 4541 section 2.1.2).
    #[must_use]
    pub fn is_member(&self, group: IpAddr) -> bool {
        match group {
            IpAddr::V4(address) => address == message::ALL_SYSTEMS || self.v4.is_member(group),
            IpAddr::V6(address) => {
                matches!(address.segments(), [0xff01 | 0xff02, 0, 0, 0, 0, 0, 0, 1]) || self.v6.is_member(group)
            }
        }
    }

    /// The joined groups, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.iter().chain(self.v6.iter())
    }

    /// The number of joined groups.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether no group is joined.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Processes an IGMP message (protocol 2). Malformed messages, and those that are not for hosts, are ignored.
    pub fn receive_igmp(&mut self, received: &Received<'_>, now: Instant, random: &mut Random) {
        self.v4.receive(query::read_igmp(received), received.source, now, random);
    }

    /// Processes an MLD message (ICMPv6 types 130 to 132 and 143). Malformed messages, and those that are not for
    /// hosts, are ignored.
    pub fn receive_mld(&mut self, received: &Received<'_>, now: Instant, random: &mut Random) {
        self.v6.receive(query::read_mld(received), received.source, now, random);
    }

    /// Sets the source addresses of reports. If a family gets an address that it did not have, all its memberships are
    /// reported again (RFC 3590 section 4). If nothing has changed, this costs two comparisons.
    pub fn set_sources(&mut self, sources: Sources, now: Instant) {
        self.v4.set_source(sources.v4.map(IpAddr::V4), now);
        self.v6.set_source(sources.v6_link_local.map(IpAddr::V6), now);
    }

    /// The link is up, and may be another one: all memberships are reported again, and older versions that queriers
    /// have spoken are forgotten.
    pub fn link_up(&mut self, now: Instant) {
        self.v4.set_link(true, now);
        self.v6.set_link(true, now);
    }

    /// The link is down: nothing is due until it is [up](Self::link_up).
    pub fn link_down(&mut self, now: Instant) {
        self.v4.set_link(false, now);
        self.v6.set_link(false, now);
    }

    /// The next packet that is due by `now`; call it until it returns `None`. Reports are packed into packets of up to
    /// `mtu` bytes. A packet that cannot be sent may be dropped, because reports are repeated.
    pub fn poll(&mut self, now: Instant, mtu: usize, random: &mut Random) -> Option<Report> {
        self.v4.poll(now, mtu, random).or_else(|| self.v6.poll(now, mtu, random))
    }

    /// When to call [`poll`](Self::poll) again. Nothing may be due yet at that time.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        earliest([self.v4.next_timeout(), self.v6.next_timeout()])
    }

    /// The approximate memory held, in bytes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.v4.held() + self.v6.held()
    }

    const fn family(&mut self, group: IpAddr) -> &mut Memberships {
        match group {
            IpAddr::V4(_) => &mut self.v4,
            IpAddr::V6(_) => &mut self.v6,
        }
    }
}

/// The Ethernet address for packets to a group: 01:00:5e and the lower 23 bits of the group (RFC 1112 section 6.4), or
/// 33:33 and the lower 32 bits (RFC 2464 section 7). Several groups share one address.
#[must_use]
pub const fn multicast_hardware(group: IpAddr) -> EthernetAddress {
    match group {
        IpAddr::V4(group) => {
            let [_, second, third, fourth] = group.octets();
            EthernetAddress([0x01, 0x00, 0x5e, second & 0x7f, third, fourth])
        }
        IpAddr::V6(group) => {
            let [.., thirteenth, fourteenth, fifteenth, sixteenth] = group.octets();
            EthernetAddress([0x33, 0x33, thirteenth, fourteenth, fifteenth, sixteenth])
        }
    }
}
