//! Reading ICMP messages (RFC 792, RFC 4443).
//!
//! The messages themselves are read with `smoltcp::wire`. The packet that an error quotes is cut short, so that its
//! length fields say more than there is; of it only fixed offsets are read.

use core::net::{IpAddr, SocketAddr};

use smoltcp::wire::{
    Icmpv4DstUnreachable, Icmpv4Message, Icmpv4Packet, Icmpv6DstUnreachable, Icmpv6Message, Icmpv6Packet, IpProtocol,
    IpVersion, Ipv4Packet, Ipv6Packet,
};

use super::message::{EchoReply, IcmpErrorKind};

/// An ICMP message whose checksums are right, and the header that it came with.
#[derive(Clone, Copy)]
pub(super) struct Received<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    hop_limit: u8,
    bytes: &'a [u8],
}

/// An error, and the packet that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reported {
    pub(super) kind: IcmpErrorKind,
    /// The MTU of the next link, where the message has a place for it. 0 from a router that knows RFC 792 only.
    pub(super) mtu: Option<u32>,
    pub(super) quoted: Quoted,
}

/// The packet that an error is about, as its sender knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quoted {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// How long the packet was, its header included.
    pub(super) length: usize,
    pub(super) content: Content,
}

/// What the packet carried. The first eight bytes are always quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Tcp { from: u16, to: u16, sequence: u32 },
    Udp { from: u16, to: u16 },
    EchoRequest { identifier: u16, sequence: u16 },
}

impl Quoted {
    pub(super) const fn from(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.source, port)
    }

    pub(super) const fn to(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.destination, port)
    }
}

/// The ICMP message in an IP packet, where it is well-formed and, as far as they are to be verified, its checksums right.
pub(super) fn read(packet: &[u8], verify: bool) -> Option<Received<'_>> {
    match IpVersion::of_packet(packet).ok()? {
        IpVersion::Ipv4 => {
            let ip = Ipv4Packet::new_checked(packet).ok()?;
            let icmp = Icmpv4Packet::new_checked(ip.payload()).ok()?;
            let intact = !verify || (ip.verify_checksum() && icmp.verify_checksum());
            (intact && ip.next_header() == IpProtocol::Icmp).then(|| Received {
                source: ip.src_addr().into(),
                destination: ip.dst_addr().into(),
                hop_limit: ip.hop_limit(),
                bytes: ip.payload(),
            })
        }
        IpVersion::Ipv6 => {
            let ip = Ipv6Packet::new_checked(packet).ok()?;
            let (protocol, bytes) = match ip.next_header() {
                IpProtocol::HopByHop => {
                    let length = (usize::from(*ip.payload().get(1)?) + 1) * 8;
                    (IpProtocol::from(*ip.payload().first()?), ip.payload().get(length..)?)
                }
                protocol => (protocol, ip.payload()),
            };
            let icmp = Icmpv6Packet::new_checked(bytes).ok()?;
            let intact = !verify || icmp.verify_checksum(&ip.src_addr(), &ip.dst_addr());
            (intact && protocol == IpProtocol::Icmpv6).then(|| Received {
                source: ip.src_addr().into(),
                destination: ip.dst_addr().into(),
                hop_limit: ip.hop_limit(),
                bytes,
            })
        }
    }
}

impl Received<'_> {
    /// The message as an echo reply, with its identifier.
    pub(super) fn echo_reply(&self) -> Option<(u16, EchoReply)> {
        let kind =
            if self.source.is_ipv4() { Icmpv4Message::EchoReply.into() } else { Icmpv6Message::EchoReply.into() };
        if self.bytes.get(..2)? != [kind, 0] {
            return None;
        }
        let reply = EchoReply {
            source: self.source,
            sequence: u16_at(self.bytes, 6)?,
            data: self.bytes.get(8..)?.to_vec(),
            hop_limit: self.hop_limit,
        };
        Some((u16_at(self.bytes, 4)?, reply))
    }

    /// The message as an error.
    pub(super) fn error(&self) -> Option<Reported> {
        let rest = self.bytes.get(8..)?;
        if self.source.is_ipv4() {
            let icmp = Icmpv4Packet::new_checked(self.bytes).ok()?;
            let kind = kind_v4(&icmp)?;
            // RFC 1191 section 4: the second half of the word that RFC 792 leaves unused.
            let mtu = (kind == IcmpErrorKind::PacketTooBig).then_some(u32::from(u16_at(self.bytes, 6)?));
            Some(Reported { kind, mtu, quoted: quoted_v4(rest)? })
        } else {
            let icmp = Icmpv6Packet::new_checked(self.bytes).ok()?;
            let kind = kind_v6(&icmp)?;
            let mtu = (kind == IcmpErrorKind::PacketTooBig).then_some(u32_at(self.bytes, 4)?);
            Some(Reported { kind, mtu, quoted: quoted_v6(rest)? })
        }
    }
}

/// RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section 5.2.7.1.
fn kind_v4(icmp: &Icmpv4Packet<&[u8]>) -> Option<IcmpErrorKind> {
    Some(match icmp.msg_type() {
        Icmpv4Message::DstUnreachable => match Icmpv4DstUnreachable::from(icmp.msg_code()) {
            Icmpv4DstUnreachable::PortUnreachable | Icmpv4DstUnreachable::ProtoUnreachable => {
                IcmpErrorKind::PortUnreachable
            }
            Icmpv4DstUnreachable::FragRequired => IcmpErrorKind::PacketTooBig,
            Icmpv4DstUnreachable::NetProhibited
            | Icmpv4DstUnreachable::HostProhibited
            | Icmpv4DstUnreachable::CommProhibited
            | Icmpv4DstUnreachable::HostPrecedViol
            | Icmpv4DstUnreachable::PrecedCutoff => IcmpErrorKind::Prohibited,
            Icmpv4DstUnreachable::NetUnreachable
            | Icmpv4DstUnreachable::HostUnreachable
            | Icmpv4DstUnreachable::SrcRouteFailed
            | Icmpv4DstUnreachable::DstNetUnknown
            | Icmpv4DstUnreachable::DstHostUnknown
            | Icmpv4DstUnreachable::SrcHostIsolated
            | Icmpv4DstUnreachable::NetUnreachToS
            | Icmpv4DstUnreachable::HostUnreachToS
            | Icmpv4DstUnreachable::Unknown(_) => IcmpErrorKind::Unreachable,
        },
        Icmpv4Message::TimeExceeded => IcmpErrorKind::TimeExceeded,
        Icmpv4Message::ParamProblem => IcmpErrorKind::ParameterProblem,
        _ => return None,
    })
}

/// RFC 4443 section 3.
fn kind_v6(icmp: &Icmpv6Packet<&[u8]>) -> Option<IcmpErrorKind> {
    Some(match icmp.msg_type() {
        Icmpv6Message::DstUnreachable => match Icmpv6DstUnreachable::from(icmp.msg_code()) {
            Icmpv6DstUnreachable::PortUnreachable => IcmpErrorKind::PortUnreachable,
            Icmpv6DstUnreachable::AdminProhibit
            | Icmpv6DstUnreachable::FailedPolicy
            | Icmpv6DstUnreachable::RejectRoute => IcmpErrorKind::Prohibited,
            Icmpv6DstUnreachable::NoRoute
            | Icmpv6DstUnreachable::BeyondScope
            | Icmpv6DstUnreachable::AddrUnreachable
            | Icmpv6DstUnreachable::Unknown(_) => IcmpErrorKind::Unreachable,
        },
        Icmpv6Message::PktTooBig => IcmpErrorKind::PacketTooBig,
        Icmpv6Message::TimeExceeded => IcmpErrorKind::TimeExceeded,
        Icmpv6Message::ParamProblem => IcmpErrorKind::ParameterProblem,
        _ => return None,
    })
}

fn quoted_v4(packet: &[u8]) -> Option<Quoted> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    // Only the first fragment tells the ports.
    if u16_at(packet, 6)? & 0x1fff != 0 {
        return None;
    }
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let destination: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    Some(Quoted {
        source: source.into(),
        destination: destination.into(),
        length: usize::from(u16_at(packet, 2)?),
        content: content(*packet.get(9)?, packet.get(header.max(20)..)?, Icmpv4Message::EchoRequest.into())?,
    })
}

fn quoted_v6(packet: &[u8]) -> Option<Quoted> {
    let source: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
    let destination: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
    Some(Quoted {
        source: source.into(),
        destination: destination.into(),
        length: 40 + usize::from(u16_at(packet, 4)?),
        content: content(*packet.get(6)?, packet.get(40..)?, Icmpv6Message::EchoRequest.into())?,
    })
}

fn content(protocol: u8, transport: &[u8], echo_request: u8) -> Option<Content> {
    let transport = transport.get(..8)?;
    Some(match IpProtocol::from(protocol) {
        IpProtocol::Tcp => {
            Content::Tcp { from: u16_at(transport, 0)?, to: u16_at(transport, 2)?, sequence: u32_at(transport, 4)? }
        }
        IpProtocol::Udp => Content::Udp { from: u16_at(transport, 0)?, to: u16_at(transport, 2)? },
        IpProtocol::Icmp | IpProtocol::Icmpv6 if transport[0] == echo_request => {
            Content::EchoRequest { identifier: u16_at(transport, 4)?, sequence: u16_at(transport, 6)? }
        }
        _ => return None,
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(source: IpAddr, bytes: &[u8]) -> Received<'_> {
        Received { source, destination: source, hop_limit: 64, bytes }
    }

    #[test]
    fn every_code_has_its_kind() {
        use IcmpErrorKind::{ParameterProblem, PortUnreachable, Prohibited, TimeExceeded, Unreachable};
        let expected_v4 = |kind, code| match (kind, code) {
            (3, 2 | 3) => PortUnreachable,
            (3, 4) => IcmpErrorKind::PacketTooBig,
            (3, 9 | 10 | 13..=15) => Prohibited,
            (3, _) => Unreachable,
            (11, _) => TimeExceeded,
            _ => ParameterProblem,
        };
        let expected_v6 = |kind, code| match (kind, code) {
            (1, 4) => PortUnreachable,
            (1, 1 | 5 | 6) => Prohibited,
            (1, _) => Unreachable,
            (2, _) => IcmpErrorKind::PacketTooBig,
            (3, _) => TimeExceeded,
            _ => ParameterProblem,
        };
        let v4 = [&[0x45, 0, 0, 99, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2][..], &[7; 8]].concat();
        let v6 = [&[0x60, 0, 0, 0, 0, 59, 17, 64][..], &[1; 32], &[7; 8]].concat();
        for code in 0..=255 {
            for kind in [3, 11, 12] {
                let message = [&[kind, code, 0, 0, 0, 0, 0, 0][..], &v4].concat();
                let error = received([10, 0, 0, 2].into(), &message).error().expect("an error");
                assert_eq!((error.kind, error.quoted.length), (expected_v4(kind, code), 99), "{kind} {code}");
            }
            for kind in 1..=4 {
                let message = [&[kind, code, 0, 0, 0, 0, 0, 0][..], &v6].concat();
                let error = received([1; 16].into(), &message).error().expect("an error");
                assert_eq!((error.kind, error.quoted.length), (expected_v6(kind, code), 99), "{kind} {code}");
            }
        }
    }

    #[test]
    fn a_later_fragment_names_no_ports() {
        let mut quoted =
            [&[0x45, 0, 0, 99, 0, 0, 0x20, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2][..], &[7; 8]].concat();
        assert!(quoted_v4(&quoted).is_some());
        quoted[7] = 1;
        assert_eq!(quoted_v4(&quoted), None);
    }
}
