//! The receiving half alone.

use super::*;

fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

fn receiver(limit: usize, scale: u8) -> Receiver {
    let window = limit.min(65_535);
    let first = Sequence(u32::MAX - 50);
    Receiver::new(ReceiverSetup { first, window, scale, limit, segment: 100, selective: true, delays: true })
}

fn first() -> Sequence {
    Sequence(u32::MAX - 50)
}

fn block(start: usize, end: usize) -> SackBlock {
    (first() + start, first() + end)
}

#[test]
fn every_second_full_segment_is_acknowledged_at_once() {
    let mut receiver = receiver(10_000, 0);
    receiver.take(first(), &[1; 100], false, at(0));
    assert!(!receiver.owes_acknowledgement());
    assert_eq!(receiver.next_timeout(), Some(at(40)));
    receiver.take(first() + 100, &[1; 100], false, at(1));
    assert!(receiver.owes_acknowledgement());
    receiver.on_sent(receiver.window_field());
    assert!(!receiver.owes_acknowledgement() && receiver.next_timeout().is_none());
}

#[test]
fn what_is_out_of_order_is_reported_most_recent_first() {
    let mut receiver = receiver(10_000, 0);
    for start in [200, 400, 600] {
        receiver.take(first() + start, &[1; 100], false, at(0));
        assert!(receiver.owes_acknowledgement());
    }
    assert_eq!(receiver.sack_blocks()[..], [block(600, 700), block(400, 500), block(200, 300)]);
    receiver.on_sent(receiver.window_field());
    // RFC 2883: the first part that was there already comes first.
    receiver.take(first(), &[1; 475], false, at(0));
    assert_eq!(receiver.next(), first() + 500);
    assert_eq!(receiver.sack_blocks()[..], [block(200, 300), block(600, 700)]);
}

#[test]
fn a_duplicate_within_a_range_is_followed_by_it() {
    let mut receiver = receiver(10_000, 0);
    receiver.take(first() + 600, &[1; 200], false, at(0));
    receiver.take(first() + 200, &[1; 200], false, at(0));
    receiver.on_sent(receiver.window_field());
    receiver.take(first() + 650, &[1; 50], false, at(0));
    assert_eq!(receiver.sack_blocks()[..], [block(650, 700), block(600, 800), block(200, 400)]);
}

/// RFC 9293 section 3.10.7.4: the FIN is cut off with the data before it.
#[test]
fn a_fin_beyond_the_window_has_not_arrived() {
    let mut receiver = receiver(1000, 0);
    let taken = receiver.take(first(), &[1; 1400], true, at(0));
    assert!(!taken.ended && receiver.len() == 1000);
    assert!(!receiver.is_ended());
    let mut buffer = [0; 2000];
    assert_eq!(receiver.read(&mut buffer), 1000);
    receiver.on_sent(receiver.window_field());
    let taken = receiver.take(first() + 1000, &[1; 400], true, at(0));
    assert!(taken.ended && receiver.is_ended());
    assert_eq!(receiver.next(), first() + 1401);
}

#[test]
fn a_fin_out_of_order_waits_for_what_is_missing() {
    let mut receiver = receiver(1000, 0);
    assert!(!receiver.take(first() + 100, &[2; 100], true, at(0)).ended);
    assert!(receiver.take(first(), &[1; 100], false, at(0)).ended);
    assert_eq!(receiver.len(), 200);
}

/// Fills a window of a scale of 7 with segments that are no multiple of 128 bytes; how often it moved back.
fn fill(length: usize) -> usize {
    let mut receiver = receiver(60_000, 7);
    let (mut retreats, mut sent) = (0, 0);
    while receiver.window() > 0 {
        let length = length.min(receiver.window());
        receiver.take(first() + sent, &[1; 1448][..length], false, at(0));
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

/// RFC 9293 section 3.8.6.2.2: a reader of single bytes does not make a sender of small segments.
#[test]
fn a_small_window_is_not_offered() {
    let mut receiver = receiver(1000, 0);
    receiver.take(first(), &[1; 1000], false, at(0));
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
    receiver.take(first(), &[1; 1000], false, at(0));
    receiver.on_sent(receiver.window_field());
    assert!(receiver.is_acceptable(first() + 1000, 0), "with no window, what is empty and next");
    assert!(!receiver.is_acceptable(first() + 1000, 1));
}

#[test]
fn the_scale_is_the_least_that_does() {
    let scales: Vec<u8> = [1, 65_535, 65_536, 131_072, 4 << 20, usize::MAX].map(scale_for).into();
    assert_eq!(scales, [0, 0, 1, 2, 7, 14]);
}
