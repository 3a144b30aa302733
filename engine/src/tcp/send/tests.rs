//! When a sender sends its data: pacing, probes and limits.

use super::*;
use crate::buffer::Charge;
use crate::tcp::congestion::Algorithm;

const SEGMENT: usize = 1000;
const RTT: Duration = Duration::from_millis(100);
/// The time of a segment at the initial window per round trip, times the gain of Startup: 277,300 bytes per second.
const EACH: Duration = Duration::from_nanos(3_606_202);

fn at(micros: u64) -> Instant {
    Instant::from_origin(Duration::from_micros(micros))
}

fn sender(algorithm: Algorithm, bytes: usize) -> Sender {
    let mut rtt = RoundTrip::default();
    rtt.measure(RTT, 1, at(0));
    let mut queue = SendQueue::new(1 << 20, Charge::NONE);
    queue.write(&std::vec![7; bytes], &Memory::HEAP);
    let setup = SenderSetup {
        first: Sequence(0),
        window_update: (Sequence(0), Sequence(0), 1 << 20),
        segment: SEGMENT,
        selective: true,
        congestion: Congestion::new(algorithm, SEGMENT, 0),
        rtt,
        queue,
    };
    Sender::new(setup, at(0))
}

/// Sends what may be sent, and returns how many segments that were.
fn burst(sender: &mut Sender, now: Instant) -> usize {
    let mut count = 0;
    while let Some(plan) = sender.plan(true, 0, now) {
        sender.on_sent(&plan, None, now);
        count += 1;
    }
    sender.on_all_sent(now);
    count
}

fn acknowledge(sender: &mut Sender, to: usize, sack: &[SackBlock], now: Instant) {
    sender.on_acknowledgement(&Incoming {
        now,
        sequence: Sequence(0),
        acknowledgement: Sequence(0) + to,
        window: 1 << 20,
        sack,
        echo: None,
        echoed_rtt: None,
        bare: true,
        congestion_experienced: false,
    });
}

#[test]
fn data_ahead_of_the_pacing_rate_waits() {
    let mut sender = sender(Algorithm::Bbr, 100_000);
    assert_eq!(burst(&mut sender, at(0)), 2);
    let due = Instant::ORIGIN + EACH;
    assert_eq!(sender.next_timeout(), Some(due));
    assert_eq!(burst(&mut sender, at(3606)), 0);
    assert!(!sender.handle_timeout(at(3606)) && sender.handle_timeout(due));
    assert_eq!(burst(&mut sender, due), 1);
    assert_eq!(sender.next_timeout(), Some(due + EACH));
}

#[test]
fn without_a_rate_the_window_alone_is_the_limit() {
    for (algorithm, count) in [(Algorithm::Cubic, 10), (Algorithm::None, 100)] {
        assert_eq!(burst(&mut sender(algorithm, 100_000), at(0)), count, "{algorithm:?}");
    }
}

/// RFC 9002 section 7.8, and RFC 9438 section 5.8 for an application that does not fill the window.
#[test]
fn a_window_limited_by_pacing_grows_and_one_limited_by_the_application_does_not() {
    for (written, grows) in [(1 << 20, true), (40 * SEGMENT, false)] {
        let mut sender = sender(Algorithm::Cubic, 70 * SEGMENT);
        // Three round trips of slow start, up to a window that is paced.
        for round in 1..=3 {
            burst(&mut sender, at(round * 100_000 - 100_000));
            let sent = sender.next().since(Sequence(0));
            acknowledge(&mut sender, sent, &[], at(round * 100_000));
        }
        assert_eq!((sender.next(), sender.congestion().window()), (Sequence(70_000), 80 * SEGMENT));
        sender.write(&std::vec![7; written], &Memory::HEAP);
        let mut sent = burst(&mut sender, at(300_000));
        while let Some(due) = sender.next_timeout().filter(|due| *due < at(315_000)) {
            sender.handle_timeout(due);
            sent += burst(&mut sender, due);
        }
        assert!((20..30).contains(&sent), "{sent} segments in 15 ms at two windows in a round trip");
        acknowledge(&mut sender, 71 * SEGMENT, &[], at(400_000));
        assert_eq!(sender.congestion().window() > 80 * SEGMENT, grows, "{written} bytes were written");
    }
}

#[test]
fn a_sender_with_nothing_to_send_is_not_woken() {
    let mut sender = sender(Algorithm::Bbr, 2500);
    assert_eq!(burst(&mut sender, at(0)), 2);
    let due = Instant::ORIGIN + EACH;
    assert_eq!(sender.next_timeout(), Some(due), "the rest waits");
    assert_eq!(burst(&mut sender, due), 1);
    assert!(sender.next_timeout().is_some_and(|at| at > due + RTT), "for an acknowledgement, and nothing sooner");
    acknowledge(&mut sender, 2500, &[], due + RTT);
    assert_eq!((burst(&mut sender, due + RTT), sender.next_timeout()), (0, None));
}

#[test]
fn retransmissions_are_paced_and_probes_are_not() {
    let mut paced = sender(Algorithm::Bbr, 10_000);
    burst(&mut paced, at(0));
    while let Some(due) = paced.next_timeout().filter(|due| *due < at(100_000)) {
        paced.handle_timeout(due);
        burst(&mut paced, due);
    }
    assert_eq!(paced.next(), Sequence(10_000));
    // The last segment was sent a while ago. Five are lost.
    let now = at(100_000);
    acknowledge(&mut paced, 0, &[(Sequence(5000), Sequence(10_000))], now);
    assert_eq!(paced.recovery().lost_now(), 5000);
    assert_eq!(burst(&mut paced, now), 2);
    let due = paced.next_timeout().expect("the others wait");
    assert!(due > now && due < now + 2 * EACH);
    assert_eq!(burst(&mut paced, due), 1);
    // A loss probe is sent although the credit is used up.
    let mut probing = sender(Algorithm::Bbr, 100_000);
    burst(&mut probing, at(0));
    probing.probe_request = Some(ProbeRequest::LossProbe);
    let plan = probing.plan(true, 0, at(0)).expect("a probe is not paced");
    assert_eq!(plan.kind, PlanKind::LossProbe);
    assert_eq!(probing.next_timeout().map(|at| at > Instant::ORIGIN + RTT), Some(true), "nothing is held back for it");
}

#[test]
fn a_timeout_is_not_kept_waiting_by_pacing() {
    let mut sender = sender(Algorithm::Bbr, 2000);
    assert_eq!(burst(&mut sender, at(0)), 2);
    let mut now = sender.next_timeout().expect("a probe");
    while sender.recovery().state() != RecoveryState::Loss {
        sender.handle_timeout(now);
        burst(&mut sender, now);
        now = sender.next_timeout().expect("something is under way").max(now);
    }
    assert_eq!(sender.congestion().window(), SEGMENT);
    assert!(sender.recovery().in_flight() > 0, "the first is sent again at once");
}

/// Sections 4.1.2.4 and 5.4.1 of draft-ietf-ccwg-bbr.
#[test]
fn a_silence_counts_as_limited_by_the_application() {
    let mut resting = sender(Algorithm::Bbr, 2 * SEGMENT);
    assert_eq!(burst(&mut resting, at(0)), 2);
    acknowledge(&mut resting, 2 * SEGMENT, &[], at(100_000));
    assert!(resting.recovery().is_resting());
    // Six seconds later the queue of the path has drained: the round-trip time need not be measured again.
    resting.write(&[7; 2 * SEGMENT], &Memory::HEAP);
    assert_eq!(burst(&mut resting, at(6_000_000)), 2);
    acknowledge(&mut resting, 4 * SEGMENT, &[], at(6_100_000));
    assert!(!resting.congestion().holds_back());
    // If there is more to send, the sender is not idle.
    let mut busy = sender(Algorithm::Bbr, 100 * SEGMENT);
    burst(&mut busy, at(0));
    acknowledge(&mut busy, 2 * SEGMENT, &[], at(100_000));
    assert!(!busy.recovery().is_resting());
}

/// The memory for segments of single bytes is bounded; the other bytes are sent together once some are acknowledged.
#[test]
fn many_small_segments_in_flight_hold_the_next_one_back() {
    let mut sender = sender(Algorithm::None, 0);
    let left: usize = (0..5000)
        .map(|_| {
            sender.write(&[7], &Memory::HEAP);
            burst(&mut sender, at(0))
        })
        .sum();
    // The waiting bytes are sent as full segments once enough of them wait.
    let full = (5000 - MAX_SMALL) / SEGMENT;
    assert_eq!((left, sender.recovery().ranges()), (MAX_SMALL + full, MAX_SMALL + full));
    acknowledge(&mut sender, full, &[], at(100_000));
    assert_eq!(burst(&mut sender, at(100_000)), 0);
    acknowledge(&mut sender, full + 1, &[], at(100_000));
    assert_eq!((burst(&mut sender, at(100_000)), sender.next()), (1, Sequence(5000)));
}
