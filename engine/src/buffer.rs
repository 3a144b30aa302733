//! The buffers of TCP connections: bytes that an application has written and the peer has not acknowledged yet, and
//! bytes that have arrived and the application has not read yet.
//!
//! The bytes lie in chunks of memory that several owners can share. The payload of a segment consists of slices of the
//! chunks that the sending application's bytes were copied to, and on a link within one process the receiver's queue
//! keeps those very slices. A queue without bytes holds no memory.
//!
//! | Module | Contents |
//! |---|---|
//! | `budget` | limits on the memory that several queues may hold together |
//! | `chunk` | chunks of memory: one owner writes to a chunk, then shares it |
//! | `payload` | the bytes that a segment carries |
//! | `pieces` | the slices that the bytes of a stream consist of |
//! | `ranges` | the ranges of bytes that have arrived out of order |
//! | `send`, `receive` | the send queue and the receive queue of a connection |

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

/// The largest limit of a queue. No TCP window is larger (RFC 7323 section 2.3), so no sum of offsets overflows.
pub const LARGEST_LIMIT: usize = 1 << 30;

/// Converts a number of bytes to 32 bits; a number that does not fit becomes `u32::MAX`.
pub(crate) fn in_32_bits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Converts a number of bytes to 32 bits, after cutting it to [`LARGEST_LIMIT`]. The queues store their lengths and
/// limits in 32 bits because every connection has two queues, most of them empty.
#[expect(clippy::cast_possible_truncation, reason = "the largest limit has 31 bits")]
const fn bounded(bytes: usize) -> u32 {
    (if bytes < LARGEST_LIMIT { bytes } else { LARGEST_LIMIT }) as u32
}
