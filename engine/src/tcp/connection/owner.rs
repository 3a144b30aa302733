//! The calls of a connection's owner: reading, writing, and closing each half.

use thiserror::Error;

use super::{Connection, Remains, State};
use crate::buffer::{Memory, ReceiveQueue, Slice, Slices};
use crate::tcp::receive::Receiver;
use crate::tcp::send::Sender;
use crate::tcp::state::Cause;
use crate::time::Instant;

/// Why nothing was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// No data has arrived yet.
    #[error("nothing is there yet")]
    WouldBlock,
    /// The connection has failed, and everything that had arrived was read.
    #[error(transparent)]
    Ended(Cause),
    /// There is no such connection.
    #[error("there is no such connection")]
    Unknown,
}

/// Why nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WriteError {
    /// There is no room yet.
    #[error("there is no room yet")]
    WouldBlock,
    /// This end has closed its sending half.
    #[error("the sending half is closed")]
    Finished,
    /// The connection has failed.
    #[error(transparent)]
    Ended(Cause),
    /// There is no such connection.
    #[error("there is no such connection")]
    Unknown,
}

/// The source of the bytes of a read.
enum Readable<'a> {
    Live(&'a mut Receiver),
    Left(&'a mut ReceiveQueue),
    End,
}

impl Connection {
    /// Reads bytes that have arrived. `Ok(0)` for a non-empty buffer means the end of the stream.
    pub(in crate::tcp) fn read(&mut self, buffer: &mut [u8], now: Instant) -> Result<usize, ReadError> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = match self.readable()? {
            Readable::Live(receiver) => receiver.read(buffer),
            Readable::Left(unread) => unread.read(buffer),
            Readable::End => 0,
        };
        self.on_read(count, now);
        Ok(count)
    }

    /// Like [`read`](Self::read), but returns the bytes by reference.
    pub(in crate::tcp) fn read_slices(&mut self, most: usize, now: Instant) -> Result<Slices, ReadError> {
        let slices = match self.readable()? {
            Readable::Live(receiver) => receiver.read_slices(most),
            Readable::Left(unread) => unread.take(most),
            Readable::End => Slices::new(),
        };
        self.on_read(slices.iter().map(|slice| slice.len()).sum(), now);
        Ok(slices)
    }

    /// How many bytes are ready to be read.
    pub(in crate::tcp) fn readable_bytes(&mut self) -> usize {
        match self.readable() {
            Ok(Readable::Live(receiver)) => receiver.len(),
            Ok(Readable::Left(unread)) => unread.len(),
            Ok(Readable::End) | Err(_) => 0,
        }
    }

    fn on_read(&mut self, count: usize, now: Instant) {
        self.bytes_read += count as u64;
        if let State::Synchronized(synchronized) = &mut self.state
            && let Some(rtt) = synchronized.sender.rtt().smoothed()
        {
            synchronized.receiver.tune(rtt, now);
        }
    }

    /// Like [`read`](Self::read), but leaves the bytes in the queue.
    pub(in crate::tcp) fn peek(&mut self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        Ok(match self.readable()? {
            Readable::Live(receiver) => receiver.peek(buffer),
            Readable::Left(unread) => unread.peek(buffer),
            Readable::End => 0,
        })
    }

    /// Whether [`read`](Self::read) would not fail with [`ReadError::WouldBlock`].
    pub(in crate::tcp) fn is_readable(&mut self) -> bool {
        !matches!(self.readable(), Err(ReadError::WouldBlock))
    }

    fn readable(&mut self) -> Result<Readable<'_>, ReadError> {
        match &mut self.state {
            State::Opening(_) => Err(ReadError::WouldBlock),
            State::Synchronized(synchronized) => {
                let receiver = &mut synchronized.receiver;
                if receiver.is_discarding() {
                    Ok(Readable::End)
                } else if !receiver.is_empty() {
                    Ok(Readable::Live(receiver))
                } else if receiver.is_ended() {
                    Ok(Readable::End)
                } else {
                    Err(ReadError::WouldBlock)
                }
            }
            State::Closed(remains) => match (&mut remains.unread, remains.cause) {
                (Some(unread), _) if !unread.is_empty() => Ok(Readable::Left(unread)),
                (_, Some(cause)) => Err(ReadError::Ended(cause)),
                (_, None) => Ok(Readable::End),
            },
        }
    }

    /// Queues as many bytes to be sent as there is room for.
    pub(in crate::tcp) fn write(&mut self, bytes: &[u8], memory: &Memory, now: Instant) -> Result<usize, WriteError> {
        let sender = self.writable()?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let count = sender.write(bytes, memory);
        self.on_written(count, now)
    }

    /// Like [`write`](Self::write), but queues slices by reference. They must not be empty.
    pub(in crate::tcp) fn write_slices(
        &mut self,
        slices: &[Slice],
        memory: &Memory,
        now: Instant,
    ) -> Result<usize, WriteError> {
        let count = self.writable()?.append(slices, memory);
        self.on_written(count, now)
    }

    fn on_written(&mut self, count: usize, now: Instant) -> Result<usize, WriteError> {
        if count == 0 {
            return Err(WriteError::WouldBlock);
        }
        self.bytes_written += count as u64;
        self.unanswered.get_or_insert(now);
        Ok(count)
    }

    /// How many bytes there is room to write.
    pub(in crate::tcp) fn room(&mut self) -> Result<usize, WriteError> {
        Ok(self.writable()?.queue().room())
    }

    /// Promises that the next write takes up to `most` bytes. Returns how many.
    pub(in crate::tcp) fn promise(&mut self, most: usize) -> Result<usize, WriteError> {
        Ok(self.writable()?.promise(most))
    }

    /// Whether a write would be taken, at least in part, or fail with another error than [`WriteError::WouldBlock`].
    pub(in crate::tcp) fn is_writable(&mut self) -> bool {
        match self.writable() {
            Ok(sender) => sender.queue().is_open(),
            Err(WriteError::WouldBlock) => false,
            Err(WriteError::Finished | WriteError::Ended(_) | WriteError::Unknown) => true,
        }
    }

    fn writable(&mut self) -> Result<&mut Sender, WriteError> {
        match &mut self.state {
            State::Opening(_) => Err(WriteError::WouldBlock),
            State::Synchronized(synchronized) if synchronized.sender.is_finishing() => Err(WriteError::Finished),
            State::Synchronized(synchronized) => Ok(&mut synchronized.sender),
            State::Closed(Remains { cause, .. }) => Err(cause.map_or(WriteError::Finished, WriteError::Ended)),
        }
    }

    /// Whether everything written was acknowledged and, if `finished`, the FIN too.
    pub(in crate::tcp) fn is_flushed(&self, finished: bool) -> Result<bool, Cause> {
        match &self.state {
            State::Opening(_) => Ok(false),
            State::Synchronized(synchronized) => {
                let sender = &synchronized.sender;
                Ok(sender.queue().is_empty() && (!finished || sender.is_finished()))
            }
            State::Closed(remains) => remains.cause.map_or(Ok(true), Err),
        }
    }

    /// Closes the sending half: a FIN follows what was written.
    pub(in crate::tcp) fn shutdown_write(&mut self, now: Instant) -> Result<(), Cause> {
        match &mut self.state {
            State::Opening(_) => Ok(()),
            State::Synchronized(synchronized) => {
                synchronized.sender.finish();
                self.unanswered.get_or_insert(now);
                Ok(())
            }
            State::Closed(remains) => remains.cause.map_or(Ok(()), Err),
        }
    }

    /// Closes the receiving half: from now on reads return the end of the stream, and arriving data is dropped.
    pub(in crate::tcp) fn shutdown_read(&mut self) {
        match &mut self.state {
            State::Opening(_) => {}
            State::Synchronized(synchronized) => self.unread_lost |= synchronized.receiver.discard(),
            State::Closed(remains) => {
                remains.unread = None;
                remains.ended = true;
            }
        }
    }
}
