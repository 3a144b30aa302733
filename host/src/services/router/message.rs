//! Router advertisements as packets (RFC 4861 section 4.2, RFC 8106 section 5).

use core::net::Ipv6Addr;
use core::time::Duration;

use smoltcp::wire::Icmpv6Packet;

use super::{Config, Prefix};
use crate::services::names;

const ROUTER_ADVERTISEMENT: u8 = 134;
const ICMPV6: u8 = 58;
/// Only neighbours can send a packet with this hop limit (RFC 4861 section 6.1.2).
const HOP_LIMIT: u8 = 255;
const IPV6_HEADER: usize = 40;

/// The numbers of options.
const SOURCE_HARDWARE: u8 = 1;
const PREFIX: u8 = 3;
const MTU: u8 = 5;
const SERVERS: u8 = 25;
const SEARCH: u8 = 31;

/// The flags of a prefix: it is on the link, and addresses may be formed from it.
const ON_LINK: u8 = 0x80;
const AUTONOMOUS: u8 = 0x40;
/// Lifetimes in seconds that mean "for ever".
const INFINITE: u32 = u32::MAX;

/// The IPv6 packet of an advertisement. `is_last` says that the router is none any more (RFC 4861 section 6.2.5).
pub(super) fn packet(config: &Config, destination: Ipv6Addr, is_last: bool) -> Vec<u8> {
    let message = message(config, destination, is_last);
    // A configuration with too many options for 16 bits is refused.
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX);
    let mut packet = Vec::with_capacity(IPV6_HEADER + message.len());
    packet.extend([0x60, 0, 0, 0]);
    packet.extend(length.to_be_bytes());
    packet.extend([ICMPV6, HOP_LIMIT]);
    packet.extend(config.address.octets());
    packet.extend(destination.octets());
    packet.extend(message);
    packet
}

/// The ICMPv6 message.
fn message(config: &Config, destination: Ipv6Addr, is_last: bool) -> Vec<u8> {
    let lifetime = if is_last { 0 } else { seconds16(config.lifetime) };
    // The last two values leave the times of neighbour discovery as they are.
    let mut message = vec![ROUTER_ADVERTISEMENT, 0, 0, 0, config.hop_limit, 0];
    message.extend(lifetime.to_be_bytes());
    message.extend([0; 8]);
    message.extend([SOURCE_HARDWARE, 1]);
    message.extend(config.hardware.octets());
    if let Some(mtu) = config.mtu {
        message.extend([MTU, 1, 0, 0]);
        message.extend(mtu.to_be_bytes());
    }
    for Prefix { prefix, length, valid, preferred } in &config.prefixes {
        // Addresses are formed from prefixes of this length (RFC 4291 section 2.5.1).
        let autonomous = if *length == 64 { AUTONOMOUS } else { 0 };
        message.extend([PREFIX, 4, *length, ON_LINK | autonomous]);
        message.extend(seconds(*valid).to_be_bytes());
        message.extend(seconds(*preferred).to_be_bytes());
        message.extend([0; 4]);
        message.extend(prefix.octets());
    }
    // A last advertisement withdraws the names too (RFC 8106 section 5.1).
    let lifetime = if is_last { 0 } else { seconds(config.names_lifetime()) };
    let servers: Vec<u8> = config.dns_servers.iter().flat_map(Ipv6Addr::octets).collect();
    let mut domains: Vec<u8> = config.search.iter().filter_map(|domain| names::encode(domain)).flatten().collect();
    domains.resize(domains.len().next_multiple_of(8), 0);
    for (number, data) in [(SERVERS, servers), (SEARCH, domains)] {
        // The length counts the first eight bytes, and is in units of eight bytes.
        let units = u8::try_from(1 + data.len() / 8).unwrap_or(u8::MAX);
        if !data.is_empty() {
            message.extend([number, units, 0, 0]);
            message.extend(lifetime.to_be_bytes());
            message.extend(data);
        }
    }
    Icmpv6Packet::new_unchecked(&mut message[..]).fill_checksum(&config.address, &destination);
    message
}

fn seconds(lifetime: Duration) -> u32 {
    u32::try_from(lifetime.as_secs()).unwrap_or(INFINITE)
}

fn seconds16(lifetime: Duration) -> u16 {
    u16::try_from(lifetime.as_secs()).unwrap_or(u16::MAX)
}
