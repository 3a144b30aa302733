//! What a packet costs beside idle sockets: our stack, and raw smoltcp in the same run.
//!
//! smoltcp looks at every socket for every packet; our stack looks one up. Criterion reports each case with its
//! confidence interval and its change since the last run. Two tables at the end set the cases against one another; for
//! them all are measured again, in short turns, so that what disturbs the machine disturbs all alike.

use core::time::Duration;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use xila_network_benches::report::{Table, gigabits, quantile};
use xila_network_benches::{ours, raw};

const COUNTS: [usize; 3] = [0, 1_000, 10_000];
/// Bytes of one iteration; fewer where raw smoltcp would take a tenth of a second for them.
const BYTES: usize = 1 << 20;
const BYTES_SLOW: usize = 64 << 10;
/// The payload of a datagram.
const DATAGRAM: usize = 64;
/// The turns that each case of a table takes, and how long one is at least: less than what the scheduler of a busy
/// machine gives to one thread at once, so that many turns are undisturbed.
const TURNS: usize = 151;
const TURN: Duration = Duration::from_millis(2);

/// Something to be measured beside a number of idle sockets.
struct Subject {
    name: &'static str,
    /// Makes the idle sockets and the busy ones, and what uses these once.
    prepare: fn(usize) -> Work,
    /// The bytes or datagrams of one use.
    units: fn(usize) -> usize,
}

type Work = Box<dyn FnMut()>;

/// The last of each is raw smoltcp.
const TCP: [Subject; 4] = [
    Subject { name: "ours, idle listeners", prepare: |count| bulk(ours::Idle::Listeners, count), units: |_| BYTES },
    Subject { name: "ours, idle connections", prepare: |count| bulk(ours::Idle::Connections, count), units: |_| BYTES },
    Subject { name: "ours, idle UDP sockets", prepare: |count| bulk(ours::Idle::UdpSockets, count), units: |_| BYTES },
    Subject { name: "raw smoltcp, idle listeners", prepare: raw_bulk, units: raw_bytes },
];
const UDP: [Subject; 3] = [
    Subject { name: "ours, idle UDP sockets", prepare: |count| datagrams(ours::Idle::UdpSockets, count), units: |_| 1 },
    Subject {
        name: "ours, idle connections",
        prepare: |count| datagrams(ours::Idle::Connections, count),
        units: |_| 1,
    },
    Subject { name: "raw smoltcp, idle UDP sockets", prepare: raw_datagrams, units: |_| 1 },
];

fn bulk(idle: ours::Idle, count: usize) -> Work {
    let mut bulk = ours::Bulk::new(idle, count).expect("the sockets are made");
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
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
        .without_plots()
        .configure_from_args();
    let tcp = group(&mut criterion, "tcp_mtu_1500", &TCP, |units| Throughput::Bytes(units as u64));
    let udp = group(&mut criterion, "udp_64_bytes", &UDP, |units| Throughput::Elements(units as u64));
    criterion.final_summary();
    // A group that a filter cut, or a mode that only lists or tests, gets no table.
    if tcp {
        let rate = |cost: f64| gigabits(cost.recip());
        table("TCP bulk at MTU 1500, one connection: Gb/s, more is better", &TCP, rate, |ours, raw| ours / raw);
    }
    if udp {
        let time = |cost| cost * 1e6;
        table("UDP one way, datagrams of 64 bytes: us each, less is better", &UDP, time, |ours, raw| raw / ours);
    }
}

/// Has criterion measure the cases of a group; whether it measured them all.
fn group(criterion: &mut Criterion, name: &str, subjects: &[Subject], throughput: fn(usize) -> Throughput) -> bool {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    let mut complete = true;
    for subject in subjects {
        for count in COUNTS {
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

/// Measures the cases of a group in turns and prints a line for each subject, then by how much ours is the better.
fn table(title: &str, subjects: &[Subject], show: fn(f64) -> f64, gain: fn(f64, f64) -> f64) {
    let costs = costs(subjects);
    let mut table = Table::new(&["beside idle sockets:", "0", "1,000", "10,000", "10,000 : 0"]);
    for (subject, costs) in subjects.iter().zip(&costs) {
        let shown: Vec<f64> = costs.iter().map(|cost| show(*cost)).collect();
        let figures = shown.iter().map(|figure| significant(*figure));
        let flatness = shown[shown.len() - 1] / shown[0];
        table.row([subject.name.into()].into_iter().chain(figures).chain([significant(flatness)]));
    }
    let (ours, raw) = (&costs[0], &costs[costs.len() - 1]);
    let gains = ours.iter().zip(raw).map(|(ours, raw)| format!("{}x", significant(gain(show(*ours), show(*raw)))));
    table.row(["ours against raw smoltcp".into()].into_iter().chain(gains).chain([String::new()]));
    table.print(title);
}

/// The cost of one unit of each case, in seconds: the lower quartile over its turns, as what disturbs a turn only adds.
fn costs(subjects: &[Subject]) -> Vec<Vec<f64>> {
    let cases = subjects.iter().flat_map(|subject| COUNTS.map(|count| (subject, count)));
    let mut cases: Vec<(usize, Work)> =
        cases.map(|(subject, count)| ((subject.units)(count), (subject.prepare)(count))).collect();
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
    costs.chunks(COUNTS.len()).map(<[f64]>::to_vec).collect()
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
