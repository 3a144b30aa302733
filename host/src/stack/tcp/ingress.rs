//! Segments from the link.

use core::time::Duration;
use std::sync::Arc;

use smoltcp::socket::tcp;
use smoltcp::wire::{IpListenEndpoint, TcpControl, TcpRepr, TcpSeqNumber};

use super::life::Phase;
use super::{Flow, FlowId, Stage};
use crate::stack::Core;
use crate::stack::backlog::Backlog;
use crate::stack::demux::{Segment, Sent, Tuple};
use crate::stack::options::TcpOptions;
use crate::stack::time_wait::Verdict;

/// The most handshakes under way on one stack, over all its listeners: each holds buffers for a peer that has not
/// shown that it is there.
const MOST_HALF_OPEN: usize = 256;
/// How long a peer has to complete its handshake.
const HANDSHAKE: Duration = Duration::from_secs(30);

impl Core {
    /// Delivers a segment to its flow, or answers for want of one.
    pub(in crate::stack) fn tcp_ingress(&mut self, frame: &[u8], tuple: Tuple, segment: Segment) {
        if let Some(&id) = self.tcp.by_tuple.get(&tuple) {
            if segment.syn && !segment.ack && self.tcp_challenge(id) {
                return;
            }
            return self.tcp_deliver(id, frame, &segment);
        }
        // A connection is between two hosts (RFC 9293 section 3.9.2.3): what is for many is not answered.
        if tuple.local.ip().is_multicast() || self.is_broadcast(tuple.local.ip()) {
            self.statistics.received.dropped += 1;
            return;
        }
        match self.tcp.time_wait.receive(&tuple, &segment, self.now) {
            Some(Verdict::Ignore) => return,
            Some(Verdict::Acknowledge { sequence, acknowledgement }) => {
                let last = Sent { sequence, next: sequence, acknowledgement, window: 0 };
                return self.tcp_emit(&tuple, TcpControl::None, last);
            }
            Some(Verdict::Renew) | None => {}
        }
        if segment.syn
            && !segment.ack
            && !segment.rst
            && tuple.remote.port() != 0
            && let Some((backlog, options)) = self.tcp.listener(tuple.local)
        {
            return self.tcp_admit(frame, tuple, &segment, backlog, options);
        }
        self.answer_unclaimed(frame);
    }

    fn tcp_deliver(&mut self, id: FlowId, frame: &[u8], segment: &Segment) {
        let Some(flow) = self.tcp.flows.get_mut(id) else { return };
        let before = flow.state();
        let waiting = flow.socket_ref().map_or(0, tcp::Socket::send_queue);
        flow.heard = self.now;
        if flow.probing {
            flow.probing = false;
            if let Some(socket) = flow.socket() {
                socket.set_keep_alive(None);
            }
        }
        let flow = &mut self.tcp.flows[id];
        if let Some(port) = &mut self.port {
            port.highest = flow.highest;
            Self::receive_one(&mut self.iface, port, self.now, frame, &mut flow.sockets);
            port.highest = None;
        }
        // A peer that answers, but neither acknowledges anything nor has its window closed, has lost the thread.
        let flow = &mut self.tcp.flows[id];
        let progress = flow.state() != before || flow.socket_ref().map_or(0, tcp::Socket::send_queue) < waiting;
        if progress || segment.window == 0 {
            flow.unheard = None;
        }
        let ended = before != tcp::State::Closed && self.tcp.flows[id].state() == tcp::State::Closed;
        self.tcp_settle(id, before, Phase::Ingress);
        if ended {
            // Nothing is left to send, and the next frame may be the SYN of the same pair's next connection.
            self.tcp_retire(id, false);
        } else {
            self.tcp_mark(id);
        }
    }

    /// A SYN for a listener: a flow of its own for it, if there is room. Without room the SYN is dropped, and the peer
    /// will repeat it.
    fn tcp_admit(&mut self, frame: &[u8], tuple: Tuple, segment: &Segment, backlog: Arc<Backlog>, options: TcpOptions) {
        if self.tcp.half_open >= MOST_HALF_OPEN || !backlog.begin() {
            self.statistics.backlog_drops += 1;
            return;
        }
        let deadline = self.now + HANDSHAKE;
        let owner = backlog.owner();
        let stage = Stage::HalfOpen { backlog, deadline };
        let mut flow = Flow::new((tuple, owner), stage, options, &self.capabilities, self.now);
        let endpoint = IpListenEndpoint { addr: Some(tuple.local.ip().into()), port: tuple.local.port() };
        let listening = flow.socket().is_some_and(|socket| socket.listen(endpoint).is_ok());
        debug_assert!(listening, "a fresh socket listens on a port that a SYN was sent to");
        self.tcp.half_open += 1;
        let id = self.tcp.flows.insert(flow);
        self.tcp.by_tuple.insert(tuple, id);
        self.tcp_watch(id);
        self.tcp_deliver(id, frame, segment);
        // The engine refused the segment (its checksum, its addresses): no handshake has begun.
        if self.tcp.flows.get(id).is_some_and(|flow| flow.state() == tcp::State::Listen) {
            self.tcp_remove(id);
        }
    }

    /// Answers a bare SYN for an established connection with an acknowledgement (RFC 5961 section 4.2); false where the
    /// connection is not. A peer that has restarted, and knows nothing of the connection, answers with a reset that ends
    /// it, and repeats its SYN. smoltcp would say nothing, and shut such a peer out for as long as the connection lives.
    fn tcp_challenge(&mut self, id: FlowId) -> bool {
        use tcp::State::{CloseWait, Closing, Established, FinWait1, FinWait2, LastAck};
        let Some(flow) = self.tcp.flows.get(id) else { return false };
        let (tuple, Some(sent)) = (flow.tuple, flow.sent) else { return false };
        if !matches!(flow.state(), Established | FinWait1 | FinWait2 | CloseWait | Closing | LastAck) {
            return false;
        }
        if self.may_answer() {
            self.tcp_emit(&tuple, TcpControl::None, Sent { sequence: sent.next, ..sent });
        } else {
            self.statistics.replies_suppressed += 1;
        }
        true
    }

    /// Sends a segment without payload, past the engine.
    pub(super) fn tcp_emit(&mut self, tuple: &Tuple, control: TcpControl, segment: Sent) {
        let segment = TcpRepr {
            src_port: tuple.local.port(),
            dst_port: tuple.remote.port(),
            control,
            seq_number: TcpSeqNumber(segment.sequence.cast_signed()),
            ack_number: Some(TcpSeqNumber(segment.acknowledgement.cast_signed())),
            window_len: segment.window,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &[],
        };
        self.emit_segment(tuple, &segment);
    }
}
