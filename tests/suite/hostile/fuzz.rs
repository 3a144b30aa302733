//! Arbitrary frames.

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
    // A failure prints its smallest input, and belongs into a test of its own.
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// One change to a frame: where, as a part of its length, and how.
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
        // Headers are where it matters.
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

/// The victim takes these changes of good frames, with time passing between them, and serves.
fn survive(checksums: Checksums, changes: &[(usize, Vec<Change>, u64)]) -> TestCaseResult {
    let victim = Victim::with(checksums);
    let samples = samples(&victim);
    for (sample, changes, pause) in changes {
        let mut frame = samples[sample % samples.len()].clone();
        changes.iter().for_each(|change| apply(&mut frame, change));
        // An IPv4 header is worth reading only if its checksum is right.
        if checksums == Checksums::Computed && frame.len() >= 34 && frame[12..14] == [8, 0] {
            seal_ipv4(&mut frame[14..]);
        }
        victim.wire.inject(frame);
        victim.advance(*pause);
    }
    let flows = victim.interface().statistics().tcp_flows;
    prop_assert!(flows <= 256 + 2 * 128);
    // Whoever was impersonated is forgotten in the meantime.
    victim.advance(200_000);
    victim.assert_serves();
    Ok(())
}

fn changes() -> impl Strategy<Value = Vec<(usize, Vec<Change>, u64)>> {
    vec((any::<usize>(), vec(change(), 0..4), 0..50u64), 1..60)
}

/// What the attacker, who has a connection of its own, and its victim's app do next.
#[derive(Clone, Debug)]
enum Step {
    /// A segment: distances from the right sequence and acknowledgement numbers, flags, window, bytes, options.
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

/// An ICMPv6 message whose sums are right: source, destination and the address within it out of those that matter to an
/// engine, whether its hop limit is that of multicast listener discovery or of neighbour discovery, behind a router
/// alert or not, the kind, and what follows.
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
        // Its solicited-node group, and a host that ends as the victim does.
        "ff02::1:ff00:2".parse().unwrap(),
        "fd00:1::1:0:2".parse().unwrap(),
        Family::V6.host(ATTACKER),
    ];
    // The word behind the checksum is a time in some messages: 0 is now.
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
                // How an attempt ends is for other tests to say.
                Step::Write(length) => drop(stream.try_write(&vec![8; length])),
                Step::Read(length) => drop(stream.try_read(&mut vec![0; length])),
                Step::Shutdown => drop(stream.shutdown(Shutdown::Write)),
                Step::Wait(time) => victim.advance(time),
            }
            // The attacker keeps track, so that the next step can be right.
            for sent in victim.segments_to(4000) {
                next.sequence = if sent.flags & ACK == ACK { sent.acknowledgement } else { next.sequence };
                next.acknowledgement = sent.sequence.wrapping_add(u32::try_from(sent.payload.len()).unwrap());
            }
        }
        drop(stream);
        // A reset, a SYN and an acknowledgement of what the challenges tell make a connection of the attacker's own.
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
    fn changed_frames_do_no_harm_where_nobody_checks_sums(changes in changes()) {
        survive(Checksums::Omitted, &changes)?;
    }
}
