//! Several datagrams as one packet: on devices that cut a large one into datagrams of equal size (USO, GSO of Linux),
//! and that put several which arrived into one (GRO).

/// How a packet that holds several datagrams is cut: every so many bytes of payload, the last datagram being what is
/// left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpSegmentation {
    /// Bytes of payload of each datagram but the last; not 0.
    pub segment: usize,
}

/// How many datagrams are put into one packet at most (`UDP_MAX_SEGMENTS` of Linux when it came with UDP GSO; devices
/// of today take no less).
pub const MOST_SEGMENTS: usize = 64;

/// Datagrams that leave as one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How many of those that were looked at, from the first on.
    pub count: usize,
    /// Bytes of payload in all.
    pub length: usize,
    /// How the device has to cut them; `None` for a datagram of its own.
    pub segmentation: Option<UdpSegmentation>,
}

/// The datagrams of a payload that was put together of several, which are as many as the payload has segments; one with
/// the whole payload where `segmentation` is none, or says 0.
pub fn split(payload: &[u8], segmentation: Option<UdpSegmentation>) -> impl Iterator<Item = &[u8]> {
    let segment = segmentation.map_or(0, |segmentation| segmentation.segment);
    let segment = if segment == 0 { payload.len().max(1) } else { segment };
    // An empty datagram is one too.
    let empty = payload.is_empty().then_some(payload);
    empty.into_iter().chain(payload.chunks(segment))
}

/// How many of the next datagrams leave as one packet: those in a row whose headers are to be the same, of the length
/// of the first, up to [`MOST_SEGMENTS`] and to `longest` bytes of payload. The last may be shorter, but not empty,
/// since nothing would be left of it.
///
/// Of each datagram, `datagrams` tells what its headers are made from, the two ends and the hop limit for example, and
/// the bytes of its payload. `None` where there is no datagram.
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
    fn a_shorter_datagram_is_the_last_one_and_a_longer_one_begins_anew() {
        assert_eq!(coalesce([('a', 100), ('a', 100), ('a', 99), ('a', 99)], LONGEST), batch(3, 299, 100));
        assert_eq!(coalesce([('a', 100), ('a', 101)], LONGEST), alone(100));
        assert_eq!(coalesce([('a', 100), ('a', 0), ('a', 100)], LONGEST), alone(100));
        assert_eq!(coalesce([('a', 0), ('a', 0)], LONGEST), alone(0));
    }

    #[test]
    fn no_more_leave_together_than_devices_take() {
        assert_eq!(coalesce([('a', 100); 100], LONGEST), batch(64, 6400, 100));
        assert_eq!(coalesce([('a', 1472); 100], LONGEST), batch(44, 44 * 1472, 1472));
        assert_eq!(coalesce([('a', 1000); 100], 2999), batch(2, 2000, 1000));
        assert_eq!(coalesce([('a', 60_000); 2], 100), alone(60_000), "the first is the caller's to refuse");
        assert_eq!(coalesce([('a', usize::MAX); 2], usize::MAX), batch(2, usize::MAX, usize::MAX));
    }

    #[test]
    fn what_was_put_together_is_split_where_it_was_joined() {
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
    fn what_is_no_batch_is_one_datagram() {
        let segments = |payload, segment| split(payload, segment).map(<[u8]>::len).collect::<Vec<_>>();
        assert_eq!(segments(&[1; 9], None), [9]);
        assert_eq!(segments(&[], None), [0]);
        assert_eq!(segments(&[], Some(UdpSegmentation { segment: 4 })), [0]);
        assert_eq!(segments(&[1; 9], Some(UdpSegmentation { segment: 0 })), [9]);
        assert_eq!(segments(&[1; 9], Some(UdpSegmentation { segment: 4 })), [4, 4, 1]);
        assert_eq!(segments(&[1; 9], Some(UdpSegmentation { segment: usize::MAX })), [9]);
    }
}
