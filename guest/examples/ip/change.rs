//! The commands of `ip` that change something: addresses, DNS servers, links, routes, DHCP and autoconfiguration.

use std::net::IpAddr;
use std::time::Duration;

use xila_network::control::{Cidr, Interface, MacAddress, Route, State};
use xila_network::{Error, Family};

use crate::Options;
use crate::words::{Failure, Outcome, Words, all_interfaces, expected, garbage, missing, open};

const PREFIX: &str = "any valid prefix";
const ADDRESS: &str = "any valid address";

pub(crate) fn add_address(words: Words) -> Outcome {
    let (cidr, interface): (Cidr, _) = words.value_on_interface(PREFIX)?;
    Ok(interface.add_address(cidr)?)
}

pub(crate) fn remove_address(words: Words) -> Outcome {
    let (cidr, interface): (Cidr, _) = words.value_on_interface(PREFIX)?;
    Ok(interface.remove_address(cidr)?)
}

pub(crate) fn add_dns_server(words: Words) -> Outcome {
    let (server, interface): (IpAddr, _) = words.value_on_interface(ADDRESS)?;
    Ok(interface.add_dns_server(server)?)
}

pub(crate) fn remove_dns_server(words: Words) -> Outcome {
    let (server, interface): (IpAddr, _) = words.value_on_interface(ADDRESS)?;
    Ok(interface.remove_dns_server(server)?)
}

pub(crate) fn set_dhcp(words: Words, enabled: bool) -> Outcome {
    Ok(interface_of(words)?.set_dhcp(enabled)?)
}

pub(crate) fn set_autoconfiguration(words: Words, enabled: bool) -> Outcome {
    Ok(interface_of(words)?.set_autoconfiguration(enabled)?)
}

/// Parses `[dev] NAME`.
fn interface_of(mut words: Words) -> Outcome<Interface> {
    let name = match words.next() {
        Some(word) if word == "dev" => words.value("dev")?,
        Some(name) => name,
        None => return Err(missing("dev")),
    };
    words.finish()?;
    open(&name)
}

/// `link set [dev] NAME`, and the settings. All words are parsed before any setting is changed.
pub(crate) fn set_link(mut words: Words) -> Outcome {
    let name = match words.next() {
        Some(word) if word == "dev" => words.value("dev")?,
        Some(name) => name,
        None => return Err(missing("dev")),
    };
    let (mut state, mut mtu, mut address): (_, Option<u32>, Option<MacAddress>) = (None, None, None);
    while let Some(word) = words.next() {
        match word.as_str() {
            "up" => state = Some(State::Up),
            "down" => state = Some(State::Down),
            "mtu" => mtu = Some(words.parse("mtu")?),
            "address" => address = Some(words.parse("address")?),
            _ => return Err(garbage(&word)),
        }
    }
    let interface = open(&name)?;
    if let Some(mtu) = mtu {
        interface.set_mtu(mtu)?;
    }
    if let Some(address) = address {
        interface.set_hardware_address(address)?;
    }
    if let Some(state) = state {
        interface.set_state(state)?;
    }
    Ok(())
}

/// A route as it is given on the command line:
/// `PREFIX|default [via GATEWAY] [dev NAME] [metric NUMBER] [expires SECONDS]`.
struct Wanted {
    /// `None` for the default route.
    prefix: Option<Cidr>,
    gateway: Option<IpAddr>,
    interface: Option<Interface>,
    metric: Option<u32>,
    lifetime: Option<Duration>,
}

impl Wanted {
    fn read(mut words: Words) -> Outcome<Self> {
        let (mut prefix, mut gateway, mut interface, mut metric, mut lifetime) = (None, None, None, None, None);
        while let Some(word) = words.next() {
            match word.as_str() {
                "via" => gateway = Some(expected(&words.value("via")?, ADDRESS)?),
                "dev" => interface = Some(open(&words.value("dev")?)?),
                "metric" => metric = Some(words.parse("metric")?),
                "expires" => lifetime = Some(Duration::from_secs(words.parse("expires")?)),
                "default" if prefix.is_none() => prefix = Some(None),
                _ if prefix.is_none() => prefix = Some(Some(expected::<Cidr>(&word, PREFIX)?.network())),
                _ => return Err(garbage(&word)),
            }
        }
        let prefix = prefix.ok_or_else(|| missing("to"))?;
        Ok(Self { prefix, gateway, interface, metric, lifetime })
    }

    fn is(&self, route: &Route, family: Family) -> bool {
        let destination = route.destination();
        let same_destination = match self.prefix {
            Some(prefix) => destination == prefix,
            None => destination.prefix() == 0 && Family::of(destination.address()) == family,
        };
        same_destination
            && self.gateway.is_none_or(|gateway| gateway == route.gateway())
            && self.metric.is_none_or(|metric| metric == route.metric())
    }
}

pub(crate) fn add_route(words: Words, replace: bool) -> Outcome {
    let wanted = Wanted::read(words)?;
    let gateway = wanted.gateway.ok_or_else(|| missing("via"))?;
    let route = match wanted.prefix {
        Some(prefix) => Route::new(prefix, gateway)?,
        None => Route::default_via(gateway)?,
    };
    let mut route = route.with_metric(wanted.metric.unwrap_or(0));
    if let Some(lifetime) = wanted.lifetime {
        route = route.with_lifetime(lifetime);
    }
    let interface = match wanted.interface {
        Some(interface) => interface,
        None => interface_towards(gateway)?,
    };
    let is_there = |other: &Route| (other.destination(), other.metric()) == (route.destination(), route.metric());
    if !replace && interface.routes()?.iter().any(|info| is_there(&info.route)) {
        return Err(Error::AddressInUse.into());
    }
    Ok(interface.add_route(route)?)
}

/// The interface that has an address in the network of the gateway.
fn interface_towards(gateway: IpAddr) -> Outcome<Interface> {
    for (_, interface) in all_interfaces()? {
        if interface.addresses()?.iter().any(|info| info.cidr.contains(gateway)) {
            return Ok(interface);
        }
    }
    Err(Failure::new(2, "RTNETLINK answers: Network is unreachable"))
}

pub(crate) fn remove_route(words: Words, options: Options) -> Outcome {
    let mut wanted = Wanted::read(words)?;
    let family = wanted.gateway.map(Family::of).or(options.family).unwrap_or(Family::V4);
    let interfaces = match wanted.interface.take() {
        Some(interface) => vec![interface],
        None => all_interfaces()?.into_iter().map(|(_, interface)| interface).collect(),
    };
    let mut found: Option<(Route, Interface)> = None;
    for interface in interfaces {
        for info in interface.routes()? {
            let better = found.as_ref().is_none_or(|(before, _)| info.route.metric() < before.metric());
            if wanted.is(&info.route, family) && better {
                found = Some((info.route, Interface::open(&interface.name())?));
            }
        }
    }
    let (route, interface) = found.ok_or_else(|| Failure::from(Error::RemoteUnreachable))?;
    Ok(interface.remove_route(route)?)
}
