//! A DHCPv4 server: leases addresses of a pool to the clients of a link (RFC 2131, RFC 2132).
//!
//! [`Server`] is a state machine without a socket or a clock. The caller passes in the datagrams that arrive at UDP port
//! 67, with the hardware address of their sender, and sends the [`Answer`]s from its own address and port 67. A client
//! without an address is answered before it can answer ARP (section 4.1), so an answer names the hardware address that
//! it goes to.
//!
//! | What clients can cause | Limit |
//! |---|---|
//! | answers | one for each message |
//! | memory | 4096 addresses, each with an identifier of up to 255 bytes |
//! | addresses that are not available | an offer takes one for a minute, a conflict for ten minutes |
//!
//! The server does not probe an address before it offers it, because the answer would come late: a client verifies the
//! address itself (RFC 5227) and declines it. Addresses that are known to be taken are [reserved](Config::reserved).

mod bindings;
mod message;
#[cfg(test)]
mod tests;

use core::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use core::ops::RangeInclusive;
use core::time::Duration;
use std::collections::BTreeSet;

use xila_network_engine::configure::dhcp::options::code;
pub use xila_network_engine::configure::dhcp::{CLIENT_PORT, SERVER_PORT};

use self::bindings::{Bindings, State};
use self::message::{AnswerKind, Kind, Request, Writer};
use super::names;
use crate::address::{Cidr, MacAddress};
use crate::platform::Instant;

/// How long an offered address is kept for its client, which may repeat its request for about a minute (RFC 2131
/// section 3.1 step 5).
const OFFERED: Duration = Duration::from_secs(60);
/// How long an address is set aside that somebody else has in use.
const DECLINED: Duration = Duration::from_secs(600);
/// The shortest lease that a client may ask for, if the server's own is not shorter.
const SHORTEST: u32 = 60;
/// The most routers, DNS servers and search domains.
const MOST: usize = 16;
/// The lease time that means "for ever" (RFC 2131 section 3.3).
const INFINITE: u32 = u32::MAX;
/// The length of the option that holds the mask, its code and its length included.
const MASK_OPTION: usize = 6;
const BROADCAST_HARDWARE: [u8; 6] = [0xff; 6];

/// The configuration of a server. [`Config::new`] fills it in for a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The server's own address (option 54), with the prefix of the network that it serves (option 1).
    pub address: Cidr,
    /// The addresses that are leased, all of the network.
    pub pool: RangeInclusive<Ipv4Addr>,
    /// Addresses of the pool that are not leased, because somebody has them. Those of the server, its routers and DNS
    /// servers, and the first and the last of the network are left out anyway.
    pub reserved: Vec<Ipv4Addr>,
    /// The lease time: one second to 136 years; longer is for ever.
    pub lease: Duration,
    /// The default routers (option 3), in order of preference; up to 16.
    pub routers: Vec<Ipv4Addr>,
    /// The recursive DNS servers (option 6), in order of preference; up to 16.
    pub dns_servers: Vec<Ipv4Addr>,
    /// The domain of the clients (option 15).
    pub domain: Option<String>,
    /// The search domains (option 119), up to 16 with 255 bytes in DNS encoding together.
    pub search: Vec<String>,
    /// The MTU of the link in bytes (option 26), at least 68.
    pub mtu: Option<u16>,
}

/// Why a configuration is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// The server's address is not an IPv4 address that a host of its network can have, or the network has some that
    /// no host can have: those of 0.0.0.0/8, and loopback, multicast and reserved ones.
    #[error("the server's address is no host's in an IPv4 network, or the network has addresses that no host has")]
    Address,
    /// The pool is empty or not within the network, or all of its addresses are taken already: by the server itself, for
    /// instance.
    #[error("the pool is empty, not within the network, or has only addresses that are taken")]
    Pool,
    /// The lease time is shorter than a second.
    #[error("the lease time is shorter than a second")]
    Lease,
    /// There are more than 16 routers or DNS servers, or one has an address that no host has.
    #[error("there are too many routers or DNS servers, or one with an address that no host has")]
    Servers,
    /// A domain is not a name, or there are more than fit.
    #[error("a domain is not a name, or there are more than fit")]
    Domains,
    /// The MTU is smaller than 68 bytes.
    #[error("the MTU is smaller than 68 bytes")]
    Mtu,
}

impl Config {
    /// A server for all other addresses of a network, for an hour each. It names no routers, DNS servers, domains and
    /// MTU. `address` is its own, with the prefix of the network.
    ///
    /// # Errors
    /// [`InvalidConfig::Address`].
    pub fn new(address: Cidr) -> Result<Self, InvalidConfig> {
        let hosts = hosts(address).ok_or(InvalidConfig::Address)?;
        Ok(Self {
            address,
            pool: hosts,
            reserved: Vec::new(),
            lease: Duration::from_secs(3600),
            routers: Vec::new(),
            dns_servers: Vec::new(),
            domain: None,
            search: Vec::new(),
            mtu: None,
        })
    }
}

/// The addresses that hosts of an IPv4 network can have; `None` if `address` is not one of them, or if the network has
/// others that are [no host's](is_host). A network of two addresses has no broadcast address (RFC 3021).
fn hosts(address: Cidr) -> Option<RangeInclusive<Ipv4Addr>> {
    let (IpAddr::V4(own), IpAddr::V4(first)) = (address.address(), address.network().address()) else { return None };
    let first = first.to_bits();
    let last = first | u32::MAX.checked_shr(address.prefix().into()).unwrap_or(0);
    let hosts = match address.prefix() {
        1..=30 => first + 1..=last - 1,
        31 => first..=last,
        // Without a prefix, everybody is on the link. With 32, there is nobody else.
        _ => return None,
    };
    let is_one = hosts.contains(&own.to_bits());
    let (first, last) = (Ipv4Addr::from_bits(*hosts.start()), Ipv4Addr::from_bits(*hosts.end()));
    // If a network has addresses that no host can have, one of its ends is among them.
    (is_one && is_host(first) && is_host(last)).then_some(first..=last)
}

/// Whether a host can have an address: it is not one of 0.0.0.0/8, and no loopback, multicast or reserved one (RFC 1122
/// section 3.2.1.3).
const fn is_host(address: Ipv4Addr) -> bool {
    !matches!(address.octets(), [0 | 127 | 224..=255, ..])
}

/// A datagram to send from the server's address and [port](SERVER_PORT).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The hardware address that it goes to: that of the client or of its relay, or the broadcast address.
    pub hardware: [u8; 6],
    /// The address and port that it goes to.
    pub destination: SocketAddrV4,
    /// The message.
    pub payload: Vec<u8>,
}

/// An address that is leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// The hardware address of the client.
    pub hardware: MacAddress,
    /// The end of the lease.
    pub ends: Instant,
}

/// What a server has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Addresses offered.
    pub offers: u64,
    /// Requests granted, among them those to extend a lease.
    pub acknowledgements: u64,
    /// Requests refused.
    pub refusals: u64,
    /// Addresses that clients declined because somebody else has them.
    pub declined: u64,
    /// Leases that clients released.
    pub released: u64,
    /// Messages that were not answered because no address was free.
    pub exhausted: u64,
    /// Datagrams that are not well-formed messages of clients, or that name an address which a client or its relay
    /// cannot have.
    pub malformed: u64,
}

/// A DHCPv4 server. See the [module](self).
#[derive(Debug)]
pub struct Server {
    address: Ipv4Addr,
    network: Cidr,
    /// The addresses that hosts of the network can have.
    hosts: RangeInclusive<Ipv4Addr>,
    /// The lease time in seconds.
    lease: u32,
    /// The options of the configuration, which clients may ask for. The mask comes first (RFC 2132 section 3.3).
    options: Vec<(u8, Vec<u8>)>,
    bindings: Bindings,
    statistics: Statistics,
}

impl Server {
    /// A server without leases.
    ///
    /// # Errors
    /// See [`InvalidConfig`].
    pub fn new(config: &Config) -> Result<Self, InvalidConfig> {
        let hosts = hosts(config.address).ok_or(InvalidConfig::Address)?;
        let IpAddr::V4(address) = config.address.address() else { return Err(InvalidConfig::Address) };
        let pool = config.pool.clone();
        if pool.is_empty() || !hosts.contains(pool.start()) || !hosts.contains(pool.end()) {
            return Err(InvalidConfig::Pool);
        }
        if config.lease < Duration::from_secs(1) {
            return Err(InvalidConfig::Lease);
        }
        let options = options(config, *hosts.end())?;
        let taken = [&config.reserved, &config.routers, &config.dns_servers].into_iter().flatten().copied();
        let reserved: BTreeSet<Ipv4Addr> = taken.chain([address]).collect();
        let size = u64::from(pool.end().to_bits() - pool.start().to_bits()) + 1;
        if reserved.range(pool.clone()).count() as u64 == size {
            return Err(InvalidConfig::Pool);
        }
        Ok(Self {
            address,
            network: config.address,
            hosts,
            lease: u32::try_from(config.lease.as_secs()).unwrap_or(INFINITE),
            options,
            bindings: Bindings::new(pool, reserved),
            statistics: Statistics::default(),
        })
    }

    /// Leases an address of the pool no more, because somebody has it. Returns false if a client of this server has it.
    pub fn reserve(&mut self, now: Instant, address: Ipv4Addr) -> bool {
        self.bindings.reserve(address, now)
    }

    /// The server's own address.
    #[must_use]
    pub const fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// What the server has done.
    #[must_use]
    pub const fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// The leases that have not ended, in the order of their addresses.
    pub fn leases(&self, now: Instant) -> impl Iterator<Item = Lease> + '_ {
        self.bindings.leased(now).map(|(address, hardware, ends)| Lease { address, hardware, ends })
    }

    /// Takes a message of a client, which is the payload of a datagram to [`SERVER_PORT`], from a neighbour with this
    /// hardware address. `None`: there is nothing to answer.
    pub fn handle(&mut self, now: Instant, sender: MacAddress, payload: &[u8]) -> Option<Answer> {
        let Some(request) = Request::parse(payload).filter(|request| self.is_possible(request)) else {
            self.statistics.malformed = self.statistics.malformed.saturating_add(1);
            return None;
        };
        // A relay names its address in the clients' network, by which the server picks addresses (section 4.3.1).
        if request.relay.is_some_and(|relay| !self.network.contains(relay.into())) {
            return None;
        }
        let (kind, address) = match request.kind {
            Kind::Discover => (AnswerKind::Offer, Some(self.discover(now, &request)?)),
            Kind::Request => match self.request(now, &request)? {
                Some(address) => (AnswerKind::Ack, Some(address)),
                None => (AnswerKind::Nak, None),
            },
            Kind::Decline => {
                self.decline(now, &request);
                return None;
            }
            Kind::Release => {
                self.release(now, &request);
                return None;
            }
            // A client that has an address from elsewhere (section 4.3.5).
            Kind::Inform => {
                request.address.filter(|address| self.network.contains((*address).into()))?;
                (AnswerKind::Ack, None)
            }
        };
        let count = match kind {
            AnswerKind::Offer => &mut self.statistics.offers,
            AnswerKind::Ack => &mut self.statistics.acknowledgements,
            AnswerKind::Nak => &mut self.statistics.refusals,
        };
        *count = count.saturating_add(1);
        let payload = self.message(kind, &request, address);
        let (hardware, destination) = self.destination(kind, &request, sender, address);
        Some(Answer { hardware, destination, payload })
    }

    /// Whether the client and the relay of a message can have the addresses that it names. A client that asks for an
    /// offer should not have one yet (table 5), and may name any.
    fn is_possible(&self, request: &Request) -> bool {
        let is_elsewhere = |address: Ipv4Addr| is_host(address) && !self.network.contains(address.into());
        let is_anybody = |address: Ipv4Addr| self.is_neighbour(address) || is_elsewhere(address);
        let client = request.address.filter(|_| request.kind != Kind::Discover);
        client.is_none_or(is_anybody) && request.relay.is_none_or(is_anybody)
    }

    /// Whether another host of the network can have an address.
    fn is_neighbour(&self, address: Ipv4Addr) -> bool {
        self.hosts.contains(&address) && address != self.address
    }

    /// Reserves an address for a client (section 4.3.1). `None` if none is free.
    fn discover(&mut self, now: Instant, request: &Request) -> Option<Ipv4Addr> {
        let Some(address) = self.bindings.choose(&request.client, request.requested, now) else {
            self.statistics.exhausted = self.statistics.exhausted.saturating_add(1);
            return None;
        };
        // A client that has a lease keeps it, whether it takes the offer or not.
        if self.bindings.state(&request.client, now) != Some(State::Leased) {
            self.bindings.bind(&request.client, request.hardware, address, State::Offered, now + OFFERED);
        }
        Some(address)
    }

    /// Decides about a request (section 4.3.2): `Some(Some(address))` grants it, `Some(None)` refuses it, and `None` is
    /// silence.
    fn request(&mut self, now: Instant, request: &Request) -> Option<Option<Ipv4Addr>> {
        let Request { client, hardware, address: ciaddr, requested, server, .. } = request;
        if server.is_some_and(|server| server != self.address) {
            // SELECTING, and the client has selected another server's offer.
            self.bindings.free(client, State::Offered, now);
            return None;
        }
        let is_ours = |address: Ipv4Addr| self.network.contains(address.into());
        let address = match (ciaddr, requested, server) {
            // SELECTING. An offer that has ended is as good as a new one, if the address is still free.
            (None, Some(requested), Some(_)) => *requested,
            // INIT-REBOOT.
            (None, Some(requested), None) => {
                if !is_ours(*requested) {
                    return Some(None);
                }
                // Another server may know the client, also one whose offer it has taken instead of ours.
                if self.bindings.lease_of(client)? != *requested {
                    return Some(None);
                }
                *requested
            }
            // RENEWING and REBINDING. The addresses of the pool are this server's, so it may also extend a lease of an
            // earlier run, which it does not know. Others of the network may be leased by another server.
            (Some(address), None, _) => {
                if is_ours(*address) && !self.bindings.is_in_pool(*address) {
                    return None;
                }
                *address
            }
            (Some(_), Some(_), _) | (None, None, _) => return None,
        };
        if !self.bindings.is_for(client, address, now) {
            return Some(None);
        }
        let lifetime = Duration::from_secs(self.lifetime(request).into());
        let until = if lifetime.as_secs() == u64::from(INFINITE) { now + Duration::MAX } else { now + lifetime };
        self.bindings.bind(client, *hardware, address, State::Leased, until);
        Some(Some(address))
    }

    /// Sets an address aside that its client has found in use (section 4.3.3).
    fn decline(&mut self, now: Instant, request: &Request) {
        let Some(address) = request.requested.filter(|_| request.server == Some(self.address)) else { return };
        if self.bindings.decline(&request.client, address, now + DECLINED) {
            self.statistics.declined = self.statistics.declined.saturating_add(1);
            tracing::warn!(%address, client = %request.hardware, "a DHCP client found its address in use");
        }
    }

    /// Ends a lease (section 4.3.4).
    fn release(&mut self, now: Instant, request: &Request) {
        let is_own = request.address.is_some() && request.address == self.bindings.of(&request.client);
        if is_own
            && request.server.is_none_or(|server| server == self.address)
            && self.bindings.free(&request.client, State::Leased, now)
        {
            self.statistics.released = self.statistics.released.saturating_add(1);
        }
    }

    /// The lease time for a client in seconds: the one that it wants, if that is not longer than the server's.
    fn lifetime(&self, request: &Request) -> u32 {
        request.lifetime.map_or(self.lease, |wanted| wanted.max(SHORTEST).min(self.lease))
    }

    /// Where an answer goes (section 4.1): the hardware address, and the address and port.
    fn destination(
        &self,
        kind: AnswerKind,
        request: &Request,
        sender: MacAddress,
        address: Option<Ipv4Addr>,
    ) -> ([u8; 6], SocketAddrV4) {
        if let Some(relay) = request.relay {
            return (sender.octets(), SocketAddrV4::new(relay, SERVER_PORT));
        }
        let own = request.address.filter(|own| self.is_neighbour(*own));
        let unicast = match kind {
            AnswerKind::Nak => None,
            AnswerKind::Offer | AnswerKind::Ack => own.or_else(|| address.filter(|_| !request.wants_broadcast())),
        };
        match unicast {
            Some(address) => (request.hardware.octets(), SocketAddrV4::new(address, CLIENT_PORT)),
            None => (BROADCAST_HARDWARE, SocketAddrV4::new(Ipv4Addr::BROADCAST, CLIENT_PORT)),
        }
    }

    /// The message (table 3). `address` is the leased one.
    fn message(&self, kind: AnswerKind, request: &Request, address: Option<Ipv4Addr>) -> Vec<u8> {
        let mut writer = Writer::new(kind, request, address, self.address);
        if kind == AnswerKind::Nak {
            writer.put(code::TEXT, b"not an address that this client can have");
            return writer.finish();
        }
        if address.is_some() {
            let lifetime = self.lifetime(request);
            writer.put(code::LIFETIME, &lifetime.to_be_bytes());
            if lifetime != INFINITE {
                // The fractions of section 4.4.5.
                let (renewal, rebinding) = (lifetime / 2, lifetime - lifetime / 8);
                writer.put(code::RENEWAL, &renewal.to_be_bytes());
                writer.put(code::REBINDING, &rebinding.to_be_bytes());
            }
        }
        // The mask is always sent, also if others that come before it leave little room.
        writer.keep(MASK_OPTION);
        for (option, data) in self.options_for(request) {
            if option == code::MASK {
                writer.keep(0);
            }
            writer.put(option, data);
        }
        writer.finish()
    }

    /// The options of the configuration that a client asks for, in the order in which it does (RFC 2132 section 9.8).
    /// The mask is always one of them.
    fn options_for(&self, request: &Request) -> Vec<(u8, &[u8])> {
        let all = self.options.iter().map(|(option, data)| (*option, data.as_slice()));
        let Some(parameters) = &request.parameters else { return all.collect() };
        let place = |wanted: u8| parameters.iter().position(|parameter| *parameter == wanted);
        let is_wanted = |wanted: u8| wanted == code::MASK || place(wanted).is_some();
        let mut options: Vec<(u8, &[u8])> = all.filter(|(option, _)| is_wanted(*option)).collect();
        // A mask that was not asked for comes first.
        options.sort_by_cached_key(|(option, _)| place(*option));
        let find = |wanted: u8| options.iter().position(|(option, _)| *option == wanted);
        let (routers, mask) = (find(code::ROUTERS), find(code::MASK));
        // The mask comes before the routers in any case (RFC 2132 section 3.3).
        if let (Some(routers), Some(mask)) = (routers, mask)
            && routers < mask
        {
            options[routers..=mask].rotate_right(1);
        }
        options
    }
}

/// The options that a configuration makes, in the order in which they are sent.
fn options(config: &Config, last_host: Ipv4Addr) -> Result<Vec<(u8, Vec<u8>)>, InvalidConfig> {
    let prefix = config.address.prefix();
    let mask = !u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    let mut options = vec![(code::MASK, mask.to_be_bytes().to_vec())];
    if prefix < 31 {
        options.push((code::BROADCAST, (last_host.to_bits() + 1).to_be_bytes().to_vec()));
    }
    for (code, hosts) in [(code::ROUTERS, &config.routers), (code::DNS_SERVERS, &config.dns_servers)] {
        if hosts.len() > MOST || !hosts.iter().all(|host| is_host(*host)) {
            return Err(InvalidConfig::Servers);
        }
        options.push((code, hosts.iter().flat_map(Ipv4Addr::octets).collect()));
    }
    if let Some(domain) = &config.domain {
        names::encode(domain).ok_or(InvalidConfig::Domains)?;
        options.push((code::DOMAIN, domain.trim_end_matches('.').as_bytes().to_vec()));
    }
    let search: Option<Vec<Vec<u8>>> = config.search.iter().map(|name| names::encode(name)).collect();
    let search = search.ok_or(InvalidConfig::Domains)?.concat();
    if config.search.len() > MOST || search.len() > usize::from(u8::MAX) {
        return Err(InvalidConfig::Domains);
    }
    options.push((code::SEARCH, search));
    if let Some(mtu) = config.mtu {
        if mtu < 68 {
            return Err(InvalidConfig::Mtu);
        }
        options.push((code::MTU, mtu.to_be_bytes().to_vec()));
    }
    options.retain(|(_, data)| !data.is_empty());
    Ok(options)
}
