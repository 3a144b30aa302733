//! Router advertisements: applies what routers advertise to the addresses and routes of the interface.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};

use super::{Change, Interface};
use crate::configure::router::{Discovery, Effect};
use crate::ip::addresses::{Detection, Origin};
use crate::link::ndp::RouterAdvertisement;
use crate::time::Instant;

impl Interface {
    /// Processes a router advertisement. Returns the effects that concern other parts of the engine.
    pub(crate) fn learn(
        &mut self,
        discovery: &mut Discovery,
        advertisement: &RouterAdvertisement<'_>,
        now: Instant,
    ) -> Vec<Effect> {
        let Some(identify) = self.identify() else { return Vec::new() };
        let effects = discovery.receive(advertisement, now, &mut self.addresses, &mut self.routes, identify);
        let others = self.apply(effects, now);
        self.renew_temporary(discovery, now);
        others
    }

    /// Makes the temporary addresses that are due (RFC 8981).
    pub(crate) fn renew_temporary(&mut self, discovery: &mut Discovery, now: Instant) {
        let effects = discovery.renew_temporary(now, &mut self.addresses, &mut self.random);
        // Nothing but addresses.
        self.apply(effects, now);
    }

    /// Whether there are temporary addresses.
    pub(crate) fn set_temporary(&mut self, discovery: &mut Discovery, enabled: bool, now: Instant) {
        let effects = discovery.set_temporary(enabled, &mut self.addresses);
        self.apply(effects, now);
        self.renew_temporary(discovery, now);
    }

    /// Removes everything that routers have advertised.
    pub(crate) fn unlearn(&mut self, discovery: &mut Discovery, now: Instant) -> Vec<Effect> {
        let effects = discovery.withdraw(&mut self.addresses, &mut self.routes);
        self.apply(effects, now)
    }

    /// Handles a conflict about an address formed from a router's prefix: another host has it, so the next one is
    /// tried.
    pub(crate) fn form_anew(&mut self, discovery: &mut Discovery, address: Ipv6Addr, now: Instant) {
        let Some(identify) = self.identify() else { return };
        let known = self.addresses.find(address.into()).filter(|known| known.origin == Origin::Router);
        let Some(known) = known.copied() else { return };
        if known.detection == Detection::Passed {
            // The address was in use and was being verified again. While the interface was suspended, another host has
            // taken it.
            self.addresses.restart_detection(address.into());
            self.tell(Change::AddressRemoved(known.cidr));
        }
        self.forget_claim(IpAddr::V6(address), now);
        if known.temporary {
            discovery.conflict_temporary(address, &mut self.addresses);
            self.renew_temporary(discovery, now);
            return;
        }
        if let Some(next) = discovery.conflict(address, &mut self.addresses, identify) {
            self.claim(&next, now);
        }
    }

    fn apply(&mut self, effects: Vec<Effect>, now: Instant) -> Vec<Effect> {
        let mut others = Vec::new();
        for effect in effects {
            match effect {
                Effect::AddressAdded(address) => self.claim(&address, now),
                Effect::AddressRemoved(address) => self.disown(&address, now),
                Effect::RouteAdded(route) => self.tell(Change::RouteAdded(route)),
                Effect::RouteRemoved(route) => self.tell(Change::RouteRemoved(route)),
                Effect::RouteChanged(_) => {}
                Effect::Times { reachable, retransmit } => self.neighbours.set_advertised_times(reachable, retransmit),
                Effect::Solicit
                | Effect::Unanswered
                | Effect::Mtu(_)
                | Effect::HopLimit(_)
                | Effect::Information(_)
                | Effect::Flags { .. }
                | Effect::Servers
                | Effect::Domains => others.push(effect),
            }
        }
        others
    }
}
