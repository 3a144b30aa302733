//! TCP sockets that are bound, and neither listen nor are connected yet.

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

/// A TCP socket with a local address and nothing more (bind(2)).
///
/// It keeps other sockets from its address and port, and refuses connections, until it is made a listener or connects.
/// [`TcpListener::bind`] and [`TcpStream::connect`] do both steps at once.
pub struct TcpSocket {
    network: Network,
    serving: Serving,
    backlog: Arc<Backlog>,
}

/// The socket as the stacks know it.
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

impl TcpSocket {
    /// Binds to a local address; port 0 is one of the ephemeral ports. An unspecified address is every address of its
    /// family on every interface of `network`, those mounted later included.
    ///
    /// Connections, and what is left of them in TIME-WAIT, do not stand in the way (`SO_REUSEADDR`).
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(network: &Network, local: SocketAddr) -> Result<Self, BindError> {
        if !is_bindable(local.ip()) {
            return Err(BindError::InvalidArgument);
        }
        network.check_at(Operation::TcpBind, local)?;
        let backlog = Arc::new(Backlog::new(network.owner(), network.guard().cloned()));
        let serving = Serving::bind(network, local, Reserved { address: local.ip(), backlog: backlog.clone() })?;
        Ok(Self { network: network.clone(), serving, backlog })
    }

    /// What the stacks know the socket by.
    pub(super) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// The address that the socket is bound to, with the port that was chosen.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.serving.local()
    }

    /// Takes connections from now on.
    ///
    /// # Errors
    /// [`BindError::InvalidArgument`] for bad options, and [`BindError::AccessDenied`]; the socket is gone then.
    pub fn listen(self, options: ListenOptions) -> Result<TcpListener, BindError> {
        let Self { network, serving, backlog } = self;
        network.check_at(Operation::TcpListen, serving.local())?;
        Ok(TcpListener::open(serving, backlog, options)?)
    }

    /// Begins a connection from this socket's address, whatever `options` say of that. The socket keeps others from its port
    /// until the connection is made or given up.
    ///
    /// # Errors
    /// As [`TcpStream::start`], and the socket is gone.
    pub fn connect(self, remote: SocketAddr, options: ConnectOptions) -> Result<Connecting, ConnectError> {
        let options = ConnectOptions { local: Some(self.local_addr()), ..options };
        let network = self.network.clone();
        TcpStream::begin(&network, remote, options, Some(self))
    }
}

impl core::fmt::Debug for TcpSocket {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("TcpSocket").field("local", &self.local_addr()).finish_non_exhaustive()
    }
}
