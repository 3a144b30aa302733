//! The sending half of a connection: the send queue, the decision what may be sent now, the data in flight, and the
//! timers.

mod alarms;
mod pacing;
mod plan;
mod usage;
mod window;

use core::time::Duration;

use super::congestion::{Congestion, CongestionControl};
use super::recovery::{Recovery, RecoveryState, Report, Sleeper};
use super::rtt::RoundTrip;
use super::segment::SackBlock;
use super::sequence::Sequence;
use crate::buffer::{Memory, SendQueue, Slice};
use crate::time::Instant;
use alarms::{Alarm, Alarms};
use pacing::Pacing;
use plan::{PlanKind, Situation};
use usage::Usage;
use window::PeerWindow;

pub(super) use plan::Plan;

/// How far the closing of the sending half has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Finish {
    /// The owner may write. Becomes `Wanted` when the owner closes the half.
    #[default]
    Open,
    /// A FIN follows the queued data. Becomes `Sent` when the FIN is sent.
    Wanted,
    /// The FIN was sent; it has the last sequence number before SND.NXT.
    Sent,
}

/// A probe that is to be sent even if the windows do not allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProbeRequest {
    LossProbe,
    WindowProbe,
}

/// The parameters of a sending half after the handshake.
#[derive(Debug)]
pub(super) struct SenderSetup {
    /// The sequence number of the first data: ISS + 1.
    pub first: Sequence,
    /// SEG.SEQ and SEG.ACK of the segment that completed the handshake, and the window that it offered.
    pub window_update: (Sequence, Sequence, usize),
    /// The bytes of data in a full segment.
    pub segment: usize,
    /// Whether the peer uses selective acknowledgements.
    pub selective: bool,
    /// The congestion control.
    pub congestion: Congestion,
    /// The round-trip time as measured by the handshake.
    pub rtt: RoundTrip,
    /// The send queue.
    pub queue: SendQueue,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Sender {
    queue: SendQueue,
    /// SND.UNA.
    unacknowledged: Sequence,
    /// SND.NXT.
    next: Sequence,
    /// The number after the highest one that was ever sent: a window probe lies beyond SND.NXT.
    highest: Sequence,
    window: PeerWindow,
    segment: usize,
    finish: Finish,
    recovery: Sleeper,
    selective: bool,
    rtt: RoundTrip,
    congestion: Congestion,
    alarms: Alarms,
    probe_request: Option<ProbeRequest>,
    usage: Usage,
    pacing: Pacing,
}

/// The number of ranges in flight from which on segments that are not full are held back, whether Nagle's algorithm is
/// used or not: each range needs memory, however few its bytes are.
const MAX_SMALL: usize = 1024;
/// Several segments that are sent as one large segment are together at most this fraction of the congestion window.
const PARTS: usize = 4;
/// Several segments that are sent as one large segment are together at most what the pacing rate carries in this time
/// (as in Linux, `tcp_tso_autosize`).
const LUMP: Duration = Duration::from_millis(1);
/// The longest time for which a peer may delay an acknowledgement, for the loss probe of a single segment
/// (`TLP.max_ack_delay`, RFC 8985 section 7.2).
const LONGEST_DELAY: Duration = Duration::from_millis(200);
/// The timeout of the loss probe before the first round-trip time measurement (RFC 8985 section 7.2).
const FIRST_PROBE: Duration = Duration::from_secs(1);

impl Sender {
    /// A sender with nothing outstanding.
    #[must_use]
    pub(super) fn new(setup: SenderSetup, now: Instant) -> Self {
        let SenderSetup {
            first,
            window_update: (sequence, acknowledgement, window),
            segment,
            selective,
            congestion,
            rtt,
            queue,
        } = setup;
        let mut recovery = Sleeper::default();
        if congestion.wants_samples() {
            recovery.wake(selective, segment).take_samples(now);
        }
        Self {
            queue,
            unacknowledged: first,
            next: first,
            highest: first,
            window: PeerWindow::new(sequence, acknowledgement, window),
            segment,
            finish: Finish::Open,
            recovery,
            selective,
            rtt,
            congestion,
            alarms: Alarms::default(),
            probe_request: None,
            usage: Usage::new(now),
            pacing: Pacing::new(now),
        }
    }

    /// The send queue.
    #[must_use]
    pub(super) const fn queue(&self) -> &SendQueue {
        &self.queue
    }

    /// Queues as many bytes as there is room for. Returns how many.
    pub(super) fn write(&mut self, bytes: &[u8], memory: &Memory) -> usize {
        self.queue.write(bytes, memory)
    }

    /// Gives back the memory reservation because the owner writes nothing more.
    pub(super) fn forgo(&mut self) {
        self.queue.forgo();
    }

    /// Frees memory that holds nothing.
    pub(super) fn sleep(&mut self) {
        self.recovery.sleep();
        self.queue.sleep();
    }

    /// Promises that the next write takes up to `most` bytes. Returns how many.
    pub(super) fn promise(&mut self, most: usize) -> usize {
        self.queue.promise(most)
    }

    /// Like [`write`](Self::write), but queues slices by reference.
    pub(super) fn append(&mut self, slices: &[Slice], memory: &Memory) -> usize {
        self.queue.append(slices, memory)
    }

    /// Sets the limit of the send queue, in bytes.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.queue.set_limit(limit);
    }

    /// Closes the half: a FIN follows what was written.
    pub(super) fn finish(&mut self) {
        if self.finish == Finish::Open {
            self.finish = Finish::Wanted;
        }
    }

    /// Whether the owner has closed the half.
    #[must_use]
    pub(super) fn is_finishing(&self) -> bool {
        self.finish != Finish::Open
    }

    /// Whether the peer has acknowledged the FIN.
    #[must_use]
    pub(super) fn is_finished(&self) -> bool {
        self.finish == Finish::Sent && self.unacknowledged == self.next
    }

    /// SND.UNA.
    #[must_use]
    pub(super) const fn unacknowledged(&self) -> Sequence {
        self.unacknowledged
    }

    /// SND.NXT.
    #[must_use]
    pub(super) const fn next(&self) -> Sequence {
        self.next
    }

    /// SND.WND in bytes.
    #[must_use]
    pub(super) const fn window(&self) -> usize {
        self.window.size()
    }

    /// The bytes of data in a full segment.
    #[must_use]
    pub(super) const fn segment_size(&self) -> usize {
        self.segment
    }

    /// The estimate of the round-trip time.
    #[must_use]
    pub(super) const fn rtt(&self) -> &RoundTrip {
        &self.rtt
    }

    /// Loss recovery.
    #[must_use]
    pub(super) fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// The congestion control.
    #[must_use]
    pub(super) const fn congestion(&self) -> &Congestion {
        &self.congestion
    }

    /// Whether the peer owes an acknowledgement, or has to open its window.
    #[must_use]
    pub(super) fn is_outstanding(&self) -> bool {
        self.unacknowledged != self.next || !self.queue.is_empty() || self.finish == Finish::Wanted
    }

    /// Whether a sequence number was sent and not acknowledged yet.
    #[must_use]
    pub(super) fn is_in_flight(&self, sequence: Sequence) -> bool {
        sequence.at_or_after(self.unacknowledged) && sequence.before(self.next)
    }

    /// Whether SEG.ACK is acceptable (RFC 5961 section 5.2): it must not acknowledge what was not sent, nor be older
    /// than the largest window.
    #[must_use]
    pub(super) fn is_acceptable(&self, acknowledgement: Sequence) -> bool {
        acknowledgement.at_or_before(self.highest)
            && acknowledgement.at_or_after(self.unacknowledged - self.window.largest().max(self.segment))
    }

    fn situation(&self) -> Situation {
        Situation {
            unacknowledged: self.unacknowledged,
            next: self.next,
            queued: self.queue.len(),
            window: self.window,
            segment: self.segment,
            finish: self.finish,
        }
    }

    /// Sets the bytes of data in a full segment. If segments become shorter and the path `drops` the longer ones, the
    /// data in flight is taken for lost.
    pub(super) fn set_segment_size(&mut self, bytes: usize, drops: bool) {
        if bytes == self.segment {
            return;
        }
        let narrower = bytes < self.segment;
        self.segment = bytes;
        self.congestion.set_segment_size(bytes);
        if let Some(recovery) = self.recovery.awake() {
            recovery.set_segment_size(bytes);
            if narrower && drops {
                recovery.on_narrower_path();
            }
        }
    }

    /// Plans the next segment, if one may be sent; or several new ones of together at most `most` bytes. Apart from
    /// alarms and statistics, nothing changes until the segment was [sent](Self::on_sent).
    #[must_use]
    pub(super) fn plan(&mut self, no_delay: bool, most: usize, now: Instant) -> Option<Plan> {
        let situation = self.situation();
        self.alarms.set_pacing(None);
        if let Some(probe_request) = self.probe_request {
            let plan = match probe_request {
                ProbeRequest::LossProbe => situation.loss_probe(self.recovery.last()),
                ProbeRequest::WindowProbe => situation.window_probe(),
            };
            if plan.is_some() {
                return plan;
            }
            self.probe_request = None;
        }
        let (in_flight, is_idle) = (self.recovery.in_flight(), self.recovery.is_idle());
        if situation.unsent() > 0 && self.recovery.state() == RecoveryState::Open {
            self.usage.validate(in_flight, is_idle, self.rtt.timeout(), &mut self.congestion, now);
        }
        let no_delay = no_delay && self.recovery.ranges() < MAX_SMALL;
        let room = self.recovery.room(&self.congestion);
        let rate = self.congestion.pacing_rate(self.rtt.smoothed());
        let plan = match self.recovery.awake().and_then(Recovery::first_lost) {
            Some((start, end)) => situation.again(start, end),
            // One large segment is at most a fraction of the window; otherwise acknowledgements would arrive in equally
            // large bursts.
            None => {
                let paced = rate.map_or(usize::MAX, |rate| usize::try_from(rate.bytes_in(LUMP)).unwrap_or(usize::MAX));
                situation.fresh(no_delay, most.min(room).min(self.congestion.window() / PARTS).min(paced))?
            }
        };
        // If nothing is in flight, no acknowledgement would arrive, so at least a retransmission is sent.
        let is_urgent = plan.again && in_flight == 0;
        if room < plan.length && !is_urgent {
            self.usage.on_blocked(self.next);
            return None;
        }
        // A FIN without data is not paced.
        let rate = rate.filter(|_| plan.length > 0);
        if let Some(held) = rate.and_then(|rate| self.pacing.held_until(rate, self.segment, now)) {
            self.alarms.set_pacing(Some(held));
            // The window counts as used even if its data waits for its pace.
            if self.congestion.spreads_window() && situation.unsent() >= room {
                self.usage.on_blocked(self.next);
            }
            return None;
        }
        Some(plan)
    }

    /// Records that a planned segment was sent. `stamp` is the TSval that it carries.
    pub(super) fn on_sent(&mut self, plan: &Plan, stamp: Option<u32>, now: Instant) {
        let end = plan.end();
        self.highest = self.highest.latest(end);
        self.probe_request = None;
        if plan.kind == PlanKind::WindowProbe {
            // SND.NXT stays: the peer would not accept acknowledgements whose sequence number lies beyond its window
            // (as in BSD, `tcp_output` in its persist state).
            return self.alarms.on_window_probe_sent(self.rtt.timeout(), now);
        }
        if self.recovery.is_resting() {
            self.congestion.on_restart(now);
        }
        if let Some(rate) = self.congestion.pacing_rate(self.rtt.smoothed()) {
            self.pacing.on_sent(rate, plan.length, now);
        }
        if plan.again {
            self.recovery.wake(self.selective, self.segment).on_retransmitted(plan.start, end, stamp, now);
            if plan.start == self.unacknowledged {
                // The retransmission timer restarts for this segment too (RFC 6675 section 6; Linux).
                self.alarms.restart(now);
            }
        } else {
            self.record(plan, now);
            self.next = end;
            if plan.fin {
                self.finish = Finish::Sent;
            }
            if self.recovery.room(&self.congestion) < self.segment {
                self.usage.on_full(end);
            }
        }
        self.usage.on_sent(self.recovery.in_flight(), now);
        if plan.kind == PlanKind::LossProbe {
            self.recovery.wake(self.selective, self.segment).on_probe(self.next, plan.again);
            // RFC 8985 section 7.3: the retransmission timer restarts with the probe.
            self.alarms.restart(now);
            self.alarms.set_probe(None);
        } else if !plan.again {
            self.schedule_probe(now);
        }
        self.alarms.run(now);
    }

    /// Records each segment of a plan by itself, because each may be acknowledged or lost by itself.
    fn record(&mut self, plan: &Plan, now: Instant) {
        let recovery = self.recovery.wake(self.selective, self.segment);
        let (mut start, end) = (plan.start, plan.end());
        while end.since(start) > self.segment + usize::from(plan.fin) {
            recovery.on_sent(start, start + self.segment, now);
            start += self.segment;
        }
        recovery.on_sent(start, end, now);
    }

    /// Schedules the loss probe (RFC 8985 section 7.2).
    fn schedule_probe(&mut self, now: Instant) {
        let due = self.recovery.may_probe().then(|| {
            let lone = self.next.since(self.unacknowledged) <= self.segment;
            let wait = self.rtt.smoothed().map_or(FIRST_PROBE, |smoothed| 2 * smoothed);
            now + wait + if lone { LONGEST_DELAY } else { Duration::ZERO }
        });
        self.alarms.set_probe(due);
    }

    /// Processes an acceptable acknowledgement. Returns how many bytes of data it frees in the queue.
    pub(super) fn on_acknowledgement(&mut self, incoming: &Incoming<'_>) -> usize {
        let Incoming { now, acknowledgement, sack, echo, echoed_rtt, bare, window, sequence, congestion_experienced } =
            *incoming;
        if acknowledgement.before(self.unacknowledged) {
            return 0;
        }
        let before = self.unacknowledged;
        let advanced = acknowledgement.after(before);
        let window_changed = self.window.update(sequence, acknowledgement, window);
        if acknowledgement.after(self.next) {
            // The peer has accepted the byte of a window probe; nothing else was in flight.
            self.next = acknowledgement;
        }
        let report = Report {
            now,
            before,
            acknowledged: acknowledgement,
            next: self.next,
            sack,
            echo,
            echoed_rtt,
            bare: bare && !window_changed,
            congestion_experienced,
            limited: self.usage.is_limited(),
        };
        let fin_acknowledged = self.finish == Finish::Sent && acknowledgement == self.next;
        if report.is_news() || self.recovery.awake().is_some() {
            let recovery = self.recovery.wake(self.selective, self.segment);
            recovery.on_report(&report, &mut self.rtt, &mut self.congestion);
        }
        self.unacknowledged = acknowledgement;
        let freed = (acknowledgement.since(before) - usize::from(fin_acknowledged && advanced)).min(self.queue.len());
        self.queue.acknowledge(freed);
        self.usage.on_acknowledged(acknowledgement);
        if advanced && self.unacknowledged == self.next {
            self.alarms.stop();
        } else if advanced {
            self.alarms.restart(now);
            self.schedule_probe(now);
        } else if !sack.is_empty() && !self.recovery.may_probe() {
            self.alarms.set_probe(None);
        }
        self.update_window_probe(now);
        freed
    }

    /// Schedules a window probe if the peer's window lets nothing be sent, and nothing is in flight whose
    /// acknowledgement could open it; otherwise cancels the probe.
    fn update_window_probe(&mut self, now: Instant) {
        let is_idle = self.unacknowledged == self.next;
        let length = self.queue.len().min(self.segment);
        if is_idle && length > 0 && self.window.is_too_small_for(length) {
            return self.alarms.schedule_window_probe(self.window.size() == 0, self.rtt.timeout(), now);
        }
        self.alarms.cancel_window_probe();
        self.probe_request = self.probe_request.filter(|probe_request| *probe_request != ProbeRequest::WindowProbe);
    }

    /// Called when everything that may be sent now was sent. Schedules a window probe if the peer's window holds the
    /// rest back.
    pub(super) fn on_all_sent(&mut self, now: Instant) {
        self.usage.on_all_sent(now);
        // Section 4.1.2.4 of draft-ietf-ccwg-bbr: less than a segment is waiting, and the congestion window would allow
        // more.
        if self.situation().unsent() < self.segment
            && let Some(recovery) = self.recovery.awake()
        {
            recovery.on_application_limit(&self.congestion);
        }
        if self.unacknowledged == self.next {
            self.update_window_probe(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called, if nothing arrives before.
    #[must_use]
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.alarm().map(|(at, _)| at)
    }

    fn alarm(&self) -> Option<(Instant, Alarm)> {
        self.alarms.next(self.rtt.timeout(), self.recovery.reordering_deadline())
    }

    /// Handles the timer that has expired, if one has. Returns whether one had.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        let Some((_, alarm)) = self.alarm().filter(|(at, _)| *at <= now) else { return false };
        match alarm {
            Alarm::Retransmission => {
                self.rtt.back_off();
                let recovery = self.recovery.wake(self.selective, self.segment);
                recovery.on_timeout(now, self.next, &self.rtt, &mut self.congestion);
                self.alarms.restart(now);
                self.alarms.set_probe(None);
                self.probe_request = None;
            }
            Alarm::Probe => {
                self.alarms.set_probe(None);
                // RFC 8985 section 7.3: the retransmission timer restarts with the probe.
                self.alarms.restart(now);
                self.probe_request = Some(ProbeRequest::LossProbe);
            }
            Alarm::Reordering => {
                let recovery = self.recovery.wake(self.selective, self.segment);
                recovery.on_reordering_timeout(now, self.next, &self.rtt, &mut self.congestion);
            }
            // The paced data may be sent now.
            Alarm::Pacing => self.alarms.set_pacing(None),
            Alarm::Window => {
                self.probe_request = Some(ProbeRequest::WindowProbe);
                // The probe is counted when it is sent; until then the timer does not request it again.
                self.alarms.postpone_window_probe(self.rtt.timeout(), now);
            }
        }
        true
    }

    /// Restarts the timers, because the interface was down and the peer could not answer.
    pub(super) fn restart(&mut self, now: Instant) {
        self.alarms.postpone(now);
    }

    /// The bytes of memory held.
    #[must_use]
    pub(super) fn held(&self) -> usize {
        self.queue.held() + self.recovery.held()
    }
}

/// The parts of an acknowledgement that the sending half needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming<'a> {
    /// When it arrived.
    pub now: Instant,
    /// SEG.SEQ.
    pub sequence: Sequence,
    /// SEG.ACK.
    pub acknowledgement: Sequence,
    /// SEG.WND in bytes.
    pub window: usize,
    /// The SACK blocks.
    pub sack: &'a [SackBlock],
    /// TSecr.
    pub echo: Option<u32>,
    /// The round-trip time that TSecr measures.
    pub echoed_rtt: Option<Duration>,
    /// The segment carries neither data nor SYN nor FIN.
    pub bare: bool,
    /// The segment has ECE on a connection with ECN.
    pub congestion_experienced: bool,
}

#[cfg(test)]
mod tests;
