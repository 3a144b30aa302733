use core::net::IpAddr;
use core::time::Duration;

use super::*;
use crate::commands::event::Event;
use crate::interface::{Counters, DhcpState, Origin, State};

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

fn mac() -> MacAddress {
    MacAddress::new([2, 1, 2, 3, 4, 5]).expect("a unicast address")
}

fn route() -> Route {
    let route = Route::new(cidr("10.1.0.0/16"), [10, 0, 0, 1].into()).expect("a route");
    route.with_metric(7).with_lifetime(Duration::from_millis(1500))
}

/// A value as it is printed. Variants and fields have the same names on both sides, so printed values can be compared.
fn printed(value: impl core::fmt::Debug) -> String {
    format!("{value:?}")
}

#[test]
fn networks_are_converted_without_loss() {
    for text in ["10.0.0.1/24", "0.0.0.0/0", "255.255.255.255/32", "fd00::1/64", "::1/128", "::/0"] {
        assert_eq!(Cidr::try_from(IpCidr::from(cidr(text))), Ok(cidr(text)));
    }
}

#[test]
fn a_prefix_longer_than_its_address_is_refused() {
    for (text, prefix_length) in [("10.0.0.1", 33), ("fd00::1", 129), ("10.0.0.1", 255)] {
        let address: IpAddr = text.parse().expect("an address");
        let value = IpCidr { address: address.into(), prefix_length };
        assert_eq!(Cidr::try_from(value), Err(Error::InvalidArgument), "{text}/{prefix_length}");
    }
}

#[test]
fn routes_are_converted_without_loss() {
    let default = Route::default_via("fe80::1".parse().expect("an address")).expect("a route");
    for route in [route(), default, default.with_metric(u32::MAX), default.with_lifetime(Duration::ZERO)] {
        assert_eq!(Route::try_from(wit::Route::from(route)), Ok(route));
    }
    // Bits beyond the prefix are cleared.
    let loose = wit::Route { destination: cidr("10.1.2.3/16").into(), ..route().into() };
    assert_eq!(Route::try_from(loose), Ok(route()));
}

#[test]
fn an_invalid_route_is_refused() {
    let good = wit::Route::from(route());
    let bad = |text: &str| -> IpAddr { text.parse().expect("an address") };
    for gateway in ["fe80::1", "0.0.0.0", "224.0.0.1", "255.255.255.255"] {
        let route = wit::Route { gateway: bad(gateway).into(), ..good };
        assert_eq!(Route::try_from(route), Err(Error::InvalidArgument), "{gateway}");
    }
    let destination = IpCidr { prefix_length: 33, ..good.destination };
    assert_eq!(Route::try_from(wit::Route { destination, ..good }), Err(Error::InvalidArgument));
}

#[test]
fn cases_keep_their_names() {
    use crate::device::Link;
    use crate::interface::Kind;
    let same = |host: String, told: String| assert!(told.ends_with(&format!("::{host}")), "{host} is told as {told}");
    for kind in [Kind::Loopback, Kind::Ethernet, Kind::Ip, Kind::Other] {
        same(printed(kind), printed(wit::Kind::from(kind)));
    }
    for state in [State::Up, State::Down] {
        same(printed(state), printed(wit::State::from(state)));
        assert_eq!(State::from(wit::State::from(state)), state);
    }
    for link in [Link::Up, Link::Down] {
        same(printed(link), printed(wit::Link::from(link)));
    }
    for origin in [Origin::Static, Origin::Dhcp, Origin::Autoconfigured] {
        same(printed(origin), printed(wit::Origin::from(origin)));
    }
    for state in [DhcpState::Off, DhcpState::Searching, DhcpState::Bound] {
        same(printed(state), printed(wit::DhcpState::from(state)));
    }
}

#[test]
fn lists_say_where_entries_come_from_and_how_long_they_last() {
    let info = interface::AddressInfo {
        cidr: cidr("fd00::1/64"),
        origin: Origin::Autoconfigured,
        preferred: Some(Duration::from_secs(1)),
        valid: None,
    };
    let told = wit::AddressInfo::from(info);
    assert_eq!(Cidr::try_from(told.cidr), Ok(info.cidr));
    assert_eq!((told.origin, told.preferred, told.valid), (wit::Origin::Autoconfigured, Some(1_000_000_000), None));

    let info = interface::RouteInfo { route: route(), origin: Origin::Dhcp, valid: Some(Duration::from_nanos(3)) };
    let told = wit::RouteInfo::from(info);
    assert_eq!(Route::try_from(told.route), Ok(info.route));
    assert_eq!((told.origin, told.valid), (wit::Origin::Dhcp, Some(3)));

    let neighbour =
        interface::Neighbour { address: [10, 0, 0, 1].into(), hardware_address: mac(), age: Duration::from_micros(2) };
    let told = wit::Neighbour::from(neighbour);
    assert_eq!(IpAddr::from(told.address), neighbour.address);
    assert_eq!((told.hardware_address, told.age), ((2, 1, 2, 3, 4, 5), 2_000));
}

#[test]
fn a_lease_is_converted_without_loss() {
    let lease = interface::Lease {
        address: cidr("192.0.2.7/24"),
        router: Some([192, 0, 2, 1].into()),
        dns_servers: vec![[192, 0, 2, 53].into(), [192, 0, 2, 54].into()],
        domain: Some("example.test".into()),
        search_domains: vec!["a.test".into(), "b.test".into()],
        ntp_servers: vec![[192, 0, 2, 123].into()],
        server: [192, 0, 2, 2].into(),
        valid: Duration::from_secs(60),
    };
    let status = interface::DhcpStatus { state: DhcpState::Bound, lease: Some(lease.clone()), refused: 3 };
    let told = wit::DhcpStatus::from(status);
    assert_eq!((told.state, told.refused), (wit::DhcpState::Bound, 3));
    let told = told.lease.expect("the lease");
    assert_eq!(Cidr::try_from(told.address), Ok(lease.address));
    assert_eq!((told.router, told.server), (Some((192, 0, 2, 1)), (192, 0, 2, 2)));
    assert_eq!(told.dns_servers, [(192, 0, 2, 53), (192, 0, 2, 54)]);
    assert_eq!((told.domain, told.search_domains), (lease.domain, lease.search_domains));
    assert_eq!(told.ntp_servers, [(192, 0, 2, 123)]);
    assert_eq!(told.valid, 60_000_000_000);
    assert!(wit::DhcpStatus::from(interface::DhcpStatus::default()).lease.is_none());
}

#[test]
fn the_dhcpv6_flags_of_routers_are_converted() {
    for (managed, other) in [(true, false), (false, true)] {
        let state = interface::AutoconfigurationState::Searching;
        let told = wit::AutoconfigurationStatus::from(interface::AutoconfigurationStatus { state, managed, other });
        assert_eq!((told.state, told.managed, told.other), (wit::AutoconfigurationState::Searching, managed, other));
    }
}

/// Each counter has a value of its own, so that the test notices when two are swapped.
#[test]
fn each_counter_is_converted_to_its_own_field() {
    let statistics = interface::Statistics {
        received: Counters { packets: 1, bytes: 2, errors: 3, dropped: 4 },
        sent: Counters { packets: 5, bytes: 6, errors: 7, dropped: 8 },
        tcp_retransmits: 9,
        tcp_resets: 10,
        tcp_timeouts: 11,
        backlog_drops: 12,
        datagram_drops: 13,
        replies_suppressed: 14,
        tcp_flows: 15,
        tcp_connecting: 16,
        tcp_established: 17,
        tcp_closing: 18,
        time_wait: 19,
        tcp_listeners: 20,
        udp_sockets: 21,
        icmp_sockets: 22,
    };
    let told = wit::Statistics::from(statistics);
    // The names of fields differ only in the dashes that WIT has in place of underscores.
    let plain = |text: String| text.replace(['-', '_'], "").to_lowercase();
    assert_eq!(plain(printed(told)), plain(printed(statistics)));
}

#[test]
fn each_change_is_converted_to_its_own_case() {
    let changes = [
        (Change::Mounted, "Mounted"),
        (Change::Unmounted, "Unmounted"),
        (Change::Link(crate::device::Link::Down), "Link"),
        (Change::State(State::Up), "State"),
        (Change::Mtu(1400), "Mtu"),
        (Change::HardwareAddress(mac()), "HardwareAddress"),
        (Change::AddressAdded(cidr("10.0.0.1/24")), "AddressAdded"),
        (Change::AddressRemoved(cidr("10.0.0.1/24")), "AddressRemoved"),
        (Change::RouteAdded(route()), "RouteAdded"),
        (Change::RouteRemoved(route()), "RouteRemoved"),
        (Change::DnsServerAdded([10, 0, 0, 53].into()), "DnsServerAdded"),
        (Change::DnsServerRemoved([10, 0, 0, 53].into()), "DnsServerRemoved"),
        (Change::Dhcp(DhcpState::Bound), "Dhcp"),
        (Change::Autoconfiguration(interface::AutoconfigurationState::Configured), "Autoconfiguration"),
        (Change::SearchDomains, "SearchDomains"),
        (Change::AddressConflict { address: [10, 0, 0, 1].into(), by: mac() }, "AddressConflict"),
    ];
    for (change, name) in changes {
        let event = Event { interface: "eth0".into(), change };
        let wit::InterfaceEvent::Changed((interface, told)) = Notice::Changed(event).into() else { panic!("{name}") };
        assert_eq!(interface, "eth0");
        let told = printed(told);
        let rest = told.strip_prefix("Change::").and_then(|rest| rest.strip_prefix(name));
        assert!(rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('(')), "{name} is told as {told}");
    }
    let wit::InterfaceEvent::Lost(count) = Notice::Lost(9).into() else { panic!("lost") };
    assert_eq!(count, 9);
}

#[test]
fn rights_are_converted_each_to_its_own() {
    use crate::platform::Access;
    let all = wit::Access::READ | wit::Access::WRITE | wit::Access::NON_BLOCKING;
    for (told, access) in [
        (wit::Access::empty(), Access::default()),
        (wit::Access::READ, Access::READ),
        (wit::Access::WRITE, Access::WRITE),
        (wit::Access::READ | wit::Access::WRITE, Access::READ_WRITE),
        (all, Access { non_blocking: true, ..Access::READ_WRITE }),
    ] {
        assert_eq!(Access::from(told), access);
    }
}
