//! Connections that are being made.

use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use super::TcpStream;
use crate::error::ConnectError;
use crate::socket::bound::TcpSocket;
use crate::stack::options::TcpOptions;

/// The options of a new connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectOptions {
    /// The local address; `None` or port 0 lets the stack choose. If a port is given it must be free for
    /// [`TcpSocket::bind`], and it is reserved while the connection is being made.
    pub local: Option<SocketAddr>,
    /// How long the peer may take to answer.
    pub timeout: Duration,
    /// The connection's options.
    pub tcp: TcpOptions,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { local: None, timeout: Duration::from_secs(30), tcp: TcpOptions::default() }
    }
}

/// The future of a connection that is being made. Dropping it cancels the attempt and leaves nothing behind.
#[derive(Debug)]
#[must_use = "the attempt is given up when this is dropped"]
pub struct Connecting {
    stream: Option<TcpStream>,
    /// Reserves the local port that was given. A connection alone does not: while it is being made, another socket
    /// could listen on the port, and a client of that listener could complete the connection (RFC 9293 section 3.5,
    /// simultaneous open).
    reserved: Option<TcpSocket>,
}

impl Connecting {
    pub(in crate::socket) const fn new(stream: TcpStream, reserved: Option<TcpSocket>) -> Self {
        Self { stream: Some(stream), reserved }
    }

    /// The local address; `None` once the connection has been returned.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.stream.as_ref().map(TcpStream::local_addr)
    }
}

impl Future for Connecting {
    type Output = Result<TcpStream, ConnectError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<TcpStream, ConnectError>> {
        // The future was polled after its end, which is not allowed.
        let Some(stream) = &self.stream else { return Poll::Ready(Err(ConnectError::InvalidState)) };
        match stream.stack.ask(|core| core.tcp().connected(stream.flow, context.waker())) {
            None => Poll::Pending,
            Some(Err(error)) => Poll::Ready(Err(error)),
            Some(Ok(())) => {
                self.reserved = None;
                Poll::Ready(self.stream.take().ok_or(ConnectError::InvalidState))
            }
        }
    }
}
