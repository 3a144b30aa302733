//! Address resolution and probing: which neighbours are solicited, and what happens to the items that wait.

use core::net::{IpAddr, Ipv4Addr};

use super::entry::{Knowledge, Trust};
use super::leaving::Fate;
use super::ranks::Rank;
use super::{Action, Neighbours, is_neighbour};
use crate::slots::Key;
use crate::time::Instant;

/// MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT (RFC 4861 section 10): the number of solicitations to a neighbour that
/// does not answer.
const SOLICITATIONS: u32 = 3;

impl<W> Neighbours<W> {
    pub(super) fn is_resolving(&self, key: Key) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.is_incomplete() || entry.hardware().is_some())
    }

    /// Starts address resolution, unless it is running. If too many neighbours are being resolved, the oldest is
    /// displaced, preferably one that no item waits for.
    pub(super) fn ask(&mut self, hop: IpAddr, now: Instant) -> Option<Key> {
        let found = self.find(hop);
        if found.is_some_and(|key| self.is_resolving(key)) {
            return found;
        }
        if self.config.most_unresolved == 0 || !is_neighbour(hop) {
            return None;
        }
        if self.ranks.count(&[Rank::Asked, Rank::Awaited]) >= self.config.most_unresolved {
            let oldest = self.first(Rank::Asked).or_else(|| self.first(Rank::Awaited))?;
            self.give_up(oldest, Fate::Displaced);
            self.change(oldest, now, |entry| entry.knowledge = Knowledge::Displaced);
        }
        let key = found.or_else(|| self.insert(hop, Knowledge::Failed))?;
        self.change(key, now, |entry| entry.knowledge = Knowledge::Incomplete { solicitations: 0 });
        Some(key)
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
