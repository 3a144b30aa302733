//! An engine with a connection in every state, a bystander, and the state of their peers.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;

use xila_network_engine::ports::Owner;
use xila_network_engine::tcp::{Attempt, Config, ConnectionId, ListenerId, Options, Places};

use super::peer::{ACK, FIN, RST, Raw, SYN, Seen};
use super::victim::{HERE, LINK, SERVER, THERE, Victim};

const FRIEND: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
pub(crate) const HERE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1));
pub(crate) const THERE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));

/// A connection as its peer knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) next: u32,
    /// The sequence number after the last one that the victim sent, and its first unacknowledged one.
    pub(crate) expected: u32,
    pub(crate) unacknowledged: u32,
    pub(crate) stamp: Option<u32>,
}

pub(crate) struct Scene {
    pub(crate) victim: Victim,
    pub(crate) friend: Victim,
    pub(crate) listeners: [ListenerId; 2],
    pub(crate) targets: Vec<Target>,
    pub(crate) held: Vec<ConnectionId>,
    /// The key of the bystander's connection at the friend, and at the victim.
    pub(crate) bystander: [ConnectionId; 2],
    pub(crate) written: u8,
}

impl Scene {
    pub(crate) fn new(seed: u8) -> Self {
        let mut victim = Victim::with(Config { most_half_open: 64, most_time_wait: 64, ..Config::new(LINK) }, seed);
        let mut friend = Victim::new();
        let listener = victim.listen(Options::default());
        let v6 = victim.tcp.bind(HERE_V6, 80, Owner::HOST).expect("free");
        victim.tcp.listen(v6, Places::new(16), Options::default());
        let from = SocketAddr::new(FRIEND, 0);
        let attempt = Attempt::new(Owner::HOST, from, SERVER, Duration::from_secs(30));
        let connect = friend.tcp.connect(&attempt, Options::default(), friend.now);
        let ours = connect.expect("a port is free");
        let mut scene = Self {
            victim,
            friend,
            listeners: [listener, v6],
            targets: Vec::new(),
            held: Vec::new(),
            bystander: [ours; 2],
            written: 0,
        };
        scene.exchange();
        scene.bystander[1] = scene.victim.tcp.accept(listener).expect("the friend has connected").id;
        scene.populate();
        scene
    }

    /// Opens a connection in every state.
    fn populate(&mut self) {
        let plain: &[u8] = &[2, 4, 5, 0xb4];
        let full: &[u8] = &[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 16, 0, 0, 0, 0, 0, 1, 3, 3, 2];
        for number in 0..9u16 {
            let v6 = number % 4 == 3;
            let (peer, local) = if v6 { (THERE_V6, HERE_V6) } else { (THERE, HERE) };
            let target = self.open(
                SocketAddr::new(peer, 1000 + number),
                SocketAddr::new(local, 80),
                if number % 2 == 0 { full } else { plain },
            );
            let Some(id) = self.held.last().copied() else { continue };
            let (tcp, now) = (&mut self.victim.tcp, self.victim.now);
            match number {
                0 | 1 => {
                    tcp.write(id, &[7; 5000], now).expect("there is room");
                    // Data out of order.
                    self.send(target, ACK, 1000, 0, b"later", &[]);
                }
                2 => tcp.shutdown_write(id, now).expect("it is open"),
                3 => {
                    tcp.shutdown_write(id, now).expect("it is open");
                    self.exchange();
                    self.send(target, ACK, 0, 0, &[], &[]);
                }
                4 => self.send(target, ACK | FIN, 0, 0, b"end", &[]),
                5 => {
                    tcp.shutdown_write(id, now).expect("it is open");
                    self.exchange();
                    // The FINs cross (CLOSING).
                    self.send(target, ACK | FIN, 0, u32::MAX, &[], &[]);
                }
                6 => {
                    self.send(target, ACK | FIN, 0, 0, &[], &[]);
                    self.victim.tcp.shutdown_write(id, now).expect("it is open");
                }
                7 => {
                    tcp.shutdown_write(id, now).expect("it is open");
                    self.exchange();
                    self.send(target, ACK | FIN, 0, 0, &[], &[]);
                }
                _ => {
                    // A connection without an owner, with bytes that must still be delivered.
                    tcp.write(id, &[7; 3000], now).expect("there is room");
                    tcp.release(id, now);
                    self.held.pop();
                }
            }
            self.exchange();
        }
        for (port, answers) in [(2000, false), (2001, true)] {
            let (local, peer) = (SocketAddr::new(HERE, port), SocketAddr::new(THERE, port));
            let (tcp, now) = (&mut self.victim.tcp, self.victim.now);
            let attempt = Attempt::new(Owner::HOST, local, peer, Duration::from_secs(300));
            let connect = tcp.connect(&attempt, Options::default(), now);
            self.held.push(connect.expect("free"));
            self.targets.push(Target { peer, local, next: 500, expected: 0, unacknowledged: 0, stamp: None });
            self.exchange();
            if answers {
                self.send(self.targets.len() - 1, SYN, 0, 0, &[], plain);
            }
        }
        // A handshake in progress.
        let (peer, local) = (SocketAddr::new(THERE, 3000), SERVER);
        self.targets.push(Target { peer, local, next: 900, expected: 0, unacknowledged: 0, stamp: None });
        self.send(self.targets.len() - 1, SYN, 0, 0, &[], plain);
    }

    fn open(&mut self, peer: SocketAddr, local: SocketAddr, options: &[u8]) -> usize {
        let stamp = options.contains(&8).then_some(4096);
        self.targets.push(Target { peer, local, next: 100, expected: 0, unacknowledged: 0, stamp });
        let target = self.targets.len() - 1;
        let syn = Raw { sequence: 100, flags: SYN, options: options.to_vec(), ..Raw::new(peer, local) };
        self.receive(&syn.packet());
        self.targets[target].next = 101;
        self.targets[target].unacknowledged = self.targets[target].expected;
        self.send(target, ACK, 0, 0, &[], &[]);
        self.accept();
        target
    }

    pub(crate) fn accept(&mut self) {
        for listener in self.listeners {
            while let Some(accepted) = self.victim.tcp.accept(listener) {
                self.held.push(accepted.id);
            }
        }
    }

    /// Sends a segment of a target's peer. `ahead` is the distance from the correct sequence number.
    fn send(&mut self, target: usize, flags: u8, ahead: u32, acknowledged: u32, payload: &[u8], options: &[u8]) {
        let known = self.targets[target];
        let mut options = options.to_vec();
        if let Some(stamp) = known.stamp.filter(|_| options.is_empty()) {
            options = [&[1, 1, 8, 10][..], &(stamp + 1).to_be_bytes(), &[0; 4]].concat();
        }
        let raw = Raw {
            sequence: known.next.wrapping_add(ahead),
            acknowledgement: known.expected.wrapping_add(acknowledged),
            flags,
            options,
            payload: payload.to_vec(),
            ..Raw::new(known.peer, known.local)
        };
        if ahead == 0 {
            let length = payload.len() as u32 + u32::from(flags & FIN != 0) + u32::from(flags & SYN != 0);
            self.targets[target].next = known.next.wrapping_add(length);
        }
        self.receive(&raw.packet());
    }

    pub(crate) fn receive(&mut self, packet: &[u8]) {
        let Victim { tcp, out, now } = &mut self.victim;
        tcp.receive(*now, packet, out);
        self.exchange();
    }

    /// Lets the victim send and the friend answer, until there is nothing more to send.
    pub(crate) fn exchange(&mut self) {
        loop {
            let Victim { tcp, out, now } = &mut self.victim;
            let full = tcp.transmit(*now, out);
            while tcp.poll_event().is_some() {}
            for packet in core::mem::take(&mut out.packets) {
                let seen = Seen::new(&packet);
                assert!(packet.len() <= LINK.mtu);
                if seen.destination.ip() == FRIEND {
                    self.friend.now = self.victim.now;
                    self.friend.tcp.receive(self.victim.now, &packet, &mut self.friend.out);
                } else {
                    self.note(&seen);
                }
            }
            self.friend.tcp.transmit(self.victim.now, &mut self.friend.out);
            while self.friend.tcp.poll_event().is_some() {}
            let answers = core::mem::take(&mut self.friend.out.packets);
            if full || answers.is_empty() {
                return;
            }
            for packet in answers {
                self.victim.tcp.receive(self.victim.now, &packet, &mut self.victim.out);
            }
        }
    }

    fn note(&mut self, seen: &Seen) {
        let known = |target: &&mut Target| target.peer == seen.destination && target.local == seen.source;
        if let Some(target) = self.targets.iter_mut().find(known)
            && seen.flags & RST == 0
        {
            if seen.flags & SYN != 0 {
                target.unacknowledged = seen.sequence;
            }
            target.expected = seen.end();
        }
    }
}
