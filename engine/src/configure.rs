//! How an interface comes by its addresses, routes and servers of names without being told.
//!
//! | Room | Holds |
//! |---|---|
//! | [`dhcp`] | the client of DHCPv4: an address, routers and names, for a time |
//! | [`router`] | what IPv6 routers say: router discovery and address autoconfiguration |
//! | [`servers`] | servers of names, whoever brings them |

pub mod dhcp;
pub mod router;
pub mod servers;
