//! Tables of results, medians and quantiles.

use core::time::Duration;

/// A table of text, with the first column aligned to the left and the others to the right.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(ToString::to_string).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Prints the table on standard output, under a title.
    pub fn print(&self, title: &str) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
        println!("\n{title}\n");
        for (index, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let padded = if column == 0 { format!("{cell:<width$}") } else { format!("   {cell:>width$}") };
                line.push_str(&padded);
            }
            println!("  {}", line.trim_end());
            if index == 0 {
                println!("  {}", "-".repeat(widths.iter().sum::<usize>() + 3 * (columns.max(1) - 1)));
            }
        }
        println!();
    }
}

/// Figures of several ways to do the same, which were measured in turn, round by round.
#[derive(Debug)]
pub struct Comparison<const N: usize> {
    /// The names of the figures, and the number of their decimals.
    pub figures: [(&'static str, usize); N],
    /// The ways by name, each with its rounds. There is at least one.
    pub ways: Vec<(&'static str, Vec<[f64; N]>)>,
}

impl<const N: usize> Comparison<N> {
    /// Prints the medians, and those of the first way in proportion to each of the others, under a title.
    pub fn print(&self, title: &str) {
        let names = || self.ways.iter().map(|(name, _)| *name);
        let ratios: Vec<String> = names().skip(1).map(|name| format!("to {name}")).collect();
        let headings: Vec<&str> = [""].into_iter().chain(names()).chain(ratios.iter().map(String::as_str)).collect();
        let mut table = Table::new(&headings);
        let printed = |value: Option<f64>, digits| value.map_or_else(String::new, |value| format!("{value:.digits$}"));
        for (at, (figure, digits)) in self.figures.into_iter().enumerate() {
            let columns: Vec<Vec<f64>> =
                self.ways.iter().map(|(_, rounds)| rounds.iter().map(|round| round[at]).collect()).collect();
            let medians = columns.iter().map(|column| printed(median(column), digits));
            // Ratios are computed for each round: a temporary load of the machine then affects both sides of a ratio.
            let ratios = columns[1..].iter().map(|other| {
                let ratios: Vec<f64> = columns[0].iter().zip(other).map(|(ours, theirs)| ours / theirs).collect();
                printed(median(&ratios), 2)
            });
            table.row([figure.to_owned()].into_iter().chain(medians).chain(ratios));
        }
        table.print(title);
    }
}

/// The value below which a share `q` of the values lies; `None` if there are no values.
#[must_use]
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    sorted.get(((sorted.len() as f64 * q) as usize).min(last)).copied()
}

/// The median of some values, which is the mean of the middle two if their number is even; `None` if there are none.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get((sorted.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}

/// A quantile of some times, in microseconds; NaN if there are none.
#[must_use]
pub fn microseconds(times: &[Duration], q: f64) -> f64 {
    let values: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e6).collect();
    quantile(&values, q).unwrap_or(f64::NAN)
}

/// Bytes per second as gigabits per second.
#[must_use]
pub const fn gigabits(bytes_per_second: f64) -> f64 {
    bytes_per_second * 8.0 / 1e9
}
