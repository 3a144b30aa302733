//! A TCP peer that makes its own packets and follows no rules.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};
use xila_network_host::device::{Capabilities, Checksums, Device, Frame, Medium, Pool};
use xila_network_host::platform::Instant;
use xila_network_tests::link::Bytes;

/// The address of the attacked host.
pub(crate) const HOST: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), 80);
/// The address of the attacker.
pub(crate) const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 4000);
/// The seed of the bytes that the attacker sends.
pub(crate) const SEED: u64 = 5;

const IP_HEADER: usize = 20;
const TCP_HEADER: usize = 20;

/// The packets in flight, and the waker of the receiver.
#[derive(Default)]
struct Queues {
    to_host: VecDeque<Vec<u8>>,
    from_host: VecDeque<Vec<u8>>,
    reader: Option<Waker>,
}

/// A peer with one connection.
pub(crate) struct Attacker {
    queues: Arc<Mutex<Queues>>,
    mtu: usize,
    /// The attacker's next sequence number.
    sequence: TcpSeqNumber,
    /// The host's next sequence number.
    acknowledgement: TcpSeqNumber,
    bytes: Bytes,
}

impl Attacker {
    pub(crate) fn new(mtu: usize) -> Self {
        Self {
            queues: Arc::default(),
            mtu,
            sequence: TcpSeqNumber(1000),
            acknowledgement: TcpSeqNumber(0),
            bytes: Bytes::new(SEED),
        }
    }

    /// The host's link to the attacker.
    pub(crate) fn device(&self) -> RawDevice {
        RawDevice { queues: self.queues.clone(), pool: Pool::new(self.mtu, 64), mtu: self.mtu }
    }

    /// Bytes of a full segment's payload.
    pub(crate) const fn segment(&self) -> usize {
        self.mtu - IP_HEADER - TCP_HEADER
    }

    /// Sends a SYN that offers window scaling.
    pub(crate) fn connect(&mut self) {
        self.transmit(TcpControl::Syn, None, &[]);
    }

    /// Acknowledges the host's SYN-ACK.
    pub(crate) fn establish(&mut self) {
        self.learn();
        self.transmit(TcpControl::None, Some(self.acknowledgement), &[]);
    }

    /// Answers the host's SYN.
    pub(crate) fn accept(&mut self) {
        self.learn();
        self.transmit(TcpControl::Syn, Some(self.acknowledgement), &[]);
    }

    /// Sends `length` bytes in full segments at once, whatever the window.
    pub(crate) fn flood(&mut self, length: usize) {
        let mut payload = vec![0; self.segment()];
        for start in (0..length).step_by(self.segment()) {
            let count = self.segment().min(length - start);
            self.bytes.fill(&mut payload[..count]);
            self.transmit(TcpControl::None, Some(self.acknowledgement), &payload[..count]);
        }
    }

    /// Takes the host's sequence number from the SYN that it has sent.
    fn learn(&mut self) {
        let packet = lock(&self.queues).from_host.pop_front().expect("the host has sent a SYN");
        let packet = Ipv4Packet::new_checked(&packet[..]).expect("the host sends well-formed packets");
        let segment = TcpPacket::new_checked(packet.payload()).expect("the host sends well-formed segments");
        assert!(segment.syn() && segment.dst_port() == PEER.port());
        self.acknowledgement = segment.seq_number() + 1;
    }

    fn transmit(&mut self, control: TcpControl, acknowledgement: Option<TcpSeqNumber>, payload: &[u8]) {
        let segment = TcpRepr {
            src_port: PEER.port(),
            dst_port: HOST.port(),
            control,
            seq_number: self.sequence,
            ack_number: acknowledgement,
            window_len: 65535,
            window_scale: (control == TcpControl::Syn).then_some(7),
            max_seg_size: (control == TcpControl::Syn).then(|| u16::try_from(self.segment()).expect("of 16 bits")),
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload,
        };
        self.sequence += segment.segment_len();
        let (IpAddress::Ipv4(src_addr), IpAddress::Ipv4(dst_addr)) = (PEER.ip().into(), HOST.ip().into()) else {
            unreachable!("both are IPv4 addresses");
        };
        let payload_len = segment.buffer_len();
        let header = Ipv4Repr { src_addr, dst_addr, next_header: IpProtocol::Tcp, payload_len, hop_limit: 64 };
        let mut packet = vec![0; IP_HEADER + payload_len];
        let checksums = ChecksumCapabilities::ignored();
        header.emit(&mut Ipv4Packet::new_unchecked(&mut packet[..]), &checksums);
        let mut tcp = TcpPacket::new_unchecked(&mut packet[IP_HEADER..]);
        segment.emit(&mut tcp, &PEER.ip().into(), &HOST.ip().into(), &checksums);
        let mut queues = lock(&self.queues);
        queues.to_host.push_back(packet);
        let reader = queues.reader.take();
        drop(queues);
        reader.into_iter().for_each(Waker::wake);
    }
}

/// The host's end of the link.
pub(crate) struct RawDevice {
    queues: Arc<Mutex<Queues>>,
    pool: Pool,
    mtu: usize,
}

/// Locks the queues, even if they are poisoned: some tests panic on purpose and then check what is left.
fn lock(queues: &Mutex<Queues>) -> MutexGuard<'_, Queues> {
    queues.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Device for RawDevice {
    fn capabilities(&self) -> Capabilities {
        let (medium, checksums) = (Medium::Ip, Checksums::Omitted);
        Capabilities { medium, mtu: self.mtu, checksums, max_burst: None, lossless: false }
    }

    fn receive(&mut self, _: Instant) -> io::Result<Option<Frame>> {
        let packet = lock(&self.queues).to_host.pop_front();
        Ok(packet.map(|packet| {
            let mut frame = self.pool.frame(packet.len());
            frame.copy_from_slice(&packet);
            frame
        }))
    }

    fn allocate(&mut self, _: Instant, length: usize) -> Option<Frame> {
        Some(self.pool.frame(length))
    }

    fn transmit(&mut self, _: Instant, frame: Frame) -> io::Result<()> {
        lock(&self.queues).from_host.push_back(frame.to_vec());
        Ok(())
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut queues = lock(&self.queues);
        if queues.to_host.is_empty() {
            queues.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    fn poll_writable(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn driver(&self) -> &'static str {
        "raw"
    }
}
