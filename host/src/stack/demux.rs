//! Whom a frame concerns: just enough of its headers to find the flow.
//!
//! The headers are read with the same code that smoltcp will read them with (`smoltcp::wire`), so that the stack and
//! the engine cannot see two different packets in one frame. Nothing here validates checksums; the engine does, and a
//! frame that fails there changes no flow.

use core::net::{IpAddr, SocketAddr};

use smoltcp::phy::{DeviceCapabilities, Medium};
use smoltcp::wire::{
    DHCP_CLIENT_PORT, DhcpPacket, EthernetFrame, EthernetProtocol, Icmpv4Message, Icmpv6Message, IpAddress, IpProtocol,
    IpVersion, Ipv4Packet, Ipv6Packet, TcpPacket, TcpSeqNumber, UdpPacket,
};

use super::groups;

/// The two ends of a packet, seen from this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Tuple {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

impl Tuple {
    /// As the other end sees it.
    pub(crate) const fn reversed(&self) -> Self {
        Self { local: self.remote, remote: self.local }
    }
}

/// The parts of a TCP header that decide about a segment without a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) syn: bool,
    pub(crate) ack: bool,
    pub(crate) rst: bool,
    pub(crate) fin: bool,
    pub(crate) sequence: u32,
    /// Bytes of payload.
    pub(crate) length: u32,
    /// The receive window, not scaled.
    pub(crate) window: u16,
}

/// What a received frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    /// A TCP segment.
    Tcp(Tuple, Segment),
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
    /// A fragment of an IPv4 packet, which begins at `ip`.
    Fragment { ip: usize },
    /// Anything else that the engine itself answers or ignores: reports of others, unknown protocols.
    Other,
    /// Malformed, or not to be looked at.
    Unreadable,
}

/// Reads a received frame.
pub(crate) fn read(medium: Medium, frame: &[u8]) -> Packet {
    inspect(medium, frame).unwrap_or(Packet::Unreadable)
}

fn inspect(medium: Medium, frame: &[u8]) -> Option<Packet> {
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
    // smoltcp looks at the first byte without asking whether there is one.
    payload.first()?;
    match IpVersion::of_packet(payload).ok()? {
        IpVersion::Ipv4 => {
            let packet = Ipv4Packet::new_checked(payload).ok()?;
            if packet.more_frags() || packet.frag_offset() != 0 {
                return Some(Packet::Fragment { ip });
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
    let tuple =
        |to: u16, from: u16| Tuple { local: SocketAddr::new(destination, to), remote: SocketAddr::new(source, from) };
    let identifier = || Some(u16::from_be_bytes(payload.get(4..6)?.try_into().ok()?));
    Some(match protocol {
        IpProtocol::Tcp => {
            let tcp = TcpPacket::new_checked(payload).ok()?;
            Packet::Tcp(tuple(tcp.dst_port(), tcp.src_port()), segment(&tcp))
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
        _ => Packet::Other,
    })
}

fn segment(tcp: &TcpPacket<&[u8]>) -> Segment {
    Segment {
        syn: tcp.syn(),
        ack: tcp.ack(),
        rst: tcp.rst(),
        fin: tcp.fin(),
        sequence: tcp.seq_number().0.cast_unsigned(),
        length: u32::try_from(tcp.payload().len()).unwrap_or(u32::MAX),
        window: tcp.window_len(),
    }
}

/// What the stack wants to know of a frame that it sends itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Glimpse {
    /// It asks for a neighbour's hardware address and carries nothing else.
    pub(crate) solicitation: bool,
    /// The sequence numbers of the TCP segment in it.
    pub(crate) sent: Option<Sent>,
    /// The transaction of the DHCP client's message in it.
    pub(crate) transaction: Option<u32>,
}

/// Where a TCP segment that was sent stands in the sequence spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Of its first byte or flag.
    pub(crate) sequence: u32,
    /// Of what follows it.
    pub(crate) next: u32,
    /// What it expects from the peer.
    pub(crate) acknowledgement: u32,
    /// The window field as it is, without its scale.
    pub(crate) window: u16,
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
        IpProtocol::Tcp => Glimpse { sent: sent(payload), ..Glimpse::default() },
        IpProtocol::Udp => Glimpse { transaction: transaction(payload), ..Glimpse::default() },
        _ => Glimpse::default(),
    }
}

/// Sets the sequence number of a bare acknowledgement to `highest`, where it is behind.
///
/// After a retransmission timeout smoltcp goes back to the first byte that is not acknowledged, with the sequence numbers
/// of its bare acknowledgements too. Two ends that both do so refuse each other's segments as old, and with them the
/// acknowledgements that either waits for: the connection stands still for ever. RFC 9293 section 3.10.7.4 sends
/// SND.NXT, which is the highest number there; BSD's `tcp_output` says why it takes `snd_max`.
pub(super) fn raise_acknowledgement(capabilities: &DeviceCapabilities, frame: &mut [u8], highest: u32) -> Option<()> {
    // Headers of Ethernet, IP and TCP, the latter two with all options there can be.
    const LONGEST: usize = 14 + 60 + 60;
    if frame.len() > LONGEST {
        return None;
    }
    let ip = match capabilities.medium {
        Medium::Ethernet if !matches!(frame.get(12..14)?, [0x08, 0x00] | [0x86, 0xdd]) => return None,
        Medium::Ethernet => frame.get_mut(EthernetFrame::<&[u8]>::header_len()..)?,
        _ => frame,
    };
    let (source, destination, payload): (IpAddress, IpAddress, _) = match IpVersion::of_packet(ip).ok()? {
        IpVersion::Ipv4 => {
            let packet = Ipv4Packet::new_checked(&*ip).ok().filter(|packet| packet.next_header() == IpProtocol::Tcp)?;
            let (source, destination) = (packet.src_addr().into(), packet.dst_addr().into());
            (source, destination, usize::from(packet.header_len())..usize::from(packet.total_len()))
        }
        IpVersion::Ipv6 => {
            let packet = Ipv6Packet::new_checked(&*ip).ok().filter(|packet| packet.next_header() == IpProtocol::Tcp)?;
            (packet.src_addr().into(), packet.dst_addr().into(), packet.header_len()..packet.total_len())
        }
    };
    let mut tcp = TcpPacket::new_checked(ip.get_mut(payload)?).ok()?;
    let bare = tcp.segment_len() == 0 && !tcp.rst();
    if bare && highest.wrapping_sub(tcp.seq_number().0.cast_unsigned()).cast_signed() > 0 {
        tcp.set_seq_number(TcpSeqNumber(highest.cast_signed()));
        if capabilities.checksum.tcp.tx() {
            tcp.fill_checksum(&source, &destination);
        }
    }
    Some(())
}

/// RFC 2131 section 2: the field `xid`, from the client's port.
fn transaction(datagram: &[u8]) -> Option<u32> {
    let udp = UdpPacket::new_checked(datagram).ok().filter(|udp| udp.src_port() == DHCP_CLIENT_PORT)?;
    DhcpPacket::new_checked(udp.payload()).ok().map(|packet| packet.transaction_id())
}

fn sent(segment: &[u8]) -> Option<Sent> {
    let tcp = TcpPacket::new_checked(segment).ok()?;
    let sequence = tcp.seq_number().0.cast_unsigned();
    let length = u32::try_from(tcp.segment_len()).ok()?;
    Some(Sent {
        sequence,
        next: sequence.wrapping_add(length),
        acknowledgement: tcp.ack_number().0.cast_unsigned(),
        window: tcp.window_len(),
    })
}
