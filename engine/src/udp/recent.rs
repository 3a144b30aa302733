//! Which large packets were sent lately, so that a router's word about one can be believed or not (RFC 5927 section 4,
//! RFC 8201 section 4).

use super::Tuple;
use crate::random::Secret;

/// Packets are large that some path may not take whole: no path is narrower than this, IP header included.
pub const LARGE: usize = 552;

/// How many marks there are.
const MARKS: usize = 256;

/// What a packet without a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// A datagram.
    Udp,
    /// An echo request, whose identifier stands for a port and whose remote port is 0.
    Echo,
}

/// The ends of the last large packets.
///
/// Each pair of ends has one mark that it may leave, at a place that a keyed hash gives, so one more costs the same
/// however many there are, and nobody knows whose mark it replaces.
#[derive(Debug)]
pub struct Recent {
    secret: Secret,
    marks: [u64; MARKS],
    /// Most packets go where the last one went.
    last: Option<(Protocol, Tuple)>,
}

impl Recent {
    /// No packet was sent. The secret serves no other purpose.
    #[must_use]
    pub const fn new(secret: Secret) -> Self {
        Self { secret, marks: [0; MARKS], last: None }
    }

    /// Notes that a packet of so many bytes, IP header included, was sent. One that is not [large](LARGE) is not worth
    /// a note.
    pub fn note(&mut self, protocol: Protocol, tuple: Tuple, length: usize) {
        let ends = Some((protocol, tuple));
        if length <= LARGE || self.last == ends {
            return;
        }
        self.last = ends;
        let (place, mark) = self.mark(protocol, &tuple);
        if let Some(place) = self.marks.get_mut(place) {
            *place = mark;
        }
    }

    /// Whether one of the last large packets was between these ends.
    #[must_use]
    pub fn has(&self, protocol: Protocol, tuple: &Tuple) -> bool {
        let (place, mark) = self.mark(protocol, tuple);
        self.marks.get(place) == Some(&mark)
    }

    /// Where a pair's mark lies, and what it is: never 0, which means none.
    fn mark(&self, protocol: Protocol, tuple: &Tuple) -> (usize, u64) {
        let hash = self.secret.hash(&(protocol, *tuple));
        (hash as usize % MARKS, hash | 1 << 63)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn recent() -> Recent {
        Recent::new(Secret::new(&mut Random::new([7; 32])))
    }

    fn to(port: u16) -> Tuple {
        Tuple::new(([10, 0, 0, 1], 7).into(), ([10, 0, 0, 2], port).into())
    }

    #[test]
    fn the_ends_of_a_large_packet_are_remembered() {
        let mut recent = recent();
        assert!(!recent.has(Protocol::Udp, &to(1)));
        recent.note(Protocol::Udp, to(1), LARGE);
        assert!(!recent.has(Protocol::Udp, &to(1)), "every path takes this one");
        recent.note(Protocol::Udp, to(1), LARGE + 1);
        assert!(recent.has(Protocol::Udp, &to(1)));
        assert!(!recent.has(Protocol::Echo, &to(1)) && !recent.has(Protocol::Udp, &to(2)));
        recent.note(Protocol::Echo, to(1), 1500);
        assert!(recent.has(Protocol::Echo, &to(1)) && recent.has(Protocol::Udp, &to(1)));
    }

    #[test]
    fn many_others_drive_a_mark_out_in_the_end_and_the_last_one_is_always_there() {
        let mut recent = recent();
        for port in 0..10_000 {
            recent.note(Protocol::Udp, to(port), 1500);
            assert!(recent.has(Protocol::Udp, &to(port)));
        }
        let known = (0..10_000).filter(|port| recent.has(Protocol::Udp, &to(*port))).count();
        assert!((200..=MARKS).contains(&known), "{known}");
    }

    #[test]
    fn an_end_that_sends_again_is_remembered_again() {
        let mut recent = recent();
        for port in 0..5000 {
            recent.note(Protocol::Udp, to(port), 1500);
            recent.note(Protocol::Udp, to(60_000), 1500);
            assert!(recent.has(Protocol::Udp, &to(60_000)));
        }
    }
}
