//! Bytes that wait: written and not yet acknowledged, or received and not yet read.
//!
//! They lie in chunks of memory that many may share: what a segment carries are slices of the chunks that the sender's
//! application was copied to, and on a link within one process the receiver's queue keeps those very slices. A queue without
//! bytes holds no memory.
//!
//! | Room | Holds |
//! |---|---|
//! | `budget` | how much may be held together |
//! | `chunk` | memory: written by one, then shared |
//! | `payload` | what a segment carries |
//! | `pieces` | the slices of a stream |
//! | `ranges` | which bytes have arrived out of order |
//! | `send`, `receive` | the queues |

mod budget;
mod chunk;
mod payload;
mod pieces;
mod ranges;
mod receive;
mod send;

pub use budget::{Budget, Charge, RESERVED};
pub use chunk::{Buffer, LARGEST_CHUNK, Memory, SMALLEST_STORED, Slice, Slices, Store};
pub use payload::Payload;
pub use receive::{Inserted, ReceiveQueue};
pub use send::SendQueue;

/// The largest limit of a queue: no window of TCP is larger (RFC 7323 section 2.3), and so no sum of offsets overflows.
pub const LARGEST_LIMIT: usize = 1 << 30;

/// As many bytes as 32 bits hold, where there are more.
pub(crate) fn in_32_bits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// What is no more than the largest limit has 32 bits. A queue keeps such numbers in as many: every connection has two queues, and
/// most are empty.
#[expect(clippy::cast_possible_truncation, reason = "the largest limit has 31 bits")]
const fn bounded(bytes: usize) -> u32 {
    (if bytes < LARGEST_LIMIT { bytes } else { LARGEST_LIMIT }) as u32
}
