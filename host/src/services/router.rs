//! Router advertisements: what tells the hosts of a link its prefixes, its routers and its DNS servers (RFC 4861
//! section 6.2, RFC 8106).
//!
//! [`Advertiser`] is a state machine without a device or a clock. The caller shows it the packets of router
//! solicitations, and sends the packets that [`poll`](Advertiser::poll) returns.
//!
//! | What hosts can cause | Limit |
//! |---|---|
//! | advertisements | one in three seconds, to all nodes (`MIN_DELAY_BETWEEN_RAS`) |
//! | memory | none |

mod message;
#[cfg(test)]
mod tests;

use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use smoltcp::wire::IpProtocol;
use xila_network_engine::ip::headers::Packet;
use xila_network_engine::link::ndp::{Message, Received, all_nodes};
use xila_network_engine::random::Random;

use super::names;
use crate::address::{Cidr, MacAddress};
use crate::platform::Instant;

/// `MAX_RA_DELAY_TIME` (RFC 4861 section 6.2.6 and section 10).
const LONGEST_DELAY: Duration = Duration::from_millis(500);
/// `MIN_DELAY_BETWEEN_RAS`.
const SHORTEST_GAP: Duration = Duration::from_secs(3);
/// `MAX_INITIAL_RTR_ADVERTISEMENTS` and `MAX_INITIAL_RTR_ADVERT_INTERVAL`.
const INITIAL: u32 = 3;
const INITIAL_INTERVAL: Duration = Duration::from_secs(16);
/// The values that `MaxRtrAdvInterval` may have (section 6.2.1).
const SHORTEST_INTERVAL: Duration = Duration::from_secs(4);
const LONGEST_INTERVAL: Duration = Duration::from_secs(1800);
/// The longest lifetime of a default router, `AdvDefaultLifetime`.
const LONGEST_LIFETIME: Duration = Duration::from_secs(9000);
/// The most items of each list. A message with all of them fits the least MTU of IPv6.
const MOST: usize = 8;
/// The longest list of search domains in bytes, in DNS encoding.
const LONGEST_SEARCH: usize = 256;
/// The least MTU of an IPv6 link.
const LEAST_MTU: u32 = 1280;

/// What a router advertises. [`Config::new`] fills it in for a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The link-local address of the router, from which it advertises.
    pub address: Ipv6Addr,
    /// The hardware address of the router, which hosts then need not ask for.
    pub hardware: MacAddress,
    /// The prefixes of the link, up to 8.
    pub prefixes: Vec<Prefix>,
    /// How long the router is a default router; zero if it is none. Otherwise at least the interval, and up to 9000
    /// seconds (`AdvDefaultLifetime`).
    pub lifetime: Duration,
    /// The longest time between advertisements to all nodes, 4 to 1800 seconds (`MaxRtrAdvInterval`).
    pub interval: Duration,
    /// The hop limit that hosts should use; 0 says nothing.
    pub hop_limit: u8,
    /// The MTU of the link in bytes, at least 1280.
    pub mtu: Option<u32>,
    /// The recursive DNS servers, up to 8.
    pub dns_servers: Vec<Ipv6Addr>,
    /// The search domains, up to 8 with 256 bytes in DNS encoding together.
    pub search: Vec<String>,
}

/// A prefix of the link, which is on-link. Hosts form addresses from it if it has 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The prefix; the bits after its length are 0.
    pub prefix: Ipv6Addr,
    /// Its length in bits.
    pub length: u8,
    /// How long addresses of the prefix are valid; `Duration::MAX` for ever.
    pub valid: Duration,
    /// How long they are preferred, no longer than that.
    pub preferred: Duration,
}

/// Why a configuration is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// The address of the router is not a link-local one.
    #[error("the router's address is not link-local")]
    Address,
    /// There are too many prefixes, or one is link-local or multicast, has bits after its length, or is preferred for
    /// longer than it is valid.
    #[error("there are too many prefixes, or one that a link cannot have")]
    Prefixes,
    /// The interval or the lifetime is outside its range.
    #[error("the interval or the lifetime is outside its range")]
    Times,
    /// The MTU is smaller than 1280 bytes.
    #[error("the MTU is smaller than 1280 bytes")]
    Mtu,
    /// There are too many DNS servers, or one has an address that no host has.
    #[error("there are too many DNS servers, or one with an address that no host has")]
    Servers,
    /// A domain is not a name, or there are more than fit.
    #[error("a domain is not a name, or there are more than fit")]
    Domains,
}

impl Config {
    /// The configuration of a router that advertises nothing but itself, as a default router, with the times of RFC
    /// 4861 section 6.2.1.
    #[must_use]
    pub const fn new(address: Ipv6Addr, hardware: MacAddress) -> Self {
        Self {
            address,
            hardware,
            prefixes: Vec::new(),
            lifetime: Duration::from_secs(1800),
            interval: Duration::from_secs(600),
            hop_limit: 64,
            mtu: None,
            dns_servers: Vec::new(),
            search: Vec::new(),
        }
    }

    /// Checks the configuration.
    ///
    /// # Errors
    /// See [`InvalidConfig`].
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        if !self.address.is_unicast_link_local() {
            return Err(InvalidConfig::Address);
        }
        if self.prefixes.len() > MOST || !self.prefixes.iter().all(Prefix::is_valid) {
            return Err(InvalidConfig::Prefixes);
        }
        let is_default = !self.lifetime.is_zero();
        if !(SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&self.interval)
            || is_default && !(self.interval..=LONGEST_LIFETIME).contains(&self.lifetime)
        {
            return Err(InvalidConfig::Times);
        }
        if self.mtu.is_some_and(|mtu| mtu < LEAST_MTU) {
            return Err(InvalidConfig::Mtu);
        }
        let is_server = |server: &Ipv6Addr| crate::address::is_unicast((*server).into()) && !server.is_loopback();
        if self.dns_servers.len() > MOST || !self.dns_servers.iter().all(is_server) {
            return Err(InvalidConfig::Servers);
        }
        let search: Option<Vec<Vec<u8>>> = self.search.iter().map(|domain| names::encode(domain)).collect();
        let length: usize = search.ok_or(InvalidConfig::Domains)?.iter().map(Vec::len).sum();
        if self.search.len() > MOST || length > LONGEST_SEARCH {
            return Err(InvalidConfig::Domains);
        }
        Ok(())
    }

    /// How long hosts may use the DNS servers and search domains: three intervals (RFC 8106 section 5.1).
    fn names_lifetime(&self) -> Duration {
        self.interval * 3
    }

    /// `MinRtrAdvInterval`: a third of the longest interval, or three quarters of one that is shorter than nine seconds
    /// (RFC 4861 section 6.2.1).
    fn shortest_interval(&self) -> Duration {
        if self.interval >= Duration::from_secs(9) { self.interval / 3 } else { self.interval * 3 / 4 }
    }
}

impl Prefix {
    /// A prefix with the lifetimes of RFC 4861 section 6.2.1: valid for 30 days, preferred for a week. `None` for IPv4.
    #[must_use]
    pub fn new(network: Cidr) -> Option<Self> {
        const DAY: u64 = 86_400;
        let IpAddr::V6(prefix) = network.network().address() else { return None };
        let (valid, preferred) = (Duration::from_secs(30 * DAY), Duration::from_secs(7 * DAY));
        Some(Self { prefix, length: network.prefix(), valid, preferred })
    }

    fn is_valid(&self) -> bool {
        let network = Cidr::new(self.prefix.into(), self.length);
        let is_clean = network.is_ok_and(|network| network.network().address() == IpAddr::V6(self.prefix));
        is_clean
            && self.length > 0
            && !self.prefix.is_unicast_link_local()
            && !self.prefix.is_multicast()
            && self.preferred <= self.valid
    }
}

/// An advertisement to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// The destination of the packet, the group of all nodes.
    pub destination: Ipv6Addr,
    /// The whole IPv6 packet, with its checksum.
    pub packet: Vec<u8>,
}

/// The advertisements of a router on one link. See the [module](self).
#[derive(Debug)]
pub struct Advertiser {
    config: Config,
    random: Random,
    /// How many of the first advertisements, which are more frequent, are left.
    initial: u32,
    /// When the last advertisement was sent.
    sent: Option<Instant>,
    /// When the next one is sent. `None` after the last one.
    next: Option<Instant>,
}

impl Advertiser {
    /// The advertisements of a router that starts now. The first is due at once.
    ///
    /// # Errors
    /// See [`InvalidConfig`].
    pub fn new(config: Config, now: Instant, random: Random) -> Result<Self, InvalidConfig> {
        config.validate()?;
        Ok(Self { config, random, initial: INITIAL, sent: None, next: Some(now) })
    }

    /// What is advertised.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Takes an IPv6 packet. If it is a valid router solicitation (RFC 4861 section 6.1.1), it is answered after a
    /// random delay of up to half a second, and not sooner than three seconds after the last advertisement. The answer
    /// goes to all nodes (section 6.2.6), so that one answers all hosts that have asked since. Returns whether it was
    /// one.
    pub fn handle_solicitation(&mut self, now: Instant, packet: &[u8]) -> bool {
        if !is_solicitation(packet) {
            return false;
        }
        let delay = LONGEST_DELAY.mul_f64(f64::from(self.random.next_u32()) / f64::from(u32::MAX));
        let allowed = self.sent.map_or(now, |sent| sent + SHORTEST_GAP);
        let answer = (now + delay).max(allowed);
        self.next = self.next.map(|next| next.min(answer));
        true
    }

    /// When to [poll](Self::poll) again.
    #[must_use]
    pub const fn next_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// The advertisement that is due by `now`.
    pub fn poll(&mut self, now: Instant) -> Option<Advertisement> {
        self.next.filter(|next| *next <= now)?;
        self.initial = self.initial.saturating_sub(1);
        let (least, most) = (self.config.shortest_interval(), self.config.interval);
        let share = f64::from(self.random.next_u32()) / f64::from(u32::MAX);
        let interval = least + (most - least).mul_f64(share);
        let interval = if self.initial > 0 { interval.min(INITIAL_INTERVAL) } else { interval };
        self.sent = Some(now);
        self.next = Some(now + interval);
        Some(self.advertisement(false))
    }

    /// Ends the advertisements. Returns the last one, which says that this is no default router any more and that its
    /// DNS servers are none (RFC 4861 section 6.2.5). `None` if hosts have heard nothing yet, or were told already.
    pub fn end(&mut self) -> Option<Advertisement> {
        self.next.take()?;
        self.sent?;
        Some(self.advertisement(true))
    }

    fn advertisement(&self, is_last: bool) -> Advertisement {
        let destination = all_nodes();
        Advertisement { destination, packet: message::packet(&self.config, destination, is_last) }
    }
}

/// Whether an IPv6 packet is a valid router solicitation. The engine checks it.
fn is_solicitation(packet: &[u8]) -> bool {
    let Ok(packet) = Packet::parse(packet, true) else { return false };
    let (IpAddr::V6(source), IpAddr::V6(destination)) = (packet.source, packet.destination) else { return false };
    if packet.protocol != IpProtocol::Icmpv6 {
        return false;
    }
    let received = Received {
        source,
        destination,
        hop_limit: packet.hop_limit,
        fragmented: packet.fragment.is_some(),
        bytes: packet.payload(),
    };
    matches!(Message::read(&received, true), Ok(Message::RouterSolicitation))
}
