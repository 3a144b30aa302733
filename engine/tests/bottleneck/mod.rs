//! Flows through one bottleneck, under virtual time: a sending host and a receiving host, a rate, a queue, a delay, and
//! random loss.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use xila_network_engine::ip::output::{Blocked, Outlet, Packet};
use xila_network_engine::ports::Owner;
use xila_network_engine::random::Random;
use xila_network_engine::tcp::{
    Algorithm, Attempt, Config, ConnectionId, Info, Link, ListenerId, Options, Places, Tcp,
};
use xila_network_engine::time::Instant;

const ADDRESSES: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2))];
const PORT: u16 = 80;
const MTU: usize = 1500;
/// The buffer sizes of both ends of a connection.
const BUFFER: usize = 4 << 20;

/// The path from the sender to the receiver, and back.
#[derive(Clone, Debug)]
pub(crate) struct Path {
    /// The rate in bytes per second.
    pub(crate) rate: u64,
    /// The length of the queue in bytes.
    pub(crate) queue: u64,
    /// The round trip time without queueing.
    pub(crate) rtt: Duration,
    /// The probability of loss on the way to the receiver, in ten thousandths.
    pub(crate) loss: u64,
    /// The granularity of host timers: they expire at multiples of this.
    pub(crate) timers: Duration,
}

impl Path {
    /// 100 Mb/s and 10 ms, with the usual granularity of host timers.
    pub(crate) const FAST: Self = Self {
        rate: 12_500_000,
        queue: 250_000,
        rtt: Duration::from_millis(10),
        loss: 0,
        timers: Duration::from_millis(1),
    };

    /// The bandwidth-delay product in bytes.
    pub(crate) const fn product(&self) -> u64 {
        (self.rate as u128 * self.rtt.as_nanos() / 1_000_000_000) as u64
    }
}

/// What an application writes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// As much as there is room for.
    Greedy,
    /// This many bytes at this interval.
    Steady(usize, Duration),
    None,
}

#[derive(Debug)]
struct Flow {
    source: Source,
    algorithm: Algorithm,
    next_write: Instant,
    client: Option<ConnectionId>,
    server: Option<ConnectionId>,
    /// Bytes that were read.
    read: u64,
}

#[derive(Default)]
struct Wire(Vec<Vec<u8>>);

impl Outlet for Wire {
    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Blocked> {
        let mut bytes = vec![0; packet.length()];
        packet.emit(&mut bytes, false);
        self.0.push(bytes);
        Ok(())
    }

    fn mtu(&self, _: IpAddr) -> usize {
        MTU
    }
}

/// Counters of the queue since the start of the last run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) packets: u64,
    pub(crate) dropped: u64,
    /// The sum of the queue lengths in bytes that arriving packets found, and the maximum.
    waiting: u64,
    pub(crate) most: u64,
}

impl Tally {
    pub(crate) const fn mean_queue(&self) -> u64 {
        self.waiting / if self.packets == 0 { 1 } else { self.packets }
    }
}

pub(crate) struct Bottleneck {
    path: Path,
    now: Instant,
    hosts: [Tcp; 2],
    wires: [Wire; 2],
    listener: ListenerId,
    flows: Vec<Flow>,
    /// When the last byte of the queue leaves.
    idle_at: Instant,
    pub(crate) tally: Tally,
    arrivals: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    packets: BTreeMap<u64, Vec<u8>>,
    carried: u64,
    chance: u64,
    /// How often a host was woken by its timers.
    pub(crate) wake_ups: u64,
    buffer: Vec<u8>,
}

impl Bottleneck {
    pub(crate) fn new(path: Path) -> Self {
        let link = Link { mtu: MTU, lossless: false, checksums: false };
        let mut hosts = [1, 2].map(|seed| Tcp::new(Config::new(link), Random::new([seed; 32])));
        let listener = hosts[1].bind(ADDRESSES[1], PORT, Owner::HOST).expect("a free port");
        let options = Options { receive_buffer: BUFFER, send_buffer: BUFFER, ..Options::default() };
        hosts[1].listen(listener, Places::new(128), options);
        Self {
            path,
            now: Instant::ORIGIN,
            hosts,
            wires: [Wire::default(), Wire::default()],
            listener,
            flows: Vec::new(),
            idle_at: Instant::ORIGIN,
            tally: Tally::default(),
            arrivals: BinaryHeap::new(),
            packets: BTreeMap::new(),
            carried: 0,
            chance: 1,
            wake_ups: 0,
            buffer: vec![7; BUFFER],
        }
    }

    /// Adds a flow that starts now.
    pub(crate) fn add(&mut self, algorithm: Algorithm, source: Source) {
        let flow = Flow { source, algorithm, next_write: self.now, client: None, server: None, read: 0 };
        self.flows.push(flow);
    }

    /// Changes what an application writes from now on.
    pub(crate) fn change(&mut self, flow: usize, source: Source) {
        self.flows[flow].source = source;
    }

    pub(crate) fn info(&self, flow: usize) -> Info {
        self.hosts[0].info(self.flows[flow].client.expect("it has begun"))
    }

    /// Advances the time. Returns the rate at which each flow was read, without headers, as a fraction of the path's
    /// rate.
    pub(crate) fn run(&mut self, time: Duration) -> Vec<f64> {
        self.run_watched(time, |_| ())
    }

    /// As [`run`](Self::run), with a callback after every event.
    pub(crate) fn run_watched(&mut self, time: Duration, mut look: impl FnMut(&Self)) -> Vec<f64> {
        let before: Vec<u64> = self.flows.iter().map(|flow| flow.read).collect();
        self.tally = Tally::default();
        let end = self.now + time;
        loop {
            self.run_until_idle();
            look(self);
            let Some(next) = self.next().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            self.advance();
        }
        self.now = end;
        // A segment with the engine's default options has 52 bytes of headers.
        let full = self.path.rate as f64 * time.as_secs_f64() * (MTU as f64 - 52.0) / MTU as f64;
        self.flows.iter().zip(before).map(|(flow, before)| (flow.read - before) as f64 / full).collect()
    }

    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    fn next(&self) -> Option<Instant> {
        let arrival = self.arrivals.peek().map(|Reverse((at, ..))| *at);
        let timers = self.hosts.iter().filter_map(Tcp::next_timeout).min().map(|at| self.rounded(at));
        let writes = self.flows.iter().filter(|flow| matches!(flow.source, Source::Steady(..)));
        let write = writes.map(|flow| flow.next_write).min();
        [arrival, timers, write].into_iter().flatten().min()
    }

    /// When a timer for `at` expires.
    fn rounded(&self, at: Instant) -> Instant {
        let grain = self.path.timers.as_nanos().max(1);
        let nanos = at.since_origin().as_nanos().div_ceil(grain) * grain;
        Instant::from_origin(Duration::from_nanos(nanos as u64))
    }

    fn advance(&mut self) {
        for host in &mut self.hosts {
            let due = host.next_timeout().is_some_and(|at| at <= self.now);
            let on_the_grain = {
                let grain = self.path.timers.as_nanos().max(1);
                self.now.since_origin().as_nanos().is_multiple_of(grain)
            };
            if due && on_the_grain {
                host.handle_timeout(self.now);
                self.wake_ups += 1;
            }
        }
        while let Some(Reverse((at, number, to))) = self.arrivals.peek().copied()
            && at <= self.now
        {
            self.arrivals.pop();
            let packet = self.packets.remove(&number).expect("it is under way");
            self.hosts[to].receive(self.now, &packet, &mut self.wires[to]);
            self.hosts[to].transmit(self.now, &mut self.wires[to]);
        }
    }

    /// Lets applications write and read, and hosts send.
    fn run_until_idle(&mut self) {
        for index in 0..self.flows.len() {
            self.serve(index);
        }
        for from in [0, 1] {
            while self.hosts[from].poll_event().is_some() {}
            self.hosts[from].transmit(self.now, &mut self.wires[from]);
            for packet in core::mem::take(&mut self.wires[from].0) {
                self.carry(from, packet);
            }
        }
    }

    fn serve(&mut self, index: usize) {
        let flow = &mut self.flows[index];
        let options = Options {
            receive_buffer: BUFFER,
            send_buffer: BUFFER,
            congestion: Some(flow.algorithm),
            ..Options::default()
        };
        let client = *flow.client.get_or_insert_with(|| {
            let [local, remote] =
                [SocketAddr::new(ADDRESSES[0], 5000 + index as u16), SocketAddr::new(ADDRESSES[1], PORT)];
            let attempt = Attempt::new(Owner::HOST, local, remote, Duration::from_secs(30));
            self.hosts[0].connect(&attempt, options, self.now).expect("a free port")
        });
        match flow.source {
            Source::Greedy => while let Ok(1..) = self.hosts[0].write(client, &self.buffer[..256 * 1024], self.now) {},
            Source::None => {}
            Source::Steady(bytes, pause) => {
                if self.now >= flow.next_write {
                    flow.next_write = self.now + pause;
                    let _all_or_part = self.hosts[0].write(client, &self.buffer[..bytes], self.now);
                }
            }
        }
        if let Some(accepted) = self.hosts[1].accept(self.listener) {
            let index = usize::from(accepted.remote.port() - 5000);
            self.flows[index].server = Some(accepted.id);
        }
        if let Some(server) = self.flows[index].server {
            while let Ok(count @ 1..) = self.hosts[1].read(server, &mut self.buffer, self.now) {
                self.flows[index].read += count as u64;
            }
        }
    }

    fn carry(&mut self, from: usize, packet: Vec<u8>) {
        let half = self.path.rtt / 2;
        let mut leaves = self.now;
        if from == 0 {
            let waiting = (u128::from(self.path.rate) * (self.idle_at - self.now).as_nanos() / 1_000_000_000) as u64;
            self.tally.packets += 1;
            self.tally.waiting += waiting;
            self.tally.most = self.tally.most.max(waiting);
            if waiting + packet.len() as u64 > self.path.queue {
                self.tally.dropped += 1;
                return;
            }
            leaves =
                self.idle_at.max(self.now) + Duration::from_nanos(packet.len() as u64 * 1_000_000_000 / self.path.rate);
            self.idle_at = leaves;
            if self.dice() % 10_000 < self.path.loss {
                return;
            }
        }
        self.carried += 1;
        self.packets.insert(self.carried, packet);
        self.arrivals.push(Reverse((leaves + half, self.carried, 1 - from)));
    }

    fn dice(&mut self) -> u64 {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.chance >> 33
    }
}
