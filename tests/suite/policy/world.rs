//! A guest's host and its peer on one Ethernet segment in virtual time, and the run of one program on it.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::{self, AbortHandle, Aborted};
use xila_network_host::address::Route;
use xila_network_host::device::hub::{Hub, HubOptions};
use xila_network_host::interface::Statistics;
use xila_network_host::platform::Access;
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::policy::{Denial, Limits, Usage};
use xila_network_host::socket::{ListenOptions, Network, PingOptions, TcpListener, UdpSocket, ping};
use xila_network_host::wasm::{NetworkCtx, NetworkCtxBuilder};
use xila_network_host::{InterfaceConfig, Manager};
use xila_network_tests::laboratory::{Output, Program};
use xila_network_tests::link::ANNOUNCEMENTS;
use xila_network_tests::probe::{Monitor, Probe};

use crate::names::{Names, serve};

/// The address that guests use unless they choose another one, and one more of their host.
pub(crate) const GUEST: &str = "10.0.0.1";
pub(crate) const SECOND: &str = "10.0.0.4";
/// The address of the peer, which also has 10.0.0.3.
pub(crate) const PEER: &str = "10.0.0.2";

/// The name of every guest in the audit.
pub(crate) const LABEL: &str = "app";

/// How long a program is given to come to a line of its output.
const PATIENCE: Duration = Duration::from_secs(10);

/// The program, compiled when it is first needed.
pub(crate) fn program(name: &str) -> Program {
    static PROGRAMS: OnceLock<Mutex<HashMap<String, Program>>> = OnceLock::new();
    let mut programs = PROGRAMS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let compile = || Program::compile(name).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    programs.entry(name.to_owned()).or_insert_with(compile).clone()
}

/// The address with a port.
pub(crate) fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}

/// The two hosts.
pub(crate) struct World {
    pub simulation: Simulation,
    /// The manager of the interfaces that guests use: `lo` and `eth0`.
    pub guests: Manager,
    pub peer: Manager,
    /// What passes at the guests' `eth0`.
    pub monitor: Monitor,
    /// What the peer's name server answers.
    pub names: Names,
    denials: Arc<Mutex<Vec<Denial>>>,
    _hub: Hub,
}

impl World {
    /// The peer listens on TCP ports 80 and 443 of every address, receives on UDP port 7 and 5353, and is a name
    /// server at 10.0.0.2 that both hosts know.
    pub(crate) fn new() -> Self {
        Self::with_latency(Duration::ZERO)
    }

    /// As [`new`](Self::new), on a link that takes this long.
    pub(crate) fn with_latency(latency: Duration) -> Self {
        let simulation = Simulation::new(11);
        let hub = Hub::new(&simulation.platform(), HubOptions { latency, ..HubOptions::default() });
        let config = |addresses: &[&str]| InterfaceConfig {
            addresses: addresses.iter().map(|address| address.parse().expect("an address with a prefix")).collect(),
            link_local: false,
            ..InterfaceConfig::default()
        };
        let guests = Manager::new(simulation.platform());
        let (probe, monitor) = Probe::new(hub.port(), false);
        let of_guests = config(&["10.0.0.1/24", "10.0.0.4/24", "fd00::1/64"]);
        guests.mount_interface("eth0", probe, of_guests).expect("a fresh host takes eth0");
        let peer = Manager::new(simulation.platform());
        let of_peer = config(&["10.0.0.2/24", "10.0.0.3/24", "fd00::2/64"]);
        peer.mount_interface("eth0", hub.port(), of_peer).expect("a fresh host takes eth0");
        let interface = guests.interface("eth0").expect("it is mounted");
        interface.add_dns_server([10, 0, 0, 2].into()).expect("room for a server");
        let beyond = "10.8.0.0/16".parse().expect("a network");
        let route = Route::new(beyond, [10, 0, 0, 2].into()).expect("a gateway of its family");
        interface.add_route(route).expect("room for a route");
        let names = Names::default();
        simulation.spawn(serve(peer.network(), names.clone()));
        for address in ["0.0.0.0", "::"] {
            for port in [80, 443] {
                simulation.spawn(accept_all(peer.network(), at(address, port), simulation.clone()));
            }
            for port in [7, 5353] {
                simulation.spawn(receive_all(peer.network(), at(address, port)));
            }
        }
        simulation.advance(ANNOUNCEMENTS + Duration::from_secs(1));
        Self { simulation, guests, peer, monitor, names, denials: Arc::default(), _hub: hub }
    }

    /// Lets both hosts learn each other's hardware addresses, so that what the peer sends needs no question before.
    pub(crate) fn introduce(&self) {
        let (network, options) = (self.peer.network(), PingOptions::default());
        for remote in [GUEST, SECOND, "fd00::1"] {
            let pinged = ping(&network, remote.parse().expect("an address"), &options);
            self.simulation.block_on(pinged).expect("the guests' host answers");
        }
        // The host under test verifies its neighbour once after the first packet to it (RFC 4861 section 7.3.3).
        self.simulation.advance(Duration::from_secs(8));
    }

    /// A context of a guest with a policy, whose denials this world collects.
    pub(crate) fn context(&self, policy: &str) -> NetworkCtxBuilder {
        let denials = self.denials.clone();
        NetworkCtx::builder()
            .network(self.guests.network())
            .policy(policy.parse().unwrap_or_else(|error| panic!("{error}")))
            .label(LABEL)
            .audit(move |denial| denials.lock().unwrap_or_else(PoisonError::into_inner).push(denial))
            .limits(Limits::default())
    }

    /// As [`context`](Self::context), for a guest that controls the interfaces.
    pub(crate) fn controlling(&self, policy: &str) -> NetworkCtx {
        self.context(policy).control(&self.guests, Access::READ_WRITE).build()
    }

    /// The denials since the last call, in the words of [`told`].
    pub(crate) fn denials(&self) -> Vec<String> {
        let denials = std::mem::take(&mut *self.denials.lock().unwrap_or_else(PoisonError::into_inner));
        denials.iter().map(told).collect()
    }

    /// What the stacks of the guests' host hold for guests, over both interfaces.
    pub(crate) fn tables(&self) -> Tables {
        let statistics = self.guests.interfaces().into_iter().map(|interface| interface.statistics());
        statistics.fold(Tables::default(), |sum, one| sum.plus(&one))
    }

    /// Starts a program, which runs whenever time passes in this world.
    pub(crate) fn start(&self, program: &Program, context: NetworkCtx, order: &str) -> Guest {
        let words: Vec<&str> = order.split_whitespace().collect();
        let (run, output) = program.start(&self.simulation, context, &words);
        let (run, abort) = future::abortable(run);
        let ending = Arc::new(Mutex::new(None));
        let told = ending.clone();
        self.simulation.spawn(async move {
            let how = match run.await {
                Ok(Ok(status)) => Ending::Status(status.code()),
                Ok(Err(trap)) => Ending::Trap(format!("{trap:?}")),
                Err(Aborted) => Ending::Stopped,
            };
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
        });
        Guest { output, abort, ending }
    }

    /// Lets time pass until a condition holds, for ten seconds at most; returns whether it holds.
    pub(crate) fn until(&self, holds: impl Fn() -> bool) -> bool {
        let end = self.simulation.now() + PATIENCE;
        while !holds() && self.simulation.now() < end {
            self.simulation.advance(Duration::from_millis(10));
        }
        holds()
    }

    /// Stops a program. Its store is gone when this returns.
    pub(crate) fn stop(&self, guest: &Guest) {
        guest.abort.abort();
        self.simulation.run_ready();
        assert!(guest.ending().is_some(), "it is stopped");
        assert_eq!(guest.output.quota().usage(), Usage::default(), "the program is gone");
    }

    /// Runs a program until it prints the outcome of its operation, and ends it. `arrive` is executed when the program
    /// is prepared; it is given the program's local port.
    pub(crate) fn run<F: Future<Output = ()>>(
        &self,
        program: &Program,
        context: NetworkCtx,
        order: &str,
        arrive: impl FnOnce(u16) -> F,
    ) -> Report {
        self.monitor.sent();
        let guest = self.start(program, context, order);
        let look = || Held { usage: guest.output.quota().usage(), tables: self.tables() };
        let mut before = look();
        const ENDS: [&str; 3] = ["done", "denied", "failed"];
        // What is created before a step that may be denied is not the effect of the step.
        let mut seen = 0;
        while self.until(|| guest.is_at(&["prepared"]) || guest.is_at(&ENDS) || guest.created() > seen) {
            if guest.created() == seen {
                break;
            }
            seen = guest.created();
            before = look();
            self.monitor.sent();
        }
        if let Some(port) = guest.last().strip_prefix("prepared ").and_then(|port| port.parse().ok()) {
            before = look();
            self.monitor.sent();
            self.simulation.block_on(arrive(port));
            self.until(|| guest.is_at(&ENDS));
        }
        // Whatever follows the operation is sent by then.
        self.simulation.advance(Duration::from_secs(3));
        let report = Report {
            outcome: guest.last(),
            frames: self.monitor.sent().into_iter().map(|seen| seen.bytes).collect(),
            before,
            after: look(),
            denials: self.denials(),
        };
        self.stop(&guest);
        report
    }
}

/// A program that runs in a world.
pub(crate) struct Guest {
    pub output: Output,
    abort: AbortHandle,
    ending: Arc<Mutex<Option<Ending>>>,
}

/// How a program has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Status(i32),
    /// With the cause.
    Trap(String),
    /// The test has stopped it.
    Stopped,
}

impl Guest {
    /// How it has ended, if it has.
    pub(crate) fn ending(&self) -> Option<Ending> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last line that it has printed; empty if there is none.
    pub(crate) fn last(&self) -> String {
        self.output.printed().lines().last().unwrap_or_default().to_owned()
    }

    /// How many times it has said that the next step of its preparation may be denied.
    fn created(&self) -> usize {
        self.output.printed().lines().filter(|line| *line == "created").count()
    }

    /// Whether its last line begins with one of these words, or it has ended.
    pub(crate) fn is_at(&self, words: &[&str]) -> bool {
        let line = self.last();
        self.ending().is_some() || words.iter().any(|word| line.starts_with(word))
    }
}

/// A denial as one line: `tcp connect at LOCAL peer REMOTE on INTERFACE`, with the parts that are known.
fn told(denial: &Denial) -> String {
    assert_eq!(denial.guest, LABEL);
    let mut line = denial.operation.to_string();
    let mut add = |word: &str, value: Option<String>| {
        if let Some(value) = value {
            line += &format!("{word}{value}");
        }
    };
    add(" ", denial.name.clone());
    add(" ", denial.command.clone());
    add(" at ", denial.local.map(|local| local.to_string()));
    add(" peer ", denial.remote.map(|remote| remote.to_string()));
    add(" on ", denial.interface.clone());
    line
}

/// Whether a line matches a pattern, in which `*` stands for anything.
pub(crate) fn matches(line: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => line == pattern,
        Some((start, end)) => line.len() >= start.len() + end.len() && line.starts_with(start) && line.ends_with(end),
    }
}

/// The entries that the stacks hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tables {
    pub flows: u64,
    pub listeners: u64,
    pub udp: u64,
    pub icmp: u64,
}

impl Tables {
    fn plus(self, one: &Statistics) -> Self {
        Self {
            flows: self.flows + one.tcp_flows,
            listeners: self.listeners + one.tcp_listeners,
            udp: self.udp + one.udp_sockets,
            icmp: self.icmp + one.icmp_sockets,
        }
    }
}

/// What a guest holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub usage: Usage,
    pub tables: Tables,
}

impl Held {
    /// Whether nothing has been added to what was held before.
    pub(crate) fn is_within(&self, before: &Self) -> bool {
        let parts = |&Self { usage, tables }: &Self| {
            let Usage { sockets, tcp_sockets, listeners, udp_sockets, icmp_sockets, .. } = usage;
            let Usage { ports, buffer_bytes, queries, watches, files, .. } = usage;
            let sockets = [sockets, tcp_sockets, listeners, udp_sockets, icmp_sockets];
            let others = [ports, buffer_bytes, queries, watches, files];
            let Tables { flows, listeners, udp, icmp } = tables;
            let charged = sockets.into_iter().chain(others).map(|count| count as u64);
            charged.chain([flows, listeners, udp, icmp]).collect::<Vec<u64>>()
        };
        parts(self).into_iter().zip(parts(before)).all(|(after, before)| after <= before)
    }
}

/// What has become of one operation.
#[derive(Debug)]
pub(crate) struct Report {
    /// `done`, `denied`, `failed` with the cause; another line if the operation has not ended.
    pub outcome: String,
    /// The frames that the guests' host has sent since the program was prepared.
    pub frames: Vec<Vec<u8>>,
    /// What was held when the program was prepared.
    pub before: Held,
    /// What was held after the operation.
    pub after: Held,
    /// The denials since the program was started.
    pub denials: Vec<String>,
}

/// Accepts connections, and closes each when its peer does.
async fn accept_all(network: Network, local: SocketAddr, simulation: Simulation) {
    let listener = TcpListener::bind(&network, local, ListenOptions::default()).expect("the port is free");
    while let Ok((stream, _)) = listener.accept().await {
        simulation.spawn(async move { while stream.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {} });
    }
}

async fn receive_all(network: Network, local: SocketAddr) {
    let socket = UdpSocket::bind(&network, local).expect("the port is free");
    while socket.recv_datagram().await.is_ok() {}
}
