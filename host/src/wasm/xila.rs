//! The interfaces of `xila:network`, one file each: look up, call, convert.

mod convert;
pub mod tcp;
mod types;
pub mod udp;

pub use types::NetworkError;
