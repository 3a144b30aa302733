//! DHCP: an address, a router and DNS servers from the link's server (RFC 2131).
//!
//! smoltcp's client keeps the state machine and builds the messages; it has a socket set of its own, which is given what
//! the link's servers answer and nothing else. What is here decides: which answers it sees, whether what they lend can
//! be used, how often it may ask, and what becomes of the interface.
//!
//! smoltcp says nothing when a lease is renewed with the same content, nor for how long it is. A receive buffer makes it
//! report every renewal, an empty one costs nothing, and the time is read from the answer at hand.

mod release;
mod reply;

use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::dhcpv4::{Event, ServerInfo, Socket};
use smoltcp::wire::{DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpMessageType};
use xila_network_commands::event::Change;
use xila_network_commands::interface::{DhcpState, DhcpStatus, Lease, Link, Origin, State};

use super::demux::Tuple;
use super::neighbours::RETRANSMIT;
use super::{Core, from_wire_time, wire_time};
use crate::address::{MacAddress, Route};
use crate::device::Medium;
use crate::error::{Error, Result};
use crate::platform::Instant;
use reply::{Reply, Terms};

/// The metric of a lease's default route: behind one that somebody set, as NetworkManager has it on a wire.
const METRIC: u32 = 100;
/// How long nothing is asked of a server after it has lent nonsense (RFC 2131 section 3.1: at least ten seconds after a
/// DHCPDECLINE).
const REFUSAL: Duration = Duration::from_secs(10);
/// The time after which a first DHCPDISCOVER is repeated; doubled each time, up to sixteenfold (RFC 2131 section 4.1).
const PATIENCE: Duration = Duration::from_secs(4);
/// Messages that may leave one after the other, and the time in which one more may. A server that refuses what it has
/// just offered, or lends for no time at all, would otherwise be asked as fast as it answers.
const BURST: u32 = 8;
/// See [`BURST`].
const INTERVAL: Duration = Duration::from_secs(4);

/// DHCP on an interface.
#[derive(Default)]
pub(super) struct Dhcp {
    client: Option<Client>,
    refused: u64,
}

/// The client, while it is switched on.
struct Client {
    sockets: SocketSet<'static>,
    handle: SocketHandle,
    lease: Option<Held>,
    /// When the engine has something to send or to give up.
    due: Instant,
    /// The transaction that an answer is waited for.
    awaited: Option<u32>,
    /// How often was asked since there is nothing.
    tries: u32,
    /// When the messages that were sent would all have left, one each [`INTERVAL`].
    spent: Instant,
    /// A message waits for the server's hardware address.
    unresolved: bool,
}

/// A lease, as it was applied.
struct Held {
    terms: Terms,
    server: ServerInfo,
    /// Who handed the server's answer on.
    from: MacAddress,
    until: Instant,
}

impl Client {
    fn new(now: Instant) -> Self {
        let mut socket = Socket::new();
        socket.set_receive_packet_buffer(&mut []);
        let mut sockets = SocketSet::new(Vec::with_capacity(1));
        let handle = sockets.add(socket);
        let mut client =
            Self { sockets, handle, lease: None, due: now, awaited: None, tries: 0, spent: now, unresolved: false };
        client.restart(now);
        client
    }

    fn socket(&mut self) -> &mut Socket<'static> {
        self.sockets.get_mut::<Socket<'_>>(self.handle)
    }

    /// Begins anew at a time, whatever the lease.
    fn restart(&mut self, at: Instant) {
        let socket = self.socket();
        socket.reset();
        // What it has to say of the reset is known.
        socket.poll();
        (self.due, self.awaited, self.tries, self.unresolved) = (at, None, 0, false);
    }

    /// Counts a message that was sent.
    fn sent(&mut self, transaction: u32, now: Instant) {
        self.awaited = Some(transaction);
        self.spent = self.spent.max(now) + INTERVAL;
        self.tries = self.tries.saturating_add(1);
        self.unresolved = false;
    }

    /// When the next message may leave.
    fn may_send(&self) -> Instant {
        let ahead = self.spent.since_origin().saturating_sub(INTERVAL * (BURST - 1));
        self.due.max(Instant::from_origin(ahead))
    }

    const fn state(&self) -> DhcpState {
        if self.lease.is_some() { DhcpState::Bound } else { DhcpState::Searching }
    }
}

impl Core {
    pub(crate) fn dhcp_status(&self) -> DhcpStatus {
        let Dhcp { client, refused } = &self.dhcp;
        let lease = client.as_ref().and_then(|client| client.lease.as_ref()).map(|held| Lease {
            address: held.terms.address,
            router: held.terms.router,
            dns_servers: held.terms.dns_servers.clone(),
            server: held.server.identifier,
            valid: held.until - self.now,
        });
        DhcpStatus { state: client.as_ref().map_or(DhcpState::Off, Client::state), lease, refused: *refused }
    }

    /// # Errors
    /// [`Error::NotSupported`] where the medium is not Ethernet.
    pub(crate) fn set_dhcp(&mut self, enabled: bool) -> Result<()> {
        if enabled && self.capabilities.medium != Medium::Ethernet {
            return Err(Error::NotSupported);
        }
        match (enabled, &self.dhcp.client) {
            (true, None) => {
                self.dhcp.client = Some(Client::new(self.now));
                self.announce(Change::Dhcp(DhcpState::Searching));
            }
            (false, Some(_)) => {
                self.dhcp_release();
                self.dhcp.client = None;
                self.withdraw(Origin::Dhcp);
                self.announce(Change::Dhcp(DhcpState::Off));
            }
            (true, Some(_)) | (false, None) => {}
        }
        Ok(())
    }

    /// Frees the client of an interface that is gone.
    pub(super) fn dhcp_end(&mut self) {
        self.dhcp.client = None;
    }

    /// Asks anew, keeping what was lent until it runs out or is lent otherwise: the interface has been down, and its
    /// connections go on if the lease does (RFC 2131 section 3.2 point 4).
    pub(super) fn dhcp_ask(&mut self) {
        if let Some(client) = &mut self.dhcp.client {
            client.restart(self.now);
        }
    }

    /// Begins anew without a lease: the link may be another, or the hardware address is.
    pub(super) fn dhcp_restart(&mut self) {
        self.dhcp_ask();
        self.dhcp_lose();
    }

    /// When the client has to be looked at.
    pub(super) fn dhcp_next(&self) -> Option<Instant> {
        let client = self.dhcp.client.as_ref()?;
        // While nothing can leave, nothing is due: what the device takes again, or a link, is waited for as such.
        let able = !self.full && self.known_link == Link::Up && self.state == State::Up;
        let send = able.then(|| client.may_send());
        [send, client.lease.as_ref().map(|held| held.until)].into_iter().flatten().min()
    }

    /// Gives a lease up whose time is over. The engine learns it at its next message; where it asks anew already, it
    /// has forgotten the lease.
    pub(super) fn dhcp_expire(&mut self) {
        let lease = self.dhcp.client.as_ref().and_then(|client| client.lease.as_ref());
        if lease.is_some_and(|held| held.until <= self.now) {
            self.dhcp_restart();
        }
    }

    /// Sends what is due; false where the device took not all of it.
    pub(super) fn dhcp_send(&mut self, budget: &mut usize) -> bool {
        // An engine that gives something up says so by being due at once again: a few steps are enough.
        const STEPS: usize = 4;
        for _ in 0..STEPS {
            if self.known_link == Link::Down || *budget == 0 {
                return true;
            }
            let Some(client) = self.dhcp.client.as_mut().filter(|client| client.may_send() <= self.now) else {
                return true;
            };
            let Some(port) = &mut self.port else { return true };
            let mut retry = client.socket().get_retry_config();
            retry.discover_timeout = (PATIENCE * (1 << client.tries.min(4))).into();
            client.socket().set_retry_config(retry);
            let (_, outcome) = Self::send_one(&mut self.iface, port, self.now, &mut client.sockets);
            if outcome.exhausted {
                return false;
            }
            *budget -= usize::from(outcome.attempted);
            if let Some(transaction) = outcome.transaction {
                client.sent(transaction, self.now);
            }
            client.due = due(&mut self.iface, client, self.now);
            if self.mend_engine() {
                return true;
            }
            let Some(client) = &mut self.dhcp.client else { return true };
            if outcome.transaction.is_none() && outcome.awaits_neighbour() {
                // The set remembers the missing neighbour, and lets the engine try again once a second.
                client.unresolved = true;
                if let Some(server) = client.lease.as_ref().map(|held| held.server.address) {
                    self.solicit(server.into(), outcome);
                }
            }
            self.dhcp_poll(None);
        }
        if let Some(client) = self.dhcp.client.as_mut().filter(|client| client.due <= self.now) {
            client.due = self.now + RETRANSMIT;
        }
        true
    }

    /// A neighbour has become known: perhaps the server that a renewal is for.
    pub(super) fn dhcp_retry(&mut self) {
        if let Some(client) = self.dhcp.client.as_mut().filter(|client| client.unresolved) {
            client.due = self.now;
        }
    }

    /// Whether a datagram is the client's.
    pub(super) fn dhcp_takes(&self, tuple: &Tuple) -> bool {
        let ports = (tuple.remote().port(), tuple.local().port());
        self.dhcp.client.is_some() && tuple.local().is_ipv4() && ports == (DHCP_SERVER_PORT, DHCP_CLIENT_PORT)
    }

    /// Takes a server's answer. The engine sees none that was not waited for: it would take a second copy of an answer
    /// as a renewal, and an answer to nothing before it has asked.
    pub(super) fn dhcp_ingress(&mut self, frame: &[u8]) {
        let (Some(port), Some(hardware)) = (&mut self.port, self.hardware_address) else { return };
        let reply = Reply::read(frame, &port.capabilities.checksum);
        let awaited = |reply: &Reply| reply.client == hardware.octets();
        let (Some(reply), Some(client)) = (reply.filter(awaited), &mut self.dhcp.client) else {
            self.statistics.received.dropped += 1;
            return;
        };
        if client.awaited != Some(reply.transaction) {
            self.statistics.received.dropped += 1;
            return;
        }
        let terms = match reply.kind {
            DhcpMessageType::Offer | DhcpMessageType::Ack => match reply.terms() {
                Ok(terms) => Some(terms),
                Err(nonsense) => return self.dhcp_refuse(reply.kind, nonsense),
            },
            _ => None,
        };
        Self::receive_one(&mut self.iface, port, self.now, frame, &mut client.sockets);
        client.due = due(&mut self.iface, client, self.now);
        self.dhcp_poll(terms.map(|terms| (terms, reply.from)));
    }

    /// Acts on what the engine has decided by an answer with these terms, or by time.
    fn dhcp_poll(&mut self, answer: Option<(Terms, MacAddress)>) {
        let Some(client) = &mut self.dhcp.client else { return };
        let event = client.socket().poll().map(|event| match event {
            Event::Configured(config) => Some(config.server),
            Event::Deconfigured => None,
        });
        match (event, answer) {
            (Some(Some(server)), Some((terms, from))) => {
                client.awaited = None;
                client.tries = 0;
                let until = self.now + terms.lifetime.unwrap_or(reply::FOR_EVER);
                self.dhcp_apply(Held { terms, server, from, until });
            }
            (Some(None), _) => {
                client.awaited = None;
                self.dhcp_lose();
            }
            (Some(Some(_)) | None, _) => {}
        }
    }

    /// Refuses what a server lends.
    fn dhcp_refuse(&mut self, kind: DhcpMessageType, nonsense: &str) {
        let Some(client) = &mut self.dhcp.client else { return };
        tracing::warn!(nonsense, "a lease was refused");
        self.dhcp.refused += 1;
        // After an offer the others' are still waited for; a lease that is there lasts as long as it was lent.
        if kind == DhcpMessageType::Ack && client.lease.is_none() {
            client.restart(self.now + REFUSAL);
        }
    }

    fn dhcp_apply(&mut self, held: Held) {
        let Terms { address, router, ref dns_servers, lifetime } = held.terms;
        let before = self.dhcp.client.as_ref().and_then(|client| client.lease.as_ref());
        if before.is_some_and(|before| before.terms.address != address) {
            self.withdraw(Origin::Dhcp);
        }
        match self.put_address(address, Origin::Dhcp, lifetime, lifetime) {
            // One that somebody has set stays theirs.
            Ok(()) | Err(Error::AddressInUse) => {}
            Err(error) => {
                self.dhcp_lose();
                return self.dhcp_refuse(DhcpMessageType::Ack, &error.to_string());
            }
        }
        self.dhcp_route(router);
        let servers: Vec<IpAddr> = dns_servers.iter().copied().map(IpAddr::V4).collect();
        self.put_dns_servers(Origin::Dhcp, &servers);
        if let Some(client) = &mut self.dhcp.client {
            client.lease = Some(held);
        }
        self.announce(Change::Dhcp(DhcpState::Bound));
    }

    /// Leads everything else through the lease's router, and through no other that a lease had.
    fn dhcp_route(&mut self, router: Option<Ipv4Addr>) {
        let route = router.and_then(|router| Route::default_via(router.into()).ok()).map(|it| it.with_metric(METRIC));
        let stale = |known: &Route| route.is_none_or(|route| !route.is_same(known));
        let ours = self.routes.iter().filter(|entry| entry.origin == Origin::Dhcp).map(|entry| entry.route);
        let stale: Vec<Route> = ours.filter(stale).collect();
        stale.into_iter().for_each(|route| self.remove_route(route).unwrap_or_default());
        let Some(route) = route else { return };
        let rival = |known: &super::routes::Entry| {
            known.origin != Origin::Dhcp
                && (known.route.destination(), known.route.metric()) == (route.destination(), METRIC)
        };
        // One that somebody has set stays theirs.
        if !self.routes.iter().any(rival)
            && let Err(error) = self.put_route(route, Origin::Dhcp)
        {
            tracing::warn!(%error, "the lease's router was left out");
        }
    }

    /// Withdraws what the lease brought.
    fn dhcp_lose(&mut self) {
        if self.dhcp.client.as_mut().and_then(|client| client.lease.take()).is_some() {
            self.withdraw(Origin::Dhcp);
            self.announce(Change::Dhcp(DhcpState::Searching));
        }
    }
}

/// When the engine wants to be looked at.
fn due(iface: &mut smoltcp::iface::Interface, client: &Client, now: Instant) -> Instant {
    iface.poll_at(wire_time(now), &client.sockets).map_or(now + RETRANSMIT, from_wire_time)
}
