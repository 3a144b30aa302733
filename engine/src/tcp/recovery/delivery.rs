//! Samples of the delivery rate (draft-ietf-ccwg-bbr section 4.1): how fast the path delivers data, measured with each
//! acknowledgement.
//!
//! A sample needs the state of the connection at the moment when a segment was sent. This state is the same for
//! everything that is sent between two acknowledgements. So it is stored once for each such *epoch* instead of once for
//! each range, and only if the congestion control wants samples.

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::tcp::congestion::{Rate, RateSample, SentState};
use crate::tcp::scoreboard::{Delivered, Lost, Recency};
use crate::time::Instant;

/// The maximum number of epochs. A window of the largest send buffer has about this many acknowledgements. If there are
/// more, the oldest epochs are removed, and the data sent in them gives no sample.
const MAX_EPOCHS: usize = 4096;

/// The state of a connection when something was sent (section 4.1.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Epoch {
    /// The number of its first transmission, counted from the start of the connection.
    first: u64,
    /// `P.delivered` and `P.delivered_time`.
    delivered: u64,
    delivered_at: Instant,
    /// `P.first_send_time`.
    first_sent: Instant,
    /// `P.lost`.
    lost: u64,
    /// `P.is_app_limited`.
    application_limited: bool,
}

/// What the current acknowledgement has shown so far.
#[derive(Clone, Copy, Debug, Default)]
struct Pending {
    /// The most recently sent range that it delivered, the bytes in flight when that was sent, and its epoch.
    latest: Option<(Recency, u32, Epoch)>,
    delivered: u64,
    lost: u64,
}

/// The delivery state of one connection (section 4.1.2.1).
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    /// `C.delivered`: the bytes that were delivered, and when the last of them were (`C.delivered_time`).
    delivered: u64,
    delivered_at: Instant,
    /// `C.first_send_time`: when the range was sent that was last found to be delivered; if nothing was in flight
    /// before, when the first range was sent.
    first_sent: Instant,
    /// `C.lost`: the bytes that were taken for lost.
    lost: u64,
    /// `C.app_limited`: until more than this number of bytes is delivered, samples may be limited by the application.
    limited_until: Option<u64>,
    epochs: VecDeque<Epoch>,
    pending: Pending,
}

/// The circumstances of the acknowledgement that a sample is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// The smallest round-trip time of the path.
    pub(super) least_rtt: Option<Duration>,
    /// The round-trip time that the acknowledgement measured.
    pub(super) rtt: Option<Duration>,
    /// The bytes in flight after it.
    pub(super) in_flight: usize,
    /// The congestion window limited the sender.
    pub(super) limited: bool,
    /// A recovery is in progress after it.
    pub(super) recovering: bool,
}

impl Delivery {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            delivered: 0,
            delivered_at: now,
            first_sent: now,
            lost: 0,
            limited_until: None,
            epochs: VecDeque::new(),
            pending: Pending { latest: None, delivered: 0, lost: 0 },
        }
    }

    /// Records that transmission `number` is sent; `idle` says that nothing was in flight (section 4.1.2.2).
    pub(super) fn on_sent(&mut self, number: u64, idle: bool, now: Instant) {
        if idle {
            (self.first_sent, self.delivered_at) = (now, now);
        }
        let epoch = Epoch {
            first: number,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent: self.first_sent,
            lost: self.lost,
            application_limited: self.limited_until.is_some(),
        };
        if self.epochs.back().is_some_and(|last| Epoch { first: last.first, ..epoch } == *last) {
            return;
        }
        if self.epochs.len() >= MAX_EPOCHS {
            self.epochs.pop_front();
        }
        self.epochs.push_back(epoch);
    }

    fn epoch(&self, transmission: u64) -> Option<Epoch> {
        let behind = self.epochs.partition_point(|epoch| epoch.first <= transmission);
        self.epochs.get(behind.checked_sub(1)?).copied()
    }

    /// Records a range that was delivered.
    pub(super) fn take(&mut self, delivered: &Delivered, now: Instant) {
        self.delivered += delivered.bytes as u64;
        self.delivered_at = now;
        self.pending.delivered += delivered.bytes as u64;
        let newest = self.pending.latest.is_none_or(|(latest, ..)| delivered.recency.after(&latest));
        if newest && let Some(epoch) = self.epoch(delivered.recency.transmission) {
            self.pending.latest = Some((delivered.recency, delivered.in_flight, epoch));
        }
    }

    /// Records a range that is taken for lost. Returns the state at the moment when it was sent, if it is known.
    pub(super) fn lose(&mut self, lost: &Lost) -> Option<SentState> {
        self.lost += lost.bytes as u64;
        self.pending.lost += lost.bytes as u64;
        let epoch = self.epoch(lost.transmission)?;
        Some(SentState {
            in_flight: lost.in_flight.into(),
            lost: self.lost - epoch.lost,
            application_limited: epoch.application_limited,
        })
    }

    /// Records that the sender is limited by the application, or by the congestion control on purpose, with `in_flight`
    /// bytes in flight (section 4.1.2.4).
    pub(super) fn limit(&mut self, in_flight: usize) {
        self.limited_until = Some(self.delivered + in_flight as u64);
    }

    /// Whether data that is sent now counts as limited by the application.
    pub(super) const fn is_limited(&self) -> bool {
        self.limited_until.is_some()
    }

    /// The sample of an acknowledgement (section 4.1.2.3), after [`take`](Self::take) was called for every range that
    /// it delivered. `oldest` is the first transmission that may still be acknowledged; `None` if there is none.
    pub(super) fn sample(&mut self, moment: &Moment, oldest: Option<u64>) -> RateSample {
        let Pending { latest, delivered: newly_delivered, lost: newly_lost } = core::mem::take(&mut self.pending);
        if self.limited_until.is_some_and(|until| self.delivered > until) {
            self.limited_until = None;
        }
        let mut sample = RateSample {
            now: moment.now,
            total: self.delivered,
            newly_delivered,
            newly_lost,
            rtt: moment.rtt,
            in_flight: moment.in_flight as u64,
            limited: moment.limited,
            recovering: moment.recovering,
            ..RateSample::default()
        };
        if let Some((recency, in_flight, epoch)) = latest {
            self.first_sent = recency.sent;
            let sending = recency.sent - epoch.first_sent;
            let arriving = self.delivered_at - epoch.delivered_at;
            let interval = sending.max(arriving);
            sample.prior = epoch.delivered;
            sample.delivered = self.delivered - epoch.delivered;
            sample.sent = SentState {
                in_flight: in_flight.into(),
                lost: self.lost - epoch.lost,
                application_limited: epoch.application_limited,
            };
            // The interval is shorter than any round trip, so the sample is not reliable (section 4.1.2.3).
            let long_enough = !interval.is_zero() && moment.least_rtt.is_none_or(|least| interval >= least);
            sample.rate = long_enough.then(|| Rate::new(sample.delivered, interval));
        }
        self.forget_before(oldest);
        sample
    }

    fn forget_before(&mut self, oldest: Option<u64>) {
        let Some(oldest) = oldest else { return self.epochs.clear() };
        while self.epochs.get(1).is_some_and(|next| next.first <= oldest) {
            self.epochs.pop_front();
        }
    }

    /// The bytes of memory held.
    pub(super) fn held(&self) -> usize {
        size_of::<Self>() + self.epochs.capacity() * size_of::<Epoch>()
    }
}

#[cfg(test)]
mod tests;
