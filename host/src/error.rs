//! The errors of the host API.
//!
//! Each operation has its own error type, with exactly the causes for which it can fail:
//!
//! | Operation | Fails with |
//! |---|---|
//! | binding a socket | [`BindError`] |
//! | connecting by TCP | [`ConnectError`] |
//! | accepting a connection | [`AcceptError`] |
//! | reading from a connection | [`ReadError`] |
//! | writing to a connection, waiting for what was written, shutting down | [`WriteError`] |
//! | sending a datagram or an echo request | [`SendError`] |
//! | receiving a datagram or an ICMP message | [`ReceiveError`] |
//! | connecting and disconnecting a datagram socket | [`PeerError`], [`NotConnected`] |
//! | joining and leaving a multicast group | [`MembershipError`] |
//! | sending an echo request and waiting for the reply | [`PingError`] |
//! | setting an option of a socket, listening | [`InvalidOption`] |
//! | changing an interface | [`ConfigureError`] |
//! | mounting an interface | [`MountError`] |
//! | finding or unmounting an interface | [`InterfaceNotFound`] |
//! | making a [`PortRange`](crate::PortRange) | [`InvalidPortRange`] |
//! | setting the manager of the process | [`AlreadyInitialized`] |
//!
//! [`Error`] has the causes of all operations, for callers that do several operations and need not tell their errors
//! apart: every error above converts to it by `?`, and an [`io::Error`] too. Each cause has its own variant: refused,
//! reset, timed out and unreachable are four. A cause that several operations share has the same name in each of their
//! errors and in [`Error`], which the WIT surface maps one to one to its `error-code`. The code that answers commands
//! fails with [`Error`] itself, as do the [devices and files](crate::platform) behind the commands, and a guest's
//! quota.
//!
//! Name resolution has its own error too: [`ResolveError`](crate::socket::ResolveError).

#[macro_use]
mod declare;
mod datagrams;
mod interfaces;
mod sockets;
mod streams;

use std::io;

use xila_network_engine::wire::InvalidHopLimit;

pub use datagrams::{MembershipError, NotConnected, PeerError, PingError, ReceiveError, SendError};
pub(crate) use declare::causes_of;
pub use interfaces::{AlreadyInitialized, ConfigureError, InterfaceNotFound, InvalidPortRange, MountError};
pub use sockets::{BindError, InvalidOption};
pub(crate) use sockets::{Denied, MayBlock, NetworkDown};
pub use streams::{AcceptError, ConnectError, ReadError, WriteError};

/// The cause of a failure of any operation. The POSIX name of the cause is in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name is not 1 to 15 characters of `a-z 0-9 _ -` \[EINVAL\].
    #[error("invalid interface name {0:?}: it takes 1 to 15 of a-z, 0-9, _ and -")]
    InvalidIdentifier(String),
    /// An interface with that name exists \[EEXIST\].
    #[error("an interface named {0:?} is mounted already")]
    DuplicateIdentifier(String),
    /// There is no such interface, or no interface at all to create a socket on \[ENODEV\].
    #[error("no such interface")]
    NotFound,
    /// The interface could not be mounted on its device, with the cause as text \[EIO\].
    #[error("the device cannot be mounted: {0}")]
    FailedToMountDevice(String),
    /// Another operation holds a lock that this one needs, and this one may not wait \[EBUSY\].
    #[error("busy")]
    ResourceBusy,
    /// A table of fixed size (addresses, routes, multicast groups) is full \[ENOSPC\].
    #[error("the table is full")]
    NoFreeSlot,
    /// A limit on resources (sockets, buffer bytes, half-open connections) is reached \[ENOMEM\].
    #[error("a limit on resources is reached")]
    LimitReached,
    /// The policy forbids the operation \[EACCES\].
    #[error("access denied")]
    AccessDenied,
    /// The operation is not supported for this address family or medium \[EOPNOTSUPP\].
    #[error("not supported")]
    NotSupported,
    /// A value outside its range, or one that contradicts another \[EINVAL\].
    #[error("invalid argument")]
    InvalidArgument,
    /// The operation is not possible in the socket's present state: not connected, connected already, shut down
    /// \[EINVAL, ENOTCONN\].
    #[error("invalid state")]
    InvalidState,
    /// The port or address is in use, or no ephemeral port is left \[EADDRINUSE\].
    #[error("address in use")]
    AddressInUse,
    /// The address belongs to no interface of this network, or no longer does \[EADDRNOTAVAIL\].
    #[error("address not available")]
    AddressNotAvailable,
    /// There is no route to the remote address, or a router has reported it unreachable \[EHOSTUNREACH, ENETUNREACH\].
    #[error("remote unreachable")]
    RemoteUnreachable,
    /// The peer has no listener or socket on the port \[ECONNREFUSED\].
    #[error("connection refused")]
    ConnectionRefused,
    /// The peer reset the connection \[ECONNRESET\].
    #[error("connection reset by peer")]
    ConnectionReset,
    /// This side aborted the connection \[ECONNABORTED\].
    #[error("connection aborted")]
    ConnectionAborted,
    /// The sending half is shut down \[EPIPE\].
    #[error("the sending half is closed")]
    BrokenPipe,
    /// The peer did not answer in time \[ETIMEDOUT\].
    #[error("timed out")]
    TimedOut,
    /// The interface is down or unmounted \[ENETDOWN\].
    #[error("network down")]
    NetworkDown,
    /// The datagram is larger than the path, or UDP itself, allows \[EMSGSIZE\].
    #[error("packet too large")]
    PacketTooLarge,
    /// The operation would have to wait, and the call does not wait \[EWOULDBLOCK\].
    #[error("would block")]
    WouldBlock,
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = core::result::Result<T, E>;

impl From<InvalidHopLimit> for Error {
    fn from(InvalidHopLimit: InvalidHopLimit) -> Self {
        Self::InvalidArgument
    }
}

impl Error {
    fn kind(&self) -> io::ErrorKind {
        use io::ErrorKind;
        match self {
            Self::InvalidIdentifier(_) | Self::InvalidArgument => ErrorKind::InvalidInput,
            Self::DuplicateIdentifier(_) => ErrorKind::AlreadyExists,
            Self::NotFound => ErrorKind::NotFound,
            Self::FailedToMountDevice(_) => ErrorKind::Other,
            Self::ResourceBusy => ErrorKind::ResourceBusy,
            Self::NoFreeSlot => ErrorKind::StorageFull,
            Self::LimitReached => ErrorKind::OutOfMemory,
            Self::AccessDenied => ErrorKind::PermissionDenied,
            Self::NotSupported => ErrorKind::Unsupported,
            Self::InvalidState => ErrorKind::NotConnected,
            Self::AddressInUse => ErrorKind::AddrInUse,
            Self::AddressNotAvailable => ErrorKind::AddrNotAvailable,
            Self::RemoteUnreachable => ErrorKind::HostUnreachable,
            Self::ConnectionRefused => ErrorKind::ConnectionRefused,
            Self::ConnectionReset => ErrorKind::ConnectionReset,
            Self::ConnectionAborted => ErrorKind::ConnectionAborted,
            Self::BrokenPipe => ErrorKind::BrokenPipe,
            Self::TimedOut => ErrorKind::TimedOut,
            Self::NetworkDown => ErrorKind::NetworkDown,
            Self::PacketTooLarge => ErrorKind::InvalidData,
            Self::WouldBlock => ErrorKind::WouldBlock,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}

#[cfg(test)]
mod tests;
