//! What TCP needs of the way out: room for packets, and how large they may be.

pub mod output;
mod path;
pub mod segmentation;

pub use path::Paths;
