//! A bounded list of entries with lifetimes, which [`Discovery`](super::Discovery) uses for DNS servers, search domains
//! (RFC 8106 section 6) and routers that refer to DHCPv6.

use alloc::vec::Vec;
use core::time::Duration;

use super::end_of;
use crate::time::Instant;

/// A list of at most `limit` entries, each of which stays until its lifetime ends.
#[derive(Debug)]
pub(super) struct Expiring<T> {
    limit: usize,
    list: Vec<(T, Option<Instant>)>,
}

impl<T: PartialEq> Expiring<T> {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, list: Vec::new() }
    }

    /// Applies what an advertisement says (RFC 8106 section 6.2). New entries are put before the known ones, in the
    /// order in which they are advertised, and an entry with a lifetime of zero is removed. If the list is full, the
    /// entry that expires first is replaced by a new one that lasts longer; `left_out` counts the entries that find no
    /// place.
    ///
    /// Returns whether the list of entries has changed.
    pub(super) fn learn(
        &mut self,
        said: impl Iterator<Item = (T, Duration)>,
        now: Instant,
        left_out: &mut u64,
    ) -> bool {
        let mut is_changed = self.expire(now);
        // The number of new entries at the front of the list.
        let mut new = 0;
        for (value, lifetime) in said {
            let until = end_of(lifetime, now);
            let known = self.list.iter().position(|(known, _)| *known == value);
            match known {
                Some(place) if lifetime.is_zero() => {
                    self.list.remove(place);
                    new -= usize::from(place < new);
                    is_changed = true;
                }
                Some(place) => {
                    if let Some((_, known)) = self.list.get_mut(place) {
                        *known = until;
                    }
                }
                None if lifetime.is_zero() => {}
                None => {
                    if self.list.len() >= self.limit {
                        let Some(place) = self.first_over().filter(|(_, over)| is_later(until, *over)) else {
                            *left_out = left_out.saturating_add(1);
                            continue;
                        };
                        self.list.remove(place.0);
                        new -= usize::from(place.0 < new);
                    }
                    self.list.insert(new, (value, until));
                    new += 1;
                    is_changed = true;
                }
            }
        }
        is_changed
    }

    /// Removes expired entries. Returns whether there were any.
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        let before = self.list.len();
        self.list.retain(|(_, until)| until.is_none_or(|until| until > now));
        self.list.len() < before
    }

    /// Removes all entries. Returns whether there were any.
    pub(super) fn clear(&mut self) -> bool {
        let had_any = !self.list.is_empty();
        self.list = Vec::new();
        had_any
    }

    /// The time at which the first entry expires.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.list.iter().filter_map(|(_, until)| *until).min()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.list.iter().map(|(value, _)| value)
    }

    /// The index and the end of the entry that expires first; of several, the last in the list.
    fn first_over(&self) -> Option<(usize, Option<Instant>)> {
        let ends = self.list.iter().map(|(_, until)| *until).enumerate().rev();
        ends.min_by_key(|(_, until)| (until.is_none(), *until))
    }
}

fn is_later(one: Option<Instant>, other: Option<Instant>) -> bool {
    (one.is_none(), one) > (other.is_none(), other)
}
