//! Headers: checksums, options and their padding (RFC 9293 sections 3.1, 3.2 and 3.7.1).

use xila_network_engine::tcp::segment::{Control, Header, SackBlocks, SegmentOptions, Timestamp};
use xila_network_engine::tcp::sequence::Sequence;

use super::host::{Arrival, Host, ends, header};

/// The checksum of RFC 1071: the folded sum of the 16-bit words.
fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let mut total: u32 = words.sum();
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    u16::try_from(total).expect("folded")
}

/// The sum over a packet's segment and its pseudo-header: all ones if the checksum is correct.
fn checksum(packet: &[u8]) -> u16 {
    let (addresses, segment) =
        if packet[0] >> 4 == 4 { (&packet[12..20], &packet[20..]) } else { (&packet[8..40], &packet[40..]) };
    let length = u32::try_from(segment.len()).expect("short");
    sum(&[addresses, &length.to_be_bytes(), &[0, 0, 0, 6], segment].concat())
}

/// MUST-2.
#[test]
fn every_sent_segment_has_a_correct_checksum() {
    for (local, remote) in ends() {
        let mut host = Host::new(1);
        host.connect(remote, local);
        let mut sent = host.transmit();
        let (connection, _) = host.accepted(local, remote);
        for length in [1, 2, 101, 1460, 3001] {
            host.tcp.write(connection, &vec![0xa5; length], host.now).expect("there is room");
            sent.extend(host.transmit());
        }
        host.tcp.shutdown_write(connection, host.now).expect("it is open");
        sent.extend(host.transmit());
        sent.extend(host.receive(&Arrival { control: Control::ACK, ..Arrival::new(remote, remote) }.packet()));
        assert!(sent.len() > 7);
        for packet in sent {
            assert_eq!(checksum(&packet), 0xffff, "{packet:?}");
        }
    }
}

/// MUST-3.
#[test]
fn a_segment_with_a_wrong_checksum_is_dropped() {
    for (local, remote) in ends() {
        let mut host = Host::new(1);
        let (connection, mut peer) = host.accepted(local, remote);
        peer.text = b"hello".to_vec();
        let good = peer.packet();
        for at in header(&good)..good.len() {
            for bit in [1, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= bit;
                assert_eq!(host.receive(&bad), Vec::<Vec<u8>>::new(), "{at}");
            }
        }
        // As if the segment were for another host.
        let mut bad = good.clone();
        bad[if local.is_ipv4() { 19 } else { 39 }] ^= 4;
        assert_eq!(host.receive(&bad), Vec::<Vec<u8>>::new());
        assert!(!host.tcp.is_readable(connection));
        host.receive(&good);
        assert_eq!(host.read(connection, 100), Ok(b"hello".to_vec()));
    }
}

/// MUST-68, MUST-69.
#[test]
fn options_have_lengths_and_are_padded_with_zeros() {
    let blocks: SackBlocks = (0..4).map(|block| (Sequence(10 * block + 1), Sequence(10 * block + 6))).collect();
    for combination in 0..32_u32 {
        let has = |bit: u32| combination & 1 << bit != 0;
        let options = SegmentOptions {
            mss: has(0).then_some(1460),
            scale: has(1).then_some(7),
            sack_permitted: has(2),
            timestamp: has(3).then_some(Timestamp { value: 0x0102_0304, echo: 0x0506_0708 }),
            sack: if has(4) { blocks.clone() } else { SackBlocks::new() },
        };
        let head = Header {
            source_port: 1,
            destination_port: 2,
            sequence: Sequence(3),
            acknowledgement: Sequence(4),
            control: Control::ACK,
            window: 5,
            options,
        }
        .emit();
        let bytes = head.bytes();
        assert_eq!(usize::from(bytes[12] >> 4) * 4, bytes.len());
        let mut rest = &bytes[20..];
        let mut kinds = Vec::new();
        while let Some((kind, after)) = rest.split_first() {
            match kind {
                0 => {
                    assert!(rest.len() < 4 && rest.iter().all(|byte| *byte == 0), "{rest:?}");
                    break;
                }
                1 => rest = after,
                kind => {
                    kinds.push(*kind);
                    rest = &rest[usize::from(after[0])..];
                }
            }
        }
        let wanted = [(0, 2), (1, 3), (2, 4), (3, 8), (4, 5)].into_iter().filter(|(bit, _)| has(*bit));
        assert_eq!(kinds, wanted.map(|(_, kind)| kind).collect::<Vec<u8>>(), "{combination:b}");
    }
}

/// MUST-50: the part that the IP layer leaves to TCP.
#[test]
fn ip_options_do_not_prevent_a_segment_from_being_accepted() {
    let (local, remote) = ends()[0];
    let unknown = [0x9e, 4, 1, 2];
    let route = [7, 7, 4, 192, 0, 2, 9, 0];
    let time = [68, 12, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for options in [&unknown[..], &route, &time, &[1, 1, 1, 0]] {
        let mut host = Host::new(1);
        let (connection, mut peer) = host.accepted(local, remote);
        peer.text = b"hello".to_vec();
        let mut packet = peer.packet();
        packet.splice(20..20, options.iter().copied());
        packet[0] = 0x45 + u8::try_from(options.len() / 4).expect("ten words at most");
        let length = u16::try_from(packet.len()).expect("short");
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        packet[10..12].fill(0);
        let checksum = !sum(&packet[..20 + options.len()]);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        host.receive(&packet);
        assert_eq!(host.read(connection, 100), Ok(b"hello".to_vec()), "{options:?}");
    }
}

/// SHLD-6.
#[test]
fn the_announced_mss_follows_the_mtu_of_the_link() {
    for (local, remote) in ends() {
        let mut host = Host::new(1);
        let headers = if local.is_ipv4() { 40 } else { 60 };
        for (port, mtu) in [(1, 1500_u16), (2, 1280), (3, 9000)] {
            host.tcp.set_mtu(mtu.into());
            host.connect(local, std::net::SocketAddr::new(remote.ip(), port));
            let syn = host.transmit().pop().expect("a SYN");
            let [high, low] = (mtu - headers).to_be_bytes();
            assert_eq!(syn[header(&syn) + 20..][..4], [2, 4, high, low], "{mtu}");
        }
    }
}
