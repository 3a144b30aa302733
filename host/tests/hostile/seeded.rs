//! What the fuzzers run, from numbers and from what they begin with.

use super::runs::{each, seeds};

#[test]
fn any_servers_of_names() {
    seeds("dns", super::dns::run);
    each(super::dns::run);
}

#[test]
fn any_commands_and_payloads() {
    seeds("control", super::control::run);
    each(super::control::run);
}
