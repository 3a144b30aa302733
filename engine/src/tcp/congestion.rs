//! How fast a connection may send (RFC 5681): a window of bytes in flight, apart from the recovery of what was lost.
//!
//! The connection's recovery finds out what was lost and repeats it; a [`CongestionControl`] is told of
//! acknowledgements and of congestion, and answers with a window.

mod bbr;
mod cubic;
mod hystart;
mod rate;
mod unlimited;

use alloc::boxed::Box;
use core::time::Duration;

pub use bbr::Bbr;
pub use cubic::Cubic;
pub use rate::Rate;
pub use unlimited::Unlimited;

use super::sequence::Sequence;
use crate::time::Instant;

/// The most bytes of any window here. No peer offers more: its window is below 2^16 bytes scaled by 14 (RFC 7323
/// section 2.3).
pub const MAXIMUM_WINDOW: usize = 1 << 30;

/// Which congestion control a connection uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// CUBIC (RFC 9438) with HyStart++ (RFC 9406).
    #[default]
    Cubic,
    /// None: the peer's window alone limits what is in flight. For links that lose nothing.
    None,
    /// BBR, version 3 (draft-ietf-ccwg-bbr): by the rate and the round-trip time that are measured, and not by losses. For
    /// links that lose packets for other reasons than congestion, or whose queues are longer than they should be.
    Bbr,
}

/// An acknowledgement of new data, outside of recovery.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledgement {
    /// When it arrived.
    pub now: Instant,
    /// Bytes that it acknowledges for the first time.
    pub bytes: usize,
    /// SND.UNA after it.
    pub unacknowledged: Sequence,
    /// SND.NXT: what is sent from now on begins here.
    pub next: Sequence,
    /// Bytes in flight before it.
    pub in_flight: usize,
    /// Whether the congestion window was what kept more from being sent (RFC 7661: otherwise it says nothing of the path).
    pub limited: bool,
    /// The round-trip time that it measured.
    pub rtt: Option<Duration>,
    /// The smoothed round-trip time, once there is one.
    pub smoothed_rtt: Option<Duration>,
}

/// What is known of the moment at which something was sent (draft-ietf-ccwg-bbr section 4.1.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentState {
    /// Bytes in flight just after it was sent, itself among them (`tx_in_flight`).
    pub in_flight: u64,
    /// Bytes that were taken for lost since.
    pub lost: u64,
    /// There was not enough to send, then or shortly before.
    pub application_limited: bool,
}

/// What an acknowledgement tells of the path (draft-ietf-ccwg-bbr section 4.1.2.3): of the most recently sent of all that it
/// is for, and of the time since that was sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateSample {
    /// When it arrived.
    pub now: Instant,
    /// Bytes that have arrived over the life of the connection, with this acknowledgement.
    pub total: u64,
    /// How many of these had arrived when that was sent; zero where this is not known.
    pub prior: u64,
    /// How many have arrived since.
    pub delivered: u64,
    /// The rate at which they have; none where nothing can be said of it.
    pub rate: Option<Rate>,
    /// What is known of the moment at which it was sent.
    pub sent: SentState,
    /// Bytes that this acknowledgement shows to have arrived.
    pub newly_delivered: u64,
    /// Bytes that were taken for lost since the last one.
    pub newly_lost: u64,
    /// The round-trip time of what was sent only once.
    pub rtt: Option<Duration>,
    /// Bytes in flight after it.
    pub in_flight: u64,
    /// The congestion window was what kept more from being sent.
    pub limited: bool,
    /// Lost data is being sent again.
    pub recovering: bool,
}

/// A congestion control: all of its windows are in bytes.
pub trait CongestionControl {
    /// The congestion window: the most bytes that may be in flight, outside of recovery.
    fn window(&self) -> usize;

    /// The slow start threshold: what the window is to be after a recovery (ssthresh).
    fn threshold(&self) -> usize;

    /// The path takes segments of this many bytes from now on. Windows keep their bytes, but for the initial window of a
    /// connection that has sent no data: it is the one of the new size.
    fn set_segment_size(&mut self, bytes: usize);

    /// New data was acknowledged, outside of recovery.
    fn on_acknowledgement(&mut self, acknowledgement: &Acknowledgement);

    /// A loss was found, once for each window: a recovery begins. Lowers the threshold and the window, both at once
    /// (RFC 9438 section 4.6). What may be in flight until the recovery ends is for proportional rate reduction to
    /// say, from the threshold.
    fn on_congestion(&mut self, now: Instant, in_flight: usize);

    /// The peer echoed a mark (RFC 3168), once for each window: congestion without a loss, so that nothing is to be
    /// recovered and nothing can be undone (RFC 4015 section 3.4). Unlike a loss, it may lower the window to one segment
    /// (RFC 9438 section 4.6).
    fn on_mark(&mut self, now: Instant, in_flight: usize) {
        self.on_congestion(now, in_flight);
        self.on_recovered(now);
    }

    /// The retransmission timer ran out: `in_flight` bytes were in flight. `first` is false where it has run out for the
    /// same data before, so that the threshold stays (RFC 5681 section 3.1) and [`undo`](Self::undo) goes back to before
    /// the first. The window is one segment, and grows by the acknowledgements that follow.
    fn on_timeout(&mut self, now: Instant, in_flight: usize, first: bool);

    /// The recovery that [`on_congestion`](Self::on_congestion) began is over: the window is the threshold. Does nothing
    /// where it was undone or timed out in the meantime.
    fn on_recovered(&mut self, now: Instant);

    /// The last loss or timeout was none: what it lowered is as it was before it (RFC 4015, RFC 9438 section 4.9).
    fn undo(&mut self, now: Instant);

    /// Nothing was sent for longer than the retransmission timeout, or what was sent did not use the window for as
    /// long: its size is not proven any more (RFC 2861, RFC 7661). `idle` is the time since then, or since the last call
    /// of this where that is later.
    fn on_idle(&mut self, now: Instant, idle: Duration, timeout: Duration);

    /// How fast data may leave, where that is limited beside the window. It is asked for with every segment.
    fn pacing_rate(&self, smoothed_rtt: Option<Duration>) -> Option<Rate> {
        let _ = smoothed_rtt;
        None
    }

    /// Whether that rate does no more than spread the window over a round trip: then it is the window that keeps back what
    /// waits for its pace (RFC 9002 section 7.8).
    fn spreads_window(&self) -> bool {
        false
    }

    /// Whether the window holds in a recovery too, in place of proportional rate reduction.
    fn rules_recovery(&self) -> bool {
        false
    }

    /// Whether [`on_sample`](Self::on_sample), [`on_lost`](Self::on_lost) and [`on_restart`](Self::on_restart) are called:
    /// what they tell costs memory.
    fn wants_samples(&self) -> bool {
        false
    }

    /// An acknowledgement has come that shows something to have arrived or to be lost, in a recovery too. The last of all
    /// calls for one acknowledgement.
    fn on_sample(&mut self, sample: &RateSample) {
        let _ = sample;
    }

    /// `bytes` that were sent together are taken for lost.
    fn on_lost(&mut self, now: Instant, bytes: u64, sent: &SentState) {
        let _ = (now, bytes, sent);
    }

    /// Something is sent after everything was acknowledged and there was nothing to send.
    fn on_restart(&mut self, now: Instant) {
        let _ = now;
    }

    /// Whether less is in flight now than the path would bear, on purpose: what is measured meanwhile says nothing of its
    /// rate.
    fn holds_back(&self) -> bool {
        false
    }
}

/// The initial window for segments of this size (RFC 6928).
#[must_use]
pub const fn initial_window(segment: usize) -> usize {
    let (two, ten) = (segment.saturating_mul(2), segment.saturating_mul(10));
    let most = if two > 14_600 { two } else { 14_600 };
    if ten < most { ten } else { most }
}

/// One of the algorithms. Those that know something of the path lie apart: many connections are on a link that needs none.
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
    /// The algorithm at the beginning of a connection. `seed` is for what it leaves to chance.
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

/// Calls the same method of whichever algorithm it is.
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
