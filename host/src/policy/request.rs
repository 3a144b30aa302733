//! What is asked of a policy.

use core::net::SocketAddr;

use super::operation::Operation;

/// One operation that a guest asks for, or one packet that has arrived for it.
///
/// A part that is `None` is not known, or is of no concern to the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// What is to be done.
    pub operation: Operation,
    /// The interface by which it is done. `None` for what is not tied to one: a socket that is bound to every address of
    /// several interfaces, or a name.
    pub interface: Option<&'a str>,
    /// The guest's address and port. Port 0 stands for one of chance.
    pub local: Option<SocketAddr>,
    /// The peer's address and port; for `icmp ping` the port is 0.
    pub remote: Option<SocketAddr>,
    /// The names that the guest has resolved to the remote address, in small letters and without a final dot.
    pub names: &'a [String],
    /// The name that is to be resolved, written in the same way.
    pub name: Option<&'a str>,
    /// The command for an interface, such as `set-mtu`.
    pub command: Option<&'a str>,
}

impl Request<'_> {
    /// A request of which nothing but the operation is known.
    #[must_use]
    pub const fn new(operation: Operation) -> Self {
        Self { operation, interface: None, local: None, remote: None, names: &[], name: None, command: None }
    }

    /// Whether a socket is to be made that any allowed operation of its protocol may need: one with a port of chance, or one
    /// for pings to anybody.
    pub(super) fn is_by_chance(&self) -> bool {
        match self.operation {
            Operation::TcpBind | Operation::UdpBind => self.local.is_some_and(|local| local.port() == 0),
            Operation::Ping => self.remote.is_none(),
            _ => false,
        }
    }
}

/// An end of a connection or datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Local,
    Remote,
}
