//! The queue of connections that a listener has not accepted yet.

use core::task::Waker;
use std::collections::VecDeque;

use parking_lot::Mutex;

use super::Stack;
use super::options::TcpOptions;
use super::tcp::FlowId;
use super::waiters::{Waiters, Wakes};
use crate::error::{Error, Result};
use crate::stack::owner::Owner;

/// What the stacks that serve one listener share.
///
/// Its lock is taken inside a stack's lock, never the other way round.
///
/// It is made when a socket is bound, and [opened](Self::open) when that listens: until then it only keeps others from its
/// address.
pub(crate) struct Backlog {
    owner: Owner,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// The options of the connections to be accepted, once they may come.
    options: Option<TcpOptions>,
    limit: usize,
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
}

impl Backlog {
    pub(crate) fn new(owner: Owner) -> Self {
        Self { owner, queue: Mutex::default() }
    }

    /// Whose the listener is, and the connections to it are.
    pub(super) const fn owner(&self) -> Owner {
        self.owner
    }

    /// Lets connections come, with these options, `limit` at once.
    pub(crate) fn open(&self, limit: usize, options: TcpOptions) {
        let mut queue = self.queue.lock();
        (queue.limit, queue.options) = (limit, Some(options));
    }

    /// The options of the connections to be accepted; none while nobody listens.
    pub(crate) fn options(&self) -> Option<TcpOptions> {
        self.queue.lock().options.clone()
    }

    /// Changes the options of the connections to come.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where the change makes them bad, and nothing is changed.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut TcpOptions)) -> Result<()> {
        let mut queue = self.queue.lock();
        let mut changed = queue.options.clone().ok_or(Error::InvalidState)?;
        change(&mut changed);
        changed.validate()?;
        queue.options = Some(changed);
        Ok(())
    }

    /// Whether connections may come.
    pub(super) fn is_open(&self) -> bool {
        self.queue.lock().options.is_some()
    }

    /// The most connections that wait or are under way.
    pub(crate) fn limit(&self) -> usize {
        self.queue.lock().limit
    }

    /// Sets how many connections may wait or be under way. Those that do already stay.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.queue.lock().limit = limit;
    }

    /// Takes a place for a handshake; false when there is none.
    pub(super) fn begin(&self) -> bool {
        let mut queue = self.queue.lock();
        let room = !queue.closed && queue.half_open + queue.ready.len() < queue.limit;
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

    /// The stack that has the oldest connection; where there is none, `waker` is woken when one comes.
    pub(crate) fn next(&self, waker: Option<&Waker>) -> Option<Stack> {
        let mut queue = self.queue.lock();
        let stack = queue.ready.front().map(|ready| ready.stack.clone());
        if stack.is_none()
            && let Some(waker) = waker
        {
            queue.waiters.register(waker);
        }
        stack
    }

    /// The oldest connection of a stack, whose lock is held: so it is still what it was when it was queued.
    pub(crate) fn take(&self, stack: &Stack) -> Option<FlowId> {
        let mut queue = self.queue.lock();
        let place = queue.ready.iter().position(|ready| ready.stack.is(stack))?;
        queue.ready.remove(place).map(|ready| ready.flow)
    }

    /// Whether a connection waits; where none does, `waker` is woken when one comes.
    pub(crate) fn is_ready(&self, waker: &Waker) -> bool {
        let mut queue = self.queue.lock();
        let ready = !queue.ready.is_empty();
        if !ready {
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
