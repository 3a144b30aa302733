//! A program without a network gets errors for sockets and names, and no traps.

use xila_network_programs::p2::*;

fn main() {
    for _ in 0..3 {
        each_family(|family| {
            assert_error(create_tcp_socket(family), ErrorCode::AccessDenied);
            assert_error(create_udp_socket(family), ErrorCode::AccessDenied);
        });
        for name in ["example.org", "localhost", "127.0.0.1"] {
            assert_error(resolve_addresses(&instance_network(), name), ErrorCode::AccessDenied);
        }
    }
}
