//! A guest that sends to very many neighbours, or very much to one, while they are being resolved, neither delays nor
//! loses what another guest sends. Each test measures what that guest gets, alone and beside the greedy one.

use core::time::Duration;

use xila_network_host::SendError;
use xila_network_host::address::Family;
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::socket::{
    ConnectOptions, Connecting, ListenOptions, Network, TcpListener, TcpStream, UdpSocket,
};

use super::world::{FAMILIES, PEER, SECOND, World, any, at};

/// Shorter than the time in which a neighbour can answer.
const TICK: Duration = Duration::from_micros(100);
const ROUNDS: u16 = 40;
const PER_ROUND: u16 = 100;

/// No host has such a number: a different one for each step of a scan.
fn dead(round: u16, step: u16) -> u16 {
    1000 + round * PER_ROUND + step
}

/// Connects to a few thousand hosts that do not exist.
async fn scan_by_connections(simulation: Simulation, network: Network, family: Family) {
    let mut connecting: Vec<Connecting> = Vec::new();
    for round in 0..ROUNDS {
        let start = |step| TcpStream::start(&network, at(family, dead(round, step), 80), ConnectOptions::default());
        connecting.extend((0..PER_ROUND).map(|step| start(step).unwrap()));
        simulation.sleep(TICK).await;
    }
    simulation.sleep(60 * SECOND).await;
}

/// Sends to a few thousand hosts that do not exist.
async fn scan_by_datagrams(simulation: Simulation, network: Network, family: Family) {
    let socket = UdpSocket::bind(&network, any(family, 0)).unwrap();
    for round in 0..ROUNDS {
        for step in 0..PER_ROUND {
            if let Err(error) = socket.try_send_to(b"?", at(family, dead(round, step), 9)) {
                assert_eq!(error, SendError::WouldBlock);
            }
        }
        simulation.sleep(TICK).await;
    }
}

/// Sends much to the neighbour of the other guest, by datagrams and connections.
async fn crowd(simulation: Simulation, network: Network, family: Family) {
    let socket = UdpSocket::bind(&network, any(family, 0)).unwrap();
    let mut connecting: Vec<Connecting> = Vec::new();
    for _ in 0..ROUNDS {
        for _ in 0..PER_ROUND {
            if let Err(error) = socket.try_send_to(b"?", at(family, PEER, 10)) {
                assert_eq!(error, SendError::WouldBlock);
            }
            connecting.push(TcpStream::start(&network, at(family, PEER, 81), ConnectOptions::default()).unwrap());
        }
        simulation.sleep(TICK).await;
    }
}

/// Sends as many bytes to hosts that do not exist as may wait.
async fn send_large_datagrams(simulation: Simulation, network: Network, family: Family) {
    let socket = UdpSocket::bind(&network, any(family, 0)).unwrap();
    // The small ones take what the large ones leave.
    for size in [60_000, 1000, 100, 1] {
        for step in 0..ROUNDS * 5 {
            if let Err(error) = socket.try_send_to(&vec![0; size], at(family, dead(0, step), 9)) {
                assert_eq!(error, SendError::WouldBlock);
            }
        }
    }
    simulation.sleep(SECOND).await;
}

/// What a guest does beside the one that is measured.
trait Activity: FnOnce(Simulation, Network, Family) -> <Self as Activity>::Future {
    type Future: Future<Output = ()> + Send + 'static;
}

impl<A: FnOnce(Simulation, Network, Family) -> F, F: Future<Output = ()> + Send + 'static> Activity for A {
    type Future = F;
}

/// The measured guest is alone.
async fn nothing(_: Simulation, _: Network, _: Family) {}

/// Starts the activity of a greedy guest and lets it begin.
fn begin(world: &World, family: Family, activity: impl Activity) {
    world.simulation.spawn(activity(world.simulation.clone(), world.guest(), family));
    world.simulation.advance(5 * TICK);
}

/// How long a guest takes to connect to a host that is not resolved yet.
fn connecting(family: Family, activity: impl Activity) -> Duration {
    let world = World::new();
    let _listener = TcpListener::bind(&world.peer.network(), any(family, 80), ListenOptions::default()).unwrap();
    begin(&world, family, activity);
    let other = world.guest();
    let (connected, took) = world.timed(TcpStream::connect(&other, at(family, PEER, 80)));
    assert!(connected.is_ok());
    took
}

/// The datagrams that arrive of twenty that a guest sends, without waiting, to a host that is not resolved yet; and how
/// long it takes until the last arrives.
fn sending(family: Family, activity: impl Activity) -> (Vec<u8>, Duration) {
    let world = World::new();
    let peer = UdpSocket::bind(&world.peer.network(), any(family, 9)).unwrap();
    begin(&world, family, activity);
    let socket = UdpSocket::bind(&world.guest(), any(family, 0)).unwrap();
    let start = world.simulation.now();
    for number in 0..20 {
        let _refused = socket.try_send_to(&[number], at(family, PEER, 9));
        world.simulation.advance(TICK / 2);
    }
    let (mut arrived, mut took) = (Vec::new(), Duration::ZERO);
    for _ in 0..10_000 {
        while let Ok(datagram) = peer.try_recv_datagram() {
            arrived.extend(datagram.data);
            took = world.simulation.now() - start;
        }
        world.simulation.advance(TICK / 2);
    }
    (arrived, took)
}

/// Asserts that a guest connects as quickly beside the activity as alone.
fn assert_connects_as_alone(family: Family, activity: impl Activity) {
    let alone = connecting(family, nothing);
    assert!(alone < Duration::from_millis(10));
    assert!(connecting(family, activity) <= alone, "{family:?}");
}

/// Asserts that a guest's datagrams arrive beside the activity as they do alone: all, in order, and as early.
fn assert_sends_as_alone(family: Family, activity: impl Activity) {
    let alone = sending(family, nothing);
    assert_eq!(alone.0, (0..20).collect::<Vec<u8>>());
    let beside = sending(family, activity);
    assert!(beside.0 == alone.0 && beside.1 <= alone.1, "{family:?}: {beside:?}");
}

#[test]
fn a_scan_by_connections_does_not_delay_another_guest() {
    for family in FAMILIES {
        assert_connects_as_alone(family, scan_by_connections);
        assert_sends_as_alone(family, scan_by_connections);
    }
}

#[test]
fn a_scan_by_datagrams_does_not_delay_another_guest() {
    for family in FAMILIES {
        assert_connects_as_alone(family, scan_by_datagrams);
        assert_sends_as_alone(family, scan_by_datagrams);
    }
}

#[test]
fn a_guest_that_crowds_a_neighbour_leaves_room_for_the_packets_of_another() {
    for family in FAMILIES {
        assert_connects_as_alone(family, crowd);
        assert_sends_as_alone(family, crowd);
    }
}

#[test]
fn large_datagrams_that_wait_for_neighbours_leave_room_for_those_of_another_guest() {
    FAMILIES.into_iter().for_each(|family| assert_sends_as_alone(family, send_large_datagrams));
}
