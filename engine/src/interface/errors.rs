//! ICMP errors about packets that this host did not accept (RFC 1122 section 3.2.2, RFC 4443 section 2.4).

use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::wire::IpProtocol;

use super::Interface;
use super::egress::Outgoing;
use crate::frame::Transmitter;
use crate::ip::icmp::permission::{Arrival, may_report};
use crate::ip::icmp::write::{self, Reason};
use crate::ip::output::Header;
use crate::ports::Owner;
use crate::time::Instant;
use crate::wire;

impl Interface {
    /// Sends an error to the source of a packet, which is given as it arrived, if an error about it is permitted and
    /// the rate limit allows it.
    pub(crate) fn report(
        &mut self,
        packet: &[u8],
        reason: Reason,
        arrival: Arrival,
        now: Instant,
        device: &mut dyn Transmitter,
    ) {
        let is_broadcast = |address: core::net::Ipv4Addr| {
            self.addresses.is_broadcast(address.into()) || self.addresses.is_old_broadcast(address.into())
        };
        if may_report(packet, reason, arrival, is_broadcast).is_err() {
            return;
        }
        let Some((source, destination)) = wire::ends(packet).filter(|(_, destination)| self.takes(*destination)) else {
            return;
        };
        if !self.limiter.allows(source, now, &mut self.random) {
            self.counters.suppressed += 1;
            return;
        }
        // An error about a multicast or broadcast packet comes from a unicast address of this host.
        let from = if self.is_local(destination) { Some(destination) } else { self.source_for(source, now) };
        let Some(from) = from else { return };
        let mut message = Vec::new();
        write::error(&mut message, from, source, reason, packet);
        self.send_icmp(from, source, &message, now, device);
    }

    /// Sends an ICMP message from this host.
    pub(crate) fn send_icmp(
        &mut self,
        source: IpAddr,
        destination: IpAddr,
        message: &[u8],
        now: Instant,
        device: &mut dyn Transmitter,
    ) {
        let protocol = if source.is_ipv4() { IpProtocol::Icmp } else { IpProtocol::Icmpv6 };
        let hop_limit = self.hop_limit(destination).octet();
        let header = Header { source, destination, protocol, hop_limit, traffic_class: 0 };
        let packet = Outgoing { owner: Owner::NOBODY, header, head: message, payload: &[], whole: false };
        self.answer(&packet, now, device);
    }
}
