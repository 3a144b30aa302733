//! UDP: bound ports, and datagrams in and out.
//!
//! A socket here is a [`Mailbox`], which may be registered with several stacks (a wildcard socket is, with each of its
//! network's). smoltcp's part is the protocol: a datagram that arrives passes through one shared socket of its, which
//! checks it, and goes straight to the mailboxes; one that leaves passes through another, which finds the route and the
//! neighbour. So no idle socket costs a packet anything, a datagram for a group reaches every member, and a neighbour
//! that does not answer holds back only what is for it.

mod egress;
mod mailbox;
mod outlets;
mod recent;

use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use smallvec::SmallVec;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::{raw, udp};

pub(super) use egress::ip_packet;
pub(crate) use egress::{Kind, Outgoing};
pub(crate) use mailbox::Mailbox;
pub use mailbox::{Datagram, UdpStatistics};
pub(crate) use outlets::Outlet;

use super::Core;
use super::demux::Tuple;
use super::ports::{Bound, candidates};
use crate::address::is_v4_mapped;
use crate::error::{Error, Result};
use egress::Unsent;
use outlets::Outlets;
pub(super) use recent::Protocol;
use recent::Recent;

/// The longest payload of a UDP datagram over IPv4: 65535 bytes less the headers (RFC 768, RFC 791).
pub(crate) const MOST_PAYLOAD: usize = 65535 - 20 - 8;

/// The UDP part of a stack.
pub(super) struct Table {
    members: HashMap<u16, SmallVec<[Member; 1]>>,
    groups: HashMap<IpAddr, Vec<Arc<Mailbox>>>,
    count: usize,
    ingress: Scratch,
    egress: Scratch,
    raw: SocketSet<'static>,
    raw_handle: SocketHandle,
    /// The last large packets.
    recent: Recent,
    /// Datagrams whose next hop is being resolved.
    unsent: VecDeque<Unsent>,
    /// Datagrams that wait for their turn.
    outlets: Outlets,
    /// Some of the unsent could be sent, were the device not full.
    stalled: bool,
    /// Who waits for a neighbour, because as many datagrams as may wait for it do.
    hopeful: super::waiters::Waiters,
}

#[derive(Clone)]
struct Member {
    bound: Bound,
    mailbox: Arc<Mailbox>,
}

/// A smoltcp socket that every datagram of one direction passes through.
struct Scratch {
    sockets: SocketSet<'static>,
    handle: SocketHandle,
}

impl Scratch {
    fn new() -> Self {
        // One datagram each way, of any size. The memory is not touched before it is used.
        let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY], vec![0; MOST_PAYLOAD]);
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(udp::Socket::new(buffer(), buffer()));
        Self { sockets, handle }
    }

    /// The socket, empty and bound to a port. Where the last datagram has stayed behind, the socket is put into the set
    /// anew: the set remembers that a neighbour was missing, and would hold the next datagram back for that.
    fn bind(&mut self, port: u16) -> Option<&mut udp::Socket<'static>> {
        if !self.socket().can_send()
            && let smoltcp::socket::Socket::Udp(socket) = self.sockets.remove(self.handle)
        {
            self.handle = self.sockets.add(socket);
        }
        let socket = self.socket();
        socket.close();
        socket.bind(port).ok()?;
        Some(socket)
    }

    fn socket(&mut self) -> &mut udp::Socket<'static> {
        self.sockets.get_mut::<udp::Socket<'_>>(self.handle)
    }
}

impl Default for Table {
    fn default() -> Self {
        let mut raw = SocketSet::new(Vec::with_capacity(1));
        let raw_handle = raw.add(egress::raw_socket(0));
        Self {
            members: HashMap::new(),
            groups: HashMap::new(),
            count: 0,
            ingress: Scratch::new(),
            egress: Scratch::new(),
            raw,
            raw_handle,
            recent: Recent::default(),
            unsent: VecDeque::new(),
            outlets: Outlets::default(),
            stalled: false,
            hopeful: super::waiters::Waiters::default(),
        }
    }
}

impl Table {
    /// Whether a datagram waits for room on the device.
    pub(super) const fn is_stalled(&self) -> bool {
        self.stalled
    }

    pub(super) const fn len(&self) -> usize {
        self.count
    }

    /// The socket for whole packets, empty, with room for one of this length.
    fn fresh_raw(&mut self, length: usize) -> &mut raw::Socket<'static> {
        let socket = self.raw.remove(self.raw_handle);
        drop(socket);
        self.raw_handle = self.raw.add(egress::raw_socket(length));
        self.raw.get_mut::<raw::Socket<'_>>(self.raw_handle)
    }
}

impl Core {
    /// Registers a mailbox under a port.
    ///
    /// # Errors
    /// [`Error::AddressInUse`]; [`Error::NetworkDown`] where the interface is unmounted.
    pub(crate) fn udp_bind(&mut self, address: IpAddr, port: u16, mailbox: &Arc<Mailbox>) -> Result<()> {
        self.check_mounted()?;
        let bound = Bound(address);
        let members = self.udp.members.entry(port).or_default();
        if members.iter().any(|member| member.bound.conflicts(bound)) {
            return Err(Error::AddressInUse);
        }
        members.push(Member { bound, mailbox: mailbox.clone() });
        self.udp.count += 1;
        Ok(())
    }

    /// Removes a mailbox: its port and its groups.
    pub(crate) fn udp_unbind(&mut self, port: u16, mailbox: &Arc<Mailbox>) {
        if let Some(members) = self.udp.members.get_mut(&port) {
            let before = members.len();
            members.retain(|member| !Arc::ptr_eq(&member.mailbox, mailbox));
            self.udp.count -= before - members.len();
            if members.is_empty() {
                self.udp.members.remove(&port);
            }
        }
        let groups: Vec<IpAddr> = self.udp.groups.keys().copied().collect();
        for group in groups {
            // Not a member of most of them: nothing to leave there.
            self.udp_leave(group, mailbox).unwrap_or_default();
        }
    }

    /// The ephemeral ports, from a random one on.
    pub(crate) fn port_candidates(&mut self) -> impl Iterator<Item = u16> + use<> {
        self.stir();
        candidates(&self.ephemeral, self.random)
    }

    /// Makes a mailbox a member of a multicast group on this interface.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an address that is no group; [`Error::AddressInUse`] where it is a member;
    /// [`Error::NoFreeSlot`] where the interface's table of groups is full.
    pub(crate) fn udp_join(&mut self, group: IpAddr, mailbox: &Arc<Mailbox>) -> Result<()> {
        self.check_up()?;
        if !group.is_multicast() {
            return Err(Error::InvalidArgument);
        }
        let known = self.udp.groups.get(&group);
        if known.is_some_and(|members| members.iter().any(|member| Arc::ptr_eq(member, mailbox))) {
            return Err(Error::AddressInUse);
        }
        self.iface.join_multicast_group(group).map_err(|error| match error {
            smoltcp::iface::MulticastError::GroupTableFull => Error::NoFreeSlot,
            smoltcp::iface::MulticastError::Unaddressable => Error::InvalidArgument,
        })?;
        self.udp.groups.entry(group).or_default().push(mailbox.clone());
        self.icmp.reports_pending = true;
        Ok(())
    }

    /// Whether anybody is a member of an IPv4 group.
    pub(super) fn udp_has_v4_groups(&self) -> bool {
        self.udp.groups.keys().any(IpAddr::is_ipv4)
    }

    /// Lets a new engine know the groups that there are members of.
    pub(super) fn udp_rejoin(&mut self) {
        for group in self.udp.groups.keys() {
            // As many as the engine before had, whose table was as large.
            if let Err(error) = self.iface.join_multicast_group(*group) {
                tracing::error!(%group, ?error, "a multicast group was lost");
            }
        }
    }

    /// # Errors
    /// [`Error::AddressNotAvailable`] where the mailbox is no member.
    pub(crate) fn udp_leave(&mut self, group: IpAddr, mailbox: &Arc<Mailbox>) -> Result<()> {
        let members = self.udp.groups.get_mut(&group).ok_or(Error::AddressNotAvailable)?;
        let before = members.len();
        members.retain(|member| !Arc::ptr_eq(member, mailbox));
        if members.len() == before {
            return Err(Error::AddressNotAvailable);
        }
        if members.is_empty() {
            self.udp.groups.remove(&group);
            // Joined through smoltcp before, so it knows the group.
            self.iface.leave_multicast_group(group).map_err(|_| Error::AddressNotAvailable)?;
            self.icmp.reports_pending = true;
        }
        Ok(())
    }

    /// Delivers a datagram to whom it concerns.
    pub(super) fn udp_ingress(&mut self, frame: &[u8], tuple: Tuple) {
        let to_many = tuple.local().ip().is_multicast() || self.is_broadcast(tuple.local().ip());
        let members: SmallVec<[Arc<Mailbox>; 2]> = self.udp_members(&tuple, to_many);
        if members.is_empty() {
            if to_many {
                self.statistics.received.dropped += 1;
            } else {
                self.answer_unclaimed(frame);
            }
            return;
        }
        let Some(port) = &mut self.port else { return };
        if self.udp.ingress.bind(tuple.local().port()).is_none() {
            return;
        }
        Self::receive_one(&mut self.iface, port, self.now, frame, &mut self.udp.ingress.sockets);
        // Nothing there: the engine refused the datagram.
        let Ok((payload, _)) = self.udp.ingress.socket().recv() else { return };
        for mailbox in members {
            if !mailbox.deliver(payload, tuple, &mut self.wakes) {
                self.statistics.datagram_drops += 1;
            }
        }
    }

    fn udp_members(&self, tuple: &Tuple, to_many: bool) -> SmallVec<[Arc<Mailbox>; 2]> {
        let group = self.udp.groups.get(&tuple.local().ip());
        let takes = |member: &&Member| {
            let by_address = if tuple.local().ip().is_multicast() {
                group.is_some_and(|of| of.iter().any(|mailbox| Arc::ptr_eq(mailbox, &member.mailbox)))
            } else {
                member.bound.covers(tuple.local().ip())
                    || (to_many && member.bound.0.is_ipv4() == tuple.local().is_ipv4())
            };
            by_address && member.mailbox.takes_from(tuple.remote())
        };
        let members = self.udp.members.get(&tuple.local().port());
        let members = members.into_iter().flatten().filter(takes).map(|member| member.mailbox.clone());
        if to_many { members.collect() } else { members.take(1).collect() }
    }

    /// Whether an address means every host of a link.
    pub(crate) fn is_broadcast(&self, address: IpAddr) -> bool {
        let IpAddr::V4(address) = address else { return false };
        address.is_broadcast()
            || self.iface.ip_addrs().iter().any(|cidr| match cidr {
                smoltcp::wire::IpCidr::Ipv4(cidr) => cidr.broadcast() == Some(address),
                smoltcp::wire::IpCidr::Ipv6(_) => false,
            })
    }

    /// An ICMP error about a datagram that was sent: the socket learns of it, if it is connected to that peer.
    pub(super) fn udp_error(&mut self, tuple: &Tuple, error: &Error) {
        let members = self.udp.members.get(&tuple.local().port());
        for member in members.into_iter().flatten().filter(|member| member.bound.covers(tuple.local().ip())) {
            member.mailbox.fail(tuple.remote(), error, &mut self.wakes);
        }
    }

    /// Whether a socket is bound to an address and port.
    pub(super) fn udp_is_bound(&self, local: SocketAddr) -> bool {
        let members = self.udp.members.get(&local.port());
        members.into_iter().flatten().any(|member| member.bound.covers(local.ip()))
    }

    /// Whether one of the last large packets was between these ends.
    pub(super) fn udp_has_sent(&self, protocol: Protocol, tuple: &Tuple) -> bool {
        self.udp.recent.has(protocol, tuple)
    }

    /// Wakes everyone who waits for a datagram or for room.
    pub(super) fn udp_rouse(&mut self) {
        for member in self.udp.members.values().flatten() {
            member.mailbox.rouse(&mut self.wakes);
        }
        self.udp.outlets.rouse(&mut self.wakes);
        self.udp.hopeful.take(&mut self.wakes);
    }
}

/// Whether a socket can be bound to an address at all.
pub(crate) fn is_bindable(address: IpAddr) -> bool {
    !is_v4_mapped(address)
        && match address {
            IpAddr::V4(address) => !address.is_multicast() && !address.is_broadcast(),
            IpAddr::V6(address) => !address.is_multicast(),
        }
}
