//! The ends of large packets that were sent recently, to check whether a router's "packet too big" message about one is
//! plausible (RFC 5927 section 4, RFC 8201 section 4).

use super::Tuple;
use crate::random::Secret;

/// Packets above this length are large, IP header included: no path MTU is smaller, so shorter packets are never too
/// big.
pub const LARGE: usize = 552;

/// The number of marks.
const MARKS: usize = 256;

/// The protocol of a packet without a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// ICMP echo. The identifier stands for the local port, and the remote port is 0.
    Echo,
}

/// The ends of the last large packets.
///
/// A pair of ends may leave one mark, at a place chosen by a keyed hash. So the cost of a mark is constant, and nobody
/// can predict which pair's mark it replaces.
#[derive(Debug)]
pub struct Recent {
    secret: Secret,
    marks: [u64; MARKS],
    /// The last ends, because most packets have the same ends as the one before.
    last: Option<(Protocol, Tuple)>,
}

impl Recent {
    /// No packets were sent yet. The secret must not be used for anything else.
    #[must_use]
    pub const fn new(secret: Secret) -> Self {
        Self { secret, marks: [0; MARKS], last: None }
    }

    /// Records that a packet of `length` bytes was sent, IP header included. Packets that are not [large](LARGE) are
    /// not recorded.
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

    /// The place of a pair's mark, and its value, which is never 0: 0 means that there is no mark.
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
    fn marks_are_replaced_by_many_others_and_the_last_one_is_always_there() {
        let mut recent = recent();
        for port in 0..10_000 {
            recent.note(Protocol::Udp, to(port), 1500);
            assert!(recent.has(Protocol::Udp, &to(port)));
        }
        let known = (0..10_000).filter(|port| recent.has(Protocol::Udp, &to(*port))).count();
        assert!((200..=MARKS).contains(&known), "{known}");
    }

    #[test]
    fn a_pair_that_sends_again_is_recorded_again() {
        let mut recent = recent();
        for port in 0..5000 {
            recent.note(Protocol::Udp, to(port), 1500);
            recent.note(Protocol::Udp, to(60_000), 1500);
            assert!(recent.has(Protocol::Udp, &to(60_000)));
        }
    }
}
