//! Which entries are removed first: lists of entries by rank, each in least recently used order.

use alloc::vec::Vec;

/// The rank of an entry. Each rank has a list of its own, least recently used first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    /// Failed: remembered only so that it is not solicited too often.
    Dead,
    /// The neighbour announced itself, or was confirmed long ago. No packets are sent to it.
    Stale,
    /// Packets are sent to it, and it is being checked whether they arrive.
    Suspect,
    /// It was confirmed, and has not become suspect since.
    Confirmed,
    /// A static entry, which is never removed.
    Fixed,
    /// Address resolution is running, and no item waits.
    Asked,
    /// Address resolution is running, and items wait.
    Awaited,
}

/// The number of ranks.
const RANKS: usize = 7;

/// The lists. Entries are identified by slot indices, which are small and dense.
#[derive(Debug, Default)]
pub(super) struct Ranks {
    lists: [List; RANKS],
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug, Default)]
struct List {
    first: Option<u32>,
    last: Option<u32>,
    count: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    rank: Option<Rank>,
    before: Option<u32>,
    after: Option<u32>,
}

impl Ranks {
    /// Appends an entry to the list of a rank. An entry that has this rank already keeps its place.
    pub(super) fn place(&mut self, slot: u32, rank: Rank) {
        if self.rank(slot) != Some(rank) {
            self.remove(slot);
            self.append(slot, rank);
        }
    }

    /// Marks an entry as used: it becomes the last of its rank to be removed.
    pub(super) fn touch(&mut self, slot: u32) {
        if let Some(rank) = self.rank(slot) {
            self.remove(slot);
            self.append(slot, rank);
        }
    }

    /// Removes an entry from its list.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(link) = self.links.get_mut(slot as usize).map(core::mem::take) else { return };
        let Some(rank) = link.rank else { return };
        self.join(rank, link.before, link.after);
        self.lists[rank as usize].count -= 1;
    }

    /// The entry of a rank that is removed first.
    pub(super) const fn first(&self, rank: Rank) -> Option<u32> {
        self.lists[rank as usize].first
    }

    /// The entries of a rank, the one that is removed first in front.
    pub(super) fn iter(&self, rank: Rank) -> impl Iterator<Item = u32> {
        core::iter::successors(self.first(rank), |slot| self.links.get(*slot as usize)?.after)
    }

    /// The number of entries that have one of these ranks.
    pub(super) fn count(&self, ranks: &[Rank]) -> usize {
        ranks.iter().map(|rank| self.lists[*rank as usize].count).sum()
    }

    /// The highest number of slots that were in use at once.
    pub(super) const fn slots(&self) -> usize {
        self.links.len()
    }

    /// The bytes of memory held.
    pub(super) const fn held(&self) -> usize {
        self.links.capacity() * size_of::<Link>()
    }

    pub(super) fn rank(&self, slot: u32) -> Option<Rank> {
        self.links.get(slot as usize)?.rank
    }

    fn append(&mut self, slot: u32, rank: Rank) {
        let index = slot as usize;
        if index >= self.links.len() {
            self.links.resize(index + 1, Link::default());
        }
        if let Some(link) = self.links.get_mut(index) {
            link.rank = Some(rank);
        }
        let last = self.lists[rank as usize].last;
        self.join(rank, last, Some(slot));
        self.join(rank, Some(slot), None);
        self.lists[rank as usize].count += 1;
    }

    /// Links two entries of a rank's list; `None` stands for an end of the list.
    fn join(&mut self, rank: Rank, before: Option<u32>, after: Option<u32>) {
        match before.and_then(|slot| self.links.get_mut(slot as usize)) {
            Some(link) => link.after = after,
            None => self.lists[rank as usize].first = after,
        }
        match after.and_then(|slot| self.links.get_mut(slot as usize)) {
            Some(link) => link.before = before,
            None => self.lists[rank as usize].last = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn drain(ranks: &mut Ranks, rank: Rank) -> Vec<u32> {
        core::iter::from_fn(|| {
            let first = ranks.first(rank)?;
            ranks.remove(first);
            Some(first)
        })
        .collect()
    }

    #[test]
    fn the_least_recently_used_is_the_first_of_its_rank() {
        let mut ranks = Ranks::default();
        (0..5).for_each(|slot| ranks.place(slot, Rank::Stale));
        ranks.touch(0);
        ranks.place(2, Rank::Stale);
        ranks.place(3, Rank::Dead);
        ranks.remove(9);
        assert_eq!((ranks.count(&[Rank::Stale]), ranks.count(&[Rank::Stale, Rank::Dead])), (4, 5));
        assert_eq!(drain(&mut ranks, Rank::Stale), [1, 2, 4, 0]);
        assert_eq!(drain(&mut ranks, Rank::Dead), [3]);
        assert_eq!((ranks.count(&[Rank::Stale, Rank::Dead]), ranks.slots()), (0, 5));
    }
}
