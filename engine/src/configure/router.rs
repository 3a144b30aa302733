//! The host side of IPv6 router advertisements: router discovery (RFC 4861 section 6.3), address autoconfiguration (RFC
//! 4862 section 5.5), router preferences and routes (RFC 4191), and DNS servers and search domains (RFC 8106).
//!
//! [`Discovery`] writes default routers, routes through routers, on-link prefixes and addresses into the tables of
//! [addresses](Addresses) and [routes](Routes), with [`Origin::Router`]. The caller claims the addresses (duplicate
//! address detection). The tables keep the lifetimes and remove expired entries. This module itself keeps only what has
//! no place in the tables: the state of router solicitation, the parameters of the link, and the DNS servers and search
//! domains. It returns [`Effect`]s: what the caller must do, or may want to report.
//!
//! An on-link prefix is represented only by its route without a gateway. An address that is formed from a prefix is
//! added without [`on_link`](crate::ip::addresses::Address::on_link) (RFC 5942), because the two lifetimes differ: an
//! advertisement can end an on-link prefix at once, but not an address.
//!
//! | Module | Content |
//! |---|---|
//! | this file | the knowledge of an interface, and the distribution of each advertisement to the parts |
//! | `solicitation` | the schedule of router solicitations |
//! | `routing` | default routers, routes and on-link prefixes |
//! | `formation` | stable addresses that are formed from prefixes |
//! | `temporary` | temporary addresses, with random identifiers |
//! | `expiring` | lists whose entries have lifetimes |
//!
//! [`ndp`](crate::link::ndp) validates the format and the sender of an advertisement. The caller checks its destination
//! and updates the neighbour cache entry of the sender, which is a router.

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

/// The minimum MTU of an IPv6 link, in the type that advertisements use.
const LEAST_MTU: u32 = IPV6_LEAST_MTU as u32;

/// The longest lifetime of a default router (RFC 8319 section 4).
const LONGEST_LIFETIME: Duration = Duration::from_secs(65_535);

/// The settings of [`Discovery`], which are known before any advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The largest packet in bytes that the link can carry. A larger MTU in an advertisement is ignored.
    pub mtu: u32,
    /// Whether [temporary addresses](Discovery::set_temporary) are formed as well.
    pub temporary: bool,
    /// The maximum number of entries of each kind that are accepted from routers.
    pub limits: Limits,
}

impl Config {
    /// A configuration with this MTU of the link, and the defaults of the RFCs for everything else.
    #[must_use]
    pub fn new(mtu: u32) -> Self {
        Self { mtu, temporary: false, limits: Limits::default() }
    }
}

/// The maximum number of entries of each kind that are accepted from all routers together, which may be forged. The
/// limits of the tables apply as well; for addresses, that of [`Addresses`](Addresses::new) is the only limit. Each
/// kind has a limit of its own, so that many entries of one kind do not keep out entries of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Default routers.
    pub routers: usize,
    /// Prefixes that are on the link.
    pub prefixes: usize,
    /// Routes that are more specific than the default route.
    pub routes: usize,
    /// DNS servers.
    pub servers: usize,
    /// DNS search domains.
    pub domains: usize,
}

impl Default for Limits {
    /// 8 routers, 16 prefixes, 32 routes, 4 servers and 8 domains.
    fn default() -> Self {
        Self { routers: 8, prefixes: 16, routes: 32, servers: 4, domains: 8 }
    }
}

/// What the caller must do, or may report. Changes of lifetimes alone are not reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a router solicitation, from an assigned address or from `::` (RFC 4861 section 4.1).
    Solicit,
    /// No router has answered three solicitations: [`is_unanswered`](Discovery::is_unanswered) is true now.
    /// Solicitations continue, at growing intervals.
    Unanswered,
    /// This address was added and is tentative. The caller must [claim](crate::link::claim) it, with a random delay
    /// before the first probe (RFC 4862 section 5.4.2).
    AddressAdded(Address),
    /// This address was removed, and its claim ends.
    AddressRemoved(Address),
    /// This route was added.
    RouteAdded(Route),
    /// The preference of this route has changed.
    RouteChanged(Route),
    /// This route was removed. If it led to a router, packets that were sent through that router need another next hop.
    RouteRemoved(Route),
    /// The MTU of the link in bytes: at least 1280, and no more than the link can carry. `None` if no router advertises
    /// one any more.
    Mtu(Option<u32>),
    /// The hop limit for packets; `None` if no router advertises one any more.
    HopLimit(Option<u8>),
    /// The timers of neighbour unreachability detection, as advertised.
    /// [`Neighbours`](crate::link::neighbours::Neighbours::set_advertised_times) checks whether they are plausible.
    /// `None` if routers do not specify them.
    Times {
        /// The base of the time for which a neighbour is reachable (Reachable Time).
        reachable: Option<Duration>,
        /// The time between retransmitted neighbour solicitations (Retrans Timer).
        retransmit: Option<Duration>,
    },
    /// Whether any router says that more configuration is available by DHCPv6 (RFC 4861 section 4.2: either of the
    /// flags M and O).
    Information(bool),
    /// The DHCPv6 flags of the latest advertisement.
    Flags {
        /// Addresses are available (flag M).
        managed: bool,
        /// Other configuration is available (flag O).
        other: bool,
    },
    /// The list of [DNS servers](Discovery::servers) has changed, in content or order.
    Servers,
    /// The list of [search domains](Discovery::domains) has changed, in content or order.
    Domains,
}

/// The parameters of the link that routers advertise, besides addresses and routes: the latest value of each, from any
/// router (RFC 4861 section 6.3.4). `None` if no router has specified the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// The MTU in bytes.
    pub mtu: Option<u32>,
    /// The hop limit for packets.
    pub hop_limit: Option<u8>,
    /// The base of the time for which a neighbour is reachable (Reachable Time).
    pub reachable: Option<Duration>,
    /// The time between retransmitted neighbour solicitations (Retrans Timer).
    pub retransmit: Option<Duration>,
    /// Addresses are available by DHCPv6 (flag M).
    pub managed: bool,
    /// Other configuration is available by DHCPv6 (flag O).
    pub other: bool,
}

/// Router discovery and address autoconfiguration of one interface.
///
/// The caller reports [advertisements](Self::receive), [conflicts](Self::conflict) over the addresses that this type
/// has added, a [link that is ready](Self::solicit) and a [link that has changed](Self::withdraw). [`poll`](Self::poll)
/// returns what is due, and [`next_timeout`](Self::next_timeout) says when to call it again; each of these calls can
/// change that time. The addresses and routes that are passed in must always be those of the same interface. Expired
/// entries [leave](Addresses::expire) these tables without this type.
#[derive(Debug)]
pub struct Discovery {
    config: Config,
    solicitation: Solicitation,
    parameters: Parameters,
    formation: Formation,
    temporaries: Option<Temporaries>,
    servers: Expiring<Ipv6Addr>,
    domains: Expiring<String>,
    /// The routers that say that more configuration is available by DHCPv6.
    informed: Expiring<Ipv6Addr>,
    /// A router advertisement was received.
    has_heard: bool,
    left_out: u64,
}

impl Discovery {
    /// Creates a state without any knowledge. No solicitation is sent before [`solicit`](Self::solicit), but
    /// unsolicited advertisements are accepted.
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

    /// Starts or restarts router solicitation. To be called when the interface is up and has an address to send from,
    /// when the link is back, or when the hardware address has changed (RFC 4861 section 6.3.7). The first solicitation
    /// is due at once, without a random delay: hosts that are switched on together have each waited for a random time
    /// already, before they probed for the source address.
    pub fn solicit(&mut self, now: Instant) {
        self.solicitation.start(now);
    }

    /// Stops router solicitation, because the interface or its link is down.
    pub fn stop_soliciting(&mut self) {
        self.solicitation.stop();
    }

    /// Processes a router advertisement (RFC 4861 section 6.3.4). `identify` returns the interface identifier of an
    /// address in a /64 prefix, for a counter that grows with each duplicate found. It can be
    /// [`stable_identifier`](crate::ip::addresses::stable_identifier), or a function that derives the identifier from
    /// the hardware address (RFC 4291 appendix A) and ignores the counter.
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

    /// Returns what is due by now, one effect per call.
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
                // A router that is not a default router has advertised.
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

    /// Handles a duplicate: another host has a tentative address that was formed from an advertised prefix (RFC 4862
    /// section 5.4.5). Returns the next candidate, which has replaced the address in the table; the caller must claim
    /// it with a random delay of up to a second (`IDGEN_DELAY`). After three candidates (`IDGEN_RETRIES`), or if
    /// `identify` has no other identifier, there is no further candidate: the address stays in the table as duplicated,
    /// so that its prefix is not tried again (RFC 7217 section 6).
    ///
    /// Also returns `None` for an address that is not tentative or not from a router, and leaves that address
    /// unchanged. Call this before, and instead of, [`mark_duplicated`](Addresses::mark_duplicated).
    pub fn conflict(
        &mut self,
        address: Ipv6Addr,
        addresses: &mut Addresses,
        identify: impl Fn(Ipv6Addr, u32) -> StableIdentifier,
    ) -> Option<Address> {
        self.formation.conflict(address, addresses, identify)
    }

    /// Sets whether temporary addresses are formed from prefixes as well (RFC 8981). Disabling removes the existing
    /// ones; after enabling, the next [renewal](Self::renew_temporary) makes the first.
    pub fn set_temporary(&mut self, enabled: bool, addresses: &mut Addresses) -> Vec<Effect> {
        let mut effects = Vec::new();
        if enabled {
            self.temporaries.get_or_insert_default();
        } else if let Some(temporaries) = self.temporaries.take() {
            temporaries.withdraw(addresses, &mut effects);
        }
        effects
    }

    /// Makes the temporary addresses that are due by now, and updates the lifetimes of the others. To be called after
    /// [`receive`](Self::receive) and [`conflict_temporary`](Self::conflict_temporary), and at the [next
    /// timeout](Self::next_timeout).
    pub fn renew_temporary(&mut self, now: Instant, addresses: &mut Addresses, random: &mut Random) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(temporaries) = &mut self.temporaries {
            let left_out = temporaries.renew(now, addresses, random, &mut effects);
            self.left_out = self.left_out.saturating_add(left_out);
        }
        effects
    }

    /// Removes a temporary address that another host has; the counterpart of [`conflict`](Self::conflict). The next
    /// [renewal](Self::renew_temporary) makes another one, unless three in a row were duplicates.
    pub fn conflict_temporary(&mut self, address: Ipv6Addr, addresses: &mut Addresses) {
        if let Some(temporaries) = &mut self.temporaries {
            temporaries.conflict(address, addresses);
        }
    }

    /// Removes everything that was learnt from routers, and stops solicitation: autoconfiguration is switched off, the
    /// hardware address has changed, or the link was down and may lead to another network. [`solicit`](Self::solicit)
    /// starts again.
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

    /// The DNS servers, in the order in which they are to be asked. They may be link-local.
    pub fn servers(&self) -> impl Iterator<Item = IpAddr> {
        self.servers.iter().copied().map(IpAddr::V6)
    }

    /// The DNS search domains in order of preference, in lower case and without a final dot.
    pub fn domains(&self) -> impl Iterator<Item = &str> {
        self.domains.iter().map(String::as_str)
    }

    /// Whether any router advertisement was received since the start, or since the last [`withdraw`](Self::withdraw).
    #[must_use]
    pub const fn has_heard(&self) -> bool {
        self.has_heard
    }

    /// Whether there seems to be no router: three solicitations were sent since [`solicit`](Self::solicit), and no
    /// router has advertised anything (RFC 4861 section 6.3.7).
    #[must_use]
    pub const fn is_unanswered(&self) -> bool {
        self.solicitation.is_in_vain() && !self.has_heard
    }

    /// The parameters of the link that routers have advertised.
    #[must_use]
    pub const fn parameters(&self) -> Parameters {
        self.parameters
    }

    /// The number of routers, prefixes, routes, addresses, servers and domains that were left out because a limit was
    /// reached. An entry counts each time it is advertised.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Learns default routers, other routes and on-link prefixes.
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

    /// Forms addresses from the advertised prefixes.
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

    /// Records whether the sender says that more configuration is available by DHCPv6. The flags have no lifetime of
    /// their own: they are valid as long as the router is a default router. For a router that is not a default router,
    /// they are valid for the longest lifetime that a default router may have.
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

    /// Learns DNS servers and search domains (RFC 8106 section 6).
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
            // Names are case-insensitive (RFC 1035 section 2.3.3).
            domains.map(move |domain| (domain.to_ascii_lowercase(), domains.lifetime))
        });
        if self.domains.learn(domains, now, &mut self.left_out) {
            effects.push(Effect::Domains);
        }
    }
}

impl Parameters {
    /// The parameters after an advertisement: a value that it does not specify stays unchanged. An MTU that is too
    /// small for IPv6 or larger than that of the link is ignored (RFC 4861 section 6.3.4).
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

    /// Replaces the `known` parameters by these, and adds an effect for each difference.
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

/// Whether this can be the address of a DNS server (RFC 8106 section 5.3.1).
const fn is_server(address: Ipv6Addr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && !address.is_loopback() && address.to_ipv4_mapped().is_none()
}

/// An advertised lifetime; `None` if it is infinite.
fn finite(lifetime: Duration) -> Option<Duration> {
    (lifetime != Duration::MAX).then_some(lifetime)
}

/// The time at which something that is advertised now expires; `None` if never.
fn end_of(lifetime: Duration, now: Instant) -> Option<Instant> {
    finite(lifetime).map(|lifetime| now + lifetime)
}
