//! Why sockets cannot be opened.

use thiserror::Error;

use crate::ports::PortError;

/// Why a connection could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// The pair of ends is in use, or another socket is bound to the local port, or no ephemeral port is free
    /// (`EADDRINUSE`).
    #[error("the address is in use")]
    AddressInUse,
    /// The owner has its share of the ephemeral ports towards the remote end, counting those of connections that have
    /// ended, until they may be used again.
    #[error("the owner has its share of the ephemeral ports towards the remote end")]
    ShareExhausted,
    /// There is no memory for one more connection (`ENOBUFS`).
    #[error("the limit of memory is reached")]
    LimitReached,
    /// The two ends are of different address families, or one of them cannot be the address of a host, or the remote
    /// port is 0.
    #[error("an address is no host's")]
    InvalidAddress,
}

/// Why an address could not be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BindError {
    /// Another bound or listening socket has the address (`EADDRINUSE`).
    #[error("the address is in use")]
    AddressInUse,
    /// The only free ephemeral ports are those to which no guest may bind a socket.
    #[error("no port is free")]
    NoPort,
    /// The owner has as many sockets on ephemeral ports as it may have.
    #[error("the owner has its share of the ephemeral ports")]
    ShareExhausted,
}

impl From<PortError> for BindError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::NoPort => Self::NoPort,
            PortError::ShareExhausted => Self::ShareExhausted,
        }
    }
}

impl From<PortError> for ConnectError {
    fn from(error: PortError) -> Self {
        match error {
            PortError::NoPort => Self::AddressInUse,
            PortError::ShareExhausted => Self::ShareExhausted,
        }
    }
}
