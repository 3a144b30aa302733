//! Arbitrary operations in any order, with valid and stale keys, on an engine that communicates with itself. A string
//! of bytes determines them.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;

use xila_network_engine::ip::output::Blocked;
use xila_network_engine::ports::{Owner, PortLimits};
use xila_network_engine::tcp::options::LONGEST_LINGER;
use xila_network_engine::tcp::{
    Algorithm, Attempt, Cause, Config, ConnectionId, EcnUse, KeepAlive, Link, ListenerId, Options, Places, Tuple,
};
use xila_network_engine::wire::HopLimit;

use super::bytes::Bytes;
use super::peer::{Raw, Seen};
use super::victim::{LINK, Victim};

const ADDRESSES: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3)),
];
/// The owner of all sockets.
const OWNER: Owner = Owner(1);
/// The limit of connections and listeners.
const MOST: usize = 40;

struct Scene {
    host: Victim,
    /// Packets under way, to this host or to no host.
    wire: Vec<Vec<u8>>,
    connections: Vec<ConnectionId>,
    listeners: Vec<ListenerId>,
    places: Places,
    tuples: Vec<Tuple>,
}

/// Runs the test that the bytes describe.
pub(crate) fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let lossless = bytes.byte().is_multiple_of(4);
    let config = Config {
        ports: PortLimits::new(50_000..=50_000 + u16::from(bytes.byte())),
        most_half_open: usize::from(bytes.byte() % 8),
        most_time_wait: usize::from(bytes.byte()),
        ..Config::new(Link { lossless, ..LINK })
    };
    let mut scene = Scene {
        host: Victim::with(config, 7),
        wire: Vec::new(),
        connections: Vec::new(),
        listeners: Vec::new(),
        places: Places::new(3),
        tuples: Vec::new(),
    };
    while !bytes.is_empty() {
        scene.act(&mut bytes);
        scene.check();
    }
    scene.end();
}

fn options(bytes: &mut Bytes<'_>) -> Options {
    let duration = |bytes: &mut Bytes<'_>| {
        bytes.pick(&[Duration::from_millis(1), Duration::from_secs(1), Duration::from_secs(200), Duration::MAX])
    };
    let size = |bytes: &mut Bytes<'_>| bytes.pick(&[1, 2, 100, 3000, 70_000, 1 << 20, usize::MAX]);
    let keep = KeepAlive { idle: duration(bytes), interval: duration(bytes), count: bytes.pick(&[1, 3, u32::MAX]) };
    // An interval of zero is refused. One of a millisecond with unlimited probes is the owner's own fault.
    let keep_alive = bytes.flag().then_some(keep).filter(|keep| keep.interval > Duration::from_millis(1));
    Options {
        receive_buffer: size(bytes),
        send_buffer: size(bytes),
        window_limit: size(bytes),
        budget: None,
        no_delay: bytes.flag(),
        keep_alive,
        hop_limit: HopLimit::new(bytes.byte()).unwrap_or_default(),
        traffic_class: bytes.byte(),
        user_timeout: bytes.flag().then(|| duration(bytes)),
        linger: if bytes.flag() { Duration::ZERO } else { duration(bytes) },
        congestion: bytes.pick(&[None, Some(Algorithm::Cubic), Some(Algorithm::None), Some(Algorithm::Bbr)]),
        ecn: bytes.pick(&[EcnUse::Off, EcnUse::Accept, EcnUse::Request]),
        timestamps: bytes.flag(),
        window_scaling: bytes.flag(),
        selective: bytes.flag(),
    }
}

impl Scene {
    fn act(&mut self, bytes: &mut Bytes<'_>) {
        let code = bytes.byte();
        let now = self.host.now;
        match code % 40 {
            0..=3 => self.connect(bytes),
            4 => self.bind(bytes),
            5..=7 => self.accept(bytes),
            8..=13 => self.deliver(bytes),
            14..=16 => self.transmit(bytes),
            17 | 18 => self.pass(bytes),
            19..=34 => self.ask(code % 40, bytes),
            35 if !self.listeners.is_empty() => {
                let at = bytes.below(self.listeners.len());
                // Its key is kept and used again.
                self.host.tcp.unbind(self.listeners[at], now, &mut self.host.out);
            }
            36 => self.forge(bytes),
            37 => {
                let (remote, mtu) = (bytes.pick(&ADDRESSES), bytes.pick(&[0, 68, 552, 1280, 1500, 65_535, usize::MAX]));
                self.host.tcp.set_path_mtu(remote, mtu, now);
            }
            38 => match bytes.byte() % 4 {
                0 => self.host.tcp.remove_address(bytes.pick(&ADDRESSES), now),
                1 => self.host.tcp.restart_timers(now),
                2 => self.host.tcp.set_mtu(bytes.pick(&[0, 100, 1280, 1500, 9000, 65_535])),
                _ => self.places.set_limit(usize::from(bytes.byte() % 6)),
            },
            _ => {
                self.host.out.blocked = bytes.pick(&[
                    None,
                    None,
                    None,
                    Some(Blocked::Full),
                    Some(Blocked::Unresolved),
                    Some(Blocked::Unreachable),
                ]);
            }
        }
        while self.host.tcp.poll_event().is_some() {}
        self.wire.append(&mut self.host.out.packets);
        let excess = self.wire.len().saturating_sub(200);
        self.wire.drain(..excess);
    }

    fn connect(&mut self, bytes: &mut Bytes<'_>) {
        if self.connections.len() >= MOST {
            self.connections.remove(0);
        }
        let port = |bytes: &mut Bytes<'_>| bytes.pick(&[0, 80, 81, 5000, 5001]);
        let local = SocketAddr::new(bytes.pick(&ADDRESSES), port(bytes));
        let remote = SocketAddr::new(bytes.pick(&ADDRESSES), port(bytes));
        let bound = if bytes.flag() { self.listeners.last().copied() } else { None };
        let timeout = bytes.pick(&[Duration::ZERO, Duration::from_secs(5), Duration::MAX]);
        let options = options(bytes);
        let (tcp, now) = (&mut self.host.tcp, self.host.now);
        if tcp.connection_count() < MOST
            && let Ok(id) = tcp.connect(&Attempt { bound, ..Attempt::new(OWNER, local, remote, timeout) }, options, now)
        {
            self.connections.push(id);
            self.tuples.extend(tcp.tuple(id));
        }
        let excess = self.tuples.len().saturating_sub(MOST);
        self.tuples.drain(..excess);
    }

    fn bind(&mut self, bytes: &mut Bytes<'_>) {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let address = bytes.pick(&[ADDRESSES[0], ADDRESSES[1], any]);
        if let Ok(id) = self.host.tcp.bind(address, bytes.pick(&[80, 81, 5000]), OWNER) {
            self.listeners.push(id);
            if !bytes.byte().is_multiple_of(4) {
                let places =
                    if bytes.flag() { self.places.clone() } else { Places::new(usize::from(bytes.byte() % 4)) };
                self.host.tcp.listen(id, places, options(bytes));
            }
        }
    }

    fn accept(&mut self, bytes: &mut Bytes<'_>) {
        if self.listeners.is_empty() {
            return;
        }
        let listener = self.listeners[bytes.below(self.listeners.len())];
        let _said = self.host.tcp.is_acceptable(listener);
        if let Some(accepted) = self.host.tcp.accept(listener) {
            assert_eq!(self.host.tcp.tuple(accepted.id), Some(Tuple::new(accepted.local, accepted.remote)));
            self.connections.push(accepted.id);
            self.tuples.push(Tuple::new(accepted.local, accepted.remote));
        }
        if bytes.byte() == 0 {
            let change = options(bytes);
            let _refused_or_not = self.host.tcp.configure_listener(listener, |options| *options = change);
        }
    }

    /// Delivers the next packet under way, or any other. It may be duplicated or damaged.
    fn deliver(&mut self, bytes: &mut Bytes<'_>) {
        if self.wire.is_empty() {
            return;
        }
        let how = bytes.byte();
        let at = if how & 3 == 0 { bytes.below(self.wire.len()) } else { 0 };
        let mut packet = if how & 0x1c == 4 { self.wire[at].clone() } else { self.wire.remove(at) };
        if how & 0x60 == 0x20 {
            let bit = bytes.below(packet.len() * 8);
            packet[bit / 8] ^= 1 << (bit % 8);
        }
        if how & 0x80 == 0 || how & 0x60 == 0x20 {
            self.host.tcp.receive(self.host.now, &packet, &mut self.host.out);
        }
    }

    fn transmit(&mut self, bytes: &mut Bytes<'_>) {
        let Victim { tcp, out, now } = &mut self.host;
        match bytes.byte() % 4 {
            0 => drop(tcp.transmit_answers(*now, out)),
            1 => {
                if let Some(id) = tcp.next_pending() {
                    tcp.transmit_one(id, usize::from(bytes.word()), *now, out);
                }
            }
            _ => drop(tcp.transmit(*now, out)),
        }
        out.packets.iter().for_each(|packet| drop(Seen::new(packet)));
    }

    fn pass(&mut self, bytes: &mut Bytes<'_>) {
        let time = Duration::from_millis(bytes.pick(&[0, 1, 50, 300, 1000, 10_000, 70_000]));
        self.host.now += time;
        let now = self.host.now;
        self.host.tcp.handle_timeout(now);
        assert!(self.host.tcp.next_timeout().is_none_or(|next| next > now), "what was due stays due");
    }

    fn ask(&mut self, code: u8, bytes: &mut Bytes<'_>) {
        if self.connections.is_empty() {
            return;
        }
        // Recent connections are more likely to exist.
        let back = bytes.byte() % 8;
        let at = if back < 6 {
            self.connections.len().saturating_sub(1 + usize::from(back))
        } else {
            bytes.below(self.connections.len())
        };
        let (id, Victim { tcp, now, .. }) = (self.connections[at], &mut self.host);
        let now = *now;
        let size = bytes.pick(&[0, 1, 10, 1448, 5000, 70_000]);
        match code {
            19 | 20 => drop(tcp.write(id, &vec![7; size], now)),
            21 => drop(tcp.write_slices(id, &[vec![7; size].as_slice().into()], now)),
            22 => drop(tcp.read(id, &mut vec![0; size], now)),
            23 => drop(tcp.read_slices(id, size, now)),
            24 => drop(tcp.peek(id, &mut vec![0; size], now)),
            25 => drop(tcp.shutdown_write(id, now)),
            26 => tcp.shutdown_read(id, now),
            27 | 28 => tcp.release(id, now),
            29 => tcp.abort(id, bytes.pick(&[Cause::Aborted, Cause::AddressGone, Cause::Unreachable]), now),
            30 => tcp.fail_connecting(id, Cause::Unreachable, now),
            31 => {
                let change = options(bytes);
                let _refused_or_not = tcp.configure(id, |options| *options = change, now);
            }
            32 if bytes.byte().is_multiple_of(8) => tcp.forget(id),
            33 => tcp.resume(id),
            _ => {
                let _said = (tcp.is_readable(id), tcp.is_writable(id), tcp.is_flushed(id, bytes.flag()), tcp.info(id));
                let _said = (tcp.room(id), tcp.is_connected(id), tcp.is_orphan(id), tcp.options(id).is_some());
            }
        }
    }

    /// Sends a forged segment between one of the pairs of ends that were in use.
    fn forge(&mut self, bytes: &mut Bytes<'_>) {
        if self.tuples.is_empty() {
            return;
        }
        let tuple = self.tuples[bytes.below(self.tuples.len())];
        let (length, options) = (bytes.below(40), bytes.below(41));
        let raw = Raw {
            sequence: bytes.long(),
            acknowledgement: bytes.long(),
            flags: bytes.byte(),
            window: bytes.word(),
            options: bytes.take(options).to_vec(),
            payload: vec![1; length],
            ..Raw::new(tuple.remote(), tuple.local())
        };
        self.host.tcp.receive(self.host.now, &raw.packet(), &mut self.host.out);
        if let Some(id) = self.host.tcp.find(&tuple) {
            self.connections.push(id);
        }
    }

    fn check(&mut self) {
        let tcp = &self.host.tcp;
        assert_eq!(tcp.connections().count(), tcp.connection_count());
        // The largest buffers that options allow, twice for a ring that has grown.
        assert!(tcp.held() <= (tcp.connection_count() + 1) * (24 << 20), "{} bytes", tcp.held());
        assert!(tcp.time_wait_count() <= 255);
    }

    /// Releases everything. After some time nothing may be left.
    fn end(&mut self) {
        self.host.out.blocked = None;
        let Victim { tcp, out, now } = &mut self.host;
        for listener in self.listeners.drain(..) {
            tcp.unbind(listener, *now, out);
        }
        let all: Vec<ConnectionId> = tcp.connections().map(|(id, ..)| id).collect();
        all.into_iter().for_each(|id| tcp.release(id, *now));
        let end = *now + LONGEST_LINGER + Duration::from_secs(200);
        let mut steps = 0;
        loop {
            tcp.transmit(*now, out);
            while tcp.poll_event().is_some() {}
            out.packets.clear();
            match tcp.next_timeout().filter(|due| *due <= end) {
                Some(due) => *now = due.max(*now),
                None => break,
            }
            tcp.handle_timeout(*now);
            steps += 1;
            assert!(steps < 200_000, "timers that never rest");
        }
        let left = (tcp.connection_count(), tcp.half_open_count(), tcp.time_wait_count());
        assert_eq!(left, (0, 0, 0), "connections, handshakes, records");
        assert_eq!((tcp.has_pending(), tcp.next_timeout()), (false, None));
    }
}
