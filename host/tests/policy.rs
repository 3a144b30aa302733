//! Tests of policies with real sockets, on a link between two hosts in virtual time. A denied operation sends no
//! packet.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use xila_network_host::address::Family;
use xila_network_host::device::hub::{Hub, HubOptions};
use xila_network_host::platform::simulated::Simulation;
use xila_network_host::policy::{Audit, Denial, Operation, Policy, Rate, Rates};
use xila_network_host::socket::{
    ConnectOptions, GuestOptions, IcmpBinding, IcmpSocket, ListenOptions, Network, PingOptions, ResolveError, Resolver,
    ResolverOptions, TcpListener, TcpSocket, TcpStream, UdpSocket, ping,
};
use xila_network_host::{
    BindError, ConnectError, InterfaceConfig, Manager, MembershipError, PeerError, PingError, SendError,
};

const GUEST: &str = "10.0.0.1";
const PEER: &str = "10.0.0.2";
const OTHER: &str = "10.0.0.3";
const SECOND: Duration = Duration::from_secs(1);

/// A guest that is named `app`.
fn app(policy: Policy, audit: Option<Arc<dyn Audit>>) -> GuestOptions {
    GuestOptions { label: "app".into(), policy: Some(policy), audit, ..GuestOptions::default() }
}

/// The guest's host and its peer on one link. The peer has two addresses.
struct World {
    simulation: Simulation,
    guest: Manager,
    peer: Manager,
    denials: Arc<Mutex<Vec<Denial>>>,
}

impl World {
    fn new() -> Self {
        let simulation = Simulation::new(7);
        let hub = Hub::new(&simulation.platform(), HubOptions::default());
        let host = |addresses: &[&str]| {
            let manager = Manager::new(simulation.platform());
            let config = InterfaceConfig {
                addresses: addresses.iter().map(|address| format!("{address}/24").parse().unwrap()).collect(),
                link_local: false,
                ..InterfaceConfig::default()
            };
            manager.mount_interface("eth0", Box::new(hub.port()), config).unwrap();
            manager
        };
        let (guest, peer) = (host(&[GUEST]), host(&[PEER, OTHER]));
        simulation.advance(SECOND);
        Self { simulation, guest, peer, denials: Arc::default() }
    }

    /// A network of the guest that is restricted by these rules.
    fn network(&self, policy: &str) -> Network {
        let denials = self.denials.clone();
        let audit: Arc<dyn Audit> = Arc::new(move |denial| denials.lock().unwrap().push(denial));
        self.guest.network().for_guest_with(app(policy.parse().unwrap(), Some(audit)))
    }

    /// The packets that the guest's host has sent so far.
    fn sent(&self) -> u64 {
        self.guest.interface("eth0").unwrap().statistics().sent.packets
    }

    /// Runs `act`, which must be denied as `operation`, and checks that no packet is sent.
    fn denied<T>(&self, operation: Operation, act: impl FnOnce() -> T) -> T {
        // Wait until earlier allowed traffic, including the neighbour probes that follow it (RFC 4861 section 7.3.3),
        // is over.
        self.simulation.advance(60 * SECOND);
        let (before, known) = (self.sent(), self.denials.lock().unwrap().len());
        let outcome = act();
        self.simulation.advance(SECOND);
        assert_eq!(self.sent(), before, "a packet of what was denied");
        let denials = self.denials.lock().unwrap();
        let told: Vec<Operation> = denials[known..].iter().map(|denial| denial.operation).collect();
        assert_eq!(told, [operation]);
        assert!(denials.iter().all(|denial| denial.guest == "app"));
        outcome
    }

    fn within<T>(&self, future: impl Future<Output = T>) -> T {
        self.simulation.block_on(future)
    }
}

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().unwrap(), port)
}

fn any(port: u16) -> SocketAddr {
    at("0.0.0.0", port)
}

#[test]
fn a_connection_is_made_only_to_whom_the_policy_allows() {
    let world = World::new();
    let network = world.network("deny tcp connect 10.0.0.3\nallow tcp connect 10.0.0.0/24:80 on eth0");
    let _listeners = [80, 81].map(|port| TcpListener::bind(&world.peer.network(), any(port), ListenOptions::default()));
    let stream = world.within(TcpStream::connect(&network, at(PEER, 80))).unwrap();
    drop(stream);
    world.simulation.advance(60 * SECOND);
    for remote in [at(PEER, 81), at(OTHER, 80), at("127.0.0.1", 80), at(GUEST, 80), at("192.0.2.1", 80)] {
        let result = world.denied(Operation::TcpConnect, || world.within(TcpStream::connect(&network, remote)));
        assert_eq!(result.unwrap_err(), ConnectError::AccessDenied, "{remote}");
    }
    let options = ConnectOptions { local: Some(at(GUEST, 5000)), ..ConnectOptions::default() };
    let result = world.denied(Operation::TcpBind, || TcpStream::start(&network, at(PEER, 80), options).map(drop));
    assert_eq!(result.unwrap_err(), ConnectError::AccessDenied, "from a port of its own");
    assert_eq!(network.denials(), 6);
}

#[test]
fn a_listener_hears_only_of_whom_the_policy_allows() {
    let world = World::new();
    let network = world.network("allow tcp listen 0.0.0.0/0:80 from 10.0.0.2");
    for local in [any(81), at(GUEST, 22), at("127.0.0.1", 8080)] {
        let listening = || TcpListener::bind(&network, local, ListenOptions::default()).map(drop);
        assert_eq!(world.denied(Operation::TcpBind, listening).unwrap_err(), BindError::AccessDenied, "{local}");
    }
    let chance = || TcpSocket::bind(&network, any(0)).unwrap().listen(ListenOptions::default()).map(drop);
    assert_eq!(world.denied(Operation::TcpListen, chance).unwrap_err(), BindError::AccessDenied);

    let listener = TcpListener::bind(&network, any(80), ListenOptions::default()).unwrap();
    let from = |address: &str| {
        let options = ConnectOptions { local: Some(at(address, 0)), timeout: SECOND, ..ConnectOptions::default() };
        world.within(TcpStream::connect_with(&world.peer.network(), at(GUEST, 80), options))
    };
    let _allowed = from(PEER).unwrap();
    assert_eq!(world.within(listener.accept()).unwrap().1.ip(), PEER.parse::<IpAddr>().unwrap());
    let before = world.sent();
    assert_eq!(from(OTHER).unwrap_err(), ConnectError::TimedOut);
    assert_eq!(world.sent(), before, "as if the request had not come");
    assert!(listener.try_accept().is_err());
    let denials = world.denials.lock().unwrap();
    let last = denials.last().unwrap();
    assert_eq!((last.operation, last.interface.as_deref()), (Operation::TcpAccept, Some("eth0")));
    assert_eq!((last.local, last.remote.map(|remote| remote.ip())), (Some(at(GUEST, 80)), OTHER.parse().ok()));
}

#[test]
fn a_wildcard_socket_does_not_hear_what_is_for_a_denied_address() {
    let world = World::new();
    let second = "10.0.0.4";
    world.guest.interface("eth0").unwrap().add_address("10.0.0.4/24".parse().unwrap()).unwrap();
    let network = world.network("deny tcp listen 10.0.0.4\nallow tcp listen any");
    let _listener = TcpListener::bind(&network, any(80), ListenOptions::default()).unwrap();
    let options = || ConnectOptions { timeout: SECOND, ..ConnectOptions::default() };
    let to = |address| world.within(TcpStream::connect_with(&world.peer.network(), at(address, 80), options()));
    assert!(to(GUEST).is_ok());
    assert_eq!(to(second).unwrap_err(), ConnectError::TimedOut);
}

#[test]
fn datagrams_leave_and_arrive_only_as_the_policy_allows() {
    let world = World::new();
    let network = world.network("allow udp send 10.0.0.2:7\nallow udp bind :9 from 10.0.0.3");
    let peers =
        [at(PEER, 7), at(OTHER, 7), at(PEER, 8)].map(|local| UdpSocket::bind(&world.peer.network(), local).unwrap());
    let socket = UdpSocket::bind(&network, any(0)).unwrap();
    let port = socket.local_addr().port();
    world.within(socket.send_to(b"ping", at(PEER, 7))).unwrap();
    for (operation, remote) in [
        (Operation::UdpSend, at(PEER, 8)),
        (Operation::UdpSend, at(OTHER, 7)),
        (Operation::UdpBroadcast, at("10.0.0.255", 7)),
        (Operation::UdpBroadcast, at("255.255.255.255", 7)),
        (Operation::UdpMulticast, at("224.0.0.251", 5353)),
    ] {
        socket.set_broadcast(true);
        let result = world.denied(operation, || world.within(socket.send_to(b"no", remote)));
        assert_eq!(result.unwrap_err(), SendError::AccessDenied, "{remote}");
    }
    let bound = world.denied(Operation::UdpBind, || UdpSocket::bind(&network, any(53)).map(drop));
    assert_eq!(bound.unwrap_err(), BindError::AccessDenied);
    let joined = world.denied(Operation::UdpMulticast, || socket.join_multicast("224.0.0.251".parse().unwrap(), None));
    assert_eq!(joined.unwrap_err(), MembershipError::AccessDenied);

    let server = UdpSocket::bind(&network, any(9)).unwrap();
    let said = |from: &UdpSocket, to| world.within(from.send_to(b"said", at(GUEST, to))).map(drop).unwrap();
    said(&peers[0], port);
    said(&peers[1], 9);
    world.simulation.advance(SECOND);
    assert!(socket.try_recv_datagram().is_ok() && server.try_recv_datagram().is_ok());
    for (from, to) in [(&peers[1], port), (&peers[2], port), (&peers[2], 9)] {
        world.denied(Operation::UdpReceive, || said(from, to));
    }
    assert!(socket.try_recv_datagram().is_err() && server.try_recv_datagram().is_err());
}

#[test]
fn a_udp_socket_is_connected_only_to_whom_it_may_send() {
    let world = World::new();
    let network = world.network("allow udp send 10.0.0.2:7");
    let peer = UdpSocket::bind(&world.peer.network(), at(PEER, 7)).unwrap();
    let socket = UdpSocket::bind(&network, any(0)).unwrap();
    socket.connect(at(PEER, 7)).unwrap();
    for (operation, remote) in [
        (Operation::UdpSend, at(OTHER, 7)),
        (Operation::UdpSend, at(PEER, 8)),
        (Operation::UdpBroadcast, at("10.0.0.255", 7)),
        (Operation::UdpMulticast, at("224.0.0.251", 5353)),
    ] {
        let denied = world.denied(operation, || socket.connect(remote));
        assert_eq!(denied, Err(PeerError::AccessDenied), "{remote}");
        assert_eq!(socket.peer_addr(), Some(at(PEER, 7)), "{remote}: it keeps the peer that it had");
    }
    world.within(socket.send(b"x")).unwrap();
    world.simulation.advance(SECOND);
    assert!(peer.try_recv_datagram().is_ok());
}

/// Who will connect is not known while a socket is being bound.
#[test]
fn a_rule_that_denies_some_peers_leaves_a_listener_to_the_others() {
    let world = World::new();
    let network = world.network("deny tcp listen any from 10.0.0.3\nallow tcp listen any");
    let _listener = TcpListener::bind(&network, any(80), ListenOptions::default()).unwrap();
    let from = |address| {
        let options = ConnectOptions { local: Some(at(address, 0)), timeout: SECOND, ..ConnectOptions::default() };
        world.within(TcpStream::connect_with(&world.peer.network(), at(GUEST, 80), options)).map(drop)
    };
    assert_eq!((from(PEER), from(OTHER)), (Ok(()), Err(ConnectError::TimedOut)));
}

#[test]
fn an_address_at_which_every_port_is_denied_is_not_had_with_an_ephemeral_port() {
    let world = World::new();
    let network = world.network("deny tcp bind 10.0.0.0/24\ndeny udp bind 10.0.0.1\nallow any");
    let bound = world.denied(Operation::UdpBind, || UdpSocket::bind(&network, at(GUEST, 0)).map(drop));
    assert_eq!(bound, Err(BindError::AccessDenied));
    let options = ConnectOptions { local: Some(at(GUEST, 0)), ..ConnectOptions::default() };
    let started = world.denied(Operation::TcpBind, || TcpStream::start(&network, at(PEER, 80), options).map(drop));
    assert_eq!(started, Err(ConnectError::AccessDenied));
    // An address that the stack chooses is no matter of these rules.
    let _peer = TcpListener::bind(&world.peer.network(), any(80), ListenOptions::default()).unwrap();
    assert!(world.within(TcpStream::connect(&network, at(PEER, 80))).is_ok());
    let socket = UdpSocket::bind(&network, any(0)).unwrap();
    world.within(socket.send_to(b"x", at(PEER, 7))).unwrap();
}

#[test]
fn only_allowed_hosts_are_pinged() {
    let world = World::new();
    let network = world.network("allow icmp 10.0.0.2");
    let options = PingOptions::default();
    assert!(world.within(ping(&network, PEER.parse().unwrap(), &options)).is_ok());
    let result = world.denied(Operation::Ping, || world.within(ping(&network, OTHER.parse().unwrap(), &options)));
    assert_eq!(result.unwrap_err(), PingError::Send(SendError::AccessDenied));
    let network = world.network("allow udp any");
    let socket = || IcmpSocket::bind(&network, Family::V4, IcmpBinding::Echo(0)).map(drop);
    assert_eq!(world.denied(Operation::Ping, socket).unwrap_err(), BindError::AccessDenied);
}

#[test]
fn nothing_is_allowed_by_an_empty_policy_and_everything_by_none() {
    let world = World::new();
    let denied = world.guest.network().for_guest_with(app(Policy::deny_all(), None));
    assert_eq!(UdpSocket::bind(&denied, any(0)).map(drop), Err(BindError::AccessDenied));
    assert_eq!(TcpSocket::bind(&denied, any(0)).map(drop), Err(BindError::AccessDenied));
    let resolver = Resolver::new(denied.clone(), ResolverOptions::default());
    assert_eq!(world.within(resolver.resolve("localhost", None)), Err(ResolveError::AccessDenied));
    assert_eq!(denied.denials(), 3);
    let allowed = world.guest.network().for_guest_with(app(Policy::allow_all(), None));
    let _listener = TcpListener::bind(&allowed, any(80), ListenOptions::default()).unwrap();
    assert!(world.within(TcpStream::connect(&allowed, at("127.0.0.1", 80))).is_ok());
}

#[test]
fn a_network_made_from_a_guest_s_network_allows_no_more() {
    let world = World::new();
    let guest = world.guest.network().for_guest_with(app("allow udp any".parse().unwrap(), None));
    let inner = guest.for_guest_with(app("allow tcp any\nallow udp bind 0.0.0.0:7".parse().unwrap(), None));
    for (network, may_bind_9) in [(guest.for_guest(), true), (inner, false)] {
        assert_eq!(TcpSocket::bind(&network, any(0)).map(drop), Err(BindError::AccessDenied));
        assert!(UdpSocket::bind(&network, any(7)).is_ok());
        assert_eq!(UdpSocket::bind(&network, any(9)).is_ok(), may_bind_9);
    }
}

/// A DNS server that answers every A question with `address` and other questions without records. It adds the names to
/// `asked`.
async fn serve(network: Network, address: [u8; 4], ttl: u32, asked: Arc<Mutex<Vec<String>>>) {
    let socket = UdpSocket::bind(&network, at(PEER, 53)).unwrap();
    loop {
        let question = socket.recv_datagram().await.unwrap();
        let query = &question.data;
        let labels_end = 12 + query[12..].iter().position(|byte| *byte == 0).unwrap();
        let name: String =
            query[13..labels_end].iter().map(|byte| if *byte < 32 { '.' } else { char::from(*byte) }).collect();
        asked.lock().unwrap().push(name.to_ascii_lowercase());
        let is_a = query[labels_end + 1..labels_end + 3] == [0, 1];
        let mut answer = query[..2].to_vec();
        answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
        answer.extend(&query[12..labels_end + 5]);
        if is_a {
            answer.extend([0xc0, 12, 0, 1, 0, 1]);
            answer.extend(ttl.to_be_bytes());
            answer.extend([0, 4]);
            answer.extend(address);
        }
        socket.send_to(&answer, question.remote).await.unwrap();
    }
}

#[test]
fn a_name_admits_what_it_resolved_to_for_as_long_as_that_counts() {
    let world = World::new();
    let asked = Arc::new(Mutex::new(Vec::new()));
    world.simulation.spawn(serve(world.peer.network(), [10, 0, 0, 3], 600, asked.clone()));
    world.guest.interface("eth0").unwrap().add_dns_server(PEER.parse().unwrap()).unwrap();
    let _listener = TcpListener::bind(&world.peer.network(), any(443), ListenOptions::default()).unwrap();
    let network = world.network("allow tcp connect *.example.org:443");
    let resolver = Resolver::new(network.clone(), ResolverOptions::default());
    let connect = |remote| world.within(TcpStream::connect(&network, remote));

    let before = world.denied(Operation::TcpConnect, || connect(at(OTHER, 443)));
    assert_eq!(before.unwrap_err(), ConnectError::AccessDenied, "the name was not resolved yet");
    for name in ["example.org", "www.example.com", "www.example.org.evil.test"] {
        let resolved = world.denied(Operation::Resolve, || world.within(resolver.resolve(name, None)));
        assert_eq!(resolved.unwrap_err(), ResolveError::AccessDenied, "{name}");
    }
    assert!(asked.lock().unwrap().is_empty());
    assert_eq!(world.within(resolver.resolve("WWW.example.org", None)).unwrap(), [OTHER.parse::<IpAddr>().unwrap()]);
    drop(connect(at(OTHER, 443)).unwrap());
    assert_eq!(connect(at(OTHER, 80)).unwrap_err(), ConnectError::AccessDenied, "another port");
    assert_eq!(connect(at(PEER, 443)).unwrap_err(), ConnectError::AccessDenied, "another address");
    world.simulation.advance(30 * SECOND);
    drop(connect(at(OTHER, 443)).unwrap());
    // Asking a DNS server of the guest's own choice counts as sending a datagram, which no rule allows.
    let chosen = world.denied(Operation::UdpSend, || world.within(resolver.ask(PEER.parse().ok(), "a.example.org", 1)));
    assert_eq!(chosen.unwrap_err(), ResolveError::AccessDenied);
    world.simulation.advance(600 * SECOND);
    let after = world.denied(Operation::TcpConnect, || connect(at(OTHER, 443)));
    assert_eq!(after.unwrap_err(), ConnectError::AccessDenied, "its time to live is over");
    // Another guest of the same host has not resolved the name, so it may not connect.
    let other = world.network("allow tcp connect *.example.org:443");
    world.within(resolver.resolve("www.example.org", None)).unwrap();
    let foreign = world.denied(Operation::TcpConnect, || world.within(TcpStream::connect(&other, at(OTHER, 443))));
    assert_eq!(foreign.unwrap_err(), ConnectError::AccessDenied);
}

/// A DNS server whose answers are all truncated.
async fn serve_truncated(network: Network) {
    let socket = UdpSocket::bind(&network, at(PEER, 53)).unwrap();
    loop {
        let question = socket.recv_datagram().await.unwrap();
        let mut answer = question.data.to_vec();
        answer[2..4].copy_from_slice(&[0x83, 0x80]);
        socket.send_to(&answer, question.remote).await.unwrap();
    }
}

#[test]
fn a_server_of_the_guest_s_choice_is_asked_by_tcp_only_where_the_guest_may_connect() {
    let world = World::new();
    world.simulation.spawn(serve_truncated(world.peer.network()));
    for (rules, error, denials) in [
        ("allow udp send 10.0.0.2:53", ResolveError::AccessDenied, &[Operation::TcpConnect] as &[_]),
        // Nobody listens there.
        ("allow udp send 10.0.0.2:53\nallow tcp connect 10.0.0.2:53", ResolveError::ServersUnreachable, &[]),
    ] {
        let network = world.network(rules);
        let resolver = Resolver::new(network, ResolverOptions::default());
        let asked = world.within(resolver.ask(PEER.parse().ok(), "www.example.org", 1));
        assert_eq!(asked.map(drop), Err(error));
        let told: Vec<Operation> = world.denials.lock().unwrap().drain(..).map(|denial| denial.operation).collect();
        assert_eq!(told, denials);
    }
}

#[test]
fn questions_to_the_servers_of_the_interfaces_count_as_packets_of_the_guest() {
    let world = World::new();
    let asked = Arc::new(Mutex::new(Vec::new()));
    world.simulation.spawn(serve(world.peer.network(), [10, 0, 0, 3], 600, asked.clone()));
    world.guest.interface("eth0").unwrap().add_dns_server(PEER.parse().unwrap()).unwrap();
    let rates = Rates { packets: Some(Rate { per_second: 1, burst: 1 }), ..Rates::UNLIMITED };
    let network = world.guest.network().for_guest_with(GuestOptions { rates, ..GuestOptions::default() });
    let resolver = Resolver::new(network.clone(), ResolverOptions::default());
    let start = network.platform().clock.now();
    for name in ["a.example", "b.example", "c.example", "a.example"] {
        world.within(resolver.resolve(name, Some(Family::V4))).unwrap();
    }
    let elapsed = network.platform().clock.now() - start;
    assert_eq!(asked.lock().unwrap().len(), 3, "the last is in the cache");
    assert!((2 * SECOND..3 * SECOND).contains(&elapsed), "{elapsed:?}");
    assert_eq!(network.traffic().sent_packets, 3);
}
