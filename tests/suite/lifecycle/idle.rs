//! An idle interface does nothing: none of its tasks runs, and none of its timers is armed.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use xila_network_host::device::Device;
use xila_network_host::device::hub::{Hub, HubOptions};
use xila_network_host::device::pcap::Pcap;
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::platform::{Clock, Instant, Platform, Spawner, Task, Timer};
use xila_network_host::socket::{ListenOptions, Network, TcpListener, TcpStream};
use xila_network_host::{InterfaceConfig, Manager};
use xila_network_tests::probe::Probe;

use super::{at, bind};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Counts how often tasks have run, and records which timers are armed.
#[derive(Clone, Default)]
struct Watch {
    runs: Arc<AtomicUsize>,
    armed: Arc<Mutex<Vec<Option<Instant>>>>,
}

impl Watch {
    fn runs(&self) -> usize {
        self.runs.load(Ordering::Relaxed)
    }

    /// The deadlines of all timers that are armed.
    fn deadlines(&self) -> Vec<Instant> {
        self.armed.lock().unwrap().iter().flatten().copied().collect()
    }
}

struct WatchedClock(Arc<dyn Clock>, Watch);

impl Clock for WatchedClock {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn timer(&self) -> Box<dyn Timer> {
        let mut armed = self.1.armed.lock().unwrap();
        armed.push(None);
        Box::new(WatchedTimer { timer: self.0.timer(), number: armed.len() - 1, watch: self.1.clone() })
    }
}

struct WatchedTimer {
    timer: Box<dyn Timer>,
    number: usize,
    watch: Watch,
}

impl Timer for WatchedTimer {
    fn set(&mut self, deadline: Option<Instant>) {
        self.watch.armed.lock().unwrap()[self.number] = deadline;
        self.timer.set(deadline);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.timer.poll(context)
    }
}

impl Drop for WatchedTimer {
    fn drop(&mut self) {
        self.watch.armed.lock().unwrap()[self.number] = None;
    }
}

struct WatchedSpawner(Arc<dyn Spawner>, Watch);

impl Spawner for WatchedSpawner {
    fn spawn(&self, mut task: Task) {
        let runs = self.1.runs.clone();
        self.0.spawn(Box::pin(std::future::poll_fn(move |context| {
            runs.fetch_add(1, Ordering::Relaxed);
            task.as_mut().poll(context)
        })));
    }
}

fn world() -> (Simulation, Platform, Watch) {
    let (simulation, watch) = (Simulation::new(1), Watch::default());
    let Platform { clock, spawner, random, devices, memory } = simulation.platform();
    let platform = Platform {
        clock: Arc::new(WatchedClock(clock, watch.clone())),
        spawner: Arc::new(WatchedSpawner(spawner, watch.clone())),
        random,
        devices,
        memory,
    };
    (simulation, platform, watch)
}

/// Asserts that nothing runs in the next minute, and that no timer is armed.
fn assert_idle(simulation: &Simulation, watch: &Watch, what: &str) {
    simulation.run_ready();
    let (before, now) = (watch.runs(), simulation.now());
    assert!(before > 0, "{what}: the tasks are watched");
    let deadlines: Vec<Duration> = watch.deadlines().into_iter().map(|at| at - now).collect();
    assert!(deadlines.is_empty(), "{what}: something is due after {deadlines:?}");
    simulation.advance(MINUTE);
    assert_eq!(watch.runs(), before, "{what}: something has run");
    assert!(watch.deadlines().is_empty(), "{what}");
}

/// Makes a device on a segment.
type Make = fn(&Hub) -> Box<dyn Device>;

/// The kinds of devices that can be mounted twice on one segment: the name of each, the options of its segment and a
/// function that makes it.
fn devices() -> Vec<(&'static str, HubOptions, Make)> {
    let delayed = HubOptions { latency: Duration::from_millis(1), rate: Some(100_000_000), ..HubOptions::default() };
    vec![
        ("hub", HubOptions::default(), |hub| Box::new(hub.port())),
        ("hub with delay", delayed, |hub| Box::new(hub.port())),
        ("card with offloads", HubOptions::default(), |hub| Box::new(Probe::new(hub.port(), true).0)),
        ("card without", HubOptions::default(), |hub| Box::new(Probe::new(hub.port(), false).0)),
        ("capture", HubOptions::default(), |hub| Box::new(Pcap::new(hub.port(), std::io::sink()).unwrap())),
    ]
}

/// Two hosts, after their initial traffic has ended.
fn hosts(simulation: &Simulation, platform: &Platform, device: impl Fn() -> Box<dyn Device>) -> [Manager; 2] {
    let hosts = [1, 2].map(|number| {
        let manager = Manager::new(platform.clone());
        let addresses = [format!("10.0.0.{number}/24"), format!("fd00::{number}/64")];
        let addresses = addresses.map(|address| address.parse().unwrap()).into();
        let config = InterfaceConfig { addresses, ..InterfaceConfig::default() };
        manager.mount_interface("eth0", device(), config).unwrap();
        manager
    });
    // The initial traffic: group reports and duplicate address detection.
    simulation.advance(MINUTE);
    hosts
}

/// A connection that has carried data in both directions, all of which is acknowledged.
async fn connection(simulation: &Simulation, from: &Network, to: &Network, remote: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(to, at(remote), ListenOptions::default()).unwrap();
    let client = TcpStream::connect(from, at(remote)).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    for (from, to) in [(&client, &server), (&server, &client)] {
        from.write_all(&[7; 50_000]).await.unwrap();
        let mut read = 0;
        while read < 50_000 {
            read += to.read(&mut [0; 9000]).await.unwrap();
        }
    }
    drop(listener);
    simulation.sleep(SECOND).await;
    (client, server)
}

#[test]
fn a_loopback_that_is_idle_does_nothing() {
    let (simulation, platform, watch) = world();
    let manager = Manager::new(platform);
    assert_idle(&simulation, &watch, "nothing");
    let network = manager.network();
    for remote in ["127.0.0.1:80", "[::1]:80"] {
        let pair = simulation.block_on(connection(&simulation, &network, &network, remote));
        let listener = TcpListener::bind(&network, at(remote), ListenOptions::default()).unwrap();
        let socket = bind(&network, remote);
        assert_idle(&simulation, &watch, remote);
        drop((pair, listener, socket));
        simulation.advance(MINUTE);
        assert_idle(&simulation, &watch, "after all was closed");
    }
}

#[test]
fn an_ethernet_interface_that_is_idle_does_nothing() {
    for (name, options, device) in devices() {
        let (simulation, platform, watch) = world();
        let hub = Hub::new(&platform, options);
        let hosts = hosts(&simulation, &platform, || device(&hub));
        assert_idle(&simulation, &watch, name);
        let own = hosts[0].interface("eth0").unwrap().addresses().len();
        assert_eq!(own, 3, "a link-local address");
    }
}

/// Routers are asked for until there is one, in the end once an hour (RFC 7559 section 2).
#[test]
fn an_interface_that_hears_no_router_is_hardly_ever_awake() {
    let (simulation, platform, watch) = world();
    let hub = Hub::new(&platform, HubOptions::default());
    let manager = Manager::without_loopback(platform);
    let config = InterfaceConfig { autoconfiguration: true, ..InterfaceConfig::default() };
    let interface = manager.mount_interface("eth0", hub.port(), config).unwrap();
    simulation.advance(3 * 60 * MINUTE);
    let (runs, sent) = (watch.runs(), interface.statistics().sent.packets);
    simulation.advance(24 * 60 * MINUTE);
    let (runs, sent) = (watch.runs() - runs, interface.statistics().sent.packets - sent);
    assert!((21..=27).contains(&sent), "{sent} packets");
    assert!(runs <= 4 * 27, "{runs} runs");
}

#[test]
fn a_connection_that_is_idle_does_nothing() {
    for (name, options, device) in devices() {
        for remote in ["10.0.0.2:80", "[fd00::2]:80"] {
            let (simulation, platform, watch) = world();
            let hub = Hub::new(&platform, options.clone());
            let what = format!("{name}, {remote}");
            let [near, far] = hosts(&simulation, &platform, || device(&hub));
            let (from, to) = (near.network(), far.network());
            let pair = simulation.block_on(connection(&simulation, &from, &to, remote));
            // A UDP socket that has received a datagram.
            let (sender, receiver) = (bind(&from, "10.0.0.1:0"), bind(&to, "10.0.0.2:9"));
            simulation.block_on(async {
                sender.send_to(b"once", receiver.local_addr()).await.unwrap();
                receiver.recv_datagram().await.unwrap();
            });
            // The datagram has no answer, so the neighbour is probed (RFC 4861 section 7.3.3).
            simulation.advance(MINUTE);
            assert_idle(&simulation, &watch, &what);
            // Unread bytes and a closed half cause no work either.
            simulation.block_on(async {
                pair.0.write_all(&[7; 5000]).await.unwrap();
                pair.0.shutdown(std::net::Shutdown::Write).unwrap();
                pair.0.closed().await.unwrap();
                simulation.sleep(SECOND).await;
            });
            simulation.advance(MINUTE);
            assert_idle(&simulation, &watch, &what);
        }
    }
}
