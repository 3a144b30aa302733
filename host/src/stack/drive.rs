//! The loop: frames in, frames out, timers.

use core::task::Context;

use xila_network_commands::interface::State;
use xila_network_engine::engine::Arrived;

use super::owner::Owner;
use super::schedule::Schedule;
use super::tcp::FlowId;
use super::udp::Outlet;
use super::{Core, Turn};
use crate::platform::{Clock, Instant};

/// How far the loop is.
pub(super) struct Pace {
    /// Who may have something to send.
    pub(super) schedule: Schedule<Owner, Sender>,
    /// The device took nothing more; the runner waits until it does.
    pub(super) full: bool,
    /// The budget ended before the work did; the runner goes on.
    pub(super) unfinished: bool,
    /// Packets that had left when the stack was last driven.
    sent_so_far: u64,
    /// What the runner sleeps until.
    runner_deadline: Option<Instant>,
}

/// Who takes turns at sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    Flow(FlowId),
    Socket(Outlet),
}

/// The bytes that one sender sends before it is another's turn: some frames of Ethernet, which take 13 ms at 10 Mbit/s.
const QUANTUM: usize = 16 << 10;

impl Pace {
    pub(super) fn new() -> Self {
        let schedule = Schedule::new(QUANTUM);
        Self { schedule, full: false, unfinished: false, sent_so_far: 0, runner_deadline: None }
    }
}

/// What a turn at sending came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    /// Nothing more to send for now.
    Done,
    /// The turn or the budget is over; there may be more.
    More,
    /// The device takes nothing more.
    Full,
}

/// Frames that are taken from a link that may lose some before what they ask for is sent, and sent before it is looked at again.
/// With more, one acknowledgement would answer a peer's whole flight, and the peer stand still where that is lost; and much
/// would be sent again that has arrived, as acknowledgements say that wait to be read.
const BATCH: usize = 8;

impl Core {
    /// Does what there is to do, at most `budget` frames of it. The runner also takes what the device has received; a
    /// caller does so only on a loopback, where the answer to what it just sent is there already, and would otherwise
    /// ask the operating system for nothing. Of a turn that takes long on a lossy link, `clock` says how long.
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
        // Neither of the two takes the whole of the budget, or a flood would keep the stack from sending.
        let batch = if self.interface.capabilities.lossless { budget.div_ceil(2) } else { BATCH };
        let mut budget = budget;
        // What has arrived may be what a timer waits for. So timers come after it, and with who looks for it, or the timer of a
        // stack that was not given the processor in time would be believed in place of its peer.
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
            if received == 0 && (sent == 0 || !receives) && (self.pace.schedule.is_empty() || self.pace.full) {
                self.pace.unfinished = false;
                return;
            }
        }
    }

    /// Whether a caller has left nothing to be sent, and has sent nothing that a loopback would have received. What else there is
    /// to do, the runner knows.
    fn is_at_rest(&mut self) -> bool {
        let waits = self.pace.full || self.pace.unfinished || self.interface.owes();
        !waits && self.pace.schedule.is_empty() && self.interface.sent_packets() == self.pace.sent_so_far
    }

    /// Takes frames from the device, at most so many; how many.
    fn receive(&mut self, most: usize, clock: &dyn Clock) -> usize {
        let mut count = 0;
        while count < most {
            let Some(frame) = self.interface.next_frame() else { break };
            count += 1;
            // On a link that delays, the time is that at which a frame is there, and not that before it was looked for: this
            // thread may have been kept waiting since, and round trips would seem shorter than the path is.
            if !self.interface.capabilities.lossless {
                self.interface.advance(clock.now());
            }
            let segment = frame.segment().unwrap_or(0);
            let (head, apart, is_verified) = (frame.head(), frame.apart(), frame.is_unchecked());
            let arrived = Arrived { head, apart, is_verified, segment };
            self.interface.engage(|engine, port, now| engine.receive(arrived, now, port));
        }
        if count > 0 {
            self.tell();
        }
        count
    }

    /// While the interface is down, what arrives is dropped.
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

    /// Sends for those who may have something to send, in their turn, about so many frames at most; how many.
    fn send(&mut self, most: usize) -> usize {
        let mut left = most;
        let budget = &mut left;
        self.pace.full =
            self.interface.owes() && !self.interface.engage(|engine, port, now| engine.transmit(now, port));
        while *budget > 0 && !self.pace.full {
            let Some(turn) = self.pace.schedule.next() else { break };
            let sent = self.interface.sent_bytes();
            let limit = sent + turn.bytes as u64;
            let sending = match turn.key {
                Sender::Flow(id) => {
                    let sending = self.tcp().turn(id, turn.bytes, budget);
                    self.tell();
                    sending
                }
                Sender::Socket(outlet) => self.udp().turn(outlet, limit, budget),
            };
            self.pace.full |= sending == Sending::Full;
            self.pace.schedule.spend(self.interface.sent_bytes() - sent);
            if sending == Sending::Done {
                self.pace.schedule.finish();
            }
        }
        // The rest of a packet that was cut up waits for the device.
        self.pace.full |= self.interface.engine().interface().is_behind();
        most - left
    }

    /// Acts on what is due.
    fn expire(&mut self) {
        if self.interface.next_timeout().is_some_and(|at| at <= self.interface.now()) {
            self.interface.engage(|engine, port, now| engine.handle_timeout(now, port));
            self.tell();
        }
    }

    /// Whether the runner has to look after what a caller left.
    pub(super) fn needs_runner(&mut self) -> bool {
        if self.interface.is_gone() || self.notices.is_lease_news() {
            return true;
        }
        let sooner = match (self.interface.next_timeout(), self.pace.runner_deadline) {
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
        // A loopback is emptied by whoever fills it, so its readiness is news to nobody.
        let readable = !port.device.loops_back() && port.device.poll_readable(context).is_ready();
        // While it is down nothing is sent, and a device that has room would wake the runner for nothing, for ever.
        let writable = is_up && self.pace.full && port.device.poll_writable(context).is_ready();
        let link = port.device.link();
        self.interface.link_changed(link);
        self.tell();
        if self.pace.unfinished || readable || writable {
            self.pace.runner_deadline = None;
            return Turn::Again;
        }
        let deadline = if self.interface.state == State::Up { self.interface.next_timeout() } else { None };
        self.pace.runner_deadline = deadline;
        Turn::Sleep(deadline)
    }
}

#[cfg(test)]
mod tests;
