//! Loss recovery, given acknowledgements that the tests make by hand.

use core::time::Duration;

use super::*;
use crate::tcp::congestion::Algorithm;

const SEGMENT: usize = 1000;

struct Path {
    recovery: Recovery,
    rtt: RoundTrip,
    congestion: Congestion,
    next: Sequence,
    acknowledged: Sequence,
}

fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

impl Path {
    fn new(selective: bool) -> Self {
        Self::with(Algorithm::Cubic, selective)
    }

    fn with(algorithm: Algorithm, selective: bool) -> Self {
        let mut recovery = Recovery::new(selective, SEGMENT);
        let congestion = Congestion::new(algorithm, SEGMENT, 0);
        if congestion.wants_samples() {
            recovery.take_samples(Instant::ORIGIN);
        }
        let mut rtt = RoundTrip::default();
        (0..50).for_each(|_| rtt.measure(Duration::from_millis(100), 1, Instant::ORIGIN));
        Self { recovery, rtt, congestion, next: Sequence(0), acknowledged: Sequence(0) }
    }

    fn send(&mut self, segments: usize, now: Instant) {
        for _ in 0..segments {
            self.recovery.on_sent(self.next, self.next + SEGMENT, now);
            self.next += SEGMENT;
        }
    }

    fn send_again(&mut self, stamp: u32, now: Instant) -> usize {
        let mut count = 0;
        while self.recovery.room(&self.congestion) >= SEGMENT
            && let Some((start, end)) = self.recovery.first_lost()
        {
            self.recovery.on_retransmitted(start, end, Some(stamp), now);
            count += 1;
        }
        count
    }

    fn report(&mut self, to: usize, sack: &[(usize, usize)], echo: Option<u32>, now: Instant) -> usize {
        self.report_all(to, sack, echo, false, now)
    }

    fn report_marked(&mut self, to: usize, sack: &[(usize, usize)], now: Instant) -> usize {
        self.report_all(to, sack, None, true, now)
    }

    fn report_all(
        &mut self,
        to: usize,
        sack: &[(usize, usize)],
        echo: Option<u32>,
        congestion_experienced: bool,
        now: Instant,
    ) -> usize {
        let sack: smallvec::SmallVec<[SackBlock; 4]> =
            sack.iter().map(|(start, end)| (Sequence(0) + start * SEGMENT, Sequence(0) + end * SEGMENT)).collect();
        let before = self.acknowledged;
        self.acknowledged = Sequence(0) + to * SEGMENT;
        let report = Report {
            now,
            before,
            acknowledged: self.acknowledged,
            next: self.next,
            sack: &sack,
            echo,
            echoed_rtt: None,
            bare: true,
            congestion_experienced,
            limited: true,
        };
        self.recovery.on_report(&report, &mut self.rtt, &mut self.congestion)
    }
}

#[test]
fn three_segments_after_a_hole_begin_a_recovery() {
    let mut path = Path::new(true);
    path.send(10, at(0));
    path.report(0, &[(1, 2)], None, at(100));
    assert_eq!(path.recovery.state(), RecoveryState::Disorder);
    path.report(0, &[(1, 3)], None, at(100));
    path.report(0, &[(1, 4)], None, at(100));
    assert_eq!(path.recovery.state(), RecoveryState::Recovery);
    assert_eq!(path.send_again(100, at(100)), 1);
    path.report(10, &[], None, at(200));
    assert_eq!(path.recovery.state(), RecoveryState::Open);
    assert_eq!(path.congestion.window(), path.congestion.threshold());
    assert!(path.congestion.window() < 10 * SEGMENT);
}

/// RFC 8985: one segment behind the hole is enough after a quarter of the round-trip time.
#[test]
fn a_single_segment_after_a_hole_is_enough_after_a_while() {
    let mut path = Path::new(true);
    path.send(2, at(0));
    path.report(0, &[(1, 2)], None, at(100));
    let deadline = path.recovery.reordering_deadline().expect("it may be late");
    assert_eq!(deadline, at(125));
    path.recovery.on_reordering_timeout(deadline, path.next, &path.rtt, &mut path.congestion);
    assert_eq!(path.recovery.state(), RecoveryState::Recovery);
    assert_eq!(path.send_again(125, at(125)), 1);
}

/// RFC 8985 section 6.2, step 3: an acknowledgement has the latest range first (RFC 2018 section 4), and after some
/// acknowledgements were lost, its other ranges are new as well.
#[test]
fn ranges_of_one_acknowledgement_show_no_reordering() {
    let mut path = Path::new(true);
    path.send(10, at(0));
    path.report(0, &[(8, 9), (5, 7), (1, 3)], None, at(100));
    assert_eq!(path.recovery.state(), RecoveryState::Recovery, "three are enough where nothing was ever reordered");
    assert_eq!(path.send_again(100, at(100)), 4);
}

/// RFC 8985 section 3.2: the loss of a retransmission is detected by data that was sent after it.
#[test]
fn a_lost_retransmission_is_retransmitted() {
    let mut path = Path::new(true);
    path.send(10, at(0));
    path.report(0, &[(1, 5)], None, at(100));
    assert_eq!(path.send_again(100, at(100)), 1);
    path.send(5, at(101));
    path.report(0, &[(1, 10)], None, at(102));
    path.report(0, &[(1, 15)], None, at(201));
    path.recovery.on_reordering_timeout(at(260), path.next, &path.rtt, &mut path.congestion);
    assert_eq!(path.recovery.first_lost(), Some((Sequence(0), Sequence(1000))));
}

/// RFC 8985 section 6.2 decides by sequence numbers which of two transmissions of the same time was the later. Here
/// everything that is sent in one go has the same time, and a retransmission is sent after new data.
#[test]
fn a_retransmission_is_not_lost_when_new_data_sent_just_before_it_arrives() {
    let mut path = Path::new(true);
    path.send(10, at(0));
    path.send(2, at(100));
    path.report(0, &[(1, 4)], None, at(100));
    assert_eq!(path.send_again(1, at(100)), 1);
    path.report(0, &[(1, 12)], None, at(200));
    assert_eq!(path.recovery.first_lost(), None);
    path.report(12, &[], None, at(201));
    assert_eq!(path.recovery.in_flight(), 0);
}

/// RFC 3522: the echo of the original's timestamp shows that the timer expired too early.
#[test]
fn a_spurious_timeout_is_undone_by_its_echo() {
    let mut path = Path::new(true);
    path.send(10, at(0));
    let window = path.congestion.window();
    path.rtt.back_off();
    path.recovery.on_timeout(at(300), path.next, &path.rtt, &mut path.congestion);
    assert_eq!((path.recovery.state(), path.congestion.window()), (RecoveryState::Loss, SEGMENT));
    assert_eq!(path.send_again(300, at(300)), 1);
    path.report(1, &[], Some(0), at(310));
    assert_eq!(path.recovery.state(), RecoveryState::Open);
    assert!(path.congestion.window() >= window);
    assert_eq!((path.recovery.first_lost(), path.recovery.in_flight()), (None, 9 * SEGMENT));
}

#[test]
fn a_true_timeout_is_not_undone() {
    let mut path = Path::new(true);
    path.send(10, at(0));
    path.rtt.back_off();
    path.recovery.on_timeout(at(300), path.next, &path.rtt, &mut path.congestion);
    path.send_again(300, at(300));
    path.report(1, &[], Some(300), at(400));
    assert_eq!(path.recovery.state(), RecoveryState::Loss);
    assert_eq!(path.send_again(400, at(400)), 2, "slow start");
}

/// RFC 3708: every retransmission was reported as a duplicate.
#[test]
fn a_spurious_recovery_is_undone_by_duplicates() {
    let mut path = Path::new(true);
    path.send(10, at(0));
    let window = path.congestion.window();
    path.report(0, &[(1, 4)], None, at(100));
    path.send_again(100, at(100));
    path.report(10, &[(0, 1)], None, at(200));
    assert!(path.congestion.window() >= window, "{}", path.congestion.window());
}

/// RFC 6582: without selective acknowledgements, each partial acknowledgement shows the next loss.
#[test]
fn partial_acknowledgements_show_the_next_loss() {
    let mut path = Path::new(false);
    path.send(10, at(0));
    (0..3).for_each(|_| {
        path.report(0, &[], None, at(100));
    });
    assert_eq!(path.recovery.state(), RecoveryState::Recovery);
    assert_eq!(path.send_again(100, at(100)), 1);
    path.report(5, &[], None, at(200));
    assert_eq!(path.recovery.state(), RecoveryState::Recovery);
    assert_eq!(path.recovery.first_lost(), Some((Sequence(5000), Sequence(6000))));
    path.send_again(200, at(200));
    path.report(10, &[], None, at(300));
    assert_eq!(path.recovery.state(), RecoveryState::Open);
}

/// RFC 3042: each duplicate acknowledgement allows a new segment to be sent.
#[test]
fn duplicates_allow_new_data() {
    let mut path = Path::new(false);
    path.send(10, at(0));
    let room = path.recovery.room(&path.congestion);
    path.report(0, &[], None, at(100));
    assert_eq!(path.recovery.room(&path.congestion), room + SEGMENT);
}

/// RFC 3168 section 6.1.2: once for each window.
#[test]
fn marks_lower_the_window_once_in_a_round() {
    let mut path = Path::new(true);
    path.send(10, at(0));
    let window = path.congestion.window();
    for acknowledged in 1..=9 {
        path.report_marked(acknowledged, &[], at(100));
        assert_eq!(path.recovery.state(), RecoveryState::Cwr);
    }
    assert!(path.congestion.window() >= window / 2 && path.congestion.window() < window);
}

#[test]
fn invalid_sack_blocks_are_ignored() {
    let mut path = Path::new(true);
    path.send(10, at(0));
    for block in [(5, 5), (5, 4), (8, 11), (11, 20), (1_000_000, 1)] {
        assert_eq!(path.report(0, &[block], None, at(100)), 0, "{block:?}");
    }
    assert_eq!(path.recovery.in_flight(), 10 * SEGMENT);
}

/// RFC 5681 section 2: data that duplicates or selective acknowledgements report is still part of FlightSize.
#[test]
fn the_threshold_follows_from_all_unacknowledged_data() {
    let lossy = |path: &Path| path.congestion.threshold() / SEGMENT;
    let mut path = Path::new(false);
    path.send(10, at(0));
    (0..3).for_each(|_| {
        path.report(0, &[], None, at(100));
    });
    assert_eq!((path.recovery.state(), lossy(&path)), (RecoveryState::Recovery, 7));
    let mut path = Path::new(true);
    path.send(10, at(0));
    path.report(0, &[(1, 3)], None, at(100));
    path.report(0, &[(1, 9)], None, at(100));
    assert_eq!((path.recovery.state(), lossy(&path)), (RecoveryState::Recovery, 7));
}

/// RFC 6582 section 3.2, step 3.
#[test]
fn the_next_hole_is_retransmitted_whatever_the_rate() {
    let mut path = Path::new(false);
    path.send(20, at(0));
    (0..3).for_each(|_| {
        path.report(0, &[], None, at(100));
    });
    assert_eq!(path.send_again(100, at(100)), 1);
    path.report(1, &[], None, at(200));
    assert_eq!(path.send_again(200, at(200)), 1, "the rate has room for less");
}

/// RFC 5681 section 3.1.
#[test]
fn data_only_reported_by_sack_does_not_open_the_window() {
    let mut path = Path::new(true);
    path.send(10, at(0));
    let window = path.congestion.window();
    path.report(0, &[(1, 3)], None, at(100));
    assert_eq!(path.congestion.window(), window);
    path.report(3, &[], None, at(101));
    assert!(path.congestion.window() > window);
}

/// RFC 5681 section 3.1, RFC 3168 section 6.1.2: once for each window of data, whatever happens.
#[test]
fn a_threshold_is_lowered_once_for_a_window() {
    let timeout = |path: &mut Path, now| {
        path.rtt.back_off();
        path.recovery.on_timeout(now, path.next, &path.rtt, &mut path.congestion);
        path.congestion.threshold() / SEGMENT
    };
    let mut path = Path::new(true);
    path.send(10, at(0));
    path.report(0, &[(1, 4)], None, at(100));
    assert_eq!(timeout(&mut path, at(400)), 7, "of the recovery");
    assert_eq!(timeout(&mut path, at(1000)), 7, "of the first timeout");
    path.send_again(1000, at(1000));
    path.report(1, &[], Some(1000), at(1100));
    assert_eq!(timeout(&mut path, at(2000)), 2, "something had been acknowledged");
    let mut path = Path::new(true);
    path.send(10, at(0));
    path.report_marked(1, &[], at(100));
    let threshold = path.congestion.threshold();
    path.report(1, &[(2, 6)], None, at(100));
    assert_eq!((path.recovery.state(), path.congestion.threshold()), (RecoveryState::Recovery, threshold));
    path.report(10, &[], None, at(200));
    assert_eq!((path.recovery.state(), path.congestion.window()), (RecoveryState::Open, threshold));
}

/// RFC 6675 section 5.1, RFC 2018 section 8.
#[test]
fn sack_reports_count_until_the_peer_has_dropped_the_data() {
    let mut path = Path::new(true);
    path.send(4, at(0));
    path.report(0, &[(1, 3)], None, at(100));
    path.rtt.back_off();
    path.recovery.on_timeout(at(400), path.next, &path.rtt, &mut path.congestion);
    assert_eq!((path.recovery.sacked(), path.recovery.lost_now()), (2 * SEGMENT, 2 * SEGMENT));
    path.send_again(400, at(400));
    // It should have been 3.
    path.report(1, &[], Some(400), at(500));
    path.recovery.on_timeout(at(1000), path.next, &path.rtt, &mut path.congestion);
    assert_eq!((path.recovery.sacked(), path.recovery.lost_now()), (0, 3 * SEGMENT));
}

/// Section 5.6.4.4 of draft-ietf-ccwg-bbr.
#[test]
fn the_window_of_bbr_holds_in_a_recovery() {
    let mut path = Path::with(Algorithm::Bbr, true);
    path.send(10, at(0));
    path.report(0, &[(1, 5)], None, at(100));
    assert_eq!(path.recovery.state(), RecoveryState::Recovery);
    // Five segments are in flight; the window is ten segments and the four that were delivered.
    assert_eq!(path.recovery.in_flight(), 5 * SEGMENT);
    assert_eq!(path.recovery.room(&path.congestion), 9 * SEGMENT);
    let mut other = Path::new(true);
    other.send(10, at(0));
    other.report(0, &[(1, 5)], None, at(100));
    assert!(other.recovery.room(&other.congestion) < 5 * SEGMENT, "the rate of CUBIC is reduced in proportion");
}

#[test]
fn samples_while_bbr_holds_back_do_not_count() {
    let mut path = Path::with(Algorithm::Bbr, true);
    for round in 0..60 {
        assert!(!path.recovery.is_resting() || path.congestion.holds_back(), "round {round}");
        path.send(4, at(round * 100));
        path.report(4 * (round as usize + 1), &[], None, at(round * 100 + 100));
        if path.congestion.holds_back() {
            assert!(path.recovery.is_resting(), "round {round}");
            return;
        }
    }
    panic!("the round-trip time is not measured anew");
}
