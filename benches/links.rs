//! Compares our TCP with the kernel's CUBIC over the same slow and lossy links: goodput, times of fetches, and the
//! shares of two connections at one bottleneck.
//!
//! All traffic stays in network namespaces that the benchmark makes and that end with it. It needs the privileges for
//! those, and is skipped without them. `just bench --bench links -- --help` lists the options.

use xila_network_benches::apps::Result;

#[cfg(target_os = "linux")]
fn main() -> Result<()> {
    use std::env;

    use xila_network_benches::links::{endpoint, options};

    let words: Vec<String> = env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == endpoint::END) {
        return endpoint::run(&words[1..]);
    }
    if words.iter().any(|word| word == "--help") {
        println!("{}", options::USAGE);
        return Ok(());
    }
    let options = options::Options::parse(words).map_err(|error| format!("{error}\n{}", options::USAGE))?;
    tables::print(&options)
}

#[cfg(not(target_os = "linux"))]
fn main() -> Result<()> {
    println!("links: skipped: it takes Linux");
    Ok(())
}

#[cfg(target_os = "linux")]
mod tables {
    use core::time::Duration;

    use xila_network_benches::apps::Result;
    use xila_network_benches::links::bridge;
    use xila_network_benches::links::endpoint::Congestion;
    use xila_network_benches::links::options::Options;
    use xila_network_benches::links::pairs::{Pair, measure, shown};
    use xila_network_benches::links::rows::{self, Row, What};
    use xila_network_benches::links::way::Conditions;
    use xila_network_benches::links::world::World;
    use xila_network_benches::report::{Table, median, quantile};

    /// Measures the selected rows, and prints a table for each kind of measurement.
    pub(super) fn print(options: &Options) -> Result<()> {
        let mut rows = rows::all();
        rows.retain(|row| options.words.iter().all(|word| row.name().contains(word)));
        if options.list {
            rows.iter().for_each(|row| println!("{}", row.name()));
            return Ok(());
        }
        if rows.is_empty() {
            println!("links: no row has all of these in its name: {}", options.words.join(", "));
            return Ok(());
        }
        let plain = Conditions {
            rate: 1e9,
            queue: 1,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            reordered: 0.0,
        };
        if let Err(error) = World::new(plain, 0, None).and_then(World::finish) {
            println!("links: skipped, as this machine gives no namespaces with TAP devices in them: {error}");
            return Ok(());
        }
        if let Err(error) = bridge::be_on_time() {
            println!("links: other work on this machine disturbs the figures, as it has no less priority: {error}");
        }
        let (mut frames, mut late) = (0, 0);
        for rows in rows.chunk_by(|one, next| one.what.name() == next.what.name()) {
            let ours = if options.self_check { "kernel too" } else { "ours" };
            let mut table = Table::new(&["", ours, "kernel", "ratio", "quartiles", "target"]);
            for row in rows {
                eprintln!("links: {} ...", row.name());
                let pairs = measure(row, options)?;
                frames += pairs.iter().map(|pair| pair.frames).sum::<u64>();
                late += pairs.iter().map(|pair| pair.late).sum::<u64>();
                lines(row, &pairs, options).into_iter().for_each(|line| table.row(line));
            }
            table.print(title(rows[0].what));
        }
        println!("  Of the frames, {:.3} % were over 1 ms late, because the machine was busy.\n", share(late, frames));
        Ok(())
    }

    const fn title(what: What) -> &'static str {
        match what {
            What::Goodput => {
                "Goodput of a sender to the kernel, Mb/s (1 Gb/s, queue of 1,000 frames; medians, ratios by pattern)"
            }
            What::Receiving => "Goodput of the kernel to a receiver, Mb/s (1 Gb/s, queue of 1,000 frames)",
            What::Share => "Two connections at one bottleneck, ours and the kernel's, Mb/s (medians, ratios by run)",
            What::Fetch { .. } => {
                "Fetches by the kernel, from connecting to the last byte, ms (1 Gb/s; ratios: kernel's time to ours)"
            }
        }
    }

    /// The lines of a row: one, or one for each quantile of the fetches.
    fn lines(row: &Row, pairs: &[Pair], options: &Options) -> Vec<Vec<String>> {
        let line = |name: String, q: f64, ratio: fn(f64, f64) -> f64, target: Target| {
            let of = |figures: &[f64]| {
                let figure = if q == 0.5 { median(figures) } else { quantile(figures, q) };
                figure.unwrap_or(f64::NAN)
            };
            let ratios: Vec<f64> = pairs.iter().map(|pair| ratio(of(&pair.ours), of(&pair.kernel))).collect();
            let all = |side: fn(&Pair) -> &[f64]| of(&pairs.iter().flat_map(side).copied().collect::<Vec<_>>());
            let (ours, kernel) = (all(|pair| &pair.ours), all(|pair| &pair.kernel));
            // Fetches are compared by quantiles over many fetches; goodput has one figure for each pattern, and the
            // patterns differ.
            let compared = match row.what {
                What::Fetch { .. } => ratio(ours, kernel),
                What::Goodput | What::Receiving | What::Share => median(&ratios).unwrap_or(f64::NAN),
            };
            let quartile = |q| quantile(&ratios, q).unwrap_or(f64::NAN);
            vec![
                name,
                shown(row.what, ours),
                shown(row.what, kernel),
                format!("{compared:.2}"),
                format!("{:.2} to {:.2}", quartile(0.25), quartile(0.75)),
                // The kernel compared with itself should be equal. Even then, two connections share a link only
                // roughly.
                match target {
                    Target::AtLeast(_) if options.self_check => Target::Between(0.95, 1.05),
                    target => target,
                }
                .verdict(compared),
            ]
        };
        let name = row.name();
        let more_is_better = |ours: f64, kernel: f64| ours / kernel;
        let less_is_better = |ours: f64, kernel: f64| kernel / ours;
        match row.what {
            What::Goodput | What::Receiving => {
                // The kernel's BBR is version 1, which does not react to losses at all.
                let least = if row.congestion == Congestion::Bbr { 0.8 } else { 1.0 };
                vec![line(name, 0.5, more_is_better, Target::AtLeast(least))]
            }
            What::Share => vec![line(name, 0.5, more_is_better, Target::Between(0.8, 1.25))],
            What::Fetch { .. } => [("median", 0.5), ("p95", 0.95)]
                .map(|(word, q)| line(format!("{name}: {word}"), q, less_is_better, Target::AtLeast(0.95)))
                .into(),
        }
    }

    #[derive(Clone, Copy)]
    enum Target {
        AtLeast(f64),
        Between(f64, f64),
    }

    impl Target {
        /// The target, and whether a ratio meets it.
        fn verdict(self, ratio: f64) -> String {
            let (met, target) = match self {
                Self::AtLeast(least) => (ratio >= least, format!("at least {least}")),
                Self::Between(least, most) => ((least..=most).contains(&ratio), format!("{least} to {most}")),
            };
            format!("{target}: {}", if met { "met" } else { "missed" })
        }
    }

    fn share(part: u64, whole: u64) -> f64 {
        100.0 * part as f64 / whole.max(1) as f64
    }
}
