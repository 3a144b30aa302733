//! What the owner of a connection or listener asks of the stack.

use core::net::{IpAddr, SocketAddr};
use core::task::Waker;
use core::time::Duration;
use std::sync::Arc;

use smoltcp::socket::tcp;

use super::alarm::PARTING;
use super::{Flow, FlowId, Stage};
use crate::address::to_endpoint;
use crate::error::{Error, Result};
use crate::stack::Core;
use crate::stack::backlog::Backlog;
use crate::stack::demux::Tuple;
use crate::stack::options::TcpOptions;
use crate::stack::owner::Owner;
use crate::stack::ports::candidates;

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    Write,
}

/// What a connection says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpStatistics {
    /// Bytes that were read from the connection.
    pub bytes_received: u64,
    /// Bytes that were written to the connection.
    pub bytes_sent: u64,
    /// Bytes that wait to be read.
    pub receive_queue: usize,
    /// Bytes that wait to be sent or acknowledged.
    pub send_queue: usize,
}

impl Core {
    /// Begins a connection from `local` (port 0: an ephemeral one) to `remote`.
    ///
    /// # Errors
    /// [`Error::NetworkDown`]; [`Error::AddressInUse`] where the tuple is taken or no port is left;
    /// [`Error::AddressNotAvailable`] where the engine refuses the pair.
    pub(crate) fn tcp_connect(
        &mut self,
        owner: Owner,
        local: SocketAddr,
        remote: SocketAddr,
        timeout: Duration,
        options: TcpOptions,
    ) -> Result<FlowId> {
        self.check_up()?;
        let tuple = self.tcp_tuple(local, remote)?;
        // Where the peer is on this stack too, nothing old is under way, and it need not question a SYN that is not newer
        // than what it remembers.
        self.tcp.time_wait.forget(&tuple.reversed());
        let stage = Stage::Connecting { deadline: self.now + timeout };
        let mut flow = Flow::new((tuple, owner), stage, options, &self.capabilities, self.now);
        let socket = flow.socket().ok_or(Error::InvalidState)?;
        socket
            .connect(self.iface.context(), to_endpoint(tuple.remote), to_endpoint(tuple.local))
            .map_err(|_| Error::AddressNotAvailable)?;
        let id = self.tcp.flows.insert(flow);
        self.tcp.by_tuple.insert(tuple, id);
        self.tcp_mark(id);
        self.tcp_watch(id);
        Ok(id)
    }

    fn tcp_tuple(&mut self, local: SocketAddr, remote: SocketAddr) -> Result<Tuple> {
        self.stir();
        let tuple = |port| Tuple { local: SocketAddr::new(local.ip(), port), remote };
        let table = &mut self.tcp;
        if local.port() != 0 {
            let tuple = tuple(local.port());
            let free = !table.by_tuple.contains_key(&tuple) && table.time_wait.reuse(&tuple, self.now);
            return if free { Ok(tuple) } else { Err(Error::AddressInUse) };
        }
        // A connection with itself (RFC 9293's simultaneous open) is for those who name the port.
        let ports = || candidates(&self.ephemeral, self.random).map(tuple).filter(|tuple| tuple.local != tuple.remote);
        let fresh = ports().find(|tuple| table.port_is_free(tuple) && !table.time_wait.holds(tuple));
        let found = match fresh {
            Some(tuple) => Some(tuple),
            None => ports().find(|tuple| table.port_is_free(tuple) && table.time_wait.reuse(tuple, self.now)),
        };
        found.ok_or(Error::AddressInUse)
    }

    /// Whether `connect` is over: `None` while it is not.
    pub(crate) fn tcp_connected(&mut self, id: FlowId, waker: &Waker) -> Option<Result<()>> {
        let up = self.check_up();
        let flow = self.tcp.flows.get_mut(id)?;
        if let Err(error) = up {
            return Some(Err(error));
        }
        if let Some(failure) = &flow.failure {
            return Some(Err(failure.clone()));
        }
        match flow.state() {
            tcp::State::SynSent | tcp::State::SynReceived => {
                flow.writers.register(waker);
                None
            }
            tcp::State::Closed => Some(Err(Error::ConnectionAborted)),
            _ => Some(Ok(())),
        }
    }

    /// Takes this stack's oldest connection out of a listener's queue; none where there is none, be it because its
    /// interface was unmounted. To take and to open are one step under the stack's lock: in between, the peer could
    /// end the connection.
    pub(crate) fn tcp_accept(&mut self, backlog: &Arc<Backlog>) -> Option<(FlowId, Tuple)> {
        let stack = self.handle()?;
        self.tcp_open(backlog.take(&stack)?, backlog)
    }

    /// Opens a connection that was taken out of a queue, unless it is gone.
    pub(crate) fn tcp_open(&mut self, id: FlowId, backlog: &Arc<Backlog>) -> Option<(FlowId, Tuple)> {
        let id = self.tcp_queued(id, backlog)?;
        if self.port.is_none() {
            self.tcp_remove(id);
        }
        let flow = self.tcp.flows.get_mut(id)?;
        flow.stage = Stage::Open;
        Some((id, flow.tuple))
    }

    /// Ends a connection that nobody has accepted of a listener.
    pub(crate) fn tcp_discard(&mut self, id: FlowId, backlog: &Arc<Backlog>) {
        let deadline = self.now + PARTING;
        if let Some(id) = self.tcp_queued(id, backlog)
            && let Some(flow) = self.tcp.flows.get_mut(id)
        {
            flow.stage = Stage::Lingering { deadline };
            self.tcp_abort(id, Error::ConnectionAborted);
            self.tcp_watch(id);
        }
    }

    /// The flow, where it waits in this queue and nowhere else. No other stage may be overwritten: a half-open flow
    /// holds places that would not be given back.
    fn tcp_queued(&self, id: FlowId, backlog: &Arc<Backlog>) -> Option<FlowId> {
        let flow = self.tcp.flows.get(id)?;
        matches!(&flow.stage, Stage::Queued { backlog: of } if Arc::ptr_eq(of, backlog)).then_some(id)
    }

    /// # Errors
    /// [`Error::AddressInUse`].
    pub(crate) fn tcp_bind(&mut self, address: IpAddr, port: u16, backlog: &Arc<Backlog>) -> Result<()> {
        self.check_mounted()?;
        self.tcp.bind(address, port, backlog)
    }

    /// Ends a listener: handshakes under way are reset.
    pub(crate) fn tcp_unbind(&mut self, port: u16, backlog: &Arc<Backlog>) {
        self.tcp.unbind(port, backlog);
        if self.tcp.half_open == 0 {
            return;
        }
        let half_open: Vec<FlowId> = self
            .tcp
            .flows
            .iter()
            .filter(|(_, flow)| matches!(&flow.stage, Stage::HalfOpen { backlog: of, .. } if Arc::ptr_eq(of, backlog)))
            .map(|(id, _)| id)
            .collect();
        for id in half_open {
            self.tcp_abort(id, Error::ConnectionAborted);
        }
    }

    /// Reads what has arrived. `Ok(0)` for a non-empty `buffer` is the end of the stream.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] while nothing is there; else why the connection ended.
    pub(crate) fn tcp_read(&mut self, id: FlowId, buffer: &mut [u8], peek: bool) -> Result<usize> {
        if buffer.is_empty() {
            self.check_up()?;
            return Ok(0);
        }
        if !peek {
            return self.tcp_take(id, |socket| socket.recv_slice(buffer));
        }
        let Some(socket) = self.tcp_readable(id)? else { return Ok(0) };
        socket.peek_slice(buffer).map_err(|_| Error::InvalidState)
    }

    /// As [`tcp_read`](Self::tcp_read), at most `most` bytes: all that is there, without a buffer that must be cleared
    /// first. Empty at the end of the stream.
    ///
    /// # Errors
    /// As [`tcp_read`](Self::tcp_read).
    pub(crate) fn tcp_read_vec(&mut self, id: FlowId, most: usize) -> Result<Vec<u8>> {
        if most == 0 {
            self.check_up()?;
            return Ok(Vec::new());
        }
        let mut bytes = Vec::new();
        self.tcp_take(id, |socket| {
            let whole = socket.recv_queue().min(most);
            bytes.reserve_exact(whole);
            // Once for each part of the ring, and never when it is empty: that would be an error after the end.
            while bytes.len() < whole {
                socket.recv(|part| {
                    let count = part.len().min(whole - bytes.len());
                    bytes.extend_from_slice(&part[..count]);
                    (count, ())
                })?;
            }
            Ok(whole)
        })?;
        Ok(bytes)
    }

    /// Takes bytes out of a socket that has some, and does what follows from that. 0 is the end of the stream.
    fn tcp_take(
        &mut self,
        id: FlowId,
        take: impl FnOnce(&mut tcp::Socket<'static>) -> Result<usize, tcp::RecvError>,
    ) -> Result<usize> {
        let Some(socket) = self.tcp_readable(id)? else { return Ok(0) };
        let count = take(socket).map_err(|_| Error::InvalidState)?;
        let empty = !socket.can_recv();
        if let Some(flow) = self.tcp.flows.get_mut(id) {
            flow.bytes_received += count as u64;
            if flow.retired && empty {
                flow.drop_socket();
            }
        }
        self.tcp_mark(id);
        Ok(count)
    }

    /// The socket of a flow that has bytes to be read; none at the end of the stream.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] while nothing is there; else why the connection ended.
    fn tcp_readable(&mut self, id: FlowId) -> Result<Option<&mut tcp::Socket<'static>>> {
        self.check_up()?;
        let flow = self.tcp.flows.get_mut(id).ok_or(Error::InvalidState)?;
        if flow.read_closed {
            return Ok(None);
        }
        let failure = flow.failure.clone();
        match flow.socket() {
            Some(socket) if socket.can_recv() => Ok(Some(socket)),
            Some(socket) if failure.is_none() && socket.may_recv() => Err(Error::WouldBlock),
            Some(_) | None => failure.map_or(Ok(None), Err),
        }
    }

    /// Queues bytes to be sent, as many as there is room for.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] while there is none; [`Error::BrokenPipe`] after shutdown; else why the connection ended.
    pub(crate) fn tcp_write(&mut self, id: FlowId, bytes: &[u8]) -> Result<usize> {
        let flow = self.tcp_writable(id)?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let socket = flow.socket().ok_or(Error::BrokenPipe)?;
        match socket.send_slice(bytes) {
            Ok(0) => Err(Error::WouldBlock),
            Ok(count) => {
                flow.bytes_sent += count as u64;
                self.tcp_mark(id);
                if self.full {
                    self.tcp_held_back(id);
                }
                Ok(count)
            }
            Err(tcp::SendError::InvalidState) => Err(Error::BrokenPipe),
        }
    }

    /// How many bytes a write would take.
    ///
    /// # Errors
    /// As [`tcp_write`](Self::tcp_write), but for room.
    pub(crate) fn tcp_send_room(&mut self, id: FlowId) -> Result<usize> {
        let socket = self.tcp_writable(id)?.socket().ok_or(Error::BrokenPipe)?;
        if !socket.may_send() {
            return Err(Error::BrokenPipe);
        }
        Ok(socket.send_capacity() - socket.send_queue())
    }

    fn tcp_writable(&mut self, id: FlowId) -> Result<&mut Flow> {
        self.check_up()?;
        let flow = self.tcp.flows.get_mut(id).ok_or(Error::InvalidState)?;
        match &flow.failure {
            Some(failure) => Err(failure.clone()),
            None if flow.write_closed => Err(Error::BrokenPipe),
            None => Ok(flow),
        }
    }

    /// Whether a read, or a write, would not wait.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] where it would.
    pub(crate) fn tcp_ready(&mut self, id: FlowId, interest: Interest) -> Result<()> {
        self.check_up()?;
        let flow = self.tcp.flows.get_mut(id).ok_or(Error::InvalidState)?;
        let closed = match interest {
            Interest::Read => flow.read_closed,
            Interest::Write => flow.write_closed,
        };
        let ready = closed
            || flow.failure.is_some()
            || flow.socket_ref().is_none_or(|socket| match interest {
                Interest::Read => socket.can_recv() || !socket.may_recv(),
                Interest::Write => socket.can_send() || !socket.may_send(),
            });
        if ready { Ok(()) } else { Err(Error::WouldBlock) }
    }

    /// Whether everything written was acknowledged and, where `closed`, the end of the stream too.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] while it was not; else why the connection ended before.
    pub(crate) fn tcp_flushed(&mut self, id: FlowId, closed: bool) -> Result<()> {
        self.check_up()?;
        let flow = self.tcp.flows.get_mut(id).ok_or(Error::InvalidState)?;
        if let Some(failure) = &flow.failure {
            return Err(failure.clone());
        }
        let Some(socket) = flow.socket_ref() else { return Ok(()) };
        let fin_acknowledged =
            matches!(socket.state(), tcp::State::FinWait2 | tcp::State::TimeWait | tcp::State::Closed);
        let done = socket.send_queue() == 0 && (!closed || fin_acknowledged);
        if done { Ok(()) } else { Err(Error::WouldBlock) }
    }

    /// Wakes `waker` at the next event in a direction.
    pub(crate) fn tcp_wait(&mut self, id: FlowId, interest: Interest, waker: &Waker) {
        if let Some(flow) = self.tcp.flows.get_mut(id) {
            match interest {
                Interest::Read => flow.readers.register(waker),
                Interest::Write => flow.writers.register(waker),
            }
        }
    }

    /// Ends the sending half: FIN follows what was written.
    pub(crate) fn tcp_shutdown_write(&mut self, id: FlowId) -> Result<()> {
        let flow = self.tcp.flows.get_mut(id).ok_or(Error::InvalidState)?;
        if let Some(failure) = &flow.failure {
            return Err(failure.clone());
        }
        flow.write_closed = true;
        flow.close();
        flow.writers.take(&mut self.wakes);
        self.tcp_mark(id);
        if self.full {
            self.tcp_held_back(id);
        }
        Ok(())
    }

    /// Ends the receiving half: reads find the end of the stream from now on, and whatever arrives is thrown away.
    pub(crate) fn tcp_shutdown_read(&mut self, id: FlowId) -> Result<()> {
        let flow = self.tcp.flows.get_mut(id).ok_or(Error::InvalidState)?;
        flow.unread_lost |= flow.socket_ref().is_some_and(tcp::Socket::can_recv);
        flow.read_closed = true;
        flow.discard();
        flow.readers.take(&mut self.wakes);
        self.tcp_mark(id);
        Ok(())
    }

    /// The owner lets go of a connection. Unread bytes mean a reset (RFC 2525 section 2.17); otherwise the stack sees
    /// the connection to its end, within the linger time.
    pub(crate) fn tcp_release(&mut self, id: FlowId) {
        let now = self.now;
        let Some(flow) = self.tcp.flows.get_mut(id) else { return };
        if flow.retired || flow.socket_ref().is_none() || self.port.is_none() {
            return self.tcp_remove(id);
        }
        let connecting = matches!(flow.stage, Stage::Connecting { .. });
        let discard = flow.options.linger.is_zero() || flow.unread_lost;
        let patience = match flow.socket() {
            Some(socket) if socket.can_recv() || connecting || discard || !socket.is_open() => {
                socket.abort();
                PARTING
            }
            _ => {
                flow.close();
                flow.options.linger
            }
        };
        flow.stage = Stage::Lingering { deadline: now + patience };
        self.tcp_mark(id);
        self.tcp_watch(id);
    }

    /// Applies options that may change while the connection lives.
    pub(crate) fn tcp_configure(&mut self, id: FlowId, change: impl FnOnce(&mut TcpOptions)) -> Result<()> {
        let flow = self.tcp.flows.get_mut(id).ok_or(Error::InvalidState)?;
        let mut options = flow.options.clone();
        change(&mut options);
        options.validate()?;
        let (no_delay, hop_limit) = (options.no_delay, options.hop_limit);
        flow.options = options;
        flow.probing = false;
        if let Some(socket) = flow.socket() {
            socket.set_nagle_enabled(!no_delay);
            socket.set_hop_limit(Some(hop_limit));
            socket.set_keep_alive(None);
        }
        flow.heard = self.now;
        self.tcp_mark(id);
        self.tcp_watch(id);
        Ok(())
    }

    pub(crate) fn tcp_options(&self, id: FlowId) -> Option<&TcpOptions> {
        self.tcp.flows.get(id).map(|flow| &flow.options)
    }

    pub(crate) fn tcp_state(&self, id: FlowId) -> tcp::State {
        self.tcp.flows.get(id).map_or(tcp::State::Closed, Flow::state)
    }

    pub(crate) fn tcp_tuple_of(&self, id: FlowId) -> Option<Tuple> {
        self.tcp.flows.get(id).map(|flow| flow.tuple)
    }

    pub(crate) fn tcp_statistics(&self, id: FlowId) -> TcpStatistics {
        let Some(flow) = self.tcp.flows.get(id) else { return TcpStatistics::default() };
        let (receive_queue, send_queue) =
            flow.socket_ref().map_or((0, 0), |socket| (socket.recv_queue(), socket.send_queue()));
        TcpStatistics { bytes_received: flow.bytes_received, bytes_sent: flow.bytes_sent, receive_queue, send_queue }
    }
}
