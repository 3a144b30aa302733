//! A device that panics while the engine sends by it stands for an engine that panics.

use core::net::{IpAddr, SocketAddr};
use core::task::{Context, Poll};
use std::io;

use crate::device::hub::{Hub, HubOptions, HubPort};
use crate::device::{Capabilities, Device, Frame};
use crate::error::Error;
use crate::interface::InterfaceConfig;
use crate::manager::Manager;
use crate::platform::Instant;
use crate::platform::simulated::Simulation;
use crate::socket::{ListenOptions, PingOptions, TcpListener, TcpState, TcpStream, UdpSocket, ping};

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

/// A host whose engine may panic, and its peer, who listens.
struct World {
    simulation: Simulation,
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
        Self { simulation, host, peer, listener }
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
fn a_panic_over_a_frame_costs_that_frame() {
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
    assert_eq!(world.host.interface("eth0").unwrap().statistics().received.dropped, 1);
    let ask = || world.simulation.block_on(ping(&world.peer.network(), host, &PingOptions::default()));
    assert_eq!(ask(), Err(Error::TimedOut), "the engine has forgotten its neighbours, and asks for this one");
    let reply = ask();
    assert_eq!(reply.map(|reply| reply.source), Ok(host));
    world.assert_carries(&pair);
    world.assert_carries(&world.pair());
}

/// The segment is lost each time that it is sent; the connection ends by its own time, and others go on.
#[test]
fn a_device_that_panics_over_a_segment_costs_that_segment() {
    let world = World::new();
    let (deadly, good) = (world.pair(), world.pair());
    deadly.0.try_write(DEADLY).unwrap();
    world.simulation.advance(core::time::Duration::from_secs(1));
    assert_eq!(deadly.0.state(), TcpState::Established);
    world.assert_carries(&good);
    world.simulation.advance(core::time::Duration::from_secs(180));
    assert_eq!(deadly.0.try_write(b"more"), Err(Error::TimedOut));
    drop(deadly);
    world.assert_carries(&world.pair());
    world.simulation.advance(core::time::Duration::from_secs(60));
    assert_eq!(world.host.interface("eth0").unwrap().statistics().tcp_flows, 1, "only the good one is left");
}

/// After a panic of the engine itself its connections are gone, and listeners and what comes after go on.
#[test]
fn an_engine_that_panics_is_built_anew_and_its_listeners_stay() {
    let world = World::new();
    let pair = world.pair();
    let stacks = world.peer.network().serving(PEER.ip()).expect("it has the address");
    let stack = stacks.iter().find(|stack| &**stack.name() == "eth0").expect("it is mounted");
    stack.with_mut(super::super::Core::tcp_panic);
    assert_eq!(pair.1.try_write(b"more"), Err(Error::ConnectionAborted));
    world.assert_carries(&world.pair());
    drop(pair);
}

#[test]
fn a_datagram_that_makes_the_engine_panic_is_lost() {
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
