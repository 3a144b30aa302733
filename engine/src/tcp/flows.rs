//! The table of connections and handshakes by their pair of ends. Every segment that arrives is looked up here.

use hashbrown::HashTable;

use super::ConnectionId;
use super::tuple::Tuple;
use crate::random::Secret;
use crate::slots::Key;

/// What a pair of ends belongs to: a connection, or a handshake of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Connection(ConnectionId),
    HalfOpen(Key),
}

/// A flow with the hash of its ends. The ends themselves are kept by the connection or the handshake: a copy of them
/// here would make up most of the table.
struct Place {
    hash: u32,
    flow: Flow,
}

/// The flows of one interface by their ends. The secret prevents peers from choosing ends that collide in the table.
pub(super) struct Flows {
    secret: Secret,
    table: HashTable<Place>,
}

impl Flows {
    pub(super) const fn new(secret: Secret) -> Self {
        Self { secret, table: HashTable::new() }
    }

    /// Finds the flow of a pair of ends. `is_of` says whether a flow has these ends.
    pub(super) fn find(&self, tuple: &Tuple, is_of: impl Fn(Flow) -> bool) -> Option<Flow> {
        let hash = self.hash(tuple);
        let found = self.table.find(spread(hash), |place| place.hash == hash && is_of(place.flow))?;
        Some(found.flow)
    }

    /// Adds a flow whose ends belong to no flow yet.
    pub(super) fn insert(&mut self, tuple: &Tuple, flow: Flow) {
        let hash = self.hash(tuple);
        self.table.insert_unique(spread(hash), Place { hash, flow }, |place| spread(place.hash));
    }

    /// Removes a flow, and returns whether it was in the table.
    pub(super) fn remove(&mut self, tuple: &Tuple, flow: Flow) -> bool {
        let hash = self.hash(tuple);
        match self.table.find_entry(spread(hash), |place| place.flow == flow) {
            Ok(entry) => {
                entry.remove();
                true
            }
            Err(_) => false,
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "half of the hash is enough to find a place by")]
    fn hash(&self, tuple: &Tuple) -> u32 {
        self.secret.hash(tuple) as u32
    }
}

/// Spreads a hash over 64 bits: the table chooses buckets by the lowest bits and distinguishes the entries of a bucket
/// by the highest bits.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::random::Random;
    use crate::slots::Slots;

    fn tuple(port: u16) -> Tuple {
        Tuple::new(([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], port).into())
    }

    #[test]
    fn every_flow_is_found_by_its_ends_and_by_no_others() {
        let mut flows = Flows::new(Secret::new(&mut Random::new([1; 32])));
        let mut ends = Slots::default();
        let keys: Vec<Key> = (1..5000)
            .map(|port| {
                let key = ends.insert(tuple(port));
                flows.insert(&tuple(port), Flow::HalfOpen(key));
                key
            })
            .collect();
        let is = |port| {
            let ends = &ends;
            move |flow| matches!(flow, Flow::HalfOpen(key) if ends.get(key) == Some(&tuple(port)))
        };
        for (port, key) in (1..).zip(&keys) {
            assert_eq!(flows.find(&tuple(port), is(port)), Some(Flow::HalfOpen(*key)));
        }
        assert_eq!(flows.find(&tuple(5000), is(5000)), None);
        assert!(flows.remove(&tuple(7), Flow::HalfOpen(keys[6])));
        assert!(!flows.remove(&tuple(7), Flow::HalfOpen(keys[6])), "it is gone");
        assert!(!flows.remove(&tuple(8), Flow::HalfOpen(keys[6])), "that is another's place");
        assert_eq!(flows.find(&tuple(7), is(7)), None);
    }
}
