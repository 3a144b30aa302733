//! The loop: frames in, frames out, timers.

use core::task::Context;

use xila_network_commands::interface::State;
use xila_network_engine::engine::Arrived;

use super::{Core, Sender, Turn};
use crate::device::{Frame, Medium};
use crate::platform::{Clock, Instant};

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
        if self.port.is_none() {
            return;
        }
        if self.state == State::Down {
            if runner {
                self.discard(budget);
            }
            return;
        }
        if !runner && self.is_at_rest() {
            return;
        }
        self.drive_on(budget, runner, clock);
        self.sent_so_far = self.sent_packets();
    }

    fn drive_on(&mut self, budget: usize, runner: bool, clock: &dyn Clock) {
        let receives = runner || self.loops_back();
        // Neither of the two takes the whole of the budget, or a flood would keep the stack from sending.
        let batch = if self.capabilities.lossless { budget.div_ceil(2) } else { BATCH };
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
                self.advance(clock.now());
            }
            received = if receives { self.receive(batch.min(budget), clock) } else { 0 };
            budget -= received;
            if budget == 0 {
                if !expired {
                    self.expire();
                }
                self.unfinished = true;
                return;
            }
            if received == 0 && (sent == 0 || !receives) && (self.schedule.is_empty() || self.full) {
                self.unfinished = false;
                return;
            }
        }
    }

    /// Whether a caller has left nothing to be sent, and has sent nothing that a loopback would have received. What else there is
    /// to do, the runner knows.
    fn is_at_rest(&mut self) -> bool {
        let waits = self.full || self.unfinished || self.engine.owes();
        !waits && self.schedule.is_empty() && self.sent_packets() == self.sent_so_far
    }

    /// Sets the time. Clocks are read before the lock is taken, so that whoever waits for it may bring the time of before: a
    /// peer would take that for an old segment's (RFC 7323 section 5).
    pub(super) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Takes frames from the device, at most so many; how many.
    fn receive(&mut self, most: usize, clock: &dyn Clock) -> usize {
        let mut count = 0;
        while count < most {
            let Some(frame) = self.next_frame() else { break };
            count += 1;
            // On a link that delays, the time is that at which a frame is there, and not that before it was looked for: this
            // thread may have been kept waiting since, and round trips would seem shorter than the path is.
            if !self.capabilities.lossless {
                self.advance(clock.now());
            }
            let segment = frame.segment().unwrap_or(0);
            let (head, apart, is_verified) = (frame.head(), frame.apart(), frame.is_unchecked());
            let arrived = Arrived { head, apart, is_verified, segment };
            self.engage(|engine, port, now| engine.receive(arrived, now, port));
        }
        if count > 0 {
            self.tell();
        }
        count
    }

    fn next_frame(&mut self) -> Option<Frame> {
        let port = self.port.as_mut()?;
        match port.device.receive(self.now) {
            Ok(frame) => {
                let frame = frame?;
                self.statistics.received.packets += 1;
                self.statistics.received.bytes += frame.len() as u64;
                Some(frame)
            }
            Err(error) => {
                self.statistics.received.errors += 1;
                tracing::warn!(%error, "the device failed to receive");
                None
            }
        }
    }

    /// While the interface is down, what arrives is dropped.
    fn discard(&mut self, budget: usize) {
        for _ in 0..budget {
            if self.next_frame().is_none() {
                self.unfinished = false;
                return;
            }
            self.statistics.received.dropped += 1;
        }
        self.unfinished = true;
    }

    /// Sends for those who may have something to send, in their turn, about so many frames at most; how many.
    fn send(&mut self, most: usize) -> usize {
        let mut left = most;
        let budget = &mut left;
        self.full = self.engine.owes() && !self.engage(|engine, port, now| engine.transmit(now, port));
        while *budget > 0 && !self.full {
            let Some(turn) = self.schedule.next() else { break };
            let sent = self.sent_bytes();
            let limit = sent + turn.bytes as u64;
            let sending = match turn.key {
                Sender::Flow(id) => self.tcp_turn(id, turn.bytes, budget),
                Sender::Socket(outlet) => self.udp_turn(outlet, limit, budget),
            };
            self.full |= sending == Sending::Full;
            self.schedule.spend(self.sent_bytes() - sent);
            if sending == Sending::Done {
                self.schedule.finish();
            }
        }
        // The rest of a packet that was cut up waits for the device.
        self.full |= self.engine.interface().is_behind();
        most - left
    }

    /// All bytes that have left so far.
    pub(super) fn sent_bytes(&self) -> u64 {
        self.port.as_ref().map_or(0, |port| port.sent.bytes)
    }

    /// All packets that have left so far.
    pub(super) fn sent_packets(&self) -> u64 {
        self.port.as_ref().map_or(0, |port| port.sent.packets)
    }

    /// Acts on what is due.
    fn expire(&mut self) {
        if self.engine.next_timeout().is_some_and(|at| at <= self.now) {
            self.engage(|engine, port, now| engine.handle_timeout(now, port));
            self.tell();
        }
    }

    /// Whether the runner has to look after what a caller left.
    pub(super) fn needs_runner(&self) -> bool {
        if self.port.is_none() {
            return true;
        }
        let sooner = match (self.engine.next_timeout(), self.runner_deadline) {
            (Some(next), Some(planned)) => next < planned,
            (Some(_), None) => true,
            (None, _) => false,
        };
        self.state == State::Up && (self.unfinished || self.full || sooner)
    }

    /// Decides what the runner does next.
    pub(super) fn turn(&mut self, context: &mut Context<'_>) -> Turn {
        let Some(port) = &mut self.port else { return Turn::Ended };
        // A loopback is emptied by whoever fills it, so its readiness is news to nobody.
        let readable = !port.device.loops_back() && port.device.poll_readable(context).is_ready();
        // While it is down nothing is sent, and a device that has room would wake the runner for nothing, for ever.
        let writable = self.state == State::Up && self.full && port.device.poll_writable(context).is_ready();
        let link = port.device.link();
        self.link_changed(link);
        if self.unfinished || readable || writable {
            self.runner_deadline = None;
            return Turn::Again;
        }
        let deadline = if self.state == State::Up { self.engine.next_timeout() } else { None };
        self.runner_deadline = deadline;
        Turn::Sleep(deadline)
    }

    /// Whether the medium is Ethernet.
    pub(super) fn is_ethernet(&self) -> bool {
        self.capabilities.medium == Medium::Ethernet
    }
}

#[cfg(test)]
mod tests;
