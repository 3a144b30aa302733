//! The sending half of a connection: what waits, what may leave now, and what is outstanding.

mod alarms;
mod pacing;
mod plan;
mod usage;
mod window;

use core::time::Duration;

use alarms::{Alarm, Alarms};
use pacing::Pacing;
pub(super) use plan::Plan;
use plan::{PlanKind, Situation};
use usage::Usage;
use window::PeerWindow;

use super::congestion::{Congestion, CongestionControl};
use super::recovery::{Recovery, RecoveryState, Report, Sleeper};
use super::rtt::RoundTrip;
use super::segment::SackBlock;
use super::sequence::Sequence;
use crate::buffer::{Memory, SendQueue, Slice};
use crate::time::Instant;

/// The sending half's way to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Finish {
    /// The owner may write. Left for `Wanted` when it ends the half.
    #[default]
    Open,
    /// A FIN follows what is queued. Left for `Sent` when it leaves.
    Wanted,
    /// The FIN takes the last sequence number before SND.NXT.
    Sent,
}

/// What the sender is to do without being allowed to by the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urge {
    LossProbe,
    WindowProbe,
}

/// What begins a sending half, once the handshake is over.
#[derive(Debug)]
pub(super) struct SenderSetup {
    /// Where data begins: ISS + 1.
    pub first: Sequence,
    /// SEG.SEQ and SEG.ACK of the segment that ended the handshake, and the window that it gave.
    pub window_update: (Sequence, Sequence, usize),
    /// Bytes of data in a full segment.
    pub segment: usize,
    /// The peer has selective acknowledgements.
    pub selective: bool,
    /// The congestion control.
    pub congestion: Congestion,
    /// What the handshake taught of the round-trip time.
    pub rtt: RoundTrip,
    /// What waits to be sent.
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
    /// The highest number that ever left: a probe of the window goes beyond SND.NXT.
    highest: Sequence,
    window: PeerWindow,
    segment: usize,
    finish: Finish,
    recovery: Sleeper,
    selective: bool,
    rtt: RoundTrip,
    congestion: Congestion,
    alarms: Alarms,
    urge: Option<Urge>,
    usage: Usage,
    pacing: Pacing,
}

/// So many segments under way keep one that is not full from leaving, whether Nagle's algorithm is on or not: for each of them
/// something has to be remembered, however few its bytes are.
const MOST_SMALL: usize = 1024;
/// Segments that leave as one are at most this part of the congestion window.
const PARTS: usize = 4;
/// Segments that leave as one are at most what the pacing rate lets go in this time (as in Linux, `tcp_tso_autosize`).
const LUMP: Duration = Duration::from_millis(1);
/// The longest that a peer may delay an acknowledgement, for the loss probe of a lone segment (RFC 8985 section 7.2,
/// `TLP.max_ack_delay`).
const LONGEST_DELAY: Duration = Duration::from_millis(200);
/// The loss probe's timeout before the first measurement (RFC 8985 section 7.2).
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
            urge: None,
            usage: Usage::new(now),
            pacing: Pacing::new(now),
        }
    }

    /// What the owner has written.
    #[must_use]
    pub(super) const fn queue(&self) -> &SendQueue {
        &self.queue
    }

    /// Takes bytes to be sent, as many as there is room for.
    pub(super) fn write(&mut self, bytes: &[u8], memory: &Memory) -> usize {
        self.queue.write(bytes, memory)
    }

    /// The owner writes nothing more: nothing is reserved for it.
    pub(super) fn forgo(&mut self) {
        self.queue.forgo();
    }

    /// Gives memory back that nothing is in.
    pub(super) fn sleep(&mut self) {
        self.recovery.sleep();
        self.queue.sleep();
    }

    /// Promises to take up to `most` bytes by the next write; how many.
    pub(super) fn promise(&mut self, most: usize) -> usize {
        self.queue.promise(most)
    }

    /// As [`write`](Self::write), by reference.
    pub(super) fn append(&mut self, slices: &[Slice], memory: &Memory) -> usize {
        self.queue.append(slices, memory)
    }

    /// Sets how many bytes may wait.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.queue.set_limit(limit);
    }

    /// Ends the half: a FIN follows what was written.
    pub(super) fn finish(&mut self) {
        if self.finish == Finish::Open {
            self.finish = Finish::Wanted;
        }
    }

    /// Whether the owner has ended the half.
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

    /// Bytes of data in a full segment.
    #[must_use]
    pub(super) const fn segment_size(&self) -> usize {
        self.segment
    }

    /// The round-trip time.
    #[must_use]
    pub(super) const fn rtt(&self) -> &RoundTrip {
        &self.rtt
    }

    /// The recovery.
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

    /// Whether SEG.ACK may be believed (RFC 5961 section 5.2): neither of something not sent, nor older than the largest
    /// window.
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

    /// Segments carry this many bytes of data from now on. What was sent in longer ones is taken for lost where the path
    /// `drops` it.
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

    /// The segment that is to leave next, if any may; or several new ones of together at most `most` bytes. Nothing changes
    /// until it has [left](Self::on_sent).
    #[must_use]
    pub(super) fn plan(&mut self, no_delay: bool, most: usize, now: Instant) -> Option<Plan> {
        let situation = self.situation();
        self.alarms.set_pacing(None);
        if let Some(urge) = self.urge {
            let plan = match urge {
                Urge::LossProbe => situation.loss_probe(self.recovery.last()),
                Urge::WindowProbe => situation.window_probe(),
            };
            if plan.is_some() {
                return plan;
            }
            self.urge = None;
        }
        let (in_flight, is_idle) = (self.recovery.in_flight(), self.recovery.is_idle());
        if situation.unsent() > 0 && self.recovery.state() == RecoveryState::Open {
            self.usage.validate(in_flight, is_idle, self.rtt.timeout(), &mut self.congestion, now);
        }
        let no_delay = no_delay && self.recovery.ranges() < MOST_SMALL;
        let room = self.recovery.room(&self.congestion);
        let rate = self.congestion.pacing_rate(self.rtt.smoothed());
        let plan = match self.recovery.awake().and_then(Recovery::first_lost) {
            Some((start, end)) => situation.again(start, end),
            // No more at once than a part of the window, or acknowledgements would come in as large lumps.
            None => {
                let paced = rate.map_or(usize::MAX, |rate| usize::try_from(rate.bytes_in(LUMP)).unwrap_or(usize::MAX));
                situation.fresh(no_delay, most.min(room).min(self.congestion.window() / PARTS).min(paced))?
            }
        };
        // With nothing in flight nothing would come back, so at least what was lost leaves.
        let is_urgent = plan.again && in_flight == 0;
        if room < plan.length && !is_urgent {
            self.usage.on_blocked(self.next);
            return None;
        }
        // A FIN alone has nothing to be paced.
        let rate = rate.filter(|_| plan.length > 0);
        if let Some(held) = rate.and_then(|rate| self.pacing.held_until(rate, self.segment, now)) {
            self.alarms.set_pacing(Some(held));
            // What would fill the window is not less for waiting.
            if self.congestion.spreads_window() && situation.unsent() >= room {
                self.usage.on_blocked(self.next);
            }
            return None;
        }
        Some(plan)
    }

    /// A planned segment has left. `stamp` is the clock that it carries.
    pub(super) fn on_sent(&mut self, plan: &Plan, stamp: Option<u32>, now: Instant) {
        let end = plan.end();
        self.highest = self.highest.latest(end);
        self.urge = None;
        if plan.kind == PlanKind::WindowProbe {
            // SND.NXT stays: acknowledgements that carry a number beyond the peer's window would not be taken (as in BSD,
            // `tcp_output` in its persist state).
            return self.alarms.on_asked(self.rtt.timeout(), now);
        }
        if self.recovery.is_resting() {
            self.congestion.on_restart(now);
        }
        if let Some(rate) = self.congestion.pacing_rate(self.rtt.smoothed()) {
            self.pacing.on_sent(rate, plan.length, now);
        }
        if plan.again {
            self.recovery.wake(self.selective, self.segment).on_sent_again(plan.start, end, stamp, now);
            if plan.start == self.unacknowledged {
                // The answer to this is waited for as long as for anything else (RFC 6675 section 6; Linux).
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
            // RFC 8985 section 7.3: the retransmission timer begins anew with the probe.
            self.alarms.restart(now);
            self.alarms.set_probe(None);
        } else if !plan.again {
            self.schedule_probe(now);
        }
        self.alarms.run(now);
    }

    /// Each segment is acknowledged, or lost, by itself.
    fn record(&mut self, plan: &Plan, now: Instant) {
        let recovery = self.recovery.wake(self.selective, self.segment);
        let (mut start, end) = (plan.start, plan.end());
        while end.since(start) > self.segment + usize::from(plan.fin) {
            recovery.on_sent(start, start + self.segment, now);
            start += self.segment;
        }
        recovery.on_sent(start, end, now);
    }

    /// RFC 8985 section 7.2.
    fn schedule_probe(&mut self, now: Instant) {
        let due = self.recovery.may_probe().then(|| {
            let lone = self.next.since(self.unacknowledged) <= self.segment;
            let wait = self.rtt.smoothed().map_or(FIRST_PROBE, |smoothed| 2 * smoothed);
            now + wait + if lone { LONGEST_DELAY } else { Duration::ZERO }
        });
        self.alarms.set_probe(due);
    }

    /// Takes an acceptable acknowledgement. Returns how many bytes of data it frees.
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
            // The peer had room for the probe of its window; nothing else was under way.
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
        self.settle_window(now);
        freed
    }

    /// Where the window lets nothing go, and nothing is under way that would be acknowledged, it has to be asked for.
    fn settle_window(&mut self, now: Instant) {
        let is_idle = self.unacknowledged == self.next;
        let length = self.queue.len().min(self.segment);
        if is_idle && length > 0 && self.window.is_too_small_for(length) {
            return self.alarms.ask_for_window(self.window.size() == 0, self.rtt.timeout(), now);
        }
        self.alarms.forget_window();
        self.urge = self.urge.filter(|urge| *urge != Urge::WindowProbe);
    }

    /// After everything was sent that may be: asks for the window in time, where that is what keeps the rest back.
    pub(super) fn rest(&mut self, now: Instant) {
        self.usage.rest(now);
        // Section 4.1.2.4 of draft-ietf-ccwg-bbr: less than a segment waits, and the congestion window would bear it.
        if self.situation().unsent() < self.segment
            && let Some(recovery) = self.recovery.awake()
        {
            recovery.on_application_limit(&self.congestion);
        }
        if self.unacknowledged == self.next {
            self.settle_window(now);
        }
    }

    /// When the sender has to be looked at, if nothing arrives before.
    #[must_use]
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.alarm().map(|(at, _)| at)
    }

    fn alarm(&self) -> Option<(Instant, Alarm)> {
        self.alarms.next(self.rtt.timeout(), self.recovery.reordering_deadline())
    }

    /// Acts on what is due. Whether something was.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        let Some((_, alarm)) = self.alarm().filter(|(at, _)| *at <= now) else { return false };
        match alarm {
            Alarm::Retransmission => {
                self.rtt.back_off();
                let recovery = self.recovery.wake(self.selective, self.segment);
                recovery.on_timeout(now, self.next, &self.rtt, &mut self.congestion);
                self.alarms.restart(now);
                self.alarms.set_probe(None);
                self.urge = None;
            }
            Alarm::Probe => {
                self.alarms.set_probe(None);
                // RFC 8985 section 7.3: the retransmission timer begins anew with the probe.
                self.alarms.restart(now);
                self.urge = Some(Urge::LossProbe);
            }
            Alarm::Reordering => {
                let recovery = self.recovery.wake(self.selective, self.segment);
                recovery.on_reordering_timeout(now, self.next, &self.rtt, &mut self.congestion);
            }
            // What was held back may leave now.
            Alarm::Pacing => self.alarms.set_pacing(None),
            Alarm::Window => {
                self.urge = Some(Urge::WindowProbe);
                // Counted when it leaves; until then it is not asked for again.
                self.alarms.ask_again(self.rtt.timeout(), now);
            }
        }
        true
    }

    /// The interface was down, and the peer could not answer: timers begin anew.
    pub(super) fn restart(&mut self, now: Instant) {
        self.alarms.postpone(now);
    }

    /// Bytes of memory held.
    #[must_use]
    pub(super) fn held(&self) -> usize {
        self.queue.held() + self.recovery.held()
    }
}

/// An acknowledgement as the sending half sees it.
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
    /// Its ranges.
    pub sack: &'a [SackBlock],
    /// TSecr.
    pub echo: Option<u32>,
    /// The round-trip time by that.
    pub echoed_rtt: Option<Duration>,
    /// It carries no data.
    pub bare: bool,
    /// It echoes congestion.
    pub congestion_experienced: bool,
}

#[cfg(test)]
mod tests;
