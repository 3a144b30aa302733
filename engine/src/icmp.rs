//! Sockets of ICMP: who is told of echo replies and of errors about packets.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use hashbrown::HashSet;

use crate::ip::icmp::ErrorKind;
use crate::random::Secret;

/// What a socket is told about.
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
    /// Who answered.
    pub source: IpAddr,
    /// The identifier of the request.
    pub identifier: u16,
    /// The number of the request.
    pub sequence: u16,
    /// The payload of the request, as it came back.
    pub data: Vec<u8>,
    /// The hop limit that the reply arrived with.
    pub hop_limit: u8,
}

/// An error about a packet that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Whom it concerns.
    pub binding: Binding,
    /// Who reports it: a router on the way, or the destination. This host itself, where the next hop did not answer.
    pub source: IpAddr,
    /// What it means.
    pub kind: ErrorKind,
    /// Where the packet was going; the port is 0 for an echo request.
    pub destination: SocketAddr,
    /// The number of an echo request.
    pub sequence: Option<u16>,
    /// The MTU of the next link in bytes, where the packet was too large for it and the router says so.
    pub mtu: Option<u32>,
}

/// What sockets are bound to.
#[derive(Debug)]
pub struct Sockets {
    /// By family: whether it is IPv4.
    bound: HashSet<(bool, Binding), Secret>,
}

impl Sockets {
    /// No socket.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self { bound: HashSet::with_hasher(secret.clone()) }
    }

    /// Binds a socket of a family; false where another one is bound to that.
    pub fn bind(&mut self, is_ipv4: bool, binding: Binding) -> bool {
        self.bound.insert((is_ipv4, binding))
    }

    /// Takes a socket out.
    pub fn unbind(&mut self, is_ipv4: bool, binding: Binding) {
        self.bound.remove(&(is_ipv4, binding));
    }

    /// Whether a socket is bound to something.
    #[must_use]
    pub fn is_bound(&self, is_ipv4: bool, binding: Binding) -> bool {
        self.bound.contains(&(is_ipv4, binding))
    }

    /// How many sockets there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bound.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bound.is_empty()
    }
}
