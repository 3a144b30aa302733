//! Clients that say what they want, to a DHCP server. The harness is that of the seeded tests.

#![no_main]

#[path = "../../tests/hostile/harness.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hostile::leases::run(data));
