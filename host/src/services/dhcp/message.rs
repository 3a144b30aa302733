//! DHCP messages: parsing of those from clients, and emitting of those to clients (RFC 2131 section 2, RFC 2132).

use core::net::Ipv4Addr;

use xila_network_engine::configure::dhcp::options::{COOKIE, END, HEADER, Options, PAD, code};

use crate::address::MacAddress;

/// The offsets of the fields (RFC 2131 figure 1).
const TRANSACTION: usize = 4;
const FLAGS: usize = 10;
const CIADDR: usize = 12;
const GIADDR: usize = 24;
const CHADDR: usize = 28;
/// The minimum length of a message: BOOTP relays drop shorter ones (RFC 1542 section 2.1).
const SHORTEST: usize = 300;
/// The IP datagram that every client accepts (RFC 2131 section 2), and the headers of IPv4 and UDP in it, in bytes.
const LEAST_DATAGRAM: u16 = 576;
const DATAGRAM_HEADERS: u16 = 28;
const BOOT_REQUEST: u8 = 1;
const BOOT_REPLY: u8 = 2;
const ETHERNET: u8 = 1;
/// The broadcast flag, which asks a server to answer by broadcast (RFC 2131 figure 2).
const BROADCAST: u16 = 0x8000;

/// The types of the messages that clients send (option 53, RFC 2132 section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Discover,
    Request,
    Decline,
    Release,
    Inform,
}

/// The types of the messages that servers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum AnswerKind {
    Offer = 2,
    Ack = 5,
    Nak = 6,
}

/// What a server knows a client by (RFC 2131 section 4.2): its identifier (option 61), or its hardware address if it
/// sends none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Client {
    Identifier(Box<[u8]>),
    Hardware(MacAddress),
}

/// A well-formed message of a client.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) kind: Kind,
    pub(super) client: Client,
    /// `chaddr`.
    pub(super) hardware: MacAddress,
    /// `ciaddr`: the address that the client uses; `None` if it has none.
    pub(super) address: Option<Ipv4Addr>,
    /// `giaddr`: the relay through which the message came.
    pub(super) relay: Option<Ipv4Addr>,
    /// The requested address (option 50): the one that the client asks for, or declines.
    pub(super) requested: Option<Ipv4Addr>,
    /// The server identifier (option 54), if the message is for one server.
    pub(super) server: Option<Ipv4Addr>,
    /// The lease time that the client wants, in seconds.
    pub(super) lifetime: Option<u32>,
    /// The codes of the options that the client asks for, in its order; `None` if it does not say.
    pub(super) parameters: Option<Vec<u8>>,
    /// The length of the longest answer that the client accepts, as the payload of a datagram, in bytes.
    pub(super) longest: usize,
    transaction: [u8; 4],
    flags: u16,
}

impl Request {
    /// Parses the payload of a datagram; `None` if it is not a well-formed message from a client on Ethernet.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let [op, kind, length, ..] = *payload.first_chunk::<4>()?;
        if (op, kind, length) != (BOOT_REQUEST, ETHERNET, 6) {
            return None;
        }
        let options = Options::parse(payload)?;
        let kind = match options.first(code::KIND)? {
            [1] => Kind::Discover,
            [3] => Kind::Request,
            [4] => Kind::Decline,
            [7] => Kind::Release,
            [8] => Kind::Inform,
            _ => return None,
        };
        let hardware = MacAddress::new(field(payload, CHADDR)?).ok()?;
        let address = |at| field(payload, at).map(Ipv4Addr::from_octets).filter(|address| !address.is_unspecified());
        let longest = options.fixed(code::LONGEST).map_or(LEAST_DATAGRAM, u16::from_be_bytes).max(LEAST_DATAGRAM);
        let identifier = options.joined(code::CLIENT);
        let client = match identifier.len() {
            // The minimum is two bytes (RFC 2132 section 9.14). Some clients send an empty option.
            0 | 1 => Client::Hardware(hardware),
            // A longer one would not fit one option of the answer.
            2..=255 => Client::Identifier(identifier.into()),
            _ => return None,
        };
        Some(Self {
            kind,
            client,
            hardware,
            address: address(CIADDR),
            relay: address(GIADDR),
            requested: options.fixed(code::REQUESTED).map(Ipv4Addr::from_octets),
            server: options.fixed(code::SERVER).map(Ipv4Addr::from_octets),
            lifetime: options.fixed(code::LIFETIME).map(u32::from_be_bytes),
            parameters: options.first(code::PARAMETERS).map(|_| options.joined(code::PARAMETERS)),
            longest: usize::from(longest - DATAGRAM_HEADERS),
            transaction: field(payload, TRANSACTION)?,
            flags: u16::from_be_bytes(field(payload, FLAGS)?),
        })
    }

    /// Whether the client asks for an answer by broadcast.
    pub(super) const fn wants_broadcast(&self) -> bool {
        self.flags & BROADCAST != 0
    }
}

fn field<const LENGTH: usize>(payload: &[u8], at: usize) -> Option<[u8; LENGTH]> {
    payload.get(at..)?.first_chunk().copied()
}

/// A message to a client, under construction.
pub(super) struct Writer {
    payload: Vec<u8>,
    longest: usize,
    /// The room that is kept for an option that is yet to come, in bytes.
    kept: usize,
}

impl Writer {
    /// The header of an answer with the option that names its type, the server, and the identifier of the client as it
    /// was received (RFC 6842 section 3). `address` is `yiaddr`.
    pub(super) fn new(kind: AnswerKind, request: &Request, address: Option<Ipv4Addr>, server: Ipv4Addr) -> Self {
        let octets = |address: Option<Ipv4Addr>| address.unwrap_or(Ipv4Addr::UNSPECIFIED).octets();
        // Table 3 of RFC 2131: only an acknowledgement repeats the address that the client has. A relay must broadcast
        // a refusal, because the client may have an address of another network (section 4.3.2).
        let (client, flags) = match (kind, request.relay) {
            (AnswerKind::Offer, _) => (None, request.flags),
            (AnswerKind::Ack, _) => (request.address, request.flags),
            (AnswerKind::Nak, Some(_)) => (None, request.flags | BROADCAST),
            (AnswerKind::Nak, None) => (None, request.flags),
        };
        let mut payload = Vec::with_capacity(SHORTEST + 256);
        payload.extend([BOOT_REPLY, ETHERNET, 6, 0]);
        payload.extend(request.transaction);
        payload.extend([0, 0]);
        payload.extend(flags.to_be_bytes());
        payload.extend(octets(client));
        payload.extend(octets(address));
        payload.extend(octets(None));
        payload.extend(octets(request.relay));
        payload.extend(request.hardware.octets());
        payload.resize(HEADER, 0);
        payload.extend(COOKIE);
        let mut writer = Self { payload, longest: request.longest, kept: 0 };
        writer.put(code::KIND, &[kind as u8]);
        writer.put(code::SERVER, &server.octets());
        if let Client::Identifier(identifier) = &request.client {
            writer.put(code::CLIENT, identifier);
        }
        writer
    }

    /// Keeps so many bytes free from now on, for an option that is yet to come.
    pub(super) const fn keep(&mut self, room: usize) {
        self.kept = room;
    }

    /// Appends an option, if the message does not become longer than the client accepts. The options that each answer
    /// must have always fit, if they come first or room is [kept](Self::keep) for them.
    pub(super) fn put(&mut self, code: u8, data: &[u8]) {
        let Ok(length) = u8::try_from(data.len()) else { return };
        // Two bytes in front of the data, and one that ends the options.
        if self.payload.len() + data.len() + 3 + self.kept <= self.longest {
            self.payload.extend([code, length]);
            self.payload.extend(data);
        }
    }

    /// The payload of the message's datagram.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.payload.push(END);
        if self.payload.len() < SHORTEST {
            self.payload.resize(SHORTEST, PAD);
        }
        self.payload
    }
}
