//! The counters of one guest's traffic.

use core::sync::atomic::{AtomicU64, Ordering};

/// What the sockets of one guest have done so far, over all of its interfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Bytes sent, counted as in [`Rates`](super::Rates).
    pub sent_bytes: u64,
    /// Packets sent, counted as in [`Rates`](super::Rates).
    pub sent_packets: u64,
    /// Bytes of payload received: what the guest has read from connections, and the datagrams that were put into the
    /// queues of its sockets.
    pub received_bytes: u64,
    /// Connections that the guest has begun to open.
    pub connected: u64,
    /// Connections that the guest has accepted.
    pub accepted: u64,
    /// Connections that were refused because the guest had used [`Rates::connections`](super::Rates::connections).
    pub refused: u64,
    /// How often a sender of the guest had to wait because the guest had used [`Rates::bytes`](super::Rates::bytes) or
    /// [`Rates::packets`](super::Rates::packets).
    pub delayed: u64,
}

/// The counters of a [`Traffic`], which any thread may increase.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) sent_bytes: Counter,
    pub(crate) sent_packets: Counter,
    pub(crate) received_bytes: Counter,
    pub(crate) connected: Counter,
    pub(crate) accepted: Counter,
    pub(crate) refused: Counter,
    pub(crate) delayed: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn read(&self) -> Traffic {
        let Self { sent_bytes, sent_packets, received_bytes, connected, accepted, refused, delayed } = self;
        Traffic {
            sent_bytes: sent_bytes.get(),
            sent_packets: sent_packets.get(),
            received_bytes: received_bytes.get(),
            connected: connected.get(),
            accepted: accepted.get(),
            refused: refused.get(),
            delayed: delayed.get(),
        }
    }
}
