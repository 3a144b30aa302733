//! Sockets that wait while their interface is down or their address is missing, and datagrams to neighbours that do not
//! answer.

use core::future::{Future, poll_fn};
use core::net::{IpAddr, SocketAddr};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use futures_util::future::{join, join3, poll_immediate};
use xila_network_commands::interface::State;

use super::{ListenOptions, OnOutage, TcpListener, TcpStream, UdpSocket};
use crate::device::hub::{Cable, Hub, HubOptions};
use crate::error::{AcceptError, ReadError, ReceiveError, SendError, WriteError};
use crate::interface::{Interface, InterfaceConfig};
use crate::manager::Manager;
use crate::platform::simulated::Simulation;

const SECOND: Duration = Duration::from_secs(1);

/// Two hosts on one segment: `eth0` of each is 10.0.0.1 and 10.0.0.2.
struct World {
    simulation: Simulation,
    near: Manager,
    far: Manager,
    /// The cable of the near host.
    cable: Cable,
}

impl World {
    fn new() -> Self {
        let simulation = Simulation::new(1);
        let hub = Hub::new(&simulation.platform(), HubOptions { latency: SECOND / 1000, ..HubOptions::default() });
        let port = hub.port();
        let cable = port.cable();
        let host = |port, address: &str| {
            let manager = Manager::new(simulation.platform());
            let addresses = vec![address.parse().unwrap()];
            let config = InterfaceConfig { addresses, link_local: false, ..InterfaceConfig::default() };
            manager.mount_interface("eth0", port, config).unwrap();
            manager
        };
        let (near, far) = (host(port, "10.0.0.1/24"), host(hub.port(), "10.0.0.2/24"));
        simulation.advance(SECOND * 5);
        Self { simulation, near, far, cable }
    }

    fn interface(&self) -> Interface {
        self.near.interface("eth0").unwrap()
    }

    /// A connection from the near host to the far host, whose near end waits during outages.
    fn pair(&self) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(&self.far.network(), at(2, 80), ListenOptions::default()).unwrap();
        let network = self.near.network();
        let connecting = TcpStream::connect(&network, at(2, 80));
        let (near, far) = self.simulation.block_on(join(connecting, listener.accept()));
        let mut near = near.unwrap();
        near.set_on_outage(OnOutage::Wait);
        (near, far.unwrap().0)
    }

    /// Asserts that a future waits.
    fn waits(&self, future: impl Future) {
        self.simulation.block_on(async {
            let mut future = pin!(future);
            assert!(poll_immediate(&mut future).await.is_none());
            self.simulation.sleep(SECOND * 60).await;
            assert!(poll_immediate(&mut future).await.is_none(), "it still waits a minute later");
        });
    }
}

fn at(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new([10, 0, 0, host].into(), port)
}

async fn read_exactly(stream: &TcpStream, length: usize) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let mut buffer = vec![0; length - bytes.len()];
        let count = stream.read(&mut buffer).await?;
        assert!(count > 0, "an early end");
        bytes.extend_from_slice(&buffer[..count]);
    }
    Ok(bytes)
}

/// As on Linux when `ip link set dev eth0 down` is followed by `up`, or when the cable is pulled and put back.
#[test]
fn a_connection_that_waits_for_its_interface_queues_what_is_written_and_continues() {
    for how in ["down", "unplugged", "both"] {
        let world = World::new();
        let (near, far) = world.pair();
        let set = |up: bool| {
            if how != "down" {
                world.cable.set_link(if up { crate::device::Link::Up } else { crate::device::Link::Down });
            }
            if how != "unplugged" {
                world.interface().set_state(if up { State::Up } else { State::Down });
            }
        };
        world.simulation.block_on(async {
            let writing = async {
                near.write_all(&[1; 100_000]).await?;
                // The flush waits, too: nothing has been acknowledged yet.
                near.flush().await
            };
            let outage = async {
                world.simulation.sleep(SECOND).await;
                assert_eq!(near.try_read(&mut [0; 9]), Err(ReadError::WouldBlock), "{how}");
                world.simulation.sleep(SECOND * 30).await;
                set(true);
            };
            set(false);
            let (written, read, ()) = join3(writing, read_exactly(&far, 100_000), outage).await;
            assert_eq!((written, read), (Ok(()), Ok(vec![1; 100_000])), "{how}");
            far.write_all(b"back").await.unwrap();
            assert_eq!(read_exactly(&near, 4).await.as_deref(), Ok(&b"back"[..]));
            near.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(far.read(&mut [0; 9]).await, Ok(0));
            assert_eq!(near.closed().await, Ok(()));
        });
    }
}

#[test]
fn a_full_connection_waits_until_its_interface_is_up_and_fails_when_it_is_unmounted() {
    for unmounts in [false, true] {
        let world = World::new();
        let (near, far) = world.pair();
        world.interface().set_state(State::Down);
        world.simulation.block_on(async {
            let accepted = near.try_write(&vec![2; 16 << 20]).unwrap();
            assert!(accepted > 0 && near.try_write(b"x") == Err(WriteError::WouldBlock), "{accepted}");
            let reading = async { near.read(&mut [0; 8]).await };
            let ending = async {
                world.simulation.sleep(SECOND * 10).await;
                match unmounts {
                    true => drop(world.near.unmount_interface("eth0").unwrap()),
                    false => world.interface().set_state(State::Up),
                }
            };
            if unmounts {
                let (wrote, read, ()) = join3(near.write(b"x"), reading, ending).await;
                assert_eq!((wrote, read), (Err(WriteError::NetworkDown), Err(ReadError::NetworkDown)));
            } else {
                let (wrote, received, ()) = join3(near.write(b"x"), read_exactly(&far, accepted), ending).await;
                assert_eq!((wrote, received), (Ok(1), Ok(vec![2; accepted])));
            }
        });
    }
}

#[test]
fn polls_of_a_waiting_connection_are_not_ready_while_its_interface_is_down() {
    let world = World::new();
    let (near, far) = world.pair();
    world.simulation.block_on(async {
        far.write_all(b"early").await.unwrap();
        world.simulation.sleep(SECOND).await;
    });
    world.interface().set_state(State::Down);
    assert_eq!(near.try_read(&mut [0; 3]), Ok(3), "what has arrived can be read");
    assert_eq!(near.try_peek(&mut [0; 3]), Ok(2));
    assert_eq!(near.try_read_vec(9).as_deref(), Ok(&b"ly"[..]));
    world.waits(poll_fn(|context| near.poll_read_ready(context)));
    assert!(near.send_room().unwrap() > 0);
    world.simulation.block_on(poll_fn(|context| near.poll_write_ready(context))).unwrap();
    while near.try_write(&[0; 1 << 20]).is_ok() {}
    world.waits(poll_fn(|context| near.poll_write_ready(context)));
    assert_eq!(near.send_room(), Ok(0));
}

/// The modes of a listener on an address, on the unspecified address, and what ends their waiting.
#[test]
fn a_listener_waits_as_long_as_it_is_told_to() {
    for (local, on_outage) in [
        (at(1, 80), OnOutage::Fail),
        (at(1, 80), OnOutage::WaitWhileDown),
        (at(1, 80), OnOutage::Wait),
        (SocketAddr::new(IpAddr::from([0; 4]), 80), OnOutage::Wait),
    ] {
        let world = World::new();
        // Without the loopback, which is always up.
        let network = world.near.network_of(["eth0"]).unwrap();
        let mut listener = TcpListener::bind(&network, local, ListenOptions::default()).unwrap();
        listener.set_on_outage(on_outage);
        let accepting = || poll_immediate(poll_fn(|context| listener.poll_accept(context).map_ok(drop)));
        let is_ready = || {
            let ready = poll_immediate(poll_fn(|context| listener.poll_accept_ready(context)));
            world.simulation.block_on(ready).is_some()
        };
        let outcome = || {
            let outcome = world.simulation.block_on(accepting());
            assert_eq!(is_ready(), outcome.is_some(), "ready only if accepting gives something");
            outcome
        };
        let fails = on_outage == OnOutage::Fail;

        world.interface().set_state(State::Down);
        assert_eq!(outcome(), fails.then_some(Err(AcceptError::NetworkDown)));
        world.interface().set_state(State::Up);
        assert_eq!(outcome(), None);
        let connects = || {
            let far = world.far.network();
            let connecting = TcpStream::connect(&far, at(1, 80));
            let (client, server) = world.simulation.block_on(join(connecting, listener.accept()));
            assert_eq!(client.unwrap().local_addr(), server.unwrap().1);
        };
        connects();

        world.interface().remove_address("10.0.0.1/24".parse().unwrap()).unwrap();
        let waits = on_outage == OnOutage::Wait;
        assert_eq!(outcome(), (!waits).then_some(Err(AcceptError::AddressNotAvailable)));
        world.interface().add_address("10.0.0.1/24".parse().unwrap()).unwrap();
        connects();

        drop(world.near.unmount_interface("eth0").unwrap());
        let waits_for_ever = local.ip().is_unspecified();
        assert_eq!(outcome(), (!waits_for_ever).then_some(Err(AcceptError::NetworkDown)));
    }
}

#[test]
fn a_socket_receives_after_an_outage_that_it_has_waited_for() {
    let world = World::new();
    let bind = |on_outage| {
        let mut socket = UdpSocket::bind(&world.near.network(), at(1, 0)).unwrap();
        socket.set_on_outage(on_outage);
        socket
    };
    let (patient, impatient) = (bind(OnOutage::Wait), bind(OnOutage::Fail));
    let far = UdpSocket::bind(&world.far.network(), at(2, 9)).unwrap();
    world.interface().set_state(State::Down);
    assert_eq!(world.simulation.block_on(impatient.recv_datagram()), Err(ReceiveError::NetworkDown));
    world.waits(patient.recv_datagram());
    world.waits(poll_fn(|context| patient.poll_recv_ready(context)));
    world.waits(async { patient.peek_from(&mut [0; 9]).await });
    assert_eq!(patient.try_send_to(b"x", at(2, 9)), Err(SendError::NetworkDown));
    assert!(world.simulation.block_on(poll_immediate(poll_fn(|context| patient.poll_send_ready(context)))).is_some());
    world.interface().set_state(State::Up);
    let received = world.simulation.block_on(async {
        far.send_to(b"again", patient.local_addr()).await.unwrap();
        patient.recv_datagram().await
    });
    assert_eq!(received.map(|datagram| datagram.data), Ok(b"again".to_vec()));
    drop(world.near.unmount_interface("eth0").unwrap());
    assert_eq!(world.simulation.block_on(patient.recv_datagram()), Err(ReceiveError::NetworkDown));
}

/// Nobody has 10.0.0.77.
#[test]
fn a_socket_that_drops_for_a_crowded_neighbour_is_never_held_up_by_it() {
    let world = World::new();
    let far = UdpSocket::bind(&world.far.network(), at(2, 9)).unwrap();
    let mut near = UdpSocket::bind(&world.near.network(), at(1, 0)).unwrap();
    let is_ready = |socket: &UdpSocket| {
        let ready = poll_immediate(poll_fn(|context| socket.poll_send_ready(context)));
        world.simulation.block_on(ready).is_some()
    };
    let dropped = || world.interface().statistics().datagram_drops;
    let before = dropped();
    let waiting = (0..).take_while(|_| near.try_send_to(b"lost", at(77, 9)).is_ok()).count() as u64;
    assert!(waiting < 1000 && !is_ready(&near), "{waiting}");
    assert_eq!(dropped(), before);

    near.set_drops_if_crowded(true);
    for number in 1..=100 {
        assert!(is_ready(&near));
        assert_eq!(near.try_send_to(b"lost", at(77, 9)), Ok(4));
        assert_eq!(dropped(), before + number);
    }
    assert!(is_ready(&near));
    assert_eq!(near.try_send_to(b"live", at(2, 9)), Ok(4));
    let start = world.simulation.now();
    assert_eq!(world.simulation.block_on(far.recv_datagram()).map(|datagram| datagram.data), Ok(b"live".to_vec()));
    assert!(world.simulation.now() - start < SECOND);
    assert_eq!(dropped(), before + 100, "what waits for the neighbour is not lost by that");
    world.simulation.advance(SECOND * 4);
    assert_eq!(dropped(), before + 100 + waiting, "nobody has answered");
}

#[test]
fn a_wait_for_the_end_of_a_connection_lasts_through_an_outage() {
    let world = World::new();
    let (mut near, far) = world.pair();
    near.set_on_outage(OnOutage::Fail);
    near.try_write(b"last").unwrap();
    near.shutdown(std::net::Shutdown::Write).unwrap();
    world.interface().set_state(State::Down);
    let closed = world.simulation.block_on(poll_fn(|context| Poll::Ready(near.poll_closed(context))));
    assert_eq!(closed, Poll::Ready(Err(WriteError::NetworkDown)));
    world.waits(poll_fn(|context| near.poll_closed_patiently(context)));
    world.interface().set_state(State::Up);
    world.simulation.block_on(async {
        let (closed, received) =
            join(poll_fn(|context| near.poll_closed_patiently(context)), read_exactly(&far, 4)).await;
        assert_eq!((closed, received.as_deref()), (Ok(()), Ok(&b"last"[..])));
    });
}

/// An attempt that is refused before it begins costs the caller nothing.
#[test]
fn a_bound_socket_is_returned_with_the_error_of_connecting_or_listening() {
    let world = World::new();
    let bound = super::TcpSocket::bind(&world.near.network(), at(1, 0)).unwrap();
    let local = bound.local_addr();
    let options = super::ConnectOptions::default;
    let (error, bound) = bound.try_connect(at(255, 80), options()).expect_err("a broadcast address");
    assert_eq!((error, bound.local_addr()), (crate::error::ConnectError::InvalidArgument, local));
    let none = ListenOptions { backlog: 0, ..ListenOptions::default() };
    let (error, bound) = bound.try_listen(none).expect_err("no backlog");
    assert_eq!((error, bound.local_addr()), (crate::error::BindError::InvalidArgument, local));
    let listener = TcpListener::bind(&world.far.network(), at(2, 80), ListenOptions::default()).unwrap();
    let connected =
        world.simulation.block_on(bound.try_connect(at(2, 80), options()).map_err(|(error, _)| error).unwrap());
    assert_eq!(connected.unwrap().local_addr(), local);
    drop(listener);
}
