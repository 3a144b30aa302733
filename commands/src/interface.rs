//! What the commands speak of.

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::address::{Cidr, MacAddress, Route};

/// What an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// It leads back to its own host.
    Loopback,
    /// It carries Ethernet frames.
    Ethernet,
    /// It carries bare IP packets.
    Ip,
    /// Anything else that a driver brings.
    Other,
}

/// The administrative state of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    /// It sends and receives.
    Up,
    /// It does neither. Operations on its sockets fail with "network down"; connections survive until their peers give
    /// up.
    Down,
}

/// Whether a device's link carries frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Link {
    /// It does.
    Up,
    /// The cable is out, the peer is gone, or the device has failed.
    Down,
}

/// Where an address, a route or a DNS server comes from. What comes from a protocol goes with it; what was set stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Origin {
    /// Somebody set it.
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
    /// For how long new connections should use it; `None` for ever (RFC 4862 section 5.5.4).
    pub preferred: Option<Duration>,
    /// For how long it is there; `None` for ever.
    pub valid: Option<Duration>,
}

/// A route of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RouteInfo {
    /// The route.
    pub route: Route,
    /// Where it comes from.
    pub origin: Origin,
    /// For how long it is there; `None` for ever.
    pub valid: Option<Duration>,
}

/// What DHCP does on an interface (RFC 2131 section 4.4, figure 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DhcpState {
    /// It is switched off.
    #[default]
    Off,
    /// It has no lease and asks for one. Entered when switched on, when the link comes up, and when a lease is lost.
    Searching,
    /// It has a lease. Left when the lease runs out, the server refuses to renew it, or the link goes down.
    Bound,
}

/// What a DHCP server has lent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lease {
    /// The address and its network.
    pub address: Cidr,
    /// The default router.
    pub router: Option<Ipv4Addr>,
    /// The DNS servers.
    pub dns_servers: Vec<Ipv4Addr>,
    /// The domain of the host, where the server says it: in small letters, without a dot at the end.
    pub domain: Option<String>,
    /// The domains in which names are looked for (RFC 3397), written alike.
    pub search_domains: Vec<String>,
    /// The NTP servers (RFC 2132 section 8.3). Nothing here asks them.
    pub ntp_servers: Vec<Ipv4Addr>,
    /// The server that lent it.
    pub server: Ipv4Addr,
    /// For how long it is there, unless it is renewed.
    pub valid: Duration,
}

/// DHCP on an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DhcpStatus {
    /// What it does.
    pub state: DhcpState,
    /// The lease, while bound.
    pub lease: Option<Lease>,
    /// Leases that were refused, because there was nonsense in them.
    pub refused: u64,
}

/// What IPv6 autoconfiguration does on an interface (RFC 4862).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AutoconfigurationState {
    /// It is switched off.
    #[default]
    Off,
    /// No router has advertised yet, or the addresses that were formed of what it said are still being verified. Entered
    /// when switched on, and when the link has become another network's.
    Searching,
    /// A router has advertised, and there is a verified address of it where it has advertised a prefix for one.
    Configured,
    /// Three times routers were asked and none has answered (RFC 4861 section 6.3.7). They are asked ever less often (RFC
    /// 7559), and one that advertises is heard.
    NoRouter,
}

/// IPv6 autoconfiguration on an interface, and what routers say beside addresses, routes and servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AutoconfigurationStatus {
    /// What it does.
    pub state: AutoconfigurationState,
    /// Addresses are to be had by DHCPv6 (flag M of RFC 4861 section 4.2), as the latest advertisement says.
    pub managed: bool,
    /// Other configuration is to be had by DHCPv6 (flag O), as the latest advertisement says.
    pub other: bool,
}

/// Packets of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Counters {
    /// Frames.
    pub packets: u64,
    /// Bytes of those frames, link headers included.
    pub bytes: u64,
    /// Failures of the device.
    pub errors: u64,
    /// Frames that the stack discarded: malformed, not for this host, over a limit, or arriving while down.
    pub dropped: u64,
}

/// What an interface has counted since it was mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Statistics {
    /// Frames from the device.
    pub received: Counters,
    /// Frames to the device.
    pub sent: Counters,
    /// TCP segments that were sent again.
    pub tcp_retransmits: u64,
    /// Connections that ended by the peer's reset.
    pub tcp_resets: u64,
    /// Connections that ended because the peer did not answer in time.
    pub tcp_timeouts: u64,
    /// Connection requests that were dropped because a backlog was full.
    pub backlog_drops: u64,
    /// Datagrams that were dropped because a receive queue was full.
    pub datagram_drops: u64,
    /// Replies to packets that no socket took (resets, port unreachable) which the rate limit held back.
    pub replies_suppressed: u64,
    /// TCP flows now: connecting, open, lingering and waiting to be accepted.
    pub tcp_flows: u64,
    /// Of those, the ones that are being established.
    pub tcp_connecting: u64,
    /// Of those, the ones that are established.
    pub tcp_established: u64,
    /// Of those, the ones that are being closed.
    pub tcp_closing: u64,
    /// Compact TIME-WAIT records now.
    pub time_wait: u64,
    /// TCP listeners now.
    pub tcp_listeners: u64,
    /// Bound UDP sockets now.
    pub udp_sockets: u64,
    /// Bound ICMP sockets now.
    pub icmp_sockets: u64,
}

/// A host on the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address.
    pub hardware_address: MacAddress,
    /// The time since it was last heard to have it.
    pub age: Duration,
}
