//! Services for the hosts of a link: addresses by DHCP, router advertisements, and names by DNS.
//!
//! The formats and the decisions are in state machines without a socket or a clock; the caller decides what carries
//! them.
//!
//! | Module | Contents |
//! |---|---|
//! | [`dhcp`] | a DHCPv4 server (RFC 2131) |
//! | [`router`] | router advertisements (RFC 4861, RFC 8106) |

pub mod dhcp;
mod names;
pub mod router;
