//! What is known about names without an upstream.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hickory_proto::rr::rdata::{A, AAAA, PTR, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::{Config, Names};
use crate::address::Cidr;

/// The time to live of what is in the zone in seconds. Addresses may change with a lease.
const TTL: u32 = 30;
/// The time to live of other names that are known here in seconds: a file of hosts may be edited.
const HOSTS_TTL: u32 = 10;
/// For how many seconds a name is known not to exist (RFC 2308 section 5). An app may get its address soon.
const NEGATIVE_TTL: u32 = 5;
/// The time to live of `localhost` in seconds: it never changes.
const LOOPBACK_TTL: u32 = 86_400;
/// The last labels of names that no server outside knows.
const NOWHERE: [&[u8]; 5] = [b"invalid", b"local", b"onion", b"test", b"alt"];
/// The last label of names that the servers of a private network may know, and no others.
const PRIVATE: &[u8] = b"internal";

/// Networks whose addresses have no names outside of a host or a link (RFC 6303 section 4). Those of private networks are
/// not among them: a resolver that serves those networks may be the upstream.
const NAMELESS: [&str; 11] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "255.255.255.255/32",
    "::/128",
    "::1/128",
    "fe80::/10",
    "2001:db8::/32",
];

/// The zone and the names in it.
pub(super) struct Zone {
    /// In lower case and absolute.
    apex: Name,
    names: Arc<dyn Names>,
    is_shared: bool,
    hosts: Option<Arc<dyn Names>>,
    /// Whether there is an upstream.
    is_forwarded: bool,
    /// The networks whose reverse names nobody else is asked for.
    networks: Vec<Cidr>,
}

/// What is known about a name.
pub(super) enum Knowledge {
    /// It exists and has these records of the type; perhaps none.
    Records(Vec<Record>),
    /// It does not exist.
    NoName,
    /// Nothing. An upstream may know it.
    Unknown,
}

impl Zone {
    pub(super) fn new(apex: Name, config: Config) -> Self {
        let Config { zone: _, names, is_shared, hosts, mut networks, upstream } = config;
        networks.extend(NAMELESS.iter().filter_map(|network| network.parse::<Cidr>().ok()));
        Self { apex, names, is_shared, hosts, is_forwarded: upstream.is_some(), networks }
    }

    /// What is known about a name and a type.
    pub(super) fn know(&self, name: &Name, kind: RecordType) -> Knowledge {
        if self.apex.zone_of(name) {
            match self.own(name, kind) {
                Knowledge::NoName if self.is_shared => {}
                known => return known,
            }
        }
        let is_of_host = matches!(kind, RecordType::A | RecordType::AAAA | RecordType::ANY);
        if is_of_host && let Some(found) = self.host(name) {
            return Knowledge::Records(addresses(name, kind, &found, HOSTS_TTL));
        }
        match name.iter().next_back() {
            Some(last) if last.eq_ignore_ascii_case(b"localhost") => {
                let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
                Knowledge::Records(addresses(name, kind, &loopback, LOOPBACK_TTL))
            }
            Some(last) if NOWHERE.iter().any(|nowhere| last.eq_ignore_ascii_case(nowhere)) => Knowledge::NoName,
            Some(last) if last.eq_ignore_ascii_case(PRIVATE) && !self.is_forwarded => Knowledge::NoName,
            Some(last) if last.eq_ignore_ascii_case(b"arpa") => self.reverse(name, kind),
            Some(_) | None => Knowledge::Unknown,
        }
    }

    /// What is known about a name of the zone.
    fn own(&self, name: &Name, kind: RecordType) -> Knowledge {
        let depth = name.iter().count() - self.apex.iter().count();
        if depth == 0 {
            let is_asked = kind == RecordType::SOA || kind.is_any();
            return Knowledge::Records(if is_asked { vec![self.soa(self.apex.clone())] } else { Vec::new() });
        }
        match text(name, depth).and_then(|relative| self.names.lookup(&relative)) {
            Some(found) => Knowledge::Records(addresses(name, kind, &found, TTL)),
            None => Knowledge::NoName,
        }
    }

    /// The addresses of a name in the file of hosts.
    fn host(&self, name: &Name) -> Option<Vec<IpAddr>> {
        self.hosts.as_ref()?.lookup(&text(name, name.iter().count())?)
    }

    /// What is known about the reverse name of an address, or one above or below such names.
    fn reverse(&self, name: &Name, kind: RecordType) -> Knowledge {
        let Some(Reversed { network, is_below }) = Reversed::of(name) else { return Knowledge::Unknown };
        let (address, is_asked) = (network.address(), kind == RecordType::PTR || kind.is_any());
        let is_whole = network.prefix() == if address.is_ipv4() { 32 } else { 128 };
        let (target, ttl) = if is_below || !is_whole {
            (None, TTL)
        } else if address.is_loopback() {
            (Name::from_ascii("localhost.").ok(), LOOPBACK_TTL)
        } else {
            let relative = self.names.reverse(address).and_then(|name| Name::from_ascii(name).ok());
            let own = relative.and_then(|name| name.append_domain(&self.apex).ok());
            let host = || Name::from_ascii(self.hosts.as_ref()?.reverse(address)?).ok();
            let target = own.or_else(host).map(|mut name| {
                name.set_fqdn(true);
                name
            });
            (target, TTL)
        };
        let is_ours = |ours: &Cidr| network.prefix() >= ours.prefix() && ours.contains(address);
        match target {
            Some(target) if is_asked => {
                Knowledge::Records(vec![Record::from_rdata(name.clone(), ttl, RData::PTR(PTR(target)))])
            }
            Some(_) => Knowledge::Records(Vec::new()),
            None if !self.networks.iter().any(is_ours) => Knowledge::Unknown,
            None if is_below || is_whole => Knowledge::NoName,
            // The names of addresses are below it, so it exists (RFC 8020).
            None => Knowledge::Records(Vec::new()),
        }
    }

    /// The record that goes with a negative answer about a known name, and says for how long it holds. It is that of the
    /// zone which the name is in (RFC 2308 section 3): names outside of the zone itself are in zones that are empty.
    pub(super) fn authority(&self, name: &Name) -> Record {
        if self.host(name).is_some() {
            return self.soa(name.clone());
        }
        if self.apex.zone_of(name) {
            return self.soa(self.apex.clone());
        }
        let labels = match Reversed::of(name) {
            Some(Reversed { network, .. }) => {
                let step = if network.address().is_ipv4() { 8 } else { 4 };
                let ours = self.networks.iter().find(|ours| ours.contains(network.address()));
                ours.map_or_else(|| name.iter().count(), |ours| 2 + usize::from(ours.prefix().div_ceil(step)))
            }
            None => 1,
        };
        self.soa(name.trim_to(labels))
    }

    /// The record at the beginning of a zone.
    fn soa(&self, apex: Name) -> Record {
        // Nobody copies the zone, and nobody reads mail about it.
        let nobody = Name::from_ascii("nobody.invalid.").unwrap_or_else(|_| apex.clone());
        let soa = SOA::new(self.apex.clone(), nobody, 1, 3600, 600, 86_400, NEGATIVE_TTL);
        Record::from_rdata(apex, NEGATIVE_TTL, RData::SOA(soa))
    }
}

/// The first labels of a name, in lower case. `None` for a name that is no text, or with a dot within a label, which
/// would make two of it.
fn text(name: &Name, labels: usize) -> Option<String> {
    let labels: Vec<&[u8]> = name.iter().take(labels).collect();
    let is_text = labels.iter().all(|label| !label.contains(&b'.'));
    core::str::from_utf8(&labels.join(&b'.')).ok().filter(|_| is_text).map(str::to_ascii_lowercase)
}

/// What a name under `arpa` is the reverse name of (RFC 1035 section 3.5, RFC 3596 section 2.5).
struct Reversed {
    /// An address, or the network that the last labels give the beginning of.
    network: Cidr,
    /// Whether there are further labels, which are no part of an address.
    is_below: bool,
}

impl Reversed {
    fn of(name: &Name) -> Option<Self> {
        let mut labels = name.iter().rev();
        let top = [labels.next()?, labels.next()?].map(<[u8]>::to_ascii_lowercase);
        // The bits of an address, and of it in each label.
        let (width, step) = match [&top[0][..], &top[1]] {
            [b"arpa", b"in-addr"] => (32, 8),
            [b"arpa", b"ip6"] => (128, 4),
            _ => return None,
        };
        let (mut bits, mut prefix) = (0u128, 0);
        let mut rest = labels.skip_while(|label| {
            let part = if prefix == width { None } else { part(label, step) };
            if let Some(part) = part {
                prefix += step;
                bits |= u128::from(part) << (width - prefix);
            }
            part.is_some()
        });
        let is_below = rest.next().is_some();
        let address =
            if width == 32 { Ipv4Addr::from_bits(bits as u32).into() } else { Ipv6Addr::from_bits(bits).into() };
        Some(Self { network: Cidr::new(address, prefix).ok()?, is_below })
    }
}

/// The part of an address that a label writes: eight bits in decimal, or four in hexadecimal. `None` if it is written in
/// another way.
fn part(label: &[u8], bits: u8) -> Option<u8> {
    let text = core::str::from_utf8(label).ok()?;
    if bits == 4 {
        return u8::from_str_radix(text, 16).ok().filter(|_| text.len() == 1 && text != "+");
    }
    text.parse().ok().filter(|part: &u8| part.to_string() == text)
}

/// The records of a type with these addresses.
fn addresses(name: &Name, kind: RecordType, addresses: &[IpAddr], ttl: u32) -> Vec<Record> {
    let records = addresses.iter().filter_map(|address| match (address, kind) {
        (IpAddr::V4(address), RecordType::A | RecordType::ANY) => Some(RData::A(A(*address))),
        (IpAddr::V6(address), RecordType::AAAA | RecordType::ANY) => Some(RData::AAAA(AAAA(*address))),
        _ => None,
    });
    records.map(|data| Record::from_rdata(name.clone(), ttl, data)).collect()
}
