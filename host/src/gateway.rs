//! A gateway: the router of a network of apps, which carries what they send to the outside through the host's own
//! sockets.
//!
//! No privileges are needed. An app's interface is mounted on a [port](Gateway::port) of the gateway and finds there
//! what a router offers: DHCP, router advertisements, DNS, and a way out for TCP, UDP and echo requests. To the outside
//! it all comes from ordinary sockets of the host's process.
//!
//! **Errors are those of the outside.** The gateway answers an app's SYN only when its own connection to the
//! destination is made. So an app is refused where the destination refuses, is told that a host is unreachable, and
//! waits where nobody answers.
//!
//! **Little is reached by default.** Loopback, link-local and private addresses and the host's own ones are prohibited
//! unless [`Outside`] allows them. This is decided before a socket is made.
//!
//! | Module | Contents |
//! |---|---|
//! | `outside` | which destinations may be reached |
//! | `front` | the first look at each frame of the apps: what it is, and who handles it |
//! | `tcp`, `relay` | connections: held until the outside has answered; copying between both sides |
//! | `udp`, `echo` | mappings of datagrams and of echo requests, with time-outs (RFC 4787, RFC 5508) |
//! | `mapping`, `queues` | what both have in common; a bounded table of queues |
//! | `reply` | packets that the gateway sends to apps: resets, errors, datagrams, echo replies |
//! | `error_queue` | the ICMP errors that the host has received for a socket |
//! | `resolvers` | whom the gateway's DNS asks: the host's own DNS servers, and its file of hosts |
//! | `resolv_conf` | the host's resolver configuration |
//! | `failure` | what an error of a host's socket means to an app |

mod echo;
mod error_queue;
mod failure;
mod front;
mod mapping;
mod outside;
mod queues;
mod relay;
mod reply;
mod resolv_conf;
mod resolvers;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use futures_util::future;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::watch;

pub use self::outside::{Destinations, InvalidDestinations, Outside};
pub(crate) use self::relay::{relay, reset};

use self::front::Front;
use self::reply::Replies;
use self::resolv_conf::ResolvConf;
use self::resolvers::{HostResolvers, HostsFile};
use self::tcp::Connections;
use crate::address::{Cidr, MacAddress, Route};
use crate::device::hub::{Hub, HubOptions, HubPort};
use crate::device::intercepted::{Injector, Intercepted};
use crate::error::{ConfigureError, MountError};
use crate::interface::{Interface, InterfaceConfig};
use crate::platform::Platform;
use crate::services::router::Prefix;
use crate::services::{Services, dhcp, dns, node, router};
use crate::socket::Network;

/// The options of a gateway.
#[derive(Clone, Debug)]
pub struct GatewayOptions {
    /// The IPv4 network of the apps, with the address of the gateway: 10.0.2.2/24 by default. The prefix has at most 29
    /// bits.
    pub v4: (Ipv4Addr, u8),
    /// The address of the gateway in the IPv6 network of the apps, which has a prefix of 64 bits. `None`: a random
    /// unique local network (RFC 4193).
    pub v6: Option<Ipv6Addr>,
    /// The IP MTU of the network in bytes, 1280 to 65535; 65520 by default, because nothing on it needs smaller
    /// packets.
    pub mtu: usize,
    /// What apps may reach.
    pub outside: Outside,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self { v4: (Ipv4Addr::new(10, 0, 2, 2), 24), v6: None, mtu: 65520, outside: Outside::default() }
    }
}

/// The router of a network of apps. When it is dropped, its network ends: what goes to the outside is reset, and ports
/// stay without a router.
pub struct Gateway {
    hub: Hub,
    router: Router,
    /// The search domains of the host, when the gateway was made.
    search: Vec<String>,
    connections: Arc<Connections>,
    /// The gateway's own side of the network, with what it serves there.
    services: Services,
    /// Dropped with the gateway, which ends all tasks.
    _ended: watch::Sender<()>,
}

/// The addresses of a gateway on the network of the apps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Router {
    /// The IPv4 address, with the network.
    pub v4: Cidr,
    /// The IPv6 address, with the network.
    pub v6: Cidr,
}

impl Router {
    /// Whether an address is the gateway's own.
    fn is(&self, address: IpAddr) -> bool {
        self.v4.address() == address || self.v6.address() == address
    }

    /// Whether a packet for an address stays on the network of the apps.
    fn is_near(&self, destination: IpAddr) -> bool {
        let is_broadcast = matches!(destination, IpAddr::V4(address) if address.is_broadcast());
        destination.is_multicast()
            || is_broadcast
            || matches!(destination, IpAddr::V6(address) if address.is_unicast_link_local())
            || self.v4.contains(destination)
            || self.v6.contains(destination)
    }

    /// Whether an address is that of everybody on the network of the apps.
    fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        let host = u32::MAX.checked_shr(self.v4.prefix().into()).unwrap_or(0);
        self.v4.contains(address.into()) && address.to_bits() & host == host
    }

    /// The gateway's own address of the same family.
    fn of_family(&self, address: IpAddr) -> IpAddr {
        if address.is_ipv4() { self.v4.address() } else { self.v6.address() }
    }
}

/// What the parts of a gateway share.
struct Shared {
    platform: Platform,
    router: Router,
    outside: Outside,
    /// The gateway's side of the network, once it is mounted.
    interface: OnceLock<Interface>,
    ended: watch::Receiver<()>,
}

impl Shared {
    /// Whether a UDP socket of the gateway's own stack has an end. The stack must not be locked.
    fn has_udp_socket(&self, local: SocketAddr) -> bool {
        self.interface.get().is_some_and(|interface| interface.has_udp_socket(local))
    }

    /// Runs a task until it ends, or the gateway does.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut ended = self.ended.clone();
        self.platform.spawner.spawn(Box::pin(async move {
            let end = core::pin::pin!(async {
                // An error means that the sender is gone, which is the end, too.
                while ended.changed().await.is_ok() {}
            });
            future::select(core::pin::pin!(task), end).await;
        }));
    }
}

impl Gateway {
    /// Makes a gateway. The platform's tasks must run in a tokio runtime with I/O and time
    /// (`platform::tokio::platform`), because the gateway uses tokio's sockets.
    ///
    /// # Errors
    /// See [`MountError`]: addresses or an MTU that no network can have.
    pub fn new(platform: &Platform, options: GatewayOptions) -> Result<Self, MountError> {
        Self::with_names(platform, options, None)
    }

    /// As [`new`](Self::new); the gateway's DNS also has these names, in the domain `internal`.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_names(
        platform: &Platform,
        options: GatewayOptions,
        names: Option<Arc<dyn dns::Names>>,
    ) -> Result<Self, MountError> {
        let GatewayOptions { v4, v6, mtu, outside } = options;
        let invalid = |_| MountError::from(ConfigureError::InvalidArgument);
        let v6 = v6.unwrap_or_else(|| unique_local(platform.random_u64()));
        let router = Router {
            v4: Cidr::new(v4.0.into(), v4.1).map_err(invalid)?,
            v6: Cidr::new(v6.into(), 64).map_err(invalid)?,
        };
        if !is_router(v4.0, v4.1) {
            return Err(ConfigureError::InvalidArgument.into());
        }
        let hub_options = HubOptions { mtu, ..HubOptions::default() };
        hub_options.validate().map_err(failed)?;
        let hub = Hub::new(platform, hub_options);
        let (ended, heard) = watch::channel(());
        let shared =
            Arc::new(Shared { platform: platform.clone(), router, outside, interface: OnceLock::new(), ended: heard });
        let hardware = platform.random_hardware_address();
        let mut parts = None;
        let device = Intercepted::new(hub.port(), |injector: Injector| {
            let replies = Replies::new(shared.clone());
            let connections = Arc::new(Connections::new(shared.clone(), replies.clone(), injector.clone()));
            parts = Some(connections.clone());
            Front::new(&shared, hardware, injector, connections, replies)
        });
        let search = ResolvConf::read(Path::new(resolv_conf::PATH)).search();
        let names = Names { router, others: names };
        let services = services_of(platform, names, hardware, mtu, &search).map_err(failed)?;
        let services = Services::start(&Platform { devices: None, memory: None, ..platform.clone() }, device, services)
            .map_err(failed)?;
        services.interface().set_every_address(true).map_err(failed)?;
        if shared.interface.set(services.interface().clone()).is_err() {
            unreachable!("it is set once");
        }
        let Some(connections) = parts else { unreachable!("the device has made them") };
        connections.serve(&services.network()).map_err(failed)?;
        Ok(Self { hub, router, search, connections, services, _ended: ended })
    }

    /// A port of the gateway's network, for the interface of an app.
    #[must_use]
    pub fn port(&self) -> HubPort {
        self.hub.port()
    }

    /// The gateway's addresses on that network: the router and DNS server of the apps.
    #[must_use]
    pub const fn router(&self) -> Router {
        self.router
    }

    /// The number of connections that are carried. Those that the host is making for apps have no data yet, and are not
    /// counted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.carried()
    }

    /// The gateway's own side of that network, on which it reaches the apps.
    #[must_use]
    pub fn network(&self) -> Network {
        self.services.network()
    }

    /// Sets aside an address that an interface on the gateway has of its own accord: from now on DHCP leases it to nobody.
    /// Returns false if it has leased it already.
    pub fn reserve(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.services.reserve(address),
            // Hosts find IPv6 addresses themselves, and whether another has the same (RFC 4862).
            IpAddr::V6(_) => true,
        }
    }

    /// The configuration of an interface on the gateway, without DHCP and router advertisements, so that it can be used
    /// at once. It includes the search domains that the host had when the gateway was made. `number` says which of the
    /// apps' addresses it has, 0 for the first: each interface needs its own. From now on DHCP leases the address to
    /// nobody.
    ///
    /// # Errors
    /// [`MountError`] where the network has no such address, or DHCP has leased it.
    pub fn configuration(&self, number: u8) -> Result<InterfaceConfig, MountError> {
        let invalid = |_| MountError::from(ConfigureError::InvalidArgument);
        let mut config = InterfaceConfig::default();
        for router in [self.router.v4, self.router.v6] {
            let address = host_address(router, number).ok_or(ConfigureError::InvalidArgument)?;
            if !self.reserve(address) {
                return Err(ConfigureError::InvalidArgument.into());
            }
            config.addresses.push(Cidr::new(address, router.prefix()).map_err(invalid)?);
            config.routes.push(Route::default_via(router.address()).map_err(invalid)?);
            config.dns_servers.push(router.address());
        }
        config.search_domains.clone_from(&self.search);
        Ok(config)
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gateway").field("router", &self.router).finish_non_exhaustive()
    }
}

fn failed(error: impl fmt::Display) -> MountError {
    MountError::FailedToMountDevice(error.to_string())
}

/// What a gateway serves on the network of the apps.
fn services_of(
    platform: &Platform,
    names: Names,
    hardware: MacAddress,
    mtu: usize,
    search: &[String],
) -> Result<node::Config, dhcp::InvalidConfig> {
    let router = names.router;
    let IpAddr::V4(address) = router.v4.address() else { return Err(dhcp::InvalidConfig::Address) };
    let mut dhcp = dhcp::Config::new(router.v4)?;
    if let Some(IpAddr::V4(first)) = host_address(router.v4, 0)
        && dhcp.pool.contains(&first)
        && first > address
    {
        dhcp.pool = first..=*dhcp.pool.end();
    }
    dhcp.routers.push(address);
    dhcp.dns_servers.push(address);
    dhcp.search = search.to_vec();
    dhcp.mtu = u16::try_from(mtu).ok();
    // The link-local address is filled in when there is one.
    let mut advertised = router::Config::new(Ipv6Addr::UNSPECIFIED, hardware);
    advertised.prefixes.extend(Prefix::new(router.v6));
    advertised.search = search.to_vec();
    advertised.mtu = u32::try_from(mtu).ok();
    if let IpAddr::V6(address) = router.v6.address() {
        advertised.dns_servers.push(address);
    }
    let dns = dns::Config {
        zone: ZONE.to_owned(),
        names: Arc::new(names),
        // Networks of clouds have names in this domain, too.
        is_shared: true,
        hosts: Some(Arc::new(HostsFile::new())),
        networks: vec![router.v4, router.v6],
        upstream: Some(Arc::new(HostResolvers::new(platform.clock.clone()))),
    };
    Ok(node::Config {
        addresses: vec![router.v6],
        hardware_address: Some(hardware),
        dhcp: Some(dhcp),
        router: Some(advertised),
        dns: Some(dns),
        forward: Vec::new(),
    })
}

/// The domain of the names that a gateway knows itself.
const ZONE: &str = "internal";
/// The name of the gateway in that domain, behind which ports of the host may be allowed.
pub(crate) const HOST: &str = "host";

/// The names that a gateway's DNS answers itself: its own, and those that it was given.
struct Names {
    router: Router,
    others: Option<Arc<dyn dns::Names>>,
}

impl dns::Names for Names {
    fn lookup(&self, name: &str) -> Option<Vec<IpAddr>> {
        if name == HOST {
            return Some(vec![self.router.v4.address(), self.router.v6.address()]);
        }
        self.others.as_ref()?.lookup(name)
    }

    fn reverse(&self, address: IpAddr) -> Option<String> {
        if self.router.is(address) {
            return Some(HOST.to_owned());
        }
        // That name leads to the gateway.
        self.others.as_ref()?.reverse(address).filter(|name| name != HOST)
    }
}

/// Whether a router can have an IPv4 address in a network with a prefix of this length, and the network has room for apps.
pub(crate) fn is_router(address: Ipv4Addr, prefix: u8) -> bool {
    let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    let is_free = ![0, host].contains(&(address.to_bits() & host));
    prefix <= 29 && is_free && !address.is_loopback() && matches!(address.octets()[0], 1..=223)
}

/// Raises this process's limit of open files as far as it may (setrlimit(2)): each connection to the outside is one, and
/// the usual limit is only 1024.
pub fn raise_file_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(soft, hard)| if soft < hard { setrlimit(Resource::RLIMIT_NOFILE, hard, hard) } else { Ok(()) });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files cannot be raised, and bounds the connections to the outside");
    }
}

/// The offset of the first app's address from that of the gateway, in a network that has room for it.
const FIRST: u128 = 13;

/// The address of an app: some places after the gateway's, as 10.0.2.15 is after 10.0.2.2. After the end of the network
/// it goes on at the beginning. `None` if the network has no address with this number.
fn host_address(router: Cidr, number: u8) -> Option<IpAddr> {
    let (own, width) = match router.address() {
        IpAddr::V4(address) => (address.to_bits().into(), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    // The bits that tell the hosts of the network apart.
    let host = 1u128.checked_shl(width - u32::from(router.prefix()))? - 1;
    let first = if host > 2 * FIRST { FIRST } else { 1 };
    // All bits clear is the network itself (in IPv6 every router, RFC 4291 section 2.6.1); all set is everybody.
    let is_free = |address: &u128| *address != own && ![0, host].contains(&(address & host));
    let candidates = (first..=first + host).map(|step| own & !host | own.wrapping_add(step) & host);
    let found = candidates.filter(is_free).nth(number.into())?;
    Some(match router.address() {
        IpAddr::V4(_) => Ipv4Addr::from_bits(found as u32).into(),
        IpAddr::V6(_) => Ipv6Addr::from_bits(found).into(),
    })
}

/// The gateway's address in a random unique local network (RFC 4193 section 3).
fn unique_local(random: u64) -> Ipv6Addr {
    let prefix = 0xfd00_0000_0000_0000 | (random & 0x00ff_ffff_ffff_ffff);
    Ipv6Addr::from_bits(u128::from(prefix) << 64 | 2)
}
