//! A host that is attacked, its legitimate peer, and the attacker.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use etherparse::{NetSlice, SlicedPacket, TcpSlice, TransportSlice};
use futures_util::future;
use xila_network_host::address::Family as Version;
use xila_network_host::device::Checksums;
use xila_network_host::socket::{IcmpBinding, IcmpSocket, ListenOptions, TcpListener, TcpStream, UdpSocket};
use xila_network_host::{ConnectError, Interface};
use xila_network_tests::link::{Family, INTERFACE, Link, PORT};

use super::frames::{Segment, arp, ethernet, icmp};
use super::inject::{Inject, Wire};

/// The attacker's number on the segment: 10.0.0.66 and fd00::42.
pub(crate) const ATTACKER: u8 = 66;

/// The attacker's hardware address.
pub(crate) const MAC: [u8; 6] = [2, 0, 0, 0, 0, ATTACKER];

/// A closed port; on [`PORT`], in contrast, the victim has sockets of both protocols.
pub(crate) const CLOSED: u16 = 9;

/// The server of a link, with a TCP listener and a UDP socket of each family at [`PORT`].
pub(crate) struct Victim {
    pub(crate) link: Link,
    pub(crate) wire: Wire,
    pub(crate) listeners: [TcpListener; 2],
    pub(crate) sockets: [UdpSocket; 2],
    /// Sockets for echo replies and errors, all bound to 7 or [`PORT`]. They are never read.
    _messages: Vec<IcmpSocket>,
}

impl Victim {
    pub(crate) fn new() -> Self {
        Self::with(Checksums::Computed)
    }

    /// A victim and a client that compute and verify checksums, or not.
    pub(crate) fn with(checksums: Checksums) -> Self {
        let link = Link::plain(1);
        let [_, wire] = [&link.client, &link.server].map(|host| {
            let config = host.config();
            let device = host.manager.unmount_interface(INTERFACE).unwrap();
            let (device, wire) = Inject::new(device, checksums);
            host.manager.mount_interface(INTERFACE, device, config).unwrap();
            wire
        });
        let network = &link.server.network;
        let wildcard = |family: Family| SocketAddr::new(family.unspecified(), PORT);
        let listen = |family| TcpListener::bind(network, wildcard(family), ListenOptions::default()).unwrap();
        let (listeners, sockets) =
            (Family::BOTH.map(listen), Family::BOTH.map(|family| UdpSocket::bind(network, wildcard(family)).unwrap()));
        let watch = |family| {
            [IcmpBinding::Echo(7), IcmpBinding::UdpPort(PORT), IcmpBinding::TcpPort(PORT)]
                .map(|binding| IcmpSocket::bind(network, family, binding).unwrap())
        };
        let messages = [Version::V4, Version::V6].into_iter().flat_map(watch).collect();
        Self { link, wire, listeners, sockets, _messages: messages }
    }

    pub(crate) fn interface(&self) -> Interface {
        self.link.server.interface()
    }

    pub(crate) fn mac(&self) -> [u8; 6] {
        self.interface().hardware_address().unwrap().octets()
    }

    pub(crate) fn at(&self, family: Family, port: u16) -> SocketAddr {
        self.link.server.at(family, port)
    }

    /// Injects an IP packet from the attacker, and lets the victim process it.
    pub(crate) fn inject(&self, packet: &[u8]) {
        self.wire.inject(ethernet(self.mac(), MAC, packet));
        self.link.simulation.run_ready();
    }

    pub(crate) fn advance(&self, milliseconds: u64) {
        self.link.simulation.advance(Duration::from_millis(milliseconds));
    }

    /// Announces the attacker's addresses, so that the victim can send to them.
    pub(crate) fn introduce(&self) {
        let [v4, v6] = Family::BOTH.map(|family| family.host(ATTACKER));
        let (IpAddr::V4(own), IpAddr::V4(victim)) = (v4, self.link.server.address(Family::V4)) else { unreachable!() };
        // The victim learns an address from a request as well as from a reply.
        let mut request = ethernet(self.mac(), MAC, &arp(1, (MAC, own.octets()), ([0; 6], victim.octets())));
        request[12..14].copy_from_slice(&[8, 6]);
        self.wire.inject(request);
        // A solicitation with the source's link-layer address.
        let target = self.link.server.address(Family::V6);
        let rest = [&super::frames::octets(target)[..], &[1, 1], &MAC].concat();
        self.inject(&icmp(v6, target, [135, 0], [0; 4], &rest));
        self.wire.sent();
    }

    /// The TCP segments that the victim has sent to a port since the last call.
    pub(crate) fn segments_to(&self, port: u16) -> Vec<Segment> {
        let parse = |frame: Vec<u8>| segment(&frame).filter(|segment| segment.destination.port() == port);
        self.wire.sent().into_iter().filter_map(parse).collect()
    }

    /// Makes a connection from the attacker's port to [`PORT`]; returns the next segment that the attacker would send,
    /// and the victim's end.
    pub(crate) fn handshake(&self, family: Family, port: u16, window: u16, options: &[u8]) -> (Segment, TcpStream) {
        let from = SocketAddr::new(family.host(ATTACKER), port);
        let options = options.to_vec();
        let syn = Segment { window, options, ..Segment::new(from, self.at(family, PORT), super::frames::SYN) };
        self.introduce();
        self.inject(&syn.packet());
        let answer = self.segments_to(port).pop().expect("a SYN is answered");
        let acknowledge = Segment {
            flags: super::frames::ACK,
            sequence: syn.sequence.wrapping_add(1),
            acknowledgement: answer.sequence.wrapping_add(1),
            options: Vec::new(),
            ..syn
        };
        self.inject(&acknowledge.packet());
        let (stream, peer) =
            self.listeners[usize::from(from.is_ipv6())].try_accept().expect("the handshake is complete");
        assert_eq!(peer, from);
        self.wire.sent();
        (acknowledge, stream)
    }

    /// Checks that the victim serves its legitimate peer, in both families and with both protocols. Forged entries in
    /// its tables have to expire first, which takes a minute or two.
    pub(crate) fn assert_serves(&self) {
        let serving = async {
            for (family, (listener, socket)) in Family::BOTH.into_iter().zip(self.listeners.iter().zip(&self.sockets)) {
                self.assert_serves_streams(family, listener).await;
                self.assert_serves_datagrams(family, socket).await;
            }
        };
        self.link.block_on(self.link.within(Duration::from_secs(600), serving));
    }

    async fn assert_serves_streams(&self, family: Family, listener: &TcpListener) {
        let client = loop {
            match TcpStream::connect(&self.link.client.network, self.at(family, PORT)).await {
                Ok(client) => break client,
                Err(ConnectError::TimedOut | ConnectError::RemoteUnreachable) => {}
                Err(error) => panic!("{family:?}: {error}"),
            }
        };
        let server = loop {
            let (stream, peer) = listener.accept().await.unwrap();
            if peer == client.local_addr() {
                break stream;
            }
        };
        let echo = async {
            let mut buffer = [0; 16];
            let count = server.read(&mut buffer).await.unwrap();
            server.write_all(&buffer[..count]).await.unwrap();
        };
        let exchange = async {
            client.write_all(b"honest").await.unwrap();
            let mut buffer = [0; 16];
            assert_eq!(client.read(&mut buffer).await, Ok(6));
        };
        future::join(echo, exchange).await;
    }

    async fn assert_serves_datagrams(&self, family: Family, socket: &UdpSocket) {
        let client = UdpSocket::bind(&self.link.client.network, self.link.client.at(family, 0)).unwrap();
        while socket.try_recv_datagram().is_ok() {}
        client.send_to(b"honest", self.at(family, PORT)).await.unwrap();
        let datagram = socket.recv_datagram().await.unwrap();
        assert_eq!((datagram.data.as_slice(), datagram.remote), (&b"honest"[..], client.local_addr()));
    }
}

/// The TCP segment in a frame.
pub(crate) fn segment(frame: &[u8]) -> Option<Segment> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let tcp: TcpSlice<'_> = match packet.transport? {
        TransportSlice::Tcp(tcp) => tcp,
        _ => return None,
    };
    let (source, destination) = match packet.net? {
        NetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        NetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        NetSlice::Arp(_) => return None,
    };
    let flags = u16::from_be_bytes([tcp.header_slice()[12] & 1, tcp.header_slice()[13]]);
    Some(Segment {
        source: SocketAddr::new(source, tcp.source_port()),
        destination: SocketAddr::new(destination, tcp.destination_port()),
        sequence: tcp.sequence_number(),
        acknowledgement: tcp.acknowledgment_number(),
        flags,
        window: tcp.window_size(),
        options: tcp.options().to_vec(),
        payload: tcp.payload().to_vec(),
    })
}
