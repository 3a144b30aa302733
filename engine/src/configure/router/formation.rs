//! Stable addresses that are formed from advertised prefixes (RFC 4862 section 5.5), and the retries with another
//! identifier if an address is a duplicate (RFC 7217 section 6).

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;

use smoltcp::wire::IpCidr;

use super::end_of;
use super::routing::is_advertisable;
use crate::ip::addresses::{AddAddressError, Added, Address, Addresses, Detection, Origin, StableIdentifier};
use crate::link::ndp::options::Prefix;
use crate::time::Instant;

/// The length in bits of an interface identifier (RFC 4291 section 2.5.1), and so also of a prefix.
pub(super) const LENGTH: u8 = 64;
/// `IDGEN_RETRIES` of RFC 7217 section 7.
const RETRIES: u32 = 3;
/// See [`valid_until`].
const TWO_HOURS: Duration = Duration::from_secs(2 * 60 * 60);

/// The prefixes for which duplicates were found. There are no more of them than addresses from routers.
#[derive(Debug, Default)]
pub(super) struct Formation {
    retried: Vec<Retried>,
}

#[derive(Clone, Copy, Debug)]
struct Retried {
    prefix: Ipv6Addr,
    /// The counter that the identifier of the present address was made with.
    counter: u32,
    /// The number of addresses that were tried after the first.
    retries: u32,
}

/// The table of addresses is full.
pub(super) struct Full;

impl Formation {
    /// Processes an advertised prefix (RFC 4862 section 5.5.3): forms an address and returns it, or updates the
    /// lifetimes of the address that was formed before.
    pub(super) fn advertised(
        &mut self,
        prefix: &Prefix,
        router: Ipv6Addr,
        now: Instant,
        addresses: &mut Addresses,
        identify: impl Fn(Ipv6Addr, u32) -> StableIdentifier,
    ) -> Result<Option<Address>, Full> {
        let Prefix { prefix, length, on_link: _, autonomous, valid, preferred } = *prefix;
        if !autonomous || length != LENGTH || preferred > valid || !is_advertisable(prefix) {
            return Ok(None);
        }
        let known = formed(addresses).find(|(_, of)| *of == prefix).map(|(address, _)| *address);
        let mut address = match known {
            Some(known) => Address { valid_until: valid_until(&known, valid, now), ..known },
            None if valid.is_zero() => return Ok(None),
            None => {
                let address = identify(prefix, 0).address_in(prefix);
                let cidr = IpCidr::new(address.into(), LENGTH);
                Address {
                    on_link: false,
                    detection: Detection::Running,
                    valid_until: end_of(valid, now),
                    ..Address::new(cidr, Origin::Router)
                }
            }
        };
        address.preferred_until = end_of(preferred, now);
        address.advertisers.insert(router);
        match addresses.add(address) {
            Ok(Added::New) => Ok(Some(address)),
            Ok(Added::Updated(_)) => Ok(None),
            Err(AddAddressError::Full) => Err(Full),
            // The same address was set manually: it is left alone.
            Err(AddAddressError::InUse | AddAddressError::Invalid) => Ok(None),
        }
    }

    /// See [`Discovery::conflict`](super::Discovery::conflict).
    pub(super) fn conflict(
        &mut self,
        address: Ipv6Addr,
        addresses: &mut Addresses,
        identify: impl Fn(Ipv6Addr, u32) -> StableIdentifier,
    ) -> Option<Address> {
        let is_ours = |known: &&Address| known.origin == Origin::Router && known.detection == Detection::Running;
        let taken = *addresses.find(address.into()).filter(is_ours)?;
        let prefix = prefix_of(address);
        let known = self.retried.iter().position(|retried| retried.prefix == prefix);
        let mut retried = match known {
            Some(place) => self.retried.swap_remove(place),
            None => Retried { prefix, counter: identify(prefix, 0).counter, retries: 0 },
        };
        let mut next = None;
        while next.is_none() && retried.retries < RETRIES {
            let StableIdentifier { bits, counter } = identify(prefix, retried.counter.wrapping_add(1));
            retried = Retried { counter, retries: retried.retries + 1, ..retried };
            let candidate = StableIdentifier { bits, counter }.address_in(prefix);
            next = Some(candidate).filter(|candidate| addresses.find(IpAddr::V6(*candidate)).is_none());
        }
        self.retried.push(retried);
        let Some(candidate) = next else {
            addresses.mark_duplicated(address.into());
            return None;
        };
        let next = Address { cidr: IpCidr::new(candidate.into(), LENGTH), ..taken };
        addresses.remove(address.into());
        // This cannot fail: the old address has left its place, and no other address is equal.
        addresses.add(next).is_ok().then_some(next)
    }

    /// Forgets the prefixes that have no address any more, so that they start again.
    pub(super) fn forget_those_without_address(&mut self, addresses: &Addresses) {
        self.retried.retain(|retried| formed(addresses).any(|(_, prefix)| prefix == retried.prefix));
    }

    /// The number of prefixes that are remembered.
    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.retried.len()
    }
}

/// The end of the valid lifetime of a known address when its prefix is advertised again. An unauthenticated
/// advertisement cannot reduce the remaining lifetime to less than two hours (RFC 4862 section 5.5.3 e).
fn valid_until(known: &Address, received: Duration, now: Instant) -> Option<Instant> {
    let remaining = known.valid_until.map_or(Duration::MAX, |until| until - now);
    if received > TWO_HOURS || received > remaining {
        end_of(received, now)
    } else if remaining <= TWO_HOURS {
        known.valid_until
    } else {
        Some(now + TWO_HOURS)
    }
}

/// The stable addresses that were formed from prefixes, with these prefixes.
pub(super) fn formed(addresses: &Addresses) -> impl Iterator<Item = (&Address, Ipv6Addr)> {
    let stable = addresses.iter().filter(|known| known.origin == Origin::Router && !known.temporary);
    stable.filter_map(|known| match known.address() {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some((known, prefix_of(address))),
    })
}

pub(super) const fn prefix_of(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() >> LENGTH << LENGTH)
}
