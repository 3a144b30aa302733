//! Multicast groups: which ones this host is a member of on an interface, and what it tells routers and switches of
//! them.
//!
//! This is the host's side of IGMPv3 (RFC 3376) and MLDv2 (RFC 3810). While a querier of an older version is on the
//! link, it is that of IGMPv2 (RFC 2236), IGMPv1 (RFC 1112 appendix I) or MLDv1 (RFC 2710). Source filters are left
//! out: a member takes what anyone sends to the group, which the newer versions call EXCLUDE with an empty list. So a
//! query about some sources of a group is answered as one about the group: that says more than was asked, and nothing
//! that is not so.
//!
//! | Room | Holds |
//! |---|---|
//! | `membership` | the memberships of one family, and when they are reported |
//! | `version` | whose version of the protocol is spoken |
//! | `query` | what others send: read and checked |
//! | `message` | what is sent, as IP packets |

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

/// The limit of groups per interface, for a caller that knows no better one.
pub const DEFAULT_LIMIT: usize = 1024;

/// The groups of one interface, of both families.
///
/// It is told of [joins](Self::join), [leaves](Self::leave), [messages](Self::receive_igmp) that arrive,
/// [addresses](Self::set_sources) and the [link](Self::link_up). [`poll`](Self::poll) gives what is to be sent, and
/// [`next_timeout`](Self::next_timeout) says when to ask it again; that changes with each of the calls above.
///
/// Each group has one record, however often it is joined or asked about. There are as many records as the limit says,
/// and as many again, of each family, for groups that were left and of which this has not been said as often as it is
/// to be.
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
    /// The interface is a member of as many groups as it may be, or has been told 2^32 times to join this one.
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
    /// An IPv4 address. Without one nothing is sent over IPv4. RFC 3376 section 4.2.13 has 0.0.0.0 for that case, but
    /// the older versions do not, and an interface that has no IPv4 address need not say on the link that it speaks
    /// IPv4.
    pub v4: Option<Ipv4Addr>,
    /// A link-local IPv6 address, which is not tentative any more. Without one the unspecified address is the source,
    /// for switches that look into reports (RFC 3590 section 4, RFC 3810 section 5.2.13): duplicate address detection
    /// needs its group before there is an address.
    pub v6_link_local: Option<Ipv6Addr>,
}

/// A message of IGMP or MLD that has arrived.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// Whom it was sent to.
    pub destination: IpAddr,
    /// The hop limit, or time to live.
    pub hop_limit: u8,
    /// The options of the IPv6 packet's hop-by-hop header, without the two bytes before them; empty where there is
    /// none, and for IPv4.
    pub hop_by_hop: &'a [u8],
    /// The message from its type on, as long as the IP header says that it is.
    pub message: &'a [u8],
    /// Whether the checksum is to be verified. It is not where a device has done so.
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
    /// No memberships, and at most `limit` at once, of both families together. The link counts as up; there are no
    /// addresses.
    ///
    /// The limit is one for all who join on this interface. The caller charges them, so that none of them fills it
    /// alone.
    #[must_use]
    pub fn new(limit: usize, random: &mut Random) -> Self {
        let v4 = Memberships::new(Protocol::Igmp, limit, random);
        let v6 = Memberships::new(Protocol::Mld, limit, random);
        Self { limit, v4, v6 }
    }

    /// Becomes a member of a group, or one more time so, and says whether this was the first time.
    ///
    /// The first time is reported (RFC 3376 section 5.1, RFC 3810 section 6.1), unless it is a
    /// [group of which nothing is said](Self::is_member).
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

    /// Takes back one [`join`](Self::join), and says whether it was the last one, which is reported.
    ///
    /// # Errors
    /// Where there is no join to be taken back.
    pub fn leave(&mut self, group: IpAddr, now: Instant) -> Result<bool, NotMember> {
        self.family(group).leave(group, now)
    }

    /// Whether packets to a group are for this host.
    ///
    /// Every host is a member of 224.0.0.1 (RFC 3376 section 5) and of ff01::1 and ff02::1 (RFC 4291 section 2.8),
    /// joined or not. Nothing is ever reported of those, nor of other IPv6 groups whose scope is reserved or the
    /// interface (RFC 3810 section 6). Other link-local IPv4 groups, 224.0.0.0/24, are reported as any others: RFC 3376
    /// excepts 224.0.0.1 alone, though switches are to forward those groups anyway (RFC 4541 section 2.1.2).
    #[must_use]
    pub fn is_member(&self, group: IpAddr) -> bool {
        match group {
            IpAddr::V4(address) => address == message::ALL_SYSTEMS || self.v4.is_member(group),
            IpAddr::V6(address) => {
                matches!(address.segments(), [0xff01 | 0xff02, 0, 0, 0, 0, 0, 0, 1]) || self.v6.is_member(group)
            }
        }
    }

    /// The groups that have been joined, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.v4.iter().chain(self.v6.iter())
    }

    /// How many groups have been joined.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether no group has been joined.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a message of IGMP (protocol 2). What is malformed, or not for a host, is ignored.
    pub fn receive_igmp(&mut self, received: &Received<'_>, now: Instant, random: &mut Random) {
        self.v4.receive(query::read_igmp(received), received.source, now, random);
    }

    /// Takes a message of MLD (ICMPv6 types 130 to 132 and 143). What is malformed, or not for a host, is ignored.
    pub fn receive_mld(&mut self, received: &Received<'_>, now: Instant, random: &mut Random) {
        self.v6.receive(query::read_mld(received), received.source, now, random);
    }

    /// Says which addresses reports are sent from. Where a family has one that it did not have, all of its memberships
    /// are reported anew (RFC 3590 section 4). Where nothing has changed this is two comparisons.
    pub fn set_sources(&mut self, sources: Sources, now: Instant) {
        self.v4.set_source(sources.v4.map(IpAddr::V4), now);
        self.v6.set_source(sources.v6_link_local.map(IpAddr::V6), now);
    }

    /// The link is there, or is another one: all memberships are reported anew, and whoever spoke an older version is
    /// forgotten.
    pub fn link_up(&mut self, now: Instant) {
        self.v4.set_link(true, now);
        self.v6.set_link(true, now);
    }

    /// The link is gone: nothing is due until it is [up](Self::link_up).
    pub fn link_down(&mut self, now: Instant) {
        self.v4.set_link(false, now);
        self.v6.set_link(false, now);
    }

    /// The next packet to be sent by `now`, if there is one; to be called until there is none. Reports are packed into
    /// packets of up to `mtu` bytes. A packet that cannot be sent may be dropped: that is what reports are repeated
    /// for.
    pub fn poll(&mut self, now: Instant, mtu: usize, random: &mut Random) -> Option<Report> {
        self.v4.poll(now, mtu, random).or_else(|| self.v6.poll(now, mtu, random))
    }

    /// When to call [`poll`](Self::poll) again. It may be earlier than anything is due.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        earliest([self.v4.next_timeout(), self.v6.next_timeout()])
    }

    /// About how many bytes of memory are held.
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

/// The Ethernet address that packets to a group are sent to (RFC 1112 section 6.4: 01:00:5e and the lower 23 bits of
/// the group; RFC 2464 section 7: 33:33 and the lower 32 bits). Several groups share one.
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
