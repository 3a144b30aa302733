//! Conversions between the addresses of `wasi:sockets` and of `std`, and the addresses of the tests.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wasip2::sockets::network::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress};

/// Runs a test in both families.
pub fn each_family(attempt: impl Fn(IpAddressFamily)) {
    for family in [IpAddressFamily::Ipv4, IpAddressFamily::Ipv6] {
        // This is shown only if the program fails.
        eprintln!("{family:?}");
        attempt(family);
    }
}

/// The other family.
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

/// Converts an address for the host.
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

/// Converts an address from the host.
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
