//! SYN-SENT, and SYN-RECEIVED after a simultaneous open (RFC 9293 sections 3.5 and 3.10.7.3).

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Arrival, Cause, Charges, Connection, Effects, Opened, Owner, State, Synchronized};
use crate::ip::output::{Blocked, Outlet, Packet};
use crate::tcp::clock::Clock;
use crate::tcp::connection::Link;
use crate::tcp::handshake::{self, Agreement};
use crate::tcp::options::{EcnUse, Options};
use crate::tcp::rtt::CEILING;
use crate::tcp::segment::{Control, Header, Segment, SegmentOptions};
use crate::tcp::sequence::Sequence;
use crate::time::Instant;
use crate::wire::Ecn;

/// How long the first SYN waits to be answered (RFC 6298 section 2.1).
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);

/// A handshake that this end has begun.
pub(super) struct Opening {
    isn: Sequence,
    /// The memory that is reserved for the connection's queues.
    charges: Charges,
    /// The window that this end's SYN offers.
    offered: u16,
    /// The peer's SYN, if it came without an acknowledgement of this end's SYN: a simultaneous open.
    answer: Option<Answer>,
    /// The data of that SYN, at most a segment, which is delivered when the handshake is complete (RFC 9293 section
    /// 3.10.7.3).
    text: Vec<u8>,
    /// The SYN is to be sent.
    due: bool,
    /// A challenge acknowledgement is to be sent, to a sender that may not be the peer.
    challenge_due: bool,
    /// When the SYN was first sent, and how often.
    sent: Option<Instant>,
    tries: u32,
    timer: Option<Instant>,
    /// How often the timer has expired.
    timeouts: u32,
}

#[derive(Clone, Copy)]
struct Answer {
    isn: Sequence,
    agreement: Agreement,
}

impl Opening {
    pub(super) fn new(isn: Sequence, charges: Charges, options: &Options) -> Self {
        Self {
            isn,
            offered: charges.window(options),
            charges,
            answer: None,
            text: Vec::new(),
            due: true,
            challenge_due: false,
            sent: None,
            tries: 0,
            timer: None,
            timeouts: 0,
        }
    }

    pub(super) const fn isn(&self) -> Sequence {
        self.isn
    }

    /// Whether the peer's SYN was received.
    pub(super) const fn is_answered(&self) -> bool {
        self.answer.is_some()
    }

    /// RCV.NXT, once the peer's SYN was received.
    pub(super) fn expected(&self) -> Option<Sequence> {
        self.answer.map(|answer| answer.isn + 1)
    }

    pub(super) const fn is_due(&self) -> bool {
        self.due
    }

    /// SND.NXT and RCV.NXT for the challenge acknowledgement, if one is to be sent.
    pub(super) fn challenge(&self) -> Option<(Sequence, Sequence)> {
        self.expected().filter(|_| self.challenge_due).map(|expected| (self.isn + 1, expected))
    }

    pub(super) const fn on_challenged(&mut self) {
        self.challenge_due = false;
    }

    /// The window field of segments that follow the SYN.
    pub(super) fn window_field(&self) -> u16 {
        self.answer.map_or(0, |answer| answer.agreement.window_field(self.offered))
    }

    /// The bytes of memory held.
    pub(super) const fn held(&self) -> usize {
        self.text.capacity()
    }

    pub(super) const fn timer(&self) -> Option<Instant> {
        self.timer
    }

    pub(super) fn retransmitted(&self) -> u64 {
        u64::from(self.tries.saturating_sub(1))
    }

    /// Makes the SYN due again because it was not answered in time.
    pub(super) const fn on_timeout(&mut self) {
        self.due = true;
        self.timer = None;
        self.timeouts = self.timeouts.saturating_add(1);
    }

    fn on_sent(&mut self, now: Instant) {
        self.due = false;
        self.sent.get_or_insert(now);
        self.timer = Some(now + FIRST_TIMEOUT.saturating_mul(1 << self.tries.min(6)).min(CEILING));
        self.tries += 1;
    }
}

impl Connection {
    /// Processes a segment in SYN-SENT (RFC 9293 section 3.10.7.3).
    pub(super) fn arrives_syn_sent(&mut self, segment: &Segment<'_>, arrival: &Arrival<'_>) -> Effects {
        let now = arrival.now;
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
        let mut agreement = Agreement::new(&self.options, segment, self.tuple.remote().ip());
        // ECN is not used if this end's latest SYN did not request it (RFC 3168 section 6.1.1).
        agreement.ecn &= self.options.ecn == EcnUse::Request && opening.tries == 1;
        self.clock = Clock::new(self.clock.offset(), agreement.timestamp, now);
        self.heard = now;
        if !segment.control.ack {
            // Both ends have sent a SYN, so this one is answered with SYN and ACK, which does not acknowledge the data
            // yet. A FIN is ignored in this state (section 3.10.7.4, eighth step).
            let most = handshake::segment_for(arrival.link.mtu, self.tuple.local().ip());
            opening.text = segment.payload.chunks().flatten().copied().take(most).collect();
            opening.answer = Some(Answer { isn: segment.sequence, agreement });
            (opening.due, opening.tries, opening.timer) = (true, 0, None);
            return Effects::default();
        }
        self.open(Answer { isn: segment.sequence, agreement }, segment, arrival);
        // The data and the FIN of the SYN itself.
        let rest = Segment {
            sequence: segment.sequence + 1,
            control: Control { syn: false, ..segment.control },
            ..segment.clone()
        };
        let mut effects = self.arrives_text(&rest, arrival);
        if let State::Synchronized(synchronized) = &mut self.state {
            synchronized.receiver.acknowledge_now();
        }
        effects.writable = true;
        effects.advanced = true;
        effects
    }

    /// Processes a segment in SYN-RECEIVED after a simultaneous open (RFC 9293 section 3.10.7.4).
    pub(super) fn arrives_syn_received(&mut self, segment: &Segment<'_>, arrival: &mut Arrival<'_>) -> Effects {
        let now = arrival.now;
        let State::Opening(opening) = &mut self.state else { return Effects::default() };
        let Some(answer) = opening.answer else { return Effects::default() };
        let (next, control) = (answer.isn + 1, segment.control);
        let window = usize::from(opening.offered);
        let inside = |number: Sequence| number.at_or_after(next) && number.before(next + window);
        let acceptable = inside(segment.sequence) || (segment.length() > 0 && inside(segment.end() - 1));
        // The peer repeats its SYN, which lies before the window: it has not received the answer, or sends its own.
        let syn_again = control.syn && segment.sequence == answer.isn;
        if syn_again && !control.ack {
            opening.due = true;
            return Effects::default();
        }
        if control.rst && segment.sequence == next {
            self.close(Some(Cause::Refused));
            return Effects::ALL;
        }
        // Resets whose number is not exact, other SYNs, and segments outside of the window may come from an attacker
        // (RFC 5961 sections 3.2 and 4.2).
        if !syn_again && (!acceptable || control.rst || control.syn) {
            let answered = acceptable || !control.rst;
            opening.challenge_due |= answered && arrival.challenges.allows(now);
            return Effects::default();
        }
        if !control.ack {
            return Effects::default();
        }
        if segment.acknowledgement != opening.isn + 1 {
            return Effects { reset: Some(segment.acknowledgement), ..Effects::default() };
        }
        let text = core::mem::take(&mut opening.text);
        self.heard = now;
        self.open(answer, segment, arrival);
        let of_syn = Segment { sequence: next, control: Control::ACK, payload: text[..].into(), ..segment.clone() };
        let mut rest = segment.clone();
        if syn_again {
            rest.sequence += 1;
            rest.control.syn = false;
        }
        let effects = self.arrives_text(&of_syn, arrival).and(self.arrives_text(&rest, arrival));
        Effects { writable: true, ..effects }
    }

    /// Completes the handshake with this segment.
    fn open(&mut self, answer: Answer, segment: &Segment<'_>, arrival: &Arrival<'_>) {
        let now = arrival.now;
        let State::Opening(opening) = &mut self.state else { return };
        let charges = core::mem::take(&mut opening.charges);
        // If a segment was sent twice, its acknowledgement does not measure the round-trip time (Karn's algorithm). In
        // a simultaneous open the SYN was sent twice: without an acknowledgement, and with one.
        let once = opening.tries == 1 && !opening.is_answered();
        let echo = segment.options.timestamp.map(|timestamp| timestamp.echo);
        let echoed = || echo.and_then(|echo| self.clock.elapsed(echo, now));
        let rtt = opening.sent.filter(|_| once).map(|sent| now - sent).or_else(echoed);
        let opened = Opened {
            isn: opening.isn,
            peer_isn: answer.isn,
            agreement: answer.agreement,
            offered: opening.offered,
            update: (segment.sequence, segment.acknowledgement, segment.window),
            unscaled: segment.control.syn,
            rtt,
            retries: opening.timeouts,
            path_mtu: arrival.path_mtu,
        };
        let seed = self.clock.seed(opened.isn);
        let synchronized = Synchronized::new(&self.tuple, &self.options, &opened, charges, seed, arrival.link, now);
        self.state = State::Synchronized(Box::new(synchronized));
        self.unanswered = None;
        if let Owner::Connecting { .. } = self.owner {
            self.owner = Owner::Held;
        }
    }

    /// Sends the SYN, or the SYN and ACK of a simultaneous open.
    pub(super) fn send_syn(&mut self, link: &Link, out: &mut dyn Outlet, now: Instant) -> Result<(), Blocked> {
        let State::Opening(opening) = &mut self.state else { return Ok(()) };
        // The value is at most 65535 and so fits the option.
        let mss = u16::try_from(handshake::segment_for(link.mtu, self.tuple.local().ip())).unwrap_or(u16::MAX);
        let clock = crate::tcp::clock::stamp(self.clock.offset(), now);
        let (control, acknowledgement, options): (_, _, SegmentOptions) = match &opening.answer {
            None => {
                let control = handshake::offer_control(&self.options, opening.tries);
                (control, Sequence(0), handshake::offer(&self.options, mss, clock))
            }
            Some(answer) => (answer.agreement.answer_control(), answer.isn + 1, answer.agreement.answer(mss, clock)),
        };
        let header = Header {
            source_port: self.tuple.local().port(),
            destination_port: self.tuple.remote().port(),
            sequence: opening.isn,
            acknowledgement,
            control,
            window: opening.offered,
            options,
        };
        out.send(&Packet {
            source: self.tuple.local().ip(),
            destination: self.tuple.remote().ip(),
            hop_limit: self.options.hop_limit.octet(),
            traffic_class: self.options.traffic_class,
            ecn: Ecn::NotCapable,
            head: header.emit().bytes(),
            payload: &[],
            segment: 0,
        })?;
        opening.on_sent(now);
        Ok(())
    }
}
