//! Congestion control (RFC 5681): how many bytes a connection may have in flight, and how fast it may send.
//!
//! The connection's loss recovery detects losses and retransmits. It tells a [`CongestionControl`] of acknowledgements
//! and of congestion, and the congestion control answers with a window, and possibly a pacing rate. [`Congestion`] is
//! the algorithm of one connection.

mod bbr;
mod cubic;
mod hystart;
mod rate;
mod unlimited;

use alloc::boxed::Box;
use core::time::Duration;

use super::sequence::Sequence;
use crate::time::Instant;

pub use bbr::Bbr;
pub use cubic::Cubic;
pub use rate::Rate;
pub use unlimited::Unlimited;

/// The largest congestion window, in bytes. No peer offers a larger window: the field is below 2^16 and the scale at
/// most 14 (RFC 7323 section 2.3).
pub const MAXIMUM_WINDOW: usize = 1 << 30;

/// Which congestion control a connection uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// CUBIC (RFC 9438) with HyStart++ (RFC 9406).
    #[default]
    Cubic,
    /// No congestion control: only the peer's window limits the data in flight. For links that lose nothing.
    None,
    /// BBR, version 3 (draft-ietf-ccwg-bbr): follows the measured delivery rate and round-trip time rather than losses.
    /// For links that lose packets for other reasons than congestion, or whose queues are too long.
    Bbr,
}

/// An acknowledgement of new data, outside of recovery.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledgement {
    /// When it arrived.
    pub now: Instant,
    /// The bytes that it acknowledges for the first time.
    pub bytes: usize,
    /// SND.UNA after it.
    pub unacknowledged: Sequence,
    /// SND.NXT: the number of the next new data.
    pub next: Sequence,
    /// The bytes in flight before it: FlightSize.
    pub in_flight: usize,
    /// Whether the congestion window limited the sender. If not, the acknowledgement does not show that the path bears
    /// more (RFC 7661).
    pub limited: bool,
    /// The round-trip time that it measured, if it did.
    pub rtt: Option<Duration>,
    /// The smoothed round-trip time, once there is one.
    pub smoothed_rtt: Option<Duration>,
}

/// The state of the connection at the moment when a segment was sent (draft-ietf-ccwg-bbr section 4.1.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentState {
    /// The bytes in flight just after it was sent, itself included (`tx_in_flight`).
    pub in_flight: u64,
    /// The bytes that were taken for lost since then.
    pub lost: u64,
    /// The application did not have enough to send, then or shortly before.
    pub application_limited: bool,
}

/// A sample of the delivery rate that an acknowledgement gives (draft-ietf-ccwg-bbr section 4.1.2.3). It is about the
/// most recently sent segment that the acknowledgement delivers, and about the time since that was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateSample {
    /// When it arrived.
    pub now: Instant,
    /// The bytes delivered over the life of the connection, including this acknowledgement.
    pub total: u64,
    /// How many of these had been delivered when the segment was sent; 0 if this is not known.
    pub prior: u64,
    /// How many have been delivered since.
    pub delivered: u64,
    /// The rate at which they were delivered; `None` if the sample is not reliable.
    pub rate: Option<Rate>,
    /// The state at the moment when the segment was sent.
    pub sent: SentState,
    /// The bytes that this acknowledgement shows to be delivered.
    pub newly_delivered: u64,
    /// The bytes that were taken for lost since the last sample.
    pub newly_lost: u64,
    /// The round-trip time of data that was sent only once.
    pub rtt: Option<Duration>,
    /// The bytes in flight after it.
    pub in_flight: u64,
    /// The congestion window limited the sender.
    pub limited: bool,
    /// Loss recovery is in progress.
    pub recovering: bool,
}

/// A congestion control algorithm. All windows are in bytes.
pub trait CongestionControl {
    /// The congestion window (cwnd): the maximum of bytes in flight, outside of recovery.
    fn window(&self) -> usize;

    /// The slow start threshold (ssthresh): the window after a recovery.
    fn threshold(&self) -> usize;

    /// Sets the bytes of data in a full segment. Windows stay the same in bytes, except the initial window of a
    /// connection that has sent no data, which becomes that of the new size.
    fn set_segment_size(&mut self, bytes: usize);

    /// New data was acknowledged, outside of recovery.
    fn on_acknowledgement(&mut self, acknowledgement: &Acknowledgement);

    /// Called once for each window of data in which a loss was detected: a recovery begins. Lowers the threshold and
    /// the window at once (RFC 9438 section 4.6). Until the recovery ends, proportional rate reduction decides how much
    /// may be in flight, based on the threshold.
    fn on_congestion(&mut self, now: Instant, in_flight: usize);

    /// Called once for each window of data in which the peer echoed a congestion mark (RFC 3168). This is congestion
    /// without a loss, so there is nothing to recover and nothing to undo (RFC 4015 section 3.4). Unlike a loss, it may
    /// lower the window to one segment (RFC 9438 section 4.6).
    fn on_mark(&mut self, now: Instant, in_flight: usize) {
        self.on_congestion(now, in_flight);
        self.on_recovered(now);
    }

    /// Called when the retransmission timer expires with `in_flight` bytes in flight. `first` is false if it has
    /// expired for the same data before: then the threshold stays (RFC 5681 section 3.1), and [`undo`](Self::undo)
    /// returns to the state before the first expiry. The window becomes one segment, and grows with the
    /// acknowledgements that follow.
    fn on_timeout(&mut self, now: Instant, in_flight: usize, first: bool);

    /// Called when the recovery that [`on_congestion`](Self::on_congestion) began is over: the window becomes the
    /// threshold. Does nothing if the recovery was undone or has timed out in the meantime.
    fn on_recovered(&mut self, now: Instant);

    /// Called when the last loss or timeout turns out to be spurious: restores what it had lowered (RFC 4015, RFC 9438
    /// section 4.9).
    fn undo(&mut self, now: Instant);

    /// Called when nothing was sent for longer than the retransmission timeout, or when what was sent has not used the
    /// window for as long: the window is no longer validated (RFC 2861, RFC 7661). `idle` is the time since then, or
    /// since the last call if that is later.
    fn on_idle(&mut self, now: Instant, idle: Duration, timeout: Duration);

    /// The rate at which data may be sent, if it is limited in addition to the window. This is called for every
    /// segment.
    fn pacing_rate(&self, smoothed_rtt: Option<Duration>) -> Option<Rate> {
        let _ = smoothed_rtt;
        None
    }

    /// Whether the pacing rate only spreads the window over a round trip. Then data that waits for its pace counts as
    /// limited by the window (RFC 9002 section 7.8).
    fn spreads_window(&self) -> bool {
        false
    }

    /// Whether the window also applies during a recovery, in place of proportional rate reduction.
    fn rules_recovery(&self) -> bool {
        false
    }

    /// Whether [`on_sample`](Self::on_sample), [`on_lost`](Self::on_lost) and [`on_restart`](Self::on_restart) are
    /// called. Collecting their arguments costs memory.
    fn wants_samples(&self) -> bool {
        false
    }

    /// Called for an acknowledgement that shows data to be delivered or lost, during a recovery too. It is the last of
    /// all calls for one acknowledgement.
    fn on_sample(&mut self, sample: &RateSample) {
        let _ = sample;
    }

    /// Called when `bytes` bytes that were sent together are taken for lost.
    fn on_lost(&mut self, now: Instant, bytes: u64, sent: &SentState) {
        let _ = (now, bytes, sent);
    }

    /// Called when something is sent after an idle time: everything had been acknowledged, and there was nothing to
    /// send.
    fn on_restart(&mut self, now: Instant) {
        let _ = now;
    }

    /// Whether the algorithm deliberately keeps less in flight than the path would bear, so that rates measured
    /// meanwhile say nothing about the path.
    fn holds_back(&self) -> bool {
        false
    }
}

/// The initial window for segments of this size, in bytes (RFC 6928).
#[must_use]
pub const fn initial_window(segment: usize) -> usize {
    let (two, ten) = (segment.saturating_mul(2), segment.saturating_mul(10));
    let most = if two > 14_600 { two } else { 14_600 };
    if ten < most { ten } else { most }
}

/// The congestion control of one connection. Algorithms with state are boxed, because many connections are on a link
/// that needs none.
#[derive(Clone, Debug)]
pub enum Congestion {
    /// See [`Algorithm::Cubic`].
    Cubic(Box<Cubic>),
    /// See [`Algorithm::None`].
    Unlimited(Unlimited),
    /// See [`Algorithm::Bbr`].
    Bbr(Box<Bbr>),
}

impl Congestion {
    /// The algorithm at the start of a connection. `seed` is for its random choices.
    #[must_use]
    pub fn new(algorithm: Algorithm, segment: usize, seed: u64) -> Self {
        match algorithm {
            Algorithm::Cubic => Self::Cubic(Box::new(Cubic::new(segment))),
            Algorithm::None => Self::Unlimited(Unlimited),
            Algorithm::Bbr => Self::Bbr(Box::new(Bbr::new(segment, seed))),
        }
    }

    /// Which algorithm it is.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::Cubic(_) => Algorithm::Cubic,
            Self::Unlimited(_) => Algorithm::None,
            Self::Bbr(_) => Algorithm::Bbr,
        }
    }
}

/// Calls the same method of each of the algorithms.
macro_rules! each {
    ($congestion:expr, $control:ident => $call:expr) => {
        match $congestion {
            Congestion::Cubic($control) => $call,
            Congestion::Unlimited($control) => $call,
            Congestion::Bbr($control) => $call,
        }
    };
}

impl CongestionControl for Congestion {
    fn window(&self) -> usize {
        each!(self, control => control.window())
    }

    fn threshold(&self) -> usize {
        each!(self, control => control.threshold())
    }

    fn set_segment_size(&mut self, bytes: usize) {
        each!(self, control => control.set_segment_size(bytes));
    }

    fn on_acknowledgement(&mut self, acknowledgement: &Acknowledgement) {
        each!(self, control => control.on_acknowledgement(acknowledgement));
    }

    fn on_congestion(&mut self, now: Instant, in_flight: usize) {
        each!(self, control => control.on_congestion(now, in_flight));
    }

    fn on_mark(&mut self, now: Instant, in_flight: usize) {
        each!(self, control => control.on_mark(now, in_flight));
    }

    fn on_timeout(&mut self, now: Instant, in_flight: usize, first: bool) {
        each!(self, control => control.on_timeout(now, in_flight, first));
    }

    fn on_recovered(&mut self, now: Instant) {
        each!(self, control => control.on_recovered(now));
    }

    fn undo(&mut self, now: Instant) {
        each!(self, control => control.undo(now));
    }

    fn on_idle(&mut self, now: Instant, idle: Duration, timeout: Duration) {
        each!(self, control => control.on_idle(now, idle, timeout));
    }

    fn pacing_rate(&self, smoothed_rtt: Option<Duration>) -> Option<Rate> {
        each!(self, control => control.pacing_rate(smoothed_rtt))
    }

    fn spreads_window(&self) -> bool {
        each!(self, control => control.spreads_window())
    }

    fn rules_recovery(&self) -> bool {
        each!(self, control => control.rules_recovery())
    }

    fn wants_samples(&self) -> bool {
        each!(self, control => control.wants_samples())
    }

    fn on_sample(&mut self, sample: &RateSample) {
        each!(self, control => control.on_sample(sample));
    }

    fn on_lost(&mut self, now: Instant, bytes: u64, sent: &SentState) {
        each!(self, control => control.on_lost(now, bytes, sent));
    }

    fn on_restart(&mut self, now: Instant) {
        each!(self, control => control.on_restart(now));
    }

    fn holds_back(&self) -> bool {
        each!(self, control => control.holds_back())
    }
}
