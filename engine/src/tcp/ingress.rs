//! The processing of packets that arrive: each segment is given to the connection, handshake, TIME-WAIT record or
//! listener that it is for, and the effects are applied to the tables of [`Tcp`].

use alloc::sync::Arc;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use smoltcp::wire::IpProtocol;

use super::clock::Clock;
use super::connection::{Arrival, Charges, Effects, Opened, Owner};
use super::egress::{QUANTUM, Service};
use super::half_open::HalfOpen;
use super::handshake::Agreement;
use super::listener::Admission;
use super::options::Options;
use super::segment::Segment;
use super::sequence::Sequence;
use super::state::Cause;
use super::time_wait::{Arrival as LateArrival, Remnant, RemnantClock, Verdict};
use super::tuple::Tuple;
use super::{Connection, ConnectionId, Entry, Flow, Holder, ListenerId, Tcp};
use crate::buffer::Slice;
use crate::event::Event;
use crate::ip::output::Outlet;
use crate::slots::Key;
use crate::time::Instant;
use crate::wire::{Ecn, HopLimit, Ip};

impl Tcp {
    /// Processes an IP packet with a TCP segment in it.
    ///
    /// The caller has checked the addresses: the packet is addressed to this host, and its source is not this host
    /// unless the interface loops back.
    pub fn receive(&mut self, now: Instant, packet: &[u8], out: &mut dyn Outlet) {
        self.receive_parts(now, packet, &[], false, out);
    }

    /// Like [`receive`](Self::receive), for a packet whose headers lie in `packet` and whose data continues in `apart`.
    /// Those slices are kept by reference. If the packet `is_verified`, or has never left this host, its checksums are
    /// not verified.
    pub fn receive_parts(
        &mut self,
        now: Instant,
        packet: &[u8],
        apart: &[Slice],
        is_verified: bool,
        out: &mut dyn Outlet,
    ) {
        let verify = self.config.link.checksums && !is_verified;
        let length_apart = apart.iter().map(|slice| slice.len()).sum();
        let Some(ip) = Ip::parse(packet, length_apart, verify).filter(|ip| ip.protocol == IpProtocol::Tcp) else {
            self.counters.malformed += 1;
            return;
        };
        let Some(segment) = Segment::parse(ip.source, ip.destination, ip.payload, apart, verify) else {
            self.counters.malformed += 1;
            return;
        };
        // A connection is between two hosts (RFC 9293 section 3.9.2.3): segments from or to a broadcast or multicast
        // address are not answered.
        if !is_host(ip.source) || !is_host(ip.destination) {
            self.counters.dropped += 1;
            return;
        }
        let tuple = Tuple::new(
            SocketAddr::new(ip.destination, segment.destination_port),
            SocketAddr::new(ip.source, segment.source_port),
        );
        match self.flow(&tuple) {
            Some(Flow::Connection(id)) => self.arrives(id, &segment, ip.ecn, now, out),
            Some(Flow::HalfOpen(key)) => self.arrives_half_open(key, &segment, ip.ecn, now, out),
            None => self.arrives_for_nobody(&tuple, &segment, now, out, ip.ecn),
        }
    }

    fn arrives(&mut self, id: ConnectionId, segment: &Segment<'_>, ecn: Ecn, now: Instant, out: &mut dyn Outlet) {
        let entry = self.connections.get(id.0);
        if entry.is_some_and(|entry| entry.pending && entry.connection.comes_after_what_is_due(segment)) {
            // If it cannot be sent now, the connection stays pending.
            let _sent_or_not = self.transmit_one(id, QUANTUM, now, out);
        }
        let Some(entry) = self.connections.get_mut(id.0) else { return };
        let tuple = *entry.connection.tuple();
        let mut arrival = Arrival {
            now,
            link: &self.config.link,
            memory: &self.config.memory,
            path_mtu: out.mtu(tuple.remote().ip()),
            ecn,
            challenges: &mut self.challenges,
        };
        let effects = entry.connection.arrives(segment, &mut arrival);
        self.progressed |= effects.advanced;
        if let Some(sequence) = effects.reset {
            let service = Service::from(entry.connection.options());
            self.send_reset(&tuple, service, sequence, None, now, out);
        }
        if effects.time_wait {
            self.retire(id, now, out);
        }
        self.grow(id);
        self.apply_effects(id, effects, now);
    }

    /// Moves a connection that both ends have closed to TIME-WAIT, and sends the acknowledgement that its peer waits
    /// for.
    fn retire(&mut self, id: ConnectionId, now: Instant, out: &mut dyn Outlet) {
        let Some(entry) = self.connections.get_mut(id.0) else { return };
        let tuple = *entry.connection.tuple();
        let owes = entry.connection.owes_acknowledgement();
        if let Some(remnant) = entry.connection.retire() {
            if let Some(owner) = entry.sharer() {
                entry.has_share = false;
                let rest = self.time_wait.rest(remnant.timestamp.is_some());
                let until = if self.config.loops_back { now } else { now + rest };
                self.destinations.give_back_at(until, &tuple, owner);
            }
            if owes {
                self.answer_late(&tuple, &remnant, now, out);
            }
            self.time_wait.insert(tuple, remnant, now);
        }
    }

    /// Applies the effects of what a connection did: emits events for waiting owners, removes the connection from the
    /// tables if it is over, and makes it pending if it has something to send.
    pub(super) fn apply_effects(&mut self, id: ConnectionId, effects: Effects, now: Instant) {
        let Some(entry) = self.connections.get_mut(id.0) else { return };
        if effects.readable {
            self.events.tell(Event::Readable(id));
        }
        if effects.writable {
            self.events.tell(Event::Writable(id));
        }
        if entry.connection.is_closed() {
            let tuple = *entry.connection.tuple();
            let (cause, listener, sharer) = (entry.connection.cause(), entry.listener(), entry.sharer());
            if self.vacate(id, &tuple, sharer) {
                match cause {
                    Some(Cause::Reset) => self.counters.resets += 1,
                    Some(Cause::TimedOut) => self.counters.timeouts += 1,
                    _ => {}
                }
            }
            // A connection that fails before it was accepted is not handed out.
            if let (Some(listener), Some(_)) = (listener, cause) {
                self.listeners.forget(listener, id);
                self.events.tell(Event::Acceptable(listener));
                let owner = self.listeners.owner(listener);
                if let Some(entry) = self.connections.get_mut(id.0) {
                    entry.holder = Holder::Owner(owner);
                    entry.connection.release(now);
                }
            }
            if self.remove_if_over(id) {
                return;
            }
        }
        self.look_at_reader(id);
        if self.connections.get_mut(id.0).is_some_and(|entry| !entry.pending && entry.connection.has_to_send(now)) {
            self.mark_pending(id);
        }
        self.arm(id);
    }

    /// Removes a connection that is over and that nobody owns. Returns whether it did.
    pub(super) fn remove_if_over(&mut self, id: ConnectionId) -> bool {
        let over = self.connections.get(id.0).is_some_and(|entry| {
            entry.connection.is_done() && matches!(entry.connection.owner(), Owner::Nobody { .. })
        });
        if over {
            self.remove(id);
        }
        over
    }

    /// Processes a segment for a handshake of a listener (RFC 9293 section 3.10.7.4, SYN-RECEIVED).
    fn arrives_half_open(&mut self, key: Key, segment: &Segment<'_>, ecn: Ecn, now: Instant, out: &mut dyn Outlet) {
        let Some(record) = self.half_open.get(key).copied() else { return };
        let HalfOpen { tuple, isn, peer_isn, agreement, offered, .. } = record;
        let control = segment.control;
        let Some(listening) = self.listeners.listening(record.listener) else { return };
        let options = listening.options.clone();
        let (next, window) = (peer_isn + 1, usize::from(offered));
        let clock = Clock::new(0, agreement.timestamp, record.since);
        let old = segment.options.timestamp.is_some_and(|timestamp| clock.is_old(timestamp.value, now));
        let inside = |number: Sequence| number.at_or_after(next) && number.before(next + window);
        let again = control.syn && !control.ack && segment.sequence == peer_isn;
        let acceptable =
            inside(segment.sequence) || (segment.length() > 0 && inside(segment.end() - 1)) || segment.sequence == next;
        if again {
            // The peer has not received the answer.
            if !control.ece || !control.cwr {
                self.half_open.forget_ecn(key);
            }
            return self.half_open.ask(key);
        }
        if !acceptable || (old && !control.rst) {
            if !control.rst {
                self.challenge_half_open(&record, &options, now, out);
            }
            return;
        }
        if control.rst {
            if segment.sequence == next {
                self.remove_half_open(key);
            } else {
                self.challenge_half_open(&record, &options, now, out);
            }
            return;
        }
        if control.syn {
            // RFC 5961 section 4.2: a SYN is challenged.
            return self.challenge_half_open(&record, &options, now, out);
        }
        if !control.ack {
            return;
        }
        if segment.acknowledgement != isn + 1 {
            return self.send_reset(&tuple, Service::from(&*options), segment.acknowledgement, None, now, out);
        }
        let listener = record.listener;
        let Some(charges) = Charges::new(&options, &self.budget) else {
            // The peer repeats its segment if it is not acknowledged, and there may be memory then.
            self.counters.backlog_drops += 1;
            return;
        };
        self.remove_half_open(key);
        let clock = Clock::new(self.clock_offset(&tuple), agreement.timestamp, now);
        let echo = segment.options.timestamp.map(|timestamp| timestamp.echo);
        let once = (record.answers == 1).then(|| now - record.answered);
        let rtt = once.or_else(|| clock.elapsed(echo?, now));
        let opened = Opened {
            isn,
            peer_isn,
            agreement,
            offered,
            update: (segment.sequence, segment.acknowledgement, segment.window),
            unscaled: false,
            rtt,
            retries: record.answers.saturating_sub(1),
            path_mtu: out.mtu(tuple.remote().ip()),
        };
        self.establish(tuple, listener, options, charges, &opened, segment, ecn, now, out);
    }

    /// Sends a challenge acknowledgement for a handshake, to a sender that may not be its peer, within the rate limit
    /// (RFC 5961).
    fn challenge_half_open(&mut self, record: &HalfOpen, options: &Options, now: Instant, out: &mut dyn Outlet) {
        let HalfOpen { tuple, isn, peer_isn, agreement, offered, .. } = record;
        let remnant = Remnant {
            next: *isn + 1,
            expected: *peer_isn + 1,
            window: agreement.window_field(*offered),
            hop_limit: options.hop_limit,
            traffic_class: options.traffic_class,
            timestamp: agreement.timestamp.map(|recent| RemnantClock { offset: self.clock_offset(tuple), recent }),
        };
        self.challenge_for(tuple, &remnant, now, out);
    }

    /// Sends a challenge acknowledgement, within the rate limit.
    fn challenge_for(&mut self, tuple: &Tuple, remnant: &Remnant, now: Instant, out: &mut dyn Outlet) {
        if self.challenges.allows(now) {
            let _lost_or_not = self.send_remnant(tuple, remnant, now, out);
        } else {
            self.counters.suppressed += 1;
        }
    }

    fn remove_half_open(&mut self, key: Key) {
        if let Some(record) = self.half_open.remove(key) {
            self.flows.remove(&record.tuple, Flow::HalfOpen(key));
            if let Some(listening) = self.listeners.listening_mut(record.listener) {
                listening.end();
            }
        }
    }

    /// Turns a completed handshake into a connection, which waits to be accepted. The segment that completed the
    /// handshake is its first segment.
    #[expect(clippy::too_many_arguments, reason = "a handshake's end is all of these, once")]
    fn establish(
        &mut self,
        tuple: Tuple,
        listener: ListenerId,
        options: Arc<Options>,
        charges: Charges,
        opened: &Opened,
        segment: &Segment<'_>,
        ecn: Ecn,
        now: Instant,
        out: &mut dyn Outlet,
    ) {
        let offset = self.clock_offset(&tuple);
        let connection = Connection::accepted(tuple, options, opened, charges, offset, &self.config.link, now);
        let peer = self.find(&tuple.reversed());
        let Some(listening) = self.listeners.listening_mut(listener) else { return };
        let entry = Entry { peer, ..Entry::new(connection, Holder::Listener(listener)) };
        let id = ConnectionId(self.connections.insert(entry));
        if let Some(other) = peer.and_then(|peer| self.connections.get_mut(peer.0)) {
            other.peer = Some(id);
        }
        // The peer has received the SYN and ACK.
        self.progressed = true;
        listening.queue(id);
        self.flows.insert(&tuple, Flow::Connection(id));
        self.events.tell(Event::Acceptable(listener));
        self.arrives(id, segment, ecn, now, out);
    }

    fn arrives_for_nobody(
        &mut self,
        tuple: &Tuple,
        segment: &Segment<'_>,
        now: Instant,
        out: &mut dyn Outlet,
        ecn: Ecn,
    ) {
        let control = segment.control;
        let listener = self.listeners.find(tuple.local());
        let listening = listener.and_then(|id| self.listeners.listening(id));
        let is_heard = listening.is_none_or(|listening| listening.hears(tuple));
        // A SYN that is dropped, or answered with a cookie, opens no connection.
        let has_room = self.half_open.len() < self.config.most_half_open;
        let is_acceptable = is_heard && listening.is_some_and(|listening| listening.admits_now(has_room));
        let late = LateArrival {
            syn: control.syn,
            is_acceptable,
            ack: control.ack,
            rst: control.rst,
            fin: control.fin,
            sequence: segment.sequence,
            length: segment.payload.len(),
            timestamp: segment.options.timestamp.map(|timestamp| timestamp.value),
        };
        let mut after = None;
        // TIME-WAIT comes before the listener. A newer SYN that the listener accepts removes the record; TIME-WAIT itself
        // answers any other segment.
        match self.time_wait.receive(tuple, &late, now) {
            Some(Verdict::Ignore) => return,
            Some(Verdict::Challenge(remnant)) => return self.challenge_for(tuple, &remnant, now, out),
            Some(Verdict::Acknowledge(remnant)) => return self.answer_late(tuple, &remnant, now, out),
            Some(Verdict::Renew { after: beyond }) => after = Some(beyond),
            None => {}
        }
        if control.rst {
            return;
        }
        if !is_heard {
            self.counters.dropped += 1;
            return;
        }
        match listener {
            // RFC 9293 section 3.10.7.2: a SYN for a listener.
            Some(listener) if control.syn && !control.ack => self.admit(tuple, listener, segment, after, now, out),
            Some(listener)
                if control.ack && !control.syn && self.accept_cookie(tuple, listener, segment, ecn, now, out) => {}
            Some(_) if !control.ack => self.counters.dropped += 1,
            // RFC 9293 section 3.10.7.1: a segment for no connection is reset.
            _ if control.ack => self.refuse(tuple, segment.acknowledgement, None, now, out),
            _ => self.refuse(tuple, Sequence(0), Some(segment.end()), now, out),
        }
    }

    /// Resets a segment for no connection.
    fn refuse(
        &mut self,
        tuple: &Tuple,
        sequence: Sequence,
        acknowledgement: Option<Sequence>,
        now: Instant,
        out: &mut dyn Outlet,
    ) {
        let hop_limit = if tuple.remote().is_ipv6() { self.v6_hop_limit } else { HopLimit::DEFAULT };
        self.send_reset(tuple, Service::plain(hop_limit), sequence, acknowledgement, now, out);
    }

    /// Processes a SYN for a listener: begins a handshake, sends a cookie, or drops the SYN.
    fn admit(
        &mut self,
        tuple: &Tuple,
        listener: ListenerId,
        segment: &Segment<'_>,
        after: Option<Sequence>,
        now: Instant,
        out: &mut dyn Outlet,
    ) {
        let room = self.half_open.len() < self.config.most_half_open;
        let Some(listening) = self.listeners.listening_mut(listener) else { return };
        let agreement = Agreement::new(&listening.options, segment, tuple.remote().ip());
        match listening.admit(room, now) {
            Admission::Admitted => {}
            Admission::Cookie => return self.send_cookie(tuple, listener, segment.sequence, &agreement, now, out),
            Admission::Dropped => {
                self.counters.backlog_drops += 1;
                return;
            }
        }
        let isn = self.initial_sequence(tuple, now);
        // The next connection of the same ends begins beyond the sequence numbers of the last one (RFC 9293 section
        // 3.6.1).
        let isn = after.map_or(isn, |after| isn.latest(after));
        let offered = self.listeners.listening(listener).map_or(0, |listening| self.offer(&listening.options));
        let key = self.half_open.insert(*tuple, listener, (isn, segment.sequence), agreement, offered, now);
        self.flows.insert(tuple, Flow::HalfOpen(key));
        if let Some(listening) = self.listeners.listening_mut(listener) {
            listening.begin();
        }
        self.transmit_answers(now, out);
    }

    /// Processes an acknowledgement for a listener, which may complete a handshake that was answered with a cookie.
    /// Returns whether the acknowledgement was dealt with.
    fn accept_cookie(
        &mut self,
        tuple: &Tuple,
        listener: ListenerId,
        segment: &Segment<'_>,
        ecn: Ecn,
        now: Instant,
        out: &mut dyn Outlet,
    ) -> bool {
        let Some(listening) = self.listeners.listening(listener) else { return false };
        let out_there = self.cookies.are_out(now);
        if !listening.has_room() && out_there {
            // The peer repeats its segment if it is not acknowledged, and there may be room then.
            self.counters.backlog_drops += 1;
            return true;
        }
        let options = &listening.options;
        let offset = self.clock_offset(tuple);
        let Some((isn, peer_isn, agreement)) = self.cookies.read(tuple, segment, options, offset, now) else {
            // Only the first segment after the SYN carries the cookie. If it was lost, the segments after it look like
            // those of an unknown connection, and a reset would end a connection that is about to be established. So
            // until no cookie can come back any more, no reset is sent.
            return out_there;
        };
        let options = options.clone();
        let Some(charges) = Charges::new(&options, &self.budget) else {
            self.counters.backlog_drops += 1;
            return true;
        };
        let opened = Opened {
            isn,
            peer_isn,
            agreement,
            offered: charges.window(&options),
            update: (segment.sequence, segment.acknowledgement, segment.window),
            unscaled: false,
            rtt: None::<Duration>,
            retries: 0,
            path_mtu: out.mtu(tuple.remote().ip()),
        };
        self.establish(*tuple, listener, options, charges, &opened, segment, ecn, now, out);
        true
    }
}

/// Whether an address can be that of a single host. The caller must know the broadcast addresses of subnets.
pub(super) fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_multicast() && !address.is_unspecified() && !address.is_broadcast(),
        IpAddr::V6(address) => !address.is_multicast() && !address.is_unspecified(),
    }
}
