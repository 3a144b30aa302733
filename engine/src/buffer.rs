//! Bytes that wait: written and not yet acknowledged, or received and not yet read.
//!
//! Both queues keep their bytes in a ring that begins without memory, grows by doubling up to what the queue's limit
//! asks for, and is given back by an explicit `release`. Bytes move by at most two `copy_from_slice` for each call.

mod ranges;
mod receive;
mod ring;
mod send;

pub use receive::{Inserted, ReceiveQueue};
pub use send::SendQueue;

/// The largest limit of a queue: no window of TCP is larger (RFC 7323 section 2.3), and so no sum of offsets overflows.
pub const LARGEST_LIMIT: usize = 1 << 30;

const fn bounded(limit: usize) -> usize {
    if limit < LARGEST_LIMIT { limit } else { LARGEST_LIMIT }
}
