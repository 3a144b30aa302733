//! Conversions between the addresses and durations of the standard library and those of the WIT package.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::bindings::types;

pub(crate) fn ip_to_wit(address: IpAddr) -> types::IpAddress {
    match address {
        IpAddr::V4(address) => types::IpAddress::Ipv4(address.octets().into()),
        IpAddr::V6(address) => types::IpAddress::Ipv6(address.segments().into()),
    }
}

/// Drops the scope and the flow label of an IPv6 address: the package identifies a link by its interface.
pub(crate) fn to_wit(address: SocketAddr) -> types::SocketAddress {
    types::SocketAddress { address: ip_to_wit(address.ip()), port: address.port() }
}

pub(crate) fn ip_from_wit(address: types::IpAddress) -> IpAddr {
    match address {
        types::IpAddress::Ipv4(octets) => ipv4_from_wit(octets).into(),
        types::IpAddress::Ipv6(groups) => IpAddr::V6(Ipv6Addr::from(<[u16; 8]>::from(groups))),
    }
}

pub(crate) fn ipv4_from_wit(octets: types::Ipv4Address) -> Ipv4Addr {
    Ipv4Addr::from(<[u8; 4]>::from(octets))
}

pub(crate) fn from_wit(address: types::SocketAddress) -> SocketAddr {
    SocketAddr::new(ip_from_wit(address.address), address.port)
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    pub(crate) fn to_wit(self) -> types::IpAddressFamily {
        match self {
            Self::V4 => types::IpAddressFamily::Ipv4,
            Self::V6 => types::IpAddressFamily::Ipv6,
        }
    }
}

/// The duration in nanoseconds. A duration that does not fit (584 years) becomes the longest that fits.
pub(crate) fn duration_to_wit(duration: Duration) -> types::Duration {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

pub(crate) fn duration_from_wit(duration: types::Duration) -> Duration {
    Duration::from_nanos(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_conversion_in_both_directions() {
        for text in ["192.0.2.1:80", "[2001:db8::1]:65535", "0.0.0.0:0", "[::]:0"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(from_wit(to_wit(address)), address);
        }
    }

    #[test]
    fn too_long_durations_become_the_longest() {
        assert_eq!(duration_to_wit(Duration::MAX), u64::MAX);
        assert_eq!(duration_from_wit(duration_to_wit(Duration::from_millis(5))), Duration::from_millis(5));
    }
}
