//! What is known of neighbours, and what waits for them: address resolution and unreachability detection of RFC 4861
//! for both families, ARP (RFC 826) being one more way to ask.
//!
//! The cache knows no packet's format. It is told what was [heard](Neighbours::hear) of a neighbour, and
//! [says](Neighbours::poll) whom to solicit, and what of all that waits may leave. Whoever has a packet asks it for the
//! next hop's [hardware address](Neighbours::resolve), and lets the packet [wait](Neighbours::wait) where there is none
//! yet.
//!
//! What strangers and guests can do to it: a stranger that says who it is takes the place of others that only said so;
//! a scan of addresses where nobody lives takes the places of addresses that are asked for, of which the oldest gives
//! way; neither takes the place of a neighbour whose packets arrive. Each step costs the same, however many there are.

use alloc::collections::VecDeque;
use core::net::IpAddr;
use core::time::Duration;

use hashbrown::HashMap;
use smoltcp::wire::EthernetAddress;

use self::entry::{Entry, Knowledge, Trust};
use self::leaving::{Fate, Leaving};
use self::ranks::{Rank, Ranks};
use self::times::Times;
use crate::random::{Random, Secret};
use crate::slots::{Key, Slots};
use crate::time::Instant;
use crate::timers::Timers;

pub use self::evidence::{Evidence, Heard};
pub use self::listing::{Neighbour, Reachability, State};

mod entry;
mod evidence;
mod leaving;
mod listing;
mod ranks;
mod resolution;
#[cfg(test)]
mod tests;
mod times;

/// Times and bounds of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// REACHABLE_TIME (RFC 4861 section 10): about how long a confirmation counts. The time itself is random, between a
    /// half and three halves of this, and renewed every two hours (section 6.3.2).
    pub reachable: Duration,
    /// RETRANS_TIMER (RFC 4861 section 10): how far apart the solicitations of one neighbour are.
    pub retransmit: Duration,
    /// How many neighbours are remembered at most, those included that did not answer.
    pub most: usize,
    /// How many of them are asked for at once at most; no more than a half of `most`. The others of `most` are for
    /// those that answered.
    pub most_unresolved: usize,
    /// How much waits for one neighbour at most.
    pub most_waiting: usize,
    /// How much waits for all of them at most.
    pub most_waiting_total: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            reachable: Duration::from_secs(30),
            retransmit: Duration::from_secs(1),
            most: 1024,
            most_unresolved: 256,
            most_waiting: 64,
            most_waiting_total: 1024,
        }
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<W> {
    /// Send a neighbour solicitation or an ARP request.
    Solicit {
        /// Whose hardware address is asked for.
        hop: IpAddr,
        /// To whom: the hardware address that is to be confirmed. `None` for the solicited-node multicast address or
        /// the broadcast address.
        to: Option<EthernetAddress>,
    },
    /// This may leave: the neighbour's hardware address is known. Where the device has no room, it is the caller's to
    /// keep.
    Release {
        /// For which neighbour it has waited.
        hop: IpAddr,
        /// What has waited.
        waiting: W,
    },
    /// The neighbour did not answer: whoever owns this is to be told (RFC 4861 section 7.2.2).
    Unreachable {
        /// For which neighbour it has waited.
        hop: IpAddr,
        /// What has waited.
        waiting: W,
    },
    /// This had to give way, or its neighbour was forgotten, while nobody knew whether the neighbour would answer.
    Displaced {
        /// For which neighbour it has waited.
        hop: IpAddr,
        /// What has waited.
        waiting: W,
    },
    /// The neighbour no longer answers: who uses it determines the next hop anew (RFC 4861 section 7.3.3).
    Lost {
        /// Which neighbour.
        hop: IpAddr,
    },
}

/// Why a neighbour could not be configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// The address or the hardware address is no single station's.
    #[error("not the address of a single station")]
    NotUnicast,
    /// All places are taken by neighbours that were configured.
    #[error("too many neighbours are configured")]
    Full,
}

/// The neighbours of one interface, and what waits for them: packets, or keys of those who have some. See the
/// [module](self).
pub struct Neighbours<W> {
    config: Config,
    times: Times,
    entries: Slots<Entry<W>>,
    keys: HashMap<IpAddr, Key, Secret>,
    ranks: Ranks,
    timers: Timers,
    leaving: Leaving<W>,
    /// How much waits, what leaves included.
    waiting: usize,
    /// Who is to be asked once although nothing is sent to it.
    recheck: Option<IpAddr>,
}

/// How often a neighbour that is passed over is asked whether it is back (RFC 4191 section 3.5).
const RECHECK_INTERVAL: Duration = Duration::from_secs(60);

impl<W> Neighbours<W> {
    /// No neighbours.
    #[must_use]
    pub fn new(mut config: Config, random: &mut Random) -> Self {
        config.most_unresolved = config.most_unresolved.min(config.most / 2);
        Self {
            times: Times::new(config.reachable, config.retransmit, random),
            config,
            entries: Slots::default(),
            keys: HashMap::with_hasher(Secret::new(random)),
            ranks: Ranks::default(),
            timers: Timers::new(),
            leaving: Leaving::default(),
            waiting: 0,
            recheck: None,
        }
    }

    /// A router has advertised a base of the reachable time or a time between solicitations for IPv6, where not `None`:
    /// its fields are not zero (RFC 4861 section 6.3.4). Beyond an hour, and beyond a hundredth of a second to a
    /// minute, the limits count.
    pub fn set_advertised_times(&mut self, reachable: Option<Duration>, retransmit: Option<Duration>) {
        self.times.advertise(reachable, retransmit);
    }

    /// The hardware address for a packet that leaves to `hop` now. `None` where it is to [wait](Self::wait): then `hop`
    /// is solicited, unless it is no single station's address. Where packets went to it long ago only, it will be
    /// probed if nobody [confirms](Self::confirm) it in five seconds (RFC 4861 section 7.3.3).
    pub fn resolve(&mut self, hop: IpAddr, now: Instant) -> Option<EthernetAddress> {
        let Some(key) = self.find(hop) else {
            self.ask(hop, now);
            return None;
        };
        let Some(hardware) = self.entries.get(key)?.hardware() else {
            self.ask(hop, now);
            return None;
        };
        self.change(key, now, |entry| entry.send(now));
        self.ranks.touch(key.index());
        Some(hardware)
    }

    /// Something waits for a neighbour that [`resolve`](Self::resolve) did not know; all of it comes back by
    /// [`poll`](Self::poll).
    ///
    /// Where too much waits, the oldest gives way (RFC 4861 section 7.2.2): of this neighbour, or, where nothing waits
    /// for this one and too much for all, of the neighbour that is asked for the longest. It is returned for its owner
    /// to be told.
    ///
    /// # Errors
    /// What was to wait, where there is no room: the bounds are zero, or nothing can give way, or `hop` is no single
    /// station's address.
    pub fn wait(&mut self, hop: IpAddr, waiting: W, now: Instant) -> Result<Option<W>, W> {
        if self.config.most_waiting == 0 {
            return Err(waiting);
        }
        let Some(key) = self.find(hop).filter(|key| self.is_resolving(*key)).or_else(|| self.ask(hop, now)) else {
            return Err(waiting);
        };
        let Some(entry) = self.entries.get(key) else { return Err(waiting) };
        let is_known = entry.hardware().is_some();
        let mut displaced = None;
        if entry.waiting.len() >= self.config.most_waiting {
            displaced = self.displace_waiting(key);
        } else if self.waiting >= self.config.most_waiting_total {
            displaced = self.displace_waiting(key).or_else(|| self.displace_longest_waiting());
            if displaced.is_none() {
                return Err(waiting);
            }
        }
        self.waiting += 1;
        if is_known {
            self.leaving.push(hop, Fate::Release, VecDeque::from([waiting]));
        } else if let Some(entry) = self.entries.get_mut(key) {
            entry.waiting.push_back(waiting);
            self.place(key);
        }
        Ok(displaced)
    }

    /// What waits for a neighbour and matches is dropped. Returns how much that was.
    pub fn cancel(&mut self, hop: IpAddr, matches: impl Fn(&W) -> bool) -> usize {
        let mut cancelled = self.leaving.cancel(hop, &matches);
        if let Some(key) = self.find(hop)
            && let Some(entry) = self.entries.get_mut(key)
        {
            let before = entry.waiting.len();
            entry.waiting.retain(|waiting| !matches(waiting));
            cancelled += before - entry.waiting.len();
            self.place(key);
        }
        self.waiting -= cancelled;
        cancelled
    }

    /// The oldest that waits for a neighbour: its packet's source address is the solicitation's (RFC 4861 section
    /// 7.2.2).
    #[must_use]
    pub fn first_waiting(&self, hop: IpAddr) -> Option<&W> {
        self.entries.get(self.find(hop)?)?.waiting.front()
    }

    /// Whether a neighbour is known or asked for, or may be without another one giving way.
    #[must_use]
    pub fn may_ask(&self, hop: IpAddr) -> bool {
        self.find(hop).is_some_and(|key| self.is_resolving(key))
            || self.ranks.count(&[Rank::Asked, Rank::Awaited]) < self.config.most_unresolved
    }

    /// How much waits for a neighbour.
    #[must_use]
    pub fn waiting_for(&self, hop: IpAddr) -> usize {
        self.find(hop).and_then(|key| self.entries.get(key)).map_or(0, |entry| entry.waiting.len())
    }

    /// Something was heard of a neighbour. The caller has made sure that `hop` is none of this host's addresses.
    pub fn hear(&mut self, hop: IpAddr, evidence: Evidence, now: Instant) -> Heard {
        let hardware = evidence.hardware();
        if hardware.is_some_and(|hardware| !is_station(hardware)) {
            return Heard::Noted;
        }
        let Some(key) = self.find(hop).or_else(|| self.introduce(hop, evidence)) else { return Heard::Noted };
        let Some(entry) = self.entries.get(key) else { return Heard::Noted };
        let (was_known, was_router) = (entry.hardware().is_some(), entry.is_router);
        if !was_known && hardware.is_some() {
            // Somebody that nobody here asks for does not take the place of one that packets go to.
            let give_way: &[Rank] =
                if entry.is_incomplete() { &[Rank::Stale, Rank::Suspect, Rank::Confirmed] } else { &[Rank::Stale] };
            if !self.make_room_for_known(give_way) {
                return Heard::Noted;
            }
        }
        let until = self.times.reachable_until(hop, now);
        self.change(key, now, |entry| entry.hear(evidence, until, now));
        self.release(key);
        let is_router = self.is_router(hop);
        if was_router && !is_router { Heard::NoLongerRouter } else { Heard::Noted }
    }

    /// Packets reach a neighbour: something came that is only sent once one of them has arrived, such as an
    /// acknowledgement of new data (RFC 4861 section 7.3.1).
    pub fn confirm(&mut self, hop: IpAddr, now: Instant) {
        if let Some(key) = self.find(hop) {
            let until = self.times.reachable_until(hop, now);
            self.change(key, now, |entry| entry.confirm(until, now));
        }
    }

    /// A packet went another way because this neighbour has not answered. As long as that happens, it is remembered as
    /// one that does not answer, so that no packet waits for it; and it is asked by one solicitation, at most once a
    /// minute, whether it is back (RFC 4191 section 3.5).
    pub fn pass_over(&mut self, hop: IpAddr, now: Instant) {
        let Some(key) = self.find(hop) else { return };
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.knowledge == Knowledge::Failed) else {
            return;
        };
        if self.recheck.is_none() && entry.asked.is_none_or(|asked| now - asked >= RECHECK_INTERVAL) {
            entry.asked = Some(now);
            self.recheck = Some(hop);
        }
        self.timers.set(key.index(), entry.alarm(Duration::ZERO, now));
    }

    /// What is to be done by `now`, one at a time; `None` where nothing is. To be called after every other call that
    /// changes something, and when [`next_timeout`](Self::next_timeout) says so.
    pub fn poll(&mut self, now: Instant) -> Option<Action<W>> {
        if let Some(hop) = self.recheck.take() {
            return Some(Action::Solicit { hop, to: None });
        }
        loop {
            if let Some(action) = self.leaving.pop() {
                self.waiting -= 1;
                return Some(action);
            }
            let index = self.timers.pop(now)?;
            if let Some(key) = self.entries.key_at(index)
                && let Some(action) = self.on_alarm(key, now)
            {
                return Some(action);
            }
        }
    }

    /// When to call [`poll`](Self::poll) again; it may be too early. The origin of time where it has something to say
    /// already.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.leaving.is_empty() && self.recheck.is_none() { self.timers.next() } else { Some(Instant::ORIGIN) }
    }

    /// Whether a neighbour is reachable.
    #[must_use]
    pub fn reachability(&self, hop: IpAddr) -> Reachability {
        match self.find(hop).and_then(|key| self.entries.get(key)).map(|entry| entry.knowledge) {
            None | Some(Knowledge::Displaced) => Reachability::Unknown,
            Some(Knowledge::Incomplete { .. }) => Reachability::Incomplete,
            Some(Knowledge::Known { .. }) => Reachability::Probable,
            Some(Knowledge::Failed) => Reachability::Failed,
        }
    }

    /// Whether a neighbour is known to be a router: the IsRouter flag of RFC 4861 section 5.1.
    #[must_use]
    pub fn is_router(&self, hop: IpAddr) -> bool {
        self.find(hop).and_then(|key| self.entries.get(key)).is_some_and(|entry| entry.is_router)
    }

    /// All neighbours, in no order.
    pub fn entries(&self, now: Instant) -> impl Iterator<Item = Neighbour> {
        self.entries.iter().map(move |(_, entry)| Neighbour {
            hop: entry.hop,
            hardware: entry.hardware(),
            state: entry.state(now),
            is_router: entry.is_router,
            confirmed: entry.confirmed.map(|confirmed| now - confirmed),
            waiting: entry.waiting.len(),
        })
    }

    /// Configures a neighbour: it is never solicited, and nothing that is heard changes its hardware address. What
    /// waits for it is released.
    ///
    /// # Errors
    /// See [`SetError`].
    pub fn set_static(&mut self, hop: IpAddr, hardware: EthernetAddress, now: Instant) -> Result<(), SetError> {
        if !is_neighbour(hop) || !is_station(hardware) {
            return Err(SetError::NotUnicast);
        }
        let is_known = self.find(hop).and_then(|key| self.entries.get(key)?.hardware()).is_some();
        if !is_known && !self.make_room_for_known(&[Rank::Stale, Rank::Suspect, Rank::Confirmed]) {
            return Err(SetError::Full);
        }
        let Some(key) = self.find(hop).or_else(|| self.insert(hop, Knowledge::Failed)) else {
            return Err(SetError::Full);
        };
        self.change(key, now, |entry| entry.knowledge = Knowledge::Known { hardware, trust: Trust::Permanent });
        self.release(key);
        Ok(())
    }

    /// Forgets a neighbour, also one that was configured. What waits for it is displaced. Returns whether there was
    /// one.
    pub fn forget(&mut self, hop: IpAddr) -> bool {
        let Some(key) = self.find(hop) else { return false };
        self.give_up(key, Fate::Displaced);
        self.remove(key);
        true
    }

    /// Forgets all neighbours but those that were configured: the link leads elsewhere now. What waits for them is
    /// displaced.
    pub fn forget_all(&mut self) {
        let learnt = [Rank::Dead, Rank::Stale, Rank::Suspect, Rank::Confirmed, Rank::Asked, Rank::Awaited];
        for rank in learnt {
            while let Some(key) = self.first(rank) {
                self.give_up(key, Fate::Displaced);
                self.remove(key);
            }
        }
    }

    /// The link came back, and may lead elsewhere; what was asked while it was down was not heard by anybody. All that
    /// are asked for or probed are solicited at once, and counted anew; failures are forgotten, and confirmations are:
    /// whoever is sent something next is asked whether it is there.
    pub fn retry_unresolved(&mut self, now: Instant) {
        while let Some(key) = self.first(Rank::Dead) {
            self.remove(key);
        }
        let Self { entries, timers, ranks, .. } = self;
        let keys: alloc::vec::Vec<Key> = entries.iter().map(|(key, _)| key).collect();
        for key in keys {
            let Some(entry) = entries.get_mut(key) else { continue };
            match &mut entry.knowledge {
                Knowledge::Incomplete { solicitations }
                | Knowledge::Known { trust: Trust::Probe { solicitations }, .. } => {
                    (*solicitations, entry.asked) = (0, None);
                    timers.set(key.index(), Some(now));
                }
                Knowledge::Known { trust: trust @ Trust::Reachable { .. }, .. } => {
                    *trust = Trust::Stale;
                    ranks.place(key.index(), entry.rank());
                }
                Knowledge::Known { .. } | Knowledge::Failed | Knowledge::Displaced => {}
            }
        }
    }

    /// The bytes of memory held, without those that lie behind what waits.
    #[must_use]
    pub fn held(&self) -> usize {
        let waiting: usize = self.entries.iter().map(|(_, entry)| entry.waiting.capacity()).sum();
        self.ranks.slots() * size_of::<Entry<W>>()
            + self.keys.allocation_size()
            + self.ranks.held()
            + self.timers.held()
            + self.leaving.held()
            + waiting * size_of::<W>()
    }
}

/// Entries and what they are worth.
impl<W> Neighbours<W> {
    fn find(&self, hop: IpAddr) -> Option<Key> {
        self.keys.get(&hop).copied()
    }

    fn first(&self, rank: Rank) -> Option<Key> {
        self.ranks.first(rank).and_then(|slot| self.entries.key_at(slot))
    }

    /// Changes an entry; where its state is another one then, its alarm and its rank are as well.
    fn change(&mut self, key: Key, now: Instant, change: impl FnOnce(&mut Entry<W>)) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let before = entry.knowledge;
        change(entry);
        if entry.knowledge != before {
            self.timers.set(key.index(), entry.alarm(self.times.retransmit(entry.hop), now));
            self.place(key);
        }
    }

    fn place(&mut self, key: Key) {
        if let Some(entry) = self.entries.get(key) {
            self.ranks.place(key.index(), entry.rank());
        }
    }

    /// Makes an entry, for which there has to be a place; a dead one makes some.
    fn insert(&mut self, hop: IpAddr, knowledge: Knowledge) -> Option<Key> {
        if self.entries.len() >= self.config.most {
            let dead = self.first(Rank::Dead)?;
            self.remove(dead);
        }
        let key = self.entries.insert(Entry::new(hop, knowledge));
        self.keys.insert(hop, key);
        self.place(key);
        Some(key)
    }

    /// Drops an entry for which nothing waits.
    fn remove(&mut self, key: Key) {
        self.timers.remove(key.index());
        self.ranks.remove(key.index());
        if let Some(entry) = self.entries.remove(key) {
            self.keys.remove(&entry.hop);
        }
    }

    /// Makes the first of these ranks give way where as many hardware addresses are known as may be.
    fn make_room_for_known(&mut self, give_way: &[Rank]) -> bool {
        let known = self.ranks.count(&[Rank::Stale, Rank::Suspect, Rank::Confirmed, Rank::Fixed]);
        if known < self.config.most - self.config.most_unresolved {
            return true;
        }
        let Some(key) = give_way.iter().find_map(|rank| self.first(*rank)) else { return false };
        self.remove(key);
        true
    }

    /// An entry for a neighbour that says who it is without having been asked.
    fn introduce(&mut self, hop: IpAddr, evidence: Evidence) -> Option<Key> {
        if !evidence.makes_entry() || !is_neighbour(hop) || !self.make_room_for_known(&[Rank::Stale]) {
            return None;
        }
        self.insert(hop, Knowledge::Failed)
    }
}

/// Whether a hardware address may be a single station's.
fn is_station(hardware: EthernetAddress) -> bool {
    hardware.is_unicast() && hardware.0 != [0; 6]
}

/// Whether an address may be a single neighbour's. What is a network's broadcast address, its routes tell.
fn is_neighbour(hop: IpAddr) -> bool {
    let is_broadcast = matches!(hop, IpAddr::V4(address) if address.is_broadcast());
    !(hop.is_unspecified() || hop.is_multicast() || is_broadcast)
}
