//! Datagrams that leave, and echo requests, which take the same way.

use core::net::{IpAddr, SocketAddr};
use core::task::Waker;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::{raw, udp};
use smoltcp::wire::{IpProtocol, IpRepr, Ipv4Packet, Ipv6Packet};
use xila_network_engine::ip::icmp::write;

use super::MOST_PAYLOAD;
use super::outlets::Outlet;
use super::recent::{LARGE, Protocol};
use crate::address::to_endpoint;
use crate::error::{Error, Result};
use crate::platform::Instant;
use crate::stack::demux::Tuple;
use crate::stack::drive::Sending;
use crate::stack::icmp::{IcmpBinding, IcmpErrorKind, IcmpReport};
use crate::stack::neighbours::{RETRANSMIT, SOLICITATIONS};
use crate::stack::{Core, Sender};

/// What a packet is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A UDP datagram.
    Datagram,
    /// An ICMP echo request. It leaves from an identifier instead of a port, and the remote port is 0.
    EchoRequest {
        /// Its sequence number.
        sequence: u16,
    },
    /// A message of the stack's own, whose payload is the whole IP packet. It has no ports, and nobody waits for it.
    Answer,
}

/// A datagram to be sent, its payload borrowed or kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<P> {
    pub(crate) kind: Kind,
    pub(crate) payload: P,
    /// The port it leaves from.
    pub(crate) port: u16,
    /// The address it leaves from.
    pub(crate) source: IpAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) hop_limit: u8,
    /// Whether a broadcast destination is meant.
    pub(crate) broadcast: bool,
}

impl Outgoing<&[u8]> {
    fn kept(&self) -> Outgoing<Vec<u8>> {
        let &Self { kind, payload, port, source, remote, hop_limit, broadcast } = self;
        Outgoing { kind, payload: payload.to_vec(), port, source, remote, hop_limit, broadcast }
    }
}

impl Outgoing<Vec<u8>> {
    fn view(&self) -> Outgoing<&[u8]> {
        let &Self { kind, ref payload, port, source, remote, hop_limit, broadcast } = self;
        Outgoing { kind, payload, port, source, remote, hop_limit, broadcast }
    }
}

/// A datagram whose next hop has not answered yet.
pub(super) struct Unsent {
    datagram: Outgoing<Vec<u8>>,
    /// When to ask the neighbour again.
    again: Instant,
    tries: u8,
}

/// Datagrams that wait for neighbours, on one stack; a newer one takes the place of the oldest.
const MOST_UNSENT: usize = 256;
/// Those of them that are for one address (RFC 1122 section 2.3.2.2 asks for at least one). Who sends more waits.
const MOST_UNSENT_EACH: usize = 64;

/// The hop limit of the stack's own messages (RFC 1700, "IP time to live").
const ANSWER_HOP_LIMIT: u8 = 64;

enum Attempt {
    Sent,
    Full,
    Unresolved,
}

/// A socket for one packet of this length.
pub(super) fn raw_socket(length: usize) -> raw::Socket<'static> {
    let none = raw::PacketBuffer::new(Vec::new(), Vec::new());
    let one = raw::PacketBuffer::new(vec![raw::PacketMetadata::EMPTY], vec![0; length]);
    raw::Socket::new(None, None, none, one)
}

impl Core {
    /// Sends a datagram of a socket, or keeps it for its turn.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] while as many datagrams as may already wait for the socket's turn or for the neighbour, after
    /// which `waker` is woken when that is over;
    /// [`Error::PacketTooLarge`], [`Error::RemoteUnreachable`], [`Error::AccessDenied`] for a broadcast that is not
    /// allowed, [`Error::NetworkDown`].
    pub(crate) fn udp_send(&mut self, outlet: Outlet, datagram: &Outgoing<&[u8]>, waker: Option<&Waker>) -> Result<()> {
        self.check_up()?;
        let to = datagram.remote.ip();
        if self.is_broadcast(to) && !datagram.broadcast {
            return Err(Error::AccessDenied);
        }
        if datagram.payload.len() > self.most_payload(to) {
            return Err(Error::PacketTooLarge);
        }
        let reachable = self.loops_back() || to.is_multicast() || self.is_broadcast(to) || self.reach(to).is_some();
        if !reachable {
            return Err(Error::RemoteUnreachable);
        }
        // Where others wait for the device, it is not this one's turn. Whether the device is full still is found out when
        // the stack is driven, as it is after this.
        let direct = !self.full && self.schedule.is_empty();
        let attempt = if direct { self.udp_attempt(datagram) } else { Attempt::Full };
        if matches!(attempt, Attempt::Sent) {
            return Ok(());
        }
        if self.udp_waiting_for(to) >= MOST_UNSENT_EACH {
            if let Some(waker) = waker {
                self.udp.hopeful.register(waker);
            }
            return Err(Error::WouldBlock);
        }
        if matches!(attempt, Attempt::Unresolved) {
            self.udp_keep(datagram.kept());
            return Ok(());
        }
        if !self.udp.outlets.has_room(outlet, waker) {
            return Err(Error::WouldBlock);
        }
        if self.udp.outlets.push(outlet, datagram.kept()) {
            self.schedule.push(outlet.owner, Sender::Socket(outlet));
        }
        Ok(())
    }

    /// A socket's turn to send, until `limit` bytes in all have left.
    pub(in crate::stack) fn udp_turn(&mut self, outlet: Outlet, limit: u64, budget: &mut usize) -> Sending {
        loop {
            let Some(datagram) = self.udp.outlets.take(outlet) else { return Sending::Done };
            let length = datagram.payload.len();
            match self.udp_attempt(&datagram.view()) {
                Attempt::Full => {
                    self.udp.outlets.put_back(outlet, datagram);
                    return Sending::Full;
                }
                Attempt::Sent => {}
                Attempt::Unresolved => self.udp_keep(datagram),
            }
            *budget = budget.saturating_sub(1);
            if self.udp.outlets.settle(outlet, length, &mut self.wakes) {
                return Sending::Done;
            }
            // The rest of a datagram in fragments may have filled the device.
            if self.full || *budget == 0 || self.sent_bytes() >= limit {
                return Sending::More;
            }
        }
    }

    /// Whether a datagram of a socket to an address would not wait; where it would, `waker` is woken when that is over.
    pub(crate) fn udp_may_send(&mut self, outlet: Outlet, to: IpAddr, waker: &Waker) -> bool {
        if self.check_up().is_err() {
            return true;
        }
        let crowded = self.udp_waiting_for(to) >= MOST_UNSENT_EACH;
        if crowded {
            self.udp.hopeful.register(waker);
        }
        !crowded && self.udp.outlets.has_room(outlet, Some(waker))
    }

    /// How many datagrams wait for the neighbour that leads to an address.
    fn udp_waiting_for(&self, to: IpAddr) -> usize {
        self.udp.unsent.iter().filter(|unsent| unsent.datagram.remote.ip() == to).count()
    }

    /// The largest payload that goes to an address, UDP's header and that of an echo request being of one length. IPv4
    /// packets are fragmented where they must be, for a narrow path too; IPv6 packets cannot (smoltcp does not).
    fn most_payload(&self, to: IpAddr) -> usize {
        match to {
            IpAddr::V4(_) => MOST_PAYLOAD,
            IpAddr::V6(_) => (self.path_mtu(to) - 40 - 8).min(65535 - 8),
        }
    }

    fn udp_attempt(&mut self, datagram: &Outgoing<&[u8]>) -> Attempt {
        let attempt = match datagram.kind {
            Kind::Datagram => self.attempt_datagram(datagram),
            Kind::EchoRequest { sequence } => self.attempt_echo(datagram, sequence),
            Kind::Answer => self.attempt_packet(datagram.remote.ip(), datagram.payload),
        };
        if self.mend_engine() {
            self.statistics.datagram_drops += 1;
            return attempt;
        }
        if matches!(attempt, Attempt::Sent) {
            if datagram.payload.len() + 28 > LARGE
                && let Some(protocol) = datagram.kind.protocol()
            {
                let local = SocketAddr::new(datagram.source, datagram.port);
                self.udp.recent.note(protocol, Tuple::new(local, datagram.remote));
            }
            let mut budget = usize::MAX;
            if !self.flush_fragments(&mut budget) {
                self.full = true;
            }
        }
        attempt
    }

    fn attempt_echo(&mut self, request: &Outgoing<&[u8]>, sequence: u16) -> Attempt {
        let &Outgoing { payload, port: identifier, source, remote, hop_limit, .. } = request;
        let mut message = Vec::new();
        write::echo_request(&mut message, source, remote.ip(), identifier, sequence, payload);
        let packet = ip_packet(source, remote.ip(), icmp_protocol(source), hop_limit.max(1), &message);
        self.attempt_packet(remote.ip(), &packet)
    }

    /// Sends a whole IP packet.
    fn attempt_packet(&mut self, destination: IpAddr, packet: &[u8]) -> Attempt {
        let queued = self.udp.fresh_raw(packet.len()).send_slice(packet).is_ok();
        debug_assert!(queued, "a packet fits a socket of its length");
        let Some(port) = &mut self.port else { return Attempt::Sent };
        let (_, outcome) = Self::send_one(&mut self.iface, port, self.now, &mut self.udp.raw);
        if outcome.exhausted {
            return Attempt::Full;
        }
        if outcome.awaits_neighbour() {
            self.solicit(destination, outcome);
            return Attempt::Unresolved;
        }
        Attempt::Sent
    }

    /// Sends an ICMP message of the stack's own. Where the device is full it is lost, as answers may be: whoever it is for
    /// repeats what it is about. Where the next hop is not known it waits for that, as datagrams do.
    pub(in crate::stack) fn send_icmp(&mut self, source: IpAddr, destination: IpAddr, message: &[u8]) {
        let payload = ip_packet(source, destination, icmp_protocol(source), ANSWER_HOP_LIMIT, message);
        let remote = SocketAddr::new(destination, 0);
        let (kind, hop_limit, broadcast) = (Kind::Answer, ANSWER_HOP_LIMIT, false);
        let answer = Outgoing { kind, payload, port: 0, source, remote, hop_limit, broadcast };
        if matches!(self.udp_attempt(&answer.view()), Attempt::Unresolved)
            && self.udp_waiting_for(destination) < MOST_UNSENT_EACH
        {
            self.udp_keep(answer);
        }
    }

    fn attempt_datagram(&mut self, datagram: &Outgoing<&[u8]>) -> Attempt {
        let scratch = &mut self.udp.egress;
        let Some(socket) = scratch.bind(datagram.port) else { return Attempt::Sent };
        socket.set_hop_limit(Some(datagram.hop_limit.max(1)));
        let mut meta = udp::UdpMetadata::from(to_endpoint(datagram.remote));
        meta.local_address = Some(datagram.source.into());
        if let Err(error) = socket.send_slice(datagram.payload, meta) {
            // Checked before: port and address are there, and one datagram of this size fits.
            tracing::error!(%error, "a datagram was not sent");
            return Attempt::Sent;
        }
        let Some(port) = &mut self.port else { return Attempt::Sent };
        let (_, outcome) = Self::send_one(&mut self.iface, port, self.now, &mut scratch.sockets);
        if outcome.exhausted {
            return Attempt::Full;
        }
        if outcome.awaits_neighbour() {
            self.solicit(datagram.remote.ip(), outcome);
            return Attempt::Unresolved;
        }
        Attempt::Sent
    }

    fn udp_keep(&mut self, datagram: Outgoing<Vec<u8>>) {
        if self.udp.unsent.len() >= MOST_UNSENT {
            self.udp.unsent.pop_front();
            self.statistics.datagram_drops += 1;
        }
        self.udp.unsent.push_back(Unsent { datagram, again: self.now + RETRANSMIT, tries: 1 });
    }

    /// Tries again to send what waited for neighbours; who has not answered after all tries is unreachable.
    pub(in crate::stack) fn udp_retry(&mut self) {
        self.udp.stalled = false;
        let before = self.udp.unsent.len();
        for mut unsent in core::mem::take(&mut self.udp.unsent) {
            let attempt = if self.full { Attempt::Full } else { self.udp_attempt(&unsent.datagram.view()) };
            match attempt {
                Attempt::Sent => continue,
                Attempt::Full => {
                    self.full = true;
                    self.udp.stalled = true;
                }
                Attempt::Unresolved if unsent.again <= self.now => {
                    unsent.tries += 1;
                    unsent.again = self.now + RETRANSMIT;
                }
                Attempt::Unresolved => {}
            }
            if unsent.tries > SOLICITATIONS {
                self.statistics.datagram_drops += 1;
                self.give_up(&unsent.datagram);
            } else {
                self.udp.unsent.push_back(unsent);
            }
        }
        if self.udp.unsent.len() < before {
            self.udp.hopeful.take(&mut self.wakes);
        }
    }

    /// Tells those concerned that a next hop does not answer.
    fn give_up(&mut self, unsent: &Outgoing<Vec<u8>>) {
        let (binding, sequence) = match unsent.kind {
            Kind::Datagram => {
                let local = SocketAddr::new(unsent.source, unsent.port);
                self.udp_error(&Tuple::new(local, unsent.remote), &Error::RemoteUnreachable);
                (IcmpBinding::UdpPort(unsent.port), None)
            }
            Kind::EchoRequest { sequence } => (IcmpBinding::Echo(unsent.port), Some(sequence)),
            Kind::Answer => return,
        };
        let (source, kind) = (unsent.source, IcmpErrorKind::Unreachable);
        self.report(binding, IcmpReport { source, kind, destination: unsent.remote, sequence, mtu: None });
    }

    /// When a neighbour has to be asked again; not before the device takes frames again, where it takes none.
    pub(in crate::stack) fn udp_next(&self) -> Option<Instant> {
        if self.full || self.udp.stalled {
            return None;
        }
        self.udp.unsent.iter().map(|unsent| unsent.again).min()
    }

    /// Sends the datagrams whose neighbour has answered while the device was full, which are a bounded number; false where
    /// it still is.
    pub(in crate::stack) fn udp_unstall(&mut self) -> bool {
        if self.udp.stalled {
            self.udp_retry();
        }
        !self.udp.stalled
    }
}

impl Kind {
    const fn protocol(self) -> Option<Protocol> {
        match self {
            Self::Datagram => Some(Protocol::Udp),
            Self::EchoRequest { .. } => Some(Protocol::Echo),
            Self::Answer => None,
        }
    }
}

/// An IP packet of this content, with nothing between its header and that.
pub(in crate::stack) fn ip_packet(
    source: IpAddr,
    destination: IpAddr,
    protocol: IpProtocol,
    hop_limit: u8,
    content: &[u8],
) -> Vec<u8> {
    let header = IpRepr::new(source.into(), destination.into(), protocol, content.len(), hop_limit);
    let mut packet = vec![0; header.header_len()];
    match header {
        IpRepr::Ipv4(header) => {
            header.emit(&mut Ipv4Packet::new_unchecked(&mut packet[..]), &ChecksumCapabilities::default());
        }
        IpRepr::Ipv6(header) => header.emit(&mut Ipv6Packet::new_unchecked(&mut packet[..])),
    }
    packet.extend_from_slice(content);
    packet
}

/// The protocol of ICMP messages between addresses of the family of this one.
const fn icmp_protocol(address: IpAddr) -> IpProtocol {
    match address {
        IpAddr::V4(_) => IpProtocol::Icmp,
        IpAddr::V6(_) => IpProtocol::Icmpv6,
    }
}
