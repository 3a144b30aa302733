//! What an interface is set to, one by one: a bounded list of what comes from different origins and may run out.

use alloc::vec::Vec;
use core::ops::Deref;

use super::addresses::Origin;
use crate::time::Instant;

/// One of the list.
pub(super) trait Entry {
    /// Who brought it.
    fn origin(&self) -> Origin;

    /// When it is gone; `None` for never.
    fn valid_until(&self) -> Option<Instant>;
}

/// There are as many as there may be: of all, or of those that routers advertise.
pub(super) struct Full;

/// See the [module](self). In the order in which they were added.
#[derive(Debug)]
pub(super) struct Entries<T> {
    limit: usize,
    /// So that whoever sends advertisements cannot keep the other origins out.
    from_routers: usize,
    list: Vec<T>,
    /// When the first of them is gone.
    next: Option<Instant>,
}

impl<T> Deref for Entries<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.list
    }
}

impl<T: Entry> Entries<T> {
    /// None; `limit` at most, and `from_routers` of them.
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

    /// Puts another in the place of one, and returns that; `None` where there is no such place.
    pub(super) fn replace(&mut self, place: usize, entry: T) -> Option<T> {
        let before = core::mem::replace(self.list.get_mut(place)?, entry);
        self.find_next();
        Some(before)
    }

    /// Takes out those that leave.
    pub(super) fn take(&mut self, leaves: impl Fn(&T) -> bool) -> Vec<T> {
        let taken = self.list.extract_if(.., |entry| leaves(entry)).collect();
        self.find_next();
        taken
    }

    /// Takes out what an origin brought.
    pub(super) fn withdraw(&mut self, origin: Origin) -> Vec<T> {
        self.take(|entry| entry.origin() == origin)
    }

    /// Takes out what is over.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<T> {
        if self.next.is_none_or(|next| next > now) {
            return Vec::new();
        }
        self.take(|entry| entry.valid_until().is_some_and(|until| until <= now))
    }

    /// When the first of them is gone.
    pub(super) const fn next_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// There are few, and they seldom change.
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
    fn routers_fill_their_part_and_others_the_rest() {
        let mut entries = Entries::new(4, 1);
        assert!(entries.push(Sample(Origin::Router, None)).is_ok());
        assert!(entries.push(Sample(Origin::Router, None)).is_err());
        (0..3).for_each(|_| assert!(entries.push(Sample(Origin::Static, None)).is_ok()));
        assert!(entries.push(Sample(Origin::Dhcp, None)).is_err());
        assert_eq!(entries.withdraw(Origin::Static).len(), 3);
        assert_eq!(entries[..], [Sample(Origin::Router, None)]);
    }

    #[test]
    fn what_is_over_leaves_and_the_next_is_known() {
        let mut entries = Entries::new(4, 4);
        let all = [Sample(Origin::Dhcp, Some(5)), Sample(Origin::Dhcp, Some(3)), Sample(Origin::Static, None)];
        all.into_iter().for_each(|entry| assert!(entries.push(entry).is_ok()));
        assert_eq!((entries.next_timeout(), entries.expire(at(2))), (Some(at(3)), vec![]));
        assert_eq!(entries.expire(at(3)), [all[1]]);
        assert_eq!((entries.next_timeout(), entries.replace(0, all[2])), (Some(at(5)), Some(all[0])));
        assert_eq!((entries.next_timeout(), entries.replace(9, all[2])), (None, None));
    }
}
