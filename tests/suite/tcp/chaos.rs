//! Random worlds, with all kinds of links, sizes and ways to use a connection at once. In every world no byte is wrong
//! and nothing is left.

use std::net::Shutdown;
use std::time::Duration;

use futures_util::future::{join, join_all, join3};
use xila_network_host::device::Link as Carrier;
use xila_network_host::device::hub::HubOptions;
use xila_network_host::socket::{ConnectOptions, KeepAlive, ListenOptions, TcpListener, TcpOptions, TcpStream};
use xila_network_host::{ConnectError, ReadError, Result, WriteError};
use xila_network_tests::link::{Bytes, Family, Link, PORT, receive, send};

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Pseudo-random numbers from a seed.
struct Dice(Bytes);

impl Dice {
    const fn new(seed: u64) -> Self {
        Self(Bytes::new(seed))
    }

    fn below(&mut self, limit: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes) % limit
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn probability(&mut self, most_percent: u64) -> f64 {
        self.below(most_percent * 100 + 1) as f64 / 10_000.0
    }

    /// A number with a random number of bits, so that small numbers are as frequent as large ones.
    fn size(&mut self, bits: u64) -> u64 {
        let bits = self.below(bits + 1);
        self.below(1 << bits)
    }

    fn link(&mut self) -> HubOptions {
        let rate = if self.chance(30) { Some(1_000_000 + self.size(30)) } else { None };
        HubOptions {
            mtu: [1280, 1500, 9000][usize::try_from(self.below(3)).expect("a small number")],
            latency: MILLISECOND * u32::try_from(self.size(7)).expect("a small number"),
            jitter: MILLISECOND * u32::try_from(self.size(4)).expect("a small number"),
            loss: if self.chance(60) { self.probability(8) } else { 0.0 },
            duplication: self.probability(5),
            reordering: self.probability(10),
            rate,
            queue: 16 + usize::try_from(self.size(10)).expect("a small number"),
            seed: 0,
        }
    }

    fn tcp(&mut self) -> TcpOptions {
        TcpOptions {
            receive_buffer: 1000 + usize::try_from(self.size(18)).expect("a small number"),
            send_buffer: 1000 + usize::try_from(self.size(18)).expect("a small number"),
            no_delay: self.chance(50),
            user_timeout: Some(HOUR),
            linger: HOUR,
            // Only keep-alive detects that a reset was lost.
            keep_alive: Some(KeepAlive { idle: HOUR, interval: Duration::from_secs(60), count: 10 }),
            ..TcpOptions::default()
        }
    }
}

/// The behaviour of one connection. Both ends know it from the first byte, which is its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Both send, close their halves and read to the end.
    Whole,
    /// The client sends and drops the stream; the stack delivers the rest.
    Dropped,
    /// The server answers only after it has read to the end.
    Answered,
    /// The client aborts in the middle.
    Aborted,
    /// The server drops the stream without reading all.
    Unread,
}

struct Plan {
    manner: Manner,
    up: u64,
    down: u64,
    pause: Duration,
}

impl Plan {
    fn new(world: u64, number: u64) -> Self {
        let mut dice = Dice::new(world.wrapping_mul(1000) + number);
        let manners = [Manner::Whole, Manner::Dropped, Manner::Answered, Manner::Aborted, Manner::Unread];
        Self {
            manner: manners[usize::try_from(dice.below(5)).expect("a small number")],
            up: dice.size(20),
            down: dice.size(20),
            pause: MILLISECOND * u32::try_from(dice.size(12)).expect("a small number"),
        }
    }
}

async fn send_and_close(stream: &TcpStream, seed: u64, length: u64) -> Result<(), WriteError> {
    send(stream, seed, length).await?;
    stream.shutdown(Shutdown::Write)
}

async fn client(link: &Link, family: Family, world: u64, number: u64) {
    let plan = Plan::new(world, number);
    let mut dice = Dice::new(world * 2000 + number);
    link.sleep(MILLISECOND * u32::try_from(dice.size(9)).expect("a small number")).await;
    let connect = ConnectOptions { tcp: dice.tcp(), timeout: HOUR, ..ConnectOptions::default() };
    let remote = link.server.at(family, PORT);
    let stream = loop {
        match TcpStream::connect_with(&link.client.network, remote, connect.clone()).await {
            // Three neighbour solicitations were lost, or wait in a long queue.
            Err(ConnectError::RemoteUnreachable) => {}
            connected => break connected.expect("the listener is there"),
        }
    };
    let name = u8::try_from(number).expect("a small number");
    stream.write_all(&[name]).await.expect("the connection is there");
    match plan.manner {
        Manner::Whole | Manner::Answered => {
            let (sent, received) = join(send_and_close(&stream, number, plan.up), receive(&stream, number + 1)).await;
            assert_eq!((sent, received), (Ok(()), Ok(plan.down)), "world {world}, connection {number}");
        }
        Manner::Dropped => send(&stream, number, plan.up).await.expect("the connection is there"),
        Manner::Aborted => {
            send(&stream, number, plan.up).await.expect("the connection is there");
            link.sleep(plan.pause).await;
            stream.abort();
        }
        Manner::Unread => {
            let (_, received) = join(send_and_close(&stream, number, plan.up), receive(&stream, number + 1)).await;
            assert!(received == Ok(0) || is_aborted(&received), "world {world}, connection {number}: {received:?}");
        }
    }
}

async fn server(link: &Link, listener: &TcpListener, world: u64) {
    // A connection that was aborted before its handshake was complete is never accepted.
    let Some(accepted) = link.at_most(HOUR * 2, listener.accept()).await else { return };
    let (stream, _) = accepted.expect("a connection comes");
    let mut name = [0];
    match stream.read(&mut name).await {
        Ok(1) => {}
        // The connection was aborted at once.
        other => return assert!(is_aborted(&other), "world {world}: {other:?}"),
    }
    let number = u64::from(name[0]);
    let plan = Plan::new(world, number);
    link.sleep(plan.pause).await;
    match plan.manner {
        Manner::Whole => {
            let (sent, received) = join(send_and_close(&stream, number + 1, plan.down), receive(&stream, number)).await;
            assert_eq!((sent, received), (Ok(()), Ok(plan.up)), "world {world}, connection {number}");
        }
        Manner::Answered => {
            assert_eq!(receive(&stream, number).await, Ok(plan.up), "world {world}, connection {number}");
            send(&stream, number + 1, plan.down).await.expect("the client reads to the end");
        }
        Manner::Dropped => {
            assert_eq!(receive(&stream, number).await, Ok(plan.up), "world {world}, connection {number}");
        }
        Manner::Aborted => {
            let received = receive(&stream, number).await;
            assert!(is_aborted(&received), "world {world}, connection {number}: {received:?}");
        }
        Manner::Unread => {}
    }
}

/// Whether a result is that of a connection whose peer has aborted it, possibly with a lost reset.
const fn is_aborted<T>(result: &Result<T, ReadError>) -> bool {
    matches!(result, Err(ReadError::ConnectionReset | ReadError::TimedOut))
}

fn run(world: u64) {
    let mut dice = Dice::new(world);
    let link = Link::new(world, dice.link());
    let family = if dice.chance(50) { Family::V4 } else { Family::V6 };
    let connections = 1 + dice.below(16);
    let listen =
        ListenOptions { backlog: 1 + usize::try_from(dice.below(16)).expect("a small number"), tcp: dice.tcp() };
    let cuts: Vec<u64> = (0..dice.below(4)).map(|_| dice.below(3000)).collect();
    link.block_on(async {
        let listener = link.server.listen(family, PORT, listen).expect("a free port");
        let clients = join_all((0..connections).map(|number| client(&link, family, world, number)));
        let servers = join_all((0..connections).map(|_| server(&link, &listener, world)));
        let cutting = async {
            for cut in cuts {
                link.sleep(MILLISECOND * u32::try_from(cut).expect("a small number")).await;
                link.server.cable.set_link(Carrier::Down);
                link.sleep(MILLISECOND * 700).await;
                link.server.cable.set_link(Carrier::Up);
            }
        };
        link.within(HOUR * 24, join3(clients, servers, cutting)).await;
    });
    // A connection lingers for up to an hour; an aborted connection whose reset was lost is detected by keep-alive.
    link.simulation.advance(HOUR * 3);
    link.assert_empty();
}

/// In these worlds a connection once stalled for ever. In 856 both ends had gone back to retransmit, and each refused
/// the other's acknowledgements as old; in 1196 a fast retransmission exceeded a window smaller than a segment; in 7893
/// a reordered acknowledgement closed the window while the last bytes were lost; in 9494 a fast retransmission had only
/// the FIN left.
#[test]
fn connections_do_not_stall() {
    for world in [856, 1196, 7893, 9494] {
        run(world);
    }
}

#[test]
fn nothing_is_wrong_and_nothing_is_left_in_any_world() {
    for world in 0..300 {
        run(world);
    }
}
