//! When routers are asked for (RFC 4861 section 6.3.7): until there is one, after about four seconds first, then after twice as
//! long each time, and in the end once an hour (RFC 7559 section 2). After three solicitations without an answer it is known
//! that there is none for now.

use core::time::Duration;

use crate::configure::backoff::Backoff;
use crate::random::Random;
use crate::time::Instant;

/// `MAX_RTR_SOLICITATIONS` of RFC 4861 section 10.
const ENOUGH: u32 = 3;
/// `MAX_RTR_SOLICITATION_DELAY`: so long after the last of them an answer may come.
const PATIENCE: Duration = Duration::from_secs(1);
/// IRT and MRT of RFC 7559 section 2. The first is `RTR_SOLICITATION_INTERVAL`.
const BACKOFF: Backoff = Backoff { initial: Duration::from_secs(4), longest: Duration::from_secs(3600) };

/// Whether routers are being asked for, and when the next time is.
#[derive(Debug)]
pub(super) struct Solicitation {
    state: State,
    conclusion: Conclusion,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// A solicitation is to be sent.
    Solicitation,
    /// Enough were sent: who has not heard of a router by now concludes that there is none.
    Conclusion,
}

/// Whether enough was asked to know that there is no router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conclusion {
    /// Entered when it begins, and when it is stopped or answered. Left by the third solicitation.
    Open,
    /// Left when an answer could have come.
    Near(Instant),
    Reached,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nobody is asked: at the begin, when it was stopped, and when a router has answered.
    Idle,
    /// Entered by `start`; left for `Asking` with the first solicitation, or for `Idle` with it where a router has
    /// advertised itself before.
    Starting {
        due: Instant,
        /// One is sent nevertheless: an advertisement that nobody has asked for may not say everything.
        is_answered: bool,
    },
    /// Entered with the first solicitation, left by an answer.
    Asking { sent: u32, interval: Duration, due: Instant },
}

impl Solicitation {
    pub(super) const fn new() -> Self {
        Self { state: State::Idle, conclusion: Conclusion::Open }
    }

    pub(super) const fn start(&mut self, now: Instant) {
        *self = Self { state: State::Starting { due: now, is_answered: false }, conclusion: Conclusion::Open };
    }

    pub(super) const fn stop(&mut self) {
        *self = Self::new();
    }

    /// Whether nobody has answered three times.
    pub(super) const fn is_in_vain(&self) -> bool {
        matches!(self.conclusion, Conclusion::Reached)
    }

    /// There is a default router.
    pub(super) const fn answered(&mut self) {
        match &mut self.state {
            State::Idle => {}
            State::Starting { due: _, is_answered } => *is_answered = true,
            State::Asking { sent: _, interval: _, due: _ } => self.stop(),
        }
    }

    /// What is to be done by now.
    pub(super) fn poll(&mut self, now: Instant, random: &mut Random) -> Option<Due> {
        if matches!(self.conclusion, Conclusion::Near(at) if at <= now) {
            self.conclusion = Conclusion::Reached;
            return Some(Due::Conclusion);
        }
        self.next_solicitation().filter(|due| *due <= now)?;
        let (sent, before) = match self.state {
            State::Idle => return None,
            State::Starting { due: _, is_answered: true } => {
                self.state = State::Idle;
                return Some(Due::Solicitation);
            }
            State::Starting { due: _, is_answered: false } => (0, None),
            State::Asking { sent, interval, due: _ } => (sent, Some(interval)),
        };
        let sent = sent.saturating_add(1);
        if sent == ENOUGH {
            self.conclusion = Conclusion::Near(now + PATIENCE);
        }
        let interval = BACKOFF.next(before, random);
        self.state = State::Asking { sent, interval, due: now + interval };
        Some(Due::Solicitation)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let conclusion = if let Conclusion::Near(at) = self.conclusion { Some(at) } else { None };
        [self.next_solicitation(), conclusion].into_iter().flatten().min()
    }

    const fn next_solicitation(&self) -> Option<Instant> {
        match self.state {
            State::Idle => None,
            State::Starting { due, is_answered: _ } | State::Asking { sent: _, interval: _, due } => Some(due),
        }
    }
}
