//! IGMP and MLD of all versions at an engine whose sockets join groups and leave them. The harness is that of the seeded tests.

#![no_main]

#[path = "../../tests/hostile/harness.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::groups::run(data));
