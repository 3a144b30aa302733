//! IPv6 autoconfiguration: router advertisements, and the addresses that the host forms itself.

mod taken;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr,
    NdiscNeighborFlags, NdiscRepr,
};
use xila_network_host::address::{Cidr, MacAddress};
use xila_network_host::device::Link;
use xila_network_host::interface::{AutoconfigurationState, Change, Origin, State};
use xila_network_host::{ConfigureError, InterfaceConfig};

use super::World;
use super::server::ethernet_frame;
use super::world::cidr;

pub(super) const ROUTER: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x66);
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 5];
/// The link-local address with a modified EUI-64 identifier, which would reveal the hardware address (RFC 4291 appendix
/// A).
const EUI_64: &str = "fe80::ff:fe00:5";
/// The link-local network, in which the host forms its first address.
pub(super) const LINK: &str = "fe80::";
/// The prefix that [`advertise`] announces in most tests.
pub(super) const NETWORK: &str = "fd00:5::";

/// A host with the hardware address [`HARDWARE`] and autoconfiguration.
pub(super) fn host() -> World {
    let hardware_address = Some(MacAddress::new(HARDWARE).unwrap());
    World::with(InterfaceConfig { hardware_address, autoconfiguration: true, ..InterfaceConfig::default() })
}

/// Like [`host`], but its link-local address is already verified, and the changes until then are consumed.
pub(super) fn settled() -> World {
    let world = host();
    world.advance(5);
    assert_eq!(world.changes(), [Change::Mounted, Change::AddressAdded(made(&world, LINK))]);
    world.server.frames();
    world
}

/// A router advertisement: its header, followed by the options.
pub(super) fn advertisement(lifetime: u16, options: &[Vec<u8>]) -> Vec<u8> {
    let mut packet = vec![134, 0, 0, 0, 64, 0];
    packet.extend(lifetime.to_be_bytes());
    packet.extend([0; 8]);
    packet.extend(options.concat());
    packet
}

pub(super) fn prefix(network: &str, valid: u32, preferred: u32) -> Vec<u8> {
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

/// An Ethernet frame with an ICMPv6 message whose checksum is filled in.
pub(super) fn frame(source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8, message: &[u8]) -> Vec<u8> {
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

pub(super) fn advertise(world: &World, lifetime: u16, options: &[Vec<u8>]) {
    world.server.send(&frame(ROUTER, ALL_NODES, 255, &advertisement(lifetime, options)));
    // Duplicate address detection starts after at most one second and takes one second.
    world.advance(3);
}

/// A frame with a neighbour discovery message. A message without a source address is a probe, and goes to the
/// solicited-node group of its target (RFC 4861 section 7.1.1).
fn ndisc(source: Ipv6Addr, message: NdiscRepr<'_>) -> Vec<u8> {
    let destination = match message {
        NdiscRepr::NeighborSolicit { target_addr, .. } if source.is_unspecified() => solicited_node(target_addr),
        _ => ALL_NODES,
    };
    let message = Icmpv6Repr::Ndisc(message);
    let mut bytes = vec![0; message.buffer_len()];
    let mut packet = Icmpv6Packet::new_unchecked(&mut bytes[..]);
    message.emit(&source, &destination, &mut packet, &ChecksumCapabilities::default());
    frame(source, destination, 255, &bytes)
}

/// ICMPv6 type of a router solicitation.
const ROUTER_SOLICITATION: u8 = 133;
/// ICMPv6 type of a neighbour solicitation.
const SOLICITATION: u8 = 135;
/// ICMPv6 type of a neighbour advertisement.
const ADVERTISEMENT: u8 = 136;

/// The neighbour discovery messages that the host has sent since the last call: the type of each, and its frame.
/// Messages about group membership (MLD) are left out.
fn discovery(world: &World) -> Vec<(u8, Vec<u8>)> {
    let kind = |frame: Vec<u8>| {
        let ethernet = EthernetFrame::new_checked(&frame[..]).unwrap();
        let ip = Ipv6Packet::new_checked(ethernet.payload()).ok()?;
        let kind = (ip.next_header() == IpProtocol::Icmpv6).then(|| ip.payload()[0])?;
        (133..=137).contains(&kind).then_some((kind, frame))
    };
    world.server.frames().into_iter().filter_map(kind).collect()
}

/// The solicited-node multicast address of an address (RFC 4291 section 2.7.1).
const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high & 0xff, low)
}

/// The types of the messages that [`discovery`] returns.
fn heard(world: &World) -> Vec<u8> {
    discovery(world).into_iter().map(|(kind, _)| kind).collect()
}

/// The number of router solicitations that the host has sent since the last call.
fn router_solicitations(world: &World) -> usize {
    heard(world).iter().filter(|kind| **kind == ROUTER_SOLICITATION).count()
}

/// The addresses that the host has formed.
fn own(world: &World) -> Vec<Cidr> {
    world.addresses(Origin::Autoconfigured).iter().map(|info| info.cidr).collect()
}

/// The networks of the addresses that the host has formed, each of 64 bits.
fn networks(world: &World) -> Vec<String> {
    let network = |cidr: &Cidr| {
        let IpAddr::V6(address) = cidr.address() else { panic!("{cidr}") };
        assert_eq!(cidr.prefix(), 64);
        Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).to_string()
    };
    own(world).iter().map(network).collect()
}

/// The only address that the host has formed in a network.
pub(super) fn made(world: &World, network: &str) -> Cidr {
    let place = networks(world).iter().position(|known| known == network);
    own(world)[place.unwrap_or_else(|| panic!("nothing in {network}"))]
}

pub(super) fn v6(cidr: Cidr) -> Ipv6Addr {
    let IpAddr::V6(address) = cidr.address() else { panic!("{cidr}") };
    address
}

#[test]
fn a_link_local_address_is_made_and_routers_are_asked_for() {
    let world = host();
    assert_eq!((own(&world), world.interface.addresses()), (vec![], vec![]), "it is nobody's yet");
    world.advance(20);
    let unanswered = Change::Autoconfiguration(AutoconfigurationState::NoRouter);
    assert_eq!(world.changes(), [Change::Mounted, Change::AddressAdded(made(&world, LINK)), unanswered]);
    let mut messages = discovery(&world);
    // The host announces its address with three unsolicited advertisements (RFC 4861 section 7.2.6).
    let announcements = messages.extract_if(.., |(kind, _)| *kind == ADVERTISEMENT).count();
    assert_eq!(announcements, 3);
    // The host first probes its address, and then solicits routers: again after 4 and 8 seconds, and ever less often
    // (RFC 7559 section 2).
    let kinds: Vec<u8> = messages.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [SOLICITATION, ROUTER_SOLICITATION, ROUTER_SOLICITATION, ROUTER_SOLICITATION]);
    world.advance(24 * 60 * 60);
    assert!((27..=37).contains(&router_solicitations(&world)), "once an hour in the end");
    assert!(world.interface.autoconfiguration());
}

/// RFC 7217: an identifier reveals nothing of the hardware address, differs between networks, and is stable in each.
#[test]
fn what_is_made_says_nothing_of_the_hardware_and_is_another_in_each_network() {
    let world = settled();
    let networks = [prefix("fd00:5::", 3600, 1800), prefix("fd00:6::", 3600, 1800)];
    advertise(&world, 1800, &networks);
    let before = own(&world);
    let mut identifiers: Vec<u64> = before.iter().map(|cidr| v6(*cidr).to_bits() as u64).collect();
    identifiers.push(EUI_64.parse::<Ipv6Addr>().unwrap().to_bits() as u64);
    identifiers.sort_unstable();
    identifiers.dedup();
    assert_eq!(identifiers.len(), 4);
    world.interface.set_autoconfiguration(false).unwrap();
    world.interface.set_autoconfiguration(true).unwrap();
    advertise(&world, 1800, &networks);
    assert_eq!(own(&world), before);
}

#[test]
fn autoconfiguration_brings_the_address_that_routers_are_asked_from() {
    let world = World::with(World::ipv4());
    world.advance(10);
    assert_eq!((own(&world), heard(&world)), (vec![], vec![]));
    world.interface.set_autoconfiguration(true).unwrap();
    world.advance(20);
    assert_eq!(networks(&world), [LINK]);
    assert_eq!(router_solicitations(&world), 3);
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
            // An unknown option.
            vec![200, 1, 0, 0, 0, 0, 0, 0],
        ],
    );
    assert_eq!(networks(&world), [LINK, NETWORK, "fd00:6::"]);
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
    // A router has answered, so the host sends no more solicitations.
    world.server.frames();
    world.advance(20);
    assert_eq!(router_solicitations(&world), 0);
    // The same advertisement again changes nothing.
    world.changes();
    advertise(&world, 1800, &[mtu(1400), prefix("fd00:5::", 3600, 1800), servers(600, &["fd00:5::53"])]);
    assert_eq!(world.changes(), []);
}

#[test]
fn what_was_advertised_runs_out() {
    let world = settled();
    advertise(&world, 100, &[prefix("fd00:5::", 300, 50), servers(200, &["fd00:5::53"])]);
    world.changes();
    let made = made(&world, NETWORK);
    world.advance(96);
    assert_eq!(world.changes(), []);
    assert_eq!(world.addresses(Origin::Autoconfigured)[1].preferred.unwrap().as_secs(), 0);
    world.advance(2);
    assert!(matches!(&world.changes()[..], [Change::RouteRemoved(_)]));
    world.advance(100);
    assert_eq!(world.changes(), [Change::DnsServerRemoved("fd00:5::53".parse().unwrap())]);
    world.advance(100);
    assert_eq!(world.changes(), [Change::AddressRemoved(made)]);
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
    // No router has answered the three solicitations.
    world.advance(20);
    assert_eq!(world.changes(), [Change::Autoconfiguration(AutoconfigurationState::NoRouter)]);
    for (number, frame) in frames.iter().enumerate() {
        world.server.send(frame);
        world.advance(2);
        assert_eq!(world.changes(), [], "frame {number}");
    }
    // In a valid advertisement, options that make no sense are ignored.
    let odd_servers = vec![25, 2, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 0, 0];
    let options =
        [mtu(1279), mtu(1501), mtu(u32::MAX), prefix("fd00:5::", 10, 20), prefix("fe80::", 60, 60), odd_servers];
    advertise(&world, 0, &options);
    // The configuration is complete.
    assert_eq!(world.changes(), [Change::Autoconfiguration(AutoconfigurationState::Configured)]);
}

#[test]
fn switched_off_nothing_is_heard_and_nothing_stays() {
    let world = settled();
    advertise(&world, 1800, &[mtu(1400), prefix("fd00:5::", 3600, 1800), servers(600, &["fd00:5::53"])]);
    world.interface.set_autoconfiguration(true).unwrap();
    assert_eq!(own(&world).len(), 2);
    let link_local = made(&world, LINK);
    world.interface.set_autoconfiguration(false).unwrap();
    assert!(!world.interface.autoconfiguration());
    // The link-local address did not come from a router, so it stays.
    assert_eq!((world.interface.addresses(), world.interface.routes()), (vec![link_local], vec![]));
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
    // The link-local address, and a quarter of the address table for addresses by autoconfiguration.
    assert_eq!(own(&world).len(), 1 + 16);
    assert_eq!(world.interface.routes().len(), 8);
    assert_eq!(world.interface.dns_servers().len(), 4);
    for host in 1..=47 {
        world.interface.add_address(cidr(&format!("10.0.0.{host}/24"))).unwrap();
    }
    assert_eq!(world.interface.add_address(cidr("10.0.0.48/24")), Err(ConfigureError::NoFreeSlot));
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

/// When the link comes back it may lead to another network; the router advertisements tell which one it is.
#[test]
fn what_routers_brought_goes_when_those_of_another_network_are_behind_the_link() {
    let world = settled();
    let options = [mtu(1400), prefix("fd00:5::", 3600, 1800), servers(600, &["fd00:5::53"])];
    advertise(&world, 1800, &options);
    let (before, link_local) = (own(&world), made(&world, LINK));
    assert_eq!((before.len(), world.interface.routes().len()), (2, 1));
    world.changes();
    world.cable.set_link(Link::Down);
    world.advance(20);
    assert_eq!((world.changes(), own(&world)), (vec![Change::Link(Link::Down)], before.clone()));
    world.server.frames();
    world.cable.set_link(Link::Up);
    world.simulation.run_ready();
    assert_eq!((own(&world), world.interface.routes().len(), world.interface.mtu()), (before.clone(), 1, 1400));
    world.advance(3);
    // The host probes its link-local address again, and announces it.
    let messages = heard(&world);
    assert!(
        [SOLICITATION, ADVERTISEMENT, ROUTER_SOLICITATION].iter().all(|kind| messages.contains(kind)),
        "{messages:?}"
    );
    advertise(&world, 1800, &options);
    assert_eq!(own(&world), before, "it is the one of before");
    for link in [Link::Down, Link::Up] {
        world.cable.set_link(link);
        world.advance(3);
    }
    advertise(&world, 1800, &[prefix("fd00:6::", 3600, 1800)]);
    world.advance(3);
    assert_eq!(networks(&world), [LINK, "fd00:6::"]);
    assert_eq!((made(&world, LINK), world.interface.dns_servers(), world.interface.mtu()), (link_local, vec![], 1500));
}

/// The routers may still be there after the interface was down; its own addresses are verified when it is up again.
#[test]
fn an_address_of_a_router_that_another_has_taken_while_the_interface_was_down_is_formed_anew() {
    let world = settled();
    advertise(&world, 1800, &[prefix("fd00:5::", 3600, 1800)]);
    let before = made(&world, NETWORK);
    world.interface.set_state(State::Down);
    world.advance(20);
    world.interface.set_state(State::Up);
    let rival = NdiscRepr::NeighborSolicit { target_addr: v6(before), lladdr: None };
    world.server.send(&ndisc(Ipv6Addr::UNSPECIFIED, rival));
    world.changes();
    world.advance(4);
    let changes = world.changes();
    let after = made(&world, NETWORK);
    assert_ne!(after, before);
    assert!(
        matches!(changes[0], Change::AddressConflict { address, .. } if address == before.address()),
        "{changes:?}"
    );
    let expected = [
        Change::Autoconfiguration(AutoconfigurationState::Searching),
        Change::AddressRemoved(before),
        Change::AddressAdded(after),
        Change::Autoconfiguration(AutoconfigurationState::Configured),
    ];
    assert_eq!(changes[1..], expected);
}

#[test]
fn a_second_router_is_there_when_the_first_is_gone() {
    let world = settled();
    let second = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x67);
    advertise(&world, 100, &[]);
    world.server.send(&frame(second, ALL_NODES, 255, &advertisement(1800, &[])));
    world.advance(2);
    // Both routers advertise again, and neither replaces the other.
    world.changes();
    advertise(&world, 100, &[]);
    assert_eq!(world.changes(), []);
    let routes = |world: &World| {
        world.interface.routes().iter().map(|route| (route.gateway(), route.metric())).collect::<Vec<_>>()
    };
    assert_eq!(routes(&world), [(ROUTER.into(), 1024), (second.into(), 1024)]);
    world.advance(100);
    assert_eq!(routes(&world), [(second.into(), 1024)]);
}

#[test]
fn a_link_that_comes_up_is_asked_anew_and_so_is_an_interface() {
    let world = settled();
    let before = own(&world);
    world.cable.set_link(Link::Down);
    world.simulation.run_ready();
    let sent = || world.interface.statistics().sent.packets;
    let before_silence = sent();
    world.advance(20);
    assert_eq!(sent(), before_silence, "the link is gone");
    world.server.frames();
    world.cable.set_link(Link::Up);
    world.advance(20);
    assert_eq!(router_solicitations(&world), 3);
    world.interface.set_state(State::Down);
    world.advance(20);
    assert_eq!(heard(&world), []);
    world.interface.set_state(State::Up);
    world.advance(20);
    assert_eq!(router_solicitations(&world), 3);
    assert_eq!(own(&world), before);
}

#[test]
fn another_hardware_address_makes_other_addresses() {
    let world = settled();
    advertise(&world, 1800, &[prefix("fd00:5::", 3600, 1800)]);
    let before = own(&world);
    world.interface.set_hardware_address(MacAddress::new([2, 0, 0, 0, 0, 6]).unwrap()).unwrap();
    assert_eq!(own(&world), []);
    world.advance(3);
    assert_eq!(networks(&world), [LINK]);
    assert!(!before.contains(&own(&world)[0]));
}

#[test]
fn what_somebody_has_set_is_left_alone() {
    // Another world with the same seed forms the same address.
    let other = settled();
    advertise(&other, 1800, &[prefix("fd00:5::", 3600, 1800)]);
    let config = InterfaceConfig {
        hardware_address: Some(MacAddress::new(HARDWARE).unwrap()),
        addresses: own(&other),
        autoconfiguration: true,
        ..InterfaceConfig::default()
    };
    let world = World::with(config);
    world.advance(2);
    advertise(&world, 1800, &[prefix("fd00:5::", 3600, 1800)]);
    assert_eq!(own(&world), []);
    world.interface.set_autoconfiguration(false).unwrap();
    assert_eq!(world.interface.addresses(), own(&other));
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
        prop_assert!(addresses.len() <= 1 + 16 && (1280..=1500).contains(&world.interface.mtu()));
    }
}
