//! What a script says, before anything is run: the tree that the [parser](super::parser) builds.

use super::options::TcpOptions;

/// A point or a length of time in a script, in microseconds.
pub(crate) type Micros = i64;

/// A whole script.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// `--name=value` lines.
    pub(crate) options: Vec<(String, String)>,
    /// What happens, in order.
    pub(crate) events: Vec<Event>,
}

/// Something that happens, or has to.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) line: usize,
    pub(crate) time: When,
    pub(crate) action: Action,
}

/// When an event happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// `0.1`: since the script began.
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

/// What an event is.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// `< ...`: arrives at the engine.
    Inbound(Packet),
    /// `> ...`: the engine has to send it.
    Outbound(Packet),
    /// A system call.
    Call(Call),
    /// A back-quoted shell command.
    Command(String),
    /// A `%{ }%` snippet of Python.
    Code(String),
}

/// What goes over the wire.
#[derive(Clone, Debug)]
pub(crate) enum Packet {
    /// A TCP segment.
    Segment(Segment),
    /// An ICMP error about a segment that was sent.
    Icmp(Icmp),
}

/// The fields of the IP header that a script may name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IpFields {
    pub(crate) ecn: Option<Ecn>,
    /// The whole octet: DSCP and ECN.
    pub(crate) traffic_class: Option<u8>,
    pub(crate) hop_limit: Option<u8>,
}

/// The ECN field (RFC 3168), as a script names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ecn {
    NotCapable,
    Ect0,
    Ect1,
    /// `[ect01]`: either of the two, for outbound packets.
    Ect01,
    CongestionExperienced,
}

/// The sequence number of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// `1:11(10)`: relative to the initial one, unless the segment has SYN.
    Relative(u32),
    /// `0:0(0)!`: as it is on the wire.
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
    /// The acknowledgement field; 0 where the script names none.
    pub(crate) acknowledgement: u32,
    /// `None` where the script does not care.
    pub(crate) window: Option<u16>,
    pub(crate) urgent: u16,
    pub(crate) options: TcpOptions,
}

/// The flags of a TCP header: its thirteenth and fourteenth octet without the data offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u16);

impl Flags {
    pub(crate) const FIN: Self = Self(0x01);
    pub(crate) const SYN: Self = Self(0x02);
    pub(crate) const RST: Self = Self(0x04);
    pub(crate) const ACK: Self = Self(0x10);

    /// The letters, in the order in which packetdrill writes them.
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

    /// The flags as packetdrill writes them.
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
    /// The sequence number of the segment that it quotes, relative.
    pub(crate) quoted: u32,
    /// The length of the segment that it quotes.
    pub(crate) quoted_length: usize,
}

/// A system call with what it has to answer.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) arguments: Vec<Value>,
    /// When it has to end, in the same time as the event's; `None` for a call that does not block.
    pub(crate) end: Option<Micros>,
    pub(crate) result: Value,
    /// `EAGAIN`, where the result is -1.
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
