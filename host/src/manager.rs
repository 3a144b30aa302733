//! The manager of interfaces.
//!
//! A [`Manager`] mounts devices as interfaces, each with its own stack and runner, and provides the [`Network`] that
//! sockets are made on. It is an ordinary value that is cheap to clone, and it owns the interfaces: they end with its
//! last clone. [`initialize`](Manager::initialize) keeps a manager for as long as the process lives, for hosts that
//! expect that.

use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use xila_network_commands::interface::is_interface_name;

use crate::address::Cidr;
use crate::control::{self, Node};
use crate::device::Device;
use crate::device::loopback::Loopback;
use crate::error::{AlreadyInitialized, ConfigureError, Error, InterfaceNotFound, MountError};
use crate::interface::{Interface, InterfaceConfig, Watch, check_search_domains};
use crate::platform::{DeviceFileSystem, InMemory, Platform};
use crate::runner;
use crate::socket::network::Topology;
use crate::socket::{Network, Resolver, ResolverOptions};
use crate::stack::{Stack, StackConfig};

/// The name of the loopback interface.
pub const LOOPBACK: &str = "lo";

/// A set of interfaces, and their owner. Clones refer to the same set.
///
/// When the last clone is dropped, every interface ends as by [`unmount_interface`](Self::unmount_interface): its task
/// ends, its node is removed and its device is dropped. A [`Network`], a [`Resolver`], an [`Interface`] or a socket
/// does not keep an interface alive, and may outlive the manager as it may outlive an interface. Their sockets then
/// fail with `NetworkDown`, and no sockets can be made on a network without interfaces
/// ([`BindError::NotFound`](crate::error::BindError::NotFound)). So keep a clone of the manager for as long as its
/// interfaces must work.
#[derive(Clone)]
pub struct Manager {
    platform: Platform,
    mounted: Arc<Mounted>,
}

/// The interfaces of a manager in the order of mounting, and the places where they are registered.
struct Mounted {
    interfaces: RwLock<Vec<Interface>>,
    devices: Arc<dyn DeviceFileSystem>,
    topology: Arc<Topology>,
}

impl Mounted {
    /// Removes an interface that has ended by itself, so that its name is free.
    fn remove(&self, stack: &Stack) {
        let mut interfaces = self.interfaces.write();
        if let Some(index) = interfaces.iter().position(|interface| interface.stack().is(stack)) {
            let interface = interfaces.remove(index);
            self.forget(&interface);
        }
    }

    /// Unregisters an interface: removes its node, and takes it out of all networks, so that no further socket is bound
    /// on it. The caller must then unmount its stack.
    fn forget(&self, interface: &Interface) {
        let name = interface.name();
        if let Err(error) = self.devices.remove(&control::path(name)) {
            tracing::warn!(name, %error, "the interface's node was gone already");
        }
        self.topology.remove(interface.stack());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        for interface in core::mem::take(self.interfaces.get_mut()) {
            self.forget(&interface);
            // The runner's task holds the stack until it runs again, but the device is dropped here.
            drop(interface.stack().unmount());
        }
    }
}

static PROCESS_WIDE: OnceLock<Manager> = OnceLock::new();

impl Manager {
    /// A manager with the loopback interface `lo`: 127.0.0.1/8 and ::1/128.
    ///
    /// # Panics
    /// Never: a new manager has room for one interface with two addresses.
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
        let devices = platform.devices.clone().unwrap_or_else(|| Arc::new(InMemory::default()));
        let topology = Arc::new(Topology::new(platform.clone()));
        Self { platform, mounted: Arc::new(Mounted { interfaces: RwLock::default(), devices, topology }) }
    }

    /// Makes a manager for the whole process, which keeps a clone. So the interfaces only end when they are unmounted.
    ///
    /// # Errors
    /// [`AlreadyInitialized`] if the process has a manager.
    pub fn initialize(platform: Platform) -> Result<Self, AlreadyInitialized> {
        let manager = Self::new(platform);
        match PROCESS_WIDE.set(manager.clone()) {
            Ok(()) => Ok(manager),
            Err(_) => Err(AlreadyInitialized),
        }
    }

    /// The manager of the process, once it was [initialized](Self::initialize).
    #[must_use]
    pub fn instance() -> Option<Self> {
        PROCESS_WIDE.get().cloned()
    }

    /// The platform that the manager was made with.
    #[must_use]
    pub const fn platform(&self) -> &Platform {
        &self.platform
    }

    /// The file system where the interfaces appear as devices: `/devices/network/<name>`.
    #[must_use]
    pub fn devices(&self) -> &Arc<dyn DeviceFileSystem> {
        &self.mounted.devices
    }

    /// Makes an interface on a device and starts it: a stack with the given configuration, its node among the
    /// [devices](Self::devices), and a task that runs it. After an error nothing is left: no task, no node and no name.
    ///
    /// # Errors
    /// See [`MountError`]. A hardware address, DHCP and autoconfiguration are [`ConfigureError::NotSupported`] on a
    /// device without Ethernet. Invalid addresses and routes fail as in [`Interface::add_address`] and
    /// [`Interface::add_route`].
    pub fn mount_interface(
        &self,
        name: &str,
        device: impl Device,
        config: InterfaceConfig,
    ) -> Result<Interface, MountError> {
        check_name(name)?;
        let InterfaceConfig {
            addresses,
            routes,
            dns_servers,
            search_domains,
            hardware_address,
            dhcp,
            autoconfiguration,
            temporary_addresses,
            link_local,
            controller,
            ephemeral_ports,
            congestion,
            remembered,
        } = config;
        check_search_domains(&search_domains)?;
        // Locked until the interface is mounted, so that nobody can take the name meanwhile. Steps that can fail come
        // first.
        let mut mounted = self.mounted.interfaces.write();
        if mounted.iter().any(|interface| interface.name() == name) {
            return Err(MountError::DuplicateIdentifier(name.into()));
        }
        let controller = controller.unwrap_or_else(|| device.controller());
        let topology = &self.mounted.topology;
        let events = topology.events().clone();
        let config = StackConfig {
            name,
            hardware_address,
            ephemeral: ephemeral_ports.into(),
            congestion,
            remembered,
            secret: topology.identifiers(),
        };
        let stack = Stack::new(Box::new(device), config, &self.platform, events)?;
        let configured: Result<(), ConfigureError> = stack.with_mut(|core| {
            addresses.iter().try_for_each(|cidr| core.interface.add_address(*cidr))?;
            routes.iter().try_for_each(|route| core.interface.add_route(*route))?;
            core.interface.set_dns_servers(&dns_servers);
            core.interface.set_search_domains(&search_domains);
            if dhcp {
                core.interface.set_dhcp(true)?;
            }
            if link_local {
                core.interface.set_link_local(true);
            }
            core.interface.set_temporary_addresses(temporary_addresses);
            if autoconfiguration {
                core.interface.set_autoconfiguration(true)?;
            }
            core.start_publishing();
            Ok(())
        });
        configured?;
        let interface = Interface::new(stack.clone(), topology.clone(), controller);
        self.mount_node(&interface)?;
        mounted.push(interface.clone());
        topology.add(&stack);
        let (platform, mounted) = (self.platform.clone(), Arc::downgrade(&self.mounted));
        self.platform.spawner.spawn(Box::pin(async move {
            runner::run(stack.clone(), platform).await;
            // If the engine has panicked, the interface has ended by itself and is still registered.
            if let Some(mounted) = mounted.upgrade() {
                mounted.remove(&stack);
            }
        }));
        Ok(interface)
    }

    fn mount_node(&self, interface: &Interface) -> Result<(), MountError> {
        let node = Arc::new(Node::new(interface.clone()));
        let failed = |error: Error| MountError::FailedToMountDevice(error.to_string());
        self.devices().create_directory(control::DIRECTORY).map_err(failed)?;
        self.devices().mount_character_device(&control::path(interface.name()), node).map_err(failed)
    }

    /// Ends an interface: its sockets fail with `NetworkDown`, its task ends, its node is removed, and the device is
    /// returned.
    ///
    /// # Errors
    /// [`InterfaceNotFound`].
    pub fn unmount_interface(&self, name: &str) -> Result<Box<dyn Device>, InterfaceNotFound> {
        let mut mounted = self.mounted.interfaces.write();
        let index = mounted.iter().position(|interface| interface.name() == name).ok_or(InterfaceNotFound)?;
        let interface = mounted.remove(index);
        self.mounted.forget(&interface);
        drop(mounted);
        interface.stack().unmount().ok_or(InterfaceNotFound)
    }

    /// The changes of all interfaces, from now on.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.network().watch()
    }

    /// The interface with this name.
    ///
    /// # Errors
    /// [`InterfaceNotFound`].
    pub fn interface(&self, name: &str) -> Result<Interface, InterfaceNotFound> {
        let mounted = self.mounted.interfaces.read();
        mounted.iter().find(|interface| interface.name() == name).cloned().ok_or(InterfaceNotFound)
    }

    /// All interfaces in the order of mounting.
    #[must_use]
    pub fn interfaces(&self) -> Vec<Interface> {
        self.mounted.interfaces.read().clone()
    }

    /// The network of all interfaces, including those that are mounted later.
    #[must_use]
    pub fn network(&self) -> Network {
        Network::new(self.mounted.topology.clone(), None)
    }

    /// A resolver on the network of all interfaces, with default options and a cache of its own.
    #[must_use]
    pub fn resolver(&self) -> Resolver {
        Resolver::new(self.network(), ResolverOptions::default())
    }

    /// The network of some interfaces.
    ///
    /// # Errors
    /// [`InterfaceNotFound`] if one of them does not exist.
    pub fn network_of<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Network, InterfaceNotFound> {
        let names: Result<Vec<Arc<str>>, InterfaceNotFound> =
            names.into_iter().map(|name| self.interface(name).map(|found| found.stack().name().clone())).collect();
        Ok(Network::new(self.mounted.topology.clone(), Some(names?.into())))
    }
}

impl core::fmt::Debug for Manager {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.debug_struct("Manager").field("interfaces", &self.network().interfaces()).finish_non_exhaustive()
    }
}

fn check_name(name: &str) -> Result<(), MountError> {
    if is_interface_name(name) { Ok(()) } else { Err(MountError::InvalidIdentifier(name.into())) }
}
