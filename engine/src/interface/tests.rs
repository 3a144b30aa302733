//! Tests of an interface's settings and of the changes that it reports. The effects on the link are tested with the
//! [engine](crate::engine).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use std::vec::Vec;

use smoltcp::wire::{EthernetAddress, IpCidr};

use super::*;
use crate::ip::addresses::{AddAddressError, Added, Address};
use crate::ip::routes::Target;

const NOW: Instant = Instant::ORIGIN;
const OWN: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);

fn interface() -> Interface {
    let link = Link {
        hardware: Some(EthernetAddress([2, 0, 0, 0, 0, 1])),
        mtu: 1500,
        loops_back: false,
        checksums: true,
        completes_checksums: false,
        segmentation: 0,
        datagram_segmentation: false,
    };
    Interface::new(link, Random::new([1; 32]))
}

fn cidr(text: &str) -> IpCidr {
    text.parse().expect("a network")
}

fn route(destination: &str, router: Ipv4Addr) -> Route {
    Route::new(cidr(destination), Target::Gateway { address: router.into(), onlink: false })
}

fn changes(interface: &mut Interface) -> Vec<Change> {
    core::iter::from_fn(|| interface.poll_change()).collect()
}

#[test]
fn a_route_is_reported_once_without_bits_after_its_prefix() {
    let mut interface = interface();
    assert_eq!(interface.add_route(route("10.1.2.3/8", ROUTER)), Ok(()));
    assert_eq!(changes(&mut interface), [Change::RouteAdded(route("10.0.0.0/8", ROUTER))]);
    assert_eq!(interface.add_route(route("10.9.9.9/8", ROUTER)), Ok(()));
    assert_eq!(interface.replace_route(route("10.9.9.9/8", ROUTER)), Ok(()));
    assert_eq!(changes(&mut interface), [], "it is there");
    assert_eq!(interface.add_route(Route { origin: Origin::Dhcp, ..route("10.0.0.0/8", ROUTER) }), Ok(()));
    assert_eq!(changes(&mut interface).len(), 1, "another one, from elsewhere");
    let other = Ipv4Addr::new(192, 0, 2, 8);
    assert_eq!(interface.replace_route(route("10.0.0.0/8", other)), Ok(()));
    let expected = [Change::RouteRemoved(route("10.0.0.0/8", ROUTER)), Change::RouteAdded(route("10.0.0.0/8", other))];
    assert_eq!(changes(&mut interface), expected);
    interface.withdraw_routes(Origin::Dhcp);
    assert!(matches!(changes(&mut interface)[..], [Change::RouteRemoved(gone)] if gone.origin == Origin::Dhcp));
    assert_eq!(interface.remove_route(&route("10.3.3.3/8", other)), Some(route("10.0.0.0/8", other)));
    assert_eq!(interface.remove_route(&route("10.0.0.0/8", other)), None);
    assert_eq!(changes(&mut interface), [Change::RouteRemoved(route("10.0.0.0/8", other))]);
}

#[test]
fn an_address_is_reported_when_it_is_added_changed_or_removed() {
    let mut interface = interface();
    let mut address = Address::new(cidr("192.0.2.1/24"), Origin::Static);
    assert_eq!(interface.add_address(address, Verification::None, NOW), Ok(Added::New));
    assert!(matches!(interface.add_address(address, Verification::None, NOW), Ok(Added::Updated(_))));
    assert_eq!(changes(&mut interface), [Change::AddressAdded(cidr("192.0.2.1/24"))]);
    let elsewhere = Address { origin: Origin::Dhcp, ..address };
    assert_eq!(interface.add_address(elsewhere, Verification::None, NOW), Err(AddAddressError::InUse));
    address.cidr = cidr("192.0.2.1/16");
    assert!(matches!(interface.add_address(address, Verification::None, NOW), Ok(Added::Updated(_))));
    let both = [Change::AddressRemoved(cidr("192.0.2.1/24")), Change::AddressAdded(cidr("192.0.2.1/16"))];
    assert_eq!(changes(&mut interface), both);
    assert!(interface.remove_address(OWN.into(), NOW).is_some());
    assert!(interface.remove_address(OWN.into(), NOW).is_none());
    assert_eq!(changes(&mut interface), [Change::AddressRemoved(cidr("192.0.2.1/16"))]);
    assert_eq!(interface.next_timeout(), None, "nothing is left of it");
}

#[test]
fn an_address_is_removed_when_its_lifetime_ends() {
    struct Nowhere;
    impl crate::frame::Transmitter for Nowhere {
        fn transmit(&mut self, _: crate::frame::Frame<'_>, _: &mut dyn FnMut(&mut [u8])) -> bool {
            true
        }
    }
    let mut interface = interface();
    let end = NOW + Duration::from_secs(100);
    let address = Address { valid_until: Some(end), ..Address::new(cidr("192.0.2.1/24"), Origin::Dhcp) };
    interface.add_address(address, Verification::None, NOW).expect("room");
    while let Some(at) = interface.next_timeout().filter(|at| *at < end) {
        interface.handle_timeout(at, &mut Nowhere);
    }
    assert!(interface.is_local(OWN.into()));
    interface.handle_timeout(end, &mut Nowhere);
    assert!(!interface.is_local(OWN.into()));
    assert!(changes(&mut interface).contains(&Change::AddressRemoved(cidr("192.0.2.1/24"))));
    assert_eq!(interface.next_timeout(), None);
}

#[test]
fn packets_use_the_source_address_of_their_route() {
    let mut interface = interface();
    for address in ["192.0.2.1/24", "198.51.100.1/24", "2001:db8::1/64"] {
        let address = Address::new(cidr(address), Origin::Static);
        interface.add_address(address, Verification::None, NOW).expect("room");
    }
    let preferred = Ipv4Addr::new(198, 51, 100, 1);
    interface.add_route(route("0.0.0.0/0", ROUTER)).expect("room");
    interface.add_route(Route { source: Some(preferred.into()), ..route("10.0.0.0/8", ROUTER) }).expect("room");
    let cases: [(IpAddr, Option<IpAddr>); 4] = [
        (Ipv4Addr::new(203, 0, 113, 1).into(), Some(OWN.into())),
        (Ipv4Addr::new(198, 51, 100, 7).into(), Some(preferred.into())),
        (Ipv4Addr::new(10, 0, 0, 1).into(), Some(preferred.into())),
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9).into(), Some("2001:db8::1".parse().expect("an address"))),
    ];
    for (destination, expected) in cases {
        assert_eq!(interface.source_for(destination, NOW), expected, "{destination}");
    }
}

#[test]
fn the_queue_of_unpolled_changes_is_bounded() {
    let mut interface = interface();
    for _ in 0..1000 {
        interface.add_route(route("10.0.0.0/8", ROUTER)).expect("room");
        interface.remove_route(&route("10.0.0.0/8", ROUTER));
    }
    assert_eq!(changes(&mut interface).len(), MOST_CHANGES);
}
