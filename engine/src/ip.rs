//! IP of both families: addresses and routes, headers, fragments and errors, and the way out.

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
