//! What waits at a port, each way.

use core::cmp::Ordering;
use core::task::Waker;
use core::time::Duration;
use std::collections::{BinaryHeap, VecDeque};

use crate::device::Frame;
use crate::platform::Instant;

/// A receiver that could take a frame and has not for this long is dead: it holds up no sender.
const STALL: Duration = Duration::from_secs(1);

/// One port: the frames to it and the frames from it.
pub(super) struct Port {
    pub(super) plugged: bool,
    /// Who has the port takes frames with several segments, and without checksums.
    pub(super) offloads: bool,
    /// Frames to this port, in flight or arrived.
    pub(super) arrivals: BinaryHeap<Arrival>,
    /// Since when `arrivals` has been full.
    pub(super) full_since: Option<Instant>,
    /// Frames from this port, of which the first waits for a place at its receiver.
    pub(super) held: VecDeque<Frame>,
    /// When the frames that a limited rate lets out one by one are out.
    pub(super) departures: VecDeque<Instant>,
    /// When the last of them is.
    pub(super) line_free: Instant,
    /// When the last frame of this port arrives, which no later one may overtake.
    pub(super) last_due: Instant,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

impl Port {
    /// A port that is plugged in and empty.
    pub(super) fn new() -> Self {
        Self {
            plugged: true,
            offloads: false,
            arrivals: BinaryHeap::new(),
            full_since: None,
            held: VecDeque::new(),
            departures: VecDeque::new(),
            line_free: Instant::ORIGIN,
            last_due: Instant::ORIGIN,
            reader: None,
            writer: None,
        }
    }

    pub(super) fn is_full(&self, queue: usize) -> bool {
        self.arrivals.len() >= queue
    }

    /// When this port, which is full, counts as dead unless it takes a frame.
    pub(super) fn dead_at(&self) -> Instant {
        let first = self.arrivals.peek().map_or(Instant::ORIGIN, |arrival| arrival.due);
        self.full_since.map_or(Instant::ORIGIN, |since| since.max(first) + STALL)
    }

    /// Frames in the transmit queue at `now`.
    pub(super) fn occupied(&mut self, now: Instant) -> usize {
        while self.departures.front().is_some_and(|departure| *departure <= now) {
            self.departures.pop_front();
        }
        self.held.len() + self.departures.len()
    }
}

/// A frame in flight, or arrived.
pub(super) struct Arrival {
    pub(super) due: Instant,
    pub(super) sequence: u64,
    pub(super) frame: Frame,
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Arrival {}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Arrival {
    /// The earliest is the greatest: `BinaryHeap` gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.sequence).cmp(&(self.due, self.sequence))
    }
}
