//! Router advertisements, and addresses of one's own making.

use std::net::{IpAddr, Ipv6Addr};

use proptest::collection::vec;
use proptest::prelude::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr,
    NdiscNeighborFlags, NdiscRepr,
};
use xila_network_host::InterfaceConfig;
use xila_network_host::address::MacAddress;
use xila_network_host::device::Link;
use xila_network_host::interface::{Change, Origin, State};

use super::World;
use super::server::ethernet_frame;
use super::world::cidr;

const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x66);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 5];
const LINK_LOCAL: &str = "fe80::ff:fe00:5/64";
const GLOBAL: &str = "fd00:5::ff:fe00:5/64";

/// A host with [`HARDWARE`], which configures itself.
fn host() -> World {
    let hardware_address = Some(MacAddress::new(HARDWARE).unwrap());
    World::with(InterfaceConfig { hardware_address, autoconfiguration: true, ..InterfaceConfig::default() })
}

/// As [`host`], with its link-local address; what happened until then is read.
fn settled() -> World {
    let world = host();
    world.advance(1);
    assert_eq!(world.changes(), [Change::Mounted, Change::AddressAdded(cidr(LINK_LOCAL))]);
    world.server.frames();
    world
}

/// An advertisement: its header, then options.
fn advertisement(lifetime: u16, options: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = vec![134, 0, 0, 0, 64, 0];
    packet.extend(lifetime.to_be_bytes());
    packet.extend([0; 8]);
    packet.extend(options.concat());
    packet
}

fn prefix(network: &str, valid: u32, preferred: u32) -> Vec<u8> {
    let network: Ipv6Addr = network.parse().unwrap();
    let mut option = vec![3, 4, 64, 0xc0];
    option.extend([valid.to_be_bytes(), preferred.to_be_bytes(), [0; 4]].concat());
    option.extend(network.octets());
    option
}

fn mtu(mtu: u32) -> Vec<u8> {
    [&[5, 1, 0, 0][..], &mtu.to_be_bytes()].concat()
}

fn servers(lifetime: u32, servers: &[&str]) -> Vec<u8> {
    let length = u8::try_from(1 + 2 * servers.len()).unwrap();
    let mut option = [&[25, length, 0, 0][..], &lifetime.to_be_bytes()].concat();
    option.extend(servers.iter().flat_map(|server| server.parse::<Ipv6Addr>().unwrap().octets()));
    option
}

/// A frame with an ICMPv6 message, its checksum filled in.
fn frame(source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8, message: &[u8]) -> Vec<u8> {
    let header = Ipv6Repr {
        src_addr: source,
        dst_addr: destination,
        next_header: IpProtocol::Icmpv6,
        payload_len: message.len(),
        hop_limit,
    };
    let mut packet = vec![0; 40];
    header.emit(&mut Ipv6Packet::new_unchecked(&mut packet[..]));
    packet.extend(message);
    Icmpv6Packet::new_unchecked(&mut packet[40..]).fill_checksum(&source, &destination);
    ethernet_frame(EthernetAddress([0x33, 0x33, 0, 0, 0, 1]), EthernetProtocol::Ipv6, &packet)
}

fn advertise(world: &World, lifetime: u16, options: &[Vec<u8>]) {
    world.server.send(&frame(ROUTER, ALL_NODES, 255, &advertisement(lifetime, options)));
    world.advance(2);
}

fn ndisc(source: Ipv6Addr, message: NdiscRepr<'_>) -> Vec<u8> {
    let message = Icmpv6Repr::Ndisc(message);
    let mut bytes = vec![0; message.buffer_len()];
    let mut packet = Icmpv6Packet::new_unchecked(&mut bytes[..]);
    message.emit(&source, &ALL_NODES, &mut packet, &ChecksumCapabilities::default());
    frame(source, ALL_NODES, 255, &bytes)
}

/// The types of the ICMPv6 messages that the host has sent since the last look.
fn heard(world: &World) -> Vec<u8> {
    let kind = |frame: Vec<u8>| {
        let ethernet = EthernetFrame::new_checked(&frame[..]).unwrap();
        let ip = Ipv6Packet::new_checked(ethernet.payload()).ok()?;
        (ip.next_header() == IpProtocol::Icmpv6).then(|| ip.payload()[0])
    };
    world.server.frames().into_iter().filter_map(kind).collect()
}

fn own(world: &World) -> Vec<String> {
    world.addresses(Origin::Autoconfigured).iter().map(|info| info.cidr.to_string()).collect()
}

#[test]
fn a_link_local_address_is_made_and_routers_are_asked_for() {
    let world = host();
    assert_eq!(own(&world), [] as [&str; 0]);
    world.advance(30);
    assert_eq!(world.changes(), [Change::Mounted, Change::AddressAdded(cidr(LINK_LOCAL))]);
    // Is it anybody's? Then three times for routers.
    assert_eq!(heard(&world), [135, 133, 133, 133]);
    assert!(world.interface.autoconfiguration());
}

#[test]
fn an_advertisement_gives_addresses_a_router_an_mtu_and_dns_servers() {
    let world = settled();
    advertise(
        &world,
        1800,
        &[
            mtu(1400),
            prefix("fd00:5::", 3600, 1800),
            servers(600, &["fd00:5::53", "fe80::53"]),
            prefix("fd00:6::", u32::MAX, u32::MAX),
            // One that nobody knows.
            vec![200, 1, 0, 0, 0, 0, 0, 0],
        ],
    );
    assert_eq!(own(&world), [LINK_LOCAL, GLOBAL, "fd00:6::ff:fe00:5/64"]);
    let addresses = world.addresses(Origin::Autoconfigured);
    let seconds =
        |index: usize| [addresses[index].preferred, addresses[index].valid].map(|left| left.map(|left| left.as_secs()));
    assert_eq!(seconds(0), [None, None]);
    assert!(matches!(seconds(1), [Some(1790..1800), Some(3590..3600)]), "{:?}", seconds(1));
    assert_eq!(seconds(2), [None, None]);
    let routes = world.interface.route_list();
    assert_eq!((routes[0].route.gateway(), routes[0].route.metric()), (IpAddr::V6(ROUTER), 1024));
    assert!(routes[0].valid.unwrap().as_secs() >= 1790);
    assert_eq!(world.interface.mtu(), 1400);
    let dns: [IpAddr; 2] = ["fd00:5::53".parse().unwrap(), "fe80::53".parse().unwrap()];
    assert_eq!(world.interface.dns_servers(), dns);
    // Somebody has answered: nobody else is asked.
    world.server.frames();
    world.advance(20);
    assert!(!heard(&world).contains(&133));
    // The same again changes nothing.
    world.changes();
    advertise(&world, 1800, &[mtu(1400), prefix("fd00:5::", 3600, 1800), servers(600, &["fd00:5::53"])]);
    assert_eq!(world.changes(), []);
}

#[test]
fn what_was_advertised_runs_out() {
    let world = settled();
    advertise(&world, 100, &[prefix("fd00:5::", 300, 50), servers(200, &["fd00:5::53"])]);
    world.changes();
    world.advance(97);
    assert_eq!(world.changes(), []);
    assert_eq!(world.addresses(Origin::Autoconfigured)[1].preferred.unwrap().as_secs(), 0);
    world.advance(2);
    assert!(matches!(&world.changes()[..], [Change::RouteRemoved(_)]));
    world.advance(100);
    assert_eq!(world.changes(), [Change::DnsServerRemoved("fd00:5::53".parse().unwrap())]);
    world.advance(100);
    assert_eq!(world.changes(), [Change::AddressRemoved(cidr(GLOBAL))]);
}

#[test]
fn a_router_can_resign_but_not_end_addresses_at_once() {
    let world = settled();
    advertise(&world, 1800, &[prefix("fd00:5::", 90_000, 90_000), servers(200, &["fd00:5::53"])]);
    advertise(&world, 0, &[prefix("fd00:5::", 0, 0), servers(0, &["fd00:5::53"])]);
    assert_eq!(world.interface.routes(), []);
    assert_eq!(world.interface.dns_servers(), [] as [IpAddr; 0]);
    let address = world.addresses(Origin::Autoconfigured)[1];
    assert_eq!(address.preferred.unwrap().as_secs(), 0);
    assert!((7190..=7200).contains(&address.valid.unwrap().as_secs()), "two hours: {address:?}");
}

#[test]
fn an_advertisement_that_is_not_valid_is_ignored() {
    let world = settled();
    let good = advertisement(1800, &[prefix("fd00:5::", 3600, 1800), servers(60, &["fd00:5::53"]), mtu(1400)]);
    let mut code = good.clone();
    code[1] = 1;
    let mut bad_checksum = frame(ROUTER, ALL_NODES, 255, &good);
    bad_checksum[14 + 40 + 2] ^= 1;
    let empty_option = advertisement(1800, &[prefix("fd00:5::", 3600, 1800), vec![1, 0, 0, 0, 0, 0, 0, 0]]);
    let cut_option = advertisement(1800, &[prefix("fd00:5::", 3600, 1800), vec![1, 2, 0, 0, 0, 0, 0, 0]]);
    let frames = [
        frame(ROUTER, ALL_NODES, 254, &good),
        frame("fd00::66".parse().unwrap(), ALL_NODES, 255, &good),
        frame(Ipv6Addr::UNSPECIFIED, ALL_NODES, 255, &good),
        frame(ROUTER, "ff02::2".parse().unwrap(), 255, &good),
        frame(ROUTER, "fd00::99".parse().unwrap(), 255, &good),
        frame(ROUTER, ALL_NODES, 255, &code),
        bad_checksum,
        frame(ROUTER, ALL_NODES, 255, &empty_option),
        frame(ROUTER, ALL_NODES, 255, &cut_option),
        frame(ROUTER, ALL_NODES, 255, &good[..15]),
    ];
    for (number, frame) in frames.iter().enumerate() {
        world.server.send(frame);
        world.advance(2);
        assert_eq!(world.changes(), [], "frame {number}");
    }
    // Within a valid one, what makes no sense is left out.
    let odd_servers = vec![25, 2, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0];
    let options =
        [mtu(1279), mtu(1501), mtu(u32::MAX), prefix("fd00:5::", 10, 20), prefix("fe80::", 60, 60), odd_servers];
    advertise(&world, 0, &options);
    assert_eq!(world.changes(), []);
}

#[test]
fn switched_off_nothing_is_heard_and_nothing_stays() {
    let world = settled();
    advertise(&world, 1800, &[mtu(1400), prefix("fd00:5::", 3600, 1800), servers(600, &["fd00:5::53"])]);
    world.interface.set_autoconfiguration(true).unwrap();
    assert_eq!(own(&world).len(), 2);
    world.interface.set_autoconfiguration(false).unwrap();
    assert!(!world.interface.autoconfiguration());
    assert_eq!((world.interface.addresses(), world.interface.routes()), (vec![], vec![]));
    assert_eq!((world.interface.dns_servers(), world.interface.mtu()), (vec![], 1500));
    world.changes();
    advertise(&world, 1800, &[mtu(1400), prefix("fd00:5::", 3600, 1800)]);
    assert_eq!(world.changes(), []);
}

#[test]
fn a_flood_of_prefixes_and_routers_takes_its_share_and_no_more() {
    let world = settled();
    for number in 0..200u16 {
        let options: Vec<_> = (0..20).map(|part| prefix(&format!("fd{:02x}:{number:x}::", part), 3600, 1800)).collect();
        let many: Vec<String> = (0..10).map(|part| format!("fd00:{number:x}::{part:x}")).collect();
        let many = servers(600, &many.iter().map(String::as_str).collect::<Vec<_>>());
        let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, number);
        let message = advertisement(1800, &[options, vec![many]].concat());
        world.server.send(&frame(router, ALL_NODES, 255, &message));
        world.advance(2);
    }
    assert_eq!(own(&world).len(), 4);
    assert_eq!(world.interface.routes().len(), 4);
    assert_eq!(world.interface.dns_servers().len(), 4);
    for host in 1..=4 {
        world.interface.add_address(cidr(&format!("10.0.0.{host}/24"))).unwrap();
    }
}

#[test]
fn an_mtu_that_was_set_is_narrowed_and_never_widened() {
    let world = settled();
    world.interface.set_mtu(1400).unwrap();
    for (advertised, result) in [(1500, 1400), (1300, 1300), (1200, 1300), (1350, 1350), (1500, 1400)] {
        advertise(&world, 0, &[mtu(advertised)]);
        assert_eq!(world.interface.mtu(), result, "after {advertised}");
    }
}

#[test]
fn an_mtu_that_somebody_sets_after_the_router_is_his_and_stays() {
    let world = settled();
    advertise(&world, 1800, &[mtu(1400)]);
    assert_eq!(world.interface.mtu(), 1400);
    world.interface.set_mtu(1300).unwrap();
    advertise(&world, 1800, &[mtu(1400)]);
    assert_eq!(world.interface.mtu(), 1300, "no router widens it");
    world.interface.set_autoconfiguration(false).unwrap();
    assert_eq!(world.interface.mtu(), 1300, "nor does switching off");
}

#[test]
fn what_routers_brought_goes_with_the_cable() {
    let world = settled();
    advertise(&world, 1800, &[mtu(1400), prefix("fd00:5::", 3600, 1800), servers(600, &["fd00:5::53"])]);
    world.advance(2);
    assert_eq!((own(&world).len(), world.interface.routes().len()), (2, 1));
    world.cable.set_link(Link::Down);
    world.simulation.run_ready();
    let left = (own(&world), world.interface.routes(), world.interface.dns_servers(), world.interface.mtu());
    assert_eq!(left, (vec![], vec![], vec![], 1500));
    world.cable.set_link(Link::Up);
    world.advance(2);
    assert_eq!(own(&world).len(), 1, "its own address is made sure of again");
}

#[test]
fn a_second_router_is_there_when_the_first_is_gone() {
    let world = settled();
    let second = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x67);
    advertise(&world, 100, &[]);
    world.server.send(&frame(second, ALL_NODES, 255, &advertisement(1800, &[])));
    world.advance(2);
    // Both advertise again, and neither takes the other's place.
    world.changes();
    advertise(&world, 100, &[]);
    assert_eq!(world.changes(), []);
    let routes = |world: &World| {
        world.interface.routes().iter().map(|route| (route.gateway(), route.metric())).collect::<Vec<_>>()
    };
    assert_eq!(routes(&world), [(ROUTER.into(), 1024), (second.into(), 1025)]);
    world.advance(100);
    assert_eq!(routes(&world), [(second.into(), 1025)]);
}

#[test]
fn an_address_that_somebody_has_is_not_taken() {
    let target: Ipv6Addr = "fe80::ff:fe00:5".parse().unwrap();
    let answer = NdiscRepr::NeighborAdvert { flags: NdiscNeighborFlags::OVERRIDE, target_addr: target, lladdr: None };
    let rival = NdiscRepr::NeighborSolicit { target_addr: target, lladdr: None };
    for frame in [ndisc(target, answer), ndisc(Ipv6Addr::UNSPECIFIED, rival)] {
        let world = host();
        world.server.send(&frame);
        world.advance(20);
        assert_eq!(own(&world), [] as [&str; 0]);
        assert!(!heard(&world).contains(&133), "nobody is asked in another's name");
    }
    // What is said by oneself, or about others, takes nothing away.
    let mut echo = ndisc(Ipv6Addr::UNSPECIFIED, rival);
    echo[6..12].copy_from_slice(&HARDWARE);
    let other = NdiscRepr::NeighborSolicit { target_addr: "fe80::1".parse().unwrap(), lladdr: None };
    for frame in [echo, ndisc(Ipv6Addr::UNSPECIFIED, other), ndisc(ROUTER, rival)] {
        let world = host();
        world.server.send(&frame);
        world.advance(2);
        assert_eq!(own(&world), [LINK_LOCAL]);
    }
}

#[test]
fn a_link_that_comes_up_is_asked_anew_and_so_is_an_interface() {
    let world = settled();
    world.advance(20);
    world.server.frames();
    world.cable.set_link(Link::Down);
    world.advance(5);
    world.cable.set_link(Link::Up);
    world.advance(20);
    assert_eq!(heard(&world).iter().filter(|kind| **kind == 133).count(), 3);
    world.interface.set_state(State::Down);
    world.advance(20);
    assert_eq!(heard(&world), []);
    world.interface.set_state(State::Up);
    world.advance(20);
    assert_eq!(heard(&world).iter().filter(|kind| **kind == 133).count(), 3);
    assert_eq!(own(&world), [LINK_LOCAL]);
}

#[test]
fn another_hardware_address_makes_other_addresses() {
    let world = settled();
    advertise(&world, 1800, &[prefix("fd00:5::", 3600, 1800)]);
    world.interface.set_hardware_address(MacAddress::new([2, 0, 0, 0, 0, 6]).unwrap()).unwrap();
    assert_eq!(own(&world), [] as [&str; 0]);
    world.advance(2);
    assert_eq!(own(&world), ["fe80::ff:fe00:6/64"]);
}

#[test]
fn what_somebody_has_set_is_left_alone() {
    let config = InterfaceConfig {
        hardware_address: Some(MacAddress::new(HARDWARE).unwrap()),
        addresses: vec![cidr(LINK_LOCAL), cidr(GLOBAL)],
        autoconfiguration: true,
        ..InterfaceConfig::default()
    };
    let world = World::with(config);
    world.advance(2);
    advertise(&world, 1800, &[prefix("fd00:5::", 3600, 1800)]);
    assert_eq!(own(&world), [] as [&str; 0]);
    world.interface.set_autoconfiguration(false).unwrap();
    assert_eq!(world.interface.addresses().len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_advertisement_ends_the_stack(
        bytes in vec(any::<u8>(), 0..400),
        changes in vec((0..120usize, any::<u8>()), 0..6),
        cut in 0..160usize,
    ) {
        let world = World::autoconfiguration();
        world.advance(1);
        let mut message = advertisement(1800, &[prefix("fd00:5::", 3600, 1800), servers(60, &["fd00:5::53"]), mtu(1400)]);
        for (at, value) in changes {
            if let Some(byte) = message.get_mut(at) {
                *byte = value;
            }
        }
        message.truncate(cut.max(4));
        let random = [&[134, 0, 0, 0][..], &bytes].concat();
        for message in [&message, &random] {
            world.server.send(&frame(ROUTER, ALL_NODES, 255, message));
            world.advance(2);
        }
        let addresses = world.interface.addresses();
        prop_assert!(addresses.iter().all(|cidr| cidr.prefix() == 64 && !cidr.address().is_multicast()));
        prop_assert!(addresses.len() <= 4 && (1280..=1500).contains(&world.interface.mtu()));
    }
}
