//! What one guest may do with a network, and how much of it it may hold.
//!
//! Where a guest may go is, for now, the [`Network`](crate::socket::Network) that the embedder gives its context: no
//! network, no sockets. Whether it may look at those interfaces and change them is given apart
//! ([`NetworkCtxBuilder::control`](crate::wasm::NetworkCtxBuilder::control)), and not at all by default. How much it may hold is a [`Quota`]: every socket made for a guest, every name query and every watch
//! carries a [`Charge`] on it, taken before anything is created, grown before buffers are, and given back when that is dropped,
//! so that no guest can grow the host without bound. Rules about addresses, ports and names will be asked for in the same place and at the same moment: before any
//! side effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use xila_network_engine::buffer::Budget;

use crate::error::{Error, Result};

/// How much one guest may hold at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Sockets of any kind: listeners, connections, datagram sockets. A connection in a listener's backlog counts from
    /// the moment that it is accepted, until the guest lets go of it.
    pub sockets: usize,
    /// Bytes of memory that those sockets may hold: what the queues of each connection hold, and 4096 bytes for each of its
    /// two queues at least, be it in use, in a backlog or let go of; and the receive buffer of each datagram socket, 2304 bytes
    /// at least, which is all that its queue ever holds; and the answers of name servers that are kept for the guest, as large
    /// as they are in memory. While little of it is left, connections offer small windows and take little at once.
    pub buffer_bytes: usize,
    /// Name queries under way. What the host itself needs for one, a few sockets and the servers' answers, counts for
    /// nothing else.
    pub queries: usize,
    /// Watches on interfaces, each with a queue of events.
    pub watches: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sockets: 16_384, buffer_bytes: 1 << 30, queries: 64, watches: 16 }
    }
}

/// What a guest holds at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sockets of any kind.
    pub sockets: usize,
    /// Bytes of memory, counted as [`Limits::buffer_bytes`] says.
    pub buffer_bytes: usize,
    /// Name queries under way.
    pub queries: usize,
    /// Watches on interfaces.
    pub watches: usize,
}

impl Usage {
    /// Both together, where that is no more than the limits allow.
    fn plus(self, more: Self, limits: &Limits) -> Option<Self> {
        let within = |held: usize, more: usize, most: usize| held.checked_add(more).filter(|sum| *sum <= most);
        Some(Self {
            sockets: within(self.sockets, more.sockets, limits.sockets)?,
            // How many there may be is the budget's to say, which others take of too.
            buffer_bytes: self.buffer_bytes.saturating_add(more.buffer_bytes),
            queries: within(self.queries, more.queries, limits.queries)?,
            watches: within(self.watches, more.watches, limits.watches)?,
        })
    }

    /// What is left when `less`, a part of it, is gone.
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
    /// The guest is gone.
    closed: AtomicBool,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    usage: Usage,
    /// Those who wait for something to be given back.
    waiters: Vec<Waker>,
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

    /// The most that may be held.
    pub fn limits(&self) -> Limits {
        self.0.limits
    }

    /// What is held now. What connections still hold that the guest has let go of counts as the guest's while there is one;
    /// once it is gone, as that of their interfaces alone.
    pub fn usage(&self) -> Usage {
        let usage = self.0.held.lock().usage;
        if self.0.closed.load(Ordering::Acquire) {
            usage
        } else {
            Usage { buffer_bytes: self.0.memory.held(), ..usage }
        }
    }

    /// The guest is gone: nobody is left to be asked for what its connections hold until they are over.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
    }

    /// What the guest's connections take their memory of.
    pub fn memory(&self) -> &Budget {
        &self.0.memory
    }

    /// Takes one socket with `buffer_bytes` of buffer; [`Error::LimitReached`] when that is more than is left.
    pub fn charge(&self, buffer_bytes: usize) -> Result<Charge> {
        self.take(Usage { sockets: 1, buffer_bytes, ..Usage::default() })
    }

    /// Takes one name query; [`Error::LimitReached`] when as many as may be are under way.
    pub fn charge_query(&self) -> Result<Charge> {
        self.take(Usage { queries: 1, ..Usage::default() })
    }

    /// Takes one watch on interfaces; [`Error::LimitReached`] when there are as many as may be.
    pub fn charge_watch(&self) -> Result<Charge> {
        self.take(Usage { watches: 1, ..Usage::default() })
    }

    /// Like [`charge`](Self::charge) of no memory, but waits until a socket has been given back. What could never be had is an
    /// error.
    pub fn poll_charge(&self, cx: &mut Context<'_>) -> Poll<Result<Charge>> {
        let amount = Usage { sockets: 1, ..Usage::default() };
        if Usage::default().plus(amount, &self.0.limits).is_none() {
            return Poll::Ready(Err(Error::LimitReached));
        }
        let mut held = self.0.held.lock();
        if let Some(charge) = self.take_of(amount, &mut held) {
            return Poll::Ready(Ok(charge));
        }
        if !held.waiters.iter().any(|waiter| waiter.will_wake(cx.waker())) {
            held.waiters.push(cx.waker().clone());
        }
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

/// What one socket, query or watch takes of a [`Quota`]; dropping it gives it back.
#[derive(Debug)]
#[must_use = "a charge that is dropped is given back at once"]
pub struct Charge {
    quota: Quota,
    amount: Usage,
}

impl Charge {
    /// Changes the buffer bytes of a socket's charge; [`Error::LimitReached`], and nothing is changed, when more is asked
    /// for than is left.
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

    /// As [`resize`](Self::resize), but never to less: for what may be filled already.
    pub fn grow(&mut self, buffer_bytes: usize) -> Result<()> {
        self.resize(buffer_bytes.max(self.amount.buffer_bytes))
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.quota.0.memory.give_back(self.amount.buffer_bytes);
        let waiters = {
            let mut held = self.quota.0.held.lock();
            held.usage = held.usage.minus(self.amount);
            std::mem::take(&mut held.waiters)
        };
        waiters.into_iter().for_each(Waker::wake);
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
    fn what_is_dropped_is_given_back() {
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

    /// What its connections hold is taken of the budget by the stacks.
    #[test]
    fn what_is_left_of_a_guest_that_is_gone_is_not_its_own() {
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
    fn queries_and_watches_are_counted_apart() {
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
    fn waiting_for_what_can_never_be_had_is_an_error() {
        let quota = Quota::new(limits(0, 10));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(quota.poll_charge(&mut cx), Poll::Ready(Err(Error::LimitReached))));
    }
}
