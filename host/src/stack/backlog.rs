//! The queue of connections that a listener has not accepted yet.

use core::net::SocketAddr;
use core::task::Waker;
use std::collections::VecDeque;

use parking_lot::Mutex;

use super::Stack;
use super::options::TcpOptions;
use super::tcp::FlowId;
use super::waiters::{Waiters, Wakes};

/// What the stacks that serve one listener share.
///
/// Its lock is taken inside a stack's lock, never the other way round.
pub(crate) struct Backlog {
    limit: usize,
    /// The options of the connections to be accepted.
    pub(crate) options: TcpOptions,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<Ready>,
    /// Handshakes under way.
    half_open: usize,
    waiters: Waiters,
    closed: bool,
}

/// An established connection that waits to be accepted.
pub(crate) struct Ready {
    pub(crate) stack: Stack,
    pub(crate) flow: FlowId,
    pub(crate) peer: SocketAddr,
}

impl Backlog {
    pub(crate) fn new(limit: usize, options: TcpOptions) -> Self {
        Self { limit, options, queue: Mutex::default() }
    }

    /// The most connections that wait or are under way.
    pub(crate) const fn limit(&self) -> usize {
        self.limit
    }

    /// Takes a place for a handshake; false when there is none.
    pub(super) fn begin(&self) -> bool {
        let mut queue = self.queue.lock();
        let room = !queue.closed && queue.half_open + queue.ready.len() < self.limit;
        queue.half_open += usize::from(room);
        room
    }

    /// Gives the place of a failed handshake back.
    pub(super) fn abandon(&self) {
        let mut queue = self.queue.lock();
        queue.half_open = queue.half_open.saturating_sub(1);
    }

    /// Queues the connection of a completed handshake; false when the listener is gone.
    pub(super) fn complete(&self, ready: Ready, wakes: &mut Wakes) -> bool {
        let mut queue = self.queue.lock();
        queue.half_open = queue.half_open.saturating_sub(1);
        if queue.closed {
            return false;
        }
        queue.ready.push_back(ready);
        queue.waiters.take(wakes);
        true
    }

    /// Forgets a connection that ended before it was accepted.
    pub(super) fn forget(&self, stack: &Stack, flow: FlowId) {
        self.queue.lock().ready.retain(|ready| !(ready.flow == flow && ready.stack.is(stack)));
    }

    /// The oldest connection; where there is none, `waker` is woken when one comes.
    pub(crate) fn take(&self, waker: Option<&Waker>) -> Option<Ready> {
        let mut queue = self.queue.lock();
        let ready = queue.ready.pop_front();
        if ready.is_none()
            && let Some(waker) = waker
        {
            queue.waiters.register(waker);
        }
        ready
    }

    /// Ends the listener: nothing is queued any more, and what was queued is returned.
    pub(crate) fn close(&self) -> VecDeque<Ready> {
        let mut queue = self.queue.lock();
        queue.closed = true;
        core::mem::take(&mut queue.ready)
    }

    /// Wakes whoever waits, because an interface went down or away.
    pub(super) fn rouse(&self, wakes: &mut Wakes) {
        self.queue.lock().waiters.take(wakes);
    }
}
