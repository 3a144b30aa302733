//! The runs of a row: one of ours and one of the kernel's for each loss pattern.

use core::time::Duration;
use std::path::PathBuf;
use std::{io, thread};

use super::endpoint::{Kind, Settings};
use super::measure::{Link, Run};
use super::options::Options;
use super::rows::{Row, What};
use crate::report::quantile;

/// The time of a run of goodput.
const TIME: Duration = Duration::from_secs(10);
/// The time of a run of two connections that share a link: CUBIC's windows take about six seconds from one loss to the
/// next there, and several losses to converge.
const SHARING: Duration = Duration::from_secs(60);
/// The time of either kind of run with `--quick`.
const QUICK: Duration = Duration::from_secs(3);
/// The time limit of the fetches of a run.
const LIMIT: Duration = Duration::from_secs(45);

/// The results of one loss pattern.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The figures of our stack.
    pub ours: Vec<f64>,
    /// The figures of the kernel.
    pub kernel: Vec<f64>,
    /// The number of frames that the links delivered.
    pub frames: u64,
    /// How many of them were delivered more than a millisecond late.
    pub late: u64,
}

/// Measures a row.
///
/// # Errors
/// If the links cannot be made.
pub fn measure(row: &Row, options: &Options) -> io::Result<Vec<Pair>> {
    let rounds = if options.quick { 1 } else { row.rounds };
    let mut pairs = Vec::new();
    for round in 0..rounds {
        match row.beside {
            None => pairs.push(in_turn(row, options, round)?),
            Some(beside) => {
                let seeds = round * beside..(round + 1) * beside;
                let started = thread::scope(|scope| {
                    let pairs: Vec<_> = seeds.map(|seed| scope.spawn(move || at_once(row, options, seed))).collect();
                    pairs.into_iter().map(|pair| pair.join().expect("no run panics")).collect::<io::Result<Vec<_>>>()
                });
                pairs.extend(started?);
            }
        }
    }
    Ok(pairs)
}

/// Runs ours and the kernel's one after another; in odd rounds the kernel's first.
fn in_turn(row: &Row, options: &Options, round: usize) -> io::Result<Pair> {
    let run = |kind| run(row, options, round, kind);
    if round.is_multiple_of(2) {
        let ours = run(Kind::Ours)?;
        return Ok(pair(ours, run(Kind::Kernel)?));
    }
    let kernel = run(Kind::Kernel)?;
    Ok(pair(run(Kind::Ours)?, kernel))
}

/// Runs ours and the kernel's at the same time.
fn at_once(row: &Row, options: &Options, seed: usize) -> io::Result<Pair> {
    if matches!(row.what, What::Share) {
        let mut ours = run(row, options, seed, Kind::Ours)?;
        let kernel = Run { figures: ours.figures.split_off(1), failures: Vec::new(), counts: Default::default() };
        return Ok(pair(ours, kernel));
    }
    thread::scope(|scope| {
        let ours = scope.spawn(|| run(row, options, seed, Kind::Ours));
        let kernel = run(row, options, seed, Kind::Kernel)?;
        Ok(pair(ours.join().expect("no run panics")?, kernel))
    })
}

fn pair(ours: Run, kernel: Run) -> Pair {
    let counts = || ours.counts.iter().chain(&kernel.counts);
    let (frames, late) = (counts().map(|counts| counts.delivered).sum(), counts().map(|counts| counts.late).sum());
    Pair { frames, late, ours: ours.figures, kernel: kernel.figures }
}

/// One run, in which the measured end is ours or the kernel's.
fn run(row: &Row, options: &Options, seed: usize, kind: Kind) -> io::Result<Run> {
    let called = match kind {
        Kind::Ours => "ours",
        Kind::Kernel => "kernel",
    };
    let kind = if options.self_check { Kind::Kernel } else { kind };
    let name = row.name();
    let capture = options.pcap.as_ref().map(|prefix| {
        let name: String = name.chars().map(|it| if it.is_alphanumeric() || it == '.' { it } else { '-' }).collect();
        let mut path = prefix.clone().into_os_string();
        path.push(format!("-{name}-{seed}-{called}.pcap"));
        PathBuf::from(path)
    });
    let settings = Settings { buffer: options.buffer, congestion: row.congestion };
    let link = Link { conditions: row.conditions, seed: seed as u64, capture: capture.as_deref(), settings };
    let time = |time| if options.quick { QUICK } else { time };
    let run = match row.what {
        What::Goodput => link.goodput(kind, Kind::Kernel, time(TIME)),
        What::Receiving => link.goodput(Kind::Kernel, kind, time(TIME)),
        What::Share => link.share([kind, Kind::Kernel], time(SHARING)),
        What::Fetch { bytes, count, at_once } => {
            let count = if options.quick { count / 4 } else { count };
            link.fetch(kind, bytes, count, at_once, LIMIT)
        }
    }?;
    for failure in &run.failures {
        eprintln!("{name}, pattern {seed}, {called}: {failure}");
    }
    if options.verbose {
        // Many fetches are reduced to a few quantiles; goodput has one or two figures.
        let figures: Vec<f64> = match row.what {
            What::Fetch { .. } => {
                [0.0, 0.25, 0.5, 0.75, 0.95, 1.0].iter().filter_map(|q| quantile(&run.figures, *q)).collect()
            }
            What::Goodput | What::Receiving | What::Share => run.figures.clone(),
        };
        let figures: Vec<String> = figures.into_iter().map(|figure| shown(row.what, figure)).collect();
        let [sent, returned] = &run.counts;
        eprintln!("{name}, pattern {seed}, {called}: {}\n  {sent:?}\n  {returned:?}", figures.join(" "));
    }
    Ok(run)
}

/// A figure in the unit of the tables: megabits per second, or milliseconds.
#[must_use]
pub fn shown(what: What, figure: f64) -> String {
    let figure = match what {
        What::Goodput | What::Receiving | What::Share => figure / 1e6,
        What::Fetch { .. } => figure,
    };
    let digits = if figure < 10.0 { 2 } else { usize::from(figure < 1000.0) };
    format!("{figure:.digits$}")
}
