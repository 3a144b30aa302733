//! Claiming an address on a link: probing, announcing and defending it (RFC 5227 section 2, RFC 4862 section 5.4, RFC
//! 4861 section 7.2.6).
//!
//! One state machine serves both families. It does not know message formats: it says when a probe or an announcement is
//! due, and the caller tells it about conflicts. A probe is [`Arp::probe`](super::arp::Arp::probe), or a
//! [solicitation](super::ndp::Solicitation) with the unspecified source. An announcement is
//! [`Arp::announcement`](super::arp::Arp::announcement), or an [advertisement](super::ndp::Advertisement) with the
//! override flag to all nodes.

use core::time::Duration;

use crate::random::Random;
use crate::time::Instant;

#[cfg(test)]
mod tests;

/// The number and timing of probes and announcements, and the defence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The number of probes. With 0 the address is assumed to be free.
    pub probes: u32,
    /// The first probe is sent after a random time of up to this, so that hosts that are switched on together do not
    /// all send at once.
    pub first_delay: Duration,
    /// The minimum time between two probes.
    pub least_interval: Duration,
    /// The maximum time between two probes. The time is random between minimum and maximum.
    pub greatest_interval: Duration,
    /// How long to wait for conflicts after the last probe.
    pub last_wait: Duration,
    /// The number of announcements, when the address is acquired and when the hardware address has changed.
    pub announcements: u32,
    /// The time between two announcements.
    pub announcement_interval: Duration,
    /// What to do when another host uses the address of this host.
    pub defence: Defence,
}

/// What to do when another host uses the address of this host (RFC 5227 section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defence {
    /// Only report it. For IPv6, for which no defence is specified (RFC 4862 section 5.4.4).
    None,
    /// (a) Give the address up at once.
    GiveUp,
    /// (b) Announce the address once, and give it up if there is another conflict within this time (`DEFEND_INTERVAL`).
    Once(Duration),
    /// (c) Announce the address, at most once within this time, and never give it up. For an address that an
    /// administrator has configured.
    Always(Duration),
}

impl Timing {
    /// The constants of RFC 5227 section 1.1.
    pub const ARP: Self = Self {
        probes: 3,
        first_delay: Duration::from_secs(1),
        least_interval: Duration::from_secs(1),
        greatest_interval: Duration::from_secs(2),
        last_wait: Duration::from_secs(2),
        announcements: 2,
        announcement_interval: Duration::from_secs(2),
        defence: Defence::Once(Duration::from_secs(10)),
    };

    /// Of an address that was lent, which the app waits for: its server has looked whether somebody has it (RFC 2131 section
    /// 2.2), and who has taken it nevertheless answers at once. NetworkManager waits for as long.
    pub const LEASE: Self = Self {
        probes: 2,
        first_delay: Duration::ZERO,
        least_interval: Duration::from_millis(100),
        greatest_interval: Duration::from_millis(100),
        last_wait: Duration::from_millis(100),
        ..Self::ARP
    };

    /// `DupAddrDetectTransmits` of RFC 4862 section 5.1, and the constants of RFC 4861 section 10.
    pub const NDP: Self = Self {
        probes: 1,
        first_delay: Duration::from_secs(1),
        least_interval: Duration::from_secs(1),
        greatest_interval: Duration::from_secs(1),
        last_wait: Duration::from_secs(1),
        announcements: 3,
        announcement_interval: Duration::from_secs(1),
        defence: Defence::None,
    };

    /// The same timing without probes.
    #[must_use]
    pub const fn without_probes(self) -> Self {
        Self { probes: 0, ..self }
    }

    /// The same timing with another defence.
    #[must_use]
    pub const fn with_defence(self, defence: Defence) -> Self {
        Self { defence, ..self }
    }
}

/// What the caller must do for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a probe.
    Probe,
    /// The address now belongs to this host: it may be used, and requests for it are answered.
    Acquired,
    /// Send an announcement.
    Announce,
}

/// The result of a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The address belongs to another host and must not be used any more. The claim has ended.
    Lost,
    /// The address is kept. If an announcement is due, [`Claim::poll`] returns it.
    Kept,
}

/// The state of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Probing: entered at the start and by [`Claim::restart`], left after the wait that follows the last probe. The
    /// address is not used.
    Probing,
    /// The address belongs to this host: entered from probing, left if a conflict makes the host give it up.
    Held,
    /// The address belongs to another host: entered by a conflict, left only by [`Claim::restart`].
    Lost,
}

/// The claim of one address.
#[derive(Clone, Debug)]
pub struct Claim {
    timing: Timing,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The number of probes left, and when the next step is due. With 0 left, the wait after the last probe is running.
    Probing {
        left: u32,
        due: Instant,
    },
    Held {
        /// The number of announcements left.
        left: u32,
        /// When the next announcement is due.
        due: Instant,
        /// When the address was last defended.
        defended: Option<Instant>,
    },
    Lost,
}

impl Claim {
    /// Starts to claim an address now.
    #[must_use]
    pub fn new(timing: Timing, now: Instant, random: &mut Random) -> Self {
        let mut claim = Self { timing, phase: Phase::Lost };
        claim.restart(now, random);
        claim
    }

    /// Starts again, because the link may be another one, or to retry an address that was lost. A caller that tries
    /// many addresses must limit its rate after ten conflicts (`MAX_CONFLICTS`, `RATE_LIMIT_INTERVAL`, RFC 5227 section
    /// 2.1.1).
    pub fn restart(&mut self, now: Instant, random: &mut Random) {
        let left = self.timing.probes;
        let delay = if left == 0 { Duration::ZERO } else { between(Duration::ZERO, self.timing.first_delay, random) };
        self.phase = Phase::Probing { left, due: now + delay };
    }

    /// The state of the claim.
    #[must_use]
    pub const fn state(&self) -> State {
        match self.phase {
            // Without probes the address belongs to this host at once, even before `poll` has returned `Acquired`.
            Phase::Probing { left: _, due: _ } if self.timing.probes == 0 => State::Held,
            Phase::Probing { left: _, due: _ } => State::Probing,
            Phase::Held { left: _, due: _, defended: _ } => State::Held,
            Phase::Lost => State::Lost,
        }
    }

    /// The next action that is due by now.
    pub fn poll(&mut self, now: Instant, random: &mut Random) -> Option<Action> {
        if self.next_timeout().is_none_or(|due| due > now) {
            return None;
        }
        let Timing { least_interval, greatest_interval, last_wait, announcements, announcement_interval, .. } =
            self.timing;
        match &mut self.phase {
            Phase::Probing { left: 0, due: _ } => {
                self.phase = Phase::Held { left: announcements, due: now, defended: None };
                Some(Action::Acquired)
            }
            Phase::Probing { left, due } => {
                *left -= 1;
                let wait = if *left == 0 { last_wait } else { between(least_interval, greatest_interval, random) };
                *due = now + wait;
                Some(Action::Probe)
            }
            Phase::Held { left, due, defended: _ } => {
                *left = left.saturating_sub(1);
                *due = now + announcement_interval;
                Some(Action::Announce)
            }
            Phase::Lost => None,
        }
    }

    /// When to [poll](Self::poll) again.
    #[must_use]
    pub const fn next_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Probing { left: _, due } => Some(due),
            Phase::Held { left: 0, due: _, defended: _ } | Phase::Lost => None,
            Phase::Held { left: _, due, defended: _ } => Some(due),
        }
    }

    /// Announces the address again, because the hardware address has changed. The first announcement is due at once,
    /// even right after another one: until then neighbours send to the old hardware address.
    pub const fn announce(&mut self, now: Instant) {
        if let Phase::Held { left, due, defended: _ } = &mut self.phase {
            (*left, *due) = (self.timing.announcements, now);
        }
    }

    /// Reports that another host uses the address, or probes for it while this host probes too. A probe for an address
    /// that is held is not a conflict: it is answered.
    pub fn conflict(&mut self, now: Instant) -> Outcome {
        if let Phase::Probing { left: _, due } = self.phase
            && self.timing.probes == 0
        {
            self.phase = Phase::Held { left: self.timing.announcements, due, defended: None };
        }
        let Phase::Held { left, due, defended } = &mut self.phase else {
            self.phase = Phase::Lost;
            return Outcome::Lost;
        };
        let is_recent = |interval| defended.is_some_and(|defended| now - defended < interval);
        let is_given_up = match self.timing.defence {
            Defence::None => return Outcome::Kept,
            Defence::GiveUp => true,
            Defence::Once(interval) => is_recent(interval),
            Defence::Always(interval) if is_recent(interval) => return Outcome::Kept,
            Defence::Always(_) => false,
        };
        if is_given_up {
            self.phase = Phase::Lost;
            return Outcome::Lost;
        }
        *defended = Some(now);
        *left = (*left).max(1);
        *due = now;
        Outcome::Kept
    }
}

/// A uniformly distributed time between two.
fn between(least: Duration, greatest: Duration, random: &mut Random) -> Duration {
    let spread = u32::try_from(greatest.saturating_sub(least).as_micros()).unwrap_or(u32::MAX - 1);
    least + Duration::from_micros(u64::from(random.below(spread + 1)))
}
