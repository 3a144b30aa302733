//! Tests of the receiving half by itself.

use alloc::vec::Vec;

use super::*;
use crate::tcp::segment::SackBlock;

fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

fn receiver(limit: usize, scale: u8) -> Receiver {
    Receiver::new(setup(limit, scale, 100))
}

fn setup(limit: usize, scale: u8, segment: usize) -> ReceiverSetup {
    let (first, window, charge) = (first(), limit.min(65_535), Charge::NONE);
    ReceiverSetup { first, window, scale, limit, most: limit, charge, segment, selective: true, prompt: true }
}

fn first() -> Sequence {
    Sequence(u32::MAX - 50)
}

fn text(sequence: Sequence, payload: &[u8], fin: bool) -> Text<'_> {
    Text { sequence, payload: payload.into(), push: false, fin }
}

fn block(start: usize, end: usize) -> SackBlock {
    (first() + start, first() + end)
}

#[test]
fn every_second_full_segment_is_acknowledged_at_once() {
    let mut receiver = receiver(10_000, 0);
    receiver.take(&text(first(), &[1; 100], false), &Memory::HEAP, at(0));
    assert!(!receiver.owes_acknowledgement());
    assert_eq!(receiver.next_timeout(), Some(at(40)));
    receiver.take(&text(first() + 100, &[1; 100], false), &Memory::HEAP, at(1));
    assert!(receiver.owes_acknowledgement());
    receiver.on_sent(receiver.window_field());
    assert!(!receiver.owes_acknowledgement() && receiver.next_timeout().is_none());
}

/// Receives a message of `length` bytes and reads it. Returns whether it is acknowledged at once.
fn message(receiver: &mut Receiver, length: usize, millis: u64) -> bool {
    let sequence = receiver.next();
    for start in (0..length).step_by(100) {
        let payload = &[1; 100][..100.min(length - start)];
        let push = start + payload.len() == length;
        receiver.take(
            &Text { sequence: sequence + start, payload: payload.into(), push, fin: false },
            &Memory::HEAP,
            at(millis),
        );
    }
    receiver.read(&mut [0; 10_000]);
    receiver.owes_acknowledgement()
}

#[test]
fn a_message_is_acknowledged_once_it_is_read() {
    let mut receiver = receiver(10_000, 0);
    assert!(message(&mut receiver, 10, 0));
    receiver.on_sent(receiver.window_field());
    assert!(message(&mut receiver, 100, 1), "a full segment that was pushed is one");
    receiver.on_sent(receiver.window_field());
    receiver.take(&text(receiver.next(), &[1; 100], false), &Memory::HEAP, at(1));
    receiver.read(&mut [0; 100]);
    assert!(!receiver.owes_acknowledgement(), "more is likely to follow");
    receiver.on_sent(receiver.window_field());
    receiver.prompt = false;
    assert!(!message(&mut receiver, 10, 2));
}

#[test]
fn the_acknowledgement_of_a_message_waits_for_an_answer_that_is_likely() {
    let mut receiver = receiver(10_000, 0);
    assert!(message(&mut receiver, 10, 0));
    receiver.on_sent(receiver.window_field());
    receiver.on_sent_with_data(receiver.window_field(), at(39));
    for millis in [41, 51] {
        assert!(!message(&mut receiver, 10, millis));
        receiver.on_sent_with_data(receiver.window_field(), at(millis + 5));
    }
    assert!(!message(&mut receiver, 10, 60));
    receiver.handle_timeout(at(100));
    assert!(receiver.owes_acknowledgement());
    receiver.on_sent_with_data(receiver.window_field(), at(101));
    assert!(message(&mut receiver, 10, 102), "the answer came too late");
}

#[test]
fn a_large_message_is_acknowledged_once_it_is_read_even_so() {
    for (length, owes) in [(LARGE - 1, false), (LARGE, true)] {
        let mut receiver = Receiver::new(setup(20_000, 0, 9000));
        message(&mut receiver, 10, 0);
        receiver.on_sent_with_data(receiver.window_field(), at(0));
        let text = Text { push: true, ..text(receiver.next(), &[1; LARGE][..length], false) };
        receiver.take(&text, &Memory::HEAP, at(1));
        receiver.read(&mut [0; LARGE]);
        assert_eq!(receiver.owes_acknowledgement(), owes, "{length} bytes");
    }
}

#[test]
fn ranges_out_of_order_are_reported_most_recent_first() {
    let mut receiver = receiver(10_000, 0);
    for start in [200, 400, 600] {
        receiver.take(&text(first() + start, &[1; 100], false), &Memory::HEAP, at(0));
        assert!(receiver.owes_acknowledgement());
    }
    assert_eq!(receiver.sack_blocks()[..], [block(600, 700), block(400, 500), block(200, 300)]);
    receiver.on_sent(receiver.window_field());
    // RFC 2883: the first part that was received before is reported first.
    receiver.take(&text(first(), &[1; 475], false), &Memory::HEAP, at(0));
    assert_eq!(receiver.next(), first() + 500);
    assert_eq!(receiver.sack_blocks()[..], [block(200, 300), block(600, 700)]);
}

/// RFC 2018 section 4: ranges are reported before there are more unreported ones than an acknowledgement has room for.
#[test]
fn an_acknowledgement_is_full_once_three_ranges_have_come_or_grown() {
    let mut receiver = receiver(10_000, 0);
    let take = |receiver: &mut Receiver, start: usize| {
        receiver.take(&text(first() + start, &[1; 100], false), &Memory::HEAP, at(0));
        receiver.is_sack_full()
    };
    assert_eq!(
        [200, 400, 500, 300, 700, 900].map(|start| take(&mut receiver, start)),
        [false, false, false, false, false, true]
    );
    receiver.on_sent(receiver.window_field());
    assert!(!receiver.is_sack_full());
    assert_eq!([800, 1100, 1200].map(|start| take(&mut receiver, start)), [false; 3], "those grow, or are told of");
    assert!(take(&mut receiver, 1100), "a duplicate takes the place of two");
    receiver.on_sent(receiver.window_field());
    assert_eq!([1400, 1600, 1800, 0, 100].map(|start| take(&mut receiver, start)), [false, false, true, true, true]);
    assert_eq!(receiver.next(), first() + 600);
}

#[test]
fn a_duplicate_within_a_range_is_followed_by_it() {
    let mut receiver = receiver(10_000, 0);
    receiver.take(&text(first() + 600, &[1; 200], false), &Memory::HEAP, at(0));
    receiver.take(&text(first() + 200, &[1; 200], false), &Memory::HEAP, at(0));
    receiver.on_sent(receiver.window_field());
    receiver.take(&text(first() + 650, &[1; 50], false), &Memory::HEAP, at(0));
    assert_eq!(receiver.sack_blocks()[..], [block(650, 700), block(600, 800), block(200, 400)]);
}

/// RFC 9293 section 3.10.7.4: the FIN is cut off with the data before it.
#[test]
fn a_fin_beyond_the_window_has_not_arrived() {
    let mut receiver = receiver(1000, 0);
    let taken = receiver.take(&text(first(), &[1; 1400], true), &Memory::HEAP, at(0));
    assert!(!taken.ended && receiver.len() == 1000);
    assert!(!receiver.is_ended());
    let mut buffer = [0; 2000];
    assert_eq!(receiver.read(&mut buffer), 1000);
    receiver.on_sent(receiver.window_field());
    let taken = receiver.take(&text(first() + 1000, &[1; 400], true), &Memory::HEAP, at(0));
    assert!(taken.ended && receiver.is_ended());
    assert_eq!(receiver.next(), first() + 1401);
}

#[test]
fn a_fin_out_of_order_waits_for_what_is_missing() {
    let mut receiver = receiver(1000, 0);
    assert!(!receiver.take(&text(first() + 100, &[2; 100], true), &Memory::HEAP, at(0)).ended);
    assert!(receiver.take(&text(first(), &[1; 100], false), &Memory::HEAP, at(0)).ended);
    assert_eq!(receiver.len(), 200);
}

/// Fills a window with scale 7 by segments whose length is not a multiple of 128 bytes. Returns how often the window
/// shrank.
fn fill(length: usize) -> usize {
    let mut receiver = receiver(60_000, 7);
    let (mut retreats, mut sent) = (0, 0);
    while receiver.window() > 0 {
        let length = length.min(receiver.window());
        receiver.take(&text(first() + sent, &[1; 1448][..length], false), &Memory::HEAP, at(0));
        sent += length;
        assert_eq!(receiver.len(), sent, "everything in the window is taken");
        assert!(receiver.len() <= 60_000 + slack(60_000, 7));
        let (field, edge) = (receiver.window_field(), receiver.edge);
        retreats += usize::from((receiver.next() + (usize::from(field) << 7)).before(edge));
        receiver.on_sent(field);
        assert!(receiver.edge.at_or_after(edge));
    }
    retreats
}

/// RFC 7323 section 2.4.
#[test]
fn a_window_does_not_shrink_because_it_is_rounded() {
    assert_eq!(fill(1448), 0);
    assert_eq!(fill(1000), 0);
}

#[test]
fn a_window_is_not_rounded_up_for_ever() {
    assert!(fill(101) > 0);
    assert!(fill(1) > 0);
}

/// RFC 9293 section 3.8.6.2.2: an application that reads single bytes does not make the peer send small segments.
#[test]
fn a_small_window_is_not_offered() {
    let mut receiver = receiver(1000, 0);
    receiver.take(&text(first(), &[1; 1000], false), &Memory::HEAP, at(0));
    receiver.on_sent(receiver.window_field());
    assert_eq!(receiver.window_field(), 0);
    for _ in 0..99 {
        receiver.read(&mut [0]);
        assert!(!receiver.owes_acknowledgement() && receiver.window_field() == 0);
    }
    receiver.read(&mut [0]);
    assert!(receiver.owes_acknowledgement());
    assert_eq!(receiver.window_field(), 100);
}

#[test]
fn segments_are_acceptable_by_the_table_of_rfc_9293() {
    let mut receiver = receiver(1000, 0);
    for (start, length, acceptable) in [
        (0usize, 0usize, true),
        (999, 0, true),
        (1000, 0, true),
        (1001, 0, false),
        (0, 2000, true),
        (999, 1, true),
        (1000, 1, false),
    ] {
        assert_eq!(receiver.is_acceptable(first() + start, length), acceptable, "{start} {length}");
    }
    assert!(!receiver.is_acceptable(first() - 1, 0) && !receiver.is_acceptable(first() - 10, 10));
    assert!(receiver.is_acceptable(first() - 10, 11));
    receiver.take(&text(first(), &[1; 1000], false), &Memory::HEAP, at(0));
    receiver.on_sent(receiver.window_field());
    assert!(receiver.is_acceptable(first() + 1000, 0), "with no window, what is empty and next");
    assert!(!receiver.is_acceptable(first() + 1000, 1));
}

#[test]
fn the_scale_is_the_least_that_does() {
    let scales: Vec<u8> = [1, 65_535, 65_536, 131_072, 4 << 20, usize::MAX].map(scale_for).into();
    assert_eq!(scales, [0, 0, 1, 2, 7, 14]);
}
