use core::time::Duration;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

/// Ten segments of 100 bytes, a millisecond apart.
fn ten() -> Scoreboard {
    let mut board = Scoreboard::new();
    for segment in 0..10u32 {
        board.on_sent(Sequence(segment * 100), Sequence(segment * 100 + 100), at(segment.into()));
    }
    board
}

#[test]
fn each_transmission_knows_what_was_in_flight_with_it() {
    let mut board = ten();
    let (mut delivered, mut lost) = (Vec::new(), Vec::new());
    board.sack(Sequence(800), Sequence(900), |one| delivered.push((one.bytes, one.in_flight)));
    board.detect(|sent| Some(sent.end.0 <= 200), |one| lost.push((one.transmission, one.bytes, one.in_flight)));
    assert_eq!((&delivered[..], &lost[..]), (&[(100, 900)][..], &[(1, 100, 100), (2, 100, 200)][..]));
    // 700 bytes are in flight, and those that are retransmitted.
    assert_eq!((board.next_transmission(), board.oldest_transmission()), (11, Some(3)));
    board.on_retransmitted(Sequence(0), Sequence(100), at(20));
    board.acknowledge(Sequence(50), |one| delivered.push((one.bytes, one.in_flight)));
    assert_eq!(delivered[1..], [(50, 800)]);
}

#[test]
fn sacked_bytes_are_not_in_flight() {
    let mut board = ten();
    let mut seen = Vec::new();
    assert_eq!(board.sack(Sequence(200), Sequence(400), |delivered| seen.push(delivered.recency.end.0)), 200);
    assert_eq!(board.sack(Sequence(100), Sequence(500), |delivered| seen.push(delivered.recency.end.0)), 200);
    assert_eq!(seen, [300, 400, 200, 500]);
    assert_eq!((board.in_flight(), board.sacked()), (600, 400));
    assert_eq!(board.acknowledge(Sequence(500), |delivered| seen.push(delivered.recency.end.0)), 100);
    assert_eq!((board.in_flight(), board.sacked()), (500, 0));
    assert_eq!(seen.last(), Some(&100));
}

#[test]
fn losses_are_retransmitted_from_the_first_on() {
    let mut board = ten();
    board.sack(Sequence(500), Sequence(600), |_| ());
    assert_eq!(board.detect(|sent| Some(sent.end.0 <= 200), |_| ()), 200);
    assert_eq!(board.first_lost(), Some((Sequence(0), Sequence(100))));
    board.on_retransmitted(Sequence(0), Sequence(50), at(20));
    assert_eq!(board.first_lost(), Some((Sequence(50), Sequence(100))));
    board.on_retransmitted(Sequence(50), Sequence(200), at(20));
    assert_eq!((board.first_lost(), board.lost(), board.in_flight()), (None, 0, 900));
    // After the retransmission, they are the last in the order.
    let mut order = Vec::new();
    board.detect(
        |sent| {
            order.push(sent.end.0);
            Some(true)
        },
        |_| (),
    );
    assert_eq!(order, [300, 400, 500, 700, 800, 900, 1000, 50, 100, 200]);
}

#[test]
fn a_spurious_loss_is_undone() {
    let mut board = ten();
    board.lose_all(|_| ());
    board.on_retransmitted(Sequence(0), Sequence(100), at(20));
    assert_eq!(board.in_flight(), 100);
    board.acknowledge(Sequence(100), |_| ());
    board.undo_losses();
    assert_eq!((board.in_flight(), board.lost()), (900, 0));
    assert_eq!(board.detect(|_| Some(true), |_| ()), 900);
}

#[test]
fn a_peer_that_splits_every_range_is_ignored_beyond_a_limit() {
    let mut board = Scoreboard::new();
    for segment in 0..1000u32 {
        board.on_sent(Sequence(segment * 1000), Sequence(segment * 1000 + 1000), at(0));
    }
    for byte in (1..1_000_000u32).step_by(2) {
        board.sack(Sequence(byte), Sequence(byte + 1), |_| ());
    }
    assert!(board.ranges.len() <= 1000 + 2 * MAX_SPLITS, "{}", board.ranges.len());
}

#[test]
fn repeated_retransmissions_do_not_make_the_order_longer() {
    let mut board = ten();
    for millis in 0..10_000 {
        board.on_retransmitted(Sequence(500), Sequence(600), at(millis));
    }
    assert!(board.held() < 8192, "{} bytes", board.held());
    let mut order = Vec::new();
    board.detect(
        |sent| {
            order.push(sent.end.0);
            Some(true)
        },
        |_| (),
    );
    assert_eq!(order, [100, 200, 300, 400, 500, 700, 800, 900, 1000, 600]);
}

#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Sack(u32, u32),
    Acknowledge(u32),
    LoseAll,
    Detect(u32),
    SendAgain,
    UndoLosses,
    Renege,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1usize..2000).prop_map(Step::Send),
        4 => (0u32..20_000, 1u32..3000).prop_map(|(start, length)| Step::Sack(start, length)),
        2 => (0u32..20_000).prop_map(Step::Acknowledge),
        1 => Just(Step::LoseAll),
        2 => (0u32..20_000).prop_map(Step::Detect),
        4 => Just(Step::SendAgain),
        1 => Just(Step::UndoLosses),
        1 => Just(Step::Renege),
    ]
}

proptest! {
    /// Whatever happens, the ranges have no gaps, and the sums are correct.
    #[test]
    fn the_sums_are_right(base: u32, steps in proptest::collection::vec(step(), 0..200)) {
        let mut board = Scoreboard::new();
        let (mut first, mut next) = (Sequence(base), Sequence(base));
        for (time, step) in steps.into_iter().enumerate() {
            let now = at(time as u64);
            match step {
                Step::Send(length) => {
                    board.on_sent(next, next + length, now);
                    next += length;
                }
                Step::Sack(start, length) => {
                    let start = first + start as usize;
                    let end = (start + length as usize).earliest(next);
                    if start.before(end) {
                        board.sack(start, end, |_| ());
                    }
                }
                Step::Acknowledge(count) => {
                    first = (first + count as usize).earliest(next);
                    board.acknowledge(first, |_| ());
                }
                Step::LoseAll => {
                    board.lose_all(|_| ());
                }
                Step::Detect(count) => {
                    let border = first + count as usize;
                    board.detect(|sent| Some(sent.end.before(border)), |_| ());
                }
                Step::SendAgain => {
                    if let Some((start, end)) = board.first_lost() {
                        board.on_retransmitted(start, end, now);
                    }
                }
                Step::UndoLosses => board.undo_losses(),
                Step::Renege => board.renege(),
            }
            let mut expected = first;
            let (mut sacked, mut lost) = (0, 0);
            for range in &board.ranges {
                prop_assert_eq!(range.start, expected);
                prop_assert!(range.start.before(range.end));
                expected = range.end;
                match range.status {
                    Status::InFlight => {}
                    Status::Sacked => sacked += range.length(),
                    Status::Lost => lost += range.length(),
                }
            }
            prop_assert_eq!(expected, if board.ranges.is_empty() { first } else { next });
            prop_assert_eq!((sacked, lost), (board.sacked(), board.lost()));
            prop_assert_eq!(board.in_flight(), next.since(first) - sacked - lost);
            prop_assert_eq!(board.first_lost().is_some(), lost > 0);
        }
    }
}
