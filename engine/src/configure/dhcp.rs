//! The DHCPv4 client: gets an address, routers and DNS servers from a server on the link, for a lease time (RFC 2131).
//!
//! The caller asks it for [actions](Client::poll), and [gives](Client::receive) it the datagrams that arrive at UDP
//! port 68 from port 67. The client does not send by itself: the caller builds the datagram, resolves the neighbour,
//! and queues datagrams that cannot be sent yet. While there is no address, the caller must accept datagrams to port 68
//! for any destination address, because servers send to the address that they offer (RFC 2131 section 4.1), or it must
//! set [`Config::broadcast`].
//!
//! The current lease and the current exchange are independent: while a remembered lease is verified, or another lease
//! is searched, the current lease stays valid until it ends.
//!
//! | What servers can cause | Limit |
//! |---|---|
//! | messages that the client sends | 8 at once, then one per 4 seconds, across states and restarts |
//! | memory that the client uses | 16 items of each list of a lease; two leases: the current one, and the one that the caller knows |
//!
//! The client does not wait for one to ten seconds before its first message, as RFC 2131 section 4.4.1 says it should.
//! That delay was meant for many machines that are switched on at once. Today users wait for the address, and other
//! clients ask at once too. The back-off and the fuzz of T1 and T2 desynchronize clients later.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use smoltcp::wire::EthernetAddress;

use crate::random::Random;
use crate::time::{Instant, earliest};

mod ask;
mod exchange;
mod lease;
mod message;
pub(in crate::configure) mod names;
pub mod options;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod world;

use ask::broadcast;
use exchange::{Exchange, Pace};
pub use lease::{Lease, Nonsense, StaticRoute};
use message::{Kind, Reply, Request};

/// The UDP port of servers (RFC 2131 section 4.1).
pub const SERVER_PORT: u16 = 67;
/// The UDP port of clients.
pub const CLIENT_PORT: u16 = 68;

/// How often an offered lease is requested: for about a minute in total (RFC 2131 section 3.1 step 5).
const REQUESTS: u32 = 4;
/// How often a remembered lease is requested. This takes at most ten seconds, which are lost on another network whose
/// server is silent because it does not know the lease (RFC 2131 section 4.3.2).
const VERIFICATIONS: u32 = 2;
/// How long the client waits after it has declined an address (RFC 2131 section 3.1 step 5), or after a lease was
/// unusable.
const PAUSE: Duration = Duration::from_secs(10);
/// `MAX_CONFLICTS` and `RATE_LIMIT_INTERVAL` of RFC 5227 section 2.1.1: after this many conflicts, one address is tried
/// per interval.
const CONFLICTS: u32 = 10;
const CONFLICT_PAUSE: Duration = Duration::from_secs(60);

/// The configuration of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The host name (option 12), of 1 to 255 bytes. A name of another length is not sent.
    pub host_name: Option<String>,
    /// The last lease of this hardware address, perhaps from an earlier run: the client asks for the same address
    /// first.
    pub remembered: Option<Remembered>,
    /// The longest DHCP message that this host accepts, in bytes (option 57); at least 576.
    pub longest_message: u16,
    /// Whether servers are asked to answer by broadcast, for a host that accepts no unicast datagrams while it has no
    /// address (RFC 2131 section 4.1). Do not set it without need.
    pub broadcast: bool,
}

/// A message of 1472 bytes fits a datagram over Ethernet.
impl Default for Config {
    fn default() -> Self {
        Self { host_name: None, remembered: None, longest_message: 1472, broadcast: false }
    }
}

/// The state of a client (RFC 2131 figure 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A server is about to be searched. Entered at the start, by DHCPNAK, at the end of a lease, and for a pause after
    /// a lease that cannot be used. Left by the first message.
    Init,
    /// Waiting for offers. The first valid one is selected.
    Selecting,
    /// An offer was selected and requested. Left for `Init` after a minute.
    Requesting,
    /// A remembered lease is about to be verified. Entered by [`Client::new`] and [`Client::restart`].
    InitReboot,
    /// Waiting for a server to verify it. Left for `Init` after ten seconds at most.
    Rebooting,
    /// There is a lease, and nothing to do until T1.
    Bound,
    /// After T1, the server of the lease is asked to extend it.
    Renewing,
    /// After T2, any server is asked to extend it. Left for `Init` when the lease ends.
    Rebinding,
    /// The lease was released, and nothing is sent. Entered by [`Client::release`], left by [`Client::restart`].
    Released,
}

/// What the caller must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a datagram.
    Send(Datagram),
    /// There is a lease: the first one, a different one, or the same one for longer.
    Bound {
        /// The lease from now on.
        lease: Box<Lease>,
        /// The lease until now. The caller withdraws everything in it that is not in the new lease.
        former: Option<Box<Lease>>,
    },
    /// This lease is lost, and its address must not be used any more: it has expired, a server refused it, or the
    /// caller declined, released, refused or forgot it.
    Lost(Box<Lease>),
}

/// A UDP datagram to send from [`CLIENT_PORT`] to [`SERVER_PORT`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The source address: 0.0.0.0 while no address may be used.
    pub source: Ipv4Addr,
    /// The destination address: 255.255.255.255 unless the message is for one server.
    pub destination: Ipv4Addr,
    /// The message, of at least 300 bytes.
    pub payload: Vec<u8>,
}

/// A received UDP datagram from [`SERVER_PORT`] to [`CLIENT_PORT`], with valid checksums.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The source address.
    pub source: Ipv4Addr,
    /// The destination address.
    pub destination: Ipv4Addr,
    /// The payload.
    pub payload: &'a [u8],
}

/// The result of processing a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// It is an expected answer. [Poll](Client::poll) for its effects.
    Taken,
    /// It is malformed, for another client, or not expected.
    Ignored,
}

/// What is kept when a client is [restarted](Client::restart).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remember {
    /// The link may be another one, for example after a loss of carrier. The lease stays valid and is verified at once
    /// (RFC 2131 sections 3.7 and 4.4.2). If no server confirms it, the client searches for another lease meanwhile.
    Verify,
    /// The link is another one: the lease is lost.
    Nothing,
}

/// The DHCPv4 client. See the [module](self).
#[derive(Debug)]
pub struct Client {
    hardware: EthernetAddress,
    config: Config,
    phase: Phase,
    lease: Option<Box<Lease>>,
    /// The lease that the caller was last told of.
    told: Option<Box<Lease>>,
    /// Since when there is a change that the caller was not told of.
    news: Option<Instant>,
    memory: Option<Remembered>,
    pace: Pace,
    /// The number of consecutive addresses that other hosts had.
    conflicts: u32,
    refused: u64,
}

/// The exchange that is going on. It has not begun if it has no tries.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Selecting(Exchange),
    Requesting { exchange: Exchange, server: Ipv4Addr, address: Ipv4Addr },
    Rebooting { exchange: Exchange, address: Ipv4Addr },
    Bound,
    Renewing(Exchange),
    Rebinding(Exchange),
    Released,
}

/// The last lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its address.
    pub address: Ipv4Addr,
    /// Whether it was not released and is not known to have expired, so that it can be verified (INIT-REBOOT).
    /// Otherwise the address is only requested in a DHCPDISCOVER, because a server that knows no lease may be silent
    /// when a client claims one (RFC 2131 section 4.3.2).
    pub is_current: bool,
}

impl Client {
    /// A client for an interface with this hardware address. It starts now.
    #[must_use]
    pub fn new(hardware: EthernetAddress, config: Config, now: Instant) -> Self {
        let memory = config.remembered.filter(|remembered| lease::is_host(remembered.address));
        let mut client = Self {
            hardware,
            config,
            phase: Phase::Released,
            lease: None,
            told: None,
            news: None,
            memory,
            pace: Pace::new(now),
            conflicts: 0,
            refused: 0,
        };
        client.restart(Remember::Verify, now);
        client
    }

    /// Starts again, because the link is up again or is another one. The hardware address must be the same; another
    /// hardware address needs a new client.
    pub fn restart(&mut self, remember: Remember, now: Instant) {
        self.expire(now);
        match remember {
            Remember::Verify => {}
            Remember::Nothing => {
                self.lose(now);
                self.memory = None;
            }
        }
        let exchange = Exchange::new(now);
        self.phase = match self.memory {
            Some(Remembered { address, is_current: true }) => Phase::Rebooting { exchange, address },
            Some(Remembered { address: _, is_current: false }) | None => Phase::Selecting(exchange),
        };
    }

    /// The next action that is due by `now`; `None` if there is none. The caller must only poll while it can send: a
    /// datagram that it does not send is lost, as if on the link.
    pub fn poll(&mut self, now: Instant, random: &mut Random) -> Option<Action> {
        if let Some(action) = self.poll_silently(now) {
            return Some(action);
        }
        self.advance(now);
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        let datagram = self.ask(now, random)?;
        self.pace.spend(now);
        Some(Action::Send(datagram))
    }

    /// As [`poll`](Self::poll) while the link is down: nothing is sent, but a lease ends when it expires.
    pub fn poll_silently(&mut self, now: Instant) -> Option<Action> {
        self.expire(now);
        self.news.take()?;
        self.tell()
    }

    /// When to call [`poll_silently`](Self::poll_silently) again.
    #[must_use]
    pub fn next_silent_timeout(&self) -> Option<Instant> {
        earliest([self.news, self.lease().and_then(Lease::expires)])
    }

    /// When to call [`poll`](Self::poll) again, if nothing happens before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let lease = self.lease.as_deref();
        let rebinds = match self.phase {
            Phase::Renewing(_) => lease.and_then(Lease::rebinds),
            Phase::Selecting(_)
            | Phase::Requesting { .. }
            | Phase::Rebooting { .. }
            | Phase::Bound
            | Phase::Rebinding(_)
            | Phase::Released => None,
        };
        earliest([self.next_silent_timeout(), rebinds, self.due()])
    }

    /// Processes a datagram.
    ///
    /// # Errors
    /// What is wrong with an expected message. It is [counted](Self::refused). After an invalid offer the client waits
    /// for other offers. After an invalid lease it sends nothing for ten seconds, unless the lease would have extended
    /// the current one.
    pub fn receive(
        &mut self,
        received: Received<'_>,
        now: Instant,
        random: &mut Random,
    ) -> Result<Reception, Nonsense> {
        self.expire(now);
        // Servers answer to the address that they offer, or by broadcast (RFC 2131 section 4.1).
        let reply = Reply::parse(received.payload).filter(|_| !received.destination.is_multicast());
        let Some(reply) = reply.filter(|reply| reply.hardware == self.hardware) else {
            return Ok(Reception::Ignored);
        };
        let outcome = self.take(&reply, received.source, now, random);
        self.refused = self.refused.saturating_add(outcome.is_err().into());
        outcome
    }

    /// Releases the lease (RFC 2131 section 4.4.6), and sends nothing until it is [restarted](Self::restart). The
    /// caller must send the datagram before it withdraws the address. `None` if there is no lease.
    pub fn release(&mut self, now: Instant, random: &mut Random) -> Option<Datagram> {
        self.expire(now);
        self.phase = Phase::Released;
        let Lease { address, server, .. } = *self.lose(now)?;
        self.pace.spend(now);
        let release =
            Request { client: address, server: Some(server), ..self.request(Kind::Release, random.next_u32()) };
        Some(Datagram { source: address, destination: server, payload: release.emit() })
    }

    /// Declines the leased address, because another host has it (RFC 2131 section 3.1 step 5). The client searches for
    /// another one after ten seconds, or after a minute once there were ten conflicts (RFC 5227 section 2.1.1). The
    /// caller must send the datagram. `None` if `address` is not the leased one.
    pub fn decline(&mut self, address: Ipv4Addr, now: Instant, random: &mut Random) -> Option<Datagram> {
        self.expire(now);
        self.lease.as_deref().filter(|lease| lease.address == address)?;
        let Lease { address, server, .. } = *self.lose(now)?;
        self.memory = None;
        self.conflicts = self.conflicts.saturating_add(1);
        let pause = if self.conflicts < CONFLICTS { PAUSE } else { CONFLICT_PAUSE };
        self.phase = Phase::Selecting(Exchange::new(now + pause));
        self.pace.spend(now);
        let decline = Request {
            requested: Some(address),
            server: Some(server),
            ..self.request(Kind::Decline, random.next_u32())
        };
        Some(broadcast(Ipv4Addr::UNSPECIFIED, &decline))
    }

    /// The caller cannot use the lease, for example for lack of room: it is lost and counted, and the client searches
    /// again after ten seconds.
    pub fn refuse(&mut self, now: Instant) {
        if self.lose(now).is_some() {
            self.refused = self.refused.saturating_add(1);
            self.phase = Phase::Selecting(Exchange::new(now + PAUSE));
        }
    }

    /// The state of the client.
    #[must_use]
    pub const fn state(&self) -> State {
        match self.phase {
            Phase::Selecting(exchange) if exchange.tries() == 0 => State::Init,
            Phase::Selecting(_) => State::Selecting,
            Phase::Requesting { .. } => State::Requesting,
            Phase::Rebooting { exchange, address: _ } if exchange.tries() == 0 => State::InitReboot,
            Phase::Rebooting { .. } => State::Rebooting,
            Phase::Bound => State::Bound,
            Phase::Renewing(_) => State::Renewing,
            Phase::Rebinding(_) => State::Rebinding,
            Phase::Released => State::Released,
        }
    }

    /// The current lease, whatever exchange is going on.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_deref()
    }

    /// The last lease that was neither refused nor declined, for [`Config::remembered`] of a later run.
    #[must_use]
    pub const fn remembered(&self) -> Option<Remembered> {
        self.memory
    }

    /// How many offers, leases and refusals were invalid or could not be used.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// The change that the caller was not told of yet.
    fn tell(&mut self) -> Option<Action> {
        let former = self.told.take();
        match &self.lease {
            Some(lease) => {
                self.told = Some(lease.clone());
                Some(Action::Bound { lease: lease.clone(), former })
            }
            None => former.map(Action::Lost),
        }
    }

    /// Ends what has timed out: exchanges that nobody answers, and renewal by the server of the lease after T2.
    fn advance(&mut self, now: Instant) {
        let lease = self.lease.as_deref();
        let is_over = |time: Option<Instant>| time.is_some_and(|time| time <= now);
        let (renews, rebinds) = (is_over(lease.and_then(Lease::renews)), is_over(lease.and_then(Lease::rebinds)));
        let anew = Exchange::new(now);
        self.phase = match self.phase {
            Phase::Bound | Phase::Renewing(_) if rebinds => Phase::Rebinding(anew),
            Phase::Bound if renews => Phase::Renewing(anew),
            Phase::Requesting { exchange, .. } if exchange.tries() >= REQUESTS && exchange.due() <= now => {
                Phase::Selecting(anew)
            }
            Phase::Rebooting { exchange, .. } if exchange.tries() >= VERIFICATIONS && exchange.due() <= now => {
                Phase::Selecting(anew)
            }
            phase => phase,
        };
    }

    /// When the next message may be sent.
    fn due(&self) -> Option<Instant> {
        let due = match self.phase {
            Phase::Selecting(exchange)
            | Phase::Requesting { exchange, .. }
            | Phase::Rebooting { exchange, .. }
            | Phase::Renewing(exchange)
            | Phase::Rebinding(exchange) => exchange.due(),
            Phase::Bound => self.lease.as_deref().and_then(Lease::renews)?,
            Phase::Released => return None,
        };
        Some(due.max(self.pace.next()))
    }

    /// Processes a message for this client, if it answers the current exchange.
    fn take(
        &mut self,
        reply: &Reply<'_>,
        source: Ipv4Addr,
        now: Instant,
        random: &mut Random,
    ) -> Result<Reception, Nonsense> {
        let (exchange, asked) = match self.phase {
            Phase::Selecting(exchange) => (exchange, None),
            Phase::Requesting { exchange, address, .. } | Phase::Rebooting { exchange, address } => {
                (exchange, Some(address))
            }
            Phase::Renewing(exchange) | Phase::Rebinding(exchange) => (exchange, self.lease().map(|it| it.address)),
            Phase::Bound | Phase::Released => return Ok(Reception::Ignored),
        };
        let Some(kind) = reply.kind().filter(|_| exchange.awaits(reply.transaction)) else {
            return Ok(Reception::Ignored);
        };
        match (kind, asked) {
            (Kind::Offer, None) => {
                let Lease { server, address, .. } = lease::read(reply, source, now, random)?;
                self.phase = Phase::Requesting { exchange: exchange.following(now), server, address };
                Ok(Reception::Taken)
            }
            (Kind::Ack | Kind::Nak, Some(_)) if !self.is_from_selected(reply, source) => Ok(Reception::Ignored),
            (Kind::Ack, Some(_)) => match lease::read(reply, source, exchange.asked(), random) {
                Ok(lease) => Ok(self.bind(lease, now)),
                Err(nonsense) => {
                    if matches!(self.phase, Phase::Requesting { .. } | Phase::Rebooting { .. }) {
                        self.phase = Phase::Selecting(Exchange::new(now + PAUSE));
                    }
                    Err(nonsense)
                }
            },
            (Kind::Nak, Some(address)) => {
                lease::server(reply, source)?;
                if self.memory.is_some_and(|memory| memory.address == address) {
                    self.memory = None;
                }
                if self.lease().is_some_and(|lease| lease.address == address) {
                    self.lose(now);
                }
                self.phase = Phase::Selecting(Exchange::new(now));
                Ok(Reception::Taken)
            }
            (Kind::Discover | Kind::Request | Kind::Decline | Kind::Release, _)
            | (Kind::Offer, Some(_))
            | (Kind::Ack | Kind::Nak, None) => Ok(Reception::Ignored),
        }
    }

    /// Whether an answer comes from the selected server, if there is one. An answer without a server identifier counts
    /// as such here: it is refused later.
    fn is_from_selected(&self, reply: &Reply<'_>, source: Ipv4Addr) -> bool {
        let Phase::Requesting { server, .. } = self.phase else { return true };
        lease::server(reply, source).map_or(true, |named| named == server)
    }

    fn bind(&mut self, lease: Lease, now: Instant) -> Reception {
        // The lease time counts from the first request, so the lease may have expired when a late answer arrives.
        if lease.expires().is_some_and(|expires| expires <= now) {
            return Reception::Ignored;
        }
        if matches!(self.phase, Phase::Renewing(_) | Phase::Rebinding(_)) {
            self.conflicts = 0;
        }
        self.memory = Some(Remembered { address: lease.address, is_current: true });
        self.lease = Some(Box::new(lease));
        self.news = Some(now);
        self.phase = Phase::Bound;
        Reception::Taken
    }

    /// Ends the lease if it has expired.
    fn expire(&mut self, now: Instant) {
        if self.lease().and_then(Lease::expires).is_none_or(|expires| expires > now) {
            return;
        }
        self.lose(now);
        if matches!(self.phase, Phase::Bound | Phase::Renewing(_) | Phase::Rebinding(_)) {
            self.phase = Phase::Selecting(Exchange::new(now));
        }
    }

    fn lose(&mut self, now: Instant) -> Option<Box<Lease>> {
        let lease = self.lease.take()?;
        self.news = Some(now);
        if let Some(memory) = &mut self.memory {
            memory.is_current = false;
        }
        Some(lease)
    }
}
