//! Multicast groups: the interface's own and those of its sockets, counted by reference and reported.

use core::net::IpAddr;

use super::Interface;
use crate::frame::Transmitter;
use crate::link::groups::{JoinError, NotMember, Received, Sources, multicast_hardware};
use crate::time::Instant;

impl Interface {
    /// Becomes a member of a group, or one more time so.
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn join_group(&mut self, group: IpAddr, now: Instant) -> Result<(), JoinError> {
        self.groups.join(group, now).map(drop)
    }

    /// Takes back one [`join_group`](Self::join_group).
    ///
    /// # Errors
    /// Where there is none to be taken back.
    pub fn leave_group(&mut self, group: IpAddr, now: Instant) -> Result<(), NotMember> {
        self.groups.leave(group, now).map(drop)
    }

    /// Takes a message of IGMP.
    pub(crate) fn receive_igmp(&mut self, received: &Received<'_>, now: Instant) {
        self.groups.receive_igmp(received, now, &mut self.random);
    }

    /// Takes a message of MLD.
    pub(crate) fn receive_mld(&mut self, received: &Received<'_>, now: Instant) {
        self.groups.receive_mld(received, now, &mut self.random);
    }

    /// Reports what is due.
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
