//! The errors of the host API.
//!
//! Each operation has an error of its own that has the causes that it can fail for, and no others:
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
//! | choosing, and giving up, the only peer of a datagram socket | [`InvalidRemote`], [`NotConnected`] |
//! | joining and leaving a multicast group | [`MembershipError`] |
//! | asking for an echo | [`PingError`] |
//! | setting an option of a socket, listening | [`InvalidOption`] |
//! | changing an interface | [`ConfigureError`] |
//! | mounting an interface | [`MountError`] |
//! | looking for an interface, unmounting it | [`InterfaceNotFound`] |
//! | making a [`PortRange`](crate::PortRange) | [`InvalidPortRange`] |
//! | making the manager of the process | [`AlreadyInitialized`] |
//!
//! [`Error`] has the causes of all operations, and is for whoever does several of them and tells their errors apart no
//! further: every error above becomes one by `?`, and an [`io::Error`] too. One cause has one variant: refused, reset,
//! timed out and unreachable are four. A cause that several operations have is called the same in each of their errors and
//! in [`Error`], which the WIT surface maps one to one to its `error-code`. What answers commands fails with [`Error`] itself,
//! as do the [devices and files](crate::platform) behind them, and a guest's quota.
//!
//! Finding names has an error of its own too: [`ResolveError`](crate::socket::ResolveError).

#[macro_use]
mod declare;
mod datagrams;
mod interfaces;
mod sockets;
mod streams;

use std::io;

use xila_network_engine::wire::InvalidHopLimit;

pub use datagrams::{InvalidRemote, MembershipError, NotConnected, PingError, ReceiveError, SendError};
pub(crate) use declare::causes_of;
pub use interfaces::{AlreadyInitialized, ConfigureError, InterfaceNotFound, InvalidPortRange, MountError};
pub use sockets::{BindError, InvalidOption};
pub(crate) use sockets::{Denied, MayBlock, NetworkDown};
pub use streams::{AcceptError, ConnectError, ReadError, WriteError};

/// Why an operation failed, whichever it was. In brackets the POSIX name that programs know the cause by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that is not 1 to 15 of `a-z 0-9 _ -` \[EINVAL\].
    #[error("invalid interface name {0:?}: it takes 1 to 15 of a-z, 0-9, _ and -")]
    InvalidIdentifier(String),
    /// An interface of that name exists \[EEXIST\].
    #[error("an interface named {0:?} is mounted already")]
    DuplicateIdentifier(String),
    /// No such interface, or no interface at all to create a socket on \[ENODEV\].
    #[error("no such interface")]
    NotFound,
    /// The interface could not be built on its device; the cause in words \[EIO\].
    #[error("the device cannot be mounted: {0}")]
    FailedToMountDevice(String),
    /// Another operation holds what this one needs, and it may not wait \[EBUSY\].
    #[error("busy")]
    ResourceBusy,
    /// A table of fixed size (addresses, routes, multicast groups) is full \[ENOSPC\].
    #[error("the table is full")]
    NoFreeSlot,
    /// What may be held at once (sockets, buffer bytes, half-open connections) is held \[ENOMEM\].
    #[error("a limit on resources is reached")]
    LimitReached,
    /// The policy forbids it \[EACCES\].
    #[error("access denied")]
    AccessDenied,
    /// The operation exists but not here: this family, this medium \[EOPNOTSUPP\].
    #[error("not supported")]
    NotSupported,
    /// A value outside its range, or one that contradicts another \[EINVAL\].
    #[error("invalid argument")]
    InvalidArgument,
    /// Not possible in the socket's present state: not connected, connected already, shut down \[EINVAL, ENOTCONN\].
    #[error("invalid state")]
    InvalidState,
    /// The port or address is taken, or no ephemeral port is left \[EADDRINUSE\].
    #[error("address in use")]
    AddressInUse,
    /// The address belongs to no interface of this network, or no longer does \[EADDRNOTAVAIL\].
    #[error("address not available")]
    AddressNotAvailable,
    /// No route leads there, or a router said so \[EHOSTUNREACH, ENETUNREACH\].
    #[error("remote unreachable")]
    RemoteUnreachable,
    /// The peer has nobody on that port \[ECONNREFUSED\].
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
    /// Nothing can be done without waiting, and the call does not wait \[EWOULDBLOCK\].
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
