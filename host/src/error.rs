//! The errors of the host API.
//!
//! One cause has one variant: refused, reset, timed out and unreachable are four. [`Error`] is what every socket and
//! interface operation returns; the WIT surface maps it one to one to its `error-code`.

use std::io;

use xila_network_engine::udp::queue::PathError;
use xila_network_engine::wire::InvalidHopLimit;

/// Why an operation failed. In brackets the POSIX name that programs know the cause by.
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

impl From<xila_network_engine::tcp::InvalidOption> for Error {
    fn from(_: xila_network_engine::tcp::InvalidOption) -> Self {
        Self::InvalidArgument
    }
}

impl From<InvalidHopLimit> for Error {
    fn from(InvalidHopLimit: InvalidHopLimit) -> Self {
        Self::InvalidArgument
    }
}

impl From<PathError> for Error {
    fn from(error: PathError) -> Self {
        match error {
            PathError::PortUnreachable => Self::ConnectionRefused,
            PathError::Unreachable => Self::RemoteUnreachable,
            PathError::TooLarge { mtu: _ } => Self::PacketTooLarge,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        use io::ErrorKind;
        let kind = match &error {
            Error::InvalidIdentifier(_) | Error::InvalidArgument => ErrorKind::InvalidInput,
            Error::DuplicateIdentifier(_) => ErrorKind::AlreadyExists,
            Error::NotFound => ErrorKind::NotFound,
            Error::FailedToMountDevice(_) => ErrorKind::Other,
            Error::ResourceBusy => ErrorKind::ResourceBusy,
            Error::NoFreeSlot => ErrorKind::StorageFull,
            Error::LimitReached => ErrorKind::OutOfMemory,
            Error::AccessDenied => ErrorKind::PermissionDenied,
            Error::NotSupported => ErrorKind::Unsupported,
            Error::InvalidState => ErrorKind::NotConnected,
            Error::AddressInUse => ErrorKind::AddrInUse,
            Error::AddressNotAvailable => ErrorKind::AddrNotAvailable,
            Error::RemoteUnreachable => ErrorKind::HostUnreachable,
            Error::ConnectionRefused => ErrorKind::ConnectionRefused,
            Error::ConnectionReset => ErrorKind::ConnectionReset,
            Error::ConnectionAborted => ErrorKind::ConnectionAborted,
            Error::BrokenPipe => ErrorKind::BrokenPipe,
            Error::TimedOut => ErrorKind::TimedOut,
            Error::NetworkDown => ErrorKind::NetworkDown,
            Error::PacketTooLarge => ErrorKind::InvalidData,
            Error::WouldBlock => ErrorKind::WouldBlock,
        };
        Self::new(kind, error)
    }
}
