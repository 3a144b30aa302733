//! The ends of large packets that were sent recently, to check whether a router's "packet too big" message about one is
//! plausible (RFC 5927 section 4, RFC 8201 section 4).

use alloc::boxed::Box;

use hashbrown::HashMap;

use super::Tuple;
use crate::ports::Owner;
use crate::random::Secret;

/// Packets above this length are large, IP header included: no path MTU is smaller, so shorter packets are never too
/// big.
pub const LARGE: usize = 552;

/// The number of marks of an owner.
const MARKS: usize = 256;

/// The protocol of a packet without a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// ICMP echo. The identifier stands for the local port, and the remote port is 0.
    Echo,
}

/// The ends of the last large packets of each owner who has sockets.
///
/// A pair of ends may leave one mark, at a place chosen by a keyed hash. So the cost of a mark is constant, and nobody
/// can predict which pair's mark it replaces. It is always one of the same owner.
#[derive(Debug)]
pub struct Recent {
    secret: Secret,
    owners: HashMap<Owner, Marks, Secret>,
}

#[derive(Debug, Default)]
struct Marks {
    /// How many sockets the owner has.
    sockets: usize,
    /// The marks, once the owner has sent a large packet.
    places: Option<Box<[u64; MARKS]>>,
    /// The last ends, because most packets have the same ends as the one before.
    last: Option<(Protocol, Tuple)>,
}

impl Recent {
    /// No packets were sent yet. The secret must not be used for anything else.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self { owners: HashMap::with_hasher(secret.clone()), secret }
    }

    /// An owner has one more socket.
    pub fn add_socket(&mut self, owner: Owner) {
        self.owners.entry(owner).or_default().sockets += 1;
    }

    /// An owner has one socket less. With the last one, its marks are gone.
    pub fn remove_socket(&mut self, owner: Owner) {
        if let Some(marks) = self.owners.get_mut(&owner) {
            marks.sockets -= 1;
            if marks.sockets == 0 {
                self.owners.remove(&owner);
            }
        }
    }

    /// Records that an owner has sent a packet of `length` bytes, IP header included. Packets that are not
    /// [large](LARGE), and those of owners without sockets, are not recorded.
    pub fn note(&mut self, owner: Owner, protocol: Protocol, tuple: Tuple, length: usize) {
        let ends = (protocol, tuple);
        if length <= LARGE {
            return;
        }
        let Some(marks) = self.owners.get_mut(&owner).filter(|marks| marks.last != Some(ends)) else { return };
        marks.last = Some(ends);
        let (place, mark) = mark(&self.secret, ends);
        let places = marks.places.get_or_insert_with(|| Box::new([0; MARKS]));
        if let Some(place) = places.get_mut(place) {
            *place = mark;
        }
    }

    /// Whether one of the last large packets of an owner was between these ends.
    #[must_use]
    pub fn has(&self, owner: Owner, protocol: Protocol, tuple: &Tuple) -> bool {
        let (place, mark) = mark(&self.secret, (protocol, *tuple));
        let places = self.owners.get(&owner).and_then(|marks| marks.places.as_ref());
        places.is_some_and(|places| places.get(place) == Some(&mark))
    }
}

/// The place of a pair's mark, and its value, which is never 0: 0 means that there is no mark.
fn mark(secret: &Secret, ends: (Protocol, Tuple)) -> (usize, u64) {
    let hash = secret.hash(&ends);
    (hash as usize % MARKS, hash | 1 << 63)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const OWNER: Owner = Owner(1);
    const OTHER: Owner = Owner(2);

    /// Two owners have a socket each.
    fn recent() -> Recent {
        let mut recent = Recent::new(Secret::new(&mut Random::new([7; 32])));
        [OWNER, OTHER].into_iter().for_each(|owner| recent.add_socket(owner));
        recent
    }

    fn to(port: u16) -> Tuple {
        Tuple::new(([10, 0, 0, 1], 7).into(), ([10, 0, 0, 2], port).into())
    }

    #[test]
    fn the_ends_of_a_large_packet_are_remembered() {
        let mut recent = recent();
        assert!(!recent.has(OWNER, Protocol::Udp, &to(1)));
        recent.note(OWNER, Protocol::Udp, to(1), LARGE);
        assert!(!recent.has(OWNER, Protocol::Udp, &to(1)), "every path takes this one");
        recent.note(OWNER, Protocol::Udp, to(1), LARGE + 1);
        assert!(recent.has(OWNER, Protocol::Udp, &to(1)));
        assert!(!recent.has(OWNER, Protocol::Echo, &to(1)) && !recent.has(OWNER, Protocol::Udp, &to(2)));
        assert!(!recent.has(OTHER, Protocol::Udp, &to(1)), "it was not the other's");
        recent.note(OWNER, Protocol::Echo, to(1), 1500);
        assert!(recent.has(OWNER, Protocol::Echo, &to(1)) && recent.has(OWNER, Protocol::Udp, &to(1)));
    }

    #[test]
    fn an_owner_replaces_only_its_own_marks_and_the_last_one_is_always_there() {
        let mut recent = recent();
        recent.note(OTHER, Protocol::Udp, to(1), 1500);
        for port in 0..10_000 {
            recent.note(OWNER, Protocol::Udp, to(port), 1500);
            assert!(recent.has(OWNER, Protocol::Udp, &to(port)));
        }
        let known = (0..10_000).filter(|port| recent.has(OWNER, Protocol::Udp, &to(*port))).count();
        assert!((200..=MARKS).contains(&known), "{known}");
        assert!(recent.has(OTHER, Protocol::Udp, &to(1)));
    }

    #[test]
    fn a_pair_that_sends_again_is_recorded_again() {
        let mut recent = recent();
        for port in 0..5000 {
            recent.note(OWNER, Protocol::Udp, to(port), 1500);
            recent.note(OWNER, Protocol::Udp, to(60_000), 1500);
            assert!(recent.has(OWNER, Protocol::Udp, &to(60_000)));
        }
    }

    #[test]
    fn the_marks_of_an_owner_are_gone_with_its_last_socket() {
        let mut recent = recent();
        recent.add_socket(OWNER);
        recent.note(OWNER, Protocol::Udp, to(1), 1500);
        recent.remove_socket(OWNER);
        assert!(recent.has(OWNER, Protocol::Udp, &to(1)));
        [OWNER, OTHER].into_iter().for_each(|owner| recent.remove_socket(owner));
        recent.note(OWNER, Protocol::Udp, to(2), 1500);
        assert!(recent.owners.is_empty(), "who has no socket has no marks");
    }
}
