//! The memory budgets of guests, which are never exceeded, in whatever order connections write, read, close and linger.

use std::net::Shutdown;
use std::time::Duration;

use proptest::prelude::*;
use xila_network_host::device::Link as Carrier;
use xila_network_host::platform::Instant;
use xila_network_host::socket::{Budget, ConnectOptions, ListenOptions, TcpListener, TcpOptions, TcpState, TcpStream};
use xila_network_host::{ConnectError, Error};
use xila_network_tests::link::{Bytes, Family, Link, PORT};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
/// How long a connection may outlive its stream.
const LINGER: Duration = Duration::from_secs(5);
/// The reserved memory of a connection: 4096 bytes for each of its two queues.
const LEAST: usize = 8192;
const BUFFER: usize = 256 << 10;
/// The unit of the announced windows: they are scaled so that they can represent 4 MiB.
const UNIT: usize = 128;

/// Options with which connections are charged to a guest's budget (`policy::Quota::memory`).
fn options(guest: &Budget) -> TcpOptions {
    TcpOptions {
        budget: Some(guest.clone()),
        receive_buffer: BUFFER,
        send_buffer: BUFFER,
        linger: LINGER,
        ..TcpOptions::default()
    }
}

/// The next step of the test. Numbers of connections are taken modulo their count.
#[derive(Clone, Copy, Debug)]
enum Step {
    Connect(usize),
    Write(usize, usize),
    Read(usize, usize),
    Finish(usize),
    DropClient(usize),
    DropServer(usize),
    Abort(usize),
    Pass(u32),
    /// Plugs the server's cable in (true) or pulls it.
    Cable(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..64usize;
    prop_oneof![
        5 => (0..2usize).prop_map(Step::Connect),
        12 => (which.clone(), 1..300_000usize).prop_map(|(which, count)| Step::Write(which, count)),
        4 => (which.clone(), 1..4usize).prop_map(|(which, count)| Step::Write(which, count)),
        8 => (which.clone(), 1..100_000usize).prop_map(|(which, count)| Step::Read(which, count)),
        1 => which.clone().prop_map(Step::Finish),
        3 => which.clone().prop_map(Step::DropClient),
        1 => which.clone().prop_map(Step::DropServer),
        1 => which.prop_map(Step::Abort),
        8 => (0..3000u32).prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::Cable),
    ]
}

/// A client's end: its guest, the bytes that it has written, and when it was dropped.
struct Client {
    guest: usize,
    stream: Option<TcpStream>,
    port: u16,
    written: u64,
    dropped: Option<Instant>,
}

/// Two guests of one host that write to one guest of another host, which reads.
struct World {
    link: Link,
    clients: [Budget; 2],
    server: Budget,
    listener: TcpListener,
    ours: Vec<Client>,
    theirs: Vec<(TcpStream, Bytes)>,
}

/// Every connection carries the same bytes.
fn content(from: u64, count: usize) -> Vec<u8> {
    let mut bytes = Bytes::new(1);
    let mut skipped = vec![0; usize::try_from(from).expect("a small number")];
    bytes.fill(&mut skipped);
    let mut content = vec![0; count];
    bytes.fill(&mut content);
    content
}

impl World {
    fn new(limits: [usize; 3]) -> Self {
        let link = Link::plain(1);
        let [first, second, server] = limits.map(Budget::new);
        let listen = ListenOptions { tcp: options(&server), ..ListenOptions::default() };
        let listener = link.server.listen(Family::V4, PORT, listen).expect("a free port");
        Self { link, clients: [first, second], server, listener, ours: Vec::new(), theirs: Vec::new() }
    }

    fn connect(&mut self, guest: usize) -> Result<(), ConnectError> {
        let connect = ConnectOptions { tcp: options(&self.clients[guest]), ..ConnectOptions::default() };
        let remote = self.link.server.at(Family::V4, PORT);
        let connecting = TcpStream::connect_with(&self.link.client.network, remote, connect);
        let attempt = self.link.block_on(self.link.at_most(MILLISECOND * 100, connecting));
        let stream = attempt.unwrap_or(Err(ConnectError::TimedOut))?;
        let port = stream.local_addr().port();
        self.ours.push(Client { guest, stream: Some(stream), port, written: 0, dropped: None });
        Ok(())
    }

    fn act(&mut self, step: Step) {
        let ours = |which: usize| which.checked_rem(self.ours.len());
        let theirs = |which: usize| which.checked_rem(self.theirs.len());
        match step {
            // The attempt may be refused or not be answered.
            Step::Connect(guest) => drop(self.connect(guest)),
            Step::Write(which, count) => {
                let Some(client) = ours(which).map(|at| &mut self.ours[at]) else { return };
                let Some(stream) = &client.stream else { return };
                match stream.try_write(&content(client.written, count)) {
                    Ok(taken) => client.written += taken as u64,
                    Err(error) => assert_ne!(Error::from(error), Error::LimitReached, "writes wait for memory"),
                }
            }
            Step::Read(which, count) => {
                let Some((stream, bytes)) = theirs(which).map(|at| &mut self.theirs[at]) else { return };
                let mut buffer = vec![0; count];
                if let Ok(count) = stream.try_read(&mut buffer) {
                    bytes.check(&buffer[..count]);
                }
            }
            Step::Finish(which) => {
                let Some(stream) = ours(which).and_then(|at| self.ours[at].stream.as_ref()) else { return };
                // The connection may have ended.
                let _ = stream.shutdown(Shutdown::Write);
            }
            Step::DropClient(which) => {
                let now = self.link.simulation.now();
                let Some(client) = ours(which).map(|at| &mut self.ours[at]) else { return };
                if client.stream.take().is_some() {
                    client.dropped = Some(now);
                }
            }
            Step::DropServer(which) => {
                if let Some(at) = theirs(which) {
                    self.theirs.swap_remove(at);
                }
            }
            Step::Abort(which) => {
                if let Some(at) = ours(which)
                    && let Some(stream) = self.ours.swap_remove(at).stream
                {
                    stream.abort();
                }
            }
            Step::Pass(milliseconds) => self.link.simulation.advance(MILLISECOND * milliseconds),
            Step::Cable(plugged) => {
                self.link.server.cable.set_link(if plugged { Carrier::Up } else { Carrier::Down });
            }
        }
    }

    /// The bytes that a client's connection must hold: those that its peer has not received yet.
    fn underway(&self, client: &Client) -> usize {
        let now = self.link.simulation.now();
        let lives = match &client.stream {
            Some(stream) => !matches!(stream.state(), TcpState::Closed),
            None => client.dropped.is_some_and(|at| now < at + LINGER),
        };
        let peer = self.theirs.iter().find(|(stream, _)| stream.peer_addr().port() == client.port);
        let Some((peer, _)) = peer.filter(|(peer, _)| lives && peer.state() != TcpState::Closed) else { return 0 };
        let seen = peer.statistics();
        usize::try_from(client.written - seen.bytes_received).expect("a small number") - seen.receive_queue
    }

    fn check(&self) {
        for guest in self.clients.iter().chain([&self.server]) {
            assert!(guest.held() <= guest.limit(), "{} of {} bytes", guest.held(), guest.limit());
        }
        for (number, guest) in self.clients.iter().enumerate() {
            let own = || self.ours.iter().filter(|client| client.guest == number);
            let underway: usize = own().map(|client| self.underway(client)).sum();
            assert!(underway <= guest.held(), "{underway} under way, {} held", guest.held());
        }
        let unread: usize = self.theirs.iter().map(|(stream, _)| stream.statistics().receive_queue).sum();
        assert!(unread <= self.server.held(), "{unread} unread, {} held", self.server.held());
    }

    /// Drops all connections, and waits until lingering ones have ended.
    fn end(self) {
        let Self { link, clients, server, listener, ours, theirs } = self;
        drop((listener, ours, theirs));
        link.server.cable.set_link(Carrier::Up);
        link.simulation.advance(SECOND * 300);
        assert_eq!(clients.map(|guest| guest.held()), [0; 2]);
        assert_eq!(server.held(), 0);
        link.assert_empty();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn guests_hold_no_more_than_they_may_and_in_the_end_nothing(
        limits in prop::array::uniform3(20_000..400_000usize),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(limits);
        for step in steps {
            world.act(step);
            world.link.simulation.run_ready();
            while let Ok((stream, _)) = world.listener.try_accept() {
                // An earlier connection from the same port has ended.
                world.theirs.retain(|(known, _)| known.peer_addr() != stream.peer_addr());
                world.theirs.push((stream, Bytes::new(1)));
            }
            world.check();
        }
        world.end();
    }
}

/// The window tells the peer in time how little memory is left, before data is discarded, which the peer would have to
/// retransmit.
#[test]
fn windows_shrink_before_anything_is_refused_and_grow_again() {
    let link = Link::plain(1);
    let server = Budget::new(512 << 10);
    let listen = ListenOptions { tcp: options(&server), ..ListenOptions::default() };
    let listener = link.server.listen(Family::V4, PORT, listen).expect("a free port");
    let remote = link.server.at(Family::V4, PORT);
    let offered = |client: &TcpStream| client.statistics().send_window;
    let mut pairs: Vec<(TcpStream, TcpStream)> = Vec::new();
    let mut first_windows = Vec::new();
    while server.left() >= LEAST {
        let client = link.block_on(TcpStream::connect(&link.client.network, remote)).expect("there is memory for it");
        link.simulation.advance(SECOND);
        let (accepted, _) = listener.try_accept().expect("a connection");
        // The window in a SYN cannot be more than 65535.
        client.try_write(&[7]).expect("there is room");
        link.simulation.advance(SECOND);
        // The window is half of the memory that is left and of the queue's reserve, because arriving data may occupy
        // more memory than its size.
        let (window, left) = (offered(&client), server.left());
        assert!(window <= (left + LEAST / 2) / 2 + UNIT, "{window} bytes offered, {left} left");
        first_windows.push(window);
        for _ in 0..2 {
            let half = vec![7; offered(&client) / 2];
            assert_eq!(client.try_write(&half), Ok(half.len()));
            link.simulation.advance(SECOND);
            assert_eq!(client.statistics().send_queue, 0, "what a window allows is taken");
            assert!(server.held() <= server.limit());
        }
        pairs.push((client, accepted));
    }
    assert!(pairs.len() > 3 && first_windows.is_sorted_by(|one, next| one >= next), "{first_windows:?}");
    assert!(first_windows.last().is_some_and(|last| last * 8 < first_windows[0]), "{first_windows:?}");
    // So far no data was discarded, and none was retransmitted.
    assert_eq!(link.client.interface().statistics().tcp_retransmits, 0);
    assert_eq!(link.server.interface().statistics().received.dropped, 0);

    let (client, accepted) = pairs.last().expect("there are some");
    let before = offered(client);
    for (_, full) in &pairs {
        while full.try_read(&mut [0; 65_536]).is_ok() {}
    }
    accepted.try_write(&[7]).expect("there is room");
    link.simulation.advance(SECOND);
    assert!(offered(client) > 8 * before.max(1), "what was read is offered anew");
    assert_eq!(server.held(), LEAST * pairs.len());
}
