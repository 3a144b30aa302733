//! The switch of a hub, without locks and clocks: it decides where each frame goes and when it arrives.

use core::task::Waker;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;

use super::queues::{Arrival, Port};
use super::{HubOptions, HubStatistics};
use crate::device::plain::plain;
use crate::device::{ETHERNET_HEADER, Frame, Medium, Offloads, Pool};
use crate::platform::Instant;
use crate::platform::simulated::SplitMix;

/// The maximum number of stations that are remembered. Frames for further stations go to all ports.
const STATIONS: usize = 4096;

/// Wakers to be woken once the segment's lock is released.
pub(super) type Wakes = Vec<Waker>;

pub(super) struct Segment {
    options: HubOptions,
    pool: Pool,
    random: SplitMix,
    /// The number of the next arrival. Of two frames that are due at the same time, the one that was sent first arrives
    /// first.
    sequence: u64,
    next_port: u64,
    ports: BTreeMap<u64, Port>,
    /// The port from which each unicast address has sent last.
    stations: HashMap<[u8; 6], u64>,
    /// The ports that hold frames for a full receiver, in the order in which they may send when there is room.
    waiting: VecDeque<u64>,
    statistics: HubStatistics,
}

/// The receivers of a frame.
enum Route {
    /// To one port.
    Port(u64),
    /// To every other port.
    Flood,
    /// To no port: its station is on the port that it came from, or there is no other port.
    Nowhere,
}

impl Segment {
    pub(super) fn new(options: HubOptions) -> Self {
        Self {
            pool: Pool::new(options.capabilities().frame_length(), options.queue),
            random: SplitMix::new(options.seed),
            options,
            sequence: 0,
            next_port: 0,
            ports: BTreeMap::new(),
            stations: HashMap::new(),
            waiting: VecDeque::new(),
            statistics: HubStatistics::default(),
        }
    }

    pub(super) const fn statistics(&self) -> HubStatistics {
        self.statistics
    }

    pub(super) const fn options(&self) -> &HubOptions {
        &self.options
    }

    /// The number of ports.
    pub(super) fn ports(&self) -> usize {
        self.ports.len()
    }

    pub(super) const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Sets whether a port's stack accepts frames with several segments and without checksums. Returns the offloads of
    /// the hub.
    pub(super) fn set_offloads(&mut self, number: u64, wanted: bool) -> Offloads {
        let offloads = self.options.offloads();
        if let Some(port) = self.ports.get_mut(&number) {
            port.offloads = wanted && offloads != Offloads::default();
        }
        offloads
    }

    /// Adds a port and returns its number, which is never used again.
    pub(super) fn add(&mut self) -> u64 {
        let number = self.next_port;
        self.next_port += 1;
        self.ports.insert(number, Port::new());
        number
    }

    /// Removes a port, with the frames on their way to and from it.
    pub(super) fn remove(&mut self, now: Instant, number: u64, wakes: &mut Wakes) {
        self.set_plugged(now, number, false, wakes);
        self.ports.remove(&number);
    }

    /// Plugs the cable of a port in or pulls it out. Pulling it out loses the frames on their way to and from the port.
    pub(super) fn set_plugged(&mut self, now: Instant, number: u64, plugged: bool, wakes: &mut Wakes) {
        let Some(port) = self.ports.get_mut(&number) else {
            return;
        };
        port.plugged = plugged;
        wakes.extend(port.reader.take());
        wakes.extend(port.writer.take());
        if !plugged {
            self.statistics.lost += (port.arrivals.len() + port.held.len()) as u64;
            port.arrivals.clear();
            port.held.clear();
            port.departures.clear();
            port.full_since = None;
            port.line_free = now;
            port.last_due = now;
            self.stations.retain(|_, at| *at != number);
            self.waiting.retain(|waiting| *waiting != number);
        }
        self.serve_waiting(now, wakes);
    }

    /// Takes the next frame that has arrived at a port.
    pub(super) fn receive(&mut self, now: Instant, number: u64, wakes: &mut Wakes) -> Option<Frame> {
        let port = self.ports.get_mut(&number)?;
        if port.arrivals.peek()?.due > now {
            return None;
        }
        let frame = port.arrivals.pop()?.frame;
        self.statistics.delivered += 1;
        if port.full_since.take().is_some() {
            self.serve_waiting(now, wakes);
        }
        Some(frame)
    }

    /// The time at which the next frame arrives at a port.
    pub(super) fn next_arrival(&self, number: u64) -> Option<Instant> {
        Some(self.ports.get(&number)?.arrivals.peek()?.due)
    }

    /// Whether a port's transmit queue has room.
    pub(super) fn is_writable(&mut self, now: Instant, number: u64, wakes: &mut Wakes) -> bool {
        self.pump(now, number, wakes);
        let queue = self.options.queue;
        self.ports.get_mut(&number).is_none_or(|port| port.occupied(now) < queue)
    }

    /// The time at which a frame leaves a port's transmit queue, if nothing else happens before.
    pub(super) fn next_departure(&self, number: u64) -> Option<Instant> {
        let departure = self.ports.get(&number)?.departures.front().copied();
        [departure, self.stall_end(number)].into_iter().flatten().min()
    }

    /// The time at which the receiver that a port's frames wait for counts as dead.
    pub(super) fn stall_end(&self, number: u64) -> Option<Instant> {
        let frame = self.ports.get(&number)?.held.front()?;
        match self.route(number, frame) {
            Route::Port(receiver) => Some(self.ports.get(&receiver)?.dead_at()),
            // The frame can be sent now; the next call of `pump` sends it.
            Route::Flood | Route::Nowhere => Some(Instant::ORIGIN),
        }
    }

    pub(super) fn set_reader(&mut self, number: u64, waker: &Waker) {
        if let Some(port) = self.ports.get_mut(&number) {
            port.reader = Some(waker.clone());
        }
    }

    pub(super) fn set_writer(&mut self, number: u64, waker: &Waker) {
        if let Some(port) = self.ports.get_mut(&number) {
            port.writer = Some(waker.clone());
        }
    }

    /// Accepts a frame from a port.
    pub(super) fn transmit(&mut self, now: Instant, number: u64, frame: Frame, wakes: &mut Wakes) {
        let Some(port) = self.ports.get_mut(&number) else {
            return;
        };
        if !port.plugged {
            self.statistics.lost += 1;
            return;
        }
        let Some((_, source)) = addresses(frame.head()) else {
            self.statistics.malformed += 1;
            return;
        };
        if port.held.is_empty() {
            self.waiting.push_back(number);
        }
        port.held.push_back(frame);
        if is_unicast(source) && (self.stations.len() < STATIONS || self.stations.contains_key(&source)) {
            self.stations.insert(source, number);
        }
        self.pump(now, number, wakes);
    }

    /// Lets each waiting port try again. Ports that send move to the end of the line.
    fn serve_waiting(&mut self, now: Instant, wakes: &mut Wakes) {
        let line: Vec<_> = self.waiting.iter().copied().collect();
        for number in line {
            if self.pump(now, number, wakes)
                && let Some(place) = self.waiting.iter().position(|waiting| *waiting == number)
            {
                self.waiting.remove(place);
                self.waiting.push_back(number);
            }
        }
    }

    /// Sends the frames that a port holds, up to the first frame that must wait for its receiver. Returns whether any
    /// was sent.
    pub(super) fn pump(&mut self, now: Instant, number: u64, wakes: &mut Wakes) -> bool {
        if self.ports.get(&number).is_none_or(|port| port.held.is_empty()) {
            return false;
        }
        let mut sent = false;
        while let Some(frame) = self.ports.get(&number).and_then(|port| port.held.front()) {
            let route = self.route(number, frame);
            if let Route::Port(receiver) = route
                && let Some(receiver) = self.ports.get(&receiver)
                && receiver.is_full(self.options.queue)
                && now < receiver.dead_at()
            {
                break;
            }
            let Some(frame) = self.ports.get_mut(&number).and_then(|port| port.held.pop_front()) else {
                break;
            };
            self.send(now, number, &route, frame, wakes);
            sent = true;
        }
        let queue = self.options.queue;
        let Some(port) = self.ports.get_mut(&number) else {
            return sent;
        };
        if port.held.is_empty() {
            self.waiting.retain(|waiting| *waiting != number);
        }
        if port.writer.is_some() && port.occupied(now) < queue {
            wakes.extend(port.writer.take());
        }
        sent
    }

    fn route(&self, from: u64, frame: &Frame) -> Route {
        let known = addresses(frame.head()).and_then(|(destination, _)| self.stations.get(&destination));
        if let Some(&port) = known {
            return if port == from { Route::Nowhere } else { Route::Port(port) };
        }
        let mut receivers = self.receivers(from);
        match (receivers.next(), receivers.next()) {
            (None, _) => Route::Nowhere,
            (Some(port), None) => Route::Port(port),
            (Some(_), Some(_)) => Route::Flood,
        }
    }

    fn receivers(&self, from: u64) -> impl Iterator<Item = u64> {
        self.ports.iter().filter(move |(number, port)| **number != from && port.plugged).map(|(number, _)| *number)
    }

    fn send(&mut self, now: Instant, from: u64, route: &Route, frame: Frame, wakes: &mut Wakes) {
        let departure = self.depart(now, from, frame.len());
        match *route {
            Route::Nowhere => {}
            Route::Port(receiver) => self.deliver(now, departure, from, receiver, frame, wakes),
            Route::Flood => {
                let mut receivers: Vec<_> = self.receivers(from).collect();
                let last = receivers.pop();
                for receiver in receivers {
                    let copy = self.copy(&frame);
                    self.deliver(now, departure, from, receiver, copy, wakes);
                }
                if let Some(last) = last {
                    self.deliver(now, departure, from, last, frame, wakes);
                }
            }
        }
    }

    /// Puts a frame on the port's line and returns the time at which its last bit is sent.
    fn depart(&mut self, now: Instant, from: u64, length: usize) -> Instant {
        let (Some(rate), Some(port)) = (self.options.rate, self.ports.get_mut(&from)) else {
            return now;
        };
        let nanoseconds = length as u128 * 8 * 1_000_000_000 / u128::from(rate);
        let serialisation = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        port.line_free = port.line_free.max(now) + serialisation;
        port.departures.push_back(port.line_free);
        port.line_free
    }

    fn deliver(&mut self, now: Instant, departure: Instant, from: u64, to: u64, frame: Frame, wakes: &mut Wakes) {
        if self.chance(self.options.loss) {
            self.statistics.lost += 1;
            return;
        }
        let jitter = match self.options.jitter {
            Duration::ZERO => Duration::ZERO,
            jitter => jitter.mul_f64(self.random.unit()),
        };
        let reordered = self.chance(self.options.reordering);
        let duplicated = self.chance(self.options.duplication);
        let mut due = departure + self.options.latency + jitter;
        if let Some(port) = self.ports.get_mut(&from) {
            due = due.max(port.last_due);
            if reordered {
                due += self.options.reordering_window().mul_f64(self.random.unit());
                self.statistics.reordered += 1;
            } else {
                port.last_due = due;
            }
        }
        let copy = duplicated.then(|| self.copy(&frame));
        if self.arrive(now, due, to, frame, wakes)
            && let Some(copy) = copy
            && self.arrive(now, due, to, copy, wakes)
        {
            self.statistics.duplicated += 1;
        }
    }

    /// Queues a frame at its receiver, if there is room.
    fn arrive(&mut self, now: Instant, due: Instant, to: u64, frame: Frame, wakes: &mut Wakes) -> bool {
        let queue = self.options.queue;
        let Some(port) = self.ports.get_mut(&to) else {
            return false;
        };
        if port.is_full(queue) {
            self.statistics.dropped_full += 1;
            return false;
        }
        if (frame.segment().is_some() || frame.is_unchecked()) && !port.offloads {
            // All pieces together count as one frame here, though they may exceed the queue's size.
            let pool = self.pool.clone();
            plain(frame, Medium::Ethernet, &pool).for_each(|piece| self.queue(now, due, to, piece, wakes));
        } else {
            self.queue(now, due, to, frame, wakes);
        }
        true
    }

    fn queue(&mut self, now: Instant, due: Instant, to: u64, frame: Frame, wakes: &mut Wakes) {
        let queue = self.options.queue;
        let Some(port) = self.ports.get_mut(&to) else { return };
        // The reader's timer is set for the frame that was the first until now.
        if port.arrivals.peek().is_none_or(|first| due < first.due) {
            wakes.extend(port.reader.take());
        }
        port.arrivals.push(Arrival { due, sequence: self.sequence, frame });
        self.sequence += 1;
        if port.is_full(queue) {
            port.full_since.get_or_insert(now);
        }
    }

    /// A copy of a frame. Its slices are shared.
    fn copy(&self, frame: &Frame) -> Frame {
        let mut copy = self.pool.frame(frame.head().len());
        copy.copy_from_slice(frame.head());
        copy.attach(frame.apart());
        copy.set_segment(frame.segment().unwrap_or(0));
        copy.set_unchecked(frame.is_unchecked());
        copy
    }

    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.random.unit() < probability
    }
}

/// The destination and the source of an Ethernet frame.
fn addresses(frame: &[u8]) -> Option<([u8; 6], [u8; 6])> {
    if frame.len() < ETHERNET_HEADER {
        return None;
    }
    let (destination, rest) = frame.split_first_chunk()?;
    Some((*destination, *rest.first_chunk()?))
}

const fn is_unicast(address: [u8; 6]) -> bool {
    address[0] & 1 == 0
}
