//! When routers are asked for (RFC 4861 section 6.3.7, RFC 7559).

use core::time::Duration;

use super::Persistence;
use crate::configure::backoff::Backoff;
use crate::random::Random;
use crate::time::Instant;

/// `MAX_RTR_SOLICITATIONS` of RFC 4861 section 10.
const BRIEF: u32 = 3;
/// `RTR_SOLICITATION_INTERVAL` of RFC 4861 section 10.
const INTERVAL: Duration = Duration::from_secs(4);
/// IRT and MRT of RFC 7559 section 2.
const BACKOFF: Backoff = Backoff { initial: INTERVAL, longest: Duration::from_secs(3600) };

/// Whether routers are being asked for, and when the next time is.
#[derive(Debug)]
pub(super) struct Solicitation {
    persistence: Persistence,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nobody is asked: at the begin, when it was stopped, when a router has answered, and when enough was asked.
    Idle,
    /// Entered by `start`; left for `Asking` with the first solicitation, or for `Idle` with it where a router has
    /// advertised itself before.
    Starting {
        due: Instant,
        /// One is sent nevertheless: an advertisement that nobody has asked for may not say everything.
        is_answered: bool,
    },
    /// Entered with the first solicitation, left by an answer, and when enough was asked.
    Asking { sent: u32, interval: Duration, due: Instant },
}

impl Solicitation {
    pub(super) const fn new(persistence: Persistence) -> Self {
        Self { persistence, state: State::Idle }
    }

    pub(super) const fn start(&mut self, now: Instant) {
        self.state = State::Starting { due: now, is_answered: false };
    }

    pub(super) const fn stop(&mut self) {
        self.state = State::Idle;
    }

    /// There is a default router.
    pub(super) const fn answered(&mut self) {
        match &mut self.state {
            State::Idle => {}
            State::Starting { due: _, is_answered } => *is_answered = true,
            State::Asking { sent: _, interval: _, due: _ } => self.state = State::Idle,
        }
    }

    /// Whether a solicitation is to be sent.
    pub(super) fn poll(&mut self, now: Instant, random: &mut Random) -> bool {
        if self.next_timeout().is_none_or(|due| due > now) {
            return false;
        }
        let (sent, before) = match self.state {
            State::Idle => return false,
            State::Starting { due: _, is_answered: true } => {
                self.state = State::Idle;
                return true;
            }
            State::Starting { due: _, is_answered: false } => (0, None),
            State::Asking { sent, interval, due: _ } => (sent, Some(interval)),
        };
        let sent = sent.saturating_add(1);
        let interval = match self.persistence {
            Persistence::Brief if sent >= BRIEF => None,
            Persistence::Brief => Some(INTERVAL),
            Persistence::Endless => Some(BACKOFF.next(before, random)),
        };
        self.state = interval.map_or(State::Idle, |interval| State::Asking { sent, interval, due: now + interval });
        true
    }

    pub(super) const fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Idle => None,
            State::Starting { due, is_answered: _ } | State::Asking { sent: _, interval: _, due } => Some(due),
        }
    }
}
