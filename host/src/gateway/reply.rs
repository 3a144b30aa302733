//! Packets that a gateway sends to apps in the place of the outside.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use parking_lot::Mutex;
use smoltcp::wire::{IpProtocol, TcpPacket, TcpSeqNumber};
use xila_network_engine::buffer::Payload;
use xila_network_engine::interface::Outgoing;
use xila_network_engine::ip::icmp::permission::{Arrival, may_report};
use xila_network_engine::ip::icmp::write::{self, Reason};
use xila_network_engine::ip::limiter::{self, Limiter};
use xila_network_engine::ip::output::{Checksums, Header};
use xila_network_engine::ports::Owner;
use xila_network_engine::random::Random;
use xila_network_engine::udp::datagram;

use super::Shared;

/// Sends packets to apps. Clones send for the same gateway.
#[derive(Clone)]
pub(super) struct Replies {
    shared: Arc<Shared>,
    errors: Arc<Mutex<Errors>>,
}

/// How many ICMP errors the gateway may send (RFC 1812 section 4.3.2.8, RFC 4443 section 2.4 (f)).
struct Errors {
    limiter: Limiter,
    random: Random,
}

/// The hop limit of packets in the place of the outside, whose own hop limit its sockets do not tell.
const HOP_LIMIT: u8 = 64;
/// The length of a TCP header without options, in bytes.
const TCP_HEADER: usize = 20;

impl Replies {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let mut seed = [0; 32];
        shared.platform.random.fill(&mut seed);
        let mut random = Random::new(seed);
        let limiter = Limiter::new(limiter::Config::default(), &mut random);
        Self { shared, errors: Arc::new(Mutex::new(Errors { limiter, random })) }
    }

    /// Sends something once the caller has released the lock of the gateway's stack, which it holds while it looks at a
    /// frame.
    pub(super) fn later(self, send: impl FnOnce(&Self) + Send + 'static) {
        let shared = self.shared.clone();
        shared.spawn(async move { send(&self) });
    }

    /// Sends a datagram. It is fragmented if it does not fit the network.
    pub(super) fn datagram(&self, source: SocketAddr, destination: SocketAddr, payload: &[u8]) {
        match datagram::header(source, destination, Payload::from(payload), Checksums::All) {
            Ok(head) => self.send(source.ip(), destination.ip(), IpProtocol::Udp, &head, payload),
            // A host's datagram may have more bytes than an IPv6 packet without a jumbogram.
            Err(error) => tracing::debug!(%source, %destination, %error, "a datagram is lost at the gateway"),
        }
    }

    /// Answers an echo request.
    pub(super) fn echo(&self, source: IpAddr, destination: IpAddr, identifier: u16, sequence: u16, payload: &[u8]) {
        let mut message = Vec::new();
        write::echo_reply(&mut message, source, destination, identifier, sequence, payload);
        self.send(source, destination, icmp(destination), &message, &[]);
    }

    /// Refuses a SYN as the host that it is for would (RFC 9293 section 3.10.7.1). `packet` is the IP packet.
    pub(super) fn refuse(&self, packet: &[u8], payload_at: usize, source: SocketAddr, destination: SocketAddr) {
        let Ok(syn) = TcpPacket::new_checked(packet.get(payload_at..).unwrap_or_default()) else { return };
        let mut reset = [0; TCP_HEADER];
        let mut segment = TcpPacket::new_unchecked(&mut reset[..]);
        segment.set_src_port(destination.port());
        segment.set_dst_port(source.port());
        segment.set_seq_number(TcpSeqNumber(0));
        segment.set_ack_number(syn.seq_number() + syn.segment_len());
        segment.set_header_len(TCP_HEADER as u8);
        segment.clear_flags();
        segment.set_rst(true);
        segment.set_ack(true);
        segment.fill_checksum(&destination.ip().into(), &source.ip().into());
        self.send(destination.ip(), source.ip(), IpProtocol::Tcp, &reset, &[]);
    }

    /// Reports to the sender of an IP packet, as the router, why it did not arrive. `from` sends the report; `None` for
    /// the gateway itself. There is no report about a packet that must not cause one (RFC 1122 section 3.2.2, RFC 4443
    /// section 2.4 (e)), nor more than the rate limit allows.
    pub(super) fn report(&self, packet: &[u8], source: IpAddr, from: Option<IpAddr>, reason: Reason) {
        if !self.may_report(packet, source, reason) {
            return;
        }
        let from = from.unwrap_or_else(|| self.shared.router.of_family(source));
        let mut message = Vec::new();
        write::error(&mut message, from, source, reason, packet);
        self.send(from, source, icmp(source), &message, &[]);
    }

    /// Whether a packet may be reported to its sender now.
    pub(super) fn may_report(&self, packet: &[u8], source: IpAddr, reason: Reason) -> bool {
        let Shared { router, platform, .. } = &*self.shared;
        let is_broadcast = |address: Ipv4Addr| router.is_broadcast(address);
        if let Err(silence) = may_report(packet, reason, Arrival::default(), is_broadcast) {
            tracing::trace!(%source, %silence, "the gateway reports nothing about a packet");
            return false;
        }
        let now = platform.clock.now();
        let Errors { limiter, random } = &mut *self.errors.lock();
        limiter.allows(source, now, random)
    }

    /// As [`report`](Self::report), about an earlier datagram of an app, of which the beginning of the payload is known.
    pub(super) fn report_datagram(
        &self,
        source: SocketAddr,
        destination: SocketAddr,
        payload: &[u8],
        from: Option<IpAddr>,
        reason: Reason,
    ) {
        let Ok(head) = datagram::header(source, destination, Payload::from(payload), Checksums::All) else { return };
        let header = header(source.ip(), destination.ip(), IpProtocol::Udp);
        let mut packet = vec![0; header.length()];
        header.write(&mut packet, head.len() + payload.len(), true);
        packet.extend(head);
        packet.extend(payload);
        self.report(&packet, source.ip(), from, reason);
    }

    fn send(&self, source: IpAddr, destination: IpAddr, protocol: IpProtocol, head: &[u8], payload: &[u8]) {
        let Some(interface) = self.shared.interface.get() else { return };
        let header = header(source, destination, protocol);
        let packet = Outgoing { owner: Owner::HOST, header, head, payload, whole: false };
        if let Err(error) = interface.forward(&packet) {
            // As any router does where a link is full, or a host is gone.
            tracing::debug!(%destination, %error, "a packet is lost at the gateway");
        }
    }
}

fn header(source: IpAddr, destination: IpAddr, protocol: IpProtocol) -> Header {
    Header { source, destination, protocol, hop_limit: HOP_LIMIT, traffic_class: 0 }
}

const fn icmp(address: IpAddr) -> IpProtocol {
    if address.is_ipv4() { IpProtocol::Icmp } else { IpProtocol::Icmpv6 }
}
