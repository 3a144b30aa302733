//! The tree of a script that the [parser](super::parser) builds.

use super::options::TcpOptions;

/// A time or a duration in a script, in microseconds.
pub(crate) type Micros = i64;

/// A whole script.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// `--name=value` lines.
    pub(crate) options: Vec<(String, String)>,
    /// The events, in order.
    pub(crate) events: Vec<Event>,
}

/// An event: something that happens, or that must happen.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) line: usize,
    pub(crate) time: When,
    pub(crate) action: Action,
}

/// The time of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// `0.1`: since the start of the script.
    Absolute(Micros),
    /// `+0.1`: since the previous event.
    Relative(Micros),
    /// `0.1~0.3`, for outbound packets.
    AbsoluteRange(Micros, Micros),
    /// `+0.1~+0.3`, for outbound packets.
    RelativeRange(Micros, Micros),
    /// `*`: at any time, for outbound packets.
    Any,
}

/// The kind of an event.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// `< ...`: a packet arrives at the engine.
    Inbound(Packet),
    /// `> ...`: the engine must send a packet.
    Outbound(Packet),
    /// A system call.
    Call(Call),
    /// A back-quoted shell command.
    Command(String),
    /// A `%{ }%` snippet of Python.
    Code(String),
}

/// A packet on the wire.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    /// A TCP segment.
    Segment(Segment),
    /// An ICMP error about a segment that was sent.
    Icmp(Icmp),
}

/// The IP header fields that a script may specify.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IpFields {
    pub(crate) ecn: Option<Ecn>,
    /// The whole octet: DSCP and ECN.
    pub(crate) traffic_class: Option<u8>,
    pub(crate) hop_limit: Option<u8>,
}

/// The ECN field (RFC 3168), in a script's notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ecn {
    NotCapable,
    Ect0,
    Ect1,
    /// `[ect01]`: ECT(0) or ECT(1), for outbound packets.
    Ect01,
    CongestionExperienced,
}

/// The sequence number of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// `1:11(10)`: relative to the initial one, unless the segment has SYN.
    Relative(u32),
    /// `0:0(0)!`: the literal value on the wire.
    Absolute(u32),
    /// `...(0)`: any.
    Any,
}

/// A TCP segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) ip: IpFields,
    /// `1234 > 8080`: source and destination port.
    pub(crate) ports: Option<(u16, u16)>,
    pub(crate) flags: Flags,
    pub(crate) start: Start,
    pub(crate) length: usize,
    /// The acknowledgement field; 0 if the script does not specify it.
    pub(crate) acknowledgement: u32,
    /// `None` if the script does not specify it.
    pub(crate) window: Option<u16>,
    pub(crate) urgent: u16,
    pub(crate) options: TcpOptions,
}

/// The flags of a TCP header: its thirteenth and fourteenth octets without the data offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u16);

impl Flags {
    pub(crate) const FIN: Self = Self(0x01);
    pub(crate) const SYN: Self = Self(0x02);
    pub(crate) const RST: Self = Self(0x04);
    pub(crate) const ACK: Self = Self(0x10);

    /// The letters, in packetdrill's order.
    const LETTERS: [(char, u16); 9] = [
        ('S', 0x02),
        ('F', 0x01),
        ('R', 0x04),
        ('P', 0x08),
        ('U', 0x20),
        ('E', 0x40),
        ('W', 0x80),
        ('A', 0x100),
        ('.', 0x10),
    ];

    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn from_letter(letter: char) -> Option<Self> {
        Self::LETTERS.iter().find(|&&(known, _)| known == letter).map(|&(_, bits)| Self(bits))
    }

    /// The flags in packetdrill's notation.
    pub(crate) fn text(self) -> String {
        let letters: String =
            Self::LETTERS.iter().filter(|&&(_, bits)| self.0 & bits != 0).map(|&(letter, _)| letter).collect();
        if letters.is_empty() { "-".to_owned() } else { letters }
    }
}

/// An ICMP error.
#[derive(Clone, Debug)]
pub(crate) struct Icmp {
    /// `unreachable`, `packet_too_big`, `time_exceeded`, ...
    pub(crate) kind: String,
    /// `frag_needed`, `host_unreachable`, ...
    pub(crate) code: Option<String>,
    pub(crate) mtu: Option<u32>,
    /// The relative sequence number of the quoted segment.
    pub(crate) quoted: u32,
    /// The length of the quoted segment.
    pub(crate) quoted_length: usize,
}

/// A system call with its expected result.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: Vec<Value>,
    /// When it must end, in the same notation of time as the event; `None` for a call that does not block.
    pub(crate) end: Option<Micros>,
    pub(crate) result: Value,
    /// The error, such as `EAGAIN`, if the result is -1.
    pub(crate) error: Option<String>,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// `...`
    Any,
    Number(i64),
    Word(String),
    Text(String),
    /// `a | b`
    Or(Vec<Self>),
    /// `[a, b]`, or `{a, b}`.
    List(Vec<Self>),
    /// `{name = a, ...}`
    Fields(Vec<(String, Self)>),
    /// `htons(1)`
    Function(String, Vec<Self>),
}

impl Value {
    /// The value of the field `name`.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        let Self::Fields(fields) = self else { return None };
        fields.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The only member of a list, or the value itself.
    pub(crate) fn inner(&self) -> &Self {
        match self {
            Self::List(members) if members.len() == 1 => &members[0],
            other => other,
        }
    }
}
