//! The host's side of the package `xila:floor` of the crate `benches/floor`: two guests take turns without a network
//! between them, to measure the cost of the turns alone. The host does nothing but wake the other guest.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use wasmtime::component::{
    Destination, Linker, LinkerInstance, Source, StreamConsumer, StreamProducer, StreamReader, StreamResult,
};
use wasmtime::{Result, StoreContextMut};

use crate::State;

/// One guest's side.
pub(crate) struct Side {
    has_turn: bool,
    /// Passes the turn to the other guest.
    give: UnboundedSender<()>,
    take: UnboundedReceiver<()>,
    /// The two ends of the streams, until the guest calls `exchange`.
    exchange: Option<(Outgoing, Incoming)>,
}

/// The sides of two guests, beginning with the guest that has the first turn.
pub(crate) fn pair() -> [Side; 2] {
    let [(to_first, turns_of_first), (to_second, turns_of_second)] = [unbounded_channel(), unbounded_channel()];
    let [(out_of_first, into_second), (out_of_second, into_first)] = [unbounded_channel(), unbounded_channel()];
    // The receiver still exists, so this cannot fail.
    let _ = to_first.send(());
    [
        Side::new(to_second, turns_of_first, out_of_first, into_first),
        Side::new(to_first, turns_of_second, out_of_second, into_second),
    ]
}

/// Adds the synchronous functions of `xila:floor/turns` to a linker.
pub(crate) fn add_blocking_to_linker(linker: &mut Linker<State>) -> Result<()> {
    add_blocking(&mut linker.instance("xila:floor/turns")?)
}

fn add_blocking(turns: &mut LinkerInstance<'_, State>) -> Result<()> {
    turns.func_wrap_async("take-turn-blocking", |mut store: StoreContextMut<'_, State>, ()| {
        Box::new(async move {
            let side = &mut store.data_mut().side;
            side.end_turn();
            Ok((poll_fn(|cx| side.poll_turn(cx)).await,))
        })
    })
}

/// Adds `xila:floor/turns` to a linker.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    let mut turns = linker.instance("xila:floor/turns")?;
    add_blocking(&mut turns)?;
    turns.func_wrap_concurrent("take-turn", |accessor, ()| {
        Box::pin(async move {
            accessor.with(|mut access| access.get().side.end_turn());
            let turn = poll_fn(|cx| accessor.with(|mut access| access.get().side.poll_turn(cx))).await;
            Ok((turn,))
        })
    })?;
    turns.func_wrap("exchange", |mut store: StoreContextMut<'_, State>, (mut data,): (StreamReader<u8>,)| {
        let Some((outgoing, incoming)) = store.data_mut().side.exchange.take() else {
            data.close(&mut store)?;
            return Ok((StreamReader::new(store, std::iter::empty())?,));
        };
        data.pipe(&mut store, outgoing)?;
        Ok((StreamReader::new(store, incoming)?,))
    })
}

impl Side {
    fn new(
        give: UnboundedSender<()>,
        take: UnboundedReceiver<()>,
        outgoing: UnboundedSender<Vec<u8>>,
        incoming: UnboundedReceiver<Vec<u8>>,
    ) -> Self {
        let exchange = (Outgoing(outgoing), Incoming { messages: incoming, rest: Vec::new() });
        Self { has_turn: false, give, take, exchange: Some(exchange) }
    }

    fn end_turn(&mut self) {
        if self.has_turn {
            self.has_turn = false;
            // If the other guest has ended, this fails, and the next wait for a turn returns false.
            let _ = self.give.send(());
        }
    }

    /// Waits for the turn; false if the other guest has ended.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.has_turn = ready!(self.take.poll_recv(cx)).is_some();
        Poll::Ready(self.has_turn)
    }
}

/// Consumes what the guest writes and passes it to the other guest. Dropped when the guest ends the stream.
struct Outgoing(UnboundedSender<Vec<u8>>);

impl<D: 'static> StreamConsumer<D> for Outgoing {
    type Item = u8;

    fn poll_consume(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, u8>,
        _finish: bool,
    ) -> Poll<Result<StreamResult>> {
        let mut source = source.as_direct(store);
        let message = source.remaining().to_vec();
        let length = message.len();
        if length > 0 && self.0.send(message).is_err() {
            return Poll::Ready(Ok(StreamResult::Dropped));
        }
        source.mark_read(length);
        Poll::Ready(Ok(StreamResult::Completed))
    }
}

/// Produces what the other guest has written. Ends when the other guest has ended its stream.
struct Incoming {
    messages: UnboundedReceiver<Vec<u8>>,
    /// The part of the last message that is not read yet.
    rest: Vec<u8>,
}

impl<D: 'static> StreamProducer<D> for Incoming {
    type Item = u8;
    /// Never filled: bytes go directly to their destination, as with our sockets.
    type Buffer = Option<u8>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        destination: Destination<'a, u8, Self::Buffer>,
        finish: bool,
    ) -> Poll<Result<StreamResult>> {
        if self.rest.is_empty() {
            match self.messages.poll_recv(cx) {
                Poll::Ready(Some(message)) => self.rest = message,
                Poll::Ready(None) => return Poll::Ready(Ok(StreamResult::Dropped)),
                Poll::Pending if finish => return Poll::Ready(Ok(StreamResult::Cancelled)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let mut destination = destination.as_direct(store, self.rest.len());
        let room = destination.remaining();
        let length = room.len().min(self.rest.len());
        room[..length].copy_from_slice(&self.rest[..length]);
        self.rest.drain(..length);
        destination.mark_written(length);
        Poll::Ready(Ok(StreamResult::Completed))
    }
}
