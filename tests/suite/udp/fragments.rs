//! Datagrams in fragments, one of which the link loses.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etherparse::{NetSlice, SlicedPacket};
use xila_network_host::device::hub::{Hub, HubOptions};
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::socket::UdpSocket;
use xila_network_host::{InterfaceConfig, Manager, ReceiveError};
use xila_network_tests::link::{Bytes, Family};
use xila_network_tests::probe::{Monitor, Probe};

use super::{PORT, bind};

/// How long the fragments of a datagram may take to arrive (RFC 1122 section 3.3.2).
const PATIENCE: Duration = Duration::from_secs(60);
const MILLISECOND: Duration = Duration::from_millis(1);
/// The data in each fragment on a link with an MTU of 1500.
const FRAGMENT: usize = 1480;
const FRAGMENTS: usize = 14;

fn datagram() -> Vec<u8> {
    let mut content = vec![0; FRAGMENTS * FRAGMENT - 8 - 100];
    Bytes::new(1).fill(&mut content);
    content
}

/// The number of the fragment in a frame, if it has one.
fn fragment_of(frame: &[u8]) -> Option<usize> {
    let Some(NetSlice::Ipv4(ip)) = SlicedPacket::from_ethernet(frame).ok()?.net else { return None };
    let header = ip.header();
    let is_fragment = header.more_fragments() || header.fragments_offset().value() > 0;
    is_fragment.then(|| usize::from(header.fragments_offset().value()) * 8 / FRAGMENT)
}

/// Two hosts; the fragment that is lost on the way to the second is kept.
struct World {
    simulation: Simulation,
    monitor: Monitor,
    lost: Arc<Mutex<Vec<Vec<u8>>>>,
    sender: UdpSocket,
    receiver: UdpSocket,
    _hosts: [Manager; 2],
}

impl World {
    /// A world whose link loses fragment number `lost` of each packet.
    fn new(lost: usize) -> Self {
        let simulation = Simulation::new(1);
        let hub = Hub::new(&simulation.platform(), HubOptions::default());
        let address = |number| Family::V4.host(number);
        let mut monitors = Vec::new();
        let hosts = [1, 2].map(|number| {
            let (device, monitor) = Probe::new(hub.port(), false);
            monitors.push(monitor);
            let addresses = vec![format!("{}/24", address(number)).parse().expect("an address")];
            let manager = Manager::new(simulation.platform());
            let config = InterfaceConfig { addresses, link_local: false, ..InterfaceConfig::default() };
            manager.mount_interface("eth0", device, config).expect("a fresh host");
            manager
        });
        let kept = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let monitor = monitors.pop().expect("that of the second");
        monitor.lose(Box::new({
            let kept = kept.clone();
            move |frame| {
                let is_lost = fragment_of(frame) == Some(lost);
                if is_lost {
                    kept.lock().expect("nobody has panicked").push(frame.to_vec());
                }
                is_lost
            }
        }));
        let sender = bind(&hosts[0].network(), address(1), 0);
        let receiver = bind(&hosts[1].network(), address(2), PORT);
        Self { simulation, monitor, lost: kept, sender, receiver, _hosts: hosts }
    }

    /// Sends the datagram, of which all fragments but one arrive; returns the lost one.
    fn send(&self) -> Vec<u8> {
        self.monitor.received();
        let remote: SocketAddr = self.receiver.local_addr();
        let sent = self.simulation.block_on(async { self.sender.send_to(&datagram(), remote).await });
        assert_eq!(sent, Ok(datagram().len()));
        self.simulation.run_ready();
        let came = self.monitor.received().iter().filter(|frame| fragment_of(&frame.bytes).is_some()).count();
        let mut lost = std::mem::take(&mut *self.lost.lock().expect("nobody has panicked"));
        assert_eq!((came, lost.len()), (FRAGMENTS - 1, 1));
        lost.pop().expect("it was counted")
    }

    /// Delivers the lost fragment after all; returns what the socket receives.
    fn repair(&self, fragment: Vec<u8>) -> Result<Vec<u8>, ReceiveError> {
        self.monitor.inject(fragment);
        self.simulation.run_ready();
        self.receiver.try_recv_datagram().map(|datagram| datagram.data)
    }
}

#[test]
fn a_datagram_is_not_delivered_if_any_of_its_fragments_is_lost() {
    for lost in 0..FRAGMENTS {
        let world = World::new(lost);
        world.send();
        world.simulation.advance(PATIENCE * 3);
        assert_eq!(world.receiver.try_recv_datagram().map(drop), Err(ReceiveError::WouldBlock), "fragment {lost}");
        // Datagrams that are not fragmented are not affected.
        let remote = world.receiver.local_addr();
        world.simulation.block_on(async {
            world.sender.send_to(b"whole", remote).await.expect("the neighbour is known");
            assert_eq!(world.receiver.recv_datagram().await.expect("it comes").data, b"whole");
        });
    }
}

#[test]
fn a_missing_fragment_may_arrive_within_a_minute() {
    for lost in 0..FRAGMENTS {
        let world = World::new(lost);
        let fragment = world.send();
        world.simulation.advance(PATIENCE - MILLISECOND);
        assert!(world.repair(fragment).expect("it is whole now") == datagram(), "fragment {lost}");
    }
}

/// The fragments of an incomplete packet are released after a minute: a late fragment completes nothing.
#[test]
fn fragments_are_dropped_after_a_minute() {
    for lost in 0..FRAGMENTS {
        let world = World::new(lost);
        let fragment = world.send();
        world.simulation.advance(PATIENCE + MILLISECOND);
        assert_eq!(world.repair(fragment).map(drop), Err(ReceiveError::WouldBlock), "fragment {lost}");
    }
}
