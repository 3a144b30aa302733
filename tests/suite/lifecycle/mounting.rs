//! Mounting, which is all or nothing, and unmounting.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::{io, iter};

use xila_network_host::address::{Family, Route};
use xila_network_host::device::{Capabilities, Checksums, Device, Frame, Medium, Pool};
use xila_network_host::platform::{Access, Instant, Platform, Spawner, Task};
use xila_network_host::socket::{IcmpBinding, IcmpSocket, ListenOptions, TcpListener, TcpStream};
use xila_network_host::{
    AcceptError, BindError, ConfigureError, ConnectError, Error, InterfaceConfig, InterfaceNotFound, Manager,
    MountError, ReadError, ReceiveError, SendError, WriteError,
};

use super::{at, bind, config, hub, simulation};

/// A device that never receives a frame, and counts its instances.
struct Silent {
    medium: Medium,
    mtu: usize,
    pool: Pool,
    alive: Arc<AtomicUsize>,
}

impl Silent {
    fn new(medium: Medium, mtu: usize, alive: &Arc<AtomicUsize>) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Self { medium, mtu, pool: Pool::new(70_000, 4), alive: alive.clone() }
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Device for Silent {
    fn capabilities(&self) -> Capabilities {
        let Self { medium, mtu, .. } = *self;
        Capabilities { medium, mtu, checksums: Checksums::Computed, max_burst: None, lossless: false }
    }

    fn receive(&mut self, _: Instant) -> io::Result<Option<Frame>> {
        Ok(None)
    }

    fn allocate(&mut self, _: Instant, length: usize) -> Option<Frame> {
        Some(self.pool.frame(length))
    }

    fn transmit(&mut self, _: Instant, _: Frame) -> io::Result<()> {
        Ok(())
    }

    fn poll_readable(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn poll_writable(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn driver(&self) -> &'static str {
        "silent"
    }
}

/// A spawner that counts the tasks that have started and not ended.
struct Counting(Arc<dyn Spawner>, Arc<AtomicUsize>);

impl Spawner for Counting {
    fn spawn(&self, task: Task) {
        let count = self.1.clone();
        count.fetch_add(1, Ordering::Relaxed);
        self.0.spawn(Box::pin(async move {
            task.await;
            count.fetch_sub(1, Ordering::Relaxed);
        }));
    }
}

fn counting(platform: Platform) -> (Platform, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let spawner = Arc::new(Counting(platform.spawner.clone(), count.clone()));
    (Platform { spawner, ..platform }, count)
}

#[test]
fn a_mount_that_fails_leaves_no_name_no_task_and_no_device() {
    let (simulation, _) = simulation();
    let (platform, tasks) = counting(simulation.platform());
    let manager = Manager::without_loopback(platform);
    let alive = Arc::new(AtomicUsize::new(0));
    let ethernet = |mtu| Silent::new(Medium::Ethernet, mtu, &alive);
    let mac = Some("02:00:00:00:00:01".parse().unwrap());
    let many: Vec<String> = (1..=65).map(|host| format!("10.0.0.{host}/24")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let routes = (0..=256).map(|network| {
        Route::new(
            format!("10.{}.{}.0/24", network >> 8, network & 0xff).parse().unwrap(),
            "192.0.2.1".parse().unwrap(),
        )
        .unwrap()
    });
    let cases: Vec<(&str, Silent, InterfaceConfig, ConfigureError)> = vec![
        ("an address too many", ethernet(1500), config(&many), ConfigureError::NoFreeSlot),
        (
            "a route too many",
            ethernet(1500),
            InterfaceConfig { routes: routes.collect(), ..config(&[]) },
            ConfigureError::NoFreeSlot,
        ),
        ("one address twice", ethernet(1500), config(&["10.0.0.1/24", "10.0.0.1/8"]), ConfigureError::AddressInUse),
        (
            "an address for none",
            ethernet(1500),
            config(&["10.0.0.1/24", "0.0.0.0/24"]),
            ConfigureError::InvalidArgument,
        ),
        ("an address for many", ethernet(1500), config(&["ff02::1/64"]), ConfigureError::InvalidArgument),
        ("a broadcast address", ethernet(1500), config(&["255.255.255.255/32"]), ConfigureError::InvalidArgument),
        (
            "a hardware address without hardware",
            Silent::new(Medium::Ip, 1500, &alive),
            InterfaceConfig { hardware_address: mac, ..config(&[]) },
            ConfigureError::NotSupported,
        ),
    ];
    for (case, device, config, error) in cases {
        let outcome = manager.mount_interface("eth0", device, config);
        assert_eq!(outcome.unwrap_err(), MountError::Configure(error), "{case}");
        assert!(manager.interfaces().is_empty() && manager.network().interfaces().is_empty(), "{case}");
    }
    for mtu in [0, 576, 1279, 65_536, 1 << 20] {
        let outcome = manager.mount_interface("eth0", ethernet(mtu), config(&[]));
        assert!(matches!(outcome.unwrap_err(), MountError::FailedToMountDevice(reason) if reason.contains("MTU")));
    }
    simulation.run_ready();
    assert_eq!(tasks.load(Ordering::Relaxed), 0);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
    manager.mount_interface("eth0", ethernet(1280), config(&["10.0.0.1/24"])).unwrap();
    assert_eq!(tasks.load(Ordering::Relaxed), 1);
}

#[test]
fn unmounting_ends_the_task_and_returns_the_device() {
    let (simulation, _) = simulation();
    let (platform, tasks) = counting(simulation.platform());
    let manager = Manager::without_loopback(platform);
    let alive = Arc::new(AtomicUsize::new(0));
    let mut device: Box<dyn Device> = Box::new(Silent::new(Medium::Ip, 1500, &alive));
    for _ in 0..3 {
        manager.mount_interface("tun0", device, config(&["10.0.0.1/24"])).unwrap();
        simulation.run_ready();
        assert_eq!(tasks.load(Ordering::Relaxed), 1);
        let network = manager.network();
        let socket = bind(&network, "10.0.0.1:9");
        device = manager.unmount_interface("tun0").unwrap();
        simulation.run_ready();
        assert_eq!(tasks.load(Ordering::Relaxed), 0, "its runner has ended");
        assert_eq!(device.driver(), "silent");
        assert_eq!(manager.interface("tun0").unwrap_err(), InterfaceNotFound);
        assert_eq!(simulation.block_on(socket.recv_datagram()), Err(ReceiveError::NetworkDown));
    }
    assert_eq!(alive.load(Ordering::Relaxed), 1);
    drop(device);
    assert_eq!(alive.load(Ordering::Relaxed), 0, "nothing else holds the device");
}

#[test]
fn the_last_clone_of_a_manager_takes_tasks_nodes_and_devices_with_it() {
    let (simulation, _) = simulation();
    let (platform, tasks) = counting(simulation.platform());
    let manager = Manager::new(platform);
    let alive = Arc::new(AtomicUsize::new(0));
    for name in ["tun0", "tun1"] {
        manager.mount_interface(name, Silent::new(Medium::Ip, 1500, &alive), config(&[])).unwrap();
    }
    simulation.run_ready();
    let devices = manager.devices().clone();
    let (clone, network, interface) = (manager.clone(), manager.network(), manager.interface("tun0").unwrap());
    drop(manager);
    simulation.run_ready();
    assert_eq!((tasks.load(Ordering::Relaxed), alive.load(Ordering::Relaxed)), (3, 2), "a clone is the manager too");
    assert_eq!(network.interfaces(), ["lo", "tun0", "tun1"]);
    let open = |name: &str| devices.open(&format!("/devices/network/{name}"), Access::READ).map(|_| ());
    assert_eq!(open("tun1"), Ok(()));
    drop(clone);
    assert_eq!(alive.load(Ordering::Relaxed), 0, "at once");
    simulation.run_ready();
    assert_eq!(tasks.load(Ordering::Relaxed), 0);
    assert_eq!(["lo", "tun0", "tun1"].map(open), [const { Err(Error::NotFound) }; 3]);
    assert!(network.interfaces().is_empty());
    assert_eq!(interface.set_mtu(1400), Err(ConfigureError::NotFound));
}

#[test]
fn handles_that_outlive_the_manager_have_no_network() {
    let (simulation, manager) = simulation();
    manager.mount_interface("eth0", hub(&simulation).port(), config(&["10.0.0.1/24"])).unwrap();
    let network = manager.network();
    let listen = |local| TcpListener::bind(&network, at(local), ListenOptions::default());
    let (everywhere, here) = (listen("0.0.0.0:80").unwrap(), listen("127.0.0.1:81").unwrap());
    let datagrams = [bind(&network, "0.0.0.0:9"), bind(&network, "10.0.0.1:10")];
    let echoes = IcmpSocket::bind(&network, Family::V4, IcmpBinding::Echo(0)).unwrap();
    simulation.block_on(async {
        let connecting = TcpStream::connect(&network, at("127.0.0.1:81"));
        let (client, accepted) = futures_util::future::join(connecting, here.accept()).await;
        let (client, (server, _)) = (client.unwrap(), accepted.unwrap());
        let mut buffer = [0; 8];
        let reading = client.read(&mut buffer);
        let ending = async { drop(manager) };
        assert_eq!(
            futures_util::future::join(reading, ending).await.0,
            Err(ReadError::NetworkDown),
            "who waits is told"
        );
        assert_eq!(server.write(b"x").await, Err(WriteError::NetworkDown));
        for listener in [&everywhere, &here] {
            assert_eq!(listener.accept().await.map(drop), Err(AcceptError::NetworkDown));
        }
        for socket in &datagrams {
            assert_eq!(socket.recv_datagram().await, Err(ReceiveError::NetworkDown));
            for remote in ["10.0.0.2:9", "127.0.0.1:9"] {
                assert_eq!(socket.send_to(b"x", at(remote)).await, Err(SendError::NetworkDown));
            }
        }
        assert_eq!(echoes.recv().await, Err(ReceiveError::NetworkDown));
        assert_eq!(echoes.send_to(at("10.0.0.2:0").ip(), 1, b"x").await, Err(SendError::NetworkDown));
        assert_eq!(TcpStream::connect(&network, at("127.0.0.1:81")).await.map(drop), Err(ConnectError::NotFound));
    });
    assert_eq!(listen("0.0.0.0:82").map(drop), Err(BindError::NotFound));
}

#[test]
fn a_returned_device_can_be_mounted_again() {
    let (simulation, manager) = simulation();
    let other = Manager::new(simulation.platform());
    let hub = hub(&simulation);
    let peer = bind(&other.network(), "0.0.0.0:0");
    other.mount_interface("eth0", hub.port(), config(&["10.0.0.2/24"])).unwrap();
    assert_eq!(peer.try_send_to(b"x", at("10.0.0.1:9")), Ok(1), "sockets see interfaces come");
    let mut device: Box<dyn Device> = Box::new(hub.port());
    for name in ["eth0", "eth1", "eth0"] {
        manager.mount_interface(name, device, config(&["10.0.0.1/24"])).unwrap();
        simulation.block_on(async {
            let peer = bind(&other.network(), "10.0.0.2:9");
            let socket = bind(&manager.network(), "10.0.0.1:9");
            socket.send_to(name.as_bytes(), at("10.0.0.2:9")).await.unwrap();
            assert_eq!(peer.recv_datagram().await.unwrap().data, name.as_bytes());
        });
        device = manager.unmount_interface(name).unwrap();
    }
}

#[test]
fn a_handle_outlives_its_interface_and_says_that_it_is_gone() {
    let (simulation, manager) = simulation();
    let interface = manager.mount_interface("eth0", hub(&simulation).port(), config(&["10.0.0.1/24"])).unwrap();
    let network = interface.network();
    let socket = bind(&network, "10.0.0.1:0");
    manager.unmount_interface("eth0").unwrap();
    assert_eq!(interface.name(), "eth0");
    assert_eq!(interface.link(), xila_network_host::device::Link::Down);
    assert_eq!(socket.try_send_to(b"x", at("10.0.0.2:9")), Err(SendError::NetworkDown));
    assert!(network.interfaces().is_empty());
    // No method panics.
    let _ = (interface.addresses(), interface.routes(), interface.statistics(), interface.kind(), interface.mtu());
    let _ = interface.add_address("10.0.0.3/24".parse().unwrap());
    interface.set_state(xila_network_host::interface::State::Down);
    interface.set_state(xila_network_host::interface::State::Up);
}

#[test]
fn every_interface_has_a_hardware_address_of_its_own() {
    let (simulation, manager) = simulation();
    let hub = hub(&simulation);
    let mut addresses: Vec<_> = (0..50)
        .map(|number| manager.mount_interface(&format!("eth{number}"), hub.port(), config(&[])).unwrap())
        .map(|interface| interface.hardware_address().unwrap().octets())
        .collect();
    assert!(addresses.iter().all(|address| address[0] & 3 == 2), "locally administered, for one");
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 50);
    let own = "02:00:00:00:00:01".parse().unwrap();
    let configured = InterfaceConfig { hardware_address: Some(own), ..config(&[]) };
    let interface = manager.mount_interface("own", hub.port(), configured).unwrap();
    assert_eq!(interface.hardware_address(), Some(own));
}

#[test]
fn two_mounts_of_one_name_at_once_have_one_winner() {
    let (simulation, manager) = simulation();
    let hub = hub(&simulation);
    let outcomes: Vec<bool> = std::thread::scope(|scope| {
        let mounts: Vec<_> = iter::repeat_with(|| {
            let (manager, hub) = (manager.clone(), hub.clone());
            scope.spawn(move || manager.mount_interface("eth0", hub.port(), config(&["10.0.0.1/24"])).is_ok())
        })
        .take(8)
        .collect();
        mounts.into_iter().map(|mount| mount.join().unwrap()).collect()
    });
    assert_eq!(outcomes.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(manager.interfaces().len(), 2);
}
