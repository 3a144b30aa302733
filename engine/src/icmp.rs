//! ICMP sockets: which sockets receive echo replies and errors about packets.
//!
//! The engine asks [`Sockets`] whether a socket is bound before it emits an [`EchoReply`] or a [`Report`] as an event.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use hashbrown::HashSet;

use crate::ip::icmp::ErrorKind;
use crate::random::Secret;

/// What an ICMP socket receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binding {
    /// Echo replies that carry this identifier, and errors about echo requests that carried it.
    Echo(u16),
    /// Errors about datagrams that were sent from this port.
    UdpPort(u16),
    /// Errors about segments that were sent from this port.
    TcpPort(u16),
}

/// A reply to an echo request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EchoReply {
    /// The host that answered.
    pub source: IpAddr,
    /// The sequence number of the request.
    pub identifier: u16,
    /// The number of the request.
    pub sequence: u16,
    /// The payload of the request, as the reply returned it.
    pub data: Vec<u8>,
    /// The hop limit that the reply arrived with.
    pub hop_limit: u8,
}

/// An ICMP error about a packet that this host sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The binding of the sockets that receive it.
    pub binding: Binding,
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

/// The bindings of all ICMP sockets.
#[derive(Debug)]
pub struct Sockets {
    /// The first field is true for IPv4.
    bound: HashSet<(bool, Binding), Secret>,
}

impl Sockets {
    /// No sockets.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self { bound: HashSet::with_hasher(secret.clone()) }
    }

    /// Binds a socket of one address family. Returns false if another socket has this binding.
    pub fn bind(&mut self, is_ipv4: bool, binding: Binding) -> bool {
        self.bound.insert((is_ipv4, binding))
    }

    /// Releases a binding.
    pub fn unbind(&mut self, is_ipv4: bool, binding: Binding) {
        self.bound.remove(&(is_ipv4, binding));
    }

    /// Whether a socket has this binding.
    #[must_use]
    pub fn is_bound(&self, is_ipv4: bool, binding: Binding) -> bool {
        self.bound.contains(&(is_ipv4, binding))
    }

    /// The number of sockets.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bound.len()
    }

    /// Whether there are no sockets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bound.is_empty()
    }
}
