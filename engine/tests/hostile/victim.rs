//! An engine that is alone with the test, which captures what it sends and crafts what it receives.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use xila_network_engine::ip::output::{Blocked, Outlet, Packet};
use xila_network_engine::ports::Owner;
use xila_network_engine::random::Random;
use xila_network_engine::tcp::{Accepted, Config, ConnectionId, Link, ListenerId, Options, Places, ReadError, Tcp};
use xila_network_engine::time::Instant;

use super::peer::{ACK, Raw, SYN, Seen};

/// Captures sent packets.
#[derive(Default)]
pub(crate) struct Catch {
    pub(crate) packets: Vec<Vec<u8>>,
    pub(crate) blocked: Option<Blocked>,
    pub(crate) mtu: usize,
}

impl Outlet for Catch {
    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Blocked> {
        if let Some(blocked) = self.blocked {
            return Err(blocked);
        }
        let mut bytes = vec![0; packet.length()];
        packet.emit(&mut bytes, true);
        self.packets.push(bytes);
        Ok(())
    }

    fn mtu(&self, _destination: IpAddr) -> usize {
        self.mtu
    }
}

pub(crate) struct Victim {
    pub(crate) tcp: Tcp,
    pub(crate) out: Catch,
    pub(crate) now: Instant,
}

pub(crate) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
pub(crate) const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
pub(crate) const SERVER: SocketAddr = SocketAddr::new(HERE, 80);

pub(crate) const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(crate) const LINK: Link = Link { mtu: 1500, lossless: false, checksums: true };

impl Victim {
    pub(crate) fn new() -> Self {
        Self::with(Config::new(LINK), 1)
    }

    pub(crate) fn with(config: Config, seed: u8) -> Self {
        let out = Catch { mtu: config.link.mtu, ..Catch::default() };
        // The clock does not start at its origin.
        let now = Instant::ORIGIN + Duration::from_secs(1000);
        Self { tcp: Tcp::new(config, Random::new([seed; 32])), out, now }
    }

    pub(crate) fn listen(&mut self, options: Options) -> ListenerId {
        let listener = self.tcp.bind(HERE, SERVER.port(), Owner::HOST).expect("free");
        self.tcp.listen(listener, Places::new(100_000), options);
        listener
    }

    /// Returns the packets that the engine sends now.
    pub(crate) fn transmit(&mut self) -> Vec<Seen> {
        self.tcp.transmit(self.now, &mut self.out);
        while self.tcp.poll_event().is_some() {}
        core::mem::take(&mut self.out.packets).iter().map(|packet| Seen::new(packet)).collect()
    }

    /// Receives a packet. Returns the packets that the engine sends then.
    pub(crate) fn receive(&mut self, packet: &[u8]) -> Vec<Seen> {
        self.tcp.receive(self.now, packet, &mut self.out);
        self.transmit()
    }

    /// Advances the time. Returns the packets sent meanwhile, with their times.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<(Instant, Seen)> {
        let end = self.now + time;
        let mut sent = Vec::new();
        let mut steps = 0;
        while let Some(due) = self.tcp.next_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.tcp.handle_timeout(self.now);
            let now = self.now;
            sent.extend(self.transmit().into_iter().map(|seen| (now, seen)));
            steps += 1;
            assert!(steps < 1_000_000, "its timers never rest");
        }
        self.now = end;
        sent
    }

    /// Reads everything. Returns the data, and how reading ended.
    pub(crate) fn read(&mut self, id: ConnectionId) -> (Vec<u8>, Option<ReadError>) {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.tcp.read(id, &mut buffer, self.now) {
                Ok(0) => return (all, None),
                Ok(count) => all.extend(&buffer[..count]),
                Err(error) => return (all, Some(error)),
            }
        }
    }
}

/// A peer of a victim's listener.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) end: SocketAddr,
    /// The sequence number of its next byte, and the next one that it expects.
    pub(crate) next: u32,
    pub(crate) expected: u32,
    /// The window scale of the victim, and its last window.
    pub(crate) scale: u8,
    pub(crate) window: usize,
}

impl Peer {
    /// Opens a connection from a port, with these options.
    pub(crate) fn open(victim: &mut Victim, listener: ListenerId, port: u16, options: &[u8]) -> (Self, Accepted) {
        let end = SocketAddr::new(THERE, port);
        let isn = 0x1000_0000 + u32::from(port);
        let syn = Raw { sequence: isn, flags: SYN, options: options.to_vec(), ..Raw::new(end, SERVER) };
        let answers = victim.receive(&syn.packet());
        let answer = answers.into_iter().find(|seen| seen.destination == end).expect("an answer to the SYN");
        assert_eq!((answer.flags, answer.acknowledgement), (SYN | ACK, isn + 1));
        let mut peer = Self {
            end,
            next: isn + 1,
            expected: answer.end(),
            scale: answer.scale.unwrap_or(0),
            window: answer.window.into(),
        };
        victim.receive(&peer.segment(ACK, &[]).packet());
        let accepted = victim.tcp.accept(listener).expect("the handshake is over");
        peer.hear(&[]);
        (peer, accepted)
    }

    /// A segment that continues the peer's stream.
    pub(crate) fn segment(&self, flags: u8, payload: &[u8]) -> Raw {
        Raw {
            sequence: self.next,
            acknowledgement: self.expected,
            flags,
            payload: payload.to_vec(),
            ..Raw::new(self.end, SERVER)
        }
    }

    /// Updates the state by the packets that were received.
    pub(crate) fn hear(&mut self, seen: &[Seen]) {
        for seen in seen.iter().filter(|seen| seen.destination == self.end) {
            if seen.sequence == self.expected {
                self.expected = seen.end();
            }
            self.window = usize::from(seen.window) << self.scale;
        }
    }

    /// Sends bytes, and processes the answers.
    pub(crate) fn send(&mut self, victim: &mut Victim, flags: u8, payload: &[u8]) -> Vec<Seen> {
        let segment = self.segment(flags, payload);
        self.next = self.next.wrapping_add(payload.len() as u32 + u32::from(flags & 1));
        let answers = victim.receive(&segment.packet());
        self.hear(&answers);
        answers
    }
}
