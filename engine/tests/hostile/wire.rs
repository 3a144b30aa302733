//! Two engines on a wire that only delays packets, for tests that need an honest peer.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use xila_network_engine::ports::Owner;
use xila_network_engine::tcp::{Attempt, ConnectionId, Options};
use xila_network_engine::time::Instant;

use super::peer::Seen;
use super::victim::{HERE, SERVER, THERE, Victim};

pub(crate) struct Wire {
    /// The client, at 10.0.0.2, and the server, at 10.0.0.1.
    pub(crate) hosts: [Victim; 2],
    pub(crate) delay: Duration,
    pub(crate) now: Instant,
    under_way: VecDeque<(Instant, usize, Vec<u8>)>,
    /// The packets that were sent: time, sender, and fields.
    pub(crate) log: Vec<(Instant, usize, Seen)>,
    /// Whether a packet is lost, by its number among all packets and its sender.
    pub(crate) loses: Box<dyn Fn(usize, usize) -> bool>,
    count: usize,
}

impl Wire {
    pub(crate) fn new(delay: Duration) -> Self {
        let config = xila_network_engine::tcp::Config::new(super::victim::LINK);
        let hosts = [Victim::with(config.clone(), 3), Victim::with(config, 4)];
        let now = hosts[0].now;
        Self { hosts, delay, now, under_way: VecDeque::new(), log: Vec::new(), loses: Box::new(|_, _| false), count: 0 }
    }

    /// Opens a connection. Returns the client's key, then the server's.
    pub(crate) fn connect(&mut self, options: [Options; 2]) -> [ConnectionId; 2] {
        let [ours, theirs] = options;
        let listener = self.hosts[1].listen(theirs);
        let local = SocketAddr::new(THERE, 0);
        let attempt = Attempt::new(Owner::HOST, local, SERVER, Duration::from_secs(30));
        let connect = self.hosts[0].tcp.connect(&attempt, ours, self.now);
        let id = connect.expect("a port is free");
        let mut accepted = None;
        while accepted.is_none() {
            assert!(self.step(Duration::from_secs(60)), "no handshake");
            accepted = self.hosts[1].tcp.accept(listener);
        }
        assert_eq!(accepted.map(|accepted| accepted.local.ip()), Some(HERE));
        [id, accepted.expect("just seen").id]
    }

    /// Sends what there is to send.
    pub(crate) fn transmit(&mut self) {
        for from in 0..2 {
            self.hosts[from].now = self.now;
            let host = &mut self.hosts[from];
            host.tcp.transmit(self.now, &mut host.out);
            while host.tcp.poll_event().is_some() {}
            for packet in core::mem::take(&mut host.out.packets) {
                self.log.push((self.now, from, Seen::new(&packet)));
                self.count += 1;
                if !(self.loses)(self.count, from) {
                    self.under_way.push_back((self.now + self.delay, 1 - from, packet));
                }
            }
        }
    }

    /// Advances to the next event, if it is within this time. Returns false if there is none.
    pub(crate) fn step(&mut self, within: Duration) -> bool {
        self.transmit();
        let arrival = self.under_way.front().map(|(at, ..)| *at);
        let timers = self.hosts.iter().filter_map(|host| host.tcp.next_timeout()).min();
        let Some(next) = [arrival, timers].into_iter().flatten().min() else { return false };
        if next > self.now + within {
            return false;
        }
        self.now = self.now.max(next);
        while let Some((_, to, packet)) = self.under_way.pop_front_if(|(at, ..)| *at <= self.now) {
            let host = &mut self.hosts[to];
            host.tcp.receive(self.now, &packet, &mut host.out);
            // Duplicate acknowledgements must be sent one by one.
            self.transmit();
        }
        for host in &mut self.hosts {
            host.tcp.handle_timeout(self.now);
        }
        self.transmit();
        true
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end - self.now) {}
        self.now = end;
        self.transmit();
    }

    /// Until nothing is under way any more.
    pub(crate) fn quiet(&mut self) {
        self.transmit();
        while !self.under_way.is_empty() {
            self.step(Duration::from_secs(60));
        }
    }
}
