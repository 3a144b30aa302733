//! UDP (RFC 768): which socket has which port, and who receives a datagram.
//!
//! The table is that of one interface. It knows where sockets are bound and which groups they are members of, and names
//! those that a datagram is for; their queues are outside, since several interfaces may serve one socket. What a
//! look-up costs does not depend on what others have bound.
//!
//! | Room | Holds |
//! |---|---|
//! | [`batch`] | several datagrams as one packet |
//! | [`datagram`] | the header: one parse, one emit |
//! | [`ports`] | the ephemeral ports, and who may have how many |
//! | [`queue`] | datagrams that wait to be received |
//! | [`recent`] | the last large packets |

pub mod batch;
pub mod datagram;
pub mod ports;
pub mod queue;
pub mod recent;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hashbrown::HashMap;
use thiserror::Error;

use crate::random::{Random, Secret};
use crate::slots::{Key, Slots};
use crate::tcp::End;
pub use crate::tcp::Tuple;
use ports::{FreePorts, Owner, PortError, PortLimits, Ports};
use queue::is_same_end;

/// A bound socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub Key);

/// How much of a table one owner may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Its ephemeral ports, of each family.
    pub ports: PortLimits,
    /// The memberships in multicast groups of all its sockets together. The host may have any number.
    pub memberships: u32,
}

impl Default for Limits {
    /// Those of [`PortLimits`], and 256 memberships.
    fn default() -> Self {
        Self { ports: PortLimits::default(), memberships: 256 }
    }
}

/// Why a socket cannot be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BindError {
    /// Another socket has the port, at this address or at every one.
    #[error("the address is in use")]
    AddressInUse,
    /// No ephemeral port is left but those that are kept for the host.
    #[error("no port is free")]
    NoPort,
    /// The owner has as many sockets on ephemeral ports as it may.
    #[error("the owner has its share of the ephemeral ports")]
    ShareExhausted,
    /// No socket can have the address: it is a group's, everybody's, or an IPv4-mapped one.
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
    /// The address is none of a multicast group.
    #[error("the address is not a group's")]
    NotMulticast,
    /// The socket is bound to an address of the other family, and would hear nothing.
    #[error("the group is of another family than the socket")]
    OtherFamily,
    /// The socket is a member.
    #[error("the socket is a member already")]
    AlreadyMember,
    /// The owner's sockets have as many memberships as they may.
    #[error("the owner has its share of memberships")]
    ShareExhausted,
    /// There is no such socket.
    #[error("the socket is not bound")]
    Unbound,
}

/// Why a socket does not leave a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LeaveError {
    /// The socket is no member.
    #[error("the socket is not a member")]
    NotMember,
    /// There is no such socket.
    #[error("the socket is not bound")]
    Unbound,
}

/// Whether a socket's membership changes that of the interface, which is a member of a group as long as any socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Membership {
    /// It does: this is the first member, or was the last. The interface has to report it.
    Interface,
    /// Other sockets are members too.
    Socket,
}

/// What is left of a socket.
#[derive(Debug)]
#[must_use]
pub struct Unbound<R> {
    /// What it was bound with.
    pub receiver: R,
    /// The groups that it was the last member of: the interface has to leave them.
    pub left: Vec<IpAddr>,
}

/// The bound sockets of one interface, each with a receiver `R`: whatever its owner finds its queue by.
pub struct Udp<R> {
    sockets: Slots<Socket<R>>,
    /// Whoever has a port at an address, the unspecified ones being every address of their family. No other socket of
    /// the family has the port then.
    bound: HashMap<End, SocketId, Secret>,
    v4: Ports,
    v6: Ports,
    /// Who receives what is for a group's port.
    members: HashMap<End, Vec<SocketId>, Secret>,
    /// How many sockets are members of a group, on any port.
    groups: HashMap<IpAddr, u32, Secret>,
    /// How many memberships an owner has; those of the host are not counted.
    memberships: HashMap<Owner, u32, Secret>,
    most_memberships: u32,
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
    /// No socket. The secret keeps owners from choosing addresses and ports that meet in one place of a table.
    #[must_use]
    pub fn new(limits: Limits, secret: &Secret) -> Self {
        let Limits { ports, memberships } = limits;
        Self {
            sockets: Slots::default(),
            bound: HashMap::with_hasher(secret.clone()),
            v4: Ports::new(ports.clone(), secret),
            v6: Ports::new(ports, secret),
            members: HashMap::with_hasher(secret.clone()),
            groups: HashMap::with_hasher(secret.clone()),
            memberships: HashMap::with_hasher(secret.clone()),
            most_memberships: memberships,
        }
    }

    /// Binds a socket to an address and port; port 0 is an ephemeral one, which no other socket of the family has.
    ///
    /// An unspecified address is every address of its family, and excludes any other socket of the family from the
    /// port. No socket serves both families, and no two have one port at one address: there is no `SO_REUSEADDR`.
    /// Several sockets receive what is for one group's port where they are bound to different addresses.
    ///
    /// How many sockets an owner has on ports that are not ephemeral is for the caller to bound.
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

    /// Takes a socket out: its port and its memberships are free.
    pub fn unbind(&mut self, id: SocketId) -> Option<Unbound<R>> {
        let mut left = self.sockets.get(id.0)?.groups.clone();
        left.retain(|group| self.leave(id, *group) == Ok(Membership::Interface));
        let socket = self.sockets.remove(id.0)?;
        self.bound.remove(&End { address: socket.local, port: socket.port });
        self.ports_mut(socket.local).give_back(socket.port, socket.owner);
        Some(Unbound { receiver: socket.receiver, left })
    }

    /// Connects a socket: the ends that its datagrams have from now on. Those from another remote end are not for it,
    /// nor are those for another address than the local one, unless that is unspecified. `None` takes datagrams from
    /// everyone again. Whether there is such a socket.
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

    /// Whose a socket is.
    #[must_use]
    pub fn owner(&self, id: SocketId) -> Option<Owner> {
        self.sockets.get(id.0).map(|socket| socket.owner)
    }

    /// What a socket was bound with.
    #[must_use]
    pub fn receiver(&self, id: SocketId) -> Option<&R> {
        self.sockets.get(id.0).map(|socket| &socket.receiver)
    }

    /// The sockets, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (SocketId, &R)> {
        self.sockets.iter().map(|(key, socket)| (SocketId(key), &socket.receiver))
    }

    /// How many sockets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// The ephemeral ports that are free for a family. A socket that several interfaces serve is bound to one that is
    /// free on [all of them](FreePorts::intersect).
    #[must_use]
    pub const fn free_ports(&self, is_ipv4: bool) -> &FreePorts {
        if is_ipv4 { self.v4.free() } else { self.v6.free() }
    }
}

/// Groups.
impl<R> Udp<R> {
    /// Makes a socket a member of a multicast group on this interface (RFC 1112 section 7.1): it receives what is for
    /// the group and its port, whichever address it is bound to.
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
            if has >= self.most_memberships {
                return Err(JoinError::ShareExhausted);
            }
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
        ports::decrement(&mut self.memberships, &owner);
        ports::decrement(&mut self.groups, &group);
        Ok(if self.groups.contains_key(&group) { Membership::Socket } else { Membership::Interface })
    }

    /// The groups that the interface is a member of for its sockets.
    pub fn groups(&self) -> impl Iterator<Item = IpAddr> {
        self.groups.keys().copied()
    }
}

/// Who receives.
impl<R> Udp<R> {
    /// Who receives a datagram. `arrival` has its ends as this host sees them: the local one is where it was sent to.
    /// Whether that is a broadcast address, of all links or of one of the interface's networks, `is_broadcast` says.
    ///
    /// What is for one address has one receiver at most: where it has none, the port is unreachable. What is for a
    /// group is received by the members that are bound to its port. What is for everyone on a network is received by
    /// the socket that is bound to every address, and not by those that are bound to one, which it was not sent to.
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

    /// Who on this host receives a datagram that the host itself sends to many (RFC 1112 section 6.1): `sent` has its
    /// ends as the sender sees them. The sender is among them where it is a member of the group. Whether there is to be
    /// such a loop-back, the sender says (`IP_MULTICAST_LOOP`); that it is done is the caller's to see to.
    pub fn receivers_here(&self, sent: &Tuple, is_broadcast: bool) -> impl Iterator<Item = SocketId> + use<'_, R> {
        self.receivers(&sent.reversed(), is_broadcast)
    }

    /// Who has a port at an address of this host, be it for all of them: whom an error about a datagram from there
    /// concerns.
    #[must_use]
    pub fn holder(&self, local: SocketAddr) -> Option<SocketId> {
        let find = |address| self.bound.get(&End { address, port: local.port() }).copied();
        find(local.ip()).or_else(|| find(every_address(local.is_ipv4())))
    }

    /// The sockets that receive what is for an address if it comes from whom they take it: one at most, but for groups.
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

/// Whether a socket can be bound to an address at all. That of a group or of everyone is nobody's own, and IPv4-mapped
/// ones are on no wire (RFC 4291 section 2.5.5.2).
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
