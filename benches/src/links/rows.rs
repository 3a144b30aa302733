//! The rows of the benchmark: what is measured, on which links and how often.
//!
//! Rows whose figures vary from one loss pattern to the next have several rounds. Each round has its own pattern, which
//! is the same for our TCP and the kernel's. If the processors have time for it, both are measured at the same time,
//! and several patterns at once, each on its own link: a load of the machine then affects all of them equally.

use core::time::Duration;

use super::endpoint::Congestion;
use super::way::Conditions;

/// What is measured in a row.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// The payload per second of a connection from our stack to the kernel.
    Goodput,
    /// The payload per second of a connection from the kernel to our stack.
    Receiving,
    /// The payload per second of one of our senders and of one of the kernel's, which share a link.
    Share,
    /// The times of fetches from our stack.
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
    /// The name, by which rows are selected.
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
    /// The description of the link.
    pub link: &'static str,
    /// The conditions of the link.
    pub conditions: Conditions,
    /// The congestion control of the ends.
    pub congestion: Congestion,
    /// The number of rounds, one after another.
    pub rounds: usize,
    /// How many patterns are measured at once in each round; `None` if the processors have time for only one
    /// connection.
    pub beside: Option<usize>,
}

impl Row {
    /// The complete name: the measurement and the link.
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

/// All rows. If about ten losses decide the result of a run, many patterns are needed. The slower a link is, the more
/// patterns the processors can handle at once.
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
