//! SYN cookies (RFC 4987 section 3.6): a handshake that is kept in its own sequence number while too many are under way.
//!
//! The number says what the peer's SYN offered and when, and proves that this host has made it. What the number has no room
//! for, the peer's window scale and its readiness for ranges and ECN, goes into the timestamp, where the peer has one;
//! otherwise the connection does without.

use super::handshake::Agreement;
use super::options::Options;
use super::receive::scale_for;
use super::segment::Segment;
use super::sequence::Sequence;
use super::tuple::Tuple;
use crate::random::{Random, Secret};
use crate::time::Instant;

/// The segment sizes that a cookie can say; of those that are no larger than the peer's, the largest.
const SIZES: [u16; 8] = [48, 536, 1220, 1300, 1380, 1440, 1460, 8940];
/// Milliseconds for which the count in a cookie stays the same.
const PERIOD: u64 = 64_000;
/// Cookies of this many periods are taken: at least a minute's.
const PERIODS: u64 = 2;
/// Bits of a timestamp that say what the peer has offered.
const BITS: u32 = 6;
/// A scale that stands for none.
const NO_SCALE: u32 = 15;

/// The secrets of one interface's cookies.
#[derive(Clone)]
pub(super) struct Cookies {
    base: Secret,
    check: Secret,
    /// When the last one was given out: without any, no acknowledgement is looked at for one.
    last: Option<Instant>,
}

impl Cookies {
    pub(super) fn new(random: &mut Random) -> Self {
        Self { base: Secret::new(random), check: Secret::new(random), last: None }
    }

    /// What of an agreement comes back with a cookie. No more may be said in the answer to the SYN: the peer would scale its
    /// reading of windows, and this end not.
    pub(super) fn kept(agreement: &Agreement) -> Agreement {
        match agreement.timestamp {
            Some(_) => *agreement,
            None => Agreement { scales: None, selective: false, ecn: false, ..*agreement },
        }
    }

    /// The initial sequence number for a SYN.
    #[expect(clippy::cast_possible_truncation, reason = "the parts of a cookie are cut to their bits")]
    pub(super) fn make(&mut self, tuple: &Tuple, peer_isn: Sequence, agreement: &Agreement, now: Instant) -> Sequence {
        self.last = Some(now);
        let count = now.millis() / PERIOD;
        let size = SIZES.iter().rposition(|size| *size <= agreement.mss).unwrap_or(0) as u32;
        let base = self.base.hash(&(tuple, peer_isn)) as u32;
        let check = self.check(tuple, peer_isn, count);
        Sequence(base.wrapping_add((count as u32) << 24).wrapping_add(check.wrapping_add(size) & 0x00ff_ffff))
    }

    #[expect(clippy::cast_possible_truncation, reason = "the parts of a cookie are cut to their bits")]
    fn check(&self, tuple: &Tuple, peer_isn: Sequence, count: u64) -> u32 {
        self.check.hash(&(tuple, peer_isn, count)) as u32
    }

    /// Whether a cookie may still come back.
    pub(super) fn are_out(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.millis() / PERIOD <= last.millis() / PERIOD + PERIODS)
    }

    /// What was agreed on with the peer whose acknowledgement carries a cookie; `None` where it does not. `offset` is that of
    /// this connection's clock.
    #[expect(clippy::cast_possible_truncation, reason = "the parts of a cookie are cut to their bits")]
    pub(super) fn read(
        &self,
        tuple: &Tuple,
        segment: &Segment<'_>,
        options: &Options,
        offset: u32,
        now: Instant,
    ) -> Option<(Sequence, Sequence, Agreement)> {
        if !self.are_out(now) {
            return None;
        }
        let present = now.millis() / PERIOD;
        let (isn, peer_isn) = (segment.acknowledgement - 1, segment.sequence - 1);
        let base = self.base.hash(&(tuple, peer_isn)) as u32;
        let rest = isn.0.wrapping_sub(base);
        let age = (present as u32).wrapping_sub(rest >> 24) & 0xff;
        let count = present.checked_sub(u64::from(age)).filter(|_| u64::from(age) < PERIODS)?;
        let size = rest.wrapping_sub(self.check(tuple, peer_isn, count)) & 0x00ff_ffff;
        let mss = *SIZES.get(size as usize)?;
        let timestamp = segment.options.timestamp.filter(|_| options.timestamps);
        let said = timestamp.map(|timestamp| timestamp.echo.wrapping_sub(offset) & ((1 << BITS) - 1));
        let scale = said.map(|said| said & 0xf).filter(|scale| *scale != NO_SCALE && options.window_scaling);
        let own = scale_for(options.receive_limit().max(options.window_limit));
        let agreement = Agreement {
            mss,
            // At most 14.
            scales: scale.map(|scale| (scale.min(14) as u8, own)),
            selective: said.is_some_and(|said| said & 0x10 != 0),
            timestamp: timestamp.map(|timestamp| timestamp.value),
            ecn: said.is_some_and(|said| said & 0x20 != 0),
        };
        Some((isn, peer_isn, agreement))
    }

    /// The clock that the answer to a SYN carries: the present one with its lowest bits taken for what the peer offered, and
    /// never later than it is.
    pub(super) fn stamp(agreement: &Agreement, offset: u32, clock: u32) -> u32 {
        let scale = agreement.scales.map_or(NO_SCALE, |(peer, _)| u32::from(peer));
        let said = scale | u32::from(agreement.selective) << 4 | u32::from(agreement.ecn) << 5;
        let present = clock.wrapping_sub(offset);
        let stamp = (present & !((1 << BITS) - 1)) | said;
        let stamp = if stamp > present { stamp.wrapping_sub(1 << BITS) } else { stamp };
        stamp.wrapping_add(offset)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::buffer::Payload;
    use crate::tcp::segment::{Control, SegmentOptions, Timestamp};

    fn tuple(port: u16) -> Tuple {
        Tuple::new(([10, 0, 0, 1], 80).into(), ([10, 0, 0, 2], port).into())
    }

    fn acknowledgement(isn: Sequence, peer_isn: Sequence, timestamp: Option<Timestamp>) -> Segment<'static> {
        Segment {
            source_port: 1000,
            destination_port: 80,
            sequence: peer_isn + 1,
            acknowledgement: isn + 1,
            control: Control::ACK,
            window: 1000,
            options: SegmentOptions { timestamp, ..SegmentOptions::default() },
            payload: Payload::EMPTY,
        }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    const AGREED: Agreement =
        Agreement { mss: 1460, scales: Some((7, 7)), selective: true, timestamp: Some(9), ecn: true };

    #[test]
    fn a_cookie_says_what_the_syn_offered() {
        let mut cookies = Cookies::new(&mut Random::new([1; 32]));
        let options = Options::default();
        for (mss, said) in [(1460, 1460), (1459, 1440), (100, 48), (9000, 8940), (48, 48)] {
            let agreed = Agreement { mss, ..AGREED };
            let isn = cookies.make(&tuple(1), Sequence(77), &agreed, at(1000));
            let stamp = Cookies::stamp(&agreed, 5, 1_000_005);
            assert!(stamp <= 1_000_005 && stamp > 1_000_005 - 64);
            let segment = acknowledgement(isn, Sequence(77), Some(Timestamp { value: 9, echo: stamp }));
            let read = cookies.read(&tuple(1), &segment, &options, 5, at(1010));
            assert_eq!(read, Some((isn, Sequence(77), Agreement { mss: said, ..AGREED })));
            // Without a timestamp there is only the segment's size.
            let read = cookies.read(&tuple(1), &acknowledgement(isn, Sequence(77), None), &options, 5, at(1010));
            let plain = Agreement { mss: said, scales: None, selective: false, timestamp: None, ecn: false };
            assert_eq!(read, Some((isn, Sequence(77), plain)));
        }
    }

    #[test]
    fn cookies_of_others_and_old_ones_are_none() {
        let mut cookies = Cookies::new(&mut Random::new([1; 32]));
        let options = Options::default();
        let isn = cookies.make(&tuple(1), Sequence(77), &AGREED, at(1000));
        let segment = acknowledgement(isn, Sequence(77), None);
        assert!(cookies.read(&tuple(2), &segment, &options, 0, at(1001)).is_none());
        assert!(cookies.read(&tuple(1), &acknowledgement(isn, Sequence(78), None), &options, 0, at(1001)).is_none());
        assert!(cookies.read(&tuple(1), &segment, &options, 0, at(1001 + 192)).is_none());
        let guessed = (0..100_000u32)
            .filter(|guess| {
                let segment = acknowledgement(Sequence(guess.wrapping_mul(0x9e37_79b9)), Sequence(77), None);
                cookies.read(&tuple(1), &segment, &options, 0, at(1001)).is_some()
            })
            .count();
        assert!(guessed <= 1, "{guessed}");
        assert!(Cookies::new(&mut Random::new([1; 32])).read(&tuple(1), &segment, &options, 0, at(1000)).is_none());
    }
}
