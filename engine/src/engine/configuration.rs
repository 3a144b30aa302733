//! Interfaces that configure themselves: what DHCP and routers say becomes addresses, routes and settings.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::Engine;
use crate::configure::router::{self, Discovery, Effect, Persistence};
use crate::configure::servers::{AddServerError, ServerChange};
use crate::event::Event;
use crate::frame::Transmitter;
use crate::interface::Change;
use crate::ip::addresses::Origin;
use crate::ip::headers::Packet;
use crate::link::ndp::RouterAdvertisement;
use crate::time::Instant;
use crate::udp::datagram::Received;

/// What configures an interface by protocol.
#[derive(Default)]
pub(super) struct Configuration {
    discovery: Option<Discovery>,
    /// The MTU before a router set another.
    mtu_before: Option<usize>,
}

/// Router discovery and address autoconfiguration.
impl Engine {
    /// Whether routers are listened to.
    #[must_use]
    pub const fn autoconfiguration(&self) -> bool {
        self.configuration.discovery.is_some()
    }

    /// Switches router discovery and address autoconfiguration on or off. What routers brought goes with it.
    pub fn set_autoconfiguration(&mut self, enabled: bool, now: Instant) {
        match (enabled, self.configuration.discovery.take()) {
            (true, Some(discovery)) => self.configuration.discovery = Some(discovery),
            (true, None) => {
                let mtu = u32::try_from(self.interface.link().mtu).unwrap_or(u32::MAX);
                let config = router::Config { persistence: Persistence::Brief, ..router::Config::new(mtu) };
                self.configuration.discovery = Some(Discovery::new(config));
                self.solicit_routers(now);
            }
            (false, Some(mut discovery)) => {
                let effects = self.interface.unlearn(&mut discovery, now);
                self.apply(effects, &discovery);
            }
            (false, None) => {}
        }
    }

    /// Asks for routers, once there is an address to ask from.
    pub(super) fn solicit_routers(&mut self, now: Instant) {
        if let Some(discovery) = &mut self.configuration.discovery
            && self.interface.has_link_local(now)
        {
            discovery.solicit(now);
        }
    }

    /// The link is another, or the hardware address is: what routers said counts no more.
    pub(super) fn rediscover(&mut self, now: Instant) {
        if let Some(mut discovery) = self.configuration.discovery.take() {
            let effects = self.interface.unlearn(&mut discovery, now);
            self.apply(effects, &discovery);
            self.configuration.discovery = Some(discovery);
            self.solicit_routers(now);
        }
    }

    /// Takes a router's advertisement.
    pub(super) fn advertised(&mut self, advertisement: &RouterAdvertisement<'_>, now: Instant) {
        if let Some(mut discovery) = self.configuration.discovery.take() {
            let effects = self.interface.learn(&mut discovery, advertisement, now);
            self.apply(effects, &discovery);
            self.configuration.discovery = Some(discovery);
        }
    }

    /// An address that was made of a router's prefix is another host's.
    pub(super) fn form_anew(&mut self, address: IpAddr, now: Instant) {
        if let (IpAddr::V6(address), Some(discovery)) = (address, &mut self.configuration.discovery) {
            self.interface.form_anew(discovery, address, now);
        }
    }

    fn apply(&mut self, effects: Vec<Effect>, discovery: &Discovery) {
        for effect in effects {
            match effect {
                Effect::Mtu(mtu) => self.apply_advertised_mtu(mtu),
                Effect::Servers => self.replace_servers(Origin::Router, &discovery.servers().collect::<Vec<_>>()),
                Effect::Solicit
                | Effect::HopLimit(_)
                | Effect::Flags { .. }
                | Effect::Domains
                // The interface has done what these ask for.
                | Effect::AddressAdded(_)
                | Effect::AddressRemoved(_)
                | Effect::RouteAdded(_)
                | Effect::RouteChanged(_)
                | Effect::RouteRemoved(_)
                | Effect::Times { .. } => {}
            }
        }
    }

    /// A router never widens what was set before it came.
    fn apply_advertised_mtu(&mut self, advertised: Option<u32>) {
        let present = self.interface.link().mtu;
        let before = self.configuration.mtu_before.take().unwrap_or(present);
        let advertised = advertised.and_then(|mtu| usize::try_from(mtu).ok()).filter(|mtu| *mtu < before);
        self.configuration.mtu_before = advertised.is_some().then_some(before);
        let wanted = advertised.unwrap_or(before);
        if wanted != present {
            self.change_mtu(wanted);
        }
    }

    /// Sets the IP MTU, which is no router's from now on.
    pub fn set_mtu(&mut self, mtu: usize) {
        self.configuration.mtu_before = None;
        if self.interface.link().mtu != mtu {
            self.change_mtu(mtu);
        }
    }

    fn change_mtu(&mut self, mtu: usize) {
        self.interface.set_mtu(mtu);
        self.tcp.set_mtu(mtu);
        self.events.push_back(Event::Changed(Change::Mtu(mtu)));
    }

    /// Does what is due of what routers brought.
    pub(super) fn poll_discovery(&mut self, now: Instant, device: &mut dyn Transmitter) {
        let Some(mut discovery) = self.configuration.discovery.take() else { return };
        if discovery.next_timeout().is_some_and(|at| at <= now) {
            while let Some(effect) = discovery.poll(now, &mut self.random) {
                match effect {
                    Effect::Solicit => self.interface.solicit_routers(now, device),
                    effect => self.apply(Vec::from([effect]), &discovery),
                }
            }
        }
        self.configuration.discovery = Some(discovery);
    }

    /// When something of that is due.
    pub(super) fn next_discovery(&self) -> Option<Instant> {
        self.configuration.discovery.as_ref()?.next_timeout()
    }
}

/// Servers of names.
impl Engine {
    /// The servers of names, in the order in which they are asked.
    pub fn servers(&self) -> impl Iterator<Item = IpAddr> {
        self.servers.iter()
    }

    /// Adds a server that somebody has set.
    ///
    /// # Errors
    /// See [`AddServerError`].
    pub fn add_server(&mut self, server: IpAddr) -> Result<(), AddServerError> {
        self.servers.add(server, Origin::Static)?;
        self.events.push_back(Event::Changed(Change::ServerAdded(server)));
        Ok(())
    }

    /// Removes a server, wherever it comes from; whether it was there.
    pub fn remove_server(&mut self, server: IpAddr) -> bool {
        let was_there = self.servers.remove(server);
        if was_there {
            self.events.push_back(Event::Changed(Change::ServerRemoved(server)));
        }
        was_there
    }

    /// Replaces the servers of one origin.
    pub fn replace_servers(&mut self, origin: Origin, servers: &[IpAddr]) {
        for change in self.servers.replace(origin, servers) {
            self.events.push_back(Event::Changed(match change {
                ServerChange::Added(server) => Change::ServerAdded(server),
                ServerChange::Removed(server) => Change::ServerRemoved(server),
            }));
        }
    }
}

/// DHCP.
impl Engine {
    pub(super) fn may_be_lease(&self, _packet: &Packet<'_>) -> bool {
        false
    }

    pub(super) fn lease_takes(&mut self, _received: &Received<'_>, _now: Instant, _device: &mut dyn Transmitter) -> bool {
        false
    }
}
