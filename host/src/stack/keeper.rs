//! The record of an interface in the platform's memory, while the interface is mounted.

use xila_network_engine::configure::dhcp::Remembered;

use super::identity::{Identity, Lent};
use crate::address::MacAddress;
use crate::platform::{Platform, Record};

/// Keeps what is remembered of an interface. What cannot be read or stored is told in the log, and the interface does
/// without: it is there for its network first.
pub(super) struct Keeper {
    name: String,
    record: Box<dyn Record>,
    identity: Identity,
    /// What the record holds.
    stored: Option<Identity>,
}

impl Keeper {
    /// What the platform remembers of an interface of this name; `None` where it remembers nothing, or somebody else has
    /// it. `secret` is that of an interface that was never mounted before.
    pub(super) fn open(platform: &Platform, name: &str, secret: [u8; 32]) -> Option<Self> {
        let memory = platform.memory.as_ref()?;
        let mut record = match memory.open(name) {
            Ok(Some(record)) => record,
            Ok(None) => {
                tracing::info!(name, "what is remembered of the interface is in use: for now it is another host");
                return None;
            }
            Err(error) => {
                tracing::warn!(name, %error, "nothing can be remembered of the interface");
                return None;
            }
        };
        let stored = match record.load() {
            Ok(bytes) => bytes.and_then(|bytes| {
                let unreadable = |error| tracing::warn!(name, %error, "what is remembered of the interface is no use");
                Identity::parse(&bytes).map_err(unreadable).ok()
            }),
            Err(error) => {
                tracing::warn!(name, %error, "what is remembered of the interface cannot be read");
                None
            }
        };
        let identity = stored.clone().unwrap_or_else(|| Identity::new(secret));
        Some(Self { name: name.to_owned(), record, identity, stored })
    }

    /// The hardware address of the interface where nobody sets one: that of the runs before, or one that is drawn now.
    pub(super) fn hardware_address(&mut self, draw: impl FnOnce() -> MacAddress) -> MacAddress {
        *self.identity.hardware.get_or_insert_with(draw)
    }

    /// What identifiers of IPv6 addresses are made with.
    pub(super) const fn secret(&self) -> [u8; 32] {
        self.identity.secret
    }

    /// What was lent to this hardware address last.
    pub(super) fn lease_of(&self, hardware: MacAddress) -> Option<Remembered> {
        self.identity.lease.filter(|lent| lent.to == hardware).map(|lent| lent.remembered)
    }

    /// Remembers what is lent now.
    pub(super) fn set_lease(&mut self, lease: Option<Lent>) {
        self.identity.lease = lease;
        self.store();
    }

    /// Stores what is not stored yet.
    pub(super) fn store(&mut self) {
        if self.stored.as_ref() == Some(&self.identity) {
            return;
        }
        match self.record.store(self.identity.to_string().as_bytes()) {
            Ok(()) => self.stored = Some(self.identity.clone()),
            Err(error) => tracing::warn!(name = self.name, %error, "what the interface is cannot be remembered"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;
    use crate::platform::Memory;
    use crate::platform::memory::Volatile;
    use crate::platform::simulated::Simulation;

    const SECRET: [u8; 32] = [1; 32];

    fn platform(memory: impl Memory + 'static) -> Platform {
        Platform { memory: Some(Arc::new(memory)), ..Simulation::new(1).platform() }
    }

    fn mac(last: u8) -> MacAddress {
        MacAddress::new([2, 0, 0, 0, 0, last]).unwrap()
    }

    fn lent(to: MacAddress) -> Lent {
        Lent { to, remembered: Remembered { address: [10, 0, 0, 7].into(), is_current: true } }
    }

    #[test]
    fn the_next_run_has_the_hardware_address_the_secret_and_the_lease_of_the_one_before() {
        let platform = platform(Volatile::default());
        let mut keeper = Keeper::open(&platform, "eth0", SECRET).unwrap();
        assert_eq!(keeper.hardware_address(|| mac(1)), mac(1));
        keeper.set_lease(Some(lent(mac(1))));
        drop(keeper);
        let mut keeper = Keeper::open(&platform, "eth0", [2; 32]).unwrap();
        assert_eq!(keeper.hardware_address(|| mac(2)), mac(1));
        assert_eq!((keeper.secret(), keeper.lease_of(mac(1))), (SECRET, Some(lent(mac(1)).remembered)));
        assert_eq!(keeper.lease_of(mac(2)), None, "it was lent to another hardware address");
    }

    #[test]
    fn who_comes_second_has_nothing_and_disturbs_nothing() {
        let memory = Volatile::default();
        let platform = platform(memory.clone());
        let mut first = Keeper::open(&platform, "eth0", SECRET).unwrap();
        first.set_lease(Some(lent(mac(1))));
        let stored = memory.stored("eth0");
        assert!(Keeper::open(&platform, "eth0", [2; 32]).is_none());
        assert_eq!(memory.stored("eth0"), stored);
    }

    #[test]
    fn what_is_no_use_is_replaced() {
        let memory = Volatile::default();
        memory.open("eth0").unwrap().unwrap().store(b"\xffnonsense").unwrap();
        let platform = platform(memory);
        let mut keeper = Keeper::open(&platform, "eth0", SECRET).unwrap();
        assert_eq!((keeper.hardware_address(|| mac(1)), keeper.secret()), (mac(1), SECRET));
        keeper.store();
        drop(keeper);
        let mut keeper = Keeper::open(&platform, "eth0", [2; 32]).unwrap();
        assert_eq!(keeper.hardware_address(|| mac(2)), mac(1));
    }

    /// A place that fails at everything after it was opened, or at that too.
    struct Failing {
        opens: bool,
    }

    impl Memory for Failing {
        fn open(&self, _name: &str) -> io::Result<Option<Box<dyn Record>>> {
            if self.opens { Ok(Some(Box::new(Self { opens: true }))) } else { Err(io::ErrorKind::StorageFull.into()) }
        }
    }

    impl Record for Failing {
        fn load(&mut self) -> io::Result<Option<Vec<u8>>> {
            Err(io::ErrorKind::InvalidData.into())
        }

        fn store(&mut self, _bytes: &[u8]) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }

    #[test]
    fn a_place_that_fails_leaves_an_interface_that_works() {
        assert!(Keeper::open(&platform(Failing { opens: false }), "eth0", SECRET).is_none());
        let mut keeper = Keeper::open(&platform(Failing { opens: true }), "eth0", SECRET).unwrap();
        assert_eq!(keeper.hardware_address(|| mac(1)), mac(1));
        keeper.set_lease(Some(lent(mac(1))));
        assert_eq!(keeper.lease_of(mac(1)), Some(lent(mac(1)).remembered));
    }
}
