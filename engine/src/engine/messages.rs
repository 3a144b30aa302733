//! ICMP: echo requests and replies, and errors about packets of this host (RFC 792, RFC 4443).

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::Engine;
use super::arrival::ends;
use crate::event::Event;
use crate::frame::Transmitter;
use crate::icmp::{EchoReply, Report};
use crate::ip::headers::Packet;
use crate::ip::icmp::{Content, Echo, ErrorKind, Message, Quoted, write};
use crate::tcp::Cause;
use crate::tcp::sequence::Sequence;
use crate::time::Instant;
use crate::udp::Tuple;
use crate::udp::queue::PathError;
use crate::udp::recent::Protocol;

impl Engine {
    /// Processes an ICMP message.
    pub(super) fn receive_message(
        &mut self,
        packet: &Packet<'_>,
        verify: bool,
        now: Instant,
        device: &mut dyn Transmitter,
    ) {
        match Message::read(packet.source, packet.destination, packet.payload(), verify) {
            Ok(Message::EchoRequest(echo)) => self.echo(packet, &echo, now, device),
            Ok(Message::EchoReply(echo)) => self.echo_reply_arrived(packet, &echo),
            Ok(Message::Error(report)) if self.interface.is_local(packet.destination) => {
                // An error must be addressed to the source of the quoted packet. One to a multicast or broadcast
                // address is not (RFC 1122 section 3.2.2).
                if report.quoted.source == packet.destination {
                    self.error_arrived(packet.source, report.kind, report.mtu, &report.quoted, now);
                }
            }
            // Unknown informational messages are dropped silently (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (b)).
            Ok(Message::Error(_) | Message::Other { .. }) | Err(_) => self.counters.dropped += 1,
        }
    }

    /// Answers an echo request. A request to a multicast or broadcast address is answered only over IPv6 (RFC 4443
    /// section 4.2). RFC 1122 section 3.2.2.6 leaves it open for IPv4, and such answers amplify attacks.
    fn echo(&mut self, packet: &Packet<'_>, echo: &Echo<'_>, now: Instant, device: &mut dyn Transmitter) {
        let (asker, asked) = (packet.source, packet.destination);
        let is_for_one = self.interface.is_local(asked);
        if !self.echo_reply || (!is_for_one && asked.is_ipv4()) || asker.is_unspecified() {
            self.counters.dropped += 1;
            return;
        }
        let from = if is_for_one { Some(asked) } else { self.interface.source_for(asker, now) };
        let Some(from) = from else { return };
        let mut message = Vec::new();
        write::echo_reply(&mut message, from, asker, echo.identifier, echo.sequence, echo.payload);
        self.interface.send_icmp(from, asker, &message, now, device);
    }

    /// Delivers an echo reply to the socket with its identifier, if there is one.
    fn echo_reply_arrived(&mut self, packet: &Packet<'_>, echo: &Echo<'_>) {
        let is_ipv4 = packet.source.is_ipv4();
        let asking = self.icmp.of_identifier(is_ipv4, echo.identifier);
        let Some(to) = asking.filter(|_| self.interface.is_local(packet.destination)) else { return };
        self.events.push_back(Event::EchoReply(EchoReply {
            to,
            source: packet.source,
            sequence: echo.sequence,
            data: echo.payload.to_vec(),
            hop_limit: packet.hop_limit,
        }));
    }

    /// Processes an ICMP error, and tells the owners of the packet that it quotes.
    ///
    /// A quoted packet proves little, because anyone can send one. So an error ends a connection only while it is being
    /// established, and only if the sequence number is the one of its SYN (RFC 5927). For an established connection the
    /// error is soft and is ignored (RFC 1122 section 4.2.3.9): the retransmission timer decides.
    fn error_arrived(&mut self, source: IpAddr, kind: ErrorKind, mtu: Option<u32>, quoted: &Quoted<'_>, now: Instant) {
        let mut mtu = mtu;
        if let Some(said) = mtu {
            if !self.is_believable(quoted) {
                return;
            }
            self.interface.narrow_path(quoted.destination, said, quoted.length, now);
            let known = self.interface.mtu_to(quoted.destination, now);
            self.tcp.set_path_mtu(quoted.destination, known, now);
            // If the packet fits the path even so, the router has said something impossible (RFC 8201 section 4).
            if known >= quoted.length {
                return;
            }
            mtu = u32::try_from(known).ok();
        }
        // First, because a connection that fails has no owner any more.
        self.report_error(source, kind, mtu, quoted);
        if let Content::Tcp { from, to, sequence } = quoted.content {
            let tuple = ends((quoted.source, from), (quoted.destination, to));
            self.fail_connecting(&tuple, Sequence(sequence), kind, now);
        }
    }

    /// The neighbour that a packet of this host was sent to does not answer.
    pub(super) fn undeliverable(&mut self, packet: &[u8]) {
        if let Some(quoted) = Quoted::read(packet) {
            self.report_error(quoted.source, ErrorKind::Unreachable, None, &quoted);
        }
    }

    /// Tells the sockets about an error about one of their packets. A socket that watches a port is told only if a
    /// socket of its own owner has sent the packet: the port may have been another owner's when the error was caused,
    /// or another owner may have it at another address.
    fn report_error(&mut self, source: IpAddr, kind: ErrorKind, mtu: Option<u32>, quoted: &Quoted<'_>) {
        let is_ipv4 = quoted.source.is_ipv4();
        let (to, port, sequence) = match quoted.content {
            Content::Tcp { from, to, .. } => {
                let owner = self.tcp.owner_of(&ends((quoted.source, from), (quoted.destination, to)));
                (owner.and_then(|owner| self.icmp.of_tcp_port(is_ipv4, from, owner)), to, None)
            }
            Content::Udp { from, to } => {
                let (local, remote) = (SocketAddr::new(quoted.source, from), SocketAddr::new(quoted.destination, to));
                let sender = self.udp.holder(local);
                if let Some(to_socket) = sender {
                    let error = path_error(kind, mtu);
                    self.events.push_back(Event::PathError { to: to_socket, remote, error });
                }
                let owner = sender.and_then(|id| self.udp.owner(id));
                (owner.and_then(|owner| self.icmp.of_datagram(local, remote, owner)), to, None)
            }
            Content::Echo { identifier, sequence } => (self.icmp.of_identifier(is_ipv4, identifier), 0, Some(sequence)),
            Content::Other => return,
        };
        if let Some(to) = to {
            let destination = SocketAddr::new(quoted.destination, port);
            let mtu = mtu.filter(|mtu| *mtu != 0);
            self.events.push_back(Event::Report(Report { to, source, kind, destination, sequence, mtu }));
        }
    }

    /// An error about a SYN ends a connection that is being established. "Packet too big" does not, because a SYN is
    /// never too long for a link.
    fn fail_connecting(&mut self, tuple: &Tuple, sequence: Sequence, kind: ErrorKind, now: Instant) {
        let cause = match kind {
            ErrorKind::PacketTooBig => return,
            ErrorKind::PortUnreachable => Cause::Refused,
            ErrorKind::Unreachable
            | ErrorKind::Prohibited
            | ErrorKind::TimeExceeded
            | ErrorKind::ParameterProblem
            | ErrorKind::Unknown => Cause::Unreachable,
        };
        if let Some(id) = self.tcp.find(tuple)
            && self.tcp.is_in_flight(tuple, sequence)
        {
            self.tcp.fail_connecting(id, cause, now);
        }
    }

    /// Whether a quoted packet may be one that this host sent: for TCP, a segment that is not acknowledged yet (RFC
    /// 5927 section 7.2); otherwise one of the last large packets of the owner who has its port or identifier.
    fn is_believable(&self, quoted: &Quoted<'_>) -> bool {
        let tuple = |from, to| ends((quoted.source, from), (quoted.destination, to));
        match quoted.content {
            Content::Tcp { from, to, sequence } => self.tcp.is_in_flight(&tuple(from, to), Sequence(sequence)),
            Content::Udp { from, to } => {
                let tuple = tuple(from, to);
                let owner = self.udp.holder(tuple.local()).and_then(|id| self.udp.owner(id));
                owner.is_some_and(|owner| self.recent.has(owner, Protocol::Udp, &tuple))
            }
            Content::Echo { identifier, .. } => {
                let asking = self.icmp.of_identifier(quoted.destination.is_ipv4(), identifier);
                let owner = asking.and_then(|id| self.icmp.owner(id));
                owner.is_some_and(|owner| self.recent.has(owner, Protocol::Echo, &tuple(identifier, 0)))
            }
            Content::Other => false,
        }
    }
}

/// The error of a socket for an ICMP error (RFC 1122 section 4.1.3.3).
fn path_error(kind: ErrorKind, mtu: Option<u32>) -> PathError {
    match kind {
        ErrorKind::PortUnreachable => PathError::PortUnreachable,
        ErrorKind::PacketTooBig => PathError::TooLarge { mtu: mtu.unwrap_or_default() },
        ErrorKind::Unreachable
        | ErrorKind::Prohibited
        | ErrorKind::TimeExceeded
        | ErrorKind::ParameterProblem
        | ErrorKind::Unknown => PathError::Unreachable,
    }
}
