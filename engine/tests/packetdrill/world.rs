//! The virtual host of a script: a clock, the engine, its sockets, and the wire.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use super::checks::seconds;
use super::kernel::{Connection, Kernel};
use super::script::{Micros, Script};
use super::settings::Host;
use super::sockets::{Pending, Socket};
use super::tolerances::Tolerances;
use super::values::Flow;

/// Why a script stops before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Failed { line: usize, message: String },
    Skipped(String),
}

/// The flow or socket that the script's packets without ports belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// There is no such socket yet.
    Nothing,
    /// A local port. The next packet that arrives starts a flow.
    Port(SocketAddr),
    Flow(usize),
}

/// A packet that the engine sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Micros,
    pub(crate) packet: Vec<u8>,
}

/// `--name=value`
#[derive(Clone, Debug)]
pub(crate) struct Configuration {
    pub(crate) tolerance: Micros,
    /// The tick of the timestamp clock; `None` if timestamps are not compared.
    pub(crate) tick: Option<Micros>,
    pub(crate) local: IpAddr,
    pub(crate) remote: IpAddr,
    pub(crate) bind_port: u16,
    pub(crate) connect_port: u16,
    pub(crate) mtu: usize,
    /// Whether calls with other results are tolerated.
    pub(crate) calls_may_differ: bool,
    /// Whether different packets are tolerated.
    pub(crate) packets_may_differ: bool,
}

impl Configuration {
    /// Parses the options of a script.
    pub(crate) fn new(script: &Script) -> Result<Self, Stop> {
        let option = |name: &str| script.options.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value);
        let number = |name: &str| option(name).and_then(|value| value.parse::<Micros>().ok());
        let address = |name: &str, default: &str| {
            let text = option(name).map_or(default, |value| value.split('/').next().unwrap_or_default());
            text.parse::<IpAddr>().map_err(|_| Stop::Skipped(format!("--{name}={text} is no address")))
        };
        let (local, remote) = match option("ip_version").map_or("ipv4", String::as_str) {
            "ipv4" => ("192.168.0.1", "192.0.2.1"),
            "ipv6" => ("fd3d:fa7b:d17d::1", "2001:db8::1"),
            version => return Err(Stop::Skipped(format!("{version}: the engine's addresses are of one version each"))),
        };
        let mut non_fatal = option("non_fatal").map_or("", String::as_str).split([',', ' ']);
        let port = |name: &str| number(name).and_then(|port| u16::try_from(port).ok()).unwrap_or(8080);
        Ok(Self {
            tolerance: number("tolerance_usecs").unwrap_or(4000),
            tick: number("tcp_ts_tick_usecs").filter(|tick| *tick > 0),
            local: address("local_ip", local)?,
            remote: address("remote_ip", remote)?,
            bind_port: port("bind_port"),
            connect_port: port("connect_port"),
            mtu: number("mtu").and_then(|mtu| usize::try_from(mtu).ok()).unwrap_or(1500),
            calls_may_differ: non_fatal.clone().any(|kind| kind == "syscall"),
            packets_may_differ: non_fatal.any(|kind| kind == "packet"),
        })
    }
}

/// The host.
pub(crate) struct World {
    pub(crate) configuration: Configuration,
    pub(crate) tolerances: Tolerances,
    pub(crate) host: Host,
    kernel: Option<Kernel>,
    pub(crate) now: Micros,
    pub(crate) sent: VecDeque<Sent>,
    pub(crate) flows: Vec<Flow>,
    pub(crate) subject: Subject,
    pub(crate) sockets: BTreeMap<i64, Socket>,
    pub(crate) pending: Vec<Pending>,
    next_port: u16,
    /// The error of a call that ended meanwhile.
    pub(crate) late: Option<Stop>,
    /// Whether a SYN-ACK has arrived.
    pub(crate) has_syn_ack_arrived: bool,
    /// A bare acknowledgement whose absence was tolerated: its number, and the latest time at which it must come.
    pub(crate) owed: Option<(u32, Micros)>,
    /// The packets on the wire, in the script's notation.
    pub(crate) log: Vec<String>,
}

impl World {
    pub(crate) fn new(configuration: Configuration, is_foreign: bool) -> Self {
        let mut host = if is_foreign { Host::freebsd() } else { Host::ours() };
        host.mtu = configuration.mtu;
        Self {
            configuration,
            tolerances: Tolerances::new(is_foreign),
            host,
            kernel: None,
            now: 0,
            sent: VecDeque::new(),
            flows: Vec::new(),
            subject: Subject::Nothing,
            sockets: BTreeMap::new(),
            pending: Vec::new(),
            next_port: 32_768,
            late: None,
            has_syn_ack_arrived: false,
            owed: None,
            log: Vec::new(),
        }
    }

    /// The engine. It is created when it is first needed, with the settings so far.
    pub(crate) fn kernel(&mut self) -> &mut Kernel {
        self.kernel.get_or_insert_with(|| Kernel::new(&self.host))
    }

    /// Whether the engine was created.
    pub(crate) const fn has_begun(&self) -> bool {
        self.kernel.is_some()
    }

    /// A port that was not used before.
    pub(crate) const fn port(&mut self) -> u16 {
        self.next_port += 1;
        self.next_port
    }

    /// Lets the engine send and blocked calls continue, until there is nothing more to do at this time.
    pub(crate) fn run_until_idle(&mut self) {
        loop {
            let now = self.now;
            let kernel = self.kernel();
            kernel.transmit(now);
            let packets = kernel.take_sent();
            let is_quiet = packets.is_empty();
            self.sent.extend(packets.into_iter().map(|packet| Sent { at: now, packet }));
            if !self.resume() && is_quiet {
                return;
            }
        }
    }

    /// The next expiry of a timer of the engine, or of the timeout of a blocked call.
    pub(crate) fn next_timeout(&mut self) -> Option<Micros> {
        let now = self.now;
        let of_calls = self.pending.iter().filter_map(Pending::timeout).min();
        let of_engine = self.kernel().next_timeout();
        of_calls.into_iter().chain(of_engine).min().map(|at| at.max(now))
    }

    /// Advances to the next timer and runs it, if it expires at `until` or before.
    pub(crate) fn step(&mut self, until: Micros) -> bool {
        let Some(at) = self.next_timeout().filter(|at| *at <= until) else { return false };
        self.now = at;
        self.kernel().handle_timeout(at);
        self.run_until_idle();
        true
    }

    /// Advances the time to `until`.
    pub(crate) fn advance(&mut self, until: Micros) -> Result<(), Stop> {
        let mut steps = 0;
        while self.step(until) {
            steps += 1;
            if steps > 100_000 {
                let message = format!("the engine's timers never rest: at {} again", seconds(self.now));
                return Err(Stop::Failed { line: 0, message });
            }
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// The index of the flow with these ends, which is created if there is none.
    pub(crate) fn flow(&mut self, local: SocketAddr, remote: SocketAddr) -> usize {
        if let Some(known) = self.flows.iter().position(|flow| flow.local == local && flow.remote == remote) {
            return known;
        }
        self.flows.push(Flow::new(local, remote));
        self.flows.len() - 1
    }

    /// The connection that statistics are about: the one that packets belong to.
    pub(crate) fn subject_connection(&self) -> Option<Connection> {
        let Subject::Flow(subject) = self.subject else { return None };
        let of_flow = self.sockets.values().find(|socket| socket.flow == Some(subject));
        of_flow.or_else(|| self.sockets.values().next_back()).and_then(Socket::connection)
    }
}
