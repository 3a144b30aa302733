//! The life of a DHCP lease: how it is acquired, renewed, verified, released and lost.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use smoltcp::wire::DhcpMessageType::{Release, Request};
use xila_network_host::address::MacAddress;
use xila_network_host::device::Link;
use xila_network_host::interface::{Change, DhcpState, Lease, Origin, State};
use xila_network_host::socket::{ListenOptions, TcpListener, TcpStream, UdpSocket};
use xila_network_host::{InterfaceConfig, Manager, ReadError};

use super::World;
use super::server::{Answer, Heard, Terms, arp_requests};
use super::world::{cidr, route};

const BROADCAST: Ipv4Addr = Ipv4Addr::BROADCAST;
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const DNS: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2)), IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9))];

fn lent() -> [Change; 5] {
    [
        Change::AddressAdded(cidr("10.9.0.50/24")),
        Change::RouteAdded(route("10.9.0.1", 100)),
        Change::DnsServerAdded(DNS[0]),
        Change::DnsServerAdded(DNS[1]),
        Change::Dhcp(DhcpState::Bound),
    ]
}

fn withdrawn(state: DhcpState) -> [Change; 5] {
    [
        Change::RouteRemoved(route("10.9.0.1", 100)),
        Change::DnsServerRemoved(DNS[0]),
        Change::DnsServerRemoved(DNS[1]),
        Change::AddressRemoved(cidr("10.9.0.50/24")),
        Change::Dhcp(state),
    ]
}

/// Another host on the segment, at 10.9.0.3.
fn neighbour(world: &World) -> Manager {
    let manager = Manager::new(world.simulation.platform());
    let config = InterfaceConfig { addresses: vec![cidr("10.9.0.3/24")], ..InterfaceConfig::default() };
    manager.mount_interface("eth0", world.hub.port(), config).unwrap();
    manager
}

/// Opens a TCP connection from the leased address to the neighbour.
async fn connect(world: &World, neighbour: &Manager) -> (TcpStream, TcpStream) {
    let at = "10.9.0.3:7000".parse().unwrap();
    let listener = TcpListener::bind(&neighbour.network(), at, ListenOptions::default()).unwrap();
    let client = TcpStream::connect(&world.manager.network(), at).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

#[test]
fn a_lease_gives_an_address_a_router_and_dns_servers() {
    let world = World::with(InterfaceConfig::default());
    world.advance(10);
    world.changes();
    assert_eq!(world.interface.dhcp().state, DhcpState::Off);
    world.interface.set_dhcp(true).unwrap();
    assert_eq!(world.changes(), [Change::Dhcp(DhcpState::Searching)]);
    world.advance(1);
    assert_eq!(world.changes(), lent());
    let status = world.interface.dhcp();
    let valid = status.lease.as_ref().unwrap().valid;
    assert!((998..=1000).contains(&valid.as_secs()), "{valid:?}");
    let lease = Lease {
        address: cidr("10.9.0.50/24"),
        router: Some(SERVER),
        dns_servers: vec![[10, 9, 0, 2].into(), [9, 9, 9, 9].into()],
        domain: None,
        search_domains: Vec::new(),
        ntp_servers: Vec::new(),
        server: SERVER,
        valid,
    };
    assert_eq!((status.state, status.lease, status.refused), (DhcpState::Bound, Some(lease), 0));
    let addresses = world.addresses(Origin::Dhcp);
    assert_eq!(
        addresses.iter().map(|info| (info.cidr, info.valid)).collect::<Vec<_>>(),
        [(cidr("10.9.0.50/24"), Some(valid))]
    );
    assert_eq!(world.routes(Origin::Dhcp), [route("10.9.0.1", 100)]);
    assert_eq!(world.interface.dns_servers(), DNS);
    let neighbour = neighbour(&world);
    world.simulation.block_on(async {
        let (client, _server) = connect(&world, &neighbour).await;
        assert_eq!(client.local_addr().ip(), IpAddr::from([10, 9, 0, 50]));
    });
}

#[test]
fn a_lease_is_renewed_at_t1_and_nothing_else_changes() {
    let world = World::bound();
    let neighbour = neighbour(&world);
    let streams = world.simulation.block_on(connect(&world, &neighbour));
    world.server.heard();
    // By then the neighbour entry of the server has expired, if there ever was one.
    world.advance(405);
    let heard = world.server.heard();
    let [renewal] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((renewal.kind, renewal.destination, renewal.client), (Request, SERVER, [10, 9, 0, 50].into()));
    assert_eq!(renewal.at.since_origin().as_millis() / 100, 4000, "as soon as the server's address is known");
    assert_eq!(world.changes(), [Change::Dhcp(DhcpState::Bound)]);
    let valid = world.interface.dhcp().lease.unwrap().valid.as_secs();
    assert!((990..=1000).contains(&valid), "{valid}");
    assert_eq!(world.addresses(Origin::Dhcp)[0].valid.unwrap().as_secs(), valid);
    // The lease is renewed many more times.
    world.advance(4000);
    assert!(world.changes().iter().all(|change| *change == Change::Dhcp(DhcpState::Bound)));
    world.simulation.block_on(async {
        streams.0.write_all(b"still").await.unwrap();
        assert_eq!(streams.1.read(&mut [0; 8]).await, Ok(5));
    });
}

/// RFC 2131 section 4.4.5: the client retries after half of the time that remains until T2.
#[test]
fn a_renewal_whose_server_is_not_found_on_the_link_is_tried_again_half_way_to_t2() {
    let world = World::bound();
    world.serve(|server| server.answers_arp = false);
    world.server.frames();
    world.server.heard();
    world.advance(420);
    // The engine sends three ARP requests and then drops the datagram.
    assert_eq!(arp_requests(&world.server.frames(), SERVER), 3);
    world.serve(|server| server.answers_arp = true);
    world.advance(178);
    assert_eq!((world.server.heard(), world.changes()), (vec![], vec![]));
    world.advance(3);
    let heard = world.server.heard();
    let [renewal] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((renewal.kind, renewal.destination, renewal.client), (Request, SERVER, [10, 9, 0, 50].into()));
    assert_eq!(renewal.at.since_origin().as_millis() / 100, 6000);
    assert_eq!(world.changes(), [Change::Dhcp(DhcpState::Bound)]);
    assert!(world.interface.dhcp().lease.unwrap().valid.as_secs() >= 998);
}

#[test]
fn a_renewal_does_not_wait_for_others_that_do_not_answer() {
    let world = World::bound();
    let dead = "10.9.0.99:9".parse().unwrap();
    let socket = UdpSocket::bind(&world.interface.network(), "10.9.0.50:0".parse().unwrap()).unwrap();
    world.advance(397);
    for _ in 0..20 {
        // The engine starts to resolve one neighbour a second.
        world.simulation.block_on(socket.send_to(b"anybody?", dead)).unwrap();
        world.simulation.advance(Duration::from_millis(250));
    }
    let renewed = world.server.heard().pop().unwrap();
    assert_eq!((renewed.kind, renewed.at.since_origin().as_millis() / 100), (Request, 4000));
}

#[test]
fn a_lease_that_its_server_does_not_renew_is_renewed_by_any_at_t2() {
    let world = World::bound();
    world.serve(|server| server.answer = Answer::Nothing);
    world.server.heard();
    world.advance(798);
    assert!(world.server.heard().iter().all(|heard| heard.destination == SERVER));
    world.serve(|server| server.answer = Answer::Grant);
    world.advance(2);
    let heard = world.server.heard();
    assert!(matches!(&heard[..], [rebind] if rebind.destination == BROADCAST && rebind.kind == Request), "{heard:?}");
    assert_eq!(world.changes(), [Change::Dhcp(DhcpState::Bound)]);
}

#[test]
fn a_lease_that_nobody_renews_runs_out() {
    let world = World::bound();
    let neighbour = neighbour(&world);
    let (client, _server) = world.simulation.block_on(connect(&world, &neighbour));
    world.serve(|server| server.answer = Answer::Nothing);
    world.advance(990);
    assert_eq!((world.changes(), world.state()), (vec![], DhcpState::Bound));
    world.advance(10);
    assert_eq!(world.changes(), withdrawn(DhcpState::Searching));
    world.assert_nothing_lent();
    world.simulation.block_on(async {
        assert_eq!(client.read(&mut [0; 8]).await, Err(ReadError::AddressNotAvailable));
    });
    // The client then asks for a new lease, and gets another address when the server is back.
    world.serve(|server| {
        server.answer = Answer::Grant;
        server.terms.address = [10, 9, 0, 51].into();
    });
    world.advance(64);
    assert_eq!(world.addresses(Origin::Dhcp)[0].cidr, cidr("10.9.0.51/24"));
}

#[test]
fn a_refused_renewal_ends_the_lease_at_once() {
    let world = World::bound();
    world.serve(|server| server.answer = Answer::Refuse);
    world.advance(405);
    assert_eq!(world.changes(), withdrawn(DhcpState::Searching));
    world.assert_nothing_lent();
    world.serve(|server| server.answer = Answer::Grant);
    world.advance(64);
    assert_eq!(world.changes(), lent());
}

#[test]
fn a_renewal_with_other_content_changes_what_is_other() {
    let world = World::bound();
    world.serve(|server| {
        server.terms.routers = vec![[10, 9, 0, 9].into(), [10, 9, 0, 8].into()];
        server.terms.dns_servers.truncate(1);
    });
    world.advance(405);
    assert_eq!(
        world.changes(),
        [
            Change::RouteRemoved(route("10.9.0.1", 100)),
            Change::RouteAdded(route("10.9.0.9", 100)),
            Change::DnsServerRemoved(DNS[1]),
            Change::Dhcp(DhcpState::Bound)
        ]
    );
    world.serve(|server| {
        server.terms.routers.clear();
        server.terms.address = [10, 9, 0, 51].into();
    });
    world.advance(405);
    assert_eq!(
        world.changes(),
        [
            Change::RouteRemoved(route("10.9.0.9", 100)),
            Change::AddressRemoved(cidr("10.9.0.50/24")),
            // The client is searching until the probes for the new address have found no conflict.
            Change::Dhcp(DhcpState::Searching),
            Change::AddressAdded(cidr("10.9.0.51/24")),
            Change::Dhcp(DhcpState::Bound)
        ],
        "the DNS server is the same"
    );
    assert_eq!(world.routes(Origin::Dhcp), []);
}

/// Asserts that the host verified its lease with one broadcast message that names no server and has no source address
/// (RFC 2131 sections 3.2 and 4.3.2).
fn assert_verified(world: &World) {
    let heard = world.server.heard();
    let [verification] = &heard[..] else { panic!("{heard:?}") };
    let Heard { kind, destination, client, at: _, requested: _ } = *verification;
    assert_eq!((kind, destination, client), (Request, BROADCAST, Ipv4Addr::UNSPECIFIED));
}

#[test]
fn a_lease_is_verified_when_its_link_is_back_and_counts_until_then() {
    let world = World::bound();
    let neighbour = neighbour(&world);
    let (client, server) = world.simulation.block_on(connect(&world, &neighbour));
    world.server.heard();
    world.cable.set_link(Link::Down);
    world.advance(30);
    assert_eq!((world.changes(), world.state()), (vec![Change::Link(Link::Down)], DhcpState::Bound));
    assert_eq!(world.server.heard(), [], "nobody is asked over a link that is gone");
    world.cable.set_link(Link::Up);
    world.advance(1);
    assert_eq!(world.changes(), [Change::Link(Link::Up), Change::Dhcp(DhcpState::Bound)]);
    assert_verified(&world);
    assert!(world.interface.dhcp().lease.unwrap().valid.as_secs() >= 998);
    world.simulation.block_on(async {
        client.write_all(b"still").await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await, Ok(5));
    });
}

#[test]
fn a_lease_of_another_network_is_gone_when_its_server_says_so() {
    let world = World::bound();
    world.cable.set_link(Link::Down);
    world.advance(30);
    world.changes();
    world.serve(|server| server.answer = Answer::Refuse);
    world.cable.set_link(Link::Up);
    world.advance(1);
    let mut expected = vec![Change::Link(Link::Up)];
    expected.extend(withdrawn(DhcpState::Searching));
    assert_eq!(world.changes(), expected);
    world.assert_nothing_lent();
    world.serve(|server| server.answer = Answer::Grant);
    world.advance(64);
    assert_eq!(world.changes(), lent());
}

/// RFC 2131 section 3.2 point 3.
#[test]
fn a_lease_that_nobody_verifies_counts_until_its_end() {
    let world = World::bound();
    world.serve(|server| server.answer = Answer::Nothing);
    world.cable.set_link(Link::Down);
    world.advance(30);
    world.cable.set_link(Link::Up);
    world.advance(960);
    assert_eq!((world.state(), world.interface.addresses()), (DhcpState::Bound, vec![cidr("10.9.0.50/24")]));
    world.changes();
    world.advance(10);
    assert_eq!(world.changes(), withdrawn(DhcpState::Searching));
}

#[test]
fn down_nothing_is_sent_and_up_again_the_lease_is_verified() {
    let world = World::bound();
    let neighbour = neighbour(&world);
    let (client, server) = world.simulation.block_on(connect(&world, &neighbour));
    world.server.heard();
    world.interface.set_state(State::Down);
    world.advance(500);
    assert_eq!(world.server.heard(), []);
    world.interface.set_state(State::Up);
    world.advance(1);
    assert_verified(&world);
    // The lease is the same, so connections survive.
    assert_eq!(world.changes(), [Change::State(State::Down), Change::State(State::Up), Change::Dhcp(DhcpState::Bound)]);
    world.simulation.block_on(async {
        client.write_all(b"still").await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await, Ok(5));
    });
}

#[test]
fn a_lease_that_ran_out_while_down_is_gone_when_up() {
    let world = World::bound();
    world.serve(|server| server.answer = Answer::Nothing);
    world.interface.set_state(State::Down);
    world.advance(2000);
    world.interface.set_state(State::Up);
    world.advance(0);
    let mut expected = vec![Change::State(State::Down), Change::State(State::Up)];
    expected.extend(withdrawn(DhcpState::Searching));
    assert_eq!(world.changes(), expected);
    world.assert_nothing_lent();
}

#[test]
fn an_interface_that_is_up_without_a_link_asks_nobody() {
    let world = World::bound();
    world.interface.set_state(State::Down);
    world.cable.set_link(Link::Down);
    world.advance(10);
    world.server.frames();
    world.interface.set_state(State::Up);
    world.advance(2000);
    world.assert_nothing_lent();
    // If the link comes back while the interface is down, the client sends nothing until the interface is up.
    world.interface.set_state(State::Down);
    world.cable.set_link(Link::Up);
    world.advance(10);
    world.interface.set_dhcp(false).unwrap();
    world.interface.set_dhcp(true).unwrap();
    world.advance(10);
    assert_eq!(world.server.frames(), [] as [Vec<u8>; 0]);
    world.interface.set_state(State::Up);
    world.advance(1);
    assert_eq!(world.state(), DhcpState::Bound);
}

#[test]
fn another_mask_changes_the_network_and_ends_no_connection() {
    let world = World::bound();
    let neighbour = neighbour(&world);
    let (client, server) = world.simulation.block_on(connect(&world, &neighbour));
    world.serve(|server| server.terms.mask = Some([255, 255, 0, 0].into()));
    world.advance(405);
    assert_eq!(
        world.changes(),
        [
            Change::AddressRemoved(cidr("10.9.0.50/24")),
            Change::AddressAdded(cidr("10.9.0.50/16")),
            Change::Dhcp(DhcpState::Bound)
        ]
    );
    world.simulation.block_on(async {
        client.write_all(b"still").await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await, Ok(5));
    });
}

#[test]
fn switched_off_it_gives_the_lease_back() {
    let world = World::bound();
    world.server.heard();
    world.interface.set_dhcp(false).unwrap();
    assert_eq!(world.changes(), withdrawn(DhcpState::Off));
    world.assert_nothing_lent();
    world.interface.set_dhcp(false).unwrap();
    world.advance(2000);
    let heard = world.server.heard();
    let [release] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((release.kind, release.destination, release.client), (Release, SERVER, [10, 9, 0, 50].into()));
    assert_eq!((world.changes(), world.state()), (vec![], DhcpState::Off));
    world.interface.set_dhcp(true).unwrap();
    world.advance(1);
    assert_eq!(world.state(), DhcpState::Bound);
}

#[test]
fn switched_on_twice_it_is_on_once() {
    let world = World::bound();
    world.server.heard();
    for _ in 0..100 {
        world.interface.set_dhcp(true).unwrap();
    }
    world.advance(100);
    assert_eq!((world.changes(), world.server.heard()), (vec![], vec![]));
}

#[test]
fn another_hardware_address_is_another_client() {
    let world = World::bound();
    let address = MacAddress::new([2, 0, 0, 0, 0, 9]).unwrap();
    world.server.heard();
    world.interface.set_hardware_address(address).unwrap();
    world.advance(1);
    let mut expected = vec![Change::HardwareAddress(address)];
    expected.extend(withdrawn(DhcpState::Searching));
    expected.extend(lent());
    assert_eq!(world.changes(), expected);
}

#[test]
fn another_mtu_leaves_the_lease_alone() {
    let world = World::bound();
    world.interface.set_mtu(1280).unwrap();
    world.advance(405);
    assert_eq!(world.changes(), [Change::Mtu(1280), Change::Dhcp(DhcpState::Bound)]);
}

#[test]
fn what_somebody_has_set_is_left_alone() {
    let (address, gateway, server) = (cidr("10.9.0.50/24"), route("10.9.0.77", 100), DNS[0]);
    let config = InterfaceConfig {
        addresses: vec![address],
        routes: vec![gateway],
        dns_servers: vec![server],
        dhcp: true,
        ..InterfaceConfig::default()
    };
    let world = World::with(config);
    world.advance(405);
    assert_eq!((world.state(), world.interface.dhcp().refused), (DhcpState::Bound, 0));
    world.interface.set_dhcp(false).unwrap();
    let stays: Vec<_> = world.addresses(Origin::Static).iter().map(|info| info.cidr).collect();
    assert_eq!((stays, world.addresses(Origin::Dhcp)), (vec![address], vec![]));
    assert_eq!(world.interface.routes(), [gateway]);
    assert_eq!(world.interface.dns_servers(), [server]);
}

#[test]
fn a_lease_for_ever_stays() {
    let world = World::dhcp();
    world.serve(|server| server.terms = Terms { times: [Some(u32::MAX), None, None], ..Terms::default() });
    world.advance(3600 * 24 * 365);
    assert_eq!(world.state(), DhcpState::Bound);
    assert_eq!(world.addresses(Origin::Dhcp)[0].valid, None);
}

#[test]
fn an_unmounted_interface_gives_the_lease_back_and_asks_no_more() {
    let world = World::bound();
    world.server.heard();
    let device = world.manager.unmount_interface("eth0").unwrap();
    assert_eq!(world.interface.dhcp().state, DhcpState::Off);
    world.advance(2000);
    let heard = world.server.heard();
    let [release] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((release.kind, release.destination, release.client), (Release, SERVER, [10, 9, 0, 50].into()));
    drop(device);
}

/// A manager that is dropped without unmounting its interfaces releases their leases.
#[test]
fn a_dropped_manager_gives_the_lease_back() {
    let World { manager, interface, server, simulation, .. } = World::bound();
    server.heard();
    drop((manager, interface));
    simulation.advance(Duration::from_secs(1));
    let heard = server.heard();
    let [release] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((release.kind, release.client), (Release, [10, 9, 0, 50].into()));
}
