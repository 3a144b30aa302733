//! TCP sockets of `wasi:sockets`.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::{Account, any, check_family, check_remote, not_bindable};
use crate::address::{Family, is_unicast};
use crate::error::{Error, InvalidOption, Result};
use crate::policy::Charge;
use crate::socket::{self, ConnectOptions, Connecting, KeepAlive, ListenOptions, TcpOptions, TcpStream};
use crate::wasm::connections::{Connection, Halves, Listener};
use crate::wasm::{NetworkCtx, units};

/// A TCP socket, with the states of `TcpSocketOperationalSemantics.md` that are not mere bookkeeping.
pub(in crate::wasm) struct TcpSocket {
    /// Shared with the stream of connections of a listener, each of which inherits them.
    settings: Arc<Mutex<Settings>>,
    backlog: usize,
    state: State,
}

/// What can be set on a socket whatever its state, and is inherited by accepted connections.
#[derive(Clone)]
pub(in crate::wasm) struct Settings {
    family: Family,
    options: TcpOptions,
    /// Kept while keep-alive is off, too.
    keep_alive: KeepAlive,
}

impl Settings {
    /// Sets what can be set on a connection that is there, where that is something else: mostly it is not, and looking is
    /// cheaper.
    fn apply(&self, stream: &TcpStream) -> Result<(), InvalidOption> {
        let TcpOptions { keep_alive, hop_limit, receive_buffer, send_buffer, .. } = stream.options();
        if keep_alive != self.options.keep_alive {
            stream.set_keep_alive(self.options.keep_alive)?;
        }
        if hop_limit != self.options.hop_limit {
            stream.set_hop_limit(self.options.hop_limit);
        }
        if receive_buffer != self.options.receive_buffer {
            stream.set_receive_buffer(self.options.receive_buffer)?;
        }
        if send_buffer != self.options.send_buffer {
            stream.set_send_buffer(self.options.send_buffer)?;
        }
        Ok(())
    }
}

enum State {
    /// As it was created. Left by `bind`, `connect` and (0.3) `listen`.
    Unbound(Account),
    /// It has a local address. Left by `connect` and `listen`.
    Bound(socket::TcpSocket, Account),
    /// SYN sent. Left for `Connected` or `Closed` when the outcome is asked for.
    Connecting(Arc<Attempt>),
    /// Connected, by `connect` or from a listener. Not left.
    Connected(Halves),
    /// Taking connections. Not left.
    Listening(Arc<Listener>),
    /// An attempt to connect or listen failed. Not left.
    Closed,
}

/// A connection that is being made; none once it was given up.
type Attempt = Mutex<Option<(Connecting, Charge)>>;

/// Who waits for a connection that was begun. Dropped before the outcome is known, it gives the attempt up: nothing of that
/// is left, and the socket is closed.
pub(in crate::wasm) struct Awaiting(Arc<Attempt>);

impl Drop for Awaiting {
    fn drop(&mut self) {
        let given_up = self.0.lock().take();
        drop(given_up);
    }
}

impl TcpSocket {
    /// # Errors
    /// [`Error::AccessDenied`] for a guest without a network; [`Error::LimitReached`].
    pub(in crate::wasm) fn create(ctx: &NetworkCtx, family: Family) -> Result<Self> {
        let state = State::Unbound(Account::open(ctx)?);
        let settings = Settings { family, options: TcpOptions::default(), keep_alive: KeepAlive::default() };
        Ok(Self { settings: Arc::new(Mutex::new(settings)), backlog: ListenOptions::default().backlog, state })
    }

    /// The socket of a connection that was accepted, with what it inherits from its listener.
    pub(in crate::wasm) fn accepted(connection: Connection, inherited: &Mutex<Settings>) -> Self {
        let settings = inherited.lock().clone();
        // What was set while the connection waited. Only what makes sense was.
        let _ = settings.apply(&connection.stream);
        Self {
            settings: Arc::new(Mutex::new(settings)),
            backlog: ListenOptions::default().backlog,
            state: State::Connected(Halves::new(connection)),
        }
    }

    /// # Errors
    /// [`Error::InvalidState`] where it is bound; [`Error::InvalidArgument`]; else as [`socket::TcpSocket::bind`].
    pub(in crate::wasm) fn bind(&mut self, local: SocketAddr) -> Result<()> {
        let State::Unbound(account) = &self.state else { return Err(Error::InvalidState) };
        check_family(local, self.family())?;
        if !local.ip().is_unspecified() && !is_unicast(local.ip()) {
            return Err(Error::InvalidArgument);
        }
        // A failed bind may be tried again.
        let bound = socket::TcpSocket::bind(&account.network, local).map_err(not_bindable)?;
        if let State::Unbound(account) = self.take_state() {
            self.state = State::Bound(bound, account);
        }
        Ok(())
    }

    /// Whether the socket was bound, connected or made a listener, or should have been.
    pub(in crate::wasm) const fn is_bound(&self) -> bool {
        !matches!(self.state, State::Unbound(_))
    }

    /// Begins a connection.
    ///
    /// # Errors
    /// [`Error::InvalidState`] where the socket was connected or made a listener before; [`Error::InvalidArgument`]; else
    /// as [`TcpStream::start`], and the socket is closed.
    pub(in crate::wasm) fn start_connect(&mut self, remote: SocketAddr) -> Result<()> {
        if !matches!(self.state, State::Unbound(_) | State::Bound(..)) {
            return Err(Error::InvalidState);
        }
        check_remote(remote, self.family())?;
        if !is_unicast(remote.ip()) {
            return Err(Error::InvalidArgument);
        }
        let mut options = ConnectOptions { tcp: self.settings().options.clone(), ..ConnectOptions::default() };
        let (connecting, charge) = match self.take_state() {
            State::Unbound(account) => {
                options.tcp.budget = Some(account.quota.memory().clone());
                (TcpStream::start(&account.network, remote, options)?, account.charge)
            }
            State::Bound(bound, account) => {
                options.tcp.budget = Some(account.quota.memory().clone());
                (bound.connect(remote, options)?, account.charge)
            }
            State::Connecting(_) | State::Connected(_) | State::Listening(_) | State::Closed => {
                return Err(Error::InvalidState);
            }
        };
        self.state = State::Connecting(Arc::new(Mutex::new(Some((connecting, charge)))));
        Ok(())
    }

    /// How a connection that was begun came out. Ready at once when that is known.
    ///
    /// # Errors
    /// As [`TcpStream::connect_with`]; [`Error::InvalidState`] where none was begun, or it has failed before.
    pub(in crate::wasm) fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let attempt = match &self.state {
            State::Connecting(attempt) => attempt.clone(),
            State::Connected(_) => return Poll::Ready(Ok(())),
            State::Unbound(_) | State::Bound(..) | State::Listening(_) | State::Closed => {
                return Poll::Ready(Err(Error::InvalidState));
            }
        };
        let mut under_way = attempt.lock();
        let outcome = match under_way.as_mut() {
            Some((connecting, _)) => ready!(Pin::new(connecting).poll(cx)).map_err(Error::from),
            None => Err(Error::InvalidState),
        };
        let ended = under_way.take();
        drop(under_way);
        self.state = State::Closed;
        let stream = outcome?;
        // What was set meanwhile.
        self.settings().apply(&stream)?;
        let Some((_, charge)) = ended else { return Poll::Ready(Err(Error::InvalidState)) };
        self.state = State::Connected(Halves::new(Connection { stream, _charge: charge }));
        Poll::Ready(Ok(()))
    }

    /// Ties a connection that was begun to who waits for it.
    pub(in crate::wasm) fn awaiting(&self) -> Option<Awaiting> {
        match &self.state {
            State::Connecting(attempt) => Some(Awaiting(attempt.clone())),
            _ => None,
        }
    }

    /// Makes the socket a listener; one without an address gets a free port of every address. The listener, and what
    /// connections inherit from it.
    ///
    /// # Errors
    /// [`Error::InvalidState`] where it was connected or made a listener before; [`Error::AddressInUse`] where no port is
    /// free; [`Error::LimitReached`], and the socket is closed.
    pub(in crate::wasm) fn listen(&mut self) -> Result<(Arc<Listener>, Arc<Mutex<Settings>>)> {
        if let State::Unbound(_) = self.state {
            self.bind(any(self.family()))?;
        }
        if !matches!(self.state, State::Bound(..)) {
            return Err(Error::InvalidState);
        }
        let options = ListenOptions { backlog: self.backlog, tcp: self.settings().options.clone() };
        let State::Bound(bound, account) = self.take_state() else { return Err(Error::InvalidState) };
        let listener = Arc::new(Listener::new(bound, options, account.quota, account.charge)?);
        self.state = State::Listening(listener.clone());
        Ok((listener, self.settings.clone()))
    }

    /// The listener, where the socket is one, and what connections inherit from it.
    pub(in crate::wasm) fn listener(&self) -> Option<(&Arc<Listener>, &Arc<Mutex<Settings>>)> {
        match &self.state {
            State::Listening(listener) => Some((listener, &self.settings)),
            _ => None,
        }
    }

    /// The halves of the connection.
    ///
    /// # Errors
    /// [`Error::InvalidState`] where the socket is not connected.
    pub(in crate::wasm) fn halves(&mut self) -> Result<&mut Halves> {
        match &mut self.state {
            State::Connected(halves) => Ok(halves),
            _ => Err(Error::InvalidState),
        }
    }

    /// # Errors
    /// [`Error::InvalidState`] where the socket has none.
    pub(in crate::wasm) fn local_address(&self) -> Result<SocketAddr> {
        match &self.state {
            State::Bound(bound, _) => Ok(bound.local_addr()),
            State::Connecting(attempt) => {
                attempt.lock().as_ref().and_then(|(connecting, _)| connecting.local_addr()).ok_or(Error::InvalidState)
            }
            State::Connected(halves) => Ok(halves.connection.stream.local_addr()),
            State::Listening(listener) => Ok(listener.socket.local_addr()),
            State::Unbound(_) | State::Closed => Err(Error::InvalidState),
        }
    }

    /// # Errors
    /// [`Error::InvalidState`] where the socket is not connected.
    pub(in crate::wasm) fn remote_address(&self) -> Result<SocketAddr> {
        match &self.state {
            State::Connected(halves) => Ok(halves.connection.stream.peer_addr()),
            _ => Err(Error::InvalidState),
        }
    }

    /// Replaced at once by the caller, or else the socket is closed.
    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Closed)
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock()
    }
}

/// The options: read back as they were set.
impl TcpSocket {
    pub(in crate::wasm) fn family(&self) -> Family {
        self.settings().family
    }

    /// # Errors
    /// [`Error::InvalidArgument`] for 0; [`Error::InvalidState`] for a connected socket; [`Error::LimitReached`].
    pub(in crate::wasm) fn set_backlog(&mut self, backlog: u64) -> Result<()> {
        let backlog = size(backlog)?;
        match &self.state {
            State::Unbound(_) | State::Bound(..) => self.backlog = backlog,
            State::Listening(listener) => listener.socket.set_backlog(backlog)?,
            State::Connecting(_) | State::Connected(_) | State::Closed => return Err(Error::InvalidState),
        }
        Ok(())
    }

    /// # Errors
    /// [`Error::InvalidState`] for a closed socket, as for each of the options.
    pub(in crate::wasm) fn keep_alive_enabled(&self) -> Result<bool> {
        Ok(self.open_settings()?.options.keep_alive.is_some())
    }

    pub(in crate::wasm) fn set_keep_alive_enabled(&self, enabled: bool) -> Result<()> {
        self.change_keep_alive(enabled, |_| {})
    }

    pub(in crate::wasm) fn keep_alive(&self) -> Result<KeepAlive> {
        Ok(self.open_settings()?.keep_alive)
    }

    /// # Errors
    /// [`Error::InvalidArgument`] for 0.
    pub(in crate::wasm) fn set_keep_alive_idle(&self, nanoseconds: u64) -> Result<()> {
        let idle = time(nanoseconds)?;
        self.change_keep_alive(self.keep_alive_enabled()?, |keep_alive| keep_alive.idle = idle)
    }

    /// # Errors
    /// [`Error::InvalidArgument`] for 0.
    pub(in crate::wasm) fn set_keep_alive_interval(&self, nanoseconds: u64) -> Result<()> {
        let interval = time(nanoseconds)?;
        self.change_keep_alive(self.keep_alive_enabled()?, |keep_alive| keep_alive.interval = interval)
    }

    /// # Errors
    /// [`Error::InvalidArgument`] for 0.
    pub(in crate::wasm) fn set_keep_alive_count(&self, count: u32) -> Result<()> {
        if count == 0 {
            return Err(Error::InvalidArgument);
        }
        self.change_keep_alive(self.keep_alive_enabled()?, |keep_alive| keep_alive.count = count)
    }

    pub(in crate::wasm) fn hop_limit(&self) -> Result<u8> {
        Ok(self.open_settings()?.options.hop_limit.octet())
    }

    /// # Errors
    /// [`Error::InvalidArgument`] for 0.
    pub(in crate::wasm) fn set_hop_limit(&self, hop_limit: u8) -> Result<()> {
        let hop_limit = units::hop_limit(hop_limit)?;
        self.open_settings()?.options.hop_limit = hop_limit;
        match &self.state {
            State::Connected(halves) => halves.connection.stream.set_hop_limit(hop_limit),
            State::Listening(listener) => listener.socket.set_hop_limit(hop_limit),
            State::Unbound(_) | State::Bound(..) | State::Connecting(_) | State::Closed => {}
        }
        Ok(())
    }

    pub(in crate::wasm) fn receive_buffer(&self) -> Result<u64> {
        Ok(self.open_settings()?.options.receive_buffer as u64)
    }

    /// Sets the receive buffer of a connection, or of those that a listener accepts from now on.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for 0.
    pub(in crate::wasm) fn set_receive_buffer(&self, bytes: u64) -> Result<()> {
        let bytes = size(bytes)?;
        self.open_settings()?.options.receive_buffer = bytes;
        match &self.state {
            State::Connected(halves) => halves.connection.stream.set_receive_buffer(bytes)?,
            State::Listening(listener) => listener.socket.set_receive_buffer(bytes)?,
            State::Unbound(_) | State::Bound(..) | State::Connecting(_) | State::Closed => {}
        }
        Ok(())
    }

    pub(in crate::wasm) fn send_buffer(&self) -> Result<u64> {
        Ok(self.open_settings()?.options.send_buffer as u64)
    }

    /// As [`set_receive_buffer`](Self::set_receive_buffer).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for 0.
    pub(in crate::wasm) fn set_send_buffer(&self, bytes: u64) -> Result<()> {
        let bytes = size(bytes)?;
        self.open_settings()?.options.send_buffer = bytes;
        match &self.state {
            State::Connected(halves) => halves.connection.stream.set_send_buffer(bytes)?,
            State::Listening(listener) => listener.socket.set_send_buffer(bytes)?,
            State::Unbound(_) | State::Bound(..) | State::Connecting(_) | State::Closed => {}
        }
        Ok(())
    }

    fn open_settings(&self) -> Result<MutexGuard<'_, Settings>> {
        let closed = match &self.state {
            State::Closed => true,
            State::Connecting(attempt) => attempt.lock().is_none(),
            State::Unbound(_) | State::Bound(..) | State::Connected(_) | State::Listening(_) => false,
        };
        if closed { Err(Error::InvalidState) } else { Ok(self.settings()) }
    }

    fn change_keep_alive(&self, enabled: bool, change: impl FnOnce(&mut KeepAlive)) -> Result<()> {
        let keep_alive = {
            let mut settings = self.open_settings()?;
            change(&mut settings.keep_alive);
            settings.options.keep_alive = enabled.then_some(settings.keep_alive);
            settings.options.keep_alive
        };
        match &self.state {
            State::Connected(halves) => halves.connection.stream.set_keep_alive(keep_alive)?,
            State::Listening(listener) => listener.socket.set_keep_alive(keep_alive)?,
            State::Unbound(_) | State::Bound(..) | State::Connecting(_) | State::Closed => {}
        }
        Ok(())
    }
}

/// A size, a number of bytes or places, that is not 0.
pub(super) fn size(value: u64) -> Result<usize> {
    if value == 0 { Err(Error::InvalidArgument) } else { Ok(units::size(value)) }
}

/// A time that is not 0.
fn time(nanoseconds: u64) -> Result<Duration> {
    if nanoseconds == 0 { Err(Error::InvalidArgument) } else { Ok(units::duration(nanoseconds)) }
}
