//! TCP flows: the table of connections and listeners of one stack.
//!
//! Each connection has a smoltcp socket in a set of its own, so that the engine looks at one socket per packet however
//! many there are. The table finds the flow of a segment; [`life`] says what becomes of it.

mod alarm;
pub(super) mod ingress;
pub(super) mod life;
pub(crate) mod operations;

use core::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hashbrown::HashMap;
use smallvec::SmallVec;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use xila_network_commands::interface::Statistics;

use super::Core;
use super::backlog::Backlog;
use super::demux::{Sent, Tuple};
use super::options::{MOST_BUFFER, TcpOptions, receive_capacity};
use super::ports::Bound;
use super::slots::{Key, Slots};
use super::time_wait::TimeWait;
use super::timers::Alarm;
use super::waiters::{Waiters, Wakes};
use crate::device::Capabilities;
use crate::error::Error;
use crate::platform::Instant;
use crate::stack::owner::Owner;

/// A TCP flow's name in its stack's table. No other flow has it, before or after.
pub(crate) type FlowId = Key;

/// Where a flow is in its life.
pub(super) enum Stage {
    /// SYN sent, by `connect`. Left for `Open` by the peer's SYN-ACK, or with a failure at `deadline`.
    Connecting {
        /// When it is given up.
        deadline: Instant,
    },
    /// SYN received by a listener. Left for `Queued` by the peer's ACK; removed at `deadline` or by a reset.
    HalfOpen {
        /// The listener's queue, where it holds a place.
        backlog: Arc<Backlog>,
        /// When it is given up.
        deadline: Instant,
    },
    /// Established and waiting in a listener's queue. Left for `Open` by `accept`; removed when the listener closes.
    Queued {
        /// The listener's queue.
        backlog: Arc<Backlog>,
    },
    /// In the hands of a `TcpStream`. Left for `Lingering` when that is dropped.
    Open,
    /// Dropped by its owner; the stack delivers what was written and says goodbye. Removed when that is done, or with a
    /// reset at `deadline`.
    Lingering {
        /// When it is given up.
        deadline: Instant,
    },
}

/// One connection.
pub(super) struct Flow {
    /// At most one socket: none is left once the connection has ended and everything received was read.
    pub(super) sockets: SocketSet<'static>,
    handle: Option<SocketHandle>,
    pub(super) tuple: Tuple,
    pub(super) owner: Owner,
    pub(super) stage: Stage,
    pub(super) options: TcpOptions,
    /// Why the connection ended, where it did not end in good order.
    pub(super) failure: Option<Error>,
    pub(super) readers: Waiters,
    pub(super) writers: Waiters,
    pub(super) alarm: Alarm,
    /// When the peer was last heard.
    pub(super) heard: Instant,
    /// Since when the peer owes an answer: something was sent, or would be if its next hop were known, and neither was
    /// anything acknowledged since, nor did the peer say that it has no room.
    pub(super) unheard: Option<Instant>,
    /// The last segment sent.
    pub(super) sent: Option<Sent>,
    /// The end of all that was sent. A retransmission goes back behind it.
    pub(super) highest: Option<u32>,
    /// In the schedule.
    pub(super) dirty: bool,
    /// In the list of flows whose next hop is being resolved.
    pub(super) unresolved: bool,
    /// Since when the next hop has not answered.
    pub(super) unanswered: Option<Instant>,
    /// Ended for the peer (in TIME-WAIT, closed), with received bytes still to be read. The engine is not asked again:
    /// it would discard them when TIME-WAIT ends.
    pub(super) retired: bool,
    /// The engine panicked when it was last to send for the flow.
    pub(super) panicked: bool,
    pub(super) probing: bool,
    pub(super) read_closed: bool,
    /// The receiving half was closed with bytes unread: at the end the peer has to know that they were.
    pub(super) unread_lost: bool,
    pub(super) write_closed: bool,
    /// The sending half ends as soon as everything was sent.
    pub(super) finishing: bool,
    /// The sequence number of the SYN that was sent.
    pub(super) first: Option<u32>,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
}

impl Flow {
    pub(super) fn new(
        (tuple, owner): (Tuple, Owner),
        stage: Stage,
        options: TcpOptions,
        link: &Capabilities,
        now: Instant,
    ) -> Self {
        // Room for two segments at least. smoltcp's fast retransmission sends a whole segment whatever the window; where
        // the window is smaller than that, it may then wait for ever for room for bytes that it takes for sent.
        let receive = vec![0; receive_capacity(options.receive_buffer.max(2 * link.mtu))];
        let send = vec![0; options.send_buffer.clamp(1, MOST_BUFFER)];
        let mut socket = tcp::Socket::new(tcp::SocketBuffer::new(receive), tcp::SocketBuffer::new(send));
        // Chosen before the handshake, as smoltcp demands. On a link that neither loses nor delays, congestion control
        // and delayed acknowledgements only cost.
        if link.lossless {
            socket.set_congestion_control(tcp::CongestionControl::None);
            socket.set_ack_delay(None);
        } else {
            socket.set_congestion_control(tcp::CongestionControl::Cubic);
        }
        socket.set_nagle_enabled(!options.no_delay);
        socket.set_hop_limit(Some(options.hop_limit.max(1)));
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = Some(sockets.add(socket));
        Self {
            sockets,
            handle,
            tuple,
            owner,
            stage,
            options,
            failure: None,
            readers: Waiters::default(),
            writers: Waiters::default(),
            alarm: Alarm::default(),
            heard: now,
            unheard: None,
            sent: None,
            highest: None,
            dirty: false,
            unresolved: false,
            unanswered: None,
            retired: false,
            panicked: false,
            probing: false,
            read_closed: false,
            unread_lost: false,
            write_closed: false,
            finishing: false,
            first: None,
            bytes_received: 0,
            bytes_sent: 0,
        }
    }

    pub(super) fn socket(&mut self) -> Option<&mut tcp::Socket<'static>> {
        self.handle.map(|handle| self.sockets.get_mut::<tcp::Socket<'_>>(handle))
    }

    pub(super) fn socket_ref(&self) -> Option<&tcp::Socket<'static>> {
        self.handle.map(|handle| self.sockets.get::<tcp::Socket<'_>>(handle))
    }

    pub(super) fn state(&self) -> tcp::State {
        self.socket_ref().map_or(tcp::State::Closed, tcp::Socket::state)
    }

    /// Ends the sending half: FIN follows what was written.
    ///
    /// In LAST-ACK smoltcp takes no window update, and data behind a closed window would wait for its probe timer. So
    /// in CLOSE-WAIT the end is kept back until everything was sent.
    pub(super) fn close(&mut self) {
        self.finishing = self.state() == tcp::State::CloseWait && !self.is_all_sent();
        if !self.finishing
            && let Some(socket) = self.socket()
        {
            socket.close();
        }
    }

    /// Whether everything written has left at least once.
    pub(super) fn is_all_sent(&self) -> bool {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "sequence numbers count modulo 2^32 (RFC 9293 section 3.4)"
        )]
        let end = self.first.map(|first| first.wrapping_add(1).wrapping_add(self.bytes_sent as u32));
        self.socket_ref().is_none_or(|socket| socket.send_queue() == 0)
            || self.sent.is_some_and(|sent| Some(sent.next) == end)
    }

    /// Whether something at this sequence number has been sent and is not acknowledged yet.
    #[expect(clippy::cast_possible_truncation, reason = "sequence numbers count modulo 2^32 (RFC 9293 section 3.4)")]
    pub(super) fn is_in_flight(&self, sequence: u32) -> bool {
        let (Some(first), Some(highest), Some(socket)) = (self.first, self.highest, self.socket_ref()) else {
            return false;
        };
        let written = first.wrapping_add(1).wrapping_add(self.bytes_sent as u32);
        let unacknowledged = written.wrapping_sub(socket.send_queue() as u32);
        sequence.wrapping_sub(unacknowledged) < highest.wrapping_sub(unacknowledged)
    }

    /// Throws away what has arrived, for an owner who does not read any more.
    pub(super) fn discard(&mut self) {
        if let Some(socket) = self.socket() {
            while matches!(socket.recv(|bytes| (bytes.len(), bytes.len())), Ok(1..)) {}
        }
    }

    /// Frees the socket and its buffers.
    pub(super) fn drop_socket(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.sockets.remove(handle);
        }
    }

    /// Moves those to `wakes` who can go on now.
    pub(super) fn wake(&mut self, wakes: &mut Wakes) {
        let (readable, writable) = match self.socket_ref() {
            // Who waits for the handshake is woken when it is over.
            Some(socket) if matches!(socket.state(), tcp::State::SynSent | tcp::State::SynReceived) => (false, false),
            // A writer that waits is woken when a third of the buffer is free, not for every acknowledged segment.
            Some(socket) => (
                socket.can_recv() || !socket.may_recv(),
                !socket.may_send() || (socket.send_capacity() - socket.send_queue()) * 3 >= socket.send_capacity(),
            ),
            None => (true, true),
        };
        if readable && !self.readers.is_empty() {
            self.readers.take(wakes);
        }
        if writable && !self.writers.is_empty() {
            self.writers.take(wakes);
        }
    }

    pub(super) fn wake_all(&mut self, wakes: &mut Wakes) {
        self.readers.take(wakes);
        self.writers.take(wakes);
    }
}

/// The TCP part of a stack.
#[derive(Default)]
pub(super) struct Table {
    pub(super) flows: Slots<Flow>,
    pub(super) by_tuple: HashMap<Tuple, FlowId>,
    listeners: HashMap<u16, SmallVec<[Listener; 1]>>,
    pub(super) time_wait: TimeWait,
    /// Handshakes under way over all listeners.
    pub(super) half_open: usize,
}

/// A socket that listens, or that is bound and may come to.
#[derive(Clone)]
struct Listener {
    bound: Bound,
    backlog: Arc<Backlog>,
}

impl Table {
    /// The queue of the listener that covers a local address, and the options of its connections.
    pub(super) fn listener(&self, local: SocketAddr) -> Option<(Arc<Backlog>, TcpOptions)> {
        let listeners = self.listeners.get(&local.port())?;
        let listener = listeners.iter().find(|listener| listener.bound.covers(local.ip()))?;
        listener.backlog.options().map(|options| (listener.backlog.clone(), options))
    }

    /// # Errors
    /// [`Error::AddressInUse`] where a listener, or a socket that is bound only, has the address and port. Connections do
    /// not stand in the way.
    pub(super) fn bind(&mut self, address: IpAddr, port: u16, backlog: &Arc<Backlog>) -> Result<(), Error> {
        let bound = Bound(address);
        let listeners = self.listeners.entry(port).or_default();
        if listeners.iter().any(|listener| listener.bound.conflicts(bound)) {
            return Err(Error::AddressInUse);
        }
        listeners.push(Listener { bound, backlog: backlog.clone() });
        Ok(())
    }

    pub(super) fn unbind(&mut self, port: u16, backlog: &Arc<Backlog>) {
        if let Some(listeners) = self.listeners.get_mut(&port) {
            listeners.retain(|listener| !Arc::ptr_eq(&listener.backlog, backlog));
            if listeners.is_empty() {
                self.listeners.remove(&port);
            }
        }
    }

    /// Whether a new connection may take a local port for itself.
    pub(super) fn port_is_free(&self, tuple: &Tuple) -> bool {
        let listened = self.listeners.get(&tuple.local.port()).is_some_and(|listeners| {
            listeners.iter().any(|listener| listener.bound.conflicts(Bound(tuple.local.ip())))
        });
        // The other end of a connection of this host to itself is a flow of this stack too.
        !listened && !self.by_tuple.contains_key(tuple) && !self.by_tuple.contains_key(&tuple.reversed())
    }

    pub(super) fn backlogs(&self) -> impl Iterator<Item = &Arc<Backlog>> {
        self.listeners.values().flatten().map(|listener| &listener.backlog)
    }
}

impl Core {
    /// Counts what there is now.
    pub(super) fn tcp_count(&self, statistics: &mut Statistics) {
        statistics.tcp_flows = self.tcp.flows.len() as u64;
        statistics.time_wait = self.tcp.time_wait.len() as u64;
        statistics.tcp_listeners = self.tcp.backlogs().filter(|backlog| backlog.is_open()).count() as u64;
        for (_, flow) in self.tcp.flows.iter() {
            match flow.state() {
                tcp::State::SynSent | tcp::State::SynReceived | tcp::State::Listen => statistics.tcp_connecting += 1,
                tcp::State::Established => statistics.tcp_established += 1,
                tcp::State::CloseWait
                | tcp::State::FinWait1
                | tcp::State::FinWait2
                | tcp::State::Closing
                | tcp::State::LastAck
                | tcp::State::TimeWait => statistics.tcp_closing += 1,
                tcp::State::Closed => {}
            }
        }
    }
}

impl Flow {
    /// Whether no `TcpStream` and no listener's queue holds the flow.
    pub(super) const fn is_unowned(&self) -> bool {
        matches!(self.stage, Stage::HalfOpen { .. } | Stage::Lingering { .. })
    }
}
