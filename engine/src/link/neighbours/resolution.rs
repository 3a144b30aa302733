//! Who is asked for, and what becomes of all that waits for the answer.

use core::net::{IpAddr, Ipv4Addr};

use super::entry::{Knowledge, Trust};
use super::leaving::Fate;
use super::ranks::Rank;
use super::{Action, Neighbours, is_neighbour};
use crate::slots::Key;
use crate::time::Instant;

/// MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT (RFC 4861 section 10): so many solicitations are sent to a neighbour
/// that does not answer.
const SOLICITATIONS: u32 = 3;

impl<W> Neighbours<W> {
    pub(super) fn is_resolving(&self, key: Key) -> bool {
        self.entries.get(key).is_some_and(|entry| entry.is_incomplete() || entry.hardware().is_some())
    }

    /// Begins to ask for a neighbour, unless that has begun. Of too many that are asked for, the oldest gives way,
    /// preferably one that nothing waits for.
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

    /// An entry's alarm goes off.
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

    /// A solicitation is sent now, after which what is known is `knowledge`.
    fn solicit(&mut self, key: Key, knowledge: Knowledge, now: Instant) -> Action<W> {
        let (mut hop, mut to) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), None);
        self.change(key, now, |entry| {
            (entry.knowledge, entry.asked) = (knowledge, Some(now));
            (hop, to) = (entry.hop, entry.hardware());
        });
        Action::Solicit { hop, to }
    }

    /// What waits for a neighbour leaves, where its hardware address is known.
    pub(super) fn release(&mut self, key: Key) {
        if self.entries.get(key).is_some_and(|entry| entry.hardware().is_some()) {
            self.give_up(key, Fate::Release);
        }
    }

    /// What waits for a neighbour goes back to the caller.
    pub(super) fn give_up(&mut self, key: Key, fate: Fate) {
        if let Some(entry) = self.entries.get_mut(key) {
            let waiting = core::mem::take(&mut entry.waiting);
            self.leaving.push(entry.hop, fate, waiting);
        }
    }

    /// The oldest that waits for a neighbour.
    pub(super) fn displace_waiting(&mut self, key: Key) -> Option<W> {
        let displaced = self.entries.get_mut(key)?.waiting.pop_front()?;
        self.waiting -= 1;
        self.place(key);
        Some(displaced)
    }

    /// The oldest that waits for the neighbour which is asked for the longest.
    pub(super) fn displace_longest_waiting(&mut self) -> Option<W> {
        let key = self.first(Rank::Awaited)?;
        self.displace_waiting(key)
    }
}
