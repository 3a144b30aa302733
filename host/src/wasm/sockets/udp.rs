//! UDP sockets of `wasi:sockets`.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use super::tcp::size;
use super::{Account, any, check_family, check_remote, not_bindable};
use crate::address::Family;
use crate::error::{Error, Result};
use crate::policy::{Charge, SocketKind};
use crate::socket::{self, OnOutage, UdpOptions};
use crate::stack::options::datagram_memory;
use crate::wasm::{NetworkCtx, units};

/// A UDP socket.
pub(in crate::wasm) struct UdpSocket {
    family: Family,
    /// The options until the socket is bound; a bound socket has its own.
    options: UdpOptions,
    /// The size of the send buffer, which has no effect and can only be read back: datagrams are sent at once.
    send_buffer: u64,
    state: State,
}

enum State {
    /// The initial state. Left by `bind`, and by operations that bind implicitly.
    Unbound(Account),
    /// The socket has a local address. Final.
    Bound(Arc<Bound>),
    /// The socket is being bound.
    Binding,
}

/// A bound socket, which waiting calls and datagram streams share.
pub(in crate::wasm) struct Bound {
    pub(in crate::wasm) socket: socket::UdpSocket,
    charge: Mutex<Charge>,
}

impl Bound {
    /// Makes `remote` the only peer.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`]; [`Error::AccessDenied`] if the policy denies sending to it.
    pub(in crate::wasm) fn connect(&self, remote: SocketAddr) -> Result<()> {
        check_remote(remote, self.family())?;
        Ok(self.socket.connect(remote)?)
    }

    /// The destination of a datagram.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] without a remote address on an unconnected socket, for another address than the
    /// connected one, and for an invalid one.
    pub(in crate::wasm) fn destination(&self, remote: Option<SocketAddr>) -> Result<SocketAddr> {
        let peer = self.socket.peer_addr();
        let remote = remote.or(peer).ok_or(Error::InvalidArgument)?;
        check_remote(remote, self.family())?;
        if peer.is_some_and(|peer| peer != remote) { Err(Error::InvalidArgument) } else { Ok(remote) }
    }

    fn family(&self) -> Family {
        Family::of(self.socket.local_addr().ip())
    }
}

impl UdpSocket {
    /// # Errors
    /// [`Error::AccessDenied`] for a guest without a network; [`Error::LimitReached`].
    pub(in crate::wasm) fn create(ctx: &NetworkCtx, family: Family) -> Result<Self> {
        let options = UdpOptions::default();
        let state = State::Unbound(Account::open(ctx, SocketKind::Udp)?);
        Ok(Self { family, send_buffer: options.receive_buffer as u64, options, state })
    }

    /// # Errors
    /// [`Error::InvalidState`] if it is bound; [`Error::InvalidArgument`]; [`Error::LimitReached`]; else as for
    /// [`socket::UdpSocket::bind_with`]. After an error it may be tried again.
    pub(in crate::wasm) fn bind(&mut self, local: SocketAddr) -> Result<()> {
        let State::Unbound(account) = &mut self.state else { return Err(Error::InvalidState) };
        check_family(local, self.family)?;
        let memory = datagram_memory(self.options.receive_buffer);
        let bound = account.charge.resize(memory).and_then(|()| account.charge.add_port()).and_then(|()| {
            let bound = socket::UdpSocket::bind_with(&account.network, local, &self.options);
            account.quota.count(bound.map_err(not_bindable))
        });
        let mut socket = match bound {
            Ok(socket) => socket,
            Err(error) => {
                account.charge.resize(0)?;
                account.charge.remove_port();
                return Err(error);
            }
        };
        socket.set_on_outage(OnOutage::Wait);
        socket.set_drops_if_crowded(true);
        if let State::Unbound(account) = std::mem::replace(&mut self.state, State::Binding) {
            self.state = State::Bound(Arc::new(Bound { socket, charge: Mutex::new(account.charge) }));
        }
        Ok(())
    }

    /// The bound socket.
    ///
    /// # Errors
    /// [`Error::InvalidState`] if the socket is not bound.
    pub(in crate::wasm) fn bound(&self) -> Result<&Arc<Bound>> {
        match &self.state {
            State::Bound(bound) => Ok(bound),
            State::Unbound(_) | State::Binding => Err(Error::InvalidState),
        }
    }

    /// The bound socket. An unbound one is bound to the unspecified address and a free port first, unless the guest may
    /// not send to `remote`: an operation that is denied must not leave the socket bound.
    ///
    /// # Errors
    /// [`Error::AccessDenied`]; [`Error::AddressInUse`] if no port is free; else as for [`bind`](Self::bind).
    fn bound_for(&mut self, remote: SocketAddr) -> Result<&Arc<Bound>> {
        if let State::Unbound(account) = &self.state {
            account.network.check_first_datagram(remote)?;
            self.bind(any(self.family))?;
        }
        self.bound()
    }

    /// The socket and the destination for a datagram: `remote`, or else the peer. Binds the socket implicitly, after
    /// the arguments were checked.
    ///
    /// # Errors
    /// As for [`Bound::destination`] and [`bound_for`](Self::bound_for).
    pub(in crate::wasm) fn sender(&mut self, remote: Option<SocketAddr>) -> Result<(Arc<Bound>, SocketAddr)> {
        if let State::Unbound(_) = self.state {
            let remote = remote.ok_or(Error::InvalidArgument)?;
            check_remote(remote, self.family)?;
            self.bound_for(remote)?;
        }
        let bound = self.bound()?;
        Ok((bound.clone(), bound.destination(remote)?))
    }

    /// Makes `remote` the only peer. Binds the socket implicitly, after the arguments were checked.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`]; else as for [`bound_for`](Self::bound_for).
    pub(in crate::wasm) fn connect(&mut self, remote: SocketAddr) -> Result<()> {
        check_remote(remote, self.family)?;
        self.bound_for(remote)?.connect(remote)
    }

    /// # Errors
    /// [`Error::InvalidState`] where the socket is not connected.
    pub(in crate::wasm) fn disconnect(&self) -> Result<()> {
        Ok(self.bound()?.socket.disconnect()?)
    }

    /// # Errors
    /// [`Error::InvalidState`] where the socket is not bound.
    pub(in crate::wasm) fn local_address(&self) -> Result<SocketAddr> {
        Ok(self.bound()?.socket.local_addr())
    }

    /// # Errors
    /// [`Error::InvalidState`] where the socket is not connected.
    pub(in crate::wasm) fn remote_address(&self) -> Result<SocketAddr> {
        self.bound()?.socket.peer_addr().ok_or(Error::InvalidState)
    }

    pub(in crate::wasm) const fn family(&self) -> Family {
        self.family
    }

    pub(in crate::wasm) fn hop_limit(&self) -> u8 {
        self.bound().map_or(self.options.hop_limit, |bound| bound.socket.hop_limit()).octet()
    }

    /// # Errors
    /// [`Error::InvalidArgument`] for 0.
    pub(in crate::wasm) fn set_hop_limit(&mut self, hop_limit: u8) -> Result<()> {
        let hop_limit = units::hop_limit(hop_limit)?;
        match &self.state {
            State::Bound(bound) => bound.socket.set_hop_limit(hop_limit),
            State::Unbound(_) | State::Binding => self.options.hop_limit = hop_limit,
        }
        Ok(())
    }

    pub(in crate::wasm) fn receive_buffer(&self) -> u64 {
        self.bound().map_or(self.options.receive_buffer, |bound| bound.socket.receive_buffer()) as u64
    }

    /// # Errors
    /// [`Error::InvalidArgument`] for 0; [`Error::LimitReached`].
    pub(in crate::wasm) fn set_receive_buffer(&mut self, bytes: u64) -> Result<()> {
        let bytes = size(bytes)?;
        if let State::Bound(bound) = &self.state {
            // The queue must never hold more than is charged. So the charge grows before the buffer, and shrinks after
            // it.
            let mut charge = bound.charge.lock();
            charge.grow(datagram_memory(bytes))?;
            bound.socket.set_receive_buffer(bytes)?;
            return charge.resize(datagram_memory(bytes));
        }
        self.options.receive_buffer = bytes;
        Ok(())
    }

    pub(in crate::wasm) const fn send_buffer(&self) -> u64 {
        self.send_buffer
    }

    /// # Errors
    /// [`Error::InvalidArgument`] for 0.
    pub(in crate::wasm) fn set_send_buffer(&mut self, bytes: u64) -> Result<()> {
        size(bytes)?;
        self.send_buffer = bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manager::Manager;
    use crate::platform::simulated::Simulation;
    use crate::policy::Limits;

    /// The quota counts what the queue may hold, whatever size was requested.
    #[test]
    fn a_socket_is_charged_for_what_its_queue_may_hold() {
        let manager = Manager::new(Simulation::new(1).platform());
        let limits = Limits { buffer_bytes: 100_000, ..Limits::default() };
        let ctx = NetworkCtx::builder().network(manager.network()).limits(limits).build();
        let counted = || ctx.quota().usage().buffer_bytes;
        let mut socket = UdpSocket::create(&ctx, Family::V4).unwrap();
        assert_eq!(socket.set_receive_buffer(0), Err(Error::InvalidArgument));
        socket.set_receive_buffer(1).unwrap();
        assert_eq!(counted(), 0, "it has no queue yet");
        socket.bind("127.0.0.1:9".parse().unwrap()).unwrap();
        assert_eq!((counted(), socket.receive_buffer()), (2304, 1));
        for (asked, charged) in [(99_000, 99_000), (3000, 3000), (1, 2304)] {
            socket.set_receive_buffer(asked).unwrap();
            assert_eq!((counted(), socket.receive_buffer()), (charged, asked));
        }
        assert_eq!(socket.set_receive_buffer(100_001), Err(Error::LimitReached));
        assert_eq!((counted(), socket.receive_buffer()), (2304, 1));
        drop(socket);
        assert_eq!(counted(), 0);
    }
}
