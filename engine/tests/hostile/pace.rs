//! How fast two engines on a wire send, and in how many segments.

use core::time::Duration;

use xila_network_engine::tcp::Options;

use super::field::MSS;
use super::peer::{ACK, Raw, SYN, Seen};
use super::victim::{Peer, Victim, millis};
use super::wire::Wire;

/// RFC 9293 section 3.8.6.2: neither side causes silly windows.
#[test]
fn a_reader_of_one_byte_at_a_time_gets_full_segments() {
    const COUNT: usize = 1 << 20;
    let mut wire = Wire::new(Duration::from_micros(10));
    let [client, server] = wire.connect([Options::default(), Options::default()]);
    let (mut written, mut read) = (0, 0);
    while read < COUNT {
        if written < COUNT {
            let now = wire.now;
            written += wire.hosts[0].tcp.write(client, &[7; 4096][..4096.min(COUNT - written)], now).unwrap_or(0);
        }
        // Before the next byte is read, the window is full or everything has arrived.
        wire.quiet();
        let now = wire.now;
        match wire.hosts[1].tcp.read(server, &mut [0; 1], now) {
            Ok(count) => read += count,
            Err(_) => assert!(wire.step(Duration::from_secs(60)), "a stall after {read} bytes"),
        }
    }
    let segments = wire.log.iter().filter(|(_, from, seen)| *from == 0 && !seen.payload.is_empty()).count();
    assert!((700..=800).contains(&segments), "{segments} segments with data");
    let answers = wire.log.iter().filter(|(_, from, _)| *from == 1).count();
    assert!(answers <= 2 * segments, "{answers} packets of the reader");
}

/// RFC 6928 section 2, RFC 5681 section 3.1: one lost SYN does not reduce the initial window.
#[test]
fn a_lost_syn_does_not_slow_the_connection_down() {
    let mut wire = Wire::new(millis(10));
    wire.loses = Box::new(|count, _| count == 1);
    let [client, _] = wire.connect([Options::default(), Options::default()]);
    wire.quiet();
    let syns = wire.log.iter().filter(|(_, _, seen)| seen.flags == SYN).count();
    assert_eq!(syns, 2);
    let info = wire.hosts[0].tcp.info(client);
    assert!(info.threshold >= 1 << 30, "the threshold is untouched: {}", info.threshold);
    assert_eq!(info.congestion_window, 10 * info.segment);
    wire.log.clear();
    let now = wire.now;
    wire.hosts[0].tcp.write(client, &[7; 100_000], now).expect("there is room");
    wire.transmit();
    assert_eq!(wire.log.len(), 10, "the initial window leaves at once");
}

/// RFC 2861, RFC 7661: a congestion window that was not used for long is not validated.
#[test]
fn a_window_that_an_application_did_not_use_is_validated() {
    let mut wire = Wire::new(millis(25));
    let options = Options { send_buffer: 4 << 20, receive_buffer: 4 << 20, ..Options::default() };
    let [client, server] = wire.connect([options.clone(), options]);
    let mut buffer = vec![0; 1 << 20];
    let mut drain = |wire: &mut Wire| while wire.hosts[1].tcp.read(server, &mut buffer, wire.now).is_ok() {};
    for _ in 0..40 {
        let now = wire.now;
        let _full_or_not = wire.hosts[0].tcp.write(client, &[7; 400_000], now);
        wire.pass(millis(50));
        drain(&mut wire);
    }
    while wire.hosts[0].tcp.info(client).send_queue > 0 {
        wire.pass(millis(50));
        drain(&mut wire);
    }
    let grown = wire.hosts[0].tcp.info(client).congestion_window;
    assert!(grown > 200_000, "{grown}");
    // Ten seconds of single bytes.
    for _ in 0..100 {
        let now = wire.now;
        wire.hosts[0].tcp.write(client, b"x", now).expect("there is room");
        wire.pass(millis(100));
        drain(&mut wire);
    }
    wire.log.clear();
    let now = wire.now;
    wire.hosts[0].tcp.write(client, &vec![7; 1 << 20], now).expect("there is room");
    wire.transmit();
    let burst: usize = wire.log.iter().map(|(_, _, seen)| seen.payload.len()).sum();
    let info = wire.hosts[0].tcp.info(client);
    assert!(burst <= 20 * info.segment, "a burst of {burst} bytes, the window had been {grown}");
}

/// A lost segment is retransmitted after little more than a round trip, without the timer: because of segments that
/// arrive after it (RFC 8985 section 6), or, if there are none, because of a probe (section 7).
#[test]
fn a_lost_segment_is_recovered_without_the_timer() {
    const ROUND: Duration = millis(100);
    // The time from the first transmission to the retransmission, and the number of the last packet with data.
    let run = |lost: usize, selective: bool| {
        let mut wire = Wire::new(ROUND / 2);
        wire.loses = Box::new(move |count, _| count == lost);
        let options = Options { selective, ..Options::default() };
        let [client, server] = wire.connect([options.clone(), options]);
        let (begun, mut read) = (wire.now, 0);
        wire.hosts[0].tcp.write(client, &[7; 60_000], begun).expect("there is room");
        while read < 60_000 {
            assert!(wire.step(Duration::from_secs(10)), "a stall after {read} bytes");
            let now = wire.now;
            read += wire.hosts[1].tcp.read(server, &mut [0; 65_536], now).unwrap_or(0);
        }
        let data: Vec<_> = (1..).zip(&wire.log).filter(|(_, (_, _, seen))| !seen.payload.is_empty()).collect();
        let first = data.iter().find(|(number, _)| *number == lost).map(|(_, (at, _, seen))| (*at, seen.end()));
        let again = first.and_then(|(first, end)| {
            data.iter()
                .find(|(number, (_, _, seen))| *number > lost && seen.end() == end)
                .map(|(_, (at, ..))| *at - first)
        });
        (again, data.last().map_or(0, |(number, _)| *number))
    };
    let (_, last) = run(usize::MAX, true);
    for selective in [true, false] {
        let (again, _) = run(8, selective);
        assert!(again.is_some_and(|again| again <= ROUND * 5 / 4), "{again:?}, selective: {selective}");
    }
    let (again, _) = run(last, true);
    // Twice the round trip time, which includes delayed acknowledgements, and 200 ms for a lone segment.
    assert!(again.is_some_and(|again| again <= ROUND * 5 / 2 + millis(200)), "{again:?}");
}

/// A shell delivers all frames that have arrived before it sends. This costs no round trip if they report a loss: the
/// segments that earlier acknowledgements allow leave first, as if the frames were delivered one by one.
#[test]
fn segments_allowed_by_acknowledgements_leave_before_a_later_loss_is_handled() {
    let mut victim = Victim::new();
    let listener = victim.listen(Options::default());
    let mut options = MSS.to_vec();
    options.extend([4, 2, 1, 1]);
    let (peer, accepted) = Peer::open(&mut victim, listener, 1000, &options);
    victim.tcp.write(accepted.id, &[7; 100_000], victim.now).expect("there is room");
    let sent = victim.transmit();
    assert_eq!(sent.len(), 10);
    let end = |index: usize| sent[index].end();
    victim.now += millis(50);
    for index in 0..4 {
        let packet = Raw { acknowledgement: end(index), ..peer.segment(ACK, &[]) }.packet();
        victim.tcp.receive(victim.now, &packet, &mut victim.out);
    }
    for index in 5..10 {
        let mut options = vec![1, 1, 5, 10];
        options.extend([end(4), end(index)].iter().flat_map(|edge| edge.to_be_bytes()));
        let packet = Raw { acknowledgement: end(3), options, ..peer.segment(ACK, &[]) }.packet();
        victim.tcp.receive(victim.now, &packet, &mut victim.out);
    }
    let then = victim.transmit();
    let (new, again): (Vec<&Seen>, Vec<&Seen>) =
        then.iter().partition(|seen| seen.sequence.wrapping_sub(end(9)) < 1 << 31);
    assert_eq!(again.iter().map(|seen| seen.end()).collect::<Vec<_>>(), [end(4)]);
    assert!(new.len() >= 8, "four were acknowledged in slow start: {} new segments", new.len());
}

/// RFC 5681 section 4.2: each segment gets an acknowledgement, even if all are processed at once, because a peer
/// without SACK counts them.
#[test]
fn segments_out_of_order_are_acknowledged_one_by_one() {
    let mut victim = Victim::new();
    let listener = victim.listen(Options::default());
    let (mut peer, _) = Peer::open(&mut victim, listener, 1000, &MSS);
    let lost = peer.next;
    peer.next += 1000;
    for _ in 0..5 {
        let packet = peer.segment(ACK, &[7; 1000]).packet();
        victim.tcp.receive(victim.now, &packet, &mut victim.out);
        peer.next += 1000;
    }
    let sent = victim.transmit();
    assert_eq!(sent.iter().map(|seen| seen.acknowledgement).collect::<Vec<_>>(), [lost; 5]);
}
