//! Multicast groups of the interface itself and of its sockets, counted by reference, and the reports about them.

use core::net::IpAddr;

use super::Interface;
use crate::frame::Transmitter;
use crate::link::groups::{JoinError, NotMember, Received, Sources, multicast_hardware};
use crate::time::Instant;

impl Interface {
    /// Joins a group once more.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn join_group(&mut self, group: IpAddr, now: Instant) -> Result<(), JoinError> {
        self.groups.join(group, now).map(drop)
    }

    /// Undoes one [`join_group`](Self::join_group).
    ///
    /// # Errors
    /// If the group was not joined.
    pub fn leave_group(&mut self, group: IpAddr, now: Instant) -> Result<(), NotMember> {
        self.groups.leave(group, now).map(drop)
    }

    /// Processes an IGMP message.
    pub(crate) fn receive_igmp(&mut self, received: &Received<'_>, now: Instant) {
        self.groups.receive_igmp(received, now, &mut self.random);
    }

    /// Processes an MLD message.
    pub(crate) fn receive_mld(&mut self, received: &Received<'_>, now: Instant) {
        self.groups.receive_mld(received, now, &mut self.random);
    }

    /// Sends the reports that are due.
    pub(super) fn report_groups(&mut self, now: Instant, device: &mut dyn Transmitter) {
        if self.link.loops_back {
            return;
        }
        self.groups.set_sources(Sources { v4: self.first_v4(), v6_link_local: self.link_local() }, now);
        if self.groups.next_timeout().is_none_or(|due| due > now) {
            return;
        }
        while let Some(report) = self.groups.poll(now, self.link.mtu, &mut self.random) {
            self.send_to_link(&report.packet, multicast_hardware(report.destination), device);
        }
    }
}
