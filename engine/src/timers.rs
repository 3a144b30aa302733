//! One alarm per slot, in a heap ordered by time. TCP connections, neighbour entries and other tables use it.

use alloc::vec::Vec;

use crate::time::Instant;

/// The children of a node of the heap. With four, a heap is half as deep as with two, and the children of a node share
/// one cache line.
const ARITY: usize = 4;
/// Memory is freed only if the heap had more entries than this at once.
const SMALL: usize = 1024;

/// The alarms of all slots, by time.
///
/// Retransmission timers are set with every segment and cleared with every acknowledgement, and almost none of them
/// expires. So setting an alarm later than its heap entry, or clearing it, changes only the slot's record. When the
/// entry reaches the top of the heap, it is dropped or moved to the alarm's real time. A slot has at most one entry, so
/// the heap never has more entries than there are slots, however often alarms change.
///
/// Slots are small, dense indices: there is a record for every index up to the highest that was set.
#[derive(Debug, Default)]
pub struct Timers {
    /// A heap with the earliest entry first.
    heap: Vec<Entry>,
    records: Vec<Record>,
    /// The highest number of entries since memory was last freed.
    peak: usize,
}

/// When to look at a slot's record. Entries for the same instant are ordered by slot, so that a run is reproducible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    time: Instant,
    slot: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Record {
    due: Option<Instant>,
    /// The position of the slot's entry in the heap. A record with an alarm always has an entry, at the alarm's time or
    /// earlier.
    position: Option<u32>,
}

impl Timers {
    /// No alarms.
    #[must_use]
    pub const fn new() -> Self {
        Self { heap: Vec::new(), records: Vec::new(), peak: 0 }
    }

    /// Sets a slot's alarm, or clears it.
    pub fn set(&mut self, slot: u32, due: Option<Instant>) {
        let index = slot as usize;
        let Some(time) = due else {
            if let Some(record) = self.records.get_mut(index) {
                record.due = None;
            }
            return;
        };
        if index >= self.records.len() {
            self.records.resize(index + 1, Record::default());
        }
        let Some(record) = self.records.get_mut(index) else { return };
        record.due = due;
        let entry = Entry { time, slot };
        match record.position.map(|position| position as usize) {
            None => {
                self.heap.push(entry);
                self.peak = self.peak.max(self.heap.len());
                self.rise(self.heap.len() - 1, entry);
            }
            Some(position) if self.heap.get(position).is_some_and(|queued| entry < *queued) => {
                self.rise(position, entry);
            }
            Some(_) => {}
        }
    }

    /// Clears a slot's alarm and removes its entry from the heap, for a slot that is no longer used.
    pub fn remove(&mut self, slot: u32) {
        let Some(record) = self.records.get_mut(slot as usize) else { return };
        record.due = None;
        if let Some(position) = record.position {
            self.take(position as usize);
        }
    }

    /// The next slot whose alarm is due by `now`. The alarm is cleared.
    pub fn pop(&mut self, now: Instant) -> Option<u32> {
        loop {
            let Entry { time, slot } = *self.heap.first()?;
            if time > now {
                return None;
            }
            let due = self.records.get_mut(slot as usize).and_then(|record| record.due.take_if(|due| *due <= now));
            if due.is_some() {
                self.take(0);
                return Some(slot);
            }
            match self.records.get(slot as usize).and_then(|record| record.due) {
                Some(later) => self.sink(0, Entry { time: later, slot }),
                None => self.take(0),
            }
        }
    }

    /// When to call [`pop`](Self::pop) again. No alarm may be due yet at that time.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.heap.first().map(|entry| entry.time)
    }

    /// The number of slots with an entry in the heap: at least the number of alarms.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether the heap is empty, so that no alarm is set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// The bytes of memory held.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.heap.capacity() * size_of::<Entry>() + self.records.capacity() * size_of::<Record>()
    }

    /// Removes the entry at a position from the heap.
    fn take(&mut self, position: usize) {
        let Some(taken) = self.heap.get(position).copied() else { return };
        let Some(last) = self.heap.pop() else { return };
        if let Some(record) = self.records.get_mut(taken.slot as usize) {
            record.position = None;
        }
        if position < self.heap.len() {
            // The last entry fills the gap. It comes from another branch, so it may have to move up or down.
            if last < taken { self.rise(position, last) } else { self.sink(position, last) }
        } else if self.heap.is_empty() && self.peak > SMALL {
            // No alarm is set, so all records are empty.
            *self = Self::new();
        }
    }

    /// Puts an entry at a position or further up, below all entries that are earlier.
    fn rise(&mut self, mut position: usize, entry: Entry) {
        while position > 0 {
            let above = (position - 1) / ARITY;
            match self.heap.get(above) {
                Some(parent) if entry < *parent => self.place(position, *parent),
                _ => break,
            }
            position = above;
        }
        self.place(position, entry);
    }

    /// Puts an entry at a position or further down, above all entries that are later.
    fn sink(&mut self, mut position: usize, entry: Entry) {
        loop {
            let below = position * ARITY + 1;
            let children = self.heap.iter().enumerate().skip(below).take(ARITY);
            match children.min_by_key(|(_, child)| **child) {
                Some((child, earliest)) if *earliest < entry => {
                    let earliest = *earliest;
                    self.place(position, earliest);
                    position = child;
                }
                _ => break,
            }
        }
        self.place(position, entry);
    }

    fn place(&mut self, position: usize, entry: Entry) {
        if let Some(place) = self.heap.get_mut(position) {
            *place = entry;
        }
        if let Some(record) = self.records.get_mut(entry.slot as usize) {
            record.position = u32::try_from(position).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use core::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn an_alarm_moved_later_goes_off_once_at_its_time() {
        let mut timers = Timers::new();
        timers.set(7, Some(at(1)));
        timers.set(7, Some(at(5)));
        assert_eq!(timers.next(), Some(at(1)), "only the record knows");
        assert_eq!(timers.pop(at(1)), None);
        assert_eq!(timers.next(), Some(at(5)));
        assert_eq!((timers.pop(at(5)), timers.pop(at(9))), (Some(7), None));
    }

    #[test]
    fn an_alarm_moved_earlier_does_not_go_off_twice() {
        let mut timers = Timers::new();
        timers.set(7, Some(at(5)));
        timers.set(7, Some(at(1)));
        assert_eq!((timers.next(), timers.len()), (Some(at(1)), 1));
        assert_eq!((timers.pop(at(9)), timers.pop(at(9)), timers.next()), (Some(7), None, None));
    }

    #[test]
    fn a_cleared_alarm_does_not_go_off() {
        let mut timers = Timers::new();
        timers.set(7, Some(at(1)));
        timers.set(7, None);
        assert_eq!((timers.pop(at(1)), timers.next()), (None, None));
        timers.set(8, None);
        timers.remove(u32::MAX);
        assert!(timers.is_empty());
    }

    #[test]
    fn nothing_piles_up_when_alarms_change() {
        let mut timers = Timers::new();
        for round in 0..1000 {
            timers.set(3, Some(at(2000 - round)));
            timers.set(3, None);
            timers.set(4, Some(at(1000)));
            timers.remove(4);
        }
        assert_eq!(timers.len(), 1);
    }

    #[test]
    fn memory_is_given_back_after_many_alarms_and_kept_after_a_few() {
        let mut timers = Timers::new();
        for slot in 0..100_000 {
            timers.set(slot, Some(at(1)));
        }
        while timers.pop(at(1)).is_some() {}
        assert_eq!(timers.held(), 0);
        timers.set(90_000, Some(at(2)));
        let held = timers.held();
        assert_eq!(timers.pop(at(2)), Some(90_000));
        assert_eq!(timers.held(), held, "a slot far up does not make memory come and go with each of its alarms");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Set(u32, u64),
        Clear(u32),
        Remove(u32),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0u32..40, 0u64..60).prop_map(|(slot, delay)| Step::Set(slot, delay)),
            2 => (0u32..40).prop_map(Step::Clear),
            2 => (0u32..40).prop_map(Step::Remove),
            2 => (0u64..20).prop_map(Step::Pass),
        ]
    }

    proptest! {
        #[test]
        fn alarms_are_a_map_from_slots_to_instants(steps in prop::collection::vec(step(), 1..300)) {
            let (mut timers, mut model, mut now) = (Timers::new(), BTreeMap::new(), 0);
            for step in steps {
                match step {
                    Step::Set(slot, delay) => {
                        timers.set(slot, Some(at(now + delay)));
                        model.insert(slot, now + delay);
                    }
                    Step::Clear(slot) => {
                        timers.set(slot, None);
                        model.remove(&slot);
                    }
                    Step::Remove(slot) => {
                        timers.remove(slot);
                        model.remove(&slot);
                        prop_assert!(timers.heap.iter().all(|entry| entry.slot != slot));
                    }
                    Step::Pass(seconds) => {
                        now += seconds;
                        while let Some(slot) = timers.pop(at(now)) {
                            prop_assert!(model.remove(&slot).is_some_and(|due| due <= now));
                        }
                        prop_assert!(model.values().all(|due| *due > now), "all that are due go off");
                        prop_assert!(timers.next().is_none_or(|next| next > at(now)));
                    }
                }
                if let Some(first) = model.values().min() {
                    prop_assert!(timers.next().is_some_and(|next| next <= at(*first)));
                }
                for (position, entry) in timers.heap.iter().enumerate() {
                    prop_assert_eq!(timers.records[entry.slot as usize].position, Some(position as u32));
                    prop_assert!(position == 0 || timers.heap[(position - 1) / ARITY] < *entry);
                }
                prop_assert!(timers.len() >= model.len() && timers.len() <= 40);
            }
        }
    }
}
