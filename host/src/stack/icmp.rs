//! Errors that the path reports, and limits on those that this stack reports.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use smoltcp::wire::{
    Icmpv4DstUnreachable, Icmpv4Message, Icmpv4Packet, Icmpv6DstUnreachable, Icmpv6Message, Icmpv6Packet, IpProtocol,
    IpVersion, Ipv4Packet, Ipv6Packet,
};

use super::Core;
use super::demux::Tuple;
use super::tcp::Stage;
use crate::error::Error;
use crate::platform::Instant;

/// Resets and "port unreachable" messages per second to senders whom nobody listens to, as many as Linux allows itself
/// by default (icmp_msgs_per_sec).
const ANSWERS_PER_SECOND: u32 = 1000;

/// State about messages that belong to no socket.
#[derive(Debug, Default)]
pub(super) struct Icmp {
    window: Option<Instant>,
    answers: u32,
    /// The engine may have multicast reports to send.
    pub(super) reports_pending: bool,
    /// The device's link, when it was last looked at.
    pub(super) link_up: bool,
}

impl Icmp {
    /// Counts an answer to a packet that nobody took; false when there were enough within this second.
    pub(super) fn may_answer(&mut self, now: Instant) -> bool {
        if self.window.is_none_or(|start| now - start >= Duration::from_secs(1)) {
            self.window = Some(now);
            self.answers = 0;
        }
        self.answers += 1;
        self.answers <= ANSWERS_PER_SECOND
    }
}

/// The packet that an error is about, as its sender (this host) knows it.
struct Quoted {
    protocol: IpProtocol,
    tuple: Tuple,
    /// The TCP sequence number.
    sequence: u32,
}

impl Core {
    /// An ICMP error has arrived: the socket whose packet it quotes learns of it.
    ///
    /// A quotation proves little, since anyone may send one. So a connection fails by it only while it is being
    /// established and only if the sequence number is the one sent (RFC 5927); for an established one it is ignored, as
    /// a soft error (RFC 1122 section 4.2.3.9), and the retransmission timer decides.
    pub(super) fn icmp_error(&mut self, packet: &[u8]) {
        let Some((error, quoted)) = read(packet, self.capabilities.checksums == crate::device::Checksums::Computed)
        else {
            return;
        };
        match quoted.protocol {
            IpProtocol::Tcp => {
                let Some(&id) = self.tcp.by_tuple.get(&quoted.tuple) else { return };
                let Some(flow) = self.tcp.flows.get(id) else { return };
                let ours = flow.sent.is_some_and(|sent| sent.sequence == quoted.sequence);
                if ours && matches!(flow.stage, Stage::Connecting { .. }) {
                    self.tcp_abort(id, error);
                }
            }
            IpProtocol::Udp => self.udp_error(&quoted.tuple, &error),
            _ => {}
        }
    }
}

fn read(packet: &[u8], verify: bool) -> Option<(Error, Quoted)> {
    match IpVersion::of_packet(packet).ok()? {
        IpVersion::Ipv4 => {
            let ip = Ipv4Packet::new_checked(packet).ok()?;
            let icmp = Icmpv4Packet::new_checked(ip.payload()).ok()?;
            if verify && !icmp.verify_checksum() {
                return None;
            }
            let error = match icmp.msg_type() {
                Icmpv4Message::DstUnreachable => match Icmpv4DstUnreachable::from(icmp.msg_code()) {
                    Icmpv4DstUnreachable::PortUnreachable | Icmpv4DstUnreachable::ProtoUnreachable => {
                        Error::ConnectionRefused
                    }
                    Icmpv4DstUnreachable::FragRequired => Error::PacketTooLarge,
                    _ => Error::RemoteUnreachable,
                },
                Icmpv4Message::TimeExceeded | Icmpv4Message::ParamProblem => Error::RemoteUnreachable,
                _ => return None,
            };
            Some((error, quoted_v4(icmp.data())?))
        }
        IpVersion::Ipv6 => {
            let ip = Ipv6Packet::new_checked(packet).ok()?;
            let icmp = Icmpv6Packet::new_checked(ip.payload()).ok()?;
            if verify && !icmp.verify_checksum(&ip.src_addr(), &ip.dst_addr()) {
                return None;
            }
            let error = match icmp.msg_type() {
                Icmpv6Message::DstUnreachable => match Icmpv6DstUnreachable::from(icmp.msg_code()) {
                    Icmpv6DstUnreachable::PortUnreachable => Error::ConnectionRefused,
                    _ => Error::RemoteUnreachable,
                },
                Icmpv6Message::PktTooBig => Error::PacketTooLarge,
                Icmpv6Message::TimeExceeded | Icmpv6Message::ParamProblem => Error::RemoteUnreachable,
                _ => return None,
            };
            Some((error, quoted_v6(icmp.payload())?))
        }
    }
}

/// The quoted packet is cut short, so its length fields say more than there is; only fixed offsets are read.
fn quoted_v4(packet: &[u8]) -> Option<Quoted> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let destination: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    quoted(*packet.get(9)?, source.into(), destination.into(), packet.get(header.max(20)..)?)
}

fn quoted_v6(packet: &[u8]) -> Option<Quoted> {
    let source: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
    let destination: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
    quoted(*packet.get(6)?, source.into(), destination.into(), packet.get(40..)?)
}

/// The first eight bytes of the transport header are always quoted (RFC 792, RFC 4443): ports, and TCP's sequence.
fn quoted(protocol: u8, source: IpAddr, destination: IpAddr, transport: &[u8]) -> Option<Quoted> {
    let port = |at: usize| Some(u16::from_be_bytes(transport.get(at..at + 2)?.try_into().ok()?));
    let tuple = Tuple { local: SocketAddr::new(source, port(0)?), remote: SocketAddr::new(destination, port(2)?) };
    let sequence = u32::from_be_bytes(transport.get(4..8)?.try_into().ok()?);
    Some(Quoted { protocol: protocol.into(), tuple, sequence })
}
