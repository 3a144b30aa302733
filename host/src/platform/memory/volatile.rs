//! Records in memory.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Memory, Record};

/// A memory that ends with its last clone: for tests, and for hosts that mount the same interfaces several times in one
/// process. Clones share the records.
#[derive(Clone, Debug, Default)]
pub struct Volatile(Arc<Mutex<BTreeMap<String, Place>>>);

#[derive(Debug, Default)]
struct Place {
    is_taken: bool,
    bytes: Option<Vec<u8>>,
}

impl Volatile {
    /// The bytes that are stored under a name, for tests.
    #[must_use]
    pub fn stored(&self, name: &str) -> Option<Vec<u8>> {
        self.0.lock().get(name).and_then(|place| place.bytes.clone())
    }

    /// A copy of the memory whose records have no owner: what a killed run leaves to the next.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let places = self.0.lock();
        let copy =
            |(name, place): (&String, &Place)| (name.clone(), Place { is_taken: false, bytes: place.bytes.clone() });
        Self(Arc::new(Mutex::new(places.iter().map(copy).collect())))
    }
}

impl Memory for Volatile {
    fn open(&self, name: &str) -> io::Result<Option<Box<dyn Record>>> {
        let mut places = self.0.lock();
        let place = places.entry(name.to_owned()).or_default();
        if core::mem::replace(&mut place.is_taken, true) {
            return Ok(None);
        }
        Ok(Some(Box::new(VolatileRecord { memory: self.clone(), name: name.to_owned() })))
    }
}

struct VolatileRecord {
    memory: Volatile,
    name: String,
}

impl VolatileRecord {
    fn with<R>(&self, act: impl FnOnce(&mut Place) -> R) -> R {
        act(self.memory.0.lock().entry(self.name.clone()).or_default())
    }
}

impl Record for VolatileRecord {
    fn load(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.with(|place| place.bytes.clone()))
    }

    fn store(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.with(|place| place.bytes = Some(bytes.to_vec()));
        Ok(())
    }
}

impl Drop for VolatileRecord {
    fn drop(&mut self) {
        self.with(|place| place.is_taken = false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_has_one_owner_at_a_time_and_is_kept_for_the_next() {
        let memory = Volatile::default();
        let mut record = memory.open("eth0").unwrap().expect("nobody has it");
        assert_eq!(record.load().unwrap(), None);
        record.store(b"one").unwrap();
        assert!(memory.open("eth0").unwrap().is_none());
        assert!(memory.open("eth1").unwrap().is_some());
        let killed = memory.snapshot();
        record.store(b"two").unwrap();
        drop(record);
        let mut record = memory.open("eth0").unwrap().expect("it was given back");
        assert_eq!(record.load().unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(killed.stored("eth0").as_deref(), Some(&b"one"[..]));
        assert!(killed.open("eth0").unwrap().is_some());
    }
}
