//! The limits of what one guest may hold.
//!
//! Every socket of a guest, every name query and every watch has a [`Charge`] on its [`Quota`], so that no guest can make
//! the host's memory grow without bound. The charge is taken before anything is created, grows before buffers do, and is
//! released when it is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use xila_network_engine::buffer::Budget;

use crate::error::{Error, Result};
use crate::waiters::{Waiters, Wakes};

/// The limits of what one guest may hold at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sockets of any kind: listeners, connections, datagram sockets. A connection in a listener's backlog counts from
    /// the time when it is accepted, until the guest drops it.
    pub sockets: usize,
    /// Bytes of memory that the guest may hold. It counts: the contents of the queues of each connection, at least 4096
    /// bytes for each of its two queues, also while the connection is in a backlog or after the guest has dropped it;
    /// the receive buffer of each datagram socket, at least 2304 bytes, which is all that its queue ever holds; and the
    /// cached answers of name servers by their size in memory. While little is left, connections offer small windows
    /// and accept little data at once.
    pub buffer_bytes: usize,
    /// Name queries under way. The resources that the host needs for a query, a few sockets and the servers' answers,
    /// are not counted elsewhere.
    pub queries: usize,
    /// Watches on interfaces, each with a queue of events.
    pub watches: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sockets: 16_384, buffer_bytes: 1 << 30, queries: 64, watches: 16 }
    }
}

/// What a guest holds at present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sockets of any kind.
    pub sockets: usize,
    /// Bytes of memory, counted as in [`Limits::buffer_bytes`].
    pub buffer_bytes: usize,
    /// Name queries under way.
    pub queries: usize,
    /// Watches on interfaces.
    pub watches: usize,
}

impl Usage {
    /// The sum of both, or `None` if it exceeds the limits.
    fn plus(self, more: Self, limits: &Limits) -> Option<Self> {
        let within = |held: usize, more: usize, most: usize| held.checked_add(more).filter(|sum| *sum <= most);
        Some(Self {
            sockets: within(self.sockets, more.sockets, limits.sockets)?,
            // The budget checks the limit of the bytes, because the stacks take bytes from it too.
            buffer_bytes: self.buffer_bytes.saturating_add(more.buffer_bytes),
            queries: within(self.queries, more.queries, limits.queries)?,
            watches: within(self.watches, more.watches, limits.watches)?,
        })
    }

    /// The difference. `less` must be a part of it.
    fn minus(self, less: Self) -> Self {
        Self {
            sockets: self.sockets - less.sockets,
            buffer_bytes: self.buffer_bytes - less.buffer_bytes,
            queries: self.queries - less.queries,
            watches: self.watches - less.watches,
        }
    }
}

/// The account of one guest. Clones share it.
#[derive(Clone, Debug)]
pub struct Quota(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    memory: Budget,
    /// Whether the guest is gone.
    closed: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    usage: Usage,
    /// The tasks that wait for a charge to be released.
    waiters: Waiters,
}

impl Quota {
    /// An account that holds nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner {
            limits,
            memory: Budget::new(limits.buffer_bytes),
            closed: AtomicBool::new(false),
            held: Mutex::default(),
        }))
    }

    /// The limits of the guest.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// What is held now. Connections that the guest has dropped count as the guest's until they have ended; once the
    /// guest is gone, they only count for their interfaces.
    pub fn usage(&self) -> Usage {
        let usage = self.0.held.lock().usage;
        if self.0.closed.load(Ordering::Acquire) {
            usage
        } else {
            Usage { buffer_bytes: self.0.memory.held(), ..usage }
        }
    }

    /// Marks the guest as gone. From then on its remaining connections do not count as its usage.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
    }

    /// The memory budget of the guest's connections.
    pub fn memory(&self) -> &Budget {
        &self.0.memory
    }

    /// Charges one socket with `buffer_bytes` of buffer; [`Error::LimitReached`] if a limit would be exceeded.
    pub fn charge(&self, buffer_bytes: usize) -> Result<Charge> {
        self.take(Usage { sockets: 1, buffer_bytes, ..Usage::default() })
    }

    /// Charges one name query; [`Error::LimitReached`] if the limit is reached.
    pub fn charge_query(&self) -> Result<Charge> {
        self.take(Usage { queries: 1, ..Usage::default() })
    }

    /// Charges one watch on interfaces; [`Error::LimitReached`] if the limit is reached.
    pub fn charge_watch(&self) -> Result<Charge> {
        self.take(Usage { watches: 1, ..Usage::default() })
    }

    /// Like [`charge`](Self::charge) without memory, but waits until a socket has been released. If the limits allow no
    /// socket at all, that is an error.
    pub fn poll_charge(&self, cx: &mut Context<'_>) -> Poll<Result<Charge>> {
        let amount = Usage { sockets: 1, ..Usage::default() };
        if Usage::default().plus(amount, &self.0.limits).is_none() {
            return Poll::Ready(Err(Error::LimitReached));
        }
        let mut held = self.0.held.lock();
        if let Some(charge) = self.take_of(amount, &mut held) {
            return Poll::Ready(Ok(charge));
        }
        held.waiters.register(cx.waker());
        Poll::Pending
    }

    fn take(&self, amount: Usage) -> Result<Charge> {
        self.take_of(amount, &mut self.0.held.lock()).ok_or(Error::LimitReached)
    }

    fn take_of(&self, amount: Usage, held: &mut Held) -> Option<Charge> {
        let usage = held.usage.plus(amount, &self.0.limits)?;
        if !self.0.memory.take(amount.buffer_bytes) {
            return None;
        }
        held.usage = usage;
        Some(Charge { quota: self.clone(), amount })
    }
}

/// The charge of one socket, query or watch on a [`Quota`]. Dropping it releases the charge.
#[derive(Debug)]
#[must_use = "a charge that is dropped is given back at once"]
pub struct Charge {
    quota: Quota,
    amount: Usage,
}

impl Charge {
    /// Changes the buffer bytes of a socket's charge; [`Error::LimitReached`] if a limit would be exceeded, and then
    /// nothing is changed.
    pub fn resize(&mut self, buffer_bytes: usize) -> Result<()> {
        let (memory, before) = (&self.quota.0.memory, self.amount.buffer_bytes);
        match buffer_bytes.checked_sub(before) {
            Some(more) if !memory.take(more) => return Err(Error::LimitReached),
            Some(_) => {}
            None => memory.give_back(before - buffer_bytes),
        }
        let mut held = self.quota.0.held.lock();
        held.usage.buffer_bytes = held.usage.buffer_bytes - before + buffer_bytes;
        self.amount.buffer_bytes = buffer_bytes;
        Ok(())
    }

    /// Like [`resize`](Self::resize), but never shrinks, because the buffer may be filled already.
    pub fn grow(&mut self, buffer_bytes: usize) -> Result<()> {
        self.resize(buffer_bytes.max(self.amount.buffer_bytes))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.quota.0.memory.give_back(self.amount.buffer_bytes);
        let mut wakes = Wakes::new();
        {
            let mut held = self.quota.0.held.lock();
            held.usage = held.usage.minus(self.amount);
            held.waiters.take(&mut wakes);
        }
        wakes.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::platform::counted::Count;

    /// No queries and no watches.
    fn limits(sockets: usize, buffer_bytes: usize) -> Limits {
        Limits { sockets, buffer_bytes, queries: 0, watches: 0 }
    }

    fn counted() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), Waker::from(count))
    }

    #[test]
    fn a_dropped_charge_is_released() {
        let quota = Quota::new(limits(2, 100));
        let first = quota.charge(60).unwrap();
        assert_eq!(quota.charge(41).unwrap_err(), Error::LimitReached);
        let second = quota.charge(40).unwrap();
        assert_eq!(quota.usage(), Usage { sockets: 2, buffer_bytes: 100, ..Usage::default() });
        assert_eq!(quota.charge(0).unwrap_err(), Error::LimitReached);
        drop((first, second));
        assert_eq!(quota.usage(), Usage::default());
    }

    #[test]
    fn a_charge_is_resized_within_the_limits_or_left_as_it_was() {
        let quota = Quota::new(limits(2, 100));
        let _other = quota.charge(40).unwrap();
        let mut charge = quota.charge(10).unwrap();
        charge.resize(60).unwrap();
        assert_eq!(charge.resize(61).unwrap_err(), Error::LimitReached);
        assert_eq!(quota.usage(), Usage { sockets: 2, buffer_bytes: 100, ..Usage::default() });
        charge.resize(5).unwrap();
        assert_eq!(quota.usage().buffer_bytes, 45);
        drop(charge);
        assert_eq!(quota.usage(), Usage { sockets: 1, buffer_bytes: 40, ..Usage::default() });
    }

    /// The stacks take the memory of its connections from the budget.
    #[test]
    fn connections_left_by_a_guest_that_is_gone_do_not_count_as_its_usage() {
        let quota = Quota::new(limits(2, 100));
        let socket = quota.charge(10).unwrap();
        assert!(quota.memory().take(30));
        assert_eq!(quota.usage(), Usage { sockets: 1, buffer_bytes: 40, ..Usage::default() });
        quota.close();
        assert_eq!(quota.usage(), Usage { sockets: 1, buffer_bytes: 10, ..Usage::default() });
        drop(socket);
        assert_eq!((quota.usage(), quota.memory().held()), (Usage::default(), 30));
    }

    #[test]
    fn a_size_near_the_end_of_the_integers_does_not_wrap_round() {
        let quota = Quota::new(limits(4, usize::MAX));
        let _held = quota.charge(1).unwrap();
        assert_eq!(quota.charge(usize::MAX).unwrap_err(), Error::LimitReached);
    }

    #[test]
    fn queries_and_watches_are_counted_separately() {
        let quota = Quota::new(Limits { queries: 2, watches: 1, ..limits(0, 0) });
        let queries = [quota.charge_query().unwrap(), quota.charge_query().unwrap()];
        assert_eq!(quota.charge_query().unwrap_err(), Error::LimitReached);
        let watch = quota.charge_watch().unwrap();
        assert_eq!(quota.charge_watch().unwrap_err(), Error::LimitReached);
        assert_eq!(quota.charge(0).unwrap_err(), Error::LimitReached);
        assert_eq!(quota.usage(), Usage { queries: 2, watches: 1, ..Usage::default() });
        drop(queries);
        assert_eq!(quota.usage(), Usage { watches: 1, ..Usage::default() });
        drop(watch);
        assert_eq!(quota.usage(), Usage::default());
        let _again = (quota.charge_query().unwrap(), quota.charge_watch().unwrap());
    }

    #[test]
    fn a_waiter_is_woken_once_when_there_is_room() {
        let quota = Quota::new(limits(1, 10));
        let (count, waker) = counted();
        let mut cx = Context::from_waker(&waker);

        let held = quota.charge(10).unwrap();
        assert!(quota.poll_charge(&mut cx).is_pending());
        assert!(quota.poll_charge(&mut cx).is_pending());
        drop(held);
        assert_eq!(count.get(), 1);
        assert!(matches!(quota.poll_charge(&mut cx), Poll::Ready(Ok(_))));
    }

    #[test]
    fn waiting_for_a_charge_that_the_limits_never_allow_is_an_error() {
        let quota = Quota::new(limits(0, 10));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(quota.poll_charge(&mut cx), Poll::Ready(Err(Error::LimitReached))));
    }
}
