//! Addresses and routes: which are accepted, which are refused, and the limits of the tables.

use std::net::IpAddr;

use xila_network_host::address::{Cidr, InvalidValue, MacAddress, Route};
use xila_network_host::{ConfigureError, Interface, Manager};

use super::{config, hub, simulation};

/// An interface without addresses, and its manager, which must be kept because the interface is unmounted with it.
fn interface() -> (Manager, Interface) {
    let (simulation, manager) = simulation();
    let interface = manager.mount_interface("eth0", hub(&simulation).port(), config(&[])).unwrap();
    (manager, interface)
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn addresses_are_added_and_removed_by_value() {
    let (_manager, interface) = interface();
    for address in ["10.0.0.1/24", "fd00::1/64", "10.0.0.2/32"] {
        interface.add_address(cidr(address)).unwrap();
    }
    assert_eq!(interface.addresses(), ["10.0.0.1/24", "fd00::1/64", "10.0.0.2/32"].map(cidr));
    // An interface has an address only once, whatever the prefix is.
    assert_eq!(interface.add_address(cidr("10.0.0.1/24")), Err(ConfigureError::AddressInUse));
    assert_eq!(interface.add_address(cidr("10.0.0.1/16")), Err(ConfigureError::AddressInUse));
    // An address is removed only with the prefix that it has.
    assert_eq!(interface.remove_address(cidr("10.0.0.1/16")), Err(ConfigureError::AddressNotAvailable));
    assert_eq!(interface.remove_address(cidr("10.0.0.9/24")), Err(ConfigureError::AddressNotAvailable));
    interface.remove_address(cidr("10.0.0.1/24")).unwrap();
    assert_eq!(interface.remove_address(cidr("10.0.0.1/24")), Err(ConfigureError::AddressNotAvailable));
    assert_eq!(interface.addresses(), ["fd00::1/64", "10.0.0.2/32"].map(cidr));
}

#[test]
fn addresses_that_no_host_has_are_refused() {
    let (_manager, interface) = interface();
    for address in [
        "0.0.0.0/0",
        "0.0.0.0/8",
        "::/0",
        "::/128",
        "224.0.0.1/4",
        "239.255.255.255/32",
        "255.255.255.255/32",
        "ff02::1/64",
        "::ffff:10.0.0.1/96",
    ] {
        assert_eq!(interface.add_address(cidr(address)), Err(ConfigureError::InvalidArgument), "{address}");
    }
    assert!(interface.addresses().is_empty());
    // Neither of these values can be constructed.
    assert_eq!(Cidr::new(ip("10.0.0.1"), 33), Err(InvalidValue));
    assert_eq!(Cidr::new(ip("fd00::1"), 129), Err(InvalidValue));
    assert_eq!(MacAddress::new([1, 0, 0x5e, 0, 0, 1]), Err(InvalidValue));
}

#[test]
fn extreme_prefixes_are_accepted() {
    let (_manager, interface) = interface();
    for address in ["10.0.0.1/0", "10.0.1.1/32", "fd00::1/0", "fd00::2/128", "240.0.0.1/4", "192.0.2.0/31"] {
        interface.add_address(cidr(address)).unwrap();
        interface.remove_address(cidr(address)).unwrap();
    }
}

#[test]
fn sixty_four_addresses_fit_and_the_next_changes_nothing() {
    let (_manager, interface) = interface();
    for host in 1..=64 {
        interface.add_address(cidr(&format!("10.0.0.{host}/24"))).unwrap();
    }
    let full = interface.addresses();
    assert_eq!(full.len(), 64);
    assert_eq!(interface.add_address(cidr("10.0.0.65/24")), Err(ConfigureError::NoFreeSlot));
    assert_eq!(interface.addresses(), full);
    interface.remove_address(full[3]).unwrap();
    interface.add_address(cidr("10.0.0.65/24")).unwrap();
}

#[test]
fn a_route_replaces_another_to_the_same_network() {
    let (_manager, interface) = interface();
    let route = |network: &str, gateway: &str| Route::new(cidr(network), ip(gateway)).unwrap();
    interface.add_route(route("192.0.2.0/24", "10.0.0.254")).unwrap();
    interface.add_route(Route::default_via(ip("10.0.0.254")).unwrap()).unwrap();
    interface.add_route(Route::default_via(ip("fd00::fe")).unwrap()).unwrap();
    interface.add_route(route("192.0.2.0/24", "10.0.0.253")).unwrap();
    assert_eq!(interface.routes().len(), 3, "the later one replaces");
    assert_eq!(interface.remove_route(route("192.0.2.0/24", "10.0.0.254")), Err(ConfigureError::RemoteUnreachable));
    interface.remove_route(route("192.0.2.0/24", "10.0.0.253")).unwrap();
    assert_eq!(interface.remove_route(route("192.0.2.0/24", "10.0.0.253")), Err(ConfigureError::RemoteUnreachable));
    assert_eq!(interface.routes().len(), 2);
    for gateway in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1"] {
        assert_eq!(Route::default_via(ip(gateway)), Err(InvalidValue), "{gateway}");
    }
    assert_eq!(Route::new(cidr("::/0"), ip("10.0.0.1")), Err(InvalidValue));
}

#[test]
fn two_hundred_and_fifty_six_routes_fit_and_the_next_changes_nothing() {
    let (_manager, interface) = interface();
    let route =
        |number: u16| Route::new(cidr(&format!("10.{}.{}.0/24", number >> 8, number & 0xff)), ip("192.0.2.1")).unwrap();
    for number in 0..256 {
        interface.add_route(route(number)).unwrap();
    }
    let full = interface.routes();
    assert_eq!(interface.add_route(route(256)), Err(ConfigureError::NoFreeSlot));
    assert_eq!(interface.routes(), full);
    interface.add_route(Route::new(cidr("10.0.7.0/24"), ip("192.0.2.2")).unwrap()).unwrap();
    interface.remove_route(route(8)).unwrap();
    interface.add_route(route(256)).unwrap();
    assert_eq!(interface.routes().len(), 256);
}

#[test]
fn dns_servers_are_as_they_were_set() {
    let (_manager, interface) = interface();
    assert!(interface.dns_servers().is_empty());
    interface.add_dns_server(ip("192.0.2.53")).unwrap();
    interface.add_dns_server(ip("fd00::53")).unwrap();
    assert_eq!(interface.add_dns_server(ip("fd00::53")), Err(ConfigureError::AddressInUse));
    assert_eq!(interface.add_dns_server(ip("224.0.0.53")), Err(ConfigureError::InvalidArgument));
    assert_eq!(interface.dns_servers(), [ip("192.0.2.53"), ip("fd00::53")]);
}
