//! The fair queue of senders: a queue of owners, each with a queue of its senders.
//!
//! It is deficit round robin (Shreedhar and Varghese, SIGCOMM 1995) on two levels. An owner's turn is a quantum of
//! bytes, which its senders use in turns of a quantum each. Packets are not split: a sender that sends more than is
//! left of its turn has that much less in its next turn. So an owner's share of a link depends neither on the number of
//! its senders nor on the sizes of their packets, and the same holds for each sender within its owner. Every sender
//! gets a turn within one round.
//!
//! An owner that has sent more than its turn and has no senders left is in debt. It stays in the queue until it has
//! passed the turns that it owes, or until nobody else waits. Otherwise who comes again for each of its packets would
//! get more by sending longer ones.
//!
//! An owner that has used its rate [rests](Limited) until it may send again. Its senders keep their places.
//!
//! The queue knows nothing of links. A sender that finds the link full keeps the rest of its turn, and is first when
//! the link has room again. It gains nothing by that, because a turn ends when its bytes are spent.

use core::hash::Hash;
use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashMap;

use super::owner::{Allowed, Owner};
use crate::platform::Instant;

/// An owner of senders, which may be limited in what it sends.
pub(crate) trait Limited {
    /// What the owner may send now. `Err` is the time until which the owner must rest.
    fn may_send(&self, now: Instant) -> Result<Allowed, Instant>;
    /// Counts that the owner must rest.
    fn delayed(&self);
}

impl Limited for Owner {
    fn may_send(&self, now: Instant) -> Result<Allowed, Instant> {
        self.may_send(now)
    }

    fn delayed(&self) {
        self.counters().into_iter().for_each(|counters| counters.delayed.add(1));
    }
}

/// A fair queue of senders `K` of owners `O`. A sender is in it while it may have something to send.
#[derive(Debug)]
pub(crate) struct Schedule<O, K> {
    /// The number of bytes of a turn.
    quantum: usize,
    /// The owners that have senders and do not rest; the first one has the turn. With them, but never without them,
    /// those that are in debt.
    ring: VecDeque<O>,
    /// The owners that have senders and rest, by the time at which they may send again, and by a number of their own.
    resting: BTreeMap<(Instant, u64), O>,
    /// The number of the next owner that rests.
    next_rest: u64,
    /// The shares of these owners, and of some owners that had senders before, since most of them come again soon.
    shares: HashMap<O, Share<K>>,
}

/// The number of shares beyond which a share without senders is removed.
const KEPT: usize = 64;

/// The senders of one owner; the first one has the turn.
#[derive(Debug)]
struct Share<K> {
    senders: VecDeque<(K, Credit)>,
    credit: Credit,
}

impl<K> Share<K> {
    /// Whether the owner is not in the queue: it has neither senders nor a debt.
    fn is_out(&self) -> bool {
        self.senders.is_empty() && self.credit > 0
    }
}

/// The bytes that are left of a turn; zero or negative when the turn is over.
type Credit = i64;

/// The sender that has the turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn<K> {
    pub(crate) key: K,
    /// The number of bytes that may be sent. The last packet may exceed it.
    pub(crate) bytes: usize,
    /// The number of packets that the owner may send.
    pub(crate) packets: usize,
}

impl<O: Clone + Eq + Hash + Limited, K: Copy + Eq> Schedule<O, K> {
    /// An empty queue with turns of `quantum` bytes, which should be worth several packets.
    pub(crate) fn new(quantum: usize) -> Self {
        let (ring, resting, shares) = (VecDeque::new(), BTreeMap::new(), HashMap::new());
        Self { quantum: quantum.max(1), ring, resting, next_rest: 0, shares }
    }

    fn full_credit(&self) -> Credit {
        Credit::try_from(self.quantum).unwrap_or(Credit::MAX)
    }

    /// Whether no sender can have a turn now: there is none, or the owners of all rest.
    pub(crate) fn is_idle(&self) -> bool {
        self.ring.is_empty()
    }

    /// Whether a packet of an owner, if it was sent now, would overtake no other: no sender can have a turn, and none
    /// of the owner's own senders waits.
    pub(crate) fn is_clear_for(&self, owner: &O) -> bool {
        let waits = || self.shares.get(owner).is_some_and(|share| !share.senders.is_empty());
        self.ring.is_empty() && (self.resting.is_empty() || !waits())
    }

    /// The time at which the first of the resting owners may send again.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.resting.first_key_value().map(|((at, _), _)| *at)
    }

    /// Adds a sender that is not in the queue, behind its owner's other senders. An owner that was not in the queue is
    /// put behind all other owners.
    pub(crate) fn push(&mut self, owner: &O, key: K) {
        let credit = self.full_credit();
        let share = self.shares.entry_ref(owner).or_insert_with(|| Share { senders: VecDeque::new(), credit });
        if share.is_out() {
            self.ring.push_back(owner.clone());
        }
        share.senders.push_back((key, credit));
    }

    /// The sender that has the turn. It is the same one until its bytes are [spent](Self::spend) or it has
    /// [finished](Self::finish), or its owner has to rest.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Turn<K>> {
        while let Some(rested) = self.resting.first_entry().filter(|first| first.key().0 <= now) {
            self.ring.push_back(rested.remove());
        }
        let credit = self.full_credit();
        loop {
            let owner = self.ring.front()?;
            let share = self.shares.get_mut(owner)?;
            if share.credit <= 0 {
                share.credit += credit;
                let is_out = share.is_out();
                let owner = self.ring.pop_front()?;
                if is_out {
                    self.leave(&owner);
                } else {
                    self.ring.push_back(owner);
                }
                continue;
            }
            let allowed = match owner.may_send(now) {
                Ok(allowed) => allowed,
                Err(at) => {
                    owner.delayed();
                    let resting = self.ring.pop_front()?;
                    self.resting.insert((at, self.next_rest), resting);
                    self.next_rest += 1;
                    continue;
                }
            };
            let (key, left) = share.senders.front_mut()?;
            if *left <= 0 {
                *left += credit;
                share.senders.rotate_left(1);
                continue;
            }
            let bytes = usize::try_from(share.credit.min(*left)).unwrap_or(usize::MAX);
            return Some(Turn { key: *key, bytes: bytes.min(allowed.bytes), packets: allowed.packets });
        }
    }

    /// Subtracts the bytes that the sender with the turn has sent.
    pub(crate) fn spend(&mut self, bytes: u64) {
        let bytes = Credit::try_from(bytes).unwrap_or(Credit::MAX);
        if let Some(share) = self.ring.front().and_then(|owner| self.shares.get_mut(owner))
            && let Some((_, left)) = share.senders.front_mut()
        {
            *left = left.saturating_sub(bytes);
            share.credit = share.credit.saturating_sub(bytes);
        }
    }

    /// Removes the sender with the turn, which has nothing more to send.
    pub(crate) fn finish(&mut self) {
        let Some(owner) = self.ring.pop_front() else { return };
        let Some(share) = self.shares.get_mut(&owner) else { return };
        share.senders.pop_front();
        if share.is_out() {
            self.leave(&owner);
        } else {
            self.ring.push_front(owner);
        }
        self.forgive();
    }

    /// Removes a sender of an owner wherever it stands.
    pub(crate) fn remove(&mut self, owner: &O, key: K) {
        let Some(share) = self.shares.get_mut(owner) else { return };
        share.senders.retain(|(known, _)| *known != key);
        if share.is_out() {
            self.ring.retain(|known| known != owner);
            self.resting.retain(|_, known| known != owner);
            self.leave(owner);
        }
        self.forgive();
    }

    /// Forgets all debts if no owner in the ring has senders: they have cost nobody a turn.
    fn forgive(&mut self) {
        let waits = |owner| self.shares.get(owner).is_some_and(|share| !share.senders.is_empty());
        if !self.ring.iter().any(waits) {
            while let Some(owner) = self.ring.pop_front() {
                self.leave(&owner);
            }
        }
    }

    /// Keeps the share of an owner that has left the queue, for its next senders, unless many are kept.
    fn leave(&mut self, owner: &O) {
        let credit = self.full_credit();
        if self.shares.len() > KEPT {
            self.shares.remove(owner);
        } else if let Some(share) = self.shares.get_mut(owner) {
            share.credit = credit;
        }
    }
}

#[cfg(test)]
mod tests;
