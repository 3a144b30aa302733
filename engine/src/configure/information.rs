//! The client of DHCPv6 without state: servers of names and domains, of a server on the link (RFC 8415 section 18.2.6).
//!
//! Routers say by a flag of their advertisements that there is more to be known than they say (RFC 4861 section 4.2): as long
//! as one does, there is a client, which asks for it. Addresses are never asked for: routers bring those.
//!
//! It knows no way out: messages that [`poll`](Client::poll) gives are sent from the link-local address and
//! [`CLIENT_PORT`] to [`SERVERS`] and [`SERVER_PORT`], and what comes the other way is [handed in](Client::receive). Without
//! an answer it is asked again after a second, and in the end once an hour; a server is asked anew when the time is over for
//! which its answer holds, and until the next one what it has said counts (section 21.23).

use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv6Addr;
use core::time::Duration;

use smoltcp::wire::EthernetAddress;

use super::backoff::Backoff;
use super::dhcp::names;
use crate::random::Random;
use crate::time::Instant;

mod message;
#[cfg(test)]
mod tests;

use message::{Reply, Request};

/// The UDP port of clients, and that of servers and relays (RFC 8415 section 7.2).
pub const CLIENT_PORT: u16 = 546;
/// See [`CLIENT_PORT`].
pub const SERVER_PORT: u16 = 547;
/// All servers and relays of a link (RFC 8415 section 7.1).
pub const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);

/// `INF_MAX_DELAY` of RFC 8415 section 7.6: all hosts of a link hear the same advertisement.
const LONGEST_DELAY: Duration = Duration::from_secs(1);
/// `INF_TIMEOUT` and `INF_MAX_RT`.
const BACKOFF: Backoff = Backoff { initial: Duration::from_secs(1), longest: Duration::from_secs(3600) };
/// What a server may set `INF_MAX_RT` to (section 21.25).
const LONGEST_WAIT: core::ops::RangeInclusive<u64> = 60..=86_400;
/// `IRT_DEFAULT` and `IRT_MINIMUM`.
const REFRESH: Duration = Duration::from_secs(86_400);
const LEAST_REFRESH: Duration = Duration::from_secs(600);
/// An answer that holds for ever (section 7.7).
const INFINITY: u32 = u32::MAX;
/// The most servers that an answer brings.
const MOST_SERVERS: usize = 4;

/// What a server has said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Servers of names (RFC 3646 section 3), in the order in which they are to be asked.
    pub servers: Vec<Ipv6Addr>,
    /// Domains in which names are looked for (RFC 3646 section 4), without a final dot.
    pub domains: Vec<String>,
}

/// See the [module](self).
#[derive(Debug)]
pub struct Client {
    hardware: EthernetAddress,
    state: State,
    backoff: Backoff,
    answer: Answer,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Entered at the begin, by [`Client::verify`], and when an answer does not hold any more. Left for `Asking` with the
    /// first message.
    Starting { at: Instant },
    /// Left for `Known` by an answer, and for `Starting` by [`Client::verify`].
    Asking { transaction: u32, begun: Instant, wait: Duration, due: Instant },
    /// There is an answer. Left for `Starting` when it does not hold any more; one that holds for ever has no time.
    Known { until: Option<Instant> },
}

impl Client {
    /// A client for an interface with this hardware address, which begins to ask.
    #[must_use]
    pub fn new(hardware: EthernetAddress, now: Instant, random: &mut Random) -> Self {
        let state = State::Starting { at: now + delay(random) };
        Self { hardware, state, backoff: BACKOFF, answer: Answer::default() }
    }

    /// The link is back, and may be another: a server is asked anew, though what was said counts until there is an answer
    /// (section 18.2.12).
    pub fn verify(&mut self, now: Instant, random: &mut Random) {
        self.state = State::Starting { at: now + delay(random) };
    }

    /// What the last answer has said; nothing while there is none.
    #[must_use]
    pub const fn answer(&self) -> &Answer {
        &self.answer
    }

    /// The message that is to be sent by now, if there is one.
    pub fn poll(&mut self, now: Instant, random: &mut Random) -> Option<Vec<u8>> {
        self.next_timeout().filter(|due| *due <= now)?;
        let (transaction, begun, before) = match self.state {
            State::Known { .. } => {
                // Those that were told at the same time are not to ask at the same time.
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

    /// Takes a datagram from a server. Whether it answers what was asked (section 16.10): the [answer](Self::answer) is its
    /// then.
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

/// Whether a host off this one can have the address.
fn is_host(address: Ipv6Addr) -> bool {
    !address.is_unspecified() && !address.is_loopback() && !address.is_multicast() && address.to_ipv4_mapped().is_none()
}
