//! A stateless DHCPv6 client, which learns DNS servers and search domains from a DHCPv6 server (RFC 8415 section
//! 18.2.6).
//!
//! Routers say by a flag of their advertisements that more configuration is available by DHCPv6 (RFC 4861 section 4.2).
//! The engine keeps a client as long as any router says so. The client never asks for addresses: these come from router
//! advertisements.
//!
//! The client does no I/O. The caller sends the messages that [`poll`](Client::poll) returns from the link-local
//! address and [`CLIENT_PORT`] to [`SERVERS`] and [`SERVER_PORT`], and passes datagrams from servers to
//! [`receive`](Client::receive). Without an answer, a request is repeated after a second, and in the end once an hour.
//! A server is asked again when the answer expires; until the next answer, the old one is used (section 21.23).

use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv6Addr;
use core::time::Duration;

use smoltcp::wire::EthernetAddress;

use super::backoff::Backoff;
use super::dhcp::names;
use crate::random::Random;
use crate::time::Instant;
use message::{Reply, Request};

mod message;
#[cfg(test)]
mod tests;

/// The UDP port of clients (RFC 8415 section 7.2).
pub const CLIENT_PORT: u16 = 546;
/// The UDP port of servers and relays (RFC 8415 section 7.2).
pub const SERVER_PORT: u16 = 547;
/// The multicast group of all servers and relays of a link (RFC 8415 section 7.1).
pub const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// `INF_MAX_DELAY` of RFC 8415 section 7.6: the limit of a random delay, since all hosts of a link hear the same
/// advertisement.
const LONGEST_DELAY: Duration = Duration::from_secs(1);
/// `INF_TIMEOUT` and `INF_MAX_RT`.
const BACKOFF: Backoff = Backoff { initial: Duration::from_secs(1), longest: Duration::from_secs(3600) };
/// The values in seconds to which a server may set `INF_MAX_RT` (section 21.25).
const LONGEST_WAIT: core::ops::RangeInclusive<u64> = 60..=86_400;
/// `IRT_DEFAULT` and `IRT_MINIMUM`.
const REFRESH: Duration = Duration::from_secs(86_400);
const LEAST_REFRESH: Duration = Duration::from_secs(600);
/// The refresh time of an answer that never expires (section 7.7).
const INFINITY: u32 = u32::MAX;
/// The maximum number of servers that are taken from an answer.
const MOST_SERVERS: usize = 4;

/// The configuration from a server's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// DNS servers (RFC 3646 section 3), in the order in which they are to be asked.
    pub servers: Vec<Ipv6Addr>,
    /// DNS search domains (RFC 3646 section 4), without a final dot.
    pub domains: Vec<String>,
}

/// A stateless DHCPv6 client; see the [module](self).
#[derive(Debug)]
pub struct Client {
    hardware: EthernetAddress,
    state: State,
    backoff: Backoff,
    answer: Answer,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Initial state. Also entered by [`Client::verify`], and when an answer expires. Left for `Asking` with the first
    /// message.
    Starting { at: Instant },
    /// Entered with the first message. Left for `Known` by an answer, and for `Starting` by [`Client::verify`].
    Asking { transaction: u32, begun: Instant, wait: Duration, due: Instant },
    /// Entered by an answer. Left for `Starting` when the answer expires, or by [`Client::verify`]; `until` is `None`
    /// for an answer that never expires.
    Known { until: Option<Instant> },
}

impl Client {
    /// Creates a client for an interface with this hardware address, which sends its first request after a random
    /// delay.
    #[must_use]
    pub fn new(hardware: EthernetAddress, now: Instant, random: &mut Random) -> Self {
        let state = State::Starting { at: now + delay(random) };
        Self { hardware, state, backoff: BACKOFF, answer: Answer::default() }
    }

    /// Asks a server again because the link is back, and may lead to another network. The old answer is used until
    /// there is a new one (section 18.2.12).
    pub fn verify(&mut self, now: Instant, random: &mut Random) {
        self.state = State::Starting { at: now + delay(random) };
    }

    /// The content of the last answer; empty while there is none.
    #[must_use]
    pub const fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Returns the message that is due by now, if there is one.
    pub fn poll(&mut self, now: Instant, random: &mut Random) -> Option<Vec<u8>> {
        self.next_timeout().filter(|due| *due <= now)?;
        let (transaction, begun, before) = match self.state {
            State::Known { .. } => {
                // A random delay, so that hosts that got their answers at the same time do not ask again at the same
                // time.
                self.state = State::Starting { at: now + delay(random) };
                return self.poll(now, random);
            }
            State::Starting { .. } => (random.next_u32() >> 8, now, None),
            State::Asking { transaction, begun, wait, .. } => (transaction, begun, Some(wait)),
        };
        let wait = self.backoff.next(before, random);
        self.state = State::Asking { transaction, begun, wait, due: now + wait };
        Some(Request { transaction, hardware: self.hardware, elapsed: now - begun }.emit())
    }

    /// When to [poll](Self::poll) again.
    #[must_use]
    pub const fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Starting { at } => Some(at),
            State::Asking { due, .. } => Some(due),
            State::Known { until } => until,
        }
    }

    /// Processes a datagram from a server. Returns whether it is a valid answer to the present request (section 16.10);
    /// it then replaces the [answer](Self::answer).
    pub fn receive(&mut self, payload: &[u8], now: Instant) -> bool {
        let State::Asking { transaction, .. } = self.state else { return false };
        let Some(reply) = Reply::parse(payload, transaction, self.hardware) else { return false };
        if let Some(seconds) = reply.longest_wait.map(u64::from).filter(|seconds| LONGEST_WAIT.contains(seconds)) {
            self.backoff.longest = Duration::from_secs(seconds);
        }
        let until = match reply.refresh {
            Some(INFINITY) => None,
            Some(seconds) => Some(now + Duration::from_secs(seconds.into()).max(LEAST_REFRESH)),
            None => Some(now + REFRESH),
        };
        self.state = State::Known { until };
        let mut servers: Vec<Ipv6Addr> = Vec::new();
        for server in reply.servers().filter(|server| is_host(*server)) {
            if servers.len() < MOST_SERVERS && !servers.contains(&server) {
                servers.push(server);
            }
        }
        self.answer = Answer { servers, domains: names::search_list(reply.domains) };
        true
    }
}

fn delay(random: &mut Random) -> Duration {
    let milliseconds = u32::try_from(LONGEST_DELAY.as_millis()).unwrap_or(u32::MAX);
    Duration::from_millis(random.below(milliseconds + 1).into())
}

/// Whether another host can have the address.
fn is_host(address: Ipv6Addr) -> bool {
    !address.is_unspecified() && !address.is_loopback() && !address.is_multicast() && address.to_ipv4_mapped().is_none()
}
