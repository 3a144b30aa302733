//! The options of a hub.

use core::time::Duration;

use crate::device::{Capabilities, Checksums, Medium, Offloads};

/// How a [`Hub`](super::Hub) delays and loses frames. The default is a perfect segment: no delay and no loss.
#[derive(Clone, Debug, PartialEq)]
pub struct HubOptions {
    /// The IP MTU in bytes, 1280 to 65535; 1500 by default.
    pub mtu: usize,
    /// The delay of each frame, up to an hour.
    pub latency: Duration,
    /// The maximum of an additional random delay, uniformly distributed from zero, up to an hour. It does not reorder:
    /// a frame never overtakes an earlier one of the same port.
    pub jitter: Duration,
    /// The probability of losing a frame, 0 to 1.
    pub loss: f64,
    /// The probability of delivering a frame twice, 0 to 1.
    pub duplication: f64,
    /// The probability, 0 to 1, of delaying a frame so that later ones may overtake it. The delay is random, up to
    /// latency and jitter together or 1 ms, whichever is more.
    pub reordering: f64,
    /// The rate at which each port sends, in bits per second, at least 1; `None` for no limit.
    pub rate: Option<u64>,
    /// The number of frames that each port holds in each direction, 1 to 65536; 512 by default. Frames in flight count,
    /// so a link with a large bandwidth-delay product needs more: latency times rate over frame length.
    pub queue: usize,
    /// The seed of the random numbers.
    pub seed: u64,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            mtu: 1500,
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            rate: None,
            queue: 512,
            seed: 0,
        }
    }
}

/// An option of a hub that is outside its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option} is {value}: it takes {range}")]
pub struct InvalidOption {
    /// The name of the option's field in [`HubOptions`].
    pub option: &'static str,
    /// The value that it was set to.
    pub value: String,
    /// The valid range.
    pub range: &'static str,
}

const MTU: core::ops::RangeInclusive<usize> = 1280..=65535;
const QUEUE: core::ops::RangeInclusive<usize> = 1..=65536;
/// The maximum length of an IP packet.
const LONGEST: usize = 65535;
const LONGEST_DELAY: Duration = Duration::from_secs(3600);
const SHORTEST_REORDERING: Duration = Duration::from_millis(1);

impl HubOptions {
    /// Checks every option against its range.
    ///
    /// # Errors
    /// The first option that is outside its range.
    pub fn validate(&self) -> Result<(), InvalidOption> {
        let invalid = |option, value: &dyn core::fmt::Debug, range| {
            Err(InvalidOption { option, value: format!("{value:?}"), range })
        };
        if !MTU.contains(&self.mtu) {
            return invalid("mtu", &self.mtu, "1280 to 65535 bytes");
        }
        if !QUEUE.contains(&self.queue) {
            return invalid("queue", &self.queue, "1 to 65536 frames");
        }
        if self.rate == Some(0) {
            return invalid("rate", &0, "1 bit per second or more");
        }
        for (option, value) in [("latency", self.latency), ("jitter", self.jitter)] {
            if value > LONGEST_DELAY {
                return invalid(option, &value, "up to an hour");
            }
        }
        for (option, value) in [("loss", self.loss), ("duplication", self.duplication), ("reordering", self.reordering)]
        {
            if !(0.0..=1.0).contains(&value) {
                return invalid(option, &value, "a probability from 0 to 1");
            }
        }
        Ok(())
    }

    /// These options, each clamped to its range; NaN becomes 0.
    pub(super) fn clamped(self) -> Self {
        let probability = |value: f64| if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
        Self {
            mtu: self.mtu.clamp(*MTU.start(), *MTU.end()),
            latency: self.latency.min(LONGEST_DELAY),
            jitter: self.jitter.min(LONGEST_DELAY),
            loss: probability(self.loss),
            duplication: probability(self.duplication),
            reordering: probability(self.reordering),
            rate: self.rate.map(|rate| rate.max(1)),
            queue: self.queue.clamp(*QUEUE.start(), *QUEUE.end()),
            seed: self.seed,
        }
    }

    /// The maximum delay of a reordered frame.
    pub(super) fn reordering_window(&self) -> Duration {
        (self.latency + self.jitter).max(SHORTEST_REORDERING)
    }

    /// Frames with several segments are passed on whole if the options do not delay, lose or duplicate single frames.
    pub(super) fn offloads(&self) -> Offloads {
        let lossless = self.capabilities().lossless && self.duplication == 0.0;
        if lossless {
            Offloads { segmentation: LONGEST, checksums: true, datagrams: true }
        } else {
            Offloads::default()
        }
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        let immediate = self.latency.is_zero() && self.jitter.is_zero() && self.rate.is_none();
        Capabilities {
            medium: Medium::Ethernet,
            mtu: self.mtu,
            checksums: Checksums::Computed,
            max_burst: None,
            lossless: immediate && self.loss == 0.0 && self.reordering == 0.0,
        }
    }
}

impl From<&HubOptions> for xila_network_commands::drivers::hub::Options {
    fn from(options: &HubOptions) -> Self {
        let &HubOptions { mtu: _, latency, jitter, loss, duplication, reordering, rate, queue, seed: _ } = options;
        // The queue is at most 65536 frames.
        let queue = u32::try_from(queue).unwrap_or(u32::MAX);
        Self { latency, jitter, loss, duplication, reordering, rate, queue }
    }
}
