//! An engine whose peer is the test.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use xila_network_engine::buffer::Slice;
use xila_network_engine::ip::output::{Blocked, Outlet, Packet};
use xila_network_engine::ports::Owner;
use xila_network_engine::random::Random;
use xila_network_engine::tcp::segment::{Control, Header, SegmentOptions};
use xila_network_engine::tcp::sequence::Sequence;
use xila_network_engine::tcp::{Attempt, Config, ConnectionId, Link, ListenerId, Options, Places, ReadError, Tcp};
use xila_network_engine::time::Instant;
use xila_network_engine::wire::Ecn;

/// An outlet that accepts every packet.
pub(crate) struct Wire {
    pub(crate) sent: Vec<Vec<u8>>,
    pub(crate) mtu: usize,
}

impl Outlet for Wire {
    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Blocked> {
        let mut bytes = vec![0; packet.length()];
        packet.emit(&mut bytes, true);
        self.sent.push(bytes);
        Ok(())
    }

    fn mtu(&self, _destination: IpAddr) -> usize {
        self.mtu
    }
}

/// See the [module](self).
pub(crate) struct Host {
    pub(crate) tcp: Tcp,
    pub(crate) wire: Wire,
    pub(crate) now: Instant,
}

impl Host {
    /// A host whose secrets are derived from `seed`.
    pub(crate) fn new(seed: u8) -> Self {
        let config = Config::new(Link { mtu: 1500, lossless: false, checksums: true });
        let tcp = Tcp::new(config, Random::new([seed; 32]));
        Self { tcp, wire: Wire { sent: Vec::new(), mtu: 1500 }, now: Instant::ORIGIN }
    }

    pub(crate) fn listen(&mut self, local: SocketAddr) -> ListenerId {
        let listener = self.tcp.bind(local.ip(), local.port(), Owner::HOST).expect("nobody has it");
        self.tcp.listen(listener, Places::new(8), Options::default());
        listener
    }

    pub(crate) fn connect(&mut self, local: SocketAddr, remote: SocketAddr) -> ConnectionId {
        let timeout = Duration::from_secs(600);
        let attempt = Attempt::new(Owner::HOST, local, remote, timeout);
        self.tcp.connect(&attempt, Options::default(), self.now).expect("nobody has it")
    }

    /// Receives a packet. Returns the packets that are sent then.
    pub(crate) fn receive(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        self.tcp.receive(self.now, packet, &mut self.wire);
        self.transmit()
    }

    /// Reads up to `most` bytes.
    pub(crate) fn read(&mut self, connection: ConnectionId, most: usize) -> Result<Vec<u8>, ReadError> {
        let mut bytes = vec![0; most];
        let count = self.tcp.read(connection, &mut bytes, self.now)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// The packets that are sent now, or were sent since the last call.
    pub(crate) fn transmit(&mut self) -> Vec<Vec<u8>> {
        self.tcp.transmit(self.now, &mut self.wire);
        std::mem::take(&mut self.wire.sent)
    }

    /// Advances to the next timer. Returns the packets that are sent then.
    pub(crate) fn wait(&mut self) -> Vec<Vec<u8>> {
        self.now = self.tcp.next_timeout().expect("an alarm is set").max(self.now);
        self.tcp.handle_timeout(self.now);
        self.transmit()
    }

    /// A connection that `remote` has made to `local`, and a template of the peer's next segment.
    pub(crate) fn accepted(&mut self, local: SocketAddr, remote: SocketAddr) -> (ConnectionId, Arrival) {
        let listener = self.listen(local);
        let mut peer = Arrival::new(remote, local);
        peer.control = Control { syn: true, ..Control::NONE };
        let answer = self.receive(&peer.packet()).pop().expect("an answer");
        peer.control = Control::ACK;
        peer.sequence += 1;
        peer.acknowledgement = Sequence(number(&answer, 4)) + 1;
        assert_eq!(self.receive(&peer.packet()), Vec::<Vec<u8>>::new());
        let accepted = self.tcp.accept(listener).expect("the handshake is over");
        (accepted.id, peer)
    }
}

/// A segment to be received.
#[derive(Clone)]
pub(crate) struct Arrival {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) control: Control,
    pub(crate) sequence: Sequence,
    pub(crate) acknowledgement: Sequence,
    pub(crate) text: Vec<u8>,
}

impl Arrival {
    /// A segment without control bits and data.
    pub(crate) fn new(from: SocketAddr, to: SocketAddr) -> Self {
        let (sequence, acknowledgement) = (Sequence(1000), Sequence(0));
        Self { from, to, control: Control::NONE, sequence, acknowledgement, text: Vec::new() }
    }

    /// The packet that carries it.
    pub(crate) fn packet(&self) -> Vec<u8> {
        let header = Header {
            source_port: self.from.port(),
            destination_port: self.to.port(),
            sequence: self.sequence,
            acknowledgement: self.acknowledgement,
            control: self.control,
            window: 65535,
            options: SegmentOptions::default(),
        };
        let head = header.emit();
        let packet = Packet {
            source: self.from.ip(),
            destination: self.to.ip(),
            hop_limit: 64,
            traffic_class: 0,
            ecn: Ecn::NotCapable,
            head: head.bytes(),
            payload: &[Slice::from(&self.text[..])],
            segment: 0,
        };
        let mut bytes = vec![0; packet.length()];
        packet.emit(&mut bytes, true);
        bytes
    }
}

/// The offset of the TCP header in a packet without IP options and extension headers.
pub(crate) fn header(packet: &[u8]) -> usize {
    if packet[0] >> 4 == 4 { 20 } else { 40 }
}

/// The 32-bit number at `offset` of the TCP header.
pub(crate) fn number(packet: &[u8], offset: usize) -> u32 {
    let at = header(packet) + offset;
    u32::from_be_bytes(packet[at..at + 4].try_into().expect("four bytes"))
}

/// The two ends of the tests' connections, over both versions of IP.
pub(crate) fn ends() -> [(SocketAddr, SocketAddr); 2] {
    [("192.0.2.1:8080", "192.0.2.2:4000"), ("[2001:db8::1]:8080", "[2001:db8::2]:4000")]
        .map(|(local, remote)| (local.parse().expect("an address"), remote.parse().expect("an address")))
}
