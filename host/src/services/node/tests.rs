use core::time::Duration;

use super::*;
use crate::address::Route;
use crate::device::hub::{Hub, HubOptions};
use crate::error::ConnectError;
use crate::interface::{AutoconfigurationState, DhcpState};
use crate::platform::simulated::Simulation;
use crate::socket::{TcpStream, UdpSocket};

const SECOND: Duration = Duration::from_secs(1);

/// Knows `server`.
struct Known;

impl dns::Names for Known {
    fn lookup(&self, name: &str) -> Option<Vec<IpAddr>> {
        (name == "server").then(|| vec![[10, 0, 0, 77].into()])
    }

    fn reverse(&self, _: IpAddr) -> Option<String> {
        None
    }
}

fn cidr(text: &str) -> Cidr {
    text.parse().expect("an address")
}

/// A DHCP server for two addresses, a prefix, and names.
fn config() -> Config {
    let (v4, v6) = (cidr("10.0.0.1/24"), cidr("fd00:1::1/64"));
    let servers = (Ipv4Addr::new(10, 0, 0, 1), "fd00:1::1".parse().expect("an address"));
    let dhcp = dhcp::Config {
        pool: Ipv4Addr::new(10, 0, 0, 50)..=Ipv4Addr::new(10, 0, 0, 51),
        lease: Duration::from_secs(600),
        dns_servers: vec![servers.0],
        domain: Some("internal".into()),
        ..dhcp::Config::new(v4).expect("a host's address")
    };
    // The services replace both addresses.
    let hardware = MacAddress::new([2, 0, 0, 0, 0, 1]).expect("a unicast address");
    let router = router::Config {
        prefixes: router::Prefix::new(v6).into_iter().collect(),
        lifetime: Duration::ZERO,
        dns_servers: vec![servers.1],
        ..router::Config::new(Ipv6Addr::UNSPECIFIED, hardware)
    };
    let names = Arc::new(Known);
    let dns = dns::Config {
        zone: "internal".into(),
        names,
        is_shared: false,
        hosts: None,
        networks: vec![v4, v6],
        upstream: None,
    };
    Config {
        addresses: vec![v6],
        hardware_address: None,
        dhcp: Some(dhcp),
        router: Some(router),
        dns: Some(dns),
        forward: Vec::new(),
    }
}

struct World {
    simulation: Simulation,
    hub: Hub,
    services: Services,
}

impl World {
    fn new(config: Config) -> Self {
        let simulation = Simulation::new(9);
        let options = HubOptions { latency: SECOND / 1000, ..HubOptions::default() };
        let hub = Hub::new(&simulation.platform(), options);
        let services = Services::start(&simulation.platform(), hub.port(), config).expect("services");
        Self { simulation, hub, services }
    }

    /// A host that configures itself.
    fn host(&self) -> (Manager, Interface) {
        let manager = Manager::without_loopback(self.simulation.platform());
        let config = InterfaceConfig { dhcp: true, autoconfiguration: true, ..InterfaceConfig::default() };
        let interface = manager.mount_interface("eth0", self.hub.port(), config).expect("an interface");
        (manager, interface)
    }

    fn leased(&self) -> Vec<IpAddr> {
        self.services.leases().iter().map(|lease| lease.address.into()).collect()
    }
}

fn v4(interface: &Interface) -> Vec<IpAddr> {
    interface.addresses().iter().map(Cidr::address).filter(IpAddr::is_ipv4).collect()
}

#[test]
fn a_default_router_stays_one_when_hosts_have_asked_for_its_hardware_address() {
    let good = config();
    let router = good.router.clone().map(|router| router::Config { lifetime: SECOND * 1800, ..router });
    let world = World::new(Config { router, ..good });
    let (_manager, interface) = world.host();
    world.simulation.advance(SECOND * 10);
    let routes = || interface.routes().iter().filter(|route| route.destination().prefix() == 0).count();
    assert_eq!(routes(), 1);
    for _ in 0..20 {
        world.simulation.advance(SECOND);
        assert_eq!(routes(), 1, "a host forgets a router that says it is none (RFC 4861 section 7.2.5)");
    }
}

#[test]
fn hosts_get_leases_prefixes_and_names() {
    let world = World::new(config());
    let (manager, interface) = world.host();
    world.simulation.advance(SECOND * 10);
    assert_eq!(v4(&interface), [IpAddr::from([10, 0, 0, 50])]);
    assert_eq!(interface.autoconfiguration_status().state, AutoconfigurationState::Configured);
    let prefix = cidr("fd00:1::/64");
    assert!(interface.addresses().iter().any(|address| prefix.contains(address.address())));
    assert_eq!(interface.dns_servers(), [IpAddr::from([10, 0, 0, 1]), "fd00:1::1".parse().expect("an address")]);
    assert_eq!(interface.search_domains(), ["internal"]);
    assert!(interface.routes().iter().all(|route| route.destination().prefix() > 0), "nobody is a default router");
    let found = world.simulation.block_on(manager.resolver().resolve("server", None));
    assert_eq!(found, Ok(vec![[10, 0, 0, 77].into()]));
    let statistics = world.services.dhcp_statistics().expect("a DHCP server");
    assert_eq!((statistics.offers, statistics.acknowledgements, statistics.malformed), (1, 1, 0));
    assert_eq!(world.services.leases()[0].hardware, interface.hardware_address().expect("it is an Ethernet"));
    // It renews the lease at half of its time, by unicast.
    world.simulation.advance(SECOND * 3600);
    assert_eq!((v4(&interface), interface.dhcp().state), (vec![[10, 0, 0, 50].into()], DhcpState::Bound));
    let acknowledgements = world.services.dhcp_statistics().expect("a DHCP server").acknowledgements;
    assert!((10..=14).contains(&acknowledgements), "{acknowledgements}");
    assert_eq!(world.services.dhcp_statistics().expect("a DHCP server").offers, 1);
}

#[test]
fn a_pool_that_is_exhausted_is_silent_until_a_lease_is_given_back() {
    let world = World::new(config());
    let [first, second, third] = [(); 3].map(|()| world.host());
    world.simulation.advance(SECOND * 10);
    let have = |host: &(Manager, Interface)| v4(&host.1).len();
    let hosts = [&first, &second, &third];
    assert_eq!(hosts.map(have).iter().sum::<usize>(), 2, "two of the three");
    assert_eq!(world.leased().len(), 2);
    assert!(world.services.dhcp_statistics().expect("a DHCP server").exhausted > 0);
    let (lucky, unlucky): (Vec<_>, Vec<_>) = hosts.into_iter().partition(|host| have(host) == 1);
    let address = v4(&lucky[0].1);
    lucky[0].1.set_dhcp(false).expect("it is mounted");
    world.simulation.advance(SECOND * 90);
    assert_eq!(world.services.dhcp_statistics().expect("a DHCP server").released, 1);
    assert_eq!(v4(&unlucky[0].1), address);
}

#[test]
fn an_address_that_somebody_has_is_declined_and_another_one_leased() {
    let world = World::new(config());
    let squatter = Manager::without_loopback(world.simulation.platform());
    let address = InterfaceConfig { addresses: vec![cidr("10.0.0.50/24")], ..InterfaceConfig::default() };
    squatter.mount_interface("eth0", world.hub.port(), address).expect("an interface");
    world.simulation.advance(SECOND * 10);
    let (_manager, interface) = world.host();
    world.simulation.advance(SECOND * 30);
    assert_eq!(v4(&interface), [IpAddr::from([10, 0, 0, 51])]);
    assert_eq!(world.services.dhcp_statistics().expect("a DHCP server").declined, 1);
    assert_eq!(world.leased(), [IpAddr::from([10, 0, 0, 51])]);
}

#[test]
fn the_last_advertisement_withdraws_the_names() {
    let world = World::new(Config { dhcp: None, ..config() });
    let (_manager, interface) = world.host();
    world.simulation.advance(SECOND * 10);
    assert_eq!(interface.dns_servers().len(), 1);
    world.services.end();
    world.simulation.advance(SECOND);
    assert_eq!(interface.dns_servers().len(), 0);
    world.simulation.advance(SECOND * 3600);
    assert_eq!(interface.dns_servers().len(), 0, "nothing is advertised any more");
}

#[test]
fn datagrams_to_the_port_of_dhcp_that_are_not_for_the_server_pass() {
    let world = World::new(config());
    let (manager, interface) = world.host();
    let (peer, _) = world.host();
    world.simulation.advance(SECOND * 10);
    let own = SocketAddr::new(v4(&interface)[0], dhcp::SERVER_PORT);
    let any = |port| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
    let socket = UdpSocket::bind(&manager.network(), any(dhcp::SERVER_PORT)).expect("a socket");
    let sender = UdpSocket::bind(&peer.network(), any(0)).expect("a socket");
    sender.set_broadcast(true);
    let all = "10.0.0.255:67".parse().expect("an address");
    world.simulation.block_on(async {
        for to in [own, all] {
            sender.send_to(b"not DHCP", to).await.expect("it is sent");
            assert_eq!(socket.recv_datagram().await.expect("it arrives").data, b"not DHCP");
        }
    });
    let malformed = || world.services.dhcp_statistics().expect("a DHCP server").malformed;
    assert_eq!(malformed(), 0);
    for to in ["10.0.0.1:67", "255.255.255.255:67"] {
        let to = to.parse().expect("an address");
        world.simulation.block_on(sender.send_to(b"not DHCP", to)).expect("it is sent");
    }
    world.simulation.advance(SECOND);
    assert_eq!(malformed(), 2);
}

#[cfg(feature = "gateway")]
#[test]
fn dns_is_served_at_the_addresses_of_the_services_even_where_their_stack_takes_packets_for_every_host() {
    let world = World::new(config());
    world.services.interface().set_every_address(true).expect("it is mounted");
    let (manager, interface) = world.host();
    world.simulation.advance(SECOND * 10);
    interface.add_route(Route::default_via([10, 0, 0, 1].into()).expect("a route")).expect("it is mounted");
    let connect = |to: &str| {
        let to = SocketAddr::new(to.parse().expect("an address"), dns::PORT);
        world.simulation.block_on(TcpStream::connect(&manager.network(), to)).map(drop)
    };
    assert_eq!(connect("10.0.0.1"), Ok(()));
    assert_eq!(connect("fd00:1::1"), Ok(()));
    assert_eq!(connect("192.0.2.7"), Err(ConnectError::ConnectionRefused));
}

#[test]
fn services_that_cannot_be_are_refused_and_leave_nothing() {
    let simulation = Simulation::new(1);
    let hub = Hub::new(&simulation.platform(), HubOptions::default());
    let start = |config| Services::start(&simulation.platform(), hub.port(), config).map(drop);
    let good = config();
    let dhcp = good.dhcp.clone().map(|dhcp| dhcp::Config { lease: Duration::ZERO, ..dhcp });
    assert!(matches!(start(Config { dhcp, ..good.clone() }), Err(StartError::Dhcp(_))));
    let router = good.router.clone().map(|router| router::Config { interval: Duration::ZERO, ..router });
    assert!(matches!(start(Config { router, ..good.clone() }), Err(StartError::Router(_))));
    let dns = good.dns.clone().map(|dns| dns::Config { zone: ".".into(), ..dns });
    assert!(matches!(start(Config { dns, ..good.clone() }), Err(StartError::Dns(_))));
    let loopback = crate::device::loopback::Loopback::new();
    assert!(matches!(
        Services::start(&simulation.platform(), loopback, good.clone()).map(drop),
        Err(StartError::Medium)
    ));
    // After that, and after their end, nothing keeps the time going.
    start(good).expect("services");
    simulation.advance(SECOND * 3600);
    assert!(simulation.try_block_on(core::future::pending::<()>()).is_err(), "a task waits for its time");
}
