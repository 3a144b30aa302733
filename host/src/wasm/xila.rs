//! The interfaces of `xila:network`, one file each: look up, call, convert.

pub mod control;
mod convert;
pub mod dns;
pub mod icmp;
pub mod tcp;
mod types;
pub mod udp;

pub use types::NetworkError;
