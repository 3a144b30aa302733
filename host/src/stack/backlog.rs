//! Who waits for the connections of a listener, and what the stacks that serve it share.

use core::sync::atomic::{AtomicU64, Ordering};
use core::task::Waker;
use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use xila_network_engine::tcp::{Filter, Places, Tuple};

use super::Stack;
use super::options::TcpOptions;
use super::owner::Owner;
use super::waiters::{Waiters, Wakes};
use crate::error::InvalidOption;
use crate::policy::{Guard, Operation};

/// What the stacks that serve one listener share. The connections themselves wait in the stacks' engines.
///
/// Its lock is taken inside a stack's lock, never the other way round.
///
/// It is made when a socket is bound, and [opened](Self::open) when that listens: until then it only keeps others from its
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
    /// The options of the connections to be accepted, once they may come.
    options: Option<TcpOptions>,
    /// The stacks that have connections waiting, each once, the one that had the first first.
    ready: VecDeque<Stack>,
    waiters: Waiters,
}

impl Backlog {
    pub(crate) fn new(owner: Owner, guard: Option<Arc<Guard>>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { owner, number, places: Places::default(), guard, queue: Mutex::default() }
    }

    /// Whose the listener is, and the connections to it are.
    pub(super) const fn owner(&self) -> Owner {
        self.owner
    }

    /// What tells it from all others.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Which peers may connect by an interface; `None` for all.
    pub(super) fn filter(&self, interface: Arc<str>) -> Option<Filter> {
        let guard = self.guard.clone()?;
        let admits = move |tuple: &Tuple| guard.admits(Operation::TcpAccept, &interface, tuple.local(), tuple.remote());
        Some(Arc::new(admits))
    }

    /// How many connections may wait, over all stacks.
    pub(crate) const fn places(&self) -> &Places {
        &self.places
    }

    /// Lets connections come, with these options, `limit` at once. The stacks that are bound already have to be told.
    pub(crate) fn open(&self, limit: usize, options: TcpOptions) {
        self.places.set_limit(limit);
        self.queue.lock().options = Some(options);
    }

    /// The options of the connections to be accepted; none while nobody listens.
    pub(crate) fn options(&self) -> Option<TcpOptions> {
        self.queue.lock().options.clone()
    }

    /// Changes the options of the connections to come; while nobody listens there are none. The stacks have to be told.
    ///
    /// # Errors
    /// [`InvalidOption`] where the change makes them bad, and nothing is changed.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut TcpOptions)) -> Result<(), InvalidOption> {
        let mut queue = self.queue.lock();
        let Some(mut changed) = queue.options.clone() else { return Ok(()) };
        change(&mut changed);
        changed.validate()?;
        queue.options = Some(changed);
        Ok(())
    }

    /// Takes note of whether a stack has connections waiting, and wakes who waits for some.
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

    /// The stack whose turn it is to give a connection; where none has one, `waker` is woken when one comes.
    pub(crate) fn next(&self, waker: Option<&Waker>) -> Option<Stack> {
        let mut queue = self.queue.lock();
        // The next time it is another's turn.
        let ready = queue.ready.pop_front();
        if let Some(stack) = &ready {
            queue.ready.push_back(stack.clone());
        } else if let Some(waker) = waker {
            queue.waiters.register(waker);
        }
        ready
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

    /// Wakes whoever waits, because an interface went down or away.
    pub(super) fn rouse(&self, wakes: &mut Wakes) {
        self.queue.lock().waiters.take(wakes);
    }
}
