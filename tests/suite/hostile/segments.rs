//! TCP segments with invalid or extreme contents.

use std::net::SocketAddr;
use std::time::Duration;

use xila_network_host::ReadError;
use xila_network_host::socket::TcpState;
use xila_network_tests::link::{Family, PORT};

use super::frames::{ACK, FIN, PSH, RST, SYN, Segment};
use super::victim::CLOSED;
use super::{ATTACKER, Victim};

fn from(family: Family, port: u16) -> SocketAddr {
    SocketAddr::new(family.host(ATTACKER), port)
}

#[test]
fn every_combination_of_flags_to_every_kind_of_port_does_no_harm() {
    let victim = Victim::new();
    for family in Family::BOTH {
        let (next, _stream) = victim.handshake(family, 4000, 65535, &[]);
        for flags in 0..512 {
            for (port, to) in [(4001 + flags, PORT), (4001 + flags, CLOSED), (4000, PORT)] {
                for payload in [&[][..], b"data"] {
                    let mut segment = Segment::new(from(family, port), victim.at(family, to), flags);
                    segment.sequence = next.sequence.wrapping_add(1 << 20);
                    segment.payload = payload.to_vec();
                    victim.inject(&segment.packet());
                }
            }
        }
        assert!(victim.interface().statistics().tcp_flows <= 256 + 128);
        victim.advance(100_000);
    }
    victim.assert_serves();
}

#[test]
fn a_syn_with_a_reset_or_an_acknowledgement_opens_nothing() {
    let victim = Victim::new();
    for family in Family::BOTH {
        victim.introduce();
        for flags in [SYN | RST, SYN | ACK, SYN | ACK | RST, SYN | RST | FIN, ACK, FIN, RST, 0, PSH] {
            victim.inject(&Segment::new(from(family, 4000), victim.at(family, PORT), flags).packet());
            assert_eq!(victim.interface().statistics().tcp_flows, 0, "flags {flags:#x}");
        }
    }
    victim.assert_serves();
}

#[test]
fn a_reset_is_never_answered() {
    let victim = Victim::new();
    victim.introduce();
    victim.advance(1000);
    victim.wire.sent();
    for family in Family::BOTH {
        for flags in [RST, RST | ACK, RST | FIN, RST | SYN, RST | SYN | ACK] {
            for port in [PORT, CLOSED] {
                victim.inject(&Segment::new(from(family, 4000), victim.at(family, port), flags).packet());
            }
        }
    }
    victim.advance(100);
    assert_eq!(victim.wire.sent(), Vec::<Vec<u8>>::new());
}

#[test]
fn options_that_make_no_sense_do_no_harm() {
    let victim = Victim::new();
    let mut port = 10_000;
    for family in Family::BOTH {
        for kind in 0..=34 {
            for length in [0, 1, 2, 3, 4, 10, 40, 255] {
                for value in [0, 1, 14, 15, 255] {
                    port += 1;
                    let mut segment = Segment::new(from(family, port), victim.at(family, PORT), SYN);
                    segment.options = vec![kind, length, value, value, value, value];
                    victim.inject(&segment.packet());
                    // A data offset beyond the segment, or into the header.
                    let mut packet = segment.packet();
                    let at = if family == Family::V4 { 32 } else { 52 };
                    packet[at] = value << 4;
                    victim.inject(&packet);
                }
            }
        }
        victim.advance(100_000);
    }
    victim.assert_serves();
}

#[test]
fn a_peer_with_an_absurd_maximum_segment_size_or_window_scale_is_served_or_dropped() {
    let victim = Victim::new();
    for family in Family::BOTH {
        let mut port = 20_000;
        for size in [0u16, 1, 7, 40, 536, 65_535] {
            for scale in [0, 14, 15, 255] {
                port += 1;
                let [high, low] = size.to_be_bytes();
                let (next, stream) = victim.handshake(family, port, 65_535, &[2, 4, high, low, 3, 3, scale, 1]);
                assert_eq!(stream.try_write(&[7; 5000]), Ok(5000));
                victim.advance(50);
                let sent = victim.segments_to(port);
                // Whatever the stack does with the size, its segments fit the link, and there is not one frame for each
                // byte.
                assert!(sent.iter().all(|segment| segment.payload.len() <= 1460), "size {size}");
                assert!(sent.len() <= 200, "size {size}: {} segments for 5000 bytes", sent.len());
                victim.inject(&Segment { flags: RST | ACK, ..next }.packet());
                assert_eq!(stream.try_read(&mut [0; 8]), Err(ReadError::ConnectionReset), "size {size}, scale {scale}");
            }
        }
    }
    victim.assert_serves();
}

#[test]
fn a_connection_to_a_peer_that_never_opens_its_window_ends_after_the_user_timeout() {
    let victim = Victim::new();
    for family in Family::BOTH {
        let (_, stream) = victim.handshake(family, 4000, 0, &[]);
        victim.link.block_on(async {
            stream.write_all(&[7; 1000]).await.unwrap();
            // The user timeout is two minutes.
            let (outcome, took) = victim.link.within(Duration::from_secs(600), stream.read(&mut [0; 8])).await;
            assert_eq!(outcome, Err(ReadError::TimedOut));
            assert!(took >= Duration::from_secs(100), "{took:?}");
        });
    }
    victim.assert_serves();
}

#[test]
fn data_in_a_syn_is_received() {
    let victim = Victim::new();
    for family in Family::BOTH {
        victim.introduce();
        let mut segment = Segment::new(from(family, 4000), victim.at(family, PORT), SYN | PSH);
        segment.payload = vec![7; 1000];
        for flags in [SYN, SYN | FIN, SYN | PSH, SYN | FIN | PSH] {
            segment.flags = flags;
            segment.source.set_port(segment.source.port() + 1);
            victim.inject(&segment.packet());
        }
        victim.advance(100_000);
        assert_eq!(victim.interface().statistics().tcp_flows, 0, "none of them came to anything");
    }
    victim.assert_serves();
}

#[test]
fn a_segment_with_the_victims_own_source_address_starts_no_storm() {
    let victim = Victim::new();
    for family in Family::BOTH {
        victim.wire.sent();
        for flags in [SYN, SYN | ACK, ACK, FIN, 0] {
            let to = victim.at(family, PORT);
            victim.inject(&Segment::new(to, to, flags).packet());
            let to = victim.at(family, CLOSED);
            victim.inject(&Segment::new(to, to, flags).packet());
        }
        victim.advance(10_000);
        let sent = victim.wire.sent().len();
        assert!(sent < 50, "{family:?}: {sent} frames for ten");
        victim.advance(60_000);
        assert_eq!(victim.interface().statistics().tcp_flows, 0);
    }
    victim.assert_serves();
}

#[test]
fn a_syn_in_the_middle_of_a_connection_changes_nothing() {
    let victim = Victim::new();
    for family in Family::BOTH {
        let (next, stream) = victim.handshake(family, 4000, 65535, &[]);
        for sequence in [next.sequence, next.sequence.wrapping_sub(1), next.sequence.wrapping_add(100_000), 0] {
            victim.inject(&Segment { sequence, flags: SYN, ..next.clone() }.packet());
            victim.inject(&Segment { sequence, flags: SYN | ACK, ..next.clone() }.packet());
        }
        assert_eq!(stream.state(), TcpState::Established);
        victim.inject(&Segment { payload: b"data".to_vec(), ..next.clone() }.packet());
        assert_eq!(stream.try_read(&mut [0; 8]), Ok(4));
    }
}
