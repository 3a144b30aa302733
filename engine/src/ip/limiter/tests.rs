use core::net::Ipv4Addr;

use super::*;

fn at(milliseconds: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(milliseconds))
}

fn host(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number).into()
}

fn limiter(config: Config) -> (Limiter, Random) {
    let mut random = Random::new([7; 32]);
    (Limiter::new(config, &mut random), random)
}

#[test]
fn one_destination_gets_a_burst_and_then_its_rate() {
    let (mut limiter, mut random) = limiter(Config::default());
    // Start well after the origin, as any clock may.
    let start = 5_000_000u64;
    let mut count = |from: u64, step: u64, times: u64| {
        (0..times).filter(|index| limiter.allows(host(1), at(start + from + index * step), &mut random)).count()
    };
    assert_eq!(count(0, 0, 100), 20, "a burst");
    assert_eq!(count(99, 0, 100), 0, "a token takes a tenth of a second");
    assert_eq!(count(100, 0, 100), 1);
    assert_eq!(count(200, 1, 10_000), 100, "ten a second, however many are asked for");
    assert_eq!(count(60_000, 0, 100), 20, "no more than a burst is saved");
    assert_eq!(limiter.suppressed(), 80 + 100 + 99 + 9900 + 80);
}

#[test]
fn a_traceroute_and_a_scan_at_ten_per_second_get_every_answer() {
    let (mut limiter, mut random) = limiter(Config::default());
    assert!((0..16).all(|_| limiter.allows(host(1), at(0), &mut random)), "probes that are sent at once");
    assert!((0..1000).all(|probe| limiter.allows(host(2), at(probe * 100), &mut random)));
}

#[test]
fn the_common_rate_holds_on_average_but_cannot_be_counted_exactly() {
    let (mut limiter, mut random) = limiter(Config::default());
    let mut counts = Vec::new();
    for second in 0..50u64 {
        let answered = (0..100_000u64)
            .filter(|index| {
                let now = at(100_000 + second * 1000 + index / 100);
                limiter.allows(host((second * 100_000 + index) as u32), now, &mut random)
            })
            .count();
        counts.push(answered);
    }
    assert!(counts.iter().all(|count| (850..=1250).contains(count)), "{counts:?}");
    let mean = counts.iter().sum::<usize>() / counts.len();
    assert!((980..=1020).contains(&mean), "{mean}");
    let different: std::collections::BTreeSet<_> = counts.iter().collect();
    assert!(different.len() > 10, "{counts:?}");
}

#[test]
fn a_flooder_takes_nothing_from_others() {
    let (mut limiter, mut random) = limiter(Config::default());
    for millisecond in 0..1000 {
        for _ in 0..100 {
            limiter.allows(host(666), at(millisecond), &mut random);
        }
        if millisecond % 100 == 0 {
            assert!(limiter.allows(host(1), at(millisecond), &mut random), "{millisecond}");
        }
    }
}

#[test]
fn the_table_is_bounded_and_replaces_buckets_that_are_full_again() {
    // The common bucket is unlimited, so that only the table is tested.
    let config = Config { rate: u32::MAX, burst: u32::MAX, ..Config::default() };
    let (mut limiter, mut random) = limiter(config);
    assert_eq!(limiter.held(), 0);
    assert!((0..20).all(|_| limiter.allows(host(1), at(0), &mut random)));
    let held = limiter.held();
    for stranger in 2..100_000 {
        assert!(limiter.allows(host(stranger), at(0), &mut random));
        assert!(!limiter.allows(host(1), at(0), &mut random), "one error each says less than twenty");
    }
    assert_eq!((limiter.held(), limiter.places.len()), (held, 256));
}

#[test]
fn a_64_bit_network_is_one_destination_except_for_link_local_addresses() {
    let (mut limiter, mut random) = limiter(Config { destination_burst: 1, ..Config::default() });
    let mut allows = |address: [u16; 8]| limiter.allows(address.into(), at(0), &mut random);
    assert!(allows([0x2001, 0xdb8, 0, 1, 0, 0, 0, 1]));
    assert!(!allows([0x2001, 0xdb8, 0, 1, 9, 9, 9, 9]));
    assert!(allows([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]));
    assert!(allows([0xfe80, 0, 0, 0, 0, 0, 0, 1]) && allows([0xfe80, 0, 0, 0, 0, 0, 0, 2]));
}

#[test]
fn loopback_is_not_limited_and_a_rate_of_zero_allows_none() {
    let (mut limiter, mut random) = limiter(Config { rate: 0, ..Config::default() });
    assert!(!limiter.allows(host(1), at(0), &mut random));
    assert!((0..1000).all(|_| limiter.allows(Ipv4Addr::LOCALHOST.into(), at(0), &mut random)));
    assert_eq!(limiter.suppressed(), 1);
}
