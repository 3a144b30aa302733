//! The queues of a port.

use core::cmp::Ordering;
use core::task::Waker;
use core::time::Duration;
use std::collections::{BinaryHeap, VecDeque};

use crate::device::Frame;
use crate::platform::Instant;

/// A receiver that could take a frame and has not done so for this long counts as dead and does not hold back senders
/// any more.
const STALL: Duration = Duration::from_secs(1);

/// A port with the frames to it and from it.
pub(super) struct Port {
    pub(super) plugged: bool,
    /// Whether the port's stack accepts frames with several segments and without checksums.
    pub(super) offloads: bool,
    /// Frames to this port, in flight or arrived.
    pub(super) arrivals: BinaryHeap<Arrival>,
    /// The time since which `arrivals` has been full.
    pub(super) full_since: Option<Instant>,
    /// Frames from this port; the first waits for room at its receiver.
    pub(super) held: VecDeque<Frame>,
    /// With a limited rate, the times at which the frames that are being sent are sent completely.
    pub(super) departures: VecDeque<Instant>,
    /// The time at which the last of them is sent completely.
    pub(super) line_free: Instant,
    /// The time at which the last frame from this port arrives, which no later frame may overtake.
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

    /// The time at which this port, which is full, counts as dead unless it takes a frame before.
    pub(super) fn dead_at(&self) -> Instant {
        let first = self.arrivals.peek().map_or(Instant::ORIGIN, |arrival| arrival.due);
        self.full_since.map_or(Instant::ORIGIN, |since| since.max(first) + STALL)
    }

    /// The number of frames in the transmit queue at `now`.
    pub(super) fn occupied(&mut self, now: Instant) -> usize {
        while self.departures.front().is_some_and(|departure| *departure <= now) {
            self.departures.pop_front();
        }
        self.held.len() + self.departures.len()
    }
}

/// A frame that is in flight or has arrived.
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
    /// The earliest arrival is the greatest, because `BinaryHeap` returns the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.sequence).cmp(&(self.due, self.sequence))
    }
}
