//! The client of DHCPv4: an address, routers and names from a server on the link, for a time (RFC 2131).
//!
//! It is asked what is to be [done](Client::poll), and [told](Client::receive) what comes to UDP port 68 from port 67.
//! It knows no way out: the caller makes the datagram, finds the neighbour, and keeps what cannot leave yet. While
//! there is no address, the caller has to take datagrams to port 68 whatever address they are for, since servers send
//! to the address that they lend (RFC 2131 section 4.1), or set [`Config::broadcast`].
//!
//! A lease is one thing, what is being asked is another: while a remembered lease is verified, or another one is
//! looked for, the one that is there goes on until it ends.
//!
//! | What a server can make the client do | Bound |
//! |---|---|
//! | send | 8 messages at once, then one in 4 seconds, across states and restarts |
//! | remember | of each list of a lease, 16 items; two leases: the present one, and the one the caller knows |
//!
//! The client does not wait for one to ten seconds before its first message, as RFC 2131 section 4.4.1 says it should.
//! That was meant for a hall of machines that are switched on by one switch; today something waits for the address,
//! and clients ask at once. The back-off, and the fuzz of T1 and T2, keep them apart afterwards.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::time::Duration;

use smoltcp::wire::EthernetAddress;

use crate::random::Random;
use crate::time::Instant;

mod ask;
mod exchange;
mod lease;
mod message;
pub(in crate::configure) mod names;
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

/// How often an offered lease is requested: for a minute in all (RFC 2131 section 3.1 step 5).
const REQUESTS: u32 = 4;
/// How often a remembered lease is. It takes ten seconds at most: on another network, whose server may be silent about
/// what it does not know (RFC 2131 section 4.3.2), they are lost.
const VERIFICATIONS: u32 = 2;
/// How long nothing is asked after an address was declined (RFC 2131 section 3.1 step 5) or a lease was refused.
const PAUSE: Duration = Duration::from_secs(10);
/// `MAX_CONFLICTS` and `RATE_LIMIT_INTERVAL` of RFC 5227 section 2.1.1: after so many addresses that others had, one is
/// tried in so long.
const CONFLICTS: u32 = 10;
const CONFLICT_PAUSE: Duration = Duration::from_secs(60);

/// What a client is told of its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The host's name (option 12), of 1 to 255 bytes; another is not sent.
    pub host_name: Option<String>,
    /// What was lent to this hardware address before, in another run perhaps: the same address is asked for first.
    pub remembered: Option<Remembered>,
    /// The longest DHCP message that is taken, in bytes (option 57); no less than 576.
    pub longest_message: u16,
    /// Whether servers are asked to answer by broadcast, for a host that takes no other datagram while it has no
    /// address (RFC 2131 section 4.1). Servers should not be asked without need.
    pub broadcast: bool,
}

/// 1472 bytes fit a datagram over Ethernet.
impl Default for Config {
    fn default() -> Self {
        Self { host_name: None, remembered: None, longest_message: 1472, broadcast: false }
    }
}

/// Where a client is (RFC 2131 figure 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A server is about to be looked for: entered at the begin, by a refusal (DHCPNAK), by the end of a lease, and,
    /// for a pause, by what cannot be used. Left by the first message.
    Init,
    /// Offers are waited for, and the first that makes sense is taken.
    Selecting,
    /// An offer was taken, and the lease of it is waited for. Left for `Init` after a minute.
    Requesting,
    /// A remembered lease is about to be verified: entered by [`Client::new`] and [`Client::restart`].
    InitReboot,
    /// Its server is waited for. Left for `Init` after ten seconds at most.
    Rebooting,
    /// There is a lease, and nothing to be asked until T1.
    Bound,
    /// After T1, the server of the lease is asked to extend it.
    Renewing,
    /// After T2, any server is. Left for `Init` by the end of the lease.
    Rebinding,
    /// The lease was given back, and nothing is asked: entered by [`Client::release`], left by [`Client::restart`].
    Released,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a datagram.
    Send(Datagram),
    /// There is a lease: the first one, another one, or the same for longer.
    Bound {
        /// What is lent from now on.
        lease: Box<Lease>,
        /// What was until now. What it has and the new one has not is to be withdrawn.
        former: Option<Box<Lease>>,
    },
    /// This is not lent any more, and the address must not be used from now on: the time is over, a server refused it,
    /// or it was declined, released, refused or forgotten.
    Lost(Box<Lease>),
}

/// A UDP datagram to be sent from [`CLIENT_PORT`] to [`SERVER_PORT`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The source, which is 0.0.0.0 while no address may be used.
    pub source: Ipv4Addr,
    /// The destination, which is 255.255.255.255 unless one server is meant.
    pub destination: Ipv4Addr,
    /// The message, of 300 bytes at least.
    pub payload: Vec<u8>,
}

/// A UDP datagram from [`SERVER_PORT`] to [`CLIENT_PORT`], whose checksums were right.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// Its source.
    pub source: Ipv4Addr,
    /// Its destination.
    pub destination: Ipv4Addr,
    /// What it holds.
    pub payload: &'a [u8],
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// It answers what was asked. [Poll](Client::poll) for what follows from it.
    Taken,
    /// It is malformed, for another client, or nobody waits for it.
    Ignored,
}

/// What is remembered when a client [begins anew](Client::restart).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remember {
    /// The link may be another, as after its carrier was lost: the lease goes on, and is verified at once (RFC 2131
    /// sections 3.7 and 4.4.2). Where nobody knows of it, others are looked for meanwhile.
    Verify,
    /// The link is another: what was lent is lost.
    Nothing,
}

/// The client. See the [module](self).
#[derive(Debug)]
pub struct Client {
    hardware: EthernetAddress,
    config: Config,
    phase: Phase,
    lease: Option<Box<Lease>>,
    /// The lease that the caller was told of.
    told: Option<Box<Lease>>,
    /// Since when there is something to tell.
    news: Option<Instant>,
    memory: Option<Remembered>,
    pace: Pace,
    /// Addresses that others had, one after the other.
    conflicts: u32,
    refused: u64,
}

/// What is being asked. An exchange without tries has not begun.
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

/// What was lent last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// The address.
    pub address: Ipv4Addr,
    /// It was not given back, and its time is not known to be over, so that it can be verified (INIT-REBOOT). Else a
    /// server may be asked for it again by a discovery, no more: one that knows of no lease may be silent where it is
    /// told of one (RFC 2131 section 4.3.2).
    pub is_current: bool,
}

impl Client {
    /// A client for an interface with this hardware address, which begins to ask now.
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

    /// Begins anew: the link is back, or another. The hardware address is the same; with another one it is another
    /// client.
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

    /// What is to be done by now, one thing at a time, until there is nothing. The caller polls while it can send: what
    /// it was given and does not send is lost, as if by the link.
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

    /// As [`poll`](Self::poll) while there is no link: nobody is asked, but a lease ends when its time is over.
    pub fn poll_silently(&mut self, now: Instant) -> Option<Action> {
        self.expire(now);
        self.news.take()?;
        self.tell()
    }

    /// When to [poll silently](Self::poll_silently) again.
    #[must_use]
    pub fn next_silent_timeout(&self) -> Option<Instant> {
        [self.news, self.lease().and_then(Lease::expires)].into_iter().flatten().min()
    }

    /// When to [poll](Self::poll) again, where nothing happens before.
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
        [self.next_silent_timeout(), rebinds, self.due()].into_iter().flatten().min()
    }

    /// Takes a datagram.
    ///
    /// # Errors
    /// What is wrong with a message that was waited for; it is [counted](Self::refused). After a bad offer others are
    /// waited for; after a bad lease nothing is asked for ten seconds, unless it was to extend one that there is.
    pub fn receive(
        &mut self,
        received: Received<'_>,
        now: Instant,
        random: &mut Random,
    ) -> Result<Reception, Nonsense> {
        self.expire(now);
        // Servers answer to the address that they lend, or by broadcast (RFC 2131 section 4.1).
        let reply = Reply::parse(received.payload).filter(|_| !received.destination.is_multicast());
        let Some(reply) = reply.filter(|reply| reply.hardware == self.hardware) else {
            return Ok(Reception::Ignored);
        };
        let outcome = self.take(&reply, received.source, now, random);
        self.refused = self.refused.saturating_add(outcome.is_err().into());
        outcome
    }

    /// Gives the lease back (RFC 2131 section 4.4.6), and asks nothing until it is [restarted](Self::restart). The
    /// datagram is to be sent before the address is withdrawn; `None` where nothing is lent.
    pub fn release(&mut self, now: Instant, random: &mut Random) -> Option<Datagram> {
        self.expire(now);
        self.phase = Phase::Released;
        let Lease { address, server, .. } = *self.lose(now)?;
        self.pace.spend(now);
        let release =
            Request { client: address, server: Some(server), ..self.request(Kind::Release, random.next_u32()) };
        Some(Datagram { source: address, destination: server, payload: release.emit() })
    }

    /// Another host has the address that is lent: tells the server so (RFC 2131 section 3.1 step 5), and looks for
    /// another one after ten seconds, or a minute after ten of them (RFC 5227 section 2.1.1). The datagram is to be
    /// sent; `None` where nothing is lent, or something else than `address`.
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

    /// The caller cannot use the lease, for lack of room for instance: it is lost and counted, and asked for again
    /// after ten seconds.
    pub fn refuse(&mut self, now: Instant) {
        if self.lose(now).is_some() {
            self.refused = self.refused.saturating_add(1);
            self.phase = Phase::Selecting(Exchange::new(now + PAUSE));
        }
    }

    /// Where it is.
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

    /// What is lent, whatever is being asked.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        self.lease.as_deref()
    }

    /// What was lent last and was neither refused nor declined, for [`Config::remembered`] of another run.
    #[must_use]
    pub const fn remembered(&self) -> Option<Remembered> {
        self.memory
    }

    /// How many offers, leases and refusals made no sense, or could not be used.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// What the caller has not been told of.
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

    /// Gives up what time has ended: questions that nobody answers, and the server after T2.
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

    /// When the next message may leave.
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

    /// Takes a message for this client, where it answers what was asked.
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
            (Kind::Ack | Kind::Nak, Some(_)) if !self.is_of_chosen(reply, source) => Ok(Reception::Ignored),
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

    /// Whether an answer comes from the server whose offer was taken, where there is one. An answer that names none is
    /// refused by others.
    fn is_of_chosen(&self, reply: &Reply<'_>, source: Ipv4Addr) -> bool {
        let Phase::Requesting { server, .. } = self.phase else { return true };
        lease::server(reply, source).map_or(true, |named| named == server)
    }

    fn bind(&mut self, lease: Lease, now: Instant) -> Reception {
        // It counts from the first request, and the answer may have come to the last.
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

    /// Gives a lease up whose time is over.
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
