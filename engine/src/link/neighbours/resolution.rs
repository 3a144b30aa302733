//! Address resolution and probing: which neighbours are solicited, and what happens to the items that wait.

use alloc::collections::BTreeMap;
use core::net::{IpAddr, Ipv4Addr};

use super::entry::{Entry, Knowledge, Trust};
use super::leaving::Fate;
use super::ranks::Rank;
use super::{Action, Neighbours, is_neighbour};
use crate::ports::Owner;
use crate::slots::Key;
use crate::time::Instant;

/// MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT (RFC 4861 section 10): the number of solicitations to a neighbour that
/// does not answer.
const SOLICITATIONS: u32 = 3;

impl<W> Neighbours<W> {
    pub(super) fn is_resolving(&self, key: Key) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.is_incomplete() || entry.hardware().is_some())
    }

    /// Starts address resolution for an owner, unless it is running. If too many neighbours are being resolved, one is
    /// displaced of those that are resolved for the owner who has most of them: the oldest, preferably one that no item
    /// waits for. If that is `owner` itself, nothing begins while the neighbour may still answer its first solicitation.
    /// So the link does not carry more solicitations of one owner than the limit in each retransmission time.
    pub(super) fn ask(&mut self, hop: IpAddr, owner: Owner, now: Instant) -> Option<Key> {
        let found = self.find(hop);
        if found.is_some_and(|key| self.is_resolving(key)) {
            return found;
        }
        if self.config.most_unresolved == 0 || !is_neighbour(hop) {
            return None;
        }
        if self.is_resolving_most() {
            let (greediest, oldest) = self.greediest(owner)?;
            if greediest == owner && self.entries.get(oldest).is_some_and(Entry::is_new) {
                return None;
            }
            self.give_up(oldest, Fate::Displaced);
            self.change(oldest, now, |entry| entry.knowledge = Knowledge::Displaced);
        }
        let key = found.or_else(|| self.insert(hop, Knowledge::Failed))?;
        self.change(key, now, |entry| {
            entry.knowledge = Knowledge::Incomplete { solicitations: 0 };
            entry.owner = owner;
        });
        Some(key)
    }

    /// Whether as many neighbours are being resolved as may be.
    pub(super) fn is_resolving_most(&self) -> bool {
        self.ranks.count(&[Rank::Asked, Rank::Awaited]) >= self.config.most_unresolved
    }

    /// The owner for whom most neighbours would be being resolved if one more were for `asking`, and the entry of that
    /// owner to displace. If several owners have as many, `asking` itself or else the one with the oldest entry.
    pub(super) fn greediest(&self, asking: Owner) -> Option<(Owner, Key)> {
        let mut counts: BTreeMap<Owner, usize> = BTreeMap::new();
        for (_, entry) in self.resolving() {
            *counts.entry(entry.owner).or_insert_with(|| usize::from(entry.owner == asking)) += 1;
        }
        let most = counts.values().max().copied();
        let has_most = |owner: Owner| counts.get(&owner).copied() == most;
        let gives_way = |owner: Owner| if has_most(asking) { owner == asking } else { has_most(owner) };
        let (key, entry) = self.resolving().find(|(_, entry)| gives_way(entry.owner))?;
        Some((entry.owner, key))
    }

    /// An item of an owner waits for a neighbour. If it is being resolved for another owner, who has more neighbours
    /// being resolved, it counts for this one from now on. Otherwise it would be displaced because of the other's greed.
    pub(super) fn adopt(&mut self, key: Key, owner: Owner) {
        let Some(entry) = self.entries.get(key).filter(|entry| entry.is_incomplete() && entry.owner != owner) else {
            return;
        };
        let count = |of: Owner| self.resolving().filter(|(_, entry)| entry.owner == of).count();
        if count(owner) < count(entry.owner)
            && let Some(entry) = self.entries.get_mut(key)
        {
            entry.owner = owner;
        }
    }

    /// The entries that are being resolved: first those that no item waits for, and each kind in the order in which
    /// they began.
    fn resolving(&self) -> impl Iterator<Item = (Key, &Entry<W>)> {
        let slots = [Rank::Asked, Rank::Awaited].into_iter().flat_map(|rank| self.ranks.iter(rank));
        slots.filter_map(|slot| {
            let key = self.entries.key_at(slot)?;
            Some((key, self.entries.get(key)?))
        })
    }

    /// The alarm of an entry has expired.
    pub(super) fn on_alarm(&mut self, key: Key, now: Instant) -> Option<Action<W>> {
        let entry = self.entries.get(key)?;
        let hop = entry.hop;
        match entry.knowledge {
            Knowledge::Incomplete { solicitations } if solicitations < SOLICITATIONS => {
                let knowledge = Knowledge::Incomplete { solicitations: solicitations + 1 };
                Some(self.solicit(key, knowledge, now))
            }
            Knowledge::Incomplete { .. } => {
                self.give_up(key, Fate::Unreachable);
                self.change(key, now, |entry| entry.knowledge = Knowledge::Failed);
                None
            }
            Knowledge::Known { hardware, trust } => match trust {
                Trust::Delay => {
                    let trust = Trust::Probe { solicitations: 1 };
                    Some(self.solicit(key, Knowledge::Known { hardware, trust }, now))
                }
                Trust::Probe { solicitations } if solicitations < SOLICITATIONS => {
                    let trust = Trust::Probe { solicitations: solicitations + 1 };
                    Some(self.solicit(key, Knowledge::Known { hardware, trust }, now))
                }
                Trust::Probe { .. } => {
                    self.change(key, now, |entry| entry.knowledge = Knowledge::Failed);
                    Some(Action::Lost { hop })
                }
                Trust::Reachable { .. } | Trust::Stale | Trust::Permanent => None,
            },
            Knowledge::Failed | Knowledge::Displaced => {
                self.remove(key);
                None
            }
        }
    }

    /// Sends a solicitation now and changes the state to `knowledge`.
    fn solicit(&mut self, key: Key, knowledge: Knowledge, now: Instant) -> Action<W> {
        let (mut hop, mut to) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), None);
        self.change(key, now, |entry| {
            (entry.knowledge, entry.asked) = (knowledge, Some(now));
            (hop, to) = (entry.hop, entry.hardware());
        });
        Action::Solicit { hop, to }
    }

    /// Releases the items that wait for a neighbour, if its hardware address is known.
    pub(super) fn release(&mut self, key: Key) {
        if self.entries.get(key).is_some_and(|entry| entry.hardware().is_some()) {
            self.give_up(key, Fate::Release);
        }
    }

    /// Moves the items that wait for a neighbour to the queue that `poll` returns.
    pub(super) fn give_up(&mut self, key: Key, fate: Fate) {
        if let Some(entry) = self.entries.get_mut(key) {
            let waiting = core::mem::take(&mut entry.waiting);
            self.leaving.push(entry.hop, fate, waiting);
        }
    }

    /// Removes and returns the oldest item that waits for a neighbour.
    pub(super) fn displace_waiting(&mut self, key: Key) -> Option<W> {
        let displaced = self.entries.get_mut(key)?.waiting.pop_front()?;
        self.waiting -= 1;
        self.place(key);
        Some(displaced)
    }

    /// Removes and returns the oldest item that waits for the neighbour that has been resolving for the longest.
    pub(super) fn displace_longest_waiting(&mut self) -> Option<W> {
        let key = self.first(Rank::Awaited)?;
        self.displace_waiting(key)
    }
}
