//! The errors of UDP and ICMP sockets.

use xila_network_engine::udp::queue::PathError;

use super::{BindError, Error, InterfaceNotFound};

operation_error! {
    /// The cause why a datagram or an echo request was not sent: by
    /// [`UdpSocket::send_to`](crate::socket::UdpSocket::send_to),
    /// [`IcmpSocket::send_to`](crate::socket::IcmpSocket::send_to) and similar methods.
    pub enum SendError {
        /// The remote is invalid: its port is 0, or its address is unspecified, IPv4-mapped or of another family than
        /// the socket's; or the socket is bound to the loopback, and the remote is another host \[EINVAL\].
        #[error("nothing can be sent to the remote address from the address of the socket")]
        InvalidArgument,
        /// The socket is connected to another peer than the remote, or it is not connected and no remote is given; or
        /// it is an ICMP socket that watches a port for errors, and so has no identifier to send with \[EINVAL,
        /// ENOTCONN\].
        #[error("the socket is not in a state to send there")]
        InvalidState,
        /// The remote is a broadcast address, and the socket may not send to broadcast addresses \[EACCES\].
        #[error("the socket may not send to a broadcast address")]
        AccessDenied,
        /// No interface has the socket's address any more \[EADDRNOTAVAIL\].
        #[error("no interface has the socket's address any more")]
        AddressNotAvailable,
        /// There is no route to the remote; or, for a connected socket, an ICMP error has reported that an earlier
        /// datagram could not reach the peer \[EHOSTUNREACH, ENETUNREACH\].
        #[error("the remote cannot be reached")]
        RemoteUnreachable,
        /// The connected peer refused an earlier datagram: no socket receives at its port \[ECONNREFUSED\].
        #[error("the peer refused an earlier datagram")]
        ConnectionRefused,
        /// The interface that leads to the remote is down, or there is none any more \[ENETDOWN\].
        #[error("the network to send through is down")]
        NetworkDown,
        /// The payload exceeds the maximum of a packet; or it exceeds the path MTU and must not be sent in fragments;
        /// or, for a connected socket, an earlier datagram exceeded the path MTU \[EMSGSIZE\].
        #[error("the packet is too large to be sent")]
        PacketTooLarge,
        /// The datagram would have to wait. Only [`UdpSocket::try_send_to`](crate::socket::UdpSocket::try_send_to) and
        /// similar methods return this \[EWOULDBLOCK\].
        #[error("the link takes nothing now")]
        WouldBlock,
    }
}

operation_error! {
    /// The cause why nothing was received: by [`UdpSocket::recv_from`](crate::socket::UdpSocket::recv_from),
    /// [`IcmpSocket::recv`](crate::socket::IcmpSocket::recv) and similar methods.
    pub enum ReceiveError {
        /// The connected peer refused an earlier datagram: no socket receives at its port \[ECONNREFUSED\].
        #[error("the peer refused a datagram that was sent")]
        ConnectionRefused,
        /// An ICMP error has reported that an earlier datagram could not reach the connected peer \[EHOSTUNREACH,
        /// ENETUNREACH\].
        #[error("the peer of a datagram that was sent cannot be reached")]
        RemoteUnreachable,
        /// An ICMP error has reported that an earlier datagram to the connected peer exceeded the path MTU
        /// \[EMSGSIZE\].
        #[error("a datagram that was sent is too large for its path")]
        PacketTooLarge,
        /// No interface has the socket's address any more \[EADDRNOTAVAIL\].
        #[error("no interface has the socket's address any more")]
        AddressNotAvailable,
        /// No interface that has the socket's address is up \[ENETDOWN\].
        #[error("the socket's network is down")]
        NetworkDown,
        /// Nothing has arrived. Only [`UdpSocket::try_recv_datagram`](crate::socket::UdpSocket::try_recv_datagram)
        /// returns this \[EWOULDBLOCK\].
        #[error("nothing has arrived to be received")]
        WouldBlock,
    }
}

impl From<PathError> for SendError {
    fn from(error: PathError) -> Self {
        match error {
            PathError::PortUnreachable => Self::ConnectionRefused,
            PathError::Unreachable => Self::RemoteUnreachable,
            PathError::TooLarge { mtu: _ } => Self::PacketTooLarge,
        }
    }
}

impl From<PathError> for ReceiveError {
    fn from(error: PathError) -> Self {
        match error {
            PathError::PortUnreachable => Self::ConnectionRefused,
            PathError::Unreachable => Self::RemoteUnreachable,
            PathError::TooLarge { mtu: _ } => Self::PacketTooLarge,
        }
    }
}

operation_error! {
    /// The cause why a socket was not connected to a peer, by
    /// [`UdpSocket::connect`](crate::socket::UdpSocket::connect).
    pub enum PeerError {
        /// The remote is invalid: its port is 0, or its address is unspecified, IPv4-mapped or of another family than
        /// the socket's; or the socket is bound to the loopback, and the remote is another host \[EINVAL\].
        #[error("the remote address can be no peer's")]
        InvalidArgument,
        /// The guest's policy forbids sending to the remote \[EACCES\].
        #[error("the policy forbids sending to the peer")]
        AccessDenied,
    }
}

sole_cause! {
    /// The socket is not connected to a peer \[EINVAL, ENOTCONN\].
    #[error("the socket is not connected")]
    pub struct NotConnected: InvalidState of SendError;
}

operation_error! {
    /// The cause why a socket did not join or leave a multicast group: by
    /// [`UdpSocket::join_multicast`](crate::socket::UdpSocket::join_multicast) or
    /// [`UdpSocket::leave_multicast`](crate::socket::UdpSocket::leave_multicast).
    pub enum MembershipError {
        /// The address is not multicast, or is of another family than the socket \[EINVAL\].
        #[error("the address is no group's that the socket could join")]
        InvalidArgument,
        /// No interface with that name serves the socket, or none at all \[ENODEV\].
        #[error("no such interface serves the socket")]
        NotFound,
        /// The interface is down or unmounted \[ENETDOWN\].
        #[error("the group's interface is down")]
        NetworkDown,
        /// The socket is already a member of the group that it tries to join \[EADDRINUSE\].
        #[error("the socket is a member of the group already")]
        AddressInUse,
        /// The socket is not a member of the group that it tries to leave \[EADDRNOTAVAIL\].
        #[error("the socket is no member of the group")]
        AddressNotAvailable,
        /// The guest's policy forbids the group \[EACCES\].
        #[error("the policy forbids the group")]
        AccessDenied,
        /// The owner's sockets have the maximum number of memberships \[ENOSPC\].
        #[error("the owner has its share of memberships")]
        NoFreeSlot,
    }
}

cause_of!(InterfaceNotFound: NotFound of MembershipError);

/// The cause why an echo request got no reply: by [`ping`](crate::socket::ping).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PingError {
    /// No reply came in time \[ETIMEDOUT\].
    #[error("no reply came in time")]
    TimedOut,
    /// There is no route to the remote, or a router or host has reported that the request goes no further, for example
    /// because its hop limit has run out \[EHOSTUNREACH, ENETUNREACH\].
    #[error("the remote cannot be reached")]
    RemoteUnreachable,
    /// The request exceeds the maximum of a packet, or the MTU of a link on its path \[EMSGSIZE\].
    #[error("the request is too large for its path")]
    PacketTooLarge,
    /// The socket for the request cannot be made.
    #[error(transparent)]
    Bind(BindError),
    /// The request was not sent for another cause than those above.
    #[error(transparent)]
    Send(SendError),
    /// The reply cannot be received.
    #[error(transparent)]
    Receive(ReceiveError),
}

impl From<BindError> for PingError {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}

impl From<SendError> for PingError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::RemoteUnreachable => Self::RemoteUnreachable,
            SendError::PacketTooLarge => Self::PacketTooLarge,
            SendError::InvalidArgument
            | SendError::InvalidState
            | SendError::AccessDenied
            | SendError::AddressNotAvailable
            | SendError::ConnectionRefused
            | SendError::NetworkDown
            | SendError::WouldBlock => Self::Send(error),
        }
    }
}

impl From<ReceiveError> for PingError {
    fn from(error: ReceiveError) -> Self {
        Self::Receive(error)
    }
}

impl From<PingError> for Error {
    fn from(error: PingError) -> Self {
        match error {
            PingError::TimedOut => Self::TimedOut,
            PingError::RemoteUnreachable => Self::RemoteUnreachable,
            PingError::PacketTooLarge => Self::PacketTooLarge,
            PingError::Bind(error) => error.into(),
            PingError::Send(error) => error.into(),
            PingError::Receive(error) => error.into(),
        }
    }
}

becomes_io_error!(PingError);
