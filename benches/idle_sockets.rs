//! What a packet costs beside idle sockets, and beside connections that wait: our stack, and raw smoltcp in the same run.
//!
//! smoltcp looks at every socket for every packet; our stack looks one up. Criterion reports each case with its
//! confidence interval and its change since the last run. Tables at the end set the cases against one another; for
//! them all are measured again, in short turns, so that what disturbs the machine disturbs all alike.

use core::time::Duration;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use xila_network_benches::link::Segments;
use xila_network_benches::report::{Table, gigabits, quantile};
use xila_network_benches::{ours, raw};

const COUNTS: [usize; 4] = [0, 1_000, 10_000, 100_000];
/// Bytes of one iteration; fewer where raw smoltcp would take a tenth of a second for them.
const BYTES: usize = 1 << 20;
const BYTES_SLOW: usize = 64 << 10;
/// Connections whose memory is looked at.
const MANY: usize = 10_000;
/// The payload of a datagram.
const DATAGRAM: usize = 64;
/// Datagrams that are sent, and received, by one call.
const ROW: usize = 32;
/// The turns that each case of a table takes, and how long one is at least: less than what the scheduler of a busy
/// machine gives to one thread at once, so that many turns are undisturbed.
const TURNS: usize = 151;
const TURN: Duration = Duration::from_millis(2);

/// Something to be measured beside a number of idle sockets.
struct Subject {
    name: &'static str,
    /// The largest of the [`COUNTS`] that it is measured beside.
    most: usize,
    /// Makes the idle sockets and the busy ones, and what uses these once.
    prepare: fn(usize) -> Work,
    /// The bytes or datagrams of one use.
    units: fn(usize) -> usize,
}

type Work = Box<dyn FnMut()>;

/// The last of each is raw smoltcp, and the first is what is set against it.
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

/// The frames that every station of an Ethernet hears are not to cost more the more there is that waits.
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
    // Before anything else has left memory behind.
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
    // A group that a filter cut, or a mode that only lists or tests, gets no table.
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

/// Prints what idle connections hold of this process's memory. Nothing is as good as the real thing: the pages that are there.
fn memory() {
    let Some(before) = resident() else { return println!("memory: skipped, as this system has no /proc/self/statm") };
    let mut table = Table::new(&["10,000 idle connections:", "bytes each, both ends"]);
    for (name, spoken) in [("that carried nothing yet", false), ("that carried 64 bytes each way", true)] {
        let before = resident().unwrap_or(before);
        let held = ours::IdleConnections::new(MANY, spoken).expect("the sockets are made");
        let bytes = resident().unwrap_or(before).saturating_sub(before);
        table.row([name.into(), format!("{}", bytes / MANY)]);
        // The next ones are not to lie in what these leave behind.
        std::mem::forget(held);
    }
    table.print("Resident memory of an established, idle connection");
}

/// Bytes of memory that this process has in use (proc_pid_statm(5)).
fn resident() -> Option<usize> {
    const PAGE: usize = 4096;
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    pages.split_whitespace().nth(1)?.parse::<usize>().ok().map(|pages| pages * PAGE)
}

/// Has criterion measure the cases of a group; whether it measured them all.
fn group(criterion: &mut Criterion, name: &str, subjects: &[Subject], throughput: fn(usize) -> Throughput) -> bool {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    let mut complete = true;
    for subject in subjects {
        for count in COUNTS.into_iter().filter(|count| *count <= subject.most) {
            group.throughput(throughput((subject.units)(count)));
            // Prepared once for all of criterion's calls, and not at all where a filter leaves the case out.
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

/// Measures the cases of a group in turns and prints a line for each subject, then, where there is somebody else's, by how
/// much ours is the better.
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

/// The cost of one unit of each case, in seconds: the lower quartile over its turns, as what disturbs a turn only adds.
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
            // Each round begins with another case, so that none falls into step with what else runs.
            let index = (index + round) % cases.len();
            let (units, work) = &mut cases[index];
            // The caches are the last case's.
            work();
            samples[index].push(turn(work) / *units as f64);
        }
    }
    let costs: Vec<f64> = samples.iter().filter_map(|samples| quantile(samples, 0.25)).collect();
    let mut costs = costs.into_iter();
    subjects.iter().map(|subject| costs.by_ref().take(counts(subject)).collect()).collect()
}

/// Uses some sockets for a while; seconds per use.
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

/// A number with three digits that count.
fn significant(number: f64) -> String {
    let decimals = if number > 0.0 { (2.0 - number.log10().floor()).clamp(0.0, 4.0) as usize } else { 0 };
    format!("{number:.decimals$}")
}
