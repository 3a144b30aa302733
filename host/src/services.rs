//! Services for the hosts of a link: addresses by DHCP, router advertisements, and names by DNS.
//!
//! The formats and the decisions are in state machines without a socket or a clock; the caller decides what carries
//! them.
//!
//! | Module | Contents |
//! |---|---|
//! | [`dhcp`] | a DHCPv4 server (RFC 2131) |
//! | [`dns`] | a DNS server: names of a zone, and forwarding |
//! | [`router`] | router advertisements (RFC 4861, RFC 8106) |
//! | [`node`] | all of them, as one more host of a link |
//! | `packet` | the frames of DHCP and of router advertisements |
//! | `names` | domain names in the options of both |

pub mod dhcp;
pub mod dns;
pub(crate) mod names;
pub mod node;
pub(crate) mod packet;
pub mod router;

pub use node::Services;
