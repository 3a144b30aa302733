//! Tests of [`Tcp`] as a whole: two hosts, joined without delay.

use alloc::collections::VecDeque;
use core::net::{IpAddr, Ipv4Addr};
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::options::{DEFAULT_BUFFER, MOST_BUFFER};
use super::*;
use crate::buffer::RESERVED;
use crate::ip::output::{Blocked, Outlet, Packet};
use crate::ports::PortLimits;

const ADDRESSES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2))];
const PORT: u16 = 80;
const TIMEOUT: Duration = Duration::from_secs(30);

/// The packets that one host has sent.
#[derive(Default)]
struct Wire(VecDeque<Vec<u8>>);

impl Outlet for Wire {
    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Blocked> {
        let mut bytes = vec![0; packet.length()];
        packet.emit(&mut bytes, true);
        self.0.push_back(bytes);
        Ok(())
    }

    fn mtu(&self, _: IpAddr) -> usize {
        1500
    }
}

struct Hosts {
    hosts: [Tcp; 2],
    wires: [Wire; 2],
    now: Instant,
    /// All packets are lost.
    loses: bool,
}

impl Hosts {
    fn new(change: impl Fn(&mut Config)) -> Self {
        let mut config = Config::new(Link { mtu: 1500, lossless: false, checksums: true });
        change(&mut config);
        let hosts = [1, 2].map(|seed| Tcp::new(config.clone(), Random::new([seed; 32])));
        Self {
            hosts,
            wires: [Wire::default(), Wire::default()],
            now: Instant::ORIGIN + Duration::from_secs(1000),
            loses: false,
        }
    }

    /// Delivers packets until there are none.
    fn run_until_idle(&mut self) {
        loop {
            for (host, wire) in self.hosts.iter_mut().zip(&mut self.wires) {
                host.transmit(self.now, wire);
                while host.poll_event().is_some() {}
            }
            let before = self.wires.each_mut().map(|wire| core::mem::take(&mut wire.0));
            if before.iter().all(VecDeque::is_empty) {
                return;
            }
            if self.loses {
                return;
            }
            for (from, packets) in before.into_iter().enumerate() {
                for packet in packets {
                    let (host, wire) = (&mut self.hosts[1 - from], &mut self.wires[1 - from]);
                    host.receive(self.now, &packet, wire);
                    host.transmit(self.now, wire);
                }
            }
        }
    }

    fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.hosts.iter().filter_map(Tcp::next_timeout).min().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.hosts.iter_mut().for_each(|host| host.handle_timeout(self.now));
            self.run_until_idle();
        }
        self.now = end;
    }

    fn listen(&mut self) -> ListenerId {
        self.listen_with(Options::default())
    }

    fn listen_with(&mut self, options: Options) -> ListenerId {
        let listener = self.hosts[1].bind(ADDRESSES[1], PORT, Owner::HOST).expect("a free port");
        self.hosts[1].listen(listener, Places::new(128), options);
        listener
    }

    /// Opens a listener, and a connection to it with the same options.
    fn pair_with(&mut self, options: Options) -> (ConnectionId, ConnectionId) {
        let listener = self.listen_with(options.clone());
        self.connect(listener, options)
    }

    fn pair(&mut self, listener: ListenerId) -> (ConnectionId, ConnectionId) {
        self.connect(listener, Options::default())
    }

    fn connect(&mut self, listener: ListenerId, options: Options) -> (ConnectionId, ConnectionId) {
        self.connect_for(Owner::HOST, listener, options)
    }

    fn connect_for(&mut self, owner: Owner, listener: ListenerId, options: Options) -> (ConnectionId, ConnectionId) {
        let [local, remote] = [SocketAddr::new(ADDRESSES[0], 0), SocketAddr::new(ADDRESSES[1], PORT)];
        let attempt = Attempt::new(owner, local, remote, TIMEOUT);
        let client = self.hosts[0].connect(&attempt, options, self.now).expect("a port");
        self.run_until_idle();
        (client, self.hosts[1].accept(listener).expect("it is established").id)
    }
}

/// Both ends of a connection together must take no more than 2 KiB, including what the tables and their owners add to
/// this.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_connection_is_small() {
    let sizes = [size_of::<Entry>(), connection::SYNCHRONIZED];
    assert!(sizes[0] <= 208 && sizes[1] <= 528, "{sizes:?} bytes");
}

#[test]
fn an_idle_connection_holds_no_memory_beside_itself() {
    let mut hosts = Hosts::new(|_| ());
    let listener = hosts.listen();
    let (client, server) = hosts.pair(listener);
    for message in [1, 64, 100_000] {
        let (mut sent, mut received) = (0, vec![0; 1000]);
        while sent < message {
            sent += hosts.hosts[0].write(client, &vec![7; message - sent], hosts.now).expect("it is open");
            hosts.run_until_idle();
            while hosts.hosts[1].read(server, &mut received, hosts.now).is_ok_and(|count| count > 0) {}
            hosts.run_until_idle();
        }
        hosts.advance(Duration::from_secs(1));
        // The connections that were active last keep memory.
        for _ in 0..MAX_AWAKE {
            hosts.pair(listener);
        }
        let held = |host: &Tcp, id: ConnectionId| host.connections.get(id.0).map(|entry| entry.connection.held());
        assert_eq!((held(&hosts.hosts[0], client), held(&hosts.hosts[1], server)), (Some(0), Some(0)));
    }
}

#[test]
fn orphans_are_bounded_in_number_and_bytes() {
    let mut hosts = Hosts::new(|config| (config.most_orphans, config.most_orphan_bytes) = (6, 400_000));
    let listener = hosts.listen();
    // The peers do not close, so each connection waits for the peer's FIN.
    let pairs: Vec<_> = (0..5).map(|_| hosts.pair(listener)).collect();
    for (client, _) in &pairs {
        hosts.hosts[0].release(*client, hosts.now);
        hosts.run_until_idle();
    }
    assert_eq!(hosts.hosts[0].connection_count(), 3);
    let states: Vec<TcpState> = pairs.iter().map(|(_, server)| hosts.hosts[1].state(*server)).collect();
    assert_eq!(states[..3], [TcpState::CloseWait; 3]);
    assert_eq!(states[3..], [TcpState::Closed; 2], "those beyond were reset");
    for (_, server) in &pairs {
        hosts.hosts[1].release(*server, hosts.now);
    }
    hosts.advance(Duration::from_secs(200));
    assert_eq!(hosts.hosts[0].connection_count(), 0);
    // Now the limit of bytes.
    let (first, second) = (hosts.pair(listener), hosts.pair(listener));
    for (client, _) in [first, second] {
        // More than the window, so that some of it stays.
        while hosts.hosts[0].write(client, &[7; 100_000], hosts.now).is_ok() {
            hosts.run_until_idle();
        }
        hosts.hosts[0].release(client, hosts.now);
        hosts.run_until_idle();
    }
    assert_eq!(hosts.hosts[0].connection_count(), 1);
}

/// A guest that releases very many connections whose peers do not close has them reset, and not those of a neighbour.
#[test]
fn some_room_for_orphans_is_left_to_whoever_has_none_yet() {
    let mut hosts = Hosts::new(|config| config.most_orphans = 8);
    let listener = hosts.listen();
    let mut release = |owner| {
        let (client, server) = hosts.connect_for(Owner(owner), listener, Options::default());
        hosts.hosts[0].write(client, b"the last words", hosts.now).expect("room");
        hosts.hosts[0].release(client, hosts.now);
        hosts.run_until_idle();
        hosts.hosts[1].state(server)
    };
    let states = [1, 1, 1, 1, 1, 2, 2, 3].map(&mut release);
    use TcpState::{CloseWait, Closed};
    assert_eq!(states, [CloseWait, CloseWait, CloseWait, CloseWait, Closed, CloseWait, CloseWait, CloseWait]);
}

#[test]
fn buffers_of_the_default_size_grow_with_the_path_and_chosen_ones_do_not() {
    for chosen in [false, true] {
        let mut hosts = Hosts::new(|_| ());
        let size = if chosen { 100_000 } else { DEFAULT_BUFFER };
        let options = Options { send_buffer: size, receive_buffer: size, ..Options::default() };
        let (client, server) = hosts.pair_with(options);
        let (mut most_queued, mut widest) = (0, 0);
        let mut buffer = vec![0; 4 << 20];
        for _ in 0..100 {
            while hosts.hosts[0].write(client, &[7; 50_000], hosts.now).is_ok() {}
            let info = hosts.hosts[0].info(client);
            (most_queued, widest) = (most_queued.max(info.send_queue), widest.max(info.send_window));
            hosts.run_until_idle();
            while hosts.hosts[1].read(server, &mut buffer, hosts.now).is_ok_and(|count| count > 0) {}
            hosts.advance(Duration::from_millis(100));
        }
        let grown = most_queued > 3 * DEFAULT_BUFFER && widest > 3 * DEFAULT_BUFFER;
        assert_eq!(grown, !chosen, "{most_queued} bytes were queued, {widest} bytes offered");
        assert!(most_queued <= MOST_BUFFER && widest <= MOST_BUFFER + MOST_BUFFER / 4);
    }
}

/// A change of the buffer size takes effect at once (`set-send-buffer-size` of wasi:sockets).
#[test]
fn a_size_that_is_set_takes_effect() {
    let mut hosts = Hosts::new(|_| ());
    let (client, server) = hosts.pair_with(Options::default());
    assert_eq!(hosts.hosts[0].room(client), Ok(DEFAULT_BUFFER));
    hosts.hosts[0].configure(client, |options| options.send_buffer = 1 << 20, hosts.now).expect("valid");
    assert_eq!(hosts.hosts[0].room(client), Ok(1 << 20));
    hosts.hosts[1].configure(server, |options| options.receive_buffer = 1 << 20, hosts.now).expect("valid");
    hosts.run_until_idle();
    assert_eq!(hosts.hosts[0].info(client).send_window, 1 << 20);
}

#[test]
fn a_connection_to_nobody_is_refused() {
    let mut hosts = Hosts::new(|_| ());
    let [local, remote] = [SocketAddr::new(ADDRESSES[0], 0), SocketAddr::new(ADDRESSES[1], PORT)];
    let attempt = Attempt::new(Owner::HOST, local, remote, TIMEOUT);
    let client = hosts.hosts[0].connect(&attempt, Options::default(), hosts.now).expect("a port");
    assert_eq!(hosts.hosts[0].is_connected(client), None);
    hosts.run_until_idle();
    assert_eq!(hosts.hosts[0].is_connected(client), Some(Err(Cause::Refused)));
    hosts.hosts[0].release(client, hosts.now);
    assert_eq!((hosts.hosts[0].connection_count(), hosts.hosts[0].next_timeout()), (0, None));
}

#[test]
fn only_the_owner_of_a_bound_port_connects_from_it() {
    let mut hosts = Hosts::new(|_| ());
    let own = hosts.hosts[0].bind(ADDRESSES[0], 5000, Owner::HOST).expect("a free port");
    let [local, remote] = [SocketAddr::new(ADDRESSES[0], 5000), SocketAddr::new(ADDRESSES[1], PORT)];
    let attempt = Attempt::new(Owner::HOST, local, remote, TIMEOUT);
    let mut connect = |bound| hosts.hosts[0].connect(&Attempt { bound, ..attempt }, Options::default(), hosts.now);
    assert_eq!(connect(None), Err(ConnectError::AddressInUse));
    assert!(connect(Some(own)).is_ok());
    assert_eq!(connect(Some(own)), Err(ConnectError::AddressInUse), "the pair of ends is taken");
}

/// Both with timestamps, which let the ends be used again after a second, and without, after half of TIME-WAIT.
#[test]
fn connections_in_time_wait_count_until_their_ends_may_be_used_again() {
    for (timestamps, rest) in [(true, Duration::from_secs(1)), (false, Duration::from_secs(30))] {
        // Two ports are for bound sockets, and half of the six others for the first owner that takes them.
        let mut hosts = Hosts::new(|config| config.ports = PortLimits::new(50_000..=50_007));
        let options = Options { timestamps, ..Options::default() };
        let listener = hosts.listen_with(options.clone());
        let [local, remote] = [SocketAddr::new(ADDRESSES[0], 0), SocketAddr::new(ADDRESSES[1], PORT)];
        let connect = |hosts: &mut Hosts, owner| {
            let attempt = Attempt::new(Owner(owner), local, remote, TIMEOUT);
            let client = hosts.hosts[0].connect(&attempt, options.clone(), hosts.now)?;
            hosts.run_until_idle();
            let server = hosts.hosts[1].accept(listener).expect("it is established").id;
            Ok((client, server))
        };
        let opened = [(); 3].map(|()| connect(&mut hosts, 1).expect("a port"));
        assert_eq!(connect(&mut hosts, 1), Err(ConnectError::ShareExhausted));
        for (client, server) in opened {
            for (host, id) in [(0, client), (1, server)] {
                hosts.hosts[host].shutdown_write(id, hosts.now).expect("it is open");
                hosts.run_until_idle();
                hosts.hosts[host].release(id, hosts.now);
            }
        }
        assert_eq!((hosts.hosts[0].connection_count(), hosts.hosts[0].time_wait_count()), (0, 3));
        assert_eq!(connect(&mut hosts, 1), Err(ConnectError::ShareExhausted), "they cannot be used again yet");
        hosts.now += rest - Duration::from_millis(1);
        assert_eq!(connect(&mut hosts, 1), Err(ConnectError::ShareExhausted));
        let other = connect(&mut hosts, 2).expect("some are left for another owner");
        hosts.now += Duration::from_millis(1);
        let again = [(); 3].map(|()| connect(&mut hosts, 1).expect("a port again"));
        for (client, server) in again.into_iter().chain([other]) {
            hosts.hosts[0].abort(client, Cause::Aborted, hosts.now);
            hosts.run_until_idle();
            [(0, client), (1, server)].into_iter().for_each(|(host, id)| hosts.hosts[host].release(id, hosts.now));
        }
        assert_eq!(hosts.hosts[0].destinations.counted(), 0, "everything was given back");
    }
}

/// The next action of an application, or the passing of time.
#[derive(Clone, Copy, Debug)]
enum Step {
    Connect(usize),
    Accept,
    Write(usize, usize),
    Read(usize, usize),
    Shutdown(usize),
    Release(usize),
    Abort(usize),
    Pass(u64),
    /// Sets whether packets are lost.
    Lose(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..40usize;
    prop_oneof![
        3 => (0..2usize).prop_map(Step::Connect),
        3 => Just(Step::Accept),
        12 => (which.clone(), 1..300_000usize).prop_map(|(which, count)| Step::Write(which, count)),
        4 => (which.clone(), 1..4usize).prop_map(|(which, count)| Step::Write(which, count)),
        10 => (which.clone(), 1..100_000usize).prop_map(|(which, count)| Step::Read(which, count)),
        4 => (which.clone(), 1..4usize).prop_map(|(which, count)| Step::Read(which, count)),
        1 => which.clone().prop_map(Step::Shutdown),
        2 => which.clone().prop_map(Step::Release),
        1 => which.prop_map(Step::Abort),
        8 => (0..3000u64).prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::Lose),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever two guests of one host and their peers do, each guest holds at most its budget, and all of them at most
    /// that of the interface. The memory held is the memory counted, and in the end it is zero.
    #[test]
    fn memory_is_bounded_and_counted_and_given_back(
        limits in (20_000..400_000usize, 20_000..400_000usize, 40_000..600_000usize),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let guests = [limits.0, limits.1].map(Budget::new);
        let mut hosts = Hosts::new(|config| config.most_bytes = limits.2);
        let options = |guest: usize| Options {
            budget: Some(guests[guest].clone()),
            linger: Duration::from_secs(5),
            ..Options::default()
        };
        let listener = hosts.listen_with(Options { budget: Some(guests[1].clone()), ..Options::default() });
        // Which host has which connections.
        let mut held: Vec<(usize, ConnectionId)> = Vec::new();
        let [local, remote] = [SocketAddr::new(ADDRESSES[0], 0), SocketAddr::new(ADDRESSES[1], PORT)];
        for step in steps {
            let now = hosts.now;
            let at = |which: usize| which.checked_rem(held.len()).map(|at| (at, held[at]));
            match step {
                Step::Connect(guest) => {
                    let attempt = Attempt::new(Owner(1 + guest as u64), local, remote, TIMEOUT);
                    if let Ok(id) = hosts.hosts[0].connect(&attempt, options(guest), now) {
                        held.push((0, id));
                    }
                }
                Step::Accept => held.extend(hosts.hosts[1].accept(listener).map(|accepted| (1, accepted.id))),
                Step::Write(which, count) => {
                    if let Some((_, (host, id))) = at(which) {
                        let _ = hosts.hosts[host].write(id, &vec![7; count], now);
                    }
                }
                Step::Read(which, count) => {
                    if let Some((_, (host, id))) = at(which) {
                        let _ = hosts.hosts[host].read(id, &mut vec![0; count], now);
                    }
                }
                Step::Shutdown(which) => {
                    if let Some((_, (host, id))) = at(which) {
                        let _ = hosts.hosts[host].shutdown_write(id, now);
                    }
                }
                Step::Release(which) => {
                    if let Some((at, (host, id))) = at(which) {
                        hosts.hosts[host].release(id, now);
                        held.swap_remove(at);
                    }
                }
                Step::Abort(which) => {
                    if let Some((_, (host, id))) = at(which) {
                        hosts.hosts[host].abort(id, Cause::Aborted, now);
                    }
                }
                Step::Pass(milliseconds) => hosts.advance(Duration::from_millis(milliseconds)),
                Step::Lose(loses) => hosts.loses = loses,
            }
            hosts.run_until_idle();
            for budget in guests.iter().chain(hosts.hosts.each_ref().map(Tcp::budget)) {
                prop_assert!(budget.held() <= budget.limit(), "{} of {} bytes", budget.held(), budget.limit());
            }
            for host in &hosts.hosts {
                let queues: usize = host.connections.iter().map(|(_, entry)| entry.connection.queues_held()).sum();
                prop_assert!(queues <= host.budget().held(), "{queues} held, {} counted", host.budget().held());
                let reserved = 2 * RESERVED * host.connections.len();
                prop_assert!(host.budget().held() <= queues + reserved, "{} counted", host.budget().held());
            }
        }
        hosts.loses = false;
        for (host, id) in held {
            hosts.hosts[host].release(id, hosts.now);
        }
        let now = hosts.now;
        let [_, server] = &mut hosts.hosts;
        server.unbind(listener, now, &mut hosts.wires[1]);
        hosts.run_until_idle();
        hosts.advance(Duration::from_secs(400));
        prop_assert_eq!(guests.each_ref().map(Budget::held), [0, 0]);
        prop_assert_eq!(hosts.hosts.each_ref().map(|host| host.budget().held()), [0, 0]);
    }
}
