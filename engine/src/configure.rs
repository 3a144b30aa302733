//! How an interface comes by its addresses, routes and servers of names without being told.
//!
//! | Room | Holds |
//! |---|---|
//! | [`dhcp`] | the client of DHCPv4: an address, routers and names, for a time |
//! | [`information`] | the client of DHCPv6 without state: servers of names, where routers say that there is more to be known |
//! | [`router`] | what IPv6 routers say: router discovery and address autoconfiguration |
//! | [`servers`] | servers of names, whoever brings them |

mod backoff;
pub mod dhcp;
pub mod information;
pub mod router;
pub mod servers;
