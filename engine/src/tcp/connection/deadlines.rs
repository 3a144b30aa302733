//! The timers of a connection: when it must be looked at, and what happens then.

use super::{Cause, Connection, Effects, Owner, State};
use crate::time::{Instant, earliest};

impl Connection {
    /// When [`handle_timeout`](Self::handle_timeout) is to be called, if nothing happens before.
    pub(in crate::tcp) fn next_timeout(&self) -> Option<Instant> {
        let owner = match self.owner {
            Owner::Connecting { deadline } | Owner::Nobody { deadline } => Some(deadline),
            Owner::Held => None,
        };
        let own = match &self.state {
            State::Opening(opening) => [opening.timer(), None],
            State::Synchronized(synchronized) => {
                [synchronized.sender.next_timeout(), synchronized.receiver.next_timeout()]
            }
            State::Closed(_) => return self.reset_due.as_ref().map(|reset| reset.deadline),
        };
        earliest([owner, own[0], own[1], self.given_up(), self.keep_alive()])
    }

    /// When the user timeout fails the connection (RFC 9293 section 3.9.1, RFC 5482). It runs only while something is
    /// unanswered.
    fn given_up(&self) -> Option<Instant> {
        self.is_outstanding().then_some(self.unanswered? + self.options.user_timeout?)
    }

    /// When the next keep-alive probe is due, or the connection fails because the peer has not answered the last one.
    fn keep_alive(&self) -> Option<Instant> {
        let keep = self.options.keep_alive?;
        match self.state {
            // The interval is counted from when the last probe was sent, and not from when it was due. So if the timer
            // was late, for example after a suspension, the peer still has time to answer.
            State::Synchronized(_) if self.probes > 0 => Some(self.probed + keep.interval),
            State::Synchronized(_) => Some(self.heard + keep.idle),
            State::Opening(_) | State::Closed(_) => None,
        }
    }

    /// Handles the timers that have expired.
    pub(in crate::tcp) fn handle_timeout(&mut self, now: Instant) -> Effects {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if self.is_closed() {
            self.reset_due.take_if(|reset| reset.deadline <= now);
            return Effects::default();
        }
        match self.owner {
            Owner::Connecting { deadline } | Owner::Nobody { deadline } if deadline <= now => {
                return self.give_up(now);
            }
            Owner::Connecting { .. } | Owner::Nobody { .. } | Owner::Held => {}
        }
        if due(self.given_up()) {
            return self.give_up(now);
        }
        if let Some(keep) = self.options.keep_alive
            && due(self.keep_alive())
        {
            if self.probes >= keep.count {
                return self.give_up(now);
            }
            // If data is outstanding, its retransmission serves as a probe.
            self.probe_due = !self.is_outstanding();
            self.probes += 1;
            self.probed = now;
        }
        match &mut self.state {
            State::Opening(opening) if due(opening.timer()) => opening.on_timeout(),
            State::Synchronized(synchronized) => {
                synchronized.receiver.handle_timeout(now);
                synchronized.sender.handle_timeout(now);
            }
            State::Opening(_) | State::Closed(_) => {}
        }
        Effects::default()
    }

    fn is_outstanding(&self) -> bool {
        matches!(&self.state, State::Synchronized(synchronized) if synchronized.sender.is_outstanding())
    }

    fn give_up(&mut self, now: Instant) -> Effects {
        self.abort(Cause::TimedOut, now);
        Effects::ALL
    }

    /// Restarts the times within which the peer has to answer, because the interface was down and nothing could be
    /// received.
    pub(in crate::tcp) fn restart_timers(&mut self, now: Instant) {
        (self.heard, self.probes) = (now, 0);
        if self.unanswered.is_some() {
            self.unanswered = Some(now);
        }
        if let State::Synchronized(synchronized) = &mut self.state {
            synchronized.sender.restart(now);
        }
    }
}
