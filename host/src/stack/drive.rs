//! The loop: frames in, frames out, timers.

use core::net::IpAddr;
use core::task::Context;

use smoltcp::iface::{Interface, PollResult, SocketSet};
use smoltcp::wire::{EthernetFrame, IpProtocol};
use xila_network_commands::interface::State;
use xila_network_engine::buffer::Slice;
use xila_network_engine::ip::icmp::permission;

use super::contain::contained;
use super::demux::{self, Packet};
use super::phy::{Egress, Ingress, Outcome, Port};
use super::{Core, Sender, Turn, wire_time};
use crate::device::Frame;
use crate::platform::{Clock, Instant};

/// What a turn at sending came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// Nothing more to send for now.
    Done,
    /// The turn or the budget is over; there may be more.
    More,
    /// The device takes nothing more.
    Full,
}

/// Frames that are taken from a link that may lose some before what they ask for is sent, and sent before it is looked at again.
/// With more, one acknowledgement would answer a peer's whole flight, and the peer stand still where that is lost; and much
/// would be sent again that has arrived, as acknowledgements say that wait to be read.
const BATCH: usize = 8;

impl Core {
    /// Does what there is to do, at most `budget` frames of it. The runner also takes what the device has received; a
    /// caller does so only on a loopback, where the answer to what it just sent is there already, and would otherwise
    /// ask the operating system for nothing. Of a turn that takes long on a lossy link, `clock` says how long.
    pub(super) fn drive(&mut self, budget: usize, runner: bool, clock: &dyn Clock) {
        if self.port.is_none() {
            return;
        }
        if self.state == State::Down {
            if runner {
                self.discard(budget);
            }
            return;
        }
        if !runner && self.is_at_rest() {
            return;
        }
        self.drive_on(budget, runner, clock);
        self.sent_so_far = self.sent_packets();
    }

    fn drive_on(&mut self, budget: usize, runner: bool, clock: &dyn Clock) {
        let receives = runner || self.port.as_ref().is_some_and(|port| port.device.loops_back());
        // Neither of the two takes the whole of the budget, or a flood would keep the stack from sending.
        let batch = if self.capabilities.lossless { budget.div_ceil(2) } else { BATCH };
        let mut budget = budget;
        // What has arrived may be what a timer waits for. So timers come after it, and with who looks for it, or the timer of a
        // stack that was not given the processor in time would be believed in place of its peer.
        let mut received = if runner { self.receive(batch.min(budget), clock) } else { 0 };
        budget -= received;
        let mut expired = !receives;
        loop {
            if !expired && received < batch {
                self.expire();
                expired = true;
            }
            let sent = self.send(batch.min(budget));
            budget = budget.saturating_sub(sent);
            if sent >= batch {
                self.advance(clock.now());
            }
            received = if receives { self.receive(batch.min(budget), clock) } else { 0 };
            budget -= received;
            if budget == 0 {
                if !expired {
                    self.expire();
                }
                self.unfinished = true;
                return;
            }
            if received == 0 && (sent == 0 || !receives) && (self.schedule.is_empty() || self.full) {
                self.unfinished = false;
                return;
            }
        }
    }

    /// Whether a caller has left nothing to be sent, and has sent nothing that a loopback would have received. What else there is
    /// to do, the runner knows.
    fn is_at_rest(&mut self) -> bool {
        let waits = self.full || self.unfinished || self.udp.is_stalled() || self.icmp.reports_pending;
        !waits && self.schedule.is_empty() && !self.tcp.owes_answers() && self.sent_packets() == self.sent_so_far
    }

    /// Sets the time. Clocks are read before the lock is taken, so that whoever waits for it may bring the time of before: a
    /// peer would take that for an old segment's (RFC 7323 section 5).
    pub(super) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Takes frames from the device, at most so many; how many.
    fn receive(&mut self, most: usize, clock: &dyn Clock) -> usize {
        let mut count = 0;
        while count < most {
            let Some(frame) = self.next_frame() else { break };
            count += 1;
            // On a link that delays, the time is that at which a frame is there, and not that before it was looked for: this
            // thread may have been kept waiting since, and round trips would seem shorter than the path is.
            if !self.capabilities.lossless {
                self.advance(clock.now());
            }
            self.take(&frame);
            if self.mend_engine() {
                self.statistics.received.dropped += 1;
            }
        }
        if count > 0 {
            self.tcp_settle();
        }
        count
    }

    fn next_frame(&mut self) -> Option<Frame> {
        let port = self.port.as_mut()?;
        match port.device.receive(self.now) {
            Ok(frame) => {
                let frame = frame?;
                self.statistics.received.packets += 1;
                self.statistics.received.bytes += frame.len() as u64;
                Some(frame)
            }
            Err(error) => {
                self.statistics.received.errors += 1;
                tracing::warn!(%error, "the device failed to receive");
                None
            }
        }
    }

    /// While the interface is down, what arrives is dropped.
    fn discard(&mut self, budget: usize) {
        for _ in 0..budget {
            if self.next_frame().is_none() {
                self.unfinished = false;
                return;
            }
            self.statistics.received.dropped += 1;
        }
        self.unfinished = true;
    }

    /// Takes a frame that has arrived. Only TCP can do with parts of one.
    fn take(&mut self, frame: &Frame) {
        let in_parts = !frame.apart().is_empty();
        let medium = self.port.as_ref().map(|port| port.capabilities.medium);
        if in_parts && !medium.is_some_and(|medium| demux::is_tcp(medium, frame.head())) {
            return self.ingress(frame, &[], frame.is_unchecked());
        }
        self.ingress(frame.head(), frame.apart(), frame.is_unchecked());
    }

    /// Takes a frame that has arrived: its head, and what lies apart, which only of a TCP segment may be something.
    pub(super) fn ingress(&mut self, frame: &[u8], apart: &[Slice], is_verified: bool) {
        let medium = match &self.port {
            Some(port) => port.capabilities.medium,
            None => return,
        };
        let packet = demux::read(medium, frame, apart);
        let claim = match &packet {
            Packet::Tcp { tuple, .. } => Some((tuple, IpProtocol::Tcp)),
            Packet::Udp(tuple) => Some((tuple, IpProtocol::Udp)),
            Packet::EchoRequest(tuple) | Packet::EchoReply { to: tuple, .. } => Some((tuple, IpProtocol::Icmp)),
            Packet::IcmpError { .. }
            | Packet::Neighbour
            | Packet::GroupQuery
            | Packet::RouterAdvertisement { .. }
            | Packet::Wrapped { .. }
            | Packet::Other
            | Packet::Unreadable => None,
        };
        if claim.is_some_and(|(tuple, protocol)| self.is_martian(tuple.remote().ip(), tuple.local().ip(), protocol)) {
            self.statistics.received.dropped += 1;
            return;
        }
        match packet {
            Packet::Tcp { ip, tuple } => self.tcp_packet(frame, apart, is_verified, ip, &tuple),
            Packet::Udp(tuple) if self.dhcp_takes(&tuple) => self.dhcp_ingress(frame),
            Packet::Udp(tuple) => self.udp_ingress(frame, tuple),
            Packet::IcmpError { ip } => {
                self.icmp_error(&frame[ip..]);
                self.for_nobody(frame);
            }
            Packet::EchoRequest(_) if self.icmp.echo_reply => self.for_nobody(frame),
            Packet::EchoRequest(_) => self.statistics.received.dropped += 1,
            Packet::EchoReply { ip, to } => self.echo_reply_ingress(&frame[ip..], to),
            Packet::Neighbour => {
                self.duplicate(frame);
                self.for_nobody(frame);
                if medium == smoltcp::phy::Medium::Ethernet {
                    self.hear_neighbour(frame);
                    self.defend(frame);
                }
                self.neighbour_found();
            }
            Packet::GroupQuery => {
                self.for_nobody(frame);
                self.groups_queried();
            }
            Packet::RouterAdvertisement { ip } => self.router_advertisement(&frame[ip..]),
            Packet::Wrapped { ip } => self.wrapped(frame, ip),
            Packet::Other => self.for_nobody(frame),
            Packet::Unreadable => self.statistics.received.dropped += 1,
        }
    }

    /// Whether no honest link brings a packet with these ends: from this host's own addresses, or from none that one host
    /// may have.
    pub(super) fn is_martian(&self, source: IpAddr, destination: IpAddr, protocol: IpProtocol) -> bool {
        let own = |address| self.has_address(address) || self.is_broadcast(address);
        permission::is_martian(source, destination, protocol, self.loops_back(), own)
    }

    /// A segment for this host, in a frame whose IP packet begins at `ip`.
    fn tcp_packet(&mut self, frame: &[u8], apart: &[Slice], is_verified: bool, ip: usize, tuple: &demux::Tuple) {
        let (local, remote) = (tuple.local().ip(), tuple.remote().ip());
        // smoltcp's table of addresses, which on a loopback has every one.
        if !self.iface.has_ip_addr(local) && !self.loops_back() || self.is_broadcast(local) || self.is_broadcast(remote)
        {
            self.statistics.received.dropped += 1;
            return;
        }
        if ip > 0
            && let Ok(ethernet) = EthernetFrame::new_checked(frame)
        {
            // Neither for another host, nor for many (RFC 1122 section 4.2.3.10).
            if self.hardware_address.is_none_or(|own| own.octets() != ethernet.dst_addr().0) {
                self.statistics.received.dropped += 1;
                return;
            }
            self.confirm_neighbour(remote, ethernet.src_addr());
        }
        self.tcp_ingress(&frame[ip..], apart, is_verified);
    }

    /// Gives a frame to the engine with no socket at hand: it answers echo requests, neighbour solicitations and
    /// reports by itself.
    pub(super) fn for_nobody(&mut self, frame: &[u8]) {
        if let Some(port) = &mut self.port {
            Self::receive_one(&mut self.iface, port, self.now, frame, &mut self.nobody);
        }
    }

    /// A segment or datagram that nobody takes: the engine answers with a reset or "port unreachable", unless it was
    /// for many, or too many such answers were given already.
    pub(super) fn answer_unclaimed(&mut self, frame: &[u8]) {
        let lossless = self.capabilities.lossless;
        if lossless || self.may_answer() {
            self.for_nobody(frame);
        } else {
            self.statistics.replies_suppressed += 1;
        }
    }

    pub(super) fn receive_one(
        iface: &mut Interface,
        port: &mut Port,
        now: Instant,
        frame: &[u8],
        sockets: &mut SocketSet<'static>,
    ) {
        // Nobody waits for a result: after a panic the frame is lost.
        contained(port, |port| {
            let mut ingress = Ingress { frame: Some(frame), port, now };
            iface.poll_ingress_single(wire_time(now), &mut ingress, sockets);
        });
    }

    /// Somebody's hardware address may have become known: those who waited for one try again.
    fn neighbour_found(&mut self) {
        self.udp_retry();
        self.dhcp_retry();
    }

    /// Sends for those who may have something to send, in their turn, about so many frames at most; how many.
    fn send(&mut self, most: usize) -> usize {
        let mut left = most;
        let budget = &mut left;
        self.full = !self.flush_fragments(budget);
        if !self.full {
            self.full = !self.udp_unstall();
            self.housekeep();
            self.full = !self.dhcp_send(budget) || self.full;
            self.full = !self.tcp_answer() || self.full;
        }
        while *budget > 0 && !self.full {
            let Some(turn) = self.schedule.next() else { break };
            let sent = self.sent_bytes();
            let limit = sent + turn.bytes as u64;
            let sending = match turn.key {
                Sender::Flow(id) => self.tcp_turn(id, turn.bytes, budget),
                Sender::Socket(outlet) => self.udp_turn(outlet, limit, budget),
            };
            self.full |= sending == Sending::Full;
            self.schedule.spend(self.sent_bytes() - sent);
            if sending == Sending::Done {
                self.schedule.finish();
            }
        }
        // The rest of a packet that was cut up waits for the device.
        self.full |= self.port.as_ref().is_some_and(Port::is_behind);
        most - left
    }

    /// All bytes that have left so far.
    pub(super) fn sent_bytes(&self) -> u64 {
        self.port.as_ref().map_or(0, |port| port.sent.bytes)
    }

    /// smoltcp keeps the fragments of one packet at a time: they leave before anything else is sent. False where the
    /// device took not all of them.
    pub(super) fn flush_fragments(&mut self, budget: &mut usize) -> bool {
        if self.port.as_mut().is_some_and(|port| !port.catch_up(self.now)) {
            return false;
        }
        while self.iface.poll_at(wire_time(self.now), &self.nobody) == Some(smoltcp::time::Instant::from_millis(0)) {
            let Some(outcome) = self.poll_nobody() else { return true };
            if outcome.exhausted {
                return false;
            }
            if !outcome.attempted {
                return true;
            }
            *budget = budget.saturating_sub(1);
        }
        true
    }

    /// Multicast reports leave with any egress poll.
    fn housekeep(&mut self) {
        if self.icmp.reports_pending {
            self.icmp.reports_pending = self.poll_nobody().is_some_and(|outcome| outcome.exhausted);
        }
    }

    /// Lets the engine send what belongs to no socket.
    fn poll_nobody(&mut self) -> Option<Outcome> {
        let port = self.port.as_mut()?;
        let (_, outcome) = Self::send_one(&mut self.iface, port, self.now, &mut self.nobody);
        self.mend_engine();
        Some(outcome)
    }

    /// Sends one packet of what a set of sockets holds; whether there was one, and what the device did with it.
    pub(super) fn send_one(
        iface: &mut Interface,
        port: &mut Port,
        now: Instant,
        sockets: &mut SocketSet<'static>,
    ) -> (PollResult, Outcome) {
        let sent = contained(port, |port| {
            let mut egress = Egress { port, now, outcome: Outcome::default() };
            let result = iface.poll_egress(wire_time(now), &mut egress, sockets);
            (result, egress.outcome)
        });
        sent.unwrap_or((PollResult::None, Outcome { panicked: true, ..Outcome::default() }))
    }

    /// Acts on what is due.
    fn expire(&mut self) {
        self.tcp_expire();
        if self.resolution.next().is_some_and(|at| at <= self.now) {
            self.resolution_expire();
        }
        if self.fragments.next_timeout().is_some_and(|at| at <= self.now) {
            self.fragments_expire();
        }
        if self.udp_next().is_some_and(|at| at <= self.now) {
            self.udp_retry();
        }
        if self.groups_next().is_some_and(|at| at <= self.now) {
            self.groups_expire();
        }
        if self.dhcp_next().is_some_and(|at| at <= self.now) {
            self.dhcp_expire();
        }
        if self.autoconfiguration_next().is_some_and(|at| at <= self.now) {
            self.autoconfiguration_expire();
        }
        if self.paths_next().is_some_and(|at| at <= self.now) {
            self.paths_expire();
        }
        if self.lifetimes_next.is_some_and(|at| at <= self.now) {
            self.lifetimes_expire();
        }
    }

    /// When the stack has to be looked at again, if nothing happens before.
    fn next_deadline(&self) -> Option<Instant> {
        [
            self.tcp.next_timeout(),
            self.resolution.next(),
            self.fragments.next_timeout(),
            self.udp_next(),
            self.lifetimes_next,
            self.dhcp_next(),
            self.autoconfiguration_next(),
            self.paths_next(),
            self.groups_next(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Whether the runner has to look after what a caller left.
    pub(super) fn needs_runner(&self) -> bool {
        if self.port.is_none() {
            return true;
        }
        let sooner = match (self.next_deadline(), self.runner_deadline) {
            (Some(next), Some(planned)) => next < planned,
            (Some(_), None) => true,
            (None, _) => false,
        };
        self.state == State::Up && (self.unfinished || self.full || sooner)
    }

    /// Decides what the runner does next.
    pub(super) fn turn(&mut self, context: &mut Context<'_>) -> Turn {
        let Some(port) = &mut self.port else { return Turn::Ended };
        // A loopback is emptied by whoever fills it, so its readiness is news to nobody.
        let readable = !port.device.loops_back() && port.device.poll_readable(context).is_ready();
        // While it is down nothing is sent, and a device that has room would wake the runner for nothing, for ever.
        let writable = self.state == State::Up && self.full && port.device.poll_writable(context).is_ready();
        let link = port.device.link();
        self.link_changed(link);
        if self.unfinished || readable || writable {
            self.runner_deadline = None;
            return Turn::Again;
        }
        let deadline = if self.state == State::Up { self.next_deadline() } else { None };
        self.runner_deadline = deadline;
        Turn::Sleep(deadline)
    }
}

#[cfg(test)]
mod tests;
