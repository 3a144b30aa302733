//! Runs the fuzz targets with seeded random bytes and with the fuzzers' seed files.

use super::runs::{each, each_near, seeds};

#[test]
fn any_frames_at_connections_in_every_state() {
    each(super::frames::run);
}

#[test]
fn any_operations_in_any_order() {
    each(super::operations::run);
}

#[test]
fn any_arp_and_neighbour_discovery() {
    seeds("neighbours", super::neighbours::run);
    each(super::neighbours::run);
}

#[test]
fn any_icmp_and_any_quotation() {
    seeds("icmp", super::icmp::run);
    each(super::icmp::run);
}

#[test]
fn any_fragments_of_both_families() {
    seeds("fragments", super::fragments::run);
    each(super::fragments::run);
}

#[test]
fn any_options_and_extension_headers() {
    seeds("headers", super::headers::run);
    each(super::headers::run);
}

#[test]
fn any_queries_and_memberships() {
    seeds("groups", super::groups::run);
    each(super::groups::run);
}

#[test]
fn any_frames_and_operations_at_two_engines() {
    seeds("engine", super::engine::run);
    each(super::engine::run);
}

#[test]
fn any_servers_of_dhcp() {
    each_near(&seeds("dhcp", super::dhcp::run), super::dhcp::run);
    each(super::dhcp::run);
}

#[test]
fn any_servers_of_dhcpv6() {
    each_near(&seeds("information", super::information::run), super::information::run);
    each(super::information::run);
}

#[test]
fn any_routers() {
    each_near(&seeds("routers", super::routers::run), super::routers::run);
    each(super::routers::run);
}
