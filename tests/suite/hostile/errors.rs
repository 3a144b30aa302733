//! Forged ICMP errors.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::future::{self, Either};
use xila_network_host::socket::{TcpStream, UdpSocket};
use xila_network_host::{Error, ReceiveError};
use xila_network_tests::link::{Family, PORT};

use super::frames::{Segment, icmp, udp};
use super::{ATTACKER, Victim};

/// Every ICMP error about a packet, by family, with the error that it means to a socket.
fn errors(family: Family) -> Vec<([u8; 2], Error)> {
    match family {
        Family::V4 => vec![
            ([3, 0], Error::RemoteUnreachable),
            ([3, 1], Error::RemoteUnreachable),
            ([3, 2], Error::ConnectionRefused),
            ([3, 3], Error::ConnectionRefused),
            ([3, 13], Error::RemoteUnreachable),
            ([11, 0], Error::RemoteUnreachable),
        ],
        Family::V6 => vec![
            ([1, 0], Error::RemoteUnreachable),
            ([1, 3], Error::RemoteUnreachable),
            ([1, 4], Error::ConnectionRefused),
            ([3, 0], Error::RemoteUnreachable),
        ],
    }
}

/// An ICMP error from the attacker that quotes a packet which the victim may have sent or not.
fn error(victim: &Victim, family: Family, kind: [u8; 2], quoted: &[u8]) -> Vec<u8> {
    icmp(family.host(ATTACKER), victim.link.server.address(family), kind, [0; 4], quoted)
}

/// Asserts that a pending future does not become ready within 10 ms.
async fn assert_waits(victim: &Victim, future: Pin<&mut impl Future>) {
    let sleep = pin!(victim.link.sleep(Duration::from_millis(10)));
    assert!(matches!(future::select(future, sleep).await, Either::Right(_)), "it waits still");
}

#[test]
fn an_established_connection_survives_every_forged_error() {
    let victim = Victim::new();
    for family in Family::BOTH {
        victim.link.block_on(async {
            let listener = &victim.listeners[usize::from(family == Family::V6)];
            let client = TcpStream::connect(&victim.link.client.network, victim.at(family, PORT)).await.unwrap();
            let (server, peer) = listener.accept().await.unwrap();
            victim.wire.sent();
            server.write_all(b"1").await.unwrap();
            let sent = victim.segments_to(peer.port()).pop().unwrap();
            // The attacker may even know the sequence number.
            for sequence in [sent.sequence, sent.sequence.wrapping_add(1), 0, 0xdead_beef] {
                let quoted = Segment { sequence, ..sent.clone() }.packet();
                for (kind, _) in errors(family) {
                    victim.inject(&error(&victim, family, kind, &quoted));
                    victim.inject(&error(&victim, family, kind, &quoted[..quoted.len().min(48)]));
                }
                // "Packet too big" with invalid next-hop MTUs.
                let too_big = if family == Family::V4 { [3, 4] } else { [2, 0] };
                for mtu in [0u32, 1, 68, 1279, 65_536, u32::MAX] {
                    let (own, target) = (family.host(ATTACKER), victim.link.server.address(family));
                    victim.inject(&icmp(own, target, too_big, mtu.to_be_bytes(), &quoted));
                }
            }
            server.write_all(b"2").await.unwrap();
            let mut buffer = [0; 8];
            let mut count = 0;
            while count < 2 {
                count += client.read(&mut buffer[count..]).await.unwrap();
            }
            client.write_all(b"3").await.unwrap();
            assert_eq!(server.read(&mut buffer).await, Ok(1));
        });
    }
}

#[test]
fn a_connection_attempt_fails_by_an_error_that_quotes_its_very_segment_and_no_other() {
    for family in Family::BOTH {
        for (index, (kind, expected)) in errors(family).into_iter().enumerate() {
            let victim = Victim::new();
            victim.introduce();
            let remote = SocketAddr::new(family.host(ATTACKER), 80 + u16::try_from(index).unwrap());
            let outcome = victim.link.block_on(async {
                let mut connecting = pin!(TcpStream::connect(&victim.link.server.network, remote));
                assert_waits(&victim, connecting.as_mut()).await;
                let syn = victim.segments_to(remote.port()).pop().expect("a SYN is sent");
                let other_port = SocketAddr::new(syn.source.ip(), syn.source.port() ^ 1);
                for wrong in [
                    Segment { sequence: syn.sequence.wrapping_add(1), ..syn.clone() },
                    Segment { sequence: !syn.sequence, ..syn.clone() },
                    Segment { source: other_port, ..syn.clone() },
                    Segment { destination: SocketAddr::new(family.host(67), remote.port()), ..syn.clone() },
                ] {
                    victim.inject(&error(&victim, family, kind, &wrong.packet()));
                }
                assert_waits(&victim, connecting.as_mut()).await;
                // The quotation is the minimum that every router sends.
                let header = if family == Family::V4 { 20 } else { 40 };
                victim.inject(&error(&victim, family, kind, &syn.packet()[..header + 8]));
                connecting.await
            });
            assert_eq!(Error::from(outcome.unwrap_err()), expected, "{family:?} {kind:?}");
        }
    }
}

#[test]
fn a_datagram_socket_gets_errors_about_its_own_peer_only() {
    let victim = Victim::new();
    victim.introduce();
    for family in Family::BOTH {
        let network = &victim.link.server.network;
        let socket = UdpSocket::bind(network, victim.at(family, 0)).unwrap();
        let peer = SocketAddr::new(family.host(ATTACKER), 5000);
        socket.connect(peer).unwrap();
        socket.try_send(b"hello").unwrap();
        for (kind, expected) in errors(family) {
            for (from, to) in [
                (SocketAddr::new(socket.local_addr().ip(), socket.local_addr().port() ^ 1), peer),
                (socket.local_addr(), SocketAddr::new(peer.ip(), 5001)),
                (socket.local_addr(), SocketAddr::new(family.host(67), 5000)),
            ] {
                victim.inject(&error(&victim, family, kind, &udp(from, to, b"hello")));
            }
            assert_eq!(socket.try_recv_datagram().unwrap_err(), ReceiveError::WouldBlock);
            victim.inject(&error(&victim, family, kind, &udp(socket.local_addr(), peer, b"hello")));
            assert_eq!(Error::from(socket.try_recv_datagram().unwrap_err()), expected, "{family:?} {kind:?}");
            assert_eq!(socket.try_recv_datagram().unwrap_err(), ReceiveError::WouldBlock, "told once");
        }
    }
}

#[test]
fn quotations_cut_anywhere_do_no_harm() {
    let victim = Victim::new();
    for family in Family::BOTH {
        let (from, to) = (victim.at(family, PORT), SocketAddr::new(family.host(ATTACKER), 4000));
        let tcp = Segment::new(from, to, 16).packet();
        let udp = udp(from, to, b"hello");
        let nested = error(&victim, family, errors(family)[0].0, &udp);
        for quoted in [&tcp, &udp, &nested] {
            for (kind, _) in errors(family) {
                for length in 0..quoted.len() {
                    victim.inject(&error(&victim, family, kind, &quoted[..length]));
                }
                for byte in 0..10 {
                    let mut quoted = quoted.clone();
                    quoted[byte] = !quoted[byte];
                    victim.inject(&error(&victim, family, kind, &quoted));
                }
            }
        }
    }
    victim.assert_serves();
}
