//! DHCP over frames (RFC 2131).

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::vec::Vec;

use smoltcp::wire::{EthernetAddress, IpCidr};

use super::bench::{Host, OTHER, PEER, Sent, millis, seconds};
use super::write;
use crate::configure::dhcp::Remembered;
use crate::configure::dhcp::world::{ADDRESS, HARDWARE, Heard, Message, SERVER};
use crate::interface::{Change, Conflict, Link};
use crate::ip::addresses::Origin;
use crate::ip::routes::Target;
use crate::link::arp::Arp;

const DISCOVER: u8 = 1;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const RELEASE: u8 = 7;
const OFFER: u8 = 2;
const ACK: u8 = 5;
const NAK: u8 = 6;

fn host() -> Host {
    let mut host = Host::on(Link { hardware: Some(HARDWARE), ..Host::link() }, 1);
    host.with(|engine, now, wire| engine.set_dhcp(true, now, wire));
    host.act();
    host
}

/// The messages that DHCP servers receive, with hardware address, source and destination.
fn heard(sent: &[Sent]) -> Vec<(Heard, EthernetAddress, SocketAddr, SocketAddr)> {
    let heard = sent.iter().filter_map(|frame| {
        let packet = frame.packet()?;
        let read = crate::udp::datagram::read(packet.source, packet.destination, packet.payload(), true).ok()?;
        (read.destination.port() == 67).then(|| (Heard::read(read.payload), frame.to(), read.source, read.destination))
    });
    heard.collect()
}

/// Receives a server's message, sent to the address of the lease.
fn answer(host: &mut Host, message: &Message) {
    say(host, message, ADDRESS, HARDWARE);
}

fn say(host: &mut Host, message: &Message, to: Ipv4Addr, hardware: EthernetAddress) {
    let (source, destination) = (SocketAddr::new(SERVER.into(), 67), SocketAddr::new(to.into(), 68));
    host.receive(&write::framed(hardware, PEER, &write::udp(source, destination, &message.bytes())));
}

/// The time for which an address is probed.
const ASKED: Duration = millis(200);

/// A host with a lease in use; `change` may modify the server's messages.
fn bound(change: impl Fn(Message) -> Message) -> Host {
    let mut host = lent(change);
    host.advance(ASKED);
    host.sent();
    host
}

/// A host that has just been given a lease, with all earlier events cleared.
fn lent(change: impl Fn(Message) -> Message) -> Host {
    let mut host = host();
    host.events.clear();
    let discover = heard(&host.sent()).remove(0).0;
    answer(&mut host, &change(Message::new(OFFER, discover.transaction)));
    let request = heard(&host.sent()).remove(0).0;
    answer(&mut host, &change(Message::new(ACK, request.transaction)));
    host
}

fn addresses(host: &Host) -> Vec<IpCidr> {
    host.engine.interface().addresses().iter().map(|known| known.cidr).collect()
}

/// The destinations and gateways of the routes.
fn routes(host: &Host) -> Vec<(IpCidr, Option<IpAddr>)> {
    let routes = host.engine.interface().routes().iter();
    routes.map(|route| (route.destination, route.gateway())).collect()
}

fn cidr(text: &str) -> IpCidr {
    text.parse().expect("a network")
}

#[test]
fn a_host_without_anything_gets_an_address_routes_and_servers() {
    let mut host = host();
    let sent = host.sent();
    let [(discover, to, source, destination)] = &heard(&sent)[..] else { panic!("{sent:?}") };
    assert_eq!((discover.kind, sent.len(), *to), (DISCOVER, 1, EthernetAddress::BROADCAST));
    assert_eq!(*source, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 68));
    assert_eq!(*destination, SocketAddr::new(Ipv4Addr::BROADCAST.into(), 67));
    answer(&mut host, &Message::new(OFFER, discover.transaction));
    let sent = host.sent();
    let [(request, to, source, destination)] = &heard(&sent)[..] else { panic!("{sent:?}") };
    assert_eq!((request.kind, *to), (REQUEST, EthernetAddress::BROADCAST));
    assert_eq!((request.requested, request.server), (Some(ADDRESS), Some(SERVER)));
    assert_eq!((source.ip(), destination.ip()), (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into()));
    answer(&mut host, &Message::new(ACK, request.transaction));
    host.advance(ASKED);
    assert_eq!(addresses(&host), [cidr("10.9.0.50/24")]);
    assert_eq!(routes(&host), [(cidr("0.0.0.0/0"), Some(SERVER.into()))]);
    let servers: Vec<IpAddr> = host.engine.servers().collect();
    assert_eq!(servers, [IpAddr::V4([10, 9, 0, 2].into()), IpAddr::V4([9, 9, 9, 9].into())]);
    assert!(host.changes().contains(&Change::AddressAdded(cidr("10.9.0.50/24"))));
    assert!(host.changes().contains(&Change::Dhcp));
    host.advance(seconds(10));
    let announced =
        host.sent().iter().filter(|frame| frame.arp() == Some(Arp::announcement(HARDWARE, ADDRESS))).count();
    assert_eq!(announced, 2, "RFC 5227 section 2.3");
}

/// RFC 2131 section 4.4.1, RFC 5227 section 2.1.
#[test]
fn a_lent_address_is_used_once_the_link_was_asked_whether_somebody_has_it() {
    let mut host = lent(|message| message);
    host.advance(ASKED - millis(1));
    let probe = Arp::probe(HARDWARE, ADDRESS);
    let sent: Vec<_> = host.sent().iter().map(Sent::arp).collect();
    assert_eq!(sent, [Some(probe), Some(probe)]);
    assert_eq!((host.has(ADDRESS.into()), routes(&host), host.engine.servers().count()), (false, Vec::new(), 0));
    assert_eq!((host.engine.lease(), host.changes().contains(&Change::Dhcp)), (None, false), "nobody is told");
    host.advance(millis(1));
    assert!(host.has(ADDRESS.into()) && host.engine.lease().is_some());
    let changes = host.changes();
    let at = |change: &Change| changes.iter().position(|other| other == change).expect("it is told");
    assert!(at(&Change::AddressAdded(cidr("10.9.0.50/24"))) < at(&Change::Dhcp), "{changes:?}");
    assert_eq!(host.sent()[0].arp(), Some(Arp::announcement(HARDWARE, ADDRESS)));
}

#[test]
fn a_lent_address_that_somebody_has_is_never_used_and_declined() {
    let claims = [Arp::probe(HARDWARE, ADDRESS).reply(OTHER), Arp::probe(OTHER, ADDRESS)];
    for claim in claims {
        let mut host = lent(|message| message);
        host.advance(millis(1));
        host.sent();
        host.receive(&write::arp(&claim));
        host.advance(millis(0));
        let sent = host.sent();
        let [(decline, ..)] = &heard(&sent)[..] else { panic!("{sent:?}") };
        assert_eq!((decline.kind, decline.requested), (DECLINE, Some(ADDRESS)));
        host.advance(seconds(9));
        assert_eq!((addresses(&host), routes(&host), host.sent().len()), (Vec::new(), Vec::new(), 0));
        let conflict = Conflict { address: ADDRESS.into(), hardware: OTHER, is_lost: true };
        assert_eq!(host.changes(), [Change::AddressConflict(conflict)]);
    }
}

#[test]
fn servers_may_answer_by_broadcast_and_others_answers_are_not_taken() {
    let mut host = host();
    let discover = heard(&host.sent()).remove(0).0;
    let mut for_another = Message::new(OFFER, discover.transaction);
    for_another.hardware = PEER;
    say(&mut host, &for_another, Ipv4Addr::BROADCAST, EthernetAddress::BROADCAST);
    answer(&mut host, &Message::new(OFFER, discover.transaction ^ 1));
    assert_eq!(heard(&host.sent()).len(), 0);
    say(&mut host, &Message::new(OFFER, discover.transaction), Ipv4Addr::BROADCAST, EthernetAddress::BROADCAST);
    let request = heard(&host.sent()).remove(0).0;
    say(&mut host, &Message::new(ACK, request.transaction), Ipv4Addr::BROADCAST, EthernetAddress::BROADCAST);
    assert_eq!(addresses(&host).len(), 1);
}

#[test]
fn without_dhcp_nothing_is_taken_for_an_address_that_this_host_has_not() {
    let mut host = Host::new();
    let (source, destination) = (SocketAddr::new(SERVER.into(), 67), SocketAddr::new(ADDRESS.into(), 68));
    host.receive_packet(&write::udp(source, destination, &Message::new(OFFER, 1).bytes()));
    assert_eq!((host.sent(), host.dropped().0), (Vec::new(), 1));
}

/// A host that switches DHCP off sends a release, whether the server's hardware address is still known or was
/// forgotten.
#[test]
fn a_lease_is_given_back_when_dhcp_is_switched_off() {
    for is_forgotten in [false, true] {
        let mut host = bound(|message| message);
        host.settle();
        if is_forgotten {
            // A datagram is sent to the server, and nobody answers the ARP requests.
            assert_eq!(host.send(ADDRESS.into(), SERVER.into(), b"data"), Ok(()));
            host.settle();
        }
        host.with(|engine, now, wire| engine.set_dhcp(false, now, wire));
        host.act();
        // There is no time for ARP: the release goes to the station that the server's last answer came from.
        let sent = host.sent();
        let [(release, to, source, destination)] = &heard(&sent)[..] else { panic!("{sent:?}") };
        assert_eq!((release.kind, release.client, release.server, *to), (RELEASE, ADDRESS, Some(SERVER), PEER));
        assert_eq!((source.ip(), destination.ip()), (ADDRESS.into(), SERVER.into()));
        assert_eq!((addresses(&host), routes(&host), host.engine.servers().count()), (Vec::new(), Vec::new(), 0));
        host.advance(seconds(600));
        assert_eq!(heard(&host.sent()).len(), 0);
    }
}

#[test]
fn an_address_that_another_host_goes_on_using_is_given_up_and_declined() {
    let mut host = bound(|message| message);
    host.settle();
    let claim = write::arp(&Arp::announcement(OTHER, ADDRESS));
    host.receive(&claim);
    let sent = host.sent();
    assert!(matches!(&sent[..], [defence] if defence.arp() == Some(Arp::announcement(HARDWARE, ADDRESS))));
    assert!(host.has(ADDRESS.into()), "RFC 5227 section 2.4 (b)");
    host.advance(seconds(5));
    host.receive(&claim);
    host.advance(millis(0));
    let sent = host.sent();
    let [(decline, to, source, _)] = &heard(&sent)[..] else { panic!("{sent:?}") };
    assert_eq!((decline.kind, decline.requested, decline.server), (DECLINE, Some(ADDRESS), Some(SERVER)));
    assert_eq!((*to, source.ip()), (EthernetAddress::BROADCAST, Ipv4Addr::UNSPECIFIED.into()));
    assert_eq!((addresses(&host), routes(&host)), (Vec::new(), Vec::new()));
    let lost = |change: &Change| matches!(change, Change::AddressConflict(conflict) if conflict.is_lost);
    assert!(host.changes().iter().any(lost));
    host.advance(millis(9900));
    assert_eq!(heard(&host.sent()).len(), 0, "RFC 2131 section 3.1 step 5");
    host.advance(millis(200));
    assert_eq!(heard(&host.sent())[0].0.kind, DISCOVER);
}

#[test]
fn classless_routes_take_the_place_of_the_router() {
    // 10.0.0.0/8 through 10.9.0.7, and everything else through 10.9.0.8 (RFC 3442).
    let host = bound(|message| message.with(121, [8, 10, 10, 9, 0, 7, 0, 10, 9, 0, 8]));
    let by = |last| Some(IpAddr::V4([10, 9, 0, last].into()));
    assert_eq!(routes(&host), [(cidr("10.0.0.0/8"), by(7)), (cidr("0.0.0.0/0"), by(8))]);
    let host = bound(|message| message.without(3).with(121, [0, 10, 9, 0, 8]));
    assert_eq!(routes(&host), [(cidr("0.0.0.0/0"), by(8))]);
}

#[test]
fn a_router_outside_of_the_lease_is_reached() {
    let router = Ipv4Addr::new(10, 7, 0, 1);
    let mut host = bound(|message| message.with(1, [255, 255, 255, 255]).with(3, router.octets()));
    assert_eq!(addresses(&host), [cidr("10.9.0.50/32")]);
    host.settle();
    assert_eq!(host.send(ADDRESS.into(), [203, 0, 113, 1].into(), b"data"), Ok(()));
    host.receive(&write::arp(&Arp::request(HARDWARE, ADDRESS, router).reply(PEER)));
    let sent = host.sent();
    assert_eq!(sent[0].arp(), Some(Arp::request(HARDWARE, ADDRESS, router)));
    assert_eq!((sent[1].to(), sent[1].datagram()), (PEER, Some(&b"data"[..])));
    let route = host.engine.interface().routes().iter().next().copied().expect("a route");
    assert_eq!(route.target, Target::Gateway { address: router.into(), onlink: true });
}

#[test]
fn the_mtu_of_a_lease_is_that_of_the_link_as_long_as_it_lasts() {
    let mut host = bound(|message| message.with(26, 1400u16.to_be_bytes()));
    assert_eq!(host.engine.interface().link().mtu, 1400);
    assert!(host.changes().contains(&Change::Mtu(1400)));
    host.with(|engine, now, wire| engine.set_dhcp(false, now, wire));
    assert_eq!(host.engine.interface().link().mtu, 1500);
    let host = bound(|message| message.with(26, 9000u16.to_be_bytes()));
    assert_eq!(host.engine.interface().link().mtu, 1500, "it never widens what was set");
    let host = bound(|message| message.with(26, 576u16.to_be_bytes()));
    assert_eq!(host.engine.interface().link().mtu, 1280, "IPv6 has no less (RFC 8200 section 5)");
}

#[test]
fn a_lease_is_verified_when_the_link_is_back_and_counts_meanwhile() {
    let mut host = bound(|message| message);
    host.settle();
    host.engine.link_down(host.now);
    host.advance(seconds(1));
    assert!(host.has(ADDRESS.into()));
    host.engine.link_up(host.now);
    host.act();
    let sent = host.sent();
    let [(request, ..)] = &heard(&sent)[..] else { panic!("{sent:?}") };
    assert_eq!((request.kind, request.requested, request.server), (REQUEST, Some(ADDRESS), None), "INIT-REBOOT");
    assert!(host.has(ADDRESS.into()));
    say(&mut host, &Message::new(NAK, request.transaction), Ipv4Addr::BROADCAST, EthernetAddress::BROADCAST);
    host.advance(millis(0));
    assert_eq!((addresses(&host), routes(&host)), (Vec::new(), Vec::new()), "it is another network");
    host.advance(seconds(10));
    assert_eq!(heard(&host.sent())[0].0.kind, DISCOVER);
}

#[test]
fn another_network_behind_the_link_lends_another_address_in_under_15_seconds() {
    let mut host = bound(|message| message);
    host.settle();
    host.engine.link_down(host.now);
    host.engine.link_up(host.now);
    host.act();
    let begun = host.now;
    let other = Ipv4Addr::new(10, 8, 0, 50);
    let mut step = 0;
    // The server there does not answer about leases that it does not know.
    while !host.has(other.into()) {
        assert!(host.now - begun < seconds(15));
        host.advance(millis(100));
        for (asked, ..) in heard(&host.sent()) {
            let kind = match asked.kind {
                DISCOVER => OFFER,
                _ if asked.requested == Some(other) => ACK,
                _ => continue,
            };
            step += 1;
            let mut lent = Message::new(kind, asked.transaction);
            lent.address = other;
            answer(&mut host, &lent);
        }
    }
    host.advance(millis(0));
    assert_eq!((step, addresses(&host)), (2, Vec::from([cidr("10.8.0.50/24")])));
}

#[test]
fn a_lease_is_renewed_by_unicast_and_gone_when_its_time_is_over() {
    let mut host = bound(|message| message);
    host.settle();
    host.advance(seconds(341));
    host.receive(&write::arp(&Arp::request(HARDWARE, ADDRESS, SERVER).reply(PEER)));
    let sent = host.sent();
    let asked = heard(&sent);
    let (request, to, source, destination) = &asked[0];
    assert_eq!((request.kind, request.client, request.requested, *to), (REQUEST, ADDRESS, None, PEER));
    assert_eq!((source.ip(), destination.ip()), (ADDRESS.into(), SERVER.into()));
    host.events.clear();
    answer(&mut host, &Message::new(ACK, request.transaction));
    assert!(host.changes().iter().all(|change| *change == Change::Dhcp), "nothing else has changed");
    host.advance(seconds(990));
    assert!(host.has(ADDRESS.into()));
    host.advance(seconds(20));
    assert_eq!((addresses(&host), routes(&host)), (Vec::new(), Vec::new()));
    assert!(host.changes().contains(&Change::AddressRemoved(cidr("10.9.0.50/24"))));
}

#[test]
fn a_connection_outlives_another_mask_of_its_address() {
    let mut host = bound(|message| message);
    let connection = host.connect(ADDRESS.into(), SERVER.into());
    host.engine.link_down(host.now);
    host.engine.link_up(host.now);
    host.act();
    let request = heard(&host.sent()).remove(0).0;
    answer(&mut host, &Message::new(ACK, request.transaction).with(1, [255, 255, 0, 0]));
    host.advance(millis(1));
    assert_eq!(addresses(&host), [cidr("10.9.0.50/16")]);
    assert_eq!(host.engine.tcp().state(connection), crate::tcp::TcpState::SynSent);
}

#[test]
fn an_address_that_somebody_has_set_stays_theirs() {
    let mut host = host();
    host.add(ADDRESS.into(), 24);
    let discover = heard(&host.sent()).remove(0).0;
    answer(&mut host, &Message::new(OFFER, discover.transaction));
    let request = heard(&host.sent()).remove(0).0;
    answer(&mut host, &Message::new(ACK, request.transaction));
    host.with(|engine, now, wire| engine.set_dhcp(false, now, wire));
    host.act();
    let address = host.engine.interface().addresses().find(ADDRESS.into()).expect("it is there");
    assert_eq!(address.origin, Origin::Static);
}

fn host_that_remembers(remembered: Remembered) -> Host {
    let mut host = Host::on(Link { hardware: Some(HARDWARE), ..Host::link() }, 1);
    host.with(|engine, now, wire| {
        engine.remember_lease(Some(remembered));
        engine.set_dhcp(true, now, wire);
    });
    host.act();
    host
}

#[test]
fn a_lease_of_another_run_is_verified_and_nothing_else_is_looked_for() {
    let remembered = Remembered { address: ADDRESS, is_current: true };
    let mut host = host_that_remembers(remembered);
    let sent = heard(&host.sent());
    let [(request, ..)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((request.kind, request.requested, request.server), (REQUEST, Some(ADDRESS), None));
    answer(&mut host, &Message::new(ACK, request.transaction));
    assert_eq!(
        (addresses(&host), host.engine.remembered_lease()),
        (Vec::from([cidr("10.9.0.50/24")]), Some(remembered))
    );
}

#[test]
fn a_lease_of_another_run_that_the_server_refuses_is_forgotten_and_another_is_looked_for() {
    let mut host = host_that_remembers(Remembered { address: ADDRESS, is_current: true });
    let request = heard(&host.sent()).remove(0).0;
    say(&mut host, &Message::new(NAK, request.transaction), Ipv4Addr::BROADCAST, EthernetAddress::BROADCAST);
    let discover = heard(&host.sent()).remove(0).0;
    assert_eq!((discover.kind, discover.requested), (DISCOVER, None));
    assert_eq!(host.engine.remembered_lease(), None);
}

#[test]
fn where_dhcp_is_switched_on_again_the_same_address_is_asked_for_but_not_by_other_hardware() {
    let mut host = bound(|message| message);
    host.with(|engine, now, wire| engine.set_dhcp(false, now, wire));
    let given_back = Some(Remembered { address: ADDRESS, is_current: false });
    assert_eq!(host.engine.remembered_lease(), given_back);
    host.sent();
    host.with(|engine, now, wire| engine.set_dhcp(true, now, wire));
    host.act();
    let discover = heard(&host.sent()).remove(0).0;
    assert_eq!((discover.kind, discover.requested), (DISCOVER, Some(ADDRESS)));
    host.with(|engine, now, wire| engine.set_dhcp(false, now, wire));
    host.with(|engine, now, _| engine.set_hardware(EthernetAddress([2, 0, 0, 0, 0, 0x77]), now));
    assert_eq!(host.engine.remembered_lease(), None);
}
