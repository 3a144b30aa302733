//! A bounded list of entries that come from different origins and may expire. Addresses and routes are kept in such
//! lists.

use alloc::vec::Vec;
use core::ops::Deref;

use super::addresses::Origin;
use crate::time::Instant;

/// An item of the list.
pub(super) trait Entry {
    /// Where it comes from.
    fn origin(&self) -> Origin;

    /// When it expires; `None` for never.
    fn valid_until(&self) -> Option<Instant>;
}

/// The list is full: the limit of all entries is reached, or the limit of those that routers advertise.
pub(super) struct Full;

/// See the [module](self). Entries are in the order in which they were added.
#[derive(Debug)]
pub(super) struct Entries<T> {
    limit: usize,
    /// The limit for entries from routers, so that a host which sends advertisements cannot displace the other origins.
    from_routers: usize,
    list: Vec<T>,
    /// When the first entry expires.
    next: Option<Instant>,
}

impl<T> Deref for Entries<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.list
    }
}

impl<T: Entry> Entries<T> {
    /// An empty list for at most `limit` entries, of which at most `from_routers` come from routers.
    pub(super) const fn new(limit: usize, from_routers: usize) -> Self {
        Self { limit, from_routers, list: Vec::new(), next: None }
    }

    pub(super) fn push(&mut self, entry: T) -> Result<(), Full> {
        let from_routers = self.list.iter().filter(|known| known.origin() == Origin::Router).count();
        let is_crowded = entry.origin() == Origin::Router && from_routers >= self.from_routers;
        if self.list.len() >= self.limit || is_crowded {
            return Err(Full);
        }
        self.list.push(entry);
        self.find_next();
        Ok(())
    }

    /// Replaces the entry at an index and returns the old one; `None` if there is no such index.
    pub(super) fn replace(&mut self, place: usize, entry: T) -> Option<T> {
        let before = core::mem::replace(self.list.get_mut(place)?, entry);
        self.find_next();
        Some(before)
    }

    /// Removes and returns the entries for which `leaves` is true.
    pub(super) fn take(&mut self, leaves: impl Fn(&T) -> bool) -> Vec<T> {
        let taken = self.list.extract_if(.., |entry| leaves(entry)).collect();
        self.find_next();
        taken
    }

    /// Removes and returns the entries of an origin.
    pub(super) fn withdraw(&mut self, origin: Origin) -> Vec<T> {
        self.take(|entry| entry.origin() == origin)
    }

    /// Removes and returns the expired entries.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<T> {
        if self.next.is_none_or(|next| next > now) {
            return Vec::new();
        }
        self.take(|entry| entry.valid_until().is_some_and(|until| until <= now))
    }

    /// When the first entry expires.
    pub(super) const fn next_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// Recomputes the earliest expiry. There are few entries, and they seldom change.
    fn find_next(&mut self) {
        self.next = self.list.iter().filter_map(Entry::valid_until).min();
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::vec;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Sample(Origin, Option<u64>);

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    impl Entry for Sample {
        fn origin(&self) -> Origin {
            self.0
        }

        fn valid_until(&self) -> Option<Instant> {
            self.1.map(at)
        }
    }

    #[test]
    fn routers_cannot_fill_the_whole_list() {
        let mut entries = Entries::new(4, 1);
        assert!(entries.push(Sample(Origin::Router, None)).is_ok());
        assert!(entries.push(Sample(Origin::Router, None)).is_err());
        (0..3).for_each(|_| assert!(entries.push(Sample(Origin::Static, None)).is_ok()));
        assert!(entries.push(Sample(Origin::Dhcp, None)).is_err());
        assert_eq!(entries.withdraw(Origin::Static).len(), 3);
        assert_eq!(entries[..], [Sample(Origin::Router, None)]);
    }

    #[test]
    fn expired_entries_are_removed_and_the_next_timeout_is_known() {
        let mut entries = Entries::new(4, 4);
        let all = [Sample(Origin::Dhcp, Some(5)), Sample(Origin::Dhcp, Some(3)), Sample(Origin::Static, None)];
        all.into_iter().for_each(|entry| assert!(entries.push(entry).is_ok()));
        assert_eq!((entries.next_timeout(), entries.expire(at(2))), (Some(at(3)), vec![]));
        assert_eq!(entries.expire(at(3)), [all[1]]);
        assert_eq!((entries.next_timeout(), entries.replace(0, all[2])), (Some(at(5)), Some(all[0])));
        assert_eq!((entries.next_timeout(), entries.replace(9, all[2])), (None, None));
    }
}
