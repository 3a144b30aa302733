//! The memberships of one family on one interface, and when they are reported.

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use core::time::Duration;

use hashbrown::HashMap;

use super::message::{self, Protocol, Statement};
use super::query::{Message, Query};
use super::version::{Queriers, Version};
use super::{JoinError, NotMember, Report};
use crate::random::{Random, Secret};
use crate::slots::{Key, Slots};
use crate::time::{Instant, earliest};
use crate::timers::Timers;

/// The minimum time between reports of changes, because a guest may join and leave in a loop. The first change is
/// reported at once, later ones are collected for this time. Linux waits for two jiffies here.
const CHANGES_APART: Duration = Duration::from_millis(10);
/// The minimum time between two answers about one group. A query may ask for an answer at once, and strangers may send
/// any number of queries. This is the shortest response time that IGMP can express.
const ANSWERS_APART: Duration = Duration::from_millis(100);

/// See the [module](self).
pub(super) struct Memberships {
    protocol: Protocol,
    /// The most groups that were left and are still remembered.
    limit: usize,
    groups: Slots<Group>,
    keys: HashMap<IpAddr, Key, Secret>,
    /// The number of joined groups.
    joined: usize,
    /// The next alarm of each group, by the index of its key.
    timers: Timers,
    source: Option<IpAddr>,
    is_link_up: bool,
    queriers: Queriers,
    /// The version that is spoken, when it was last updated.
    version: Version,
    /// When to answer a general query in the newest version: the interface timer (RFC 3376 section 5.2).
    general: Option<Instant>,
    /// When new changes were last reported.
    changes_reported: Option<Instant>,
}

/// A group that this host is a member of, or has left, until the leave was reported often enough.
#[derive(Debug)]
struct Group {
    address: IpAddr,
    /// The number of joins. It is 0 for a group that was left.
    references: u32,
    /// The last join or leave, until it was reported often enough.
    change: Option<Change>,
    /// When to answer a query about the group: the group timer (RFC 3376 section 5.2).
    answer: Option<Instant>,
    answered: Option<Instant>,
    /// Whether no other host has reported the group since this host did (RFC 2236 section 3, RFC 2710 section 4).
    is_last_reporter: bool,
}

/// A join or a leave that is being reported.
#[derive(Clone, Copy, Debug)]
struct Change {
    due: Instant,
    /// How many reports of it are left.
    left: u8,
    /// Whether it was not reported yet.
    is_new: bool,
}

impl Memberships {
    pub(super) fn new(protocol: Protocol, limit: usize, random: &mut Random) -> Self {
        Self {
            protocol,
            limit,
            groups: Slots::default(),
            keys: HashMap::with_hasher(Secret::new(random)),
            joined: 0,
            timers: Timers::new(),
            source: None,
            is_link_up: true,
            queriers: Queriers::new(),
            version: Version::Newest,
            general: None,
            changes_reported: None,
        }
    }

    pub(super) fn join(&mut self, address: IpAddr, is_full: bool, now: Instant) -> Result<bool, JoinError> {
        self.follow_version(now);
        let known = self.keys.get(&address).copied();
        if let Some(group) = known.and_then(|key| self.groups.get_mut(key))
            && group.references > 0
        {
            group.references = group.references.checked_add(1).ok_or(JoinError::TooMany)?;
            return Ok(false);
        }
        if is_full {
            return Err(JoinError::TooMany);
        }
        let key = known.unwrap_or_else(|| {
            let key = self.groups.insert(Group::new(address));
            self.keys.insert(address, key);
            key
        });
        self.joined += 1;
        if let Some(group) = self.groups.get_mut(key) {
            group.references = 1;
        }
        self.report_change(key, self.queriers.robustness(), now);
        Ok(true)
    }

    pub(super) fn leave(&mut self, address: IpAddr, now: Instant) -> Result<bool, NotMember> {
        self.follow_version(now);
        let key = self.keys.get(&address).copied().ok_or(NotMember)?;
        let group = self.groups.get_mut(key).ok_or(NotMember)?;
        group.references = group.references.checked_sub(1).ok_or(NotMember)?;
        if group.references > 0 {
            return Ok(false);
        }
        group.answer = None;
        let is_last_reporter = group.is_last_reporter;
        self.joined -= 1;
        let times = match self.version {
            Version::Newest => self.queriers.robustness(),
            Version::Older if is_last_reporter => 1,
            Version::Older | Version::Oldest => 0,
        };
        if times == 0 || !self.speaks() || !is_reported(address) || self.groups.len() - self.joined > self.limit {
            self.forget(key);
        } else {
            self.report_change(key, times, now);
        }
        Ok(true)
    }

    pub(super) fn is_member(&self, address: IpAddr) -> bool {
        self.keys.get(&address).and_then(|key| self.groups.get(*key)).is_some_and(|group| group.references > 0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.groups.iter().filter(|(_, group)| group.references > 0).map(|(_, group)| group.address)
    }

    pub(super) const fn len(&self) -> usize {
        self.joined
    }

    pub(super) fn set_source(&mut self, source: Option<IpAddr>, now: Instant) {
        if self.source == source {
            return;
        }
        let is_new = self.source.is_none();
        self.source = source;
        if !self.speaks() {
            self.cancel(false);
        } else if is_new {
            self.report_all(now);
        }
    }

    pub(super) fn set_link(&mut self, is_up: bool, now: Instant) {
        self.is_link_up = is_up;
        self.queriers = Queriers::new();
        self.version = Version::Newest;
        self.cancel(false);
        self.report_all(now);
    }

    /// Processes a parsed message.
    pub(super) fn receive(&mut self, message: Option<Message>, source: IpAddr, now: Instant, random: &mut Random) {
        match message {
            Some(Message::Query(query)) => {
                self.queriers.hear(&query, now);
                self.follow_version(now);
                self.answer(&query, now, random);
            }
            Some(Message::Report(address)) if self.source != Some(source) => {
                self.follow_version(now);
                self.hear_report(address);
            }
            // A report of this host itself that was looped back, or a message that is ignored.
            Some(Message::Report(_)) | None => {}
        }
    }

    pub(super) fn poll(&mut self, now: Instant, mtu: usize, random: &mut Random) -> Option<Report> {
        if !self.speaks() {
            return None;
        }
        self.follow_version(now);
        if self.general.take_if(|due| *due <= now).is_some() {
            for key in self.members() {
                self.schedule_answer(key, now);
            }
        }
        match self.version {
            Version::Newest => self.next_report(now, mtu, random),
            Version::Older | Version::Oldest => self.next_older_message(now, random),
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        if !self.speaks() {
            return None;
        }
        earliest([self.general, self.timers.next()])
    }

    pub(super) fn held(&self) -> usize {
        // Each place in the table takes a key's generation beside the group itself.
        let group = size_of::<Group>() + size_of::<Key>();
        self.groups.len() * group + self.keys.allocation_size() + self.timers.held()
    }

    /// Whether messages are sent at all. IPv6 needs no address for that.
    fn speaks(&self) -> bool {
        let has_source = match self.protocol {
            Protocol::Igmp => self.source.is_some(),
            Protocol::Mld => true,
        };
        self.is_link_up && has_source
    }

    /// The joined groups that are reported.
    fn members(&self) -> Vec<Key> {
        let is_member = |group: &Group| group.references > 0 && is_reported(group.address);
        self.groups.iter().filter(|(_, group)| is_member(group)).map(|(key, _)| key).collect()
    }

    /// One packet with reports about all groups that are due (RFC 3376 section 4.2.16, RFC 3810 section 5.2.15).
    fn next_report(&mut self, now: Instant, mtu: usize, random: &mut Random) -> Option<Report> {
        let most = self.protocol.records(mtu);
        // Changes that are sent together are repeated together.
        let repeated = now + delay(self.version.unsolicited_report_interval(), random);
        let mut records = Vec::new();
        while records.len() < most
            && let Some(index) = self.timers.pop(now)
        {
            let Some(key) = self.groups.key_at(index) else { continue };
            let Some(group) = self.groups.get_mut(key) else { continue };
            if group.change.is_some_and(|change| change.due <= now) {
                records.push((group.last_change(), group.address));
                if group.count_down(repeated) {
                    self.changes_reported = Some(now);
                }
                group.is_last_reporter = true;
            } else if group.answer.take_if(|due| *due <= now).is_some() {
                records.push((Statement::Member, group.address));
                group.answered = Some(now);
                group.is_last_reporter = true;
            }
            self.reschedule(key);
        }
        (!records.is_empty()).then(|| self.protocol.report(self.source, &records))
    }

    /// One message about one due group. In the older versions, an answer and a repeated report are the same message,
    /// and one timer serves both (RFC 2236 section 6, RFC 2710 section 5).
    fn next_older_message(&mut self, now: Instant, random: &mut Random) -> Option<Report> {
        while let Some(index) = self.timers.pop(now) {
            let Some(key) = self.groups.key_at(index) else { continue };
            let Some(group) = self.groups.get_mut(key) else { continue };
            let is_due = group.next().is_some_and(|due| due <= now);
            let (statement, address) = (group.last_change(), group.address);
            if is_due {
                if group.answer.take().is_some() {
                    group.answered = Some(now);
                }
                group.is_last_reporter = true;
                if group.count_down(now + delay(self.version.unsolicited_report_interval(), random)) {
                    self.changes_reported = Some(now);
                }
            }
            self.reschedule(key);
            if is_due && let Some(report) = self.protocol.older(self.version, self.source, statement, address) {
                return Some(report);
            }
        }
        None
    }

    /// Schedules the answer to a query (RFC 3376 section 5.2, RFC 3810 section 6.2; RFC 2236 section 3, RFC 2710
    /// section 4).
    fn answer(&mut self, query: &Query, now: Instant, random: &mut Random) {
        if !self.speaks() || self.joined == 0 {
            return;
        }
        let asked = match query.group {
            None if self.version == Version::Newest => {
                let selected = self.selected(query, now, random);
                if self.general.is_none_or(|pending| selected < pending) {
                    self.general = Some(selected);
                }
                return;
            }
            None => self.members(),
            Some(address) if self.is_member(address) && is_reported(address) => {
                self.keys.get(&address).copied().into_iter().collect()
            }
            Some(_) => return,
        };
        for key in asked {
            match self.version {
                Version::Newest => {
                    let selected = self.selected(query, now, random);
                    // Rule 1: if the answer to a general query is due sooner, it includes the group.
                    if self.general.is_none_or(|pending| selected < pending) {
                        self.schedule_answer(key, selected);
                    }
                }
                Version::Older | Version::Oldest => {
                    // A running timer is kept if it expires in time.
                    let pending = self.groups.get(key).and_then(Group::next);
                    if pending.is_none_or(|pending| now + query.max_response < pending) {
                        let selected = self.selected(query, now, random);
                        self.schedule_answer(key, selected);
                    }
                }
            }
        }
    }

    fn selected(&self, query: &Query, now: Instant, random: &mut Random) -> Instant {
        now + delay(query.max_response, random)
    }

    /// Another host has reported a group in an older version. This host need not report it, and need not send a leave
    /// message later (RFC 2236 section 3, RFC 2710 section 4). In the newest version every host reports for itself.
    fn hear_report(&mut self, address: IpAddr) {
        if self.version == Version::Newest {
            return;
        }
        let Some(key) = self.keys.get(&address).copied() else { return };
        let Some(group) = self.groups.get_mut(key).filter(|group| group.references > 0) else { return };
        group.answer = None;
        group.change.take_if(|change| !change.is_new);
        group.is_last_reporter = false;
        self.reschedule(key);
    }

    /// Updates the version that is spoken. If it has changed, everything pending is cancelled (RFC 3376 section 7.2.1,
    /// RFC 3810 section 8.2.1), except changes that were not reported yet.
    fn follow_version(&mut self, now: Instant) {
        let version = self.queriers.version(now);
        if self.version != version {
            self.version = version;
            self.cancel(true);
        }
    }

    /// Cancels everything that is pending. With `keeps_new`, changes that were not reported yet are kept.
    fn cancel(&mut self, keeps_new: bool) {
        self.general = None;
        let keys: Vec<Key> = self.groups.iter().map(|(key, _)| key).collect();
        for key in keys {
            let Some(group) = self.groups.get_mut(key) else { continue };
            group.answer = None;
            group.change.take_if(|change| !(keeps_new && change.is_new));
            if !keeps_new {
                group.is_last_reporter = false;
            }
            self.reschedule(key);
        }
    }

    fn report_all(&mut self, now: Instant) {
        for key in self.members() {
            self.report_change(key, self.queriers.robustness(), now);
        }
    }

    /// Schedules `times` reports of a join or a leave, from now on. An earlier change of the group is not reported any
    /// more, because the state that it would report is the current one (RFC 3376 section 5.1, RFC 3810 section 6.1).
    fn report_change(&mut self, key: Key, times: u8, now: Instant) {
        let speaks = self.speaks();
        let Some(group) = self.groups.get_mut(key) else { return };
        if !speaks || !is_reported(group.address) {
            return;
        }
        let due = later(now, self.changes_reported, CHANGES_APART);
        group.change = Some(Change { due, left: times, is_new: true });
        self.reschedule(key);
    }

    /// Schedules an answer about a group, no later than one that is already scheduled.
    fn schedule_answer(&mut self, key: Key, due: Instant) {
        let Some(group) = self.groups.get_mut(key) else { return };
        let due = later(due, group.answered, ANSWERS_APART);
        group.answer = Some(group.answer.map_or(due, |pending| pending.min(due)));
        self.reschedule(key);
    }

    /// Sets a group's alarm for its next event. A group that was left and has no next event is forgotten.
    fn reschedule(&mut self, key: Key) {
        let Some(group) = self.groups.get(key) else { return };
        let next = group.next();
        if next.is_none() && group.references == 0 {
            self.forget(key);
        } else {
            self.timers.set(key.index(), next);
        }
    }

    fn forget(&mut self, key: Key) {
        self.timers.remove(key.index());
        if let Some(group) = self.groups.remove(key) {
            self.keys.remove(&group.address);
        }
        if self.groups.is_empty() {
            self.keys.shrink_to_fit();
        }
    }
}

impl fmt::Debug for Memberships {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<&Group> = self.groups.iter().map(|(_, group)| group).collect();
        formatter
            .debug_struct("Memberships")
            .field("protocol", &self.protocol)
            .field("version", &self.version)
            .field("general", &self.general)
            .field("groups", &groups)
            .finish_non_exhaustive()
    }
}

impl Group {
    const fn new(address: IpAddr) -> Self {
        Self { address, references: 0, change: None, answer: None, answered: None, is_last_reporter: false }
    }

    /// The last change, as a statement.
    const fn last_change(&self) -> Statement {
        if self.references > 0 { Statement::Joined } else { Statement::Left }
    }

    /// When the next report is due.
    fn next(&self) -> Option<Instant> {
        earliest([self.change.map(|change| change.due), self.answer])
    }

    /// Records that the change, if there is one, was reported once. If more reports are left, the next is due at
    /// `repeated`. Returns whether this was the first report of the change.
    fn count_down(&mut self, repeated: Instant) -> bool {
        let was_new = self.change.is_some_and(|change| change.is_new);
        self.change = self.change.filter(|change| change.left > 1).map(|change| Change {
            due: repeated,
            left: change.left - 1,
            is_new: false,
        });
        was_new
    }
}

/// Whether a group is reported: all groups but the all-hosts groups (RFC 3376 section 5), and groups whose scope is
/// reserved or interface-local (RFC 3810 section 6).
fn is_reported(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group != message::ALL_SYSTEMS,
        IpAddr::V6(group) => {
            let [_, flags_and_scope, ..] = group.octets();
            group != message::ALL_NODES && flags_and_scope & 0x0f > 1
        }
    }
}

/// A random time from (0, `longest`] in whole milliseconds; one millisecond if `longest` is zero.
fn delay(longest: Duration, random: &mut Random) -> Duration {
    let longest = u32::try_from(longest.as_millis()).unwrap_or(u32::MAX);
    Duration::from_millis(u64::from(random.below(longest)) + 1)
}

/// The instant, or a later one that is at least `apart` after an `earlier` event.
fn later(instant: Instant, earlier: Option<Instant>, apart: Duration) -> Instant {
    earlier.map_or(instant, |earlier| instant.max(earlier + apart))
}
