//! Tests of stateless DHCPv6 over frames (RFC 8415 section 18.2.6).

use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::vec;
use std::vec::Vec;

use smoltcp::wire::EthernetAddress;

use super::bench::{Host, OTHER, OTHER_LOCAL, PEER, PEER_LOCAL, PEER_V6, Sent, millis, seconds};
use super::write::{self, prefix, router_advertisement};
use crate::configure::dhcp::world::{ADDRESS, HARDWARE, Heard, Message, SERVER};
use crate::interface::{Change, Link};

/// The flags of router advertisements (RFC 4861 section 4.2).
const MANAGED: u8 = 0x80;
const OTHER_INFORMATION: u8 = 0x40;

/// The DUID-LL of [`HARDWARE`].
const CLIENT: [u8; 14] = [0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 7];
const SERVER_IDENTIFIER: [u8; 6] = [0, 2, 0, 2, 0, 9];

const NAMES: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53);
const OTHER_NAMES: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x54);

fn bare() -> Host {
    Host::on(Link { hardware: Some(HARDWARE), ..Host::link() }, 1)
}

/// A host with autoconfiguration switched on and a link-local address; what it sent in the first minute is discarded.
fn listening() -> Host {
    let mut host = bare();
    host.with(|engine, now, _| {
        engine.interface_mut().set_link_local(true, now);
        engine.set_autoconfiguration(true, now);
    });
    host.act();
    host.settle();
    host
}

fn advertise(host: &mut Host, flags: u8) {
    host.receive(&router_advertisement(PEER, PEER_LOCAL, flags, 1800, &[]));
}

fn own(host: &Host) -> Ipv6Addr {
    let own = host.engine.interface().addresses().iter().map(|known| known.address());
    own.filter_map(|own| if let IpAddr::V6(own) = own { Some(own) } else { None }).next().expect("an address")
}

/// The messages that DHCPv6 servers receive, with hop limit, source, destination and destination hardware address.
fn heard(sent: &[Sent]) -> Vec<(Vec<u8>, u8, SocketAddr, SocketAddr, EthernetAddress)> {
    let heard = sent.iter().filter_map(|frame| {
        let packet = frame.packet().filter(|packet| u8::from(packet.protocol) == 17)?;
        let read = crate::udp::datagram::read(packet.source, packet.destination, packet.payload(), true).ok()?;
        let message = read.payload.to_vec();
        (read.destination.port() == 547).then(|| (message, packet.hop_limit, read.source, read.destination, frame.to()))
    });
    heard.collect()
}

/// The only request that was sent since the last check.
fn question(host: &mut Host) -> Vec<u8> {
    let mut heard = heard(&host.sent());
    assert_eq!(heard.len(), 1);
    heard.remove(0).0
}

/// A host that a router has told of more configuration by DHCPv6, and the request that it sends.
fn asking() -> (Host, Vec<u8>) {
    let mut host = listening();
    advertise(&mut host, OTHER_INFORMATION);
    host.advance(seconds(1));
    let question = question(&mut host);
    (host, question)
}

fn servers_option(servers: &[Ipv6Addr]) -> Vec<u8> {
    let length = (16 * servers.len()) as u16;
    [&[0, 23][..], &length.to_be_bytes(), &servers.iter().flat_map(|server| server.octets()).collect::<Vec<_>>()]
        .concat()
}

/// `lan.example` in the DNS wire format.
const DOMAIN: [u8; 17] = *b"\0\x18\0\x0d\x03lan\x07example\0";

fn reply(question: &[u8], options: &[Vec<u8>]) -> Vec<u8> {
    let mut message = vec![7, question[1], question[2], question[3]];
    message.extend(CLIENT);
    message.extend(SERVER_IDENTIFIER);
    message.extend(options.concat());
    message
}

fn datagram(host: &Host, message: &[u8]) -> Vec<u8> {
    let (source, destination) = (SocketAddr::new(PEER_LOCAL.into(), 547), SocketAddr::new(own(host).into(), 546));
    write::udp(source, destination, message)
}

fn answer(host: &mut Host, question: &[u8], options: &[Vec<u8>]) {
    let packet = datagram(host, &reply(question, options));
    receive(host, &packet);
}

fn receive(host: &mut Host, packet: &[u8]) {
    host.receive(&write::framed(HARDWARE, PEER, packet));
}

fn names(host: &Host) -> (Vec<IpAddr>, Vec<&str>) {
    (host.engine.servers().collect(), host.engine.search_domains().collect())
}

/// A host that has received an answer from a server.
fn informed() -> Host {
    let (mut host, question) = asking();
    answer(&mut host, &question, &[servers_option(&[NAMES]), DOMAIN.to_vec()]);
    assert_eq!(names(&host), (vec![NAMES.into()], vec!["lan.example"]));
    host.events.clear();
    host
}

#[test]
fn servers_are_asked_where_a_router_says_by_either_flag_that_there_is_more() {
    for (flags, is_asked) in
        [(0, false), (MANAGED, true), (OTHER_INFORMATION, true), (MANAGED | OTHER_INFORMATION, true)]
    {
        let mut host = listening();
        advertise(&mut host, flags);
        host.advance(seconds(1));
        let sent = host.sent();
        let heard = heard(&sent);
        assert_eq!(heard.len(), usize::from(is_asked), "{flags:x}");
        let Some((message, hop_limit, source, destination, station)) = heard.into_iter().next() else { continue };
        // An Information-request with the client identifier, zero elapsed time, and requests for DNS servers, search
        // domains, refresh time and INF_MAX_RT.
        let mut expected = vec![11, message[1], message[2], message[3]];
        expected.extend(CLIENT);
        expected.extend([0, 8, 0, 2, 0, 0, 0, 6, 0, 8, 0, 23, 0, 24, 0, 32, 0, 83]);
        assert_eq!((message, hop_limit), (expected, 1));
        assert_eq!(source, SocketAddr::new(own(&host).into(), 546));
        assert_eq!(destination, "[ff02::1:2]:547".parse().expect("an address"));
        assert_eq!(station, EthernetAddress([0x33, 0x33, 0, 1, 0, 2]));
    }
}

#[test]
fn nobody_is_asked_before_the_link_local_address_is_verified() {
    let mut host = bare();
    host.with(|engine, now, _| {
        engine.set_autoconfiguration(true, now);
        engine.interface_mut().set_link_local(true, now);
    });
    host.act();
    advertise(&mut host, OTHER_INFORMATION);
    host.advance(seconds(10));
    let sent = host.sent();
    let used = sent.iter().find(|frame| frame.advertisement().is_some()).expect("an announcement").at;
    let asked = sent.iter().find(|frame| !heard(core::slice::from_ref(frame)).is_empty()).expect("a question").at;
    assert!(asked >= used);
    assert!(heard(&sent).iter().all(|(_, _, source, ..)| source.ip() == own(&host)));
}

#[test]
fn an_answer_brings_servers_and_domains_and_is_refreshed_when_its_time_is_over() {
    let (mut host, first) = asking();
    host.events.clear();
    let refresh = vec![0, 32, 0, 4, 0, 0, 0x0e, 0x10];
    let options = [servers_option(&[NAMES, OTHER_NAMES]), DOMAIN.to_vec(), refresh];
    answer(&mut host, &first, &options);
    assert_eq!(names(&host), (vec![NAMES.into(), OTHER_NAMES.into()], vec!["lan.example"]));
    let added = [Change::ServerAdded(NAMES.into()), Change::ServerAdded(OTHER_NAMES.into()), Change::SearchDomains];
    assert_eq!(host.changes(), added);
    host.events.clear();
    for _ in 0..4 {
        // The router continues to advertise itself.
        host.advance(seconds(890));
        advertise(&mut host, OTHER_INFORMATION);
    }
    assert_eq!(heard(&host.sent()).len(), 0);
    host.advance(seconds(42));
    let second = heard(&host.sent()).remove(0).0;
    assert_ne!(first[1..4], second[1..4], "another transaction");
    answer(&mut host, &first, &[]);
    assert_eq!(host.changes(), [], "it counts until there is another");
    answer(&mut host, &second, &[servers_option(&[OTHER_NAMES])]);
    assert_eq!(names(&host), (vec![OTHER_NAMES.into()], vec![]));
    assert_eq!(host.changes(), [Change::ServerRemoved(NAMES.into()), Change::SearchDomains]);
}

#[test]
fn who_does_not_answer_what_was_asked_is_not_believed() {
    let (mut host, question) = asking();
    let good = reply(&question, &[servers_option(&[NAMES])]);
    let (own, local, global) = (own(&host), PEER_LOCAL, PEER_V6);
    let udp = |from: Ipv6Addr, port, to: Ipv6Addr, message: &[u8]| {
        write::udp(SocketAddr::new(from.into(), port), SocketAddr::new(to.into(), 546), message)
    };
    let changed = |at: usize| {
        let mut message = good.clone();
        message[at] ^= 1;
        message
    };
    let nodes = crate::link::ndp::all_nodes();
    for (bad, why) in [
        (udp(global, 547, own, &good), "from beyond the link"),
        (udp(local, 53, own, &good), "from another port"),
        (udp(local, 547, nodes, &good), "to all"),
        (udp(local, 547, own, &changed(3)), "to another question"),
        (udp(local, 547, own, &changed(17)), "to another client"),
        (udp(local, 547, own, &changed(0)), "no reply"),
        (udp(local, 547, own, &good[..good.len() - 1]), "cut short"),
        (udp(local, 547, own, &[]), "empty"),
        (udp(local, 547, own, b"garbage"), "garbage"),
    ] {
        receive(&mut host, &bad);
        assert_eq!(names(&host), (vec![], vec![]), "{why}");
    }
    let mut framed = write::framed(HARDWARE, PEER, &udp(local, 547, own, &good));
    *framed.last_mut().expect("a byte") ^= 1;
    host.receive(&framed);
    assert_eq!(names(&host), (vec![], vec![]), "damaged");
    receive(&mut host, &udp(local, 547, own, &good));
    assert_eq!(names(&host).0, [IpAddr::V6(NAMES)]);
}

#[test]
fn the_port_is_a_socket_s_where_nobody_asks() {
    for flags in [0, OTHER_INFORMATION] {
        let mut host = listening();
        advertise(&mut host, flags);
        let at = SocketAddr::new(own(&host).into(), 546);
        host.with(|engine, _, _| engine.bind_udp(at, crate::ports::Owner(1)).expect("a free port"));
        let packet = datagram(&host, b"data");
        receive(&mut host, &packet);
        assert_eq!(host.delivered().len(), usize::from(flags == 0));
    }
}

/// RFC 8106 section 5.3.1: what DHCP provides comes first.
#[test]
fn what_all_of_them_say_is_asked_in_order_and_goes_with_who_said_it() {
    let mut host = informed();
    let router = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x55);
    let mut option = vec![25, 5, 0, 0, 0, 0, 7, 8];
    option.extend([NAMES.octets(), router.octets()].concat());
    option.extend(b"\x1f\x04\0\0\0\0\x07\x08\x03lan\x07example\0\x06router\0\0\0\0");
    host.receive(&router_advertisement(PEER, PEER_LOCAL, OTHER_INFORMATION, 1800, &option));
    let set = IpAddr::V4([192, 0, 2, 53].into());
    host.with(|engine, _, _| engine.add_server(set).expect("room"));
    host.with(|engine, now, wire| engine.set_dhcp(true, now, wire));
    host.act();
    lend(&mut host);
    let leased = [[10, 9, 0, 2], [9, 9, 9, 9]].map(IpAddr::from);
    let servers = vec![set, leased[0], leased[1], NAMES.into(), router.into()];
    assert_eq!(names(&host), (servers, vec!["leased.example", "lan.example", "router"]));
    host.events.clear();
    advertise(&mut host, 0);
    let servers = [set, leased[0], leased[1], NAMES.into(), router.into()];
    assert_eq!(names(&host).0, servers, "the router says it too");
    assert_eq!(names(&host).1, ["leased.example", "lan.example", "router"]);
    host.with(|engine, now, wire| engine.set_dhcp(false, now, wire));
    host.with(|engine, now, _| engine.set_autoconfiguration(false, now));
    assert_eq!(names(&host), (vec![set], vec![]));
}

/// A DHCPv4 server gives a lease with the search domain `leased.example`.
fn lend(host: &mut Host) {
    for kind in [2, 5] {
        let sent = host.sent();
        let asked = sent.iter().filter_map(Sent::datagram).map(Heard::read).next_back().expect("a question");
        let message = Message::new(kind, asked.transaction).with(119, *b"\x06leased\x07example\0");
        let (source, destination) = (SocketAddr::new(SERVER.into(), 67), SocketAddr::new(ADDRESS.into(), 68));
        host.receive(&write::framed(HARDWARE, PEER, &write::udp(source, destination, &message.bytes())));
    }
    // The address is probed before it is used.
    host.advance(core::time::Duration::from_millis(200));
    assert!(host.has(ADDRESS.into()));
}

#[test]
fn what_a_server_said_goes_when_no_router_says_any_more_that_there_is_something() {
    let gone = [Change::ServerRemoved(NAMES.into()), Change::SearchDomains];
    let is_gone = |host: &mut Host| {
        host.act();
        assert_eq!(names(host), (vec![], vec![]));
        let changes = host.changes();
        assert!(gone.iter().all(|change| changes.contains(change)), "{changes:?}");
        host.sent();
        host.advance(seconds(60));
        assert_eq!(heard(&host.sent()).len(), 0);
    };
    let mut host = informed();
    host.receive(&router_advertisement(OTHER, OTHER_LOCAL, OTHER_INFORMATION, 1800, &[]));
    advertise(&mut host, 0);
    assert_eq!(names(&host).0.len(), 1, "another says so");
    host.receive(&router_advertisement(OTHER, OTHER_LOCAL, 0, 1800, &[]));
    is_gone(&mut host);
    let mut host = informed();
    host.advance(seconds(1795));
    assert_eq!(names(&host).0.len(), 1);
    host.advance(seconds(6));
    is_gone(&mut host);
    let mut host = informed();
    host.with(|engine, now, _| engine.set_autoconfiguration(false, now));
    is_gone(&mut host);
    let mut host = informed();
    host.with(|engine, now, _| engine.set_hardware(EthernetAddress([2, 0, 0, 0, 0, 0x77]), now));
    host.act();
    is_gone(&mut host);
    let mut host = informed();
    let networks = [1, 2].map(|last| Ipv6Addr::new(0x2001, 0xdb8, last, 0, 0, 0, 0, 0));
    let advertised = |network, flags| router_advertisement(PEER, PEER_LOCAL, flags, 1800, &prefix(network));
    host.receive(&advertised(networks[0], OTHER_INFORMATION));
    host.with(|engine, now, _| engine.link_down(now));
    host.with(|engine, now, _| engine.link_up(now));
    host.receive(&advertised(networks[1], 0));
    is_gone(&mut host);
}

#[test]
fn other_hardware_is_another_client() {
    let mut host = informed();
    host.with(|engine, now, _| engine.set_hardware(EthernetAddress([2, 0, 0, 0, 0, 0x77]), now));
    host.act();
    host.advance(seconds(5));
    host.sent();
    advertise(&mut host, MANAGED);
    host.advance(seconds(1));
    let question = question(&mut host);
    assert_eq!(question[8..18], [0, 3, 0, 1, 2, 0, 0, 0, 0, 0x77]);
}

#[test]
fn a_server_is_asked_anew_when_the_link_is_back_and_what_it_said_counts_meanwhile() {
    for is_link in [true, false] {
        let mut host = informed();
        if is_link {
            host.with(|engine, now, _| engine.link_down(now));
            host.advance(seconds(100));
            assert_eq!(heard(&host.sent()).len(), 0);
            host.with(|engine, now, _| engine.link_up(now));
        } else {
            host.with(|engine, now, _| engine.resume(now));
        }
        host.act();
        host.advance(millis(1001));
        let second = question(&mut host);
        assert_eq!(names(&host).0, [IpAddr::V6(NAMES)]);
        answer(&mut host, &second, &[servers_option(&[OTHER_NAMES])]);
        assert_eq!(names(&host), (vec![OTHER_NAMES.into()], vec![]));
    }
}

#[test]
fn nobody_is_asked_while_the_link_is_gone() {
    let mut host = listening();
    advertise(&mut host, OTHER_INFORMATION);
    host.with(|engine, now, _| engine.link_down(now));
    host.advance(seconds(600));
    assert_eq!(heard(&host.sent()).len(), 0);
}
