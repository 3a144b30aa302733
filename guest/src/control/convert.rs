//! Conversions between the types of the WIT package and those of the commands.
//!
//! A value that is invalid in the commands' types (a prefix longer than the address, a hardware address of a group)
//! becomes [`InvalidArgument`](Error::InvalidArgument), although no host should send it.

use super::{
    AddressInfo, AutoconfigurationState, AutoconfigurationStatus, Change, Cidr, Counters, DhcpState, DhcpStatus, Event,
    InvalidValue, Kind, Lease, Link, MacAddress, Neighbour, Notice, Origin, Route, RouteInfo, State, Statistics,
};
use crate::address::{duration_from_wit, duration_to_wit, ip_from_wit, ip_to_wit, ipv4_from_wit};
use crate::bindings::{control, types};
use crate::{Error, Result};

impl From<InvalidValue> for Error {
    fn from(InvalidValue: InvalidValue) -> Self {
        Self::InvalidArgument
    }
}

pub(super) fn kind(kind: control::Kind) -> Kind {
    match kind {
        control::Kind::Loopback => Kind::Loopback,
        control::Kind::Ethernet => Kind::Ethernet,
        control::Kind::Ip => Kind::Ip,
        control::Kind::Other => Kind::Other,
    }
}

pub(super) fn state(state: control::State) -> State {
    match state {
        control::State::Up => State::Up,
        control::State::Down => State::Down,
    }
}

pub(super) fn state_to_wit(state: State) -> control::State {
    match state {
        State::Up => control::State::Up,
        State::Down => control::State::Down,
    }
}

pub(super) fn link(link: control::Link) -> Link {
    match link {
        control::Link::Up => Link::Up,
        control::Link::Down => Link::Down,
    }
}

pub(super) fn mac(address: types::MacAddress) -> Result<MacAddress> {
    Ok(MacAddress::new(address.into())?)
}

pub(super) fn mac_to_wit(address: MacAddress) -> types::MacAddress {
    address.octets().into()
}

pub(super) fn cidr(cidr: types::IpCidr) -> Result<Cidr> {
    Ok(Cidr::new(ip_from_wit(cidr.address), cidr.prefix_length)?)
}

pub(super) fn cidr_to_wit(cidr: Cidr) -> types::IpCidr {
    types::IpCidr { address: ip_to_wit(cidr.address()), prefix_length: cidr.prefix() }
}

pub(super) fn route(route: control::Route) -> Result<Route> {
    let control::Route { destination, gateway, metric, lifetime } = route;
    let route = Route::new(cidr(destination)?, ip_from_wit(gateway))?.with_metric(metric);
    Ok(match lifetime {
        Some(lifetime) => route.with_lifetime(duration_from_wit(lifetime)),
        None => route,
    })
}

pub(super) fn route_to_wit(route: Route) -> control::Route {
    control::Route {
        destination: cidr_to_wit(route.destination()),
        gateway: ip_to_wit(route.gateway()),
        metric: route.metric(),
        lifetime: route.lifetime().map(duration_to_wit),
    }
}

fn origin(origin: control::Origin) -> Origin {
    match origin {
        control::Origin::Static => Origin::Static,
        control::Origin::Dhcp => Origin::Dhcp,
        control::Origin::Autoconfigured => Origin::Autoconfigured,
    }
}

pub(super) fn address_info(info: control::AddressInfo) -> Result<AddressInfo> {
    Ok(AddressInfo {
        cidr: cidr(info.cidr)?,
        origin: origin(info.origin),
        preferred: info.preferred.map(duration_from_wit),
        valid: info.valid.map(duration_from_wit),
    })
}

pub(super) fn route_info(info: control::RouteInfo) -> Result<RouteInfo> {
    Ok(RouteInfo { route: route(info.route)?, origin: origin(info.origin), valid: info.valid.map(duration_from_wit) })
}

fn dhcp_state(state: control::DhcpState) -> DhcpState {
    match state {
        control::DhcpState::Off => DhcpState::Off,
        control::DhcpState::Searching => DhcpState::Searching,
        control::DhcpState::Bound => DhcpState::Bound,
    }
}

pub(super) fn dhcp_status(status: control::DhcpStatus) -> Result<DhcpStatus> {
    let control::DhcpStatus { state, lease, refused } = status;
    Ok(DhcpStatus { state: dhcp_state(state), lease: lease.map(self::lease).transpose()?, refused })
}

fn lease(lease: control::Lease) -> Result<Lease> {
    Ok(Lease {
        address: cidr(lease.address)?,
        router: lease.router.map(ipv4_from_wit),
        dns_servers: lease.dns_servers.into_iter().map(ipv4_from_wit).collect(),
        domain: lease.domain,
        search_domains: lease.search_domains,
        ntp_servers: lease.ntp_servers.into_iter().map(ipv4_from_wit).collect(),
        server: ipv4_from_wit(lease.server),
        valid: duration_from_wit(lease.valid),
    })
}

fn autoconfiguration_state(state: control::AutoconfigurationState) -> AutoconfigurationState {
    match state {
        control::AutoconfigurationState::Off => AutoconfigurationState::Off,
        control::AutoconfigurationState::Searching => AutoconfigurationState::Searching,
        control::AutoconfigurationState::Configured => AutoconfigurationState::Configured,
        control::AutoconfigurationState::NoRouter => AutoconfigurationState::NoRouter,
    }
}

pub(super) fn autoconfiguration_status(status: control::AutoconfigurationStatus) -> AutoconfigurationStatus {
    let control::AutoconfigurationStatus { state, managed, other } = status;
    AutoconfigurationStatus { state: autoconfiguration_state(state), managed, other }
}

fn counters(counters: control::Counters) -> Counters {
    let control::Counters { packets, bytes, errors, dropped } = counters;
    Counters { packets, bytes, errors, dropped }
}

pub(super) fn statistics(statistics: control::Statistics) -> Statistics {
    let control::Statistics {
        received,
        sent,
        tcp_retransmits,
        tcp_resets,
        tcp_timeouts,
        backlog_drops,
        datagram_drops,
        replies_suppressed,
        tcp_flows,
        tcp_connecting,
        tcp_established,
        tcp_closing,
        time_wait,
        tcp_listeners,
        udp_sockets,
        icmp_sockets,
    } = statistics;
    Statistics {
        received: counters(received),
        sent: counters(sent),
        tcp_retransmits,
        tcp_resets,
        tcp_timeouts,
        backlog_drops,
        datagram_drops,
        replies_suppressed,
        tcp_flows,
        tcp_connecting,
        tcp_established,
        tcp_closing,
        time_wait,
        tcp_listeners,
        udp_sockets,
        icmp_sockets,
    }
}

pub(super) fn neighbour(neighbour: control::Neighbour) -> Result<Neighbour> {
    Ok(Neighbour {
        address: ip_from_wit(neighbour.address),
        hardware_address: mac(neighbour.hardware_address)?,
        age: duration_from_wit(neighbour.age),
    })
}

pub(super) fn notice(event: control::InterfaceEvent) -> Result<Notice> {
    Ok(match event {
        control::InterfaceEvent::Changed((interface, change)) => {
            Notice::Changed(Event { interface, change: self::change(change)? })
        }
        control::InterfaceEvent::Lost(count) => Notice::Lost(count),
    })
}

fn change(change: control::Change) -> Result<Change> {
    Ok(match change {
        control::Change::Mounted => Change::Mounted,
        control::Change::Unmounted => Change::Unmounted,
        control::Change::Link(link) => Change::Link(self::link(link)),
        control::Change::State(state) => Change::State(self::state(state)),
        control::Change::Mtu(mtu) => Change::Mtu(mtu),
        control::Change::HardwareAddress(address) => Change::HardwareAddress(mac(address)?),
        control::Change::AddressAdded(address) => Change::AddressAdded(cidr(address)?),
        control::Change::AddressRemoved(address) => Change::AddressRemoved(cidr(address)?),
        control::Change::RouteAdded(route) => Change::RouteAdded(self::route(route)?),
        control::Change::RouteRemoved(route) => Change::RouteRemoved(self::route(route)?),
        control::Change::DnsServerAdded(server) => Change::DnsServerAdded(ip_from_wit(server)),
        control::Change::DnsServerRemoved(server) => Change::DnsServerRemoved(ip_from_wit(server)),
        control::Change::Dhcp(state) => Change::Dhcp(dhcp_state(state)),
        control::Change::Autoconfiguration(state) => Change::Autoconfiguration(autoconfiguration_state(state)),
        control::Change::SearchDomains => Change::SearchDomains,
        control::Change::AddressConflict((address, by)) => {
            Change::AddressConflict { address: ip_from_wit(address), by: mac(by)? }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn networks_and_routes_survive_the_way_there_and_back() {
        for text in ["10.0.0.1/24", "0.0.0.0/0", "fd00::1/64", "::1/128"] {
            let there: Cidr = text.parse().unwrap();
            assert_eq!(cidr(cidr_to_wit(there)), Ok(there));
        }
        let default = Route::default_via([10, 0, 0, 1].into()).unwrap();
        for there in [default, default.with_metric(7), default.with_lifetime(Duration::from_millis(1500))] {
            assert_eq!(route(route_to_wit(there)), Ok(there));
        }
        let address: MacAddress = "02:00:00:00:00:0a".parse().unwrap();
        assert_eq!(mac(mac_to_wit(address)), Ok(address));
        for there in [State::Up, State::Down] {
            assert_eq!(state(state_to_wit(there)), there);
        }
    }

    #[test]
    fn what_cannot_be_is_refused_whoever_says_it() {
        let v4 = types::IpAddress::Ipv4((10, 0, 0, 1));
        let long = types::IpCidr { address: v4, prefix_length: 33 };
        assert_eq!(cidr(long), Err(Error::InvalidArgument));
        assert_eq!(mac((1, 0, 0, 0, 0, 1)), Err(Error::InvalidArgument));
        let destination = types::IpCidr { address: types::IpAddress::Ipv6((0, 0, 0, 0, 0, 0, 0, 0)), prefix_length: 0 };
        let mixed = control::Route { destination, gateway: v4, metric: 0, lifetime: None };
        assert_eq!(route(mixed), Err(Error::InvalidArgument));
        let event = control::Change::AddressAdded(long);
        assert!(notice(control::InterfaceEvent::Changed(("eth0".into(), event))).is_err());
    }

    #[test]
    fn events_are_told_as_they_are() {
        let change = control::Change::Dhcp(control::DhcpState::Bound);
        let expected = Event { interface: "eth0".into(), change: Change::Dhcp(DhcpState::Bound) };
        let told = notice(control::InterfaceEvent::Changed(("eth0".into(), change)));
        assert_eq!(told, Ok(Notice::Changed(expected)));
        assert_eq!(notice(control::InterfaceEvent::Lost(3)), Ok(Notice::Lost(3)));
    }
}
