//! Any operations in any order, at an engine that talks with itself. The harness is that of the seeded tests.

#![no_main]

#[path = "../../tests/hostile/harness.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::operations::run(data));
