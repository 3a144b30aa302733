//! The backlog of a TCP listener: the state that the stacks which serve the listener share, and the tasks that wait to
//! accept.

use core::sync::atomic::{AtomicU64, Ordering};
use core::task::Waker;
use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use xila_network_engine::tcp::{Filter, Places, Tuple};

use super::Stack;
use super::options::TcpOptions;
use super::owner::Owner;
use crate::error::InvalidOption;
use crate::policy::{Guard, Operation};
use crate::waiters::{Waiters, Wakes};

/// The state that the stacks which serve one listener share. The connections themselves wait in the engines of the
/// stacks.
///
/// Its lock is taken inside a stack's lock, never the other way round.
///
/// It is made when a socket is bound, and [opened](Self::open) when the socket listens. Until then it only reserves the
/// address.
pub(crate) struct Backlog {
    owner: Owner,
    number: u64,
    places: Places,
    /// The policy of the guest whose the listener is.
    guard: Option<Arc<Guard>>,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    /// The options of connections to be accepted; `None` until the socket listens.
    options: Option<TcpOptions>,
    /// The stacks that have connections waiting, each once. The first in the queue is next to give a connection.
    ready: VecDeque<Stack>,
    waiters: Waiters,
}

impl Backlog {
    pub(crate) fn new(owner: Owner, guard: Option<Arc<Guard>>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { owner, number, places: Places::default(), guard, queue: Mutex::default() }
    }

    /// The owner of the listener and of its connections.
    pub(crate) const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// A number that no other backlog has.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Which peers may connect by an interface; `None` for all.
    pub(super) fn filter(&self, interface: Arc<str>) -> Option<Filter> {
        let guard = self.guard.clone()?;
        let admits = move |tuple: &Tuple| guard.admits(Operation::TcpAccept, &interface, tuple.local(), tuple.remote());
        Some(Arc::new(admits))
    }

    /// The places for waiting connections, over all stacks.
    pub(crate) const fn places(&self) -> &Places {
        &self.places
    }

    /// Starts to accept connections with these options, of which at most `limit` may wait. The caller must tell the
    /// stacks that are bound already.
    pub(crate) fn open(&self, limit: usize, options: TcpOptions) {
        self.places.set_limit(limit);
        self.queue.lock().options = Some(options);
    }

    /// The options of connections to be accepted; `None` while the socket does not listen.
    pub(crate) fn options(&self) -> Option<TcpOptions> {
        self.queue.lock().options.clone()
    }

    /// Changes the options of future connections. Does nothing while the socket does not listen. The caller must tell
    /// the stacks.
    ///
    /// # Errors
    /// [`InvalidOption`] where the changed options are invalid. Nothing is changed then.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut TcpOptions)) -> Result<(), InvalidOption> {
        let mut queue = self.queue.lock();
        let Some(mut changed) = queue.options.clone() else { return Ok(()) };
        change(&mut changed);
        changed.validate()?;
        queue.options = Some(changed);
        Ok(())
    }

    /// Notes whether a stack has connections waiting. If it has, wakes the tasks that wait to accept.
    pub(super) fn announce(&self, stack: &Stack, waiting: bool, wakes: &mut Wakes) {
        let mut queue = self.queue.lock();
        let known = queue.ready.iter().position(|known| known.is(stack));
        match (known, waiting) {
            (None, true) => queue.ready.push_back(stack.clone()),
            (Some(known), false) => {
                queue.ready.remove(known);
            }
            (Some(_), true) | (None, false) => {}
        }
        if waiting {
            queue.waiters.take(wakes);
        }
    }

    /// The stack whose turn it is to give a connection. If no stack has one, `waker` is woken when one comes.
    pub(crate) fn next(&self, waker: Option<&Waker>) -> Option<Stack> {
        let mut queue = self.queue.lock();
        // Next time it is the turn of another stack.
        let ready = queue.ready.pop_front();
        if let Some(stack) = &ready {
            queue.ready.push_back(stack.clone());
        } else if let Some(waker) = waker {
            queue.waiters.register(waker);
        }
        ready
    }

    /// Whether a connection waits. If none does, `waker` is woken when one comes.
    pub(crate) fn is_ready(&self, waker: &Waker) -> bool {
        let mut queue = self.queue.lock();
        let ready = !queue.ready.is_empty();
        if !ready {
            queue.waiters.register(waker);
        }
        ready
    }

    /// Wakes all waiting tasks, because an interface went down or was unmounted.
    pub(super) fn wake_all(&self, wakes: &mut Wakes) {
        self.queue.lock().waiters.take(wakes);
    }
}
