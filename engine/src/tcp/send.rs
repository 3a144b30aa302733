//! The sending half of a connection: what waits, what may leave now, and what is outstanding.

use core::time::Duration;

use super::congestion::{Congestion, CongestionControl};
use super::recovery::{Recovery, RecoveryState, Report};
use super::rtt::{CEILING, RoundTrip};
use super::segment::SackBlock;
use super::sequence::Sequence;
use crate::buffer::SendQueue;
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

/// Why the sender is to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Alarm {
    /// The retransmission timeout (RFC 6298).
    Retransmission,
    /// The loss probe (RFC 8985 section 7).
    Probe,
    /// Something late becomes lost (RFC 8985 section 6).
    Reordering,
    /// The peer's window is asked for (RFC 9293 section 3.8.6.1).
    Window,
}

/// A segment that may leave now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Its first sequence number.
    pub start: Sequence,
    /// Where its data begins in the queue.
    pub offset: usize,
    /// Bytes of data.
    pub length: usize,
    /// It carries the FIN.
    pub fin: bool,
    /// Nothing more is queued behind it.
    pub push: bool,
    /// It was sent before.
    pub again: bool,
    kind: PlanKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlanKind {
    Ordinary,
    LossProbe,
    WindowProbe,
}

impl Plan {
    /// The number behind the segment.
    #[must_use]
    pub(super) fn end(&self) -> Sequence {
        self.start + self.length + usize::from(self.fin)
    }
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
    /// The highest that SND.NXT ever was: a probe of the window may be taken back.
    highest: Sequence,
    /// SND.WND in bytes, and the largest that it was.
    window: usize,
    largest_window: usize,
    /// SND.WL1 and SND.WL2.
    updated_by: (Sequence, Sequence),
    segment: usize,
    finish: Finish,
    recovery: Recovery,
    rtt: RoundTrip,
    congestion: Congestion,
    /// Since when the retransmission timer runs.
    timer: Option<Instant>,
    /// When the loss probe is due.
    probe: Option<Instant>,
    /// When the window is asked for, and how often it was without its opening.
    window_probe: Option<Instant>,
    window_probes: u32,
    urge: Option<Urge>,
    /// The congestion window kept something back; so it counts as used until this is acknowledged.
    limited_until: Option<Sequence>,
    last_sent: Instant,
    /// When the window was last used as far as it goes.
    last_limited: Instant,
    /// The most that was in flight since.
    used: usize,
    timeouts: u64,
}

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
        Self {
            queue,
            unacknowledged: first,
            next: first,
            highest: first,
            window,
            largest_window: window,
            updated_by: (sequence, acknowledgement),
            segment,
            finish: Finish::Open,
            recovery: Recovery::new(selective, segment),
            rtt,
            congestion,
            timer: None,
            probe: None,
            window_probe: None,
            window_probes: 0,
            urge: None,
            limited_until: None,
            last_sent: now,
            last_limited: now,
            used: 0,
            timeouts: 0,
        }
    }

    /// What the owner has written.
    #[must_use]
    pub(super) const fn queue(&self) -> &SendQueue {
        &self.queue
    }

    /// Takes bytes to be sent, as many as there is room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        self.queue.write(bytes)
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
        self.window
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
    pub(super) const fn recovery(&self) -> &Recovery {
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
            && acknowledgement.at_or_after(self.unacknowledged - self.largest_window.max(self.segment))
    }

    fn outstanding_data(&self) -> usize {
        let outstanding = self.next.since(self.unacknowledged);
        outstanding - usize::from(self.finish == Finish::Sent && outstanding > 0)
    }

    fn unsent(&self) -> usize {
        self.queue.len().saturating_sub(self.outstanding_data())
    }

    /// Takes a new path MTU into account: segments carry this many bytes of data.
    pub(super) fn set_segment_size(&mut self, bytes: usize) {
        if bytes == self.segment {
            return;
        }
        let narrower = bytes < self.segment;
        self.segment = bytes;
        self.recovery.set_segment_size(bytes);
        self.congestion.set_segment_size(bytes);
        if narrower {
            self.recovery.on_narrower_path();
        }
    }

    /// The segment that is to leave next, if any may. Nothing changes until it has [left](Self::on_sent).
    #[must_use]
    pub(super) fn plan(&mut self, no_delay: bool, now: Instant) -> Option<Plan> {
        if let Some(urge) = self.urge {
            let plan = match urge {
                Urge::LossProbe => self.plan_loss_probe(),
                Urge::WindowProbe => self.plan_window_probe(),
            };
            if plan.is_some() {
                return plan;
            }
            self.urge = None;
        }
        self.validate(now);
        let room = self.recovery.room(&self.congestion);
        if let Some((start, end)) = self.recovery.first_lost() {
            let plan = self.plan_again(start, end);
            // With nothing in flight nothing would come back, so at least that leaves.
            return (room >= plan.length || self.recovery.in_flight() == 0).then_some(plan);
        }
        self.plan_new(room, no_delay)
    }

    /// Whether the window that was built up is still proven by use (RFC 2861 section 3): not after a silence, and not where
    /// the application has used less than half of it for a while.
    fn validate(&mut self, now: Instant) {
        if self.unsent() == 0 || self.recovery.state() != RecoveryState::Open {
            return;
        }
        let timeout = self.rtt.timeout();
        if self.recovery.is_idle() && now - self.last_sent > timeout {
            self.congestion.on_idle(now, now - self.last_sent, timeout);
            (self.last_sent, self.last_limited, self.used) = (now, now, 0);
        } else if now - self.last_limited > timeout {
            if self.used * 2 < self.congestion.window() {
                self.congestion.on_idle(now, timeout, timeout);
            }
            (self.last_limited, self.used) = (now, self.recovery.in_flight());
        }
    }

    fn plan_again(&self, start: Sequence, end: Sequence) -> Plan {
        let has_fin = self.finish == Finish::Sent && end == self.next;
        let data = end.since(start) - usize::from(has_fin);
        let length = data.min(self.segment);
        let offset = start.since(self.unacknowledged);
        let push = offset + length == self.queue.len();
        Plan { start, offset, length, fin: has_fin && length == data, push, again: true, kind: PlanKind::Ordinary }
    }

    /// RFC 9293 section 3.8.6.2.1: full segments, or what empties the queue, or half of the largest window.
    fn plan_new(&mut self, room: usize, no_delay: bool) -> Option<Plan> {
        let outstanding = self.next.since(self.unacknowledged);
        let unsent = self.unsent();
        if unsent == 0 && self.finish != Finish::Wanted {
            return None;
        }
        let usable = self.window.saturating_sub(outstanding);
        let length = unsent.min(self.segment).min(usable);
        let whole = length == unsent;
        let fin = whole && self.finish == Finish::Wanted;
        let sensible = length == self.segment
            // Nagle's algorithm (RFC 9293 section 3.7.4) holds what is not full back while something is outstanding.
            || (whole && (no_delay || fin || outstanding == 0))
            || (length > 0 && length * 2 >= self.largest_window);
        if !sensible || (length == 0 && !fin) {
            return None;
        }
        if room < length {
            self.limited_until = Some(self.next);
            // Neither is a piece cut off because of the congestion window, unless it is smaller than a segment.
            return None;
        }
        let offset = self.outstanding_data();
        Some(Plan { start: self.next, offset, length, fin, push: whole, again: false, kind: PlanKind::Ordinary })
    }

    /// RFC 8985 section 7.3: new data where the peer has room for it, else the last segment again.
    fn plan_loss_probe(&mut self) -> Option<Plan> {
        if let Some(plan) = self.plan_new(usize::MAX, true) {
            return Some(Plan { kind: PlanKind::LossProbe, ..plan });
        }
        let (start, end) = self.recovery.last()?;
        let start = start.latest(end - self.segment.min(end.since(start)));
        Some(Plan { kind: PlanKind::LossProbe, ..self.plan_again(start, end) })
    }

    /// RFC 9293 section 3.8.6.1: an octet that the peer may have no room for; or, where it has some, all that it takes, as
    /// little as that may be (section 3.8.6.2.1, the override timeout).
    fn plan_window_probe(&self) -> Option<Plan> {
        if self.queue.is_empty() {
            return None;
        }
        if self.window > 0 && self.unacknowledged == self.next {
            let length = self.window.min(self.segment).min(self.queue.len());
            let push = length == self.queue.len();
            let kind = PlanKind::Ordinary;
            return Some(Plan { start: self.next, offset: 0, length, fin: false, push, again: false, kind });
        }
        let again = self.next != self.unacknowledged;
        let push = self.queue.len() == 1;
        Some(Plan {
            start: self.unacknowledged,
            offset: 0,
            length: 1,
            fin: false,
            push,
            again,
            kind: PlanKind::WindowProbe,
        })
    }

    /// A planned segment has left. `stamp` is the clock that it carries.
    pub(super) fn on_sent(&mut self, plan: &Plan, stamp: Option<u32>, now: Instant) {
        let end = plan.end();
        if plan.again {
            self.recovery.on_sent_again(plan.start, end, stamp, now);
        } else {
            self.recovery.on_sent(plan.start, end, now);
            self.next = end;
            self.highest = self.highest.latest(end);
            if plan.fin {
                self.finish = Finish::Sent;
            }
        }
        self.last_sent = now;
        self.used = self.used.max(self.recovery.in_flight());
        self.urge = None;
        match plan.kind {
            PlanKind::WindowProbe => {
                self.window_probes = self.window_probes.saturating_add(1);
                self.window_probe = Some(now + self.window_timeout());
                return;
            }
            PlanKind::LossProbe => {
                self.recovery.on_probe(self.next, plan.again);
                // RFC 8985 section 7.3: the retransmission timer begins anew with the probe.
                self.timer = Some(now);
                self.probe = None;
            }
            PlanKind::Ordinary if !plan.again => self.schedule_probe(now),
            PlanKind::Ordinary => {}
        }
        self.timer.get_or_insert(now);
        self.window_probe = None;
    }

    /// RFC 8985 section 7.2.
    fn schedule_probe(&mut self, now: Instant) {
        self.probe = self.recovery.may_probe().then(|| {
            let lone = self.next.since(self.unacknowledged) <= self.segment;
            let wait = self.rtt.smoothed().map_or(FIRST_PROBE, |smoothed| 2 * smoothed);
            now + wait + if lone { LONGEST_DELAY } else { Duration::ZERO }
        });
    }

    fn window_timeout(&self) -> Duration {
        self.rtt.timeout().saturating_mul(1 << self.window_probes.min(16)).min(CEILING)
    }

    /// Whether the congestion window was what kept more from being sent (RFC 7661 section 4).
    fn is_limited(&self) -> bool {
        self.limited_until.is_some()
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
        let window_changed = self.update_window(sequence, acknowledgement, window);
        if acknowledgement.after(self.next) {
            // A probe of the window that was taken back has arrived after all.
            self.recovery.on_sent(self.next, acknowledgement, now);
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
            limited: self.is_limited(),
        };
        let fin_acknowledged = self.finish == Finish::Sent && acknowledgement == self.next;
        self.recovery.on_report(&report, &mut self.rtt, &mut self.congestion);
        self.unacknowledged = acknowledgement;
        let freed = (acknowledgement.since(before) - usize::from(fin_acknowledged && advanced)).min(self.queue.len());
        self.queue.acknowledge(freed);
        if self.limited_until.is_some_and(|until| acknowledgement.after(until)) {
            self.limited_until = None;
        }
        if advanced {
            let idle = self.unacknowledged == self.next;
            // RFC 6298 section 5.2 and 5.3.
            self.timer = (!idle).then_some(now);
            self.probe = None;
            if !idle {
                self.schedule_probe(now);
            }
            self.window_probes = 0;
        } else if !sack.is_empty() && !self.recovery.may_probe() {
            self.probe = None;
        }
        self.settle_window(now);
        freed
    }

    /// RFC 9293 section 3.10.7.4: an old segment does not set the window. Whether it changed.
    fn update_window(&mut self, sequence: Sequence, acknowledgement: Sequence, window: usize) -> bool {
        let (by_sequence, by_acknowledgement) = self.updated_by;
        let newer = by_sequence.before(sequence)
            || (by_sequence == sequence && by_acknowledgement.at_or_before(acknowledgement));
        if !newer {
            return false;
        }
        self.updated_by = (sequence, acknowledgement);
        let changed = self.window != window;
        self.window = window;
        self.largest_window = self.largest_window.max(window);
        changed
    }

    /// Where the window lets nothing go, and nothing is under way that would be acknowledged, it has to be asked for.
    fn settle_window(&mut self, now: Instant) {
        let probing = self.window_probe.is_some();
        // What is in flight beside a probe is the probe's one byte.
        let bare = self.unacknowledged == self.next
            || (probing && self.next.since(self.unacknowledged) == 1 && self.window == 0);
        let blocked = bare && !self.queue.is_empty() && self.is_window_too_small();
        if blocked {
            self.timer = None;
            self.probe = None;
            if !probing {
                self.window_probe = Some(now + self.rtt.timeout());
            }
            return;
        }
        if probing {
            self.window_probe = None;
            self.window_probes = 0;
            if self.unacknowledged != self.next && self.next.since(self.unacknowledged) == 1 {
                // The probe's byte goes with the rest.
                self.recovery.retract(self.unacknowledged);
                self.next = self.unacknowledged;
                self.timer = None;
            }
        }
    }

    fn is_window_too_small(&self) -> bool {
        let length = self.queue.len().min(self.segment);
        self.window < length && self.window * 2 < self.largest_window.max(1)
    }

    /// After everything was sent that may be: asks for the window in time, where that is what keeps the rest back.
    pub(super) fn rest(&mut self, now: Instant) {
        if self.is_limited() {
            self.last_limited = now;
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
        if let Some(at) = self.window_probe {
            return Some((at, Alarm::Window));
        }
        let retransmission = self.timer.map(|since| since + self.rtt.timeout())?;
        let probe = self.probe.map(|at| (at.min(retransmission), Alarm::Probe));
        let reordering = self.recovery.reordering_deadline().map(|at| (at, Alarm::Reordering));
        [Some((retransmission, Alarm::Retransmission)), reordering, probe].into_iter().flatten().min_by_key(
            |(at, alarm)| {
                // At the same time a probe goes before the timeout.
                (*at, *alarm == Alarm::Retransmission)
            },
        )
    }

    /// Acts on what is due. Whether something was.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> bool {
        let Some((_, alarm)) = self.alarm().filter(|(at, _)| *at <= now) else { return false };
        match alarm {
            Alarm::Retransmission => {
                self.rtt.back_off();
                self.timeouts += 1;
                self.recovery.on_timeout(now, self.next, &self.rtt, &mut self.congestion);
                self.timer = Some(now);
                self.probe = None;
                self.urge = None;
            }
            Alarm::Probe => {
                self.probe = None;
                self.urge = Some(Urge::LossProbe);
            }
            Alarm::Reordering => {
                self.recovery.on_reordering_timeout(now, self.next, &self.rtt, &mut self.congestion);
            }
            Alarm::Window => {
                self.urge = Some(Urge::WindowProbe);
                // Counted when it leaves; until then it is not asked for again.
                self.window_probe = Some(now + self.window_timeout());
            }
        }
        true
    }

    /// The interface was down, and the peer could not answer: timers begin anew.
    pub(super) fn restart(&mut self, now: Instant) {
        if self.timer.is_some() {
            self.timer = Some(now);
        }
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
