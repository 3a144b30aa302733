//! The mailboxes of the sockets that are registered with a stack, found by the engine's key or by the mailbox itself.

use std::sync::Arc;

use hashbrown::HashMap;
use xila_network_engine::slots::{Beside, Key};

/// The mailboxes `M`, by the keys that the engine has given to their sockets.
pub(super) struct Mailboxes<M> {
    by_key: Beside<Arc<M>>,
    /// The key of each mailbox, by its address in memory.
    keys: HashMap<usize, Key>,
}

impl<M> Default for Mailboxes<M> {
    fn default() -> Self {
        Self { by_key: Beside::default(), keys: HashMap::new() }
    }
}

impl<M> Mailboxes<M> {
    /// The number of mailboxes.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Adds a mailbox under the key of its socket, which is a new one.
    pub(super) fn insert(&mut self, key: Key, mailbox: &Arc<M>) {
        self.keys.insert(place(mailbox), key);
        self.by_key.get_or_insert_with(key, || mailbox.clone());
    }

    /// Removes a mailbox; returns the key of its socket.
    pub(super) fn remove(&mut self, mailbox: &Arc<M>) -> Option<Key> {
        let key = self.keys.remove(&place(mailbox))?;
        self.by_key.remove(key);
        Some(key)
    }

    /// The key of a mailbox's socket.
    pub(super) fn key(&self, mailbox: &Arc<M>) -> Option<Key> {
        self.keys.get(&place(mailbox)).copied()
    }

    /// The mailbox of the socket with this key.
    pub(super) fn get(&mut self, key: Key) -> Option<&Arc<M>> {
        self.by_key.get_mut(key).map(|mailbox| &*mailbox)
    }

    /// All mailboxes.
    pub(super) fn iter(&mut self) -> impl Iterator<Item = &Arc<M>> {
        self.by_key.values_mut().map(|mailbox| &*mailbox)
    }
}

fn place<M>(mailbox: &Arc<M>) -> usize {
    Arc::as_ptr(mailbox).addr()
}
