//! Connects the stateless DHCPv6 client (RFC 8415) to the engine: sends its messages from the link-local address to the
//! servers of the link, and passes answers to it.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use smoltcp::wire::IpProtocol;

use super::Engine;
use super::departure::header;
use crate::buffer::Payload;
use crate::configure::information::{CLIENT_PORT, Client, SERVER_PORT, SERVERS};
use crate::frame::Transmitter;
use crate::interface::Outgoing;
use crate::ip::headers::Packet;
use crate::ip::output::Checksums;
use crate::ports::Owner;
use crate::time::Instant;
use crate::udp;
use crate::udp::datagram::Received;

/// Messages to the servers' link-local group are never forwarded.
const HOP_LIMIT: u8 = 1;

impl Engine {
    /// Starts the client if a router says that more configuration is available by DHCPv6. Otherwise removes the client,
    /// and with it what servers have said.
    pub(super) fn ask_for_information(&mut self, is_there: bool, now: Instant) {
        let information = &mut self.configuration.information;
        match self.interface.link().hardware.filter(|_| is_there) {
            Some(hardware) => {
                information.get_or_insert_with(|| Client::new(hardware, now, &mut self.random));
            }
            None => {
                *information = None;
                self.update_names();
            }
        }
    }

    /// Asks a server again, because the link is back or the interface is up again.
    pub(super) fn verify_information(&mut self, now: Instant) {
        if let Some(client) = &mut self.configuration.information {
            client.verify(now, &mut self.random);
        }
    }

    /// Whether a packet may be an answer from a DHCPv6 server.
    pub(super) fn may_be_information(&self, packet: &Packet<'_>) -> bool {
        let ports = packet.payload().first_chunk::<4>();
        self.configuration.information.is_some()
            && packet.protocol == IpProtocol::Udp
            && is_link_local(packet.source)
            && ports.is_some_and(|[a, b, c, d]| is_answer(u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
    }

    /// Takes a datagram if it is from a server or relay, for the link-local address of this host (RFC 8415 section
    /// 18.3). Returns whether it was taken.
    pub(super) fn information_takes(&mut self, received: &Received<'_>, now: Instant) -> bool {
        let Some(client) = &mut self.configuration.information else { return false };
        let (source, destination) = (received.source, received.destination);
        if !is_answer(source.port(), destination.port())
            || !is_link_local(source.ip())
            || !is_link_local(destination.ip())
        {
            return false;
        }
        if client.receive(received.payload, now) {
            self.update_names();
        } else {
            self.counters.dropped += 1;
        }
        true
    }

    /// The next timeout of the client. Nothing is sent without a link, nor before there is an address to send from.
    pub(super) fn next_information(&self) -> Option<Instant> {
        let client = self.configuration.information.as_ref()?;
        (self.interface.is_up() && self.interface.has_link_local()).then(|| client.next_timeout()).flatten()
    }

    /// Sends the client's message if one is due.
    pub(super) fn poll_information(&mut self, now: Instant, device: &mut dyn Transmitter) {
        let source = self.interface.link_local().filter(|_| self.interface.is_up());
        let (Some(source), Some(client)) = (source, &mut self.configuration.information) else { return };
        if let Some(message) = client.poll(now, &mut self.random) {
            self.send_to_servers(source, &message, now, device);
        }
    }

    fn send_to_servers(&mut self, source: Ipv6Addr, message: &[u8], now: Instant, device: &mut dyn Transmitter) {
        let source = SocketAddr::new(source.into(), CLIENT_PORT);
        let destination = SocketAddr::new(SERVERS.into(), SERVER_PORT);
        let head = udp::datagram::header(source, destination, Payload::from(message), Checksums::All);
        let Ok(head) = head else { return };
        let header = header(source, destination, IpProtocol::Udp, HOP_LIMIT);
        let packet = Outgoing { owner: Owner::HOST, header, head: &head, payload: message, whole: false };
        self.interface.answer(&packet, now, device);
    }
}

fn is_answer(source: u16, destination: u16) -> bool {
    (source, destination) == (SERVER_PORT, CLIENT_PORT)
}

const fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
