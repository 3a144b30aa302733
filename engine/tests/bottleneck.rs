//! Tests of congestion control and pacing at a simulated bottleneck, under virtual time: 100 Mb/s, 10 ms round trip
//! time, and host timers that expire at whole milliseconds. Rates are fractions of the path's rate.

#[path = "bottleneck/mod.rs"]
mod bottleneck;

use core::time::Duration;

use bottleneck::{Bottleneck, Path, Source};
use xila_network_engine::tcp::Algorithm;

/// The bandwidth-delay product of the path in bytes.
const PRODUCT: u64 = Path::FAST.product();
/// A path that loses one packet in a hundred at random.
const LOSSY: Path = Path { loss: 100, ..Path::FAST };

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn alone(path: Path, algorithm: Algorithm) -> Bottleneck {
    let mut bottleneck = Bottleneck::new(path);
    bottleneck.add(algorithm, Source::Greedy);
    bottleneck
}

#[test]
fn bbr_fills_a_path_with_random_loss_and_cubic_does_not() {
    let [bbr, cubic] = [Algorithm::Bbr, Algorithm::Cubic].map(|algorithm| {
        let mut bottleneck = alone(LOSSY, algorithm);
        bottleneck.run(secs(2));
        bottleneck.run(secs(20))[0]
    });
    assert!(bbr > 0.9, "{bbr}");
    assert!(cubic < 0.3, "{cubic}");
}

#[test]
fn bbr_fills_a_long_path_that_loses_packets() {
    let mut bottleneck = alone(Path { rtt: Duration::from_millis(100), queue: 10 * PRODUCT, ..LOSSY }, Algorithm::Bbr);
    bottleneck.run(secs(5));
    let rate = bottleneck.run(secs(20))[0];
    assert!(rate > 0.85, "{rate}");
}

#[test]
fn bbr_leaves_a_long_queue_empty() {
    let mut bottleneck = alone(Path { queue: 8 * PRODUCT, ..Path::FAST }, Algorithm::Bbr);
    bottleneck.run(secs(2));
    let rate = bottleneck.run(secs(20))[0];
    assert!(rate > 0.95, "{rate}");
    let (mean, most) = (bottleneck.tally.mean_queue(), bottleneck.tally.most);
    assert!(mean < PRODUCT / 4, "{mean} bytes wait");
    // A probe for a higher rate builds a queue, and drains it again.
    assert!(most < PRODUCT * 3 / 2, "{most} bytes wait at most");
}

#[test]
fn bbr_loses_little_at_a_short_queue() {
    let mut bottleneck = alone(Path { queue: PRODUCT / 4, ..Path::FAST }, Algorithm::Bbr);
    bottleneck.run(secs(2));
    let rate = bottleneck.run(secs(20))[0];
    assert!(rate > 0.95, "{rate}");
    let (dropped, packets) = (bottleneck.tally.dropped, bottleneck.tally.packets);
    assert!(dropped * 100 < packets, "{dropped} of {packets}");
}

#[test]
fn two_flows_share_the_path() {
    for algorithm in [Algorithm::Bbr, Algorithm::Cubic] {
        let mut bottleneck = alone(Path::FAST, algorithm);
        bottleneck.run(secs(3));
        bottleneck.add(algorithm, Source::Greedy);
        bottleneck.run(secs(10));
        let rates = bottleneck.run(secs(30));
        let share = rates[0] / rates[1];
        assert!((0.6..=1.6).contains(&share), "{algorithm:?}: {rates:?}");
        assert!(rates[0] + rates[1] > 0.95, "{algorithm:?}: {rates:?}");
        assert!(bottleneck.tally.mean_queue() < 2 * PRODUCT, "{algorithm:?}");
    }
}

#[test]
fn cubic_beside_bbr_does_not_starve_nor_does_bbr() {
    let mut bottleneck = alone(Path::FAST, Algorithm::Bbr);
    bottleneck.run(secs(3));
    bottleneck.add(Algorithm::Cubic, Source::Greedy);
    bottleneck.run(secs(10));
    let rates = bottleneck.run(secs(30));
    assert!(rates.iter().all(|rate| *rate > 0.2), "{rates:?}");
}

#[test]
fn bbr_measures_the_round_trip_time_every_five_seconds_and_continues() {
    let mut bottleneck = alone(Path::FAST, Algorithm::Bbr);
    bottleneck.run(secs(3));
    let mut probes: Vec<(u64, u64)> = Vec::new();
    let rates = bottleneck.run_watched(secs(27), |bottleneck| {
        let now = bottleneck.now().millis();
        if bottleneck.info(0).congestion_window > PRODUCT as usize * 6 / 10 {
            return;
        }
        match probes.last_mut().filter(|(_, end)| now - *end < 100) {
            Some((_, end)) => *end = now,
            None => probes.push((now, now)),
        }
    });
    assert_eq!(probes.len(), 5, "{probes:?}");
    for two in probes.windows(2) {
        assert!((5000..5500).contains(&(two[1].0 - two[0].0)), "{probes:?}");
    }
    assert!(probes.iter().all(|(start, end)| (200..300).contains(&(end - start))), "{probes:?}");
    assert!(rates[0] > 0.95, "{rates:?}");
}

#[test]
fn an_application_that_sends_little_does_not_make_bbr_slow() {
    for path in [Path::FAST, LOSSY] {
        let mut bottleneck = Bottleneck::new(path);
        // A tenth of the path's rate.
        bottleneck.add(Algorithm::Bbr, Source::Steady(25_000, Duration::from_millis(20)));
        bottleneck.run(secs(2));
        let rate = bottleneck.run(secs(20))[0];
        assert!((0.1..0.11).contains(&rate), "all that is written arrives: {rate}");
        bottleneck.change(0, Source::Greedy);
        bottleneck.run(secs(2));
        let rate = bottleneck.run(secs(5))[0];
        assert!(rate > 0.85, "{rate}");
    }
}

#[test]
fn pacing_does_not_make_cubic_slow() {
    for (queue, timers) in [(PRODUCT / 4, 1000), (PRODUCT, 1000), (4 * PRODUCT, 1000), (PRODUCT, 1)] {
        let mut bottleneck =
            alone(Path { queue, timers: Duration::from_micros(timers), ..Path::FAST }, Algorithm::Cubic);
        bottleneck.run(secs(2));
        let rate = bottleneck.run(secs(20))[0];
        assert!(rate > if queue < PRODUCT { 0.95 } else { 0.98 }, "a queue of {queue}: {rate}");
    }
}

#[test]
fn pacing_wakes_a_host_once_per_millisecond_and_an_idle_one_never() {
    let mut bottleneck = alone(Path { timers: Duration::from_micros(1), ..Path::FAST }, Algorithm::Bbr);
    bottleneck.run(secs(10));
    assert!((100..13_000).contains(&bottleneck.wake_ups), "{} in 10 seconds", bottleneck.wake_ups);
    bottleneck.change(0, Source::None);
    bottleneck.run(secs(2));
    let before = bottleneck.wake_ups;
    bottleneck.run(secs(600));
    assert_eq!(bottleneck.wake_ups, before);
}
