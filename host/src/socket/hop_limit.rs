//! The hop limit of a socket, which any of its users may change.

use core::sync::atomic::{AtomicU8, Ordering};

use crate::stack::options::HopLimit;

/// A hop limit that several tasks read and set.
#[derive(Debug)]
pub(super) struct SharedHopLimit(AtomicU8);

impl SharedHopLimit {
    pub(super) const fn new(hop_limit: HopLimit) -> Self {
        Self(AtomicU8::new(hop_limit.octet()))
    }

    pub(super) fn load(&self) -> HopLimit {
        // Only hop limits are stored, so this is one.
        HopLimit::new(self.0.load(Ordering::Relaxed)).unwrap_or_default()
    }

    pub(super) fn store(&self, hop_limit: HopLimit) {
        self.0.store(hop_limit.octet(), Ordering::Relaxed);
    }
}
