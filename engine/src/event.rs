//! Events: how the engine tells the shell, the code that drives it, what has happened.
//!
//! The shell takes them with [`Engine::poll_event`](crate::Engine::poll_event) and wakes the tasks that wait for them.

use alloc::collections::VecDeque;

use crate::icmp::{EchoReply, Report};
use crate::interface::Change;
use crate::tcp::{ConnectionId, ListenerId};
use crate::udp::SocketId;
use crate::udp::queue::{Datagram, PathError};

/// Something that a task may be waiting for, or that is addressed to a socket. An event about TCP carries no data: it
/// only says that the connection or the listener is worth looking at.
#[derive(Clone, Debug)]
pub enum Event {
    /// There are bytes to read, or reading has ended.
    Readable(ConnectionId),
    /// There is space to write, the handshake is over, everything was acknowledged, or writing has ended.
    Writable(ConnectionId),
    /// The queue of connections that wait to be accepted has changed.
    Acceptable(ListenerId),
    /// A connection was removed from the table. Its key is no longer valid.
    Removed(ConnectionId),
    /// A datagram arrived for a socket.
    Datagram {
        /// The socket.
        to: SocketId,
        /// The datagram. It does not name the interface, which the shell knows.
        datagram: Datagram,
    },
    /// A network error about a datagram that a socket has sent.
    PathError {
        /// The socket.
        to: SocketId,
        /// The destination of the datagram.
        remote: core::net::SocketAddr,
        /// The error.
        error: PathError,
    },
    /// An answer to an echo request.
    EchoReply(EchoReply),
    /// An ICMP error about a packet, for an ICMP socket.
    Report(Report),
    /// Fewer packets wait for a neighbour than before: a sender that was refused because too many waited may try again.
    Uncrowded,
    /// Something about the interface has changed.
    Changed(Change),
}

/// The events that the shell has not polled yet, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Events(VecDeque<Event>);

impl Events {
    /// Queues an event, unless it repeats the last one in the queue: one event is enough for many segments in a row.
    pub(crate) fn tell(&mut self, event: Event) {
        if !self.0.back().is_some_and(|last| last.repeats(&event)) {
            self.0.push_back(event);
        }
    }

    /// Takes the oldest event.
    pub(crate) fn poll(&mut self) -> Option<Event> {
        self.0.pop_front()
    }
}

impl Event {
    /// Whether `other` says nothing that this event does not say.
    fn repeats(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Readable(one), Self::Readable(other)) | (Self::Writable(one), Self::Writable(other)) => one == other,
            (Self::Acceptable(one), Self::Acceptable(other)) => one == other,
            _ => false,
        }
    }
}
