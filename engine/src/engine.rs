//! The engine of one interface: all of TCP/IP, and the parts that it is made of.
//!
//! [`Engine`] alone knows all of them. Frames that have arrived are [given](Engine::receive) to it, and it gives frames
//! that leave to a [`Transmitter`]; time is an argument; what happened is told by [events](Event).
//!
//! | Room | Holds |
//! |---|---|
//! | `arrival` | frames and packets that arrive, and whom they concern |
//! | `departure` | what owners of sockets send |
//! | `configuration` | what DHCP and routers say |
//! | `information` | what servers of DHCPv6 say beside that |
//! | `names` | servers of names and search domains, whoever says them |
//! | `messages` | ICMP: echoes, and errors about packets of this host |
//! | `consequences` | what the parts tell each other |

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
use crate::time::Instant;
use crate::udp::recent::Recent;
use crate::udp::{self, Udp};
use configuration::Configuration;

pub use arrival::Arrived;
pub use departure::{Datagram, EchoRequest};

/// What an engine is set to.
#[derive(Clone, Debug)]
pub struct Config {
    /// The link.
    pub link: Link,
    /// TCP. Its link and its ports are set by the others.
    pub tcp: tcp::Config,
    /// How much of UDP's tables one owner may have.
    pub udp: udp::Limits,
    /// Whether echo requests are answered.
    pub echo_reply: bool,
}

/// What has been counted, beside what the parts count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that have arrived and were dropped: malformed, for nobody, or from where nobody can be.
    pub dropped: u64,
    /// Datagrams that were dropped on their way out or in.
    pub datagrams_dropped: u64,
}

/// See the [module](self).
pub struct Engine {
    interface: Interface,
    reassembly: Reassembly,
    tcp: Tcp,
    udp: Udp<()>,
    icmp: icmp::Sockets,
    /// The last large packets.
    recent: Recent,
    echo_reply: bool,
    configuration: Configuration,
    servers: Servers,
    events: VecDeque<Event>,
    /// Connections that had to give way to others that wait for neighbours, and when they try again.
    parked: VecDeque<(Instant, ConnectionId)>,
    /// The same connections, to be found.
    parked_ids: BTreeSet<ConnectionId>,
    /// Those that try again now.
    retrying: BTreeSet<ConnectionId>,
    /// Whose neighbour was last found to be there by what he said, and when.
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

    /// The interface, to be changed. What follows from it is drawn by the next [`act`](Self::act).
    pub const fn interface_mut(&mut self) -> &mut Interface {
        &mut self.interface
    }

    /// TCP.
    #[must_use]
    pub const fn tcp(&self) -> &Tcp {
        &self.tcp
    }

    /// TCP, for what owners of connections ask.
    pub const fn tcp_mut(&mut self) -> &mut Tcp {
        &mut self.tcp
    }

    /// The sockets of UDP.
    #[must_use]
    pub const fn udp(&self) -> &Udp<()> {
        &self.udp
    }

    /// The sockets of ICMP.
    pub const fn icmp_mut(&mut self) -> &mut icmp::Sockets {
        &mut self.icmp
    }

    /// What has been counted.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The memory held, in bytes: what waits to leave or to be whole, queues and tables. What waits to be polled as an
    /// event is not counted.
    #[must_use]
    pub fn held(&self) -> usize {
        self.interface.held() + self.reassembly.held() + self.tcp.held()
    }

    /// Randomness, for what is drawn beside the engine.
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

    /// What happened since this was last asked, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front().or_else(|| self.tcp.poll_event())
    }

    /// The hardware address is another.
    pub fn set_hardware(&mut self, hardware: EthernetAddress, now: Instant) {
        self.interface.set_hardware(hardware, now);
        self.restart_dhcp(hardware, now);
        self.rediscover(now);
    }

    /// The link is back, and may be another: what is known of it is verified, and counts until it is found to be wrong.
    pub fn link_up(&mut self, now: Instant) {
        self.interface.link_up(now);
        self.verify_lease(now);
        self.verify_network(now);
        self.verify_information(now);
        self.resume_stranded();
    }

    /// The link is gone: nothing is asked until it is [back](Self::link_up).
    pub fn link_down(&mut self, now: Instant) {
        self.interface.link_down(now);
        self.stop_soliciting();
    }

    /// The interface was out of use and could not hear its peers; its link was there.
    pub fn resume(&mut self, now: Instant) {
        self.interface.link_up(now);
        self.verify_lease(now);
        self.solicit_routers(now);
        self.verify_information(now);
        self.tcp.restart_timers(now);
        self.resume_stranded();
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if nothing happens before; it may be too early.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        [
            self.tcp.next_timeout(),
            self.interface.next_timeout(),
            self.reassembly.next_timeout(),
            self.parked.front().map(|(at, _)| *at),
            self.next_discovery(),
            self.next_dhcp(),
            self.next_information(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due.
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

    /// Connections that had to give way try again.
    fn unpark(&mut self, now: Instant) {
        if self.parked.front().is_some_and(|(at, _)| *at <= now) {
            // Whoever has not tried by now is gone.
            self.retrying.clear();
        }
        while let Some((_, id)) = self.parked.front().copied().filter(|(at, _)| *at <= now) {
            self.parked.pop_front();
            self.parked_ids.remove(&id);
            self.retrying.insert(id);
            self.tcp.resume(id);
        }
    }

    /// Does what has become due by what was changed: to be called after every change of the
    /// [interface](Self::interface_mut), and when the engine was told anything else.
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

    /// Does what is due of the interface: who is to be asked, and what is to be said.
    fn act_at_once(&mut self, now: Instant, device: &mut dyn Transmitter) {
        if self.interface.next_timeout().is_some_and(|at| at <= now) {
            self.interface.handle_timeout(now, device);
        }
    }
}

/// How long a connection waits that had to give way to others.
const PARKED: Duration = Duration::from_secs(1);
