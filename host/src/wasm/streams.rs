//! The host's ends of the streams that guests hold.
//!
//! Bytes are copied once: between the guest's memory, which wasmtime lends for the time of one call, and the socket's
//! queue. Every poll tries first and waits only for what is not there, and nothing is ever taken from one side before
//! the other has room for it, so that a cancelled read or write has moved nothing.

use std::future::{self, Ready, poll_fn};
use std::iter;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use wasmtime::component::{
    Destination, FutureReader, Lift, Lower, Resource, Source, StreamConsumer, StreamProducer, StreamReader,
    StreamResult, VecBuffer,
};
use wasmtime::{AsContextMut, StoreContextMut};

use super::NetworkCtxView;
use super::connections::{Connection, Listener};
use super::outcome::{Outcome, Resolver, outcome};
use crate::error::{Error, ReadError, Result};

/// How much is read at once for a stream whose other end is the host's too: a guest that hands the stream of one
/// connection to another.
const HOST_READ: usize = 64 << 10;

/// How many connections are given out in one read of a stream at most.
const MOST_ACCEPTED: usize = 64;

/// How a half ended, in a future for the guest.
type End<C> = FutureReader<Result<(), C>>;

/// Sends what the guest writes through the one sending half of its connection, and tells when all of it has arrived; where
/// the half was taken before, or there is none, that this is not the state for it. `C` is the error code of the WIT package.
pub(super) fn send<C: Code>(
    mut store: impl AsContextMut,
    half: Option<Arc<Connection>>,
    mut data: StreamReader<u8>,
) -> wasmtime::Result<End<C>> {
    match half {
        Some(connection) => {
            let (resolver, queued) = outcome();
            data.pipe(&mut store, SendConsumer { connection: connection.clone(), sent: resolver })?;
            FutureReader::new(store, coded(delivered(queued, connection)))
        }
        None => {
            data.close(&mut store)?;
            FutureReader::new(store, coded(no_half()))
        }
    }
}

/// Hands out what arrives at the one receiving half of a connection, and tells how it ended; else as [`send`].
pub(super) fn receive<C: Code>(
    mut store: impl AsContextMut,
    half: Option<Arc<Connection>>,
) -> wasmtime::Result<(StreamReader<u8>, End<C>)> {
    match half {
        Some(connection) => {
            let (received, end) = outcome();
            let stream = StreamReader::new(&mut store, ReceiveProducer { connection, received })?;
            Ok((stream, FutureReader::new(store, coded(end))?))
        }
        None => Ok((StreamReader::new(&mut store, iter::empty())?, FutureReader::new(store, coded(no_half()))?)),
    }
}

/// The error code of a WIT package, as futures carry it.
pub(super) trait Code: From<Error> + Lower + Lift + Send + Sync + 'static {}

impl<C: From<Error> + Lower + Lift + Send + Sync + 'static> Code for C {}

/// The end of a half that another call took, or that a socket without a connection has not.
fn no_half() -> Ready<Result<()>> {
    future::ready(Err(Error::InvalidState))
}

/// How a stream ended, for the guest.
pub(super) async fn coded<C: Code>(end: impl Future<Output = Result<()>>) -> wasmtime::Result<Result<(), C>> {
    Ok(end.await.map_err(C::from))
}

/// The far end of [`send`]: takes what the guest writes. Dropped when the guest ends the stream, which is the order to
/// send FIN.
struct SendConsumer {
    connection: Arc<Connection>,
    sent: Resolver,
}

impl Drop for SendConsumer {
    fn drop(&mut self) {
        if !self.sent.is_resolved() {
            self.sent.resolve(self.connection.stream.shutdown(Shutdown::Write).map_err(Error::from));
        }
    }
}

impl<D: 'static> StreamConsumer<D> for SendConsumer {
    type Item = u8;

    fn poll_consume(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let stream = &self.connection.stream;
        let mut source = source.as_direct(store);
        let bytes = source.remaining();
        // A write of nothing asks whether there is room.
        let written =
            if bytes.is_empty() { stream.poll_write_ready(cx).map_ok(|()| 0) } else { stream.poll_write(cx, bytes) };
        settle(
            &self.sent,
            finish,
            written.map_ok(|written| {
                source.mark_read(written);
                StreamResult::Completed
            }),
        )
    }
}

/// The end of what a [`SendConsumer`] sends: the peer's acknowledgement of the FIN, or the first failure, be it of a write or
/// of the connection while nothing was written. Before that, nobody knows whether all was transmitted.
async fn delivered(mut queued: Outcome, connection: Arc<Connection>) -> Result<()> {
    poll_fn(|cx| match Pin::new(&mut queued).poll(cx) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Ready(Ok(())) | Poll::Pending => connection.stream.poll_closed(cx).map_err(Error::from),
    })
    .await
}

/// The near end of [`receive`]: gives the guest what has arrived. Dropped when the guest drops the stream.
struct ReceiveProducer {
    connection: Arc<Connection>,
    received: Resolver,
}

impl Drop for ReceiveProducer {
    fn drop(&mut self) {
        if !self.received.is_resolved() {
            // Only a connection that has failed has nothing to close, and whoever writes learns of that.
            let _ = self.connection.stream.shutdown(Shutdown::Read);
            self.received.resolve(Ok(()));
        }
    }
}

impl<D: 'static> StreamProducer<D> for ReceiveProducer {
    type Item = u8;
    /// Never filled: bytes go straight to their destination.
    type Buffer = Option<u8>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let stream = &self.connection.stream;
        let mut destination = destination.as_direct(store, HOST_READ);
        let room = destination.remaining();
        // A read of nothing asks whether there is something.
        if room.is_empty() {
            return settle(&self.received, finish, stream.poll_read_ready(cx).map_ok(|()| StreamResult::Completed));
        }
        let length = room.len();
        let mut read = match stream.poll_read(cx, room) {
            Poll::Ready(Ok(read)) => read,
            other => return settle(&self.received, finish, other.map_ok(|_| StreamResult::Completed)),
        };
        // What did not fill the room may have been the last. Saying so now spares the guest another read.
        let mut end = (read == 0).then_some(Ok(()));
        while end.is_none() && read < length {
            match stream.try_read(&mut room[read..]) {
                Ok(0) => end = Some(Ok(())),
                Ok(more) => read += more,
                Err(ReadError::WouldBlock) => break,
                Err(error) => end = Some(Err(error.into())),
            }
        }
        destination.mark_written(read);
        Poll::Ready(Ok(match end {
            None => StreamResult::Completed,
            Some(result) => {
                self.received.resolve(result);
                StreamResult::Dropped
            }
        }))
    }
}

/// What a poll of a socket means for a stream: an error ends the stream and goes to the future, and a guest that wants
/// its read or write back gets it if nothing has happened yet.
fn settle(
    resolver: &Resolver,
    finish: bool,
    progress: Poll<Result<StreamResult, impl Into<Error>>>,
) -> Poll<wasmtime::Result<StreamResult>> {
    match progress {
        Poll::Ready(Ok(result)) => Poll::Ready(Ok(result)),
        Poll::Ready(Err(error)) => {
            resolver.resolve(Err(error.into()));
            Poll::Ready(Ok(StreamResult::Dropped))
        }
        Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
        Poll::Pending => Poll::Pending,
    }
}

/// The near end of a stream of connections: accepts while the guest reads. Each connection is made a resource of type `R`.
pub(super) struct AcceptProducer<D: 'static, R> {
    pub(super) listener: Arc<Listener>,
    pub(super) ended: Resolver,
    /// Whether it goes on while its network is down, as what is mounted or set up later may bring connections again.
    pub(super) perpetual: bool,
    pub(super) view: for<'a> fn(&'a mut D) -> NetworkCtxView<'a>,
    pub(super) resource: R,
}

impl<D: 'static, R> Drop for AcceptProducer<D, R> {
    fn drop(&mut self) {
        self.ended.resolve(Ok(()));
    }
}

impl<D, R, T> StreamProducer<D> for AcceptProducer<D, R>
where
    D: 'static,
    R: Fn(Connection) -> T + Send + Unpin + 'static,
    T: Send + 'static,
{
    type Item = Resource<T>;
    type Buffer = VecBuffer<Self::Item>;

    fn poll_produce<'a>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        // A reader that is the host tells no count.
        let room = destination.remaining(&mut store).unwrap_or(1).min(MOST_ACCEPTED);
        // A read of nothing asks whether there is something.
        if room == 0 {
            let ready = self.listener.poll_ready_within_quota(cx).map_ok(|()| StreamResult::Completed);
            return settle(&self.ended, finish, ready);
        }
        let mut accepted = Vec::new();
        let mut end = Poll::Pending;
        while accepted.len() < room {
            let connection = match self.listener.poll_accept_within_quota(cx) {
                Poll::Ready(Ok(connection)) => connection,
                Poll::Pending => break,
                // Whoever comes when it is up again wakes this one.
                Poll::Ready(Err(Error::NetworkDown)) if self.perpetual => break,
                Poll::Ready(Err(error)) => {
                    end = Poll::Ready(Err(error));
                    break;
                }
            };
            match (self.view)(store.data_mut()).table.push((self.resource)(connection)) {
                Ok(handle) => accepted.push(handle),
                Err(_full) => {
                    end = Poll::Ready(Err(Error::LimitReached));
                    break;
                }
            }
        }
        if accepted.is_empty() {
            return settle(&self.ended, finish, end);
        }
        destination.set_buffer(accepted.into());
        settle(
            &self.ended,
            finish,
            match end {
                Poll::Pending => Poll::Ready(Ok(StreamResult::Completed)),
                failed => failed,
            },
        )
    }
}
