//! SYN floods.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::{env, fs};

use xila_network_tests::link::{Family, PORT};

use super::frames::{ACK, SYN, Segment};
use super::{ATTACKER, Victim};

/// The maximum number of half-open connections of a stack, and the backlog of a listener.
const MOST: usize = 256;
const BACKLOG: usize = 128;

/// Resident memory of this process, in bytes.
fn resident() -> Option<usize> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    Some(pages.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}

/// Pseudo-random source addresses, on the link and beyond it, and ports.
fn source(family: Family, number: u32) -> SocketAddr {
    let [a, b, c, d] = number.wrapping_mul(0x9e37_79b9).to_be_bytes();
    let address: IpAddr = match family {
        Family::V4 if number.is_multiple_of(2) => [10, 0, 0, 100 + d % 100].into(),
        Family::V4 => [198, 51, c, d].into(),
        Family::V6 => [0xfd00, 0, 0, 0, 1, 2, 3, u16::from_be_bytes([c, d])].into(),
    };
    SocketAddr::new(address, u16::from_be_bytes([a | 1, b]))
}

/// Sends `count` SYNs from as many sources, a hundred in a millisecond; returns the maximum number of connections.
fn flood(victim: &Victim, family: Family, count: u32) -> usize {
    let mut most = 0;
    for number in 0..count {
        let syn = Segment::new(source(family, number), victim.at(family, PORT), SYN);
        victim.inject(&syn.packet());
        if number.is_multiple_of(100) {
            victim.advance(1);
            victim.wire.sent();
        }
        most = most.max(victim.interface().statistics().tcp_flows);
    }
    most as usize
}

#[test]
fn a_flood_of_syns_is_bounded_and_the_listener_recovers() {
    for family in Family::BOTH {
        let victim = Victim::new();
        assert_eq!(flood(&victim, family, 50_000), BACKLOG);
        let counted = victim.interface().statistics();
        assert!(counted.backlog_drops > 40_000, "{counted:?}");
        // The other listener has a separate backlog.
        let other = if family == Family::V4 { Family::V6 } else { Family::V4 };
        let (_, stream) = victim.handshake(other, 4000, 65535, &[]);
        drop(stream);
        victim.advance(61_000);
        assert_eq!(victim.interface().statistics().tcp_flows, 0, "half-open flows end");
        victim.assert_serves();
    }
}

#[test]
fn a_flood_of_syns_takes_little_memory() {
    // Memory is counted for the whole process, so the measurement runs in a separate process.
    const ALONE: &str = "XILA_TEST_ALONE";
    if env::var_os(ALONE).is_none() {
        let mut again = Command::new(env::current_exe().unwrap());
        again.args(["--exact", "synflood::a_flood_of_syns_takes_little_memory"]).env(ALONE, "1");
        let output = again.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let victim = Victim::new();
    assert!(flood(&victim, Family::V4, 1000) <= MOST);
    let Some(before) = resident() else { return println!("skipped: this system has no /proc") };
    for (family, count) in [(Family::V4, 50_000), (Family::V6, 50_000)] {
        assert!(flood(&victim, family, count) <= MOST);
    }
    let after = resident().unwrap();
    println!("{before} bytes before, {after} bytes after");
    // Half-open connections have no buffers; the buffers of 256 connections would be 64 MiB.
    assert!(after < before + (16 << 20), "{before} bytes before, {after} bytes after");
}

#[test]
fn half_open_connections_are_bounded_over_all_listeners() {
    let victim = Victim::new();
    let network = &victim.link.server.network;
    let listeners: Vec<_> = (0..8)
        .map(|number| {
            let local = victim.at(Family::V4, 8000 + number);
            xila_network_host::socket::TcpListener::bind(network, local, Default::default()).unwrap()
        })
        .collect();
    for number in 0..10_000 {
        let listener = &listeners[number as usize % listeners.len()];
        victim.inject(&Segment::new(source(Family::V4, number), listener.local_addr(), SYN).packet());
    }
    let flows = victim.interface().statistics().tcp_flows;
    assert!(flows <= MOST as u64, "{flows}");
    victim.advance(61_000);
    victim.assert_serves();
}

#[test]
fn connections_that_are_not_accepted_fill_the_backlog_and_no_more() {
    let victim = Victim::new();
    victim.introduce();
    let to = victim.at(Family::V4, PORT);
    for port in 10_000..11_000 {
        let syn = Segment::new(SocketAddr::new(Family::V4.host(ATTACKER), port), to, SYN);
        victim.inject(&syn.packet());
        if let Some(answer) = victim.segments_to(port).pop() {
            let acknowledgement = answer.sequence.wrapping_add(1);
            let sequence = syn.sequence.wrapping_add(1);
            victim.inject(&Segment { flags: ACK, sequence, acknowledgement, ..syn }.packet());
        }
    }
    let counted = victim.interface().statistics();
    assert_eq!((counted.tcp_flows, counted.backlog_drops), (BACKLOG as u64, 1000 - BACKLOG as u64));
    // When connections are accepted and dropped, there is room again.
    let mut accepted = 0;
    while let Ok((stream, _)) = victim.listeners[0].try_accept() {
        stream.abort();
        accepted += 1;
    }
    assert_eq!(accepted, BACKLOG);
    victim.assert_serves();
}
