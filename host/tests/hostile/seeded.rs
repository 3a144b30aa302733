//! Runs the code of the fuzz targets, with bytes from random numbers and from the seeds of the fuzzers.

use super::runs::{each, each_near, seeds};

#[test]
fn any_servers_of_names() {
    each_near(&seeds("dns", super::dns::run), super::dns::run);
    each(super::dns::run);
}

#[test]
fn any_clients_of_a_dhcp_server() {
    each_near(&seeds("leases", super::leases::run), super::leases::run);
    each(super::leases::run);
}

#[test]
fn any_commands_and_payloads() {
    each_near(&seeds("control", super::control::run), super::control::run);
    each(super::control::run);
}

#[test]
fn any_policies_and_requests() {
    each_near(&seeds("rules", super::rules::run), super::rules::run);
    each(super::rules::run);
}
