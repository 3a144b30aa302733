//! What sockets of every kind fail with.

use super::{
    AcceptError, ConfigureError, ConnectError, Error, MembershipError, ReadError, ReceiveError, SendError, WriteError,
};

operation_error! {
    /// Why a socket is not bound: [`TcpListener::bind`](crate::socket::TcpListener::bind),
    /// [`TcpSocket::bind`](crate::socket::TcpSocket::bind), [`UdpSocket::bind`](crate::socket::UdpSocket::bind) and
    /// [`IcmpSocket::bind`](crate::socket::IcmpSocket::bind).
    pub enum BindError {
        /// No socket can have the address: it is a group's, a broadcast address or an IPv4-mapped one; or an option has a
        /// value that makes no sense; or an ICMP socket is to watch port 0 \[EINVAL\].
        #[error("no socket can be bound like this")]
        InvalidArgument,
        /// The network has no interface \[ENODEV\].
        #[error("the network has no interface to bind on")]
        NotFound,
        /// No interface of the network has the address \[EADDRNOTAVAIL\].
        #[error("no interface has the address to bind to")]
        AddressNotAvailable,
        /// Another socket has the port or identifier, at this address or at every one; or none of those is free that are
        /// handed out \[EADDRINUSE\].
        #[error("the address to bind to is in use")]
        AddressInUse,
        /// The guest has as many UDP sockets on ephemeral ports as it may \[ENOMEM\].
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
    /// An option has a value that makes no sense, and nothing was changed: an empty buffer, a backlog or a user timeout of 0, a
    /// keep-alive without time or probes \[EINVAL\].
    #[error("an option has a value that makes no sense")]
    pub struct InvalidOption: InvalidArgument of BindError, ConnectError;
}

impl From<xila_network_engine::tcp::InvalidOption> for InvalidOption {
    fn from(_: xila_network_engine::tcp::InvalidOption) -> Self {
        Self
    }
}

/// The interface is down, or gone. Every operation that needs one may find that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NetworkDown;

/// The guest's [policy](crate::policy::Policy) forbids an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denied;

cause_of!(Denied: AccessDenied of BindError, ConnectError, SendError, MembershipError, Error);

cause_of!(NetworkDown: NetworkDown of
    BindError, ConnectError, AcceptError, ReadError, WriteError, SendError, ReceiveError, MembershipError, ConfigureError);

/// The error of an operation that has a form that does not wait.
pub(crate) trait MayBlock {
    /// Whether the cause is that the operation would have to wait.
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
