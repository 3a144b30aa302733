//! Parsing of segments that arrive, and headers of segments that leave (RFC 9293 section 3.1).

use core::net::IpAddr;

use smallvec::SmallVec;
use smoltcp::wire::TcpPacket;

use super::sequence::Sequence;
use crate::buffer::{Payload, Slice};
use crate::wire::tcp_checksum;

/// The control bits of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's")]
pub struct Control {
    pub fin: bool,
    pub syn: bool,
    pub rst: bool,
    pub psh: bool,
    pub ack: bool,
    pub ece: bool,
    pub cwr: bool,
}

impl Control {
    /// Only the ACK bit.
    pub const ACK: Self = Self { ack: true, ..Self::NONE };
    /// No bit.
    pub const NONE: Self = Self { fin: false, syn: false, rst: false, psh: false, ack: false, ece: false, cwr: false };

    const fn bits(self) -> u8 {
        (self.fin as u8)
            | (self.syn as u8) << 1
            | (self.rst as u8) << 2
            | (self.psh as u8) << 3
            | (self.ack as u8) << 4
            | (self.ece as u8) << 6
            | (self.cwr as u8) << 7
    }
}

/// The timestamps option (RFC 7323 section 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamp {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the value of the receiver's clock that is echoed.
    pub echo: u32,
}

/// A range of sequence numbers that a receiver holds (RFC 2018): the first number, and the one after the last.
pub type SackBlock = (Sequence, Sequence);

/// The SACK blocks of a segment: at most four, or three if it has a timestamp.
pub type SackBlocks = SmallVec<[SackBlock; 4]>;

/// The options of a segment that this engine knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentOptions {
    /// MSS: the largest segment that the sender accepts (RFC 6691).
    pub mss: Option<u16>,
    /// The shift of the sender's window field (RFC 7323 section 2).
    pub scale: Option<u8>,
    /// SACK-permitted: the sender accepts selective acknowledgements (RFC 2018).
    pub sack_permitted: bool,
    /// The SACK blocks.
    pub sack: SackBlocks,
    /// The timestamp.
    pub timestamp: Option<Timestamp>,
}

const END: u8 = 0;
const NOTHING: u8 = 1;
const MSS: u8 = 2;
const SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMP: u8 = 8;
/// The largest window scale. A larger one is treated as this (RFC 7323 section 2.3).
const MAX_SCALE: u8 = 14;

impl SegmentOptions {
    /// Parses options as far as they are valid. Parsing stops at an option with an impossible length; a known option of
    /// the wrong length is skipped (RFC 9293 section 3.1, MUST-7).
    #[must_use]
    pub fn parse(mut bytes: &[u8]) -> Self {
        let mut options = Self::default();
        while let Some((&kind, rest)) = bytes.split_first() {
            match kind {
                END => break,
                NOTHING => {
                    bytes = rest;
                    continue;
                }
                _ => {}
            }
            let Some(length) = rest.first().map(|length| usize::from(*length)).filter(|length| *length >= 2) else {
                break;
            };
            let Some(value) = bytes.get(2..length) else { break };
            options.take(kind, value);
            bytes = &bytes[length..];
        }
        options
    }

    fn take(&mut self, kind: u8, value: &[u8]) {
        match (kind, value) {
            (MSS, &[high, low]) => self.mss = Some(u16::from_be_bytes([high, low])),
            (SCALE, &[scale]) => self.scale = Some(scale.min(MAX_SCALE)),
            (SACK_PERMITTED, []) => self.sack_permitted = true,
            (SACK, blocks) if !blocks.is_empty() && blocks.len() % 8 == 0 => {
                self.sack =
                    blocks.chunks_exact(8).map(|block| (Sequence(word(block)), Sequence(word(&block[4..])))).collect();
            }
            (TIMESTAMP, value) if value.len() == 8 => {
                self.timestamp = Some(Timestamp { value: word(value), echo: word(&value[4..]) });
            }
            _ => {}
        }
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// A segment that has arrived.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    /// The source port.
    pub source_port: u16,
    /// The destination port.
    pub destination_port: u16,
    /// SEG.SEQ.
    pub sequence: Sequence,
    /// SEG.ACK; only valid if `control.ack` is set.
    pub acknowledgement: Sequence,
    /// The control bits.
    pub control: Control,
    /// SEG.WND as it is in the header, not scaled.
    pub window: u16,
    /// The options.
    pub options: SegmentOptions,
    /// The data.
    pub payload: Payload<'a>,
}

impl<'a> Segment<'a> {
    /// Parses a segment whose header lies in `bytes` and whose data continues in `slices`. Returns `None` if the
    /// segment is malformed, or if `verify` is set and its checksum is wrong.
    #[must_use]
    pub fn parse(
        source: IpAddr,
        destination: IpAddr,
        bytes: &'a [u8],
        slices: &'a [Slice],
        verify: bool,
    ) -> Option<Self> {
        let tcp = TcpPacket::new_checked(bytes).ok()?;
        if tcp.src_port() == 0 || tcp.dst_port() == 0 {
            return None;
        }
        let whole = Payload::new(bytes, slices);
        if verify && tcp_checksum(source, destination, whole.len(), whole.chunks()) != 0 {
            return None;
        }
        let header = usize::from(tcp.header_len());
        Some(Self {
            source_port: tcp.src_port(),
            destination_port: tcp.dst_port(),
            sequence: Sequence(tcp.seq_number().0.cast_unsigned()),
            acknowledgement: Sequence(tcp.ack_number().0.cast_unsigned()),
            control: Control {
                fin: tcp.fin(),
                syn: tcp.syn(),
                rst: tcp.rst(),
                psh: tcp.psh(),
                ack: tcp.ack(),
                ece: tcp.ece(),
                cwr: tcp.cwr(),
            },
            window: tcp.window_len(),
            options: SegmentOptions::parse(bytes.get(FIXED_HEADER..header)?),
            payload: Payload::new(bytes.get(header..)?, slices),
        })
    }

    /// SEG.LEN: the number of sequence numbers that the segment occupies, SYN and FIN included.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.payload.len() + self.control.syn as usize + self.control.fin as usize
    }

    /// The sequence number after the last one of the segment.
    #[must_use]
    pub fn end(&self) -> Sequence {
        self.sequence + self.length()
    }
}

/// The length of a TCP header without options, in bytes.
pub const FIXED_HEADER: usize = 20;
/// The length of the longest TCP header, in bytes.
const LONGEST_HEADER: usize = 60;

/// The header of a segment that is sent.
#[derive(Clone, Debug)]
pub struct Header {
    /// The source port.
    pub source_port: u16,
    /// The destination port.
    pub destination_port: u16,
    /// SEG.SEQ.
    pub sequence: Sequence,
    /// SEG.ACK; written only if `control.ack` is set.
    pub acknowledgement: Sequence,
    /// The control bits.
    pub control: Control,
    /// The window field.
    pub window: u16,
    /// The options.
    pub options: SegmentOptions,
}

/// A header in wire format.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    bytes: [u8; LONGEST_HEADER],
    length: usize,
}

impl Head {
    /// The header's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(bytes);
            self.length = end;
        }
    }

    /// Adds no-operation options until the length is `rest` modulo 4, so that the next option ends on a word boundary.
    fn align(&mut self, rest: usize) {
        while self.length % 4 != rest {
            self.push(&[NOTHING]);
        }
    }
}

impl Header {
    /// Encodes the header. The order of options is that of BSD, so that every option ends on a word boundary.
    #[must_use]
    pub fn emit(&self) -> Head {
        let mut head = Head { bytes: [0; LONGEST_HEADER], length: 0 };
        head.push(&self.source_port.to_be_bytes());
        head.push(&self.destination_port.to_be_bytes());
        head.push(&self.sequence.0.to_be_bytes());
        let acknowledgement = if self.control.ack { self.acknowledgement.0 } else { 0 };
        head.push(&acknowledgement.to_be_bytes());
        head.push(&[0, self.control.bits()]);
        head.push(&self.window.to_be_bytes());
        // The checksum is filled in later, over the whole segment; the urgent pointer is never used.
        head.push(&[0; 4]);
        if let Some(mss) = self.options.mss {
            let [high, low] = mss.to_be_bytes();
            head.push(&[MSS, 4, high, low]);
        }
        if let Some(scale) = self.options.scale {
            head.align(1);
            head.push(&[SCALE, 3, scale]);
        }
        if self.options.sack_permitted {
            head.push(&[SACK_PERMITTED, 2]);
        }
        if let Some(Timestamp { value, echo }) = self.options.timestamp {
            head.align(2);
            head.push(&[TIMESTAMP, 10]);
            head.push(&value.to_be_bytes());
            head.push(&echo.to_be_bytes());
        }
        self.emit_sack(&mut head);
        while !head.length.is_multiple_of(4) {
            head.push(&[END]);
        }
        // The length is at most 15 words.
        head.bytes[12] = ((head.length / 4) as u8) << 4;
        head
    }

    /// Writes as many SACK blocks as there is room for.
    fn emit_sack(&self, head: &mut Head) {
        if self.options.sack.is_empty() {
            return;
        }
        head.align(2);
        let room = (LONGEST_HEADER - head.length).saturating_sub(2) / 8;
        let count = self.options.sack.len().min(room);
        if count == 0 {
            return;
        }
        // The length is at most 34 bytes.
        head.push(&[SACK, (2 + 8 * count) as u8]);
        for (start, end) in &self.options.sack[..count] {
            head.push(&start.0.to_be_bytes());
            head.push(&end.0.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(options: SegmentOptions) -> Header {
        Header {
            source_port: 1000,
            destination_port: 2000,
            sequence: Sequence(1),
            acknowledgement: Sequence(2),
            control: Control { syn: true, ece: true, ..Control::ACK },
            window: 4096,
            options,
        }
    }

    fn full() -> SegmentOptions {
        SegmentOptions {
            mss: Some(1460),
            scale: Some(7),
            sack_permitted: true,
            sack: SackBlocks::new(),
            timestamp: Some(Timestamp { value: 5, echo: 6 }),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let blocks: SackBlocks = (0..4).map(|block| (Sequence(block * 10), Sequence(block * 10 + 5))).collect();
        let sack = SegmentOptions { sack: blocks.clone(), ..SegmentOptions::default() };
        for options in [SegmentOptions::default(), full(), sack] {
            let head = header(options.clone()).emit();
            let (source, destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
            let segment = Segment::parse(source, destination, head.bytes(), &[], false).expect("well-formed");
            assert_eq!(segment.options, options);
            assert_eq!(segment.control, Control { syn: true, ece: true, ..Control::ACK });
            assert_eq!((segment.sequence, segment.acknowledgement, segment.window), (Sequence(1), Sequence(2), 4096));
            assert_eq!((segment.length(), segment.end()), (1, Sequence(2)));
        }
    }

    #[test]
    fn beside_a_timestamp_there_is_room_for_three_ranges() {
        let blocks: SackBlocks = (0..4).map(|block| (Sequence(block * 10), Sequence(block * 10 + 5))).collect();
        let timestamp = Some(Timestamp::default());
        let head = header(SegmentOptions { sack: blocks, timestamp, ..SegmentOptions::default() }).emit();
        assert_eq!(head.bytes().len(), LONGEST_HEADER);
        assert_eq!(SegmentOptions::parse(&head.bytes()[FIXED_HEADER..]).sack.len(), 3);
    }

    /// RFC 9293 section 3.1, MUST-7: an option with an illegal length must do no harm.
    #[test]
    fn options_are_read_as_far_as_they_make_sense() {
        let mss = [MSS, 4, 5, 180];
        assert_eq!(SegmentOptions::parse(&mss).mss, Some(1460));
        for bad in [&[9, 0][..], &[9, 1], &[9, 200], &[9], &[MSS, 0], &[TIMESTAMP, 0, 0, 0]] {
            let options = [&mss[..], bad, &[SACK_PERMITTED, 2]].concat();
            let read = SegmentOptions::parse(&options);
            assert_eq!((read.mss, read.sack_permitted), (Some(1460), false), "{bad:?}");
        }
        for odd in [
            &[MSS, 3, 1][..],
            &[TIMESTAMP, 3, 1],
            &[SACK, 5, 1, 2, 3],
            &[SCALE, 2],
            &[SACK_PERMITTED, 3, 0],
            &[SACK, 2],
        ] {
            let options = [odd, &mss[..]].concat();
            let expected = SegmentOptions { mss: Some(1460), ..SegmentOptions::default() };
            assert_eq!(SegmentOptions::parse(&options), expected, "{odd:?}");
        }
    }

    #[test]
    fn a_scale_that_is_too_large_is_taken_for_the_largest() {
        assert_eq!(SegmentOptions::parse(&[SCALE, 3, 200]).scale, Some(14));
    }
}
