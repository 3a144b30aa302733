//! Bytes into and out of connections. Many of them are copied while others may use the stack: what is done under its lock
//! then takes references only.

use xila_network_engine::buffer::{LARGEST_CHUNK, Slice, Slices};
use xila_network_engine::tcp as engine;

use super::{FlowId, Operations};
use crate::error::{ReadError, WriteError};
use crate::stack::Stack;

/// From so many bytes on, the copy takes longer than to take the lock twice.
const MANY: usize = 16 * 1024;

/// What a read found.
pub(crate) enum Found {
    /// So many bytes, which are in the caller's buffer.
    Copied(usize),
    /// Bytes that are still to be copied.
    Slices(Slices),
}

impl Found {
    /// Copies what is still to be copied to the buffer that was read into; how many bytes were read.
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

/// Slices, copied to a vector of exactly their size.
pub(crate) fn gather(slices: &[Slice]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(slices.iter().map(|slice| slice.len()).sum());
    slices.iter().for_each(|slice| bytes.extend_from_slice(slice));
    bytes
}

/// Many bytes, as far as a connection of the stack has room for them, copied to memory that it can keep. `None` where they are
/// few.
pub(crate) fn share(stack: &Stack, id: FlowId, bytes: &[u8]) -> Option<Slices> {
    if bytes.len() < MANY {
        return None;
    }
    let (room, memory) =
        stack.ask(|core| Some((core.tcp().promise(id, bytes.len()).ok()?, core.tcp.memory().clone())))?;
    let slices = bytes
        .get(..room)?
        .chunks(LARGEST_CHUNK)
        .map(|chunk| {
            let mut buffer = memory.buffer(chunk.len());
            buffer.append(chunk);
            buffer.share()
        })
        .collect();
    (room >= MANY).then_some(slices)
}

impl Operations<'_> {
    /// Reads what has arrived into `buffer`. No bytes for a non-empty `buffer` are the end of the stream.
    ///
    /// # Errors
    /// [`ReadError::WouldBlock`] while nothing is there; else why the connection ended.
    pub(crate) fn read(&mut self, id: FlowId, buffer: &mut [u8]) -> Result<Found, ReadError> {
        self.interface.check_up()?;
        self.interface.engage(|engine, _, now| {
            let engine = engine.tcp_mut();
            Ok(if buffer.len().min(engine.readable_bytes(id)) < MANY {
                Found::Copied(engine.read(id, buffer, now)?)
            } else {
                Found::Slices(engine.read_slices(id, buffer.len(), now)?)
            })
        })
    }

    /// As [`read`](Self::read), at most `most` bytes, none of them copied.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn read_slices(&mut self, id: FlowId, most: usize) -> Result<Slices, ReadError> {
        self.interface.check_up()?;
        if most == 0 {
            return Ok(Slices::new());
        }
        self.interface.engage(|engine, _, now| Ok(engine.tcp_mut().read_slices(id, most, now)?))
    }

    /// As [`read`](Self::read), leaving the bytes to be read again; how many.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn peek(&mut self, id: FlowId, buffer: &mut [u8]) -> Result<usize, ReadError> {
        self.interface.check_up()?;
        self.interface.engage(|engine, _, now| Ok(engine.tcp_mut().peek(id, buffer, now)?))
    }

    /// Queues bytes to be sent, as many as there is room for: those of `shared`, which are the first of them, where there are
    /// any.
    ///
    /// # Errors
    /// [`WriteError::WouldBlock`] while there is no room; [`WriteError::BrokenPipe`] after shutdown; else why the connection
    /// ended.
    pub(crate) fn write(&mut self, id: FlowId, bytes: &[u8], shared: Option<&[Slice]>) -> Result<usize, WriteError> {
        self.interface.check_up()?;
        self.interface.engage(|engine, _, now| {
            Ok(match shared {
                Some(slices) => engine.tcp_mut().write_slices(id, slices, now)?,
                None => engine.tcp_mut().write(id, bytes, now)?,
            })
        })
    }

    /// How many bytes, up to `most`, the next write will take for certain.
    ///
    /// # Errors
    /// As [`write`](Self::write), but for room.
    pub(crate) fn promise(&mut self, id: FlowId, most: usize) -> Result<usize, WriteError> {
        self.interface.check_up()?;
        self.interface.engage(|engine, _, _| match engine.tcp_mut().promise(id, most) {
            Err(engine::WriteError::WouldBlock) => Ok(0),
            room => Ok(room?),
        })
    }
}
