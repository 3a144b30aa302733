//! The selection of the interface that a socket uses.

use xila_network_host::address::Route;
use xila_network_host::device::hub::Hub;
use xila_network_host::interface::State;
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::socket::{ConnectOptions, ListenOptions, Network, TcpListener, TcpStream, UdpSocket};
use xila_network_host::{BindError, ConnectError, Error, InterfaceNotFound, Manager, ReceiveError, SendError};

use super::{at, bind, config, hub, simulation};

/// A host with two segments. `eth0` is 10.0.0.1/24, and `eth1` 10.0.0.129/25 and fd01::1/64. On the first segment is a
/// router, 10.0.0.254, which also has 192.0.2.7; on the second a host, 10.0.0.200 and fd01::2.
struct World {
    simulation: Simulation,
    manager: Manager,
    router: Manager,
    second: Manager,
    segments: [Hub; 2],
}

impl World {
    fn new() -> Self {
        let (simulation, manager) = simulation();
        let segments = [hub(&simulation), hub(&simulation)];
        manager.mount_interface("eth0", segments[0].port(), config(&["10.0.0.1/24"])).unwrap();
        manager.mount_interface("eth1", segments[1].port(), config(&["10.0.0.129/25", "fd01::1/64"])).unwrap();
        let host = |segment: &Hub, addresses: &[&str]| {
            let host = Manager::new(simulation.platform());
            host.mount_interface("eth0", segment.port(), config(addresses)).unwrap();
            host
        };
        let router = host(&segments[0], &["10.0.0.254/24", "192.0.2.7/32", "2001:db8::7/128"]);
        let second = host(&segments[1], &["10.0.0.200/24", "fd01::2/64"]);
        simulation.advance(xila_network_tests::link::ANNOUNCEMENTS);
        Self { simulation, manager, router, second, segments }
    }

    fn network(&self) -> Network {
        self.manager.network()
    }

    fn set_state(&self, name: &str, state: State) {
        self.manager.interface(name).unwrap().set_state(state);
    }

    /// The source address of an unbound socket's datagram to `remote`, which `receiver` must receive.
    fn source(&self, network: &Network, receiver: &UdpSocket, remote: &str) -> String {
        let local = if remote.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        self.simulation.block_on(async {
            bind(network, local).send_to(b"x", at(remote)).await.unwrap();
            receiver.recv_datagram().await.unwrap().remote.ip().to_string()
        })
    }

    /// The error of a datagram and of a connection to an address, which must be the same.
    fn error(&self, network: &Network, remote: &str) -> Error {
        let local = if remote.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        self.simulation.block_on(async {
            let error = Error::from(bind(network, local).send_to(b"x", at(remote)).await.unwrap_err());
            let of_tcp = Error::from(TcpStream::connect(network, at(remote)).await.unwrap_err());
            assert_eq!(of_tcp, error, "UDP and TCP agree");
            error
        })
    }
}

#[test]
fn the_longest_prefix_over_all_interfaces_decides() {
    let world = World::new();
    // eth0's network also contains 10.0.0.200, but with a shorter prefix; the router is on eth0's segment.
    let second = bind(&world.second.network(), "10.0.0.200:9");
    assert_eq!(world.source(&world.network(), &second, "10.0.0.200:9"), "10.0.0.129");
    // The router's 10.0.0.254 is in eth1's network: only a longer prefix leads to it through eth0.
    let router = bind(&world.router.network(), "10.0.0.254:9");
    let host_route = Route::new("10.0.0.254/32".parse().unwrap(), "10.0.0.254".parse().unwrap()).unwrap();
    world.manager.interface("eth0").unwrap().add_route(host_route).unwrap();
    assert_eq!(world.source(&world.network(), &router, "10.0.0.254:9"), "10.0.0.1");
    let second = bind(&world.second.network(), "[fd01::2]:9");
    assert_eq!(world.source(&world.network(), &second, "[fd01::2]:9"), "fd01::1");
}

#[test]
fn a_default_route_is_used_for_all_other_destinations_until_it_is_removed() {
    let world = World::new();
    assert_eq!(world.error(&world.network(), "192.0.2.7:9"), Error::RemoteUnreachable);
    let eth0 = world.manager.interface("eth0").unwrap();
    let default = Route::default_via("10.0.0.254".parse().unwrap()).unwrap();
    eth0.add_route(default).unwrap();
    let router = bind(&world.router.network(), "192.0.2.7:9");
    assert_eq!(world.source(&world.network(), &router, "192.0.2.7:9"), "10.0.0.1");
    // Destinations with a longer prefix are not affected.
    let second = bind(&world.second.network(), "10.0.0.200:9");
    assert_eq!(world.source(&world.network(), &second, "10.0.0.200:9"), "10.0.0.129");
    eth0.remove_route(default).unwrap();
    assert_eq!(world.error(&world.network(), "192.0.2.7:9"), Error::RemoteUnreachable);
}

#[test]
fn a_socket_that_lives_on_follows_a_changed_route() {
    let world = World::new();
    let eth0 = world.manager.interface("eth0").unwrap();
    let router = bind(&world.router.network(), "192.0.2.7:9");
    world.simulation.block_on(async {
        let socket = bind(&world.network(), "0.0.0.0:0");
        assert_eq!(socket.send_to(b"1", at("192.0.2.7:9")).await, Err(SendError::RemoteUnreachable));
        eth0.add_route(Route::default_via("10.0.0.254".parse().unwrap()).unwrap()).unwrap();
        socket.send_to(b"2", at("192.0.2.7:9")).await.unwrap();
        assert_eq!(router.recv_datagram().await.unwrap().data, b"2");
        eth0.set_state(State::Down);
        assert_eq!(socket.send_to(b"3", at("192.0.2.7:9")).await, Err(SendError::NetworkDown));
    });
}

#[test]
fn of_equal_prefixes_the_first_interface_that_is_up_is_used() {
    let world = World::new();
    world.manager.mount_interface("eth2", world.segments[1].port(), config(&["fd01::3/64"])).unwrap();
    let second = bind(&world.second.network(), "[fd01::2]:9");
    assert_eq!(world.source(&world.network(), &second, "[fd01::2]:9"), "fd01::1");
    world.set_state("eth1", State::Down);
    assert_eq!(world.source(&world.network(), &second, "[fd01::2]:9"), "fd01::3");
    world.set_state("eth1", State::Up);
    assert_eq!(world.source(&world.network(), &second, "[fd01::2]:9"), "fd01::1");
}

#[test]
fn no_interface_no_route_and_no_interface_that_is_up_are_three_errors() {
    let world = World::new();
    let network = world.network();
    assert_eq!(world.error(&network, "198.51.100.1:9"), Error::RemoteUnreachable);
    assert_eq!(world.error(&network, "[2001:db8::1]:9"), Error::RemoteUnreachable);
    world.set_state("eth1", State::Down);
    assert_eq!(world.error(&network, "[fd01::2]:9"), Error::NetworkDown);
    for name in ["lo", "eth0"] {
        world.set_state(name, State::Down);
    }
    for remote in ["198.51.100.1:9", "10.0.0.200:9", "127.0.0.1:9"] {
        assert_eq!(world.error(&network, remote), Error::NetworkDown, "{remote}");
    }
    let nothing = Manager::without_loopback(world.simulation.platform()).network();
    let connecting = world.simulation.block_on(TcpStream::connect(&nothing, at("10.0.0.200:9")));
    assert_eq!(connecting.unwrap_err(), ConnectError::NotFound);
    let listening = TcpListener::bind(&nothing, at("0.0.0.0:80"), ListenOptions::default());
    assert_eq!(listening.unwrap_err(), BindError::NotFound);
}

#[test]
fn a_network_of_some_interfaces_uses_no_others() {
    let world = World::new();
    let eth0 = world.manager.network_of(["eth0"]).unwrap();
    assert_eq!(eth0.interfaces(), ["eth0"]);
    assert_eq!(world.network().interfaces(), ["lo", "eth0", "eth1"]);
    // It does not include the loopback or the other interface's address.
    assert_eq!(world.error(&eth0, "127.0.0.1:9"), Error::RemoteUnreachable);
    assert_eq!(world.error(&eth0, "[fd01::2]:9"), Error::RemoteUnreachable);
    for local in ["10.0.0.129:9", "127.0.0.1:9", "[::1]:9"] {
        assert_eq!(UdpSocket::bind(&eth0, at(local)).unwrap_err(), BindError::AddressNotAvailable, "{local}");
        let listening = TcpListener::bind(&eth0, at(local), ListenOptions::default());
        assert_eq!(listening.unwrap_err(), BindError::AddressNotAvailable, "{local}");
    }
    // A wildcard socket of this network is not served by other interfaces.
    world.simulation.block_on(async {
        let _listener = TcpListener::bind(&eth0, at("0.0.0.0:80"), ListenOptions::default()).unwrap();
        let outcome = TcpStream::connect(&world.second.network(), at("10.0.0.129:80")).await;
        assert_eq!(outcome.unwrap_err(), ConnectError::ConnectionRefused);
    });
    let narrowed = world.manager.network_of(["lo", "eth1"]).unwrap().interface("eth1").unwrap();
    assert_eq!(narrowed.interfaces(), ["eth1"]);
    assert_eq!(eth0.interface("eth1").unwrap_err(), InterfaceNotFound);
}

#[test]
fn a_wildcard_listener_takes_connections_from_every_interface() {
    let world = World::new();
    world.simulation.block_on(async {
        for (wildcard, remotes) in [
            (
                "0.0.0.0:80",
                vec![
                    (&world.router, "10.0.0.1:80"),
                    (&world.second, "10.0.0.129:80"),
                    (&world.manager, "127.0.0.1:80"),
                ],
            ),
            ("[::]:80", vec![(&world.second, "[fd01::1]:80"), (&world.manager, "[::1]:80")]),
        ] {
            let listener = TcpListener::bind(&world.network(), at(wildcard), ListenOptions::default()).unwrap();
            assert_eq!(listener.local_addr(), at(wildcard));
            for (peer, remote) in remotes {
                // Host 10.0.0.254 would expect 10.0.0.1 on the same segment.
                let client = TcpStream::connect(&peer.network(), at(remote)).await.unwrap();
                let (server, from) = listener.accept().await.unwrap();
                assert_eq!((from, server.local_addr()), (client.local_addr(), at(remote)));
                client.write_all(remote.as_bytes()).await.unwrap();
                let mut buffer = [0; 32];
                let count = server.read(&mut buffer).await.unwrap();
                assert_eq!(&buffer[..count], remote.as_bytes());
            }
        }
    });
}

#[test]
fn a_bound_socket_sends_through_the_interface_of_its_address() {
    let world = World::new();
    let network = world.network();
    world.simulation.block_on(async {
        // eth1 has the longer prefix to the host, but the socket is bound to eth0's address.
        let socket = bind(&network, "10.0.0.1:0");
        let before = world.manager.interface("eth1").unwrap().statistics().sent.packets;
        socket.send_to(b"x", at("10.0.0.200:9")).await.unwrap();
        let options = ConnectOptions { local: Some(at("10.0.0.1:0")), ..ConnectOptions::default() };
        let outcome = TcpStream::connect_with(&network, at("10.0.0.200:9"), options).await;
        assert_eq!(outcome.unwrap_err(), ConnectError::RemoteUnreachable, "nobody has that address on eth0's segment");
        assert_eq!(world.manager.interface("eth1").unwrap().statistics().sent.packets, before);
        // If the socket's own interface has no route, the remote is unreachable.
        assert_eq!(
            bind(&network, "10.0.0.1:0").send_to(b"x", at("192.0.2.7:9")).await,
            Err(SendError::RemoteUnreachable)
        );
    });
}

#[test]
fn a_network_follows_mounting_and_unmounting() {
    let (simulation, manager) = simulation();
    let network = manager.network();
    let segment = hub(&simulation);
    let peer = Manager::new(simulation.platform());
    peer.mount_interface("eth0", segment.port(), config(&["10.0.0.2/24"])).unwrap();
    let receiver = bind(&peer.network(), "10.0.0.2:9");
    simulation.block_on(async {
        let socket = bind(&network, "0.0.0.0:0");
        assert_eq!(socket.send_to(b"x", at("10.0.0.2:9")).await, Err(SendError::RemoteUnreachable));
        manager.mount_interface("eth0", segment.port(), config(&["10.0.0.1/24"])).unwrap();
        socket.send_to(b"x", at("10.0.0.2:9")).await.unwrap();
        receiver.recv_datagram().await.unwrap();
        manager.unmount_interface("eth0").unwrap();
        assert_eq!(socket.send_to(b"x", at("10.0.0.2:9")).await, Err(SendError::RemoteUnreachable));
    });
}

/// Two links may have hosts with the same link-local address: a request is answered on the link on which it came (RFC
/// 4007 section 6).
#[test]
fn an_answer_leaves_through_the_interface_and_from_the_address_of_the_request() {
    let world = World::new();
    for name in ["eth0", "eth1"] {
        let eth = world.manager.interface(name).unwrap();
        eth.add_address("fe80::1/64".parse().unwrap()).unwrap();
    }
    let server = bind(&world.network(), "[::]:53");
    let peers = [&world.router, &world.second].map(|peer| {
        peer.interface("eth0").unwrap().add_address("fe80::5/64".parse().unwrap()).unwrap();
        bind(&peer.network(), "[fe80::5]:5353")
    });
    world.simulation.block_on(async {
        for (peer, secret) in [(&peers[0], b"for eth0"), (&peers[1], b"for eth1"), (&peers[0], b"for eth0")] {
            peer.send_to(b"who?", at("[fe80::1]:53")).await.unwrap();
            let asked = server.recv_datagram().await.unwrap();
            assert_eq!(asked.remote, at("[fe80::5]:5353"));
            server.send_to(secret, asked.remote).await.unwrap();
            let answer = peer.recv_datagram().await.unwrap();
            assert_eq!((&answer.data[..], answer.remote), (&secret[..], at("[fe80::1]:53")));
        }
        for peer in &peers {
            assert_eq!(
                peer.try_recv_datagram().map(drop),
                Err(ReceiveError::WouldBlock),
                "nobody hears what is another's"
            );
        }
        // The answer's source is the address to which the request was sent.
        let server = bind(&world.network(), "0.0.0.0:53");
        world.manager.interface("eth0").unwrap().add_address("10.0.0.77/24".parse().unwrap()).unwrap();
        let peer = bind(&world.router.network(), "10.0.0.254:5353");
        for asked in ["10.0.0.1:53", "10.0.0.77:53"] {
            peer.send_to(b"who?", at(asked)).await.unwrap();
            let datagram = server.recv_datagram().await.unwrap();
            server.send_to(b"I", datagram.remote).await.unwrap();
            assert_eq!(peer.recv_datagram().await.unwrap().remote, at(asked));
        }
    });
}
