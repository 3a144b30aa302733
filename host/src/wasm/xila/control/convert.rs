//! Conversion between the values of the WIT interface `control` and those of the host API.

use core::net::Ipv4Addr;

use crate::address::{Cidr, MacAddress, Route};
use crate::error::Error;
use crate::interface::{self, Change, Notice};
use crate::platform;
use crate::wasm::bindings::control as wit;
use crate::wasm::bindings::types::{IpCidr, Ipv4Address, MacAddress as WitMacAddress};
use crate::wasm::units::{duration, nanoseconds};

impl From<Cidr> for IpCidr {
    fn from(cidr: Cidr) -> Self {
        Self { address: cidr.address().into(), prefix_length: cidr.prefix() }
    }
}

impl TryFrom<IpCidr> for Cidr {
    type Error = Error;

    fn try_from(cidr: IpCidr) -> Result<Self, Error> {
        Ok(Self::new(cidr.address.into(), cidr.prefix_length)?)
    }
}

impl From<Route> for wit::Route {
    fn from(route: Route) -> Self {
        Self {
            destination: route.destination().into(),
            gateway: route.gateway().into(),
            metric: route.metric(),
            lifetime: route.lifetime().map(nanoseconds),
        }
    }
}

impl TryFrom<wit::Route> for Route {
    type Error = Error;

    fn try_from(route: wit::Route) -> Result<Self, Error> {
        let wit::Route { destination, gateway, metric, lifetime } = route;
        let route = Self::new(destination.try_into()?, gateway.into())?.with_metric(metric);
        Ok(match lifetime {
            Some(lifetime) => route.with_lifetime(duration(lifetime)),
            None => route,
        })
    }
}

fn octets(address: MacAddress) -> WitMacAddress {
    address.octets().into()
}

fn v4(address: Ipv4Addr) -> Ipv4Address {
    address.octets().into()
}

/// Implements conversions between enumerations whose cases have the same names.
macro_rules! same_cases {
    ($($host:path, $wit:path: $($case:ident)+;)+) => {
        $(impl From<$host> for $wit {
            fn from(value: $host) -> Self {
                match value {
                    $(<$host>::$case => Self::$case,)+
                }
            }
        })+
    };
}

same_cases! {
    interface::Kind, wit::Kind: Loopback Ethernet Ip Other;
    interface::State, wit::State: Up Down;
    wit::State, interface::State: Up Down;
    crate::device::Link, wit::Link: Up Down;
    interface::Origin, wit::Origin: Static Dhcp Autoconfigured;
    interface::DhcpState, wit::DhcpState: Off Searching Bound;
    interface::AutoconfigurationState, wit::AutoconfigurationState: Off Searching Configured NoRouter;
}

impl From<interface::AddressInfo> for wit::AddressInfo {
    fn from(info: interface::AddressInfo) -> Self {
        let interface::AddressInfo { cidr, origin, preferred, valid } = info;
        Self {
            cidr: cidr.into(),
            origin: origin.into(),
            preferred: preferred.map(nanoseconds),
            valid: valid.map(nanoseconds),
        }
    }
}

impl From<interface::RouteInfo> for wit::RouteInfo {
    fn from(info: interface::RouteInfo) -> Self {
        let interface::RouteInfo { route, origin, valid } = info;
        Self { route: route.into(), origin: origin.into(), valid: valid.map(nanoseconds) }
    }
}

impl From<interface::Lease> for wit::Lease {
    fn from(lease: interface::Lease) -> Self {
        let interface::Lease { address, router, dns_servers, domain, search_domains, ntp_servers, server, valid } =
            lease;
        Self {
            address: address.into(),
            router: router.map(v4),
            dns_servers: dns_servers.into_iter().map(v4).collect(),
            domain,
            search_domains,
            ntp_servers: ntp_servers.into_iter().map(v4).collect(),
            server: v4(server),
            valid: nanoseconds(valid),
        }
    }
}

impl From<interface::DhcpStatus> for wit::DhcpStatus {
    fn from(status: interface::DhcpStatus) -> Self {
        let interface::DhcpStatus { state, lease, refused } = status;
        Self { state: state.into(), lease: lease.map(Into::into), refused }
    }
}

impl From<interface::AutoconfigurationStatus> for wit::AutoconfigurationStatus {
    fn from(status: interface::AutoconfigurationStatus) -> Self {
        let interface::AutoconfigurationStatus { state, managed, other } = status;
        Self { state: state.into(), managed, other }
    }
}

impl From<interface::Counters> for wit::Counters {
    fn from(counters: interface::Counters) -> Self {
        let interface::Counters { packets, bytes, errors, dropped } = counters;
        Self { packets, bytes, errors, dropped }
    }
}

impl From<interface::Statistics> for wit::Statistics {
    fn from(statistics: interface::Statistics) -> Self {
        let interface::Statistics {
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
        Self {
            received: received.into(),
            sent: sent.into(),
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
}

impl From<interface::Neighbour> for wit::Neighbour {
    fn from(neighbour: interface::Neighbour) -> Self {
        let interface::Neighbour { address, hardware_address, age } = neighbour;
        Self { address: address.into(), hardware_address: octets(hardware_address), age: nanoseconds(age) }
    }
}

impl From<Change> for wit::Change {
    fn from(change: Change) -> Self {
        match change {
            Change::Mounted => Self::Mounted,
            Change::Unmounted => Self::Unmounted,
            Change::Link(link) => Self::Link(link.into()),
            Change::State(state) => Self::State(state.into()),
            Change::Mtu(mtu) => Self::Mtu(mtu),
            Change::HardwareAddress(address) => Self::HardwareAddress(octets(address)),
            Change::AddressAdded(cidr) => Self::AddressAdded(cidr.into()),
            Change::AddressRemoved(cidr) => Self::AddressRemoved(cidr.into()),
            Change::RouteAdded(route) => Self::RouteAdded(route.into()),
            Change::RouteRemoved(route) => Self::RouteRemoved(route.into()),
            Change::DnsServerAdded(server) => Self::DnsServerAdded(server.into()),
            Change::DnsServerRemoved(server) => Self::DnsServerRemoved(server.into()),
            Change::Dhcp(state) => Self::Dhcp(state.into()),
            Change::Autoconfiguration(state) => Self::Autoconfiguration(state.into()),
            Change::SearchDomains => Self::SearchDomains,
            Change::AddressConflict { address, by } => Self::AddressConflict((address.into(), octets(by))),
        }
    }
}

impl From<Notice> for wit::InterfaceEvent {
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::Changed(event) => Self::Changed((event.interface, event.change.into())),
            Notice::Lost(count) => Self::Lost(count),
        }
    }
}

impl From<wit::Access> for platform::Access {
    fn from(access: wit::Access) -> Self {
        Self {
            read: access.contains(wit::Access::READ),
            write: access.contains(wit::Access::WRITE),
            non_blocking: access.contains(wit::Access::NON_BLOCKING),
        }
    }
}

#[cfg(test)]
mod tests;
