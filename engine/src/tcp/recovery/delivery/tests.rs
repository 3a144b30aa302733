//! Delivery rate samples of deliveries that the tests make by hand.

use super::*;
use crate::tcp::sequence::Sequence;

fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

/// Segments of 1000 bytes, numbered by their transmissions, from 1 on.
struct Path {
    delivery: Delivery,
    sent: std::vec::Vec<(Instant, u32)>,
}

impl Path {
    fn new() -> Self {
        Self { delivery: Delivery::new(at(0)), sent: std::vec::Vec::new() }
    }

    fn send(&mut self, count: usize, in_flight: u32, now: Instant) {
        for more in 0..count {
            let flight = in_flight + 1000 * more as u32;
            self.delivery.on_sent(self.sent.len() as u64 + 1, flight == 0, now);
            self.sent.push((now, flight + 1000));
        }
    }

    fn delivered(&self, number: usize) -> Delivered {
        let (sent, in_flight) = self.sent[number - 1];
        let recency = Recency { sent, transmission: number as u64, end: Sequence(1000 * number as u32) };
        Delivered { recency, again: false, bytes: 1000, in_flight }
    }

    fn arrive(&mut self, numbers: &[usize], oldest: Option<u64>, least: Option<u64>, now: Instant) -> RateSample {
        for number in numbers {
            let delivered = self.delivered(*number);
            self.delivery.take(&delivered, now);
        }
        let moment = Moment {
            now,
            least_rtt: least.map(Duration::from_millis),
            rtt: None,
            in_flight: 0,
            limited: false,
            recovering: false,
        };
        self.delivery.sample(&moment, oldest)
    }

    fn lose(&mut self, number: usize) -> Option<SentState> {
        let (_, in_flight) = self.sent[number - 1];
        self.delivery.lose(&Lost { transmission: number as u64, bytes: 1000, in_flight })
    }
}

/// Section 4.1.1: the longer of the sending time and the arrival time counts.
#[test]
fn a_rate_is_by_the_longer_of_sending_and_arriving() {
    let mut path = Path::new();
    path.send(4, 0, at(0));
    let sample = path.arrive(&[1, 2], Some(3), None, at(10));
    assert_eq!((sample.rate, sample.delivered, sample.prior), (Some(Rate(200_000)), 2000, 0));
    assert_eq!((sample.total, sample.newly_delivered, sample.sent.in_flight), (2000, 2000, 2000));
    // Sent at 10 ms, when 2000 bytes had been delivered.
    path.send(2, 2000, at(10));
    let sample = path.arrive(&[3, 4], Some(5), None, at(12));
    assert_eq!((sample.rate, sample.delivered), (Some(Rate(4_000_000 / 12)), 4000));
    let sample = path.arrive(&[5, 6], None, None, at(20));
    assert_eq!((sample.rate, sample.delivered, sample.prior), (Some(Rate(400_000)), 4000, 2000));
    // Sending took 30 ms, arriving 10 ms: acknowledgements that arrive in a burst show no higher rate.
    path.send(1, 0, at(100));
    path.send(1, 1000, at(130));
    let sample = path.arrive(&[7], Some(8), None, at(135));
    assert_eq!(sample.rate, Some(Rate(1_000_000 / 35)));
    let sample = path.arrive(&[8], None, None, at(136));
    assert_eq!(sample.rate, Some(Rate(2_000_000 / 36)));
}

#[test]
fn a_sample_is_of_the_most_recently_sent_range() {
    let mut path = Path::new();
    path.send(1, 0, at(0));
    path.send(1, 1000, at(5));
    path.arrive(&[1], Some(2), None, at(10));
    // The third transmission is the retransmission of the first: it was sent after the second.
    path.send(1, 1000, at(11));
    let sample = path.arrive(&[3, 2], None, None, at(20));
    assert_eq!((sample.prior, sample.delivered, sample.rate), (1000, 2000, Some(Rate(2_000_000 / 11))));
}

/// Section 4.1.2.3.
#[test]
fn an_interval_shorter_than_a_round_trip_gives_no_rate() {
    let mut path = Path::new();
    path.send(1, 0, at(0));
    let sample = path.arrive(&[1], None, Some(10), at(9));
    assert_eq!((sample.rate, sample.delivered), (None, 1000));
    path.send(1, 0, at(9));
    assert_eq!(path.arrive(&[2], None, Some(10), at(19)).rate, Some(Rate(100_000)));
}

/// Section 4.1.2.4.
#[test]
fn data_sent_while_the_application_was_the_limit_is_marked_until_it_has_arrived() {
    let mut path = Path::new();
    path.send(2, 0, at(0));
    path.delivery.limit(2000);
    path.send(2, 2000, at(1));
    assert!(!path.arrive(&[1, 2], Some(3), None, at(10)).sent.application_limited);
    assert!(path.delivery.is_limited(), "not more than was under way has arrived");
    path.send(1, 2000, at(10));
    assert!(path.arrive(&[3], Some(4), None, at(11)).sent.application_limited);
    assert!(!path.delivery.is_limited());
    path.send(1, 2000, at(11));
    assert!(path.arrive(&[4], Some(5), None, at(11)).sent.application_limited);
    assert!(path.arrive(&[5], Some(6), None, at(20)).sent.application_limited);
    assert!(!path.arrive(&[6], None, None, at(21)).sent.application_limited);
}

#[test]
fn losses_are_counted_from_the_sending_on() {
    let mut path = Path::new();
    path.send(3, 0, at(0));
    assert_eq!(path.lose(1), Some(SentState { in_flight: 1000, lost: 1000, application_limited: false }));
    path.send(2, 2000, at(5));
    assert_eq!(path.lose(2), Some(SentState { in_flight: 2000, lost: 2000, application_limited: false }));
    assert_eq!(path.lose(4).map(|sent| sent.lost), Some(2000), "the second and itself");
    let sample = path.arrive(&[5], None, None, at(10));
    assert_eq!((sample.sent.lost, sample.newly_lost), (2000, 3000));
    assert_eq!(path.arrive(&[], None, None, at(10)).newly_lost, 0);
}

#[test]
fn everything_sent_between_two_acknowledgements_shares_an_epoch() {
    let mut path = Path::new();
    path.send(100, 0, at(0));
    assert_eq!(path.delivery.epochs.len(), 1);
    path.arrive(&[1], Some(2), None, at(10));
    path.send(100, 99_000, at(10));
    assert_eq!(path.delivery.epochs.len(), 2);
    // Epochs of which nothing is in flight are removed, and data of unknown epochs gives no sample.
    let rest: std::vec::Vec<usize> = (2..=100).collect();
    path.arrive(&rest, Some(101), None, at(20));
    assert_eq!(path.delivery.epochs.len(), 1);
    let sample = path.arrive(&[50], Some(101), None, at(30));
    assert_eq!((sample.rate, sample.delivered, sample.newly_delivered), (None, 0, 1000));
    assert_eq!(path.lose(50), None);
    path.arrive(&[101], None, None, at(30));
    assert!(path.delivery.epochs.is_empty());
}

#[test]
fn a_peer_that_acknowledges_little_at_a_time_does_not_make_the_list_long() {
    let mut path = Path::new();
    path.send(1, 0, at(0));
    for number in 2..10_000 {
        path.send(1, 1000, at(number as u64));
        path.arrive(&[number], Some(1), None, at(number as u64));
    }
    assert_eq!(path.delivery.epochs.len(), MAX_EPOCHS);
}
