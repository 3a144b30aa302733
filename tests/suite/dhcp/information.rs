//! Stateless DHCPv6 (RFC 8415 section 18.2.6): the host asks for DNS servers when a router sets the O flag.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use smoltcp::wire::{EthernetAddress, EthernetProtocol};
use xila_network_host::interface::Change;

use super::World;
use super::router::{LINK, ROUTER, made, settled, v6};
use super::server::ethernet_frame;
use super::told::{advertise_flags, labels};

const NAMES: Ipv6Addr = Ipv6Addr::new(0xfd00, 5, 0, 0, 0, 0, 0, 0x53);

/// The DHCPv6 messages that the host has sent since the last call, each with its source address.
fn asked(world: &World) -> Vec<(Vec<u8>, SocketAddr)> {
    let question = |frame: &Vec<u8>| {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Udp(udp))) = (packet.net, packet.transport) else {
            return None;
        };
        let source = SocketAddr::new(ip.header().source_addr().into(), udp.source_port());
        (udp.destination_port() == 547).then(|| (udp.payload().to_vec(), source))
    };
    world.server.frames().iter().filter_map(question).collect()
}

/// Sends a server's reply: its identifier, the client's identifier, and a list of options.
fn reply(world: &World, question: &[u8], options: &[u8]) {
    let client = &question[4..18];
    let message = [&[7][..], &question[1..4], client, &[0, 2, 0, 2, 0, 9], options].concat();
    let own = v6(made(world, LINK));
    let packet = PacketBuilder::ipv6(ROUTER.octets(), own.octets(), 64).udp(547, 546);
    let mut bytes = Vec::new();
    packet.write(&mut bytes, &message).unwrap();
    let hardware = EthernetAddress(world.interface.hardware_address().unwrap().octets());
    world.server.send(&ethernet_frame(hardware, EthernetProtocol::Ipv6, &bytes));
    world.advance(1);
}

#[test]
fn a_server_says_where_names_are_looked_for_and_who_knows_them() {
    let world = settled();
    advertise_flags(&world, false, true);
    world.advance(1);
    let asked = asked(&world);
    // The host may have retransmitted its question meanwhile.
    let (question, source) = asked.last().expect("a question");
    assert_eq!(*source, SocketAddr::new(v6(made(&world, LINK)).into(), 546));
    world.changes();
    let domain = labels("dhcpv6.test");
    let length = u8::try_from(domain.len()).unwrap();
    let options = [&[0, 23, 0, 16][..], &NAMES.octets(), &[0, 24, 0, length], &domain].concat();
    reply(&world, question, &options);
    assert_eq!(world.interface.dns_servers(), [IpAddr::V6(NAMES)]);
    assert_eq!(world.interface.search_domains(), ["dhcpv6.test"]);
    assert_eq!(world.changes(), [Change::DnsServerAdded(NAMES.into()), Change::SearchDomains]);
    advertise_flags(&world, false, false);
    assert_eq!((world.interface.dns_servers(), world.interface.search_domains()), (vec![], vec![]));
}
