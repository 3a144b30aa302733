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

/// One handshake.
#[derive(Clone, Copy, Debug)]
pub(super) struct HalfOpen {
    pub(super) tuple: Tuple,
    pub(super) listener: ListenerId,
    /// ISS and IRS.
    pub(super) isn: Sequence,
    pub(super) peer_isn: Sequence,
    pub(super) agreement: Agreement,
    /// When the answer first left, and how often it has.
    pub(super) since: Instant,
    pub(super) answers: u32,
    /// The answer is to leave again.
    due: bool,
}

/// The handshakes of one interface.
#[derive(Default)]
pub(super) struct HalfOpens {
    records: Slots<HalfOpen>,
    timers: Timers,
    due: alloc::collections::VecDeque<Key>,
}

impl HalfOpens {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// A peer has begun a handshake, and is to be answered.
    pub(super) fn insert(
        &mut self,
        tuple: Tuple,
        listener: ListenerId,
        isn: Sequence,
        peer_isn: Sequence,
        agreement: Agreement,
        now: Instant,
    ) -> Key {
        let record = HalfOpen { tuple, listener, isn, peer_isn, agreement, since: now, answers: 0, due: false };
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
    pub(super) fn remove_all(&mut self, listener: ListenerId, mut each: impl FnMut(&HalfOpen)) {
        let keys: alloc::vec::Vec<Key> =
            self.records.iter().filter(|(_, record)| record.listener == listener).map(|(key, _)| key).collect();
        for key in keys {
            if let Some(record) = self.remove(key) {
                each(&record);
            }
        }
    }

    /// The answer is to leave, or to leave again.
    pub(super) fn ask(&mut self, key: Key) {
        if let Some(record) = self.records.get_mut(key)
            && !record.due
        {
            record.due = true;
            self.due.push_back(key);
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

    /// An answer has left, or could not: either way the next is due when this one was not acknowledged in time.
    pub(super) fn on_answered(&mut self, key: Key, now: Instant) {
        if let Some(record) = self.records.get_mut(key) {
            record.due = false;
            let timeout = FIRST_TIMEOUT.saturating_mul(1 << record.answers.min(6));
            record.answers += 1;
            self.timers.set(key.index(), Some(now + timeout));
        }
    }

    /// Answers again what is due; `expired` is told of handshakes whose time is over.
    pub(super) fn handle_timeout(&mut self, now: Instant, mut expired: impl FnMut(&Tuple, ListenerId)) {
        while let Some(index) = self.timers.pop(now) {
            let Some(key) = self.records.key_at(index) else { continue };
            if self.records.get(key).is_some_and(|record| record.answers < MOST_ANSWERS) {
                self.ask(key);
            } else if let Some(record) = self.remove(key) {
                expired(&record.tuple, record.listener);
            }
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }
}
