//! Who sends next: a fair queue of owners, each with a fair queue of senders.
//!
//! It is deficit round robin (Shreedhar and Varghese, SIGCOMM 1995), twice. An owner's turn lasts for a quantum of bytes, which
//! its senders share in turns of a quantum each. Packets are not cut: who sends more than is left of the turn has that much
//! less the next time. So an owner's part of a link depends neither on how many senders it has nor on the sizes of what they
//! send, and within an owner the same holds for each sender; whoever wants to send does so within one round.
//!
//! The queue knows nothing of links. Who finds the link full keeps what is left of the turn, and is first when the
//! link takes something again; nothing is gained by that, as a turn ends when its bytes are spent.

use core::hash::Hash;
use std::collections::VecDeque;

use hashbrown::HashMap;

/// The queue. A sender is in it while it may have something to send.
#[derive(Debug)]
pub(crate) struct Schedule<O, K> {
    /// The bytes of a turn.
    quantum: usize,
    /// Owners that have senders, from the one whose turn it is.
    ring: VecDeque<O>,
    /// The shares of those, and of some who had senders before: most come again soon.
    shares: HashMap<O, Share<K>>,
}

/// Shares that are kept though their owners have no senders.
const KEPT: usize = 64;

/// One owner's senders, from the one whose turn it is.
#[derive(Debug)]
struct Share<K> {
    senders: VecDeque<(K, Credit)>,
    credit: Credit,
}

/// The bytes that are left of a turn; where it is over, none or less.
type Credit = i64;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn<K> {
    pub(crate) key: K,
    /// How many bytes may be sent, the last packet being sent whole.
    pub(crate) bytes: usize,
}

impl<O: Copy + Eq + Hash, K: Copy> Schedule<O, K> {
    /// An empty queue with turns of `quantum` bytes, which should be some packets.
    pub(crate) fn new(quantum: usize) -> Self {
        Self { quantum: quantum.max(1), ring: VecDeque::new(), shares: HashMap::new() }
    }

    fn full_credit(&self) -> Credit {
        Credit::try_from(self.quantum).unwrap_or(Credit::MAX)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Adds a sender that is not in the queue; it is the last of its owner, and an owner that had none the last of all.
    pub(crate) fn push(&mut self, owner: O, key: K) {
        let credit = self.full_credit();
        let share = self.shares.entry(owner).or_insert_with(|| Share { senders: VecDeque::new(), credit });
        if share.senders.is_empty() {
            self.ring.push_back(owner);
            share.credit = credit;
        }
        share.senders.push_back((key, credit));
    }

    /// Whose turn it is, the same until its bytes are [spent](Self::spend) or it has [finished](Self::finish).
    pub(crate) fn next(&mut self) -> Option<Turn<K>> {
        let credit = self.full_credit();
        loop {
            let share = self.shares.get_mut(self.ring.front()?)?;
            if share.credit <= 0 {
                share.credit += credit;
                self.ring.rotate_left(1);
                continue;
            }
            let (key, left) = share.senders.front_mut()?;
            if *left <= 0 {
                *left += credit;
                share.senders.rotate_left(1);
                continue;
            }
            let bytes = usize::try_from(share.credit.min(*left)).unwrap_or(usize::MAX);
            return Some(Turn { key: *key, bytes });
        }
    }

    /// Counts what the sender whose turn it is has sent.
    pub(crate) fn spend(&mut self, bytes: u64) {
        let bytes = Credit::try_from(bytes).unwrap_or(Credit::MAX);
        if let Some(share) = self.ring.front().and_then(|owner| self.shares.get_mut(owner))
            && let Some((_, left)) = share.senders.front_mut()
        {
            *left = left.saturating_sub(bytes);
            share.credit = share.credit.saturating_sub(bytes);
        }
    }

    /// Removes the sender whose turn it is: it has nothing more to send.
    pub(crate) fn finish(&mut self) {
        let Some(owner) = self.ring.front() else { return };
        let Some(share) = self.shares.get_mut(owner) else { return };
        share.senders.pop_front();
        if share.senders.is_empty() {
            if self.shares.len() > KEPT {
                self.shares.remove(owner);
            }
            self.ring.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
