//! Messages of DHCPv6 on the wire (RFC 8415 sections 8 and 21): the question, and its answer.

use alloc::vec::Vec;
use core::net::Ipv6Addr;
use core::time::Duration;

use smoltcp::wire::EthernetAddress;

const INFORMATION_REQUEST: u8 = 11;
const REPLY: u8 = 7;

/// The codes of options.
pub(super) mod code {
    pub(in super::super) const CLIENT: u16 = 1;
    pub(in super::super) const SERVER: u16 = 2;
    pub(in super::super) const REQUESTED: u16 = 6;
    pub(in super::super) const ELAPSED: u16 = 8;
    pub(in super::super) const STATUS: u16 = 13;
    /// RFC 3646.
    pub(in super::super) const DNS_SERVERS: u16 = 23;
    pub(in super::super) const DOMAINS: u16 = 24;
    pub(in super::super) const REFRESH: u16 = 32;
    pub(in super::super) const LONGEST_WAIT: u16 = 83;
}

/// What is asked for. The last two have to be (sections 21.23 and 21.25).
const REQUESTED: [u16; 4] = [code::DNS_SERVERS, code::DOMAINS, code::REFRESH, code::LONGEST_WAIT];

/// A client's identifier of its link-layer address (DUID-LL, section 11.4): the same in each run of one host.
fn identifier(hardware: EthernetAddress) -> [u8; 10] {
    let EthernetAddress([a, b, c, d, e, f]) = hardware;
    [0, 3, 0, 1, a, b, c, d, e, f]
}

/// A question (section 18.2.6).
pub(super) struct Request {
    /// 24 bits.
    pub(super) transaction: u32,
    pub(super) hardware: EthernetAddress,
    /// The time since it was asked first.
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

/// A server's answer.
#[derive(Debug)]
pub(super) struct Reply<'a> {
    servers: &'a [u8],
    /// Names as DNS has them, one behind the other.
    pub(super) domains: &'a [u8],
    /// For how many seconds the answer holds.
    pub(super) refresh: Option<u32>,
    /// `INF_MAX_RT` in seconds.
    pub(super) longest_wait: Option<u32>,
}

impl<'a> Reply<'a> {
    /// Reads an answer to the question of this transaction and host; `None` for anything else, for one that is cut short, and
    /// for a server's failure.
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
