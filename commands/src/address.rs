//! Networks, routes and hardware addresses. Every value of these types is valid.
//!
//! TCP/IP engines panic on a prefix longer than the address, and on gateways and hardware addresses that are not
//! unicast. So the constructors refuse such values, and decoding from bytes uses the same checks.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// An invalid value: a prefix longer than the address, a group address in place of a host's address, or text that
/// cannot be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidValue;

impl fmt::Display for InvalidValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("invalid argument")
    }
}

impl std::error::Error for InvalidValue {}

type Result<T, E = InvalidValue> = core::result::Result<T, E>;

/// An address with the length of its network's prefix, written `10.0.0.1/24` or `fd00::1/64` (RFC 4632, RFC 4291).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "(IpAddr, u8)", into = "(IpAddr, u8)")]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl TryFrom<(IpAddr, u8)> for Cidr {
    type Error = InvalidValue;

    fn try_from((address, prefix): (IpAddr, u8)) -> Result<Self> {
        Self::new(address, prefix)
    }
}

impl From<Cidr> for (IpAddr, u8) {
    fn from(cidr: Cidr) -> Self {
        (cidr.address, cidr.prefix)
    }
}

impl Cidr {
    /// An address and its prefix length in bits.
    ///
    /// # Errors
    /// [`InvalidValue`] if the prefix is longer than the address (32 or 128).
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if prefix > longest { Err(InvalidValue) } else { Ok(Self { address, prefix }) }
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

    /// The network itself: the address with its host bits cleared.
    #[must_use]
    pub fn network(&self) -> Self {
        let address = match self.address {
            IpAddr::V4(address) => (address & Ipv4Addr::from_bits(v4_mask(self.prefix))).into(),
            IpAddr::V6(address) => (address & Ipv6Addr::from_bits(v6_mask(self.prefix))).into(),
        };
        Self { address, prefix: self.prefix }
    }

    /// Whether `address` lies in the network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                (network.to_bits() ^ address.to_bits()) & v4_mask(self.prefix) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                (network.to_bits() ^ address.to_bits()) & v6_mask(self.prefix) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = InvalidValue;

    /// Parses `address/prefix`; an address alone is one host (`/32` or `/128`).
    fn from_str(text: &str) -> Result<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) if is_decimal(prefix) => (address, prefix.parse().ok()),
            Some(_) => return Err(InvalidValue),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidValue)?;
        match prefix {
            Some(prefix) => Self::new(address, prefix),
            None if text.contains('/') => Err(InvalidValue),
            None => Self::new(address, if address.is_ipv4() { 32 } else { 128 }),
        }
    }
}

/// A mask of the leading `prefix` bits. A shift by all 32 bits overflows; this happens only for a prefix of 0, whose
/// mask is 0.
fn v4_mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

fn v6_mask(prefix: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0)
}

/// Whether `text` has only digits and no leading zero: `u8::from_str` also accepts `+1` and `007`, which are errors
/// here.
fn is_decimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0')) && !text.is_empty()
}

/// A unicast hardware address of 48 bits (EUI-48), written `02:00:00:00:00:01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "[u8; 6]", into = "[u8; 6]")]
pub struct MacAddress([u8; 6]);

impl TryFrom<[u8; 6]> for MacAddress {
    type Error = InvalidValue;

    fn try_from(bytes: [u8; 6]) -> Result<Self> {
        Self::new(bytes)
    }
}

impl From<MacAddress> for [u8; 6] {
    fn from(address: MacAddress) -> Self {
        address.0
    }
}

impl MacAddress {
    /// The address with these six bytes.
    ///
    /// # Errors
    /// [`InvalidValue`] for a group address (lowest bit of the first byte set) and for the zero address.
    pub fn new(bytes: [u8; 6]) -> Result<Self> {
        if bytes[0] & 1 == 1 || bytes == [0; 6] { Err(InvalidValue) } else { Ok(Self(bytes)) }
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
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(part.ok_or(InvalidValue)?, 16).map_err(|_| InvalidValue)?;
        }
        if parts.next().is_some() { Err(InvalidValue) } else { Self::new(bytes) }
    }
}

/// A route: packets to `destination` go through `gateway`, which is on the interface's link.
///
/// Of several routes to one network, the one with the lowest metric is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawRoute", into = "RawRoute")]
pub struct Route {
    destination: Cidr,
    gateway: IpAddr,
    metric: u32,
    lifetime: Option<Duration>,
}

/// The encoding of a route: destination, gateway, metric, lifetime.
type RawRoute = (Cidr, IpAddr, u32, Option<Duration>);

impl TryFrom<RawRoute> for Route {
    type Error = InvalidValue;

    fn try_from((destination, gateway, metric, lifetime): RawRoute) -> Result<Self> {
        let route = Self::new(destination, gateway)?;
        Ok(Self { metric, lifetime, ..route })
    }
}

impl From<Route> for RawRoute {
    fn from(route: Route) -> Self {
        (route.destination, route.gateway, route.metric, route.lifetime)
    }
}

impl Route {
    /// A route to a network, with metric 0 and no lifetime limit. Host bits of `destination` are cleared.
    ///
    /// # Errors
    /// [`InvalidValue`] if the families differ or the gateway is not a unicast address.
    pub fn new(destination: Cidr, gateway: IpAddr) -> Result<Self> {
        if destination.address().is_ipv4() != gateway.is_ipv4() || !is_unicast(gateway) {
            return Err(InvalidValue);
        }
        Ok(Self { destination: destination.network(), gateway, metric: 0, lifetime: None })
    }

    /// The default route of the gateway's family.
    ///
    /// # Errors
    /// [`InvalidValue`] if the gateway is not a unicast address.
    pub fn default_via(gateway: IpAddr) -> Result<Self> {
        let any: IpAddr = if gateway.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
        Self::new(Cidr::new(any, 0)?, gateway)
    }

    /// This route with a metric. Among routes to equally long prefixes, over all interfaces, the one with the lowest
    /// metric is used.
    #[must_use]
    pub const fn with_metric(self, metric: u32) -> Self {
        Self { metric, ..self }
    }

    /// This route with a lifetime, counted from when it is added.
    #[must_use]
    pub const fn with_lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime: Some(lifetime), ..self }
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

    /// The metric.
    #[must_use]
    pub const fn metric(&self) -> u32 {
        self.metric
    }

    /// Its lifetime from when it is added; `None` for ever.
    #[must_use]
    pub const fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// Whether `other` is the same route; lifetimes are not compared.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (self.destination, self.gateway, self.metric) == (other.destination, other.gateway, other.metric)
    }
}

impl fmt::Display for Route {
    /// As `ip route` prints it: `default via 10.0.0.1 metric 100`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.destination.prefix() {
            0 => formatter.write_str("default")?,
            _ => write!(formatter, "{}", self.destination)?,
        }
        write!(formatter, " via {}", self.gateway)?;
        match self.metric {
            0 => Ok(()),
            metric => write!(formatter, " metric {metric}"),
        }
    }
}

/// Whether a host can have the address: it is neither unspecified, multicast nor the limited broadcast address.
#[must_use]
pub fn is_unicast(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast(),
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cidrs_are_parsed_and_printed() {
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
            assert_eq!(text.parse::<Cidr>(), Err(InvalidValue), "{text}");
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
            assert_eq!(text.parse::<MacAddress>(), Err(InvalidValue), "{text}");
        }
    }

    #[test]
    fn a_route_needs_a_unicast_gateway_of_its_family() {
        assert_eq!(Route::default_via([0, 0, 0, 0].into()), Err(InvalidValue));
        assert_eq!(Route::default_via([224, 0, 0, 1].into()), Err(InvalidValue));
        let v6: Cidr = "::/0".parse().expect("cidr");
        assert_eq!(Route::new(v6, [10, 0, 0, 1].into()), Err(InvalidValue));
    }

    #[test]
    fn a_route_leads_to_a_network() {
        let route = Route::new("10.1.2.3/16".parse().expect("cidr"), [10, 0, 0, 1].into()).expect("route");
        assert_eq!(route.with_metric(7).to_string(), "10.1.0.0/16 via 10.0.0.1 metric 7");
        assert_eq!(Route::default_via([10, 0, 0, 1].into()).expect("route").to_string(), "default via 10.0.0.1");
    }

    #[test]
    fn invalid_values_cannot_be_decoded_from_bytes() {
        use crate::command::{decode, encode};
        let any = IpAddr::from([10, 0, 0, 1]);
        assert!(decode::<Cidr>(&encode(&(any, 33u8))).is_err());
        assert!(decode::<MacAddress>(&encode(&[1u8, 0, 0, 0, 0, 1])).is_err());
        let cidr: Cidr = "::/0".parse().expect("cidr");
        assert!(decode::<Route>(&encode(&(cidr, any, 0u32, None::<Duration>))).is_err());
        let route = Route::default_via(any).expect("route").with_metric(3).with_lifetime(Duration::from_millis(1500));
        assert_eq!(decode(&encode(&route)), Ok(route));
    }
}
