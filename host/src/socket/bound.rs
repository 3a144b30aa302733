//! TCP sockets that are bound to a local address and do not listen or connect yet.

use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::listener::{ListenOptions, TcpListener};
use super::network::Network;
use super::serving::{Binding, Serving};
use super::tcp::{ConnectOptions, Connecting, TcpStream};
use crate::error::{BindError, ConnectError};
use crate::policy::Operation;
use crate::stack::Stack;
use crate::stack::backlog::Backlog;
use crate::stack::udp::is_bindable;

/// A TCP socket that is bound to a local address (bind(2)).
///
/// It reserves its address and port, and refuses connections, until it listens or connects. [`TcpListener::bind`] and
/// [`TcpStream::connect`] do both steps at once.
pub struct TcpSocket {
    network: Network,
    serving: Serving,
    backlog: Arc<Backlog>,
}

/// The registration of the socket with the stacks.
struct Reserved {
    address: IpAddr,
    backlog: Arc<Backlog>,
}

impl Binding for Reserved {
    fn bind(&self, stack: &Stack, port: u16) -> Result<(), BindError> {
        stack.with_mut(|core| core.tcp().bind(SocketAddr::new(self.address, port), &self.backlog))
    }

    fn unbind(&self, stack: &Stack, _port: u16) {
        stack.with_mut(|core| core.tcp().unbind(&self.backlog));
    }
}

/// The registration of a listener for every port that no other socket has.
#[cfg(feature = "gateway")]
struct Catching(Reserved);

#[cfg(feature = "gateway")]
impl Binding for Catching {
    fn bind(&self, stack: &Stack, port: u16) -> Result<(), BindError> {
        self.0.bind(stack, port)
    }

    fn unbind(&self, stack: &Stack, port: u16) {
        self.0.unbind(stack, port);
    }

    fn candidates(&self, _: &Stack) -> Box<dyn Iterator<Item = u16>> {
        // The engine takes this port for all.
        Box::new(core::iter::once(0))
    }
}

impl TcpSocket {
    /// Binds to every address of a family and every port that no other socket is bound to, for a router that answers in
    /// the place of other hosts (see [`Interface::set_every_address`](crate::Interface::set_every_address)).
    ///
    /// # Errors
    /// As for [`bind`](Self::bind).
    #[cfg(feature = "gateway")]
    pub(crate) fn bind_every_port(network: &Network, unspecified: IpAddr) -> Result<Self, BindError> {
        let backlog = Arc::new(Backlog::new(network.owner().clone(), network.guard().cloned()));
        let reserved = Reserved { address: unspecified, backlog: backlog.clone() };
        let serving = Serving::bind(network, SocketAddr::new(unspecified, 0), Catching(reserved))?;
        Ok(Self { network: network.clone(), serving, backlog })
    }

    /// Binds to a local address. Port 0 selects an ephemeral port. The unspecified address means every address of its
    /// family on every interface of `network`, including interfaces that are mounted later.
    ///
    /// Existing connections on the port, also those in TIME-WAIT, do not prevent binding (`SO_REUSEADDR`).
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(network: &Network, local: SocketAddr) -> Result<Self, BindError> {
        if !is_bindable(local.ip()) {
            return Err(BindError::InvalidArgument);
        }
        network.check_at(Operation::TcpBind, local)?;
        let backlog = Arc::new(Backlog::new(network.owner().clone(), network.guard().cloned()));
        let serving = Serving::bind(network, local, Reserved { address: local.ip(), backlog: backlog.clone() })?;
        Ok(Self { network: network.clone(), serving, backlog })
    }

    /// The local address, with the selected port.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.serving.local()
    }

    /// Starts to listen for connections.
    ///
    /// # Errors
    /// [`BindError::InvalidArgument`] for invalid options, and [`BindError::AccessDenied`]; the socket is dropped then.
    pub fn listen(self, options: ListenOptions) -> Result<TcpListener, BindError> {
        self.try_listen(options).map_err(|(error, _)| error)
    }

    /// Like [`listen`](Self::listen), but returns the socket with the error.
    ///
    /// # Errors
    /// As for [`listen`](Self::listen).
    pub fn try_listen(self, options: ListenOptions) -> Result<TcpListener, (BindError, Self)> {
        let allowed = self.network.check_at(Operation::TcpListen, self.local_addr()).map_err(BindError::from);
        match allowed.and_then(|()| Ok(options.validate()?)) {
            Ok(()) => Ok(TcpListener::open(self.serving, self.backlog, options)),
            Err(error) => Err((error, self)),
        }
    }

    /// Starts to connect from this socket's address; `options.local` is ignored. The socket reserves its port until the
    /// connection is established or has failed.
    ///
    /// # Errors
    /// As for [`TcpStream::start`]; the socket is dropped then.
    pub fn connect(self, remote: SocketAddr, options: ConnectOptions) -> Result<Connecting, ConnectError> {
        self.try_connect(remote, options).map_err(|(error, _)| error)
    }

    /// Like [`connect`](Self::connect), but returns the socket with the error.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub fn try_connect(self, remote: SocketAddr, options: ConnectOptions) -> Result<Connecting, (ConnectError, Self)> {
        let options = ConnectOptions { local: Some(self.local_addr()), ..options };
        match TcpStream::begin(&self.network, remote, options, Some(&*self.backlog)) {
            Ok(stream) => Ok(Connecting::new(stream, Some(self))),
            Err(error) => Err((error, self)),
        }
    }
}

impl core::fmt::Debug for TcpSocket {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("TcpSocket").field("local", &self.local_addr()).finish_non_exhaustive()
    }
}
