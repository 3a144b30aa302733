//! The commands of `ip` that only print: links, addresses, routes, neighbours, DNS servers, DHCP and autoconfiguration.

use std::net::IpAddr;
use std::time::Duration;

use xila_network::control::{
    AddressInfo, AutoconfigurationState, Cidr, Counters, DhcpState, Interface, Kind, Lease, Link, Origin, Route,
    RouteInfo, State,
};
use xila_network::{Family, Result};

use crate::Options;
use crate::words::{Outcome, Words};

/// A neighbour that was confirmed within this time is shown as reachable, otherwise as stale (RFC 4861 section 10).
const REACHABLE: Duration = Duration::from_secs(30);

pub(crate) fn addresses(words: Words, options: Options) -> Outcome {
    for (number, interface) in words.interfaces()? {
        let mut addresses = interface.addresses()?;
        addresses.retain(|info| is_wanted(info.cidr.address(), options));
        if options.brief {
            let addresses: Vec<String> = addresses.iter().map(|info| info.cidr.to_string()).collect();
            println!("{:<16} {:<14} {}", interface.name(), state_word(&interface)?, addresses.join(" "));
            continue;
        }
        if options.family.is_some() && addresses.is_empty() {
            continue;
        }
        println!("{}", link_line(number, &interface)?);
        if options.family.is_none() {
            println!("    {}", hardware_words(&interface)?);
        }
        for info in &addresses {
            println!("    {}", address_lines(info, &interface.name()));
        }
        if options.statistics {
            print_statistics(&interface)?;
        }
    }
    Ok(())
}

pub(crate) fn links(words: Words, options: Options) -> Outcome {
    for (number, interface) in words.interfaces()? {
        if options.brief {
            let hardware = match interface.hardware_address()? {
                Some(address) => address.to_string(),
                None => "00:00:00:00:00:00".to_owned(),
            };
            println!("{:<16} {:<14} {hardware} {}", interface.name(), state_word(&interface)?, flags(&interface)?);
            continue;
        }
        println!("{}", link_line(number, &interface)?);
        println!("    {}", hardware_words(&interface)?);
        if options.statistics {
            print_statistics(&interface)?;
        }
    }
    Ok(())
}

/// `1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 state UNKNOWN`.
pub(crate) fn link_line(number: usize, interface: &Interface) -> Result<String> {
    let (name, flags, mtu, state) = (interface.name(), flags(interface)?, interface.mtu()?, state_word(interface)?);
    Ok(format!("{number}: {name}: {flags} mtu {mtu} state {state}"))
}

/// `link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff`.
pub(crate) fn hardware_words(interface: &Interface) -> Result<String> {
    Ok(match (interface.kind()?, interface.hardware_address()?) {
        (Kind::Loopback, _) => "link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00".to_owned(),
        (_, Some(address)) => format!("link/ether {address} brd ff:ff:ff:ff:ff:ff"),
        (Kind::Ethernet | Kind::Ip | Kind::Other, None) => "link/none".to_owned(),
    })
}

fn flags(interface: &Interface) -> Result<String> {
    let (state, link) = (interface.state()?, interface.link()?);
    let mut flags = match interface.kind()? {
        Kind::Loopback => vec!["LOOPBACK"],
        Kind::Ethernet => vec!["BROADCAST", "MULTICAST"],
        Kind::Ip => vec!["POINTOPOINT", "MULTICAST", "NOARP"],
        Kind::Other => vec!["MULTICAST"],
    };
    if state == State::Up && link == Link::Down {
        flags.insert(0, "NO-CARRIER");
    }
    if state == State::Up {
        flags.push("UP");
        if link == Link::Up {
            flags.push("LOWER_UP");
        }
    }
    Ok(format!("<{}>", flags.join(",")))
}

/// The operational state (RFC 2863); Linux shows UNKNOWN for a loopback.
fn state_word(interface: &Interface) -> Result<&'static str> {
    Ok(match (interface.state()?, interface.link()?, interface.kind()?) {
        (State::Down, ..) | (State::Up, Link::Down, _) => "DOWN",
        (State::Up, Link::Up, Kind::Loopback) => "UNKNOWN",
        (State::Up, Link::Up, Kind::Ethernet | Kind::Ip | Kind::Other) => "UP",
    })
}

/// `inet 10.0.0.1/24 scope global eth0`, and its lifetimes on a separate line.
pub(crate) fn address_lines(info: &AddressInfo, name: &str) -> String {
    let AddressInfo { cidr, origin: _, preferred, valid } = info;
    let mut line = match cidr.address() {
        IpAddr::V4(_) => format!("inet {cidr} scope {}", scope(cidr.address())),
        IpAddr::V6(_) => format!("inet6 {cidr} scope {}", scope(cidr.address())),
    };
    if valid.is_some() {
        line += " dynamic";
    }
    if *preferred == Some(Duration::ZERO) {
        line += " deprecated";
    }
    if cidr.address().is_ipv4() {
        line += &format!(" {name}");
    }
    line + &format!("\n       valid_lft {} preferred_lft {}", lifetime(*valid), lifetime(*preferred))
}

fn scope(address: IpAddr) -> &'static str {
    match address {
        _ if address.is_loopback() => "host",
        IpAddr::V6(address) if address.is_unicast_link_local() => "link",
        IpAddr::V4(_) | IpAddr::V6(_) => "global",
    }
}

fn lifetime(lifetime: Option<Duration>) -> String {
    lifetime.map_or("forever".to_owned(), |lifetime| format!("{}sec", lifetime.as_secs()))
}

fn print_statistics(interface: &Interface) -> Result<()> {
    let statistics = interface.statistics()?;
    for (name, Counters { packets, bytes, errors, dropped }) in [("RX:", statistics.received), ("TX:", statistics.sent)]
    {
        // Each column is as wide as its contents, as in ip(8).
        let wide = |number: u64, least: usize| number.to_string().len().max(least);
        let (a, b, c, d) = (wide(bytes, 10), wide(packets, 7), wide(errors, 6), wide(dropped, 7));
        let first = a - name.len();
        println!("    {name}{:>first$} {:>b$} {:>c$} {:>d$}", "bytes", "packets", "errors", "dropped");
        println!("    {bytes:>a$} {packets:>b$} {errors:>c$} {dropped:>d$}");
    }
    Ok(())
}

/// Prints the routes that were added, and those to the addresses' own networks: IPv4 routes unless `-6` is given, as in
/// ip(8).
pub(crate) fn routes(words: Words, options: Options) -> Outcome {
    let family = options.family.unwrap_or(Family::V4);
    let mut lines = Vec::new();
    for (_, interface) in words.interfaces()? {
        let name = interface.name();
        let dead = if interface.link()? == Link::Down { " linkdown" } else { "" };
        for info in interface.routes()? {
            let destination = info.route.destination();
            if Family::of(destination.address()) == family {
                lines.push((key(destination), format!("{}{dead}", route_words(&info, &name))));
            }
        }
        if interface.kind()? == Kind::Loopback || interface.state()? == State::Down {
            continue;
        }
        for AddressInfo { cidr, .. } in interface.addresses()? {
            let one_host = cidr.prefix() == if cidr.address().is_ipv4() { 32 } else { 128 };
            if Family::of(cidr.address()) != family || one_host {
                continue;
            }
            let network = cidr.network();
            let line = match cidr.address() {
                IpAddr::V4(address) => format!("{network} dev {name} proto kernel scope link src {address}{dead}"),
                IpAddr::V6(_) => format!("{network} dev {name} proto kernel{dead}"),
            };
            lines.push((key(network), line));
        }
    }
    // The default route comes first, then the others by network.
    lines.sort();
    lines.dedup();
    lines.iter().for_each(|(_, line)| println!("{line}"));
    Ok(())
}

fn key(destination: Cidr) -> (bool, IpAddr, u8) {
    (destination.prefix() != 0, destination.address(), destination.prefix())
}

fn route_words(info: &RouteInfo, name: &str) -> String {
    let proto = match info.origin {
        Origin::Static => "static",
        Origin::Dhcp => "dhcp",
        Origin::Autoconfigured => "ra",
    };
    let mut line = format!("{} dev {name} proto {proto}", via(&info.route));
    if info.route.metric() != 0 {
        line += &format!(" metric {}", info.route.metric());
    }
    if let Some(valid) = info.valid {
        line += &format!(" expires {}sec", valid.as_secs());
    }
    line
}

/// `default via 10.0.0.1`.
pub(crate) fn via(route: &Route) -> String {
    route.with_metric(0).to_string()
}

pub(crate) fn neighbours(words: Words, options: Options) -> Outcome {
    for (_, interface) in words.interfaces()? {
        for neighbour in interface.neighbours()? {
            if is_wanted(neighbour.address, options) {
                let state = if neighbour.age < REACHABLE { "REACHABLE" } else { "STALE" };
                let name = interface.name();
                println!("{} dev {name} lladdr {} {state}", neighbour.address, neighbour.hardware_address);
            }
        }
    }
    Ok(())
}

pub(crate) fn dns_servers(words: Words, options: Options) -> Outcome {
    for (_, interface) in words.interfaces()? {
        for server in interface.dns_servers()? {
            if is_wanted(server, options) {
                println!("{server} dev {}", interface.name());
            }
        }
        for domain in interface.search_domains()? {
            println!("search {domain} dev {}", interface.name());
        }
    }
    Ok(())
}

pub(crate) fn dhcp(words: Words) -> Outcome {
    for (_, interface) in words.interfaces()? {
        let status = interface.dhcp()?;
        let mut line = format!("{}: {}", interface.name(), dhcp_word(status.state));
        if let Some(lease) = status.lease {
            let Lease { address, router, dns_servers, domain, search_domains, ntp_servers, server, valid } = lease;
            line += &format!(" {address}");
            if let Some(router) = router {
                line += &format!(" router {router}");
            }
            for server in dns_servers {
                line += &format!(" dns {server}");
            }
            if let Some(domain) = domain {
                line += &format!(" domain {domain}");
            }
            for domain in search_domains {
                line += &format!(" search {domain}");
            }
            for server in ntp_servers {
                line += &format!(" ntp {server}");
            }
            line += &format!(" server {server} valid_lft {}", lifetime(Some(valid)));
        }
        if status.refused > 0 {
            line += &format!(" refused {}", status.refused);
        }
        println!("{line}");
    }
    Ok(())
}

pub(crate) fn dhcp_word(state: DhcpState) -> &'static str {
    match state {
        DhcpState::Off => "off",
        DhcpState::Searching => "searching",
        DhcpState::Bound => "bound",
    }
}

pub(crate) fn autoconfiguration(words: Words) -> Outcome {
    for (_, interface) in words.interfaces()? {
        let status = interface.autoconfiguration_status()?;
        let mut line = format!("{}: {}", interface.name(), autoconfiguration_word(status.state));
        if status.managed {
            line += " managed";
        }
        if status.other {
            line += " other";
        }
        println!("{line}");
    }
    Ok(())
}

pub(crate) fn autoconfiguration_word(state: AutoconfigurationState) -> &'static str {
    match state {
        AutoconfigurationState::Off => "off",
        AutoconfigurationState::Searching => "searching",
        AutoconfigurationState::Configured => "configured",
        AutoconfigurationState::NoRouter => "no router",
    }
}

fn is_wanted(address: IpAddr, options: Options) -> bool {
    options.family.is_none_or(|family| Family::of(address) == family)
}
