//! The payload types of the commands in [`commands`](crate::commands): the properties and the state of an interface.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::{Cidr, MacAddress, Route};

/// Whether an interface may have this name: 1 to 15 of the characters `a` to `z`, `0` to `9`, `_` and `-`.
#[must_use]
pub fn is_interface_name(name: &str) -> bool {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=15).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// The kind of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// It delivers to its own host.
    Loopback,
    /// It carries Ethernet frames.
    Ethernet,
    /// It carries bare IP packets.
    Ip,
    /// Any other kind, defined by a driver.
    Other,
}

/// The administrative state of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    /// The interface sends and receives.
    Up,
    /// The interface does neither. Operations on its sockets fail with "network down"; connections survive until their
    /// peers give up.
    Down,
}

/// Whether a device's link carries frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Link {
    /// The link carries frames.
    Up,
    /// The cable is out, the peer is gone, or the device has failed.
    Down,
}

/// The origin of an address, a route or a DNS server. Those that a protocol added are removed with it; static ones
/// stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Origin {
    /// It was set by a command or by the host.
    Static,
    /// A DHCP lease.
    Dhcp,
    /// A router's advertisement (RFC 4861), or the interface's own link-local address (RFC 4862).
    Autoconfigured,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AddressInfo {
    /// The address and its network.
    pub cidr: Cidr,
    /// Where it comes from.
    pub origin: Origin,
    /// For how much longer new connections should use it; `None` for ever (RFC 4862 section 5.5.4).
    pub preferred: Option<Duration>,
    /// For how much longer it is valid; `None` for ever.
    pub valid: Option<Duration>,
}

/// A route of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RouteInfo {
    /// The route.
    pub route: Route,
    /// Where it comes from.
    pub origin: Origin,
    /// For how much longer it is valid; `None` for ever.
    pub valid: Option<Duration>,
}

/// The state of DHCP on an interface (RFC 2131 section 4.4, figure 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DhcpState {
    /// It is switched off.
    #[default]
    Off,
    /// It has no lease and requests one. Entered when DHCP is switched on, when the link comes up, and when a lease is
    /// lost.
    Searching,
    /// It has a lease. Left when the lease expires, the server refuses to renew it, or the link goes down.
    Bound,
}

/// A lease of a DHCP server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// The address and its network.
    pub address: Cidr,
    /// The default router.
    pub router: Option<Ipv4Addr>,
    /// The DNS servers.
    pub dns_servers: Vec<Ipv4Addr>,
    /// The domain of the host, if the server provides it: in small letters, without a dot at the end.
    pub domain: Option<String>,
    /// The search domains (RFC 3397), in the same notation.
    pub search_domains: Vec<String>,
    /// The NTP servers (RFC 2132 section 8.3). The stack does not use them.
    pub ntp_servers: Vec<Ipv4Addr>,
    /// The server that granted it.
    pub server: Ipv4Addr,
    /// For how long it is valid, unless it is renewed.
    pub valid: Duration,
}

/// DHCP on an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DhcpStatus {
    /// The state.
    pub state: DhcpState,
    /// The lease, while bound.
    pub lease: Option<Lease>,
    /// How many leases were refused because their contents were invalid.
    pub refused: u64,
}

/// The state of IPv6 autoconfiguration on an interface (RFC 4862).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AutoconfigurationState {
    /// It is switched off.
    #[default]
    Off,
    /// No router advertisement has arrived yet, or the addresses formed from it are still being checked for duplicates.
    /// Entered when autoconfiguration is switched on, and when the link has been moved to another network.
    Searching,
    /// A router advertisement has arrived and, if it has a prefix for addresses, an address of that prefix is verified.
    Configured,
    /// Three times routers were asked and none has answered (RFC 4861 section 6.3.7). They are asked ever less often (RFC
    /// 7559), and one that advertises is heard.
    NoRouter,
}

/// IPv6 autoconfiguration on an interface, and the flags of router advertisements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AutoconfigurationStatus {
    /// The state.
    pub state: AutoconfigurationState,
    /// Addresses are available by DHCPv6 (flag M of RFC 4861 section 4.2), according to the latest advertisement.
    pub managed: bool,
    /// Other configuration is available by DHCPv6 (flag O), according to the latest advertisement.
    pub other: bool,
}

/// The frame counters of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Counters {
    /// Frames.
    pub packets: u64,
    /// Bytes of those frames, link headers included.
    pub bytes: u64,
    /// Failures of the device.
    pub errors: u64,
    /// Frames that the stack discarded: malformed, not for this host, over a limit, or received while the interface is
    /// down.
    pub dropped: u64,
}

/// What an interface has counted since it was mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Statistics {
    /// Frames from the device.
    pub received: Counters,
    /// Frames to the device.
    pub sent: Counters,
    /// TCP segments that were retransmitted.
    pub tcp_retransmits: u64,
    /// Connections that ended by the peer's reset.
    pub tcp_resets: u64,
    /// Connections that ended because the peer did not answer in time.
    pub tcp_timeouts: u64,
    /// Connection requests that were dropped because a backlog was full.
    pub backlog_drops: u64,
    /// Datagrams that were dropped because a receive queue was full.
    pub datagram_drops: u64,
    /// Replies to packets for which there is no socket (resets, port unreachable) that were suppressed by the rate
    /// limit.
    pub replies_suppressed: u64,
    /// The current number of TCP flows: connecting, open, lingering and waiting to be accepted.
    pub tcp_flows: u64,
    /// Of these flows, those that are being established.
    pub tcp_connecting: u64,
    /// Of these flows, those that are established.
    pub tcp_established: u64,
    /// Of these flows, those that are being closed.
    pub tcp_closing: u64,
    /// The current number of TIME-WAIT records.
    pub time_wait: u64,
    /// The current number of TCP listeners.
    pub tcp_listeners: u64,
    /// The current number of bound UDP sockets.
    pub udp_sockets: u64,
    /// The current number of bound ICMP sockets.
    pub icmp_sockets: u64,
}

/// A host on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address.
    pub hardware_address: MacAddress,
    /// The time since the address was last confirmed.
    pub age: Duration,
}
