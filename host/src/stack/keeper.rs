//! The record of an interface in the platform's [memory](crate::platform::Memory), while the interface is mounted.

use xila_network_engine::configure::dhcp::Remembered;

use super::identity::{Identity, Lent};
use crate::address::MacAddress;
use crate::platform::{Platform, Record};

/// Loads and stores the [`Identity`] of an interface. Failures to read or write are only logged, and the interface
/// works without the record: its network is more important.
pub(super) struct Keeper {
    name: String,
    record: Box<dyn Record>,
    identity: Identity,
    /// The identity that the record holds.
    stored: Option<Identity>,
}

impl Keeper {
    /// Opens the record of the interface named `name`. `None` if the platform has no memory, or another holder has the
    /// record. `secret` is used if the interface was never mounted before.
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

    /// The hardware address of the interface if the user sets none: the one of earlier runs, or one that `draw`
    /// returns.
    pub(super) fn hardware_address(&mut self, draw: impl FnOnce() -> MacAddress) -> MacAddress {
        *self.identity.hardware.get_or_insert_with(draw)
    }

    /// The secret key of IPv6 interface identifiers (RFC 7217).
    pub(super) const fn secret(&self) -> [u8; 32] {
        self.identity.secret
    }

    /// The last DHCP lease of this hardware address.
    pub(super) fn lease_of(&self, hardware: MacAddress) -> Option<Remembered> {
        self.identity.lease.filter(|lent| lent.to == hardware).map(|lent| lent.remembered)
    }

    /// Stores the present DHCP lease.
    pub(super) fn set_lease(&mut self, lease: Option<Lent>) {
        self.identity.lease = lease;
        self.store();
    }

    /// Stores the identity, if it differs from the stored one.
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
    fn a_second_holder_gets_no_record_and_changes_none() {
        let memory = Volatile::default();
        let platform = platform(memory.clone());
        let mut first = Keeper::open(&platform, "eth0", SECRET).unwrap();
        first.set_lease(Some(lent(mac(1))));
        let stored = memory.stored("eth0");
        assert!(Keeper::open(&platform, "eth0", [2; 32]).is_none());
        assert_eq!(memory.stored("eth0"), stored);
    }

    #[test]
    fn an_unreadable_record_is_replaced() {
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

    /// A memory that fails at every operation after opening, or at opening too.
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
    fn an_interface_works_without_its_record() {
        assert!(Keeper::open(&platform(Failing { opens: false }), "eth0", SECRET).is_none());
        let mut keeper = Keeper::open(&platform(Failing { opens: true }), "eth0", SECRET).unwrap();
        assert_eq!(keeper.hardware_address(|| mac(1)), mac(1));
        keeper.set_lease(Some(lent(mac(1))));
        assert_eq!(keeper.lease_of(mac(1)), Some(lent(mac(1)).remembered));
    }
}
