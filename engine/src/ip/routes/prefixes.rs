//! Prefixes of both families, and what belongs to each: the longest that holds an address is found first.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;

use smoltcp::wire::IpCidr;

/// A map from prefixes. To look an address up costs a search per length that occurs among the prefixes, of which there
/// are few.
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
    /// What belongs to a prefix; something is made where nothing did. Bits behind the prefix do not count.
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
    /// What belongs to the prefixes that hold an address, and how long they are; the longest first.
    pub(super) fn matches(&self, address: IpAddr) -> impl Iterator<Item = (u8, &T)> {
        let levels = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        let bits = bits(address);
        levels.iter().filter_map(move |level| Some((level.length, level.networks.get(&(bits & mask(level.length)))?)))
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.v4.iter_mut().chain(&mut self.v6).flat_map(|level| level.networks.values_mut())
    }
}

/// The bits of an address, the first of them highest.
const fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => (address.to_bits() as u128) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The first so many bits.
fn mask(length: u8) -> u128 {
    !u128::MAX.checked_shr(length.into()).unwrap_or(0)
}
