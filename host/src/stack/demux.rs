//! Whom a frame concerns: just enough of its headers to find the flow.
//!
//! The headers are read with the same code that smoltcp will read them with (`smoltcp::wire`), so that the stack and
//! the engine cannot see two different packets in one frame. Nothing here validates checksums; the engine does, and a
//! frame that fails there changes no flow.

use core::net::{IpAddr, SocketAddr};

use smoltcp::phy::Medium;
use smoltcp::wire::{
    DHCP_CLIENT_PORT, DhcpPacket, EthernetFrame, EthernetProtocol, Icmpv4Message, Icmpv6Message, IpProtocol, IpVersion,
    Ipv4Packet, Ipv6Packet, TcpPacket, UdpPacket,
};

use super::groups;

use xila_network_engine::buffer::Slice;
use xila_network_engine::ip::segmentation::Segmentation;
pub(crate) use xila_network_engine::tcp::Tuple;
use xila_network_engine::wire::Ip;

/// What a received frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    /// A TCP segment, in an IP packet that begins at `ip`.
    Tcp { ip: usize, tuple: Tuple },
    /// A UDP datagram.
    Udp(Tuple),
    /// An ICMP error about a packet of this host: where in the frame the IP packet begins.
    IcmpError { ip: usize },
    /// An echo request: who is asked, with the identifier, and who asks.
    EchoRequest(Tuple),
    /// An echo reply, in an IP packet that begins at `ip`: whom it is for, with the identifier, and who answers.
    EchoReply { ip: usize, to: Tuple },
    /// An ARP packet or a neighbour advertisement: somebody's hardware address may now be known.
    Neighbour,
    /// A router's question who is a member of which multicast groups.
    GroupQuery,
    /// A router's advertisement: where in the frame the IP packet begins.
    RouterAdvertisement { ip: usize },
    /// A packet that begins at `ip` and has to be unwrapped first: a fragment, or one with IPv6 extension headers.
    Wrapped { ip: usize },
    /// Anything else that the engine itself answers or ignores: reports of others, unknown protocols.
    Other,
    /// Malformed, or not to be looked at.
    Unreadable,
}

/// Reads a received frame, some of whose data may lie apart.
pub(crate) fn read(medium: Medium, frame: &[u8], apart: &[Slice]) -> Packet {
    inspect(medium, frame, apart).unwrap_or(Packet::Unreadable)
}

fn inspect(medium: Medium, frame: &[u8], apart: &[Slice]) -> Option<Packet> {
    let (ip, payload) = match medium {
        Medium::Ethernet => {
            let ethernet = EthernetFrame::new_checked(frame).ok()?;
            match ethernet.ethertype() {
                EthernetProtocol::Arp => return Some(Packet::Neighbour),
                EthernetProtocol::Ipv4 | EthernetProtocol::Ipv6 => {}
                EthernetProtocol::Unknown(_) => return None,
            }
            (EthernetFrame::<&[u8]>::header_len(), ethernet.payload())
        }
        Medium::Ip => (0, frame),
        #[allow(unreachable_patterns, reason = "smoltcp's media depend on features that another crate may turn on")]
        _ => return None,
    };
    if !apart.is_empty() {
        return segment(ip, payload, apart);
    }
    // smoltcp looks at the first byte without asking whether there is one.
    payload.first()?;
    match IpVersion::of_packet(payload).ok()? {
        IpVersion::Ipv4 => {
            let packet = Ipv4Packet::new_checked(payload).ok()?;
            if packet.more_frags() || packet.frag_offset() != 0 {
                return Some(Packet::Wrapped { ip });
            }
            let (source, destination) = (IpAddr::V4(packet.src_addr()), IpAddr::V4(packet.dst_addr()));
            let header = Header { source, destination, hop_limit: packet.hop_limit(), options: &[], ip };
            transport(packet.next_header(), &header, packet.payload())
        }
        IpVersion::Ipv6 => {
            let packet = Ipv6Packet::new_checked(payload).ok()?;
            let (source, destination) = (IpAddr::V6(packet.src_addr()), IpAddr::V6(packet.dst_addr()));
            let header = Header { source, destination, hop_limit: packet.hop_limit(), options: &[], ip };
            match packet.next_header() {
                IpProtocol::HopByHop => {
                    let payload = packet.payload();
                    let length = (usize::from(*payload.get(1)?) + 1) * 8;
                    let next = IpProtocol::from(*payload.first()?);
                    let header = Header { options: payload.get(2..length)?, ..header };
                    transport(next, &header, payload.get(length..)?)
                }
                next => transport(next, &header, packet.payload()),
            }
        }
    }
}

/// Whether there is a TCP header whole in the head of a frame.
pub(crate) fn is_tcp(medium: Medium, head: &[u8]) -> bool {
    let ip = if medium == Medium::Ethernet { EthernetFrame::<&[u8]>::header_len() } else { 0 };
    // Its length does not matter here.
    head.get(ip..).is_some_and(|packet| Segmentation::new(packet, usize::MAX, 1).is_some_and(|found| found.is_tcp()))
}

/// A packet in parts: a TCP segment, as nothing else is looked at in parts.
fn segment(ip: usize, head: &[u8], apart: &[Slice]) -> Option<Packet> {
    let packet = Ip::parse(head, apart.iter().map(|slice| slice.len()).sum(), false)?;
    let tcp = TcpPacket::new_checked(packet.payload).ok().filter(|_| packet.protocol == IpProtocol::Tcp)?;
    let local = SocketAddr::new(packet.destination, tcp.dst_port());
    let remote = SocketAddr::new(packet.source, tcp.src_port());
    Some(Packet::Tcp { ip, tuple: Tuple::new(local, remote) })
}

/// What the IP header of a packet says.
struct Header<'a> {
    source: IpAddr,
    destination: IpAddr,
    hop_limit: u8,
    /// Of the hop-by-hop options header, where there is one (RFC 8200 section 4.3).
    options: &'a [u8],
    /// Where in the frame the packet begins.
    ip: usize,
}

fn transport(protocol: IpProtocol, header: &Header<'_>, payload: &[u8]) -> Option<Packet> {
    let &Header { source, destination, hop_limit, options, ip } = header;
    let tuple = |to: u16, from: u16| Tuple::new(SocketAddr::new(destination, to), SocketAddr::new(source, from));
    let identifier = || Some(u16::from_be_bytes(payload.get(4..6)?.try_into().ok()?));
    Some(match protocol {
        IpProtocol::Tcp => {
            let tcp = TcpPacket::new_checked(payload).ok()?;
            Packet::Tcp { ip, tuple: tuple(tcp.dst_port(), tcp.src_port()) }
        }
        IpProtocol::Udp => {
            let udp = UdpPacket::new_checked(payload).ok()?;
            Packet::Udp(tuple(udp.dst_port(), udp.src_port()))
        }
        IpProtocol::Icmp => match Icmpv4Message::from(*payload.first()?) {
            Icmpv4Message::DstUnreachable | Icmpv4Message::TimeExceeded | Icmpv4Message::ParamProblem => {
                Packet::IcmpError { ip }
            }
            Icmpv4Message::EchoRequest => Packet::EchoRequest(tuple(identifier()?, 0)),
            Icmpv4Message::EchoReply => Packet::EchoReply { ip, to: tuple(identifier()?, 0) },
            _ => Packet::Other,
        },
        // RFC 2236 section 2.1.
        IpProtocol::Igmp if payload.first() == Some(&0x11) => {
            groups::check_igmp_query(source, destination, hop_limit, payload)?;
            Packet::GroupQuery
        }
        IpProtocol::Icmpv6 => match Icmpv6Message::from(*payload.first()?) {
            Icmpv6Message::DstUnreachable
            | Icmpv6Message::PktTooBig
            | Icmpv6Message::TimeExceeded
            | Icmpv6Message::ParamProblem => Packet::IcmpError { ip },
            Icmpv6Message::NeighborAdvert | Icmpv6Message::NeighborSolicit => Packet::Neighbour,
            Icmpv6Message::MldQuery => {
                groups::check_mld_query(source, destination, hop_limit, options, payload)?;
                Packet::GroupQuery
            }
            Icmpv6Message::RouterAdvert => Packet::RouterAdvertisement { ip },
            Icmpv6Message::EchoRequest => Packet::EchoRequest(tuple(identifier()?, 0)),
            Icmpv6Message::EchoReply => Packet::EchoReply { ip, to: tuple(identifier()?, 0) },
            _ => Packet::Other,
        },
        IpProtocol::Ipv6Frag | IpProtocol::Ipv6Opts | IpProtocol::Ipv6Route | IpProtocol::Ipv6NoNxt
            if source.is_ipv6() =>
        {
            Packet::Wrapped { ip }
        }
        _ => Packet::Other,
    })
}

/// What the stack wants to know of a frame that it sends itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Glimpse {
    /// It asks for a neighbour's hardware address and carries nothing else.
    pub(crate) solicitation: bool,
    /// The transaction of the DHCP client's message in it.
    pub(crate) transaction: Option<u32>,
}

/// Looks at a frame that smoltcp has built. Its headers are well-formed, so fixed offsets do (RFC 791, RFC 8200).
pub(crate) fn glimpse(medium: Medium, frame: &[u8]) -> Glimpse {
    const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
    const NEIGHBOUR_SOLICIT: u8 = 135;
    let ip = match medium {
        Medium::Ethernet if frame.get(12..14) == Some(&ETHERTYPE_ARP) => {
            return Glimpse { solicitation: true, ..Glimpse::default() };
        }
        Medium::Ethernet => frame.get(14..).unwrap_or(&[]),
        _ => frame,
    };
    let (protocol, payload) = match ip.first().map(|byte| byte >> 4) {
        Some(4) => (ip.get(9), ip.get(usize::from(ip[0] & 0x0f) * 4..)),
        Some(6) => (ip.get(6), ip.get(40..)),
        _ => (None, None),
    };
    let (Some(&protocol), Some(payload)) = (protocol, payload) else { return Glimpse::default() };
    match IpProtocol::from(protocol) {
        IpProtocol::Icmpv6 => {
            Glimpse { solicitation: payload.first() == Some(&NEIGHBOUR_SOLICIT), ..Glimpse::default() }
        }
        IpProtocol::Udp => Glimpse { transaction: transaction(payload), ..Glimpse::default() },
        _ => Glimpse::default(),
    }
}

/// RFC 2131 section 2: the field `xid`, from the client's port.
fn transaction(datagram: &[u8]) -> Option<u32> {
    let udp = UdpPacket::new_checked(datagram).ok().filter(|udp| udp.src_port() == DHCP_CLIENT_PORT)?;
    DhcpPacket::new_checked(udp.payload()).ok().map(|packet| packet.transaction_id())
}
