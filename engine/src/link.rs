//! Who is on the link: hardware addresses of neighbours, and members of multicast groups.
//!
//! | Room | Holds |
//! |---|---|
//! | [`arp`], [`ndp`] | the messages that neighbours exchange, read and written |
//! | [`claim`] | how an address is taken: probed for, announced, defended |
//! | [`neighbours`] | what is known of neighbours, and what waits for them |
//! | [`groups`] | the groups that this host is a member of, and the reports of them |

pub mod arp;
pub mod claim;
pub mod groups;
pub mod ndp;
pub mod neighbours;
