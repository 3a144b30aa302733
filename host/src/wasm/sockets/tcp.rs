//! TCP sockets of `wasi:sockets`.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::{Account, any, check_family, check_remote, not_bindable};
use crate::address::{Family, is_unicast};
use crate::error::{ConnectError, Error, InvalidOption, Result};
use crate::policy::{Charge, SocketKind};
use crate::socket::{self, ConnectOptions, Connecting, KeepAlive, ListenOptions, OnOutage, TcpOptions, TcpStream};
use crate::wasm::connections::{Connection, Halves, Listener, Refused};
use crate::wasm::{NetworkCtx, units};

/// A TCP socket, with the states of `TcpSocketOperationalSemantics.md`, without the ones that only mark operations of
/// 0.2 in progress.
pub(in crate::wasm) struct TcpSocket {
    /// Shared with a listener's stream of connections, each of which inherits the settings.
    settings: Arc<Mutex<Settings>>,
    backlog: usize,
    state: State,
}

/// The options that can be set in any state, and that accepted connections inherit.
#[derive(Clone)]
pub(in crate::wasm) struct Settings {
    family: Family,
    options: TcpOptions,
    /// The keep-alive parameters, which are also kept while keep-alive is disabled.
    keep_alive: KeepAlive,
}

impl Settings {
    /// Sets the options of an existing connection that differ. Mostly none does, and comparing is cheaper than setting.
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
    /// The initial state. Left by `bind`, `connect` and (in 0.3) `listen`.
    Unbound(Account),
    /// The socket has a local address. Left by `connect` and `listen`.
    Bound(socket::TcpSocket, Account),
    /// A connection is being made. Left for `Connected` or `Closed` when the result is polled.
    Connecting(Arc<Attempt>),
    /// The socket is connected, by `connect` or by a listener's accept. Final.
    Connected(Halves),
    /// The socket listens for connections. Final.
    Listening(Arc<Listener>),
    /// An attempt to connect has failed. Final.
    Closed,
}

/// A connection that is being made; `None` once it was cancelled or has ended.
type Attempt = Mutex<Option<(Connecting, Charge)>>;

/// A guard of a task that waits for a connection. If it is dropped before the result is known, the attempt is cancelled
/// without a trace, and the socket is closed.
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
        let state = State::Unbound(Account::open(ctx, SocketKind::Tcp)?);
        let settings = Settings { family, options: TcpOptions::default(), keep_alive: KeepAlive::default() };
        Ok(Self { settings: Arc::new(Mutex::new(settings)), backlog: ListenOptions::default().backlog, state })
    }

    /// The socket of an accepted connection, with the settings that it inherits from its listener.
    pub(in crate::wasm) fn accepted(mut connection: Connection, inherited: &Mutex<Settings>) -> Self {
        let settings = inherited.lock().clone();
        connection.stream.set_on_outage(OnOutage::Wait);
        // Applies options that were set while the connection waited. It cannot fail, because only valid options are
        // stored.
        let _ = settings.apply(&connection.stream);
        Self {
            settings: Arc::new(Mutex::new(settings)),
            backlog: ListenOptions::default().backlog,
            state: State::Connected(Halves::new(connection)),
        }
    }

    /// # Errors
    /// [`Error::InvalidState`] if the socket is bound; [`Error::InvalidArgument`]; else as for
    /// [`socket::TcpSocket::bind`].
    pub(in crate::wasm) fn bind(&mut self, local: SocketAddr) -> Result<()> {
        let family = self.family();
        let State::Unbound(account) = &mut self.state else { return Err(Error::InvalidState) };
        check_family(local, family)?;
        if !local.ip().is_unspecified() && !is_unicast(local.ip()) {
            return Err(Error::InvalidArgument);
        }
        // A failed bind leaves the state unchanged, so it may be tried again.
        account.charge.add_port()?;
        let bound = socket::TcpSocket::bind(&account.network, local).map_err(|error| {
            account.charge.remove_port();
            not_bindable(error)
        })?;
        if let State::Unbound(account) = self.take_state() {
            self.state = State::Bound(bound, account);
        }
        Ok(())
    }

    /// Whether the socket is bound, connected or a listener, or an attempt to connect has failed.
    pub(in crate::wasm) const fn is_bound(&self) -> bool {
        !matches!(self.state, State::Unbound(_))
    }

    /// Starts to connect.
    ///
    /// # Errors
    /// [`Error::InvalidState`] if the socket was connected or made a listener before; [`Error::InvalidArgument`],
    /// [`Error::AccessDenied`] and [`Error::LimitReached`]: no attempt was made, and the socket is as it was. The other
    /// errors of [`TcpStream::start`] are failures of the attempt, which close the socket (WIT: the only valid action
    /// left is to drop it).
    pub(in crate::wasm) fn start_connect(&mut self, remote: SocketAddr) -> Result<()> {
        let (State::Unbound(account) | State::Bound(_, account)) = &self.state else {
            return Err(Error::InvalidState);
        };
        let quota = account.quota.clone();
        check_remote(remote, self.family())?;
        if !is_unicast(remote.ip()) {
            return Err(Error::InvalidArgument);
        }
        let mut options = ConnectOptions { tcp: self.settings().options.clone(), ..ConnectOptions::default() };
        options.tcp.budget = Some(quota.memory().clone());
        // The state before is kept with an error.
        let started = match self.take_state() {
            State::Unbound(account) => match TcpStream::start(&account.network, remote, options) {
                Ok(connecting) => Ok((connecting, account.charge)),
                Err(error) => Err((error, State::Unbound(account))),
            },
            State::Bound(bound, account) => match bound.try_connect(remote, options) {
                Ok(connecting) => Ok((connecting, account.charge)),
                Err((error, bound)) => Err((error, State::Bound(bound, account))),
            },
            State::Connecting(_) | State::Connected(_) | State::Listening(_) | State::Closed => {
                return Err(Error::InvalidState);
            }
        };
        match started {
            Ok(under_way) => {
                self.state = State::Connecting(Arc::new(Mutex::new(Some(under_way))));
                Ok(())
            }
            Err((error, before)) => {
                if !is_attempt(error) {
                    self.state = before;
                }
                quota.count(Err(error))
            }
        }
    }

    /// Polls the result of connecting. Ready at once if it is known.
    ///
    /// # Errors
    /// As for [`TcpStream::connect_with`]; [`Error::InvalidState`] if no attempt was started, or it has failed before.
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
        let mut stream = outcome?;
        stream.set_on_outage(OnOutage::Wait);
        // Applies options that were set meanwhile.
        self.settings().apply(&stream)?;
        let Some((_, charge)) = ended else { return Poll::Ready(Err(Error::InvalidState)) };
        self.state = State::Connected(Halves::new(Connection { stream, _charge: charge }));
        Poll::Ready(Ok(()))
    }

    /// A guard that cancels the attempt when it is dropped; `None` if there is no attempt.
    pub(in crate::wasm) fn awaiting(&self) -> Option<Awaiting> {
        match &self.state {
            State::Connecting(attempt) => Some(Awaiting(attempt.clone())),
            _ => None,
        }
    }

    /// Makes the socket a listener. An unbound socket is bound to the unspecified address and a free port first.
    /// Returns the listener, and the settings that its connections inherit.
    ///
    /// # Errors
    /// [`Error::InvalidState`] if the socket was connected or made a listener before; [`Error::AddressInUse`] if no
    /// port is free; [`Error::LimitReached`] and [`Error::AccessDenied`]. The socket is as it was, and it may be tried
    /// again.
    pub(in crate::wasm) fn listen(&mut self) -> Result<(Arc<Listener>, Arc<Mutex<Settings>>)> {
        let was_unbound = matches!(self.state, State::Unbound(_));
        if was_unbound {
            self.bind(any(self.family()))?;
        }
        // Whether the guest may listen on the port is known only when the port is.
        let listening = self.listen_bound();
        if was_unbound && listening.is_err() {
            self.unbind();
        }
        listening
    }

    /// Gives back the address of a bound socket.
    fn unbind(&mut self) {
        match self.take_state() {
            State::Bound(bound, mut account) => {
                drop(bound);
                account.charge.remove_port();
                self.state = State::Unbound(account);
            }
            other => self.state = other,
        }
    }

    /// Makes a bound socket a listener. After an error the socket is bound as before.
    fn listen_bound(&mut self) -> Result<(Arc<Listener>, Arc<Mutex<Settings>>)> {
        if !matches!(self.state, State::Bound(..)) {
            return Err(Error::InvalidState);
        }
        let options = ListenOptions { backlog: self.backlog, tcp: self.settings().options.clone() };
        let State::Bound(bound, account) = self.take_state() else { return Err(Error::InvalidState) };
        let Account { network, quota, charge } = account;
        match Listener::new(bound, options, OnOutage::Wait, quota.clone(), charge) {
            Ok(listener) => {
                let listener = Arc::new(listener);
                self.state = State::Listening(listener.clone());
                Ok((listener, self.settings.clone()))
            }
            Err(refused) => {
                let Refused { error, bound, charge } = *refused;
                self.state = State::Bound(bound, Account { network, quota, charge });
                Err(error)
            }
        }
    }

    /// The listener and the settings that its connections inherit, if the socket is a listener.
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
    pub(in crate::wasm) fn halves(&self) -> Result<&Halves> {
        match &self.state {
            State::Connected(halves) => Ok(halves),
            _ => Err(Error::InvalidState),
        }
    }

    /// # Errors
    /// [`Error::InvalidState`] if the socket has no local address.
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

    /// Takes the state. Unless the caller sets a new one, the socket is closed.
    fn take_state(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Closed)
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock()
    }
}

/// The options, which are returned as they were set.
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
            State::Listening(listener) => listener.set_backlog(backlog)?,
            State::Connecting(_) | State::Connected(_) | State::Closed => return Err(Error::InvalidState),
        }
        Ok(())
    }

    /// # Errors
    /// [`Error::InvalidState`] for a closed socket. All options have this error.
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

    /// Sets the receive buffer in bytes, of a connection or of the connections that a listener accepts from now on.
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

    /// Like [`set_receive_buffer`](Self::set_receive_buffer), for the send buffer.
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

/// Whether an error of starting to connect means that an attempt has failed. The other errors are refusals: they are
/// found out before anything is attempted.
const fn is_attempt(error: ConnectError) -> bool {
    match error {
        ConnectError::InvalidArgument
        | ConnectError::InvalidState
        | ConnectError::AccessDenied
        | ConnectError::LimitReached => false,
        ConnectError::NotFound
        | ConnectError::AddressNotAvailable
        | ConnectError::AddressInUse
        | ConnectError::NetworkDown
        | ConnectError::RemoteUnreachable
        | ConnectError::ConnectionRefused
        | ConnectError::ConnectionReset
        | ConnectError::ConnectionAborted
        | ConnectError::TimedOut => true,
    }
}

/// Converts a size (a number of bytes or places) that must not be 0.
pub(super) fn size(value: u64) -> Result<usize> {
    if value == 0 { Err(Error::InvalidArgument) } else { Ok(units::size(value)) }
}

/// Converts a time that must not be 0.
fn time(nanoseconds: u64) -> Result<Duration> {
    if nanoseconds == 0 { Err(Error::InvalidArgument) } else { Ok(units::duration(nanoseconds)) }
}
