//! The services of a link, as one more host on it.
//!
//! [`Services`] has a stack of its own on a device of the link, which makes its addresses reachable and carries DNS. It
//! hears and answers DHCP and router solicitations in frames beside that stack: clients without an address cannot be
//! reached through a socket.

#[cfg(test)]
mod tests;

use core::future::poll_fn;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::task::{Poll, Waker};
use std::sync::Arc;

use parking_lot::Mutex;
use xila_network_engine::random::Random;

use super::{dhcp, dns, packet, router};
use crate::address::{Cidr, MacAddress};
use crate::device::intercepted::{Injector, Intercepted, Interceptor};
use crate::device::{Device, Frame, Medium};
use crate::error::MountError;
use crate::interface::{Interface, InterfaceConfig};
use crate::manager::Manager;
use crate::platform::{Instant, Platform};
use crate::socket::Network;

/// The name of the interface in the log.
const NAME: &str = "services";

/// The services of a link.
#[derive(Clone, Default)]
pub struct Config {
    /// The addresses of the services. That of the DHCP server is added.
    pub addresses: Vec<Cidr>,
    /// The hardware address; `None` for a random one.
    pub hardware_address: Option<MacAddress>,
    /// The DHCP server.
    pub dhcp: Option<dhcp::Config>,
    /// What is advertised. The addresses of the router are those of this host: they are replaced.
    pub router: Option<router::Config>,
    /// The DNS server, at port 53 of these addresses.
    pub dns: Option<dns::Config>,
    /// DNS servers on the link that are asked for names outside of the zone, if the DNS server has no upstream.
    pub forward: Vec<SocketAddr>,
}

/// Why there are no services.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The device carries no Ethernet frames.
    #[error("the link is not an Ethernet")]
    Medium,
    /// The configuration of DHCP is invalid.
    #[error("DHCP: {0}")]
    Dhcp(#[from] dhcp::InvalidConfig),
    /// The configuration of router advertisements is invalid.
    #[error("router advertisements: {0}")]
    Router(#[from] router::InvalidConfig),
    /// The interface cannot be mounted.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The DNS server cannot be started.
    #[error("DNS: {0}")]
    Dns(#[from] dns::ServeError),
}

/// Services that run. They end when this is dropped.
pub struct Services {
    manager: Manager,
    interface: Interface,
    link: Arc<Mutex<Link>>,
}

impl Services {
    /// Starts services on a device.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(platform: &Platform, device: impl Device, config: Config) -> Result<Self, StartError> {
        let Config { mut addresses, hardware_address, dhcp, router, dns, forward } = config;
        if device.capabilities().medium != Medium::Ethernet {
            return Err(StartError::Medium);
        }
        if let Some(router) = &router {
            // The address is known only when it is verified, so any link-local one is checked in its place.
            let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
            router::Config { address, ..router.clone() }.validate()?;
        }
        if let Some(dhcp) = dhcp.as_ref().filter(|dhcp| !addresses.contains(&dhcp.address)) {
            addresses.push(dhcp.address);
        }
        let dhcp = dhcp.as_ref().map(dhcp::Server::new).transpose()?;
        let hardware = hardware_address.unwrap_or_else(|| platform.random_hardware_address());
        let link = Arc::new(Mutex::new(Link { hardware, dhcp, router: None, is_ended: false, changed: None }));
        let mut injector = None;
        let device = Intercepted::new(device, |there| {
            injector = Some(there.clone());
            Ear { link: link.clone(), injector: there }
        });
        let local: Vec<_> = addresses.iter().map(|own| SocketAddr::new(own.address(), dns::PORT)).collect();
        // There may be several such hosts in a process, each new in each run: nothing is remembered for the next one.
        let interface = InterfaceConfig {
            addresses,
            hardware_address: Some(hardware),
            remembered: false,
            ..InterfaceConfig::default()
        };
        let manager = Manager::without_loopback(platform.clone());
        let interface = manager.mount_interface(NAME, device, interface)?;
        let services = Self { manager, interface, link };
        if let Some(mut dns) = dns {
            let network = services.manager.network();
            if dns.upstream.is_none() && !forward.is_empty() {
                dns.upstream = Some(Arc::new(dns::Servers::new(network.clone(), forward)));
            }
            // Not the unspecified address: the stack of a gateway takes packets for every other host, too.
            let server = dns::Server::bind(&network, &local, dns)?;
            platform.spawner.spawn(Box::pin(server.run()));
        }
        if let (Some(config), Some(injector)) = (router, injector) {
            let (interface, link) = (services.interface.clone(), services.link.clone());
            let config = router::Config { hardware, ..config };
            if interface.set_router(true).is_err() {
                tracing::error!("the interface of the services has ended");
            }
            platform.spawner.spawn(Box::pin(advertise(platform.clone(), interface, link, injector, config)));
        }
        Ok(services)
    }

    /// The interface of the services.
    #[must_use]
    pub const fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The network that the services have on the link.
    #[must_use]
    pub fn network(&self) -> Network {
        self.manager.network()
    }

    /// The leases of the DHCP server that have not ended.
    #[must_use]
    pub fn leases(&self) -> Vec<dhcp::Lease> {
        let now = self.manager.platform().clock.now();
        self.link.lock().dhcp.iter().flat_map(|dhcp| dhcp.leases(now)).collect()
    }

    /// Lets the DHCP server lease an address no more, because somebody has it. Returns false if one of its clients has it.
    pub fn reserve(&self, address: Ipv4Addr) -> bool {
        let now = self.manager.platform().clock.now();
        self.link.lock().dhcp.as_mut().is_none_or(|dhcp| dhcp.reserve(now, address))
    }

    /// What the DHCP server has done.
    #[must_use]
    pub fn dhcp_statistics(&self) -> Option<dhcp::Statistics> {
        self.link.lock().dhcp.as_ref().map(dhcp::Server::statistics)
    }

    /// Ends the router advertisements. The last one withdraws what the earlier ones have said; it leaves when the tasks
    /// of the platform have run, if this is not dropped before.
    pub fn end(&self) {
        let mut link = self.link.lock();
        link.is_ended = true;
        let changed = link.changed.take();
        drop(link);
        if let Some(changed) = changed {
            changed.wake();
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.end();
    }
}

impl core::fmt::Debug for Services {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Services").field("addresses", &self.interface.addresses()).finish_non_exhaustive()
    }
}

/// What hears the frames of the link, and answers them. Its lock is taken under that of the stack.
struct Link {
    hardware: MacAddress,
    dhcp: Option<dhcp::Server>,
    /// There is none before the interface has a link-local address.
    router: Option<router::Advertiser>,
    is_ended: bool,
    /// The task that advertises, to be woken when it has something to do sooner.
    changed: Option<Waker>,
}

/// The part of the services that sits in the device.
struct Ear {
    link: Arc<Mutex<Link>>,
    injector: Injector,
}

impl Interceptor for Ear {
    fn intercept(&mut self, now: Instant, frame: Frame) -> Option<Frame> {
        let mut link = self.link.lock();
        if let Some(packet) = packet::maybe_solicitation(&frame) {
            if let Some(router) = &mut link.router
                && router.handle_solicitation(now, packet)
                && let Some(changed) = link.changed.take()
            {
                drop(link);
                changed.wake();
            }
            // It also tells the stack about a neighbour.
            return Some(frame);
        }
        let hardware = link.hardware;
        let Some(server) = &mut link.dhcp else { return Some(frame) };
        let Some(request) = packet::dhcp_request(&frame) else { return Some(frame) };
        let address = server.address();
        if ![address, Ipv4Addr::BROADCAST].contains(&request.destination) {
            return Some(frame);
        }
        let answer = server.handle(now, request.sender, request.payload);
        let answer = answer.and_then(|answer| packet::dhcp_answer(hardware, address, &answer));
        if let Some(answer) = answer {
            send(&self.injector, &answer);
        }
        None
    }
}

/// Sends a frame to the link. If it finds no room, it is lost as it could be on the way: DHCP clients and hosts without
/// a router ask again.
fn send(injector: &Injector, bytes: &[u8]) {
    if bytes.len() > injector.longest() {
        tracing::warn!(length = bytes.len(), "a message is too long for the link");
        return;
    }
    let mut frame = injector.frame(bytes.len());
    frame.copy_from_slice(bytes);
    if !injector.to_link(frame) {
        tracing::debug!("the link has no room for a message");
    }
}

/// Advertises, from the time when the interface has a link-local address (RFC 4861 section 6.2.1) until the services
/// end.
async fn advertise(
    platform: Platform,
    interface: Interface,
    link: Arc<Mutex<Link>>,
    injector: Injector,
    config: router::Config,
) {
    let mut watch = interface.watch();
    let address = loop {
        let addresses = interface.addresses();
        let found = addresses.iter().find_map(|address| match address.address() {
            IpAddr::V6(address) if address.is_unicast_link_local() => Some(address),
            IpAddr::V6(_) | IpAddr::V4(_) => None,
        });
        match found {
            Some(address) => break address,
            None if link.lock().is_ended => return,
            None => {
                watch.next().await;
            }
        }
    };
    let hardware = config.hardware;
    let mut seed = [0; 32];
    platform.random.fill(&mut seed);
    let router = router::Advertiser::new(router::Config { address, ..config }, platform.clock.now(), Random::new(seed));
    match router {
        Ok(router) => link.lock().router = Some(router),
        // It was checked when the services were started.
        Err(error) => return tracing::error!(%error, "no router advertisements"),
    }
    let mut timer = platform.clock.timer();
    poll_fn(|context| {
        loop {
            let mut link = link.lock();
            let is_ended = link.is_ended;
            link.changed = Some(context.waker().clone());
            let Some(router) = &mut link.router else { return Poll::Ready(()) };
            let due = if is_ended { router.end() } else { router.poll(platform.clock.now()) };
            let next = router.next_timeout();
            drop(link);
            let has_sent = due.is_some();
            if let Some(due) = due {
                send(&injector, &packet::advertisement(hardware, &due));
            }
            if is_ended {
                return Poll::Ready(());
            }
            timer.set(next);
            if !has_sent && timer.poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
}
