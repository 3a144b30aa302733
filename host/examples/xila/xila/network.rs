//! The commands of Xila's network interfaces (kind `n`), and their types.
//!
//! `GET_KIND` is missing, because in Xila it has the same identifier as `GET_STATE`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use embassy_time::Instant;

use super::file_system::define_command;

/// An address of either family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IpAddress {
    IPv4([u8; 4]),
    IPv6([u16; 8]),
}

impl Default for IpAddress {
    fn default() -> Self {
        Self::IPv4([0; 4])
    }
}

impl From<IpAddr> for IpAddress {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::IPv4(address.octets()),
            IpAddr::V6(address) => Self::IPv6(address.segments()),
        }
    }
}

impl From<IpAddress> for IpAddr {
    fn from(address: IpAddress) -> Self {
        match address {
            IpAddress::IPv4(octets) => Ipv4Addr::from(octets).into(),
            IpAddress::IPv6(segments) => Ipv6Addr::from(segments).into(),
        }
    }
}

/// An address and the length of its network prefix. The length is not checked against the address family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IpCidr {
    pub(crate) address: IpAddress,
    pub(crate) prefix_length: u8,
}

/// A route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) cidr: IpCidr,
    pub(crate) via_router: IpAddress,
    /// Not used.
    pub(crate) preferred_until: Option<Instant>,
    pub(crate) expires_at: Option<Instant>,
}

/// A hardware address.
pub(crate) type MacAddress = [u8; 6];

define_command!(SET_STATE, Write, b'n', 0, bool, ());
define_command!(GET_STATE, Read, b'n', 1, (), bool);
define_command!(GET_HARDWARE_ADDRESS, Read, b'n', 2, (), MacAddress);
define_command!(SET_HARDWARE_ADDRESS, Write, b'n', 3, MacAddress, ());
define_command!(
    /// The maximum length of a frame in bytes.
    GET_MAXIMUM_TRANSMISSION_UNIT, Read, b'n', 4, (), usize
);
define_command!(GET_MAXIMUM_BURST_SIZE, Read, b'n', 5, (), Option<usize>);
define_command!(IS_LINK_UP, Read, b'n', 6, (), bool);
define_command!(GET_ROUTE_COUNT, Read, b'n', 7, (), usize);
define_command!(GET_ROUTE, Read, b'n', 8, usize, Route);
define_command!(ADD_ROUTE, Write, b'n', 9, Route, ());
define_command!(REMOVE_ROUTE, Write, b'n', 10, usize, ());
define_command!(GET_DNS_SERVER_COUNT, Read, b'n', 11, (), usize);
define_command!(GET_DNS_SERVER, Read, b'n', 12, usize, IpAddress);
define_command!(ADD_DNS_SERVER, Write, b'n', 13, IpAddress, ());
define_command!(REMOVE_DNS_SERVER, Write, b'n', 14, usize, ());
define_command!(SET_DHCP_STATE, Write, b'n', 15, bool, ());
define_command!(GET_DHCP_STATE, Read, b'n', 16, (), bool);
define_command!(GET_IP_ADDRESS_COUNT, Read, b'n', 17, (), usize);
define_command!(GET_IP_ADDRESS, Read, b'n', 18, usize, IpCidr);
define_command!(ADD_IP_ADDRESS, Write, b'n', 19, IpCidr, ());
define_command!(REMOVE_IP_ADDRESS, Write, b'n', 20, usize, ());
