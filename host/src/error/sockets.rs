//! The errors of all kinds of sockets.

use super::{
    AcceptError, ConfigureError, ConnectError, Error, MembershipError, PeerError, ReadError, ReceiveError, SendError,
    WriteError,
};

operation_error! {
    /// The cause why a socket was not bound: by [`TcpListener::bind`](crate::socket::TcpListener::bind),
    /// [`TcpSocket::bind`](crate::socket::TcpSocket::bind), [`UdpSocket::bind`](crate::socket::UdpSocket::bind) or
    /// [`IcmpSocket::bind`](crate::socket::IcmpSocket::bind).
    pub enum BindError {
        /// No socket can have the address: it is multicast, broadcast or IPv4-mapped; or an option has an invalid
        /// value; or an ICMP socket is to watch port 0 \[EINVAL\].
        #[error("no socket can be bound like this")]
        InvalidArgument,
        /// The network has no interface \[ENODEV\].
        #[error("the network has no interface to bind on")]
        NotFound,
        /// No interface of the network has the address \[EADDRNOTAVAIL\].
        #[error("no interface has the address to bind to")]
        AddressNotAvailable,
        /// Another socket has the port or identifier, at this address or at the unspecified one; or no ephemeral port
        /// or identifier is free \[EADDRINUSE\].
        #[error("the address to bind to is in use")]
        AddressInUse,
        /// The guest has the maximum number of sockets on ephemeral ports; or the TCP sockets of all guests together
        /// have it \[ENOMEM\].
        #[error("the owner has its share of the ephemeral ports")]
        LimitReached,
        /// The guest's policy forbids it \[EACCES\].
        #[error("the policy forbids the address to bind to")]
        AccessDenied,
        /// The interface was unmounted while the socket was being bound \[ENETDOWN\].
        #[error("the interface went away while the socket was being bound")]
        NetworkDown,
    }
}

sole_cause! {
    /// An option has an invalid value, and nothing was changed: an empty buffer, a backlog or a user timeout of 0,
    /// keep-alive times of zero or no probes \[EINVAL\].
    #[error("an option has a value that makes no sense")]
    pub struct InvalidOption: InvalidArgument of BindError, ConnectError;
}

impl From<xila_network_engine::tcp::InvalidOption> for InvalidOption {
    fn from(_: xila_network_engine::tcp::InvalidOption) -> Self {
        Self
    }
}

/// The interface is down or gone. Every operation that needs an interface may fail with this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NetworkDown;

/// The guest's [policy](crate::policy::Policy) forbids an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denied;

cause_of!(Denied: AccessDenied of BindError, ConnectError, PeerError, SendError, MembershipError, Error);

cause_of!(NetworkDown: NetworkDown of
    BindError, ConnectError, AcceptError, ReadError, WriteError, SendError, ReceiveError, MembershipError, ConfigureError);

/// The error of an operation that also exists in a form that does not wait.
pub(crate) trait MayBlock {
    /// Whether the operation failed because it would have to wait.
    fn would_block(&self) -> bool;
}

macro_rules! may_block {
    ($($operation:ident),+) => {
        $(impl MayBlock for $operation {
            fn would_block(&self) -> bool {
                *self == Self::WouldBlock
            }
        })+
    };
}

may_block!(ReadError, WriteError, SendError, ReceiveError);
