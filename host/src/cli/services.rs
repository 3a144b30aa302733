//! The parser of the option `--hub NAME[,key=value]...`, and the services that it puts on a hub.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::RangeInclusive;
use core::time::Duration;
use std::sync::Arc;

use parking_lot::Mutex;

use super::app::AppPlan;
use super::hubs::{self, HubOption};
use super::interface::{InterfacePlan, Kind, network_address};
use super::values;
use crate::address::{Cidr, is_unicast};
use crate::interface::Interface;
use crate::services::{dhcp, dns, node, router};
use crate::socket::dns::is_search_domain;

/// The domain of the names on a hub, if none is given: it is reserved for such uses.
const DOMAIN: &str = "internal";

/// The keys of the services. The others are [options of the hub](hubs::KEYS).
const KEYS: &str = "addr=, dhcp=, pool=, lease=, ra=, dns=, forward=";

/// A hub as the option describes it.
#[derive(Debug, Default)]
pub(super) struct HubServices {
    /// The hub.
    pub(super) hub: String,
    pub(super) options: Vec<HubOption>,
    /// The addresses of the services, those in `dhcp` and `prefixes` included.
    addresses: Vec<Cidr>,
    /// The address of the DHCP server.
    dhcp: Option<Cidr>,
    pool: Option<RangeInclusive<Ipv4Addr>>,
    lease: Option<Duration>,
    /// The prefixes that are advertised, with the address of the services in each.
    prefixes: Vec<Cidr>,
    /// The domain of the names.
    domain: Option<String>,
    /// The DNS servers that are asked for other names.
    forward: Vec<SocketAddr>,
}

impl HubServices {
    /// The name of the option in messages.
    pub(super) fn option(&self) -> String {
        format!("--hub {}", self.hub)
    }

    /// Whether there is a service, and not only options of the hub.
    pub(super) fn are_any(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// Parses the value of the option. Error messages name the option.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split(',');
        let hub = parts.next().filter(|hub| !hub.is_empty() && !hub.contains('='));
        let hub = hub.ok_or_else(|| format!("--hub {text}: not NAME[,key=value]..., such as net,dhcp=10.0.0.0/24"))?;
        let mut services = Self { hub: hub.to_owned(), ..Self::default() };
        let option = services.option();
        for part in parts {
            services.set(part).map_err(|problem| format!("{option}: {problem}"))?;
        }
        services.check().map_err(|problem| format!("{option}: {problem}"))?;
        Ok(services)
    }

    fn set(&mut self, part: &str) -> Result<(), String> {
        let (key, value) = match part.split_once('=') {
            Some((key, value)) if !value.is_empty() => (key, value),
            Some((key, _)) => return Err(format!("{key}= has no value")),
            None if part == "dns" => ("dns", DOMAIN),
            None if part.is_empty() => return Err("there is a comma too many".into()),
            None => return Err(format!("{part} is not key=value")),
        };
        self.set_value(key, value).map_err(|problem| format!("{key}={problem}"))
    }

    /// Parses one pair. Error messages begin with the value.
    fn set_value(&mut self, key: &str, value: &str) -> Result<(), String> {
        let twice = || Err(format!("{value}: given twice"));
        match key {
            "addr" => self.add(network_address(value)?, value)?,
            "dhcp" => {
                let own = own_address(network_address(value)?);
                dhcp::Config::new(own).map_err(|_| {
                    format!("{value}: not an IPv4 network whose addresses hosts can have, such as 10.0.0.0/24")
                })?;
                if self.dhcp.replace(own).is_some() {
                    return twice();
                }
                self.add(own, value)?;
            }
            "pool" => {
                let parsed =
                    value.split_once('-').and_then(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?));
                let pool = parsed.ok_or_else(|| format!("{value}: not FIRST-LAST, such as 10.0.0.50-10.0.0.99"))?;
                if self.pool.replace(pool).is_some() {
                    return twice();
                }
            }
            "lease" => {
                if self.lease.replace(values::duration(value)?).is_some() {
                    return twice();
                }
            }
            "ra" => {
                let own = own_address(network_address(value)?);
                let is_local = matches!(own.address(), IpAddr::V6(address) if address.is_unicast_link_local());
                if own.address().is_ipv4() || own.prefix() != 64 || is_local || !is_unicast(own.address()) {
                    return Err(format!("{value}: not an IPv6 prefix of 64 bits, such as fd00:1::/64"));
                }
                self.add(own, value)?;
                self.prefixes.push(own);
            }
            "dns" => {
                if !is_search_domain(value) {
                    return Err(format!("{value}: not a domain such as {DOMAIN}"));
                }
                if self.domain.replace(value.to_owned()).is_some() {
                    return twice();
                }
            }
            "forward" => {
                let address = value.parse().map(|address| SocketAddr::new(address, dns::PORT));
                let address = address.or_else(|_| value.parse::<SocketAddr>());
                let address = address.ok().filter(|address| is_unicast(address.ip()));
                self.forward.push(address.ok_or_else(|| format!("{value}: not the address of a DNS server"))?);
            }
            key => match HubOption::parse(key, value)? {
                Some(option) => self.options.push(option),
                None => {
                    let of_hub: Vec<String> = hubs::KEYS.iter().map(|key| format!("{key}=")).collect();
                    return Err(format!("{value}: unknown key; --hub takes {KEYS}, {}", of_hub.join(", ")));
                }
            },
        }
        Ok(())
    }

    /// Adds an address of the services.
    fn add(&mut self, address: Cidr, text: &str) -> Result<(), String> {
        if self.addresses.iter().any(|known| known.address() == address.address()) {
            return Err(format!("{text}: {} is given twice", address.address()));
        }
        self.addresses.push(address);
        Ok(())
    }

    /// Checks that the keys fit together.
    fn check(&self) -> Result<(), String> {
        if self.dhcp.is_none() && (self.pool.is_some() || self.lease.is_some()) {
            return Err("pool= and lease= are about dhcp=; give that too".into());
        }
        if self.domain.is_none() && !self.forward.is_empty() {
            return Err("forward= is about dns; give that too".into());
        }
        if self.domain.is_some() && self.addresses.is_empty() {
            return Err(
                "dns needs an address to be asked at; give dhcp=, ra= or addr=, such as addr=10.0.0.53/24".into()
            );
        }
        let is_own = |server: &&SocketAddr| {
            server.port() == dns::PORT && self.addresses.iter().any(|own| own.address() == server.ip())
        };
        if let Some(own) = self.forward.iter().find(is_own) {
            return Err(format!("forward={}: it is the address of the services themselves", own.ip()));
        }
        // What is wrong with the pool, the lease or the prefixes is to be said before anything is started.
        if let Some(dhcp) = self.dhcp(&[], None)? {
            dhcp::Server::new(&dhcp).map_err(|problem| format!("dhcp=: {problem}"))?;
        }
        Ok(())
    }

    /// Checks that the services fit to the interfaces on their hub: none has one of their addresses.
    pub(super) fn check_interfaces(&self, interfaces: &[InterfacePlan]) -> Result<(), String> {
        for interface in interfaces.iter().filter(|interface| is_on(interface, &self.hub)) {
            let mut taken = interface.addresses.iter().map(Cidr::address);
            let is_own = |taken: &IpAddr| self.addresses.iter().any(|own| own.address() == *taken);
            if let Some(address) = taken.find(is_own) {
                return Err(format!(
                    "{}: interface {} has {address}, which is to be the address of the services; give another one",
                    self.option(),
                    interface.name
                ));
            }
        }
        Ok(())
    }

    /// The configuration of the DHCP server, which leases no address of `reserved`.
    fn dhcp(&self, reserved: &[Ipv4Addr], mtu: Option<u16>) -> Result<Option<dhcp::Config>, String> {
        let Some(own) = self.dhcp else { return Ok(None) };
        let mut config = dhcp::Config::new(own).map_err(|problem| format!("dhcp={own}: {problem}"))?;
        config.reserved = reserved.to_vec();
        // All addresses of the services in the network are taken.
        config.reserved.extend(self.v4());
        config.mtu = mtu;
        if let Some(pool) = &self.pool {
            config.pool = pool.clone();
        }
        if let Some(lease) = self.lease {
            config.lease = lease;
        }
        if let Some(domain) = &self.domain {
            config.dns_servers = v4(own.address()).into_iter().collect();
            config.domain = Some(domain.clone());
            config.search = vec![domain.clone()];
        }
        Ok(Some(config))
    }

    fn v4(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.addresses.iter().map(Cidr::address).filter_map(v4)
    }

    /// What is advertised. The services fill in their link-local address and their hardware address.
    fn router(&self, mtu: Option<u32>) -> Option<router::Config> {
        if self.prefixes.is_empty() {
            return None;
        }
        let hardware = crate::address::MacAddress::locally_administered([0; 6]);
        Some(router::Config {
            prefixes: self.prefixes.iter().filter_map(|own| router::Prefix::new(*own)).collect(),
            // A hub has no outside, so nobody is a default router.
            lifetime: Duration::ZERO,
            mtu,
            dns_servers: self
                .prefixes
                .iter()
                .filter(|_| self.domain.is_some())
                .filter_map(|own| v6(own.address()))
                .collect(),
            search: self.domain.iter().cloned().collect(),
            ..router::Config::new(Ipv6Addr::UNSPECIFIED, hardware)
        })
    }

    /// The services, on a hub with these interfaces and this MTU.
    pub(super) fn config(
        &self,
        interfaces: &[InterfacePlan],
        mtu: usize,
        names: Arc<AppNames>,
    ) -> Result<node::Config, String> {
        let on_hub = interfaces.iter().filter(|interface| is_on(interface, &self.hub));
        let reserved: Vec<Ipv4Addr> =
            on_hub.flat_map(|interface| &interface.addresses).map(Cidr::address).filter_map(v4).collect();
        let dns = self.domain.clone().map(|zone| dns::Config {
            zone,
            names,
            is_shared: false,
            hosts: None,
            networks: self.addresses.clone(),
            upstream: None,
        });
        Ok(node::Config {
            hardware_address: None,
            addresses: self.addresses.clone(),
            dhcp: self.dhcp(&reserved, u16::try_from(mtu).ok())?,
            router: self.router(u32::try_from(mtu).ok()),
            dns,
            forward: self.forward.clone(),
        })
    }
}

/// The address of the services in a network: the given one, or the first one if the network itself is given.
fn own_address(given: Cidr) -> Cidr {
    if given != given.network() {
        return given;
    }
    let first = match given.address() {
        IpAddr::V4(address) => address.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    };
    first.and_then(|first| Cidr::new(first, given.prefix()).ok()).unwrap_or(given)
}

fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn v6(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V6(address) => Some(address),
        IpAddr::V4(_) => None,
    }
}

/// Whether an interface is on a hub.
pub(super) fn is_on(interface: &InterfacePlan, name: &str) -> bool {
    match &interface.kind {
        Kind::Hub { hub, .. } => hub == name,
        Kind::Loopback | Kind::Tap { .. } | Kind::Gateway { .. } => false,
    }
}

/// The names of the apps on a network: of each interface on it, and of each app with interfaces of its own on it.
#[derive(Default)]
pub(super) struct AppNames {
    /// Names in lower case, those of interfaces first.
    known: Mutex<Vec<(String, Vec<Interface>)>>,
}

impl AppNames {
    /// Sets the names on a network, when its interfaces are mounted. `is_on` says which these are, by their names.
    pub(super) fn set(&self, is_on: impl Fn(&str) -> bool, apps: &[AppPlan], mounted: &[Interface]) {
        let here: Vec<&Interface> = mounted.iter().filter(|interface| is_on(interface.name())).collect();
        let mut known: Vec<(String, Vec<Interface>)> =
            here.iter().map(|interface| (interface.name().to_owned(), vec![(*interface).clone()])).collect();
        let interfaces = known.len();
        for app in apps {
            // An app without interfaces of its own shares the computer of others.
            let Some(own) = &app.interfaces else { continue };
            let own = here.iter().filter(|interface| own.iter().any(|name| name == interface.name()));
            let own: Vec<Interface> = own.map(|interface| (*interface).clone()).collect();
            let name = app.name();
            let name = name.strip_suffix(".wasm").unwrap_or(&name).to_ascii_lowercase();
            // Apps of the same component are known by one name, unless it is that of an interface.
            match known.iter().position(|(known, _)| *known == name) {
                Some(place) if place < interfaces => {}
                Some(place) => known[place].1.extend(own),
                None if own.is_empty() => {}
                None => known.push((name, own)),
            }
        }
        *self.known.lock() = known;
    }
}

impl dns::Names for AppNames {
    fn lookup(&self, name: &str) -> Option<Vec<IpAddr>> {
        let known = self.known.lock();
        let Some((_, interfaces)) = known.iter().find(|(known, _)| known == name) else {
            // What is between a name and the zone exists, too (RFC 8020).
            let is_above = |known: &str| known.strip_suffix(name).is_some_and(|below| below.ends_with('.'));
            return known.iter().any(|(known, _)| is_above(known)).then(Vec::new);
        };
        let mut addresses: Vec<IpAddr> = interfaces.iter().flat_map(global).collect();
        // Two apps may share an interface.
        addresses.sort_unstable();
        addresses.dedup();
        Some(addresses)
    }

    fn reverse(&self, address: IpAddr) -> Option<String> {
        let known = self.known.lock();
        let found = known.iter().find(|(_, interfaces)| interfaces.iter().flat_map(global).any(|own| own == address));
        found.map(|(name, _)| name.clone())
    }
}

/// The addresses of an interface that have a meaning elsewhere than on its own link.
fn global(interface: &Interface) -> impl Iterator<Item = IpAddr> {
    let is_local = |address: &IpAddr| matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    interface.addresses().into_iter().map(|address| address.address()).filter(move |address| !is_local(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::mount::{Mounted, World};
    use crate::cli::plan::tests::plan;
    use crate::platform::simulated::Simulation;
    use crate::socket::{ResolveError, Resolver, ResolverOptions};

    fn problem(text: &str) -> String {
        HubServices::parse(text).map(|_| ()).expect_err(text)
    }

    #[test]
    fn a_network_gives_its_first_address_to_the_services() {
        let parsed =
            HubServices::parse("net,dhcp=10.0.0.0/24,ra=fd00:1::/64,dns,latency=5ms,lease=600s").expect("services");
        let addresses: Vec<String> = parsed.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["10.0.0.1/24", "fd00:1::1/64"]);
        assert_eq!((parsed.hub.as_str(), parsed.domain.as_deref()), ("net", Some("internal")));
        assert_eq!(parsed.options, [HubOption::Latency(Duration::from_millis(5))]);
        let config = parsed.config(&[], 1400, Arc::default()).expect("a configuration");
        let dhcp = config.dhcp.expect("a DHCP server");
        assert_eq!(
            (dhcp.lease, dhcp.mtu, dhcp.dns_servers),
            (Duration::from_secs(600), Some(1400), vec![[10, 0, 0, 1].into()])
        );
        let router = config.router.expect("advertisements");
        assert_eq!((router.prefixes.len(), router.mtu, router.lifetime), (1, Some(1400), Duration::ZERO));
        assert_eq!(router.dns_servers, ["fd00:1::1".parse::<Ipv6Addr>().expect("an address")]);
        let other =
            HubServices::parse("net,dhcp=10.0.0.254/24,pool=10.0.0.9-10.0.0.9,dns=lab.example,forward=10.0.0.53")
                .expect("services");
        let config = other.config(&[], 1500, Arc::default()).expect("a configuration");
        assert_eq!(config.addresses, ["10.0.0.254/24".parse().expect("an address")]);
        assert_eq!(config.forward, ["10.0.0.53:53".parse().expect("an address")]);
        assert!(!HubServices::parse("net,loss=1%").expect("options").are_any());
    }

    #[test]
    fn mistakes_name_the_option_and_the_value() {
        for (text, words) in [
            ("", "not NAME"),
            ("dhcp=10.0.0.0/24", "not NAME"),
            ("net,", "a comma too many"),
            ("net,dhcp", "dhcp is not key=value"),
            ("net,dhcp=", "dhcp= has no value"),
            ("net,speed=5", "speed=5: unknown key; --hub takes addr=, dhcp="),
            ("net,dhcp=10.0.0.0", "the prefix length is missing"),
            ("net,dhcp=10.0.0.0/32", "not an IPv4 network"),
            ("net,dhcp=fd00::/64", "not an IPv4 network"),
            ("net,dhcp=10.0.0.0/24,dhcp=10.0.1.0/24", "given twice"),
            ("net,dhcp=10.0.0.0/24,addr=10.0.0.1/24", "10.0.0.1 is given twice"),
            ("net,dhcp=10.0.0.0/24,pool=10.0.0.9", "not FIRST-LAST"),
            ("net,dhcp=10.0.0.0/24,pool=10.0.1.9-10.0.1.10", "the pool is empty, not within the network"),
            ("net,dhcp=10.0.0.0/24,pool=10.0.0.1-10.0.0.1", "has only addresses that are taken"),
            ("net,dhcp=10.0.0.0/24,addr=10.0.0.2/24,pool=10.0.0.1-10.0.0.2", "has only addresses that are taken"),
            ("net,dhcp=10.0.0.0/24,dns,forward=10.0.0.1", "forward=10.0.0.1: it is the address of the services"),
            ("net,dhcp=240.0.0.0/8", "240.0.0.0/8: not an IPv4 network"),
            ("net,dhcp=10.0.0.0/24,lease=10ms", "shorter than a second"),
            ("net,pool=10.0.0.9-10.0.0.10", "give that too"),
            ("net,ra=fd00::/48", "not an IPv6 prefix of 64 bits"),
            ("net,ra=10.0.0.0/24", "not an IPv6 prefix of 64 bits"),
            ("net,ra=fe80::/64", "not an IPv6 prefix of 64 bits"),
            ("net,dns", "dns needs an address"),
            ("net,addr=10.0.0.1/24,dns=a..b", "not a domain"),
            ("net,addr=10.0.0.1/24,forward=10.0.0.2", "give that too"),
            ("net,addr=10.0.0.1/24,dns,forward=resolver", "not the address of a DNS server"),
            ("net,latency=5", "latency=5: a time needs a unit"),
        ] {
            let problem = problem(text);
            assert!(problem.starts_with("--hub") && problem.contains(words), "{text}: {problem}");
        }
    }

    #[test]
    fn a_hub_has_to_be_used_and_its_addresses_to_be_free() {
        const A: &str = "a=hub,hub=net,addr=10.0.0.1/24,latency=5ms";
        let problem = |hubs: &[&str]| {
            let hubs = hubs.iter().flat_map(|hub| ["--hub", *hub]);
            plan(&["-i", A].into_iter().chain(hubs).chain(["x.wasm"]).collect::<Vec<_>>())
                .map(|_| ())
                .expect_err("a mistake")
        };
        assert!(
            problem(&["other,dhcp=10.0.0.0/24"]).contains("--hub other: no interface is on that hub; there are net")
        );
        assert!(problem(&["net,dhcp=10.0.0.0/24"]).contains("interface a has 10.0.0.1"));
        assert!(problem(&["net,dhcp=10.0.1.0/24", "net,loss=1%"]).contains("given twice"));
        let contradiction = problem(&["net,latency=6ms"]);
        assert!(contradiction.contains("--hub net: latency= contradicts") && contradiction.contains("interface a"));
        let fine = plan(&["-i", A, "--hub", "net,dhcp=10.0.0.9/24,loss=1%", "x.wasm"]).expect("a plan");
        assert_eq!((fine.services.len(), fine.hubs["net"].options(0).loss), (1, 0.01));
        let config = fine.services[0].config(&fine.interfaces, 1500, Arc::default()).expect("a configuration");
        assert!(config.dhcp.expect("a DHCP server").reserved.contains(&[10, 0, 0, 1].into()), "interface a has it");
    }

    #[test]
    fn interfaces_and_apps_are_known_by_their_names() {
        let words = [
            "--hub",
            "net,dhcp=10.0.0.0/24,dns",
            "-i",
            "a=hub,hub=net,dhcp",
            "-i",
            "b=hub,hub=net,addr=10.0.0.9/24",
            "-i",
            "c=hub,hub=other,addr=10.1.0.1/24",
            "--app",
            "@a dir/Web.wasm",
            "--app",
            "@b,c web.wasm",
            "--app",
            "@c only.wasm",
            "--app",
            "@c b.wasm",
            "y.wasm",
        ];
        let plan = plan(&words).expect("a plan");
        let simulation = Simulation::new(4);
        let world = World::Simulated { began: Duration::ZERO };
        let mounted = Mounted::new(&plan, simulation.platform(), world).expect("interfaces and services");
        simulation.block_on(async {
            assert_eq!(mounted.configured(Duration::from_secs(60)).await, []);
            let addresses = mounted.manager.interface("a").expect("it is mounted").addresses();
            let leased = addresses.iter().map(Cidr::address).find(IpAddr::is_ipv4).expect("a lease");
            let static_one: IpAddr = [10, 0, 0, 9].into();
            let network = mounted.manager.network_of(["a"]).expect("it is mounted");
            let resolver = Resolver::new(network, ResolverOptions::default());
            for (name, expected) in
                [("a.internal", vec![leased]), ("b.internal", vec![static_one]), ("WEB", vec![leased, static_one])]
            {
                let mut found = resolver.resolve(name, None).await.expect(name);
                found.sort_unstable();
                assert_eq!(found, expected, "{name}");
            }
            for name in ["c.internal", "only.internal", "y.internal", "web.wasm.internal"] {
                assert_eq!(resolver.resolve(name, None).await, Err(ResolveError::NameNotFound), "{name}");
            }
            assert_eq!(resolver.reverse(static_one).await, Ok(vec!["b.internal.".into()]));
        });
        mounted.unmount().expect("no captures");
    }
}
