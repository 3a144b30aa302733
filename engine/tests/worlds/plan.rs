//! The plan of a world, generated from one seed: its link, its hosts, and the actions of the owners of connections.

use core::time::Duration;
use std::collections::VecDeque;

use xila_network_engine::tcp::{Algorithm, EcnUse, KeepAlive, Options};
use xila_network_engine::time::Instant;
use xila_network_engine::wire::HopLimit;

use super::Dice;
use super::link::Conditions;

/// A step of the owner of one half of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Writes this many bytes, in pieces of at most this size.
    Write(usize, usize),
    /// Reads this many bytes, in pieces of at most this size.
    Read(usize, usize),
    ReadToEnd(usize),
    Peek(usize),
    Pause(Duration),
    ShutdownWrite,
    ShutdownRead,
    /// Waits until everything was acknowledged, including the FIN if it was sent.
    Flush(bool),
    ReceiveBuffer(usize),
    SendBuffer(usize),
    NoDelay(bool),
    Abort,
    Release,
}

/// The actions at one end of a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    pub(crate) writer: VecDeque<Step>,
    pub(crate) reader: VecDeque<Step>,
}

/// How a connection is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// The host with this number connects, and the other one accepts.
    By(usize),
    /// As `By`, from a fixed port, this many times in a row.
    Again(usize, u32),
    /// Both hosts connect (simultaneous open).
    Simultaneous,
}

#[derive(Clone, Debug)]
pub(crate) struct ConnectionPlan {
    pub(crate) opening: Opening,
    pub(crate) begins: Instant,
    /// The scripts, by host.
    pub(crate) scripts: [Script; 2],
    pub(crate) options: [Options; 2],
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) v6: bool,
    pub(crate) conditions: [Conditions; 2],
    pub(crate) mtu: [usize; 2],
    /// The longest packet that a device splits into segments; 0 for a device that does not.
    pub(crate) longest: usize,
    /// When the path MTU shrinks, and to what.
    pub(crate) narrows: Option<(Instant, usize)>,
    pub(crate) lossless: bool,
    pub(crate) checksums: bool,
    pub(crate) full: u32,
    pub(crate) unresolved: Duration,
    pub(crate) quantum: Option<usize>,
    pub(crate) backlog: usize,
    pub(crate) most_half_open: usize,
    /// The memory limit of each host.
    pub(crate) most_bytes: usize,
    /// How long a connection waits to be accepted.
    pub(crate) accept_pause: Duration,
    /// The options of accepted connections, by host.
    pub(crate) listening: [Options; 2],
    pub(crate) connections: Vec<ConnectionPlan>,
    /// Whether every connection is used to its end by both owners, so that everything must arrive.
    pub(crate) orderly: bool,
    /// Whether so much may be lost that a handshake fails, or that one end forgets it.
    pub(crate) fragile: bool,
}

/// More memory than any world needs.
pub(crate) const PLENTY: usize = 1 << 30;

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let kind = dice.below(8);
        let mtu = mtus(&mut dice);
        let mut conditions = [0, 1].map(|_| conditions(&mut dice, kind, mtu[0].max(mtu[1])));
        if dice.chance(5000) {
            conditions[1] = conditions[0].clone();
        }
        let faithful = conditions.iter().all(Conditions::is_faithful);
        let lossless = faithful && dice.chance(3000);
        let harsh = conditions.iter().any(|one| one.loss + one.damages > 300 || one.blackout.is_some());
        let orderly = dice.chance(7500);
        let most_half_open = if dice.chance(1500) { dice.below(3) as usize } else { 1024 };
        let slowest = conditions.iter().filter_map(|one| one.rate).map(|(rate, _)| rate).min().unwrap_or(u64::MAX);
        let round = conditions.iter().map(|one| one.delay + one.jitter).sum();
        let count = dice.between(1, 4);
        let listening = [options(&mut dice), options(&mut dice)];
        let budget = Budget { slowest, round, harsh, orderly, listening: listening.clone() };
        let connections = (0..count).map(|_| connection(&mut dice, &budget)).collect();
        Self {
            seed,
            v6: dice.chance(5000),
            mtu,
            narrows: dice.chance(500).then(|| (at(dice.below(3000)), dice.between(1280, 1500) as usize)),
            lossless,
            checksums: conditions.iter().any(|one| one.damages > 0) || !lossless,
            conditions,
            full: if dice.chance(3000) { dice.magnitude(10, 5000) as u32 } else { 0 },
            unresolved: if dice.chance(1500) { millis(dice.below(4000)) } else { Duration::ZERO },
            quantum: dice.chance(5000).then(|| dice.magnitude(1, 200_000) as usize),
            backlog: if dice.chance(2000) { dice.between(1, 3) as usize } else { 128 },
            most_half_open,
            longest: dice.pick(&[0, 65_535]),
            most_bytes: if dice.chance(1500) { dice.magnitude(100_000, 1 << 20) as usize } else { PLENTY },
            listening,
            accept_pause: if dice.chance(2000) { millis(dice.below(3000)) } else { Duration::ZERO },
            connections,
            orderly,
            // A lost or late acknowledgement ends a handshake that exists only in a SYN cookie.
            fragile: harsh || (most_half_open < 1024 && !faithful),
        }
        .mark_fragile()
    }

    /// Marks the world as fragile if handshakes may fail. A handshake that exists only in a SYN cookie depends on one
    /// acknowledgement, which the device or a full backlog may drop.
    fn mark_fragile(mut self) -> Self {
        let sure = self.full == 0 && self.backlog == 128 && self.unresolved.is_zero();
        self.fragile |= self.most_half_open < 1024 && !sure;
        // If other connections use all memory for a minute, a handshake fails.
        self.fragile |= self.most_bytes < PLENTY;
        self
    }

    /// The same plan over a link that only delays packets.
    pub(crate) fn over_a_perfect_link(&self) -> Self {
        let conditions = self.conditions.clone().map(|one| Conditions { delay: one.delay, ..Conditions::default() });
        let most_bytes = PLENTY;
        Self { conditions, full: 0, unresolved: Duration::ZERO, fragile: false, most_bytes, ..self.clone() }
    }
}

fn at(count: u64) -> Instant {
    Instant::ORIGIN + millis(count)
}

fn mtus(dice: &mut Dice) -> [usize; 2] {
    let mut one = || match dice.below(6) {
        0 => 1280,
        1 => 65_535,
        2 => 9000,
        3 => dice.magnitude(1280, 65_535) as usize,
        _ => 1500,
    };
    let first = one();
    let second = one();
    if dice.chance(7000) { [first; 2] } else { [first, second] }
}

fn conditions(dice: &mut Dice, kind: u64, mtu: usize) -> Conditions {
    let perfect = Conditions { delay: Duration::from_micros(dice.magnitude(1, 150_000)), ..Conditions::default() };
    if kind < 2 {
        return perfect;
    }
    let mut some = |most: u64| if dice.chance(4000) { dice.magnitude(1, most) as u32 } else { 0 };
    let (loss, duplicates, damages) = match kind {
        2 | 3 => (some(100), some(100), some(100)),
        4 | 5 => (some(300), some(2000), some(100)),
        _ => (some(2500), some(2000), some(1000)),
    };
    let jitters = dice.chance(4000);
    Conditions {
        jitter: if jitters { Duration::from_micros(dice.magnitude(1, 60_000)) } else { Duration::ZERO },
        reorders: jitters && dice.chance(6000),
        loss,
        duplicates,
        damages,
        rate: dice.chance(3000).then(|| {
            // A queue of seconds, not of minutes.
            let rate = dice.magnitude(20_000.max(4 * mtu as u64), 20_000_000);
            (rate, (mtu * dice.between(2, 60) as usize).min(rate as usize).max(2 * mtu))
        }),
        marks: dice.chance(5000),
        blackout: dice.chance(600).then(|| {
            let start = dice.below(5000);
            (at(start), at(start + dice.between(100, 20_000)))
        }),
        ..perfect
    }
}

/// The limits of bytes and pauses of a connection, so that a world ends in reasonable time.
struct Budget {
    slowest: u64,
    round: Duration,
    harsh: bool,
    orderly: bool,
    listening: [Options; 2],
}

fn connection(dice: &mut Dice, budget: &Budget) -> ConnectionPlan {
    let mut options = [options(dice), options(dice)];
    let opening = match dice.below(10) {
        0 => Opening::Simultaneous,
        1 if budget.orderly && !budget.harsh => Opening::Again(dice.below(2) as usize, dice.between(2, 5) as u32),
        _ => Opening::By(dice.below(2) as usize),
    };
    if let Opening::By(host) | Opening::Again(host, _) = opening {
        options[1 - host] = budget.listening[1 - host].clone();
    }
    let mut bytes = [0, 1].map(|from| {
        let (sends, receives) = (options[from].send_buffer, options[1 - from].receive_buffer);
        // A window is sent in about a round trip plus a delayed acknowledgement. A connection may take about a minute.
        let rounds = 60_000 / (budget.round.as_millis() as u64 + 50);
        let window = sends.min(receives) as u64;
        let most = (window * rounds).min(budget.slowest.saturating_mul(8)).clamp(1, 250_000);
        if dice.chance(1000) { 0 } else { dice.magnitude(1, most) as usize }
    });
    if matches!(opening, Opening::Again(..)) {
        bytes = bytes.map(|bytes| bytes.min(5000));
    }
    let scripts = [0, 1].map(|host| {
        let pauses = dice.chance(4000);
        let (sends, receives) = (bytes[host], bytes[1 - host]);
        let mut script = Script { writer: writer(dice, sends, pauses), reader: reader(dice, receives, pauses) };
        if !budget.orderly && dice.chance(6000) {
            spoil(dice, &mut script);
        }
        script
    });
    ConnectionPlan { opening, begins: at(dice.below(2000)), scripts, options }
}

fn options(dice: &mut Dice) -> Options {
    let mut buffer = |tiny: u32| match dice.below(10_000) as u32 {
        chance if chance < tiny => dice.magnitude(1, 3000) as usize,
        chance if chance < 5000 => dice.magnitude(3000, 4 << 20) as usize,
        _ => 128 * 1024,
    };
    let (receive_buffer, send_buffer) = (buffer(1500), buffer(1000));
    let some = dice.magnitude(1, 4 << 20) as usize;
    let window_limit = dice.pick(&[0, 4 << 20, some]);
    Options {
        receive_buffer,
        send_buffer,
        window_limit,
        budget: None,
        no_delay: dice.chance(7000),
        keep_alive: dice.chance(2000).then(|| KeepAlive {
            idle: millis(dice.magnitude(500, 60_000)),
            interval: Duration::from_secs(30),
            count: 9,
        }),
        hop_limit: HopLimit::new(dice.between(1, 255) as u8).unwrap_or_default(),
        traffic_class: 0,
        user_timeout: None,
        linger: Duration::from_secs(dice.between(60, 400)),
        congestion: dice.pick(&[None, Some(Algorithm::None), Some(Algorithm::Cubic), Some(Algorithm::Bbr)]),
        ecn: dice.pick(&[EcnUse::Off, EcnUse::Accept, EcnUse::Request, EcnUse::Request]),
        timestamps: dice.chance(8000),
        window_scaling: dice.chance(8500),
        selective: dice.chance(8000),
    }
}

fn pause(dice: &mut Dice) -> Step {
    Step::Pause(Duration::from_micros(dice.magnitude(1, 5_000_000)))
}

fn writer(dice: &mut Dice, bytes: usize, pauses: bool) -> VecDeque<Step> {
    let mut steps = VecDeque::new();
    let mut left = bytes;
    while left > 0 {
        let count = if dice.chance(5000) { left } else { dice.magnitude(1, left as u64) as usize };
        let piece = dice.magnitude((count as u64 / 2000).max(1), 100_000) as usize;
        steps.push_back(Step::Write(count, piece));
        left -= count;
        if pauses && dice.chance(5000) && steps.len() < 20 {
            steps.push_back(pause(dice));
        }
        match dice.below(20) {
            0 => steps.push_back(Step::Flush(false)),
            1 => steps.push_back(Step::SendBuffer(dice.magnitude(500, 1 << 20) as usize)),
            2 => steps.push_back(Step::NoDelay(dice.chance(5000))),
            _ => {}
        }
    }
    steps.extend([Step::ShutdownWrite, Step::Flush(true)]);
    if dice.chance(500) {
        steps.push_back(Step::ShutdownWrite);
    }
    steps
}

fn reader(dice: &mut Dice, bytes: usize, pauses: bool) -> VecDeque<Step> {
    let mut steps = VecDeque::new();
    let mut left = bytes;
    while left > 0 && steps.len() < 30 {
        let count = dice.magnitude(1, left as u64) as usize;
        // Reading byte by byte is only for small counts, because a world has limited time.
        let piece = if dice.chance(2000) {
            1.max(count / 20_000)
        } else {
            dice.magnitude(1.max(count as u64 / 5000), 70_000) as usize
        };
        steps.push_back(Step::Read(count, piece));
        left -= count;
        if pauses && dice.chance(5000) {
            steps.push_back(pause(dice));
        }
        match dice.below(20) {
            0 | 1 => steps.push_back(Step::Peek(dice.magnitude(1, 5000) as usize)),
            2 => steps.push_back(Step::ReceiveBuffer(dice.magnitude(500, 1 << 20) as usize)),
            _ => {}
        }
    }
    steps.push_back(Step::ReadToEnd(dice.magnitude(64, 70_000) as usize));
    steps
}

/// Makes an owner abandon its connection before the end.
fn spoil(dice: &mut Dice, script: &mut Script) {
    let what = dice.pick(&[Step::Abort, Step::Release, Step::ShutdownRead, Step::ShutdownWrite]);
    let steps = if what == Step::ShutdownRead || dice.chance(5000) { &mut script.reader } else { &mut script.writer };
    let place = dice.below(steps.len() as u64 + 1) as usize;
    steps.insert(place, what);
}
