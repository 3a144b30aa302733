//! Mounts the interfaces of a plan, waits for their configuration, and unmounts them.

use std::fs::File;
use std::future;
use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use parking_lot::Mutex;

use super::gateway::GatewayNetwork;
use super::interface::{InterfacePlan, Kind};
use super::plan::{CapturePlan, Plan};
use super::services::{AppNames, HubServices, is_on};
use crate::address::Cidr;
use crate::device::Device;
use crate::device::hub::{Hub, HubOptions, HubPort};
use crate::device::loopback::Loopback;
use crate::device::pcap::Pcap;
use crate::error::ConfigureError;
use crate::gateway::Gateway;
use crate::interface::{AutoconfigurationState, DhcpState, Interface, InterfaceConfig};
use crate::manager::Manager;
use crate::platform::Platform;
use crate::services::Services;

/// The interval of the checks, at the end, whether all connections have ended.
const LOOK: Duration = Duration::from_millis(5);

/// The mounted interfaces of a plan.
pub(super) struct Mounted {
    pub(super) manager: Manager,
    pub(super) hubs: Vec<(String, Hub)>,
    gateways: Vec<MountedGateway>,
    captures: Vec<(String, Failure)>,
    /// What runs on hubs. It ends with this.
    services: Vec<Services>,
    world: World,
}

/// A gateway, and the interfaces on its network.
struct MountedGateway {
    /// The names of the interfaces.
    interfaces: Vec<String>,
    gateway: Gateway,
    names: Arc<AppNames>,
    /// The addresses that interfaces are given by `addr=`.
    given: Vec<IpAddr>,
    /// The number of the next configuration.
    next: u8,
}

impl MountedGateway {
    fn has(&self, interface: &str) -> bool {
        self.interfaces.iter().any(|name| name == interface)
    }

    /// A configuration that no other interface has.
    fn configuration(&mut self) -> Result<InterfaceConfig> {
        loop {
            let config = self.gateway.configuration(self.next)?;
            self.next = self.next.checked_add(1).context("too many interfaces are on this gateway")?;
            if !config.addresses.iter().any(|address| self.given.contains(&address.address())) {
                return Ok(config);
            }
        }
    }
}

/// The source of time and randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum World {
    /// The time and randomness of the machine. Hubs still lose the same frames in each run, unless their options say
    /// otherwise.
    Real,
    /// The time and randomness of a simulation: everything random follows from its seed.
    Simulated {
        /// The start of the simulated time, since 1970.
        began: Duration,
    },
}

/// A configuration that an interface lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) interface: String,
    /// The configuration in words, for messages.
    pub(super) configuration: &'static str,
    /// Whether the configuration may still come. Otherwise the router solicitations had no answer.
    pub(super) is_awaited: bool,
}

impl Missing {
    /// The configuration that an interface lacks: from a DHCP server, and from a router.
    fn of(interface: &Interface) -> Vec<Self> {
        let missing = |configuration, is_awaited| {
            let interface = interface.name().to_owned();
            Some(Self { interface, configuration, is_awaited })
        };
        let lease = match interface.dhcp().state {
            DhcpState::Searching => missing("DHCP lease", true),
            DhcpState::Off | DhcpState::Bound => None,
        };
        let router = match interface.autoconfiguration_status().state {
            AutoconfigurationState::Searching => missing("router advertisement", true),
            AutoconfigurationState::NoRouter => missing("router advertisement", false),
            AutoconfigurationState::Off | AutoconfigurationState::Configured => None,
        };
        lease.into_iter().chain(router).collect()
    }
}

/// The first error in writing a capture file, if there was one.
type Failure = Arc<Mutex<Option<io::Error>>>;

impl Mounted {
    /// Mounts all interfaces of a plan. Errors name the option.
    pub(super) fn new(plan: &Plan, platform: Platform, world: World) -> Result<Self> {
        let seed = || match world {
            World::Real => HubOptions::default().seed,
            World::Simulated { .. } => platform.random_u64(),
        };
        let hubs = plan.hubs.iter().map(|(name, hub)| {
            let is_served = plan.services.iter().any(|services| services.hub == *name && services.are_any());
            if let [port] = hub.ports.as_slice()
                && !is_served
            {
                tracing::warn!("hub {name} joins {port} to nothing: no other interface names it");
            }
            (name.clone(), Hub::new(&platform, hub.options(seed())))
        });
        let hubs = hubs.collect();
        let manager = Manager::without_loopback(platform);
        let (gateways, captures, services) = (Vec::new(), Vec::new(), Vec::new());
        let mut mounted = Self { manager, hubs, gateways, captures, services, world };
        // The services are there before the interfaces, which would ask again only after some seconds.
        let mut names = Vec::new();
        for services in plan.services.iter().filter(|services| services.are_any()) {
            names.push((services.hub.as_str(), mounted.serve(plan, services).with_context(|| services.option())?));
        }
        for network in &plan.gateways {
            mounted.lead_outside(network, &plan.interfaces)?;
        }
        for interface in &plan.interfaces {
            let capture = plan.captures.iter().find(|capture| capture.interface == interface.name);
            mounted.mount(interface, capture)?;
        }
        let interfaces = mounted.manager.interfaces();
        for (hub, names) in names {
            let is_here = |name: &str| plan.interfaces.iter().any(|plan| plan.name == name && is_on(plan, hub));
            names.set(is_here, &plan.apps, &interfaces);
        }
        for gateway in &mounted.gateways {
            gateway.names.set(|name| gateway.has(name), &plan.apps, &interfaces);
        }
        Ok(mounted)
    }

    /// Makes the gateway of a network. `plans` are those of all interfaces.
    fn lead_outside(&mut self, network: &GatewayNetwork, plans: &[InterfacePlan]) -> Result<()> {
        let (names, interfaces) = (Arc::new(AppNames::default()), network.interfaces.clone());
        let gateway = Gateway::with_names(self.manager.platform(), network.options(), Some(names.clone()))
            .with_context(|| format!("--interface {}=gateway", interfaces.join(", ")))?;
        let plans = plans.iter().filter(|plan| interfaces.contains(&plan.name));
        let given: Vec<IpAddr> = plans.flat_map(|plan| plan.addresses.iter().map(Cidr::address)).collect();
        if let Some(address) = given.iter().find(|address| !gateway.reserve(**address)) {
            bail!("--interface {}=gateway: addr={address} is leased by DHCP already", interfaces.join(", "));
        }
        self.gateways.push(MountedGateway { interfaces, gateway, names, given, next: 0 });
        Ok(())
    }

    /// Starts the services of a hub. Returns the names that they answer, of which there are none yet.
    fn serve(&mut self, plan: &Plan, services: &HubServices) -> Result<Arc<AppNames>> {
        let names = Arc::new(AppNames::default());
        let port = self.port(&services.hub)?;
        let mtu = port.capabilities().mtu;
        let config = services.config(&plan.interfaces, mtu, names.clone()).map_err(|problem| anyhow!(problem))?;
        self.services.push(Services::start(self.manager.platform(), port, config)?);
        Ok(names)
    }

    fn mount(&mut self, plan: &InterfacePlan, capture: Option<&CapturePlan>) -> Result<()> {
        let option = || plan.option();
        let mut device = self.device(plan).with_context(option)?;
        if let Some(capture) = capture {
            device = self.capture(device, capture)?;
        }
        let config = InterfaceConfig {
            hardware_address: plan.hardware_address,
            dns_servers: plan.dns_servers.clone(),
            search_domains: plan.search_domains.clone(),
            dhcp: plan.dhcp,
            autoconfiguration: plan.autoconfiguration,
            temporary_addresses: plan.temporary,
            link_local: plan.link_local,
            congestion: plan.congestion,
            remembered: plan.kind.is_remembered(),
            ..InterfaceConfig::default()
        };
        let config = match self.gateways.iter_mut().find(|it| it.has(&plan.name)) {
            // Its configuration is known, so apps need not wait for DHCP.
            Some(gateway) if plan.addresses.is_empty() && !plan.dhcp && !plan.autoconfiguration => {
                let known = gateway.configuration().with_context(option)?;
                let dns_servers = if plan.dns_servers.is_empty() { known.dns_servers } else { config.dns_servers };
                let is_searched = !plan.search_domains.is_empty();
                let search_domains = if is_searched { config.search_domains } else { known.search_domains };
                InterfaceConfig {
                    addresses: known.addresses,
                    routes: known.routes,
                    dns_servers,
                    search_domains,
                    ..config
                }
            }
            _ => config,
        };
        let interface = self.manager.mount_interface(&plan.name, device, config).with_context(option)?;
        // The addresses are added one by one, so that the message can name the wrong one.
        for address in &plan.addresses {
            interface.add_address(*address).map_err(|error| match error {
                ConfigureError::NoFreeSlot => {
                    anyhow!("{}: addr={address}: too many addresses for one interface", option())
                }
                error => anyhow!("{}: addr={address}: {error}", option()),
            })?;
        }
        for route in &plan.routes {
            interface.add_route(*route).with_context(|| format!("{}: gateway={}", option(), route.gateway()))?;
        }
        tracing::info!(name = plan.name, kind = interface.driver(), mtu = interface.mtu(), "mounted");
        Ok(())
    }

    /// Waits until no interface waits for its configuration any more, but at most for `patience`. Returns what is
    /// missing then.
    pub(super) async fn configured(&self, patience: Duration) -> Vec<Missing> {
        // The watch begins before the first check, so that no change is missed in between.
        let mut watch = self.manager.watch();
        let missing = || self.manager.interfaces().iter().flat_map(Missing::of).collect::<Vec<_>>();
        let configured = async {
            while missing().iter().any(|missing| missing.is_awaited) {
                watch.next().await;
            }
        };
        // Whether the time ran out is not needed: `missing` tells the caller what did not come.
        let _in_time = self.manager.platform().clock.within(patience, configured).await;
        missing()
    }

    /// The gateway of an interface, if it is on one.
    pub(super) fn gateway(&self, interface: &str) -> Option<&Gateway> {
        self.gateways.iter().find(|it| it.has(interface)).map(|it| &it.gateway)
    }

    fn device(&self, plan: &InterfacePlan) -> Result<Box<dyn Device>> {
        Ok(match &plan.kind {
            Kind::Loopback => Box::new(Loopback::new()),
            Kind::Hub { hub, .. } => Box::new(self.port(hub)?),
            Kind::Tap { device, mtu } => tap(device, *mtu)?,
            Kind::Gateway { .. } => Box::new(self.gateway(&plan.name).context("it has no gateway")?.port()),
        })
    }

    fn port(&self, hub: &str) -> Result<HubPort> {
        let known = self.hubs.iter().find(|(name, _)| name == hub);
        Ok(known.with_context(|| format!("there is no hub {hub}"))?.1.port())
    }

    fn capture(&mut self, device: Box<dyn Device>, plan: &CapturePlan) -> Result<Box<dyn Device>> {
        let option = format!("--pcap {}={}", plan.interface, plan.file.display());
        let cannot = || format!("{option}: cannot write the file");
        let failure = Failure::default();
        let file = CaptureFile { file: File::create(&plan.file).with_context(cannot)?, failure: failure.clone() };
        let captured = match self.world {
            World::Real => Pcap::new(device, file),
            World::Simulated { began } => Pcap::with_origin(device, file, began),
        };
        let captured = captured.with_context(cannot)?;
        self.captures.push((option, failure));
        Ok(Box::new(captured))
    }

    /// Waits until all data that apps sent over their connections has been acknowledged, and carried to the outside by
    /// gateways, but at most for `patience`. Returns the number of connections that have not ended by then. Those that
    /// gateways are only making have no data.
    pub(super) async fn settle(&self, patience: Duration) -> u64 {
        let (interfaces, platform) = (self.manager.interfaces(), self.manager.platform());
        let open = || {
            let carried = self.gateways.iter().map(|it| it.gateway.connections() as u64).sum::<u64>();
            interfaces.iter().map(|interface| interface.statistics().tcp_flows).sum::<u64>() + carried
        };
        let ended = async {
            while open() > 0 {
                platform.clock.within(LOOK, future::pending::<()>()).await;
            }
        };
        match platform.clock.within(patience, ended).await {
            Some(()) => 0,
            None => open(),
        }
    }

    /// Unmounts the interfaces. Their devices are closed then, and captures are complete; an error names a capture that
    /// is not.
    pub(super) fn unmount(self) -> Result<()> {
        for interface in self.manager.interfaces() {
            let device = self.manager.unmount_interface(interface.name()).context("cannot unmount an interface")?;
            drop(device);
        }
        for (option, failure) in self.captures {
            if let Some(error) = failure.lock().take() {
                bail!("{option}: the capture is not whole: {error}");
            }
        }
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn tap(device: &str, mtu: Option<usize>) -> Result<Box<dyn Device>> {
    let tap = crate::device::tap::Tap::open(device, mtu).with_context(|| format!("device={device}"))?;
    Ok(Box::new(tap))
}

#[cfg(not(target_os = "linux"))]
fn tap(_device: &str, _mtu: Option<usize>) -> Result<Box<dyn Device>> {
    bail!("TAP interfaces exist on Linux only; use a hub to join apps with each other")
}

/// A capture file that keeps its first error, because the device can only log it.
struct CaptureFile {
    file: File,
    failure: Failure,
}

impl CaptureFile {
    fn noting<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &result {
            let noted = io::Error::new(error.kind(), error.to_string());
            self.failure.lock().get_or_insert(noted);
        }
        result
    }
}

impl Write for CaptureFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.file.write(bytes);
        self.noting(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.file.flush();
        self.noting(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plan::tests::plan;
    use crate::platform::tokio::platform;
    use crate::socket::{ListenOptions, TcpListener, TcpStream};

    #[test]
    fn settling_waits_until_what_was_sent_last_has_arrived() {
        let a = "a=hub,hub=net,addr=10.0.0.1/24,latency=20ms";
        let plan = plan(&["-i", a, "-i", "b=hub,hub=net,addr=10.0.0.2/24", "x.wasm"]).expect("a plan");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mounted = Mounted::new(&plan, platform(), World::Real).expect("interfaces");
            let network = |name| mounted.manager.network_of([name]).expect("an interface");
            let server = "10.0.0.1:80".parse().expect("an address");
            let listener = TcpListener::bind(&network("a"), server, ListenOptions::default()).expect("a listener");
            let reader = tokio::spawn(async move {
                let (stream, _) = listener.accept().await.expect("a connection");
                let mut buffer = [0; 4096];
                let mut total = 0;
                loop {
                    match stream.read(&mut buffer).await.expect("data") {
                        0 => return total,
                        length => total += length,
                    }
                }
            });
            let stream = TcpStream::connect(&network("b"), server).await.expect("a connection");
            stream.write_all(&[7; 30_000]).await.expect("room");
            drop(stream);
            assert_eq!(mounted.settle(Duration::from_secs(60)).await, 0);
            assert!(reader.is_finished(), "the connection had not ended");
            assert_eq!(reader.await.expect("the reader"), 30_000);
            mounted.unmount().expect("no captures");
        });
    }

    #[test]
    fn an_interface_on_a_gateway_gets_no_address_that_another_is_given() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let mounted = |interfaces: &[&str]| {
            let words: Vec<&str> = interfaces.iter().flat_map(|text| ["-i", text]).chain(["x.wasm"]).collect();
            let mounted = Mounted::new(&plan(&words).expect("a plan"), platform(), World::Real).expect("interfaces");
            let interfaces = mounted.manager.interfaces();
            let address = |name: &str| {
                let interface = interfaces.iter().find(|interface| interface.name() == name).expect("an interface");
                interface.addresses().iter().map(Cidr::to_string).find(|text| text.contains('.')).expect("an address")
            };
            ["a", "b"].map(address)
        };
        runtime.expect("a runtime").block_on(async {
            let [first, second] = mounted(&["a=gateway,hub=n", "b=gateway,hub=n"]);
            assert_ne!(first, second);
            let given = format!("b=gateway,hub=n,addr={first}");
            assert_eq!(mounted(&["a=gateway,hub=n", &given]), [second, first]);
        });
    }

    /// A router advertisement of a prefix by fe80::66 (RFC 4861 section 4.2), in a frame to all nodes.
    fn advertisement() -> Vec<u8> {
        use core::net::Ipv6Addr;
        use smoltcp::wire::Icmpv6Packet;

        let (router, nodes) =
            (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x66), Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1));
        let network = Ipv6Addr::new(0xfd00, 5, 0, 0, 0, 0, 0, 0);
        let mut message = vec![134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        message.extend([3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 7, 8, 0, 0, 0, 0]);
        message.extend(network.octets());
        Icmpv6Packet::new_unchecked(&mut message[..]).fill_checksum(&router, &nodes);
        let mut frame = vec![0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0x66, 0x86, 0xdd];
        frame.extend([0x60, 0, 0, 0, 0, 48, 58, 255]);
        frame.extend([router.octets(), nodes.octets()].concat());
        frame.extend(message);
        frame
    }

    #[test]
    fn the_wait_ends_when_an_address_of_a_routers_prefix_can_be_used() {
        let plan = plan(&["-i", "a=hub,hub=net,autoconf", "x.wasm"]).expect("a plan");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mounted = Mounted::new(&plan, platform(), World::Real).expect("interfaces");
            let missing = Missing { interface: "a".into(), configuration: "router advertisement", is_awaited: true };
            assert_eq!(mounted.configured(Duration::ZERO).await, [missing]);
            let mut router = mounted.hubs[0].1.port();
            let (now, bytes) = (mounted.manager.platform().clock.now(), advertisement());
            let mut frame = router.allocate(now, bytes.len()).expect("room");
            frame.copy_from_slice(&bytes);
            router.transmit(now, frame).expect("a hub takes it");
            assert_eq!(mounted.configured(Duration::from_secs(60)).await, []);
            let addresses = mounted.manager.interface("a").expect("the interface").addresses();
            assert!(addresses.iter().any(|address| address.to_string().starts_with("fd00:5:")), "{addresses:?}");
        });
    }

    #[test]
    fn connections_have_the_congestion_control_of_their_interface() {
        use crate::socket::CongestionAlgorithm::{Bbr, Cubic, None as Unlimited};

        let words =
            ["-i", "a=loopback,congestion=cubic", "-i", "b=loopback", "-i", "c=loopback,congestion=bbr", "x.wasm"];
        let plan = plan(&words).expect("a plan");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mounted = Mounted::new(&plan, platform(), World::Real).expect("interfaces");
            for (name, congestion) in [("a", Cubic), ("b", Unlimited), ("c", Bbr)] {
                let network = mounted.manager.network_of([name]).expect("an interface");
                let server = "127.0.0.1:80".parse().expect("an address");
                let _listener = TcpListener::bind(&network, server, ListenOptions::default()).expect("a listener");
                let stream = TcpStream::connect(&network, server).await.expect("a connection");
                assert_eq!(stream.congestion(), congestion, "{name}");
            }
        });
    }
}
