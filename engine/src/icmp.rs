//! ICMP sockets: which sockets receive echo replies and errors about packets.
//!
//! The engine asks [`Sockets`] for the socket before it emits an [`EchoReply`] or a [`Report`] as an event.
//!
//! An identifier belongs to the socket that is bound to it. A port belongs to the TCP or UDP socket that has it, and an
//! ICMP socket only watches it. So several owners may watch the same port, and each of them receives only errors about
//! packets that its own sockets have sent.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};

use hashbrown::HashMap;
use thiserror::Error;

use crate::ip::icmp::ErrorKind;
use crate::ports::{FreePorts, Owner, PortError, PortLimits, Ports};
use crate::random::Secret;
use crate::slots::{Key, Slots};

/// How many of the last datagrams from a watched port are remembered. The watching socket receives no errors about
/// older ones.
pub const REMEMBERED: usize = 256;

/// The key of a bound socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub Key);

/// What an ICMP socket receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binding {
    /// Echo replies that carry this identifier, and errors about echo requests that carried it.
    Echo(u16),
    /// Errors about datagrams that sockets of the same owner have sent from this port, while this socket was bound. Of
    /// them only the last [`REMEMBERED`] count.
    UdpPort(u16),
    /// Errors about segments that connections of the same owner have sent from this port.
    TcpPort(u16),
}

/// Why a socket cannot be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BindError {
    /// Another socket has the identifier, or another socket of the same owner watches the port.
    #[error("the identifier or port is in use")]
    InUse,
    /// The only free identifiers are those reserved for the host.
    #[error("no identifier is free")]
    NoIdentifier,
    /// The owner has as many identifiers as it may have.
    #[error("the owner has its share of the identifiers")]
    ShareExhausted,
}

impl From<PortError> for BindError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::NoPort => Self::NoIdentifier,
            PortError::ShareExhausted => Self::ShareExhausted,
        }
    }
}

/// A reply to an echo request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EchoReply {
    /// The socket that receives it.
    pub to: SocketId,
    /// The host that answered.
    pub source: IpAddr,
    /// The sequence number of the request.
    pub sequence: u16,
    /// The payload of the request, as the reply returned it.
    pub data: Vec<u8>,
    /// The hop limit that the reply arrived with.
    pub hop_limit: u8,
}

/// An ICMP error about a packet that this host sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The socket that receives it.
    pub to: SocketId,
    /// The sender of the error: a router on the path, the destination, or this host itself if the next hop did not
    /// answer.
    pub source: IpAddr,
    /// The kind of error.
    pub kind: ErrorKind,
    /// The destination of the packet. The port is 0 for an echo request.
    pub destination: SocketAddr,
    /// The sequence number, if the packet was an echo request.
    pub sequence: Option<u16>,
    /// The MTU of the next link in bytes, if the packet was too large for it and the router reports the MTU.
    pub mtu: Option<u32>,
}

/// The bound ICMP sockets of one interface.
pub struct Sockets {
    sockets: Slots<Socket>,
    bound: HashMap<Place, SocketId, Secret>,
    /// The echo identifiers of each family.
    v4: Ports,
    v6: Ports,
    /// The number of sockets that watch a UDP port.
    udp_watches: usize,
}

/// What no two sockets can be bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    is_ipv4: bool,
    binding: Binding,
    /// The owner who watches a port. It is `None` for an identifier, which only one socket of all owners can have.
    watcher: Option<Owner>,
}

struct Socket {
    place: Place,
    owner: Owner,
    /// The source address and the destination of the last datagrams that left from the watched UDP port, oldest first.
    /// A later owner of the port may receive errors about datagrams of the earlier one. With this list they are told
    /// apart.
    sent: VecDeque<(IpAddr, SocketAddr)>,
}

impl Place {
    const fn new(is_ipv4: bool, binding: Binding, owner: Owner) -> Self {
        let watcher = match binding {
            Binding::Echo(_) => None,
            Binding::UdpPort(_) | Binding::TcpPort(_) => Some(owner),
        };
        Self { is_ipv4, binding, watcher }
    }
}

impl Sockets {
    /// No sockets. Of the identifiers of each family, one owner may have 8192, and 256 are reserved for the host.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        let limits = PortLimits { range: 1..=u16::MAX, ..PortLimits::default() };
        let (v4, v6) = (Ports::new(limits.clone(), secret), Ports::new(limits, secret));
        Self { sockets: Slots::default(), bound: HashMap::with_hasher(secret.clone()), v4, v6, udp_watches: 0 }
    }

    /// Binds a socket of one address family. The caller must limit how many ports an owner watches.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(&mut self, is_ipv4: bool, binding: Binding, owner: Owner) -> Result<SocketId, BindError> {
        let place = Place::new(is_ipv4, binding, owner);
        if self.bound.contains_key(&place) {
            return Err(BindError::InUse);
        }
        match binding {
            Binding::Echo(identifier) => self.identifiers(is_ipv4).take(identifier, owner)?,
            Binding::UdpPort(_) => self.udp_watches += 1,
            Binding::TcpPort(_) => {}
        }
        let id = SocketId(self.sockets.insert(Socket { place, owner, sent: VecDeque::new() }));
        self.bound.insert(place, id);
        Ok(id)
    }

    /// Removes a socket. Its identifier becomes free. Returns its owner; `None` if there is no such socket.
    pub fn unbind(&mut self, id: SocketId) -> Option<Owner> {
        let Socket { place, owner, .. } = self.sockets.remove(id.0)?;
        self.bound.remove(&place);
        match place.binding {
            Binding::Echo(identifier) => self.identifiers(place.is_ipv4).give_back(identifier, owner),
            Binding::UdpPort(_) => self.udp_watches -= 1,
            Binding::TcpPort(_) => {}
        }
        Some(owner)
    }

    /// The owner of a socket.
    #[must_use]
    pub fn owner(&self, id: SocketId) -> Option<Owner> {
        self.sockets.get(id.0).map(|socket| socket.owner)
    }

    /// The socket that is bound to an echo identifier.
    #[must_use]
    pub fn of_identifier(&self, is_ipv4: bool, identifier: u16) -> Option<SocketId> {
        let place = Place { is_ipv4, binding: Binding::Echo(identifier), watcher: None };
        self.bound.get(&place).copied()
    }

    /// The socket by which an owner watches a TCP port.
    #[must_use]
    pub fn of_tcp_port(&self, is_ipv4: bool, port: u16, owner: Owner) -> Option<SocketId> {
        self.bound.get(&Place::new(is_ipv4, Binding::TcpPort(port), owner)).copied()
    }

    /// The socket by which an owner watches a UDP port, if one of the last datagrams from there had this source and
    /// this destination.
    #[must_use]
    pub fn of_datagram(&self, source: SocketAddr, destination: SocketAddr, owner: Owner) -> Option<SocketId> {
        let id = self.watch(source, owner)?;
        let sent = &self.sockets.get(id.0)?.sent;
        sent.contains(&(source.ip(), destination)).then_some(id)
    }

    /// Whether any socket watches a UDP port, so that [`note`](Self::note) must be called for each datagram.
    #[must_use]
    pub const fn watches_udp(&self) -> bool {
        self.udp_watches > 0
    }

    /// Records a datagram that a socket of an owner has sent.
    pub fn note(&mut self, source: SocketAddr, destination: SocketAddr, owner: Owner) {
        let Some(id) = self.watch(source, owner) else { return };
        let Some(socket) = self.sockets.get_mut(id.0) else { return };
        let ends = (source.ip(), destination);
        if socket.sent.back() == Some(&ends) {
            return;
        }
        if socket.sent.len() >= REMEMBERED {
            socket.sent.pop_front();
        }
        socket.sent.push_back(ends);
    }

    /// The free echo identifiers of a family. A socket that several interfaces serve needs one that is free on all of
    /// them.
    #[must_use]
    pub const fn free_identifiers(&self, is_ipv4: bool) -> &FreePorts {
        if is_ipv4 { self.v4.free() } else { self.v6.free() }
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

    fn watch(&self, source: SocketAddr, owner: Owner) -> Option<SocketId> {
        self.bound.get(&Place::new(source.is_ipv4(), Binding::UdpPort(source.port()), owner)).copied()
    }

    const fn identifiers(&mut self, is_ipv4: bool) -> &mut Ports {
        if is_ipv4 { &mut self.v4 } else { &mut self.v6 }
    }
}

impl fmt::Debug for Sockets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sockets").field("sockets", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const GUEST: Owner = Owner(1);
    const OTHER: Owner = Owner(2);

    fn sockets() -> Sockets {
        Sockets::new(&Secret::new(&mut Random::new([5; 32])))
    }

    fn at(port: u16) -> SocketAddr {
        ([10, 0, 0, 1], port).into()
    }

    #[test]
    fn an_identifier_has_one_socket_and_a_port_one_watch_of_each_owner() {
        let mut sockets = sockets();
        let echo = sockets.bind(true, Binding::Echo(7), GUEST).expect("free");
        for owner in [GUEST, OTHER] {
            assert_eq!(sockets.bind(true, Binding::Echo(7), owner), Err(BindError::InUse));
        }
        assert!(sockets.bind(false, Binding::Echo(7), OTHER).is_ok());
        for binding in [Binding::UdpPort(7), Binding::TcpPort(7)] {
            let [one, other] = [GUEST, OTHER].map(|owner| sockets.bind(true, binding, owner).expect("its own"));
            assert_ne!(one, other);
            assert_eq!(sockets.bind(true, binding, GUEST), Err(BindError::InUse));
        }
        sockets.unbind(echo);
        assert_eq!(sockets.of_identifier(true, 7), None);
        assert!(sockets.bind(true, Binding::Echo(7), OTHER).is_ok());
        assert_eq!(sockets.len(), 6);
    }

    #[test]
    fn an_owner_with_its_share_of_identifiers_leaves_the_others_to_its_neighbours() {
        let mut sockets = sockets();
        let bound: Vec<_> = (1..=8192).map(|number| sockets.bind(true, Binding::Echo(number), GUEST)).collect();
        assert!(bound.iter().all(Result::is_ok));
        assert_eq!(sockets.bind(true, Binding::Echo(9000), GUEST), Err(BindError::ShareExhausted));
        assert!(sockets.bind(false, Binding::Echo(9000), GUEST).is_ok(), "the families are counted apart");
        assert!(sockets.bind(true, Binding::UdpPort(9000), GUEST).is_ok(), "a port is not an identifier");
        for owner in [OTHER, Owner::HOST] {
            assert!(sockets.bind(true, Binding::Echo(9000 + owner.0 as u16), owner).is_ok());
        }
        sockets.unbind(bound[0].expect("bound"));
        assert!(sockets.bind(true, Binding::Echo(1), GUEST).is_ok());
    }

    #[test]
    fn a_watch_knows_the_last_datagrams_of_its_owner() {
        let mut sockets = sockets();
        assert!(!sockets.watches_udp());
        let [watch, others] =
            [GUEST, OTHER].map(|owner| sockets.bind(true, Binding::UdpPort(7), owner).expect("its own"));
        assert!(sockets.watches_udp());
        sockets.note(at(7), at(1), GUEST);
        sockets.note(at(8), at(2), GUEST);
        assert_eq!(sockets.of_datagram(at(7), at(1), GUEST), Some(watch));
        let elsewhere = SocketAddr::new([10, 0, 0, 2].into(), 7);
        for (source, destination, owner) in
            [(at(7), at(1), OTHER), (at(7), at(2), GUEST), (at(8), at(2), GUEST), (elsewhere, at(1), GUEST)]
        {
            assert_eq!(sockets.of_datagram(source, destination, owner), None, "{source} {destination} {owner:?}");
        }
        (0..REMEMBERED as u16 - 1).for_each(|port| sockets.note(at(7), at(1000 + port), GUEST));
        assert_eq!(sockets.of_datagram(at(7), at(1), GUEST), Some(watch));
        sockets.note(at(7), at(2000), GUEST);
        assert_eq!(sockets.of_datagram(at(7), at(1), GUEST), None, "it is bounded");
        assert_eq!([watch, others].map(|id| sockets.unbind(id)), [Some(GUEST), Some(OTHER)]);
        assert!(!sockets.watches_udp() && sockets.is_empty());
    }
}
