//! The datagram streams of `wasi:sockets/udp` 0.2.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use wasmtime::component::Resource;
use wasmtime_wasi_io::poll::{DynPollable, Pollable, subscribe};

use super::bindings::udp::{
    HostIncomingDatagramStream, HostOutgoingDatagramStream, IncomingDatagram, OutgoingDatagram,
};
use super::network::SocketError;
use crate::error::{Error, Result};
use crate::wasm::NetworkCtxView;
use crate::wasm::failure::{get, get_mut};
use crate::wasm::sockets::Bound;

/// The maximum number of datagrams that one call returns, and of their bytes, which the last datagram may exceed.
const MOST_DATAGRAMS: usize = 64;
const MOST_BYTES: usize = 64 << 10;

/// The number of datagrams that one `send` is permitted. They are sent one by one, so the number matters little; it is
/// bounded because each call makes a list of them.
const PERMIT: usize = 64;

/// The state that both streams of a pair share.
#[derive(Clone)]
pub(super) struct Pair {
    bound: Arc<Bound>,
    number: u64,
    last: Arc<AtomicU64>,
}

impl Pair {
    pub(super) const fn new(bound: Arc<Bound>, number: u64, last: Arc<AtomicU64>) -> Self {
        Self { bound, number, last }
    }

    /// The socket.
    ///
    /// # Errors
    /// [`Error::InvalidState`] if the socket has returned another pair since.
    fn socket(&self) -> Result<&Bound> {
        if self.last.load(Ordering::Relaxed) == self.number { Ok(&self.bound) } else { Err(Error::InvalidState) }
    }
}

/// The resource of an `incoming-datagram-stream` handle.
pub struct IncomingDatagramStream(Pair);

impl IncomingDatagramStream {
    pub(super) const fn new(pair: Pair) -> Self {
        Self(pair)
    }
}

#[wasmtime_wasi_io::async_trait]
impl Pollable for IncomingDatagramStream {
    async fn ready(&mut self) {
        if let Ok(bound) = self.0.socket() {
            poll_fn(|cx| bound.socket.poll_recv_ready(cx)).await;
        }
    }
}

impl HostIncomingDatagramStream for NetworkCtxView<'_> {
    fn receive(
        &mut self,
        stream: Resource<IncomingDatagramStream>,
        most: u64,
    ) -> Result<Vec<IncomingDatagram>, SocketError> {
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(MOST_DATAGRAMS);
        let socket = &get(self.table, &stream)?.0.socket()?.socket;
        let (mut received, mut bytes) = (Vec::new(), 0);
        while received.len() < most && bytes < MOST_BYTES {
            let next = match received.is_empty() {
                true => match socket.poll_recv_datagram(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(first) => Some(first?),
                    Poll::Pending => None,
                },
                // An error that has occurred meanwhile is returned by the next call.
                false => socket.take_queued(),
            };
            let Some(datagram) = next else { break };
            bytes += datagram.data.len();
            received.push(IncomingDatagram { data: datagram.data, remote_address: datagram.remote.into() });
        }
        Ok(received)
    }

    fn subscribe(&mut self, stream: Resource<IncomingDatagramStream>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, stream)
    }

    fn drop(&mut self, stream: Resource<IncomingDatagramStream>) -> wasmtime::Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}

/// The resource of an `outgoing-datagram-stream` handle.
pub struct OutgoingDatagramStream {
    pair: Pair,
    permit: usize,
}

impl OutgoingDatagramStream {
    pub(super) const fn new(pair: Pair) -> Self {
        Self { pair, permit: 0 }
    }
}

#[wasmtime_wasi_io::async_trait]
impl Pollable for OutgoingDatagramStream {
    async fn ready(&mut self) {
        if let Ok(bound) = self.pair.socket() {
            poll_fn(|cx| bound.socket.poll_send_ready(cx)).await;
        }
    }
}

impl HostOutgoingDatagramStream for NetworkCtxView<'_> {
    fn check_send(&mut self, stream: Resource<OutgoingDatagramStream>) -> Result<u64, SocketError> {
        let stream = get_mut(self.table, &stream)?;
        let ready = stream.pair.socket()?.socket.poll_send_ready(&mut Context::from_waker(Waker::noop()));
        stream.permit = if ready.is_ready() { PERMIT } else { 0 };
        Ok(stream.permit as u64)
    }

    fn send(
        &mut self,
        stream: Resource<OutgoingDatagramStream>,
        datagrams: Vec<OutgoingDatagram>,
    ) -> Result<u64, SocketError> {
        let stream = get_mut(self.table, &stream)?;
        if datagrams.len() > stream.permit {
            return Err(SocketError::Trap(wasmtime::format_err!("more datagrams are sent than were permitted")));
        }
        if datagrams.is_empty() {
            return Ok(0);
        }
        stream.permit = 0;
        let bound = stream.pair.socket()?;
        let mut sent = 0;
        for OutgoingDatagram { data, remote_address } in datagrams {
            let remote = bound.destination(remote_address.map(Into::into));
            match remote.and_then(|remote| Ok(bound.socket.try_send_to(&data, remote)?)) {
                Ok(_) => sent += 1,
                // The guest learns that there is no room when it asks for the next permit.
                Err(Error::WouldBlock) => break,
                // WIT: no error is returned if something was sent. The guest may send this datagram again.
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(sent)
    }

    fn subscribe(&mut self, stream: Resource<OutgoingDatagramStream>) -> wasmtime::Result<Resource<DynPollable>> {
        subscribe(self.table, stream)
    }

    fn drop(&mut self, stream: Resource<OutgoingDatagramStream>) -> wasmtime::Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}
