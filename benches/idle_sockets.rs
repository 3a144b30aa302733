//! The cost of a packet beside idle sockets, and beside connections that wait: for our stack, and for raw smoltcp in
//! the same run.
//!
//! smoltcp looks at every socket for every packet; our stack looks the socket up. Criterion reports each case with its
//! confidence interval and its change since the last run. Tables at the end compare the cases with each other; for the
//! tables all cases are measured again, in short turns, so that a load of the machine affects all of them equally.

use core::time::Duration;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use xila_network_benches::link::Segments;
use xila_network_benches::report::{Table, gigabits, quantile};
use xila_network_benches::{ours, raw};

const COUNTS: [usize; 4] = [0, 1_000, 10_000, 100_000];
/// Bytes of one iteration.
const BYTES: usize = 1 << 20;
/// Bytes of one iteration for cases in which raw smoltcp would take a tenth of a second for [`BYTES`].
const BYTES_SLOW: usize = 64 << 10;
/// Connections whose memory is measured.
const MANY: usize = 10_000;
/// The payload of a datagram.
const DATAGRAM: usize = 64;
/// Datagrams that are sent by one call, and received by one call.
const ROW: usize = 32;
/// The number of turns of each case of a table.
const TURNS: usize = 151;
/// The minimum length of a turn: shorter than the time slice that the scheduler of a busy machine gives to one thread,
/// so that many turns are undisturbed.
const TURN: Duration = Duration::from_millis(2);

/// An operation that is measured beside a number of idle sockets.
struct Subject {
    name: &'static str,
    /// The largest of the [`COUNTS`] with which it is measured.
    most: usize,
    /// Makes the idle and the busy sockets, and returns a function that uses the busy ones once.
    prepare: fn(usize) -> Work,
    /// The number of bytes or datagrams of one use.
    units: fn(usize) -> usize,
}

type Work = Box<dyn FnMut()>;

/// The last subject of each group is raw smoltcp; the first is compared with it.
const TCP: [Subject; 5] = [
    Subject {
        name: "ours, idle connections",
        most: 100_000,
        prepare: |count| bulk(ours::Idle::Connections, count, Segments::Together),
        units: |_| BYTES,
    },
    Subject {
        name: "ours, idle listeners",
        most: 10_000,
        prepare: |count| bulk(ours::Idle::Listeners, count, Segments::Together),
        units: |_| BYTES,
    },
    Subject {
        name: "ours, idle UDP sockets",
        most: 100_000,
        prepare: |count| bulk(ours::Idle::UdpSockets, count, Segments::Together),
        units: |_| BYTES,
    },
    Subject {
        name: "ours, idle connections, a frame for each segment",
        most: 100_000,
        prepare: |count| bulk(ours::Idle::Connections, count, Segments::Single),
        units: |_| BYTES,
    },
    Subject { name: "raw smoltcp, idle listeners", most: 10_000, prepare: raw_bulk, units: raw_bytes },
];
const UDP: [Subject; 4] = [
    Subject {
        name: "ours, idle connections",
        most: 100_000,
        prepare: |count| datagrams(ours::Idle::Connections, count),
        units: |_| 1,
    },
    Subject {
        name: "ours, idle UDP sockets",
        most: 100_000,
        prepare: |count| datagrams(ours::Idle::UdpSockets, count),
        units: |_| 1,
    },
    Subject {
        name: "ours, idle UDP sockets, in rows of 32",
        most: 100_000,
        prepare: |count| {
            let mut rows = ours::Rows::new(ours::Idle::UdpSockets, count, DATAGRAM, ROW).expect("the sockets are made");
            Box::new(move || rows.carry().expect("they arrive"))
        },
        units: |_| ROW,
    },
    Subject { name: "raw smoltcp, idle UDP sockets", most: 10_000, prepare: raw_datagrams, units: |_| 1 },
];

/// Broadcast frames, which every station of an Ethernet receives. Their cost should not grow with the number of waiting
/// connections.
const ARP: [Subject; 1] = [Subject {
    name: "ours, connections to nobody",
    most: 10_000,
    prepare: |count| {
        let mut strangers = ours::Strangers::new(count).expect("the connections are begun");
        Box::new(move || strangers.ask().expect("the link takes a frame"))
    },
    units: |_| 1,
}];

fn bulk(idle: ours::Idle, count: usize, segments: Segments) -> Work {
    let mut bulk = ours::Bulk::new(idle, count, segments).expect("the sockets are made");
    Box::new(move || bulk.carry(BYTES).expect("the connection is open"))
}

fn raw_bytes(count: usize) -> usize {
    if count < 1_000 { BYTES } else { BYTES_SLOW }
}

fn raw_bulk(count: usize) -> Work {
    let mut bulk = raw::Bulk::new(raw::Idle::Listeners, count);
    Box::new(move || bulk.carry(raw_bytes(count)))
}

fn datagrams(idle: ours::Idle, count: usize) -> Work {
    let mut datagrams = ours::Datagrams::new(idle, count, DATAGRAM).expect("the sockets are made");
    Box::new(move || datagrams.carry().expect("the datagram arrives"))
}

fn raw_datagrams(count: usize) -> Work {
    let mut datagrams = raw::Datagrams::new(count, DATAGRAM);
    Box::new(move || datagrams.carry())
}

fn main() {
    // Before anything else has allocated and freed memory.
    memory();
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .without_plots()
        .configure_from_args();
    let tcp = group(&mut criterion, "tcp_mtu_1500", &TCP, |units| Throughput::Bytes(units as u64));
    let udp = group(&mut criterion, "udp_64_bytes", &UDP, |units| Throughput::Elements(units as u64));
    let arp = group(&mut criterion, "arp_of_strangers", &ARP, |units| Throughput::Elements(units as u64));
    criterion.final_summary();
    // There is no table for a group that a filter cut, or in a mode that only lists or tests.
    if tcp {
        let rate = |cost: f64| gigabits(cost.recip());
        table("TCP bulk at MTU 1500, one connection: Gb/s, more is better", &TCP, rate, Some(|ours, raw| ours / raw));
    }
    let time = |cost| cost * 1e6;
    if udp {
        table("UDP one way, datagrams of 64 bytes: us each, less is better", &UDP, time, Some(|ours, raw| raw / ours));
    }
    if arp {
        table("A stranger's ARP request for another: us each, less is better", &ARP, time, None);
    }
}

/// Prints how much of this process's memory idle connections hold. The resident pages are the only reliable measure.
fn memory() {
    let Some(before) = resident() else { return println!("memory: skipped, as this system has no /proc/self/statm") };
    let mut table = Table::new(&["10,000 idle connections:", "bytes each, both ends"]);
    for (name, spoken) in [("that carried nothing yet", false), ("that carried 64 bytes each way", true)] {
        let before = resident().unwrap_or(before);
        let held = ours::IdleConnections::new(MANY, spoken).expect("the sockets are made");
        let bytes = resident().unwrap_or(before).saturating_sub(before);
        table.row([name.into(), format!("{}", bytes / MANY)]);
        // The next connections must not reuse the memory of these.
        std::mem::forget(held);
    }
    table.print("Resident memory of an established, idle connection");
}

/// Bytes of resident memory of this process (proc_pid_statm(5)).
fn resident() -> Option<usize> {
    const PAGE: usize = 4096;
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    pages.split_whitespace().nth(1)?.parse::<usize>().ok().map(|pages| pages * PAGE)
}

/// Measures the cases of a group with criterion; returns whether it measured all of them.
fn group(criterion: &mut Criterion, name: &str, subjects: &[Subject], throughput: fn(usize) -> Throughput) -> bool {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    let mut complete = true;
    for subject in subjects {
        for count in COUNTS.into_iter().filter(|count| *count <= subject.most) {
            group.throughput(throughput((subject.units)(count)));
            // Prepared once for all of criterion's calls, and not at all if a filter excludes the case.
            let mut prepared = None;
            let mut calls = 0;
            group.bench_function(BenchmarkId::new(subject.name, count), |bencher| {
                calls += 1;
                let work = prepared.get_or_insert_with(|| (subject.prepare)(count));
                bencher.iter(work);
            });
            complete &= calls > 1;
        }
    }
    group.finish();
    complete
}

/// Measures the cases of a group in turns and prints a line for each subject. If the group has a subject of another
/// stack, also prints by which factor ours is better.
fn table(title: &str, subjects: &[Subject], show: fn(f64) -> f64, gain: Option<fn(f64, f64) -> f64>) {
    let costs = costs(subjects);
    let mut table = Table::new(&["beside so many:", "0", "1,000", "10,000", "100,000", "most : 0"]);
    for (subject, costs) in subjects.iter().zip(&costs) {
        let shown: Vec<f64> = costs.iter().map(|cost| show(*cost)).collect();
        let figures = (0..COUNTS.len()).map(|at| shown.get(at).map_or(String::new(), |figure| significant(*figure)));
        let flatness = shown[shown.len() - 1] / shown[0];
        table.row([subject.name.into()].into_iter().chain(figures).chain([significant(flatness)]));
    }
    if let Some(gain) = gain {
        let (ours, raw) = (&costs[0], &costs[costs.len() - 1]);
        let gains = ours.iter().zip(raw).map(|(ours, raw)| format!("{}x", significant(gain(show(*ours), show(*raw)))));
        let blank = [String::new(), String::new()];
        table.row(["the first against the last".into()].into_iter().chain(gains).chain(blank));
    }
    table.print(title);
}

/// The cost of one unit of each case, in seconds: the lower quartile over its turns, because disturbances only add
/// time.
fn costs(subjects: &[Subject]) -> Vec<Vec<f64>> {
    let counts = |subject: &Subject| COUNTS.into_iter().filter(|count| *count <= subject.most).count();
    let mut cases: Vec<(usize, Work)> = Vec::new();
    for subject in subjects {
        let prepared =
            COUNTS[..counts(subject)].iter().map(|count| ((subject.units)(*count), (subject.prepare)(*count)));
        cases.extend(prepared);
    }
    let mut samples = vec![Vec::with_capacity(TURNS); cases.len()];
    for round in 0..TURNS {
        for index in 0..cases.len() {
            // Each round begins with another case, so that no case is always measured at the same time as other work.
            let index = (index + round) % cases.len();
            let (units, work) = &mut cases[index];
            // Warm up: the caches hold the data of the previous case.
            work();
            samples[index].push(turn(work) / *units as f64);
        }
    }
    let costs: Vec<f64> = samples.iter().filter_map(|samples| quantile(samples, 0.25)).collect();
    let mut costs = costs.into_iter();
    subjects.iter().map(|subject| costs.by_ref().take(counts(subject)).collect()).collect()
}

/// Uses some sockets for one turn; returns the seconds per use.
fn turn(work: &mut Work) -> f64 {
    let start = Instant::now();
    let mut uses = 0;
    let mut batch = 1;
    loop {
        (0..batch).for_each(|_| work());
        uses += batch;
        let elapsed = start.elapsed();
        if elapsed >= TURN {
            return elapsed.as_secs_f64() / f64::from(uses);
        }
        batch = uses;
    }
}

/// A number with three significant digits.
fn significant(number: f64) -> String {
    let decimals = if number > 0.0 { (2.0 - number.log10().floor()).clamp(0.0, 4.0) as usize } else { 0 };
    format!("{number:.decimals$}")
}
