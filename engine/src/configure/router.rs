//! What IPv6 routers say: router discovery (RFC 4861 section 6.3), address autoconfiguration (RFC 4862 section 5.5),
//! preferences and routes (RFC 4191), servers of names (RFC 8106).
//!
//! What has a place in the tables of [addresses](Addresses) and [routes](Routes) is written there, as
//! [`Origin::Router`]: default routers, routes through them, prefixes that are on the link, and addresses, whose
//! claims are the caller's. The tables hold lifetimes and let go of what is over. Here is kept what has no place there:
//! the solicitations, the parameters of the link, and the servers and domains of names. What the caller has to do or
//! may want to tell of is returned as [`Effect`]s.
//!
//! That a prefix is on the link is said by its route without a gateway alone. An address that is formed of it is added
//! without [`on_link`](crate::ip::addresses::Address::on_link) (RFC 5942): the lifetimes of both are not the same,
//! since that of an address is not cut at once, and that of the prefix is.
//!
//! | Room | Holds |
//! |---|---|
//! | this file | what is known, and what each part of an advertisement is for |
//! | `solicitation` | when routers are asked for |
//! | `routing` | default routers, routes and prefixes that are on the link |
//! | `formation` | addresses that are formed of prefixes |
//! | `temporary` | those with random identifiers, beside them |
//! | `expiring` | lists whose entries have lifetimes |
//!
//! Who may send an advertisement, and in what shape, is [`ndp`](crate::link::ndp)'s to check; whom it was for, and
//! the neighbour cache entry of its sender, a router, are the caller's.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use crate::ip::addresses::{Address, Addresses, Origin, StableIdentifier};
use crate::ip::routes::{Route, Routes};
use crate::link::ndp::{NdpOption, RouterAdvertisement};
use crate::random::Random;
use crate::time::Instant;
use crate::wire::IPV6_LEAST_MTU;
use expiring::Expiring;
use formation::Formation;
use routing::Routing;
use solicitation::{Due, Solicitation};
use temporary::Temporaries;

mod expiring;
mod formation;
mod routing;
mod solicitation;
mod temporary;
#[cfg(test)]
mod tests;

/// The least MTU of a link, as advertisements have it.
const LEAST_MTU: u32 = IPV6_LEAST_MTU as u32;

/// The longest lifetime of a default router (RFC 8319 section 4).
const LONGEST_LIFETIME: Duration = Duration::from_secs(65_535);

/// What is known beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The largest packet in bytes that the link can take; a router that says more is not believed.
    pub mtu: u32,
    /// Whether [temporary addresses](Discovery::set_temporary) are formed too.
    pub temporary: bool,
    /// How much routers may bring.
    pub limits: Limits,
}

impl Config {
    /// With this MTU of the link, and else as the RFCs have it by default.
    #[must_use]
    pub fn new(mtu: u32) -> Self {
        Self { mtu, temporary: false, limits: Limits::default() }
    }
}

/// How much routers may bring, whoever pretends to be one. The limits of the tables hold besides: that of
/// [addresses](Addresses::new) is the only one for them. Each kind has its own, so that much of one kind does not keep
/// out others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Default routers.
    pub routers: usize,
    /// Prefixes that are on the link.
    pub prefixes: usize,
    /// Routes that are more specific than the default ones.
    pub routes: usize,
    /// Servers of names.
    pub servers: usize,
    /// Domains in which names are looked for.
    pub domains: usize,
}

impl Default for Limits {
    /// 8 routers, 16 prefixes, 32 routes, 4 servers and 8 domains.
    fn default() -> Self {
        Self { routers: 8, prefixes: 16, routes: 32, servers: 4, domains: 8 }
    }
}

/// What the caller is to do, or may tell of. Lifetimes that change are not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a router solicitation, from an assigned address or from `::` (RFC 4861 section 4.1).
    Solicit,
    /// No router has answered three solicitations: [`is_unanswered`](Discovery::is_unanswered). They go on, ever less often.
    Unanswered,
    /// This address was added and is tentative: it is to be [claimed](crate::link::claim), with a random delay before
    /// the first probe (RFC 4862 section 5.4.2).
    AddressAdded(Address),
    /// This address was removed; its claim ends.
    AddressRemoved(Address),
    /// This route was added.
    RouteAdded(Route),
    /// This route has another preference now.
    RouteChanged(Route),
    /// This route was removed. Where it led to a router, what was sent that way needs another next hop.
    RouteRemoved(Route),
    /// The MTU of the link in bytes, 1280 or more and no more than the link can take; `None` where routers say nothing
    /// any more.
    Mtu(Option<u32>),
    /// The hop limit for packets; `None` where routers say nothing any more.
    HopLimit(Option<u8>),
    /// The times of neighbour unreachability detection, as they are advertised: whether they make sense is for
    /// [`Neighbours`](crate::link::neighbours::Neighbours::set_advertised_times) to judge. `None` where routers say
    /// nothing.
    Times {
        /// The base of the time for which a neighbour is reachable.
        reachable: Option<Duration>,
        /// The time between solicitations.
        retransmit: Option<Duration>,
    },
    /// Whether a router says that a server of DHCPv6 has more to say (RFC 4861 section 4.2: either flag).
    Information(bool),
    /// What the latest advertisement says of DHCPv6.
    Flags {
        /// Addresses are to be had.
        managed: bool,
        /// Other configuration is to be had.
        other: bool,
    },
    /// The [servers of names](Discovery::servers) are others, or in another order.
    Servers,
    /// The [domains in which names are looked for](Discovery::domains) are others, or in another order.
    Domains,
}

/// What routers say of the link besides addresses and routes: the latest of each, of whichever router (RFC 4861 section
/// 6.3.4). `None` where none says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The MTU in bytes.
    pub mtu: Option<u32>,
    /// The hop limit for packets.
    pub hop_limit: Option<u8>,
    /// The base of the time for which a neighbour is reachable.
    pub reachable: Option<Duration>,
    /// The time between solicitations of neighbours.
    pub retransmit: Option<Duration>,
    /// Addresses are to be had by DHCPv6.
    pub managed: bool,
    /// Other configuration is to be had by DHCPv6.
    pub other: bool,
}

/// Router discovery and address autoconfiguration of one interface.
///
/// It is told of [advertisements](Self::receive), of [conflicts](Self::conflict) over the addresses that it has added,
/// and of a [link that is ready](Self::solicit) or [another one](Self::withdraw). [`poll`](Self::poll) gives what is
/// due, and [`next_timeout`](Self::next_timeout) says when to ask it again; that changes with each of these calls. The
/// addresses and routes are always the same interface's; what of them is over, [leaves](Addresses::expire) without this
/// room.
#[derive(Debug)]
pub struct Discovery {
    config: Config,
    solicitation: Solicitation,
    parameters: Parameters,
    formation: Formation,
    temporaries: Option<Temporaries>,
    servers: Expiring<Ipv6Addr>,
    domains: Expiring<String>,
    /// The routers that say that a server of DHCPv6 has more to say.
    informed: Expiring<Ipv6Addr>,
    /// A router has advertised.
    has_heard: bool,
    left_out: u64,
}

impl Discovery {
    /// Nothing is known, and nobody is asked before [`solicit`](Self::solicit). What is advertised unasked is heard.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            config,
            solicitation: Solicitation::new(),
            parameters: Parameters::default(),
            formation: Formation::default(),
            temporaries: config.temporary.then(Temporaries::default),
            servers: Expiring::new(config.limits.servers),
            domains: Expiring::new(config.limits.domains),
            informed: Expiring::new(config.limits.routers),
            has_heard: false,
            left_out: 0,
        }
    }

    /// Begins to ask for routers, or begins anew: the interface is up and has an address to ask from, the link is back,
    /// or the hardware address is another (RFC 4861 section 6.3.7). The first solicitation is due at once: hosts that
    /// are switched on together have waited for a random time each before they probed for the address they ask from.
    pub fn solicit(&mut self, now: Instant) {
        self.solicitation.start(now);
    }

    /// Asks no more: the interface or its link is down.
    pub fn stop_soliciting(&mut self) {
        self.solicitation.stop();
    }

    /// A router has advertised (RFC 4861 section 6.3.4). `identify` gives the identifier of an address in a network
    /// of 64 bits, for a counter that grows with each duplicate found: as
    /// [`stable_identifier`](crate::ip::addresses::stable_identifier) does, or one that is made of the hardware address
    /// (RFC 4291 appendix A), whatever the counter is.
    pub fn receive(
        &mut self,
        advertisement: &RouterAdvertisement<'_>,
        now: Instant,
        addresses: &mut Addresses,
        routes: &mut Routes,
        identify: impl Fn(Ipv6Addr, u32) -> StableIdentifier,
    ) -> Vec<Effect> {
        self.has_heard = true;
        let mut effects = Vec::new();
        self.parameters.heard(advertisement, self.config.mtu).tell(&mut self.parameters, &mut effects);
        self.learn_of_information(advertisement, now, &mut effects);
        self.route(advertisement, now, routes, &mut effects);
        self.form(advertisement, now, addresses, identify, &mut effects);
        self.learn_names(advertisement, now, &mut effects);
        effects
    }

    /// What is due by now, one thing at a time.
    pub fn poll(&mut self, now: Instant, random: &mut Random) -> Option<Effect> {
        if self.servers.expire(now) {
            return Some(Effect::Servers);
        }
        if self.domains.expire(now) {
            return Some(Effect::Domains);
        }
        if self.informed.expire(now) && self.informed.iter().next().is_none() {
            return Some(Effect::Information(false));
        }
        loop {
            match self.solicitation.poll(now, random)? {
                Due::Solicitation => return Some(Effect::Solicit),
                Due::Conclusion if self.is_unanswered() => return Some(Effect::Unanswered),
                // A router that is no default router has advertised.
                Due::Conclusion => {}
            }
        }
    }

    /// When to [poll](Self::poll) again.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        [
            self.solicitation.next_timeout(),
            self.servers.next_timeout(),
            self.domains.next_timeout(),
            self.informed.next_timeout(),
            self.temporaries.as_ref().and_then(Temporaries::next_timeout),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Another host has a tentative address that a router's prefix was formed to (RFC 4862 section 5.4.5). The next
    /// candidate, which has taken its place in the table, is returned, to be claimed with a random delay of up to a
    /// second (`IDGEN_DELAY`). After three of them (`IDGEN_RETRIES`), and where `identify` has no other identifier,
    /// there is none: the address stays as a duplicated one, so that its prefix is not tried again (RFC 7217 section
    /// 6).
    ///
    /// `None` also for an address that is not tentative or not from a router; that one is not touched. So this comes
    /// before, and in place of, [`mark_duplicated`](Addresses::mark_duplicated).
    pub fn conflict(
        &mut self,
        address: Ipv6Addr,
        addresses: &mut Addresses,
        identify: impl Fn(Ipv6Addr, u32) -> StableIdentifier,
    ) -> Option<Address> {
        self.formation.conflict(address, addresses, identify)
    }

    /// Whether temporary addresses are formed of prefixes too (RFC 8981). Those that there are go where they are not
    /// wanted any more; where they are wanted now, the next [renewal](Self::renew_temporary) makes the first.
    pub fn set_temporary(&mut self, enabled: bool, addresses: &mut Addresses) -> Vec<Effect> {
        let mut effects = Vec::new();
        if enabled {
            self.temporaries.get_or_insert_default();
        } else if let Some(temporaries) = self.temporaries.take() {
            temporaries.withdraw(addresses, &mut effects);
        }
        effects
    }

    /// Makes the temporary addresses that are to be there by now, and sets how long the others last: to be called after
    /// [`receive`](Self::receive) and [`conflict_temporary`](Self::conflict_temporary), and when
    /// [time is over](Self::next_timeout).
    pub fn renew_temporary(&mut self, now: Instant, addresses: &mut Addresses, random: &mut Random) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(temporaries) = &mut self.temporaries {
            let left_out = temporaries.renew(now, addresses, random, &mut effects);
            self.left_out = self.left_out.saturating_add(left_out);
        }
        effects
    }

    /// Another host has a temporary address, which is removed: as [`conflict`](Self::conflict). The next
    /// [renewal](Self::renew_temporary) makes another one, unless three were another's, one after the other.
    pub fn conflict_temporary(&mut self, address: Ipv6Addr, addresses: &mut Addresses) {
        if let Some(temporaries) = &mut self.temporaries {
            temporaries.conflict(address, addresses);
        }
    }

    /// Removes everything that routers brought, and asks no more: autoconfiguration is switched off, the hardware
    /// address is another, or the link was gone and may lead to another network. [`solicit`](Self::solicit) begins
    /// anew.
    pub fn withdraw(&mut self, addresses: &mut Addresses, routes: &mut Routes) -> Vec<Effect> {
        let mut effects = Vec::new();
        effects.extend(addresses.withdraw(Origin::Router).into_iter().map(Effect::AddressRemoved));
        effects.extend(routes.withdraw(Origin::Router).into_iter().map(Effect::RouteRemoved));
        Parameters::default().tell(&mut self.parameters, &mut effects);
        if self.servers.clear() {
            effects.push(Effect::Servers);
        }
        if self.domains.clear() {
            effects.push(Effect::Domains);
        }
        if self.informed.clear() {
            effects.push(Effect::Information(false));
        }
        self.formation = Formation::default();
        self.temporaries = self.temporaries.as_ref().map(|_| Temporaries::default());
        self.has_heard = false;
        self.solicitation.stop();
        effects
    }

    /// The servers of names, the one to be asked first in front. They may be link-local.
    pub fn servers(&self) -> impl Iterator<Item = IpAddr> {
        self.servers.iter().copied().map(IpAddr::V6)
    }

    /// The domains in which names are looked for, in this order; in small letters, without a dot at the end.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.domains.iter().map(String::as_str)
    }

    /// Whether a router has advertised anything since the begin, or since all of it was [withdrawn](Self::withdraw).
    #[must_use]
    pub const fn has_heard(&self) -> bool {
        self.has_heard
    }

    /// Whether there seems to be no router: three solicitations were sent since it was [begun to ask](Self::solicit), and
    /// nobody has advertised anything (RFC 4861 section 6.3.7).
    #[must_use]
    pub const fn is_unanswered(&self) -> bool {
        self.solicitation.is_in_vain() && !self.has_heard
    }

    /// What is known of the link.
    #[must_use]
    pub const fn parameters(&self) -> Parameters {
        self.parameters
    }

    /// How many routers, prefixes, routes, addresses, servers and domains were left out, because there were as many as
    /// there may be. Each counts as often as it is advertised.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Default routers, other routes, and prefixes that are on the link.
    fn route(
        &mut self,
        advertisement: &RouterAdvertisement<'_>,
        now: Instant,
        routes: &mut Routes,
        effects: &mut Vec<Effect>,
    ) {
        let (router, limits) = (advertisement.source, self.config.limits);
        let mut routing = Routing { routes, router, now, limits, effects, left_out: &mut self.left_out };
        if routing.default_router(advertisement) {
            self.solicitation.answered();
        }
        for option in advertisement.options {
            match option {
                NdpOption::Prefix(prefix) => routing.prefix(&prefix),
                NdpOption::Route(route) => routing.route(&route),
                NdpOption::SourceHardware(_)
                | NdpOption::TargetHardware(_)
                | NdpOption::Redirected(_)
                | NdpOption::Mtu(_)
                | NdpOption::Nonce(_)
                | NdpOption::Servers(_)
                | NdpOption::Search(_) => {}
            }
        }
    }

    /// Addresses.
    fn form(
        &mut self,
        advertisement: &RouterAdvertisement<'_>,
        now: Instant,
        addresses: &mut Addresses,
        identify: impl Fn(Ipv6Addr, u32) -> StableIdentifier,
        effects: &mut Vec<Effect>,
    ) {
        self.formation.forget_those_without_address(addresses);
        let prefix = |option| if let NdpOption::Prefix(prefix) = option { Some(prefix) } else { None };
        for prefix in advertisement.options.filter_map(prefix) {
            match self.formation.advertised(&prefix, advertisement.source, now, addresses, &identify) {
                Ok(added) => effects.extend(added.map(Effect::AddressAdded)),
                Err(formation::Full) => self.left_out = self.left_out.saturating_add(1),
            }
        }
    }

    /// Whether its sender says that a server of DHCPv6 has more to say. The flags have no lifetime of their own: they count
    /// as long as the router, and of one that is no default router as long as the longest that such a one may be.
    fn learn_of_information(
        &mut self,
        advertisement: &RouterAdvertisement<'_>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let lifetime = match advertisement.lifetime {
            _ if !(advertisement.managed || advertisement.other) => Duration::ZERO,
            Duration::ZERO => LONGEST_LIFETIME,
            lifetime => lifetime,
        };
        let had_any = self.informed.iter().next().is_some();
        self.informed.learn(core::iter::once((advertisement.source, lifetime)), now, &mut self.left_out);
        let has_any = self.informed.iter().next().is_some();
        if has_any != had_any {
            effects.push(Effect::Information(has_any));
        }
    }

    /// Servers and domains of names (RFC 8106 section 6).
    fn learn_names(&mut self, advertisement: &RouterAdvertisement<'_>, now: Instant, effects: &mut Vec<Effect>) {
        let servers = |option| if let NdpOption::Servers(servers) = option { Some(servers) } else { None };
        let servers = advertisement.options.filter_map(servers);
        let servers = servers.flat_map(|servers| servers.map(move |server| (server, servers.lifetime)));
        if self.servers.learn(servers.filter(|(server, _)| is_server(*server)), now, &mut self.left_out) {
            effects.push(Effect::Servers);
        }
        let domains = |option| if let NdpOption::Search(domains) = option { Some(domains) } else { None };
        let domains = advertisement.options.filter_map(domains);
        let domains = domains.flat_map(|domains| {
            // Names are the same whatever their letters (RFC 1035 section 2.3.3).
            domains.map(move |domain| (domain.to_ascii_lowercase(), domains.lifetime))
        });
        if self.domains.learn(domains, now, &mut self.left_out) {
            effects.push(Effect::Domains);
        }
    }
}

impl Parameters {
    /// Those that are known after an advertisement: what it does not say stays as it is. An MTU is not believed that is
    /// too small for IPv6, or larger than the link's (RFC 4861 section 6.3.4).
    fn heard(self, advertisement: &RouterAdvertisement<'_>, link_mtu: u32) -> Self {
        let mtu = |option| if let NdpOption::Mtu(mtu) = option { Some(mtu) } else { None };
        let mtus = advertisement.options.filter_map(mtu);
        Self {
            mtu: mtus.filter(|mtu| (LEAST_MTU..=link_mtu).contains(mtu)).last().or(self.mtu),
            hop_limit: advertisement.hop_limit.or(self.hop_limit),
            reachable: advertisement.reachable_time.or(self.reachable),
            retransmit: advertisement.retransmit_time.or(self.retransmit),
            managed: advertisement.managed,
            other: advertisement.other,
        }
    }

    /// Puts these in the place of others, and tells what is different.
    fn tell(self, known: &mut Self, effects: &mut Vec<Effect>) {
        let before = core::mem::replace(known, self);
        let Self { mtu, hop_limit, reachable, retransmit, managed, other } = self;
        let all = [
            (mtu != before.mtu, Effect::Mtu(mtu)),
            (hop_limit != before.hop_limit, Effect::HopLimit(hop_limit)),
            ((reachable, retransmit) != (before.reachable, before.retransmit), Effect::Times { reachable, retransmit }),
            ((managed, other) != (before.managed, before.other), Effect::Flags { managed, other }),
        ];
        effects.extend(all.into_iter().filter(|(is_other, _)| *is_other).map(|(_, effect)| effect));
    }
}

/// Whether a host can be asked at this address (RFC 8106 section 5.3.1).
const fn is_server(address: Ipv6Addr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && !address.is_loopback() && address.to_ipv4_mapped().is_none()
}

/// How long what is advertised lasts; `None` for ever.
fn finite(lifetime: Duration) -> Option<Duration> {
    (lifetime != Duration::MAX).then_some(lifetime)
}

/// When what is advertised now is over; `None` for never.
fn end_of(lifetime: Duration, now: Instant) -> Option<Instant> {
    finite(lifetime).map(|lifetime| now + lifetime)
}
