//! Addresses, routes and state of an interface.

use core::net::IpAddr;

use smoltcp::wire::IpCidr;

use super::tcp::FlowId;
use super::{Core, Stack};
use crate::address::{Cidr, MacAddress, Route, is_unicast, is_v4_mapped};
use crate::device::{Capabilities, Device};
use crate::error::{Error, Result};
use crate::stack::statistics::Statistics;

/// The administrative state of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It sends and receives.
    Up,
    /// It does neither. Operations on its sockets fail with [`Error::NetworkDown`]; connections survive until their
    /// peers give up.
    Down,
}

impl Core {
    /// # Errors
    /// [`Error::NetworkDown`] where the interface is down or unmounted.
    pub(crate) fn check_up(&self) -> Result<()> {
        if self.state == State::Up && self.port.is_some() { Ok(()) } else { Err(Error::NetworkDown) }
    }

    /// # Errors
    /// [`Error::NetworkDown`] where the interface is unmounted.
    pub(crate) fn check_mounted(&self) -> Result<()> {
        if self.port.is_some() { Ok(()) } else { Err(Error::NetworkDown) }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.check_up().is_ok()
    }

    pub(crate) const fn state(&self) -> State {
        self.state
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.port.as_ref().map_or("none", |port| port.device.kind())
    }

    pub(crate) fn loops_back(&self) -> bool {
        self.port.as_ref().is_some_and(|port| port.device.loops_back())
    }

    pub(crate) fn link(&self) -> crate::device::Link {
        self.port.as_ref().map_or(crate::device::Link::Down, |port| port.device.link())
    }

    pub(crate) const fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    pub(crate) const fn hardware_address(&self) -> Option<MacAddress> {
        self.hardware_address
    }

    pub(crate) fn addresses(&self) -> Vec<Cidr> {
        self.iface.ip_addrs().iter().map(|cidr| Cidr::from_wire(*cidr)).collect()
    }

    pub(crate) fn has_address(&self, address: IpAddr) -> bool {
        self.iface.ip_addrs().iter().any(|cidr| IpAddr::from(cidr.address()) == address)
    }

    /// # Errors
    /// [`Error::InvalidArgument`] for an address that no host can have; [`Error::AddressInUse`] for one that is there;
    /// [`Error::NoFreeSlot`].
    pub(crate) fn add_address(&mut self, cidr: Cidr) -> Result<()> {
        if !is_unicast(cidr.address()) || is_v4_mapped(cidr.address()) {
            return Err(Error::InvalidArgument);
        }
        if self.has_address(cidr.address()) {
            return Err(Error::AddressInUse);
        }
        let mut pushed = Ok(());
        self.iface.update_ip_addrs(|addresses| {
            pushed = addresses.push(cidr.to_wire()).map_err(|_| Error::NoFreeSlot);
        });
        self.icmp.reports_pending = true;
        pushed
    }

    /// Removes an address. Connections from it fail with [`Error::AddressNotAvailable`].
    ///
    /// # Errors
    /// [`Error::AddressNotAvailable`] where it is not there.
    pub(crate) fn remove_address(&mut self, cidr: Cidr) -> Result<()> {
        let wire: IpCidr = cidr.to_wire();
        if !self.iface.ip_addrs().contains(&wire) {
            return Err(Error::AddressNotAvailable);
        }
        self.iface.update_ip_addrs(|addresses| addresses.retain(|address| *address != wire));
        self.icmp.reports_pending = true;
        // smoltcp notices at the next egress of each connection from that address.
        let bound: Vec<FlowId> = self
            .tcp
            .flows
            .iter()
            .filter(|(_, flow)| flow.tuple.local.ip() == cidr.address())
            .map(|(id, _)| id)
            .collect();
        bound.into_iter().for_each(|id| self.tcp_mark(id));
        for backlog in self.tcp.backlogs() {
            backlog.rouse(&mut self.wakes);
        }
        self.udp_rouse();
        Ok(())
    }

    pub(crate) fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Adds a route; one to the same network is replaced.
    ///
    /// # Errors
    /// [`Error::NoFreeSlot`] where the table is full; it is as it was then.
    pub(crate) fn add_route(&mut self, route: Route) -> Result<()> {
        let wire = route.to_wire();
        let mut result = Ok(());
        self.iface.routes_mut().update(|table| match table.iter_mut().find(|known| known.cidr == wire.cidr) {
            Some(known) => *known = wire,
            None => result = table.push(wire).map_err(|_| Error::NoFreeSlot),
        });
        result?;
        self.routes.retain(|known| known.destination() != route.destination());
        self.routes.push(route);
        Ok(())
    }

    /// # Errors
    /// [`Error::RemoteUnreachable`] where there is no such route (`ip route del`: "No such process").
    pub(crate) fn remove_route(&mut self, route: Route) -> Result<()> {
        let index = self.routes.iter().position(|known| *known == route).ok_or(Error::RemoteUnreachable)?;
        self.routes.remove(index);
        let wire = route.to_wire();
        self.iface.routes_mut().update(|table| table.retain(|known| known.cidr != wire.cidr));
        Ok(())
    }

    /// How well this interface leads to `destination`: the length of the longest matching prefix among its networks and
    /// routes, `None` where nothing matches.
    pub(crate) fn reach(&self, destination: IpAddr) -> Option<u8> {
        let link = self.iface.ip_addrs().iter().map(|cidr| Cidr::from_wire(*cidr));
        let link = link.filter(|cidr| cidr.contains(destination)).map(|cidr| cidr.prefix()).max();
        let routes = self.routes.iter().map(Route::destination);
        let route = routes.filter(|cidr| cidr.contains(destination)).map(|cidr| cidr.prefix()).max();
        link.max(route)
    }

    /// The address to speak to `destination` from.
    pub(crate) fn source_address(&self, destination: IpAddr) -> Option<IpAddr> {
        // smoltcp answers `::1` where an interface has no IPv6 address, and panics for an unspecified destination.
        if destination.is_unspecified() {
            return None;
        }
        let same_family =
            self.iface.ip_addrs().iter().any(|cidr| IpAddr::from(cidr.address()).is_ipv4() == destination.is_ipv4());
        if !same_family {
            return None;
        }
        self.iface.get_source_address(&destination.into()).map(IpAddr::from)
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let mut statistics = self.statistics;
        if let Some(port) = &self.port {
            statistics.sent = port.sent;
        }
        statistics.tcp_flows = self.tcp.flows.len();
        statistics.time_wait = self.tcp.time_wait.len();
        statistics.tcp_listeners = self.tcp.listening;
        statistics.udp_sockets = self.udp.len();
        statistics
    }

    /// Changes the administrative state. Whoever waits learns it.
    pub(crate) fn set_state(&mut self, state: State) {
        if self.state == state {
            return;
        }
        self.state = state;
        self.rouse();
        match state {
            State::Up => {
                // The device is asked anew, and every timer that fell due meanwhile goes off now.
                self.unfinished = true;
                // While it was down nobody could be heard.
                for (_, flow) in &mut self.tcp.flows {
                    flow.heard = self.now;
                    flow.unheard = None;
                }
                let all: Vec<FlowId> = self.tcp.flows.iter().map(|(id, _)| id).collect();
                all.into_iter().for_each(|id| self.tcp_mark(id));
            }
            State::Down => {}
        }
    }

    /// A device's link went up or down: flows that gave up on the neighbour try again.
    pub(super) fn link_changed(&mut self, up: bool) {
        if up && !self.icmp.link_up {
            self.icmp.reports_pending = true;
            self.retry_unresolved();
            self.unfinished |= !self.unresolved.is_empty();
        }
        self.icmp.link_up = up;
    }

    /// Wakes everyone who waits for anything.
    fn rouse(&mut self) {
        for (_, flow) in &mut self.tcp.flows {
            flow.wake_all(&mut self.wakes);
        }
        for backlog in self.tcp.backlogs() {
            backlog.rouse(&mut self.wakes);
        }
        self.udp_rouse();
    }
}

impl Stack {
    /// Ends the stack: every operation fails with [`Error::NetworkDown`] from now on, and the device is returned.
    pub(crate) fn unmount(&self) -> Option<Box<dyn Device>> {
        let (device, orphans) = self.with_mut(|core| {
            core.statistics = core.statistics();
            let device = core.port.take().map(|port| port.device);
            core.rouse();
            // Flows without an owner have nobody left to end them.
            let orphans: Vec<FlowId> =
                core.tcp.flows.iter().filter(|(_, flow)| flow.is_unowned()).map(|(id, _)| id).collect();
            (device, orphans)
        });
        self.with_mut(|core| orphans.into_iter().for_each(|id| core.tcp_remove(id)));
        device
    }
}
