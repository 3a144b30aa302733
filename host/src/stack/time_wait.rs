//! TIME-WAIT without a socket (RFC 9293 section 3.6.1).
//!
//! smoltcp keeps both buffers of a connection for the whole of its TIME-WAIT, and ignores a SYN that would begin the
//! next one. Here a connection that has nothing more to say becomes a record of a few words: enough to acknowledge a
//! repeated FIN, and to let a newer SYN through (RFC 6191 in spirit: by sequence number).

use core::time::Duration;
use std::collections::VecDeque;

use hashbrown::HashMap;

use super::demux::{Segment, Sent, Tuple};
use crate::platform::Instant;

/// How long a record lives after the peer's last FIN. Twice a maximum segment lifetime of 5 s, as in smoltcp; links of
/// this stack are short.
const LIFETIME: Duration = Duration::from_secs(10);
/// After so long a local port may be used again for a new connection to the same peer, if no other is left. A second is
/// what Linux asks for (tcp_tw_reuse).
const REUSABLE: Duration = Duration::from_secs(1);
/// The most records of one stack; the oldest gives way.
const MOST: usize = 16384;

#[derive(Clone, Copy, Debug)]
struct Record {
    /// Ours next, and the peer's next.
    sequence: u32,
    acknowledgement: u32,
    since: Instant,
    expires: Instant,
    /// A SYN was answered with an acknowledgement.
    questioned: bool,
}

/// What to do with a segment for a connection in TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing: an acknowledgement, or a reset (RFC 1337).
    Ignore,
    /// Send this acknowledgement: the peer has not heard the last one.
    Acknowledge { sequence: u32, acknowledgement: u32 },
    /// The peer begins a new connection; the record is gone.
    Renew,
}

/// The records of one stack.
#[derive(Debug, Default)]
pub(crate) struct TimeWait {
    records: HashMap<Tuple, Record>,
    /// In the order they were made. An entry whose record was renewed or restarted is skipped.
    order: VecDeque<(Instant, Tuple)>,
}

impl TimeWait {
    pub(crate) fn insert(&mut self, tuple: Tuple, last: Sent, now: Instant) {
        while self.order.len() >= MOST {
            self.drop_oldest();
        }
        let record = Record {
            sequence: last.next,
            acknowledgement: last.acknowledgement,
            since: now,
            expires: now + LIFETIME,
            questioned: false,
        };
        self.records.insert(tuple, record);
        self.order.push_back((now, tuple));
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether a record keeps the tuple from being used again.
    pub(crate) fn holds(&self, tuple: &Tuple) -> bool {
        self.records.contains_key(tuple)
    }

    /// Frees a tuple that has waited long enough to be used again in need.
    pub(crate) fn reuse(&mut self, tuple: &Tuple, now: Instant) -> bool {
        let free = self.records.get(tuple).is_none_or(|record| now - record.since >= REUSABLE);
        if free {
            self.records.remove(tuple);
        }
        free
    }

    /// Ends a tuple's wait.
    pub(crate) fn forget(&mut self, tuple: &Tuple) {
        self.records.remove(tuple);
    }

    /// The verdict over a segment, where the tuple is in TIME-WAIT.
    pub(crate) fn receive(&mut self, tuple: &Tuple, segment: &Segment, now: Instant) -> Option<Verdict> {
        let record = self.records.get_mut(tuple)?;
        if segment.rst {
            // The answer to our acknowledgement of a SYN: its sender knows nothing of the old connection and will repeat
            // the SYN. Any other reset may be an old one (RFC 1337).
            if record.questioned && segment.sequence == record.acknowledgement {
                self.records.remove(tuple);
            }
            return Some(Verdict::Ignore);
        }
        if segment.syn && !segment.ack {
            let newer = segment.sequence.wrapping_sub(record.acknowledgement).cast_signed() > 0;
            if newer {
                self.records.remove(tuple);
                return Some(Verdict::Renew);
            }
            record.questioned = true;
        } else if segment.fin {
            record.expires = now + LIFETIME;
        } else if segment.length == 0 && !segment.syn {
            return Some(Verdict::Ignore);
        }
        Some(Verdict::Acknowledge { sequence: record.sequence, acknowledgement: record.acknowledgement })
    }

    /// Drops what has waited long enough.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some((made, tuple)) = self.order.front().copied()
            && made + LIFETIME <= now
        {
            self.order.pop_front();
            match self.records.get(&tuple) {
                Some(record) if record.since != made => {}
                // A repeated FIN has restarted the wait: look again then.
                Some(record) if record.expires > now => {
                    let record = Record { since: now, ..*record };
                    self.records.insert(tuple, record);
                    self.order.push_back((now, tuple));
                }
                Some(_) => {
                    self.records.remove(&tuple);
                }
                None => {}
            }
        }
        if self.records.is_empty() && self.records.capacity() > 1024 {
            *self = Self::default();
        }
    }

    /// When the next record may expire.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.order.front().map(|(made, _)| *made + LIFETIME)
    }

    fn drop_oldest(&mut self) {
        if let Some((made, tuple)) = self.order.pop_front()
            && self.records.get(&tuple).is_some_and(|record| record.since == made)
        {
            self.records.remove(&tuple);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: Segment =
        Segment { syn: false, ack: true, rst: false, fin: false, sequence: 200, length: 0, window: 1000 };
    const LAST: Sent = Sent { sequence: 99, next: 100, acknowledgement: 200, window: 9 };

    fn tuple(port: u16) -> Tuple {
        Tuple { local: ([10, 0, 0, 1], 80).into(), remote: ([10, 0, 0, 2], port).into() }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn a_repeated_fin_is_acknowledged_and_restarts_the_wait() {
        let mut waiting = TimeWait::default();
        waiting.insert(tuple(1), LAST, at(0));
        let fin = Segment { fin: true, sequence: 199, ..SEGMENT };
        let verdict = waiting.receive(&tuple(1), &fin, at(5));
        assert_eq!(verdict, Some(Verdict::Acknowledge { sequence: 100, acknowledgement: 200 }));
        waiting.expire(at(11));
        assert_eq!(waiting.len(), 1, "the wait began anew at 5 s");
        waiting.expire(at(22));
        assert_eq!(waiting.len(), 0);
    }

    #[test]
    fn a_newer_syn_begins_the_next_connection_and_an_older_one_does_not() {
        let mut waiting = TimeWait::default();
        waiting.insert(tuple(1), LAST, at(0));
        let old = Segment { syn: true, ack: false, sequence: 150, ..SEGMENT };
        assert!(matches!(waiting.receive(&tuple(1), &old, at(1)), Some(Verdict::Acknowledge { .. })));
        let new = Segment { sequence: 0x1000, ..old };
        assert_eq!(waiting.receive(&tuple(1), &new, at(1)), Some(Verdict::Renew));
        assert_eq!(waiting.receive(&tuple(1), &new, at(1)), None);
    }

    #[test]
    fn the_answer_to_an_answered_syn_makes_room_for_its_repetition() {
        let mut waiting = TimeWait::default();
        waiting.insert(tuple(1), LAST, at(0));
        let syn = Segment { syn: true, ack: false, sequence: 150, ..SEGMENT };
        assert!(matches!(waiting.receive(&tuple(1), &syn, at(1)), Some(Verdict::Acknowledge { .. })));
        let elsewhere = Segment { rst: true, sequence: 199, ..SEGMENT };
        assert_eq!(waiting.receive(&tuple(1), &elsewhere, at(1)), Some(Verdict::Ignore));
        assert!(waiting.holds(&tuple(1)));
        assert_eq!(waiting.receive(&tuple(1), &Segment { rst: true, ..SEGMENT }, at(1)), Some(Verdict::Ignore));
        assert_eq!(waiting.receive(&tuple(1), &syn, at(2)), None);
    }

    #[test]
    fn resets_and_acknowledgements_change_nothing() {
        let mut waiting = TimeWait::default();
        waiting.insert(tuple(1), LAST, at(0));
        assert_eq!(waiting.receive(&tuple(1), &SEGMENT, at(1)), Some(Verdict::Ignore));
        assert_eq!(waiting.receive(&tuple(1), &Segment { rst: true, ..SEGMENT }, at(1)), Some(Verdict::Ignore));
        assert!(waiting.holds(&tuple(1)));
    }

    #[test]
    fn records_are_bounded() {
        let mut waiting = TimeWait::default();
        for port in 0..=u16::MAX {
            waiting.insert(tuple(port), LAST, at(0));
        }
        assert_eq!(waiting.len(), MOST);
        waiting.expire(at(10));
        assert_eq!(waiting.len(), 0);
    }
}
