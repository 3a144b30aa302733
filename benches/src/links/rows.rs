//! What is measured: the rows, on which links and how often.
//!
//! Rounds are for rows whose figures vary from one pattern of losses to the next; each is a pattern of its own, the same
//! for our TCP and the kernel's. Where the processors have time for it, both are measured at the same time, and several
//! patterns beside one another, each on a link of its own: what disturbs the machine disturbs all alike.

use core::time::Duration;

use super::endpoint::Congestion;
use super::way::Conditions;

/// What is measured in a row.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// The payload per second of a connection whose sender is ours, to the kernel.
    Goodput,
    /// The payload per second of a connection from the kernel, whose receiver is ours.
    Receiving,
    /// The payload per second of a sender of ours, and of one of the kernel's beside it.
    Share,
    /// The times of fetches from ours, of so many bytes; and how many, and how many at once, for each pattern.
    Fetch {
        /// The size of a body.
        bytes: u64,
        /// Fetches per run.
        count: usize,
        /// Fetches at the same time.
        at_once: usize,
    },
}

impl What {
    /// Its name, by which rows are chosen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Goodput => "goodput",
            Self::Receiving => "receiving",
            Self::Share => "share",
            Self::Fetch { .. } => "fetch",
        }
    }
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What is measured.
    pub what: What,
    /// The link, in words.
    pub link: &'static str,
    /// The link.
    pub conditions: Conditions,
    /// How the ends send.
    pub congestion: Congestion,
    /// How many times it is measured, one after another.
    pub rounds: usize,
    /// How many patterns are measured at once in each round; `None` where the processors have no time for more than one
    /// connection.
    pub beside: Option<usize>,
}

impl Row {
    /// The whole name.
    #[must_use]
    pub fn name(&self) -> String {
        let size = match self.what {
            What::Fetch { bytes, .. } => format!(" {} KiB", bytes >> 10),
            What::Goodput | What::Receiving | What::Share => String::new(),
        };
        format!("{}{size}, {}", self.what.name(), self.link)
    }
}

/// 1 Gb/s, with a queue of 1,000 frames, which is 12 ms.
const fn gigabit(round_trip: u64, loss: f64) -> Conditions {
    let delay = Duration::from_micros(round_trip * 500);
    Conditions { rate: 1e9, queue: 1000, delay, jitter: Duration::ZERO, loss, reordered: 0.0 }
}

/// 100 Mb/s and 20 ms, with a queue of one bandwidth-delay product: 165 whole frames. The jitter is eight frames long.
const SHARED: Conditions = Conditions {
    rate: 100e6,
    queue: 165,
    delay: Duration::from_millis(10),
    jitter: Duration::from_millis(1),
    loss: 0.0,
    reordered: 0.0,
};

const FETCHES: [(&str, Conditions); 2] =
    [("RTT 10 ms, loss 1 %", gigabit(10, 0.01)), ("RTT 100 ms, loss 1 %", gigabit(100, 0.01))];

/// All rows. Where ten losses decide about a run, many patterns are needed; and the slower a link, the more of them the
/// processors bear at once.
#[must_use]
pub fn all() -> Vec<Row> {
    let row = |what, link, conditions, rounds, beside| {
        let congestion = Congestion::Cubic;
        Row { what, link, conditions, congestion, rounds, beside }
    };
    let fetch = |bytes, link: usize, count, at_once| {
        let (name, conditions) = FETCHES[link];
        row(What::Fetch { bytes, count, at_once }, name, conditions, 1, Some(4))
    };
    vec![
        row(What::Goodput, "RTT 10 ms, loss 0.1 %", gigabit(10, 0.001), 3, Some(2)),
        row(What::Goodput, "RTT 10 ms, loss 1 %", gigabit(10, 0.01), 2, Some(4)),
        row(What::Goodput, "RTT 10 ms, loss 5 %", gigabit(10, 0.05), 2, Some(4)),
        row(What::Goodput, "RTT 100 ms, no loss", gigabit(100, 0.0), 5, Some(1)),
        row(What::Goodput, "RTT 100 ms, loss 0.1 %", gigabit(100, 0.001), 3, Some(6)),
        row(What::Goodput, "RTT 100 ms, loss 1 %", gigabit(100, 0.01), 3, Some(8)),
        row(What::Goodput, "RTT 10 ms, 5 % reordered", Conditions { reordered: 0.05, ..gigabit(10, 0.0) }, 5, None),
        Row {
            congestion: Congestion::Bbr,
            ..row(What::Goodput, "RTT 10 ms, loss 1 %, BBR", gigabit(10, 0.01), 5, None)
        },
        row(What::Receiving, "RTT 10 ms, loss 1 %", gigabit(10, 0.01), 2, Some(4)),
        row(What::Share, "100 Mb/s, RTT 20 ms, queue 1 BDP", SHARED, 3, Some(2)),
        fetch(64 << 10, 0, 250, 8),
        fetch(1 << 20, 0, 100, 4),
        fetch(64 << 10, 1, 160, 16),
        fetch(1 << 20, 1, 64, 16),
    ]
}
