//! The ranges of bytes that a receive queue holds out of order.

use alloc::collections::VecDeque;
use core::ops::Range;

/// Ranges of offsets that neither overlap nor touch, in ascending order.
///
/// Callers see the ranges as offsets from an origin that moves forward. They are stored as offsets from an origin that
/// stays, so that moving the origin changes no range.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    /// Start and end of each range, counted from the first position of the origin.
    list: VecDeque<(u64, u64)>,
    /// How far the origin has moved since then.
    origin: u64,
}

impl Ranges {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.list.iter().map(|range| self.relative(*range))
    }

    /// The range that contains all of `range`. An empty `range` is contained in the range that contains its start.
    pub(super) fn holder(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let (start, end) = self.absolute(range);
        let after = self.list.partition_point(|(begin, _)| *begin <= start);
        let holder = *self.list.get(after.checked_sub(1)?)?;
        (end <= holder.1).then(|| self.relative(holder))
    }

    /// Whether [`insert`](Self::insert) would accept a range, which must not be empty.
    pub(super) fn takes(&self, range: &Range<usize>, most: usize) -> bool {
        if self.list.len() < most {
            return true;
        }
        let (start, end) = self.absolute(range);
        self.list.iter().any(|(begin, stop)| *begin <= end && start <= *stop)
    }

    /// Adds a range, which must not be empty, and merges it with the ranges that it overlaps or touches. Returns the
    /// merged range, or `None`, without any change, if there would be more than `most` ranges.
    pub(super) fn insert(&mut self, range: &Range<usize>, most: usize) -> Option<Range<usize>> {
        let (start, end) = self.absolute(range);
        debug_assert!(start < end, "an empty range has no place");
        // Nearly every range that arrives out of order lies after all the others.
        let (first, behind) = match self.list.back() {
            Some((begin, _)) if start < *begin => (
                self.list.partition_point(|(_, stop)| *stop < start),
                self.list.partition_point(|(begin, _)| *begin <= end),
            ),
            Some((_, stop)) if start <= *stop => (self.list.len() - 1, self.list.len()),
            _ => (self.list.len(), self.list.len()),
        };
        if first >= behind {
            if self.list.len() >= most {
                return None;
            }
            self.list.insert(first, (start, end));
            return Some(range.clone());
        }
        let last = self.list.get(behind - 1).map_or(end, |(_, stop)| *stop);
        let merged = self.list.get_mut(first)?;
        *merged = (merged.0.min(start), last.max(end));
        let merged = *merged;
        self.list.drain(first + 1..behind);
        Some(self.relative(merged))
    }

    /// Moves the origin forward by `count`, and further to the end of any range that the origin then lies in or
    /// touches. Returns how far it moved.
    pub(super) fn advance(&mut self, count: usize) -> usize {
        let mut end = self.origin.wrapping_add(count as u64);
        while let Some((_, stop)) = self.list.pop_front_if(|(begin, _)| *begin <= end) {
            end = end.max(stop);
        }
        let moved = end.wrapping_sub(self.origin);
        self.origin = end;
        usize::try_from(moved).unwrap_or(usize::MAX)
    }

    /// The bytes of memory held.
    pub(super) fn held(&self) -> usize {
        size_of::<Self>() + self.list.capacity() * size_of::<(u64, u64)>()
    }

    const fn absolute(&self, range: &Range<usize>) -> (u64, u64) {
        (self.origin.saturating_add(range.start as u64), self.origin.saturating_add(range.end as u64))
    }

    fn relative(&self, (start, end): (u64, u64)) -> Range<usize> {
        let relative = |offset: u64| usize::try_from(offset.saturating_sub(self.origin)).unwrap_or(usize::MAX);
        relative(start)..relative(end)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn relative(ranges: &Ranges) -> Vec<Range<usize>> {
        ranges.iter().collect()
    }

    #[test]
    fn ranges_that_touch_become_one() {
        let mut ranges = Ranges::default();
        assert_eq!(ranges.insert(&(10..20), 3), Some(10..20));
        assert_eq!(ranges.insert(&(30..40), 3), Some(30..40));
        assert_eq!(ranges.insert(&(40..45), 3), Some(30..45));
        assert_eq!(ranges.insert(&(5..6), 3), Some(5..6));
        assert_eq!(relative(&ranges), vec![5..6, 10..20, 30..45]);
        assert_eq!(ranges.insert(&(20..30), 3), Some(10..45));
        assert_eq!(relative(&ranges), vec![5..6, 10..45]);
        assert_eq!((ranges.holder(&(12..45)), ranges.holder(&(12..46))), (Some(10..45), None));
    }

    #[test]
    fn a_range_beyond_the_limit_is_refused_unless_it_merges_with_another() {
        let mut ranges = Ranges::default();
        for at in [10, 20, 30] {
            assert!(ranges.insert(&(at..at + 5), 3).is_some());
        }
        assert_eq!(
            (ranges.insert(&(50..51), 3), ranges.insert(&(0..1), 3), ranges.insert(&(16..18), 3)),
            (None, None, None)
        );
        assert_eq!(ranges.insert(&(15..18), 3), Some(10..18));
        assert_eq!(ranges.insert(&(33..51), 3), Some(30..51));
    }

    #[test]
    fn the_origin_moves_over_what_it_touches() {
        let mut ranges = Ranges::default();
        for at in [10, 20, 30] {
            ranges.insert(&(at..at + 5), 8);
        }
        assert_eq!(ranges.advance(5), 5);
        assert_eq!(relative(&ranges), vec![5..10, 15..20, 25..30]);
        assert_eq!(ranges.advance(5), 10);
        assert_eq!(relative(&ranges), vec![5..10, 15..20]);
        assert_eq!(ranges.advance(17), 20);
        assert!(ranges.is_empty());
    }

    proptest! {
        #[test]
        fn ranges_are_a_set_of_offsets(steps in prop::collection::vec((any::<bool>(), 0usize..200, 1usize..20), 1..80)) {
            const MOST: usize = 6;
            let mut ranges = Ranges::default();
            let mut model: Vec<bool> = vec![false; 4000];
            for (advances, at, length) in steps {
                if advances {
                    let moved = ranges.advance(length);
                    model.drain(..length);
                    let more = model.iter().take_while(|set| **set).count();
                    model.drain(..more);
                    prop_assert_eq!(moved, length + more);
                } else {
                    // A range that begins at the origin is passed to `advance` instead.
                    let range = at + 1..at + 1 + length;
                    let mut next = model.clone();
                    next[range.clone()].fill(true);
                    match ranges.insert(&range, MOST) {
                        Some(holder) => {
                            model = next;
                            prop_assert!(holder.start <= range.start && range.end <= holder.end);
                            prop_assert_eq!(ranges.holder(&range), Some(holder));
                        }
                        None => {
                            prop_assert_eq!(ranges.iter().count(), MOST);
                            prop_assert!(!model[at..=at + 1 + length].contains(&true));
                        }
                    }
                }
                let mut expected = Vec::new();
                let mut at = 0;
                for run in model.chunk_by(|one, other| one == other) {
                    if run[0] {
                        expected.push(at..at + run.len());
                    }
                    at += run.len();
                }
                prop_assert_eq!(relative(&ranges), expected);
            }
        }
    }
}
