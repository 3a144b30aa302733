use super::*;

const CALM: Conditions = Conditions {
    rate: 8e6,
    queue: 10,
    delay: Duration::from_millis(5),
    jitter: Duration::ZERO,
    loss: 0.0,
    reordered: 0.0,
};

/// A frame of 1,000 bytes, which the bottleneck of [`CALM`] sends in a millisecond.
fn frame(number: u32) -> Vec<u8> {
    let mut frame = vec![0; 1000];
    frame[..4].copy_from_slice(&number.to_be_bytes());
    frame
}

fn number(frame: &[u8]) -> u32 {
    u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]])
}

/// All frames that are delivered until `end`, with the times when they were due.
fn drain(way: &mut Way, end: Instant) -> Vec<(Instant, u32)> {
    let mut came = Vec::new();
    while let Some(due) = way.next_due().filter(|due| *due <= end) {
        // At this time, a frame may only have reached the bottleneck.
        came.extend(way.take(due).map(|frame| (due, number(&frame))));
    }
    came
}

#[test]
fn frames_come_at_the_rate_of_the_bottleneck_after_the_delay() {
    let start = Instant::now();
    let mut way = Way::new(CALM, 1);
    (0..3).for_each(|number| way.offer(start, &frame(number), Some(0)));
    assert_eq!(way.take(start + Duration::from_micros(5_999)), None);
    let came = drain(&mut way, start + Duration::from_secs(1));
    let expected = [6, 7, 8].map(|due| start + Duration::from_millis(due));
    assert_eq!(came, expected.into_iter().zip(0..).collect::<Vec<_>>());
}

#[test]
fn a_full_queue_drops_what_comes_and_has_room_once_a_frame_has_left() {
    let start = Instant::now();
    let mut way = Way::new(CALM, 1);
    (0..12).for_each(|number| way.offer(start, &frame(number), Some(0)));
    assert_eq!(way.counts().overflowed, 2);
    way.offer(start + Duration::from_millis(1), &frame(12), Some(0));
    assert_eq!(way.counts().overflowed, 2);
    assert_eq!(drain(&mut way, start + Duration::from_secs(1)).len(), 11);
}

#[test]
fn the_share_of_lost_frames_is_as_asked_for_and_depends_on_the_seed_and_the_connection_alone() {
    let lost = |seed, flow, others: bool| {
        let mut way = Way::new(Conditions { loss: 0.05, rate: 1e12, queue: 100_000, ..CALM }, seed);
        let start = Instant::now();
        for index in 0..20_000 {
            way.offer(start + Duration::from_micros(index), &frame(index as u32), Some(flow));
            if others {
                way.offer(start + Duration::from_micros(index), &frame(u32::MAX), Some(flow + 1));
            }
        }
        let came = drain(&mut way, start + Duration::from_secs(9));
        came.into_iter().map(|(_, number)| number).filter(|number| *number != u32::MAX).collect::<Vec<_>>()
    };
    let once = lost(1, 0, false);
    assert!((18_800..19_200).contains(&once.len()), "{}", once.len());
    assert_eq!(once, lost(1, 0, true));
    assert_ne!(once, lost(2, 0, false));
    assert_ne!(once, lost(1, 1, false));
}

#[test]
fn a_share_of_the_frames_is_passed_by_later_ones_and_no_other_is() {
    let mut way = Way::new(Conditions { reordered: 0.1, queue: 1000, rate: 8e9, ..CALM }, 1);
    let start = Instant::now();
    (0..10_000).for_each(|index| way.offer(start + Duration::from_micros(10 * index), &frame(index as u32), Some(0)));
    let came = drain(&mut way, start + Duration::from_secs(9));
    assert_eq!(came.len(), 10_000);
    let mut highest = 0;
    let mut passed = 0;
    for (_, number) in came {
        passed += u64::from(number < highest);
        highest = highest.max(number);
    }
    assert!((900..1100).contains(&way.counts().reordered), "{:?}", way.counts());
    assert!(passed <= way.counts().reordered && passed > 900, "{passed} were passed");
}

/// If two connections send at the same times, the order between their frames varies, but the frames of each connection
/// stay in order.
#[test]
fn jitter_mixes_connections_and_keeps_the_order_of_each() {
    let order = |jitter| {
        let mut way = Way::new(Conditions { jitter, queue: 1000, rate: 8e9, ..CALM }, 1);
        let start = Instant::now();
        for index in 0..2000 {
            way.offer(start + Duration::from_micros(100 * (index / 2)), &frame(index as u32), Some(index as usize % 2));
        }
        drain(&mut way, start + Duration::from_secs(9)).into_iter().map(|(_, number)| number).collect::<Vec<_>>()
    };
    assert_eq!(order(Duration::ZERO), (0..2000).collect::<Vec<_>>());
    let mixed = order(Duration::from_millis(1));
    for flow in 0..2 {
        let of_one: Vec<u32> = mixed.iter().copied().filter(|number| number % 2 == flow).collect();
        assert_eq!(of_one, (0..1000).map(|index| 2 * index + flow).collect::<Vec<_>>());
    }
    let first_before_second = (0..1000).filter(|index| {
        let place = |number| mixed.iter().position(|came| *came == number);
        place(2 * index) < place(2 * index + 1)
    });
    assert!((400..600).contains(&first_before_second.count()));
}

#[test]
fn what_is_no_tcp_is_neither_lost_nor_reordered() {
    let mut way = Way::new(Conditions { loss: 1.0, reordered: 1.0, ..CALM }, 1);
    way.offer(Instant::now(), &frame(0), None);
    assert_eq!((way.counts().lost, way.counts().reordered), (0, 0));
}

#[test]
fn both_directions_of_a_connection_have_its_number() {
    let segment = |from: u16, to: u16| {
        let mut frame = vec![0; 54];
        frame[12] = 8;
        frame[14] = 0x45;
        frame[23] = 6;
        frame[34..36].copy_from_slice(&from.to_be_bytes());
        frame[36..38].copy_from_slice(&to.to_be_bytes());
        frame
    };
    let mut flows = Flows::default();
    assert_eq!(flows.number(&segment(50_000, 5000)), Some(0));
    assert_eq!(flows.number(&segment(50_001, 5000)), Some(1));
    assert_eq!(flows.number(&segment(5000, 50_000)), Some(0));
    assert_eq!(flows.number(&[0; 60]), None);
    assert_eq!(flows.number(&[]), None);
}
