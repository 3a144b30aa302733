//! The ICMP errors that the host has received about what a datagram socket has sent (ip(7), `IP_RECVERR`).

use core::net::{IpAddr, SocketAddr};
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use tokio::io::Interest;
use tokio::net::UdpSocket;
use xila_network_engine::ip::icmp::write::Reason;

/// An error.
pub(super) struct Told {
    /// Where the datagram was sent to.
    pub(super) destination: SocketAddr,
    /// Who has reported the error; `None` if it is not known, or is this host.
    pub(super) from: Option<IpAddr>,
    pub(super) reason: Reason,
    /// The datagram's payload, as far as the host has kept it.
    pub(super) payload: Vec<u8>,
}

/// The most bytes of a datagram that are kept.
const KEPT: usize = 512;

/// Makes the host keep errors for a socket of this family.
pub(super) fn enable(socket: &impl AsFd, family: IpAddr) -> io::Result<()> {
    match family {
        IpAddr::V4(_) => setsockopt(socket, sockopt::Ipv4RecvErr, &true)?,
        IpAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvErr, &true)?,
    }
    Ok(())
}

/// Passes all errors to `tell`, oldest first; returns whether there were any.
pub(super) fn drain(socket: &UdpSocket, mut tell: impl FnMut(Told)) -> bool {
    let mut any = false;
    let mut drain = || {
        while let Some(told) = next(socket) {
            any = true;
            tell(told);
        }
    };
    // The socket counts as ready until this finds nothing more. An error that comes meanwhile makes it ready again.
    let _cleared = socket.try_io(Interest::ERROR, || -> io::Result<()> {
        drain();
        Err(io::ErrorKind::WouldBlock.into())
    });
    // The error of a call is in the queue before the socket is known to be ready.
    drain();
    any
}

/// The next error. Errors without a meaning to an app are passed over.
fn next(socket: &impl AsRawFd) -> Option<Told> {
    loop {
        let mut payload = vec![0; KEPT];
        let mut parts = [IoSliceMut::new(&mut payload)];
        let mut control = nix::cmsg_space!(nix::libc::sock_extended_err, nix::libc::sockaddr_in6);
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags).ok()?;
        let (length, destination) = (message.bytes, message.address.as_ref().and_then(end));
        let told = message.cmsgs().ok()?.find_map(|part| match part {
            ControlMessageOwned::Ipv4RecvErr(error, from) => {
                Some((v4(&error)?, from.map(|from| IpAddr::V4(u32::from_be(from.sin_addr.s_addr).into()))))
            }
            ControlMessageOwned::Ipv6RecvErr(error, from) => {
                Some((v6(&error)?, from.map(|from| IpAddr::V6(from.sin6_addr.s6_addr.into()))))
            }
            _ => None,
        });
        if let (Some((reason, from)), Some(destination)) = (told, destination) {
            payload.truncate(length);
            let from = from.filter(|from| !from.is_unspecified());
            return Some(Told { destination, from, reason, payload });
        }
    }
}

fn end(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|end| SocketAddr::new(end.ip().into(), end.port()));
    v4.or_else(|| address.as_sockaddr_in6().map(|end| SocketAddr::new(end.ip().into(), end.port())))
}

/// The origin of an error that the host itself has found (`SO_EE_ORIGIN_LOCAL`), such as a datagram that is longer than
/// the path MTU.
const LOCAL: u8 = 1;

fn v4(error: &nix::libc::sock_extended_err) -> Option<Reason> {
    match (error.ee_type, error.ee_code) {
        _ if error.ee_origin == LOCAL => too_big(error),
        (3, 3) => Some(Reason::PortUnreachable),
        (3, 2) => Some(Reason::ProtocolUnreachable { pointer: 0 }),
        (3, 4) => Some(Reason::TooBig { mtu: error.ee_info }),
        (3, 9 | 10 | 13) => Some(Reason::Prohibited),
        (3, 1 | 7 | 12) => Some(Reason::AddressUnreachable),
        (3, _) => Some(Reason::NoRoute),
        (11, _) => Some(Reason::HopLimitExceeded),
        _ => None,
    }
}

const fn v6(error: &nix::libc::sock_extended_err) -> Option<Reason> {
    match (error.ee_type, error.ee_code) {
        _ if error.ee_origin == LOCAL => too_big(error),
        (1, 4) => Some(Reason::PortUnreachable),
        (1, 3) => Some(Reason::AddressUnreachable),
        (1, 1 | 5 | 6) => Some(Reason::Prohibited),
        (1, _) => Some(Reason::NoRoute),
        (2, _) => Some(Reason::TooBig { mtu: error.ee_info }),
        (3, _) => Some(Reason::HopLimitExceeded),
        _ => None,
    }
}

/// A local error is about the path MTU, or that a neighbour did not answer.
const fn too_big(error: &nix::libc::sock_extended_err) -> Option<Reason> {
    match error.ee_errno as i32 {
        nix::libc::EMSGSIZE => Some(Reason::TooBig { mtu: error.ee_info }),
        nix::libc::EHOSTUNREACH => Some(Reason::AddressUnreachable),
        nix::libc::ENETUNREACH => Some(Reason::NoRoute),
        _ => None,
    }
}
