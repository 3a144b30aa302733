//! When a flow is looked at again although nothing happens: the engine's timers, and what ends a flow.
//!
//! Deadlines are set where they begin, when a connection is made, let go or configured, and not once something has been sent: on a
//! link that takes nothing, nothing ever is.

use smoltcp::socket::tcp;
use smoltcp::wire::TcpControl;

use super::{FlowId, Stage};
use crate::error::Error;
use crate::platform::Instant;
use crate::stack::Core;
use crate::stack::demux::Sent;
use crate::stack::neighbours::{RETRANSMIT, SOLICITATIONS};

/// How long a next hop may leave solicitations unanswered before a connection that is being made to it fails, as on
/// Linux.
const RESOLUTION: core::time::Duration = RETRANSMIT.saturating_mul(SOLICITATIONS as u32);

/// How long a connection stands still before its peer is asked why.
const STALLED: core::time::Duration = core::time::Duration::from_secs(1);

/// The shortest time between two looks at a flow that has nothing to send.
const MOMENT: core::time::Duration = core::time::Duration::from_millis(1);

/// How long the reset of a connection without an owner may wait for the device.
pub(super) const PARTING: core::time::Duration = core::time::Duration::from_secs(1);

impl Core {
    /// Sets the alarm for the flow's next timer, once everything was sent: the engine's, or what ends it.
    pub(super) fn tcp_arm(&mut self, id: FlowId) {
        let now = self.now;
        let Some(flow) = self.tcp.flows.get_mut(id) else { return };
        // A time that has come although everything was sent would be asked for again and again.
        let engine = match self.iface.poll_at(now.into(), &flow.sockets) {
            Some(at) => Some(Instant::from(at).max(now + MOMENT)),
            None => flow.is_outstanding().then(|| now.max(flow.heard) + STALLED),
        };
        let due = engine.into_iter().chain(flow.deadline()).min();
        self.timers.set(id, &mut flow.alarm, due);
    }

    /// Sets the alarm for what ends a flow whether it gets to send or not. A flow that waits for its turn needs no more: the
    /// engine's timers join when it has sent.
    pub(super) fn tcp_watch(&mut self, id: FlowId) {
        if let Some(flow) = self.tcp.flows.get_mut(id).filter(|flow| !flow.retired) {
            let due = flow.deadline();
            self.timers.set(id, &mut flow.alarm, due);
        }
    }

    /// A flow has something to send that the device does not take: the user timeout begins, as if it had been sent.
    pub(super) fn tcp_held_back(&mut self, id: FlowId) {
        let now = self.now;
        if let Some(flow) = self.tcp.flows.get_mut(id)
            && flow.is_outstanding()
            && flow.unheard.is_none()
        {
            flow.unheard = Some(now);
            self.tcp_watch(id);
        }
    }

    /// A flow's alarm has gone off.
    pub(in crate::stack) fn tcp_alarm(&mut self, id: FlowId) {
        let now = self.now;
        let Some(flow) = self.tcp.flows.get_mut(id) else { return };
        match flow.stage {
            Stage::Connecting { deadline } if deadline <= now => return self.tcp_abort(id, Error::TimedOut),
            Stage::Connecting { .. } if flow.unanswered.is_some_and(|since| now - since >= RESOLUTION) => {
                return self.tcp_abort(id, Error::RemoteUnreachable);
            }
            Stage::HalfOpen { deadline, .. } if deadline <= now => return self.tcp_remove(id),
            // Its reset has not found a place on the link either.
            Stage::Lingering { deadline } if deadline <= now && flow.state() == tcp::State::Closed => {
                return self.tcp_remove(id);
            }
            Stage::Lingering { deadline } if deadline <= now => {
                flow.stage = Stage::Lingering { deadline: now + PARTING };
                self.tcp_abort(id, Error::TimedOut);
                return self.tcp_watch(id);
            }
            _ => {}
        }
        if flow.given_up().is_some_and(|at| at <= now) {
            self.statistics.tcp_timeouts += 1;
            return self.tcp_abort(id, Error::TimedOut);
        }
        if let Some(keep) = flow.options.keep_alive {
            if flow.probing && flow.heard + keep.patience() <= now {
                self.statistics.tcp_timeouts += 1;
                return self.tcp_abort(id, Error::TimedOut);
            }
            if !flow.probing && flow.heard + keep.idle <= now {
                flow.probing = true;
                // What is outstanding is repeated anyway, and a probe's one byte could be taken for one of it.
                if !flow.is_outstanding()
                    && let Some(socket) = flow.socket()
                {
                    socket.set_keep_alive(Some(keep.interval.into()));
                }
            }
        }
        if flow.is_outstanding() && self.iface.poll_at(now.into(), &flow.sockets).is_none() {
            self.tcp_prod(id);
        }
        self.tcp_mark(id);
        self.tcp_watch(id);
    }

    /// Asks the peer what it has and what it has room for: the engine has bytes to send and no timer to send them by.
    ///
    /// That comes about where its retransmission timer runs out while the window is closed, as an overtaken
    /// acknowledgement can say wrongly; and where it retransmits early because of repeated acknowledgements, but has only
    /// its FIN left, which it then forgets. Any peer answers an old segment with an acknowledgement (RFC 9293 section
    /// 3.10.7.4); the FIN is repeated here. The engine's own keep-alive probe will not do: its one byte would be taken
    /// for one in flight.
    fn tcp_prod(&mut self, id: FlowId) {
        let Some(flow) = self.tcp.flows.get_mut(id) else { return };
        let (Some(highest), Some(sent)) = (flow.highest, flow.sent) else { return };
        flow.unheard.get_or_insert(self.now);
        let tuple = flow.tuple;
        let outstanding = u32::try_from(flow.socket_ref().map_or(0, tcp::Socket::send_queue)).unwrap_or(u32::MAX);
        let (control, sequence) = if outstanding == 0 {
            (TcpControl::Fin, highest.wrapping_sub(1))
        } else {
            // Before everything that may be unacknowledged, the FIN included.
            (TcpControl::None, highest.wrapping_sub(outstanding).wrapping_sub(2))
        };
        self.tcp_emit(&tuple, control, Sent { sequence, ..sent });
    }
}

impl super::Flow {
    /// When the flow ends by itself: by its stage, the keep-alive or the user timeout.
    fn deadline(&self) -> Option<Instant> {
        let stage = match self.stage {
            Stage::Connecting { deadline } | Stage::HalfOpen { deadline, .. } | Stage::Lingering { deadline } => {
                Some(deadline)
            }
            Stage::Queued { .. } | Stage::Open => None,
        };
        let keep_alive =
            self.options.keep_alive.map(|keep| self.heard + if self.probing { keep.patience() } else { keep.idle });
        [stage, keep_alive, self.given_up()].into_iter().flatten().min()
    }

    /// Whether something waits to be acknowledged by the peer.
    pub(super) fn is_outstanding(&self) -> bool {
        self.socket_ref().is_some_and(|socket| {
            socket.send_queue() > 0
                || matches!(socket.state(), tcp::State::FinWait1 | tcp::State::Closing | tcp::State::LastAck)
        })
    }

    /// When the user timeout ends the connection, unless the peer is heard before. smoltcp's own timeout counts from the
    /// peer's last segment, however long ago that was: it would end an idle connection at its FIN, and one whose peer
    /// answers every probe of its closed window, since those become rarer than a short timeout allows.
    fn given_up(&self) -> Option<Instant> {
        match self.stage {
            Stage::Open | Stage::Queued { .. } | Stage::Lingering { .. } => {
                Some(self.unheard? + self.options.user_timeout?)
            }
            Stage::Connecting { .. } | Stage::HalfOpen { .. } => None,
        }
    }
}
