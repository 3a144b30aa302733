//! The interfaces of `xila:network`, one file each. Each function looks up a resource, calls it and converts the
//! result.

pub mod control;
mod convert;
pub mod dns;
pub mod icmp;
pub mod tcp;
mod types;
pub mod udp;

pub use types::NetworkError;
