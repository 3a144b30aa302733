//! Addresses. The API uses the types of the standard library; conversions to and from the engine's wire formats are
//! here.
//!
//! Every value of [`Cidr`], [`MacAddress`] and [`Route`] is valid for the engine.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::RangeInclusive;

use smoltcp::wire;
pub use xila_network_commands::address::{Cidr, InvalidValue, MacAddress, Route, is_unicast};

use crate::error::Error;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4 (RFC 791).
    V4,
    /// IPv6 (RFC 8200).
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The unspecified address, which stands for every address of the family.
    #[must_use]
    pub const fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }
}

impl From<InvalidValue> for Error {
    fn from(InvalidValue: InvalidValue) -> Self {
        Self::InvalidArgument
    }
}

/// Parses a port, or a range of ports such as `8000-8010`. `None` if it is neither, or a number has a sign.
pub(crate) fn port_range(text: &str) -> Option<RangeInclusive<u16>> {
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u16>().ok())?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = number(first)?..=number(last)?;
    (!range.is_empty()).then_some(range)
}

pub(crate) fn to_wire(cidr: Cidr) -> wire::IpCidr {
    wire::IpCidr::new(cidr.address().into(), cidr.prefix())
}

/// Whether an address is an IPv4-mapped IPv6 address. The stack has no dual-stack sockets, so such an address is never
/// valid.
pub(crate) fn is_v4_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

/// Converts from the engine's type; `None` if the value is not valid here.
pub(crate) fn from_wire(cidr: wire::IpCidr) -> Option<Cidr> {
    Cidr::new(cidr.address().into(), cidr.prefix_len()).ok()
}
