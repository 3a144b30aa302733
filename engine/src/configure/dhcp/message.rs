//! DHCP messages: parsing of those from servers, and emitting of those to servers (RFC 2131 section 2, RFC 2132).

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use smoltcp::wire::EthernetAddress;

use super::options::{COOKIE, END, HEADER, Options, PAD, code};

#[cfg(test)]
mod tests;

/// The message types that the client sends or accepts (option 53, RFC 2132 section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Discover = 1,
    Offer = 2,
    Request = 3,
    Decline = 4,
    Ack = 5,
    Nak = 6,
    Release = 7,
}

/// The requested parameters, in order of preference. Option 121 comes before 3 (RFC 3442).
pub(super) const PARAMETERS: [u8; 12] = [
    code::MASK,
    code::ROUTES,
    code::ROUTERS,
    code::DNS_SERVERS,
    code::DOMAIN,
    code::MTU,
    code::NTP_SERVERS,
    code::LIFETIME,
    code::SERVER,
    code::RENEWAL,
    code::REBINDING,
    code::SEARCH,
];

/// The offsets of the fields (RFC 2131 figure 1).
const TRANSACTION: usize = 4;
const YIADDR: usize = 16;
const CHADDR: usize = 28;
/// The minimum length of a message: BOOTP relays drop shorter ones (RFC 1542 section 2.1).
const SHORTEST: usize = 300;
const BOOT_REQUEST: u8 = 1;
const BOOT_REPLY: u8 = 2;
const ETHERNET: u8 = 1;
/// The broadcast flag, which asks a server to answer by broadcast (RFC 2131 figure 2).
const BROADCAST: u8 = 0x80;

/// A message of a server, with well-formed options.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply<'a> {
    pub(super) transaction: u32,
    pub(super) hardware: EthernetAddress,
    /// `yiaddr`: the address that the server offers or leases.
    pub(super) address: Ipv4Addr,
    options: Options<'a>,
}

impl<'a> Reply<'a> {
    /// Parses the payload of a datagram; `None` if it is not a well-formed message to a client on Ethernet.
    pub(super) fn parse(payload: &'a [u8]) -> Option<Self> {
        let [op, kind, length, ..] = *payload.first_chunk::<4>()?;
        if (op, kind, length) != (BOOT_REPLY, ETHERNET, 6) {
            return None;
        }
        Some(Self {
            transaction: u32::from_be_bytes(field(payload, TRANSACTION)?),
            hardware: EthernetAddress(field(payload, CHADDR)?),
            address: field(payload, YIADDR).map(Ipv4Addr::from_octets)?,
            options: Options::parse(payload)?,
        })
    }

    /// The message type; `None` for types that servers do not send.
    pub(super) fn kind(&self) -> Option<Kind> {
        [Kind::Offer, Kind::Ack, Kind::Nak]
            .into_iter()
            .find(|kind| self.options.first(code::KIND) == Some(&[*kind as u8]))
    }

    /// An option that appears once, with a fixed length; `None` if it has another length.
    pub(super) fn fixed<const LENGTH: usize>(&self, code: u8) -> Option<[u8; LENGTH]> {
        self.options.fixed(code)
    }

    /// An option of any length, with its parts concatenated (RFC 3396 section 7); empty if there is none.
    pub(super) fn joined(&self, code: u8) -> Vec<u8> {
        self.options.joined(code)
    }
}

fn field<const LENGTH: usize>(payload: &[u8], at: usize) -> Option<[u8; LENGTH]> {
    payload.get(at..)?.first_chunk().copied()
}

/// A message of the client. Its addresses depend on the state (RFC 2131 tables 4 and 5).
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) kind: Kind,
    pub(super) transaction: u32,
    /// The seconds since the client began to ask.
    pub(super) secs: u16,
    /// Whether the server should answer by broadcast.
    pub(super) broadcast: bool,
    pub(super) hardware: EthernetAddress,
    /// `ciaddr`: the address that the client uses.
    pub(super) client: Ipv4Addr,
    /// The requested address (option 50): the one that the client asks for, or declines.
    pub(super) requested: Option<Ipv4Addr>,
    /// The server identifier (option 54), if the message is for one server.
    pub(super) server: Option<Ipv4Addr>,
    pub(super) host_name: Option<&'a str>,
    /// The longest answer that the client accepts, in bytes.
    pub(super) longest: u16,
}

impl Request<'_> {
    /// The payload of the message's datagram.
    pub(super) fn emit(&self) -> Vec<u8> {
        let hardware = self.hardware.0;
        let mut payload = Vec::with_capacity(SHORTEST + 256);
        payload.extend([BOOT_REQUEST, ETHERNET, 6, 0]);
        payload.extend(self.transaction.to_be_bytes());
        payload.extend(self.secs.to_be_bytes());
        payload.extend([if self.broadcast { BROADCAST } else { 0 }, 0]);
        payload.extend(self.client.octets());
        payload.resize(CHADDR, 0);
        payload.extend(hardware);
        payload.resize(HEADER, 0);
        payload.extend(COOKIE);
        let mut put = |code: u8, data: &[u8]| {
            // The caller has left out host names that are too long for an option.
            if let Ok(length) = u8::try_from(data.len()) {
                payload.extend([code, length]);
                payload.extend(data);
            }
        };
        put(code::KIND, &[self.kind as u8]);
        let [a, b, c, d, e, f] = hardware;
        put(code::CLIENT, &[ETHERNET, a, b, c, d, e, f]);
        self.requested.into_iter().for_each(|requested| put(code::REQUESTED, &requested.octets()));
        self.server.into_iter().for_each(|server| put(code::SERVER, &server.octets()));
        if matches!(self.kind, Kind::Discover | Kind::Request) {
            put(code::LONGEST, &self.longest.to_be_bytes());
            self.host_name.into_iter().for_each(|name| put(code::HOST_NAME, name.as_bytes()));
            put(code::PARAMETERS, &PARAMETERS);
        }
        payload.push(END);
        if payload.len() < SHORTEST {
            payload.resize(SHORTEST, PAD);
        }
        payload
    }
}
