//! Passes the effects of one part on to the other parts: neighbours that were resolved, addresses that were removed.

use core::net::IpAddr;

use super::{Engine, PARKED};
use crate::event::Event;
use crate::frame::Transmitter;
use crate::interface::{Change, Resolved};
use crate::tcp::{Cause, ConnectionId, TcpState};
use crate::time::Instant;

impl Engine {
    /// Applies the effects of what the interface did.
    pub(super) fn draw_consequences(&mut self, now: Instant, device: &mut dyn Transmitter) {
        while let Some(resolved) = self.interface.poll_resolved() {
            match resolved {
                Resolved::Reachable(key) => self.tcp.resume(ConnectionId(key)),
                Resolved::Displaced(key) => self.park(ConnectionId(key), now),
                Resolved::Unreachable(key) => {
                    let id = ConnectionId(key);
                    self.tcp.fail_connecting(id, Cause::Unreachable, now);
                    // An established connection has timers of its own.
                    self.park(id, now);
                }
                Resolved::Undeliverable(packet) => self.undeliverable(&packet),
            }
        }
        if self.interface.take_news() {
            self.tcp.resume_answers();
        }
        if self.interface.take_room() {
            self.events.push_back(Event::Uncrowded);
        }
        while let Some(change) = self.interface.poll_change() {
            match change {
                // The host may have the address again, or with another prefix.
                Change::AddressRemoved(cidr) if self.interface.is_local(cidr.address().into()) => {}
                Change::AddressRemoved(cidr) => self.tcp.remove_address(cidr.address().into(), now),
                Change::AddressAdded(cidr) => {
                    if matches!(cidr.address().into(), IpAddr::V6(own) if own.is_unicast_link_local()) {
                        self.solicit_routers(now);
                    }
                    self.lease_verified(cidr.address().into());
                    self.resume_stranded();
                }
                Change::RouteAdded(_) | Change::RouteRemoved(_) => self.resume_stranded(),
                Change::AddressConflict(conflict) if conflict.is_lost => {
                    self.form_anew(conflict.address, now);
                    self.decline_lease(conflict.address, now, device);
                }
                Change::AddressConflict(_)
                | Change::Mtu(_)
                | Change::ServerAdded(_)
                | Change::ServerRemoved(_)
                | Change::SearchDomains
                | Change::Dhcp
                | Change::Autoconfiguration => {}
            }
            self.events.push_back(Event::Changed(change));
        }
    }

    /// A connection could not wait for its neighbour, so it tries again later.
    pub(super) fn park(&mut self, id: ConnectionId, now: Instant) {
        if self.tcp.state(id) != TcpState::Closed && self.parked_ids.insert(id) {
            self.parked.push_back((now + PARKED, id));
        }
    }

    /// Addresses, routes or the link have changed: packets that could not be sent may be sendable now.
    pub(super) fn resume_stranded(&mut self) {
        self.tcp.resume_stranded();
        self.tcp.resume_answers();
    }
}
