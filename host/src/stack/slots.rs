//! A table whose keys are used once.

use core::ops::{Index, IndexMut};

use slab::Slab;

/// The name of one value, for ever: another that comes to lie in the same place has another.
///
/// Keys leave the stack's lock, in queues, handles and timers, and whoever comes back with one may come after the value
/// was removed. With the number of a place alone, that would be somebody else's value by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Counts insertions. At one per nanosecond it lasts for five hundred years.
    serial: u64,
    place: usize,
}

/// Values by [`Key`].
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slab: Slab<(u64, T)>,
    next: u64,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slab: Slab::new(), next: 0 }
    }
}

impl<T> Slots<T> {
    pub(crate) fn insert(&mut self, value: T) -> Key {
        let serial = self.next;
        self.next += 1;
        Key { serial, place: self.slab.insert((serial, value)) }
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        self.slab.get(key.place).filter(|(serial, _)| *serial == key.serial).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slab.get_mut(key.place).filter(|(serial, _)| *serial == key.serial).map(|(_, value)| value)
    }

    /// Removes a value; none where it was removed already.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        self.get(key)?;
        self.slab.try_remove(key.place).map(|(_, value)| value)
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slab.iter().map(|(place, (serial, value))| (Key { serial: *serial, place }, value))
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slab.iter_mut().map(|(_, (_, value))| value)
    }

    /// Gives memory back where nothing is left of more than `many` values; true where it did.
    pub(crate) fn trim(&mut self, many: usize) -> bool {
        let idle = self.slab.is_empty() && self.slab.capacity() > many;
        if idle {
            self.slab = Slab::new();
        }
        idle
    }
}

/// For a key whose value is known to be there.
impl<T> Index<Key> for Slots<T> {
    type Output = T;

    fn index(&self, key: Key) -> &T {
        self.get(key).expect("a value is not used after its removal")
    }
}

impl<T> IndexMut<Key> for Slots<T> {
    fn index_mut(&mut self, key: Key) -> &mut T {
        self.get_mut(key).expect("a value is not used after its removal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_come_to_name_another_value() {
        let mut slots = Slots::default();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_eq!(second.place, first.place, "the place is used again");
        assert_ne!(second, first);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.get_mut(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"second"));
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn memory_that_is_given_back_revives_no_key() {
        let mut slots = Slots::default();
        let keys: Vec<Key> = (0..100).map(|number| slots.insert(number)).collect();
        assert!(!slots.trim(10), "there is something");
        for key in &keys {
            slots.remove(*key);
        }
        assert!(slots.trim(10));
        let again: Vec<Key> = (0..100).map(|number| slots.insert(number)).collect();
        assert!(keys.iter().all(|key| slots.get(*key).is_none()));
        assert!(again.iter().zip(0..).all(|(key, number)| slots[*key] == number));
        assert_eq!(slots.iter().map(|(key, _)| key).collect::<Vec<_>>(), again);
    }
}
