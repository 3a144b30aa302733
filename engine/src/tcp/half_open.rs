//! Handshakes that peers have begun with a listener (SYN-RECEIVED). Each is a record of about a hundred bytes, without
//! buffers.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use super::ListenerId;
use super::handshake::Agreement;
use super::sequence::Sequence;
use super::tuple::Tuple;
use crate::slots::{Key, Slots};
use crate::time::Instant;
use crate::timers::Timers;

/// How long the first SYN and ACK waits to be acknowledged (RFC 6298 section 2.1).
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
/// How many times a SYN is answered at most, which takes 31 seconds in total.
const MAX_ANSWERS: u32 = 5;
/// How long a handshake may take if its answers could not be sent.
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
    /// When the SYN was received.
    pub(super) since: Instant,
    /// When the answer was last sent, and how often.
    pub(super) answered: Instant,
    pub(super) answers: u32,
    /// The answer is to be sent, and the handshake is in the list `due`.
    due: bool,
    /// The answer waits for the next hop to be resolved, and the handshake is in the list `held`.
    is_held: bool,
}

/// The handshakes of one interface.
#[derive(Default)]
pub(super) struct HalfOpens {
    records: Slots<HalfOpen>,
    timers: Timers,
    due: VecDeque<Key>,
    /// The handshakes whose answer waits for the hardware address of the next hop.
    held: Vec<Key>,
}

impl HalfOpens {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Adds a handshake that a peer has begun, with this ISS and IRS. Its answer becomes due.
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

    /// Removes all handshakes of a listener that was closed, and passes each to `each`.
    pub(super) fn remove_all(&mut self, listener: ListenerId, mut each: impl FnMut(Key, &HalfOpen)) {
        let keys: Vec<Key> =
            self.records.iter().filter(|(_, record)| record.listener == listener).map(|(key, _)| key).collect();
        for key in keys {
            if let Some(record) = self.remove(key) {
                each(key, &record);
            }
        }
    }

    /// Stops the use of ECN because the peer has repeated its SYN without requesting it, whatever the first SYN
    /// requested (RFC 3168 section 6.1.1).
    pub(super) fn forget_ecn(&mut self, key: Key) {
        if let Some(record) = self.records.get_mut(key) {
            record.agreement.ecn = false;
        }
    }

    /// Makes the answer due: it is to be sent, or sent again.
    pub(super) fn ask(&mut self, key: Key) {
        if let Some(record) = self.records.get_mut(key)
            && !record.due
        {
            record.due = true;
            self.due.push_back(key);
            if self.due.len() > 2 * self.records.len() + 64 {
                // If the outlet has no room for a long time, handshakes come and go, and their entries must not
                // accumulate.
                let records = &self.records;
                self.due.retain(|key| records.get(*key).is_some_and(|record| record.due));
            }
        }
    }

    /// The next handshake whose answer is due.
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

    /// Whether an answer may be due. If this is false, certainly none is.
    pub(super) fn may_have_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// Puts the answer that was next in the list on hold until its next hop is resolved. It is tried again by
    /// [`release`](Self::release), and after a second.
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
                // If no next hop is resolved for a long time, handshakes come and go, and their entries must not
                // accumulate.
                let records = &self.records;
                self.held.retain(|key| records.get(*key).is_some());
            }
        }
    }

    /// Tries the answers that wait for a next hop again, because some next hop was resolved.
    pub(super) fn release(&mut self) {
        for key in core::mem::take(&mut self.held) {
            if let Some(record) = self.records.get_mut(key) {
                record.is_held = false;
            }
            self.ask(key);
        }
    }

    /// Records that an answer was sent, or could not be sent. In both cases the next one becomes due if this one is not
    /// acknowledged in time.
    pub(super) fn on_answered(&mut self, key: Key, now: Instant) {
        if let Some(record) = self.records.get_mut(key) {
            record.due = false;
            let timeout = FIRST_TIMEOUT.saturating_mul(1 << record.answers.min(6));
            (record.answered, record.answers) = (now, record.answers + 1);
            self.timers.set(key.index(), Some(now + timeout));
        }
    }

    /// Makes the answers due whose timer has expired, and removes handshakes that have used up their answers or time;
    /// `expired` is called for each of those.
    pub(super) fn handle_timeout(&mut self, now: Instant, mut expired: impl FnMut(Key, &HalfOpen)) {
        while let Some(index) = self.timers.pop(now) {
            let Some(key) = self.records.key_at(index) else { continue };
            let lives = |record: &HalfOpen| record.answers < MAX_ANSWERS && now - record.since < LIFETIME;
            if self.records.get(key).is_some_and(lives) {
                self.ask(key);
            } else if let Some(record) = self.remove(key) {
                expired(key, &record);
            }
        }
    }

    /// The bytes of memory that the lists of due and held answers take.
    pub(super) fn held(&self) -> usize {
        (self.due.capacity() + self.held.capacity()) * size_of::<Key>()
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
}
