//! One host of a world: an engine and its device.

use core::net::IpAddr;

use xila_network_engine::buffer::Slice;
use xila_network_engine::ip::output::{Blocked, Outlet, Packet};
use xila_network_engine::ip::segmentation::Segmentation;
use xila_network_engine::random::Random;
use xila_network_engine::tcp::segment::Segment;
use xila_network_engine::tcp::{Config, ConnectionId, Progress, Tcp};
use xila_network_engine::time::Instant;
use xila_network_engine::wire::Ip;

use super::Dice;

/// A device that is full at times, with a neighbour that does not answer at once.
pub(crate) struct Device {
    pub(crate) mtu: usize,
    /// Packets up to this length are accepted, and split into segments.
    pub(crate) longest: usize,
    pub(crate) checksums: bool,
    /// The probability of a full device, in ten thousandths.
    pub(crate) full: u32,
    /// Until when the neighbour's address is not known.
    pub(crate) unresolved: Option<Instant>,
    pub(crate) now: Instant,
    pub(crate) dice: Dice,
    pub(crate) sent: Vec<Vec<u8>>,
}

impl Outlet for Device {
    fn send(&mut self, packet: &Packet<'_>) -> Result<(), Blocked> {
        let longest = if packet.segment > 0 { self.longest } else { self.mtu };
        assert!(packet.length() <= longest, "{} bytes for a path of {longest}: {packet:?}", packet.length());
        if self.unresolved.is_some_and(|until| self.now < until) {
            return Err(Blocked::Unresolved);
        }
        if self.dice.chance(self.full) {
            return Err(Blocked::Full);
        }
        let mut bytes = vec![0; packet.length()];
        packet.emit(&mut bytes, self.checksums);
        if packet.segment == 0 {
            self.sent.push(bytes);
            return Ok(());
        }
        let cut = Segmentation::new(&bytes, bytes.len(), packet.segment).expect("there is something to cut");
        for index in 0..cut.count() {
            let data = &bytes[cut.head_length()..][cut.range(index)];
            let mut segment = vec![0; cut.head_length()];
            cut.write_head(&bytes, index, &data.into(), self.checksums, &mut segment);
            segment.extend(data);
            assert!(segment.len() <= self.mtu, "{} bytes for a path of {}", segment.len(), self.mtu);
            self.sent.push(segment);
        }
        Ok(())
    }

    fn longest(&self) -> usize {
        self.longest
    }

    fn mtu(&self, _destination: IpAddr) -> usize {
        self.mtu
    }
}

pub(crate) struct Host {
    pub(crate) tcp: Tcp,
    pub(crate) device: Device,
    pub(crate) address: IpAddr,
    /// If set, the host transmits connection by connection, each with at most this many bytes per turn.
    pub(crate) quantum: Option<usize>,
    /// The probability that a packet is received in parts, in ten thousandths.
    pub(crate) apart: u32,
    /// When the device has space again.
    pub(crate) ready: Option<Instant>,
    /// The connections that wait for the neighbour.
    pub(crate) waiting: Vec<ConnectionId>,
}

impl Host {
    pub(crate) fn new(config: Config, device: Device, address: IpAddr, quantum: Option<usize>, seed: u64) -> Self {
        let mut key = [7; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let tcp = Tcp::new(config, Random::new(key));
        let apart = [0, 5000, 10_000][seed as usize % 3];
        Self { tcp, device, address, quantum, apart, ready: None, waiting: Vec::new() }
    }

    pub(crate) fn receive(&mut self, now: Instant, packet: &[u8]) {
        self.device.now = now;
        if self.device.dice.chance(self.apart)
            && let Some(head) = head_length(packet)
        {
            // As a link within one process delivers packets: the data in slices, divided wherever the sender's memory
            // ended.
            let (head, text) = packet.split_at(head);
            let cut = usize::try_from(self.device.dice.below(text.len() as u64 + 1)).expect("a packet is short");
            let text = Slice::from(text);
            let slices = [text.slice(0..cut), text.slice(cut..text.len())];
            return self.tcp.receive_parts(now, head, &slices, false, &mut self.device);
        }
        self.tcp.receive(now, packet, &mut self.device);
    }

    /// Sends what there is to send. If the device is full, it has space again a little later.
    pub(crate) fn transmit(&mut self, now: Instant) {
        self.device.now = now;
        if self.ready.is_some_and(|ready| now < ready) {
            return;
        }
        self.ready = None;
        if let Some(until) = self.device.unresolved
            && now >= until
        {
            self.device.unresolved = None;
            for id in core::mem::take(&mut self.waiting) {
                self.tcp.resume(id);
            }
        }
        let full = match self.quantum {
            None => self.transmit_all(now),
            Some(quantum) => self.transmit_in_turn(now, quantum),
        };
        if full {
            self.ready = Some(now + core::time::Duration::from_micros(self.device.dice.below(3000)));
        }
    }

    fn transmit_all(&mut self, now: Instant) -> bool {
        let full = self.tcp.transmit(now, &mut self.device);
        if self.device.unresolved.is_some() {
            // The engine does not tell which connections were blocked, so all are tried again.
            self.waiting = self.tcp.connections().map(|(id, ..)| id).collect();
        }
        full
    }

    fn transmit_in_turn(&mut self, now: Instant, quantum: usize) -> bool {
        if self.tcp.transmit_answers(now, &mut self.device) {
            return true;
        }
        while let Some(id) = self.tcp.next_pending() {
            match self.tcp.transmit_one(id, quantum, now, &mut self.device).progress {
                Progress::Done | Progress::More => {}
                Progress::Blocked(Blocked::Full) => return true,
                Progress::Blocked(Blocked::Unresolved | Blocked::Unreachable) => self.waiting.push(id),
            }
        }
        false
    }

    /// When this host needs processing again.
    pub(crate) fn next(&mut self) -> Option<Instant> {
        let resolved = self.device.unresolved.filter(|_| !self.waiting.is_empty());
        [self.tcp.next_timeout(), self.ready, resolved].into_iter().flatten().min()
    }
}

/// The length of a packet's headers; `None` if the packet cannot be parsed.
fn head_length(packet: &[u8]) -> Option<usize> {
    let ip = Ip::parse(packet, 0, false)?;
    let segment = Segment::parse(ip.source, ip.destination, ip.payload, &[], false)?;
    packet.len().checked_sub(segment.payload.len())
}
