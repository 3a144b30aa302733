//! How an interface comes by its addresses, routes and servers of names without being told.
//!
//! | Room | Holds |
//! |---|---|
//! | [`router`] | what IPv6 routers say: router discovery and address autoconfiguration |
//! | [`servers`] | servers of names, whoever brings them |

pub mod router;
pub mod servers;
