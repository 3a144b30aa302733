//! What becomes of a flow: how it is established, how it ends, and what is left of it.

use super::{FlowId, Stage};
use crate::error::Error;
use crate::platform::Instant;
use crate::stack::backlog::Ready;
use crate::stack::demux::Sent;
use crate::stack::drive::Sending;
use crate::stack::{Core, Sender};
use smoltcp::socket::tcp;

/// What the engine was doing when a flow's state changed. A reset, a refusal and a timeout leave the same state behind;
/// this tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::stack) enum Phase {
    /// Taking a segment from the peer.
    Ingress,
    /// Sending, which is also when the engine's timers act.
    Egress,
}

impl Core {
    /// Puts a flow on the list of those with something to send.
    pub(in crate::stack) fn tcp_mark(&mut self, id: FlowId) {
        if let Some(flow) = self.tcp.flows.get_mut(id)
            && !flow.dirty
        {
            flow.dirty = true;
            self.schedule.push(flow.owner, Sender::Flow(id));
        }
    }

    /// A flow's turn to send, until `limit` bytes in all have left. Where it is not done, it keeps its place.
    pub(in crate::stack) fn tcp_turn(&mut self, id: FlowId, limit: u64, budget: &mut usize) -> Sending {
        let Some(flow) = self.tcp.flows.get_mut(id) else { return Sending::Done };
        flow.dirty = false;
        let sending = self.tcp_send(id, limit, budget);
        match self.tcp.flows.get_mut(id).filter(|flow| !flow.dirty) {
            Some(flow) => {
                flow.dirty = sending != Sending::Done;
                sending
            }
            // Gone, or marked anew meanwhile: then it has another place.
            None => {
                self.full |= sending == Sending::Full;
                Sending::Done
            }
        }
    }

    /// Sends what a flow has to send, as long as the device, the limit and the budget allow.
    fn tcp_send(&mut self, id: FlowId, limit: u64, budget: &mut usize) -> Sending {
        loop {
            let (Some(flow), Some(port)) = (self.tcp.flows.get_mut(id), &mut self.port) else { return Sending::Done };
            if flow.retired {
                return Sending::Done;
            }
            let before = flow.state();
            port.highest = flow.highest;
            let (sent, outcome) = Self::send_one(&mut self.iface, port, self.now, &mut flow.sockets);
            port.highest = None;
            if outcome.panicked {
                let again = core::mem::replace(&mut flow.panicked, true);
                self.mend_engine();
                // It need not have been about this flow the first time: any poll sends multicast reports too.
                if again {
                    self.tcp_break(id);
                    return Sending::Done;
                }
                continue;
            }
            flow.panicked &= outcome.sent.is_none();
            flow.sent = outcome.sent.or(flow.sent);
            let again =
                |sent: Sent| flow.highest.is_some_and(|highest| sent.sequence.wrapping_sub(highest).cast_signed() < 0);
            if outcome.sent.is_some_and(|sent| sent.next != sent.sequence && !flow.probing && again(sent)) {
                self.statistics.tcp_retransmits += 1;
            }
            if let Some(sent) = outcome.sent
                && flow.highest.is_none_or(|highest| sent.next.wrapping_sub(highest).cast_signed() > 0)
            {
                flow.highest = Some(sent.next);
            }
            flow.first = flow.first.or(outcome.sent.map(|syn| syn.sequence));
            let asks = outcome.sent.is_some_and(|sent| sent.next != sent.sequence);
            if flow.is_outstanding() && (asks || outcome.awaits_neighbour()) {
                flow.unheard.get_or_insert(self.now);
            }
            if outcome.awaits_neighbour() {
                flow.unanswered.get_or_insert(self.now);
                if !flow.unresolved {
                    flow.unresolved = true;
                    self.unresolved.push(id);
                }
                let peer = flow.tuple.remote.ip();
                self.solicit(peer, outcome);
            } else if outcome.sent.is_some() {
                flow.unanswered = None;
                flow.unresolved = false;
            }
            // Where the device had no room, nothing has changed, and whoever is woken would only come back to find that.
            let unchanged = self.tcp.flows.get(id).is_some_and(|flow| flow.state() == before);
            if !(outcome.exhausted && outcome.sent.is_none() && unchanged) {
                self.tcp_settle(id, before, Phase::Egress);
            }
            if outcome.exhausted {
                self.tcp_held_back(id);
                return Sending::Full;
            }
            if sent == smoltcp::iface::PollResult::None {
                self.tcp_rest(id);
                return Sending::Done;
            }
            *budget = budget.saturating_sub(1);
            if *budget == 0 || self.sent_bytes() >= limit {
                return Sending::More;
            }
        }
    }

    /// Draws the consequences of a change of state, and wakes whoever can go on.
    pub(in crate::stack) fn tcp_settle(&mut self, id: FlowId, before: tcp::State, phase: Phase) {
        let Some(flow) = self.tcp.flows.get_mut(id) else { return };
        let after = flow.state();
        if after == tcp::State::Closed && before != tcp::State::Closed {
            let tuple = flow.tuple;
            let unsent = flow.socket_ref().is_some_and(|socket| socket.send_queue() > 0);
            let cause = match (phase, before) {
                (Phase::Ingress, tcp::State::SynSent) => Some(Error::ConnectionRefused),
                (Phase::Ingress, tcp::State::LastAck) if !unsent => None,
                (_, tcp::State::TimeWait) => None,
                (Phase::Ingress, _) => Some(Error::ConnectionReset),
                (Phase::Egress, _) if !self.iface.has_ip_addr(tuple.local.ip()) => Some(Error::AddressNotAvailable),
                (Phase::Egress, _) => Some(Error::TimedOut),
            };
            match cause {
                Some(Error::ConnectionReset) => self.statistics.tcp_resets += 1,
                Some(Error::TimedOut) => self.statistics.tcp_timeouts += 1,
                _ => {}
            }
            if flow.failure.is_none() {
                flow.failure = cause;
            }
        }
        if flow.read_closed && matches!(flow.stage, Stage::Open) {
            flow.discard();
        }
        match &flow.stage {
            Stage::Connecting { .. } if after != tcp::State::SynSent && after != tcp::State::SynReceived => {
                // Over in time, whenever the task that waits for it comes to look.
                if after != tcp::State::Closed {
                    flow.stage = Stage::Open;
                }
                flow.writers.take(&mut self.wakes);
            }
            Stage::HalfOpen { .. } => match after {
                tcp::State::Listen | tcp::State::Closed if phase == Phase::Egress || before != tcp::State::Listen => {
                    return self.tcp_remove(id);
                }
                tcp::State::Listen | tcp::State::Closed | tcp::State::SynReceived | tcp::State::SynSent => {}
                _ => return self.tcp_queue(id),
            },
            // The owner is gone: whatever still arrives cannot be delivered, and the peer has to know (RFC 9293
            // section 3.6.1).
            Stage::Lingering { .. } if flow.socket_ref().is_some_and(tcp::Socket::can_recv) => {
                if let Some(socket) = flow.socket() {
                    socket.abort();
                }
            }
            Stage::Connecting { .. } | Stage::Queued { .. } | Stage::Open | Stage::Lingering { .. } => {}
        }
        self.tcp.flows[id].wake(&mut self.wakes);
    }

    /// An established connection joins its listener's queue.
    fn tcp_queue(&mut self, id: FlowId) {
        let Some(stack) = self.handle() else { return };
        let flow = &mut self.tcp.flows[id];
        let Stage::HalfOpen { backlog, .. } = &flow.stage else { return };
        let backlog = backlog.clone();
        flow.stage = Stage::Queued { backlog: backlog.clone() };
        self.tcp.half_open -= 1;
        let ready = Ready { stack, flow: id };
        if !backlog.complete(ready, &mut self.wakes) {
            self.tcp_abort(id, Error::ConnectionAborted);
        }
    }

    /// After everything was sent: the flow rests until its alarm or the next segment, or it has ended.
    fn tcp_rest(&mut self, id: FlowId) {
        let Some(flow) = self.tcp.flows.get(id) else { return };
        let finishes = flow.finishing && flow.is_all_sent();
        match flow.state() {
            // The reset of an aborted connection has left, or cannot.
            tcp::State::Closed => self.tcp_retire(id, false),
            // What is left of the connection can only repeat its last acknowledgement, so that must have left.
            tcp::State::TimeWait if !self.owes_acknowledgement(id) => self.tcp_retire(id, true),
            tcp::State::CloseWait if finishes => {
                self.tcp.flows[id].close();
                self.tcp_mark(id);
            }
            _ => self.tcp_arm(id),
        }
    }

    /// Whether a flow in TIME-WAIT has an acknowledgement to send, which is delayed or waits for a neighbour. The end of
    /// TIME-WAIT itself, the engine's only other timer there, is further away.
    fn owes_acknowledgement(&mut self, id: FlowId) -> bool {
        let soon = self.now + core::time::Duration::from_secs(2);
        let Some(flow) = self.tcp.flows.get(id) else { return false };
        self.iface.poll_at(self.now.into(), &flow.sockets).is_some_and(|at| Instant::from(at) < soon)
    }

    /// Ends a connection at once: the peer is sent a reset, whoever waits learns `cause`.
    pub(crate) fn tcp_abort(&mut self, id: FlowId, cause: Error) {
        let Some(flow) = self.tcp.flows.get_mut(id) else { return };
        if let Some(socket) = flow.socket() {
            socket.abort();
        }
        flow.failure.get_or_insert(cause);
        flow.wake_all(&mut self.wakes);
        self.tcp_mark(id);
    }

    /// Ends a connection that makes the engine panic, without asking it for a reset.
    fn tcp_break(&mut self, id: FlowId) {
        let Some(flow) = self.tcp.flows.get_mut(id) else { return };
        flow.drop_socket();
        flow.failure.get_or_insert(Error::ConnectionAborted);
        self.tcp_retire(id, false);
    }

    /// The connection has ended for the engine. Its tuple is free or in TIME-WAIT; its buffers go as soon as nothing is
    /// left to read, and the flow itself when nobody holds it.
    pub(in crate::stack) fn tcp_retire(&mut self, id: FlowId, time_wait: bool) {
        let Some(flow) = self.tcp.flows.get_mut(id) else { return };
        let tuple = flow.tuple;
        if self.tcp.by_tuple.get(&tuple) == Some(&id) {
            self.tcp.by_tuple.remove(&tuple);
            if let (true, Some(last)) = (time_wait, flow.sent) {
                self.tcp.time_wait.insert(tuple, last, self.now);
            }
        }
        flow.retired = true;
        self.timers.set(id, &mut flow.alarm, None);
        let unread = flow.socket_ref().is_some_and(tcp::Socket::can_recv) && !flow.read_closed;
        if !unread {
            flow.drop_socket();
        }
        flow.wake_all(&mut self.wakes);
        let queued = match &flow.stage {
            Stage::Queued { backlog } => Some((backlog.clone(), flow.failure.is_some())),
            _ => None,
        };
        match queued {
            Some((backlog, true)) => {
                if let Some(stack) = self.handle() {
                    backlog.forget(&stack, id);
                }
                self.tcp_remove(id);
            }
            Some((_, false)) => {}
            None if matches!(self.tcp.flows[id].stage, Stage::Lingering { .. } | Stage::HalfOpen { .. }) => {
                self.tcp_remove(id);
            }
            None => {}
        }
    }

    /// Removes every trace of a flow.
    pub(in crate::stack) fn tcp_remove(&mut self, id: FlowId) {
        let Some(mut flow) = self.tcp.flows.remove(id) else { return };
        if self.tcp.by_tuple.get(&flow.tuple) == Some(&id) {
            self.tcp.by_tuple.remove(&flow.tuple);
        }
        if let Stage::HalfOpen { backlog, .. } = &flow.stage {
            backlog.abandon();
            self.tcp.half_open -= 1;
        }
        if flow.unresolved {
            self.unresolved.retain(|known| *known != id);
        }
        flow.wake_all(&mut self.wakes);
        self.tcp.trim();
    }
}

impl super::Table {
    /// Gives memory back after many connections were open at once.
    fn trim(&mut self) {
        if self.flows.trim(1024) {
            self.by_tuple = hashbrown::HashMap::default();
        }
    }
}
