//! When each flow wants to be looked at again.

use core::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::platform::Instant;

/// A flow's alarm: when it is due, and for when an entry lies in the heap.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Alarm {
    due: Option<Instant>,
    queued: Option<Instant>,
}

/// The alarms of all flows, by time.
///
/// Retransmission timers are set with every segment and cleared with every acknowledgement, and almost none of them
/// goes off. So setting an alarm later than its heap entry, or clearing it, touches only the flow; when the entry comes
/// up, it is dropped or queued again for the alarm's real time. Setting it earlier pushes a second entry, and the stale
/// one is recognised by its time.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    heap: BinaryHeap<Reverse<(Instant, K)>>,
}

impl<K: Ord + Copy> Timers<K> {
    pub(crate) const fn new() -> Self {
        Self { heap: BinaryHeap::new() }
    }

    /// Sets `key`'s alarm.
    pub(crate) fn set(&mut self, key: K, alarm: &mut Alarm, due: Option<Instant>) {
        alarm.due = due;
        if let Some(due) = due
            && alarm.queued.is_none_or(|queued| due < queued)
        {
            alarm.queued = Some(due);
            self.heap.push(Reverse((due, key)));
        }
    }

    /// The next key whose entry has come up by `now`, with the entry's time, to be given to [`settle`](Self::settle).
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Instant, K)> {
        match self.heap.peek() {
            Some(Reverse((time, _))) if *time <= now => self.heap.pop().map(|Reverse(entry)| entry),
            _ => None,
        }
    }

    /// Decides about an entry that came up: true where the alarm is due. An alarm set for later is queued again.
    pub(crate) fn settle(&mut self, key: K, alarm: &mut Alarm, time: Instant, now: Instant) -> bool {
        if alarm.queued != Some(time) {
            return false;
        }
        alarm.queued = None;
        match alarm.due {
            Some(due) if due <= now => {
                alarm.due = None;
                true
            }
            due => {
                self.set(key, alarm, due);
                false
            }
        }
    }

    /// When to look at the heap again. It may be earlier than any alarm is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((time, _))| *time)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn an_alarm_moved_later_goes_off_once_at_its_time() {
        let (mut timers, mut alarm) = (Timers::new(), Alarm::default());
        timers.set(7, &mut alarm, Some(at(1)));
        timers.set(7, &mut alarm, Some(at(5)));
        let (time, key) = timers.pop(at(1)).expect("the first entry comes up");
        assert!(!timers.settle(key, &mut alarm, time, at(1)), "not due yet");
        assert_eq!(timers.next(), Some(at(5)));
        let (time, key) = timers.pop(at(5)).expect("queued again");
        assert!(timers.settle(key, &mut alarm, time, at(5)));
        assert_eq!(timers.pop(at(9)), None);
    }

    #[test]
    fn an_alarm_moved_earlier_does_not_go_off_twice() {
        let (mut timers, mut alarm) = (Timers::new(), Alarm::default());
        timers.set(7, &mut alarm, Some(at(5)));
        timers.set(7, &mut alarm, Some(at(1)));
        let (time, key) = timers.pop(at(9)).expect("the early entry");
        assert!(timers.settle(key, &mut alarm, time, at(9)));
        let (time, key) = timers.pop(at(9)).expect("the stale entry");
        assert!(!timers.settle(key, &mut alarm, time, at(9)));
    }

    #[test]
    fn a_cleared_alarm_does_not_go_off() {
        let (mut timers, mut alarm) = (Timers::new(), Alarm::default());
        timers.set(7, &mut alarm, Some(at(1)));
        timers.set(7, &mut alarm, None);
        let (time, key) = timers.pop(at(1)).expect("the entry");
        assert!(!timers.settle(key, &mut alarm, time, at(1)));
        assert_eq!(timers.next(), None);
    }
}
