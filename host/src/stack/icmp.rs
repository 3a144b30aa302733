//! ICMP: echo, what the path reports of packets that were sent, and limits on what this stack reports itself.
//!
//! A socket is a [`Mailbox`] that is registered under what it is bound to, of each family, with every stack that it uses.
//! Messages are looked at only where they arrive; no other packet is touched for their sake.
//!
//! | An error about | reaches |
//! |---|---|
//! | an echo request | the socket of its identifier |
//! | a datagram | a UDP socket that is connected to that peer, as its next result; the socket that watches the port |
//! | a TCP segment | a connection that is being made, by the very segment quoted; the socket that watches the port |
//!
//! "Packet too big" is a hint besides (`path`), which is taken from whoever quotes a packet that could be ours: a segment
//! that is not acknowledged yet, or a datagram or echo request among the last large ones that were sent.

mod mailbox;
mod message;
mod wire;

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use hashbrown::HashMap;
use smoltcp::wire::IpProtocol;

#[cfg(feature = "wasm")]
pub(crate) use mailbox::MOST_QUEUED;
pub(crate) use mailbox::Mailbox;
pub use message::{EchoReply, IcmpBinding, IcmpErrorKind, IcmpMessage, IcmpReport};

use xila_network_engine::tcp::Cause;
use xila_network_engine::tcp::sequence::Sequence;

use super::Core;
use super::demux::Tuple;
use super::udp::Protocol;
use crate::address::Family;
use crate::error::{Error, Result};
use crate::platform::Instant;
use wire::{Content, Quoted, Reported};

/// Resets and "port unreachable" messages per second to senders whom nobody listens to, as many as Linux allows itself
/// by default (icmp_msgs_per_sec).
const ANSWERS_PER_SECOND: u32 = 1000;

/// State about messages, and the sockets that they go to.
pub(super) struct Icmp {
    /// Echo requests are answered.
    pub(super) echo_reply: bool,
    sockets: HashMap<(Family, IcmpBinding), Arc<Mailbox>>,
    window: Option<Instant>,
    /// What is left of the answers within it.
    answers: u32,
    /// The engine may have multicast reports to send.
    pub(super) reports_pending: bool,
}

impl Default for Icmp {
    fn default() -> Self {
        Self { echo_reply: true, sockets: HashMap::new(), window: None, answers: 0, reports_pending: false }
    }
}

impl Icmp {
    /// Counts an answer to a packet that nobody took; false when there were enough within this second.
    ///
    /// An exact count would tell a stranger, who sends in others' names and then in his own, which ports are open
    /// (CVE-2020-25705). So, as in Linux since, an answer counts for none, one or two by chance, one on average.
    fn may_answer(&mut self, now: Instant, random: u64) -> bool {
        if self.window.is_none_or(|start| now - start >= Duration::from_secs(1)) {
            self.window = Some(now);
            self.answers = ANSWERS_PER_SECOND;
        }
        let may = self.answers > 0;
        // The generator's upper bits: a value below 3.
        let cost = ((random >> 32) * 3) >> 32;
        self.answers = self.answers.saturating_sub(u32::try_from(cost).unwrap_or(0));
        may
    }

    /// Bound sockets.
    pub(super) fn len(&self) -> usize {
        self.sockets.len()
    }
}

impl Core {
    /// Whether a packet that nobody took is answered, rather than passed over because there were too many.
    pub(super) fn may_answer(&mut self) -> bool {
        self.stir();
        self.icmp.may_answer(self.now, self.random)
    }

    /// Registers a mailbox under what it is bound to.
    ///
    /// # Errors
    /// [`Error::AddressInUse`]; [`Error::NetworkDown`] where the interface is unmounted.
    pub(crate) fn icmp_bind(&mut self, family: Family, binding: IcmpBinding, mailbox: &Arc<Mailbox>) -> Result<()> {
        self.check_mounted()?;
        match self.icmp.sockets.try_insert((family, binding), mailbox.clone()) {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::AddressInUse),
        }
    }

    /// Removes what is bound to `binding`.
    pub(crate) fn icmp_unbind(&mut self, family: Family, binding: IcmpBinding) {
        self.icmp.sockets.remove(&(family, binding));
    }

    /// The identifiers there are, from a random one on.
    pub(crate) fn identifier_candidates(&mut self) -> impl Iterator<Item = u16> + use<> {
        self.stir();
        super::ports::candidates(&(1..=u16::MAX), self.random)
    }

    /// Wakes everyone who waits for a message.
    pub(super) fn icmp_rouse(&mut self) {
        for mailbox in self.icmp.sockets.values() {
            mailbox.rouse(&mut self.wakes);
        }
    }

    /// An echo reply has arrived, in an IP packet: the socket of its identifier gets it. Where nobody asked, nobody is
    /// told.
    pub(super) fn echo_reply_ingress(&mut self, packet: &[u8], to: Tuple) {
        let family = Family::of(to.local().ip());
        if self.icmp.sockets.is_empty()
            || !self.icmp.sockets.contains_key(&(family, IcmpBinding::Echo(to.local().port())))
        {
            return;
        }
        let Some(received) = wire::read(packet, self.verifies()) else { return };
        let Some((identifier, reply)) = received.echo_reply() else { return };
        if self.is_mine(received.destination) {
            self.deliver(family, IcmpBinding::Echo(identifier), IcmpMessage::EchoReply(reply));
        }
    }

    /// An ICMP error has arrived: those whose packet it quotes learn of it.
    ///
    /// A quotation proves little, since anyone may send one. So a connection fails by it only while it is being
    /// established and only if the sequence number is the one sent (RFC 5927); for an established one it is ignored, as
    /// a soft error (RFC 1122 section 4.2.3.9), and the retransmission timer decides.
    pub(super) fn icmp_error(&mut self, packet: &[u8]) {
        let Some(received) = wire::read(packet, self.verifies()) else { return };
        let Some(error) = received.error() else { return };
        let (source, destination) = (received.source, received.destination);
        let foreign = self.is_martian(source, destination, IpProtocol::Icmp);
        // It goes to who has sent the packet, which one sends to many have not (RFC 1122 section 3.2.2).
        if foreign || error.quoted.source != destination || !self.is_mine(destination) {
            return;
        }
        let Reported { kind, mtu, quoted } = error;
        if let Some(mtu) = mtu
            && self.is_believable(&quoted)
        {
            self.path_narrows(quoted.destination, mtu, quoted.length);
        }
        let (binding, port, sequence) = match quoted.content {
            Content::Tcp { from, to, sequence } => {
                let tuple = Tuple::new(quoted.from(from), quoted.to(to));
                self.connecting_error(&tuple, sequence, kind);
                (IcmpBinding::TcpPort(from), to, None)
            }
            Content::Udp { from, to } => {
                self.udp_error(&Tuple::new(quoted.from(from), quoted.to(to)), &kind.into());
                (IcmpBinding::UdpPort(from), to, None)
            }
            Content::EchoRequest { identifier, sequence } => (IcmpBinding::Echo(identifier), 0, Some(sequence)),
        };
        let mtu = mtu.filter(|mtu| *mtu != 0);
        self.report(binding, IcmpReport { source, kind, destination: quoted.to(port), sequence, mtu });
    }

    /// Tells the socket that is bound so of an error, if there is one.
    pub(super) fn report(&mut self, binding: IcmpBinding, report: IcmpReport) {
        self.deliver(Family::of(report.destination.ip()), binding, IcmpMessage::Error(report));
    }

    fn deliver(&mut self, family: Family, binding: IcmpBinding, message: IcmpMessage) {
        if let Some(mailbox) = self.icmp.sockets.get(&(family, binding))
            && !mailbox.deliver(message, &mut self.wakes)
        {
            self.statistics.datagram_drops += 1;
        }
    }

    /// An error about a segment ends a connection that is being made. Its SYN cannot have been too long for any link.
    fn connecting_error(&mut self, tuple: &Tuple, sequence: u32, kind: IcmpErrorKind) {
        let Some(id) = self.tcp.engine().find(tuple) else { return };
        let cause = match kind {
            IcmpErrorKind::PacketTooBig => return,
            IcmpErrorKind::PortUnreachable => Cause::Refused,
            IcmpErrorKind::Unreachable
            | IcmpErrorKind::Prohibited
            | IcmpErrorKind::TimeExceeded
            | IcmpErrorKind::ParameterProblem => Cause::Unreachable,
        };
        if self.tcp.engine().is_in_flight(tuple, Sequence(sequence)) {
            self.tcp_fail_connecting(id, cause);
        }
    }

    /// Whether a quoted packet can be one that was sent: for TCP, a segment that is not acknowledged (RFC 5927 section
    /// 7.2); else one of the last large packets, whose port or identifier is still bound.
    fn is_believable(&self, quoted: &Quoted) -> bool {
        match quoted.content {
            Content::Tcp { from, to, sequence } => {
                let tuple = Tuple::new(quoted.from(from), quoted.to(to));
                self.tcp.engine().is_in_flight(&tuple, Sequence(sequence))
            }
            Content::Udp { from, to } => {
                let tuple = Tuple::new(quoted.from(from), quoted.to(to));
                self.udp_is_bound(tuple.local()) && self.udp_has_sent(Protocol::Udp, &tuple)
            }
            Content::EchoRequest { identifier, .. } => {
                let tuple = Tuple::new(quoted.from(identifier), quoted.to(0));
                let bound = (Family::of(quoted.destination), IcmpBinding::Echo(identifier));
                self.icmp.sockets.contains_key(&bound) && self.udp_has_sent(Protocol::Echo, &tuple)
            }
        }
    }

    fn is_mine(&self, address: IpAddr) -> bool {
        self.iface.has_ip_addr(address) && !address.is_multicast() && !self.is_broadcast(address)
    }
}
