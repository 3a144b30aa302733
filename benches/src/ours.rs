//! Our stack with busy sockets beside idle ones. One thread drives everything, in virtual time, so that only the stack
//! is measured.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::io;

use xila_network_host::device::Device;
use xila_network_host::device::hub::{Hub, HubOptions, HubPort};
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::socket::{
    ConnectOptions, Connecting, ListenOptions, Network, TcpListener, TcpOptions, TcpStream, UdpOptions, UdpSocket,
};
use xila_network_host::{BindError, ConnectError, Error, InterfaceConfig, Manager, Result};

use crate::link::{Link, Segments};
use crate::{ADDRESS, BUFFER, CHUNK, IDLE_BUFFER, PREFIX};

/// The port of the busy TCP sockets.
const TCP_PORT: u16 = 9;
/// The ports of the busy UDP sockets.
const UDP_PORTS: (u16, u16) = (7, 9);

/// The number of connections from one address to one port of the same address.
const PORTS: usize = 10_000;

/// Addresses of the stack, from [`ADDRESS`] on.
const ADDRESSES: u32 = 2;

/// The kind of the idle sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// A TCP listener.
    Listeners,
    /// An established TCP connection, whose other end is on the same stack and idle too.
    Connections,
    /// A bound UDP socket.
    UdpSockets,
}

/// The idle sockets, which are only held.
#[expect(dead_code, reason = "they are there to be there")]
enum Held {
    Listeners(Vec<TcpListener>),
    Connections(Vec<(TcpStream, TcpStream)>),
    UdpSockets(Vec<UdpSocket>),
}

/// A stack with idle sockets, and the network on which the busy sockets are made.
struct Bench {
    simulation: Simulation,
    network: Network,
    _manager: Manager,
    _held: Held,
}

impl Bench {
    fn new(idle: Idle, count: usize, segments: Segments) -> Result<Self> {
        let simulation = Simulation::new(1);
        let manager = Manager::without_loopback(simulation.platform());
        let own = (0..ADDRESSES).map(|number| Ipv4Addr::from_bits(ADDRESS.to_bits() + number));
        let addresses = own.map(|own| Ok(format!("{own}/{PREFIX}").parse()?)).collect::<Result<_>>()?;
        manager.mount_interface("bench0", Link::new(segments), InterfaceConfig { addresses, ..Default::default() })?;
        let network = manager.network();
        let held = hold(&simulation, &network, idle, count)?;
        Ok(Self { simulation, network, _manager: manager, _held: held })
    }
}

fn hold(simulation: &Simulation, network: &Network, idle: Idle, count: usize) -> Result<Held> {
    // Ports from 10000 on, because the ephemeral ports are for the connections.
    let local = |index: usize| SocketAddr::from((ADDRESS, 10_000 + index as u16));
    Ok(match idle {
        Idle::Listeners => Held::Listeners(
            (0..count)
                .map(|index| TcpListener::bind(network, local(index), ListenOptions::default()))
                .collect::<Result<_, BindError>>()?,
        ),
        Idle::Connections => {
            let tcp = TcpOptions { receive_buffer: IDLE_BUFFER, send_buffer: IDLE_BUFFER, ..Default::default() };
            let listen = ListenOptions { tcp: tcp.clone(), ..Default::default() };
            // One address does not have enough ports for more connections to another.
            let listeners: Vec<TcpListener> = (0..=count / PORTS)
                .map(|index| TcpListener::bind(network, local(index), listen.clone()))
                .collect::<Result<_, BindError>>()?;
            let pair = |index| pair(simulation, network, &listeners[index / PORTS], &tcp);
            Held::Connections((0..count).map(pair).collect::<Result<_>>()?)
        }
        Idle::UdpSockets => {
            // One address does not have enough ports for so many sockets.
            let each = count.div_ceil(ADDRESSES as usize);
            let local = |index: usize| {
                let address = Ipv4Addr::from_bits(ADDRESS.to_bits() + (index / each) as u32);
                SocketAddr::from((address, 10_000 + (index % each) as u16))
            };
            let bind = |index| UdpSocket::bind_with(network, local(index), &UdpOptions::default());
            Held::UdpSockets((0..count).map(bind).collect::<Result<_, BindError>>()?)
        }
    })
}

fn pair(
    simulation: &Simulation,
    network: &Network,
    listener: &TcpListener,
    tcp: &TcpOptions,
) -> Result<(TcpStream, TcpStream)> {
    simulation.block_on(async {
        let options = ConnectOptions { tcp: tcp.clone(), ..Default::default() };
        let client = TcpStream::connect_with(network, listener.local_addr(), options).await?;
        let (server, _) = listener.accept().await?;
        Ok((client, server))
    })
}

/// Idle connections with default options.
pub struct IdleConnections {
    _bench: Bench,
    _held: Vec<(TcpStream, TcpStream)>,
}

impl IdleConnections {
    /// Makes `count` connections. If `spoken` is set, each has carried a small message in each direction, otherwise
    /// nothing.
    ///
    /// # Errors
    /// If a socket cannot be made.
    pub fn new(count: usize, spoken: bool) -> Result<Self> {
        let bench = Bench::new(Idle::Listeners, 0, Segments::Together)?;
        let listener = TcpListener::bind(&bench.network, (ADDRESS, TCP_PORT).into(), ListenOptions::default())?;
        let mut held = Vec::with_capacity(count);
        for _ in 0..count {
            let (client, server) = pair(&bench.simulation, &bench.network, &listener, &TcpOptions::default())?;
            if spoken {
                bench.simulation.block_on(async {
                    let mut buffer = [0; 64];
                    for (from, to) in [(&client, &server), (&server, &client)] {
                        from.write_all(&buffer).await?;
                        to.read(&mut buffer).await?;
                    }
                    Ok::<_, Error>(())
                })?;
            }
            held.push((client, server));
        }
        Ok(Self { _bench: bench, _held: held })
    }
}

/// One TCP connection that carries bytes beside idle sockets.
pub struct Bulk {
    bench: Bench,
    sender: TcpStream,
    receiver: TcpStream,
    data: Vec<u8>,
    buffer: Vec<u8>,
}

impl Bulk {
    /// # Errors
    /// If a socket cannot be made.
    pub fn new(idle: Idle, count: usize, segments: Segments) -> Result<Self> {
        let bench = Bench::new(idle, count, segments)?;
        let tcp = TcpOptions { receive_buffer: BUFFER, send_buffer: BUFFER, ..Default::default() };
        let listen = ListenOptions { tcp: tcp.clone(), ..Default::default() };
        let listener = TcpListener::bind(&bench.network, (ADDRESS, TCP_PORT).into(), listen)?;
        let (sender, receiver) = pair(&bench.simulation, &bench.network, &listener, &tcp)?;
        Ok(Self { bench, sender, receiver, data: vec![0x5a; CHUNK], buffer: vec![0; CHUNK] })
    }

    /// Carries `bytes` from one end to the other.
    ///
    /// # Errors
    /// As writing and reading.
    pub fn carry(&mut self, bytes: usize) -> Result<()> {
        let (mut written, mut read) = (0, 0);
        while read < bytes {
            let before = (written, read);
            let rest = CHUNK.min(bytes - written);
            written += available(self.sender.try_write(&self.data[..rest]))?;
            read += available(self.receiver.try_read(&mut self.buffer))?;
            if (written, read) == before {
                // Neither end can make progress: run the runner.
                self.bench.simulation.run_ready();
            }
        }
        Ok(())
    }
}

/// Two UDP sockets beside idle sockets.
pub struct Datagrams {
    sender: UdpSocket,
    receiver: UdpSocket,
    payload: Vec<u8>,
    _bench: Bench,
}

impl Datagrams {
    /// # Errors
    /// If a socket cannot be made.
    pub fn new(idle: Idle, count: usize, length: usize) -> Result<Self> {
        let bench = Bench::new(idle, count, Segments::Together)?;
        let bind = |port| UdpSocket::bind(&bench.network, (ADDRESS, port).into());
        let (sender, receiver) = (bind(UDP_PORTS.0)?, bind(UDP_PORTS.1)?);
        Ok(Self { sender, receiver, payload: vec![0x5a; length], _bench: bench })
    }

    /// Sends one datagram and receives it.
    ///
    /// # Errors
    /// As sending and receiving; [`Error::WouldBlock`] if it was lost.
    pub fn carry(&mut self) -> Result<()> {
        self.sender.try_send_to(&self.payload, self.receiver.local_addr())?;
        let datagram = self.receiver.try_recv_datagram()?;
        debug_assert_eq!(datagram.data.len(), self.payload.len());
        Ok(())
    }
}

/// Batches of datagrams that are given to a socket together.
pub struct Rows {
    datagrams: Datagrams,
    length: usize,
}

impl Rows {
    /// Batches of `length` datagrams.
    ///
    /// # Errors
    /// If a socket cannot be made.
    pub fn new(idle: Idle, count: usize, payload: usize, length: usize) -> Result<Self> {
        Ok(Self { datagrams: Datagrams::new(idle, count, payload)?, length })
    }

    /// Sends a batch and receives it.
    ///
    /// # Errors
    /// As sending and receiving.
    ///
    /// # Panics
    /// If a datagram is lost.
    pub fn carry(&mut self) -> Result<()> {
        let Datagrams { sender, receiver, payload, _bench: bench } = &self.datagrams;
        let remote = Some(receiver.local_addr());
        let row = vec![(&payload[..], remote); self.length];
        let (sent, received) = bench.simulation.block_on(async {
            let sent = sender.send_many(&row).await?;
            Ok::<_, Error>((sent, receiver.recv_many(self.length).await?.len()))
        })?;
        assert_eq!((sent, received), (self.length, self.length), "some were lost");
        Ok(())
    }
}

/// A stack on an Ethernet on which stations send ARP requests for each other all the time, as in every large network,
/// while connections of this host wait for stations that do not answer.
pub struct Strangers {
    simulation: Simulation,
    link: HubPort,
    _manager: Manager,
    _connecting: Vec<Connecting>,
}

impl Strangers {
    /// # Errors
    /// If a connection attempt cannot be started.
    ///
    /// # Panics
    /// Never: the prefix is valid.
    pub fn new(unresolved: usize) -> Result<Self> {
        let simulation = Simulation::new(1);
        let hub = Hub::new(&simulation.platform(), HubOptions::default());
        let manager = Manager::without_loopback(simulation.platform());
        let addresses = vec![format!("{ADDRESS}/{PREFIX}").parse()?];
        manager.mount_interface("bench0", hub.port(), InterfaceConfig { addresses, ..Default::default() })?;
        let network = manager.network();
        let tcp = TcpOptions { receive_buffer: IDLE_BUFFER, send_buffer: IDLE_BUFFER, ..Default::default() };
        let options = ConnectOptions { tcp, timeout: Duration::from_secs(3600), ..Default::default() };
        let nobody = |index: usize| (Ipv4Addr::from_bits(ADDRESS.to_bits() + 256 + index as u32), TCP_PORT).into();
        let connecting = (0..unresolved)
            .map(|index| TcpStream::start(&network, nobody(index), options.clone()))
            .collect::<Result<_, ConnectError>>()?;
        // By now, the first stations have been solicited more than once.
        simulation.advance(Duration::from_millis(1500));
        Ok(Self { simulation, link: hub.port(), _manager: manager, _connecting: connecting })
    }

    /// Another station broadcasts an ARP request for a third one, and the stack receives it.
    ///
    /// # Errors
    /// If the link does not take the frame.
    pub fn ask(&mut self) -> io::Result<()> {
        const REQUEST: [u8; 42] = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6, // Ethernet: to all, ARP
            0, 1, 8, 0, 6, 4, 0, 1, // for an address of IPv4, a request
            2, 0, 0, 0, 0, 9, 10, 200, 0, 1, // from 10.200.0.1
            0, 0, 0, 0, 0, 0, 10, 200, 0, 2, // for 10.200.0.2
        ];
        let now = self.simulation.now();
        let mut frame = self.link.allocate(now, REQUEST.len()).ok_or(io::ErrorKind::WouldBlock)?;
        frame.copy_from_slice(&REQUEST);
        self.link.transmit(now, frame)?;
        self.simulation.run_ready();
        while self.link.receive(now)?.is_some() {}
        Ok(())
    }
}

fn available<E: Into<Error>>(result: Result<usize, E>) -> Result<usize> {
    match result.map_err(E::into) {
        Err(Error::WouldBlock) => Ok(0),
        result => result,
    }
}
