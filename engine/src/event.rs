//! What the shell is told.

use alloc::collections::VecDeque;

use crate::icmp::{EchoReply, Report};
use crate::interface::Change;
use crate::tcp::{ConnectionId, ListenerId};
use crate::udp::SocketId;
use crate::udp::queue::{Datagram, PathError};

/// Something that somebody may have waited for, or that is for somebody. Of TCP it says that it is worth to look, and
/// nothing more.
#[derive(Clone, Debug)]
pub enum Event {
    /// There is something to be read, or reading has ended.
    Readable(ConnectionId),
    /// There is room to write, the handshake is over, everything was acknowledged, or writing has ended.
    Writable(ConnectionId),
    /// The connections that wait to be accepted are others than before.
    Acceptable(ListenerId),
    /// A connection was taken out of the table: its key finds nothing any more.
    Removed(ConnectionId),
    /// A datagram for a socket.
    Datagram {
        /// Which socket.
        to: SocketId,
        /// The datagram. Its interface is the shell's to know.
        datagram: Datagram,
    },
    /// What the path says of a datagram that a socket has sent.
    PathError {
        /// Which socket.
        to: SocketId,
        /// To whom the datagram went.
        remote: core::net::SocketAddr,
        /// What it says.
        error: PathError,
    },
    /// An answer to an echo request.
    EchoReply(EchoReply),
    /// An error about a packet, for a socket of ICMP.
    Report(Report),
    /// Less waits for some neighbour than before: who was refused for that may try again.
    Uncrowded,
    /// Something about the interface has changed.
    Changed(Change),
}

/// What happened and was not asked for yet, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Events(VecDeque<Event>);

impl Events {
    /// Remembers something. Of many segments in a row, one event says as much.
    pub(crate) fn tell(&mut self, event: Event) {
        if !self.0.back().is_some_and(|last| last.repeats(&event)) {
            self.0.push_back(event);
        }
    }

    /// Takes the oldest.
    pub(crate) fn poll(&mut self) -> Option<Event> {
        self.0.pop_front()
    }
}

impl Event {
    /// Whether another event says nothing beyond this one.
    fn repeats(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Readable(one), Self::Readable(other)) | (Self::Writable(one), Self::Writable(other)) => one == other,
            (Self::Acceptable(one), Self::Acceptable(other)) => one == other,
            _ => false,
        }
    }
}
