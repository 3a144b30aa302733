//! What has changed.

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

/// What has changed, as a difference to what was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Change {
    /// The interface was mounted.
    Mounted,
    /// The interface was unmounted.
    Unmounted,
    /// The link came up or went down.
    Link(Link),
    /// The interface was put up or down.
    State(State),
    /// The IP MTU is another.
    Mtu(u32),
    /// The hardware address is another.
    HardwareAddress(MacAddress),
    /// An address was added.
    AddressAdded(Cidr),
    /// An address was removed, or ran out.
    AddressRemoved(Cidr),
    /// Another host on the link uses an address that this one has or was about to take (RFC 5227, RFC 4862).
    AddressConflict {
        /// The address.
        address: IpAddr,
        /// The other host's hardware address.
        by: MacAddress,
    },
    /// A route was added.
    RouteAdded(Route),
    /// A route was removed, or ran out.
    RouteRemoved(Route),
    /// A DNS server was added.
    DnsServerAdded(IpAddr),
    /// A DNS server was removed.
    DnsServerRemoved(IpAddr),
    /// DHCP found, renewed or lost a lease, or was switched on or off.
    Dhcp(DhcpState),
    /// The IPv6 autoconfiguration is in another state, or routers say another thing of DHCPv6.
    Autoconfiguration(AutoconfigurationState),
    /// The domains in which names are looked for are others, or in another order.
    SearchDomains,
}
