//! Two hosts on one Ethernet segment, under virtual time.
//!
//! A [`Link`] is a simulation with a hub and two managers, each with `lo` and an interface `eth0` that has an IPv4 and
//! an IPv6 address. Tests run on it with [`Link::block_on`], and end with [`Link::assert_empty`], which checks that no
//! socket or connection is left.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{self, Either};
use xila_network_host::address::Cidr;
use xila_network_host::device::hub::{Cable, Hub, HubOptions};
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::socket::{ConnectOptions, ListenOptions, Network, TcpListener, TcpStream};
use xila_network_host::{BindError, Interface, InterfaceConfig, Manager, PortRange, ReadError, WriteError};

/// The name of the interface that each host has on the segment.
pub const INTERFACE: &str = "eth0";

/// The port that [`Link::pair`] listens on.
pub const PORT: u16 = 7000;

/// How long a new interface announces its addresses: three neighbour advertisements, a second apart (RFC 4861 section
/// 7.2.6), two ARP announcements, two seconds apart (RFC 5227 section 2.3), and the group reports twice, within up to a
/// second (RFC 3810 section 9.11).
pub const ANNOUNCEMENTS: Duration = Duration::from_secs(5);

/// The address family of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both families, for tests of behaviour that is the same in both.
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The unspecified address of the family.
    #[must_use]
    pub const fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// The address of host `number` on the segment, whether there is such a host or not.
    #[must_use]
    pub const fn host(self, number: u8) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::new(10, 0, 0, number)),
            Self::V6 => IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number as u16)),
        }
    }
}

/// One of the two hosts.
pub struct Host {
    number: u8,
    /// The manager of its interfaces.
    pub manager: Manager,
    /// The network of all of its interfaces, on which sockets are made.
    pub network: Network,
    /// The cable that joins it to the segment.
    pub cable: Cable,
}

impl Host {
    fn new(simulation: &Simulation, hub: &Hub, number: u8, ephemeral_ports: PortRange) -> Self {
        let manager = Manager::new(simulation.platform());
        let port = hub.port();
        let cable = port.cable();
        manager.mount_interface(INTERFACE, port, config(number, ephemeral_ports)).expect("a fresh host takes eth0");
        Self { number, network: manager.network(), manager, cable }
    }

    /// The host's address on the segment.
    #[must_use]
    pub const fn address(&self, family: Family) -> IpAddr {
        family.host(self.number)
    }

    /// The host's address on the segment, with a port.
    #[must_use]
    pub const fn at(&self, family: Family, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(family), port)
    }

    /// The host's interface on the segment.
    #[must_use]
    pub fn interface(&self) -> Interface {
        self.manager.interface(INTERFACE).expect("eth0 is mounted")
    }

    /// The configuration of the host's interface, to mount the interface again.
    #[must_use]
    pub fn config(&self) -> InterfaceConfig {
        let hardware_address = self.interface().hardware_address();
        InterfaceConfig { hardware_address, ..config(self.number, PortRange::EPHEMERAL) }
    }

    /// Listens on the host's address.
    pub fn listen(&self, family: Family, port: u16, options: ListenOptions) -> Result<TcpListener, BindError> {
        TcpListener::bind(&self.network, self.at(family, port), options)
    }

    /// The current number of connections of the host's stacks, in any state but TIME-WAIT.
    #[must_use]
    pub fn flows(&self) -> u64 {
        self.manager.interfaces().iter().map(|interface| interface.statistics().tcp_flows).sum()
    }

    /// The current number of connections in TIME-WAIT.
    #[must_use]
    pub fn time_wait(&self) -> u64 {
        self.manager.interfaces().iter().map(|interface| interface.statistics().time_wait).sum()
    }

    /// Asserts that the host's stacks hold no socket and no remains of one.
    pub fn assert_empty(&self) {
        for interface in self.manager.interfaces() {
            let held = interface.statistics();
            let held = (held.tcp_flows, held.time_wait, held.tcp_listeners, held.udp_sockets, held.icmp_sockets);
            let what = "flows, TIME-WAIT, listeners, UDP, ICMP";
            assert_eq!(held, (0, 0, 0, 0, 0), "{what} of host {} {interface:?}", self.number);
        }
    }
}

fn config(number: u8, ephemeral_ports: PortRange) -> InterfaceConfig {
    let address = |family: Family, prefix| Cidr::new(family.host(number), prefix).expect("a prefix of its family");
    let addresses = vec![address(Family::V4, 24), address(Family::V6, 64)];
    // No link-local address: tests that count frames expect only their own. Link-local addresses have separate tests.
    InterfaceConfig { addresses, ephemeral_ports, link_local: false, ..InterfaceConfig::default() }
}

/// Two hosts joined by a hub.
pub struct Link {
    /// The simulation that runs both hosts.
    pub simulation: Simulation,
    /// The segment between them.
    pub hub: Hub,
    /// The host that connects, number 1.
    pub client: Host,
    /// The host that listens, number 2.
    pub server: Host,
}

impl Link {
    /// Two hosts, joined by a hub with these options, except `seed`.
    #[must_use]
    pub fn new(seed: u64, options: HubOptions) -> Self {
        Self::with_ephemeral_ports(seed, options, PortRange::EPHEMERAL)
    }

    /// As [`new`](Self::new), but the client's interface has only these ephemeral ports.
    #[must_use]
    pub fn with_ephemeral_ports(seed: u64, mut options: HubOptions, ports: PortRange) -> Self {
        let simulation = Simulation::new(seed);
        options.seed = seed;
        let hub = Hub::new(&simulation.platform(), options);
        let client = Host::new(&simulation, &hub, 1, ports);
        let server = Host::new(&simulation, &hub, 2, PortRange::EPHEMERAL);
        // Wait until the hosts have announced their addresses, after which they are silent.
        simulation.advance(ANNOUNCEMENTS);
        Self { simulation, hub, client, server }
    }

    /// A link with 1 ms latency and no loss, which most tests use.
    #[must_use]
    pub fn plain(seed: u64) -> Self {
        Self::new(seed, HubOptions { latency: Duration::from_millis(1), ..HubOptions::default() })
    }

    /// Runs `future` to its end, and the hosts' tasks meanwhile.
    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.simulation.block_on(future)
    }

    /// Waits for `duration` of virtual time.
    pub fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + use<> {
        self.simulation.sleep(duration)
    }

    /// The result of `future`, if it is ready within `limit` of virtual time; otherwise the future is dropped.
    pub async fn at_most<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        match future::select(pin!(future), pin!(self.sleep(limit))).await {
            Either::Left((result, _)) => Some(result),
            Either::Right(_) => None,
        }
    }

    /// The result of `future`, which must be ready within `limit` of virtual time, and the time that it took.
    pub async fn within<T>(&self, limit: Duration, future: impl Future<Output = T>) -> (T, Duration) {
        let start = self.simulation.now();
        match self.at_most(limit, future).await {
            Some(result) => (result, self.simulation.now() - start),
            None => panic!("no result within {limit:?}"),
        }
    }

    /// Polls `future` for `duration`, in which it must not become ready, and drops it.
    pub async fn cancelled_after<T>(&self, duration: Duration, future: impl Future<Output = T>) {
        assert!(self.at_most(duration, future).await.is_none(), "it ended within {duration:?}");
    }

    /// Makes a connection; returns the client's end and the server's.
    pub async fn pair(&self, family: Family) -> (TcpStream, TcpStream) {
        self.pair_with(family, ConnectOptions::default(), ListenOptions::default()).await
    }

    /// As [`pair`](Self::pair), with the given options.
    pub async fn pair_with(
        &self,
        family: Family,
        connect: ConnectOptions,
        listen: ListenOptions,
    ) -> (TcpStream, TcpStream) {
        let listener = self.server.listen(family, PORT, listen).expect("the port is free");
        let remote = self.server.at(family, PORT);
        let connecting = async {
            TcpStream::connect_with(&self.client.network, remote, connect).await.expect("the listener takes it")
        };
        let accepting = async { listener.accept().await.expect("a connection comes") };
        let (client, (server, peer)) = future::join(connecting, accepting).await;
        assert_eq!(peer, client.local_addr());
        (client, server)
    }

    /// Waits until TCP's own timers have ended, and asserts that nothing is left on either host.
    pub fn assert_empty(&self) {
        // TIME-WAIT lasts 10 s, and starts again when the peer retransmits its FIN.
        self.simulation.advance(Duration::from_secs(25));
        self.client.assert_empty();
        self.server.assert_empty();
    }
}

/// A sequence of bytes that is derived from a seed: one end sends it, and the other end checks it.
#[derive(Clone, Debug)]
pub struct Bytes {
    seed: u64,
    position: u64,
}

impl Bytes {
    /// The sequence of a seed, from its first byte on.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, position: 0 }
    }

    /// How many bytes have been produced or checked.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Fills `buffer` with the next bytes.
    pub fn fill(&mut self, buffer: &mut [u8]) {
        let mut rest = buffer;
        while !rest.is_empty() {
            let word = self.word();
            let from = (self.position % 8) as usize;
            let count = rest.len().min(8 - from);
            let (head, tail) = rest.split_at_mut(count);
            head.copy_from_slice(&word[from..from + count]);
            self.position += count as u64;
            rest = tail;
        }
    }

    /// Asserts that `bytes` are the next bytes of the sequence.
    pub fn check(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let word = self.word();
            let from = (self.position % 8) as usize;
            let (head, tail) = rest.split_at(rest.len().min(8 - from));
            assert_eq!(head, &word[from..from + head.len()], "at byte {}", self.position);
            self.position += head.len() as u64;
            rest = tail;
        }
    }

    /// The eight bytes around the current position (SplitMix64).
    const fn word(&self) -> [u8; 8] {
        let index = self.seed.wrapping_add((self.position / 8).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mixed = (index ^ (index >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).to_le_bytes()
    }
}

/// Writes the first `length` bytes of the sequence of `seed`.
///
/// # Errors
/// Those of the stream's `write`.
pub async fn send(stream: &TcpStream, seed: u64, length: u64) -> Result<(), WriteError> {
    let mut bytes = Bytes::new(seed);
    let mut buffer = vec![0; 64 * 1024];
    while bytes.position() < length {
        let count = buffer.len().min(usize::try_from(length - bytes.position()).unwrap_or(usize::MAX));
        bytes.fill(&mut buffer[..count]);
        stream.write_all(&buffer[..count]).await?;
    }
    Ok(())
}

/// Reads to the end of the stream, asserts that the bytes are the sequence of `seed`, and returns their number.
///
/// # Errors
/// Those of the stream's `read`.
pub async fn receive(stream: &TcpStream, seed: u64) -> Result<u64, ReadError> {
    let mut bytes = Bytes::new(seed);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(bytes.position()),
            count => bytes.check(&buffer[..count]),
        }
    }
}

/// Reads exactly `length` bytes, which must be the next bytes of `bytes`.
///
/// # Errors
/// Those of the stream's `read`.
///
/// # Panics
/// If the stream ends before that.
pub async fn receive_next(stream: &TcpStream, bytes: &mut Bytes, length: usize) -> Result<(), ReadError> {
    let mut buffer = vec![0; length];
    let mut have = 0;
    while have < length {
        let count = stream.read(&mut buffer[have..]).await?;
        assert_ne!(count, 0, "the stream ends {} bytes early", length - have);
        have += count;
    }
    bytes.check(&buffer);
    Ok(())
}
