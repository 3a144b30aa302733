//! What TCP connections fail with.

use super::BindError;

operation_error! {
    /// Why a connection is not made: [`TcpStream::connect`](crate::socket::TcpStream::connect) and its kin,
    /// [`TcpSocket::connect`](crate::socket::TcpSocket::connect) and [`Connecting`](crate::socket::Connecting).
    pub enum ConnectError {
        /// The remote address is no host's, or its port is 0; the two ends are of different families; the timeout is 0, or
        /// an option has a value that makes no sense \[EINVAL\].
        #[error("no connection can be made like this")]
        InvalidArgument,
        /// The [`Connecting`](crate::socket::Connecting) was polled again after it had given the connection away, as no
        /// future may be \[EINVAL\].
        #[error("the connection was given away already")]
        InvalidState,
        /// The network has no interface \[ENODEV\].
        #[error("the network has no interface to connect through")]
        NotFound,
        /// The guest's policy forbids it \[EACCES\].
        #[error("the policy forbids the connection")]
        AccessDenied,
        /// No interface has the local address that is named, or the one that had it has lost it \[EADDRNOTAVAIL\].
        #[error("no interface has the address to connect from")]
        AddressNotAvailable,
        /// The two ends are connected already; or somebody listens at, or is bound to, the local port that is named; or no
        /// ephemeral port is left \[EADDRINUSE\].
        #[error("the address to connect from is in use")]
        AddressInUse,
        /// There is no memory for one more connection: in its [budget](crate::socket::TcpOptions::budget), or on its interface
        /// \[ENOMEM\].
        #[error("there is no memory for one more connection")]
        LimitReached,
        /// The interface that leads to the peer is down, or went down or away meanwhile \[ENETDOWN\].
        #[error("the network to connect through is down")]
        NetworkDown,
        /// No route leads to the peer, the next hop does not answer, or a router on the way said that the peer cannot be
        /// reached \[EHOSTUNREACH, ENETUNREACH\].
        #[error("the peer cannot be reached")]
        RemoteUnreachable,
        /// Nobody listens at the peer's port \[ECONNREFUSED\].
        #[error("the peer refused the connection")]
        ConnectionRefused,
        /// The peer reset the connection as soon as it was made \[ECONNRESET\].
        #[error("the peer reset the connection as soon as it was made")]
        ConnectionReset,
        /// This side gave the attempt up \[ECONNABORTED\].
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
    /// Why no connection is accepted: [`TcpListener::accept`](crate::socket::TcpListener::accept) and its kin.
    pub enum AcceptError {
        /// No interface has the listener's address any more \[EADDRNOTAVAIL\].
        #[error("no interface has the listener's address any more")]
        AddressNotAvailable,
        /// No interface that has the listener's address is up \[ENETDOWN\].
        #[error("the listener's network is down")]
        NetworkDown,
        /// No connection waits: [`TcpListener::try_accept`](crate::socket::TcpListener::try_accept) only
        /// \[EWOULDBLOCK\].
        #[error("no connection waits to be accepted")]
        WouldBlock,
    }
}

operation_error! {
    /// Why nothing was read: [`TcpStream::read`](crate::socket::TcpStream::read) and its kin. How the connection ended is told
    /// once what had arrived is read. Its good end is no error, but a read of no bytes.
    pub enum ReadError {
        /// The peer reset the connection \[ECONNRESET\].
        #[error("the peer reset the connection")]
        ConnectionReset,
        /// This side aborted the connection \[ECONNABORTED\].
        #[error("the connection was aborted")]
        ConnectionAborted,
        /// The peer did not answer in time what it was sent, be it probes of the keep-alive \[ETIMEDOUT\].
        #[error("the peer of the connection does not answer")]
        TimedOut,
        /// The interface lost the connection's own address \[EADDRNOTAVAIL\].
        #[error("the connection's own address is gone")]
        AddressNotAvailable,
        /// The connection's interface is down or unmounted \[ENETDOWN\].
        #[error("the connection's interface is down")]
        NetworkDown,
        /// Nothing has arrived: [`TcpStream::try_read`](crate::socket::TcpStream::try_read) and its kin only
        /// \[EWOULDBLOCK\].
        #[error("nothing has arrived to be read")]
        WouldBlock,
    }
}

operation_error! {
    /// Why nothing was written: [`TcpStream::write`](crate::socket::TcpStream::write) and its kin; why what was written may not
    /// have arrived: [`TcpStream::flush`](crate::socket::TcpStream::flush) and
    /// [`TcpStream::closed`](crate::socket::TcpStream::closed); why the sending half is not closed in good order:
    /// [`TcpStream::shutdown`](crate::socket::TcpStream::shutdown).
    pub enum WriteError {
        /// The sending half is shut down \[EPIPE\]. Writes only.
        #[error("the sending half of the connection is closed")]
        BrokenPipe,
        /// The peer reset the connection \[ECONNRESET\].
        #[error("the peer reset the connection")]
        ConnectionReset,
        /// This side aborted the connection \[ECONNABORTED\].
        #[error("the connection was aborted")]
        ConnectionAborted,
        /// The peer did not answer in time what it was sent, be it probes of the keep-alive \[ETIMEDOUT\].
        #[error("the peer of the connection does not answer")]
        TimedOut,
        /// The interface lost the connection's own address \[EADDRNOTAVAIL\].
        #[error("the connection's own address is gone")]
        AddressNotAvailable,
        /// The connection's interface is down or unmounted \[ENETDOWN\].
        #[error("the connection's interface is down")]
        NetworkDown,
        /// There is no room: [`TcpStream::try_write`](crate::socket::TcpStream::try_write) only \[EWOULDBLOCK\].
        #[error("there is no room to write")]
        WouldBlock,
    }
}
