//! Several datagrams in one packet: for devices that split a large packet into datagrams of equal size (USO, GSO of
//! Linux), and that merge several received datagrams into one packet (GRO).

/// How a packet with several datagrams is split: after every `segment` bytes of payload. The last datagram has the
/// rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpSegmentation {
    /// The payload length of each datagram but the last; not 0.
    pub segment: usize,
}

/// The most datagrams in one packet (`UDP_MAX_SEGMENTS` of Linux when UDP GSO was introduced; today's devices accept at
/// least as many).
pub const MOST_SEGMENTS: usize = 64;

/// Datagrams that are sent as one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How many of the given datagrams it contains, from the first on.
    pub count: usize,
    /// The total length of the payloads in bytes.
    pub length: usize,
    /// How the device must split it; `None` if it is a single datagram.
    pub segmentation: Option<UdpSegmentation>,
}

/// Splits a payload into its datagrams. It is one datagram if `segmentation` is `None` or its segment is 0.
pub fn split(payload: &[u8], segmentation: Option<UdpSegmentation>) -> impl Iterator<Item = &[u8]> {
    let segment = segmentation.map_or(0, |segmentation| segmentation.segment);
    let segment = if segment == 0 { payload.len().max(1) } else { segment };
    // An empty payload is one empty datagram.
    let empty = payload.is_empty().then_some(payload);
    empty.into_iter().chain(payload.chunks(segment))
}

/// The datagrams at the beginning that can be sent as one packet: consecutive ones with equal headers and with the
/// length of the first, up to [`MOST_SEGMENTS`] and to `longest` bytes of payload in total. The last one may be
/// shorter, but not empty, because splitting would not restore it.
///
/// For each datagram, `datagrams` has the values that its headers are made from, such as the two ends and the hop
/// limit, and its payload length. Returns `None` if there is no datagram.
pub fn coalesce<H: PartialEq>(datagrams: impl IntoIterator<Item = (H, usize)>, longest: usize) -> Option<Batch> {
    let mut datagrams = datagrams.into_iter();
    let (header, segment) = datagrams.next()?;
    let mut batch = Batch { count: 1, length: segment, segmentation: None };
    for (next, length) in datagrams.take(MOST_SEGMENTS - 1) {
        let total = batch.length.saturating_add(length);
        if next != header || length == 0 || length > segment || total > longest {
            break;
        }
        batch = Batch { count: batch.count + 1, length: total, segmentation: Some(UdpSegmentation { segment }) };
        if length < segment {
            break;
        }
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;
    use crate::random::Random;

    const LONGEST: usize = 65_507;

    fn batch(count: usize, length: usize, segment: usize) -> Option<Batch> {
        Some(Batch { count, length, segmentation: Some(UdpSegmentation { segment }) })
    }

    fn alone(length: usize) -> Option<Batch> {
        Some(Batch { count: 1, length, segmentation: None })
    }

    #[test]
    fn datagrams_of_equal_length_to_the_same_ends_leave_together() {
        assert_eq!(coalesce([('a', 100); 10], LONGEST), batch(10, 1000, 100));
        assert_eq!(coalesce([('a', 100), ('a', 100), ('b', 100)], LONGEST), batch(2, 200, 100));
        assert_eq!(coalesce([('a', 100), ('b', 100), ('a', 100)], LONGEST), alone(100), "their order stays");
        assert_eq!(coalesce::<char>([], LONGEST), None);
    }

    #[test]
    fn a_shorter_datagram_ends_a_batch_and_a_longer_one_begins_another() {
        assert_eq!(coalesce([('a', 100), ('a', 100), ('a', 99), ('a', 99)], LONGEST), batch(3, 299, 100));
        assert_eq!(coalesce([('a', 100), ('a', 101)], LONGEST), alone(100));
        assert_eq!(coalesce([('a', 100), ('a', 0), ('a', 100)], LONGEST), alone(100));
        assert_eq!(coalesce([('a', 0), ('a', 0)], LONGEST), alone(0));
    }

    #[test]
    fn a_batch_is_no_larger_than_devices_accept() {
        assert_eq!(coalesce([('a', 100); 100], LONGEST), batch(64, 6400, 100));
        assert_eq!(coalesce([('a', 1472); 100], LONGEST), batch(44, 44 * 1472, 1472));
        assert_eq!(coalesce([('a', 1000); 100], 2999), batch(2, 2000, 1000));
        assert_eq!(coalesce([('a', 60_000); 2], 100), alone(60_000), "the first is the caller's to refuse");
        assert_eq!(coalesce([('a', usize::MAX); 2], usize::MAX), batch(2, usize::MAX, usize::MAX));
    }

    #[test]
    fn a_batch_is_split_into_the_original_datagrams() {
        let mut random = Random::new([3; 32]);
        for _ in 0..2000 {
            let segment = random.range(1..=1500);
            let mut lengths = vec![segment; usize::from(random.range(0..=70))];
            lengths.push(random.range(0..=segment));
            let list: Vec<Vec<u8>> =
                lengths.iter().map(|length| (0..*length).map(|_| random.next_u32() as u8).collect()).collect();
            let batch = coalesce(list.iter().map(|payload| ((), payload.len())), LONGEST).expect("there is one");
            let joined: Vec<u8> = list.iter().take(batch.count).flatten().copied().collect();
            assert_eq!(joined.len(), batch.length);
            assert!(split(&joined, batch.segmentation).eq(list.iter().take(batch.count).map(Vec::as_slice)));
        }
    }

    #[test]
    fn a_payload_without_segmentation_is_one_datagram() {
        let segments = |payload, segment| split(payload, segment).map(<[u8]>::len).collect::<Vec<_>>();
        assert_eq!(segments(&[1; 9], None), [9]);
        assert_eq!(segments(&[], None), [0]);
        assert_eq!(segments(&[], Some(UdpSegmentation { segment: 4 })), [0]);
        assert_eq!(segments(&[1; 9], Some(UdpSegmentation { segment: 0 })), [9]);
        assert_eq!(segments(&[1; 9], Some(UdpSegmentation { segment: 4 })), [4, 4, 1]);
        assert_eq!(segments(&[1; 9], Some(UdpSegmentation { segment: usize::MAX })), [9]);
    }
}
