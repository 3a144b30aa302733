//! Whom a stack tells: those who watch its interface, and the tasks that wait for something.

use std::sync::{Arc, Weak};

use xila_network_commands::event::Change;
use xila_network_commands::interface::AutoconfigurationStatus;

use super::events::Events;
use super::waiters::Wakes;
use super::{Shared, Stack};

/// Who is told.
pub(super) struct Notices {
    events: Events,
    /// Being set up: nobody hears of an interface before it is there.
    is_quiet: bool,
    /// What DHCP was lent is another thing than what is remembered, perhaps.
    is_lease_news: bool,
    /// As it was when it was last looked at.
    autoconfiguration: AutoconfigurationStatus,
    me: Weak<Shared>,
    /// Who is woken once the lock is given back.
    pub(super) wakes: Wakes,
}

impl Notices {
    /// Those of the stack `me`, which tells of nothing yet.
    pub(super) fn new(events: Events, me: Weak<Shared>) -> Self {
        let autoconfiguration = AutoconfigurationStatus::default();
        Self { events, is_quiet: true, is_lease_news: false, autoconfiguration, me, wakes: Wakes::new() }
    }

    /// From now on changes are told.
    pub(super) const fn begin(&mut self) {
        self.is_quiet = false;
    }

    /// Tells those who watch of a change.
    pub(super) fn publish(&mut self, change: Change) {
        if !self.is_quiet
            && let Some(name) = self.name()
        {
            self.events.publish(&name, change, &mut self.wakes);
        }
    }

    /// Takes note of where autoconfiguration is; whether that is elsewhere than before.
    pub(super) fn note_autoconfiguration(&mut self, status: AutoconfigurationStatus) -> bool {
        core::mem::replace(&mut self.autoconfiguration, status) != status
    }

    /// DHCP was lent something, or has lost it: the runner has it remembered.
    pub(super) const fn note_lease_news(&mut self) {
        self.is_lease_news = true;
    }

    /// Whether there is something to be remembered.
    pub(super) const fn is_lease_news(&self) -> bool {
        self.is_lease_news
    }

    /// As [`is_lease_news`](Self::is_lease_news), and it is being remembered now.
    pub(super) const fn take_lease_news(&mut self) -> bool {
        core::mem::replace(&mut self.is_lease_news, false)
    }

    /// The stack, for as long as somebody has it.
    pub(super) fn stack(&self) -> Option<Stack> {
        self.me.upgrade().map(Stack)
    }

    /// The name of the interface.
    pub(super) fn name(&self) -> Option<Arc<str>> {
        self.me.upgrade().map(|me| me.name.clone())
    }

    /// Who is to be woken; most calls find nobody, and have nothing to move.
    pub(super) fn take_wakes(&mut self) -> Option<Wakes> {
        (!self.wakes.is_empty()).then(|| core::mem::take(&mut self.wakes))
    }
}
