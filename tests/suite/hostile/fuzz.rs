//! Property tests with arbitrary changes of frames, segments and messages.

use std::net::{IpAddr, Shutdown};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use xila_network_host::device::Checksums;
use xila_network_tests::link::Family;

use super::Victim;
use super::arp::samples;
use super::frames::{ACK, FIN, Segment, hop_by_hop, icmp_v6, octets, seal_ipv4};
use super::victim::{ATTACKER, MAC};

fn config(cases: u32) -> ProptestConfig {
    // A failure prints its smallest input, which should become a separate test.
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// One change of a frame: its position and kind.
#[derive(Clone, Debug)]
enum Change {
    Set(usize, u8),
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Repeat,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        // Most changes are in headers, where they matter.
        (0..80usize, any::<u8>()).prop_map(|(at, value)| Change::Set(at, value)),
        (0..80usize, 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        (0..200usize).prop_map(Change::Cut),
        (0..80usize, vec(any::<u8>(), 1..64)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        Just(Change::Repeat),
    ]
}

fn apply(frame: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Set(at, value) => frame.iter_mut().skip(12 + at).take(1).for_each(|byte| *byte = *value),
        Change::Flip(at, bit) => frame.iter_mut().skip(12 + at).take(1).for_each(|byte| *byte ^= 1 << bit),
        Change::Cut(length) => frame.truncate(*length),
        Change::Insert(at, bytes) => {
            let at = (12 + at).min(frame.len());
            frame.splice(at..at, bytes.iter().copied());
        }
        Change::Repeat => frame.extend_from_within(14.min(frame.len())..),
    }
}

/// Checks that the victim still serves after it has received these changed frames, with time passing between them.
fn survive(checksums: Checksums, changes: &[(usize, Vec<Change>, u64)]) -> TestCaseResult {
    let victim = Victim::with(checksums);
    let samples = samples(&victim);
    for (sample, changes, pause) in changes {
        let mut frame = samples[sample % samples.len()].clone();
        changes.iter().for_each(|change| apply(&mut frame, change));
        // The stack parses an IPv4 header further only if its checksum is correct.
        if checksums == Checksums::Computed && frame.len() >= 34 && frame[12..14] == [8, 0] {
            seal_ipv4(&mut frame[14..]);
        }
        victim.wire.inject(frame);
        victim.advance(*pause);
    }
    let flows = victim.interface().statistics().tcp_flows;
    prop_assert!(flows <= 256 + 2 * 128);
    // Wait until forged neighbour entries have expired.
    victim.advance(200_000);
    victim.assert_serves();
    Ok(())
}

fn changes() -> impl Strategy<Value = Vec<(usize, Vec<Change>, u64)>> {
    vec((any::<usize>(), vec(change(), 0..4), 0..50u64), 1..60)
}

/// The next step of the attacker, which has a connection to the victim, or of the victim's app.
#[derive(Clone, Debug)]
enum Step {
    /// The attacker sends a segment: distances from the correct sequence and acknowledgement numbers, flags, window,
    /// payload bytes, options.
    Segment(i32, i32, u16, u16, usize, Vec<u8>),
    Write(usize),
    Read(usize),
    Shutdown,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let distance = || prop_oneof![4 => Just(0), 2 => -3000..3000i32, 1 => any::<i32>()];
    let flags = prop_oneof![4 => Just(ACK), 1 => Just(ACK | FIN), 1 => 0..512u16];
    let window = prop_oneof![2 => Just(65_535u16), 1 => Just(0), 1 => any::<u16>()];
    let options = prop_oneof![4 => Just(Vec::new()), 1 => vec(any::<u8>(), 0..40)];
    prop_oneof![
        8 => (distance(), distance(), flags, window, 0..1460usize, options)
            .prop_map(|(a, b, c, d, e, f)| Step::Segment(a, b, c, d, e, f)),
        2 => (0..200_000usize).prop_map(Step::Write),
        2 => (0..200_000usize).prop_map(Step::Read),
        1 => Just(Step::Shutdown),
        2 => (0..3000u64).prop_map(Step::Wait),
    ]
}

/// An ICMPv6 message with a correct checksum: its source, its destination and the address in its body, each chosen from
/// addresses that matter to the engine; whether its hop limit is that of multicast listener discovery or of neighbour
/// discovery; whether it has a router alert; its type; and the rest.
type Message = (usize, usize, usize, bool, bool, u8, Vec<u8>);

fn message() -> impl Strategy<Value = Message> {
    let kind = prop_oneof![4 => Just(130), 2 => 131..=137u8, 1 => Just(143), 1 => any::<u8>()];
    (0..6usize, 0..6usize, 0..6usize, any::<bool>(), any::<bool>(), kind, vec(any::<u8>(), 0..60))
}

/// The packet of a message for the victim.
fn packet(victim: &Victim, message: &Message) -> Vec<u8> {
    let (source, destination, within, near, alert, kind, rest) = message;
    let own = victim.link.server.address(Family::V6);
    let addresses: [IpAddr; 6] = [
        "fe80::42".parse().unwrap(),
        own,
        "ff02::1".parse().unwrap(),
        // The victim's solicited-node group, and a host whose address has the same last bytes as the victim's.
        "ff02::1:ff00:2".parse().unwrap(),
        "fd00:1::1:0:2".parse().unwrap(),
        Family::V6.host(ATTACKER),
    ];
    // The word after the checksum is a delay in some messages: 0 means at once.
    let word = if rest.len() % 2 == 0 { [0; 4] } else { [0, 0, 0, 1] };
    let message = [&[*kind, 0, 0, 0][..], &word, &octets(addresses[*within]), rest].concat();
    let packet = icmp_v6(addresses[*source], addresses[*destination], if *near { 1 } else { 255 }, &message);
    if *alert { hop_by_hop(&packet, &[5, 2, 0, 0, 1, 0]) } else { packet }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn messages_of_any_kind_do_no_harm(messages in vec((message(), 0..2000u64), 1..40)) {
        let victim = Victim::new();
        for (message, pause) in &messages {
            victim.inject(&packet(&victim, message));
            victim.advance(*pause);
        }
        victim.advance(200_000);
        victim.assert_serves();
    }

    #[test]
    fn any_course_of_a_connection_does_no_harm(
        steps in vec(step(), 1..100),
        (window, scale, size) in (any::<u16>(), 0..16u8, any::<u16>()),
        family in 0..2usize,
    ) {
        let victim = Victim::new();
        let [high, low] = size.to_be_bytes();
        let options = [2, 4, high, low, 3, 3, scale, 4, 2, 0, 0, 0];
        let (mut next, stream) = victim.handshake(Family::BOTH[family], 4000, window, &options);
        for step in steps {
            match step {
                Step::Segment(sequence, acknowledgement, flags, window, length, options) => {
                    let segment = Segment {
                        sequence: next.sequence.wrapping_add_signed(sequence),
                        acknowledgement: next.acknowledgement.wrapping_add_signed(acknowledgement),
                        flags,
                        window,
                        options,
                        payload: vec![7; length],
                        ..next.clone()
                    };
                    victim.inject(&segment.packet());
                }
                // The result of the write is checked by other tests.
                Step::Write(length) => drop(stream.try_write(&vec![8; length])),
                Step::Read(length) => drop(stream.try_read(&mut vec![0; length])),
                Step::Shutdown => drop(stream.shutdown(Shutdown::Write)),
                Step::Wait(time) => victim.advance(time),
            }
            // The attacker tracks the sequence numbers, so that the next step can be valid.
            for sent in victim.segments_to(4000) {
                next.sequence = if sent.flags & ACK == ACK { sent.acknowledgement } else { next.sequence };
                next.acknowledgement = sent.sequence.wrapping_add(u32::try_from(sent.payload.len()).unwrap());
            }
        }
        drop(stream);
        // With a reset, a SYN and an acknowledgement of a challenge ACK, the attacker may have made a new connection.
        while victim.listeners[family].try_accept().is_ok() {}
        victim.advance(200_000);
        prop_assert_eq!(victim.interface().statistics().tcp_flows, 0, "nothing is left of it");
        victim.assert_serves();
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(frames in vec((any::<bool>(), vec(any::<u8>(), 0..300)), 0..100)) {
        let victim = Victim::with(Checksums::Omitted);
        for (addressed, bytes) in frames {
            let ethertype = [[8, 0], [8, 6], [0x86, 0xdd]][bytes.len() % 3];
            let header = [&victim.mac()[..], &MAC, &ethertype].concat();
            victim.wire.inject(if addressed { [header, bytes].concat() } else { bytes });
        }
        victim.advance(200_000);
        victim.assert_serves();
    }

    #[test]
    fn changed_frames_do_no_harm(changes in changes()) {
        survive(Checksums::Computed, &changes)?;
    }

    #[test]
    fn changed_frames_do_no_harm_if_checksums_are_not_verified(changes in changes()) {
        survive(Checksums::Omitted, &changes)?;
    }
}
