use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::random::Random;

const LIFETIME: Duration = Duration::from_secs(10);
const CLOCK: RemnantClock = RemnantClock { offset: 7, recent: 1000 };
const PLAIN: Remnant = Remnant {
    next: Sequence(100),
    expected: Sequence(200),
    window: 9,
    hop_limit: HopLimit::MAX,
    traffic_class: 0x20,
    timestamp: None,
};
const STAMPED: Remnant = Remnant { timestamp: Some(CLOCK), ..PLAIN };
const ACK: Arrival = Arrival {
    syn: false,
    is_acceptable: true,
    ack: true,
    rst: false,
    fin: false,
    sequence: Sequence(200),
    length: 0,
    timestamp: None,
};
const RST: Arrival = Arrival { rst: true, ..ACK };
const SYN: Arrival = Arrival { syn: true, ack: false, sequence: Sequence(150), ..ACK };
const FIN: Arrival = Arrival { fin: true, sequence: Sequence(199), ..ACK };

fn waiting(most: usize) -> TimeWait {
    TimeWait::new(LIFETIME, most, Secret::new(&mut Random::new([3; 32])))
}

fn waiting_with(remnant: Remnant) -> TimeWait {
    let mut waiting = waiting(16);
    waiting.insert(tuple(1), remnant, at(0));
    waiting
}

fn tuple(peer: u32) -> Tuple {
    Tuple::new(([10, 0, 0, 1], 80).into(), (Ipv4Addr::from_bits(0x0a00_0000 + peer), 5000).into())
}

fn at(seconds: u64) -> Instant {
    Instant::from_origin(Duration::from_secs(seconds))
}

fn stamped(arrival: Arrival, timestamp: u32) -> Arrival {
    Arrival { timestamp: Some(timestamp), ..arrival }
}

#[test]
fn a_repeated_fin_is_acknowledged_and_restarts_the_wait() {
    let mut waiting = waiting_with(PLAIN);
    assert_eq!(waiting.receive(&tuple(1), &FIN, at(5)), Some(Verdict::Acknowledge(PLAIN)));
    assert_eq!(waiting.next(), Some(at(15)));
    let with_the_data = Arrival { sequence: Sequence(150), length: 49, ..FIN };
    assert_eq!(waiting.receive(&tuple(1), &with_the_data, at(7)), Some(Verdict::Acknowledge(PLAIN)));
    waiting.expire(at(16));
    assert_eq!(waiting.len(), 1, "the wait began anew at 7 s");
    waiting.expire(at(17));
    assert_eq!((waiting.len(), waiting.next()), (0, None));
}

/// RFC 9293 section 3.6.1 (MUST-13): only a new connection ends the wait.
#[test]
fn a_syn_that_nobody_accepts_does_not_end_the_wait() {
    let mut waiting = waiting_with(PLAIN);
    let new = Arrival { sequence: Sequence(201), ..SYN };
    let refused = Arrival { is_acceptable: false, ..new };
    assert_eq!(waiting.receive(&tuple(1), &refused, at(1)), Some(Verdict::Acknowledge(PLAIN)));
    assert_eq!((waiting.len(), waiting.next()), (1, Some(at(10))));
    assert!(matches!(waiting.receive(&tuple(1), &new, at(1)), Some(Verdict::Renew { .. })));
}

#[test]
fn a_fin_elsewhere_or_with_an_old_timestamp_does_not_restart_the_wait() {
    let mut waiting = waiting_with(STAMPED);
    for fin in [
        Arrival { sequence: Sequence(200), ..FIN },
        Arrival { length: 1, ..FIN },
        Arrival { syn: true, ..FIN },
        stamped(FIN, 999),
    ] {
        assert_eq!(waiting.receive(&tuple(1), &fin, at(5)), Some(Verdict::Acknowledge(STAMPED)));
        assert_eq!(waiting.next(), Some(at(10)));
    }
    waiting.receive(&tuple(1), &stamped(FIN, 1000), at(5));
    assert_eq!(waiting.next(), Some(at(15)));
}

#[test]
fn a_newer_syn_begins_the_next_connection_and_an_older_one_does_not() {
    let mut waiting = waiting_with(PLAIN);
    for sequence in [150, 200] {
        let old = Arrival { sequence: Sequence(sequence), ..SYN };
        assert_eq!(waiting.receive(&tuple(1), &old, at(1)), Some(Verdict::Acknowledge(PLAIN)));
    }
    let new = Arrival { sequence: Sequence(201), ..SYN };
    assert_eq!(waiting.receive(&tuple(1), &new, at(1)), Some(Verdict::Renew { after: Sequence(100 + 0x10000) }));
    assert_eq!(waiting.receive(&tuple(1), &new, at(1)), None);
}

#[test]
fn with_timestamps_a_syn_is_newer_by_its_timestamp() {
    let verdict = |remnant, sequence, timestamp| {
        let syn = Arrival { sequence: Sequence(sequence), timestamp, ..SYN };
        waiting_with(remnant).receive(&tuple(1), &syn, at(1))
    };
    let renewed = Some(Verdict::Renew { after: Sequence(100 + 0x10000) });
    let refused = Some(Verdict::Acknowledge(STAMPED));
    assert_eq!(verdict(STAMPED, 150, Some(1001)), renewed);
    assert_eq!(verdict(STAMPED, 150, Some(1000)), refused);
    assert_eq!(verdict(STAMPED, 201, Some(1000)), renewed, "RFC 6191: the same timestamp, but beyond");
    assert_eq!(verdict(STAMPED, 201, Some(999)), refused);
    assert_eq!(verdict(STAMPED, 201, None), renewed);
    assert_eq!(verdict(STAMPED, 150, None), refused);
    assert_eq!(verdict(PLAIN, 150, Some(1001)), Some(Verdict::Acknowledge(PLAIN)), "there is nothing to compare with");
    let wrapped = Remnant { timestamp: Some(RemnantClock { recent: u32::MAX, ..CLOCK }), ..STAMPED };
    assert_eq!(verdict(wrapped, 150, Some(1)), renewed);
}

#[test]
fn a_reset_that_answers_the_acknowledgement_of_a_syn_removes_the_record() {
    let mut waiting = waiting_with(PLAIN);
    assert_eq!(waiting.receive(&tuple(1), &SYN, at(1)), Some(Verdict::Acknowledge(PLAIN)));
    let elsewhere = Arrival { sequence: Sequence(199), ..RST };
    assert_eq!(waiting.receive(&tuple(1), &elsewhere, at(1)), Some(Verdict::Ignore));
    assert!(waiting.holds(&tuple(1)));
    assert_eq!(waiting.receive(&tuple(1), &RST, at(1)), Some(Verdict::Ignore));
    assert_eq!(waiting.receive(&tuple(1), &SYN, at(2)), None);
}

#[test]
fn resets_and_acknowledgements_change_nothing() {
    let mut waiting = waiting_with(STAMPED);
    for arrival in [ACK, RST, stamped(ACK, 1000), stamped(RST, 999), Arrival { ack: false, ..ACK }] {
        assert_eq!(waiting.receive(&tuple(1), &arrival, at(1)), Some(Verdict::Ignore));
    }
    assert_eq!((waiting.next(), waiting.take(&tuple(1))), (Some(at(10)), Some(STAMPED)));
}

/// RFC 9293 section 3.10.7.4, first step.
#[test]
fn acknowledgements_that_are_old_or_lie_elsewhere_are_answered_within_a_rate() {
    let mut waiting = waiting_with(STAMPED);
    let elsewhere = |number| Arrival { sequence: Sequence(number), ..ACK };
    for arrival in [elsewhere(199), elsewhere(201), elsewhere(9000), stamped(ACK, 999), stamped(elsewhere(199), 1001)] {
        assert_eq!(waiting.receive(&tuple(1), &arrival, at(1)), Some(Verdict::Challenge(STAMPED)));
    }
    assert_eq!((waiting.next(), waiting.take(&tuple(1))), (Some(at(10)), Some(STAMPED)));
}

#[test]
fn data_old_or_new_is_acknowledged() {
    let mut waiting = waiting_with(STAMPED);
    let data = Arrival { length: 10, ..ACK };
    for arrival in [data, stamped(data, 999), stamped(data, 1001), Arrival { sequence: Sequence(150), ..data }] {
        assert_eq!(waiting.receive(&tuple(1), &arrival, at(1)), Some(Verdict::Acknowledge(STAMPED)));
    }
    let syn_ack = Arrival { ack: true, ..SYN };
    assert_eq!(waiting.receive(&tuple(1), &syn_ack, at(1)), Some(Verdict::Acknowledge(STAMPED)));
    assert_eq!(waiting.receive(&tuple(1), &RST, at(1)), Some(Verdict::Ignore));
    assert!(waiting.holds(&tuple(1)), "a SYN with an ACK begins nothing that a reset could answer for");
}

#[test]
fn the_latest_timestamp_is_that_of_a_segment_at_the_expected_number() {
    let mut waiting = waiting_with(STAMPED);
    waiting.receive(&tuple(1), &stamped(ACK, 1500), at(1));
    waiting.receive(&tuple(1), &stamped(ACK, 1400), at(1));
    waiting.receive(&tuple(1), &stamped(Arrival { sequence: Sequence(201), ..ACK }, 1600), at(1));
    let clock = RemnantClock { recent: 1500, ..CLOCK };
    assert_eq!(waiting.take(&tuple(1)), Some(Remnant { timestamp: Some(clock), ..STAMPED }));
}

#[test]
fn a_tuple_is_reusable_after_a_second_with_timestamps_and_after_half_the_wait_without() {
    let (timed, plain) = (waiting_with(STAMPED), waiting_with(PLAIN));
    assert!(!timed.reusable(&tuple(1), at(0)) && timed.reusable(&tuple(1), at(1)));
    assert!(!plain.reusable(&tuple(1), at(4)) && plain.reusable(&tuple(1), at(5)));
    assert!(timed.reusable(&tuple(2), at(0)));
    let mut timed = timed;
    timed.receive(&tuple(1), &FIN, at(6));
    assert!(!timed.reusable(&tuple(1), at(6)), "the peer has not heard the last acknowledgement");
}

#[test]
fn tuples_that_differ_in_one_part_are_different() {
    let mut waiting = waiting_with(PLAIN);
    let (local, remote) = (tuple(1).local(), tuple(1).remote());
    let v6 = |address: Ipv6Addr| SocketAddr::from((address, 5000));
    let others = [
        tuple(1).reversed(),
        tuple(2),
        Tuple::new(local, (remote.ip(), 5001).into()),
        Tuple::new((local.ip(), 81).into(), remote),
        Tuple::new(v6(Ipv6Addr::LOCALHOST), v6(Ipv6Addr::UNSPECIFIED)),
    ];
    for other in others {
        assert!(!waiting.holds(&other) && waiting.take(&other).is_none());
        assert_eq!(waiting.receive(&other, &FIN, at(1)), None);
    }
    for other in others {
        waiting.insert(other, STAMPED, at(0));
    }
    assert_eq!((waiting.len(), waiting.take(&tuple(1))), (6, Some(PLAIN)));
    assert!(others.iter().all(|other| waiting.holds(other)));
}

#[test]
fn the_oldest_record_is_dropped_when_there_are_too_many() {
    let mut waiting = waiting(3);
    for peer in 1..=3 {
        waiting.insert(tuple(peer), PLAIN, at(u64::from(peer)));
    }
    waiting.receive(&tuple(1), &FIN, at(4));
    waiting.insert(tuple(3), STAMPED, at(5));
    assert_eq!((waiting.len(), waiting.next()), (3, Some(at(12))), "the same tuple again takes no other's place");
    waiting.insert(tuple(4), PLAIN, at(6));
    assert!(!waiting.holds(&tuple(2)) && [1, 3, 4].iter().all(|peer| waiting.holds(&tuple(*peer))));
}

#[test]
fn no_record_is_kept_if_the_limit_is_zero() {
    let mut waiting = waiting(0);
    waiting.insert(tuple(1), PLAIN, at(0));
    assert!(waiting.is_empty());
}

#[test]
fn a_hundred_thousand_records_fit_into_16_mib() {
    assert_eq!(size_of::<Record>(), 72);
    let mut waiting = waiting(100_000);
    let mut peak = 0;
    for peer in 0..150_000 {
        let before = waiting.held();
        waiting.insert(tuple(peer), STAMPED, at(0));
        let after = waiting.held();
        // While the table grows, the old and the new memory exist at the same time.
        assert!(waiting.records.capacity() - waiting.len() < MAX_GROWTH, "room grows by bounded steps");
        peak = peak.max(if after > before { before + after } else { after });
    }
    assert_eq!(waiting.len(), 100_000);
    assert!(peak < 16 << 20, "{peak} bytes at the worst");
    assert!(waiting.held() < 9 << 20, "{} bytes to stay", waiting.held());
    waiting.expire(at(10));
    assert!(waiting.is_empty());
    assert!(waiting.held() < 64 << 10, "{} bytes are kept", waiting.held());
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u32),
    Take(u32),
    Repeat(u32),
    Renew(u32),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u32..30).prop_map(Step::Insert),
        2 => (0u32..30).prop_map(Step::Take),
        3 => (0u32..30).prop_map(Step::Repeat),
        1 => (0u32..30).prop_map(Step::Renew),
        3 => (0u64..4).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn records_are_a_queue_in_the_order_of_expiry(steps in prop::collection::vec(step(), 1..200)) {
        const MOST: usize = 20;
        let mut waiting = waiting(MOST);
        let mut model: Vec<(u32, Remnant, u64)> = Vec::new();
        let (mut now, mut number) = (0, 0);
        for step in steps {
            let mut pull = |peer: u32| {
                let index = model.iter().position(|(other, _, _)| *other == peer)?;
                Some(model.remove(index))
            };
            match step {
                Step::Insert(peer) => {
                    number += 1;
                    let remnant = Remnant { next: Sequence(number), ..PLAIN };
                    waiting.insert(tuple(peer), remnant, at(now));
                    pull(peer);
                    if model.len() == MOST {
                        model.remove(0);
                    }
                    model.push((peer, remnant, now));
                }
                Step::Take(peer) => {
                    prop_assert_eq!(waiting.take(&tuple(peer)), pull(peer).map(|(_, remnant, _)| remnant));
                }
                Step::Repeat(peer) => {
                    let pulled = pull(peer);
                    let expected = pulled.map(|(_, remnant, _)| Verdict::Acknowledge(remnant));
                    prop_assert_eq!(waiting.receive(&tuple(peer), &FIN, at(now)), expected);
                    model.extend(pulled.map(|(peer, remnant, _)| (peer, remnant, now)));
                }
                Step::Renew(peer) => {
                    let syn = Arrival { sequence: Sequence(300), ..SYN };
                    let expected = pull(peer).map(|(_, remnant, _)| Verdict::Renew { after: remnant.next + BEYOND });
                    prop_assert_eq!(waiting.receive(&tuple(peer), &syn, at(now)), expected);
                }
                Step::Pass(seconds) => {
                    now += seconds;
                    waiting.expire(at(now));
                    model.retain(|(_, _, since)| at(*since) + LIFETIME > at(now));
                }
            }
            prop_assert_eq!(waiting.len(), model.len());
            prop_assert_eq!(waiting.table.len(), model.len());
            prop_assert_eq!(waiting.next(), model.first().map(|(_, _, since)| at(*since) + LIFETIME));
            let mut index = waiting.oldest;
            for (peer, remnant, _) in &model {
                let record = waiting.record(index);
                prop_assert_eq!(record.map(|record| record.key), Some(Key::from(&tuple(*peer))));
                prop_assert_eq!(record.map(|record| record.remnant()), Some(*remnant));
                prop_assert_eq!(waiting.find(&Key::from(&tuple(*peer))), Some(index));
                index = record.map_or(NONE, |record| record.after);
            }
            prop_assert_eq!(index, NONE);
        }
    }
}
