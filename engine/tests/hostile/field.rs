//! Regressions from real use, with exact values: one peer, and crafted segments.

use core::time::Duration;

use xila_network_engine::ports::Owner;
use xila_network_engine::tcp::{Attempt, Cause, KeepAlive, Options, ReadError, TcpState};

use super::peer::{ACK, FIN, PSH, RST, Raw, SYN};
use super::victim::{Peer, SERVER, THERE, Victim, millis};

pub(super) const MSS: [u8; 4] = [2, 4, 0x05, 0xb4];

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at * 7 % 251) as u8).collect()
}

/// RFC 9293 section 3.10.7.4: the FIN is trimmed together with the data before it.
#[test]
fn a_fin_after_trimmed_data_is_not_accepted() {
    let mut victim = Victim::new();
    let listener = victim.listen(Options { receive_buffer: 4096, ..Options::default() });
    let (mut peer, accepted) = Peer::open(&mut victim, listener, 1000, &MSS);
    let stream = bytes(4096 - 500 + 1400);
    for piece in stream[..4096 - 500].chunks(1400) {
        peer.send(&mut victim, ACK, piece);
    }
    // 500 bytes are within the window; 900 bytes and the FIN are beyond it.
    let last = peer.segment(ACK | FIN, &stream[4096 - 500..]);
    victim.receive(&last.packet());
    let (read, end) = victim.read(accepted.id);
    assert_eq!((read.as_slice(), end), (&stream[..4096], Some(ReadError::WouldBlock)));
    victim.transmit();
    victim.receive(&last.packet());
    assert_eq!(
        victim.read(accepted.id),
        (stream[4096..].to_vec(), None),
        "the rest and the end, once they are repeated"
    );
    assert_eq!(victim.tcp.state(accepted.id), TcpState::CloseWait);
}

/// RFC 7323 section 2.4: rounding of the window field must not shrink the offered window.
#[test]
fn a_window_does_not_shrink_because_it_is_rounded() {
    for limit in [70_000, 99_999, 262_143, 1_000_001] {
        let mut victim = Victim::new();
        let listener = victim.listen(Options { receive_buffer: limit, window_limit: 4 << 20, ..Options::default() });
        let (mut peer, accepted) = Peer::open(&mut victim, listener, 1000, &[2, 4, 0x05, 0xb4, 1, 3, 3, 7]);
        assert!(peer.scale > 2);
        let (mut edge, mut sent) = (0, 0);
        for round in 0..3000 {
            let length = 1 + round * 37 % 97;
            if sent + length > limit {
                break;
            }
            sent += length;
            for answer in peer.send(&mut victim, ACK, &bytes(length)) {
                let offered = answer.acknowledgement.wrapping_add(u32::from(answer.window) << peer.scale);
                assert!(edge == 0 || offered.wrapping_sub(edge).cast_signed() >= 0, "round {round} of {limit}");
                edge = offered;
            }
            if round % 50 == 49 {
                victim.tcp.read(accepted.id, &mut [0; 50], victim.now).expect("there is something");
                sent -= 50;
            }
        }
    }
}

/// A buffer that is smaller than one unit of the window field does not keep the window closed for ever.
#[test]
fn a_tiny_buffer_with_a_large_scale_is_open() {
    let mut victim = Victim::new();
    let listener = victim.listen(Options { receive_buffer: 1, window_limit: 4 << 20, ..Options::default() });
    let (mut peer, accepted) = Peer::open(&mut victim, listener, 1000, &[2, 4, 0x05, 0xb4, 1, 3, 3, 7]);
    for round in 0..20 {
        peer.send(&mut victim, ACK, &[round]);
        assert_eq!(victim.read(accepted.id), (vec![round], Some(ReadError::WouldBlock)));
        let answers = victim.pass(millis(100));
        peer.hear(&answers.into_iter().map(|(_, seen)| seen).collect::<Vec<_>>());
        assert!(peer.window > 0);
    }
}

/// RFC 5961 sections 3.2 and 4.2.
#[test]
fn an_inexact_reset_and_a_syn_in_the_window_are_challenged_once() {
    for (flags, ahead) in
        [(RST, 1), (RST, 30_000), (RST | ACK, 5), (SYN, 0), (SYN, 100), (SYN | ACK, 0), (SYN | ACK, 100)]
    {
        let mut victim = Victim::new();
        let listener = victim.listen(Options::default());
        let (mut peer, accepted) = Peer::open(&mut victim, listener, 1000, &MSS);
        peer.send(&mut victim, ACK | PSH, b"before");
        victim.pass(millis(100));
        let mut segment = peer.segment(flags, &[]);
        segment.sequence = segment.sequence.wrapping_add(ahead);
        let answers = victim.receive(&segment.packet());
        let shown: Vec<_> =
            answers.iter().map(|seen| (seen.flags, seen.sequence, seen.acknowledgement, seen.payload.len())).collect();
        assert_eq!(shown, [(ACK, peer.expected, peer.next, 0)], "{flags} {ahead}");
        peer.send(&mut victim, ACK | PSH, b" and after");
        assert_eq!(victim.read(accepted.id).0, b"before and after");
        victim.pass(Duration::from_secs(1));
        assert_eq!(victim.tcp.state(accepted.id), TcpState::Established);
    }
}

#[test]
fn an_exact_reset_ends_a_connection_and_one_outside_of_the_window_is_ignored() {
    let mut victim = Victim::new();
    let listener = victim.listen(Options::default());
    let (peer, accepted) = Peer::open(&mut victim, listener, 1000, &MSS);
    for away in [0u32.wrapping_sub(1), 1 << 17, 1 << 31] {
        let mut outside = peer.segment(RST, &[]);
        outside.sequence = outside.sequence.wrapping_add(away);
        assert!(victim.receive(&outside.packet()).is_empty(), "a reset outside of the window is not answered");
        assert_eq!(victim.tcp.state(accepted.id), TcpState::Established);
    }
    assert!(victim.receive(&peer.segment(RST, &[]).packet()).is_empty());
    assert_eq!(victim.read(accepted.id), (Vec::new(), Some(ReadError::Ended(Cause::Reset))));
}

/// RFC 5961 section 7. The limit also prevents two hosts from challenging each other for ever.
#[test]
fn challenge_acks_are_rate_limited() {
    let mut victim = Victim::new();
    let listener = victim.listen(Options::default());
    let (peer, accepted) = Peer::open(&mut victim, listener, 1000, &MSS);
    let mut reset = peer.segment(RST, &[]);
    reset.sequence += 1;
    let answers: usize = (0..10_000).map(|_| victim.receive(&reset.packet()).len()).sum();
    assert!((400..=1600).contains(&answers), "{answers} answers to 10,000 resets in a second");
    assert_eq!(victim.tcp.state(accepted.id), TcpState::Established);
}

/// RFC 9293 section 3.1, MUST-7.
#[test]
fn a_segment_with_malformed_options_is_accepted() {
    let strange: [&[u8]; 9] = [
        &[9, 0],
        &[2, 0],
        &[2, 3, 5],
        &[2, 1],
        &[8, 3, 1],
        &[8, 9, 0, 0, 0, 0, 0, 0, 0],
        &[5, 5, 1, 2, 3],
        &[5, 2],
        &[4, 40],
    ];
    for options in strange {
        let mut victim = Victim::new();
        let listener = victim.listen(Options::default());
        let (peer, accepted) = Peer::open(&mut victim, listener, 1000, options);
        let mut data = peer.segment(ACK | PSH, b"data");
        data.options = options.to_vec();
        victim.receive(&data.packet());
        assert_eq!(victim.read(accepted.id).0, b"data", "{options:?}");
    }
}

/// Only segments with a valid checksum count as a sign of life.
#[test]
fn damaged_copies_do_not_keep_a_dead_connection_alive() {
    let keep = KeepAlive { idle: Duration::from_secs(1), interval: Duration::from_secs(1), count: 3 };
    let mut victim = Victim::new();
    let listener = victim.listen(Options { keep_alive: Some(keep), ..Options::default() });
    let (peer, accepted) = Peer::open(&mut victim, listener, 1000, &MSS);
    let begun = victim.now;
    let mut damaged = peer.segment(ACK, b"x").packet();
    *damaged.last_mut().expect("it is long") ^= 1;
    let mut far = peer.segment(ACK, &[]);
    far.sequence = far.sequence.wrapping_sub(1 << 30);
    let mut probes = 0;
    while victim.tcp.state(accepted.id) == TcpState::Established {
        probes += victim.pass(millis(500)).iter().filter(|(_, seen)| seen.flags & RST == 0).count();
        victim.receive(&damaged);
        victim.receive(&far.packet());
        assert!(victim.now - begun <= Duration::from_secs(10), "it lives for ever");
    }
    assert_eq!((victim.now - begun, probes), (Duration::from_secs(4), 3));
    assert_eq!(victim.read(accepted.id).1, Some(ReadError::Ended(Cause::TimedOut)));
}

/// A suspended host has sent no probe, so the peer owes no answer.
#[test]
fn a_suspended_host_does_not_end_connections_that_it_has_not_probed() {
    let keep = KeepAlive { idle: Duration::from_secs(1), interval: Duration::from_secs(1), count: 3 };
    let mut victim = Victim::new();
    let listener = victim.listen(Options { keep_alive: Some(keep), ..Options::default() });
    let (mut peer, accepted) = Peer::open(&mut victim, listener, 1000, &MSS);
    victim.now += Duration::from_secs(3600);
    victim.tcp.handle_timeout(victim.now);
    let probes = victim.transmit();
    assert_eq!(probes.len(), 1);
    assert_eq!(probes[0].sequence.wrapping_add(1), peer.expected);
    peer.send(&mut victim, ACK, &[]);
    victim.pass(millis(900));
    assert_eq!(victim.tcp.state(accepted.id), TcpState::Established);
}

/// RFC 7323 section 5.3: the data of an old segment is not accepted.
#[test]
fn data_with_an_old_timestamp_is_not_accepted() {
    let mut victim = Victim::new();
    let listener = victim.listen(Options::default());
    let stamp = |value: u32| [&[1, 1, 8, 10][..], &value.to_be_bytes(), &[0; 4]].concat();
    let (mut peer, accepted) = Peer::open(&mut victim, listener, 1000, &[&MSS[..], &stamp(5000)].concat());
    // Its first acknowledgement had no timestamp and belonged to another connection.
    let with = |peer: &Peer, value, payload: &[u8]| Raw { options: stamp(value), ..peer.segment(ACK | PSH, payload) };
    victim.receive(&with(&peer, 5001, b"new").packet());
    peer.next += 3;
    let answers = victim.receive(&with(&peer, 4000, b"old").packet());
    assert_eq!(answers.len(), 1, "it is answered with an acknowledgement");
    assert_eq!(answers[0].acknowledgement, peer.next);
    victim.receive(&with(&peer, 5002, b" data").packet());
    assert_eq!(victim.read(accepted.id).0, b"new data");
}

/// A connection attempt waits for a neighbour that does not answer, but sends a SYN itself.
#[test]
fn a_syn_of_an_unresolved_neighbour_is_a_simultaneous_open_or_ignored() {
    use xila_network_engine::ip::output::Blocked;
    let mut victim = Victim::new();
    victim.out.blocked = Some(Blocked::Unresolved);
    let remote = core::net::SocketAddr::new(THERE, 1000);
    let attempt = Attempt::new(Owner::HOST, SERVER, remote, Duration::from_secs(30));
    let connect = victim.tcp.connect(&attempt, Options::default(), victim.now);
    let id = connect.expect("free");
    assert!(victim.transmit().is_empty());
    let syn = Raw { sequence: 77, flags: SYN, ..Raw::new(remote, SERVER) };
    assert!(victim.receive(&syn.packet()).is_empty());
    victim.out.blocked = None;
    victim.tcp.resume(id);
    let answer = victim.transmit().pop().expect("it has a way now");
    assert_eq!((answer.flags, answer.acknowledgement), (SYN | ACK, 78));
    let end = Raw { sequence: 78, acknowledgement: answer.end(), flags: ACK, ..syn };
    victim.receive(&end.packet());
    assert_eq!(victim.tcp.state(id), TcpState::Established);
}

/// RFC 9293 sections 3.8.6.1 and 3.7.2: while the peer's window is closed, acknowledgements carry an acceptable
/// sequence number.
#[test]
fn acknowledgements_during_window_probes_are_acceptable_to_the_peer() {
    let mut victim = Victim::new();
    let listener = victim.listen(Options::default());
    let (mut peer, accepted) = Peer::open(&mut victim, listener, 1000, &MSS);
    victim.tcp.write(accepted.id, &bytes(3000), victim.now).expect("there is room");
    let sent = victim.transmit();
    peer.hear(&sent);
    // Everything is acknowledged, and the window is closed.
    let mut shut = peer.segment(ACK, &[]);
    shut.window = 0;
    victim.receive(&shut.packet());
    victim.tcp.write(accepted.id, b"more", victim.now).expect("there is room");
    let probes: Vec<_> = victim.pass(Duration::from_secs(10)).into_iter().map(|(_, seen)| seen).collect();
    assert!(probes.len() >= 3 && probes.iter().all(|probe| probe.payload == b"m" && probe.sequence == peer.expected));
    let mut data = peer.segment(ACK | PSH, b"data");
    data.window = 0;
    let answers: Vec<_> = victim
        .receive(&data.packet())
        .into_iter()
        .chain(victim.pass(millis(50)).into_iter().map(|(_, seen)| seen))
        .collect();
    assert_eq!(answers.last().map(|seen| seen.sequence), Some(peer.expected), "the probe is not part of what was sent");
}

/// RFC 9293 section 3.8.6.2.1: data that fits a small window does not wait for the end of a long back-off.
#[test]
fn a_small_window_after_a_closed_one_is_used_in_time() {
    let mut victim = Victim::new();
    let listener = victim.listen(Options::default());
    let (mut peer, accepted) = Peer::open(&mut victim, listener, 1000, &MSS);
    let mut shut = peer.segment(ACK, &[]);
    shut.window = 0;
    victim.receive(&shut.packet());
    victim.tcp.write(accepted.id, &bytes(3000), victim.now).expect("there is room");
    let mut probes = 0;
    for _ in 0..240 {
        probes += victim.pass(millis(500)).len();
        // Every probe is answered, and none is accepted.
        victim.receive(&shut.packet());
    }
    assert!(probes < 15, "{probes} probes in two minutes");
    peer.expected = shut.acknowledgement;
    let mut small = peer.segment(ACK, &[]);
    small.window = 500;
    let mut sent: Vec<_> = victim.receive(&small.packet());
    sent.extend(victim.pass(Duration::from_secs(1)).into_iter().map(|(_, seen)| seen));
    assert!(sent.iter().any(|seen| seen.payload.len() == 500), "{sent:?}");
}

/// RFC 9293 section 3.8.6.2.2: a reader that reads single bytes does not make its peer send single bytes.
#[test]
fn a_window_is_opened_again_when_it_is_worth_a_segment() {
    let mut victim = Victim::new();
    let listener = victim.listen(Options { receive_buffer: 20_000, ..Options::default() });
    let (mut peer, accepted) = Peer::open(&mut victim, listener, 1000, &MSS);
    while peer.window > 0 {
        let piece = bytes(peer.window.min(1400));
        peer.send(&mut victim, ACK, &piece);
        peer.hear(&victim.pass(millis(50)).into_iter().map(|(_, seen)| seen).collect::<Vec<_>>());
    }
    let mut windows = Vec::new();
    for _ in 0..20_000 {
        victim.tcp.read(accepted.id, &mut [0; 1], victim.now).expect("there is something");
        windows.extend(victim.transmit().iter().map(|seen| usize::from(seen.window) << peer.scale));
    }
    assert!(windows.len() < 8 && windows.iter().all(|window| *window >= 1400), "{windows:?}");
}

/// RFC 9293 section 3.8.6.2.1: a peer that opens its window byte by byte does not cause single-byte segments either.
#[test]
fn small_windows_are_not_used_before_the_override_timeout() {
    let mut victim = Victim::new();
    let listener = victim.listen(Options::default());
    let (mut peer, accepted) = Peer::open(&mut victim, listener, 1000, &MSS);
    let mut shut = peer.segment(ACK, &[]);
    shut.window = 0;
    victim.receive(&shut.packet());
    victim.tcp.write(accepted.id, &bytes(30_000), victim.now).expect("there is room");
    for window in 1..1400 {
        let mut small = peer.segment(ACK, &[]);
        small.window = window;
        let sent = victim.receive(&small.packet());
        assert!(sent.is_empty(), "{} bytes for a window of {window}", sent[0].payload.len());
    }
    let sent: Vec<_> = victim.pass(millis(1100)).into_iter().map(|(_, seen)| seen).collect();
    peer.hear(&sent);
    assert_eq!(sent.first().map(|seen| seen.payload.len()), Some(1399));
}

/// On a congested device, the last acknowledgement waits for space.
#[test]
fn the_acknowledgement_of_a_fin_leaves_when_the_device_has_space() {
    use xila_network_engine::ip::output::Blocked;
    let mut victim = Victim::new();
    let listener = victim.listen(Options::default());
    let (mut peer, accepted) = Peer::open(&mut victim, listener, 1000, &MSS);
    victim.tcp.release(accepted.id, victim.now);
    let fin = victim.transmit();
    peer.hear(&fin);
    victim.out.blocked = Some(Blocked::Full);
    let last = peer.segment(ACK | FIN, &[]);
    for _ in 0..3 {
        assert!(victim.receive(&last.packet()).is_empty());
    }
    assert!(victim.tcp.has_pending());
    victim.out.blocked = None;
    let sent = victim.transmit();
    assert_eq!(sent.iter().map(|seen| (seen.flags, seen.acknowledgement)).collect::<Vec<_>>(), [(ACK, peer.next + 1)]);
    assert!(!victim.tcp.has_pending());
}

/// A window update without news looks like a duplicate acknowledgement, and three of them like a loss (RFC 5681 section
/// 3.2).
#[test]
fn a_window_update_that_says_nothing_new_is_not_sent() {
    let mut victim = Victim::new();
    let listener = victim.listen(Options { receive_buffer: 1 << 20, ..Options::default() });
    let (mut peer, accepted) = Peer::open(&mut victim, listener, 1000, &MSS);
    for _ in 0..40 {
        peer.send(&mut victim, ACK, &bytes(1400));
    }
    victim.pass(millis(100));
    while victim.tcp.read(accepted.id, &mut [0; 1000], victim.now).is_ok() {
        assert!(victim.transmit().is_empty(), "the window was 65535 before");
    }
}

/// RFC 5482: the user timeout only applies to unacknowledged data, whatever other options the owner sets.
#[test]
fn a_half_closed_connection_is_kept_while_nothing_is_unacknowledged() {
    let mut victim = Victim::new();
    let listener = victim.listen(Options { user_timeout: Some(Duration::from_secs(5)), ..Options::default() });
    let (mut peer, accepted) = Peer::open(&mut victim, listener, 1000, &MSS);
    victim.tcp.shutdown_write(accepted.id, victim.now).expect("it is open");
    let fin = victim.transmit();
    peer.hear(&fin);
    peer.send(&mut victim, ACK, &[]);
    victim.tcp.shutdown_write(accepted.id, victim.now).expect("it is half closed");
    victim.pass(Duration::from_secs(60));
    peer.send(&mut victim, ACK, b"late");
    assert_eq!(victim.read(accepted.id), (b"late".to_vec(), Some(ReadError::WouldBlock)));
    assert_eq!(victim.tcp.state(accepted.id), TcpState::FinWait2);
}
