//! ARP and neighbour discovery at an engine with addresses, claims and packets that wait. The harness is that of the seeded tests.

#![no_main]

#[path = "../../tests/hostile/harness.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::neighbours::run(data));
