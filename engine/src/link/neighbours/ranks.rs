//! Which neighbour gives way first: lists of entries by how much would be lost with them.

use alloc::vec::Vec;

/// What an entry is worth. Each rank has a list of its own, least recently used first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    /// Nothing is known, and nothing is asked: remembered so that it is not asked too often.
    Dead,
    /// Its address is known by what it said itself, or was known once; nothing goes to it.
    Stale,
    /// Packets go to it, and whether they arrive is being found out.
    Suspect,
    /// It was confirmed, and not suspected since.
    Confirmed,
    /// It was configured, and never gives way.
    Fixed,
    /// It is asked for, and nothing waits for the answer.
    Asked,
    /// It is asked for, and something waits for the answer.
    Awaited,
}

/// So many ranks there are.
const RANKS: usize = 7;

/// The lists. Entries are slots of a slab, small and dense.
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
    /// Puts an entry at the end of a rank's list. One that has the rank already stays where it is.
    pub(super) fn place(&mut self, slot: u32, rank: Rank) {
        if self.rank(slot) != Some(rank) {
            self.remove(slot);
            self.append(slot, rank);
        }
    }

    /// An entry was used: it is the last of its rank to give way.
    pub(super) fn touch(&mut self, slot: u32) {
        if let Some(rank) = self.rank(slot) {
            self.remove(slot);
            self.append(slot, rank);
        }
    }

    /// Takes an entry out of its list.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(link) = self.links.get_mut(slot as usize).map(core::mem::take) else { return };
        let Some(rank) = link.rank else { return };
        self.join(rank, link.before, link.after);
        self.lists[rank as usize].count -= 1;
    }

    /// The entry of a rank that gives way first.
    pub(super) const fn first(&self, rank: Rank) -> Option<u32> {
        self.lists[rank as usize].first
    }

    /// How many entries have one of these ranks.
    pub(super) fn count(&self, ranks: &[Rank]) -> usize {
        ranks.iter().map(|rank| self.lists[*rank as usize].count).sum()
    }

    /// How many slots were ever in use at once.
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

    /// Makes two entries follow each other in a rank's list; none stands for its ends.
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
