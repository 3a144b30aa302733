//! Attacks on the ports of another guest of the same host, by each surface.

use std::net::SocketAddr;
use std::time::Duration;

use xila_network_host::socket::{ConnectOptions, TcpStream, UdpSocket};
use xila_network_host::wasm::NetworkCtx;

use crate::world::{GUEST, Guest, PEER, World, at, program};

/// The programs of the surfaces, which execute one operation each.
const PROGRAMS: [&str; 3] = ["policy_matrix_xila", "policy_matrix_p2", "policy_matrix_p3"];

/// A guest that may do everything: only the ports of the others are in its way.
fn context(world: &World) -> NetworkCtx {
    NetworkCtx::builder().network(world.guests.network()).build()
}

/// Starts a neighbour that waits for what arrives at its port.
fn neighbour(world: &World, surface: &str, order: &str) -> Guest {
    let guest = world.start(&program(surface), context(world), order);
    assert!(world.until(|| guest.is_at(&["prepared"])), "{surface}: {order}: {}", guest.last());
    assert!(guest.ending().is_none(), "{surface}: {order}");
    guest
}

/// Connects to port 80 of the guests' host from this address of the peer.
fn connect(world: &World, from: SocketAddr) -> bool {
    let options = ConnectOptions { local: Some(from), timeout: Duration::from_secs(2), ..ConnectOptions::default() };
    world.simulation.block_on(TcpStream::connect_with(&world.peer.network(), at(GUEST, 80), options)).is_ok()
}

/// Nobody else can bind, listen on, or connect from a port that a neighbour has, at its address, at the unspecified
/// address, or where the neighbour itself is bound to the unspecified address. The connection goes to the neighbour.
#[test]
fn a_tcp_port_of_a_neighbour_cannot_be_taken() {
    for victim in PROGRAMS {
        for theirs in ["10.0.0.1:80", "0.0.0.0:80"] {
            let world = World::new();
            let neighbour = neighbour(&world, victim, &format!("tcp-accept {theirs}"));
            for attacker in PROGRAMS {
                for order in [
                    "tcp-listen 10.0.0.1:80",
                    "tcp-listen 0.0.0.0:80",
                    "tcp-connect-from 10.0.0.1:80 10.0.0.2:80",
                    "tcp-connect-from 0.0.0.0:80 10.0.0.2:80",
                ] {
                    let report = world.run(&program(attacker), context(&world), order, async |_| {});
                    let outcome = report.outcome;
                    assert!(
                        outcome.contains("address-in-use"),
                        "{attacker} against {victim} at {theirs}: {order}: {outcome}"
                    );
                    assert!(report.frames.is_empty(), "{order}");
                }
            }
            assert!(connect(&world, at(PEER, 4000)));
            assert!(world.until(|| neighbour.is_at(&["done"])), "{victim}: {}", neighbour.last());
            assert_eq!(neighbour.last(), "done");
        }
    }
}

/// A neighbour's UDP port cannot be taken, and its datagrams reach nobody else.
#[test]
fn a_udp_port_of_a_neighbour_cannot_be_taken() {
    for victim in PROGRAMS {
        for theirs in ["10.0.0.1:9", "0.0.0.0:9"] {
            let world = World::new();
            let neighbour = neighbour(&world, victim, &format!("udp-receive {theirs}"));
            let eavesdroppers: Vec<Guest> = PROGRAMS
                .into_iter()
                .map(|attacker| {
                    for order in ["udp-bind 10.0.0.1:9", "udp-bind 0.0.0.0:9", "udp-send 0.0.0.0:9 10.0.0.2:7"] {
                        let report = world.run(&program(attacker), context(&world), order, async |_| {});
                        let outcome = report.outcome;
                        assert!(outcome.contains("address-in-use"), "{attacker} against {victim}: {order}: {outcome}");
                    }
                    self::neighbour(&world, attacker, "udp-receive 0.0.0.0:0")
                })
                .collect();
            world.simulation.block_on(async {
                let socket = UdpSocket::bind(&world.peer.network(), at(PEER, 4000)).expect("the port is free");
                socket.send_to(b"x", at(GUEST, 9)).await.expect("it is sent");
            });
            assert!(world.until(|| neighbour.is_at(&["done"])), "{victim}: {}", neighbour.last());
            for eavesdropper in &eavesdroppers {
                assert!(eavesdropper.last().starts_with("prepared"), "{}", eavesdropper.last());
            }
        }
    }
}

/// The identifier of a neighbour's echo requests cannot be taken.
#[test]
fn an_echo_identifier_of_a_neighbour_cannot_be_taken() {
    let world = World::new();
    let neighbour = world.start(&program("policy_matrix_xila"), context(&world), "icmp-bind");
    assert!(world.until(|| neighbour.is_at(&["done"])));
    let report = world.run(&program("policy_matrix_xila"), context(&world), "icmp-bind", async |_| {});
    assert_eq!(report.outcome, "failed address-in-use");
}

/// A guest that is gone keeps no port from its neighbours.
#[test]
fn a_port_is_free_as_soon_as_its_guest_is_gone() {
    for surface in PROGRAMS {
        let world = World::new();
        for order in ["tcp-accept 0.0.0.0:80", "udp-receive 0.0.0.0:9"] {
            let first = neighbour(&world, surface, order);
            world.stop(&first);
            let second = neighbour(&world, surface, order);
            world.stop(&second);
        }
    }
}
