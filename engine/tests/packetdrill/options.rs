//! TCP options: from a script's notation to octets and back.

use std::fmt;

/// The options of a segment in a script.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TcpOptions {
    /// `<...>`: any options, for outbound segments.
    Any,
    /// Exactly these, in this order.
    List(Vec<TcpOption>),
}

/// An option of a script or of a parsed segment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TcpOption {
    EndOfList,
    NoOperation,
    MaximumSegmentSize(u16),
    WindowScale(u8),
    SackPermitted,
    Sack(Vec<(u32, u32)>),
    Timestamps {
        /// `None` for `TS val ...`.
        value: Option<u32>,
        echo: u32,
        /// `ecr 5!`: the literal value, which is not mapped.
        echo_is_live: bool,
    },
    /// TCP Fast Open with a cookie (RFC 7413).
    FastOpen(Vec<u8>),
    /// `raw "0204"`: our own extension for malformed options, octet by octet.
    Raw(Vec<u8>),
}

const END_OF_LIST: u8 = 0;
const NO_OPERATION: u8 = 1;
const MAXIMUM_SEGMENT_SIZE: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;
const FAST_OPEN: u8 = 34;

impl TcpOption {
    /// Whether it is padding.
    pub(crate) const fn is_padding(&self) -> bool {
        matches!(self, Self::EndOfList | Self::NoOperation)
    }

    fn write(&self, octets: &mut Vec<u8>) {
        match self {
            Self::EndOfList => octets.push(END_OF_LIST),
            Self::NoOperation => octets.push(NO_OPERATION),
            Self::MaximumSegmentSize(size) => {
                octets.extend([MAXIMUM_SEGMENT_SIZE, 4]);
                octets.extend(size.to_be_bytes());
            }
            Self::WindowScale(shift) => octets.extend([WINDOW_SCALE, 3, *shift]),
            Self::SackPermitted => octets.extend([SACK_PERMITTED, 2]),
            Self::Sack(blocks) => {
                octets.extend([SACK, length_octet(8 * blocks.len())]);
                for (left, right) in blocks {
                    octets.extend(left.to_be_bytes());
                    octets.extend(right.to_be_bytes());
                }
            }
            Self::Timestamps { value, echo, .. } => {
                octets.extend([TIMESTAMPS, 10]);
                octets.extend(value.unwrap_or_default().to_be_bytes());
                octets.extend(echo.to_be_bytes());
            }
            Self::FastOpen(cookie) => {
                octets.extend([FAST_OPEN, length_octet(cookie.len())]);
                octets.extend(cookie);
            }
            Self::Raw(raw) => octets.extend(raw),
        }
    }

    /// The option of this kind with this content.
    fn read(kind: u8, content: &[u8]) -> Option<Self> {
        let number = |at: usize| content.get(at..at + 4).map(|four| u32::from_be_bytes(four.try_into().expect("four")));
        match (kind, content.len()) {
            (MAXIMUM_SEGMENT_SIZE, 2) => Some(Self::MaximumSegmentSize(u16::from_be_bytes([content[0], content[1]]))),
            (WINDOW_SCALE, 1) => Some(Self::WindowScale(content[0])),
            (SACK_PERMITTED, 0) => Some(Self::SackPermitted),
            (SACK, 8..) if content.len().is_multiple_of(8) => {
                let block = |at: usize| Some((number(at)?, number(at + 4)?));
                (0..content.len()).step_by(8).map(block).collect::<Option<_>>().map(Self::Sack)
            }
            (TIMESTAMPS, 8) => Some(Self::Timestamps { value: number(0), echo: number(4)?, echo_is_live: false }),
            (FAST_OPEN, _) => Some(Self::FastOpen(content.to_vec())),
            _ => None,
        }
    }
}

fn length_octet(content: usize) -> u8 {
    u8::try_from(content + 2).expect("an option fits into 40 octets")
}

/// The octets of `options`, padded to a multiple of four.
pub(crate) fn encode(options: &[TcpOption]) -> Vec<u8> {
    let mut octets = Vec::new();
    for option in options {
        option.write(&mut octets);
    }
    while !octets.len().is_multiple_of(4) {
        octets.push(END_OF_LIST);
    }
    octets
}

/// The options in `octets`. A malformed option and everything after it become [`TcpOption::Raw`].
pub(crate) fn decode(octets: &[u8]) -> Vec<TcpOption> {
    let mut options = Vec::new();
    let mut rest = octets;
    while let [kind, after @ ..] = rest {
        if *kind == END_OF_LIST || *kind == NO_OPERATION {
            options.push(if *kind == END_OF_LIST { TcpOption::EndOfList } else { TcpOption::NoOperation });
            rest = after;
            continue;
        }
        let length = after.first().map_or(0, |length| usize::from(*length));
        if length < 2 || length > rest.len() {
            options.push(TcpOption::Raw(rest.to_vec()));
            break;
        }
        let (option, after) = rest.split_at(length);
        options.push(TcpOption::read(*kind, &option[2..]).unwrap_or_else(|| TcpOption::Raw(option.to_vec())));
        rest = after;
    }
    options
}

impl fmt::Display for TcpOption {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndOfList => formatter.write_str("eol"),
            Self::NoOperation => formatter.write_str("nop"),
            Self::MaximumSegmentSize(size) => write!(formatter, "mss {size}"),
            Self::WindowScale(shift) => write!(formatter, "wscale {shift}"),
            Self::SackPermitted => formatter.write_str("sackOK"),
            Self::Sack(blocks) => {
                formatter.write_str("sack")?;
                blocks.iter().try_for_each(|(left, right)| write!(formatter, " {left}:{right}"))
            }
            Self::Timestamps { value: Some(value), echo, .. } => write!(formatter, "TS val {value} ecr {echo}"),
            Self::Timestamps { value: None, echo, .. } => write!(formatter, "TS val ... ecr {echo}"),
            Self::FastOpen(cookie) => write!(formatter, "FO {}", hexadecimal(cookie)),
            Self::Raw(raw) => write!(formatter, "raw \"{}\"", hexadecimal(raw)),
        }
    }
}

impl fmt::Display for TcpOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str(" <...>"),
            Self::List(options) if options.is_empty() => Ok(()),
            Self::List(options) => {
                let options: Vec<String> = options.iter().map(ToString::to_string).collect();
                write!(formatter, " <{}>", options.join(","))
            }
        }
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The octets of a hexadecimal number.
pub(crate) fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
