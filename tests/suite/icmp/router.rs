//! A link with a simulated router before each host.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use etherparse::{NetSlice, SlicedPacket};
use xila_network_host::device::hub::HubOptions;
use xila_network_host::device::{Capabilities, Device, Frame, Link as State, Pool};
use xila_network_host::platform::Instant;
use xila_network_tests::link::{Family, Host, INTERFACE, Link};

use super::frames::{ethernet, icmp};

/// The router's number on the segment.
pub(crate) const ROUTER: u8 = 254;

/// The router between a host and the segment, which forwards or drops the host's packets.
#[derive(Clone, Default)]
pub(crate) struct Router(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    rules: Rules,
    injected: VecDeque<Vec<u8>>,
    reader: Option<Waker>,
    /// IP packets that were forwarded.
    passed: Vec<Vec<u8>>,
    /// How many packets were too big or exceeded their hop limit.
    refused: usize,
    /// IP packets that were dropped silently.
    dropped: Vec<Vec<u8>>,
    hardware_address: [u8; 6],
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Rules {
    /// Packets longer than this are dropped, and their sender is told; IPv4 packets only if "don't fragment" is set.
    pub(crate) mtu: Option<usize>,
    /// The MTU that is reported in place of the real one.
    pub(crate) told: Option<u32>,
    /// No errors are sent.
    pub(crate) silent: bool,
    /// Packets with at most this hop limit are dropped, and their sender is told.
    pub(crate) hops: u8,
}

/// A host's device, which leads to the router.
pub(crate) struct Port {
    device: Box<dyn Device>,
    pool: Pool,
    router: Router,
}

/// A link on which each host has a router before it.
pub(crate) fn routed(seed: u64, options: HubOptions) -> (Link, [Router; 2]) {
    let link = Link::new(seed, options);
    let routers = [&link.client, &link.server].map(Router::before);
    (link, routers)
}

impl Router {
    fn before(host: &Host) -> Self {
        let config = host.config();
        let device = host.manager.unmount_interface(INTERFACE).unwrap();
        let router = Self::default();
        router.0.lock().unwrap().hardware_address = config.hardware_address.unwrap().octets();
        let port = Port { device, pool: Pool::new(65_550, 16), router: router.clone() };
        host.manager.mount_interface(INTERFACE, port, config).unwrap();
        router
    }

    pub(crate) fn rule(&self, rules: Rules) {
        self.0.lock().unwrap().rules = rules;
    }

    /// The IP packets that were forwarded since the last call.
    pub(crate) fn passed(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0.lock().unwrap().passed)
    }

    /// How many packets were dropped.
    pub(crate) fn refused(&self) -> usize {
        self.0.lock().unwrap().refused
    }

    /// The IP packets that were dropped silently since the last call.
    pub(crate) fn dropped(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0.lock().unwrap().dropped)
    }

    /// Makes the host receive an IP packet.
    pub(crate) fn inject(&self, packet: &[u8]) {
        let mut inner = self.0.lock().unwrap();
        let frame = ethernet(inner.hardware_address, [2, 0, 0, 0, 0, ROUTER], packet);
        inner.injected.push_back(frame);
        let reader = inner.reader.take();
        drop(inner);
        reader.into_iter().for_each(Waker::wake);
    }

    /// Whether a frame is forwarded; if not, its sender is told why.
    fn judge(&self, frame: &[u8]) -> bool {
        let packet = &frame[14..];
        let Some((source, destination, hops, fragmentable)) = read(frame) else { return true };
        let mut inner = self.0.lock().unwrap();
        let rules = inner.rules;
        let v4 = source.is_ipv4();
        let own = (if v4 { Family::V4 } else { Family::V6 }).host(ROUTER);
        let quoted = &packet[..packet.len().min(if v4 { 548 } else { 1232 })];
        let answer = if hops <= rules.hops && !destination.is_multicast() {
            icmp(own, source, [if v4 { 11 } else { 3 }, 0], [0; 4], quoted)
        } else if let Some(mtu) = rules.mtu.filter(|mtu| packet.len() > *mtu && !fragmentable) {
            let told = rules.told.unwrap_or(u32::try_from(mtu).unwrap()).to_be_bytes();
            icmp(own, source, if v4 { [3, 4] } else { [2, 0] }, told, quoted)
        } else {
            inner.passed.push(packet.to_vec());
            return true;
        };
        inner.refused += 1;
        if rules.silent {
            inner.dropped.push(packet.to_vec());
        } else {
            drop(inner);
            self.inject(&answer);
        }
        false
    }
}

/// The source, the destination and the hop limit of a packet, and whether a router may fragment it.
fn read(frame: &[u8]) -> Option<(IpAddr, IpAddr, u8, bool)> {
    Some(match SlicedPacket::from_ethernet(frame).ok()?.net? {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            (header.source_addr().into(), header.destination_addr().into(), header.ttl(), !header.dont_fragment())
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            (header.source_addr().into(), header.destination_addr().into(), header.hop_limit(), false)
        }
        NetSlice::Arp(_) => return None,
    })
}

impl Device for Port {
    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn receive(&mut self, now: Instant) -> io::Result<Option<Frame>> {
        let injected = self.router.0.lock().unwrap().injected.pop_front();
        if let Some(injected) = injected {
            let mut frame = self.pool.frame(injected.len());
            frame.copy_from_slice(&injected);
            return Ok(Some(frame));
        }
        self.device.receive(now)
    }

    fn allocate(&mut self, now: Instant, length: usize) -> Option<Frame> {
        self.device.allocate(now, length)
    }

    fn transmit(&mut self, now: Instant, frame: Frame) -> io::Result<()> {
        if self.router.judge(&frame) { self.device.transmit(now, frame) } else { Ok(()) }
    }

    fn poll_readable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.router.0.lock().unwrap();
        if !inner.injected.is_empty() {
            return Poll::Ready(());
        }
        inner.reader = Some(context.waker().clone());
        drop(inner);
        self.device.poll_readable(context)
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.device.poll_writable(context)
    }

    fn link(&self) -> State {
        self.device.link()
    }

    fn driver(&self) -> &'static str {
        "router"
    }
}
