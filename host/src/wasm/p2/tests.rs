//! Calls of `wasi:sockets` 0.2 that fail, or that come while an interface is down. Behaviour that a program can show is
//! tested by programs.

use std::net::SocketAddr;

use futures_util::future::poll_immediate;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::Host as _;
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};
use xila_network_commands::interface::State;

use super::bindings::instance_network::Host as _;
use super::bindings::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use super::bindings::tcp::HostTcpSocket;
use super::bindings::tcp_create_socket::Host as _;
use super::bindings::udp::OutgoingDatagram;
use super::bindings::udp::{HostIncomingDatagramStream as _, HostOutgoingDatagramStream as _, HostUdpSocket};
use super::bindings::udp_create_socket::Host as _;
use super::{IncomingDatagramStream, Network, OutgoingDatagramStream, SocketError, TcpSocket, UdpSocket};
use crate::device::hub::{Hub, HubOptions};
use crate::interface::InterfaceConfig;
use crate::manager::Manager;
use crate::platform::simulated::Simulation;
use crate::policy::{Limits, SocketKind, Usage};
use crate::wasm::clocks::Deadline;
use crate::wasm::{NetworkCtx, NetworkCtxBuilder, NetworkCtxView};

/// A guest on a host with `lo` and with `eth0`, which is 10.0.0.1/24.
struct Bench {
    simulation: Simulation,
    manager: Manager,
    ctx: NetworkCtx,
    table: ResourceTable,
    network: u32,
}

/// Handles of the two streams of a connection.
type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

impl Bench {
    fn new(set: impl FnOnce(NetworkCtxBuilder) -> NetworkCtxBuilder) -> Self {
        let simulation = Simulation::new(1);
        let manager = Manager::new(simulation.platform());
        let hub = Hub::new(&simulation.platform(), HubOptions::default());
        let addresses = vec!["10.0.0.1/24".parse().unwrap()];
        let config = InterfaceConfig { addresses, link_local: false, ..InterfaceConfig::default() };
        manager.mount_interface("eth0", hub.port(), config).unwrap();
        let ctx = set(NetworkCtx::builder().network(manager.network())).build();
        let mut bench = Self { simulation, manager, ctx, table: ResourceTable::new(), network: 0 };
        bench.network = bench.view().instance_network().unwrap().rep();
        bench
    }

    fn view(&mut self) -> NetworkCtxView<'_> {
        NetworkCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }

    fn network(&self) -> Resource<Network> {
        Resource::new_borrow(self.network)
    }

    /// Lets the table take `more` resources and no further ones.
    fn leave_places(&mut self, more: usize) {
        // The places of deleted resources are filled first.
        self.table.set_max_capacity(0);
        while self.table.push(()).is_ok() {}
        self.table.set_max_capacity(usize::MAX);
        let last = self.table.push(()).unwrap().rep() as usize;
        self.table.set_max_capacity(last + 1 + more);
    }

    fn leave_many_places(&mut self) {
        self.table.set_max_capacity(usize::MAX);
    }

    /// The number of resources of a type.
    fn count<T: 'static>(&mut self) -> usize {
        self.table.iter_mut().filter(|entry| entry.is::<T>()).count()
    }

    /// The numbers of TCP sockets, input streams and output streams.
    fn tcp_resources(&mut self) -> [usize; 3] {
        [self.count::<TcpSocket>(), self.count::<DynInputStream>(), self.count::<DynOutputStream>()]
    }

    fn tcp(&mut self) -> u32 {
        code(self.view().create_tcp_socket(IpAddressFamily::Ipv4)).unwrap().rep()
    }

    fn bound_tcp(&mut self, local: &str) -> u32 {
        let (socket, network) = (self.tcp(), self.network());
        code(HostTcpSocket::start_bind(&mut self.view(), tcp(socket), network, at(local))).unwrap();
        code(HostTcpSocket::finish_bind(&mut self.view(), tcp(socket))).unwrap();
        socket
    }

    fn listener(&mut self, local: &str) -> u32 {
        let socket = self.bound_tcp(local);
        code(self.view().start_listen(tcp(socket))).unwrap();
        code(self.view().finish_listen(tcp(socket))).unwrap();
        socket
    }

    fn start_connect(&mut self, socket: u32, remote: &str) -> Result<(), ErrorCode> {
        let network = self.network();
        code(self.view().start_connect(tcp(socket), network, at(remote)))
    }

    fn connect(&mut self, socket: u32, remote: &str) -> Streams {
        self.start_connect(socket, remote).unwrap();
        self.simulation.run_ready();
        code(self.view().finish_connect(tcp(socket))).unwrap()
    }

    fn accept(&mut self, listener: u32) -> Result<(u32, Streams), ErrorCode> {
        self.simulation.run_ready();
        let (socket, input, output) = code(self.view().accept(tcp(listener)))?;
        Ok((socket.rep(), (input, output)))
    }

    /// The two ends of a connection over the loopback, and their sockets.
    fn pair(&mut self) -> [(u32, Streams); 2] {
        let (listener, client) = (self.listener("127.0.0.1:80"), self.tcp());
        let streams = self.connect(client, "127.0.0.1:80");
        let server = self.accept(listener).unwrap();
        self.table.delete(Resource::<TcpSocket>::new_own(listener)).unwrap();
        [(client, streams), server]
    }

    fn bound_udp(&mut self, local: &str) -> u32 {
        let (socket, network) =
            (code(self.view().create_udp_socket(IpAddressFamily::Ipv4)).unwrap().rep(), self.network());
        code(HostUdpSocket::start_bind(&mut self.view(), udp(socket), network, at(local))).unwrap();
        code(HostUdpSocket::finish_bind(&mut self.view(), udp(socket))).unwrap();
        socket
    }

    fn stream(
        &mut self,
        socket: u32,
        remote: Option<&str>,
    ) -> Result<(Resource<IncomingDatagramStream>, Resource<OutgoingDatagramStream>), ErrorCode> {
        code(self.view().stream(udp(socket), remote.map(at)))
    }

    fn receive(&mut self, stream: &Resource<IncomingDatagramStream>) -> Result<Vec<Vec<u8>>, ErrorCode> {
        self.simulation.run_ready();
        let received = code(self.view().receive(Resource::new_borrow(stream.rep()), 10))?;
        Ok(received.into_iter().map(|datagram| datagram.data).collect())
    }

    /// Whether a pollable of the resource would be ready.
    fn is_ready<T: Pollable + ?Sized + 'static>(&mut self, handle: &Resource<Box<T>>) -> bool {
        let resource = self.table.get_mut(handle).unwrap();
        self.simulation.block_on(poll_immediate(resource.ready())).is_some()
    }

    /// The same, for a resource that is not boxed.
    fn polls_ready<T: Pollable>(&mut self, handle: u32) -> bool {
        let resource = self.table.get_mut(&Resource::<T>::new_borrow(handle)).unwrap();
        self.simulation.block_on(poll_immediate(resource.ready())).is_some()
    }

    fn read(&mut self, input: &Resource<DynInputStream>) -> Vec<u8> {
        self.simulation.run_ready();
        self.table.get_mut(input).unwrap().read(1 << 20).expect("an open stream").to_vec()
    }

    fn permit(&mut self, output: &Resource<DynOutputStream>) -> usize {
        self.table.get_mut(output).unwrap().check_write().expect("an open stream")
    }

    fn write(&mut self, output: &Resource<DynOutputStream>, bytes: Vec<u8>) {
        self.table.get_mut(output).unwrap().write(bytes.into()).expect("what was permitted");
    }

    fn set(&self, interface: &str, state: State) {
        self.manager.interface(interface).unwrap().set_state(state);
    }
}

fn tcp(socket: u32) -> Resource<TcpSocket> {
    Resource::new_borrow(socket)
}

fn udp(socket: u32) -> Resource<UdpSocket> {
    Resource::new_borrow(socket)
}

fn at(address: &str) -> IpSocketAddress {
    address.parse::<SocketAddr>().expect(address).into()
}

fn code<T>(result: Result<T, SocketError>) -> Result<T, ErrorCode> {
    result.map_err(|error| match error {
        SocketError::Code(code) => code,
        SocketError::Trap(trap) => panic!("{trap:?}"),
    })
}

#[test]
fn a_socket_that_the_table_has_no_place_for_is_not_held() {
    let mut bench = Bench::new(|ctx| ctx);
    bench.leave_places(0);
    let made = code(bench.view().create_tcp_socket(IpAddressFamily::Ipv4)).map(drop);
    assert_eq!(made, Err(ErrorCode::NewSocketLimit));
    let made = code(bench.view().create_udp_socket(IpAddressFamily::Ipv4)).map(drop);
    assert_eq!(made, Err(ErrorCode::NewSocketLimit));
    assert_eq!(bench.ctx.quota().usage(), Usage::default());
}

#[test]
fn a_connection_whose_streams_find_no_place_is_handed_out_later() {
    for places in [0, 1] {
        let mut bench = Bench::new(|ctx| ctx);
        let (listener, client) = (bench.listener("127.0.0.1:80"), bench.tcp());
        bench.start_connect(client, "127.0.0.1:80").unwrap();
        bench.simulation.run_ready();
        bench.leave_places(places);
        for _ in 0..3 {
            let finished = code(bench.view().finish_connect(tcp(client))).map(drop);
            assert_eq!(finished, Err(ErrorCode::OutOfMemory));
            assert_eq!(bench.tcp_resources(), [2, 0, 0]);
        }
        bench.leave_many_places();
        let (_, output) = code(bench.view().finish_connect(tcp(client))).unwrap();
        let (_, (input, _)) = bench.accept(listener).unwrap();
        assert_eq!(bench.permit(&output).min(1), 1, "the connection is not shut down");
        bench.write(&output, b"late".to_vec());
        assert_eq!(bench.read(&input), b"late");
        assert_eq!(code(bench.view().finish_connect(tcp(client))).map(drop), Err(ErrorCode::NotInProgress));
    }
}

#[test]
fn a_connection_that_the_table_has_no_places_for_waits_in_the_backlog() {
    for places in [0, 1, 2] {
        let mut bench = Bench::new(|ctx| ctx);
        let (listener, client) = (bench.listener("127.0.0.1:80"), bench.tcp());
        bench.leave_places(places);
        assert_eq!(bench.accept(listener).map(drop), Err(ErrorCode::WouldBlock), "nobody is there");
        bench.leave_many_places();
        let (_, output) = bench.connect(client, "127.0.0.1:80");
        bench.leave_places(places);
        for _ in 0..3 {
            assert_eq!(bench.accept(listener).map(drop), Err(ErrorCode::NewSocketLimit));
            assert_eq!((bench.tcp_resources(), bench.ctx.quota().usage().sockets), ([2, 1, 1], 2));
            assert!(bench.polls_ready::<TcpSocket>(listener), "it is still there");
        }
        bench.leave_many_places();
        let (_, (input, _)) = bench.accept(listener).unwrap();
        assert!(bench.permit(&output) > 0);
        bench.write(&output, b"late".to_vec());
        assert_eq!(bench.read(&input), b"late");
    }
}

#[test]
fn datagram_streams_that_find_no_place_change_nothing() {
    for places in [0, 1] {
        let mut bench = Bench::new(|ctx| ctx);
        let (socket, peer) = (bench.bound_udp("127.0.0.1:7"), bench.bound_udp("127.0.0.1:8"));
        let (incoming, outgoing) = bench.stream(socket, Some("127.0.0.1:8")).unwrap();
        let (_, from_peer) = bench.stream(peer, Some("127.0.0.1:7")).unwrap();
        bench.leave_places(places);
        for remote in [None, Some("127.0.0.1:9")] {
            assert_eq!(bench.stream(socket, remote).map(drop), Err(ErrorCode::OutOfMemory));
        }
        assert_eq!([bench.count::<IncomingDatagramStream>(), bench.count::<OutgoingDatagramStream>()], [2; 2]);
        assert_eq!(
            code(HostUdpSocket::remote_address(&mut bench.view(), udp(socket))).map(SocketAddr::from),
            Ok("127.0.0.1:8".parse().unwrap())
        );
        let borrowed = || Resource::new_borrow(from_peer.rep());
        assert!(code(bench.view().check_send(borrowed())).unwrap() > 0);
        let datagram = OutgoingDatagram { data: b"still".to_vec(), remote_address: None };
        assert_eq!(code(bench.view().send(borrowed(), vec![datagram])), Ok(1));
        assert_eq!(bench.receive(&incoming), Ok(vec![b"still".to_vec()]));
        assert!(
            code(bench.view().check_send(Resource::new_borrow(outgoing.rep()))).unwrap() > 0,
            "the pair still works"
        );
    }
}

#[test]
fn a_pollable_that_finds_no_place_leaves_nothing() {
    let mut bench = Bench::new(|ctx| ctx);
    for (places, deadlines) in [(0, 0), (1, 0), (2, 1)] {
        bench.leave_places(places);
        assert_eq!(bench.view().subscribe_duration(1).is_ok(), deadlines == 1);
        assert_eq!(bench.count::<Deadline>(), deadlines);
    }
}

/// WIT: only a failed attempt closes a socket. These calls attempt nothing.
#[test]
fn a_socket_that_may_not_connect_is_as_it_was() {
    let limits = Limits { buffer_bytes: 40 << 10, ..Limits::default() };
    let policy = "allow tcp connect 127.0.0.1:80\nallow tcp connect 10.0.0.0/24\nallow tcp bind,listen 127.0.0.1:80-90";
    for is_bound in [false, true] {
        let mut bench = Bench::new(|ctx| ctx.limits(limits).policy(policy.parse().unwrap()));
        let listener = bench.listener("127.0.0.1:80");
        let socket = if is_bound { bench.bound_tcp("127.0.0.1:81") } else { bench.tcp() };
        let address = |bench: &mut Bench| {
            code(HostTcpSocket::local_address(&mut bench.view(), tcp(socket))).map(SocketAddr::from)
        };
        let before = address(&mut bench);
        assert_eq!(before.is_ok(), is_bound);
        let hog = bench.ctx.quota().charge(SocketKind::Udp, 40 << 10).unwrap();
        assert_eq!(bench.start_connect(socket, "127.0.0.1:80"), Err(ErrorCode::OutOfMemory));
        drop(hog);
        for (remote, error) in [
            ("127.0.0.1:9", ErrorCode::AccessDenied),
            ("0.0.0.0:80", ErrorCode::InvalidArgument),
            ("127.0.0.1:0", ErrorCode::InvalidArgument),
            ("224.0.0.1:80", ErrorCode::InvalidArgument),
            ("255.255.255.255:80", ErrorCode::InvalidArgument),
            ("[::1]:80", ErrorCode::InvalidArgument),
        ] {
            assert_eq!(bench.start_connect(socket, remote), Err(error), "{remote}");
            assert_eq!(address(&mut bench), before, "{remote}");
        }
        if !is_bound {
            assert_eq!(bench.start_connect(socket, "10.0.0.255:80"), Err(ErrorCode::InvalidArgument));
        }
        code(bench.view().set_hop_limit(tcp(socket), 9)).unwrap();
        let (_, output) = bench.connect(socket, "127.0.0.1:80");
        let (_, (input, _)) = bench.accept(listener).unwrap();
        assert!(bench.permit(&output) >= 7);
        bench.write(&output, b"at last".to_vec());
        assert_eq!(bench.read(&input), b"at last");
    }
}

#[test]
fn a_socket_whose_attempt_has_failed_is_closed() {
    let mut bench = Bench::new(|ctx| ctx);
    let socket = bench.tcp();
    assert_eq!(bench.start_connect(socket, "192.0.2.1:80"), Err(ErrorCode::RemoteUnreachable));
    assert_eq!(bench.start_connect(socket, "127.0.0.1:80"), Err(ErrorCode::InvalidState));
    assert_eq!(code(bench.view().hop_limit(tcp(socket))), Err(ErrorCode::InvalidState));
}

#[test]
fn a_socket_that_may_not_listen_stays_bound() {
    let limits = Limits { buffer_bytes: 40 << 10, ..Limits::default() };
    let policy = "allow tcp bind,listen 127.0.0.1:80";
    let mut bench = Bench::new(|ctx| ctx.limits(limits).policy(policy.parse().unwrap()));
    let socket = bench.bound_tcp("127.0.0.1:80");
    let hog = bench.ctx.quota().charge(SocketKind::Udp, 40 << 10).unwrap();
    assert_eq!(code(bench.view().start_listen(tcp(socket))), Err(ErrorCode::OutOfMemory));
    drop(hog);
    code(bench.view().start_listen(tcp(socket))).unwrap();
    code(bench.view().finish_listen(tcp(socket))).unwrap();
}

#[test]
fn each_refusal_at_a_limit_is_counted_once() {
    let limits = Limits { sockets: 3, buffer_bytes: 40 << 10, ..Limits::default() };
    let mut bench = Bench::new(|ctx| ctx.limits(limits));
    let (listener, bound, client) = (bench.listener("127.0.0.1:80"), bench.bound_tcp("127.0.0.1:81"), bench.tcp());
    let made = code(bench.view().create_tcp_socket(IpAddressFamily::Ipv4)).map(drop);
    assert_eq!((made, bench.ctx.quota().refusals()), (Err(ErrorCode::NewSocketLimit), 1));

    let hog = bench.ctx.quota().charge_memory(40 << 10).unwrap();
    assert_eq!(bench.start_connect(client, "127.0.0.1:80"), Err(ErrorCode::OutOfMemory));
    assert_eq!(bench.ctx.quota().refusals(), 2, "the stack found no memory for the connection");
    assert_eq!(code(bench.view().start_listen(tcp(bound))), Err(ErrorCode::OutOfMemory));
    assert_eq!(bench.ctx.quota().refusals(), 3);
    assert_eq!(bench.accept(listener).map(drop), Err(ErrorCode::NewSocketLimit));
    assert_eq!(bench.ctx.quota().refusals(), 4, "no connection can come");
    drop(hog);

    assert_eq!(bench.accept(listener).map(drop), Err(ErrorCode::WouldBlock));
    let _streams = bench.connect(client, "127.0.0.1:80");
    assert_eq!(bench.ctx.quota().refusals(), 4, "waiting is no refusal");
    assert_eq!(bench.accept(listener).map(drop), Err(ErrorCode::NewSocketLimit));
    assert_eq!(bench.ctx.quota().refusals(), 5);
}

/// A permit is a promise, also if the guest makes the buffer smaller before it uses the permit.
#[test]
fn a_permitted_write_is_taken_whole_after_the_send_buffer_has_shrunk() {
    for length in [1000, 20_000, 100_000] {
        let mut bench = Bench::new(|ctx| ctx);
        let [(client, (_, output)), (_, (input, _))] = bench.pair();
        assert!(bench.permit(&output) >= length);
        code(HostTcpSocket::set_send_buffer_size(&mut bench.view(), tcp(client), 1)).unwrap();
        bench.write(&output, vec![7; length]);
        let mut received = Vec::new();
        while received.len() < length {
            let more = bench.read(&input);
            assert!(!more.is_empty(), "{} of {length}", received.len());
            received.extend(more);
        }
        assert_eq!(received, vec![7; length]);
        assert_eq!(bench.permit(&output), 1, "the new size holds from then on");
    }
}

/// As on Linux: streams, listeners and sockets outlive an interface that is down, and nothing is ready meanwhile.
#[test]
fn nothing_is_ready_and_nothing_ends_while_the_interface_is_down() {
    let mut bench = Bench::new(|ctx| ctx);
    let [(_, (client_input, client_output)), (_, (input, output))] = bench.pair();
    let (listener, socket) = (bench.listener("127.0.0.1:80"), bench.bound_udp("127.0.0.1:7"));
    let (incoming, outgoing) = bench.stream(socket, None).unwrap();
    bench.set("lo", State::Down);

    assert_eq!(bench.read(&input), b"");
    assert!(!bench.is_ready(&input) && !bench.is_ready(&client_input));
    assert_eq!(bench.accept(listener).map(drop), Err(ErrorCode::WouldBlock));
    assert!(!bench.polls_ready::<TcpSocket>(listener));
    assert_eq!(bench.receive(&incoming), Ok(vec![]));
    assert!(!bench.polls_ready::<IncomingDatagramStream>(incoming.rep()));
    // What is written is queued, until nothing fits.
    let mut written = 0;
    while let permit @ 1.. = bench.permit(&output) {
        assert!(bench.is_ready(&output));
        bench.write(&output, vec![1; permit]);
        written += permit;
    }
    assert!(written > 0 && !bench.is_ready(&output));
    // A datagram is not queued: each one that cannot be sent is an error, and the stream goes on.
    for _ in 0..3 {
        assert!(code(bench.view().check_send(Resource::new_borrow(outgoing.rep()))).unwrap() > 0);
        let datagram = OutgoingDatagram { data: b"x".to_vec(), remote_address: Some(at("127.0.0.1:7")) };
        let sent = code(bench.view().send(Resource::new_borrow(outgoing.rep()), vec![datagram]));
        assert_eq!(sent, Err(ErrorCode::RemoteUnreachable));
    }

    bench.set("lo", State::Up);
    let mut received = 0;
    while received < written {
        let more = bench.read(&client_input);
        assert!(!more.is_empty(), "{received} of {written}");
        received += more.len();
    }
    let permit = bench.permit(&client_output).min(3);
    bench.write(&client_output, vec![2; permit]);
    assert_eq!(bench.read(&input), [2; 3]);
    let client = bench.tcp();
    let _streams = bench.connect(client, "127.0.0.1:80");
    assert!(bench.polls_ready::<TcpSocket>(listener));
    bench.accept(listener).unwrap();
    assert!(code(bench.view().check_send(Resource::new_borrow(outgoing.rep()))).unwrap() > 0);
    let datagram = OutgoingDatagram { data: b"again".to_vec(), remote_address: Some(at("127.0.0.1:7")) };
    assert_eq!(code(bench.view().send(Resource::new_borrow(outgoing.rep()), vec![datagram])), Ok(1));
    assert_eq!(bench.receive(&incoming), Ok(vec![b"again".to_vec()]));
}

/// Nobody has 10.0.0.77, and 10.0.0.1 is the host itself.
#[test]
fn datagrams_to_a_dead_neighbour_do_not_hold_up_others() {
    let mut bench = Bench::new(|ctx| ctx);
    let (socket, live) = (bench.bound_udp("0.0.0.0:7"), bench.bound_udp("10.0.0.1:8"));
    let (incoming, _) = bench.stream(live, None).unwrap();
    let (_, outgoing) = bench.stream(socket, None).unwrap();
    let send = |bench: &mut Bench, remote: &str| {
        assert!(bench.polls_ready::<OutgoingDatagramStream>(outgoing.rep()), "{remote}");
        let permit = code(bench.view().check_send(Resource::new_borrow(outgoing.rep()))).unwrap();
        assert!(permit > 0, "{remote}");
        let datagram = OutgoingDatagram { data: remote.into(), remote_address: Some(at(remote)) };
        let sent = code(bench.view().send(Resource::new_borrow(outgoing.rep()), vec![datagram]));
        assert_eq!(sent, Ok(1), "{remote}");
    };
    for _ in 0..200 {
        send(&mut bench, "10.0.0.77:9");
    }
    send(&mut bench, "10.0.0.1:8");
    assert_eq!(bench.receive(&incoming), Ok(vec![b"10.0.0.1:8".to_vec()]));
    let drops = bench.manager.interface("eth0").unwrap().statistics().datagram_drops;
    assert!((100..200).contains(&drops), "{drops}");
}
