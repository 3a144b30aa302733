//! IPv4 and IPv6: addresses and routes, headers, fragments, ICMP errors, and the output of packets.
//!
//! | Module | Contents |
//! |---|---|
//! | [`addresses`], [`routes`] | the addresses of an interface with source address selection, and its routing table |
//! | [`headers`], [`output`] | headers of packets that arrive, and of packets that are sent |
//! | [`fragmentation`], [`reassembly`] | fragments that are sent, and fragments that arrive |
//! | [`icmp`], [`limiter`] | ICMP errors and echo messages, and the rate limit of what is sent to strangers |
//! | [`segmentation`] | splitting of packets that carry several segments or datagrams |
//! | `path`, `entries` | path MTUs; the bounded list behind addresses and routes |

pub mod addresses;
mod entries;
pub mod fragmentation;
pub mod headers;
pub mod icmp;
pub mod limiter;
pub mod output;
mod path;
pub mod reassembly;
pub mod routes;
pub mod segmentation;

pub use path::Paths;
