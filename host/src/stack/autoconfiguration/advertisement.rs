//! Reading what a router advertises (RFC 4861 section 4.2, RFC 8106 section 5.1).
//!
//! smoltcp's reader keeps one prefix and does not know of DNS servers, so the options are read here.

use core::net::Ipv6Addr;
use core::time::Duration;

use smoltcp::wire::{Icmpv6Packet, IpProtocol, Ipv6Packet};

use super::within;
use crate::address::{Cidr, MacAddress};

/// A router's advertisement, as far as it is used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Advertisement {
    pub(super) router: Ipv6Addr,
    pub(super) destination: Ipv6Addr,
    /// For how long it is a default router; zero for not at all.
    pub(super) lifetime: Duration,
    pub(super) mtu: Option<u32>,
    /// Those that an address is to be made in.
    pub(super) prefixes: Vec<Prefix>,
    /// DNS servers, and for how long; `None` for ever.
    pub(super) dns_servers: Vec<(Ipv6Addr, Option<Duration>)>,
}

/// A network that an address is to be made in. Its lifetimes are `None` for ever.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    network: Ipv6Addr,
    pub(super) preferred: Option<Duration>,
    pub(super) valid: Option<Duration>,
}

impl Prefix {
    /// The interface's address in it.
    pub(super) fn address(&self, hardware: MacAddress) -> Option<Cidr> {
        within(self.network, hardware)
    }
}

impl Advertisement {
    /// Reads an IPv6 packet; `None` where it is not valid (RFC 4861 section 6.1.2).
    pub(super) fn read(packet: &[u8], verify: bool) -> Option<Self> {
        const ROUTER_ADVERTISEMENT: [u8; 2] = [134, 0];
        const HEADER: usize = 16;
        let ip = Ipv6Packet::new_checked(packet).ok()?;
        let valid = ip.next_header() == IpProtocol::Icmpv6 && ip.hop_limit() == 255;
        if !valid || !ip.src_addr().is_unicast_link_local() {
            return None;
        }
        let icmp = Icmpv6Packet::new_checked(ip.payload()).ok()?;
        if verify && !icmp.verify_checksum(&ip.src_addr(), &ip.dst_addr()) {
            return None;
        }
        let (header, options) = ip.payload().split_at_checked(HEADER)?;
        if !header.starts_with(&ROUTER_ADVERTISEMENT) {
            return None;
        }
        let mut advertisement = Self {
            router: ip.src_addr(),
            destination: ip.dst_addr(),
            lifetime: Duration::from_secs(u16::from_be_bytes([header[6], header[7]]).into()),
            mtu: None,
            prefixes: Vec::new(),
            dns_servers: Vec::new(),
        };
        let mut rest = options;
        while !rest.is_empty() {
            let length = usize::from(*rest.get(1)?) * 8;
            // One of no length makes the whole packet invalid, as one that is cut does.
            let (option, next) = rest.split_at_checked(length).filter(|_| length > 0)?;
            // One that does not make sense by itself is left out.
            advertisement.take(option).unwrap_or_default();
            rest = next;
        }
        Some(advertisement)
    }

    fn take(&mut self, option: &[u8]) -> Option<()> {
        const PREFIX_INFORMATION: u8 = 3;
        const MTU: u8 = 5;
        const RECURSIVE_DNS_SERVER: u8 = 25;
        match *option.first()? {
            PREFIX_INFORMATION => self.prefixes.extend(prefix(option)),
            MTU => self.mtu = Some(number(option, 4)?),
            RECURSIVE_DNS_SERVER => {
                let until = lifetime(number(option, 4)?);
                let (servers, []) = option.get(8..)?.as_chunks::<16>() else { return None };
                self.dns_servers.extend(servers.iter().map(|octets| (Ipv6Addr::from(*octets), until)));
            }
            _ => {}
        }
        Some(())
    }
}

/// RFC 4862 section 5.5.3 a to d.
fn prefix(option: &[u8]) -> Option<Prefix> {
    const AUTONOMOUS: u8 = 0x40;
    let (length, flags) = (*option.get(2)?, *option.get(3)?);
    let (valid, preferred) = (number(option, 4)?, number(option, 8)?);
    let mut octets = *option.get(16..32)?.first_chunk::<16>()?;
    octets[8..].fill(0);
    let network = Ipv6Addr::from(octets);
    // What begins with eight zero bits is reserved (RFC 4291 section 2.4): loopback, unspecified, mapped.
    let usable = !network.is_unicast_link_local() && !network.is_multicast() && octets[0] != 0;
    let sensible = flags & AUTONOMOUS != 0 && length == 64 && preferred <= valid;
    (usable && sensible).then(|| Prefix { network, preferred: lifetime(preferred), valid: lifetime(valid) })
}

fn number(option: &[u8], at: usize) -> Option<u32> {
    option.get(at..)?.first_chunk::<4>().map(|octets| u32::from_be_bytes(*octets))
}

fn lifetime(seconds: u32) -> Option<Duration> {
    (seconds != u32::MAX).then(|| Duration::from_secs(seconds.into()))
}

/// The valid lifetime of an address that is there, when it is advertised again: nobody can end it within two hours by
/// an advertisement that is not authenticated (RFC 4862 section 5.5.3 e).
pub(super) fn two_hours_rule(received: Option<Duration>, left: Option<Duration>) -> Option<Duration> {
    const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);
    let received = received?;
    let longer = left.is_some_and(|left| received > left);
    if received > TWO_HOURS || longer {
        Some(received)
    } else {
        Some(left.map_or(TWO_HOURS, |left| left.min(TWO_HOURS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn hours(hours: u64) -> Option<Duration> {
        Some(Duration::from_secs(hours * 3600))
    }

    #[test]
    fn an_address_cannot_be_ended_within_two_hours() {
        for (received, left, result) in [
            (hours(3), hours(1), hours(3)),
            (hours(1), hours(4), hours(2)),
            (hours(0), None, hours(2)),
            (hours(0), hours(1), hours(1)),
            (hours(1), Some(Duration::from_secs(1)), hours(1)),
            (None, hours(1), None),
        ] {
            assert_eq!(two_hours_rule(received, left), result, "{received:?} after {left:?}");
        }
    }

    #[test]
    fn prefixes_without_sense_are_left_out() {
        let option = |length: u8, flags: u8, preferred: u8, first: u8| {
            let mut option = vec![3, 4, length, flags, 0, 0, 0, 60, 0, 0, 0, preferred, 0, 0, 0, 0, first];
            option.resize(32, 0x80);
            option
        };
        assert!(prefix(&option(64, 0x40, 60, 0xfd)).is_some());
        for (length, flags, preferred, first) in [
            (63, 0x40, 60, 0xfd),
            (128, 0x40, 60, 0xfd),
            (64, 0x80, 60, 0xfd),
            (64, 0x40, 61, 0xfd),
            (64, 0x40, 60, 0xfe),
            (64, 0x40, 60, 0xff),
            (64, 0x40, 60, 0),
        ] {
            assert_eq!(prefix(&option(length, flags, preferred, first)), None, "{length} {flags} {preferred} {first}");
        }
        assert_eq!(prefix(&option(64, 0x40, 60, 0xfd)[..31]), None);
    }
}
