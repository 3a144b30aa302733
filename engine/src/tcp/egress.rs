//! The sending of packets: the turns of pending connections, answers to SYNs, acknowledgements from TIME-WAIT, and
//! resets.

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

/// The bytes that a connection may send in one turn.
pub(super) const QUANTUM: usize = 64 * 1024;
/// The maximum number of acknowledgements from TIME-WAIT that wait for room in the outlet. Further ones are lost, and
/// their peers repeat their FINs.
const MAX_OWED: usize = 64;

/// The progress of an attempt to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything that may be sent now was sent.
    Done,
    /// The quantum is used up, and there is more: the connection is pending.
    More,
    /// The outlet did not take a packet. After [`Blocked::Full`] the connection is pending; otherwise it becomes
    /// pending when [`resume`](Tcp::resume) or [`resume_stranded`](Tcp::resume_stranded) is called.
    Blocked(Blocked),
}

/// The result of an attempt to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmitted {
    /// The bytes of IP packets that were sent.
    pub bytes: usize,
    /// The progress.
    pub progress: Progress,
}

impl Tcp {
    /// Removes the first pending connection from the queue and returns it.
    pub fn next_pending(&mut self) -> Option<ConnectionId> {
        while let Some(id) = self.pending.pop_front() {
            if let Some(entry) = self.connections.get_mut(id.0) {
                entry.pending = false;
                return Some(id);
            }
        }
        None
    }

    /// Whether a connection, or an answer that belongs to no connection, is to be sent.
    #[must_use]
    pub fn has_pending(&mut self) -> bool {
        !self.pending.is_empty() || self.owes_answers()
    }

    /// Whether an answer that belongs to no connection is to be sent: see [`transmit_answers`](Self::transmit_answers).
    #[must_use]
    pub fn owes_answers(&mut self) -> bool {
        !self.owed.is_empty() || self.half_open.next_due().is_some()
    }

    /// Whether [`owes_answers`](Self::owes_answers) may be true. If this is false, certainly no answer is to be sent.
    pub(crate) fn may_owe_answers(&self) -> bool {
        !self.owed.is_empty() || self.half_open.may_have_due()
    }

    /// Whether there may be a [pending](Self::next_pending) connection. If this is false, certainly there is none.
    #[must_use]
    pub fn may_have_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Makes a connection pending because its neighbour was resolved.
    pub fn resume(&mut self, id: ConnectionId) {
        self.mark_pending(id);
    }

    /// Makes the connections pending that could not send for lack of a route or of a neighbour, because addresses or
    /// routes have changed. Only those are tried: otherwise a router that changes its advertisement all the time would
    /// cause every connection to be examined.
    pub fn resume_stranded(&mut self) {
        for id in core::mem::take(&mut self.stranded) {
            self.mark_pending(id);
        }
    }

    /// Tries the answers to SYNs again that wait for their next hop, because some next hop was resolved.
    pub fn resume_answers(&mut self) {
        self.half_open.release();
    }

    /// Sends what one connection has to send, up to about `quantum` bytes.
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
                // A reset to a peer that cannot be reached is pointless.
                entry.connection.forget_reset();
                self.stranded.insert(id);
            }
        }
        if matches!(progress, Progress::More | Progress::Blocked(Blocked::Full)) {
            self.mark_pending(id);
        }
        self.arm(id);
        self.remove_if_over(id);
        Transmitted { bytes, progress }
    }

    /// Sends everything that is to be sent, with turns of a quantum for each connection, until the outlet is full.
    /// Returns whether it is full.
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

    /// Sends the due acknowledgements from TIME-WAIT and the due answers to SYNs, until the outlet is full. Returns
    /// whether it is full.
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

    /// The value of the MSS option in this end's SYNs.
    fn mss(&self, tuple: &Tuple) -> u16 {
        // The value is at most 65535 and so fits the option.
        u16::try_from(handshake::segment_for(self.config.link.mtu, tuple.local().ip())).unwrap_or(u16::MAX)
    }

    /// The window that the answer to a SYN offers for the connection to come.
    pub(super) fn offer(&self, options: &Options) -> u16 {
        let left = options.budget.as_ref().map_or(usize::MAX, Budget::left).min(self.budget.left());
        // The connection will reserve memory for two queues; the reservation of the send queue is not available for
        // received data.
        handshake::syn_window(options, left.saturating_sub(RESERVED))
    }

    /// Answers a SYN with a cookie. No state is kept, so the answer is lost if the outlet has no room.
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

    /// Sends an acknowledgement for a connection in TIME-WAIT. If the outlet has no room, the acknowledgement is sent
    /// later: otherwise, on a link that is constantly full, peers would repeat their FINs until they give up.
    pub(super) fn answer_late(&mut self, tuple: &Tuple, remnant: &Remnant, now: Instant, out: &mut dyn Outlet) {
        let full = self.send_remnant(tuple, remnant, now, out) == Err(Blocked::Full);
        if full && self.owed.len() < MAX_OWED && !self.owed.contains(tuple) {
            self.owed.push_back(*tuple);
        }
    }

    /// Sends the acknowledgements that TIME-WAIT owes, until the outlet is full. Returns whether it is full.
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

    /// Sends an acknowledgement for a handshake or a connection in TIME-WAIT.
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

    /// Sends a reset that belongs to no connection. It has an `acknowledgement` if the segment that it answers had none
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
        // The reset is lost if the outlet has no room, as on a full link.
        let _lost_or_not = send(tuple, service, &header, out);
    }
}

/// A header for a tuple with a sequence number and no control bits, options or window.
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

/// The fields of the IP header of an answer that depend on the options of its socket.
#[derive(Clone, Copy)]
pub(super) struct Service {
    hop_limit: HopLimit,
    traffic_class: u8,
}

impl Service {
    /// For answers to hosts that have no connection.
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
