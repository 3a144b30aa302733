//! A map from prefixes of both families to values, with longest prefix matching. The routing table uses it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::wire::IpCidr;

/// A map from prefixes. Looking up an address costs one search per prefix length that occurs, of which there are few.
#[derive(Debug)]
pub(super) struct Prefixes<T> {
    v4: Vec<Level<T>>,
    v6: Vec<Level<T>>,
}

/// The prefixes of one length, by their bits.
#[derive(Debug)]
struct Level<T> {
    length: u8,
    networks: BTreeMap<u128, T>,
}

impl<T> Default for Prefixes<T> {
    fn default() -> Self {
        Self { v4: Vec::new(), v6: Vec::new() }
    }
}

impl<T: Default> Prefixes<T> {
    /// The value of a prefix, inserted if missing. The bits after the prefix are ignored.
    pub(super) fn entry(&mut self, prefix: IpCidr) -> &mut T {
        let address = IpAddr::from(prefix.address());
        let levels = if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 };
        let length = prefix.prefix_len();
        let place = levels.partition_point(|level| level.length > length);
        if levels.get(place).is_none_or(|level| level.length != length) {
            levels.insert(place, Level { length, networks: BTreeMap::new() });
        }
        levels[place].networks.entry(bits(address) & mask(length)).or_default()
    }
}

impl<T> Prefixes<T> {
    /// The values of the prefixes that contain an address, with the prefix lengths, longest first.
    pub(super) fn matches(&self, address: IpAddr) -> impl Iterator<Item = (u8, &T)> {
        let levels = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        let bits = bits(address);
        levels.iter().filter_map(move |level| Some((level.length, level.networks.get(&(bits & mask(level.length)))?)))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.v4.iter_mut().chain(&mut self.v6).flat_map(|level| level.networks.values_mut())
    }
}

/// The bits of an address, left-aligned.
const fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => (address.to_bits() as u128) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// A mask of the first `length` bits.
fn mask(length: u8) -> u128 {
    !u128::MAX.checked_shr(length.into()).unwrap_or(0)
}
