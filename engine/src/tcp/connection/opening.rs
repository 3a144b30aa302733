//! SYN-SENT, and SYN-RECEIVED after a simultaneous open (RFC 9293 sections 3.5 and 3.10.7.3).

use alloc::boxed::Box;
use core::time::Duration;

use super::{Cause, Connection, Effects, Opened, Owner, State, Synchronized};
use crate::ip::output::{Blocked, Outlet, Packet};
use crate::tcp::clock::Clock;
use crate::tcp::connection::Link;
use crate::tcp::handshake::{self, Agreement};
use crate::tcp::rtt::CEILING;
use crate::tcp::segment::{Control, Header, Segment, SegmentOptions};
use crate::tcp::sequence::Sequence;
use crate::time::Instant;
use crate::wire::Ecn;

/// How long the first SYN waits for its answer (RFC 6298 section 2.1).
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);

/// A handshake that this end began.
pub(super) struct Opening {
    isn: Sequence,
    /// The peer's SYN, where it came without an acknowledgement of ours: a simultaneous open.
    answer: Option<Answer>,
    /// The SYN is to leave.
    due: bool,
    /// When it first left, and how often it has.
    sent: Option<Instant>,
    tries: u32,
    timer: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Answer {
    isn: Sequence,
    agreement: Agreement,
    window: u16,
}

impl Opening {
    pub(super) const fn new(isn: Sequence) -> Self {
        Self { isn, answer: None, due: true, sent: None, tries: 0, timer: None }
    }

    pub(super) const fn isn(&self) -> Sequence {
        self.isn
    }

    /// Whether the peer's SYN has come.
    pub(super) const fn is_answered(&self) -> bool {
        self.answer.is_some()
    }

    /// RCV.NXT, once the peer's SYN has come.
    pub(super) fn expected(&self) -> Option<Sequence> {
        self.answer.map(|answer| answer.isn + 1)
    }

    pub(super) const fn is_due(&self) -> bool {
        self.due
    }

    pub(super) const fn timer(&self) -> Option<Instant> {
        self.timer
    }

    pub(super) fn retransmitted(&self) -> u64 {
        u64::from(self.tries.saturating_sub(1))
    }

    /// The SYN was not answered in time.
    pub(super) const fn on_timeout(&mut self) {
        self.due = true;
        self.timer = None;
    }

    fn on_sent(&mut self, now: Instant) {
        self.due = false;
        self.sent.get_or_insert(now);
        self.timer = Some(now + FIRST_TIMEOUT.saturating_mul(1 << self.tries.min(6)).min(CEILING));
        self.tries += 1;
    }
}

impl Connection {
    /// RFC 9293 section 3.10.7.3.
    pub(super) fn arrives_syn_sent(
        &mut self,
        segment: &Segment<'_>,
        link: &Link,
        path_mtu: usize,
        now: Instant,
    ) -> Effects {
        let State::Opening(opening) = &mut self.state else { return Effects::default() };
        let isn = opening.isn;
        let acceptable = segment.acknowledgement == isn + 1 && opening.tries > 0;
        if segment.control.ack && !acceptable {
            let reset = (!segment.control.rst).then_some(segment.acknowledgement);
            return Effects { reset, ..Effects::default() };
        }
        if segment.control.rst {
            if segment.control.ack {
                self.close(Some(Cause::Refused));
                return Effects::ALL;
            }
            return Effects::default();
        }
        if !segment.control.syn {
            return Effects::default();
        }
        let agreement = Agreement::new(&self.options, segment, self.tuple.remote.ip());
        self.clock = Clock::new(self.clock.offset(), agreement.timestamp, now);
        self.heard = now;
        if !segment.control.ack {
            // Both ends have sent a SYN: this one is answered with SYN and ACK.
            opening.answer = Some(Answer { isn: segment.sequence, agreement, window: segment.window });
            (opening.due, opening.tries, opening.timer) = (true, 0, None);
            return Effects::default();
        }
        let update = (segment.sequence, segment.acknowledgement, segment.window);
        let answer = Answer { isn: segment.sequence, agreement, window: segment.window };
        self.open(answer, update, true, link, path_mtu, now);
        // Text and FIN of the SYN itself.
        let rest = Segment {
            sequence: segment.sequence + 1,
            control: Control { syn: false, ..segment.control },
            ..segment.clone()
        };
        let mut effects = self.arrives_text(&rest, now);
        if let State::Synchronized(synchronized) = &mut self.state {
            synchronized.receiver.acknowledge_now();
        }
        effects.writable = true;
        effects
    }

    /// RFC 9293 section 3.10.7.4, as far as it concerns SYN-RECEIVED of a simultaneous open.
    pub(super) fn arrives_syn_received(
        &mut self,
        segment: &Segment<'_>,
        link: &Link,
        path_mtu: usize,
        now: Instant,
    ) -> Effects {
        let State::Opening(opening) = &mut self.state else { return Effects::default() };
        let Some(answer) = opening.answer else { return Effects::default() };
        let next = answer.isn + 1;
        let window = usize::from(handshake::syn_window(&self.options));
        let length = segment.length();
        // The peer's SYN again, now with an acknowledgement: it begins before the window.
        let syn_again = segment.control.syn && segment.sequence == answer.isn;
        let inside = |number: Sequence| number.at_or_after(next) && number.before(next + window);
        if !syn_again && !inside(segment.sequence) && !(length > 0 && inside(segment.end() - 1)) {
            opening.due |= !segment.control.rst;
            return Effects::default();
        }
        if segment.control.rst {
            if segment.sequence == next {
                self.close(Some(Cause::Refused));
                return Effects::ALL;
            }
            opening.due = true;
            return Effects::default();
        }
        if segment.control.syn && !syn_again {
            // RFC 5961 section 4.2.
            opening.due = true;
            return Effects::default();
        }
        if !segment.control.ack {
            opening.due |= syn_again;
            return Effects::default();
        }
        if segment.acknowledgement != opening.isn + 1 {
            return Effects { reset: Some(segment.acknowledgement), ..Effects::default() };
        }
        self.heard = now;
        let update = (segment.sequence, segment.acknowledgement, segment.window);
        self.open(answer, update, segment.control.syn, link, path_mtu, now);
        let mut rest = segment.clone();
        if syn_again {
            rest.sequence += 1;
            rest.control.syn = false;
        }
        let mut effects = self.arrives_text(&rest, now);
        effects.writable = true;
        effects
    }

    fn open(
        &mut self,
        answer: Answer,
        update: (Sequence, Sequence, u16),
        unscaled: bool,
        link: &Link,
        path_mtu: usize,
        now: Instant,
    ) {
        let State::Opening(opening) = &self.state else { return };
        let rtt = opening.sent.filter(|_| opening.tries == 1).map(|sent| now - sent);
        // The window of a bare SYN is not scaled either, but the update's is what counts.
        let window = if unscaled && answer.window != update.2 { answer.window } else { update.2 };
        let opened = Opened {
            isn: opening.isn,
            peer_isn: answer.isn,
            agreement: answer.agreement,
            offered: handshake::syn_window(&self.options),
            update: (update.0, update.1, window),
            unscaled,
            rtt,
            retries: opening.tries.saturating_sub(1),
            path_mtu,
        };
        let synchronized = Synchronized::new(&self.tuple, &self.options, &opened, link, now);
        self.state = State::Synchronized(Box::new(synchronized));
        self.unanswered = None;
        if let Owner::Connecting { .. } = self.owner {
            self.owner = Owner::Held;
        }
    }

    /// Sends the SYN, or the SYN and ACK of a simultaneous open.
    pub(super) fn send_syn(&mut self, link: &Link, out: &mut dyn Outlet, now: Instant) -> Result<(), Blocked> {
        let State::Opening(opening) = &mut self.state else { return Ok(()) };
        // What fits a segment's option is at most 65535.
        let mss = u16::try_from(handshake::segment_for(link.mtu, self.tuple.local.ip())).unwrap_or(u16::MAX);
        let clock = crate::tcp::clock::stamp(self.clock.offset(), now);
        let (control, acknowledgement, options): (_, _, SegmentOptions) = match &opening.answer {
            None => (handshake::offer_control(&self.options), Sequence(0), handshake::offer(&self.options, mss, clock)),
            Some(answer) => (answer.agreement.answer_control(), answer.isn + 1, answer.agreement.answer(mss, clock)),
        };
        let header = Header {
            source_port: self.tuple.local.port(),
            destination_port: self.tuple.remote.port(),
            sequence: opening.isn,
            acknowledgement,
            control,
            window: handshake::syn_window(&self.options),
            options,
        };
        out.send(&Packet {
            source: self.tuple.local.ip(),
            destination: self.tuple.remote.ip(),
            hop_limit: self.options.hop_limit,
            ecn: Ecn::NotCapable,
            head: header.emit().bytes(),
            payload: [&[], &[]],
        })?;
        opening.on_sent(now);
        Ok(())
    }
}
