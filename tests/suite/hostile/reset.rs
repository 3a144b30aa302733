//! Attacks on a connection by a host that knows its ports, but not its sequence numbers.

use xila_network_host::ReadError;
use xila_network_host::socket::TcpState;
use xila_network_tests::link::Family;

use super::Victim;
use super::frames::{ACK, FIN, RST, Segment};

/// Distances from the next sequence number that lie outside a receive window of 128 KiB.
const OUTSIDE: [u32; 6] = [u32::MAX, u32::MAX - 1000, 1 << 18, 1 << 24, 1 << 31, 3 << 30];

#[test]
fn resets_outside_the_window_do_not_reset() {
    let victim = Victim::new();
    for family in Family::BOTH {
        let (next, stream) = victim.handshake(family, 4000, 65535, &[3, 3, 7, 0]);
        for distance in OUTSIDE {
            for step in 0..200 {
                let sequence =
                    next.sequence.wrapping_add(distance).wrapping_add(step * 1000 * u32::from(distance == 1 << 31));
                for flags in [RST, RST | ACK] {
                    victim.inject(&Segment { sequence, flags, ..next.clone() }.packet());
                }
            }
            assert_eq!(stream.state(), TcpState::Established, "{distance:#x}");
        }
        victim.inject(&Segment { payload: b"data".to_vec(), ..next.clone() }.packet());
        assert_eq!(stream.try_read(&mut [0; 8]), Ok(4));
        victim.inject(&Segment { sequence: next.sequence.wrapping_add(4), flags: RST, ..next }.packet());
        assert_eq!(stream.try_read(&mut [0; 8]), Err(ReadError::ConnectionReset), "the right one does");
    }
}

#[test]
fn data_and_fins_outside_the_window_are_ignored() {
    let victim = Victim::new();
    for family in Family::BOTH {
        let (next, stream) = victim.handshake(family, 4000, 65535, &[]);
        for distance in OUTSIDE {
            let sequence = next.sequence.wrapping_add(distance);
            // If the segment begins before the window, it has only bytes that were received before.
            let payload = vec![b'x'; 1];
            victim.inject(&Segment { sequence, payload: payload.clone(), ..next.clone() }.packet());
            victim.inject(&Segment { sequence: sequence.wrapping_sub(1), flags: FIN | ACK, ..next.clone() }.packet());
        }
        assert_eq!(stream.try_read(&mut [0; 8]), Err(ReadError::WouldBlock));
        assert_eq!(stream.state(), TcpState::Established);
    }
}

#[test]
fn acknowledgements_of_what_was_never_sent_do_not_count() {
    let victim = Victim::new();
    for family in Family::BOTH {
        let (next, stream) = victim.handshake(family, 4000, 1000, &[]);
        assert_eq!(stream.try_write(&[7; 5000]), Ok(5000));
        victim.wire.sent();
        for distance in [5001, 100_000, 1 << 30, 1 << 31, u32::MAX, u32::MAX - 100_000] {
            let acknowledgement = next.acknowledgement.wrapping_add(distance);
            victim.inject(&Segment { acknowledgement, ..next.clone() }.packet());
            victim.inject(&Segment { acknowledgement, window: 0, ..next.clone() }.packet());
        }
        assert_eq!(stream.statistics().send_queue, 5000, "nothing was acknowledged");
        assert_eq!(stream.state(), TcpState::Established);
        // The real peer continues: the bytes that it acknowledges are removed from the queue, and the rest is sent. One
        // segment with the default size for a peer that announces none: after it, less than half a window is not sent.
        let segment = if family == Family::V4 { 536 } else { 1000 };
        let acknowledgement = next.acknowledgement.wrapping_add(segment);
        victim.inject(&Segment { acknowledgement, window: 65_535, ..next }.packet());
        assert_eq!(stream.statistics().send_queue, 5000 - segment as usize);
    }
}

#[test]
fn overlapping_segments_and_gaps_are_reassembled_and_bounded() {
    let victim = Victim::new();
    for family in Family::BOTH {
        let (next, stream) = victim.handshake(family, 4000, 65535, &[]);
        let send = |at: u32, payload: &[u8]| {
            let sequence = next.sequence.wrapping_add(at);
            victim.inject(&Segment { sequence, payload: payload.to_vec(), ..next.clone() }.packet());
        };
        // A thousand separate bytes, beginning at the far end.
        for gap in (1..1000).rev() {
            send(gap * 10, &[(gap % 256) as u8]);
        }
        let whole: Vec<u8> = (0..10_000u32).map(|index| (index / 10 % 256) as u8).collect();
        assert_eq!(stream.try_read(&mut [0; 8]), Err(ReadError::WouldBlock));
        // Then all bytes in overlapping segments: each byte counts once.
        for (index, chunk) in whole.chunks(700).enumerate() {
            let at = index * 700;
            let end = (at + chunk.len() + 300).min(whole.len());
            send(u32::try_from(at).unwrap(), &whole[at..end]);
        }
        let mut received = vec![0; 20_000];
        let mut count = 0;
        while let Ok(more) = stream.try_read(&mut received[count..]) {
            count += more;
        }
        assert_eq!(count, whole.len());
        assert!(received[..count] == whole[..], "{family:?}");
    }
}
