//! Peers that do not answer, and errors reported by routers (RFC 9293 sections 3.8.3 and 3.9.2.2).

use std::net::SocketAddr;
use std::time::Duration;

use xila_network_engine::tcp::{Cause, Options, ReadError, TcpState};

use super::host::{Host, ends};

/// SHLD-11: R2 is at least 100 seconds.
#[test]
fn by_default_text_is_retransmitted_for_more_than_a_hundred_seconds() {
    for (local, remote) in ends() {
        let mut host = Host::new(1);
        let (connection, _) = host.accepted(local, remote);
        host.tcp.write(connection, b"hello", host.now).expect("there is room");
        let began = host.now;
        let mut sent = host.transmit().len();
        let mut last = began;
        while host.tcp.state(connection) == TcpState::Established {
            let left = host.wait().len();
            if host.tcp.state(connection) == TcpState::Established && left > 0 {
                (sent, last) = (sent + left, host.now);
            }
        }
        assert!(host.now - began >= Duration::from_secs(100), "{:?}", host.now - began);
        assert!(sent > 6 && host.now - last <= Duration::from_secs(60), "{sent}");
        assert_eq!(host.read(connection, 1), Err(ReadError::Ended(Cause::TimedOut)));
        // The user timeout can be unlimited: MUST-21.
        assert!(Options { user_timeout: None, ..Options::default() }.validate().is_ok());
    }
}

/// MUST-56, SHLD-26: the engine's part of how its shell handles errors.
#[test]
fn a_path_error_ends_a_connection_attempt_but_no_established_connection() {
    for (local, remote) in ends() {
        let mut host = Host::new(1);
        let (connection, _) = host.accepted(local, remote);
        let attempt = host.connect(SocketAddr::new(local.ip(), 0), SocketAddr::new(remote.ip(), 9));
        host.transmit();
        for cause in [Cause::Unreachable, Cause::Refused] {
            host.tcp.fail_connecting(connection, cause, host.now);
            host.tcp.fail_connecting(attempt, cause, host.now);
        }
        assert_eq!(host.tcp.is_connected(connection), Some(Ok(())));
        assert_eq!(host.tcp.is_connected(attempt), Some(Err(Cause::Unreachable)));
        assert_eq!(host.transmit().len(), 0, "nobody has answered, so nobody is reset");
        host.tcp.write(connection, b"hello", host.now).expect("it lives");
        assert_eq!(host.transmit().len(), 1);
    }
}
