//! The half of a connection that sends.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::{fmt, mem};

use wit_bindgen::{StreamResult, StreamWriter};

use super::{Connection, Ending};
use crate::address::from_wit;
use crate::bindings::wit_stream;
use crate::flight::Boxed;
use crate::{Error, Result};

/// How much of the caller's memory one write copies at the most.
const MOST: usize = 64 * 1024;

/// The half of a connection that sends.
///
/// Dropping it sends FIN behind what was written.
pub struct WriteHalf {
    connection: Connection,
    state: State,
    /// Tells the operation in flight to cancel itself when it is polled next.
    cancel: Arc<AtomicBool>,
    /// Memory for the next copy.
    spare: Vec<u8>,
    /// Bytes of a write that was given up, which the host took nevertheless: see [`write`](Self::write).
    taken: Vec<u8>,
    ending: Ending,
}

enum State {
    Idle(StreamWriter<u8>),
    /// A write is in flight, begun by a call that is to be repeated, or by one that still waits.
    Writing(Boxed<Written>),
    /// The host has dropped its end: the connection failed.
    Broken,
    /// FIN was asked for.
    ShutDown,
}

struct Written {
    stream: StreamWriter<u8>,
    result: StreamResult,
    /// How many bytes the host took.
    length: usize,
    /// What it did not take, in the memory that the write was given.
    rest: Vec<u8>,
}

impl WriteHalf {
    pub(super) fn new(connection: Connection) -> Self {
        let (writer, reader) = wit_stream::new::<u8>();
        let result = connection.send(reader);
        Self {
            connection,
            state: State::Idle(writer),
            cancel: Arc::default(),
            spare: Vec::new(),
            taken: Vec::new(),
            ending: Ending::new(result),
        }
    }

    /// Waits until the host takes bytes from the front of `data`; returns how many.
    ///
    /// If the future is dropped, nothing of `data` is sent, except what the host has taken in that very moment. Such
    /// bytes are remembered: a next write that begins with them counts them as written, so repeating a write that
    /// was given up sends nothing twice.
    pub async fn write(&mut self, data: &[u8]) -> Result<usize> {
        let mut attempt = Attempt { half: self, data, done: false };
        poll_fn(|cx| attempt.poll(cx)).await
    }

    /// Writes all of `data`. If the future is dropped, a part of it may have been sent.
    pub async fn write_all(&mut self, mut data: &[u8]) -> Result<()> {
        while !data.is_empty() {
            let length = self.write(data).await?;
            data = &data[length..];
        }
        Ok(())
    }

    /// Writes all of `data` and returns the buffer: empty, with its capacity, or holding what could not be written.
    ///
    /// This is the fast way: the host reads straight from `data`, and nothing is copied here. Dropping the future loses
    /// the buffer, and a part of it may have been sent.
    pub async fn write_buf(&mut self, mut data: Vec<u8>) -> (Result<()>, Vec<u8>) {
        // A write that was begun by a `poll` function is another's: it goes first.
        if let Err(error) = poll_fn(|cx| self.poll_flush(cx)).await {
            return (Err(error), data);
        }
        if !self.taken.is_empty() && data.starts_with(&self.taken) {
            data.drain(..self.taken.len());
        }
        self.taken.clear();
        if data.is_empty() {
            return (Ok(()), data);
        }
        let State::Idle(stream) = &mut self.state else {
            return (poll_fn(|cx| self.poll_broken(cx)).await, data);
        };
        let rest = stream.write_all(data).await;
        if rest.is_empty() {
            return (Ok(()), rest);
        }
        self.state = State::Broken;
        (poll_fn(|cx| self.poll_broken(cx)).await, rest)
    }

    /// Sends FIN behind what was written: the peer reads it all and then the end. The other half goes on.
    ///
    /// Does not wait for the peer: [`acknowledged`](Self::acknowledged) does. Nothing happens if it was done before.
    pub async fn shutdown(&mut self) -> Result<()> {
        poll_fn(|cx| self.poll_shutdown(cx)).await
    }

    /// Sends FIN, if that was not done before, and waits until the peer has acknowledged everything that was written.
    pub async fn acknowledged(&mut self) -> Result<()> {
        self.shutdown().await?;
        poll_fn(|cx| self.ending.poll(cx)).await
    }

    /// [`write`](Self::write) for implementations of `poll` functions. After [`Poll::Pending`], the next call must
    /// be given the same bytes, possibly with more behind them.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        loop {
            match &mut self.state {
                State::Idle(_) => {
                    if !self.taken.is_empty() {
                        let taken = mem::take(&mut self.taken);
                        if data.starts_with(&taken) {
                            return Poll::Ready(Ok(taken.len()));
                        }
                    }
                    self.start(&data[..data.len().min(MOST)]);
                }
                State::Writing(operation) => {
                    let written = ready!(operation.as_mut().poll(cx));
                    if let length @ 1.. = self.finish(written) {
                        return Poll::Ready(Ok(length.min(data.len())));
                    }
                }
                State::Broken | State::ShutDown => return self.poll_broken(cx).map(|result| result.map(|()| 0)),
            }
        }
    }

    /// Waits until the host has taken what was written.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if let State::Writing(operation) = &mut self.state {
            let written = ready!(operation.as_mut().poll(cx));
            self.finish(written);
        }
        Poll::Ready(Ok(()))
    }

    /// [`shutdown`](Self::shutdown) for implementations of `poll` functions.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(self.poll_flush(cx))?;
        match self.state {
            State::Broken => self.poll_broken(cx),
            State::ShutDown => Poll::Ready(Ok(())),
            State::Idle(_) | State::Writing(_) => {
                // Dropping the stream's end is what tells the host.
                self.state = State::ShutDown;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// This side's address and port.
    pub fn local_addr(&self) -> SocketAddr {
        from_wit(self.connection.local_address())
    }

    /// The peer's address and port.
    pub fn peer_addr(&self) -> SocketAddr {
        from_wit(self.connection.remote_address())
    }

    /// Why writing is not possible any more. Never `Ok`.
    fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match self.state {
            State::ShutDown => Poll::Ready(Err(Error::BrokenPipe)),
            _ => self.ending.poll(cx).map(|result| result.and(Err(Error::BrokenPipe))),
        }
    }

    /// Starts a write of a copy of `data`. Does nothing unless the stream is idle.
    fn start(&mut self, data: &[u8]) {
        let mut copy = mem::take(&mut self.spare);
        copy.clear();
        copy.extend_from_slice(data);
        self.state = match mem::replace(&mut self.state, State::Broken) {
            State::Idle(stream) => {
                self.cancel.store(false, Ordering::Relaxed);
                State::Writing(Box::pin(write_once(stream, copy, Arc::clone(&self.cancel))))
            }
            other => other,
        };
    }

    /// Ends the write in flight; returns how many bytes the host took.
    fn finish(&mut self, written: Written) -> usize {
        self.spare = written.rest;
        self.state = match written.result {
            StreamResult::Dropped => State::Broken,
            StreamResult::Complete(_) | StreamResult::Cancelled => State::Idle(written.stream),
        };
        written.length
    }

    /// Gives up the write of `data`, which is in flight, and remembers what of it is gone.
    fn give_up(&mut self, data: &[u8]) {
        let State::Writing(operation) = &mut self.state else {
            return;
        };
        self.cancel.store(true, Ordering::Relaxed);
        if let Poll::Ready(written) = operation.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            let length = self.finish(written).min(data.len());
            self.taken.extend_from_slice(&data[..length]);
        }
    }
}

/// One write, which can be told to cancel itself and then still tells what the host took.
async fn write_once(mut stream: StreamWriter<u8>, data: Vec<u8>, cancel: Arc<AtomicBool>) -> Written {
    let before = data.len();
    let (result, rest) = {
        let mut write = pin!(stream.write(data));
        poll_fn(|cx| match cancel.load(Ordering::Relaxed) {
            true => Poll::Ready(write.as_mut().cancel()),
            false => write.as_mut().poll(cx),
        })
        .await
    };
    let length = before - rest.remaining();
    Written { stream, result, length, rest: rest.into_vec() }
}

/// A write that somebody waits for, and that is given up when they no longer do.
struct Attempt<'a> {
    half: &'a mut WriteHalf,
    data: &'a [u8],
    done: bool,
}

impl Attempt<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        let poll = self.half.poll_write(cx, self.data);
        self.done = poll.is_ready();
        poll
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.half.give_up(self.data);
        }
    }
}

impl fmt::Debug for WriteHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").field("connection", &self.connection).finish_non_exhaustive()
    }
}
