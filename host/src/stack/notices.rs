//! How a stack informs others: the watchers of its interface, and the tasks to be woken once the lock is released.

use std::sync::{Arc, Weak};

use xila_network_commands::event::Change;
use xila_network_commands::interface::AutoconfigurationStatus;

use super::events::Events;
use super::{Shared, Stack};
use crate::waiters::Wakes;

/// The receivers of a stack's news, and the state that decides what is new.
pub(super) struct Notices {
    events: Events,
    /// The interface is still being set up. Its changes are not published until it is mounted.
    is_quiet: bool,
    /// The DHCP lease may differ from the lease in the record.
    is_lease_news: bool,
    /// The status that was last seen.
    autoconfiguration: AutoconfigurationStatus,
    me: Weak<Shared>,
    /// The wakers to be woken once the lock is released.
    pub(super) wakes: Wakes,
}

impl Notices {
    /// The notices of the stack `me`, which publishes nothing yet.
    pub(super) fn new(events: Events, me: Weak<Shared>) -> Self {
        let autoconfiguration = AutoconfigurationStatus::default();
        Self { events, is_quiet: true, is_lease_news: false, autoconfiguration, me, wakes: Wakes::new() }
    }

    /// Starts publishing changes.
    pub(super) const fn begin(&mut self) {
        self.is_quiet = false;
    }

    /// Publishes a change to the watchers of the interface.
    pub(super) fn publish(&mut self, change: Change) {
        if !self.is_quiet
            && let Some(name) = self.name()
        {
            self.events.publish(&name, change, &mut self.wakes);
        }
    }

    /// Counts a change that is not published, or is published later.
    pub(super) fn count(&self) {
        self.events.count();
    }

    /// Stores the status of autoconfiguration; returns whether it has changed.
    pub(super) fn note_autoconfiguration(&mut self, status: AutoconfigurationStatus) -> bool {
        core::mem::replace(&mut self.autoconfiguration, status) != status
    }

    /// Notes that DHCP has obtained or lost a lease. The runner stores it.
    pub(super) const fn note_lease_news(&mut self) {
        self.is_lease_news = true;
    }

    /// Whether a changed lease is to be stored.
    pub(super) const fn is_lease_news(&self) -> bool {
        self.is_lease_news
    }

    /// Like [`is_lease_news`](Self::is_lease_news), and clears the flag: the caller stores the lease.
    pub(super) const fn take_lease_news(&mut self) -> bool {
        core::mem::replace(&mut self.is_lease_news, false)
    }

    /// The stack; `None` once its last handle is dropped.
    pub(super) fn stack(&self) -> Option<Stack> {
        self.me.upgrade().map(Stack)
    }

    /// The name of the interface; `None` once the stack's last handle is dropped.
    pub(super) fn name(&self) -> Option<Arc<str>> {
        self.me.upgrade().map(|me| me.name.clone())
    }

    /// Takes the wakers to be woken. `None` if there are none, as in most calls, so that nothing is moved.
    pub(super) fn take_wakes(&mut self) -> Option<Wakes> {
        (!self.wakes.is_empty()).then(|| core::mem::take(&mut self.wakes))
    }
}
