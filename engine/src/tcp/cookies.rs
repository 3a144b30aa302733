//! SYN cookies (RFC 4987 section 3.6): while too many handshakes are under way, the state of a new one is encoded in
//! its initial sequence number instead of being stored.
//!
//! The number encodes the time and the MSS that the peer's SYN offered, and proves that this host has made it. It has
//! no room for the peer's window scale and its support of selective acknowledgements and ECN. These are encoded in the
//! timestamp if the peer uses timestamps; otherwise the connection does without them.

use super::handshake::Agreement;
use super::options::Options;
use super::receive::scale_for;
use super::segment::Segment;
use super::sequence::Sequence;
use super::tuple::Tuple;
use crate::random::{Random, Secret};
use crate::time::Instant;

/// The values of MSS that a cookie can encode. Of those that are not larger than the peer's, the largest is used.
const SIZES: [u16; 8] = [48, 536, 1220, 1300, 1380, 1440, 1460, 8940];
/// The time in milliseconds during which the counter in cookies stays the same.
const PERIOD: u64 = 64_000;
/// The number of periods whose cookies are accepted: a cookie is valid for at least about a minute.
const PERIODS: u64 = 2;
/// The number of bits of a timestamp that encode what the peer has offered.
const BITS: u32 = 6;
/// The encoded window scale that means that the peer does not scale windows.
const NO_SCALE: u32 = 15;

/// The secrets of one interface's cookies.
#[derive(Clone)]
pub(super) struct Cookies {
    base: Secret,
    check: Secret,
    /// When the last cookie was sent. If none can still come back, acknowledgements are not checked for cookies.
    last: Option<Instant>,
}

impl Cookies {
    pub(super) fn new(random: &mut Random) -> Self {
        Self { base: Secret::new(random), check: Secret::new(random), last: None }
    }

    /// The part of an agreement that a cookie preserves. The answer to the SYN must not contain more: otherwise the
    /// peer would scale windows, and this end would not.
    pub(super) fn kept(agreement: &Agreement) -> Agreement {
        match agreement.timestamp {
            Some(_) => *agreement,
            None => Agreement { scales: None, selective: false, ecn: false, ..*agreement },
        }
    }

    /// Makes a cookie: the initial sequence number of the answer to a SYN.
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

    /// Whether a cookie that was sent may still come back.
    pub(super) fn are_out(&self, now: Instant) -> bool {
        self.last.is_some_and(|last| now.millis() / PERIOD <= last.millis() / PERIOD + PERIODS)
    }

    /// The initial sequence numbers of both ends, and the agreement with the peer whose acknowledgement carries a
    /// cookie; `None` if it carries no valid cookie. `offset` is the offset of the connection's timestamp clock.
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
            // A scale of at most 14 bits.
            scales: scale.map(|scale| (scale.min(14) as u8, own)),
            selective: said.is_some_and(|said| said & 0x10 != 0),
            timestamp: timestamp.map(|timestamp| timestamp.value),
            ecn: said.is_some_and(|said| said & 0x20 != 0),
        };
        Some((isn, peer_isn, agreement))
    }

    /// The TSval of the answer to a SYN: the present clock, with its lowest bits replaced by what the peer offered, and
    /// never later than the present clock.
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
            // Without a timestamp, only the MSS is preserved.
            let read = cookies.read(&tuple(1), &acknowledgement(isn, Sequence(77), None), &options, 5, at(1010));
            let plain = Agreement { mss: said, scales: None, selective: false, timestamp: None, ecn: false };
            assert_eq!(read, Some((isn, Sequence(77), plain)));
        }
    }

    #[test]
    fn forged_and_expired_cookies_are_refused() {
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
