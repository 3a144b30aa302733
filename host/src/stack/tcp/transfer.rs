//! Reads from and writes to connections. Large amounts of data are copied outside the stack's lock: under the lock only
//! references are taken.

use xila_network_engine::buffer::{LARGEST_CHUNK, Slice, Slices};
use xila_network_engine::tcp as engine;

use super::{FlowId, Operations};
use crate::error::{ReadError, WriteError};
use crate::stack::Stack;
use crate::stack::options::OnOutage;

/// The number of bytes from which on the copy takes longer than locking twice.
const LARGE: usize = 16 * 1024;

/// The result of a read.
pub(crate) enum Found {
    /// The number of bytes that were copied to the caller's buffer.
    Copied(usize),
    /// Bytes that the caller still has to copy.
    Slices(Slices),
}

impl Found {
    /// Copies the slices, if there are any, to `buffer`, which must be the buffer of the read. Returns how many bytes
    /// were read.
    pub(crate) fn copy_to(self, buffer: &mut [u8]) -> usize {
        let slices = match self {
            Self::Copied(count) => return count,
            Self::Slices(slices) => slices,
        };
        let mut copied = 0;
        for slice in &slices {
            let Some(place) = buffer.get_mut(copied..copied + slice.len()) else { break };
            place.copy_from_slice(slice);
            copied += slice.len();
        }
        copied
    }
}

/// Copies slices to a vector of exactly their total size.
pub(crate) fn gather(slices: &[Slice]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length(slices));
    slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
    bytes
}

/// The number of bytes in slices.
fn length(slices: &[Slice]) -> usize {
    slices.iter().map(|slice| slice.len()).sum()
}

/// Copies bytes, as many as a connection has room for, to memory that the connection can queue by reference. `None` if
/// they are few, or if the write will fail.
pub(crate) fn share(stack: &Stack, id: FlowId, bytes: &[u8], on_outage: OnOutage) -> Option<Slices> {
    if bytes.len() < LARGE {
        return None;
    }
    let (room, memory) = stack.ask(|core| {
        core.interface.check_usable(on_outage).ok()?;
        Some((core.tcp().promise(id, bytes.len()).ok()?, core.tcp.memory().clone()))
    })?;
    let slices = bytes
        .get(..room)?
        .chunks(LARGEST_CHUNK)
        .map(|chunk| {
            let mut buffer = memory.buffer(chunk.len());
            buffer.append(chunk);
            buffer.share()
        })
        .collect();
    (room >= LARGE).then_some(slices)
}

impl Operations<'_> {
    /// Reads into `buffer`. Zero bytes for a non-empty `buffer` mean the end of the stream.
    ///
    /// # Errors
    /// [`ReadError::WouldBlock`] while nothing has arrived; else the cause why the connection ended.
    pub(crate) fn read(&mut self, id: FlowId, buffer: &mut [u8]) -> Result<Found, ReadError> {
        let found = self.interface.engage(|engine, _, now| -> Result<Found, ReadError> {
            let engine = engine.tcp_mut();
            Ok(if buffer.len().min(engine.readable_bytes(id)) < LARGE {
                Found::Copied(engine.read(id, buffer, now)?)
            } else {
                Found::Slices(engine.read_slices(id, buffer.len(), now)?)
            })
        })?;
        self.count_read(
            id,
            match &found {
                Found::Copied(count) => *count,
                Found::Slices(slices) => length(slices),
            },
        );
        Ok(found)
    }

    /// Like [`read`](Self::read), but takes at most `most` bytes by reference, without a copy.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn read_slices(&mut self, id: FlowId, most: usize) -> Result<Slices, ReadError> {
        if most == 0 {
            return Ok(Slices::new());
        }
        let slices: Slices = self
            .interface
            .engage(|engine, _, now| engine.tcp_mut().read_slices(id, most, now).map_err(ReadError::from))?;
        self.count_read(id, length(&slices));
        Ok(slices)
    }

    /// Counts bytes that the owner of a connection has read.
    fn count_read(&mut self, id: FlowId, bytes: usize) {
        if let Some(counters) = self.table.flows.get_mut(id.0).and_then(|flow| flow.owner.counters()) {
            counters.received_bytes.add(bytes as u64);
        }
    }

    /// Like [`read`](Self::read), but leaves the bytes in the queue and always copies. Returns how many bytes were
    /// copied.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn peek(&mut self, id: FlowId, buffer: &mut [u8]) -> Result<usize, ReadError> {
        self.interface.engage(|engine, _, now| Ok(engine.tcp_mut().peek(id, buffer, now)?))
    }

    /// Queues bytes to be sent, as many as there is room for. If `shared` is given, its slices are queued in place of
    /// `bytes`, whose first part they hold.
    ///
    /// # Errors
    /// [`WriteError::WouldBlock`] while there is no room; [`WriteError::BrokenPipe`] after shutdown; else the cause why
    /// the connection ended.
    pub(crate) fn write(&mut self, id: FlowId, bytes: &[u8], shared: Option<&[Slice]>) -> Result<usize, WriteError> {
        self.interface.engage(|engine, _, now| {
            Ok(match shared {
                Some(slices) => engine.tcp_mut().write_slices(id, slices, now)?,
                None => engine.tcp_mut().write(id, bytes, now)?,
            })
        })
    }

    /// The number of bytes, up to `most`, that the next write is guaranteed to accept.
    ///
    /// # Errors
    /// As for [`write`](Self::write), except [`WriteError::WouldBlock`]: without room the result is 0.
    pub(crate) fn promise(&mut self, id: FlowId, most: usize) -> Result<usize, WriteError> {
        self.interface.engage(|engine, _, _| match engine.tcp_mut().promise(id, most) {
            Err(engine::WriteError::WouldBlock) => Ok(0),
            room => Ok(room?),
        })
    }
}
