//! Addresses, to and from those of `std`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress};

/// Tries the same in both families.
pub fn each_family(attempt: impl Fn(IpAddressFamily)) {
    for family in [IpAddressFamily::Ipv4, IpAddressFamily::Ipv6] {
        // Seen only where a program fails.
        eprintln!("{family:?}");
        attempt(family);
    }
}

/// The family that is not this one.
pub const fn other(family: IpAddressFamily) -> IpAddressFamily {
    match family {
        IpAddressFamily::Ipv4 => IpAddressFamily::Ipv6,
        IpAddressFamily::Ipv6 => IpAddressFamily::Ipv4,
    }
}

/// 127.0.0.1 or ::1.
pub fn loopback(family: IpAddressFamily, port: u16) -> SocketAddr {
    let address: IpAddr = match family {
        IpAddressFamily::Ipv4 => Ipv4Addr::LOCALHOST.into(),
        IpAddressFamily::Ipv6 => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(address, port)
}

/// 0.0.0.0 or ::.
pub fn any(family: IpAddressFamily, port: u16) -> SocketAddr {
    let address: IpAddr = match family {
        IpAddressFamily::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
        IpAddressFamily::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(address, port)
}

/// For the host.
pub fn to_wit(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(v4) => {
            IpSocketAddress::Ipv4(Ipv4SocketAddress { port: v4.port(), address: v4.ip().octets().into() })
        }
        SocketAddr::V6(v6) => IpSocketAddress::Ipv6(Ipv6SocketAddress {
            port: v6.port(),
            flow_info: v6.flowinfo(),
            address: v6.ip().segments().into(),
            scope_id: v6.scope_id(),
        }),
    }
}

/// From the host.
pub fn from_wit(address: IpSocketAddress) -> SocketAddr {
    match address {
        IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }) => {
            SocketAddr::new(<[u8; 4]>::from(address).into(), port)
        }
        IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info, address, scope_id }) => {
            let address = Ipv6Addr::from(<[u16; 8]>::from(address));
            std::net::SocketAddrV6::new(address, port, flow_info, scope_id).into()
        }
    }
}
