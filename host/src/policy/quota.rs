//! The limits of what one guest may hold.
//!
//! Every socket of a guest, every name query and every watch has a [`Charge`] on its [`Quota`], so that no guest can make
//! the host's memory grow without bound. The charge is taken before anything is created, grows before buffers do, and is
//! released when it is dropped.

mod limits;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use xila_network_engine::buffer::Budget;

pub use self::limits::{Limits, SocketKind, Usage};
use crate::error::{Error, Result};
use crate::waiters::{Waiters, Wakes};

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
    /// How often a limit was reached.
    refusals: AtomicU64,
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
            refusals: AtomicU64::new(0),
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

    /// How often the guest was refused something because one of its limits was reached, or its share of what all guests
    /// use.
    pub fn refusals(&self) -> u64 {
        self.0.refusals.load(Ordering::Relaxed)
    }

    /// Charges one socket with `buffer_bytes` of buffer; [`Error::LimitReached`] if a limit would be exceeded.
    pub fn charge(&self, kind: SocketKind, buffer_bytes: usize) -> Result<Charge> {
        self.take(Usage { buffer_bytes, ..Usage::socket(kind) })
    }

    /// Charges bytes that belong to no socket; [`Error::LimitReached`] if the limit would be exceeded.
    pub fn charge_memory(&self, bytes: usize) -> Result<Charge> {
        self.take(Usage { buffer_bytes: bytes, ..Usage::default() })
    }

    /// Charges one name query; [`Error::LimitReached`] if the limit is reached.
    pub fn charge_query(&self) -> Result<Charge> {
        self.take(Usage { queries: 1, ..Usage::default() })
    }

    /// Charges one watch on interfaces; [`Error::LimitReached`] if the limit is reached.
    pub fn charge_watch(&self) -> Result<Charge> {
        self.take(Usage { watches: 1, ..Usage::default() })
    }

    /// Charges one open device file; [`Error::LimitReached`] if the limit is reached.
    pub fn charge_file(&self) -> Result<Charge> {
        self.take(Usage { files: 1, ..Usage::default() })
    }

    /// Like [`charge`](Self::charge) without memory, but waits until a socket has been released. If the limits allow no
    /// socket at all, that is an error.
    pub fn poll_charge(&self, kind: SocketKind, cx: &mut Context<'_>) -> Poll<Result<Charge>> {
        let amount = Usage::socket(kind);
        if Usage::default().plus(amount, &self.0.limits).is_none() {
            return Poll::Ready(Err(self.refuse()));
        }
        let mut held = self.0.held.lock();
        if let Some(charge) = self.take_of(amount, &mut held) {
            return Poll::Ready(Ok(charge));
        }
        held.waiters.register(cx.waker());
        Poll::Pending
    }

    /// Counts the result of an operation of the stacks if it is a refusal: they enforce the limits of memory and of
    /// connections in a second, and the shares of ports and identifiers.
    #[cfg(feature = "wasm")]
    pub(crate) fn count<T>(&self, result: Result<T, impl Into<Error>>) -> Result<T> {
        result.map_err(|error| match error.into() {
            Error::LimitReached => self.refuse(),
            other => other,
        })
    }

    /// Counts a refusal; returns the error for it.
    pub(crate) fn refuse(&self) -> Error {
        self.0.refusals.fetch_add(1, Ordering::Relaxed);
        Error::LimitReached
    }

    fn take(&self, amount: Usage) -> Result<Charge> {
        let charge = self.take_of(amount, &mut self.0.held.lock());
        charge.ok_or_else(|| self.refuse())
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

/// The charge of one socket, query, watch or payload on a [`Quota`]. Dropping it releases the charge.
#[derive(Debug)]
#[must_use = "a charge that is dropped is given back at once"]
pub struct Charge {
    quota: Quota,
    amount: Usage,
}

impl Charge {
    /// The account that is charged.
    #[cfg(feature = "wasm")]
    pub(crate) const fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Adds a reserved port to a socket's charge; [`Error::LimitReached`] if a limit would be exceeded. A charge has at
    /// most one port: a second call changes nothing.
    pub fn add_port(&mut self) -> Result<()> {
        if self.amount.ports > 0 { Ok(()) } else { self.add(Usage { ports: 1, ..Usage::default() }) }
    }

    /// Releases the port of a socket's charge, after a bind that has failed.
    pub fn remove_port(&mut self) {
        self.remove(Usage { ports: self.amount.ports, ..Usage::default() });
    }

    /// Adds a listener to a socket's charge; [`Error::LimitReached`] if a limit would be exceeded.
    pub fn add_listener(&mut self) -> Result<()> {
        if self.amount.listeners > 0 { Ok(()) } else { self.add(Usage { listeners: 1, ..Usage::default() }) }
    }

    /// Releases the listener of a socket's charge, after an attempt to listen that has failed.
    pub fn remove_listener(&mut self) {
        self.remove(Usage { listeners: self.amount.listeners, ..Usage::default() });
    }

    fn add(&mut self, more: Usage) -> Result<()> {
        let mut added = self.quota.take(more)?;
        // The charge that was taken becomes a part of this one, so dropping it must release nothing.
        added.amount = Usage::default();
        self.amount = self.amount.plus(more, &self.quota.0.limits).unwrap_or(self.amount);
        Ok(())
    }

    fn remove(&mut self, less: Usage) {
        self.amount = self.amount.minus(less);
        drop(Self { quota: self.quota.clone(), amount: less });
    }

    /// Changes the buffer bytes of a socket's charge; [`Error::LimitReached`] if a limit would be exceeded, and then
    /// nothing is changed.
    pub fn resize(&mut self, buffer_bytes: usize) -> Result<()> {
        let (memory, before) = (&self.quota.0.memory, self.amount.buffer_bytes);
        match buffer_bytes.checked_sub(before) {
            Some(more) if !memory.take(more) => return Err(self.quota.refuse()),
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
mod tests;
