//! Conversion between the values of the WIT package and those of the host API.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::address::Family;
use crate::wasm::bindings::types::{IpAddress, IpAddressFamily, SocketAddress};

impl From<IpAddress> for IpAddr {
    fn from(address: IpAddress) -> Self {
        match address {
            IpAddress::Ipv4((a, b, c, d)) => Self::V4(Ipv4Addr::new(a, b, c, d)),
            IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => Self::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)),
        }
    }
}

impl From<IpAddr> for IpAddress {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::Ipv4(address.octets().into()),
            IpAddr::V6(address) => Self::Ipv6(address.segments().into()),
        }
    }
}

impl From<SocketAddress> for SocketAddr {
    fn from(address: SocketAddress) -> Self {
        Self::new(address.address.into(), address.port)
    }
}

impl From<SocketAddr> for SocketAddress {
    fn from(address: SocketAddr) -> Self {
        Self { address: address.ip().into(), port: address.port() }
    }
}

impl From<IpAddressFamily> for Family {
    fn from(family: IpAddressFamily) -> Self {
        match family {
            IpAddressFamily::Ipv4 => Self::V4,
            IpAddressFamily::Ipv6 => Self::V6,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_converted_without_loss() {
        for text in ["192.0.2.1:80", "0.0.0.0:0", "[2001:db8::1]:65535", "[::ffff:192.0.2.1]:1", "[::]:0"] {
            let address: SocketAddr = text.parse().expect(text);
            assert_eq!(SocketAddr::from(SocketAddress::from(address)), address);
        }
    }

    #[test]
    fn an_address_is_written_in_the_order_of_its_parts() {
        let IpAddress::Ipv4(octets) = IpAddr::from([192, 0, 2, 1]).into() else { panic!("not v4") };
        assert_eq!(octets, (192, 0, 2, 1));
        let IpAddress::Ipv6(groups) = "2001:db8::1".parse::<IpAddr>().expect("v6").into() else { panic!("not v6") };
        assert_eq!(groups, (0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    }
}
