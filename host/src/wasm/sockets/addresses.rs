//! Conversion of the addresses of `wasi:sockets`. Both versions declare the same types, but `bindgen!` generates
//! separate types for each.

/// Converts between the address types in the bindings of one version and the host's.
macro_rules! convert_addresses {
    ($($bindings:ident)::+) => {
        const _: () = {
            use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

            use $($bindings)::+::{
                IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
            };
            use crate::address::Family;

            impl From<IpAddressFamily> for Family {
                fn from(family: IpAddressFamily) -> Self {
                    match family {
                        IpAddressFamily::Ipv4 => Self::V4,
                        IpAddressFamily::Ipv6 => Self::V6,
                    }
                }
            }

            impl From<Family> for IpAddressFamily {
                fn from(family: Family) -> Self {
                    match family {
                        Family::V4 => Self::Ipv4,
                        Family::V6 => Self::Ipv6,
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

            impl From<IpSocketAddress> for SocketAddr {
                fn from(address: IpSocketAddress) -> Self {
                    match address {
                        IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (a, b, c, d) }) => {
                            Self::new(Ipv4Addr::new(a, b, c, d).into(), port)
                        }
                        // Flow information and scope are not used anywhere. If they were kept, equal addresses would
                        // compare as different.
                        IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info: _, address, scope_id: _ }) => {
                            let (a, b, c, d, e, f, g, h) = address;
                            Self::new(Ipv6Addr::new(a, b, c, d, e, f, g, h).into(), port)
                        }
                    }
                }
            }

            impl From<SocketAddr> for IpSocketAddress {
                fn from(address: SocketAddr) -> Self {
                    let port = address.port();
                    match address.ip() {
                        IpAddr::V4(address) => Self::Ipv4(Ipv4SocketAddress { port, address: address.octets().into() }),
                        IpAddr::V6(address) => {
                            let address = address.segments().into();
                            Self::Ipv6(Ipv6SocketAddress { port, flow_info: 0, address, scope_id: 0 })
                        }
                    }
                }
            }
        };
    };
}

convert_addresses!(crate::wasm::p2::bindings::network);
convert_addresses!(crate::wasm::p3::bindings::types);
