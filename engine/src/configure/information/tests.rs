//! Tests of the stateless DHCPv6 client: its requests, their times, and the answers that it accepts.

use super::message::code;
use super::*;

const HARDWARE: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 7]);
const IDENTIFIER: [u8; 10] = [0, 3, 0, 1, 2, 0, 0, 0, 0, 7];

fn at(millis: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(millis))
}

/// A Reply to a message, with these options.
fn reply(to: &[u8], options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::from([7, to[1], to[2], to[3]]);
    for (code, data) in options {
        bytes.extend(code.to_be_bytes());
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(*data);
    }
    bytes
}

fn server(last: u8) -> [u8; 16] {
    let mut octets = [0; 16];
    (octets[0], octets[1], octets[15]) = (0x20, 1, last);
    octets
}

/// The next message, and the time at which it is sent.
fn next(client: &mut Client, random: &mut Random) -> (Instant, Vec<u8>) {
    loop {
        let due = client.next_timeout().expect("something is due");
        if let Some(message) = client.poll(due, random) {
            return (due, message);
        }
    }
}

fn asking(random: &mut Random) -> (Client, Instant, Vec<u8>) {
    let mut client = Client::new(HARDWARE, at(1000), random);
    let (due, message) = next(&mut client, random);
    assert!((at(1000)..=at(2000)).contains(&due));
    (client, due, message)
}

#[test]
fn the_question_is_that_of_the_rfc_and_is_asked_again_in_twice_the_time() {
    let mut random = Random::new([1; 32]);
    let (mut client, begun, message) = asking(&mut random);
    let mut expected = Vec::from([11, message[1], message[2], message[3], 0, 1, 0, 10]);
    expected.extend(IDENTIFIER);
    expected.extend([0, 8, 0, 2, 0, 0, 0, 6, 0, 8, 0, 23, 0, 24, 0, 32, 0, 83]);
    assert_eq!(message, expected);
    let (mut last, mut wait) = (begun, 1.0);
    for _ in 0..20 {
        let (due, again) = next(&mut client, &mut random);
        assert_eq!(again[..18], message[..18], "the same transaction");
        let elapsed = u16::from_be_bytes([again[22], again[23]]);
        let hundredths = ((due - begun).as_millis() / 10).min(u128::from(u16::MAX));
        assert_eq!(u128::from(elapsed), hundredths);
        let waited = (due - last).as_secs_f64();
        assert!((0.89..=1.11).contains(&(waited / wait)), "{waited} s");
        (last, wait) = (due, (waited * 2.0).min(3600.0));
    }
    assert!(wait > 3000.0, "once an hour in the end");
}

#[test]
fn an_answer_brings_servers_and_domains_for_its_time() {
    let mut random = Random::new([2; 32]);
    for (refresh, until) in
        [(None, Some(86_400)), (Some(7200), Some(7200)), (Some(5), Some(600)), (Some(u32::MAX), None)]
    {
        let (mut client, now, message) = asking(&mut random);
        let servers = [server(1), server(2), server(1), [0; 16], [0xff; 16]].concat();
        let refreshed = refresh.map(u32::to_be_bytes);
        let mut options: Vec<(u16, &[u8])> = Vec::from([
            (code::SERVER, &[0, 1][..]),
            (code::CLIENT, &IDENTIFIER[..]),
            (code::DNS_SERVERS, &servers[..]),
            (code::DOMAINS, &b"\x03lan\x07example\0\x04home\0"[..]),
        ]);
        options.extend(refreshed.as_ref().map(|seconds| (code::REFRESH, &seconds[..])));
        assert!(client.receive(&reply(&message, &options), now));
        assert_eq!(client.answer().servers, [Ipv6Addr::from(server(1)), Ipv6Addr::from(server(2))]);
        assert_eq!(client.answer().domains, ["lan.example", "home"]);
        assert_eq!(client.next_timeout(), until.map(|seconds| now + Duration::from_secs(seconds)));
        assert!(!client.receive(&reply(&message, &options), now), "it is not asked any more");
        if until.is_some() {
            let (due, again) = next(&mut client, &mut random);
            assert!(due <= now + Duration::from_secs(until.unwrap_or_default() + 1));
            assert_ne!(again[1..4], message[1..4], "another transaction");
            assert_eq!(client.answer().servers.len(), 2, "it counts until the next one");
        }
    }
}

#[test]
fn a_link_that_is_back_is_asked_and_a_server_may_set_how_rarely() {
    let mut random = Random::new([3; 32]);
    let (mut client, now, message) = asking(&mut random);
    let mine: [(u16, &[u8]); 3] =
        [(code::SERVER, &[9]), (code::CLIENT, &IDENTIFIER), (code::LONGEST_WAIT, &[0, 0, 0, 60])];
    assert!(client.receive(&reply(&message, &mine), now));
    assert_eq!(*client.answer(), Answer::default(), "there is nothing, and that is known");
    client.verify(now, &mut random);
    for _ in 0..12 {
        next(&mut client, &mut random);
    }
    let (before, _) = next(&mut client, &mut random);
    let (due, _) = next(&mut client, &mut random);
    assert!((due - before).as_secs() <= 66, "{:?}", due - before);
}

/// RFC 8415 section 16.10.
#[test]
fn what_does_not_answer_the_question_is_not_believed() {
    let mut random = Random::new([4; 32]);
    let (mut client, now, message) = asking(&mut random);
    let good: [(u16, &[u8]); 2] = [(code::SERVER, &[9]), (code::CLIENT, &IDENTIFIER)];
    let mut other = message.clone();
    other[3] ^= 1;
    let mut not_a_reply = reply(&message, &good);
    not_a_reply[0] = 2;
    let whole = reply(&message, &good);
    for bad in [
        reply(&other, &good),
        not_a_reply,
        reply(&message, &good[..1]),
        reply(&message, &good[1..]),
        reply(&message, &[good[0], (code::CLIENT, &[0, 3, 0, 1, 2, 0, 0, 0, 0, 8])]),
        reply(&message, &[good[0], good[1], (code::STATUS, &[0, 1])]),
        whole[..whole.len() - 1].to_vec(),
        Vec::new(),
    ] {
        assert!(!client.receive(&bad, now), "{bad:?}");
    }
    assert!(client.receive(&whole, now));
}

#[test]
fn no_bytes_panic_and_lists_are_bounded() {
    let mut random = Random::new([5; 32]);
    for _ in 0..5000 {
        let (mut client, now, message) = asking(&mut random);
        let servers: Vec<u8> = (0..random.below(20)).flat_map(|number| server(number as u8)).collect();
        let good: [(u16, &[u8]); 3] =
            [(code::SERVER, &[9]), (code::CLIENT, &IDENTIFIER), (code::DNS_SERVERS, &servers)];
        let mut bytes = reply(&message, &good);
        if random.below(4) > 0 {
            let at = 4 + random.below(bytes.len() as u32 - 4) as usize;
            bytes[at] = random.next_u32() as u8;
        }
        client.receive(&bytes, now);
        assert!(client.answer().servers.len() <= MOST_SERVERS);
    }
}
