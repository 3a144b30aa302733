//! The memory of connections is charged to budgets, is proportional to their bytes, and is released.

use std::net::{Ipv4Addr, Shutdown, SocketAddr};
use std::time::Duration;

use futures_util::future::join;
use xila_network_host::Manager;
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::socket::{Budget, ConnectOptions, ListenOptions, TcpListener, TcpOptions, TcpStream};
use xila_network_tests::link::{Bytes, Family, Link, PORT, send};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// Bytes that are written one at a time.
const SINGLE: usize = 10_000;
/// Bytes that are read one at a time.
const BACKLOG: usize = 1 << 20;

/// The memory that is reserved for each queue.
const RESERVED: usize = 4096;
/// The maximum charge of copied bytes. They are in chunks whose sizes are powers of two; a chunk is filled before the
/// next one, at most twice as large, is taken, and each chunk is charged with 64 bytes for its administration.
const fn charge_of(bytes: usize) -> usize {
    2 * bytes + 1024
}
/// The maximum charge of bytes that arrived by reference. They keep the sender's chunk, of which they are at least a
/// quarter.
const fn most_for(bytes: usize) -> usize {
    4 * bytes + 1024
}
/// The size of the largest chunk, which is kept until the last of its bytes is released.
const CHUNK: usize = 64 << 10;

/// The two ends of a connection, each with a budget of its own.
struct Ends {
    client: TcpStream,
    server: TcpStream,
    budgets: [Budget; 2],
}

/// The options of the two ends, and the budgets to which they are charged.
fn options() -> ([TcpOptions; 2], [Budget; 2]) {
    let budgets = [Budget::new(16 << 20), Budget::new(16 << 20)];
    let options = |budget: &Budget| TcpOptions {
        budget: Some(budget.clone()),
        receive_buffer: 2 * BACKLOG,
        send_buffer: 2 * BACKLOG,
        no_delay: true,
        ..TcpOptions::default()
    };
    (budgets.each_ref().map(options), budgets)
}

/// A world with a connection between two ends.
trait World {
    fn connect(&self) -> Ends;
    fn simulation(&self) -> &Simulation;
}

/// Over Ethernet, with an MTU of 1500 and a delay.
impl World for Link {
    fn connect(&self) -> Ends {
        let ([client, server], budgets) = options();
        let connect = ConnectOptions { tcp: client, ..ConnectOptions::default() };
        let listen = ListenOptions { tcp: server, ..ListenOptions::default() };
        let (client, server) = self.block_on(self.pair_with(Family::V4, connect, listen));
        Ends { client, server, budgets }
    }

    fn simulation(&self) -> &Simulation {
        &self.simulation
    }
}

/// A host with a connection to itself.
struct Loopback {
    simulation: Simulation,
    manager: Manager,
}

impl World for Loopback {
    fn connect(&self) -> Ends {
        let ([client, server], budgets) = options();
        let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), PORT);
        let network = self.manager.network();
        let listen = ListenOptions { tcp: server, ..ListenOptions::default() };
        let listener = TcpListener::bind(&network, at, listen).expect("a free port");
        let connect = ConnectOptions { tcp: client, ..ConnectOptions::default() };
        let (client, accepted) =
            self.simulation.block_on(join(TcpStream::connect_with(&network, at, connect), listener.accept()));
        Ends { client: client.expect("it listens"), server: accepted.expect("a connection").0, budgets }
    }

    fn simulation(&self) -> &Simulation {
        &self.simulation
    }
}

fn loopback() -> Loopback {
    let simulation = Simulation::new(1);
    let manager = Manager::new(simulation.platform());
    Loopback { simulation, manager }
}

impl Ends {
    fn held(&self) -> [usize; 2] {
        self.budgets.each_ref().map(Budget::held)
    }

    /// Asserts that only the reserve is held, since nothing is in flight or queued.
    fn assert_at_rest(&self) {
        assert_eq!(self.held(), [2 * RESERVED; 2]);
    }

    /// Closes both ends, and checks that everything is released.
    fn close(self, simulation: &Simulation) {
        let Self { client, server, budgets } = self;
        client.shutdown(Shutdown::Write).expect("the connection is there");
        simulation.advance(SECOND);
        drop((client, server));
        simulation.advance(SECOND * 30);
        assert_eq!(budgets.map(|budget| budget.held()), [0; 2]);
    }
}

/// Writes single bytes to a peer that does not read until all are written, with `pause` between them.
fn write_single_bytes(world: &impl World, pause: Duration) {
    let ends = world.connect();
    ends.assert_at_rest();
    let mut source = Bytes::new(1);
    for written in 1..=SINGLE {
        let mut byte = [0];
        source.fill(&mut byte);
        assert_eq!(ends.client.try_write(&byte), Ok(1));
        let most = [charge_of(written), most_for(written)].map(|most| RESERVED + most.max(RESERVED));
        let [client, server] = ends.held();
        assert!(client <= most[0] && server <= most[1], "{written} bytes: {client} and {server} held");
        world.simulation().advance(pause);
    }
    world.simulation().advance(SECOND * 5);
    // All bytes were sent, and none was read.
    assert_eq!((ends.client.statistics().send_queue, ends.server.statistics().receive_queue), (0, SINGLE));
    let [client, server] = ends.held();
    assert_eq!(client, 2 * RESERVED, "everything was acknowledged");
    assert!((RESERVED + SINGLE..=RESERVED + most_for(SINGLE)).contains(&server), "{server} held");
    let mut content = vec![0; SINGLE + 1];
    let mut check = Bytes::new(1);
    while check.position() < SINGLE as u64 {
        let count = ends.server.try_read(&mut content).expect("it is there");
        check.check(&content[..count]);
    }
    world.simulation().advance(SECOND);
    ends.assert_at_rest();
    ends.close(world.simulation());
}

/// Reads a large backlog byte by byte.
fn read_single_bytes(world: &impl World) {
    let ends = world.connect();
    world.simulation().block_on(async {
        send(&ends.client, 1, BACKLOG as u64).await.expect("there is room");
        ends.client.flush().await.expect("the peer has room");
    });
    let [client, server] = ends.held();
    assert_eq!(client, 2 * RESERVED);
    assert!((RESERVED + BACKLOG..=RESERVED + charge_of(BACKLOG) + CHUNK).contains(&server), "{server} held");
    let mut check = Bytes::new(1);
    for unread in (0..BACKLOG).rev() {
        let mut byte = [0];
        assert_eq!(ends.server.try_read(&mut byte), Ok(1));
        check.check(&byte);
        let [client, server] = ends.held();
        let most = RESERVED + (charge_of(unread) + CHUNK).max(RESERVED);
        assert!(client == 2 * RESERVED && server <= most, "{unread} unread: {client} and {server} held");
    }
    ends.assert_at_rest();
    world.simulation().advance(SECOND);
    ends.assert_at_rest();
    ends.close(world.simulation());
}

#[test]
fn unread_single_bytes_hold_little_more_memory_than_their_number_on_a_loopback() {
    write_single_bytes(&loopback(), Duration::ZERO);
    write_single_bytes(&loopback(), MILLISECOND);
}

#[test]
fn unread_single_bytes_hold_little_more_memory_than_their_number_on_a_link() {
    for pause in [Duration::ZERO, MILLISECOND / 100, MILLISECOND] {
        write_single_bytes(&Link::plain(1), pause);
    }
}

#[test]
fn a_backlog_that_is_read_byte_by_byte_holds_little_more_memory_than_its_size_on_a_loopback() {
    read_single_bytes(&loopback());
}

#[test]
fn a_backlog_that_is_read_byte_by_byte_holds_little_more_memory_than_its_size_on_a_link() {
    read_single_bytes(&Link::plain(1));
}
