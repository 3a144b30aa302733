//! The link layer: hardware addresses of neighbours, and memberships in multicast groups.
//!
//! The modules are state machines that [`interface`](crate::interface) drives.
//!
//! | Module | Contents |
//! |---|---|
//! | [`arp`], [`ndp`] | parsing and emitting of ARP and neighbour discovery messages |
//! | [`claim`] | claiming an address: probe, announce, defend |
//! | [`neighbours`] | the neighbour cache, and the packets that wait for neighbours |
//! | [`groups`] | the groups that this host is a member of, and the reports about them |

pub mod arp;
pub mod claim;
pub mod groups;
pub mod ndp;
pub mod neighbours;
