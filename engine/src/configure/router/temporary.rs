//! Temporary addresses (RFC 8981). Besides the stable address, which is the same whenever this host is in a network,
//! each prefix gets an address with a random identifier. It is preferred as source of new connections for a day at
//! most, so that observers can track the host by it no longer than that. It is valid for another day, for connections
//! that already use it.
//!
//! A temporary address lives no longer than the stable address of its prefix, and no longer than its own lifetimes.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use smoltcp::wire::IpCidr;

use super::Effect;
use super::formation::{LENGTH, formed, prefix_of};
use crate::ip::addresses::{Address, Addresses, Detection, Origin, StableIdentifier, is_reserved};
use crate::random::Random;
use crate::time::Instant;

const DAY: Duration = Duration::from_secs(86_400);
/// `TEMP_VALID_LIFETIME` and `TEMP_PREFERRED_LIFETIME` of RFC 8981 section 3.8.
const VALID: Duration = Duration::from_secs(2 * DAY.as_secs());
const PREFERRED: Duration = DAY;
/// `MAX_DESYNC_FACTOR`, four tenths of that, in seconds. The preferred lifetime is shortened by a random time of up to
/// this value, so that the hosts of a link do not all change their addresses at the same time.
const MOST_DESYNC: u32 = 34_560;
/// `TEMP_IDGEN_RETRIES`: after this many duplicates in a row, a prefix gets no more temporary addresses.
const RETRIES: u32 = 3;
/// `REGEN_ADVANCE`: two seconds, plus the time that these retries take. An address is replaced this long before it is
/// deprecated.
const REGEN_ADVANCE: Duration = Duration::from_secs(2 + RETRIES as u64);
/// The maximum number for all prefixes together. One prefix has up to four: a preferred one, and those of the two days
/// before.
const MOST: usize = 8;

/// The temporary addresses of an interface. They are in its table of [addresses](Addresses); this type holds what that
/// table does not know.
#[derive(Debug, Default)]
pub(super) struct Temporaries {
    /// Ordered by age, the oldest first.
    made: Vec<Made>,
    failed: Vec<Failed>,
    next: Option<Instant>,
}

/// The limits of an address that do not depend on its prefix's lifetimes.
#[derive(Clone, Copy, Debug)]
struct Made {
    address: Ipv6Addr,
    /// The time at which its successor is made.
    renewed_by: Instant,
    preferred_by: Instant,
    valid_by: Instant,
}

/// The number of duplicates in a row for one prefix. There are no more of these entries than stable addresses.
#[derive(Clone, Copy, Debug)]
struct Failed {
    prefix: Ipv6Addr,
    times: u32,
}

impl Temporaries {
    /// Limits the lifetimes of temporary addresses by those of their prefixes, and makes those that are missing or soon
    /// deprecated (RFC 8981 sections 3.4 and 3.5). Returns how many were left out for lack of room.
    pub(super) fn renew(
        &mut self,
        now: Instant,
        addresses: &mut Addresses,
        random: &mut Random,
        effects: &mut Vec<Effect>,
    ) -> u64 {
        let stable: Vec<(Address, Ipv6Addr)> = formed(addresses).map(|(known, prefix)| (*known, prefix)).collect();
        self.made.retain(|made| addresses.find(made.address.into()).is_some_and(|known| known.temporary));
        self.failed.retain(|failed| stable.iter().any(|(_, prefix)| *prefix == failed.prefix));
        let mut left_out = 0;
        self.next = None;
        for (stable, prefix) in stable {
            self.follow(&stable, prefix, addresses);
            if self.due(prefix).is_none_or(|due| due <= now) && !self.is_given_up(prefix) {
                match self.form(&stable, prefix, now, addresses, random, effects) {
                    Ok(()) => {}
                    Err(Full) => left_out += 1,
                }
            }
            // An address that could not be renewed now is renewed when its prefix is advertised with a longer lifetime.
            let due = self.due(prefix).filter(|due| *due > now);
            self.next = self.next.into_iter().chain(due).min();
        }
        left_out
    }

    /// When to call [`renew`](Self::renew), unless a prefix is advertised before.
    pub(super) const fn next_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// Removes a duplicate, which another host has. The next [renewal](Self::renew) makes another address, up to three
    /// times in a row.
    pub(super) fn conflict(&mut self, address: Ipv6Addr, addresses: &mut Addresses) {
        addresses.remove(address.into());
        self.made.retain(|made| made.address != address);
        let prefix = prefix_of(address);
        match self.failed.iter_mut().find(|failed| failed.prefix == prefix) {
            Some(failed) => failed.times += 1,
            None => self.failed.push(Failed { prefix, times: 1 }),
        }
    }

    /// Removes all temporary addresses.
    pub(super) fn withdraw(&self, addresses: &mut Addresses, effects: &mut Vec<Effect>) {
        let gone = self.made.iter().filter_map(|made| addresses.remove(made.address.into()));
        effects.extend(gone.map(Effect::AddressRemoved));
    }

    /// Updates the addresses of a prefix so that neither lifetime exceeds that of the prefix (RFC 8981 section 3.4
    /// point 1).
    fn follow(&mut self, stable: &Address, prefix: Ipv6Addr, addresses: &mut Addresses) {
        for made in self.made.iter().filter(|made| prefix_of(made.address) == prefix) {
            let Some(known) = addresses.find(made.address.into()).copied() else { continue };
            if known.detection == Detection::Passed {
                self.failed.retain(|failed| failed.prefix != prefix || failed.times >= RETRIES);
            }
            // This cannot fail: the address exists, and only its lifetimes change.
            let _known = addresses.add(made.limit(known, stable));
        }
    }

    /// When the next address of a prefix is to be made; `None`, which means at once, if it has none.
    fn due(&self, prefix: Ipv6Addr) -> Option<Instant> {
        let latest = self.made.iter().rev().find(|made| prefix_of(made.address) == prefix)?;
        Some(latest.renewed_by)
    }

    fn is_given_up(&self, prefix: Ipv6Addr) -> bool {
        self.failed.iter().any(|failed| failed.prefix == prefix && failed.times >= RETRIES)
    }

    /// Makes an address from a prefix, unless it would be deprecated at once.
    fn form(
        &mut self,
        stable: &Address,
        prefix: Ipv6Addr,
        now: Instant,
        addresses: &mut Addresses,
        random: &mut Random,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Full> {
        let Some(address) = draw(prefix, addresses, random) else { return Ok(()) };
        let desync = Duration::from_secs(random.below(MOST_DESYNC + 1).into());
        let preferred = PREFERRED - desync;
        let made = Made {
            address,
            renewed_by: now + (preferred - REGEN_ADVANCE),
            preferred_by: now + preferred,
            valid_by: now + VALID,
        };
        let cidr = IpCidr::new(address.into(), LENGTH);
        let new = Address {
            on_link: false,
            temporary: true,
            detection: Detection::Running,
            advertisers: stable.advertisers,
            ..Address::new(cidr, Origin::Router)
        };
        let new = made.limit(new, stable);
        if new.preferred_until.is_some_and(|until| until <= now + REGEN_ADVANCE) {
            return Ok(());
        }
        if self.made.len() >= MOST {
            effects.push(Effect::AddressRemoved(self.give_way(now, addresses).ok_or(Full)?));
        }
        addresses.add(new).map_err(|_| Full)?;
        self.made.push(made);
        effects.push(Effect::AddressAdded(new));
        Ok(())
    }

    /// Removes the oldest deprecated address to make room, and returns it.
    fn give_way(&mut self, now: Instant, addresses: &mut Addresses) -> Option<Address> {
        let place = self.made.iter().position(|made| made.preferred_by <= now)?;
        addresses.remove(self.made.remove(place).address.into())
    }
}

/// The table of addresses, or that of temporary ones, is full.
struct Full;

impl Made {
    fn limit(&self, address: Address, stable: &Address) -> Address {
        let earlier = |by: Instant, until: Option<Instant>| Some(until.map_or(by, |until| until.min(by)));
        Address {
            preferred_until: earlier(self.preferred_by, stable.preferred_until),
            valid_until: earlier(self.valid_by, stable.valid_until),
            advertisers: stable.advertisers,
            ..address
        }
    }
}

/// An address with a random identifier (RFC 8981 section 3.3.1) that is neither reserved nor in use on this host.
fn draw(prefix: Ipv6Addr, addresses: &Addresses, random: &mut Random) -> Option<Ipv6Addr> {
    /// One draw is almost always enough: the chance of a second is one in millions of millions.
    const DRAWS: usize = 4;
    (0..DRAWS).find_map(|_| {
        let bits = random.next_u64();
        let address = StableIdentifier { bits, counter: 0 }.address_in(prefix);
        (!is_reserved(bits) && addresses.find(IpAddr::V6(address)).is_none()).then_some(address)
    })
}
