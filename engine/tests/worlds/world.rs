//! A world: two hosts, a link, and owners of connections. Time only passes when there is nothing left to do.

mod checks;

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::collections::BTreeMap;

use xila_network_engine::event::Event;
use xila_network_engine::ports::Owner;
use xila_network_engine::tcp::{Attempt, Config, ConnectError, Link, ListenerId, Places, Tcp};
use xila_network_engine::time::Instant;

use super::Dice;
use super::end::End;
use super::host::{Device, Host};
use super::link::Direction;
use super::plan::{ConnectionPlan, Opening, Plan};

/// The port that both hosts listen on, and the first local port of connections that use a fixed one.
const PORT: u16 = 80;
const FIRST_PORT: u16 = 5000;
/// How long an owner waits that abandons its connection before the end.
const PATIENCE: Duration = Duration::from_secs(400);
/// After this time no state of connections is left: the longest linger time, TIME-WAIT and the last handshake are over.
const AFTERMATH: Duration = Duration::from_secs(300 + 60 + 60);

/// The result at one end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Outcome {
    connection: usize,
    round: u32,
    host: usize,
    written: u64,
    read: u64,
    clean: bool,
}

/// A connection to be opened.
#[derive(Clone, Copy, Debug)]
struct Start {
    at: Instant,
    connection: usize,
    host: usize,
    round: u32,
}

pub(crate) struct World {
    plan: Plan,
    now: Instant,
    hosts: [Host; 2],
    listeners: [ListenerId; 2],
    directions: [Direction; 2],
    /// Packets under way, by arrival time and sending order: the receiving host and the bytes.
    arrivals: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    carried: u64,
    starts: Vec<Start>,
    ends: Vec<(usize, u32, End)>,
    accepts: [Option<Instant>; 2],
    narrows: Option<(Instant, usize)>,
    /// How often `handle_timeout` was called, and how often it had no visible effect: no packet and no event.
    timeouts: u64,
    idle_timeouts: u64,
    steps: u64,
    /// Whether an owner has closed a receive window.
    shut: bool,
    trace: bool,
}

fn address(host: usize, v6: bool) -> IpAddr {
    if v6 {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host as u16 + 1).into()
    } else {
        Ipv4Addr::new(10, 0, 0, host as u8 + 1).into()
    }
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut dice = Dice::new(plan.seed ^ 0x5eed);
        let mut hosts = [0, 1].map(|host| {
            let link = Link { mtu: plan.mtu[host], lossless: plan.lossless, checksums: plan.checksums };
            let config =
                Config { most_half_open: plan.most_half_open, most_bytes: plan.most_bytes, ..Config::new(link) };
            let device = Device {
                mtu: plan.mtu[host],
                longest: plan.longest,
                checksums: plan.checksums,
                full: plan.full,
                unresolved: (!plan.unresolved.is_zero()).then(|| Instant::ORIGIN + plan.unresolved),
                now: Instant::ORIGIN,
                dice: Dice::new(dice.next()),
                sent: Vec::new(),
            };
            Host::new(config, device, address(host, plan.v6), plan.quantum, dice.next())
        });
        let any: IpAddr = if plan.v6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
        let listeners = [0, 1].map(|host| {
            let tcp: &mut Tcp = &mut hosts[host].tcp;
            let listener = tcp.bind(any, PORT, Owner::HOST).expect("nobody else is there");
            tcp.listen(listener, Places::new(plan.backlog), plan.listening[host].clone());
            listener
        });
        let starts = (0..).zip(&plan.connections).flat_map(|(connection, one)| starts(connection, one)).collect();
        let directions = plan.conditions.clone().map(|conditions| Direction::new(conditions, Dice::new(dice.next())));
        Self {
            now: Instant::ORIGIN,
            hosts,
            listeners,
            directions,
            arrivals: BTreeMap::new(),
            carried: 0,
            starts,
            ends: Vec::new(),
            accepts: [None; 2],
            narrows: plan.narrows,
            timeouts: 0,
            idle_timeouts: 0,
            steps: 0,
            shut: false,
            trace: std::env::var_os("XILA_TRACE").is_some(),
            plan,
        }
    }

    /// Runs the world and checks the results.
    pub(crate) fn run(mut self) -> Vec<Outcome> {
        let gap = self.longest_gap();
        let mut over_since = None;
        if self.trace {
            eprintln!("{:?}", self.plan);
        }
        loop {
            self.run_until_idle();
            let over = self.starts.is_empty() && self.ends.iter().all(|(.., end)| end.released);
            let since = over.then(|| *over_since.get_or_insert(self.now));
            if !over {
                over_since = None;
                self.look_for_stalls(gap);
            }
            self.look_at_memory();
            let Some(next) = self.next() else { break };
            if since.is_some_and(|since| next > since + AFTERMATH) {
                break;
            }
            assert!(next >= self.now, "time does not go back");
            self.now = next;
            self.pass();
        }
        self.look_at_the_end();
        self.outcomes()
    }

    /// When the next thing happens.
    fn next(&mut self) -> Option<Instant> {
        let now = self.now;
        let mut next = self.arrivals.first_key_value().map(|((at, _), _)| *at);
        let mut note = |at: Option<Instant>| next = [next, at].into_iter().flatten().min();
        self.hosts.iter_mut().for_each(|host| note(host.next()));
        self.starts.iter().for_each(|start| note(Some(start.at)));
        self.ends.iter().for_each(|(.., end)| note(end.next()));
        self.accepts.iter().for_each(|at| note(*at));
        note(self.narrows.map(|(at, _)| at));
        if !self.plan.orderly {
            let waiting = self.ends.iter().filter(|(.., end)| !end.released);
            note(waiting.map(|(.., end)| end.progress + PATIENCE).min());
        }
        next.map(|next| next.max(now))
    }

    /// Processes everything that happens at the current instant.
    fn pass(&mut self) {
        self.steps += 1;
        assert!(self.steps < 20_000_000, "{}", self.describe("there is no end of it"));
        let now = self.now;
        if let Some((_, mtu)) = self.narrows.take_if(|(at, _)| *at <= now) {
            for host in 0..2 {
                let other = self.hosts[1 - host].address;
                let this = &mut self.hosts[host];
                this.device.mtu = this.device.mtu.min(mtu);
                this.tcp.set_path_mtu(other, mtu, now);
            }
        }
        while let Some(entry) = self.arrivals.first_entry().filter(|entry| entry.key().0 <= now) {
            let (host, packet) = entry.remove();
            self.hosts[host].receive(now, &packet);
        }
        for host in &mut self.hosts {
            if host.tcp.next_timeout().is_some_and(|at| at <= now) {
                self.timeouts += 1;
                host.tcp.handle_timeout(now);
                self.idle_timeouts += u64::from(!host.tcp.has_pending());
                assert!(host.tcp.next_timeout().is_none_or(|at| at > now), "what was due stays due");
            }
        }
    }

    /// Repeats until there is nothing more to do at this instant.
    fn run_until_idle(&mut self) {
        loop {
            let mut acted = self.begin() | self.hear() | self.accept();
            for (.., end) in &mut self.ends {
                let tcp = &mut self.hosts[end.host].tcp;
                if !self.plan.orderly && !end.released && self.now >= end.progress + PATIENCE {
                    tcp.abort(end.id, xila_network_engine::tcp::Cause::Aborted, self.now);
                    end.release(tcp, self.now);
                }
                acted |= end.act(tcp, self.now);
            }
            acted |= self.transmit();
            if !acted {
                return;
            }
        }
    }

    fn transmit(&mut self) -> bool {
        let mut acted = false;
        let trace = self.trace;
        for from in 0..2 {
            self.hosts[from].transmit(self.now);
            for packet in core::mem::take(&mut self.hosts[from].device.sent) {
                acted = true;
                self.shut |= is_shut(&packet);
                if trace {
                    eprintln!("{}", super::trace::line(self.now.since_origin(), from, &packet));
                }
                let (arrivals, carried) = (&mut self.arrivals, &mut self.carried);
                let now = self.now;
                self.directions[from].carry(now, packet, |at, packet| {
                    if trace {
                        eprintln!("{:>40} {:?}", "arrives", at.since_origin());
                    }
                    *carried += 1;
                    arrivals.insert((at, *carried), (1 - from, packet));
                });
            }
        }
        acted
    }

    /// Delivers the engines' events to the owners.
    fn hear(&mut self) -> bool {
        let mut heard = false;
        for host in 0..2 {
            while let Some(event) = self.hosts[host].tcp.poll_event() {
                heard = true;
                match event {
                    Event::Acceptable(_) => {
                        self.accepts[host].get_or_insert(self.now + self.plan.accept_pause);
                    }
                    Event::Readable(id) => self.tell(host, |end| end.id == id, End::on_readable),
                    Event::Writable(id) => self.tell(host, |end| end.id == id, End::on_writable),
                    #[allow(unreachable_patterns, reason = "there may be more to tell one day")]
                    _ => {}
                }
            }
        }
        heard
    }

    fn tell(&mut self, host: usize, is: impl Fn(&End) -> bool, what: impl Fn(&mut End)) {
        self.ends.iter_mut().filter(|(.., end)| end.host == host && is(end)).for_each(|(.., end)| what(end));
    }

    fn begin(&mut self) -> bool {
        let due: Vec<Start> = self.starts.extract_if(.., |start| start.at <= self.now).collect();
        for start in &due {
            self.connect(*start);
        }
        !due.is_empty()
    }

    fn connect(&mut self, start: Start) {
        let Start { connection, host, round, .. } = start;
        let plan = &self.plan.connections[connection];
        let port = |host| FIRST_PORT + 2 * connection as u16 + host as u16;
        let (local, remote) = match plan.opening {
            Opening::By(_) => (0, PORT),
            Opening::Again(..) => (port(host), PORT),
            Opening::Simultaneous => (port(host), port(1 - host)),
        };
        let local = SocketAddr::new(self.hosts[host].address, local);
        let remote = SocketAddr::new(self.hosts[1 - host].address, remote);
        let (options, script) = (plan.options[host].clone(), plan.scripts[host].clone());
        let tcp = &mut self.hosts[host].tcp;
        let attempt = Attempt::new(Owner::HOST, local, remote, Duration::from_secs(3000));
        match tcp.connect(&attempt, options, self.now) {
            Ok(id) => {
                let local = tcp.tuple(id).expect("it was just begun").local();
                let streams = streams(connection, host);
                self.ends.push((connection, round, End::new(host, id, (local, remote), script, streams, self.now)));
            }
            Err(ConnectError::AddressInUse | ConnectError::ShareExhausted | ConnectError::LimitReached) => {
                self.starts.push(Start { at: self.now + Duration::from_millis(700), ..start });
            }
            Err(ConnectError::InvalidAddress) => panic!("{local} to {remote}"),
        }
    }

    /// Accepts connections, and gives each the script of the connection's other end.
    fn accept(&mut self) -> bool {
        let mut accepted = false;
        for host in 0..2 {
            if self.accepts[host].take_if(|at| *at <= self.now).is_none() {
                continue;
            }
            while let Some(new) = self.hosts[host].tcp.accept(self.listeners[host]) {
                accepted = true;
                let client = self.ends.iter().rev().find(|(.., end)| end.local == new.remote && end.host != host);
                let Some(&(connection, round, _)) = client else { panic!("nobody has connected from {}", new.remote) };
                let (script, streams) =
                    (self.plan.connections[connection].scripts[host].clone(), streams(connection, host));
                let mut end = End::new(host, new.id, (new.local, new.remote), script, streams, self.now);
                end.connected = true;
                self.ends.push((connection, round, end));
            }
        }
        if accepted {
            return true;
        }
        self.start_next_round()
    }

    /// Starts the next round of connections that are opened repeatedly.
    fn start_next_round(&mut self) -> bool {
        let mut next = Vec::new();
        for (index, plan) in self.plan.connections.iter().enumerate() {
            let Opening::Again(host, rounds) = plan.opening else { continue };
            let ends = || self.ends.iter().filter(|(connection, ..)| *connection == index);
            let Some(round) = ends().map(|(_, round, _)| *round).max() else { continue };
            let over = ends().filter(|(_, at, end)| *at == round && end.released).count() == 2;
            let waits = self.starts.iter().any(|start| start.connection == index);
            if over && !waits && round + 1 < rounds {
                // By then timestamps have advanced, and distinguish the new connection from the old one.
                let at = self.now + Duration::from_millis(21);
                next.push(Start { at, connection: index, host, round: round + 1 });
            }
        }
        self.starts.extend(&next);
        !next.is_empty()
    }
}

/// Whether a packet is an acknowledgement with a zero window.
fn is_shut(packet: &[u8]) -> bool {
    let segment = if packet[0] >> 4 == 4 { &packet[20..] } else { &packet[40..] };
    segment[13] & 0b1_0100 == 0b1_0000 && segment[14..16] == [0, 0]
}

fn streams(connection: usize, host: usize) -> [u64; 2] {
    let stream = |host: usize| (connection * 2 + host) as u64 * 0x1234_5678_9abc;
    [stream(host), stream(1 - host)]
}

fn starts(connection: usize, plan: &ConnectionPlan) -> Vec<Start> {
    let by = |host| Start { at: plan.begins, connection, host, round: 0 };
    match plan.opening {
        Opening::By(host) | Opening::Again(host, _) => vec![by(host)],
        Opening::Simultaneous => vec![by(0), by(1)],
    }
}
