//! Turns the engine's events into wake-ups of tasks, messages in mailboxes, and published changes of the interface.

use xila_network_commands::event::Change;
use xila_network_engine::event::Event;
use xila_network_engine::interface::Change as EngineChange;

use super::Core;
use super::settings::as_route;
use crate::address::{MacAddress, from_wire};

impl Core {
    /// Handles the changes and the engine's events since the last call, and puts connections with something to send
    /// into the schedule.
    pub(super) fn handle_events(&mut self) {
        if self.interface.take_broken() {
            self.end_after_panic();
        }
        for change in self.interface.take_changes() {
            self.notices.publish(change);
        }
        while let Some(event) = self.interface.poll_event() {
            match event {
                Event::Readable(id) => self.tcp.readable(id, &mut self.notices.wakes),
                Event::Writable(id) => self.tcp.writable(id, &mut self.notices.wakes),
                Event::Acceptable(id) => {
                    let waiting = self.interface.engine().tcp().is_acceptable(id);
                    self.tcp.acceptable(id, waiting, &mut self.notices);
                }
                Event::Removed(id) => self.tcp.removed(id, &mut self.notices.wakes),
                Event::Datagram { to, datagram } => self.udp().arrived(to, datagram),
                Event::PathError { to, remote, error } => self.udp.failed(to, remote, error, &mut self.notices.wakes),
                Event::EchoReply(reply) => self.icmp().replied(reply),
                Event::Report(report) => self.icmp().reported(&report),
                Event::Uncrowded => self.udp.wake_crowded(&mut self.notices.wakes),
                Event::Changed(change) => self.publish(change),
            }
        }
        self.pace.unfinished |= self.interface.take_drive_request();
        if self.interface.take_wake_all() {
            self.wake_all();
        }
        self.tcp().schedule();
    }

    /// Wakes every waiting task.
    fn wake_all(&mut self) {
        // First, so that a task that begins to wait after this knows that its earlier check no longer holds.
        self.notices.count();
        let wakes = &mut self.notices.wakes;
        self.tcp.wake_all(wakes);
        self.udp.wake_all(wakes);
        self.icmp.wake_all(wakes);
    }

    /// Handles a panic of the engine: wakes all waiting tasks so that they see the error, and forgets all sockets.
    fn end_after_panic(&mut self) {
        let interface = self.notices.name().unwrap_or_default();
        tracing::error!(%interface, "the engine has panicked; the interface ends");
        // The new engine does not know the lease, so keep the stored one.
        self.notices.take_lease_news();
        self.wake_all();
        self.tcp.clear();
        self.udp.clear();
        self.icmp.clear();
    }

    /// Publishes a change that the engine has reported, and the change of the autoconfiguration status that may follow
    /// from it: a verified address may complete autoconfiguration.
    fn publish(&mut self, change: EngineChange) {
        let change = match change {
            EngineChange::AddressAdded(cidr) => from_wire(cidr).map(Change::AddressAdded),
            EngineChange::AddressRemoved(cidr) => from_wire(cidr).map(Change::AddressRemoved),
            EngineChange::AddressConflict(conflict) => {
                let by = conflict.hardware;
                tracing::warn!(address = %conflict.address, %by, lost = conflict.is_lost, "another host uses an address");
                MacAddress::new(by.0).ok().map(|by| Change::AddressConflict { address: conflict.address, by })
            }
            EngineChange::RouteAdded(known) => as_route(&known).map(Change::RouteAdded),
            EngineChange::RouteRemoved(known) => as_route(&known).map(Change::RouteRemoved),
            EngineChange::Mtu(mtu) => {
                self.interface.capabilities.mtu = mtu;
                Some(Change::Mtu(self.interface.mtu()))
            }
            EngineChange::ServerAdded(server) => Some(Change::DnsServerAdded(server)),
            EngineChange::ServerRemoved(server) => Some(Change::DnsServerRemoved(server)),
            EngineChange::Dhcp => {
                self.notices.note_lease_news();
                Some(Change::Dhcp(self.interface.dhcp_status().state))
            }
            EngineChange::SearchDomains => Some(Change::SearchDomains),
            // Published below.
            EngineChange::Autoconfiguration => None,
        };
        if let Some(change) = change {
            self.notices.publish(change);
        }
        let status = self.interface.autoconfiguration_status();
        if self.notices.note_autoconfiguration(status) {
            self.notices.publish(Change::Autoconfiguration(status.state));
        }
    }
}
