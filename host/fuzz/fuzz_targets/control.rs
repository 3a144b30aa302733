//! A guest that writes what it wants to the device files of interfaces. The harness is that of the seeded tests.

#![no_main]

#[path = "../../tests/hostile/harness.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::control::run(data));
