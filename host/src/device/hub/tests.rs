//! Tests of the hub in virtual time.

use core::future::poll_fn;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use super::*;
use crate::device::{Device, Frame, Link};
use crate::platform::simulated::Simulation;

const MILLISECOND: Duration = Duration::from_millis(1);
const BROADCAST: [u8; 6] = [0xff; 6];

/// The hardware address of a station of the tests.
const fn station(number: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, number]
}

fn with_ports<const N: usize>(simulation: &Simulation, options: HubOptions) -> (Hub, [HubPort; N]) {
    let hub = Hub::new(&simulation.platform(), options);
    let ports = core::array::from_fn(|_| hub.port());
    (hub, ports)
}

fn frame(port: &mut HubPort, now: crate::platform::Instant, to: [u8; 6], from: [u8; 6], mark: u16) -> Option<Frame> {
    let mut frame = port.allocate(now, 64)?;
    frame[..6].copy_from_slice(&to);
    frame[6..12].copy_from_slice(&from);
    frame[14..16].copy_from_slice(&mark.to_be_bytes());
    Some(frame)
}

/// Sends a frame if the port accepts one.
fn send(simulation: &Simulation, port: &mut HubPort, to: [u8; 6], from: [u8; 6], mark: u16) -> bool {
    match frame(port, simulation.now(), to, from, mark) {
        Some(frame) => {
            port.transmit(simulation.now(), frame).unwrap();
            true
        }
        None => false,
    }
}

fn mark(frame: &Frame) -> u16 {
    u16::from_be_bytes([frame[14], frame[15]])
}

/// The marks of the frames that have arrived.
fn drain(simulation: &Simulation, port: &mut HubPort) -> Vec<u16> {
    core::iter::from_fn(|| port.receive(simulation.now()).unwrap().as_ref().map(mark)).collect()
}

async fn next(simulation: &Simulation, port: &mut HubPort) -> u16 {
    loop {
        if let Some(frame) = port.receive(simulation.now()).unwrap() {
            return mark(&frame);
        }
        poll_fn(|context| port.poll_readable(context)).await;
    }
}

fn is_pending(poll: impl FnOnce(&mut Context<'_>) -> Poll<()>) -> bool {
    poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[test]
fn frames_go_to_all_until_the_station_is_known_and_then_to_it_alone() {
    let simulation = Simulation::new(0);
    let (hub, [mut a, mut b, mut c]) = with_ports(&simulation, HubOptions::default());
    assert!(send(&simulation, &mut a, station(2), station(1), 1));
    assert_eq!((drain(&simulation, &mut b), drain(&simulation, &mut c)), (vec![1], vec![1]));
    assert!(send(&simulation, &mut b, station(1), station(2), 2));
    assert!(send(&simulation, &mut a, station(2), station(1), 3));
    assert!(send(&simulation, &mut a, BROADCAST, station(1), 4));
    assert!(send(&simulation, &mut a, station(1), station(1), 5));
    assert_eq!(drain(&simulation, &mut a), [2]);
    assert_eq!(drain(&simulation, &mut b), [3, 4]);
    assert_eq!(drain(&simulation, &mut c), [4]);
    assert_eq!(hub.statistics(), HubStatistics { delivered: 6, ..HubStatistics::default() });
}

#[test]
fn a_frame_for_one_receiver_is_not_copied() {
    let simulation = Simulation::new(0);
    let (_hub, [mut a, mut b]) = with_ports(&simulation, HubOptions::default());
    let frame = frame(&mut a, simulation.now(), BROADCAST, station(1), 1).unwrap();
    let address = frame.as_ptr();
    a.transmit(simulation.now(), frame).unwrap();
    assert_eq!(b.receive(simulation.now()).unwrap().unwrap().as_ptr(), address);
}

#[test]
fn a_station_that_moves_is_found_at_its_new_port() {
    let simulation = Simulation::new(0);
    let (_hub, [mut a, mut b, mut c]) = with_ports(&simulation, HubOptions::default());
    send(&simulation, &mut b, BROADCAST, station(2), 1);
    send(&simulation, &mut c, BROADCAST, station(2), 2);
    send(&simulation, &mut a, station(2), station(1), 3);
    assert_eq!(drain(&simulation, &mut b), [2]);
    assert_eq!(drain(&simulation, &mut c), [1, 3]);
}

#[test]
fn a_frame_too_short_for_ethernet_is_counted_and_dropped() {
    let simulation = Simulation::new(0);
    let (hub, [mut a, mut b]) = with_ports(&simulation, HubOptions::default());
    let short = a.allocate(simulation.now(), 13).unwrap();
    a.transmit(simulation.now(), short).unwrap();
    assert!(drain(&simulation, &mut b).is_empty());
    assert_eq!(hub.statistics().malformed, 1);
    assert!(a.allocate(simulation.now(), 1515).is_none());
}

#[test]
fn latency_delays_and_the_reader_is_woken_when_the_frame_arrives() {
    let simulation = Simulation::new(0);
    let options = HubOptions { latency: MILLISECOND * 5, ..HubOptions::default() };
    let (_hub, [mut a, mut b]) = with_ports(&simulation, options);
    simulation.block_on(async {
        // The reader starts to wait before a frame is sent.
        let reader = async {
            assert_eq!(next(&simulation, &mut b).await, 1);
            simulation.now()
        };
        let writer = async {
            simulation.sleep(MILLISECOND).await;
            send(&simulation, &mut a, BROADCAST, station(1), 1);
        };
        let (arrived, ()) = futures_util::future::join(reader, writer).await;
        assert_eq!(arrived.since_origin(), MILLISECOND * 6);
    });
}

#[test]
fn a_full_receiver_holds_back_its_sender_and_nothing_is_lost() {
    let simulation = Simulation::new(0);
    let (hub, [mut a, mut b]) = with_ports(&simulation, HubOptions { queue: 4, ..HubOptions::default() });
    let sent = (0..100).take_while(|number| send(&simulation, &mut a, BROADCAST, station(1), *number)).count();
    assert_eq!(sent, 8, "four wait at the receiver and four at the sender");
    assert!(is_pending(|context| a.poll_writable(context)));
    simulation.block_on(async {
        let writer = async {
            for number in 8..1000 {
                poll_fn(|context| a.poll_writable(context)).await;
                assert!(send(&simulation, &mut a, BROADCAST, station(1), number));
            }
        };
        let reader = async {
            for number in 0..1000 {
                assert_eq!(next(&simulation, &mut b).await, number);
            }
        };
        futures_util::future::join(writer, reader).await;
    });
    assert_eq!(simulation.now().since_origin(), Duration::ZERO);
    assert_eq!(hub.statistics(), HubStatistics { delivered: 1000, ..HubStatistics::default() });
}

#[test]
fn senders_to_one_full_receiver_take_turns() {
    let simulation = Simulation::new(0);
    let (_hub, [mut a, mut b, mut c]) = with_ports(&simulation, HubOptions { queue: 2, ..HubOptions::default() });
    send(&simulation, &mut c, BROADCAST, station(3), 0);
    for number in 1..=4 {
        assert!(send(&simulation, &mut a, station(3), station(1), number));
    }
    for number in 11..=12 {
        assert!(send(&simulation, &mut b, station(3), station(2), number));
    }
    assert_eq!(drain(&simulation, &mut c), [1, 2, 3, 11, 4, 12]);
}

#[test]
fn a_receiver_that_takes_nothing_for_a_second_does_not_stop_senders() {
    let simulation = Simulation::new(0);
    let (hub, [mut a, mut b, mut dead]) = with_ports(&simulation, HubOptions { queue: 3, ..HubOptions::default() });
    send(&simulation, &mut dead, BROADCAST, station(3), 0);
    send(&simulation, &mut b, BROADCAST, station(2), 0);
    drain(&simulation, &mut a);
    drain(&simulation, &mut b);
    for (number, to) in [(1, 3), (2, 3), (3, 3), (4, 2), (5, 3)] {
        assert!(send(&simulation, &mut a, station(to), station(1), number));
    }
    assert!(!send(&simulation, &mut a, station(3), station(1), 6));
    simulation.block_on(async {
        let writer = poll_fn(|context| a.poll_writable(context));
        let reader = next(&simulation, &mut b);
        assert_eq!(futures_util::future::join(writer, reader).await, ((), 4));
    });
    assert_eq!(simulation.now().since_origin(), Duration::from_secs(1));
    assert_eq!(hub.statistics().dropped_full, 2, "the broadcast and frames 1 and 2 fill the port, 3 and 5 are dropped");
}

#[test]
fn frames_held_for_a_dead_receiver_are_sent_while_their_sender_only_reads() {
    let simulation = Simulation::new(0);
    let (_hub, [mut a, mut b, mut dead]) = with_ports(&simulation, HubOptions { queue: 2, ..HubOptions::default() });
    send(&simulation, &mut dead, BROADCAST, station(3), 0);
    send(&simulation, &mut b, BROADCAST, station(2), 0);
    drain(&simulation, &mut a);
    drain(&simulation, &mut b);
    for (number, to) in [(1, 3), (2, 3), (3, 2)] {
        assert!(send(&simulation, &mut a, station(to), station(1), number));
    }
    simulation.spawn(poll_fn(move |context| a.poll_readable(context)));
    assert_eq!(simulation.block_on(next(&simulation, &mut b)), 3);
    assert_eq!(simulation.now().since_origin(), Duration::from_secs(1));
}

#[test]
fn a_full_port_misses_a_broadcast_and_the_others_get_it() {
    let simulation = Simulation::new(0);
    let (hub, [mut a, mut b, mut c]) = with_ports(&simulation, HubOptions { queue: 2, ..HubOptions::default() });
    for number in 0..3 {
        assert!(send(&simulation, &mut a, BROADCAST, station(1), number));
        assert_eq!(drain(&simulation, &mut c), [number]);
    }
    assert_eq!(drain(&simulation, &mut b), [0, 1]);
    assert_eq!(hub.statistics().dropped_full, 1);
}

#[test]
fn a_rate_spaces_frames_and_wakes_the_sender_when_one_has_left() {
    let simulation = Simulation::new(0);
    // 64 bytes take 1 ms.
    let options = HubOptions { rate: Some(512_000), queue: 3, ..HubOptions::default() };
    let (_hub, [mut a, mut b]) = with_ports(&simulation, options);
    simulation.block_on(async {
        let writer = async {
            for number in 0..10 {
                poll_fn(|context| a.poll_writable(context)).await;
                assert!(send(&simulation, &mut a, BROADCAST, station(1), number));
            }
            simulation.now()
        };
        let reader = async {
            for number in 0..10_u16 {
                assert_eq!(next(&simulation, &mut b).await, number);
                assert_eq!(simulation.now().since_origin(), MILLISECOND * (u32::from(number) + 1));
            }
        };
        let (written, ()) = futures_util::future::join(writer, reader).await;
        assert_eq!(written.since_origin(), MILLISECOND * 7);
    });
}

#[test]
fn a_frame_that_arrives_before_the_one_waited_for_wakes_the_reader() {
    let simulation = Simulation::new(0);
    // 64 bytes take 1 ms, so 640 take 10.
    let options = HubOptions { rate: Some(512_000), ..HubOptions::default() };
    let (_hub, [mut a, mut b, mut c]) = with_ports(&simulation, options);
    let mut long = a.allocate(simulation.now(), 640).unwrap();
    long[..6].fill(0xff);
    a.transmit(simulation.now(), long).unwrap();
    let (later, start) = (simulation.platform(), simulation.sleep(Duration::from_nanos(1)));
    simulation.spawn(async move {
        // By now the reader waits for the long frame.
        start.await;
        let mut short = b.allocate(later.clock.now(), 64).unwrap();
        short[..6].fill(0xff);
        short[14..16].copy_from_slice(&[0, 2]);
        b.transmit(later.clock.now(), short).unwrap();
        core::future::pending::<()>().await;
    });
    assert_eq!(simulation.block_on(next(&simulation, &mut c)), 2);
    assert_eq!(simulation.now().since_origin(), MILLISECOND + Duration::from_nanos(1));
}

/// The marks and the arrival times of 200 frames, which are sent every 100 us.
fn arrivals(options: &HubOptions) -> (Vec<(u16, Duration)>, HubStatistics) {
    let simulation = Simulation::new(0);
    let (hub, [mut a, mut b]) = with_ports(&simulation, options.clone());
    let mut seen = Vec::new();
    for number in 0..200 {
        assert!(send(&simulation, &mut a, BROADCAST, station(1), number));
        simulation.advance(MILLISECOND / 10);
        seen.extend(drain(&simulation, &mut b).into_iter().map(|mark| (mark, simulation.now().since_origin())));
    }
    simulation.advance(Duration::from_secs(10));
    seen.extend(drain(&simulation, &mut b).into_iter().map(|mark| (mark, simulation.now().since_origin())));
    (seen, hub.statistics())
}

fn marks(options: &HubOptions) -> (Vec<u16>, HubStatistics) {
    let (seen, statistics) = arrivals(options);
    (seen.into_iter().map(|(mark, _)| mark).collect(), statistics)
}

#[test]
fn jitter_alone_never_reorders() {
    let options = HubOptions { jitter: MILLISECOND * 5, ..HubOptions::default() };
    assert_eq!(marks(&options).0, Vec::from_iter(0..200));
}

#[test]
fn reordering_delivers_each_frame_once_and_some_late() {
    let (mut seen, statistics) = marks(&HubOptions { reordering: 0.1, ..HubOptions::default() });
    assert!(!seen.is_sorted());
    assert!((5..50).contains(&statistics.reordered), "{statistics:?}");
    seen.sort_unstable();
    assert_eq!(seen, Vec::from_iter(0..200));
}

#[test]
fn loss_and_duplication_follow_their_probabilities_and_are_counted() {
    let (seen, statistics) = marks(&HubOptions { loss: 0.1, duplication: 0.1, ..HubOptions::default() });
    assert!((5..50).contains(&statistics.lost), "{statistics:?}");
    assert!((5..50).contains(&statistics.duplicated), "{statistics:?}");
    assert_eq!(seen.len() as u64, 200 - statistics.lost + statistics.duplicated);
    assert!(marks(&HubOptions { loss: 1.0, ..HubOptions::default() }).0.is_empty());
}

#[test]
fn one_seed_gives_one_run_and_another_seed_another() {
    let options = |seed| HubOptions {
        loss: 0.1,
        duplication: 0.1,
        reordering: 0.1,
        jitter: MILLISECOND,
        seed,
        ..HubOptions::default()
    };
    assert_eq!(arrivals(&options(5)), arrivals(&options(5)));
    assert_ne!(arrivals(&options(5)), arrivals(&options(6)));
}

#[test]
fn an_unplugged_port_sends_and_receives_nothing_until_it_is_plugged_in() {
    let simulation = Simulation::new(0);
    let (hub, [mut a, mut b]) = with_ports(&simulation, HubOptions::default());
    let cable = b.cable();
    send(&simulation, &mut a, BROADCAST, station(1), 1);
    cable.set_link(Link::Down);
    assert_eq!(b.link(), Link::Down);
    assert!(send(&simulation, &mut a, BROADCAST, station(1), 2));
    assert!(send(&simulation, &mut b, BROADCAST, station(2), 3));
    assert!(drain(&simulation, &mut a).is_empty());
    cable.set_link(Link::Up);
    assert_eq!(b.link(), Link::Up);
    assert!(drain(&simulation, &mut b).is_empty());
    send(&simulation, &mut a, BROADCAST, station(1), 4);
    assert_eq!(drain(&simulation, &mut b), [4]);
    assert_eq!(hub.statistics().lost, 2);
}

#[test]
fn a_station_whose_port_was_unplugged_is_looked_for_everywhere_again() {
    let simulation = Simulation::new(0);
    let (_hub, [mut a, mut b, mut c]) = with_ports(&simulation, HubOptions::default());
    send(&simulation, &mut b, BROADCAST, station(2), 1);
    b.cable().set_link(Link::Down);
    drain(&simulation, &mut c);
    send(&simulation, &mut a, station(2), station(1), 2);
    assert_eq!(drain(&simulation, &mut c), [2]);
}

#[test]
fn a_change_of_link_wakes_the_reader() {
    let simulation = Simulation::new(0);
    let (_hub, [mut a]) = with_ports(&simulation, HubOptions::default());
    let cable = a.cable();
    let woken = Arc::new(Mutex::new(0));
    let count = woken.clone();
    simulation.spawn(poll_fn(move |context| {
        *count.lock() += 1;
        a.poll_readable(context)
    }));
    simulation.run_ready();
    cable.set_link(Link::Down);
    simulation.run_ready();
    cable.set_link(Link::Down);
    simulation.run_ready();
    assert_eq!(*woken.lock(), 2);
}

#[test]
fn dropping_a_full_port_frees_its_senders() {
    let simulation = Simulation::new(0);
    let (_hub, [mut a, b]) = with_ports(&simulation, HubOptions { queue: 1, ..HubOptions::default() });
    while send(&simulation, &mut a, BROADCAST, station(1), 0) {}
    simulation.block_on(async {
        let writer = poll_fn(|context| a.poll_writable(context));
        futures_util::future::join(writer, async { drop(b) }).await;
    });
    assert_eq!(simulation.now().since_origin(), Duration::ZERO);
}

#[test]
fn options_outside_their_ranges_are_named_and_a_hub_made_of_them_still_works() {
    let default = HubOptions::default;
    let bad = [
        ("mtu", HubOptions { mtu: 0, ..default() }),
        ("mtu", HubOptions { mtu: usize::MAX, ..default() }),
        ("queue", HubOptions { queue: 0, ..default() }),
        ("rate", HubOptions { rate: Some(0), ..default() }),
        ("latency", HubOptions { latency: Duration::MAX, ..default() }),
        ("jitter", HubOptions { jitter: Duration::MAX, ..default() }),
        ("loss", HubOptions { loss: 1.5, ..default() }),
        ("loss", HubOptions { loss: f64::NAN, ..default() }),
        ("duplication", HubOptions { duplication: -0.1, ..default() }),
        ("reordering", HubOptions { reordering: f64::INFINITY, ..default() }),
    ];
    for (option, options) in bad {
        let error = options.validate().unwrap_err();
        assert_eq!(error.option, option);
        assert!(error.to_string().starts_with(option), "{error}");
        let simulation = Simulation::new(0);
        let (_hub, [mut a, _b]) = with_ports(&simulation, options);
        assert!(send(&simulation, &mut a, BROADCAST, station(1), 0));
    }
    assert_eq!(default().validate(), Ok(()));
}
