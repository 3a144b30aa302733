//! One direction of a link, without a clock or a device.
//!
//! A frame may be lost. Otherwise it reaches the bottleneck, with jitter after a random time, but never before earlier
//! frames of its own connection. There it waits in the queue, or is dropped if the queue is full. Then it travels for
//! the delay, and if it is to be reordered, for a further random time, in which later frames overtake it.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Instant;

/// What a link does to frames, in each direction.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// The rate of the bottleneck, in bits per second of whole Ethernet frames.
    pub rate: f64,
    /// The maximum number of frames in the bottleneck's queue, including the one that is being sent.
    pub queue: usize,
    /// The one-way delay, without the queueing delay.
    pub delay: Duration,
    /// The maximum time that a frame takes to reach the bottleneck, uniformly distributed from zero. Without it, the
    /// order in which the hosts happen to work decides which of several regular senders meets a full queue, and it is
    /// always the same sender (Floyd and Jacobson, "On Traffic Phase Effects in Packet-Switched Gateways", 1992).
    pub jitter: Duration,
    /// The share of frames that are lost, 0 to 1.
    pub loss: f64,
    /// The share of frames that are delayed by up to [`delay`](Self::delay) more, uniformly distributed.
    pub reordered: f64,
}

/// The counts of the frames of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Frames offered to the link.
    pub frames: u64,
    /// Bytes of these frames.
    pub bytes: u64,
    /// Frames lost at random.
    pub lost: u64,
    /// Frames dropped because the queue was full.
    pub overflowed: u64,
    /// Frames held back so that later ones overtake them.
    pub reordered: u64,
    /// Frames delivered.
    pub delivered: u64,
    /// Frames delivered more than a millisecond after they were due, because the machine was too busy.
    pub late: u64,
    /// The maximum time between when a frame was due and when it was delivered.
    pub latest: Duration,
}

/// Numbers connections in the order in which they were first seen, in either direction.
#[derive(Debug, Default)]
pub struct Flows(HashMap<[u8; 4], usize>);

impl Flows {
    /// The number of the TCP connection over IPv4 that a frame belongs to; `None` for any other frame.
    pub fn number(&mut self, frame: &[u8]) -> Option<usize> {
        const IPV4: [u8; 2] = [8, 0];
        const TCP: u8 = 6;
        let packet = frame.get(14..)?;
        if frame.get(12..14)? != IPV4 || *packet.get(9)? != TCP {
            return None;
        }
        let ports = packet.get(usize::from(packet[0] & 15) * 4..)?.first_chunk::<4>()?;
        let [a, b, c, d] = *ports;
        // The key is the same in both directions.
        let key = if [a, b] < [c, d] { [a, b, c, d] } else { [c, d, a, b] };
        let next = self.0.len();
        Some(*self.0.entry(key).or_insert(next))
    }
}

/// One direction.
///
/// Every connection has its own random numbers, from the seed, the direction and its [number](Flows::number). So
/// whether the n-th frame of the k-th connection is lost does not depend on the other connections, and two TCPs that
/// are compared have the same losses for as long as they send the same frames. Frames that are not TCP are neither lost
/// nor reordered.
#[derive(Debug)]
pub struct Way {
    conditions: Conditions,
    seed: u64,
    connections: Vec<Connection>,
    /// Frames on their way to the bottleneck.
    coming: BinaryHeap<Reverse<UnderWay>>,
    /// When the bottleneck will have sent each frame that waits for it.
    departures: VecDeque<Instant>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    counts: Counts,
}

/// A frame in flight, ordered by when it is due, then by when it was offered.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    due: Instant,
    number: u64,
    flow: Option<usize>,
    frame: Vec<u8>,
}

/// The random numbers for the frames of one connection.
#[derive(Debug)]
struct Connection {
    random: Random,
    /// When its last frame reaches the bottleneck.
    latest: Option<Instant>,
}

impl Way {
    /// An empty direction. The two directions of a link need different seeds.
    #[must_use]
    pub fn new(conditions: Conditions, seed: u64) -> Self {
        Self {
            conditions,
            seed,
            connections: Vec::new(),
            coming: BinaryHeap::new(),
            departures: VecDeque::new(),
            under_way: BinaryHeap::new(),
            counts: Counts::default(),
        }
    }

    /// Offers a frame of the connection with the number `flow`.
    pub fn offer(&mut self, now: Instant, frame: &[u8], flow: Option<usize>) {
        self.counts.frames += 1;
        self.counts.bytes += frame.len() as u64;
        if self.chance(flow, self.conditions.loss) {
            self.counts.lost += 1;
            return;
        }
        let due = self.arrival(now, flow);
        self.coming.push(Reverse(UnderWay { due, number: self.counts.frames, flow, frame: frame.to_vec() }));
        self.advance(now);
    }

    /// When a frame that is sent now reaches the bottleneck.
    fn arrival(&mut self, now: Instant, flow: Option<usize>) -> Instant {
        let jitter = self.conditions.jitter;
        let Some(connection) = self.connection(flow).filter(|_| !jitter.is_zero()) else { return now };
        let due = now + jitter.mul_f64(connection.random.unit());
        let due = connection.latest.map_or(due, |latest| latest.max(due));
        connection.latest = Some(due);
        due
    }

    /// Moves the frames that have reached the bottleneck to its queue.
    fn advance(&mut self, now: Instant) {
        while self.coming.peek().is_some_and(|Reverse(next)| next.due <= now) {
            if let Some(Reverse(next)) = self.coming.pop() {
                self.join_queue(next);
            }
        }
    }

    fn join_queue(&mut self, came: UnderWay) {
        let Conditions { rate, queue, delay, reordered, .. } = self.conditions;
        let now = came.due;
        while self.departures.pop_front_if(|departure| *departure <= now).is_some() {}
        if self.departures.len() >= queue {
            self.counts.overflowed += 1;
            return;
        }
        let begin = self.departures.back().map_or(now, |last| now.max(*last));
        let departure = begin + Duration::from_secs_f64(came.frame.len() as f64 * 8.0 / rate);
        self.departures.push_back(departure);
        let mut due = departure + delay;
        if self.chance(came.flow, reordered) {
            self.counts.reordered += 1;
            due += delay.mul_f64(self.connection(came.flow).map_or(0.0, |connection| connection.random.unit()));
        }
        self.under_way.push(Reverse(UnderWay { due, ..came }));
    }

    /// Takes the next frame that is due.
    pub fn take(&mut self, now: Instant) -> Option<Vec<u8>> {
        const LATE: Duration = Duration::from_millis(1);
        self.advance(now);
        if self.under_way.peek()?.0.due > now {
            return None;
        }
        let Reverse(UnderWay { due, frame, .. }) = self.under_way.pop()?;
        let late = now.duration_since(due);
        self.counts.delivered += 1;
        self.counts.late += u64::from(late > LATE);
        self.counts.latest = self.counts.latest.max(late);
        Some(frame)
    }

    /// When there may be a frame to [take](Self::take).
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let due = |heap: &BinaryHeap<Reverse<UnderWay>>| heap.peek().map(|Reverse(next)| next.due);
        due(&self.under_way).into_iter().chain(due(&self.coming)).min()
    }

    /// The counts of the frames so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    fn chance(&mut self, flow: Option<usize>, share: f64) -> bool {
        share > 0.0 && self.connection(flow).is_some_and(|connection| connection.random.unit() < share)
    }

    fn connection(&mut self, flow: Option<usize>) -> Option<&mut Connection> {
        let flow = flow?;
        while self.connections.len() <= flow {
            let mut random = Random(self.seed.wrapping_mul(0x1_0000_0001).wrapping_add(self.connections.len() as u64));
            // Seeds are drawn by the generator, because the sequences of adjacent seeds would be related.
            self.connections.push(Connection { random: Random(random.next()), latest: None });
        }
        self.connections.get_mut(flow)
    }
}

/// Splitmix64: small, and random enough to select lost frames.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to 1, without 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests;
