use std::vec;
use std::vec::Vec;

use super::*;
use crate::buffer::Slice;
use crate::random::Random;

fn v4(last: u8, port: u16) -> SocketAddr {
    ([192, 0, 2, last], port).into()
}

fn v6(last: u16, port: u16) -> SocketAddr {
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], port).into()
}

fn written(source: SocketAddr, destination: SocketAddr, payload: &[u8], checksums: Checksums) -> Vec<u8> {
    let mut into = vec![0xee; HEADER + payload.len() + 3];
    let length = write(source, destination, payload.into(), checksums, &mut into).expect("it fits");
    assert_eq!(into.split_off(length), [0xee; 3], "what lies behind is left alone");
    into
}

fn parse(source: SocketAddr, destination: SocketAddr, bytes: &[u8]) -> Result<Received<'_>, Malformed> {
    read(source.ip(), destination.ip(), bytes, true)
}

#[test]
fn a_datagram_has_the_layout_of_the_rfc() {
    let bytes = written(v4(1, 0x1234), v4(2, 53), b"abc", Checksums::All);
    // c000 + 0201 + c000 + 0202 + 0011 + 000b, 1234 + 0035 + 000b, 6162 + 6300: the sum is 25af5, with the carry 5af7.
    assert_eq!(bytes, [0x12, 0x34, 0, 53, 0, 11, 0xa5, 0x08, b'a', b'b', b'c']);
    let received = Received { source: v4(1, 0x1234), destination: v4(2, 53), payload: b"abc" };
    assert_eq!(parse(v4(1, 0), v4(2, 0), &bytes), Ok(received));
}

#[test]
fn a_written_datagram_is_parsed_again_however_its_payload_is_divided() {
    let mut random = Random::new([1; 32]);
    for round in 0..500 {
        let payload: Vec<u8> = (0..random.range(0..=200)).map(|_| random.next_u32() as u8).collect();
        let [first, second] = [(); 2].map(|()| random.below(payload.len() as u32 + 1) as usize);
        let (first, second) = (first.min(second), first.max(second));
        let slices = [Slice::from(&payload[first..second]), Slice::from(&payload[second..])];
        let ends = if round % 2 == 0 { (v4(1, 7), v4(2, 9)) } else { (v6(1, 7), v6(2, 9)) };
        let mut into = [0; 300];
        let parts = Payload::new(&payload[..first], &slices);
        let length = write(ends.0, ends.1, parts, Checksums::All, &mut into).expect("it fits");
        assert_eq!(into[..length], written(ends.0, ends.1, &payload, Checksums::All));
        assert_eq!(parse(ends.0, ends.1, &into[..length]).map(|received| received.payload), Ok(&payload[..]));
    }
}

#[test]
fn padding_is_removed_and_truncated_datagrams_are_refused() {
    let mut bytes = written(v4(1, 7), v4(2, 9), b"abcd", Checksums::All);
    for length in 0..bytes.len() {
        let error = if length < HEADER { Malformed::Short } else { Malformed::Length };
        assert_eq!(parse(v4(1, 7), v4(2, 9), &bytes[..length]), Err(error), "{length}");
    }
    bytes.extend([1; 30]);
    assert_eq!(parse(v4(1, 7), v4(2, 9), &bytes).map(|received| received.payload), Ok(&b"abcd"[..]));
    for length in 0..8 {
        bytes[5] = length;
        assert_eq!(parse(v4(1, 7), v4(2, 9), &bytes), Err(Malformed::Length));
    }
}

#[test]
fn every_wrong_bit_is_detected_by_the_checksum() {
    for (source, destination) in [(v4(1, 7), v4(2, 9)), (v6(1, 7), v6(2, 9))] {
        let bytes = written(source, destination, b"abcde", Checksums::All);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(source, destination, &damaged).is_err(), "{bit}");
        }
        assert_eq!(
            parse(v4(1, 7), v4(3, 9), &written(v4(1, 7), v4(2, 9), b"", Checksums::All)),
            Err(Malformed::Checksum)
        );
        let mut damaged = bytes;
        damaged[9] ^= 1;
        assert!(read(source.ip(), destination.ip(), &damaged, false).is_ok(), "nobody wants to look");
    }
}

#[test]
fn a_missing_checksum_is_accepted_over_ipv4_and_refused_over_ipv6() {
    let bytes = written(v4(1, 7), v4(2, 9), b"abc", Checksums::None);
    assert_eq!(&bytes[6..8], [0, 0]);
    assert!(parse(v4(1, 7), v4(2, 9), &bytes).is_ok());
    let bytes = written(v6(1, 7), v6(2, 9), b"abc", Checksums::None);
    assert_eq!(parse(v6(1, 7), v6(2, 9), &bytes), Err(Malformed::NoChecksum));
    assert!(read(v6(1, 7).ip(), v6(2, 9).ip(), &bytes, false).is_ok(), "on a link where nobody looks");
}

#[test]
fn a_checksum_of_0_is_written_as_all_ones() {
    // The payload is chosen so that the checksum becomes 0.
    let without = written(v4(1, 7), v4(2, 9), &[0, 0], Checksums::All);
    let bytes = written(v4(1, 7), v4(2, 9), &without[6..8], Checksums::All);
    assert_eq!(&bytes[6..8], [0xff, 0xff]);
    assert!(parse(v4(1, 7), v4(2, 9), &bytes).is_ok());
}

#[test]
fn a_device_is_given_the_checksum_of_the_pseudo_header() {
    for (source, destination) in [(v4(1, 7), v4(2, 9)), (v6(1, 7), v6(2, 9))] {
        let partial = written(source, destination, b"abc", Checksums::Partial);
        // The device sums the header and data, including the checksum field, and writes the complement.
        let sum = smoltcp::wire::checksum::data(&partial);
        let whole = written(source, destination, b"abc", Checksums::All);
        assert_eq!((!sum).to_be_bytes(), whole[6..8]);
    }
}

#[test]
fn only_the_source_port_may_be_0() {
    let bytes = written(v4(1, 0), v4(2, 9), b"abc", Checksums::All);
    assert_eq!(parse(v4(1, 0), v4(2, 9), &bytes).map(|received| received.source), Ok(v4(1, 0)));
    let bytes = written(v4(1, 7), v4(2, 0), b"abc", Checksums::All);
    assert_eq!(parse(v4(1, 7), v4(2, 0), &bytes), Err(Malformed::NoPort));
}

#[test]
fn datagrams_that_cannot_be_written_are_refused() {
    let payload = vec![0; 65_528];
    let mut into = vec![0; 65_536];
    let mut attempt = |from, to, length| write(from, to, payload[..length].into(), Checksums::All, &mut into);
    assert_eq!(attempt(v4(1, 7), v4(2, 9), 65_507), Ok(65_515));
    assert_eq!(attempt(v4(1, 7), v4(2, 9), 65_508), Err(WriteError::TooLong));
    assert_eq!(attempt(v6(1, 7), v6(2, 9), 65_527), Ok(65_535));
    assert_eq!(attempt(v6(1, 7), v6(2, 9), 65_528), Err(WriteError::TooLong));
    assert_eq!(attempt(v6(1, 7), v4(2, 9), 1), Err(WriteError::Families));
    let mut short = [0; 10];
    assert_eq!(write(v4(1, 7), v4(2, 9), b"abc"[..].into(), Checksums::All, &mut short), Err(WriteError::NoRoom));
    assert_eq!(short, [0; 10]);
    assert_eq!(read(v4(1, 7).ip(), v6(2, 9).ip(), &into, true), Err(Malformed::Families));
}

#[test]
fn arbitrary_bytes_do_not_panic() {
    let mut random = Random::new([2; 32]);
    let valid = written(v6(1, 7), v6(2, 9), b"some payload", Checksums::All);
    for round in 0..20_000 {
        let bytes: Vec<u8> = if round % 2 == 0 {
            (0..random.below(40)).map(|_| random.next_u32() as u8).collect()
        } else {
            let mut bytes = valid.clone();
            let at = random.below(bytes.len() as u32) as usize;
            bytes[at] = random.next_u32() as u8;
            bytes.truncate(random.below(30) as usize);
            bytes
        };
        for (source, destination) in [(v4(1, 7), v4(2, 9)), (v6(1, 7), v6(2, 9)), (v4(1, 7), v6(2, 9))] {
            for verify in [false, true] {
                if let Ok(received) = read(source.ip(), destination.ip(), &bytes, verify) {
                    assert_eq!(received.payload, &bytes[HEADER..HEADER + received.payload.len()]);
                }
            }
        }
    }
}
