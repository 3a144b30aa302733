//! The parser of the option `--interface NAME=KIND[,key=value]...`.

use core::net::IpAddr;

use super::gateway::{self, GatewayPlan};
use super::hubs::{self, HubOption};
use super::values::{self, once, switch};
use crate::address::{Cidr, MacAddress, Route, is_unicast, is_v4_mapped};
use crate::manager::LOOPBACK;
use crate::socket::CongestionAlgorithm;
use crate::socket::dns::{MOST_DOMAINS, is_search_domain};

/// An interface as the option describes it.
#[derive(Debug)]
pub(super) struct InterfacePlan {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) addresses: Vec<Cidr>,
    pub(super) routes: Vec<Route>,
    pub(super) dns_servers: Vec<IpAddr>,
    pub(super) search_domains: Vec<String>,
    pub(super) hardware_address: Option<MacAddress>,
    /// Whether the interface gets its address by DHCP.
    pub(super) dhcp: bool,
    /// Whether the interface configures itself for IPv6 (SLAAC).
    pub(super) autoconfiguration: bool,
    /// Whether the interface makes temporary addresses (RFC 8981).
    pub(super) temporary: bool,
    pub(super) link_local: bool,
    /// The congestion control of connections that select none themselves.
    pub(super) congestion: Option<CongestionAlgorithm>,
}

/// The kind of device that an interface uses.
#[derive(Debug, PartialEq)]
pub(super) enum Kind {
    /// A loopback.
    Loopback,
    /// A TAP interface of the kernel. It keeps its MTU if none is given.
    Tap { device: String, mtu: Option<usize> },
    /// A port of a hub, with the hub's options that this interface gives.
    Hub { hub: String, options: Vec<HubOption> },
    /// The network of a gateway: the one that this name stands for, or one of its own. The options are those that this
    /// interface gives.
    Gateway { hub: Option<String>, options: GatewayPlan },
}

impl Kind {
    const fn name(&self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Tap { .. } => "tap",
            Self::Hub { .. } => "hub",
            Self::Gateway { .. } => "gateway",
        }
    }

    /// The name of the network that the interface shares with others, if it has one.
    pub(super) fn hub(&self) -> Option<&str> {
        match self {
            Self::Hub { hub, .. } => Some(hub),
            Self::Gateway { hub, .. } => hub.as_deref(),
            Self::Loopback | Self::Tap { .. } => None,
        }
    }

    /// Whether the interface's state is remembered for the next run. A hub is new in each run, as is the network of a
    /// gateway, and interfaces on them should behave the same in every run, whatever was run before.
    pub(super) const fn is_remembered(&self) -> bool {
        match self {
            Self::Tap { .. } => true,
            Self::Hub { .. } | Self::Gateway { .. } | Self::Loopback => false,
        }
    }

    const fn is_ethernet(&self) -> bool {
        match self {
            Self::Tap { .. } | Self::Hub { .. } | Self::Gateway { .. } => true,
            Self::Loopback => false,
        }
    }
}

const KINDS: &str = "gateway, hub, loopback and tap";

impl InterfacePlan {
    /// The loopback interface, which always exists.
    pub(super) fn loopback() -> Self {
        let addresses = [Cidr::new([127, 0, 0, 1].into(), 8), Cidr::new([0, 0, 0, 0, 0, 0, 0, 1u16].into(), 128)];
        Self {
            name: LOOPBACK.to_owned(),
            kind: Kind::Loopback,
            addresses: addresses.into_iter().flatten().collect(),
            routes: Vec::new(),
            dns_servers: Vec::new(),
            search_domains: Vec::new(),
            hardware_address: None,
            dhcp: false,
            autoconfiguration: false,
            temporary: false,
            link_local: false,
            congestion: None,
        }
    }

    /// The name of the interface's option in messages.
    pub(super) fn option(&self) -> String {
        format!("--interface {}={}", self.name, self.kind.name())
    }

    /// Parses the value of the option. Error messages name the option.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let whole = |problem: &str| format!("--interface {text}: {problem}");
        let Some((name, rest)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(whole("not NAME=KIND, such as eth0=tap,device=tap0,addr=192.0.2.2/24"));
        };
        if name == LOOPBACK {
            return Err(whole("lo is always there as it is; give another loopback another name"));
        }
        let mut parts = rest.split(',');
        let kind = match parts.next().unwrap_or_default() {
            "loopback" => Kind::Loopback,
            "tap" => Kind::Tap { device: String::new(), mtu: None },
            "hub" => Kind::Hub { hub: String::new(), options: Vec::new() },
            "gateway" => Kind::Gateway { hub: None, options: GatewayPlan::default() },
            "" => return Err(whole(&format!("missing kind; there are {KINDS}"))),
            other => return Err(whole(&format!("unknown kind {other}; there are {KINDS}"))),
        };
        let option = format!("--interface {name}={}", kind.name());
        Settings::read(&kind, parts)
            .and_then(|settings| settings.plan(name, &kind))
            .map_err(|problem| format!("{option}: {problem}"))
    }
}

/// The parsed key=value pairs of one interface.
#[derive(Default)]
struct Settings {
    addresses: Vec<Cidr>,
    gateways: Vec<IpAddr>,
    dns_servers: Vec<IpAddr>,
    search_domains: Vec<String>,
    hardware_address: Option<MacAddress>,
    device: Option<String>,
    mtu: Option<usize>,
    hub: Option<String>,
    options: Vec<HubOption>,
    gateway: GatewayPlan,
    dhcp: Option<bool>,
    autoconfiguration: Option<bool>,
    temporary: Option<bool>,
    link_local: Option<bool>,
    congestion: Option<CongestionAlgorithm>,
}

impl Settings {
    fn read<'a>(kind: &Kind, parts: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut settings = Self::default();
        for part in parts {
            let (key, value) = match part.split_once('=') {
                Some(pair) => pair,
                None if SWITCHES.contains(&part) || gateway::SWITCHES.contains(&part) => (part, "on"),
                None if part.is_empty() => return Err("there is a comma too many".into()),
                None => return Err(format!("{part} is not key=value")),
            };
            if SWITCHES.contains(&key) {
                if !kind.is_ethernet() {
                    return Err(format!("{key} needs an Ethernet link, which a {} is not", kind.name()));
                }
            } else if !keys(kind).contains(&key) {
                return Err(format!("unknown key {key}=; {} takes {}", kind.name(), taken(kind)));
            }
            if value.is_empty() {
                return Err(format!("{key}= has no value"));
            }
            settings.set(kind, key, value).map_err(|problem| format!("{key}={problem}"))?;
        }
        Ok(settings)
    }

    /// Parses one pair. Error messages begin with the value.
    fn set(&mut self, kind: &Kind, key: &str, value: &str) -> Result<(), String> {
        match (key, kind) {
            ("addr", _) => {
                let address = network_address(value)?;
                if self.addresses.iter().any(|known| known.address() == address.address()) {
                    return Err(format!("{value}: given twice"));
                }
                self.addresses.push(address);
            }
            ("gateway", _) => {
                let gateway = address(value)?;
                if self.gateways.iter().any(|known| known.is_ipv4() == gateway.is_ipv4()) {
                    return Err(format!("{value}: one gateway per family, IPv4 and IPv6, is what there can be"));
                }
                self.gateways.push(gateway);
            }
            ("dns", _) => self.dns_servers.push(address(value)?),
            ("search", _) => {
                if !is_search_domain(value) {
                    return Err(format!("{value}: not a domain such as corp.example"));
                }
                if self.search_domains.len() == MOST_DOMAINS {
                    return Err(format!("{value}: {MOST_DOMAINS} domains are all that can be searched"));
                }
                self.search_domains.push(value.to_owned());
            }
            ("mac", _) => {
                let example = "a unicast hardware address such as 02:00:00:00:00:01";
                let parsed = value.parse().map_err(|_| format!("{value}: not {example}"))?;
                once(&mut self.hardware_address, value, parsed)?;
            }
            ("dhcp", _) => once(&mut self.dhcp, value, switch(value)?)?,
            ("autoconf" | "autoconfiguration", _) => once(&mut self.autoconfiguration, value, switch(value)?)?,
            ("temporary", _) => once(&mut self.temporary, value, switch(value)?)?,
            ("link-local", _) => once(&mut self.link_local, value, switch(value)?)?,
            ("congestion", _) => once(&mut self.congestion, value, congestion(value)?)?,
            (key, Kind::Gateway { .. }) if gateway::KEYS.contains(&key) || gateway::SWITCHES.contains(&key) => {
                let known = self.gateway.set(key, value)?;
                debug_assert!(known, "it takes all of its keys");
            }
            ("device", _) => once(&mut self.device, value, value.to_owned())?,
            ("hub", _) => once(&mut self.hub, value, value.to_owned())?,
            ("mtu", Kind::Tap { .. }) => once(&mut self.mtu, value, values::whole(value)?)?,
            (key, _) => {
                let Some(option) = HubOption::parse(key, value)? else {
                    return Err(format!("{value}: not understood"));
                };
                let same = |known: &HubOption| core::mem::discriminant(known) == core::mem::discriminant(&option);
                if self.options.iter().any(same) {
                    return Err(format!("{value}: given twice"));
                }
                self.options.push(option);
            }
        }
        Ok(())
    }

    /// The interface, if no pair is missing and the pairs are consistent.
    fn plan(self, name: &str, kind: &Kind) -> Result<InterfacePlan, String> {
        let kind = match kind {
            Kind::Loopback => Kind::Loopback,
            Kind::Tap { .. } => Kind::Tap {
                device: self.device.ok_or(
                    "missing key device=; say which TAP device, such as device=tap0 made by \
                     `ip tuntap add tap0 mode tap`",
                )?,
                mtu: self.mtu,
            },
            Kind::Hub { .. } => Kind::Hub {
                hub: self.hub.ok_or(
                    "missing key hub=; name the hub, such as hub=net: interfaces that name the same are joined",
                )?,
                options: self.options,
            },
            Kind::Gateway { .. } => Kind::Gateway { hub: self.hub, options: self.gateway },
        };
        let (dhcp, autoconfiguration) = (self.dhcp.unwrap_or(false), self.autoconfiguration.unwrap_or(false));
        let temporary = self.temporary.unwrap_or(false);
        if temporary && !autoconfiguration {
            return Err("temporary: such addresses are made of what routers advertise; give autoconf too".into());
        }
        let addresses = match kind {
            Kind::Loopback if self.addresses.is_empty() => InterfacePlan::loopback().addresses,
            // The gateway says which address it has.
            Kind::Gateway { .. } => self.addresses,
            _ if self.addresses.is_empty() && !dhcp && !autoconfiguration => {
                return Err("missing key addr=; give the interface an address, such as addr=192.0.2.2/24, or ask a \
                            server for one with dhcp"
                    .into());
            }
            _ => self.addresses,
        };
        let routes = self.gateways.into_iter().map(|gateway| default_route(&addresses, gateway));
        Ok(InterfacePlan {
            name: name.to_owned(),
            kind,
            routes: routes.collect::<Result<_, _>>()?,
            addresses,
            dns_servers: self.dns_servers,
            search_domains: self.search_domains,
            hardware_address: self.hardware_address,
            dhcp,
            autoconfiguration,
            temporary,
            link_local: self.link_local.unwrap_or(true),
            congestion: self.congestion,
        })
    }
}

/// The keys that need no value. They are for Ethernet links.
const SWITCHES: [&str; 5] = ["dhcp", "autoconf", "autoconfiguration", "temporary", "link-local"];

/// The keys that a kind accepts, as text for messages.
fn taken(kind: &Kind) -> String {
    let mut taken: Vec<String> =
        keys(kind).iter().filter(|key| !gateway::SWITCHES.contains(key)).map(|key| format!("{key}=")).collect();
    if kind.is_ethernet() {
        taken.extend(["dhcp", "autoconf", "temporary", "link-local"].map(str::to_owned));
    }
    if let Kind::Gateway { .. } = kind {
        taken.extend(gateway::SWITCHES.map(str::to_owned));
    }
    taken.join(", ")
}

/// The keys with values that a kind accepts.
fn keys(kind: &Kind) -> Vec<&'static str> {
    match kind {
        Kind::Loopback => vec!["addr", "congestion"],
        Kind::Tap { .. } => vec!["device", "addr", "gateway", "dns", "search", "mac", "congestion", "mtu"],
        Kind::Hub { .. } => {
            [&["hub", "addr", "gateway", "dns", "search", "mac", "congestion"][..], &hubs::KEYS].concat()
        }
        Kind::Gateway { .. } => {
            [&["hub", "addr", "dns", "search", "mac", "congestion"][..], &gateway::KEYS, &gateway::SWITCHES].concat()
        }
    }
}

fn congestion(value: &str) -> Result<CongestionAlgorithm, String> {
    match value {
        "cubic" => Ok(CongestionAlgorithm::Cubic),
        "bbr" => Ok(CongestionAlgorithm::Bbr),
        "none" => Ok(CongestionAlgorithm::None),
        _ => Err(format!("{value}: there are the congestion controls cubic, bbr and none")),
    }
}

/// Parses an address of the interface with its prefix length. Without a prefix length no other host would be on the
/// link, which is hardly ever intended.
pub(super) fn network_address(text: &str) -> Result<Cidr, String> {
    let Some((host, _)) = text.split_once('/') else {
        let length = if address(text)?.is_ipv4() { 24 } else { 64 };
        return Err(format!("{text}: the prefix length is missing, such as {text}/{length}"));
    };
    let longest = match host_address(host) {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(problem) => return Err(format!("{text}: {problem}")),
    };
    text.parse().map_err(|_| format!("{text}: the prefix length is a number from 0 to {longest}"))
}

fn address(text: &str) -> Result<IpAddr, String> {
    host_address(text).map_err(|problem| format!("{text}: {problem}"))
}

/// Parses an address that a single host can have.
fn host_address(text: &str) -> Result<IpAddr, &'static str> {
    let address: IpAddr = text.parse().map_err(|_| "not an IPv4 or IPv6 address")?;
    if is_v4_mapped(address) {
        return Err("write it as an IPv4 address");
    }
    if !is_unicast(address) {
        return Err("not an address that a host can have");
    }
    Ok(address)
}

/// The default route through a gateway, which must be on the link, as `ip route` demands.
fn default_route(addresses: &[Cidr], gateway: IpAddr) -> Result<Route, String> {
    let link_local = matches!(gateway, IpAddr::V6(v6) if v6.is_unicast_link_local());
    if addresses.iter().any(|own| own.address() == gateway) {
        return Err(format!("gateway={gateway}: that is the interface's own address"));
    }
    // An address with a full-length prefix says nothing about the hosts on the link. The gateway is then taken to be on
    // the link, as with `onlink` of ip(8).
    let alone = |own: &Cidr| {
        let whole = if gateway.is_ipv4() { 32 } else { 128 };
        own.address().is_ipv4() == gateway.is_ipv4() && own.prefix() == whole
    };
    if !link_local && !addresses.iter().any(|own| own.contains(gateway) || alone(own)) {
        if addresses.is_empty() {
            return Err(format!("gateway={gateway}: no address is on the same network; give one with addr="));
        }
        let own: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        return Err(format!("gateway={gateway}: not on the link, whose addresses are {}", own.join(", ")));
    }
    Route::default_via(gateway).map_err(|error| format!("gateway={gateway}: {error}"))
}

#[cfg(test)]
mod tests;
