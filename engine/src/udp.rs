//! UDP (RFC 768): which socket has which port, and which sockets receive a datagram.
//!
//! The table belongs to one interface. It knows the local addresses and groups of the sockets, and finds the receivers
//! of a datagram. The sockets' queues are elsewhere, because several interfaces may serve one socket. The cost of a
//! lookup does not depend on the number of sockets.
//!
//! | Module | Contents |
//! |---|---|
//! | [`batch`] | several datagrams in one packet (UDP segmentation offload) |
//! | [`datagram`] | parsing and emitting of UDP headers |
//! | [`queue`] | the queue of received datagrams of a socket |
//! | [`recent`] | the last large packets, to check ICMP errors about them |

pub mod batch;
pub mod datagram;
pub mod queue;
pub mod recent;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hashbrown::HashMap;
use thiserror::Error;

use crate::ports::{self, FreePorts, Owner, PortError, PortLimits, Ports};
use crate::random::{Random, Secret};
use crate::slots::{Key, Slots};
use crate::tcp::End;
pub use crate::tcp::Tuple;
use queue::is_same_end;

/// The key of a bound socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub Key);

/// How much of a table one owner may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Its ephemeral ports, for each address family.
    pub ports: PortLimits,
    /// The multicast memberships of all its sockets together. The host itself is not limited.
    pub memberships: u32,
    /// The multicast memberships of all owners but the host. An owner joins a further group only if it has fewer
    /// memberships than are left, so that some are left for an owner who has none yet.
    pub all_memberships: u32,
}

impl Default for Limits {
    /// The defaults of [`PortLimits`], and 256 of 896 memberships. An interface is a member of [1024
    /// groups](crate::link::groups::DEFAULT_LIMIT) at most, so 128 are left for its own and the host's.
    fn default() -> Self {
        Self { ports: PortLimits::default(), memberships: 256, all_memberships: 896 }
    }
}

/// Why a socket cannot be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BindError {
    /// Another socket has the port, at this address or at the unspecified address.
    #[error("the address is in use")]
    AddressInUse,
    /// The only free ephemeral ports are those reserved for the host.
    #[error("no port is free")]
    NoPort,
    /// The owner has as many sockets on ephemeral ports as it may have.
    #[error("the owner has its share of the ephemeral ports")]
    ShareExhausted,
    /// No socket can have the address: it is a multicast, broadcast or IPv4-mapped address.
    #[error("no socket can be bound to the address")]
    Unbindable,
}

impl From<PortError> for BindError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::NoPort => Self::NoPort,
            PortError::ShareExhausted => Self::ShareExhausted,
        }
    }
}

/// Why a socket does not become a member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JoinError {
    /// The address is not a multicast address.
    #[error("the address is not a group's")]
    NotMulticast,
    /// The socket is bound to an address of the other family, so it would receive nothing.
    #[error("the group is of another family than the socket")]
    OtherFamily,
    /// The socket is a member already.
    #[error("the socket is a member already")]
    AlreadyMember,
    /// The owner's sockets have as many memberships as they may have.
    #[error("the owner has its share of memberships")]
    ShareExhausted,
    /// There is no such socket.
    #[error("the socket is not bound")]
    Unbound,
}

/// Why a socket does not leave a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LeaveError {
    /// The socket is not a member.
    #[error("the socket is not a member")]
    NotMember,
    /// There is no such socket.
    #[error("the socket is not bound")]
    Unbound,
}

/// Whether a change of a socket's membership changes the membership of the interface. The interface is a member of a
/// group as long as any socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Membership {
    /// It does: the socket is the first member, or was the last one. The interface must report the change.
    Interface,
    /// Other sockets are members too.
    Socket,
}

/// The parts of a socket that was unbound.
#[derive(Debug)]
#[must_use]
pub struct Unbound<R> {
    /// The receiver that it was bound with.
    pub receiver: R,
    /// Its owner.
    pub owner: Owner,
    /// The groups whose last member it was. The interface must leave them.
    pub left: Vec<IpAddr>,
}

/// The bound sockets of one interface. Each has a receiver `R`, by which its owner finds the socket's queue.
pub struct Udp<R> {
    sockets: Slots<Socket<R>>,
    /// The socket that has a port at an address. A socket at the unspecified address has the port at every address of
    /// its family, so no other socket of the family has that port.
    bound: HashMap<End, SocketId, Secret>,
    v4: Ports,
    v6: Ports,
    /// The sockets that receive datagrams addressed to a group and port.
    members: HashMap<End, Vec<SocketId>, Secret>,
    /// The number of sockets that are members of a group, on any port.
    groups: HashMap<IpAddr, u32, Secret>,
    /// The number of memberships of each owner. The host's own are not counted.
    memberships: HashMap<Owner, u32, Secret>,
    most_memberships: u32,
    /// How many more memberships all owners but the host may have.
    memberships_left: u32,
}

struct Socket<R> {
    local: IpAddr,
    port: u16,
    owner: Owner,
    connection: Option<Tuple>,
    groups: Vec<IpAddr>,
    receiver: R,
}

impl<R> Udp<R> {
    /// A table without sockets. The secret prevents owners from choosing addresses and ports that collide in a hash
    /// table.
    #[must_use]
    pub fn new(limits: Limits, secret: &Secret) -> Self {
        let Limits { ports, memberships, all_memberships } = limits;
        Self {
            sockets: Slots::default(),
            bound: HashMap::with_hasher(secret.clone()),
            v4: Ports::new(ports.clone(), secret),
            v6: Ports::new(ports, secret),
            members: HashMap::with_hasher(secret.clone()),
            groups: HashMap::with_hasher(secret.clone()),
            memberships: HashMap::with_hasher(secret.clone()),
            most_memberships: memberships,
            memberships_left: all_memberships,
        }
    }

    /// Binds a socket to an address and port. Port 0 asks for an ephemeral port, which no other socket of the family
    /// has.
    ///
    /// The unspecified address stands for every address of its family, and no other socket of the family can have the
    /// port then. A socket serves only one family, and no two sockets have the same port at the same address: there is
    /// no `SO_REUSEADDR`. Several sockets receive the datagrams for the same group and port if they are bound to
    /// different addresses.
    ///
    /// The caller must limit how many sockets an owner has on ports that are not ephemeral.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(
        &mut self,
        local: SocketAddr,
        owner: Owner,
        receiver: R,
        random: &mut Random,
    ) -> Result<SocketId, BindError> {
        let address = local.ip();
        if !is_bindable(address) {
            return Err(BindError::Unbindable);
        }
        let port = match local.port() {
            0 => self.ports(address).choose(owner, random)?,
            port if self.conflicts(address, port) => return Err(BindError::AddressInUse),
            port => port,
        };
        self.ports_mut(address).take(port, owner)?;
        let socket = Socket { local: address, port, owner, connection: None, groups: Vec::new(), receiver };
        let id = SocketId(self.sockets.insert(socket));
        self.bound.insert(End { address, port }, id);
        Ok(id)
    }

    /// Removes a socket. Its port becomes free and its memberships end.
    pub fn unbind(&mut self, id: SocketId) -> Option<Unbound<R>> {
        let mut left = self.sockets.get(id.0)?.groups.clone();
        left.retain(|group| self.leave(id, *group) == Ok(Membership::Interface));
        let socket = self.sockets.remove(id.0)?;
        self.bound.remove(&End { address: socket.local, port: socket.port });
        self.ports_mut(socket.local).give_back(socket.port, socket.owner);
        Some(Unbound { receiver: socket.receiver, owner: socket.owner, left })
    }

    /// Connects a socket: sets the local and remote end of its datagrams. From now on it receives only datagrams from
    /// that remote end, sent to that local address unless that is unspecified. `None` disconnects it, so that it
    /// receives from every remote end again. Returns whether the socket exists.
    ///
    /// The port stays the one that the socket is bound to.
    pub fn connect(&mut self, id: SocketId, connection: Option<Tuple>) -> bool {
        self.sockets.get_mut(id.0).map(|socket| socket.connection = connection).is_some()
    }

    /// The ends of a connected socket.
    #[must_use]
    pub fn connection(&self, id: SocketId) -> Option<Tuple> {
        self.sockets.get(id.0)?.connection
    }

    /// The address and port that a socket is bound to.
    #[must_use]
    pub fn local(&self, id: SocketId) -> Option<SocketAddr> {
        self.sockets.get(id.0).map(|socket| SocketAddr::new(socket.local, socket.port))
    }

    /// The owner of a socket.
    #[must_use]
    pub fn owner(&self, id: SocketId) -> Option<Owner> {
        self.sockets.get(id.0).map(|socket| socket.owner)
    }

    /// The receiver that a socket was bound with.
    #[must_use]
    pub fn receiver(&self, id: SocketId) -> Option<&R> {
        self.sockets.get(id.0).map(|socket| &socket.receiver)
    }

    /// The sockets, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (SocketId, &R)> {
        self.sockets.iter().map(|(key, socket)| (SocketId(key), &socket.receiver))
    }

    /// The number of sockets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether there are no sockets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The ephemeral ports of a family that are free. A socket that several interfaces serve is bound to a port that is
    /// free on [all of them](FreePorts::intersect).
    #[must_use]
    pub const fn free_ports(&self, is_ipv4: bool) -> &FreePorts {
        if is_ipv4 { self.v4.free() } else { self.v6.free() }
    }
}

/// Multicast groups.
impl<R> Udp<R> {
    /// Makes a socket a member of a multicast group on this interface (RFC 1112 section 7.1). It receives the datagrams
    /// for the group and its port, whatever address it is bound to.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn join(&mut self, id: SocketId, group: IpAddr) -> Result<Membership, JoinError> {
        let socket = self.sockets.get_mut(id.0).ok_or(JoinError::Unbound)?;
        if !group.is_multicast() {
            return Err(JoinError::NotMulticast);
        }
        if socket.local.is_ipv4() != group.is_ipv4() {
            return Err(JoinError::OtherFamily);
        }
        if socket.groups.contains(&group) {
            return Err(JoinError::AlreadyMember);
        }
        if socket.owner != Owner::HOST {
            let has = self.memberships.get(&socket.owner).copied().unwrap_or_default();
            if has >= self.most_memberships.min(self.memberships_left) {
                return Err(JoinError::ShareExhausted);
            }
            self.memberships_left -= 1;
            self.memberships.insert(socket.owner, has + 1);
        }
        socket.groups.push(group);
        self.members.entry(End { address: group, port: socket.port }).or_default().push(id);
        let count = self.groups.entry(group).or_default();
        *count += 1;
        Ok(if *count == 1 { Membership::Interface } else { Membership::Socket })
    }

    /// Ends a socket's membership in a group.
    ///
    /// # Errors
    /// See [`LeaveError`].
    pub fn leave(&mut self, id: SocketId, group: IpAddr) -> Result<Membership, LeaveError> {
        let socket = self.sockets.get_mut(id.0).ok_or(LeaveError::Unbound)?;
        let place = socket.groups.iter().position(|known| *known == group).ok_or(LeaveError::NotMember)?;
        socket.groups.swap_remove(place);
        let (port, owner) = (socket.port, socket.owner);
        let end = End { address: group, port };
        if let Some(members) = self.members.get_mut(&end) {
            members.retain(|member| *member != id);
            if members.is_empty() {
                self.members.remove(&end);
            }
        }
        // The host is never in this map.
        if ports::decrement(&mut self.memberships, &owner) {
            self.memberships_left += 1;
        }
        ports::decrement(&mut self.groups, &group);
        Ok(if self.groups.contains_key(&group) { Membership::Socket } else { Membership::Interface })
    }

    /// The groups that the interface is a member of for its sockets.
    pub fn groups(&self) -> impl Iterator<Item = IpAddr> {
        self.groups.keys().copied()
    }
}

/// Receivers of datagrams.
impl<R> Udp<R> {
    /// The sockets that receive a datagram. `arrival` has the datagram's ends as this host sees them: its local end is
    /// the destination. `is_broadcast` says whether that is the limited broadcast address or a directed one of the
    /// interface's networks.
    ///
    /// A unicast datagram has at most one receiver; if it has none, the port is unreachable. A multicast datagram is
    /// received by the members of the group that are bound to its port. A broadcast datagram is received by the socket
    /// that is bound to the unspecified address, but not by sockets bound to one address, because it was not sent to
    /// that address.
    pub fn receivers(&self, arrival: &Tuple, is_broadcast: bool) -> impl Iterator<Item = SocketId> + use<'_, R> {
        let arrival = *arrival;
        let is_unicast = !is_broadcast && !arrival.local().ip().is_multicast();
        self.candidates(arrival.local()).filter(move |id| {
            let connection = self.sockets.get(id.0).and_then(|socket| socket.connection);
            connection.is_none_or(|connection| {
                let local = connection.local().ip();
                let is_local = !is_unicast || local.is_unspecified() || local == arrival.local().ip();
                is_local && is_same_end(connection.remote(), arrival.remote())
            })
        })
    }

    /// The sockets of this host that receive a multicast or broadcast datagram which this host itself sends (RFC 1112
    /// section 6.1). `sent` has the ends as the sender sees them. The sender receives its own datagram if it is a
    /// member of the group. The caller must check whether the sender wants this loopback (`IP_MULTICAST_LOOP`).
    pub fn receivers_here(&self, sent: &Tuple, is_broadcast: bool) -> impl Iterator<Item = SocketId> + use<'_, R> {
        self.receivers(&sent.reversed(), is_broadcast)
    }

    /// The socket that has a port at an address of this host, or at the unspecified address. An ICMP error about a
    /// datagram from there is for this socket.
    #[must_use]
    pub fn holder(&self, local: SocketAddr) -> Option<SocketId> {
        let find = |address| self.bound.get(&End { address, port: local.port() }).copied();
        find(local.ip()).or_else(|| find(every_address(local.is_ipv4())))
    }

    /// The sockets at a local address and port, whatever remote end they are connected to. Only for a group there may
    /// be more than one.
    fn candidates(&self, local: SocketAddr) -> impl Iterator<Item = SocketId> + use<'_, R> {
        let is_group = local.ip().is_multicast();
        let members = if is_group { self.members.get(&End { address: local.ip(), port: local.port() }) } else { None };
        let holder = if is_group { None } else { self.holder(local) };
        holder.into_iter().chain(members.into_iter().flatten().copied())
    }

    fn conflicts(&self, address: IpAddr, port: u16) -> bool {
        if address.is_unspecified() {
            self.ports(address).is_taken(port)
        } else {
            self.holder(SocketAddr::new(address, port)).is_some()
        }
    }

    const fn ports(&self, address: IpAddr) -> &Ports {
        if address.is_ipv4() { &self.v4 } else { &self.v6 }
    }

    const fn ports_mut(&mut self, address: IpAddr) -> &mut Ports {
        if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }
}

impl<R> fmt::Debug for Udp<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Udp").field("sockets", &self.len()).finish_non_exhaustive()
    }
}

/// Whether a socket can be bound to an address. Multicast and broadcast addresses belong to no host, and IPv4-mapped
/// addresses are never on the wire (RFC 4291 section 2.5.5.2).
#[must_use]
pub const fn is_bindable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_multicast() && !address.is_broadcast(),
        IpAddr::V6(address) => !address.is_multicast() && address.to_ipv4_mapped().is_none(),
    }
}

const fn every_address(is_ipv4: bool) -> IpAddr {
    if is_ipv4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) }
}
