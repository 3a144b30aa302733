//! What is known about names without an upstream.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hickory_proto::rr::rdata::{A, AAAA, PTR, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::Names;
use crate::address::Cidr;

/// The time to live of what is in the zone in seconds. Addresses may change with a lease.
const TTL: u32 = 30;
/// For how many seconds a name is known not to exist (RFC 2308 section 5). An app may get its address soon.
const NEGATIVE_TTL: u32 = 5;
/// The time to live of `localhost` in seconds: it never changes.
const LOOPBACK_TTL: u32 = 86_400;
/// The last labels of names that no server outside knows.
const NOWHERE: [&[u8]; 6] = [b"internal", b"invalid", b"local", b"onion", b"test", b"alt"];

/// The zone and the names in it.
pub(super) struct Zone {
    /// In lower case and absolute.
    apex: Name,
    names: Arc<dyn Names>,
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
    pub(super) const fn new(apex: Name, names: Arc<dyn Names>, networks: Vec<Cidr>) -> Self {
        Self { apex, names, networks }
    }

    /// What is known about a name and a type.
    pub(super) fn know(&self, name: &Name, kind: RecordType) -> Knowledge {
        if self.apex.zone_of(name) {
            return self.own(name, kind);
        }
        match name.iter().next_back() {
            Some(last) if last.eq_ignore_ascii_case(b"localhost") => {
                let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
                Knowledge::Records(addresses(name, kind, &loopback, LOOPBACK_TTL))
            }
            Some(last) if NOWHERE.iter().any(|nowhere| last.eq_ignore_ascii_case(nowhere)) => Knowledge::NoName,
            Some(last) if last.eq_ignore_ascii_case(b"arpa") => self.reverse(name, kind),
            Some(_) | None => Knowledge::Unknown,
        }
    }

    /// What is known about a name of the zone.
    fn own(&self, name: &Name, kind: RecordType) -> Knowledge {
        let depth = name.iter().count() - self.apex.iter().count();
        if depth == 0 {
            let is_asked = kind == RecordType::SOA || kind.is_any();
            return Knowledge::Records(if is_asked { vec![self.soa()] } else { Vec::new() });
        }
        let labels: Vec<&[u8]> = name.iter().take(depth).collect();
        // A dot within a label would make two of it.
        if labels.iter().any(|label| label.contains(&b'.')) {
            return Knowledge::NoName;
        }
        let found = core::str::from_utf8(&labels.join(&b'.')).map(str::to_ascii_lowercase);
        match found.ok().and_then(|relative| self.names.lookup(&relative)) {
            Some(found) => Knowledge::Records(addresses(name, kind, &found, TTL)),
            None => Knowledge::NoName,
        }
    }

    /// What is known about the reverse name of an address.
    fn reverse(&self, name: &Name, kind: RecordType) -> Knowledge {
        let Some(address) = reversed(name) else { return Knowledge::Unknown };
        let is_asked = kind == RecordType::PTR || kind.is_any();
        let (target, ttl) = if address.is_loopback() {
            (Name::from_ascii("localhost.").ok(), LOOPBACK_TTL)
        } else {
            let relative = self.names.reverse(address).and_then(|name| Name::from_ascii(name).ok());
            (relative.and_then(|name| name.append_domain(&self.apex).ok()), TTL)
        };
        match target {
            Some(target) if is_asked => {
                Knowledge::Records(vec![Record::from_rdata(name.clone(), ttl, RData::PTR(PTR(target)))])
            }
            Some(_) => Knowledge::Records(Vec::new()),
            None if self.networks.iter().any(|network| network.contains(address)) => Knowledge::NoName,
            None => Knowledge::Unknown,
        }
    }

    /// The record that goes with a negative answer, and says for how long it holds.
    pub(super) fn soa(&self) -> Record {
        // Nobody copies the zone, and nobody reads mail about it.
        let nobody = Name::from_ascii("nobody.invalid.").unwrap_or_else(|_| self.apex.clone());
        let soa = SOA::new(self.apex.clone(), nobody, 1, 3600, 600, 86_400, NEGATIVE_TTL);
        Record::from_rdata(self.apex.clone(), NEGATIVE_TTL, RData::SOA(soa))
    }
}

/// The address that a complete reverse name is of (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn reversed(name: &Name) -> Option<IpAddr> {
    let address = name.parse_arpa_name().ok()?.addr();
    // The parser also accepts names of networks, and numbers that are written in other ways.
    (Name::from(address) == *name).then_some(address)
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
