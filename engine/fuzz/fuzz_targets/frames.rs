//! Any frames at an engine with a connection in every state. The harness is that of the seeded tests.

#![no_main]

#[path = "../../tests/hostile/harness.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::frames::run(data));
