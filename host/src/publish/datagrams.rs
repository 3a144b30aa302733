//! The host's socket of a UDP publication, which answers from the address that was asked.

use core::net::{IpAddr, SocketAddr};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::AsRawFd as _;

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A socket that tells, for each datagram, which of the host's addresses it came to.
///
/// A peer takes an answer only from the address that it has asked (RFC 1122 section 4.1.3.5). A socket of all addresses
/// would answer from the one that the host's routes prefer.
pub(super) struct Datagrams(UdpSocket);

/// The two ends that datagrams travel between: those of one peer to one address of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ends {
    /// The peer.
    pub(super) peer: SocketAddr,
    /// The host's address and the index of its interface; `None` if the host has to choose, because the address was
    /// that of a group.
    asked: Option<(IpAddr, u32)>,
}

#[cfg(test)]
impl Ends {
    /// A peer that has sent to a group.
    pub(super) const fn of_group(peer: SocketAddr) -> Self {
        Self { peer, asked: None }
    }
}

impl Datagrams {
    /// Takes over a bound socket.
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        match socket.local_addr()? {
            SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
        Ok(Self(socket))
    }

    /// Receives a datagram; returns its length and ends.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, Ends)> {
        self.0
            .async_io(Interest::READABLE, || {
                let mut parts = [IoSliceMut::new(buffer)];
                let mut control = nix::cmsg_space!(in_pktinfo, in6_pktinfo);
                let flags = MsgFlags::MSG_DONTWAIT;
                let message = recvmsg::<SockaddrStorage>(self.0.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
                let peer = message.address.as_ref().and_then(end).ok_or(io::ErrorKind::InvalidData)?;
                let asked = message.cmsgs()?.find_map(|part| match part {
                    ControlMessageOwned::Ipv4PacketInfo(info) => {
                        Some((IpAddr::V4(u32::from_be(info.ipi_spec_dst.s_addr).into()), 0))
                    }
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        Some((IpAddr::V6(info.ipi6_addr.s6_addr.into()), info.ipi6_ifindex))
                    }
                    _ => None,
                });
                let asked = asked.filter(|(address, _)| !address.is_multicast());
                Ok((message.bytes, Ends { peer, asked }))
            })
            .await
    }

    /// Sends a datagram to the peer, from the address that it has asked.
    pub(super) async fn send(&self, datagram: &[u8], ends: Ends) -> io::Result<()> {
        let parts = [IoSlice::new(datagram)];
        let (mut v4, mut v6) = (None, None);
        match ends.asked {
            Some((IpAddr::V4(address), _)) => {
                let (source, unused) = (in_addr { s_addr: address.to_bits().to_be() }, in_addr { s_addr: 0 });
                v4 = Some(in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: unused });
            }
            Some((IpAddr::V6(address), interface)) => {
                // Only a link-local address belongs to one interface.
                let ipi6_ifindex = if address.is_unicast_link_local() { interface } else { 0 };
                v6 = Some(in6_pktinfo { ipi6_addr: in6_addr { s6_addr: address.octets() }, ipi6_ifindex });
            }
            None => {}
        }
        let v4 = v4.as_ref().map(ControlMessage::Ipv4PacketInfo);
        let control: Vec<ControlMessage<'_>> =
            v4.or(v6.as_ref().map(ControlMessage::Ipv6PacketInfo)).into_iter().collect();
        let to = SockaddrStorage::from(ends.peer);
        self.0
            .async_io(Interest::WRITABLE, || {
                sendmsg(self.0.as_raw_fd(), &parts, &control, MsgFlags::MSG_DONTWAIT, Some(&to))?;
                Ok(())
            })
            .await
    }
}

fn end(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|end| SocketAddr::V4((*end).into()));
    v4.or_else(|| address.as_sockaddr_in6().map(|end| SocketAddr::V6((*end).into())))
}
