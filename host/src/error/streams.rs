//! The errors of TCP connections.

use super::BindError;

operation_error! {
    /// The cause why a connection was not made: by [`TcpStream::connect`](crate::socket::TcpStream::connect) and
    /// similar methods, [`TcpSocket::connect`](crate::socket::TcpSocket::connect) or
    /// [`Connecting`](crate::socket::Connecting).
    pub enum ConnectError {
        /// The remote address is not unicast, or its port is 0; the local and remote addresses are of different
        /// families; the local address is one of the loopback, and the remote is another host; the timeout is 0, or an
        /// option has an invalid value \[EINVAL\].
        #[error("no connection can be made like this")]
        InvalidArgument,
        /// The [`Connecting`](crate::socket::Connecting) was polled again after it had returned the connection, which
        /// is not allowed \[EINVAL\].
        #[error("the connection was given away already")]
        InvalidState,
        /// The network has no interface \[ENODEV\].
        #[error("the network has no interface to connect through")]
        NotFound,
        /// The guest's policy forbids it \[EACCES\].
        #[error("the policy forbids the connection")]
        AccessDenied,
        /// No interface has the given local address, or the interface has lost it meanwhile \[EADDRNOTAVAIL\].
        #[error("no interface has the address to connect from")]
        AddressNotAvailable,
        /// A connection with the same local and remote address exists; or another socket listens on or is bound to the
        /// given local port; or no ephemeral port is left \[EADDRINUSE\].
        #[error("the address to connect from is in use")]
        AddressInUse,
        /// There is no memory for one more connection in its [budget](crate::socket::TcpOptions::budget) or on its
        /// interface; or the guest has its share of the ephemeral ports towards the peer, where connections that have
        /// ended count for some seconds \[ENOMEM\].
        #[error("there is no memory for one more connection, or the guest has its share of the ephemeral ports")]
        LimitReached,
        /// The interface that leads to the peer is down, or was set down or unmounted meanwhile \[ENETDOWN\].
        #[error("the network to connect through is down")]
        NetworkDown,
        /// There is no route to the peer, the next hop does not answer, or a router has reported that the peer cannot
        /// be reached \[EHOSTUNREACH, ENETUNREACH\].
        #[error("the peer cannot be reached")]
        RemoteUnreachable,
        /// No socket listens on the peer's port \[ECONNREFUSED\].
        #[error("the peer refused the connection")]
        ConnectionRefused,
        /// The peer reset the connection as soon as it was made \[ECONNRESET\].
        #[error("the peer reset the connection as soon as it was made")]
        ConnectionReset,
        /// This side has aborted the attempt \[ECONNABORTED\].
        #[error("the attempt to connect was given up")]
        ConnectionAborted,
        /// The peer did not answer within the timeout \[ETIMEDOUT\].
        #[error("the peer did not answer in time")]
        TimedOut,
    }
}

causes_of!(BindError of ConnectError:
    InvalidArgument, NotFound, AddressNotAvailable, AddressInUse, LimitReached, AccessDenied, NetworkDown);

operation_error! {
    /// The cause why no connection was accepted: by [`TcpListener::accept`](crate::socket::TcpListener::accept) and
    /// similar methods.
    pub enum AcceptError {
        /// No interface has the listener's address any more \[EADDRNOTAVAIL\].
        #[error("no interface has the listener's address any more")]
        AddressNotAvailable,
        /// No interface that has the listener's address is up \[ENETDOWN\].
        #[error("the listener's network is down")]
        NetworkDown,
        /// No connection waits. Only [`TcpListener::try_accept`](crate::socket::TcpListener::try_accept) returns this
        /// \[EWOULDBLOCK\].
        #[error("no connection waits to be accepted")]
        WouldBlock,
    }
}

operation_error! {
    /// The cause why nothing was read: by [`TcpStream::read`](crate::socket::TcpStream::read) and similar methods. If
    /// the connection has ended, the cause is returned after the data that had arrived was read. A graceful end is not
    /// an error, but a read of zero bytes.
    pub enum ReadError {
        /// The peer reset the connection \[ECONNRESET\].
        #[error("the peer reset the connection")]
        ConnectionReset,
        /// This side aborted the connection \[ECONNABORTED\].
        #[error("the connection was aborted")]
        ConnectionAborted,
        /// The peer did not acknowledge data or keep-alive probes in time \[ETIMEDOUT\].
        #[error("the peer of the connection does not answer")]
        TimedOut,
        /// The interface has lost the connection's local address \[EADDRNOTAVAIL\].
        #[error("the connection's own address is gone")]
        AddressNotAvailable,
        /// The connection's interface is down or unmounted \[ENETDOWN\].
        #[error("the connection's interface is down")]
        NetworkDown,
        /// Nothing has arrived. Only [`TcpStream::try_read`](crate::socket::TcpStream::try_read) and similar methods
        /// return this \[EWOULDBLOCK\].
        #[error("nothing has arrived to be read")]
        WouldBlock,
    }
}

operation_error! {
    /// The cause why nothing was written: by [`TcpStream::write`](crate::socket::TcpStream::write) and similar methods.
    /// Or why written data may not have arrived: by [`TcpStream::flush`](crate::socket::TcpStream::flush) or
    /// [`TcpStream::closed`](crate::socket::TcpStream::closed). Or why the sending half was not closed: by
    /// [`TcpStream::shutdown`](crate::socket::TcpStream::shutdown).
    pub enum WriteError {
        /// The sending half is shut down. Only writes return this \[EPIPE\].
        #[error("the sending half of the connection is closed")]
        BrokenPipe,
        /// The peer reset the connection \[ECONNRESET\].
        #[error("the peer reset the connection")]
        ConnectionReset,
        /// This side aborted the connection \[ECONNABORTED\].
        #[error("the connection was aborted")]
        ConnectionAborted,
        /// The peer did not acknowledge data or keep-alive probes in time \[ETIMEDOUT\].
        #[error("the peer of the connection does not answer")]
        TimedOut,
        /// The interface has lost the connection's local address \[EADDRNOTAVAIL\].
        #[error("the connection's own address is gone")]
        AddressNotAvailable,
        /// The connection's interface is down or unmounted \[ENETDOWN\].
        #[error("the connection's interface is down")]
        NetworkDown,
        /// There is no room. Only [`TcpStream::try_write`](crate::socket::TcpStream::try_write) returns this
        /// \[EWOULDBLOCK\].
        #[error("there is no room to write")]
        WouldBlock,
    }
}
