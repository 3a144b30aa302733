//! The option `--publish [ADDRESS:]PORT:PORT[/udp][@APP][,proxy-protocol]`.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::ops::RangeInclusive;

use anyhow::{Context as _, Result, bail};
use tokio::task::JoinSet;

use super::app::AppPlan;
use super::mount::Mounted;
use super::plan::Plan;
use super::serve::ServePlan;
use crate::address::port_range;
use crate::interface::Interface;
use crate::publish::{ProxyProtocol, Targets, TcpPublication, UdpPublication};
use crate::socket::Network;

/// A range of ports of this host that lead to as many ports of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublishPlan {
    text: String,
    host: IpAddr,
    ports: RangeInclusive<u16>,
    /// The app's address; `None` for those of its interfaces.
    address: Option<IpAddr>,
    first: u16,
    is_udp: bool,
    /// The index of the app.
    app: usize,
    proxy_protocol: Option<ProxyProtocol>,
}

/// The addresses at which an app may listen.
#[derive(Clone)]
struct Addresses {
    /// The interfaces that the app is reached on.
    interfaces: Vec<Interface>,
    /// The only address, if the option gives one.
    chosen: Option<IpAddr>,
}

/// The publications that run. They end when this is dropped.
pub(super) struct Published {
    _tasks: JoinSet<()>,
}

const FORM: &str = "it takes [ADDRESS:]PORT:[ADDRESS:]PORT[/udp][@APP][,proxy-protocol], such as 8080:80 or \
                    0.0.0.0:8000-8010:9000-9010@server";

impl PublishPlan {
    /// Parses the value of the option. Error messages name it.
    pub(super) fn parse(text: &str, apps: &[AppPlan]) -> Result<Self, String> {
        let problem = |problem: &str| format!("--publish {text}: {problem}");
        let mut parts = text.split(',');
        let first = parts.next().unwrap_or_default();
        let (ends, app) = first.split_once('@').map_or((first, None), |(ends, app)| (ends, Some(app)));
        let mut proxy_protocol = None;
        for option in parts {
            let version = match option {
                "proxy-protocol" | "proxy-protocol=v1" => ProxyProtocol::V1,
                "proxy-protocol=v2" => ProxyProtocol::V2,
                _ => return Err(problem(&format!("unknown option {option}; there is proxy-protocol[=v1|v2]"))),
            };
            if proxy_protocol.replace(version).is_some() {
                return Err(problem("proxy-protocol is given twice"));
            }
        }
        let (ends, is_udp) = match ends.split_once('/').unwrap_or((ends, "tcp")) {
            (ends, "tcp") => (ends, false),
            (ends, "udp") => (ends, true),
            (_, other) => return Err(problem(&format!("/{other}: it takes /tcp or /udp"))),
        };
        if is_udp && proxy_protocol.is_some() {
            return Err(problem("proxy-protocol is for TCP"));
        }
        let app = match (app, apps) {
            (None, [_]) => 0,
            (None, _) => return Err(problem("say which app, as in @server: there are several")),
            (Some(name), _) => {
                let mut named = apps.iter().enumerate().filter(|(_, app)| app.is_named(name));
                let (index, _) = named.next().ok_or_else(|| problem(&AppPlan::unknown(name, apps)))?;
                if named.next().is_some() {
                    return Err(problem(&format!(
                        "@{name}: there are several apps of that name, and a port leads to one"
                    )));
                }
                index
            }
        };
        let fields = fields(ends).ok_or_else(|| problem(FORM))?;
        let (host, ports, address, guest) = match fields.as_slice() {
            [ports, guest] => (None, *ports, None, *guest),
            [first, second, guest] => match (address(first), address(second)) {
                (Some(host), None) => (Some(host), *second, None, *guest),
                (None, Some(address)) => (None, *first, Some(address), *guest),
                _ => return Err(problem(FORM)),
            },
            [host, ports, own, guest] => {
                let (host, own) = (address(host), address(own));
                if host.is_none() || own.is_none() {
                    return Err(problem(FORM));
                }
                (host, *ports, own, *guest)
            }
            _ => return Err(problem(FORM)),
        };
        let range = |text| port_range(text).filter(|ports| *ports.start() > 0).ok_or_else(|| problem(FORM));
        let (ports, guest) = (range(ports)?, range(guest)?);
        if ports.len() != guest.len() {
            return Err(problem("the two ranges of ports are not of one length"));
        }
        Ok(Self {
            text: text.to_owned(),
            host: host.unwrap_or(Ipv4Addr::LOCALHOST.into()),
            ports,
            address,
            first: *guest.start(),
            is_udp,
            app,
            proxy_protocol,
        })
    }

    /// Opens the host's sockets, and carries what comes to them. Errors name the option.
    fn start(&self, plan: &Plan, mounted: &Mounted, tasks: &mut JoinSet<()>) -> Result<()> {
        let (network, addresses) = self.app_of(plan, mounted)?;
        for (port, guest) in self.ports.clone().zip(self.first..) {
            let at = SocketAddr::new(self.host, port);
            let cannot = || format!("--publish {}: cannot listen at {at}", self.text);
            let addresses = addresses.clone();
            let ends = move || addresses.now().into_iter().map(|address| SocketAddr::new(address, guest)).collect();
            let (network, targets) = (network.clone(), Targets::from_fn(ends));
            if self.is_udp {
                let socket = std::net::UdpSocket::bind(at).with_context(cannot)?;
                socket.set_nonblocking(true).with_context(cannot)?;
                let socket = tokio::net::UdpSocket::from_std(socket).with_context(cannot)?;
                tasks.spawn(UdpPublication { socket, network, targets }.run());
            } else {
                let listener = std::net::TcpListener::bind(at).with_context(cannot)?;
                listener.set_nonblocking(true).with_context(cannot)?;
                let listener = tokio::net::TcpListener::from_std(listener).with_context(cannot)?;
                let proxy_protocol = self.proxy_protocol;
                tasks.spawn(TcpPublication { listener, network, targets, proxy_protocol }.run());
            }
        }
        Ok(())
    }

    /// The network on which the app is reached, and the addresses at which it may listen. An app on a gateway is reached
    /// from there, and any other by its own network, as its neighbours on the same interfaces reach it.
    fn app_of(&self, plan: &Plan, mounted: &Mounted) -> Result<(Network, Addresses)> {
        // The app of `serve` was the last one.
        let app = plan.apps.get(self.app).or(plan.serve.as_ref().map(ServePlan::app));
        let app = app.context("there is no such app")?;
        let has = |name: &str| app.interfaces.as_ref().is_none_or(|names| names.iter().any(|known| known == name));
        let own: Vec<_> = plan.interfaces.iter().filter(|known| has(&known.name)).collect();
        let gateway = own.iter().find_map(|known| Some((known.name.as_str(), mounted.gateway(&known.name)?)));
        let (network, names) = match gateway {
            Some((name, gateway)) => (gateway.network(), vec![name]),
            None => {
                let names: Vec<&str> = own.iter().map(|known| known.name.as_str()).collect();
                (mounted.manager.network_of(names.clone())?, names)
            }
        };
        let interfaces = names.iter().rev().map(|name| mounted.manager.interface(name)).collect::<Result<_, _>>()?;
        let addresses = Addresses { interfaces, chosen: self.address };
        // An interface that is configured by its link may get the address later.
        let may_change = own.iter().any(|known| known.dhcp || known.autoconfiguration);
        let found = addresses.all();
        if let Some(address) = self.address
            && !(may_change || address.is_loopback() || found.contains(&address))
        {
            let found = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            bail!("--publish {}: the app has no address {address}; it has {found}", self.text);
        }
        Ok((network, addresses))
    }
}

impl Addresses {
    /// The addresses of the interfaces. Loopback ones come last: a server at all addresses is reached at the others.
    fn all(&self) -> Vec<IpAddr> {
        let of = |interface: &Interface| interface.addresses().into_iter().map(|known| known.address());
        let mut addresses: Vec<IpAddr> = self.interfaces.iter().flat_map(of).collect();
        addresses.sort_by_key(IpAddr::is_loopback);
        addresses
    }

    /// The addresses to try at present, in this order.
    fn now(&self) -> Vec<IpAddr> {
        match self.chosen {
            Some(address) => vec![address],
            None => self.all().into_iter().filter(|address| !is_link_local(*address)).collect(),
        }
    }
}

/// Opens the ports of a plan. Errors name the option.
pub(super) fn start(plan: &Plan, mounted: &Mounted) -> Result<Published> {
    let mut tasks = JoinSet::new();
    for publication in &plan.published {
        publication.start(plan, mounted, &mut tasks)?;
    }
    Ok(Published { _tasks: tasks })
}

const fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// The parts between colons; an IPv6 address is in brackets. `None` if a bracket is not closed.
fn fields(text: &str) -> Option<Vec<&str>> {
    let (mut fields, mut rest) = (Vec::new(), text);
    loop {
        let (field, next) = match rest.strip_prefix('[') {
            Some(bracketed) => {
                let (field, next) = bracketed.split_once(']')?;
                (field, next.strip_prefix(':').or(next.is_empty().then_some(""))?)
            }
            None => rest.split_once(':').unwrap_or((rest, "")),
        };
        fields.push(field);
        if next.is_empty() {
            return Some(fields);
        }
        rest = next;
    }
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::hub::{Hub, HubOptions};
    use crate::interface::InterfaceConfig;
    use crate::manager::Manager;
    use crate::platform::tokio::platform;

    fn apps(names: &[&str]) -> Vec<AppPlan> {
        names.iter().map(|name| AppPlan::new(name.into())).collect()
    }

    fn parse(text: &str) -> Result<PublishPlan, String> {
        PublishPlan::parse(text, &apps(&["server.wasm", "other.wasm"]))
    }

    #[test]
    fn ports_lead_from_the_host_s_loopback_unless_it_is_said_otherwise() {
        let plan = PublishPlan::parse("8080:80", &apps(&["server.wasm"])).expect("one app");
        assert_eq!((plan.host, plan.ports.clone(), plan.first), (Ipv4Addr::LOCALHOST.into(), 8080..=8080, 80));
        assert_eq!((plan.address, plan.is_udp, plan.app, plan.proxy_protocol), (None, false, 0, None));
        let plan = parse("0.0.0.0:8000-8010:9000-9010/udp@other").expect("a range");
        assert_eq!((plan.host, plan.ports.clone()), (Ipv4Addr::UNSPECIFIED.into(), 8000..=8010));
        assert_eq!((plan.first, plan.is_udp, plan.app), (9000, true, 1));
        let plan = parse("8080:10.0.2.15:80@server.wasm,proxy-protocol").expect("an app's address");
        assert_eq!(plan.address, Some([10, 0, 2, 15].into()));
        assert_eq!(plan.proxy_protocol, Some(ProxyProtocol::V1));
        let plan = parse("[::1]:8080:[fd00::f]:80/tcp@server,proxy-protocol=v2").expect("both addresses");
        assert_eq!((plan.host, plan.address), ("::1".parse().expect("IPv6"), "fd00::f".parse().ok()));
        assert_eq!(plan.proxy_protocol, Some(ProxyProtocol::V2));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("8080:80", "say which app"),
            ("8080@server", "it takes [ADDRESS:]PORT"),
            ("8080:80@nobody", "there is no app of that name"),
            ("8080:80/sctp@server", "/tcp or /udp"),
            ("0:80@server", "it takes"),
            ("8080:70000@server", "it takes"),
            ("8000-8010:80@server", "not of one length"),
            ("x:8080:80@server", "it takes"),
            ("[::1:8080:80@server", "it takes"),
            ("53:53/udp@server,proxy-protocol", "is for TCP"),
            ("8080:80@server,fast", "unknown option fast"),
            ("8080:80@server,proxy-protocol,proxy-protocol=v2", "given twice"),
            ("@server", "it takes"),
        ] {
            let problem = parse(text).expect_err(text);
            assert!(problem.starts_with("--publish ") && problem.contains(word), "{text}: {problem}");
        }
        let problem = PublishPlan::parse("8080:80@a", &apps(&["x/a.wasm", "y/a.wasm"])).expect_err("two of that name");
        assert!(problem.contains("several apps of that name"), "{problem}");
    }

    #[tokio::test]
    async fn an_app_is_looked_for_at_the_addresses_of_the_moment_with_loopback_at_the_end() {
        let manager = Manager::new(platform());
        let hub = Hub::new(manager.platform(), HubOptions::default());
        let addresses = ["10.0.0.1/24", "fe80::1/64"].map(|text| text.parse().expect("an address")).to_vec();
        let config = InterfaceConfig { addresses, ..InterfaceConfig::default() };
        let eth0 = manager.mount_interface("eth0", hub.port(), config).expect("an interface");
        let interfaces = vec![manager.interface("lo").expect("a loopback"), eth0.clone()];
        let addresses = Addresses { interfaces: interfaces.clone(), chosen: None };
        let now = |addresses: &Addresses| addresses.now().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(now(&addresses), ["10.0.0.1", "127.0.0.1", "::1"]);
        eth0.remove_address("10.0.0.1/24".parse().expect("an address")).expect("it has it");
        eth0.add_address("10.0.0.9/24".parse().expect("an address")).expect("room");
        assert_eq!(now(&addresses), ["10.0.0.9", "127.0.0.1", "::1"]);
        let chosen = Addresses { interfaces, chosen: Some([10, 0, 0, 7].into()) };
        assert_eq!(now(&chosen), ["10.0.0.7"]);
    }
}
