//! Code that the test suites share.
//!
//! [`guests`] runs WebAssembly programs on networks of the host crate: those of `tests/programs`, each of which tests
//! one behaviour, and the examples of the guest crate.

#[cfg(target_os = "linux")]
pub mod dnsmasq;
pub mod guests;
pub mod laboratory;
pub mod link;
#[cfg(target_os = "linux")]
pub mod netns;
pub mod networks;
pub mod probe;
#[cfg(target_os = "linux")]
pub mod radvd;
#[cfg(target_os = "linux")]
pub mod segment;

include!(concat!(env!("OUT_DIR"), "/programs.rs"));
