//! Addresses: the standard library's at the API, smoltcp's inside.
//!
//! A [`Cidr`], [`MacAddress`] or [`Route`] that exists is one that the engine accepts: smoltcp panics on a prefix over
//! the family's length, on addresses that are not unicast and on hardware addresses that are not, so all of that is
//! refused here, once, where values are made.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;

use smoltcp::wire;

use crate::error::{Error, Result};

/// An address with the length of its network's prefix, written `10.0.0.1/24` or `fd00::1/64` (RFC 4632, RFC 4291).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// An address and its prefix length in bits.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where the prefix is longer than the address (32 or 128).
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if prefix > longest { Err(Error::InvalidArgument) } else { Ok(Self { address, prefix }) }
    }

    /// The address, host bits included.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The prefix length in bits.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether `address` lies in the network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                (network.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                (network.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    pub(crate) fn to_wire(self) -> wire::IpCidr {
        wire::IpCidr::new(self.address.into(), self.prefix)
    }

    pub(crate) fn from_wire(cidr: wire::IpCidr) -> Self {
        Self { address: cidr.address().into(), prefix: cidr.prefix_len() }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = Error;

    /// Reads `address/prefix`; an address alone is one host (`/32` or `/128`).
    fn from_str(text: &str) -> Result<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) if is_decimal(prefix) => (address, prefix.parse().ok()),
            Some(_) => return Err(Error::InvalidArgument),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| Error::InvalidArgument)?;
        match prefix {
            Some(prefix) => Self::new(address, prefix),
            None if text.contains('/') => Err(Error::InvalidArgument),
            None => Self::new(address, if address.is_ipv4() { 32 } else { 128 }),
        }
    }
}

/// Digits only, and no leading zero: what `u8::from_str` takes beyond that (`+1`, `007`) is a mistake here.
fn is_decimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0')) && !text.is_empty()
}

/// A unicast hardware address of 48 bits (EUI-48), written `02:00:00:00:00:01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// The address with these six bytes.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a group address (lowest bit of the first byte set) and for the address of zeroes.
    pub fn new(bytes: [u8; 6]) -> Result<Self> {
        if bytes[0] & 1 == 1 || bytes == [0; 6] { Err(Error::InvalidArgument) } else { Ok(Self(bytes)) }
    }

    /// A locally administered unicast address from random bytes.
    #[must_use]
    pub fn locally_administered(random: [u8; 6]) -> Self {
        let mut bytes = random;
        bytes[0] = bytes[0] & 0xfc | 0x02;
        Self(bytes)
    }

    /// The six bytes, in the order of transmission.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

impl FromStr for MacAddress {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(part.ok_or(Error::InvalidArgument)?, 16).map_err(|_| Error::InvalidArgument)?;
        }
        if parts.next().is_some() { Err(Error::InvalidArgument) } else { Self::new(bytes) }
    }
}

/// A route: packets to `destination` go through `gateway`, which is on the interface's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    destination: Cidr,
    gateway: IpAddr,
}

impl Route {
    /// A route to a network.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where the families differ or the gateway is not a unicast address.
    pub fn new(destination: Cidr, gateway: IpAddr) -> Result<Self> {
        if destination.address().is_ipv4() != gateway.is_ipv4() || !is_unicast(gateway) {
            return Err(Error::InvalidArgument);
        }
        Ok(Self { destination, gateway })
    }

    /// The default route of the gateway's family.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where the gateway is not a unicast address.
    pub fn default_via(gateway: IpAddr) -> Result<Self> {
        let any: IpAddr = if gateway.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
        Self::new(Cidr::new(any, 0)?, gateway)
    }

    /// The network it leads to.
    #[must_use]
    pub const fn destination(&self) -> Cidr {
        self.destination
    }

    /// The next hop.
    #[must_use]
    pub const fn gateway(&self) -> IpAddr {
        self.gateway
    }

    pub(crate) fn to_wire(self) -> smoltcp::iface::Route {
        smoltcp::iface::Route {
            cidr: self.destination.to_wire(),
            via_router: self.gateway.into(),
            preferred_until: None,
            expires_at: None,
        }
    }
}

/// Whether one host can have the address: neither unspecified, multicast nor the limited broadcast.
#[must_use]
pub fn is_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast(),
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_multicast(),
    }
}

/// The v4 address inside a v4-mapped v6 one. The stack has no dual-stack sockets, so such an address names nothing.
pub(crate) fn is_v4_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

pub(crate) fn to_endpoint(address: SocketAddr) -> wire::IpEndpoint {
    wire::IpEndpoint::new(address.ip().into(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cidrs_read_and_print() {
        for text in ["10.0.0.1/24", "0.0.0.0/0", "fd00::1/64", "::1/128"] {
            assert_eq!(text.parse::<Cidr>().expect(text).to_string(), text);
        }
        assert_eq!("10.0.0.1".parse::<Cidr>().expect("host").prefix(), 32);
    }

    #[test]
    fn bad_cidrs_are_refused() {
        for text in
            ["10.0.0.1/33", "::/129", "10.0.0.1/", "10.0.0.1/+1", "10.0.0.1/08", "10.0.0/8", "", "/8", "01.0.0.1/8"]
        {
            assert_eq!(text.parse::<Cidr>(), Err(Error::InvalidArgument), "{text}");
        }
    }

    #[test]
    fn containment_follows_the_prefix() {
        let network: Cidr = "10.1.0.0/16".parse().expect("cidr");
        assert!(network.contains([10, 1, 255, 1].into()));
        assert!(!network.contains([10, 2, 0, 1].into()));
        assert!("0.0.0.0/0".parse::<Cidr>().expect("cidr").contains([1, 2, 3, 4].into()));
        assert!(!"::/0".parse::<Cidr>().expect("cidr").contains([1, 2, 3, 4].into()));
    }

    #[test]
    fn hardware_addresses_are_unicast() {
        assert_eq!("02:00:00:00:00:0a".parse::<MacAddress>().expect("mac").to_string(), "02:00:00:00:00:0a");
        for text in [
            "01:00:5e:00:00:01",
            "ff:ff:ff:ff:ff:ff",
            "00:00:00:00:00:00",
            "02:00:00:00:00",
            "2:0:0:0:0:1",
            "02:00:00:00:00:01:02",
            "+2:00:00:00:00:01",
        ] {
            assert_eq!(text.parse::<MacAddress>(), Err(Error::InvalidArgument), "{text}");
        }
    }

    #[test]
    fn a_route_needs_a_unicast_gateway_of_its_family() {
        assert_eq!(Route::default_via([0, 0, 0, 0].into()), Err(Error::InvalidArgument));
        assert_eq!(Route::default_via([224, 0, 0, 1].into()), Err(Error::InvalidArgument));
        let v6: Cidr = "::/0".parse().expect("cidr");
        assert_eq!(Route::new(v6, [10, 0, 0, 1].into()), Err(Error::InvalidArgument));
    }
}
