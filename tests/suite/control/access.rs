//! Device files: their paths, the rights of an open file, and an open file whose interface is unmounted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use xila_network_commands::commands::{AddAddress, GetKind, GetMtu, GetState, ListAddresses, SetMtu, SetState};
use xila_network_commands::interface::State;
use xila_network_host::platform::{CharacterDevice, DeviceFileSystem, InMemory, Platform, Spawner, Task};
use xila_network_host::{Error, MountError};

use super::*;

#[test]
fn a_read_only_file_cannot_set_and_a_write_only_file_cannot_get() {
    let world = World::new();
    let before = snapshot(&world.interface());
    let reader = world.open("eth0", Access::READ);
    assert_eq!(reader.control::<GetMtu>(&()), Ok(1500));
    assert_eq!(reader.control::<SetMtu>(&1400), Err(Error::AccessDenied));
    assert_eq!(reader.control::<SetState>(&State::Down), Err(Error::AccessDenied));
    assert_eq!(reader.control::<AddAddress>(&"10.0.0.9/24".parse().unwrap()), Err(Error::AccessDenied));
    assert_eq!(snapshot(&world.interface()), before);

    let writer = world.open("eth0", Access::WRITE);
    assert_eq!(writer.control::<GetMtu>(&()), Err(Error::AccessDenied));
    assert_eq!(writer.control::<SetMtu>(&1400), Ok(()));
    assert_eq!(world.interface().mtu(), 1400);
}

#[test]
fn interfaces_appear_under_their_names_and_nowhere_else() {
    let world = World::new();
    let devices = world.manager.devices();
    let open = |path: &str| devices.open(path, Access::READ).map(|_| ());
    assert_eq!((open("/devices/network/eth0"), open("/devices/network/lo")), (Ok(()), Ok(())));
    for path in [
        "",
        "/",
        "eth0",
        "/devices/network",
        "/devices/network/",
        "/devices/network/eth1",
        "/devices/network/../network/eth0",
        "/devices//network/eth0",
        "/devices/network/eth0/",
    ] {
        assert_eq!(open(path), Err(Error::NotFound), "{path:?}");
    }
    assert_eq!(devices.open("/devices/network/eth0", Access::default()).unwrap_err(), Error::InvalidArgument);
}

#[test]
fn a_file_outlives_its_interface_and_then_fails() {
    let world = World::new();
    let file = world.file();
    world.manager.unmount_interface("eth0").unwrap();
    assert_eq!(file.control::<GetKind>(&()), Err(Error::NotFound));
    assert_eq!(file.control::<GetState>(&()), Err(Error::NotFound));
    assert_eq!(file.control::<SetMtu>(&1400), Err(Error::NotFound));
    assert_eq!(world.manager.devices().open("/devices/network/eth0", Access::READ).unwrap_err(), Error::NotFound);
    // The name is free again, but the file still belongs to the old interface.
    let config = InterfaceConfig { link_local: false, ..InterfaceConfig::default() };
    world.manager.mount_interface("eth0", world.hub.port(), config).unwrap();
    assert_eq!(file.control::<ListAddresses>(&()), Err(Error::NotFound));
    assert_eq!(world.file().control::<ListAddresses>(&()), Ok(Vec::new()));
}

#[test]
fn invalid_payloads_and_unknown_commands_are_errors() {
    let world = World::new();
    let before = snapshot(&world.interface());
    let file = world.file().0;
    let mut output = vec![7];
    for (id, name) in standard::ALL {
        let too_long = [0xff; 300];
        assert_eq!(file.control(id.to_raw(), &too_long, &mut output), Err(Error::InvalidArgument), "{name}");
    }
    // An unknown version, direction, group and number.
    let known = SetMtu::ID.to_raw();
    for raw in [0, 1, u32::MAX, known ^ 0x0100_0000, known ^ 0x1000_0000, known ^ 0x0040_0000, known | 0xfff] {
        assert_eq!(file.control(raw, &[], &mut output), Err(Error::NotSupported), "{raw:#x}");
    }
    assert_eq!(output, [7], "what was in the buffer stays, and nothing is added");
    assert_eq!(snapshot(&world.interface()), before);
}

/// A file system that refuses to create devices, or directories.
struct Refusing {
    inner: InMemory,
    directories: bool,
}

impl DeviceFileSystem for Refusing {
    fn create_directory(&self, path: &str) -> Result<()> {
        if self.directories { self.inner.create_directory(path) } else { Err(Error::AccessDenied) }
    }

    fn mount_character_device(&self, _: &str, _: Arc<dyn CharacterDevice>) -> Result<()> {
        Err(Error::NoFreeSlot)
    }

    fn remove(&self, path: &str) -> Result<()> {
        self.inner.remove(path)
    }

    fn open(&self, path: &str, access: Access) -> Result<DeviceFile> {
        self.inner.open(path, access)
    }
}

struct Counting(Arc<AtomicUsize>);

impl Spawner for Counting {
    fn spawn(&self, _: Task) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A mount that fails to create its node leaves no runner, no name and no event.
#[test]
fn a_node_that_cannot_be_made_fails_the_mount_and_leaves_nothing() {
    for directories in [false, true] {
        let simulation = Simulation::new(1);
        let tasks = Arc::new(AtomicUsize::new(0));
        let platform = Platform {
            devices: Some(Arc::new(Refusing { inner: InMemory::default(), directories })),
            spawner: Arc::new(Counting(tasks.clone())),
            ..simulation.platform()
        };
        let manager = Manager::without_loopback(platform);
        let mut watch = manager.watch();
        let hub = Hub::new(&simulation.platform(), HubOptions::default());
        let error = manager.mount_interface("eth0", hub.port(), InterfaceConfig::default()).unwrap_err();
        assert!(matches!(error, MountError::FailedToMountDevice(_)), "{error}");
        assert_eq!((tasks.load(Ordering::Relaxed), manager.interfaces().len(), watch.try_next()), (0, 0, None));
    }
}

/// An existing device is not replaced, and still exists after the mount has failed.
#[test]
fn an_existing_device_at_the_path_is_not_replaced() {
    struct Occupant;
    impl CharacterDevice for Occupant {
        fn control(
            &self,
            _: Access,
            _: xila_network_commands::CommandId,
            _: &[u8],
            output: &mut Vec<u8>,
        ) -> Result<()> {
            output.push(42);
            Ok(())
        }
    }
    let simulation = Simulation::new(1);
    let devices = Arc::new(InMemory::default());
    devices.create_directory("/devices/network").unwrap();
    devices.mount_character_device("/devices/network/eth0", Arc::new(Occupant)).unwrap();
    let manager = Manager::new(Platform { devices: Some(devices.clone()), ..simulation.platform() });
    let hub = Hub::new(&simulation.platform(), HubOptions::default());
    let error = manager.mount_interface("eth0", hub.port(), InterfaceConfig::default()).unwrap_err();
    assert!(matches!(error, MountError::FailedToMountDevice(_)), "{error}");
    let mut output = Vec::new();
    let file = devices.open("/devices/network/eth0", Access::READ).unwrap();
    file.control(GetMtu::ID.to_raw(), &[], &mut output).unwrap();
    assert_eq!(output, [42]);
}
