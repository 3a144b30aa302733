//! How an address is taken: probed for, announced, and defended (RFC 5227 section 2, RFC 4862 section 5.4, RFC 4861
//! section 7.2.6).
//!
//! One machine serves both families. It knows no formats: it says when a probe or an announcement is due, and is told
//! whether another host contests the address. A probe is [`Arp::probe`](super::arp::Arp::probe) or a
//! [solicitation](super::ndp::Solicitation) without a source; an announcement is
//! [`Arp::announcement`](super::arp::Arp::announcement) or an [advertisement](super::ndp::Advertisement) with the
//! override flag to all nodes.

use core::time::Duration;

use crate::random::Random;
use crate::time::Instant;

#[cfg(test)]
mod tests;

/// How often and when is probed, announced and defended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How many probes; none where 0: the address is believed to be free.
    pub probes: u32,
    /// The first one is sent after a random time of up to so long: hosts that are switched on together do not speak
    /// at once.
    pub first_delay: Duration,
    /// The least time from a probe to the next.
    pub least_interval: Duration,
    /// The greatest time from a probe to the next; chosen at random between both.
    pub greatest_interval: Duration,
    /// How long is waited for objections after the last probe.
    pub last_wait: Duration,
    /// How many announcements, when the address is taken and when something about it has changed.
    pub announcements: u32,
    /// The time from an announcement to the next.
    pub announcement_interval: Duration,
    /// What is done when another host uses the address that this one has.
    pub defence: Defence,
}

/// What is done when another host uses the address that this one has (RFC 5227 section 2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defence {
    /// Nothing but to tell of it: of IPv6, where no defence is specified (RFC 4862 section 5.4.4).
    None,
    /// It is given up at once: (a).
    GiveUp,
    /// It is announced once, and given up with the next conflict within so long: (b), `DEFEND_INTERVAL`.
    Once(Duration),
    /// It is announced, no more often than once in so long, and never given up: (c), for an address that somebody
    /// wrote down.
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

    /// The same without probes.
    #[must_use]
    pub const fn without_probes(self) -> Self {
        Self { probes: 0, ..self }
    }

    /// The same with another defence.
    #[must_use]
    pub const fn with_defence(self, defence: Defence) -> Self {
        Self { defence, ..self }
    }
}

/// What is to be done for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a probe.
    Probe,
    /// The address is this host's from now on: it may be used, and is answered for.
    Acquired,
    /// Send an announcement.
    Announce,
}

/// What a conflict leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The address is another host's: it must not be used any more. The claim has ended.
    Lost,
    /// The address is kept. Where there is something to be announced, [`Claim::poll`] says so.
    Kept,
}

/// Where a claim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Objections are waited for: entered at the begin and by [`Claim::restart`], left when the last probe has been
    /// waited for. The address is not used.
    Probing,
    /// The address is this host's: entered from there, left by a conflict that it is given up for.
    Held,
    /// The address is another's: entered by a conflict, left by [`Claim::restart`] alone.
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
    /// So many probes are left, or none and the wait for objections; the next step is due then.
    Probing {
        left: u32,
        due: Instant,
    },
    Held {
        /// Announcements that are left.
        left: u32,
        /// When the next one may leave.
        due: Instant,
        /// When the address was last defended.
        defended: Option<Instant>,
    },
    Lost,
}

impl Claim {
    /// Begins to claim an address now.
    #[must_use]
    pub fn new(timing: Timing, now: Instant, random: &mut Random) -> Self {
        let mut claim = Self { timing, phase: Phase::Lost };
        claim.restart(now, random);
        claim
    }

    /// Begins anew: the link is another, or an address that was lost is tried again. Whoever tries many addresses has
    /// to do it slowly after ten that were lost (`MAX_CONFLICTS`, `RATE_LIMIT_INTERVAL`, RFC 5227 section 2.1.1).
    pub fn restart(&mut self, now: Instant, random: &mut Random) {
        let left = self.timing.probes;
        let delay = if left == 0 { Duration::ZERO } else { between(Duration::ZERO, self.timing.first_delay, random) };
        self.phase = Phase::Probing { left, due: now + delay };
    }

    /// Where it is.
    #[must_use]
    pub const fn state(&self) -> State {
        match self.phase {
            // Nobody is asked: it is this host's before that has been said.
            Phase::Probing { left: _, due: _ } if self.timing.probes == 0 => State::Held,
            Phase::Probing { left: _, due: _ } => State::Probing,
            Phase::Held { left: _, due: _, defended: _ } => State::Held,
            Phase::Lost => State::Lost,
        }
    }

    /// What is to be done by now, one thing at a time.
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

    /// Announces the address anew: the hardware address is another. The first announcement leaves at once, also where
    /// there was one a moment ago: neighbours send to whom that one told of, who is not there any more.
    pub const fn announce(&mut self, now: Instant) {
        if let Phase::Held { left, due, defended: _ } = &mut self.phase {
            (*left, *due) = (self.timing.announcements, now);
        }
    }

    /// Another host uses the address, or probes for it while this one does too. A probe for an address that is held
    /// is no conflict, but is answered.
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

/// A time between two, each as likely as the others.
fn between(least: Duration, greatest: Duration, random: &mut Random) -> Duration {
    let spread = u32::try_from(greatest.saturating_sub(least).as_micros()).unwrap_or(u32::MAX - 1);
    least + Duration::from_micros(u64::from(random.below(spread + 1)))
}
