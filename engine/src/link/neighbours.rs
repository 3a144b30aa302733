//! The neighbour cache, and the queues of packets that wait for neighbours: address resolution and neighbour
//! unreachability detection of RFC 4861, for both families. For IPv4 the requests are ARP (RFC 826).
//!
//! The cache does not know packet formats. The caller reports what it has [heard](Neighbours::hear) from a neighbour.
//! The cache [returns](Neighbours::poll) which neighbours to solicit, and which waiting packets may leave. A sender
//! asks for the next hop's [hardware address](Neighbours::resolve), and queues its packet by [`wait`](Neighbours::wait)
//! if there is none yet.
//!
//! Limits against attackers: a stranger that announces itself replaces only entries of others that did the same; a scan
//! of unused addresses replaces the oldest entries that are being resolved for the same owner of sockets, or for one who
//! has more of them; neither replaces an entry of a neighbour that packets are sent to and that answers. The cost of
//! each step does not depend on the number of entries, except that as many as can be resolved at once are looked at when
//! their limit is reached, or when an item waits for a neighbour that is being resolved for another owner.

use alloc::collections::VecDeque;
use core::net::IpAddr;
use core::time::Duration;

use hashbrown::HashMap;
use smoltcp::wire::EthernetAddress;

use self::entry::{Entry, Knowledge, Trust};
use self::leaving::{Fate, Leaving};
use self::ranks::{Rank, Ranks};
use self::times::Times;
use crate::ports::Owner;
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

/// Timing and limits of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// REACHABLE_TIME (RFC 4861 section 10): the base of the time for which a confirmation counts. The actual time is
    /// random between 0.5 and 1.5 times this, and is drawn again every two hours (section 6.3.2).
    pub reachable: Duration,
    /// RETRANS_TIMER (RFC 4861 section 10): the time between solicitations of one neighbour.
    pub retransmit: Duration,
    /// The maximum number of entries, including those of neighbours that did not answer.
    pub most: usize,
    /// The maximum number of entries that are being resolved; at most half of `most`. The rest of `most` is for
    /// neighbours that have answered.
    pub most_unresolved: usize,
    /// The maximum number of items that wait for one neighbour.
    pub most_waiting: usize,
    /// The maximum number of items that wait for all neighbours together.
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

/// What the caller must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<W> {
    /// Send a neighbour solicitation or an ARP request.
    Solicit {
        /// The address to resolve.
        hop: IpAddr,
        /// The hardware address to send it to, which is to be confirmed. `None` for the solicited-node multicast
        /// address or the broadcast address.
        to: Option<EthernetAddress>,
    },
    /// This item may leave, because the neighbour's hardware address is known. If the device has no space, the caller
    /// must keep it.
    Release {
        /// The neighbour.
        hop: IpAddr,
        /// The item that has waited.
        waiting: W,
    },
    /// The neighbour did not answer. The owner of the item must be told (RFC 4861 section 7.2.2).
    Unreachable {
        /// The neighbour.
        hop: IpAddr,
        /// The item that has waited.
        waiting: W,
    },
    /// This item was displaced, or its entry was removed, before it was known whether the neighbour answers.
    Displaced {
        /// The neighbour.
        hop: IpAddr,
        /// The item that has waited.
        waiting: W,
    },
    /// The neighbour no longer answers. Its users must determine the next hop again (RFC 4861 section 7.3.3).
    Lost {
        /// The neighbour.
        hop: IpAddr,
    },
}

/// Why a static entry was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// The IP address or the hardware address is not that of a single station.
    #[error("not the address of a single station")]
    NotUnicast,
    /// All places are taken by static entries.
    #[error("too many neighbours are configured")]
    Full,
}

/// The neighbour cache of one interface, with the items that wait: packets, or keys of senders that have packets. See
/// the [module](self).
pub struct Neighbours<W> {
    config: Config,
    times: Times,
    entries: Slots<Entry<W>>,
    keys: HashMap<IpAddr, Key, Secret>,
    ranks: Ranks,
    timers: Timers,
    leaving: Leaving<W>,
    /// The number of items that wait, including those in `leaving`.
    waiting: usize,
    /// A neighbour to solicit once although nothing is sent to it.
    recheck: Option<IpAddr>,
}

/// How often a neighbour that was skipped is solicited to find out whether it is back (RFC 4191 section 3.5).
const RECHECK_INTERVAL: Duration = Duration::from_secs(60);

impl<W> Neighbours<W> {
    /// An empty cache.
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

    /// Sets the reachable time base and the retransmit time for IPv6 that a router has advertised (RFC 4861 section
    /// 6.3.4); `None` for a field that was zero. The reachable time is limited to one hour, and the retransmit time to
    /// a range from a hundredth of a second to a minute.
    pub fn set_advertised_times(&mut self, reachable: Option<Duration>, retransmit: Option<Duration>) {
        self.times.advertise(reachable, retransmit);
    }

    /// The hardware address for a packet that is sent to `hop` now. `None` if the packet must [wait](Self::wait); then
    /// `hop` is solicited, unless it is not the address of a single station. If the entry is stale, the neighbour will
    /// be probed unless a [confirmation](Self::confirm) comes within five seconds (RFC 4861 section 7.3.3).
    ///
    /// `owner` is the owner of the packet. If too many neighbours are being resolved, one is displaced of those that are
    /// resolved for the owner who has most of them. An owner displaces its own only if they have not answered their
    /// first solicitation in time; until then, no further neighbour is solicited for it.
    pub fn resolve(&mut self, hop: IpAddr, owner: Owner, now: Instant) -> Option<EthernetAddress> {
        let Some(key) = self.find(hop) else {
            self.ask(hop, owner, now);
            return None;
        };
        let Some(hardware) = self.entries.get(key)?.hardware() else {
            self.ask(hop, owner, now);
            return None;
        };
        self.change(key, now, |entry| entry.send(now));
        self.ranks.touch(key.index());
        Some(hardware)
    }

    /// Queues an item of an owner for a neighbour that [`resolve`](Self::resolve) did not know. Every item is returned
    /// by [`poll`](Self::poll) later.
    ///
    /// If too many items wait, the oldest is displaced (RFC 4861 section 7.2.2): of this neighbour, or, if nothing
    /// waits for this neighbour and the total limit is reached, of the neighbour that has been resolving for the
    /// longest. The displaced item is returned, so that its owner can be told.
    ///
    /// # Errors
    /// The item, if there is no room: the limits are zero, nothing can be displaced, too many neighbours are being
    /// resolved for the owner, or `hop` is not the address of a single station.
    pub fn wait(&mut self, hop: IpAddr, waiting: W, owner: Owner, now: Instant) -> Result<Option<W>, W> {
        if self.config.most_waiting == 0 {
            return Err(waiting);
        }
        let resolving = self.find(hop).filter(|key| self.is_resolving(*key));
        let Some(key) = resolving.or_else(|| self.ask(hop, owner, now)) else { return Err(waiting) };
        self.adopt(key, owner);
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

    /// Drops the items that wait for a neighbour and match. Returns their number.
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

    /// The oldest item that waits for a neighbour. The solicitation uses the source address of its packet (RFC 4861
    /// section 7.2.2).
    #[must_use]
    pub fn first_waiting(&self, hop: IpAddr) -> Option<&W> {
        self.entries.get(self.find(hop)?)?.waiting.front()
    }

    /// Whether a neighbour is known or being resolved, or can be resolved without displacing another one of the same
    /// owner.
    #[must_use]
    pub fn may_ask(&self, hop: IpAddr, owner: Owner) -> bool {
        self.find(hop).is_some_and(|key| self.is_resolving(key))
            || !self.is_resolving_most()
            || self.greediest(owner).is_some_and(|(greediest, _)| greediest != owner)
    }

    /// The items that wait for a neighbour, oldest first.
    pub fn waiting_for(&self, hop: IpAddr) -> impl Iterator<Item = &W> {
        self.find(hop).and_then(|key| self.entries.get(key)).into_iter().flat_map(|entry| &entry.waiting)
    }

    /// Processes evidence about a neighbour. The caller has verified that `hop` is not an address of this host.
    pub fn hear(&mut self, hop: IpAddr, evidence: Evidence, now: Instant) -> Heard {
        let hardware = evidence.hardware();
        if hardware.is_some_and(|hardware| !is_station(hardware)) {
            return Heard::Noted;
        }
        let Some(key) = self.find(hop).or_else(|| self.introduce(hop, evidence)) else { return Heard::Noted };
        let Some(entry) = self.entries.get(key) else { return Heard::Noted };
        let (was_known, was_router) = (entry.hardware().is_some(), entry.is_router);
        if !was_known && hardware.is_some() {
            // A neighbour that no sender asked for does not displace an entry that packets are sent to.
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

    /// Confirms that packets reach a neighbour, because a packet arrived that is only sent in response, such as an
    /// acknowledgement of new data (RFC 4861 section 7.3.1).
    pub fn confirm(&mut self, hop: IpAddr, now: Instant) {
        if let Some(key) = self.find(hop) {
            let until = self.times.reachable_until(hop, now);
            self.change(key, now, |entry| entry.confirm(until, now));
        }
    }

    /// Reports that a packet took another route because this neighbour has not answered. As long as this happens, the
    /// neighbour stays marked as failed, so that no packet waits for it. At most once a minute it is solicited once, to
    /// find out whether it is back (RFC 4191 section 3.5).
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

    /// The next action that is due by `now`; `None` if there is none. Call it after every other call that changes
    /// something, and when [`next_timeout`](Self::next_timeout) says so.
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

    /// When to call [`poll`](Self::poll) again. Nothing may be due yet at that time. It is the origin of time if an
    /// action is ready now.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.leaving.is_empty() && self.recheck.is_none() { self.timers.next() } else { Some(Instant::ORIGIN) }
    }

    /// The reachability of a neighbour.
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

    /// All neighbours, in no particular order.
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

    /// Adds a static entry: it is never solicited, and no message changes its hardware address. The items that wait for
    /// it are released.
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

    /// Removes an entry, even a static one. The items that wait for it are displaced. Returns whether there was an
    /// entry.
    pub fn forget(&mut self, hop: IpAddr) -> bool {
        let Some(key) = self.find(hop) else { return false };
        self.give_up(key, Fate::Displaced);
        self.remove(key);
        true
    }

    /// Removes all entries but the static ones, because the link may be another one now. The items that wait for them
    /// are displaced.
    pub fn forget_all(&mut self) {
        let learnt = [Rank::Dead, Rank::Stale, Rank::Suspect, Rank::Confirmed, Rank::Asked, Rank::Awaited];
        for rank in learnt {
            while let Some(key) = self.first(rank) {
                self.give_up(key, Fate::Displaced);
                self.remove(key);
            }
        }
    }

    /// The link is up again, and may be another one; solicitations sent while it was down were lost. Neighbours that
    /// are being resolved or probed are solicited at once, with new counts. Failed entries are removed, and reachable
    /// ones become stale, so that the next packet to such a neighbour starts a probe.
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

    /// The memory held in bytes, without memory that the waiting items refer to.
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

/// Entries and their ranks.
impl<W> Neighbours<W> {
    fn find(&self, hop: IpAddr) -> Option<Key> {
        self.keys.get(&hop).copied()
    }

    fn first(&self, rank: Rank) -> Option<Key> {
        self.ranks.first(rank).and_then(|slot| self.entries.key_at(slot))
    }

    /// Changes an entry. If its state changes, its alarm and rank are updated.
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

    /// Inserts an entry. If the cache is full, a failed entry is removed for it; without one there is no place.
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

    /// Removes an entry that no item waits for.
    fn remove(&mut self, key: Key) {
        self.timers.remove(key.index());
        self.ranks.remove(key.index());
        if let Some(entry) = self.entries.remove(key) {
            self.keys.remove(&entry.hop);
        }
    }

    /// If the limit of known hardware addresses is reached, removes an entry of the first of these ranks that has one.
    fn make_room_for_known(&mut self, give_way: &[Rank]) -> bool {
        let known = self.ranks.count(&[Rank::Stale, Rank::Suspect, Rank::Confirmed, Rank::Fixed]);
        if known < self.config.most - self.config.most_unresolved {
            return true;
        }
        let Some(key) = give_way.iter().find_map(|rank| self.first(*rank)) else { return false };
        self.remove(key);
        true
    }

    /// Inserts an entry for a neighbour that announces itself without having been solicited.
    fn introduce(&mut self, hop: IpAddr, evidence: Evidence) -> Option<Key> {
        if !evidence.makes_entry() || !is_neighbour(hop) || !self.make_room_for_known(&[Rank::Stale]) {
            return None;
        }
        self.insert(hop, Knowledge::Failed)
    }
}

/// Whether a hardware address may be that of a single station.
fn is_station(hardware: EthernetAddress) -> bool {
    hardware.is_unicast() && hardware.0 != [0; 6]
}

/// Whether an address may be that of a single neighbour. Directed broadcast addresses are excluded by the routing
/// table.
fn is_neighbour(hop: IpAddr) -> bool {
    let is_broadcast = matches!(hop, IpAddr::V4(address) if address.is_broadcast());
    !(hop.is_unspecified() || hop.is_multicast() || is_broadcast)
}
