//! TCP listeners.

use core::future::poll_fn;
use core::net::SocketAddr;
use core::task::{Context, Poll, Waker};
use std::sync::Arc;

use super::bound::TcpSocket;
use super::network::Network;
use super::serving::Serving;
use super::tcp::TcpStream;
use crate::error::{AcceptError, BindError, InvalidOption};
use crate::stack::backlog::Backlog;
use crate::stack::options::{HopLimit, KeepAlive, OnOutage, TcpOptions};
use crate::stack::owner::Flow;

/// The options of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// The maximum number of connections that are being established or wait to be accepted. Further SYNs are not
    /// answered, and the peer retransmits them. 1 to 4096; larger values count as 4096.
    pub backlog: usize,
    /// The options of the connections accepted.
    pub tcp: TcpOptions,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self { backlog: 128, tcp: TcpOptions::default() }
    }
}

impl ListenOptions {
    pub(super) fn validate(&self) -> Result<(), InvalidOption> {
        if self.backlog == 0 { Err(InvalidOption) } else { Ok(self.tcp.validate()?) }
    }
}

/// The largest backlog, the default of Linux's `net.core.somaxconn`.
const MOST_BACKLOG: usize = 4096;

/// A TCP socket that accepts connections (RFC 9293 LISTEN).
///
/// Dropping it resets connections that have not been accepted. Accepted connections continue.
pub struct TcpListener {
    serving: Serving,
    backlog: Arc<Backlog>,
    on_outage: OnOutage,
}

impl TcpListener {
    /// Listens on a local address. Port 0 selects an ephemeral port. The unspecified address means every address of its
    /// family on every interface of `network`, including interfaces that are mounted later.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(network: &Network, local: SocketAddr, options: ListenOptions) -> Result<Self, BindError> {
        options.validate()?;
        TcpSocket::bind(network, local)?.listen(options)
    }

    /// Starts to listen on a bound socket. The options must be valid.
    pub(super) fn open(serving: Serving, backlog: Arc<Backlog>, options: ListenOptions) -> Self {
        backlog.open(options.backlog.min(MOST_BACKLOG), options.tcp);
        for stack in serving.stacks() {
            stack.with_mut(|core| core.tcp().listen(&backlog));
        }
        let local = serving.local();
        backlog.owner().log(&Flow { protocol: "tcp", interface: None, local, remote: None }, "listening");
        Self { serving, backlog, on_outage: OnOutage::default() }
    }

    /// Waits for a connection; returns it and its peer's address.
    ///
    /// # Errors
    /// See [`AcceptError`].
    pub async fn accept(&self) -> Result<(TcpStream, SocketAddr), AcceptError> {
        poll_fn(|context| self.poll_accept(context)).await
    }

    /// Like [`accept`](Self::accept), for use in another future.
    ///
    /// # Errors
    /// As for [`accept`](Self::accept).
    pub fn poll_accept(&self, context: &mut Context<'_>) -> Poll<Result<(TcpStream, SocketAddr), AcceptError>> {
        match self.take(Some(context.waker())) {
            Some(accepted) => Poll::Ready(Ok(accepted)),
            None => match self.serving.check(self.on_outage) {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error.into())),
            },
        }
    }

    /// Ready when accepting would succeed or fail without waiting.
    pub fn poll_accept_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let ready = self.backlog.is_ready(context.waker()) || self.serving.check(self.on_outage).is_err();
        if ready { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Like [`accept`](Self::accept), without waiting.
    ///
    /// # Errors
    /// Only [`AcceptError::WouldBlock`], if no connection waits for whatever reason.
    pub fn try_accept(&self) -> Result<(TcpStream, SocketAddr), AcceptError> {
        self.take(None).ok_or(AcceptError::WouldBlock)
    }

    fn take(&self, waker: Option<&Waker>) -> Option<(TcpStream, SocketAddr)> {
        loop {
            let stack = self.backlog.next(waker)?;
            // The connection may be gone meanwhile: its peer or interface has ended it, or another task has accepted
            // it. Try the next one.
            let Some((flow, tuple)) = stack.with_mut(|core| core.tcp().accept(&self.backlog)) else { continue };
            let stream = TcpStream::new(stack, flow, tuple.local(), tuple.remote());
            stream.log(self.backlog.owner(), "accepted");
            return Some((stream, tuple.remote()));
        }
    }

    /// The local address, with the selected port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.serving.local()
    }

    /// Sets what [`accept`](Self::accept) does while no connection can arrive. Accepted connections do not inherit it.
    pub const fn set_on_outage(&mut self, on_outage: OnOutage) {
        self.on_outage = on_outage;
    }

    /// The present backlog.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.backlog.places().limit()
    }

    /// Sets the backlog, 1 to 4096; larger values count as 4096. Connections that wait already stay.
    ///
    /// # Errors
    /// [`InvalidOption`] for 0.
    pub fn set_backlog(&self, backlog: usize) -> Result<(), InvalidOption> {
        if backlog == 0 {
            return Err(InvalidOption);
        }
        self.backlog.places().set_limit(backlog.min(MOST_BACKLOG));
        Ok(())
    }

    /// The options of the connections to be accepted.
    #[must_use]
    pub fn options(&self) -> TcpOptions {
        self.backlog.options().unwrap_or_default()
    }

    /// Sets or disables keep-alive for future connections.
    ///
    /// # Errors
    /// [`InvalidOption`] for times of zero or no probes.
    pub fn set_keep_alive(&self, keep_alive: Option<KeepAlive>) -> Result<(), InvalidOption> {
        self.configure(|options| options.keep_alive = keep_alive)
    }

    /// Sets the hop limit of future connections.
    pub fn set_hop_limit(&self, hop_limit: HopLimit) {
        let changed = self.configure(|options| options.hop_limit = hop_limit);
        debug_assert!(changed.is_ok(), "every hop limit is valid");
    }

    /// Sets the receive buffer of future connections, in bytes.
    ///
    /// # Errors
    /// [`InvalidOption`] for 0.
    pub fn set_receive_buffer(&self, bytes: usize) -> Result<(), InvalidOption> {
        self.configure(|options| options.receive_buffer = bytes)
    }

    /// Sets the send buffer of future connections, in bytes.
    ///
    /// # Errors
    /// [`InvalidOption`] for 0.
    pub fn set_send_buffer(&self, bytes: usize) -> Result<(), InvalidOption> {
        self.configure(|options| options.send_buffer = bytes)
    }

    fn configure(&self, change: impl FnOnce(&mut TcpOptions)) -> Result<(), InvalidOption> {
        self.backlog.configure(change)?;
        for stack in self.serving.stacks() {
            stack.with_mut(|core| core.tcp().configure_listener(&self.backlog));
        }
        Ok(())
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        self.serving.unbind();
    }
}

impl core::fmt::Debug for TcpListener {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("TcpListener").field("local", &self.local_addr()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
