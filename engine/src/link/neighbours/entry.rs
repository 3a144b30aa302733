//! One entry of the neighbour cache: the state machine of RFC 4861 section 7.3.2 and appendix C.

use alloc::collections::VecDeque;
use core::net::IpAddr;
use core::time::Duration;

use smoltcp::wire::EthernetAddress;

use super::ranks::Rank;
use super::{Evidence, State};
use crate::ports::Owner;
use crate::time::Instant;

/// DELAY_FIRST_PROBE_TIME (RFC 4861 section 10).
const DELAY_FIRST_PROBE: Duration = Duration::from_secs(5);
/// How long a failed neighbour is remembered as such. The value is this project's: long enough that a dead router is
/// not chosen again at once, short enough that a router which has come back is found.
const REMEMBERED: Duration = Duration::from_secs(30);

/// One neighbour, and the items that wait for it.
pub(super) struct Entry<W> {
    pub(super) hop: IpAddr,
    pub(super) knowledge: Knowledge,
    /// For whom it is being resolved, or was last: of the owners whose items wait, one who had few such entries.
    pub(super) owner: Owner,
    /// IsRouter (RFC 4861 section 5.1).
    pub(super) is_router: bool,
    /// When a solicitation was last sent.
    pub(super) asked: Option<Instant>,
    /// When it was last confirmed that packets reach the neighbour.
    pub(super) confirmed: Option<Instant>,
    /// The items that wait, oldest first. It is empty unless the neighbour is [`Incomplete`](Knowledge::Incomplete).
    pub(super) waiting: VecDeque<W>,
}

/// Whether the hardware address is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Knowledge {
    /// INCOMPLETE, after this many solicitations. Entered when a packet must be sent; left for [`Known`](Self::Known)
    /// by an answer, else for [`Failed`](Self::Failed) or [`Displaced`](Self::Displaced).
    Incomplete { solicitations: u32 },
    /// The hardware address is known. Left only when probes are not answered, or when the entry is removed.
    Known { hardware: EthernetAddress, trust: Trust },
    /// No solicitation was answered. The RFC deletes such an entry; here it is remembered for a while. A packet to the
    /// neighbour makes it incomplete again, and a late answer is accepted.
    Failed,
    /// As failed, but the entry was displaced by others before the neighbour could answer.
    Displaced,
}

/// How much a known hardware address is trusted: the other states of RFC 4861 section 7.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// REACHABLE: confirmed, and trusted until that time. That the time has passed is noticed only when the entry is
    /// used (section 7.3.3 allows that), so that idle neighbours need no alarm.
    Reachable { until: Instant },
    /// STALE: the neighbour announced itself, or the last confirmation is old. A packet to it makes it DELAY.
    Stale,
    /// DELAY: packets are sent to it, and a confirmation may still come before it is probed.
    Delay,
    /// PROBE, after this many unicast solicitations.
    Probe { solicitations: u32 },
    /// A static entry. No message changes it.
    Permanent,
}

impl<W> Entry<W> {
    pub(super) const fn new(hop: IpAddr, knowledge: Knowledge) -> Self {
        Self {
            hop,
            knowledge,
            owner: Owner::NOBODY,
            is_router: false,
            asked: None,
            confirmed: None,
            waiting: VecDeque::new(),
        }
    }

    pub(super) const fn hardware(&self) -> Option<EthernetAddress> {
        match self.knowledge {
            Knowledge::Known { hardware, .. } => Some(hardware),
            Knowledge::Incomplete { .. } | Knowledge::Failed | Knowledge::Displaced => None,
        }
    }

    /// Whether the neighbour may still answer its first solicitation.
    pub(super) const fn is_new(&self) -> bool {
        matches!(self.knowledge, Knowledge::Incomplete { solicitations: 0 | 1 })
    }

    pub(super) const fn is_incomplete(&self) -> bool {
        matches!(self.knowledge, Knowledge::Incomplete { .. })
    }

    pub(super) fn state(&self, now: Instant) -> State {
        match self.knowledge {
            Knowledge::Incomplete { .. } => State::Incomplete,
            Knowledge::Failed | Knowledge::Displaced => State::Failed,
            Knowledge::Known { trust, .. } => match trust {
                Trust::Reachable { until } if now < until => State::Reachable,
                Trust::Reachable { .. } | Trust::Stale => State::Stale,
                Trust::Delay => State::Delay,
                Trust::Probe { .. } => State::Probe,
                Trust::Permanent => State::Permanent,
            },
        }
    }

    pub(super) fn rank(&self) -> Rank {
        match self.knowledge {
            Knowledge::Incomplete { .. } if self.waiting.is_empty() => Rank::Asked,
            Knowledge::Incomplete { .. } => Rank::Awaited,
            Knowledge::Failed | Knowledge::Displaced => Rank::Dead,
            Knowledge::Known { trust, .. } => match trust {
                Trust::Reachable { .. } => Rank::Confirmed,
                Trust::Stale => Rank::Stale,
                Trust::Delay | Trust::Probe { .. } => Rank::Suspect,
                Trust::Permanent => Rank::Fixed,
            },
        }
    }

    /// When the state that was entered now needs an action. A neighbour is solicited at most once per `retransmit` (RFC
    /// 4861 section 7.3.3; RFC 1122 section 2.3.2.1), whatever states it had meanwhile.
    pub(super) fn alarm(&self, retransmit: Duration, now: Instant) -> Option<Instant> {
        let solicitation = self.asked.map_or(now, |asked| asked + retransmit);
        match self.knowledge {
            Knowledge::Incomplete { .. } => Some(solicitation),
            Knowledge::Failed | Knowledge::Displaced => Some(now + REMEMBERED),
            Knowledge::Known { trust, .. } => match trust {
                Trust::Delay => Some(solicitation.max(now + DELAY_FIRST_PROBE)),
                Trust::Probe { .. } => Some(solicitation),
                Trust::Reachable { .. } | Trust::Stale | Trust::Permanent => None,
            },
        }
    }

    /// A packet is sent to the neighbour (RFC 4861 section 7.3.3).
    pub(super) fn send(&mut self, now: Instant) {
        let state = self.state(now);
        if let Knowledge::Known { trust, .. } = &mut self.knowledge
            && state == State::Stale
        {
            *trust = Trust::Delay;
        }
    }

    /// Packets reach the neighbour (RFC 4861 section 7.3.1). This is ignored if the hardware address is not known.
    pub(super) fn confirm(&mut self, until: Instant, now: Instant) {
        if let Knowledge::Known { trust, .. } = &mut self.knowledge {
            self.confirmed = Some(now);
            if *trust != Trust::Permanent {
                *trust = Trust::Reachable { until };
            }
        }
    }

    /// Applies evidence. If it confirms the neighbour, the confirmation counts until `until`.
    pub(super) fn hear(&mut self, evidence: Evidence, until: Instant, now: Instant) {
        match evidence {
            Evidence::Solicitation { hardware } => self.learn(hardware),
            Evidence::RouterAdvertisement { hardware } => {
                self.is_router = true;
                hardware.into_iter().for_each(|hardware| self.learn(hardware));
            }
            Evidence::Redirect { hardware, is_router } => {
                self.is_router |= is_router;
                hardware.into_iter().for_each(|hardware| self.learn(hardware));
            }
            Evidence::Advertisement { hardware, is_solicited, overrides, is_router } => {
                if self.advertise(hardware, is_solicited, overrides, (until, now)) {
                    self.is_router = is_router;
                }
            }
            Evidence::ArpReply { hardware } => {
                let is_solicited = self.is_asked();
                self.advertise(Some(hardware), is_solicited, true, (until, now));
            }
            Evidence::ArpAnnouncement { hardware } => {
                self.advertise(Some(hardware), false, true, (until, now));
            }
        }
    }

    /// Whether an answer is expected, by the state of the entry. An ARP reply itself does not say what it answers.
    const fn is_asked(&self) -> bool {
        match self.knowledge {
            Knowledge::Incomplete { solicitations } => solicitations > 0,
            Knowledge::Known { trust, .. } => matches!(trust, Trust::Probe { .. }),
            Knowledge::Failed | Knowledge::Displaced => false,
        }
    }

    /// Learns a hardware address from a message that is not an answer (RFC 4861 sections 6.3.4, 7.2.3 and 8.3). Such a
    /// message proves nothing about the path to the neighbour, so a new address is not trusted.
    fn learn(&mut self, heard: EthernetAddress) {
        match self.knowledge {
            Knowledge::Known { trust: Trust::Permanent, .. } => {}
            Knowledge::Known { hardware, .. } if hardware == heard => {}
            Knowledge::Known { .. } | Knowledge::Incomplete { .. } | Knowledge::Failed | Knowledge::Displaced => {
                self.knowledge = Knowledge::Known { hardware: heard, trust: Trust::Stale };
            }
        }
    }

    /// Applies an advertisement (RFC 4861 section 7.2.5). Returns whether it is accepted, and so its router flag.
    fn advertise(
        &mut self,
        heard: Option<EthernetAddress>,
        is_solicited: bool,
        overrides: bool,
        (until, now): (Instant, Instant),
    ) -> bool {
        match (&mut self.knowledge, heard) {
            (Knowledge::Known { trust: Trust::Permanent, .. }, _) => return true,
            (Knowledge::Known { hardware, trust }, Some(heard)) if *hardware != heard => {
                if !overrides {
                    // Case I: another host claims the address.
                    if matches!(trust, Trust::Reachable { .. }) {
                        *trust = Trust::Stale;
                    }
                    return false;
                }
                (*hardware, *trust) = (heard, Trust::Stale);
            }
            (Knowledge::Known { .. }, _) => {}
            (knowledge, Some(hardware)) => *knowledge = Knowledge::Known { hardware, trust: Trust::Stale },
            // Only the router flag is learned, as appendix C specifies.
            (_, None) => return true,
        }
        if is_solicited {
            self.confirm(until, now);
        }
        true
    }
}
