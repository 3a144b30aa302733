//! The addresses that connections may be made with (RFC 9293 sections 3.9.1.1 and 3.9.2.3).

use std::net::SocketAddr;
use std::time::Duration;

use xila_network_engine::ports::Owner;
use xila_network_engine::tcp::segment::Control;
use xila_network_engine::tcp::sequence::Sequence;
use xila_network_engine::tcp::{Attempt, ConnectError, Options, TcpState};

use super::host::{Arrival, Host, ends, number};

/// Addresses that belong to no single host: unspecified, broadcast, multicast.
const NO_HOSTS: [&[&str]; 2] =
    [&["0.0.0.0", "255.255.255.255", "224.0.0.1", "239.255.1.2"], &["::", "ff02::1", "ff05::1:3"]];

fn no_hosts(index: usize, port: u16) -> impl Iterator<Item = SocketAddr> {
    NO_HOSTS[index].iter().map(move |address| SocketAddr::new(address.parse().expect("an address"), port))
}

/// MUST-46.
#[test]
fn connecting_to_an_address_of_no_single_host_fails() {
    for (index, (local, _)) in ends().into_iter().enumerate() {
        let mut host = Host::new(1);
        for remote in no_hosts(index, 80) {
            let attempt = Attempt::new(Owner::HOST, local, remote, Duration::from_secs(1));
            let outcome = host.tcp.connect(&attempt, Options::default(), host.now);
            assert_eq!(outcome, Err(ConnectError::InvalidAddress), "{remote}");
        }
        assert_eq!((host.tcp.connection_count(), host.transmit().len()), (0, 0));
    }
}

/// MUST-57, MUST-63.
#[test]
fn segments_from_or_to_an_address_of_no_single_host_are_not_answered() {
    let controls = [
        Control { syn: true, ..Control::NONE },
        Control { syn: true, ..Control::ACK },
        Control::ACK,
        Control { fin: true, ..Control::ACK },
        Control::NONE,
    ];
    for (index, (local, remote)) in ends().into_iter().enumerate() {
        let mut host = Host::new(1);
        host.listen(local);
        let from = no_hosts(index, 4000).map(|from| (from, local));
        let to = no_hosts(index, local.port()).map(|to| (remote, to));
        for (from, to) in from.chain(to) {
            for control in controls {
                let arrival = Arrival { control, ..Arrival::new(from, to) };
                assert_eq!(host.receive(&arrival.packet()), Vec::<Vec<u8>>::new(), "{from} to {to}");
            }
        }
        assert_eq!(host.tcp.half_open_count(), 0);
    }
}

/// MUST-41, MUST-42.
#[test]
fn a_new_listener_does_not_affect_connection_attempts_in_progress() {
    for (local, remote) in ends() {
        let mut host = Host::new(1);
        let connection = host.connect(local, remote);
        let syn = host.transmit().pop().expect("a SYN");
        let listener = host.listen(local);
        assert_eq!(host.tcp.state(connection), TcpState::SynSent);
        // Another peer connects to the port.
        let mut other = Arrival::new(SocketAddr::new(remote.ip(), 4001), local);
        other.control = Control { syn: true, ..Control::NONE };
        let answer = host.receive(&other.packet()).pop().expect("a SYN with ACK");
        other.control = Control::ACK;
        (other.sequence, other.acknowledgement) = (other.sequence + 1, Sequence(number(&answer, 4)) + 1);
        host.receive(&other.packet());
        assert!(host.tcp.accept(listener).is_some());
        // And the peer of the connection attempt answers.
        let mut peer = Arrival::new(remote, local);
        peer.control = Control { syn: true, ..Control::ACK };
        peer.acknowledgement = Sequence(number(&syn, 4)) + 1;
        host.receive(&peer.packet());
        assert_eq!(host.tcp.state(connection), TcpState::Established);
        // A connection attempt from an explicit port does not conflict with a listener either.
        host.tcp.unbind(listener, host.now, &mut host.wire);
        assert_eq!(host.transmit().len(), 0);
        host.listen(local);
        assert_eq!(host.tcp.state(connection), TcpState::Established);
    }
}

/// MUST-45.
#[test]
fn every_packet_of_a_connection_comes_from_the_address_that_it_was_made_with() {
    for (local, remote) in ends() {
        let mut host = Host::new(1);
        let (connection, _) = host.accepted(local, remote);
        host.tcp.write(connection, &[7; 10_000], host.now).expect("there is room");
        let mut sent = host.transmit();
        (0..5).for_each(|_| sent.extend(host.wait()));
        host.tcp.abort(connection, xila_network_engine::tcp::Cause::Aborted, host.now);
        sent.extend(host.transmit());
        assert!(sent.len() > 8, "{}", sent.len());
        for packet in sent {
            match local {
                SocketAddr::V4(local) => assert_eq!(packet[12..16], local.ip().octets()),
                SocketAddr::V6(local) => assert_eq!(packet[8..24], local.ip().octets()),
            }
        }
    }
}
