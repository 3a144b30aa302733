//! The schedule of router solicitations (RFC 4861 section 6.3.7). They are repeated until there is a default router:
//! the first interval is about four seconds, each later one is twice as long, up to one hour (RFC 7559 section 2). If
//! three solicitations stay without an answer, it is concluded that there is no router for now.

use core::time::Duration;

use crate::configure::backoff::Backoff;
use crate::random::Random;
use crate::time::{Instant, earliest};

/// `MAX_RTR_SOLICITATIONS` of RFC 4861 section 10.
const ENOUGH: u32 = 3;
/// `MAX_RTR_SOLICITATION_DELAY`: the time to wait for an answer after the last of these solicitations.
const PATIENCE: Duration = Duration::from_secs(1);
/// IRT and MRT of RFC 7559 section 2. IRT is `RTR_SOLICITATION_INTERVAL`.
const BACKOFF: Backoff = Backoff { initial: Duration::from_secs(4), longest: Duration::from_secs(3600) };

/// The state of router solicitation, and the time of the next one.
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
    /// Enough solicitations were sent: if no router was heard by now, there is none.
    Conclusion,
}

/// Whether enough solicitations were sent to conclude that there is no router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conclusion {
    /// Entered when solicitation starts, is stopped or is answered. Left for `Near` with the third solicitation.
    Open,
    /// The time until which an answer may come; left for `Reached` at that time.
    Near(Instant),
    Reached,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// No solicitations are sent: initially, after `stop`, and after a router has answered.
    Idle,
    /// Entered by `start`. Left with the first solicitation: for `Asking`, or for `Idle` if a router has advertised
    /// itself before.
    Starting {
        due: Instant,
        /// A router has advertised already. One solicitation is sent nevertheless, because an unsolicited advertisement
        /// may be incomplete.
        is_answered: bool,
    },
    /// Entered with the first solicitation; left for `Idle` by an answer.
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

    /// Whether three solicitations stayed without an answer.
    pub(super) const fn is_in_vain(&self) -> bool {
        matches!(self.conclusion, Conclusion::Reached)
    }

    /// Ends solicitation because there is a default router.
    pub(super) const fn answered(&mut self) {
        match &mut self.state {
            State::Idle => {}
            State::Starting { due: _, is_answered } => *is_answered = true,
            State::Asking { sent: _, interval: _, due: _ } => self.stop(),
        }
    }

    /// Returns what is due by now.
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
        earliest([self.next_solicitation(), conclusion])
    }

    const fn next_solicitation(&self) -> Option<Instant> {
        match self.state {
            State::Idle => None,
            State::Starting { due, is_answered: _ } | State::Asking { sent: _, interval: _, due } => Some(due),
        }
    }
}
