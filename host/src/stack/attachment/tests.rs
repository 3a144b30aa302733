//! Tests of devices that panic while sending a frame, and of engines that panic.

use core::net::{IpAddr, SocketAddr};
use core::task::{Context, Poll};
use std::io;

use crate::device::hub::{Hub, HubOptions, HubPort};
use crate::device::{Capabilities, Device, Frame};
use crate::error::{AcceptError, ConfigureError, InterfaceNotFound, ReadError, ReceiveError, WriteError};
use crate::interface::{Change, InterfaceConfig, Notice};
use crate::manager::Manager;
use crate::platform::Instant;
use crate::platform::simulated::Simulation;
use crate::socket::{ListenOptions, PingOptions, TcpListener, TcpState, TcpStream, UdpSocket, ping};
use crate::stack::{Core, Stack};

const DEADLY: &[u8] = b"a deadly payload";

struct Fragile(HubPort);

impl Device for Fragile {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn receive(&mut self, now: Instant) -> io::Result<Option<Frame>> {
        self.0.receive(now)
    }

    fn allocate(&mut self, now: Instant, length: usize) -> Option<Frame> {
        self.0.allocate(now, length)
    }

    fn transmit(&mut self, now: Instant, frame: Frame) -> io::Result<()> {
        assert!(!frame.ends_with(DEADLY), "as the test demands");
        self.0.transmit(now, frame)
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll_readable(context)
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll_writable(context)
    }

    fn driver(&self) -> &'static str {
        "fragile"
    }
}

/// A host whose device and engine may panic, and its peer, which listens.
struct World {
    simulation: Simulation,
    hub: Hub,
    host: Manager,
    peer: Manager,
    listener: TcpListener,
}

const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(core::net::Ipv4Addr::new(10, 0, 0, 2)), 7000);

impl World {
    fn new() -> Self {
        let simulation = Simulation::new(1);
        let hub = Hub::new(&simulation.platform(), HubOptions::default());
        let [host, peer] = [(); 2].map(|()| Manager::new(simulation.platform()));
        let config = |cidr: &str| InterfaceConfig { addresses: vec![cidr.parse().unwrap()], ..Default::default() };
        host.mount_interface("eth0", Fragile(hub.port()), config("10.0.0.1/24")).unwrap();
        peer.mount_interface("eth0", hub.port(), config("10.0.0.2/24")).unwrap();
        let listener = TcpListener::bind(&peer.network(), PEER, ListenOptions::default()).unwrap();
        Self { simulation, hub, host, peer, listener }
    }

    /// The host's end of a connection, and the peer's.
    fn pair(&self) -> (TcpStream, TcpStream) {
        self.simulation.block_on(async {
            let client = TcpStream::connect(&self.host.network(), PEER).await.unwrap();
            (client, self.listener.accept().await.unwrap().0)
        })
    }

    fn assert_carries(&self, (client, server): &(TcpStream, TcpStream)) {
        self.simulation.block_on(async {
            client.write_all(b"still here").await.unwrap();
            let mut buffer = [0; 16];
            assert_eq!(server.read(&mut buffer).await, Ok(10));
        });
    }
}

#[test]
fn a_device_that_panics_over_an_answer_costs_that_answer() {
    let world = World::new();
    let pair = world.pair();
    world.assert_carries(&pair);
    // The echo reply carries the payload of the request.
    let host: IpAddr = [10, 0, 0, 1].into();
    let socket = crate::socket::IcmpSocket::bind(
        &world.peer.network(),
        crate::address::Family::V4,
        crate::socket::IcmpBinding::Echo(0),
    )
    .unwrap();
    world.simulation.block_on(socket.send_to(host, 1, DEADLY)).unwrap();
    world.simulation.advance(core::time::Duration::from_secs(1));
    assert_eq!(world.host.interface("eth0").unwrap().statistics().sent.errors, 1);
    let reply = world.simulation.block_on(ping(&world.peer.network(), host, &PingOptions::default()));
    assert_eq!(reply.map(|reply| reply.source), Ok(host));
    world.assert_carries(&pair);
    world.assert_carries(&world.pair());
}

/// The segment is lost each time it is sent. The connection times out, and others go on.
#[test]
fn a_device_that_panics_over_a_segment_costs_that_segment() {
    let world = World::new();
    let (deadly, good) = (world.pair(), world.pair());
    deadly.0.try_write(DEADLY).unwrap();
    world.simulation.advance(core::time::Duration::from_secs(1));
    assert_eq!(deadly.0.state(), TcpState::Established);
    world.assert_carries(&good);
    world.simulation.advance(core::time::Duration::from_secs(180));
    assert_eq!(deadly.0.try_write(b"more"), Err(WriteError::TimedOut));
    drop(deadly);
    world.assert_carries(&world.pair());
    world.simulation.advance(core::time::Duration::from_secs(60));
    assert_eq!(world.host.interface("eth0").unwrap().statistics().tcp_flows, 1, "only the good one is left");
}

/// The state of an engine that has panicked is unknown: its interface ends, with an event, and nothing else does.
#[test]
fn an_engine_that_panics_ends_its_interface_and_nothing_else() {
    // The panic may happen in any kind of call.
    let calls: [fn(&Stack); 3] = [
        |stack| stack.with_mut(Core::panic),
        |stack| stack.ask(Core::panic),
        |stack| {
            let failed = stack.attempt(|core| {
                core.panic();
                Err::<(), _>(ReadError::NetworkDown)
            });
            assert_eq!(failed, Err(ReadError::NetworkDown));
        },
    ];
    calls.into_iter().for_each(ends_its_interface_and_nothing_else);
}

fn ends_its_interface_and_nothing_else(panic: fn(&Stack)) {
    let world = World::new();
    let pair = world.pair();
    let network = world.host.network();
    let [here, there] = ["127.0.0.1", "10.0.0.1"].map(|address| {
        let local = SocketAddr::new(address.parse().unwrap(), 9);
        TcpListener::bind(&network, local, ListenOptions::default()).unwrap()
    });
    let datagrams = UdpSocket::bind(&network, SocketAddr::new([10, 0, 0, 1].into(), 9)).unwrap();
    let mut watch = world.host.watch();
    let eth0 = world.host.interface("eth0").unwrap();
    world.simulation.block_on(async {
        let mut buffer = [0; 8];
        let waiting = pair.0.read(&mut buffer);
        let ending = async { panic(eth0.stack()) };
        assert_eq!(
            futures_util::future::join(waiting, ending).await.0,
            Err(ReadError::NetworkDown),
            "who waits is told"
        );
        assert_eq!(pair.0.write(b"x").await, Err(WriteError::NetworkDown));
        assert_eq!(datagrams.recv_datagram().await, Err(ReceiveError::AddressNotAvailable));
        assert_eq!(there.accept().await.map(drop), Err(AcceptError::AddressNotAvailable));
        let Notice::Changed(event) = watch.next().await else { panic!("nothing was lost") };
        assert_eq!((&*event.interface, event.change), ("eth0", Change::Unmounted));
    });
    assert_eq!(world.host.interface("eth0").map(drop), Err(InterfaceNotFound));
    assert_eq!(eth0.add_address("10.0.0.7/24".parse().unwrap()), Err(ConfigureError::NotFound));
    // Other interfaces are not affected.
    world.simulation.block_on(async {
        let connecting = TcpStream::connect(&network, here.local_addr());
        let (client, server) = futures_util::future::join(connecting, here.accept()).await;
        assert!(client.is_ok() && server.is_ok());
    });
    // Its name is free.
    let config = InterfaceConfig { addresses: vec!["10.0.0.1/24".parse().unwrap()], ..Default::default() };
    world.host.mount_interface("eth0", world.hub.port(), config).unwrap();
    world.assert_carries(&world.pair());
}

#[test]
fn a_device_that_panics_over_a_datagram_costs_that_datagram() {
    let world = World::new();
    let pair = world.pair();
    let any = |address: [u8; 4]| SocketAddr::new(address.into(), 0);
    let socket = UdpSocket::bind(&world.host.network(), any([10, 0, 0, 1])).unwrap();
    let sink = UdpSocket::bind(&world.peer.network(), any([10, 0, 0, 2])).unwrap();
    world.simulation.block_on(async {
        socket.send_to(DEADLY, sink.local_addr()).await.unwrap();
        socket.send_to(b"harmless", sink.local_addr()).await.unwrap();
        assert_eq!(sink.recv_datagram().await.unwrap().data, b"harmless");
    });
    world.assert_carries(&pair);
}
