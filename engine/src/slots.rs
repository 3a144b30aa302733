//! A table whose keys are never reused. Each key carries a generation, so that the key of a removed entry finds
//! nothing, even if its place holds another entry now. TCP connections, UDP sockets and neighbour entries are in such
//! tables.

use alloc::vec::Vec;

use crate::pages::Pages;

/// The key of an entry: a place in the table, and the generation of the entry in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The place, from 0 on. Places are reused.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// The generation of the entry: each later entry of the place has a higher one.
    #[must_use]
    pub const fn generation(self) -> u32 {
        self.generation
    }
}

/// A table with more places than this frees its memory when all places are free.
const MANY: usize = 1024;

struct Slot<T> {
    generation: u32,
    tenant: Option<T>,
}

/// See the [module](self).
pub struct Slots<T> {
    slots: Pages<Slot<T>>,
    free: Vec<u32>,
    /// The generation of a new place. It is above the generations of all places that were freed.
    first: u32,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slots: Pages::default(), free: Vec::new(), first: 0 }
    }
}

impl<T> Slots<T> {
    /// Adds an entry.
    ///
    /// # Panics
    /// If there are 2^32 entries, which no memory can hold.
    pub fn insert(&mut self, tenant: T) -> Key {
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(index as usize)
        {
            slot.tenant = Some(tenant);
            return Key { index, generation: slot.generation };
        }
        let index = u32::try_from(self.slots.len()).expect("fewer than 2^32 of them");
        self.slots.push(Slot { generation: self.first, tenant: Some(tenant) });
        Key { index, generation: self.first }
    }

    /// The entry of a key, if it is still in the table.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.index as usize)?;
        if slot.generation == key.generation { slot.tenant.as_ref() } else { None }
    }

    /// As [`get`](Self::get), mutably.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation == key.generation { slot.tenant.as_mut() } else { None }
    }

    /// The key of the entry that is now in a place.
    #[must_use]
    pub fn key_at(&self, index: u32) -> Option<Key> {
        let slot = self.slots.get(index as usize)?;
        slot.tenant.as_ref().map(|_| Key { index, generation: slot.generation })
    }

    /// Removes an entry.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let tenant = slot.tenant.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        self.trim();
        Some(tenant)
    }

    /// Frees the memory if the table is empty after it had many places. A place that is made again must not accept an
    /// old key.
    fn trim(&mut self) {
        if self.free.len() == self.slots.len() && self.slots.len() > MANY {
            self.first = self.slots.iter().map(|slot| slot.generation).fold(self.first, u32::max);
            (self.slots, self.free) = (Pages::default(), Vec::new());
        }
    }

    /// The number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        (0..).zip(self.slots.iter()).filter_map(|(index, slot)| {
            slot.tenant.as_ref().map(|tenant| (Key { index, generation: slot.generation }, tenant))
        })
    }
}

/// Data that another module keeps about the entries of a [`Slots`], by the same keys.
pub struct Beside<T> {
    list: Pages<Option<(u32, T)>>,
    count: usize,
}

impl<T> Default for Beside<T> {
    fn default() -> Self {
        Self { list: Pages::default(), count: 0 }
    }
}

impl<T> Beside<T> {
    /// The data for a key.
    #[must_use]
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let (generation, kept) = self.list.get_mut(key.index as usize)?.as_mut()?;
        (*generation == key.generation).then_some(kept)
    }

    /// As [`get_mut`](Self::get_mut), but calls `make` if there is no data for the key. Data of an earlier entry in the
    /// same place is dropped.
    pub fn get_or_insert_with(&mut self, key: Key, make: impl FnOnce() -> T) -> &mut T {
        let index = key.index as usize;
        while self.list.len() <= index {
            self.list.push(None);
        }
        let place = self.list.get_mut(index).expect("the list is as long");
        if place.as_ref().is_none_or(|(generation, _)| *generation != key.generation) {
            self.count += usize::from(place.is_none());
            *place = None;
        }
        &mut place.get_or_insert_with(|| (key.generation, make())).1
    }

    /// Removes the data for a key.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let place = self.list.get_mut(key.index as usize)?;
        let (_, kept) = place.take_if(|(generation, _)| *generation == key.generation)?;
        self.count -= 1;
        if self.count == 0 && self.list.len() > MANY {
            self.list = Pages::default();
        }
        Some(kept)
    }

    /// The data of all entries.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.list.iter_mut().flatten().map(|(_, kept)| kept)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn the_key_of_a_removed_entry_finds_nothing() {
        let mut slots = Slots::default();
        let first = slots.insert('a');
        assert_eq!(slots.remove(first), Some('a'));
        let second = slots.insert('b');
        assert_eq!(second.index(), first.index());
        assert_eq!((slots.get(first), slots.get(second)), (None, Some(&'b')));
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.key_at(second.index()), Some(second));
        assert_eq!(slots.len(), 1);
    }

    #[test]
    fn data_beside_a_table_belongs_to_one_entry() {
        let (mut slots, mut beside) = (Slots::default(), Beside::default());
        let first = slots.insert(());
        *beside.get_or_insert_with(first, || 1) += 1;
        assert_eq!(*beside.get_or_insert_with(first, || 9), 2);
        slots.remove(first);
        let second = slots.insert(());
        assert_eq!(beside.get_mut(second), None);
        assert_eq!(beside.remove(second), None);
        assert_eq!(*beside.get_or_insert_with(second, || 5), 5);
        assert_eq!(beside.get_mut(first), None);
        assert_eq!((beside.count, beside.values_mut().count()), (1, 1));
        assert_eq!([second, second].map(|key| beside.remove(key)), [Some(5), None]);
        assert_eq!(beside.count, 0);
    }

    #[test]
    fn memory_is_freed_and_old_keys_stay_invalid() {
        let mut slots = Slots::default();
        let keys: Vec<Key> = (0..5000).map(|number| slots.insert(number)).collect();
        for key in &keys {
            slots.remove(*key);
        }
        assert!(slots.slots.len() == 0 && slots.is_empty());
        (0..5000).for_each(|number| {
            slots.insert(number);
        });
        assert!(keys.iter().all(|key| slots.get(*key).is_none()));
    }
}
