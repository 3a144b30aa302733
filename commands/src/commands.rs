//! The commands that every interface supports. The stack executes them; each has a typed counterpart in the host
//! crate's `Interface` and in the guest crate.

use core::net::IpAddr;

use crate::address::{Cidr, MacAddress, Route};
use crate::define_command;
use crate::interface::{
    AddressInfo, AutoconfigurationStatus, DhcpStatus, Kind, Link, Neighbour, RouteInfo, State, Statistics,
};

define_command! {
    /// The kind of the interface.
    pub GetKind = "get kind", Get, 0x001, 1, 1: () => Kind;
    /// The administrative state.
    pub GetState = "get state", Get, 0x001, 2, 1: () => State;
    /// Sets the interface up or down.
    pub SetState = "set state", Set, 0x001, 2, 1: State => ();
    /// Whether the device's link carries frames.
    pub GetLink = "get link", Get, 0x001, 3, 1: () => Link;
    /// The hardware address; `None` if the medium has no hardware addresses.
    pub GetHardwareAddress = "get hardware address", Get, 0x001, 4, 1: () => Option<MacAddress>;
    /// Sets the hardware address.
    pub SetHardwareAddress = "set hardware address", Set, 0x001, 4, 1: MacAddress => ();
    /// The IP MTU in bytes.
    pub GetMtu = "get MTU", Get, 0x001, 5, 1: () => u32;
    /// Sets the IP MTU in bytes, from 1280 to the device's limit.
    pub SetMtu = "set MTU", Set, 0x001, 5, 1: u32 => ();
    /// How many frames the device takes or provides at once, if it specifies that.
    pub GetMaximumBurst = "get maximum burst size", Get, 0x001, 6, 1: () => Option<u32>;
    /// Whether the stack answers echo requests.
    pub GetEchoReply = "get echo reply", Get, 0x001, 7, 1: () => bool;
    /// Sets whether the stack answers echo requests.
    pub SetEchoReply = "set echo reply", Set, 0x001, 7, 1: bool => ();

    /// The addresses.
    pub ListAddresses = "list addresses", Get, 0x002, 1, 1: () => Vec<AddressInfo>;
    /// Adds an address.
    pub AddAddress = "add address", Set, 0x002, 2, 1: Cidr => ();
    /// Removes an address.
    pub RemoveAddress = "remove address", Set, 0x002, 3, 1: Cidr => ();

    /// The routes, without those to the addresses' own networks.
    pub ListRoutes = "list routes", Get, 0x003, 1, 1: () => Vec<RouteInfo>;
    /// Adds a route.
    pub AddRoute = "add route", Set, 0x003, 2, 1: Route => ();
    /// Removes a route.
    pub RemoveRoute = "remove route", Set, 0x003, 3, 1: Route => ();

    /// The DNS servers.
    pub ListDnsServers = "list DNS servers", Get, 0x004, 1, 1: () => Vec<IpAddr>;
    /// Adds a DNS server.
    pub AddDnsServer = "add DNS server", Set, 0x004, 2, 1: IpAddr => ();
    /// Removes a DNS server.
    pub RemoveDnsServer = "remove DNS server", Set, 0x004, 3, 1: IpAddr => ();
    /// The search domains for names without a dot.
    pub ListSearchDomains = "list search domains", Get, 0x004, 4, 1: () => Vec<String>;

    /// The state of DHCP, and the lease.
    pub GetDhcp = "get DHCP", Get, 0x005, 1, 2: () => DhcpStatus;
    /// Switches DHCP on or off.
    pub SetDhcp = "set DHCP", Set, 0x005, 1, 1: bool => ();
    /// Whether the interface configures itself for IPv6 (RFC 4862).
    pub GetAutoconfiguration = "get autoconfiguration", Get, 0x005, 2, 1: () => bool;
    /// Switches IPv6 autoconfiguration on or off.
    pub SetAutoconfiguration = "set autoconfiguration", Set, 0x005, 2, 1: bool => ();
    /// The state of IPv6 autoconfiguration, and what routers advertise about DHCPv6.
    pub GetAutoconfigurationStatus = "get autoconfiguration status", Get, 0x005, 3, 1: () => AutoconfigurationStatus;

    /// The counters of the interface.
    pub GetStatistics = "get statistics", Get, 0x006, 1, 1: () => Statistics;
    /// The hosts on the link whose hardware address is known.
    pub ListNeighbours = "list neighbours", Get, 0x007, 1, 1: () => Vec<Neighbour>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Command, CommandId};

    #[test]
    fn no_command_is_in_a_group_of_drivers() {
        assert!(ALL.iter().all(|(id, _)| id.group() < CommandId::FIRST_DRIVER_GROUP));
    }

    /// Apps and hosts are built separately, so an identifier must never change.
    #[test]
    fn identifiers_do_not_change() {
        assert_eq!(GetKind::ID.to_raw(), 0x1100_1001);
        assert_eq!(SetState::ID.to_raw(), 0x2100_1002);
        assert_eq!(ListNeighbours::ID.to_raw(), 0x1100_7001);
        assert_eq!(ALL.len(), 28);
    }
}
