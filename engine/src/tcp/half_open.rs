//! Handshakes that peers have begun: SYN-RECEIVED, as a record of some hundred bytes and no buffers.

use core::time::Duration;

use super::ListenerId;
use super::handshake::Agreement;
use super::sequence::Sequence;
use super::tuple::Tuple;
use crate::slots::{Key, Slots};
use crate::time::Instant;
use crate::timers::Timers;

/// How long the first answer waits for its acknowledgement (RFC 6298 section 2.1).
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
/// How often a SYN is answered at most: for 31 seconds in all.
const MOST_ANSWERS: u32 = 5;
/// How long a handshake may take whose answers could not leave.
const LIFETIME: Duration = Duration::from_secs(31);

/// One handshake.
#[derive(Clone, Copy, Debug)]
pub(super) struct HalfOpen {
    pub(super) tuple: Tuple,
    pub(super) listener: ListenerId,
    /// ISS and IRS.
    pub(super) isn: Sequence,
    pub(super) peer_isn: Sequence,
    pub(super) agreement: Agreement,
    /// The window that the answer offers.
    pub(super) offered: u16,
    /// When the SYN came.
    pub(super) since: Instant,
    /// When the answer last left, and how often it has.
    pub(super) answered: Instant,
    pub(super) answers: u32,
    /// The answer is to leave again.
    due: bool,
    /// It waits for the next hop.
    is_held: bool,
}

/// The handshakes of one interface.
#[derive(Default)]
pub(super) struct HalfOpens {
    records: Slots<HalfOpen>,
    timers: Timers,
    due: alloc::collections::VecDeque<Key>,
    /// Those whose answer waits for the next hop's hardware address.
    held: alloc::vec::Vec<Key>,
}

impl HalfOpens {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// A peer has begun a handshake, of these ISS and IRS, and is to be answered.
    pub(super) fn insert(
        &mut self,
        tuple: Tuple,
        listener: ListenerId,
        (isn, peer_isn): (Sequence, Sequence),
        agreement: Agreement,
        offered: u16,
        now: Instant,
    ) -> Key {
        let (since, answered) = (now, now);
        let (answers, due, is_held) = (0, false, false);
        let record =
            HalfOpen { tuple, listener, isn, peer_isn, agreement, offered, since, answered, answers, due, is_held };
        let key = self.records.insert(record);
        self.ask(key);
        key
    }

    pub(super) fn get(&self, key: Key) -> Option<&HalfOpen> {
        self.records.get(key)
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<HalfOpen> {
        self.timers.remove(key.index());
        self.records.remove(key)
    }

    /// The handshakes of a listener that is no more.
    pub(super) fn remove_all(&mut self, listener: ListenerId, mut each: impl FnMut(Key, &HalfOpen)) {
        let keys: alloc::vec::Vec<Key> =
            self.records.iter().filter(|(_, record)| record.listener == listener).map(|(key, _)| key).collect();
        for key in keys {
            if let Some(record) = self.remove(key) {
                each(key, &record);
            }
        }
    }

    /// The peer's SYN came again without asking for ECN: then ECN is not used, whatever it asked for first (RFC 3168
    /// section 6.1.1).
    pub(super) fn forget_ecn(&mut self, key: Key) {
        if let Some(record) = self.records.get_mut(key) {
            record.agreement.ecn = false;
        }
    }

    /// The answer is to leave, or to leave again.
    pub(super) fn ask(&mut self, key: Key) {
        if let Some(record) = self.records.get_mut(key)
            && !record.due
        {
            record.due = true;
            self.due.push_back(key);
            if self.due.len() > 2 * self.records.len() + 64 {
                // Where the outlet has no room for long, handshakes come and go.
                let records = &self.records;
                self.due.retain(|key| records.get(*key).is_some_and(|record| record.due));
            }
        }
    }

    /// The next answer that is to leave.
    pub(super) fn next_due(&mut self) -> Option<(Key, HalfOpen)> {
        while let Some(key) = self.due.front().copied() {
            match self.records.get(key) {
                Some(record) if record.due => return Some((key, *record)),
                Some(_) | None => {
                    self.due.pop_front();
                }
            }
        }
        None
    }

    /// Whether an answer may be due: where not, that is certain.
    pub(super) fn may_have_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// The answer that was next waits for its next hop. It is tried again by [`release`](Self::release), and in a second.
    pub(super) fn hold(&mut self, key: Key, now: Instant) {
        self.due.pop_front();
        if let Some(record) = self.records.get_mut(key) {
            record.due = false;
            self.timers.set(key.index(), Some(now + FIRST_TIMEOUT));
            if core::mem::replace(&mut record.is_held, true) {
                return;
            }
            self.held.push(key);
            if self.held.len() > 2 * self.records.len() + 64 {
                // Where nobody is found for long, handshakes come and go.
                let records = &self.records;
                self.held.retain(|key| records.get(*key).is_some());
            }
        }
    }

    /// Some next hop was found: the answers that wait for one are tried again.
    pub(super) fn release(&mut self) {
        for key in core::mem::take(&mut self.held) {
            if let Some(record) = self.records.get_mut(key) {
                record.is_held = false;
            }
            self.ask(key);
        }
    }

    /// An answer has left, or could not: either way the next is due when this one was not acknowledged in time.
    pub(super) fn on_answered(&mut self, key: Key, now: Instant) {
        if let Some(record) = self.records.get_mut(key) {
            record.due = false;
            let timeout = FIRST_TIMEOUT.saturating_mul(1 << record.answers.min(6));
            (record.answered, record.answers) = (now, record.answers + 1);
            self.timers.set(key.index(), Some(now + timeout));
        }
    }

    /// Answers again what is due; `expired` is told of handshakes whose time is over.
    pub(super) fn handle_timeout(&mut self, now: Instant, mut expired: impl FnMut(Key, &HalfOpen)) {
        while let Some(index) = self.timers.pop(now) {
            let Some(key) = self.records.key_at(index) else { continue };
            let lives = |record: &HalfOpen| record.answers < MOST_ANSWERS && now - record.since < LIFETIME;
            if self.records.get(key).is_some_and(lives) {
                self.ask(key);
            } else if let Some(record) = self.remove(key) {
                expired(key, &record);
            }
        }
    }

    /// Bytes of memory that the lists of what is to leave hold.
    pub(super) fn held(&self) -> usize {
        (self.due.capacity() + self.held.capacity()) * size_of::<Key>()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
}
