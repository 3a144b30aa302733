//! Interfaces by name.
//!
//! A [`Manager`] mounts devices as interfaces, each with a stack and a runner of its own, and hands out the [`Network`]
//! that sockets are made on. It is an ordinary value, cheap to clone; [`initialize`](Manager::initialize) keeps one for
//! the process, for hosts that expect that.

mod interface;

use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;

pub use interface::{Interface, InterfaceConfig};

pub use crate::stack::State;
pub use crate::stack::statistics::{Counters, Statistics};

use crate::address::Cidr;
use crate::device::Device;
use crate::device::loopback::Loopback;
use crate::error::{Error, Result};
use crate::platform::Platform;
use crate::runner;
use crate::socket::Network;
use crate::socket::network::Topology;
use crate::stack::Stack;

/// The name of the loopback interface.
pub const LOOPBACK: &str = "lo";

/// A set of interfaces. Clones are the same set.
#[derive(Clone)]
pub struct Manager {
    platform: Platform,
    mounted: Arc<RwLock<Vec<Interface>>>,
    topology: Arc<Topology>,
}

static PROCESS_WIDE: OnceLock<Manager> = OnceLock::new();

impl Manager {
    /// A manager with the loopback interface `lo`: 127.0.0.1/8 and ::1/128.
    ///
    /// # Panics
    /// Never: a fresh manager has room for one interface with two addresses.
    #[must_use]
    pub fn new(platform: Platform) -> Self {
        let manager = Self::without_loopback(platform);
        let local = [Cidr::new([127, 0, 0, 1].into(), 8), Cidr::new([0, 0, 0, 0, 0, 0, 0, 1u16].into(), 128)];
        let config = InterfaceConfig { addresses: local.into_iter().flatten().collect(), ..InterfaceConfig::default() };
        if let Err(error) = manager.mount_interface(LOOPBACK, Loopback::new(), config) {
            unreachable!("a fresh manager takes the loopback: {error}");
        }
        manager
    }

    /// A manager without any interface.
    #[must_use]
    pub fn without_loopback(platform: Platform) -> Self {
        Self { platform, mounted: Arc::default(), topology: Arc::default() }
    }

    /// Makes a manager for the whole process.
    ///
    /// # Errors
    /// [`Error::DuplicateIdentifier`] where there is one.
    pub fn initialize(platform: Platform) -> Result<Self> {
        let manager = Self::new(platform);
        match PROCESS_WIDE.set(manager.clone()) {
            Ok(()) => Ok(manager),
            Err(_) => Err(Error::DuplicateIdentifier("manager".into())),
        }
    }

    /// The manager of the process, once it was [initialized](Self::initialize).
    #[must_use]
    pub fn instance() -> Option<Self> {
        PROCESS_WIDE.get().cloned()
    }

    /// The surroundings that the manager was made with.
    #[must_use]
    pub const fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Builds an interface on a device and starts it: a stack with the configured addresses and routes, and a task that
    /// runs it. All or nothing: an error leaves no task and no name behind.
    ///
    /// # Errors
    /// [`Error::InvalidIdentifier`] for a name that is not 1 to 15 of `a-z 0-9 _ -`;
    /// [`Error::DuplicateIdentifier`]; [`Error::FailedToMountDevice`] where the device cannot carry a stack;
    /// [`Error::NotSupported`] for a hardware address on a device without; [`Error::InvalidArgument`],
    /// [`Error::AddressInUse`], [`Error::NoFreeSlot`] for addresses and routes that cannot be.
    pub fn mount_interface(&self, name: &str, device: impl Device, config: InterfaceConfig) -> Result<Interface> {
        check_name(name)?;
        if config.ephemeral_ports.is_empty() || *config.ephemeral_ports.start() == 0 {
            return Err(Error::InvalidArgument);
        }
        // Held until the interface is there, so that nobody can take the name meanwhile. What can fail comes first.
        let mut mounted = self.mounted.write();
        if mounted.iter().any(|interface| interface.name() == name) {
            return Err(Error::DuplicateIdentifier(name.into()));
        }
        let ports = config.ephemeral_ports.clone();
        let stack = Stack::new(name, Box::new(device), config.hardware_address, ports, &self.platform)?;
        let configured = stack.with_mut(|core| {
            config.addresses.iter().try_for_each(|cidr| core.add_address(*cidr))?;
            config.routes.iter().try_for_each(|route| core.add_route(*route))
        });
        configured?;
        let interface = Interface::new(stack.clone(), self.topology.clone(), config.dns_servers);
        mounted.push(interface.clone());
        self.topology.add(stack.clone());
        self.platform.spawner.spawn(Box::pin(runner::run(stack, self.platform.clone())));
        Ok(interface)
    }

    /// Ends an interface: its sockets fail with [`Error::NetworkDown`], its task ends, and the device is handed back.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn unmount_interface(&self, name: &str) -> Result<Box<dyn Device>> {
        let mut mounted = self.mounted.write();
        let index = mounted.iter().position(|interface| interface.name() == name).ok_or(Error::NotFound)?;
        let interface = mounted.remove(index);
        self.topology.remove(interface.stack());
        drop(mounted);
        interface.stack().unmount().ok_or(Error::NotFound)
    }

    /// The interface of a name.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn interface(&self, name: &str) -> Result<Interface> {
        let mounted = self.mounted.read();
        mounted.iter().find(|interface| interface.name() == name).cloned().ok_or(Error::NotFound)
    }

    /// All interfaces, in the order they were mounted.
    #[must_use]
    pub fn interfaces(&self) -> Vec<Interface> {
        self.mounted.read().clone()
    }

    /// The network of all interfaces, those to come included.
    #[must_use]
    pub fn network(&self) -> Network {
        Network::new(self.topology.clone(), None)
    }

    /// The network of some interfaces.
    ///
    /// # Errors
    /// [`Error::NotFound`] where one of them is not there.
    pub fn network_of<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Network> {
        let names: Result<Vec<Arc<str>>> =
            names.into_iter().map(|name| self.interface(name).map(|found| found.stack().name().clone())).collect();
        Ok(Network::new(self.topology.clone(), Some(names?.into())))
    }
}

impl core::fmt::Debug for Manager {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Manager").field("interfaces", &self.network().interfaces()).finish_non_exhaustive()
    }
}

fn check_name(name: &str) -> Result<()> {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    if (1..=15).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(Error::InvalidIdentifier(name.into()))
    }
}
