//! Packets that leave.

use super::handshake;
use super::options::Options;
use super::segment::{Control, Header, SegmentOptions, Timestamp};
use super::sequence::Sequence;
use super::time_wait::Remnant;
use super::tuple::Tuple;
use super::{ConnectionId, Cookies, Tcp};
use crate::buffer::{Budget, RESERVED};
use crate::ip::output::{Blocked, Outlet, Packet};
use crate::time::Instant;
use crate::wire::{Ecn, HopLimit};

/// Bytes that a connection may send before the next has its turn.
pub(super) const QUANTUM: usize = 64 * 1024;
/// Acknowledgements of TIME-WAIT that wait for room; more are lost, and their peers ask again.
const MOST_OWED: usize = 64;

/// How far an attempt to send came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything that may be sent now has left.
    Done,
    /// The quantum is used up, and there is more: the connection is pending.
    More,
    /// Something kept it back. After [`Blocked::Full`] the connection is pending; otherwise it is when
    /// [`resume`](Tcp::resume) or [`resume_stranded`](Tcp::resume_stranded) says so.
    Blocked(Blocked),
}

/// What an attempt to send came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmitted {
    /// Bytes of IP packets that have left.
    pub bytes: usize,
    /// How far it came.
    pub progress: Progress,
}

impl Tcp {
    /// A connection that has something to send; it is not pending any more.
    pub fn next_pending(&mut self) -> Option<ConnectionId> {
        while let Some(id) = self.pending.pop_front() {
            if let Some(entry) = self.connections.get_mut(id.0) {
                entry.pending = false;
                return Some(id);
            }
        }
        None
    }

    /// Whether some connection, or an answer to a SYN, has something to send.
    #[must_use]
    pub fn has_pending(&mut self) -> bool {
        !self.pending.is_empty() || self.owes_answers()
    }

    /// Whether something is to be sent that belongs to no connection: see [`transmit_answers`](Self::transmit_answers).
    #[must_use]
    pub fn owes_answers(&mut self) -> bool {
        !self.owed.is_empty() || self.half_open.next_due().is_some()
    }

    /// Whether that [may be so](Self::owes_answers): where not, it is certain.
    pub(crate) fn may_owe_answers(&self) -> bool {
        !self.owed.is_empty() || self.half_open.may_have_due()
    }

    /// Whether there may be a [pending](Self::next_pending) connection: where not, that is certain.
    #[must_use]
    pub fn may_have_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// What kept a connection back may be over: its neighbour was found.
    pub fn resume(&mut self, id: ConnectionId) {
        self.mark(id);
    }

    /// Addresses or routes are others than before: connections that could not send for want of a way or of a neighbour try
    /// again, and only they, or a router that changes its mind in every second message would have all of them looked at.
    pub fn resume_stranded(&mut self) {
        for id in core::mem::take(&mut self.stranded) {
            self.mark(id);
        }
    }

    /// Some next hop was found: answers to SYNs that wait for theirs are tried again.
    pub fn resume_answers(&mut self) {
        self.half_open.release();
    }

    /// Sends what one connection has to send, at most about `quantum` bytes.
    pub fn transmit_one(
        &mut self,
        id: ConnectionId,
        quantum: usize,
        now: Instant,
        out: &mut dyn Outlet,
    ) -> Transmitted {
        self.look_at_reader(id);
        let Some(entry) = self.connections.get_mut(id.0) else {
            return Transmitted { bytes: 0, progress: Progress::Done };
        };
        let before = entry.connection.retransmitted();
        let (bytes, result) = entry.connection.transmit(quantum, &self.config.link, out, now);
        self.counters.retransmitted += entry.connection.retransmitted().saturating_sub(before);
        let progress = match result {
            Ok(false) => Progress::Done,
            Ok(true) => Progress::More,
            Err(blocked) => Progress::Blocked(blocked),
        };
        match progress {
            Progress::Done | Progress::More | Progress::Blocked(Blocked::Full) => {
                self.stranded.remove(&id);
            }
            Progress::Blocked(Blocked::Unresolved | Blocked::Unreachable) => {
                // A reset for somebody who cannot be reached is for nobody.
                entry.connection.forget_reset();
                self.stranded.insert(id);
            }
        }
        if matches!(progress, Progress::More | Progress::Blocked(Blocked::Full)) {
            self.mark(id);
        }
        self.arm(id);
        self.remove_if_over(id);
        Transmitted { bytes, progress }
    }

    /// Sends what there is to send, a quantum for each connection in turn, until the outlet is full. Whether it was.
    pub fn transmit(&mut self, now: Instant, out: &mut dyn Outlet) -> bool {
        if self.transmit_answers(now, out) {
            return true;
        }
        while let Some(id) = self.next_pending() {
            if self.transmit_one(id, QUANTUM, now, out).progress == Progress::Blocked(Blocked::Full) {
                return true;
            }
        }
        false
    }

    /// Answers the SYNs that are to be answered, until the outlet is full. Whether it was.
    pub fn transmit_answers(&mut self, now: Instant, out: &mut dyn Outlet) -> bool {
        if self.transmit_owed(now, out) {
            return true;
        }
        while let Some((key, record)) = self.half_open.next_due() {
            let clock = super::clock::stamp(self.clock_offset(&record.tuple), now);
            let Some(listening) = self.listeners.listening(record.listener) else {
                self.half_open.remove(key);
                continue;
            };
            let options = record.agreement.answer(self.mss(&record.tuple), clock);
            let header = Header {
                acknowledgement: record.peer_isn + 1,
                control: record.agreement.answer_control(),
                window: record.offered,
                options,
                ..bare(&record.tuple, record.isn)
            };
            match send(&record.tuple, (&*listening.options).into(), &header, out) {
                Err(Blocked::Full) => return true,
                Err(Blocked::Unresolved) => {
                    self.half_open.hold(key, now);
                    continue;
                }
                Ok(()) | Err(Blocked::Unreachable) => {}
            }
            self.counters.retransmitted += u64::from(record.answers > 0);
            self.half_open.on_answered(key, now);
        }
        false
    }

    /// The option of this end's SYNs.
    fn mss(&self, tuple: &Tuple) -> u16 {
        // What fits a segment's option is at most 65535.
        u16::try_from(handshake::segment_for(self.config.link.mtu, tuple.local().ip())).unwrap_or(u16::MAX)
    }

    /// The window that a SYN offers for a connection that will be.
    pub(super) fn offer(&self, options: &Options) -> u16 {
        let left = options.budget.as_ref().map_or(usize::MAX, Budget::left).min(self.budget.left());
        // Of its two queues, what the one that sends has reserved is not for what comes.
        handshake::syn_window(options, left.saturating_sub(RESERVED))
    }

    /// Answers a SYN with a cookie. Nothing is kept of it, so it is lost where there is no room.
    pub(super) fn send_cookie(
        &mut self,
        tuple: &Tuple,
        listener: super::ListenerId,
        peer_isn: Sequence,
        agreement: &handshake::Agreement,
        now: Instant,
        out: &mut dyn Outlet,
    ) {
        let Some(listening) = self.listeners.listening(listener) else { return };
        let agreement = &Cookies::kept(agreement);
        let offset = self.clock_offset(tuple);
        let clock = Cookies::stamp(agreement, offset, super::clock::stamp(offset, now));
        let header = Header {
            acknowledgement: peer_isn + 1,
            control: agreement.answer_control(),
            window: self.offer(&listening.options),
            options: agreement.answer(self.mss(tuple), clock),
            ..bare(tuple, self.cookies.make(tuple, peer_isn, agreement, now))
        };
        let service = Service::from(&*listening.options);
        self.counters.cookies += u64::from(send(tuple, service, &header, out).is_ok());
    }

    /// Answers for a connection that is in TIME-WAIT. Where there is no room, the answer is owed: on a link that is kept full,
    /// peers would else repeat the end of their streams until they give up.
    pub(super) fn answer_late(&mut self, tuple: &Tuple, remnant: &Remnant, now: Instant, out: &mut dyn Outlet) {
        let full = self.send_remnant(tuple, remnant, now, out) == Err(Blocked::Full);
        if full && self.owed.len() < MOST_OWED && !self.owed.contains(tuple) {
            self.owed.push_back(*tuple);
        }
    }

    /// Sends the answers that TIME-WAIT owes, until the outlet is full. Whether it was.
    fn transmit_owed(&mut self, now: Instant, out: &mut dyn Outlet) -> bool {
        while let Some(tuple) = self.owed.front().copied() {
            if let Some(remnant) = self.time_wait.remnant(&tuple)
                && self.send_remnant(&tuple, &remnant, now, out) == Err(Blocked::Full)
            {
                return true;
            }
            self.owed.pop_front();
        }
        false
    }

    /// Sends an acknowledgement for what is no connection, or none any more.
    pub(super) fn send_remnant(
        &self,
        tuple: &Tuple,
        remnant: &Remnant,
        now: Instant,
        out: &mut dyn Outlet,
    ) -> Result<(), Blocked> {
        let timestamp = remnant
            .timestamp
            .map(|clock| Timestamp { value: super::clock::stamp(clock.offset, now), echo: clock.recent });
        let header = Header {
            acknowledgement: remnant.expected,
            control: Control::ACK,
            window: remnant.window,
            options: SegmentOptions { timestamp, ..SegmentOptions::default() },
            ..bare(tuple, remnant.next)
        };
        let &Remnant { hop_limit, traffic_class, .. } = remnant;
        send(tuple, Service { hop_limit, traffic_class }, &header, out)
    }

    /// Sends a reset that no connection is left to send: with `acknowledgement` where the segment that it answers had none itself
    /// (RFC 9293 section 3.10.7.1).
    pub(super) fn send_reset(
        &mut self,
        tuple: &Tuple,
        service: Service,
        sequence: Sequence,
        acknowledgement: Option<Sequence>,
        now: Instant,
        out: &mut dyn Outlet,
    ) {
        if !self.config.link.lossless && !self.resets.allows(now) {
            self.counters.suppressed += 1;
            return;
        }
        let header = Header {
            acknowledgement: acknowledgement.unwrap_or_default(),
            control: Control { rst: true, ack: acknowledgement.is_some(), ..Control::NONE },
            ..bare(tuple, sequence)
        };
        // Lost where there is no room, as on a full link.
        let _lost_or_not = send(tuple, service, &header, out);
    }
}

/// A header with nothing in it.
fn bare(tuple: &Tuple, sequence: Sequence) -> Header {
    Header {
        source_port: tuple.local().port(),
        destination_port: tuple.remote().port(),
        sequence,
        acknowledgement: Sequence(0),
        control: Control::NONE,
        window: 0,
        options: SegmentOptions::default(),
    }
}

/// What the IP header of an answer says beside whom it is for.
#[derive(Clone, Copy)]
pub(super) struct Service {
    hop_limit: HopLimit,
    traffic_class: u8,
}

impl Service {
    /// For somebody who has no connection.
    pub(super) const fn plain(hop_limit: HopLimit) -> Self {
        Self { hop_limit, traffic_class: 0 }
    }
}

impl From<&Options> for Service {
    fn from(options: &Options) -> Self {
        Self { hop_limit: options.hop_limit, traffic_class: options.traffic_class }
    }
}

fn send(tuple: &Tuple, service: Service, header: &Header, out: &mut dyn Outlet) -> Result<(), Blocked> {
    out.send(&Packet {
        source: tuple.local().ip(),
        destination: tuple.remote().ip(),
        hop_limit: service.hop_limit.octet(),
        traffic_class: service.traffic_class,
        ecn: Ecn::NotCapable,
        head: header.emit().bytes(),
        payload: &[],
        segment: 0,
    })
}
