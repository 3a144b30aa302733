//! Tests of stacks that get the processor late, that are flooded, and whose clocks are read by several threads.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex};

use crate::device::hub::{Hub, HubOptions, HubPort};
use crate::device::{Capabilities, Device, Frame};
use crate::error::{ConnectError, WriteError};
use crate::interface::InterfaceConfig;
use crate::manager::Manager;
use crate::platform::simulated::Simulation;
use crate::platform::{Clock, Instant, Timer};
use crate::policy::{Rate, Rates};
use crate::socket::{ConnectOptions, GuestOptions, ListenOptions, TcpListener, TcpStream};
use crate::stack::drive::Sender;
use crate::stack::owner::Owner;
use crate::stack::udp::Outlet;

/// A port of a hub that a test tampers with: it decides which frames are received, and when.
struct Tampered<T> {
    port: HubPort,
    tamper: T,
}

trait Tamper: Send + 'static {
    fn receive(&mut self, port: &mut HubPort, now: Instant) -> io::Result<Option<Frame>>;

    /// Whether the device wakes its stack when it has frames.
    fn signals(&self) -> bool;

    /// The time on the link, at the stack's time `now`.
    fn on_the_link(&self, now: Instant) -> Instant {
        now
    }
}

impl<T: Tamper> Device for Tampered<T> {
    fn capabilities(&self) -> Capabilities {
        self.port.capabilities()
    }

    fn receive(&mut self, now: Instant) -> io::Result<Option<Frame>> {
        self.tamper.receive(&mut self.port, now)
    }

    fn allocate(&mut self, now: Instant, length: usize) -> Option<Frame> {
        self.port.allocate(self.tamper.on_the_link(now), length)
    }

    fn transmit(&mut self, now: Instant, frame: Frame) -> io::Result<()> {
        self.port.transmit(self.tamper.on_the_link(now), frame)
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.tamper.signals() { self.port.poll_readable(context) } else { Poll::Pending }
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.port.poll_writable(context)
    }

    fn driver(&self) -> &'static str {
        "tampered"
    }
}

/// Hides received frames until a time, as if the stack had not run before.
struct Unheard(Arc<Mutex<Instant>>);

impl Tamper for Unheard {
    fn receive(&mut self, port: &mut HubPort, now: Instant) -> io::Result<Option<Frame>> {
        if now < *self.0.lock().unwrap() { Ok(None) } else { port.receive(now) }
    }

    fn signals(&self) -> bool {
        *self.0.lock().unwrap() == Instant::ORIGIN
    }
}

/// A host and its peer with a connection between them.
struct World {
    simulation: Simulation,
    host: Manager,
    _peer: Manager,
    until: Arc<Mutex<Instant>>,
    client: TcpStream,
    server: TcpStream,
}

impl World {
    fn new() -> Self {
        let simulation = Simulation::new(1);
        let options = HubOptions { latency: Duration::from_millis(1), ..HubOptions::default() };
        let hub = Hub::new(&simulation.platform(), options);
        let [host, peer] = [(); 2].map(|()| Manager::new(simulation.platform()));
        let config = |cidr: &str| InterfaceConfig { addresses: vec![cidr.parse().unwrap()], ..Default::default() };
        let until = Arc::new(Mutex::new(Instant::ORIGIN));
        let device = Tampered { port: hub.port(), tamper: Unheard(until.clone()) };
        host.mount_interface("eth0", device, config("10.0.0.1/24")).unwrap();
        peer.mount_interface("eth0", hub.port(), config("10.0.0.2/24")).unwrap();
        let address: SocketAddr = "10.0.0.2:7000".parse().unwrap();
        let listener = TcpListener::bind(&peer.network(), address, ListenOptions::default()).unwrap();
        let (client, server) = simulation.block_on(async {
            let client = TcpStream::connect(&host.network(), address).await.unwrap();
            (client, listener.accept().await.unwrap().0)
        });
        Self { simulation, host, _peer: peer, until, client, server }
    }

    /// Hides received frames from the host for `time`. The host then looks at its device only when a timer expires.
    fn deafen(&self, time: Duration) {
        *self.until.lock().unwrap() = self.simulation.now() + time;
    }

    fn sent(&self) -> u64 {
        self.host.interface("eth0").unwrap().statistics().sent.packets
    }
}

/// The peer has answered before the user timeout; only the stack has not looked yet.
#[test]
fn a_peer_that_has_answered_is_not_given_up_by_a_stack_that_looks_late() {
    let world = World::new();
    world.client.set_user_timeout(Some(Duration::from_secs(2))).unwrap();
    world.deafen(Duration::from_millis(1999));
    world.client.try_write(b"once").unwrap();
    world.simulation.advance(Duration::from_secs(3));
    assert_eq!(world.server.try_read(&mut [0; 9]), Ok(4));
    assert_eq!(world.client.try_write(b"more"), Ok(4));
}

/// The loss of one acknowledgement must not stop a peer that has sent a whole flight.
#[test]
fn a_flight_that_is_read_late_is_acknowledged_by_more_than_one_segment() {
    let world = World::new();
    world.deafen(Duration::from_millis(100));
    assert_eq!(world.server.try_write(&[7; 14_000]), Ok(14_000));
    // This write makes the host look at its device after the flight has arrived.
    world.client.try_write(b"x").unwrap();
    let before = world.sent();
    world.simulation.advance(Duration::from_millis(250));
    assert_eq!(world.client.try_read(&mut [0; 20_000]), Ok(14_000));
    assert!(world.sent() - before >= 2, "{} acknowledgements", world.sent() - before);
}

/// A clock that is late by some time: the time that a thread has read before another thread had its turn.
struct Late(Arc<dyn Clock>, Arc<Mutex<Duration>>);

impl Clock for Late {
    fn now(&self) -> Instant {
        let late = *self.1.lock().unwrap();
        Instant::ORIGIN + (self.0.now() - Instant::ORIGIN).saturating_sub(late)
    }

    fn timer(&self) -> Box<dyn Timer> {
        self.0.timer()
    }
}

/// A thread reads the clock before it takes the lock, and another thread may have had the lock in between.
#[test]
fn time_does_not_go_back_where_threads_take_turns() {
    let simulation = Simulation::new(1);
    let late = Arc::new(Mutex::new(Duration::ZERO));
    let mut platform = simulation.platform();
    platform.clock = Arc::new(Late(platform.clock, late.clone()));
    let manager = Manager::new(platform);
    let address: SocketAddr = "127.0.0.1:7000".parse().unwrap();
    let listener = TcpListener::bind(&manager.network(), address, ListenOptions::default()).unwrap();
    let (client, server) = simulation.block_on(async {
        let client = TcpStream::connect(&manager.network(), address).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    });
    simulation.advance(Duration::from_secs(1));
    client.try_write(b"at this time").unwrap();
    let packets = || manager.interface("lo").unwrap().statistics().sent.packets;
    *late.lock().unwrap() = Duration::from_millis(100);
    let before = packets();
    assert_eq!(server.try_read(&mut [0; 99]), Ok(12));
    client.try_write(b"and before it").unwrap();
    assert_eq!(server.try_read(&mut [0; 99]), Ok(13));
    assert!(packets() - before <= 4, "{} packets", packets() - before);
}

/// Each read of a frame delays the thread by half a millisecond, while the link goes on.
struct Slow(Arc<Mutex<Duration>>);

impl Tamper for Slow {
    fn receive(&mut self, port: &mut HubPort, now: Instant) -> io::Result<Option<Frame>> {
        let frame = port.receive(self.on_the_link(now))?;
        if frame.is_some() {
            *self.0.lock().unwrap() += Duration::from_micros(500);
        }
        Ok(frame)
    }

    fn signals(&self) -> bool {
        true
    }

    fn on_the_link(&self, now: Instant) -> Instant {
        Instant::ORIGIN + (now - Instant::ORIGIN).saturating_sub(*self.0.lock().unwrap())
    }
}

/// A clock that goes on while a thread is delayed.
struct Waiting(Arc<dyn Clock>, Arc<Mutex<Duration>>);

impl Clock for Waiting {
    fn now(&self) -> Instant {
        self.0.now() + *self.1.lock().unwrap()
    }

    fn timer(&self) -> Box<dyn Timer> {
        self.0.timer()
    }
}

/// A round trip ends when its answer has arrived, not when the stack began to look for it. If it seems shorter than the
/// path, BBR underestimates how much data the path holds.
#[test]
fn a_frame_has_the_time_at_which_it_is_there() {
    let simulation = Simulation::new(1);
    let latency = Duration::from_millis(1);
    let hub = Hub::new(&simulation.platform(), HubOptions { latency, ..HubOptions::default() });
    let waited = Arc::new(Mutex::new(Duration::ZERO));
    let mut platform = simulation.platform();
    platform.clock = Arc::new(Waiting(platform.clock, waited.clone()));
    let [host, peer] = [platform, simulation.platform()].map(Manager::new);
    let config = |cidr: &str| InterfaceConfig { addresses: vec![cidr.parse().unwrap()], ..Default::default() };
    let device = Tampered { port: hub.port(), tamper: Slow(waited) };
    host.mount_interface("eth0", device, config("10.0.0.1/24")).unwrap();
    peer.mount_interface("eth0", hub.port(), config("10.0.0.2/24")).unwrap();
    let address: SocketAddr = "10.0.0.2:7000".parse().unwrap();
    let listener = TcpListener::bind(&peer.network(), address, ListenOptions::default()).unwrap();
    let (client, server) = simulation.block_on(async {
        let client = TcpStream::connect(&host.network(), address).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    });
    for _ in 0..10 {
        client.try_write(b"message").unwrap();
        simulation.advance(latency);
        assert_eq!(server.try_read(&mut [0; 9]), Ok(7));
        // The answer carries the acknowledgement.
        server.try_write(b"answer").unwrap();
        simulation.advance(latency * 100);
        assert_eq!(client.try_read(&mut [0; 9]), Ok(6));
    }
    let least = client.statistics().minimum_round_trip_time;
    assert!(least.is_some_and(|least| least >= 2 * latency + Duration::from_micros(500)), "{least:?}");
}

/// A device that has an almost endless number of frames from some time on.
struct Flooded {
    since: Instant,
    left: Arc<Mutex<usize>>,
}

impl Tamper for Flooded {
    fn receive(&mut self, port: &mut HubPort, now: Instant) -> io::Result<Option<Frame>> {
        let mut left = self.left.lock().unwrap();
        if now < self.since || *left == 0 {
            return Ok(None);
        }
        *left -= 1;
        Ok(port.allocate(now, 60))
    }

    fn signals(&self) -> bool {
        false
    }
}

/// Timers that are due run although there is always more to read.
#[test]
fn timers_run_during_a_flood() {
    for latency in [Duration::ZERO, Duration::from_millis(1)] {
        let simulation = Simulation::new(1);
        let hub = Hub::new(&simulation.platform(), HubOptions { latency, ..HubOptions::default() });
        let host = Manager::new(simulation.platform());
        let left = Arc::new(Mutex::new(20_000));
        let since = simulation.now() + Duration::from_secs(1);
        let config = InterfaceConfig { addresses: vec!["10.0.0.1/24".parse().unwrap()], ..Default::default() };
        let device = Tampered { port: hub.port(), tamper: Flooded { since, left: left.clone() } };
        host.mount_interface("eth0", device, config).unwrap();
        let connect = ConnectOptions { timeout: Duration::from_secs(1), ..ConnectOptions::default() };
        let remote = "10.0.0.2:7000".parse().unwrap();
        let result = simulation.block_on(TcpStream::connect_with(&host.network(), remote, connect));
        assert_eq!(result.err(), Some(ConnectError::TimedOut));
        assert!(*left.lock().unwrap() > 0, "the flood is over");
    }
}

/// A guest that has used its rate for a day starts connections and drops them, each in SYN-SENT and in the schedule.
#[test]
fn connections_that_are_dropped_leave_nothing_in_the_schedule() {
    let world = World::new();
    let rates = Rates { packets: Some(Rate { per_second: 1, burst: 1 }), ..Rates::UNLIMITED };
    let guest = world.host.network().for_guest_with(GuestOptions { rates, ..GuestOptions::default() });
    let start = || TcpStream::start(&guest, "10.0.0.2:7000".parse().unwrap(), ConnectOptions::default()).unwrap();
    let interface = world.host.interface("eth0").unwrap();
    let rests = || interface.stack().with(|core| core.pace.schedule.next_timeout().is_some());
    let first = start();
    let second = start();
    assert!(rests(), "the second waits for the rate");
    (0..1000).for_each(|_| drop(start()));
    assert!(rests());
    drop(second);
    assert!(!rests());
    drop(first);
}

/// However many senders have nothing to send, they do not keep the lock for longer than a budget.
#[test]
fn a_turn_in_which_nothing_is_sent_uses_the_budget() {
    let world = World::new();
    let interface = world.host.interface("eth0").unwrap();
    let platform = world.simulation.platform();
    let (is_idle, is_unfinished) = interface.stack().ask(|core| {
        for _ in 0..1000 {
            let nothing = Outlet::new(Owner::HOST);
            core.pace.schedule.push(&nothing.owner, Sender::Socket(nothing.number));
        }
        core.drive(100, false, &*platform.clock);
        (core.pace.schedule.is_idle(), core.pace.unfinished)
    });
    assert!(!is_idle && is_unfinished);
}

/// Panics when the stack asks for room, once it is told to.
struct Deadly(Arc<AtomicBool>);

impl Tamper for Deadly {
    fn receive(&mut self, port: &mut HubPort, now: Instant) -> io::Result<Option<Frame>> {
        port.receive(now)
    }

    fn signals(&self) -> bool {
        true
    }

    fn on_the_link(&self, now: Instant) -> Instant {
        assert!(!self.0.load(Ordering::Relaxed), "as the test demands");
        now
    }
}

#[test]
fn a_panic_in_a_turn_to_send_ends_the_interface_and_nothing_else() {
    let simulation = Simulation::new(1);
    let hub = Hub::new(&simulation.platform(), HubOptions::default());
    let [host, peer] = [(); 2].map(|()| Manager::new(simulation.platform()));
    let config = |cidr: &str| InterfaceConfig { addresses: vec![cidr.parse().unwrap()], ..Default::default() };
    let is_deadly = Arc::new(AtomicBool::new(false));
    let device = Tampered { port: hub.port(), tamper: Deadly(is_deadly.clone()) };
    host.mount_interface("eth0", device, config("10.0.0.1/24")).unwrap();
    peer.mount_interface("eth0", hub.port(), config("10.0.0.2/24")).unwrap();
    let address: SocketAddr = "10.0.0.2:7000".parse().unwrap();
    let _listener = TcpListener::bind(&peer.network(), address, ListenOptions::default()).unwrap();
    let client = simulation.block_on(TcpStream::connect(&host.network(), address)).unwrap();
    is_deadly.store(true, Ordering::Relaxed);
    assert_eq!(client.try_write(b"in a turn of the connection"), Ok(27));
    assert_eq!(client.try_write(b"x"), Err(WriteError::NetworkDown));
}
