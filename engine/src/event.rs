//! What the shell is told.

use alloc::collections::VecDeque;

use crate::tcp::{ConnectionId, ListenerId};

/// Something that somebody may have waited for. An event says that it is worth to look, and nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// There is something to be read, or reading has ended.
    Readable(ConnectionId),
    /// There is room to write, the handshake is over, everything was acknowledged, or writing has ended.
    Writable(ConnectionId),
    /// The connections that wait to be accepted are others than before.
    Acceptable(ListenerId),
    /// A connection was taken out of the table: its key finds nothing any more.
    Removed(ConnectionId),
}

/// What happened and was not asked for yet, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Events(VecDeque<Event>);

impl Events {
    /// Remembers something. Of many segments in a row, one event says as much.
    pub(crate) fn tell(&mut self, event: Event) {
        if self.0.back() != Some(&event) {
            self.0.push_back(event);
        }
    }

    /// Takes the oldest.
    pub(crate) fn poll(&mut self) -> Option<Event> {
        self.0.pop_front()
    }
}
