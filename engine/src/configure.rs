//! Automatic configuration: how an interface gets its addresses, routes and DNS servers from the link.
//!
//! The modules are state machines that [`engine`](crate::engine) drives.
//!
//! | Module | Contents |
//! |---|---|
//! | [`dhcp`] | the DHCPv4 client: an address, routers and DNS servers, for a lease time |
//! | [`information`] | the stateless DHCPv6 client: DNS servers and search domains, if routers advertise that there is other configuration |
//! | [`router`] | IPv6 router discovery and stateless address autoconfiguration |
//! | [`servers`] | DNS servers from all sources |

mod backoff;
pub mod dhcp;
pub mod information;
pub mod router;
pub mod servers;
