//! [`Error`], the error type of every operation of this crate but name resolution.

use std::fmt;
use std::io::{self, ErrorKind};

use crate::bindings::types::ErrorCode;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = core::result::Result<T, E>;

/// Why an operation failed. Each cause has one variant; the POSIX name is given in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The host's policy forbids the operation \[EACCES\].
    AccessDenied,
    /// The operation exists, but not for this address family or this medium \[EOPNOTSUPP\].
    NotSupported,
    /// A value lies outside its range, or contradicts another \[EINVAL\].
    InvalidArgument,
    /// Not possible in the socket's present state \[EINVAL, ENOTCONN, EISCONN\].
    InvalidState,
    /// A limit on sockets, buffer bytes or half-open connections has been reached \[ENOMEM, ENOBUFS\].
    LimitReached,
    /// A resource that the operation needs is in use, and the operation does not wait for it \[EBUSY\].
    ResourceBusy,
    /// A table of fixed size has no free entry \[ENOSPC\].
    NoFreeSlot,
    /// There is no interface of that name, or no interface at all \[ENODEV\].
    NotFound,
    /// Another socket has the address and port, or every ephemeral port is taken \[EADDRINUSE\].
    AddressInUse,
    /// The local address does not belong, or no longer belongs, to an interface that may be used \[EADDRNOTAVAIL\].
    AddressNotAvailable,
    /// There is no route to the remote address, or a router reported so \[EHOSTUNREACH, ENETUNREACH\].
    RemoteUnreachable,
    /// The remote host answered, but no socket listens on that port \[ECONNREFUSED\].
    ConnectionRefused,
    /// The peer reset the connection \[ECONNRESET\].
    ConnectionReset,
    /// This side aborted the connection \[ECONNABORTED\].
    ConnectionAborted,
    /// The sending half of the connection is closed \[EPIPE\].
    BrokenPipe,
    /// The peer did not answer in the time that was allowed \[ETIMEDOUT\].
    TimedOut,
    /// The interface is down, or was unmounted \[ENETDOWN\].
    NetworkDown,
    /// The datagram is larger than UDP allows, or than the path allows \[EMSGSIZE\].
    PacketTooLarge,
    /// The text is not a name: a label is empty or longer than 63 octets, or the name is longer than 255 octets
    /// \[EAI_NONAME\].
    InvalidName,
    /// There is no such name \[EAI_NONAME\].
    NameNotFound,
    /// The name exists, but has no record of the requested type or family \[EAI_NODATA\].
    NoRecords,
    /// No name server is known, or no server answered in time \[EAI_AGAIN\].
    ServersUnreachable,
    /// The name servers answered with a failure \[EAI_FAIL\].
    ServerFailure,
    /// The connection ended before all requested bytes had arrived. Returned by `read_exact` only; there is no POSIX
    /// name.
    UnexpectedEnd,
}

impl Error {
    fn text(self) -> &'static str {
        match self {
            Self::AccessDenied => "access denied",
            Self::NotSupported => "not supported",
            Self::InvalidArgument => "invalid argument",
            Self::InvalidState => "not possible in the socket's present state",
            Self::LimitReached => "a limit on resources is reached",
            Self::ResourceBusy => "busy",
            Self::NoFreeSlot => "the table is full",
            Self::NotFound => "no such interface",
            Self::AddressInUse => "address in use",
            Self::AddressNotAvailable => "address not available",
            Self::RemoteUnreachable => "remote unreachable",
            Self::ConnectionRefused => "connection refused",
            Self::ConnectionReset => "connection reset by peer",
            Self::ConnectionAborted => "connection aborted",
            Self::BrokenPipe => "the sending half is closed",
            Self::TimedOut => "timed out",
            Self::NetworkDown => "network down",
            Self::PacketTooLarge => "packet too large",
            Self::InvalidName => "not a name",
            Self::NameNotFound => "no such name",
            Self::NoRecords => "no such record",
            Self::ServersUnreachable => "no name server answers",
            Self::ServerFailure => "the name servers failed",
            Self::UnexpectedEnd => "the connection ended early",
        }
    }

    /// The nearest kind of [`io::Error`].
    pub fn kind(self) -> ErrorKind {
        match self {
            Self::AccessDenied => ErrorKind::PermissionDenied,
            Self::NotSupported => ErrorKind::Unsupported,
            Self::InvalidArgument => ErrorKind::InvalidInput,
            Self::InvalidState => ErrorKind::NotConnected,
            Self::LimitReached => ErrorKind::OutOfMemory,
            Self::ResourceBusy => ErrorKind::ResourceBusy,
            Self::NoFreeSlot => ErrorKind::StorageFull,
            Self::NotFound => ErrorKind::NotFound,
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
            Self::InvalidName => ErrorKind::InvalidInput,
            Self::NameNotFound | Self::NoRecords => ErrorKind::NotFound,
            Self::ServersUnreachable => ErrorKind::HostUnreachable,
            Self::ServerFailure => ErrorKind::Other,
            Self::UnexpectedEnd => ErrorKind::UnexpectedEof,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}

impl From<ErrorCode> for Error {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::AccessDenied => Self::AccessDenied,
            ErrorCode::NotSupported => Self::NotSupported,
            ErrorCode::InvalidArgument => Self::InvalidArgument,
            ErrorCode::InvalidState => Self::InvalidState,
            ErrorCode::LimitReached => Self::LimitReached,
            ErrorCode::ResourceBusy => Self::ResourceBusy,
            ErrorCode::NoFreeSlot => Self::NoFreeSlot,
            ErrorCode::NotFound => Self::NotFound,
            ErrorCode::AddressInUse => Self::AddressInUse,
            ErrorCode::AddressNotAvailable => Self::AddressNotAvailable,
            ErrorCode::RemoteUnreachable => Self::RemoteUnreachable,
            ErrorCode::ConnectionRefused => Self::ConnectionRefused,
            ErrorCode::ConnectionReset => Self::ConnectionReset,
            ErrorCode::ConnectionAborted => Self::ConnectionAborted,
            ErrorCode::BrokenPipe => Self::BrokenPipe,
            ErrorCode::TimedOut => Self::TimedOut,
            ErrorCode::NetworkDown => Self::NetworkDown,
            ErrorCode::PacketTooLarge => Self::PacketTooLarge,
        }
    }
}
