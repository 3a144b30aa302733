//! A list that grows by pages and never moves its items. Adding an item costs the same however long the list is, and
//! the list allocates memory for one page more, not for twice as many items. The tables of [`slots`](crate::slots) are
//! such lists.

use alloc::vec::Vec;

/// Items in one page.
const PAGE: usize = 64;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Pages<T> {
    /// All pages but the last are full.
    pages: Vec<Vec<T>>,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T> Pages<T> {
    pub(crate) fn len(&self) -> usize {
        self.pages.last().map_or(0, |last| (self.pages.len() - 1) * PAGE + last.len())
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.pages.get(index / PAGE)?.get(index % PAGE)
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.pages.get_mut(index / PAGE)?.get_mut(index % PAGE)
    }

    pub(crate) fn push(&mut self, item: T) {
        match self.pages.last_mut() {
            Some(last) if last.len() < PAGE => last.push(item),
            // The first page grows with its items, because most tables have few.
            None => self.pages.push(Vec::from([item])),
            Some(_) => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(item);
                self.pages.push(page);
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pages.iter_mut().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn items_are_not_moved_when_the_list_grows() {
        let mut pages = Pages::default();
        assert_eq!((pages.len(), pages.get(0)), (0, None));
        (0..PAGE).for_each(|item| pages.push(item));
        let first = core::ptr::from_ref(pages.get(0).expect("it was added"));
        (PAGE..1000).for_each(|item| pages.push(item));
        assert_eq!(pages.get(0).map(core::ptr::from_ref), Some(first));
        assert_eq!((pages.len(), pages.get(999), pages.get(1000)), (1000, Some(&999), None));
        pages.iter_mut().for_each(|item| *item += 1);
        *pages.get_mut(PAGE).expect("it was added") = 0;
        let expected: Vec<usize> = (1..=1000).map(|item| if item == PAGE + 1 { 0 } else { item }).collect();
        assert_eq!(pages.iter().copied().collect::<Vec<_>>(), expected);
        assert!(pages.pages.iter().all(|page| page.capacity() <= PAGE));
    }
}
