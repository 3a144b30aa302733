//! How an interface is configured by what is on its link.
//!
//! | Room | Holds |
//! |---|---|
//! | [`dhcp`] | the client of DHCPv4: an address, routers and names, for a time |

pub mod dhcp;
