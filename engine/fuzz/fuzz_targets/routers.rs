//! Routers that advertise what they want, at an engine that configures itself. The harness is that of the seeded tests.

#![no_main]

#[path = "../../tests/hostile/harness.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::routers::run(data));
