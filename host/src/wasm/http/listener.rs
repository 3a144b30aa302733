//! The connections over which requests come, and their listener, both charged to the guest that answers.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;

use super::cooperative::Cooperative;
use super::forward::forward_to_field;
use crate::address::Family;
use crate::error::Result;
use crate::socket::OnOutage;
use crate::wasm::NetworkCtx;
use crate::wasm::connections::{Connection, Listener};
use crate::wasm::sockets::TcpSocket;

/// A listener of a guest, which the host accepts connections from on the guest's behalf. The guest's policy and limits
/// hold for it as for one that the guest makes by `wasi:sockets`.
pub struct HttpListener(Arc<Listener>);

impl HttpListener {
    /// Listens on an address of the guest's network. Port 0 lets the stack choose.
    ///
    /// # Errors
    /// [`crate::Error::AccessDenied`] if the guest has no network or its policy forbids it; [`crate::Error::LimitReached`] for its
    /// limits; [`crate::Error::AddressInUse`], [`crate::Error::AddressNotAvailable`], [`crate::Error::InvalidArgument`].
    pub fn bind(guest: &NetworkCtx, local: SocketAddr) -> Result<Self> {
        let mut socket = TcpSocket::create(guest, Family::of(local.ip()))?;
        socket.bind(local)?;
        let (listener, _settings) = socket.listen()?;
        Ok(Self(listener))
    }

    /// The address, with the port that was chosen.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.0.socket.local_addr()
    }

    /// Waits for a connection, and while the guest holds as many sockets as it may.
    ///
    /// # Errors
    /// [`crate::Error::NetworkDown`] if the interface is gone; [`crate::Error::LimitReached`] if the guest may have no connection at
    /// all.
    pub async fn accept(&self) -> Result<HttpConnection> {
        let mut connection = poll_fn(|cx| self.0.poll_accept_within_quota(cx)).await?;
        connection.stream.set_on_outage(OnOutage::Wait);
        Ok(HttpConnection(Cooperative(connection)))
    }
}

impl std::fmt::Debug for HttpListener {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("HttpListener").field(&self.local_addr()).finish()
    }
}

/// A connection that was accepted. Dropping it closes it.
pub struct HttpConnection(Cooperative<Connection>);

impl HttpConnection {
    /// The address of the client.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.0.0.stream.peer_addr()
    }

    /// The address that the client has connected to.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.0.0.stream.local_addr()
    }

    /// Resets the connection: what the client has not received is lost, and it is told so.
    pub fn abort(&self) {
        self.0.0.stream.abort();
    }
}

impl std::fmt::Debug for HttpConnection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("HttpConnection").field(&self.peer_addr()).finish()
    }
}

forward_to_field!(Connection, stream);
forward_to_field!(HttpConnection, 0);
