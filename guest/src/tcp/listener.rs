//! [`TcpListener`], and [`Incoming`], the stream of its connections.

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use wit_bindgen::StreamReader;

use super::{Ending, ListenOptions, TcpStream};
use crate::Result;
use crate::address::{from_wit, to_wit};
use crate::bindings::tcp::{self, TcpConnection};
use crate::bindings::types::ErrorCode;
use crate::flight::Flight;
use crate::target::{ToSocketAddrs, first_local};

/// A socket that waits for peers to connect.
///
/// Dropping it closes the port and resets the connections that were not accepted.
pub struct TcpListener {
    listener: Arc<tcp::TcpListener>,
    accept: Flight<Result<TcpConnection, ErrorCode>>,
}

impl TcpListener {
    /// Listens on a local address. The unspecified address listens on every interface; port 0 takes a free port. Of
    /// several addresses, the first that can be bound is used. A name is an
    /// [`InvalidArgument`](crate::Error::InvalidArgument).
    ///
    /// # Errors
    /// [`AddressInUse`](crate::Error::AddressInUse), [`AddressNotAvailable`](crate::Error::AddressNotAvailable) and the
    /// other errors of `bind` in the WIT package.
    pub fn bind(local: impl ToSocketAddrs) -> Result<Self> {
        Self::bind_with(local, &ListenOptions::default())
    }

    /// Listens on a local address with these options.
    pub fn bind_with(local: impl ToSocketAddrs, options: &ListenOptions) -> Result<Self> {
        let listener = first_local(&local, |local| {
            let (interface, tcp) = (options.interface.as_deref(), options.tcp.to_wit());
            Ok(tcp::TcpListener::bind(to_wit(local), options.backlog, interface, tcp)?)
        })?;
        Ok(Self { listener: Arc::new(listener), accept: Flight::new() })
    }

    /// Waits for a connection; returns it with the peer's address.
    ///
    /// Several tasks may wait at once. If the future is dropped, no connection is lost.
    pub async fn accept(&self) -> Result<(TcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// [`accept`](Self::accept) for implementations of `poll` functions.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<(TcpStream, SocketAddr)>> {
        let accepted = self.accept.poll(cx, || {
            let listener = Arc::clone(&self.listener);
            Box::pin(async move { listener.accept().await })
        });
        let connection = ready!(accepted)?;
        let peer = from_wit(connection.remote_address());
        Poll::Ready(Ok((TcpStream::new(connection), peer)))
    }

    /// The accepted connections as a stream. It may be used together with [`accept`](Self::accept). It keeps the
    /// listening socket open after the listener is dropped.
    pub fn incoming(&self) -> Incoming {
        let (stream, result) = self.listener.connections();
        Incoming { stream, ending: Ending::new(result) }
    }

    /// The address that the listener is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        from_wit(self.listener.local_address())
    }

    /// How many connections may wait to be accepted.
    pub fn backlog(&self) -> u32 {
        self.listener.backlog()
    }
}

/// The accepted connections of a listener, as a stream.
pub struct Incoming {
    stream: StreamReader<TcpConnection>,
    ending: Ending,
}

impl Incoming {
    /// Waits for a connection. Returns `None` when the listener has ended; if an error ended it, the error is returned
    /// first.
    ///
    /// If the future is dropped at the moment when a connection arrives, the connection is lost: callers that drop
    /// futures should use [`TcpListener::accept`].
    pub async fn next(&mut self) -> Option<Result<TcpStream>> {
        if let Some(connection) = self.stream.next().await {
            return Some(Ok(TcpStream::new(connection)));
        }
        let result = poll_fn(|cx| self.ending.poll(cx)).await;
        self.ending = Ending::Known(Ok(()));
        result.err().map(Err)
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("stream", &self.stream).finish_non_exhaustive()
    }
}
