//! Initial sequence numbers (RFC 9293 section 3.4.1).

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::host::{Host, ends, number};

/// The initial sequence number of a connection.
fn initial(seed: u8, at: Duration, local: SocketAddr, remote: SocketAddr) -> u32 {
    let mut host = Host::new(seed);
    host.now += at;
    host.connect(local, remote);
    number(&host.transmit().pop().expect("a SYN"), 4)
}

/// MUST-8: M, a clock of four microseconds.
#[test]
fn initial_numbers_follow_a_clock_of_four_microseconds() {
    for (local, remote) in ends() {
        let first = initial(1, Duration::ZERO, local, remote);
        for (micros, ticks) in [(3, 0), (4, 1), (1_000_000, 250_000), (3_600_000_000, 900_000_000)] {
            let later = initial(1, Duration::from_micros(micros), local, remote);
            assert_eq!(later.wrapping_sub(first), ticks, "{micros}");
        }
    }
}

/// SHLD-1, MUST-9: F, a function of both ends and a secret.
#[test]
fn initial_numbers_depend_on_each_end_and_on_a_secret() {
    let of = |seed, local: SocketAddr, remote: SocketAddr| initial(seed, Duration::ZERO, local, remote);
    for (local, remote) in ends() {
        let other_port = |end: SocketAddr| SocketAddr::new(end.ip(), end.port() + 1);
        let mut numbers: Vec<u32> = (0..50).map(|seed| of(seed, local, remote)).collect();
        numbers.extend([of(1, other_port(local), remote), of(1, local, other_port(remote))]);
        numbers.push(of(1, SocketAddr::new(remote.ip(), local.port()), SocketAddr::new(local.ip(), remote.port())));
        let differences: HashSet<u32> = numbers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        assert_eq!(numbers.iter().collect::<HashSet<_>>().len(), numbers.len());
        assert_eq!(differences.len(), numbers.len() - 1, "nothing follows from another number");
    }
}
