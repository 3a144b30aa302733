//! The loop of a stack: receives frames, sends frames in the order of the schedule, and runs timers.
//!
//! An operation on a [`Stack`](super::Stack) drives the loop in its own call; the runner drives it when the device or a
//! timer asks for it.

use core::task::Context;

use xila_network_commands::interface::State;
use xila_network_engine::engine::Arrived;
use xila_network_engine::time::earliest;

use super::owner::Owner;
use super::schedule::Schedule;
use super::tcp::FlowId;
use super::udp::OutletNumber;
use super::{Core, Turn};
use crate::platform::{Clock, Instant};

/// The state of the loop between two calls.
pub(super) struct Pace {
    /// The connections and sockets that may have something to send.
    pub(super) schedule: Schedule<Owner, Sender>,
    /// The device was full; the runner waits until it has room.
    pub(super) full: bool,
    /// The budget ended before the work did; the runner continues.
    pub(super) unfinished: bool,
    /// The number of packets that were sent when the stack was last driven.
    sent_so_far: u64,
    /// The time until which the runner sleeps.
    runner_deadline: Option<Instant>,
}

/// A sender that takes turns in the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Flow(FlowId),
    Socket(OutletNumber),
}

/// The number of bytes that one sender may send in its turn: some Ethernet frames, which take 13 ms at 10 Mbit/s.
const QUANTUM: usize = 16 << 10;

impl Pace {
    pub(super) fn new() -> Self {
        let schedule = Schedule::new(QUANTUM);
        Self { schedule, full: false, unfinished: false, sent_so_far: 0, runner_deadline: None }
    }
}

/// The result of a turn to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// Nothing more to send for now.
    Done,
    /// The turn or the budget is over; there may be more.
    More,
    /// The device is full.
    Full,
}

/// On a link that may lose frames: the number of frames that are received before the answers are sent, and sent before
/// more are received. With a larger number, one acknowledgement would answer a peer's whole flight, and the peer would
/// stall if that acknowledgement was lost. The stack would also retransmit much that had arrived, because the
/// acknowledgements that say so would still wait to be read.
const BATCH: usize = 8;

impl Core {
    /// Does the work there is, at most `budget` frames. The runner also takes what the device has received. A caller
    /// does so only on a loopback, where the answer to what it just sent is there already; on other devices this would
    /// ask the operating system in vain. On a lossy link `clock` tells how long the call takes.
    pub(super) fn drive(&mut self, budget: usize, runner: bool, clock: &dyn Clock) {
        if self.interface.is_gone() {
            return;
        }
        if self.interface.state == State::Down {
            if runner {
                self.discard(budget);
            }
            return;
        }
        if !runner && self.is_at_rest() {
            return;
        }
        self.drive_on(budget, runner, clock);
        self.pace.sent_so_far = self.interface.sent_packets();
    }

    fn drive_on(&mut self, budget: usize, runner: bool, clock: &dyn Clock) {
        let receives = runner || self.interface.loops_back();
        // Neither receiving nor sending may take the whole budget, or a flood would keep the stack from sending.
        let batch = if self.interface.capabilities.lossless { budget.div_ceil(2) } else { BATCH };
        let mut budget = budget;
        // A frame that has arrived may be what a timer waits for. So timers run after receiving, and only in calls that
        // receive: otherwise a stack that got the processor late would time out although its peer has answered.
        let mut received = if runner { self.receive(batch.min(budget), clock) } else { 0 };
        budget -= received;
        let mut expired = !receives;
        loop {
            if !expired && received < batch {
                self.expire();
                expired = true;
            }
            let sent = self.send(batch.min(budget));
            budget = budget.saturating_sub(sent);
            if sent >= batch {
                self.interface.advance(clock.now());
            }
            received = if receives { self.receive(batch.min(budget), clock) } else { 0 };
            budget -= received;
            if budget == 0 {
                if !expired {
                    self.expire();
                }
                self.pace.unfinished = true;
                return;
            }
            if received == 0 && (sent == 0 || !receives) && (self.pace.schedule.is_idle() || self.pace.full) {
                self.pace.unfinished = false;
                return;
            }
        }
    }

    /// Whether a caller has left nothing to send, and has sent nothing that a loopback would have received. The runner
    /// knows of any other work.
    fn is_at_rest(&mut self) -> bool {
        let waits = self.pace.full
            || self.pace.unfinished
            || self.udp.has_senders_to_schedule()
            || self.interface.has_packets_to_send();
        !waits && self.pace.schedule.is_idle() && self.interface.sent_packets() == self.pace.sent_so_far
    }

    /// Receives at most `most` frames from the device; returns how many.
    fn receive(&mut self, most: usize, clock: &dyn Clock) -> usize {
        let mut count = 0;
        while count < most {
            let Some(frame) = self.interface.next_frame() else { break };
            count += 1;
            // On a link that delays frames, a frame gets the time at which it was read, not the time before the device
            // was asked. This thread may have been delayed since then, and measured round trips would be shorter than
            // the path.
            if !self.interface.capabilities.lossless {
                self.interface.advance(clock.now());
            }
            let segment = frame.segment().unwrap_or(0);
            let (head, apart, is_verified) = (frame.head(), frame.apart(), frame.is_unchecked());
            let arrived = Arrived { head, apart, is_verified, segment };
            self.interface.engage(|engine, port, now| engine.receive(arrived, now, port));
        }
        if count > 0 {
            self.handle_events();
        }
        count
    }

    /// Drops received frames, while the interface is down.
    fn discard(&mut self, budget: usize) {
        for _ in 0..budget {
            if self.interface.next_frame().is_none() {
                self.pace.unfinished = false;
                return;
            }
            self.interface.count_unread();
        }
        self.pace.unfinished = true;
    }

    /// Lets senders send in their turns, about `most` frames; returns how many frames were sent.
    fn send(&mut self, most: usize) -> usize {
        self.udp().schedule();
        let mut left = most;
        let budget = &mut left;
        self.pace.full = self.interface.has_packets_to_send()
            && !self.interface.engage(|engine, port, now| engine.transmit(now, port));
        while *budget > 0 && !self.pace.full {
            let Some(turn) = self.pace.schedule.next(self.interface.now()) else { break };
            let frames = (*budget).min(turn.packets);
            let mut unused = frames;
            let (sending, bytes) = match turn.key {
                Sender::Flow(id) => self.tcp().turn(id, turn.bytes, &mut unused),
                Sender::Socket(outlet) => self.udp().turn(outlet, turn.bytes, &mut unused),
            };
            self.pace.full |= sending == Sending::Full;
            self.pace.schedule.spend(bytes);
            let mut used = frames - unused;
            if sending == Sending::Done {
                self.pace.schedule.finish();
                // Even a turn in which nothing was left to send takes time.
                used = used.max(1);
            }
            *budget -= used;
            // A connection that has ended leaves the schedule, so its turn must be over.
            self.handle_events();
        }
        // The remaining fragments of a packet may wait for the device.
        self.pace.full |= self.interface.engine().interface().is_behind();
        most - left
    }

    /// Runs the timers that are due.
    fn expire(&mut self) {
        if self.interface.next_timeout().is_some_and(|at| at <= self.interface.now()) {
            self.interface.engage(|engine, port, now| engine.handle_timeout(now, port));
            self.handle_events();
        }
    }

    /// The time of the next timer, or at which a sender may send again, or at which datagrams are discarded.
    fn next_timeout(&mut self) -> Option<Instant> {
        earliest([self.interface.next_timeout(), self.pace.schedule.next_timeout(), self.udp.next_timeout()])
    }

    /// Whether the runner must be woken because of what a caller has left to do.
    pub(super) fn needs_runner(&mut self) -> bool {
        if self.interface.is_gone() || self.notices.is_lease_news() {
            return true;
        }
        let sooner = match (self.next_timeout(), self.pace.runner_deadline) {
            (Some(next), Some(planned)) => next < planned,
            (Some(_), None) => true,
            (None, _) => false,
        };
        self.interface.state == State::Up && (self.pace.unfinished || self.pace.full || sooner)
    }

    /// Decides what the runner does next.
    pub(super) fn turn(&mut self, context: &mut Context<'_>) -> Turn {
        let is_up = self.interface.state == State::Up;
        let Some(port) = self.interface.port_mut() else { return Turn::Ended };
        // A loopback is emptied by the caller that fills it, so the runner need not wait for frames there.
        let readable = !port.device.loops_back() && port.device.poll_readable(context).is_ready();
        // While the interface is down nothing is sent, and a device with room would wake the runner again and again for
        // nothing.
        let writable = is_up && self.pace.full && port.device.poll_writable(context).is_ready();
        let link = port.device.link();
        self.interface.link_changed(link);
        self.handle_events();
        if self.pace.unfinished || readable || writable {
            self.pace.runner_deadline = None;
            return Turn::Again;
        }
        let deadline = if self.interface.state == State::Up { self.next_timeout() } else { None };
        self.pace.runner_deadline = deadline;
        Turn::Sleep(deadline)
    }
}

#[cfg(test)]
mod tests;
