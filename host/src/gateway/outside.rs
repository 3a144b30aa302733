//! Which destinations apps may reach through a gateway.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::RangeInclusive;
use core::str::FromStr;
use std::io;
use std::net::UdpSocket;

use nix::ifaddrs::getifaddrs;
use nix::libc;

use crate::address::{Cidr, port_range};

/// What apps may reach through a gateway, beyond the public internet.
///
/// Public addresses may be reached. Loopback, link-local and private addresses, and those of the host itself, may not,
/// unless this allows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// Whether private networks may be reached: 10/8, 172.16/12, 192.168/16 (RFC 1918), 100.64/10 (RFC 6598), 198.18/15
    /// (RFC 2544), fc00::/7 (RFC 4193).
    pub private: bool,
    /// Further destinations.
    pub allowed: Vec<Destinations>,
}

/// Destinations that are allowed although they are not public. As text: `8080` or `8000-8010` for ports of the host's
/// loopback, which apps reach at the gateway's own address; `192.168.1.5`, `192.168.1.0/24`, `192.168.1.5:80` or
/// `[fd00::5]:80` for other hosts. `127.0.0.1` names all ports of the loopback; no network that is larger than
/// `127.0.0.0/8` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destinations {
    /// The hosts; `None` for the host's loopback.
    network: Option<Cidr>,
    ports: RangeInclusive<u16>,
}

/// A text that does not name [`Destinations`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDestinations {
    /// It is of no known form.
    #[error(
        "{0}: not a port of this host such as 8080 or 8000-8010, nor an address, network or ADDRESS:PORT of another one"
    )]
    Form(String),
    /// It names an IPv4-mapped IPv6 address, which is never on the wire (RFC 4291 section 2.5.5.2).
    #[error("{0}: an IPv4 address in the form of an IPv6 one, which no packet is sent to; give the IPv4 address")]
    Mapped(String),
}

const EVERY_PORT: RangeInclusive<u16> = 0..=u16::MAX;

impl FromStr for Destinations {
    type Err = InvalidDestinations;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || InvalidDestinations::Form(text.to_owned());
        if let Some(ports) = port_range(text).filter(|ports| *ports.start() > 0) {
            return Ok(Self { network: None, ports });
        }
        let (network, ports) = match text.parse::<SocketAddr>() {
            Ok(end) => (host(end.ip()).ok_or_else(form)?, end.port()..=end.port()),
            Err(_) => (text.parse::<Cidr>().map_err(|_| form())?, EVERY_PORT),
        };
        if matches!(network.address(), IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
            return Err(InvalidDestinations::Mapped(text.to_owned()));
        }
        Ok(Self { network: Some(network), ports })
    }
}

/// The network of one address.
fn host(address: IpAddr) -> Option<Cidr> {
    Cidr::new(address, if address.is_ipv4() { 32 } else { 128 }).ok()
}

impl Outside {
    /// The host's end that an app reaches at the gateway's own address and this port; `None` if it may not.
    pub(super) fn on_loopback(&self, destination: SocketAddr) -> Option<SocketAddr> {
        let loopback: IpAddr =
            if destination.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        let port = destination.port();
        // Whoever allows a network that is more than the loopback thinks of other hosts.
        let is_loopback = |network: Cidr| network.network().address().is_loopback() && network.contains(loopback);
        let admits = |allowed: &Destinations| allowed.network.is_none_or(is_loopback) && allowed.ports.contains(&port);
        self.allowed.iter().any(admits).then(|| SocketAddr::new(loopback, port))
    }

    /// Whether an app may reach a destination. Echo requests have port 0.
    ///
    /// # Errors
    /// The host has no resources to find out whether an address is its own.
    pub(super) fn admits(&self, destination: SocketAddr) -> io::Result<bool> {
        let (address, port) = (destination.ip(), destination.port());
        // A packet to a loopback address never leaves a host: the gateway's own address stands for it.
        if address.is_loopback() || address.is_multicast() || address.is_unspecified() {
            return Ok(false);
        }
        let is_named = |allowed: &Destinations| {
            allowed.network.is_some_and(|network| network.contains(address)) && allowed.ports.contains(&port)
        };
        if self.allowed.iter().any(is_named) {
            return Ok(true);
        }
        for address in embedded(address).into_iter().chain([address]) {
            let may_be = match scope(address) {
                Scope::Public => true,
                Scope::Private => self.private,
                Scope::Special => false,
            };
            if !may_be || is_own(address)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The kind of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Public,
    Private,
    /// Addresses of one host or link, or of none.
    Special,
}

fn scope(address: IpAddr) -> Scope {
    match address {
        IpAddr::V4(address) => scope_v4(address),
        IpAddr::V6(address) => scope_v6(address),
    }
}

/// By the registry of special-purpose addresses (RFC 6890).
fn scope_v4(address: Ipv4Addr) -> Scope {
    match address.octets() {
        [0 | 127 | 224..=255, ..] | [169, 254, ..] | [192, 0, 0, _] => Scope::Special,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] | [198, 18..=19, ..] => Scope::Private,
        _ => Scope::Public,
    }
}

fn scope_v6(address: Ipv6Addr) -> Scope {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, ..] => Scope::Special,
        [0, 0, 0, 0, 0, 0xffff, ..] => Scope::Special,
        [0x64, 0xff9b, 1, ..] => Scope::Private,
        [0x100, 0, 0, 0, ..] => Scope::Special,
        [0xfc00..=0xfdff, ..] => Scope::Private,
        [0xfe00..=0xffff, ..] => Scope::Special,
        _ => Scope::Public,
    }
}

/// The IPv4 addresses that an IPv6 address contains: a packet to it may be carried there, and be from there on what a
/// packet to these addresses is. By NAT64 (RFC 6052, RFC 8215), SIIT (RFC 7915), 6to4 (RFC 3056) and Teredo (RFC 4380
/// section 4), which has the server, and the client in disguise.
fn embedded(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(address) = address else { return Vec::new() };
    let bits = address.to_bits();
    let v4 = |bits: u128| IpAddr::V4(Ipv4Addr::from_bits((bits & 0xffff_ffff) as u32));
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => vec![v4(bits)],
        [0x2002, ..] => vec![v4(bits >> 80)],
        [0x2001, 0, ..] => vec![v4(bits >> 64), v4(!bits)],
        _ => Vec::new(),
    }
}

/// Whether an address is one of the host's own: what is served there may be meant for the host alone.
fn is_own(address: IpAddr) -> io::Result<bool> {
    let is_of_interface = getifaddrs()?.filter_map(|interface| interface.address).any(|known| {
        let v4 = known.as_sockaddr_in().map(|known| IpAddr::V4(known.ip()));
        let v6 = known.as_sockaddr_in6().map(|known| IpAddr::V6(known.ip()));
        v4.or(v6) == Some(address)
    });
    Ok(is_of_interface || is_local(address)?)
}

/// Whether the host takes packets for an address by its routes, whether or not an interface has it: only to such an
/// address a socket can be bound, unless the administrator has allowed more (ip(7), `ip_nonlocal_bind`).
fn is_local(address: IpAddr) -> io::Result<bool> {
    let family = match address {
        IpAddr::V4(_) => "ipv4",
        IpAddr::V6(_) => "ipv6",
    };
    match UdpSocket::bind((address, 0)) {
        Ok(_) => {
            let setting = std::fs::read_to_string(format!("/proc/sys/net/{family}/ip_nonlocal_bind"));
            Ok(setting.is_ok_and(|setting| setting.trim() == "0"))
        }
        // A host without the family has no such addresses, and no way there either.
        Err(error) => match error.raw_os_error() {
            Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT | libc::EINVAL) => Ok(false),
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside(private: bool, allowed: &[&str]) -> Outside {
        let allowed = allowed.iter().map(|text| text.parse().expect("destinations")).collect();
        Outside { private, allowed }
    }

    fn admits(outside: &Outside, destination: &str) -> bool {
        outside.admits(destination.parse().expect("a destination")).expect("resources")
    }

    #[test]
    fn by_default_only_public_addresses_are_reached() {
        let outside = Outside::default();
        for public in [
            "192.0.2.1:80",
            "198.51.100.7:53",
            "[2001:db8::1]:443",
            "[64:ff9b::c000:201]:80",
            "[2001:0:c000:201:0:0:3fff:fdfe]:80",
        ] {
            assert!(admits(&outside, public), "{public}");
        }
        for other in [
            "127.0.0.1:80",
            "127.255.255.254:80",
            "10.1.2.3:80",
            "172.16.0.1:80",
            "172.31.255.255:80",
            "192.168.0.1:80",
            "100.64.0.1:80",
            "169.254.169.254:80",
            "0.0.0.0:80",
            "0.1.2.3:80",
            "224.0.0.1:80",
            "240.0.0.1:80",
            "255.255.255.255:80",
            "192.0.0.8:80",
            "[::]:80",
            "[::1]:80",
            "[::ffff:10.0.0.1]:80",
            "[::ffff:192.0.2.1]:80",
            "[::7f00:1]:80",
            "[fe80::1]:80",
            "[fd00::1]:80",
            "[fc00::1]:80",
            "[fec0::1]:80",
            "[ff02::1]:80",
            "[64:ff9b::7f00:1]:80",
            "[64:ff9b::a00:1]:80",
            "[2002:7f00:1::]:80",
            "[2002:a00:1::1]:80",
            "[::ffff:0:7f00:1]:80",
            "[::ffff:0:a00:1]:80",
            "[2001:0:7f00:1::]:80",
            "[2001:0:a00:1:0:0:3fff:fdfe]:80",
            // The client is 127.0.0.1.
            "[2001:0:c000:201:0:0:80ff:fffe]:80",
            "[64:ff9b:1::c000:201]:80",
            "198.18.0.1:80",
            "198.19.255.255:80",
            "[100::1]:80",
        ] {
            assert!(!admits(&outside, other), "{other}");
        }
    }

    #[test]
    fn private_networks_are_reached_if_allowed_and_link_local_ones_are_not_among_them() {
        let outside = outside(true, &[]);
        for private in ["10.255.0.1:80", "172.20.0.1:80", "192.168.7.1:80", "100.127.0.1:80", "[fd12::1]:80"] {
            assert!(admits(&outside, private), "{private}");
        }
        for other in ["169.254.169.254:80", "[fe80::1]:80", "127.0.0.1:80", "[::1]:80", "224.0.0.1:80"] {
            assert!(!admits(&outside, other), "{other}");
        }
    }

    #[test]
    fn what_is_named_is_reached_on_its_ports_alone() {
        let outside = outside(false, &["192.168.1.5:80", "10.2.0.0/16", "[fd00::5]:443", "169.254.169.254"]);
        for (destination, expected) in [
            ("192.168.1.5:80", true),
            ("192.168.1.5:81", false),
            ("192.168.1.6:80", false),
            ("10.2.255.1:9", true),
            ("10.3.0.1:9", false),
            ("[fd00::5]:443", true),
            ("[fd00::5]:80", false),
            ("169.254.169.254:80", true),
        ] {
            assert_eq!(admits(&outside, destination), expected, "{destination}");
        }
    }

    #[test]
    fn ports_of_the_loopback_are_reached_at_the_gateway_only() {
        let outside = outside(false, &["8080", "9000-9010", "127.0.0.1:70"]);
        let at = |port| outside.on_loopback(SocketAddr::new(Ipv4Addr::new(10, 0, 2, 2).into(), port));
        assert_eq!(at(8080), Some("127.0.0.1:8080".parse().expect("an end")));
        assert_eq!((at(9010).is_some(), at(9011), at(70).is_some(), at(80)), (true, None, true, None));
        let v6 = outside.on_loopback("[fd00::2]:8080".parse().expect("an end"));
        assert_eq!(v6, Some("[::1]:8080".parse().expect("an end")));
        assert!(!admits(&outside, "127.0.0.1:8080"));
    }

    #[test]
    fn the_host_s_own_addresses_are_its_own() {
        let is_own = |text: &str| is_own(text.parse().expect("an address")).expect("resources");
        assert!(is_own("127.0.0.1"));
        // No interface has this one, but the host's routes lead it to the host.
        assert!(is_own("127.1.2.3"));
        assert!(!is_own("192.0.2.77"));
        assert!(!is_own("2001:db8::77"));
    }

    #[test]
    fn a_network_that_is_more_than_the_loopback_opens_no_port_of_it() {
        let at = |allowed: &str, text: &str| {
            outside(true, &[allowed]).on_loopback(text.parse().expect("an end")).map(|end| end.to_string())
        };
        for large in ["0.0.0.0/0", "::/0", "64.0.0.0/2", "126.0.0.0/7"] {
            assert_eq!((at(large, "10.0.2.2:22"), at(large, "[fd00::2]:22")), (None, None), "{large}");
        }
        for loopback in ["127.0.0.1", "127.0.0.0/8", "127.0.0.1:22", "22"] {
            assert_eq!(at(loopback, "10.0.2.2:22"), Some("127.0.0.1:22".into()), "{loopback}");
        }
        assert_eq!(at("::1", "[fd00::2]:22"), Some("[::1]:22".into()));
        assert!(admits(&outside(false, &["0.0.0.0/0"]), "10.1.2.3:80"), "other hosts are allowed");
    }

    #[test]
    fn a_mapped_address_is_refused_by_its_name() {
        for text in ["::ffff:127.0.0.1", "[::ffff:127.0.0.1]:80", "::ffff:10.0.0.0/104"] {
            assert_eq!(text.parse::<Destinations>(), Err(InvalidDestinations::Mapped(text.into())));
        }
    }

    #[test]
    fn texts_that_name_nothing_are_refused() {
        for text in ["", "0", "70000", "9-8", "10.0.0.0/33", "example.org", "10.0.0.1:", "a-b", "::1:80:x"] {
            let problem = text.parse::<Destinations>().expect_err(text);
            assert!(problem.to_string().starts_with(text), "{problem}");
        }
    }
}
