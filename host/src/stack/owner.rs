//! The owner of a socket, by which a link's bandwidth is shared out.

use core::sync::atomic::{AtomicU64, Ordering};

/// The host, or one guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner(pub(super) u64);

impl Owner {
    pub(crate) const HOST: Self = Self(0);

    /// A new guest, different from all earlier ones.
    pub(crate) fn guest() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}
