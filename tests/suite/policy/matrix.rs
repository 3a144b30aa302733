//! The matrix of surface, operation and rule.
//!
//! Each row is one operation with the policies that allow it and the policies that deny it. Where it is allowed, it
//! works. Where it is denied, it fails with the surface's code for that, or the packet that arrives is dropped; the
//! guest's host sends no frame, ARP included; nothing is held that was not held before; and the audit has exactly one
//! event, which says what was denied.

use std::fmt::Write as _;
use std::time::Duration;

use xila_network_host::socket::{ConnectOptions, TcpStream, UdpSocket};
use xila_network_tests::laboratory::Program;

use crate::world::{GUEST, PEER, Report, SECOND as ALSO, World, at, matches, program};

mod connections;
mod datagrams;
mod messages;

use connections::CONNECTIONS;
use datagrams::DATAGRAMS;
use messages::MESSAGES;

/// The interfaces by which guests reach the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Surface {
    /// `xila:network`.
    Xila,
    /// `wasi:sockets` 0.2.
    P2,
    /// `wasi:sockets` 0.3.
    P3,
}

use Surface::{P2, P3, Xila};

const ALL: &[Surface] = &[Xila, P2, P3];

/// One operation and the policies that decide it.
struct Row {
    surfaces: &'static [Surface],
    /// The arguments of the program, as `xila_network_programs::matrix` lists them.
    order: &'static str,
    arrival: Arrival,
    /// Whether the operation sends a frame if it is allowed.
    speaks: bool,
    allow: &'static [&'static str],
    /// The event of the denial, and the policies that cause it.
    deny: &'static [(&'static str, &'static [&'static str])],
}

/// What the peer does when the program is prepared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Nothing,
    /// It connects to port 80 of this address, from its port 4000.
    Connection(&'static str),
    /// It sends a datagram to the program's port of this address, from its port 4000.
    Datagram(&'static str),
}

impl Row {
    fn run(&self, world: &World, program: &Program, policy: &str) -> Report {
        if self.arrival != Arrival::Nothing {
            world.introduce();
        }
        let network = world.peer.network();
        let from = at(PEER, 4000);
        world.run(program, world.context(policy).build(), self.order, async |port| match self.arrival {
            Arrival::Nothing => {}
            Arrival::Connection(to) => {
                // One SYN is sent in this time.
                let timeout = Duration::from_millis(500);
                let options = ConnectOptions { local: Some(from), timeout, ..ConnectOptions::default() };
                // The guest's program says whether the connection has arrived.
                let _connected = TcpStream::connect_with(&network, at(to, 80), options).await;
            }
            Arrival::Datagram(to) => {
                let socket = UdpSocket::bind(&network, from).expect("the port is free");
                socket.send_to(b"x", at(to, port)).await.expect("it is sent");
            }
        })
    }

    /// Checks an operation that is allowed; returns what is wrong.
    fn check_allowed(&self, report: &Report) -> Option<&'static str> {
        match report {
            Report { outcome, .. } if outcome != "done" => Some("does not work"),
            Report { denials, .. } if !denials.is_empty() => Some("is in the audit"),
            Report { frames, .. } if self.speaks && frames.is_empty() => Some("sends nothing"),
            _ => None,
        }
    }

    /// Checks an operation that is denied.
    fn check_denied(&self, report: &Report, event: &str) -> Option<&'static str> {
        let Report { outcome, frames, before, after, denials } = report;
        let expected = if self.arrival == Arrival::Nothing { "denied" } else { "prepared" };
        match () {
            () if !outcome.starts_with(expected) => Some("is not denied"),
            () if !frames.is_empty() => Some("sends a frame"),
            () if !after.is_within(before) => Some("holds something afterwards"),
            () if denials.len() != 1 || !matches(&denials[0], event) => Some("is not in the audit as it should be"),
            () => None,
        }
    }
}

/// Runs all rows on one surface.
fn run(surface: Surface, name: &str) {
    let program = program(name);
    let (mut failures, mut cells) = (String::new(), 0);
    let rows = [CONNECTIONS, DATAGRAMS, MESSAGES].into_iter().flatten().filter(|row| row.surfaces.contains(&surface));
    for row in rows {
        let mut check = |policy: &str, event: Option<&str>| {
            let report = row.run(&World::new(), &program, policy);
            let wrong = match event {
                None => row.check_allowed(&report),
                Some(event) => row.check_denied(&report, event),
            };
            cells += 1;
            if let Some(wrong) = wrong {
                let verdict = event.unwrap_or("allowed");
                writeln!(failures, "{surface:?}: {}: {policy:?} ({verdict}): it {wrong}: {report:?}", row.order)
                    .expect("memory");
            }
        };
        row.allow.iter().for_each(|policy| check(policy, None));
        for (event, policies) in row.deny {
            policies.iter().for_each(|policy| check(policy, Some(event)));
        }
    }
    assert!(failures.is_empty(), "{failures}");
    println!("{surface:?}: {cells} cells");
    assert!(cells > 100, "{cells} cells");
}

#[test]
pub(crate) fn policy_matrix_xila() {
    run(Xila, "policy_matrix_xila");
}

#[test]
pub(crate) fn policy_matrix_p2() {
    run(P2, "policy_matrix_p2");
}

#[test]
pub(crate) fn policy_matrix_p3() {
    run(P3, "policy_matrix_p3");
}

/// `wasi:sockets` has no option that permits broadcasts, so they fail with the same code where the policy allows them.
/// But then no rule has denied them.
#[test]
fn a_broadcast_from_a_socket_without_the_option_fails_without_a_denial() {
    for name in ["policy_matrix_xila", "policy_matrix_p2", "policy_matrix_p3"] {
        let world = World::new();
        let context = world.context("allow udp any").build();
        let report = world.run(&program(name), context, "udp-send 0.0.0.0:5000 10.0.0.255:7", async |_| {});
        assert_eq!((&*report.outcome, report.denials, report.frames.len()), ("denied", Vec::new(), 0), "{name}");
    }
}

/// A guest that is given no network may do nothing, and one with a network and no policy may do everything.
#[test]
fn a_guest_without_a_policy_is_not_restricted() {
    for name in ["policy_matrix_xila", "policy_matrix_p2", "policy_matrix_p3"] {
        let world = World::new();
        let context = xila_network_host::wasm::NetworkCtx::builder().network(world.guests.network()).build();
        let report = world.run(&program(name), context, "tcp-connect 10.0.0.2:80", async |_| {});
        assert_eq!((&*report.outcome, report.denials), ("done", Vec::new()), "{name}");
    }
}
