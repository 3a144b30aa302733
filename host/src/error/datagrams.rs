//! What UDP and ICMP sockets fail with.

use xila_network_engine::udp::queue::PathError;

use super::{BindError, Error, InterfaceNotFound};

operation_error! {
    /// Why a datagram or an echo request was not sent: [`UdpSocket::send_to`](crate::socket::UdpSocket::send_to) and
    /// [`IcmpSocket::send_to`](crate::socket::IcmpSocket::send_to), and their kin.
    pub enum SendError {
        /// Nothing can be sent to the remote: its port is 0, its address unspecified, IPv4-mapped or of another family than
        /// the socket's \[EINVAL\].
        #[error("nothing can be sent to the remote address")]
        InvalidArgument,
        /// The socket is connected to another peer than the remote, or to none where none is named; or it watches a port for
        /// ICMP errors, and has no identifier to send with \[EINVAL, ENOTCONN\].
        #[error("the socket is not in a state to send there")]
        InvalidState,
        /// The remote is a broadcast address, and the socket may not send to those \[EACCES\].
        #[error("the socket may not send to a broadcast address")]
        AccessDenied,
        /// No interface has the socket's address any more \[EADDRNOTAVAIL\].
        #[error("no interface has the socket's address any more")]
        AddressNotAvailable,
        /// No route leads to the remote; or, of a connected socket, the path said of an earlier datagram that the peer cannot
        /// be reached \[EHOSTUNREACH, ENETUNREACH\].
        #[error("the remote cannot be reached")]
        RemoteUnreachable,
        /// The connected peer refused an earlier datagram: nobody receives at its port \[ECONNREFUSED\].
        #[error("the peer refused an earlier datagram")]
        ConnectionRefused,
        /// The interface that leads to the remote is down, or there is none any more \[ENETDOWN\].
        #[error("the network to send through is down")]
        NetworkDown,
        /// The payload is longer than the packet takes; or longer than the path takes, and is not to go in fragments; or, of a
        /// connected socket, an earlier one was \[EMSGSIZE\].
        #[error("the packet is too large to be sent")]
        PacketTooLarge,
        /// The link takes nothing now: [`UdpSocket::try_send_to`](crate::socket::UdpSocket::try_send_to) and its kin only
        /// \[EWOULDBLOCK\].
        #[error("the link takes nothing now")]
        WouldBlock,
    }
}

operation_error! {
    /// Why nothing was received: [`UdpSocket::recv_from`](crate::socket::UdpSocket::recv_from) and
    /// [`IcmpSocket::recv`](crate::socket::IcmpSocket::recv), and their kin.
    pub enum ReceiveError {
        /// The connected peer refused a datagram that was sent: nobody receives at its port \[ECONNREFUSED\].
        #[error("the peer refused a datagram that was sent")]
        ConnectionRefused,
        /// The path said of a datagram that was sent that the connected peer cannot be reached \[EHOSTUNREACH,
        /// ENETUNREACH\].
        #[error("the peer of a datagram that was sent cannot be reached")]
        RemoteUnreachable,
        /// The path said that a datagram that was sent to the connected peer is larger than it takes \[EMSGSIZE\].
        #[error("a datagram that was sent is too large for its path")]
        PacketTooLarge,
        /// No interface has the socket's address any more \[EADDRNOTAVAIL\].
        #[error("no interface has the socket's address any more")]
        AddressNotAvailable,
        /// No interface that has the socket's address is up \[ENETDOWN\].
        #[error("the socket's network is down")]
        NetworkDown,
        /// Nothing has arrived: [`UdpSocket::try_recv_datagram`](crate::socket::UdpSocket::try_recv_datagram) only
        /// \[EWOULDBLOCK\].
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

sole_cause! {
    /// The address is none that datagrams can be sent to: its port is 0, it is unspecified, IPv4-mapped or of another family
    /// than the socket's \[EINVAL\].
    #[error("no datagram can be sent to the remote address")]
    pub struct InvalidRemote: InvalidArgument of SendError;
}

sole_cause! {
    /// The socket has no peer that it is connected to \[EINVAL, ENOTCONN\].
    #[error("the socket is not connected")]
    pub struct NotConnected: InvalidState of SendError;
}

operation_error! {
    /// Why a socket neither joins nor leaves a multicast group:
    /// [`UdpSocket::join_multicast`](crate::socket::UdpSocket::join_multicast) and
    /// [`UdpSocket::leave_multicast`](crate::socket::UdpSocket::leave_multicast).
    pub enum MembershipError {
        /// The address is no group's, or the group is of another family than the socket \[EINVAL\].
        #[error("the address is no group's that the socket could join")]
        InvalidArgument,
        /// No interface of that name serves the socket, or none at all \[ENODEV\].
        #[error("no such interface serves the socket")]
        NotFound,
        /// The interface is down or unmounted \[ENETDOWN\].
        #[error("the group's interface is down")]
        NetworkDown,
        /// The socket joins a group that it is a member of already \[EADDRINUSE\].
        #[error("the socket is a member of the group already")]
        AddressInUse,
        /// The socket leaves a group that it is no member of \[EADDRNOTAVAIL\].
        #[error("the socket is no member of the group")]
        AddressNotAvailable,
        /// The guest's policy forbids the group \[EACCES\].
        #[error("the policy forbids the group")]
        AccessDenied,
        /// The owner's sockets have as many memberships as they may \[ENOSPC\].
        #[error("the owner has its share of memberships")]
        NoFreeSlot,
    }
}

cause_of!(InterfaceNotFound: NotFound of MembershipError);

/// Why nobody is known to have answered an echo request: [`ping`](crate::socket::ping).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PingError {
    /// No reply came in time \[ETIMEDOUT\].
    #[error("no reply came in time")]
    TimedOut,
    /// No route leads there, or somebody on the way said that the request goes no further, also because its hop limit ran
    /// out \[EHOSTUNREACH, ENETUNREACH\].
    #[error("the remote cannot be reached")]
    RemoteUnreachable,
    /// The request is longer than a packet, or than a link of its path takes \[EMSGSIZE\].
    #[error("the request is too large for its path")]
    PacketTooLarge,
    /// There is no socket to ask with.
    #[error(transparent)]
    Bind(BindError),
    /// The request was not sent, for another cause than the above.
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
