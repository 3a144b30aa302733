//! The calls by which the owners of connections and listeners use [`Tcp`].

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::connection::{Charges, Connection, Effects, Owner, ReadError, WriteError};
use super::egress::Service;
use super::ingress::is_host;
use super::options::{InvalidOption, Options};
use super::sequence::Sequence;
use super::state::{Cause, Info, TcpState};
use super::tuple::Tuple;
use super::{
    Accepted, Attempt, BindError, ConnectError, ConnectionId, Entry, Filter, Flow, Holder, ListenerId, Places, Tcp,
};
use crate::buffer::{Slice, Slices};
use crate::event::Event;
use crate::ip::output::Outlet;
use crate::ports;
use crate::time::Instant;
use crate::wire::HopLimit;

impl Tcp {
    /// Binds a local address and port, for a socket of an owner that may listen or connect later. The address may be
    /// unspecified, which means every address of its family. Port 0 with the unspecified address means every port that
    /// no other socket has. The connections that the socket accepts are the owner's.
    ///
    /// Connections, and records in TIME-WAIT, do not prevent binding.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(&mut self, address: IpAddr, port: u16, owner: ports::Owner) -> Result<ListenerId, BindError> {
        self.listeners.bind(address, port, owner)
    }

    /// Makes a bound socket listen.
    pub fn listen(&mut self, id: ListenerId, places: Places, options: Options) {
        let options = self.share_options(options);
        self.listeners.open(id, places, options);
    }

    /// Lets a listener hear only of peers that pass a filter. What others send to it is dropped and counted, and not answered.
    pub fn set_listener_filter(&mut self, id: ListenerId, filter: Option<Filter>) {
        if let Some(listening) = self.listeners.listening_mut(id) {
            listening.set_filter(filter);
        }
    }

    /// The options of future connections of a listener; `None` if the socket does not listen.
    #[must_use]
    pub fn listener_options(&self, id: ListenerId) -> Option<&Options> {
        self.listeners.listening(id).map(|listening| &*listening.options)
    }

    /// Changes the options of future connections of a listener.
    ///
    /// [`InvalidOption`], in which case nothing was changed.
    pub fn configure_listener(
        &mut self,
        id: ListenerId,
        change: impl FnOnce(&mut Options),
    ) -> Result<(), InvalidOption> {
        let Some(listening) = self.listeners.listening_mut(id) else { return Ok(()) };
        let mut options = (*listening.options).clone();
        change(&mut options);
        options.validate()?;
        listening.options = Arc::new(options);
        Ok(())
    }

    /// Releases a bound address. Connections that wait to be accepted and handshakes under way are reset.
    pub fn unbind(&mut self, id: ListenerId, now: Instant, out: &mut dyn Outlet) {
        let flows = &mut self.flows;
        let mut half_open: Vec<(Tuple, Sequence, Sequence)> = Vec::new();
        let listening = self.listeners.listening(id);
        let service =
            listening.map_or(Service::plain(HopLimit::DEFAULT), |listening| Service::from(&*listening.options));
        if listening.is_some_and(|listening| listening.half_open() > 0) {
            self.half_open.remove_all(id, |key, record| {
                flows.remove(&record.tuple, Flow::HalfOpen(key));
                half_open.push((record.tuple, record.isn + 1, record.peer_isn + 1));
            });
        }
        for (tuple, sequence, acknowledgement) in half_open {
            self.send_reset(&tuple, service, sequence, Some(acknowledgement), now, out);
        }
        let owner = self.listeners.owner(id);
        for connection in self.listeners.unbind(id) {
            if let Some(entry) = self.connections.get_mut(connection.0) {
                entry.holder = Holder::Owner(owner);
                entry.connection.release(now);
                entry.connection.abort(Cause::Aborted, now);
                self.apply_effects(connection, Effects::default(), now);
            }
        }
    }

    /// Takes the oldest connection that waits to be accepted, and hands it to its owner in the same step.
    pub fn accept(&mut self, id: ListenerId) -> Option<Accepted> {
        let owner = self.listeners.owner(id);
        while let Some(connection) = self.listeners.take(id) {
            if let Some(entry) = self.connections.get_mut(connection.0)
                && entry.listener() == Some(id)
            {
                entry.holder = Holder::Owner(owner);
                let tuple = entry.connection.tuple();
                return Some(Accepted { id: connection, local: tuple.local(), remote: tuple.remote() });
            }
        }
        None
    }

    /// Whether a connection waits to be accepted.
    #[must_use]
    pub fn is_acceptable(&self, id: ListenerId) -> bool {
        self.listeners.is_ready(id)
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect(&mut self, attempt: &Attempt, options: Options, now: Instant) -> Result<ConnectionId, ConnectError> {
        let Attempt { owner, local, remote, bound: _, timeout } = *attempt;
        // Both addresses must be those of hosts (RFC 9293 section 3.9.1.1, MUST-46).
        let are_hosts = is_host(local.ip()) && is_host(remote.ip());
        if local.is_ipv4() != remote.is_ipv4() || !are_hosts || remote.port() == 0 {
            return Err(ConnectError::InvalidAddress);
        }
        self.destinations.expire(now);
        let tuple = self.choose(attempt, now)?;
        let charges = Charges::new(&options, &self.budget).ok_or(ConnectError::LimitReached)?;
        let isn = self.initial_sequence(&tuple, now);
        // Begins beyond the sequence numbers of an earlier connection of the same ends (RFC 9293 section 3.6.1, RFC
        // 6191).
        let isn = self.time_wait.take(&tuple).map_or(isn, |remnant| isn.latest(remnant.next + BEYOND));
        // If the peer is on this interface too, nothing old is under way, and its record in TIME-WAIT need not
        // challenge the SYN.
        self.time_wait.take(&tuple.reversed());
        let deadline = now + timeout;
        let options = self.share_options(options);
        let connection = Connection::connect(tuple, options, charges, isn, self.clock_offset(&tuple), deadline, now);
        let has_share = self.destinations.take(&tuple, owner);
        let entry = Entry { has_share, ..Entry::new(connection, Holder::Owner(owner)) };
        let id = ConnectionId(self.connections.insert(entry));
        self.flows.insert(&tuple, Flow::Connection(id));
        self.mark_pending(id);
        self.arm(id);
        Ok(id)
    }

    /// The owner of a connection.
    #[must_use]
    pub fn owner(&self, id: ConnectionId) -> Option<ports::Owner> {
        self.connections.get(id.0).map(|entry| match entry.holder {
            Holder::Listener(listener) => self.listeners.owner(listener),
            Holder::Owner(owner) => owner,
        })
    }

    /// The owner of the connection with these ends, or of the listener that has a handshake with them under way. A
    /// connection in TIME-WAIT has no owner any more.
    #[must_use]
    pub fn owner_of(&self, tuple: &Tuple) -> Option<ports::Owner> {
        match self.flow(tuple)? {
            Flow::Connection(id) => self.owner(id),
            Flow::HalfOpen(key) => self.half_open.get(key).map(|record| self.listeners.owner(record.listener)),
        }
    }

    /// Chooses the two ends of a new connection.
    fn choose(&mut self, attempt: &Attempt, now: Instant) -> Result<Tuple, ConnectError> {
        let Attempt { owner, local, remote, bound, timeout: _ } = *attempt;
        let tuple = |port| Tuple::new(SocketAddr::new(local.ip(), port), remote);
        self.destinations.check(&tuple(local.port()), owner)?;
        if local.port() != 0 {
            let tuple = tuple(local.port());
            let own = bound.is_some_and(|bound| self.is_bound_to(bound, tuple.local()));
            // A connection must not use a port that another socket is bound to: clients of that socket would reach this
            // connection instead.
            let foreign = !own && self.listeners.conflicts(local.ip(), local.port());
            let free = !foreign && self.flow(&tuple).is_none() && self.is_past(&tuple, now);
            return if free { Ok(tuple) } else { Err(ConnectError::AddressInUse) };
        }
        let (first, last) = (*self.config.ports.range.start(), *self.config.ports.range.end());
        if first > last {
            return Err(ConnectError::AddressInUse);
        }
        // RFC 6056 section 3.3.1: the next free port, counted from a random one.
        let start = self.random.range(self.config.ports.range.clone());
        (start..=last)
            .chain(first..start)
            .map(tuple)
            // A connection of a socket with itself (a simultaneous open, RFC 9293) is possible only if the caller names
            // the port.
            .find(|tuple| tuple.local() != tuple.remote() && self.is_free(tuple) && self.is_past(tuple, now))
            .ok_or(ConnectError::AddressInUse)
    }

    fn is_bound_to(&self, bound: ListenerId, local: SocketAddr) -> bool {
        let any: IpAddr = if local.is_ipv4() {
            core::net::Ipv4Addr::UNSPECIFIED.into()
        } else {
            core::net::Ipv6Addr::UNSPECIFIED.into()
        };
        [local, SocketAddr::new(any, local.port())].into_iter().any(|at| self.listeners.at(at) == Some(bound))
    }

    /// Whether a new connection may use a pair of ends with an ephemeral local port.
    fn is_free(&self, tuple: &Tuple) -> bool {
        // The reversed tuple counts too: the peer of a connection of this host to itself is a flow of this interface.
        !self.listeners.conflicts(tuple.local().ip(), tuple.local().port())
            && self.flow(tuple).is_none()
            && self.flow(&tuple.reversed()).is_none()
    }

    /// Whether no record in TIME-WAIT keeps a new connection from using a pair of ends.
    fn is_past(&self, tuple: &Tuple, now: Instant) -> bool {
        self.config.loops_back || !self.time_wait.holds(tuple) || self.time_wait.reusable(tuple, now)
    }

    /// The result of [`connect`](Self::connect); `None` while the handshake is under way.
    #[must_use]
    pub fn is_connected(&self, id: ConnectionId) -> Option<Result<(), Cause>> {
        let Some(entry) = self.connections.get(id.0) else { return Some(Err(Cause::Aborted)) };
        if entry.connection.is_opening() {
            return None;
        }
        Some(match entry.connection.cause() {
            Some(cause) => Err(cause),
            None => Ok(()),
        })
    }

    /// Fails a connection that is still being opened, because its peer cannot be reached. Established connections are
    /// not affected (RFC 5927 section 5.2).
    pub fn fail_connecting(&mut self, id: ConnectionId, cause: Cause, now: Instant) {
        if let Some(entry) = self.connections.get_mut(id.0)
            && entry.connection.is_opening()
        {
            entry.connection.abort(cause, now);
            self.apply_effects(id, Effects { readable: true, writable: true, ..Effects::default() }, now);
        }
    }

    /// Reads bytes that have arrived. `Ok(0)` for a non-empty buffer means the end of the stream.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read(&mut self, id: ConnectionId, buffer: &mut [u8], now: Instant) -> Result<usize, ReadError> {
        let entry = self.connections.get_mut(id.0).ok_or(ReadError::Unknown)?;
        let had_news = entry.connection.has_news();
        let count = entry.connection.read(buffer, now)?;
        self.after_read(id, had_news, now);
        Ok(count)
    }

    /// Like [`read`](Self::read), but returns at most `most` bytes by reference, so that the caller can copy them
    /// without blocking others that wait for the engine. Returns no slices at the end of the stream.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn read_slices(&mut self, id: ConnectionId, most: usize, now: Instant) -> Result<Slices, ReadError> {
        let entry = self.connections.get_mut(id.0).ok_or(ReadError::Unknown)?;
        let had_news = entry.connection.has_news();
        let slices = entry.connection.read_slices(most, now)?;
        self.after_read(id, had_news, now);
        Ok(slices)
    }

    /// How many bytes are ready to be read.
    #[must_use]
    pub fn readable_bytes(&mut self, id: ConnectionId) -> usize {
        self.connections.get_mut(id.0).map_or(0, |entry| entry.connection.readable_bytes())
    }

    /// Like [`read`](Self::read), but leaves the bytes in the queue.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn peek(&mut self, id: ConnectionId, buffer: &mut [u8], now: Instant) -> Result<usize, ReadError> {
        let entry = self.connections.get_mut(id.0).ok_or(ReadError::Unknown)?;
        let had_news = entry.connection.has_news();
        let count = entry.connection.peek(buffer)?;
        self.after_read(id, had_news, now);
        Ok(count)
    }

    /// Lets a connection send a window update if the read made one due. If the peer on this interface was waiting for
    /// the owner to look at the data, it may send now.
    fn after_read(&mut self, id: ConnectionId, had_news: bool, now: Instant) {
        let Some(entry) = self.connections.get(id.0) else { return };
        let peer = entry.peer.filter(|_| had_news);
        if entry.connection.owes_acknowledgement() {
            self.touch(id, now);
        }
        if let Some(peer) = peer {
            self.touch(peer, now);
        }
    }

    /// Queues as many bytes to be sent as there is room for.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn write(&mut self, id: ConnectionId, bytes: &[u8], now: Instant) -> Result<usize, WriteError> {
        let entry = self.connections.get_mut(id.0).ok_or(WriteError::Unknown)?;
        let count = entry.connection.write(bytes, &self.config.memory, now)?;
        self.touch(id, now);
        Ok(count)
    }

    /// Like [`write`](Self::write), but queues slices by reference. The caller has copied the bytes to them without
    /// blocking others that wait for the engine.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn write_slices(&mut self, id: ConnectionId, slices: &[Slice], now: Instant) -> Result<usize, WriteError> {
        let entry = self.connections.get_mut(id.0).ok_or(WriteError::Unknown)?;
        let count = entry.connection.write_slices(slices, &self.config.memory, now)?;
        self.touch(id, now);
        Ok(count)
    }

    /// How many bytes there is room to write.
    ///
    /// Those of [`write`](Self::write), except that lack of room is not an error.
    pub fn room(&mut self, id: ConnectionId) -> Result<usize, WriteError> {
        self.connections.get_mut(id.0).ok_or(WriteError::Unknown)?.connection.room()
    }

    /// Promises that the next write takes up to `most` bytes, whatever others do meanwhile. Returns how many.
    ///
    /// Those of [`write`](Self::write), except that lack of room is not an error.
    pub fn promise(&mut self, id: ConnectionId, most: usize) -> Result<usize, WriteError> {
        self.connections.get_mut(id.0).ok_or(WriteError::Unknown)?.connection.promise(most)
    }

    /// Whether [`read`](Self::read) would not fail with [`ReadError::WouldBlock`].
    #[must_use]
    pub fn is_readable(&mut self, id: ConnectionId) -> bool {
        self.connections.get_mut(id.0).is_none_or(|entry| entry.connection.is_readable())
    }

    /// Whether [`write`](Self::write) would not fail with [`WriteError::WouldBlock`], and [`promise`](Self::promise)
    /// not promise nothing: there is room in the queue, and memory.
    #[must_use]
    pub fn is_writable(&mut self, id: ConnectionId) -> bool {
        self.connections.get_mut(id.0).is_none_or(|entry| entry.connection.is_writable())
    }

    /// Whether everything written was acknowledged and, if `finished`, the FIN too.
    ///
    /// The [`Cause`] if the connection has failed.
    pub fn is_flushed(&self, id: ConnectionId, finished: bool) -> Result<bool, Cause> {
        self.connections.get(id.0).map_or(Ok(true), |entry| entry.connection.is_flushed(finished))
    }

    /// Closes the sending half: a FIN follows what was written.
    ///
    /// The [`Cause`] if the connection has failed.
    pub fn shutdown_write(&mut self, id: ConnectionId, now: Instant) -> Result<(), Cause> {
        let Some(entry) = self.connections.get_mut(id.0) else { return Ok(()) };
        entry.connection.shutdown_write(now)?;
        self.events.tell(Event::Writable(id));
        self.touch(id, now);
        Ok(())
    }

    /// Closes the receiving half: from now on reads return the end of the stream, and arriving data is dropped.
    pub fn shutdown_read(&mut self, id: ConnectionId, now: Instant) {
        if let Some(entry) = self.connections.get_mut(id.0) {
            entry.connection.shutdown_read();
            self.events.tell(Event::Readable(id));
            self.touch(id, now);
        }
    }

    /// Releases a connection, which then has no owner. If bytes were not read, it is reset (RFC 2525 section 2.17);
    /// otherwise it is closed in good order, within the linger time.
    pub fn release(&mut self, id: ConnectionId, now: Instant) {
        if let Some(entry) = self.connections.get_mut(id.0) {
            entry.connection.release(now);
            self.count_orphan(id, now);
            self.apply_effects(id, Effects::default(), now);
        }
    }

    /// Aborts a connection: its peer is sent a reset, and waiting tasks learn `cause`.
    pub fn abort(&mut self, id: ConnectionId, cause: Cause, now: Instant) {
        if let Some(entry) = self.connections.get_mut(id.0) {
            entry.connection.abort(cause, now);
            self.apply_effects(id, Effects { readable: true, writable: true, ..Effects::default() }, now);
        }
    }

    /// Removes a connection without sending anything to its peer, because its interface is gone.
    pub fn forget(&mut self, id: ConnectionId) {
        if let Some(entry) = self.remove(id) {
            self.vacate(id, entry.connection.tuple(), entry.sharer());
        }
    }

    /// Changes options that may change while the connection lives.
    ///
    /// [`InvalidOption`], in which case nothing was changed.
    pub fn configure(
        &mut self,
        id: ConnectionId,
        change: impl FnOnce(&mut Options),
        now: Instant,
    ) -> Result<(), InvalidOption> {
        let Some(entry) = self.connections.get_mut(id.0) else { return Ok(()) };
        entry.connection.configure(change, now)?;
        // There may be more room now.
        self.events.tell(Event::Writable(id));
        self.touch(id, now);
        Ok(())
    }

    /// The options of a connection.
    #[must_use]
    pub fn options(&self, id: ConnectionId) -> Option<&Options> {
        self.connections.get(id.0).map(|entry| entry.connection.options())
    }

    /// The listener whose accept queue a connection waits in.
    #[must_use]
    pub fn listener_of(&self, id: ConnectionId) -> Option<ListenerId> {
        self.connections.get(id.0)?.listener()
    }

    /// The two ends of a connection.
    #[must_use]
    pub fn tuple(&self, id: ConnectionId) -> Option<Tuple> {
        self.connections.get(id.0).map(|entry| *entry.connection.tuple())
    }

    /// The state of a connection.
    #[must_use]
    pub fn state(&self, id: ConnectionId) -> TcpState {
        self.connections.get(id.0).map_or(TcpState::Closed, |entry| entry.connection.state())
    }

    /// The state and statistics of a connection.
    #[must_use]
    pub fn info(&self, id: ConnectionId) -> Info {
        self.connections.get(id.0).map_or(Info::CLOSED, |entry| entry.connection.info())
    }

    /// Whether a connection has no owner any more.
    #[must_use]
    pub fn is_orphan(&self, id: ConnectionId) -> bool {
        self.connections.get(id.0).is_some_and(|entry| matches!(entry.connection.owner(), Owner::Nobody { .. }))
    }

    /// Whether this sequence number was sent on a pair of ends and is not acknowledged yet. If so, an ICMP error that
    /// quotes it is credible (RFC 5927 section 4.1).
    #[must_use]
    pub fn is_in_flight(&self, tuple: &Tuple, sequence: Sequence) -> bool {
        match self.flow(tuple) {
            Some(Flow::Connection(id)) => {
                self.connections.get(id.0).is_some_and(|entry| entry.connection.is_in_flight(sequence))
            }
            Some(Flow::HalfOpen(key)) => self.half_open.get(key).is_some_and(|record| record.isn == sequence),
            None => false,
        }
    }

    /// The connection with a pair of ends.
    #[must_use]
    pub fn find(&self, tuple: &Tuple) -> Option<ConnectionId> {
        match self.flow(tuple) {
            Some(Flow::Connection(id)) => Some(id),
            Some(Flow::HalfOpen(_)) | None => None,
        }
    }

    /// Lowers the path MTU to a peer: its connections send smaller segments, and retransmit those that were too long.
    /// The path MTU is never larger than the MTU of the link.
    pub fn set_path_mtu(&mut self, remote: IpAddr, mtu: usize, now: Instant) {
        let mtu = mtu.min(self.config.link.mtu);
        let concerned: Vec<ConnectionId> =
            self.connections().filter(|(_, tuple, _)| tuple.remote().ip() == remote).map(|(id, ..)| id).collect();
        for id in concerned {
            if let Some(entry) = self.connections.get_mut(id.0) {
                entry.connection.set_path_mtu(mtu);
                self.touch(id, now);
            }
        }
    }

    /// Aborts all connections of a local address that was removed.
    pub fn remove_address(&mut self, address: IpAddr, now: Instant) {
        let concerned: Vec<ConnectionId> =
            self.connections().filter(|(_, tuple, _)| tuple.local().ip() == address).map(|(id, ..)| id).collect();
        concerned.into_iter().for_each(|id| self.abort(id, Cause::AddressGone, now));
    }

    /// Restarts the times within which peers have to answer, because the interface was down and nothing could be
    /// received.
    pub fn restart_timers(&mut self, now: Instant) {
        let all: Vec<ConnectionId> = self.connections().map(|(id, ..)| id).collect();
        for id in all {
            if let Some(entry) = self.connections.get_mut(id.0) {
                entry.connection.restart_timers(now);
                self.mark_pending(id);
                self.arm(id);
            }
        }
    }

    /// Updates the pending state and the alarm of a connection after its owner has changed it.
    fn touch(&mut self, id: ConnectionId, now: Instant) {
        self.look_at_reader(id);
        if self.connections.get_mut(id.0).is_some_and(|entry| entry.connection.has_to_send(now)) {
            self.mark_pending(id);
        }
        self.arm(id);
    }

    /// Stops holding back small segments of what was written so far, because the owner waits until all of it is
    /// acknowledged.
    pub fn flush(&mut self, id: ConnectionId, now: Instant) {
        if let Some(entry) = self.connections.get_mut(id.0) {
            entry.connection.flush();
            self.touch(id, now);
        }
    }
}

/// How far the initial sequence number of a connection lies beyond the numbers of an earlier connection of the same
/// ends: further than an unscaled window.
const BEYOND: usize = 1 << 16;
