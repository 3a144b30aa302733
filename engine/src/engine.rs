//! The engine of one interface: a complete TCP/IP stack, made of the other modules.
//!
//! [`Engine`] is the only type that knows all parts. The caller [gives](Engine::receive) it the frames that have
//! arrived, and it gives the frames that leave to a [`Transmitter`]. Time is an argument. The engine reports what
//! happened as [events](Event).
//!
//! | Module | Contents |
//! |---|---|
//! | `arrival` | reception: frames and packets that arrive, and the sockets that they are for |
//! | `departure` | transmission: what the owners of sockets send |
//! | `configuration` | DHCP and router discovery: applies what they learn |
//! | `information` | stateless DHCPv6: asks servers, and applies their answers |
//! | `names` | DNS servers and search domains from all sources |
//! | `messages` | ICMP: echo, and errors about packets of this host |
//! | `consequences` | passes the effects of one part on to the other parts |

mod arrival;
mod configuration;
mod consequences;
mod departure;
mod information;
mod messages;
mod names;
#[cfg(test)]
mod tests;

use alloc::collections::{BTreeSet, VecDeque};
use core::net::IpAddr;
use core::time::Duration;

use smoltcp::wire::EthernetAddress;

use crate::configure::servers::Servers;
use crate::event::Event;
use crate::frame::Transmitter;
use crate::icmp;
use crate::interface::{Interface, Link};
use crate::ip::reassembly::Reassembly;
use crate::random::{Random, Secret};
use crate::tcp::{self, ConnectionId, Tcp};
use crate::time::{Instant, earliest};
use crate::udp::recent::Recent;
use crate::udp::{self, Udp};
use configuration::Configuration;

pub use arrival::Arrived;
pub use departure::{Datagram, EchoRequest};

/// The configuration of an engine.
#[derive(Clone, Debug)]
pub struct Config {
    /// The link.
    pub link: Link,
    /// TCP. The engine sets its link and its ports from the other fields.
    pub tcp: tcp::Config,
    /// How much of the UDP tables one owner may use.
    pub udp: udp::Limits,
    /// Whether echo requests are answered.
    pub echo_reply: bool,
}

/// Counters of the engine. The parts have counters of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that arrived and were dropped: malformed, not for this host, or from an address that no sender can have.
    pub dropped: u64,
    /// Datagrams that were dropped, when sent or when received.
    pub datagrams_dropped: u64,
}

/// See the [module](self).
pub struct Engine {
    interface: Interface,
    reassembly: Reassembly,
    tcp: Tcp,
    udp: Udp<()>,
    icmp: icmp::Sockets,
    /// The ends of the last large packets.
    recent: Recent,
    echo_reply: bool,
    configuration: Configuration,
    servers: Servers,
    events: VecDeque<Event>,
    /// Connections that gave up their place in a neighbour's queue to others, and when they try again.
    parked: VecDeque<(Instant, ConnectionId)>,
    /// The keys of the same connections, for lookup.
    parked_ids: BTreeSet<ConnectionId>,
    /// The connections of these that are trying again now.
    retrying: BTreeSet<ConnectionId>,
    /// The neighbour that was last confirmed reachable by its packets, and when.
    confirmed: Option<(IpAddr, Instant)>,
    counters: Counters,
    random: Random,
}

impl Engine {
    /// An engine without addresses and sockets. `random` is seeded by the platform.
    #[must_use]
    pub fn new(config: Config, mut random: Random) -> Self {
        let Config { link, tcp, udp, echo_reply } = config;
        let (interface, tcp_random) = (random.split(), random.split());
        let secret = Secret::new(&mut random);
        Self {
            interface: Interface::new(link, interface),
            reassembly: Reassembly::new(&Secret::new(&mut random)),
            tcp: Tcp::new(tcp, tcp_random),
            udp: Udp::new(udp, &secret),
            icmp: icmp::Sockets::new(&secret),
            recent: Recent::new(Secret::new(&mut random)),
            echo_reply,
            configuration: Configuration::default(),
            servers: Servers::default(),
            events: VecDeque::new(),
            parked: VecDeque::new(),
            parked_ids: BTreeSet::new(),
            retrying: BTreeSet::new(),
            confirmed: None,
            counters: Counters::default(),
            random,
        }
    }

    /// The interface.
    #[must_use]
    pub const fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The interface, mutably. Call [`act`](Self::act) after a change, so that its effects are applied.
    pub const fn interface_mut(&mut self) -> &mut Interface {
        &mut self.interface
    }

    /// TCP.
    #[must_use]
    pub const fn tcp(&self) -> &Tcp {
        &self.tcp
    }

    /// TCP, for the operations of the owners of connections.
    pub const fn tcp_mut(&mut self) -> &mut Tcp {
        &mut self.tcp
    }

    /// The sockets of UDP.
    #[must_use]
    pub const fn udp(&self) -> &Udp<()> {
        &self.udp
    }

    /// The sockets of ICMP.
    #[must_use]
    pub const fn icmp(&self) -> &icmp::Sockets {
        &self.icmp
    }

    /// The counters.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The memory held, in bytes: packets that wait to be sent, incomplete fragments, queues and tables. Events that
    /// wait to be polled are not counted.
    #[must_use]
    pub fn held(&self) -> usize {
        self.interface.held() + self.reassembly.held() + self.tcp.held()
    }

    /// The random generator, for the caller's own draws.
    pub const fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Whether echo requests are answered.
    #[must_use]
    pub const fn echo_reply(&self) -> bool {
        self.echo_reply
    }

    /// Sets whether echo requests are answered.
    pub const fn set_echo_reply(&mut self, enabled: bool) {
        self.echo_reply = enabled;
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front().or_else(|| self.tcp.poll_event())
    }

    /// Changes the hardware address.
    pub fn set_hardware(&mut self, hardware: EthernetAddress, now: Instant) {
        self.interface.set_hardware(hardware, now);
        self.restart_dhcp(hardware, now);
        self.rediscover(now);
    }

    /// The link is up again, and may be another link. The lease, the network and the addresses are verified, and stay
    /// in use until they turn out to be wrong.
    pub fn link_up(&mut self, now: Instant) {
        self.interface.link_up(now);
        self.verify_lease(now);
        self.verify_network(now);
        self.verify_information(now);
        self.resume_stranded();
    }

    /// The link is down. Nothing is sent to ask neighbours or routers until it is [up](Self::link_up) again.
    pub fn link_down(&mut self, now: Instant) {
        self.interface.link_down(now);
        self.stop_soliciting();
    }

    /// The interface was suspended and could not hear its peers, although its link was up.
    pub fn resume(&mut self, now: Instant) {
        self.interface.link_up(now);
        self.verify_lease(now);
        self.solicit_routers(now);
        self.verify_information(now);
        self.tcp.restart_timers(now);
        self.resume_stranded();
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if nothing happens before. Nothing may be due yet at that
    /// time.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        earliest([
            self.tcp.next_timeout(),
            self.interface.next_timeout(),
            self.reassembly.next_timeout(),
            self.parked.front().map(|(at, _)| *at),
            self.next_discovery(),
            self.next_dhcp(),
            self.next_information(),
        ])
    }

    /// Does everything that is due by `now`.
    pub fn handle_timeout(&mut self, now: Instant, device: &mut dyn Transmitter) {
        if self.tcp.next_timeout().is_some_and(|at| at <= now) {
            self.tcp.handle_timeout(now);
        }
        if self.reassembly.next_timeout().is_some_and(|at| at <= now) {
            self.expire_fragments(now, device);
        }
        self.unpark(now);
        self.act(now, device);
    }

    /// Lets connections try again that gave up their place to others.
    fn unpark(&mut self, now: Instant) {
        if self.parked.front().is_some_and(|(at, _)| *at <= now) {
            // A connection that has not tried again by now is gone.
            self.retrying.clear();
        }
        while let Some((_, id)) = self.parked.front().copied().filter(|(at, _)| *at <= now) {
            self.parked.pop_front();
            self.parked_ids.remove(&id);
            self.retrying.insert(id);
            self.tcp.resume(id);
        }
    }

    /// Applies the effects of changes. Call it after every change of the [interface](Self::interface_mut), and after
    /// any other input to the engine.
    pub fn act(&mut self, now: Instant, device: &mut dyn Transmitter) {
        self.draw_consequences(now, device);
        if self.next_discovery().is_some_and(|at| at <= now) {
            self.poll_discovery(now, device);
        }
        if self.next_dhcp().is_some_and(|at| at <= now) {
            self.poll_dhcp(now, device);
        }
        if self.next_information().is_some_and(|at| at <= now) {
            self.poll_information(now, device);
        }
        self.act_at_once(now, device);
        self.draw_consequences(now, device);
    }

    /// Does what is due in the interface: asks neighbours, and announces addresses.
    fn act_at_once(&mut self, now: Instant, device: &mut dyn Transmitter) {
        if self.interface.next_timeout().is_some_and(|at| at <= now) {
            self.interface.handle_timeout(now, device);
        }
    }
}

/// How long a connection waits after it gave up its place to others.
const PARKED: Duration = Duration::from_secs(1);
