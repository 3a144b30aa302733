//! The request that a policy decides.

use core::net::SocketAddr;

use super::operation::Operation;

/// One operation that a guest asks for, or one packet that has arrived for it.
///
/// A field that is `None` is not known, or does not matter for the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The operation.
    pub operation: Operation,
    /// The interface that the operation uses. `None` if it is not tied to one, such as a socket that is bound to the
    /// unspecified address of several interfaces, or the resolution of a name.
    pub interface: Option<&'a str>,
    /// The guest's address and port. Port 0 stands for an ephemeral port.
    pub local: Option<SocketAddr>,
    /// The peer's address and port; for `icmp ping` the port is 0.
    pub remote: Option<SocketAddr>,
    /// The names that the guest has resolved to the remote address, in lower case and without a final dot.
    pub names: &'a [String],
    /// The name to resolve, written in the same way.
    pub name: Option<&'a str>,
    /// The command for an interface, such as `set-mtu`.
    pub command: Option<&'a str>,
}

impl Request<'_> {
    /// A request with only the operation; all other fields are empty.
    #[must_use]
    pub const fn new(operation: Operation) -> Self {
        Self { operation, interface: None, local: None, remote: None, names: &[], name: None, command: None }
    }

    /// Whether the request is to create a socket that any allowed operation of the protocol may need: a socket with an
    /// ephemeral port, or a ping socket without a fixed peer.
    pub(super) fn is_by_chance(&self) -> bool {
        match self.operation {
            Operation::TcpBind | Operation::UdpBind => self.local.is_some_and(|local| local.port() == 0),
            Operation::Ping => self.remote.is_none(),
            _ => false,
        }
    }
}

/// One endpoint of a connection or datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Local,
    Remote,
}
