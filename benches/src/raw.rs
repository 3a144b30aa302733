//! Raw smoltcp as its examples use it: one interface, and one set with every socket, idle ones included.

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::{tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr, IpEndpoint, IpListenEndpoint};

use crate::link::Wire;
use crate::{ADDRESS, BUFFER, CHUNK, IDLE_BUFFER, PREFIX};

/// Time stands still, as it does for our stack.
const NOW: Instant = Instant::ZERO;

const TCP_PORT: u16 = 9;
const UDP_PORTS: (u16, u16) = (7, 9);

/// The kind of the idle sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// A listening TCP socket.
    Listeners,
    /// A bound UDP socket.
    UdpSockets,
}

struct Bench {
    wire: Wire,
    interface: Interface,
    sockets: SocketSet<'static>,
}

impl Bench {
    fn new(idle: Idle, count: usize) -> Self {
        let mut wire = Wire::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = 1;
        let mut interface = Interface::new(config, &mut wire, NOW);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::new(ADDRESS.into(), PREFIX)).expect("the first address fits");
        });
        let mut sockets = SocketSet::new(Vec::new());
        for port in (10_000..).take(count) {
            match idle {
                Idle::Listeners => {
                    let mut socket = tcp_socket(IDLE_BUFFER);
                    socket.listen(local(port)).expect("a fresh socket listens");
                    sockets.add(socket);
                }
                Idle::UdpSockets => {
                    let mut socket = udp_socket(IDLE_BUFFER);
                    socket.bind(local(port)).expect("a fresh socket binds");
                    sockets.add(socket);
                }
            }
        }
        Self { wire, interface, sockets }
    }

    /// Sends one packet and receives it. This looks at every socket twice, which is the least that smoltcp can do.
    fn pass_one(&mut self) {
        self.interface.poll_egress(NOW, &mut self.wire, &mut self.sockets);
        self.interface.poll_ingress_single(NOW, &mut self.wire, &mut self.sockets);
    }

    fn poll(&mut self) {
        self.interface.poll(NOW, &mut self.wire, &mut self.sockets);
    }
}

fn local(port: u16) -> IpListenEndpoint {
    IpListenEndpoint { addr: Some(ADDRESS.into()), port }
}

/// A socket with the settings that our stack uses on such a link.
fn tcp_socket(buffer: usize) -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; buffer]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    socket.set_congestion_control(tcp::CongestionControl::None);
    socket.set_ack_delay(None);
    socket.set_nagle_enabled(false);
    socket
}

fn udp_socket(buffer: usize) -> udp::Socket<'static> {
    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; buffer]);
    udp::Socket::new(buffer(), buffer())
}

/// One TCP connection that carries bytes beside idle sockets.
pub struct Bulk {
    bench: Bench,
    sender: SocketHandle,
    receiver: SocketHandle,
    data: Vec<u8>,
    buffer: Vec<u8>,
}

impl Bulk {
    /// # Panics
    /// If the connection is not established.
    #[must_use]
    pub fn new(idle: Idle, count: usize) -> Self {
        let mut bench = Bench::new(idle, count);
        let (mut sender, mut receiver) = (tcp_socket(BUFFER), tcp_socket(BUFFER));
        receiver.listen(local(TCP_PORT)).expect("a fresh socket listens");
        sender
            .connect(bench.interface.context(), (IpAddress::from(ADDRESS), TCP_PORT), 50_000)
            .expect("a fresh socket connects");
        let (sender, receiver) = (bench.sockets.add(sender), bench.sockets.add(receiver));
        (0..4).for_each(|_| bench.poll());
        assert_eq!(bench.sockets.get::<tcp::Socket<'_>>(receiver).state(), tcp::State::Established);
        Self { bench, sender, receiver, data: vec![0x5a; CHUNK], buffer: vec![0; CHUNK] }
    }

    /// Carries `bytes` from one end to the other.
    ///
    /// # Panics
    /// If the connection has ended.
    pub fn carry(&mut self, bytes: usize) {
        let (mut written, mut read) = (0, 0);
        while read < bytes {
            let sender = self.bench.sockets.get_mut::<tcp::Socket<'_>>(self.sender);
            let rest = CHUNK.min(bytes - written);
            written += sender.send_slice(&self.data[..rest]).expect("the connection is open");
            self.bench.poll();
            let receiver = self.bench.sockets.get_mut::<tcp::Socket<'_>>(self.receiver);
            read += receiver.recv_slice(&mut self.buffer).expect("the connection is open");
        }
    }
}

/// Two UDP sockets beside idle ones.
pub struct Datagrams {
    bench: Bench,
    sender: SocketHandle,
    receiver: SocketHandle,
    payload: Vec<u8>,
    buffer: Vec<u8>,
}

impl Datagrams {
    /// # Panics
    /// Never: fresh sockets can be bound.
    #[must_use]
    pub fn new(count: usize, length: usize) -> Self {
        let mut bench = Bench::new(Idle::UdpSockets, count);
        let mut add = |port| {
            let mut socket = udp_socket(BUFFER);
            socket.bind(local(port)).expect("a fresh socket binds");
            bench.sockets.add(socket)
        };
        let (sender, receiver) = (add(UDP_PORTS.0), add(UDP_PORTS.1));
        Self { bench, sender, receiver, payload: vec![0x5a; length], buffer: vec![0; length] }
    }

    /// Sends one datagram and receives it.
    ///
    /// # Panics
    /// If the datagram is lost.
    pub fn carry(&mut self) {
        let to = IpEndpoint::new(ADDRESS.into(), UDP_PORTS.1);
        let sender = self.bench.sockets.get_mut::<udp::Socket<'_>>(self.sender);
        sender.send_slice(&self.payload, to).expect("the queue is empty");
        self.bench.pass_one();
        let receiver = self.bench.sockets.get_mut::<udp::Socket<'_>>(self.receiver);
        let (count, _) = receiver.recv_slice(&mut self.buffer).expect("the datagram has arrived");
        debug_assert_eq!(count, self.payload.len());
    }
}
