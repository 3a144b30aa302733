//! The processing of a segment that arrives for a connection, in the order of RFC 9293 section 3.10.7.4, with the
//! checks of RFC 5961 and RFC 7323.

use super::{Cause, Connection, Effects, Link, Owner, State, Synchronized};
use crate::buffer::{Memory, Payload};
use crate::tcp::limiter::Limiter;
use crate::tcp::receive::Text;
use crate::tcp::recovery::RecoveryState;
use crate::tcp::segment::Segment;
use crate::tcp::send::Incoming;
use crate::tcp::state::TcpState;
use crate::time::Instant;
use crate::wire::Ecn;

/// What a connection needs to know in addition to the segment itself.
pub(in crate::tcp) struct Arrival<'a> {
    pub(in crate::tcp) now: Instant,
    pub(in crate::tcp) link: &'a Link,
    /// The source of memory for data that must be copied.
    pub(in crate::tcp) memory: &'a Memory,
    /// The MTU of the path to the peer.
    pub(in crate::tcp) path_mtu: usize,
    /// The ECN field of the packet, which routers may have marked.
    pub(in crate::tcp) ecn: Ecn,
    /// The rate limit for challenge acknowledgements (RFC 5961 section 7).
    pub(in crate::tcp) challenges: &'a mut Limiter,
}

impl Connection {
    /// Processes a segment for this connection.
    pub(in crate::tcp) fn arrives(&mut self, segment: &Segment<'_>, arrival: &mut Arrival<'_>) -> Effects {
        match &self.state {
            State::Opening(opening) if opening.is_answered() => self.arrives_syn_received(segment, arrival),
            State::Opening(_) => self.arrives_syn_sent(segment, arrival),
            State::Synchronized(_) => self.arrives_synchronized(segment, arrival),
            State::Closed(_) => Effects::default(),
        }
    }

    /// Whether the packets that earlier segments have allowed or asked for must be sent before this segment is
    /// processed. Normally all segments that have arrived are processed before anything is sent, and one
    /// acknowledgement answers all of them (RFC 9293 section 3.10.7.4, MUST-58 and MUST-59). There are two exceptions:
    ///
    /// - New data that earlier acknowledgements allow is sent before an acknowledgement that may report a loss is
    ///   processed.
    /// - For a segment out of order, the acknowledgement of the earlier ones is sent first. A peer without selective
    ///   acknowledgements can only count acknowledgements, so it gets one for each such segment (RFC 5681 sections 3.2
    ///   and 4.2); another peer gets one for as many ranges as an acknowledgement can report.
    pub(in crate::tcp) fn comes_after_what_is_due(&self, segment: &Segment<'_>) -> bool {
        let State::Synchronized(synchronized) = &self.state else { return false };
        let Synchronized { sender, receiver, agreement, .. } = &**synchronized;
        let outstanding = sender.next() != sender.unacknowledged();
        let repeated = outstanding && segment.payload.is_empty() && segment.acknowledgement == sender.unacknowledged();
        let disordered = !segment.payload.is_empty() && segment.sequence != receiver.next();
        repeated
            || !segment.options.sack.is_empty()
            || (disordered && (!agreement.selective || receiver.is_sack_full()))
    }

    fn arrives_synchronized(&mut self, segment: &Segment<'_>, arrival: &mut Arrival<'_>) -> Effects {
        let now = arrival.now;
        let State::Synchronized(synchronized) = &mut self.state else { return Effects::default() };
        let Synchronized { sender, receiver, .. } = &mut **synchronized;
        let control = segment.control;
        // RFC 7323 section 5.3, R1: a segment with an old timestamp is an old duplicate, unless it is a reset.
        if let Some(timestamp) = segment.options.timestamp
            && !control.rst
            && self.clock.is_old(timestamp.value, now)
        {
            self.answer_old(segment, arrival);
            return Effects::default();
        }
        // RFC 7323 section 3.2: if the connection uses timestamps, a segment without one is dropped.
        if segment.options.timestamp.is_none() && self.clock.is_used() && !control.rst && !control.syn {
            return Effects::default();
        }
        // First step: the sequence number. A SYN is challenged whatever its number is (RFC 5961 section 4.2).
        if control.syn && !control.rst {
            self.challenge(arrival);
            return Effects::default();
        }
        let shut = receiver.window() == 0 && segment.sequence == receiver.next();
        // At the edge itself only acknowledgements are acceptable, not resets (the window of RFC 5961 section 3.2 is
        // that of RFC 9293).
        let beyond = control.rst && segment.sequence == receiver.edge() && !shut;
        if beyond || (!receiver.is_acceptable(segment.sequence, segment.length()) && !shut) {
            if !control.rst {
                self.answer_unacceptable(segment, arrival);
            }
            return Effects::default();
        }
        // Second step: resets. Only a reset with exactly the expected number takes effect at once (RFC 5961 section
        // 3.2).
        if control.rst {
            if segment.sequence == receiver.next() {
                return self.arrives_reset();
            }
            self.challenge(arrival);
            return Effects::default();
        }
        // Fifth step: the acknowledgement number must be within bounds (RFC 5961 section 5.2).
        if !control.ack {
            return Effects::default();
        }
        if !sender.is_acceptable(segment.acknowledgement) {
            self.challenge(arrival);
            return Effects::default();
        }
        self.heard = now;
        let has_answered = core::mem::take(&mut self.probes) > 0;
        if let Some(timestamp) = segment.options.timestamp
            && segment.sequence.at_or_before(receiver.acknowledged())
        {
            self.clock.hear(timestamp.value, now);
        }
        let mut effects = self.arrives_acknowledgement(segment, now);
        effects.advanced |= has_answered;
        if effects.time_wait || self.is_closed() {
            return effects;
        }
        self.note_marks(segment, arrival.ecn);
        let text = if shut && segment.length() > 0 {
            // The window is closed: the acknowledgement counts, but the data is dropped, and the peer is told again
            // what is expected.
            if let State::Synchronized(synchronized) = &mut self.state {
                synchronized.receiver.acknowledge_now();
            }
            self.arrives_text(
                &Segment {
                    payload: Payload::EMPTY,
                    control: crate::tcp::segment::Control { fin: control.fin && segment.payload.is_empty(), ..control },
                    ..segment.clone()
                },
                arrival,
            )
        } else {
            self.arrives_text(segment, arrival)
        };
        effects.and(text)
    }

    /// Makes a challenge acknowledgement due, within the rate limit, since the segment may not come from the peer (RFC
    /// 5961 section 7).
    fn challenge(&mut self, arrival: &mut Arrival<'_>) {
        if arrival.challenges.allows(arrival.now)
            && let State::Synchronized(synchronized) = &mut self.state
        {
            synchronized.receiver.acknowledge_now();
        }
    }

    /// Answers a segment outside of the window with an acknowledgement, so that a peer that has lost one receives it
    /// again. The answers to segments without data are limited: otherwise two ends could keep answering each other for
    /// ever.
    fn answer_unacceptable(&mut self, segment: &Segment<'_>, arrival: &mut Arrival<'_>) {
        if let State::Synchronized(synchronized) = &mut self.state {
            synchronized.receiver.note_duplicate(segment.sequence, segment.sequence + segment.payload.len());
        }
        self.answer_old(segment, arrival);
    }

    fn answer_old(&mut self, segment: &Segment<'_>, arrival: &mut Arrival<'_>) {
        if segment.length() == 0 {
            return self.challenge(arrival);
        }
        if let State::Synchronized(synchronized) = &mut self.state {
            synchronized.receiver.acknowledge_now();
        }
    }

    fn arrives_reset(&mut self) -> Effects {
        let cause = match self.state() {
            // Both ends have closed already, and everything was acknowledged: nothing was lost.
            TcpState::Closing | TcpState::LastAck | TcpState::TimeWait if self.is_all_acknowledged() => None,
            _ => Some(Cause::Reset),
        };
        self.close(cause);
        Effects::ALL
    }

    fn is_all_acknowledged(&self) -> bool {
        matches!(&self.state, State::Synchronized(synchronized) if synchronized.sender.queue().is_empty())
    }

    fn arrives_acknowledgement(&mut self, segment: &Segment<'_>, now: Instant) -> Effects {
        let State::Synchronized(synchronized) = &mut self.state else { return Effects::default() };
        let Synchronized { sender, agreement, ecn, .. } = &mut **synchronized;
        let before = (sender.unacknowledged(), sender.recovery().state());
        let echo = segment.options.timestamp.map(|timestamp| timestamp.echo).filter(|_| self.clock.is_used());
        let peer_scale = agreement.scales.map_or(0, |(peer, _)| peer);
        let freed = sender.on_acknowledgement(&Incoming {
            now,
            sequence: segment.sequence,
            acknowledgement: segment.acknowledgement,
            window: usize::from(segment.window) << peer_scale,
            sack: if agreement.selective { &segment.options.sack } else { &[] },
            echo,
            echoed_rtt: echo.and_then(|echo| self.clock.elapsed(echo, now)),
            bare: segment.length() == 0,
            congestion_experienced: agreement.ecn && segment.control.ece,
        });
        let slow = |state| matches!(state, RecoveryState::Cwr | RecoveryState::Recovery | RecoveryState::Loss);
        // RFC 3168 section 6.1.2: whatever the reason for which the window was reduced, the peer is told.
        ecn.slowed |= agreement.ecn && slow(sender.recovery().state()) && !slow(before.1);
        let advanced = sender.unacknowledged() != before.0;
        // A peer that answers window probes may keep its window closed as long as it wants (RFC 9293 section 3.8.6.1,
        // MUST-37). The next thing that it has to answer is the next probe.
        if sender.window() == 0 {
            self.unanswered = None;
        } else if advanced {
            self.unanswered = sender.is_outstanding().then_some(now);
        }
        let (room, limit) = (sender.queue().room(), sender.queue().limit());
        let finished = sender.is_finished();
        // A waiting writer is woken when a third of the buffer is free, and not for every acknowledged segment.
        let mut effects = Effects {
            writable: (freed > 0 && room * 3 >= limit) || (finished && advanced),
            advanced,
            ..Effects::default()
        };
        if finished {
            match synchronized.state() {
                TcpState::LastAck => {
                    self.close(None);
                    effects = Effects::ALL;
                }
                TcpState::TimeWait => effects.time_wait = true,
                _ => {}
            }
        }
        effects
    }

    /// RFC 3168 section 6.1.3: a mark is echoed until the peer has reduced its window.
    fn note_marks(&mut self, segment: &Segment<'_>, mark: Ecn) {
        if let State::Synchronized(synchronized) = &mut self.state
            && synchronized.agreement.ecn
        {
            let ecn = &mut synchronized.ecn;
            ecn.echoing &= !segment.control.cwr;
            ecn.echoing |= mark == Ecn::Congested;
        }
    }

    /// Seventh and eighth step: data and FIN.
    pub(super) fn arrives_text(&mut self, segment: &Segment<'_>, arrival: &Arrival<'_>) -> Effects {
        let State::Synchronized(synchronized) = &mut self.state else { return Effects::default() };
        let Synchronized { sender, receiver, peer_ended_first, .. } = &mut **synchronized;
        let news = segment.sequence + segment.payload.len();
        // The owner has released the connection: arriving data cannot be delivered, and a reset tells the peer so (RFC
        // 9293 section 3.6.1).
        if matches!(self.owner, Owner::Nobody { .. }) && !segment.payload.is_empty() && news.after(receiver.next()) {
            let reset = Some(sender.next());
            self.close(Some(Cause::Aborted));
            return Effects { reset, ..Effects::ALL };
        }
        let text = Text {
            sequence: segment.sequence,
            payload: segment.payload,
            push: segment.control.psh,
            fin: segment.control.fin,
        };
        let taken = receiver.take(&text, arrival.memory, arrival.now);
        if !taken.ended {
            return Effects { readable: taken.readable, ..Effects::default() };
        }
        *peer_ended_first = !sender.is_finishing();
        let time_wait = sender.is_finished();
        Effects { readable: true, writable: true, reset: None, time_wait, advanced: false }
    }
}
