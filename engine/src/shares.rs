//! How much of a bounded resource one owner may hold.

use alloc::collections::BTreeMap;

use crate::ports::Owner;

/// What each owner holds of a resource that is bounded in items and in bytes.
///
/// An owner may take more as long as it has less than what is left for everybody. So one owner gets half of the
/// resource, a second one half of the rest, and so on: some is left for an owner who has nothing yet, as long as few
/// owners take all they can. Nothing is taken away from an owner: whoever has its share waits until its own items are
/// gone.
#[derive(Debug)]
pub(crate) struct Shares {
    limit: Amount,
    total: Amount,
    owners: BTreeMap<Owner, Amount>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    items: usize,
    bytes: usize,
}

impl Shares {
    /// Nobody holds anything.
    pub(crate) const fn new(items: usize, bytes: usize) -> Self {
        let (limit, total) = (Amount { items, bytes }, Amount { items: 0, bytes: 0 });
        Self { limit, total, owners: BTreeMap::new() }
    }

    /// Whether an owner may take one more item of some bytes.
    pub(crate) fn admits(&self, owner: Owner, bytes: usize) -> bool {
        let has = self.owners.get(&owner).copied().unwrap_or_default();
        let left = |limit: usize, total: usize| limit.saturating_sub(total);
        has.items < left(self.limit.items, self.total.items)
            && has.bytes + bytes <= left(self.limit.bytes, self.total.bytes)
    }

    /// Counts an item that an owner has taken, after [`admits`](Self::admits).
    pub(crate) fn take(&mut self, owner: Owner, bytes: usize) {
        let has = self.owners.entry(owner).or_default();
        for amount in [has, &mut self.total] {
            amount.items += 1;
            amount.bytes += bytes;
        }
    }

    /// Gives an item back.
    pub(crate) fn give_back(&mut self, owner: Owner, bytes: usize) {
        let Some(has) = self.owners.get_mut(&owner) else { return };
        has.items -= 1;
        has.bytes -= bytes;
        if *has == Amount::default() {
            self.owners.remove(&owner);
        }
        self.total.items -= 1;
        self.total.bytes -= bytes;
    }

    /// The bytes that all owners hold.
    pub(crate) const fn bytes(&self) -> usize {
        self.total.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(shares: &mut Shares, owner: Owner, bytes: usize) -> usize {
        let mut count = 0;
        while shares.admits(owner, bytes) {
            shares.take(owner, bytes);
            count += 1;
        }
        count
    }

    #[test]
    fn some_is_left_for_whoever_has_nothing_yet() {
        let mut shares = Shares::new(1000, 1 << 20);
        let counts: [usize; 4] = core::array::from_fn(|owner| fill(&mut shares, Owner(owner as u64), 0));
        assert_eq!(counts, [500, 250, 125, 63]);
        shares.give_back(Owner(0), 0);
        assert!(!shares.admits(Owner(0), 0) && !shares.admits(Owner(1), 0));
        (0..400).for_each(|_| shares.give_back(Owner(0), 0));
        assert_eq!(fill(&mut shares, Owner(1), 0), 107, "until it has as much as is left");
    }

    #[test]
    fn bytes_are_shared_too() {
        let mut shares = Shares::new(1000, 1000);
        assert_eq!((fill(&mut shares, Owner(1), 100), fill(&mut shares, Owner(2), 100)), (5, 3));
        assert_eq!(shares.bytes(), 800);
        assert_eq!(fill(&mut shares, Owner(3), 0), 992 / 2, "an empty item takes no bytes, but one place");
        (0..5).for_each(|_| shares.give_back(Owner(1), 100));
        assert_eq!(shares.owners.get(&Owner(1)), None);
        assert_eq!(fill(&mut shares, Owner(2), 100), 2);
    }
}
