//! The changes of interfaces, as they are reported to watchers.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::address::{Cidr, MacAddress, Route};
use crate::interface::{AutoconfigurationState, DhcpState, Link, State};

/// A change of one interface.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Event {
    /// The interface's name.
    pub interface: String,
    /// What has changed.
    pub change: Change,
}

/// A change, as the difference to the previous state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Change {
    /// The interface was mounted.
    Mounted,
    /// The interface was unmounted.
    Unmounted,
    /// The link came up or went down.
    Link(Link),
    /// The interface was set up or down.
    State(State),
    /// The IP MTU has changed.
    Mtu(u32),
    /// The hardware address has changed.
    HardwareAddress(MacAddress),
    /// An address was added.
    AddressAdded(Cidr),
    /// An address was removed, or its lifetime ended.
    AddressRemoved(Cidr),
    /// Another host on the link uses an address that this host has, or was about to use (RFC 5227, RFC 4862).
    AddressConflict {
        /// The address.
        address: IpAddr,
        /// The other host's hardware address.
        by: MacAddress,
    },
    /// A route was added.
    RouteAdded(Route),
    /// A route was removed, or its lifetime ended.
    RouteRemoved(Route),
    /// A DNS server was added.
    DnsServerAdded(IpAddr),
    /// A DNS server was removed.
    DnsServerRemoved(IpAddr),
    /// DHCP obtained, renewed or lost a lease, or was switched on or off.
    Dhcp(DhcpState),
    /// The state of IPv6 autoconfiguration has changed, or the flags for DHCPv6 in router advertisements have.
    Autoconfiguration(AutoconfigurationState),
    /// The search domains, or their order, have changed.
    SearchDomains,
}
