//! Addresses: the standard library's at the API, those of the engine's wire formats inside.
//!
//! A [`Cidr`], [`MacAddress`] or [`Route`] that exists is one that the engine accepts.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire;

use crate::error::Error;

pub use xila_network_commands::address::{Cidr, InvalidValue, MacAddress, Route, is_unicast};

/// One of the two families of addresses.
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

    /// The address that stands for every address of the family.
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

pub(crate) fn to_wire(cidr: Cidr) -> wire::IpCidr {
    wire::IpCidr::new(cidr.address().into(), cidr.prefix())
}

/// The v4 address inside a v4-mapped v6 one. The stack has no dual-stack sockets, so such an address names nothing.
pub(crate) fn is_v4_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

/// A network of the engine's.
pub(crate) fn from_wire(cidr: wire::IpCidr) -> Option<Cidr> {
    Cidr::new(cidr.address().into(), cidr.prefix_len()).ok()
}
