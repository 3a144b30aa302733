//! The DHCPv6 messages of the stateless client on the wire (RFC 8415 sections 8 and 21): Information-request and Reply.

use alloc::vec::Vec;
use core::net::Ipv6Addr;
use core::time::Duration;

use smoltcp::wire::EthernetAddress;

const INFORMATION_REQUEST: u8 = 11;
const REPLY: u8 = 7;

/// Option codes (RFC 8415 section 21).
pub(super) mod code {
    pub(in super::super) const CLIENT: u16 = 1;
    pub(in super::super) const SERVER: u16 = 2;
    pub(in super::super) const REQUESTED: u16 = 6;
    pub(in super::super) const ELAPSED: u16 = 8;
    pub(in super::super) const STATUS: u16 = 13;
    /// RFC 3646, as is the next one.
    pub(in super::super) const DNS_SERVERS: u16 = 23;
    pub(in super::super) const DOMAINS: u16 = 24;
    pub(in super::super) const REFRESH: u16 = 32;
    pub(in super::super) const LONGEST_WAIT: u16 = 83;
}

/// The options that are requested. The last two must be (sections 21.23 and 21.25).
const REQUESTED: [u16; 4] = [code::DNS_SERVERS, code::DOMAINS, code::REFRESH, code::LONGEST_WAIT];

/// The client identifier, made of the link-layer address (DUID-LL, section 11.4), so that it is the same in each run of
/// one host.
fn identifier(hardware: EthernetAddress) -> [u8; 10] {
    let EthernetAddress([a, b, c, d, e, f]) = hardware;
    [0, 3, 0, 1, a, b, c, d, e, f]
}

/// An Information-request (section 18.2.6).
pub(super) struct Request {
    /// The transaction identifier, of 24 bits.
    pub(super) transaction: u32,
    pub(super) hardware: EthernetAddress,
    /// The time since the first transmission of the request.
    pub(super) elapsed: Duration,
}

impl Request {
    pub(super) fn emit(&self) -> Vec<u8> {
        let [_, a, b, c] = self.transaction.to_be_bytes();
        let mut message = Vec::from([INFORMATION_REQUEST, a, b, c]);
        push(&mut message, code::CLIENT, &identifier(self.hardware));
        // In hundredths of a second.
        let elapsed = u16::try_from(self.elapsed.as_millis() / 10).unwrap_or(u16::MAX);
        push(&mut message, code::ELAPSED, &elapsed.to_be_bytes());
        let requested: Vec<u8> = REQUESTED.iter().flat_map(|code| code.to_be_bytes()).collect();
        push(&mut message, code::REQUESTED, &requested);
        message
    }
}

/// Appends an option of no more than 65,535 bytes.
fn push(message: &mut Vec<u8>, code: u16, data: &[u8]) {
    message.extend(code.to_be_bytes());
    message.extend((data.len() as u16).to_be_bytes());
    message.extend(data);
}

/// A Reply from a server.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    servers: &'a [u8],
    /// Domain names in the DNS wire format, one after another.
    pub(super) domains: &'a [u8],
    /// The number of seconds for which the answer is valid.
    pub(super) refresh: Option<u32>,
    /// `INF_MAX_RT` in seconds.
    pub(super) longest_wait: Option<u32>,
}

impl<'a> Reply<'a> {
    /// Parses a Reply to the request with this transaction identifier from this host. `None` for anything else, for a
    /// truncated message, and for a status code that reports failure.
    pub(super) fn parse(message: &'a [u8], transaction: u32, hardware: EthernetAddress) -> Option<Self> {
        let ([kind, a, b, c], mut options) = message.split_first_chunk()?;
        if *kind != REPLY || u32::from_be_bytes([0, *a, *b, *c]) != transaction {
            return None;
        }
        let mut reply = Self { servers: &[], domains: &[], refresh: None, longest_wait: None };
        let (mut is_for_us, mut has_server) = (false, false);
        while !options.is_empty() {
            let ([a, b, c, d], rest) = options.split_first_chunk()?;
            let (data, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*c, *d])))?;
            options = rest;
            match u16::from_be_bytes([*a, *b]) {
                code::CLIENT => is_for_us = data == identifier(hardware),
                code::SERVER => has_server = !data.is_empty(),
                code::STATUS if data.first_chunk() != Some(&[0, 0]) => return None,
                code::DNS_SERVERS => reply.servers = data,
                code::DOMAINS => reply.domains = data,
                code::REFRESH => reply.refresh = data.first_chunk().copied().map(u32::from_be_bytes),
                code::LONGEST_WAIT => reply.longest_wait = data.first_chunk().copied().map(u32::from_be_bytes),
                _ => {}
            }
        }
        (is_for_us && has_server).then_some(reply)
    }

    pub(super) fn servers(&self) -> impl Iterator<Item = Ipv6Addr> + use<'a> {
        self.servers.as_chunks().0.iter().map(|octets: &[u8; 16]| Ipv6Addr::from(*octets))
    }
}
