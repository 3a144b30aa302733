//! ICMP with the kernel, as a host that answers and as a router on the path.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use xila_network_host::address::{Family, Route};
use xila_network_host::socket::icmp::{IcmpErrorKind, IcmpReport};
use xila_network_host::socket::{
    HopLimit, IcmpBinding, IcmpMessage, IcmpSocket, PingOptions, TcpStream, UdpSocket, ping,
};
use xila_network_host::{Manager, PingError, ReceiveError};
use xila_network_tests::netns::{FAR_V4, FAR_V6, KERNEL_V4, KERNEL_V6, Namespace};

use super::{FAMILIES, with_kernel};

/// Ping options with a long timeout, for a busy machine.
fn options() -> PingOptions {
    PingOptions { timeout: Duration::from_secs(20), ..PingOptions::default() }
}

/// Runs a test with a router behind the TAP interface and a host behind the router; `mtu` is that of the second link.
fn with_router(programs: &[&str], mtu: usize, test: impl AsyncFnOnce(&Namespace, &Manager)) {
    with_kernel(programs, 1500, async |namespace, manager| {
        let far = namespace.behind(mtu);
        let interface = manager.interface("tap0").unwrap();
        for (everywhere, router) in [("0.0.0.0/0", KERNEL_V4), ("::/0", KERNEL_V6)] {
            interface.add_route(Route::new(everywhere.parse().unwrap(), router).unwrap()).unwrap();
        }
        test(&far, manager).await;
    });
}

async fn report(socket: &IcmpSocket) -> IcmpReport {
    match socket.recv().await.unwrap() {
        IcmpMessage::Error(report) => report,
        IcmpMessage::EchoReply(reply) => panic!("{reply:?}"),
    }
}

#[test]
fn the_kernel_answers_the_stacks_ping() {
    with_kernel(&[], 1500, async |_, manager| {
        for (kernel, _) in FAMILIES {
            let most = if kernel.is_ipv4() { 65_507 } else { 65_527 };
            for size in [0, 1, 8, 56, 1452, 1453, 1472, 1473, 4000, 60_000, most] {
                let options = PingOptions { size, sequence: 7, ..options() };
                let reply = ping(&manager.network(), kernel, &options).await.unwrap();
                assert_eq!((reply.source, reply.size, reply.sequence), (kernel, size, 7));
            }
        }
    });
}

#[test]
fn port_unreachable_reaches_the_socket_and_the_watcher() {
    with_kernel(&[], 1500, async |_, manager| {
        for (kernel, stack) in FAMILIES {
            let socket = UdpSocket::bind(&manager.network(), SocketAddr::new(stack, 5011)).unwrap();
            let watcher = IcmpSocket::bind(&manager.network(), Family::of(stack), IcmpBinding::UdpPort(5011)).unwrap();
            let remote = SocketAddr::new(kernel, 5012);
            socket.connect(remote).unwrap();
            socket.send(b"anybody?").await.unwrap();
            assert_eq!(socket.recv(&mut [0; 16]).await, Err(ReceiveError::ConnectionRefused));
            let report = report(&watcher).await;
            assert_eq!((report.source, report.kind), (kernel, IcmpErrorKind::PortUnreachable));
            assert_eq!(report.destination, remote);
        }
    });
}

#[test]
fn a_route_is_traced_hop_by_hop() {
    with_router(&["sh", "ping"], 1500, async |_, manager| {
        for (router, far) in [(KERNEL_V4, FAR_V4), (KERNEL_V6, FAR_V6)] {
            // With echo requests, as `traceroute -I` does.
            let near = PingOptions { hop_limit: HopLimit::ONE, ..options() };
            assert_eq!(ping(&manager.network(), far, &near).await, Err(PingError::RemoteUnreachable));
            let reply = ping(&manager.network(), far, &PingOptions { hop_limit: HopLimit::new(2).unwrap(), ..near })
                .await
                .unwrap();
            assert_eq!((reply.source, reply.hop_limit), (far, 63));
            let echo = IcmpSocket::bind(&manager.network(), Family::of(far), IcmpBinding::Echo(0)).unwrap();
            echo.set_hop_limit(HopLimit::ONE);
            echo.send_to(far, 9, b"probe").await.unwrap();
            let told = report(&echo).await;
            assert_eq!((told.source, told.kind, told.sequence), (router, IcmpErrorKind::TimeExceeded, Some(9)));

            // With UDP datagrams, as `traceroute` does by default.
            let unspecified: IpAddr = if far.is_ipv4() { "0.0.0.0" } else { "::" }.parse().unwrap();
            let probe = UdpSocket::bind(&manager.network(), SocketAddr::new(unspecified, 0)).unwrap();
            let binding = IcmpBinding::UdpPort(probe.local_addr().port());
            let watcher = IcmpSocket::bind(&manager.network(), Family::of(far), binding).unwrap();
            let remote = SocketAddr::new(far, 33_434);
            let hops = [(1, router, IcmpErrorKind::TimeExceeded), (2, far, IcmpErrorKind::PortUnreachable)];
            for (hop_limit, source, kind) in hops {
                probe.set_hop_limit(HopLimit::new(hop_limit).unwrap());
                probe.send_to(b"probe", remote).await.unwrap();
                let report = report(&watcher).await;
                assert_eq!((report.source, report.kind, report.destination), (source, kind, remote));
            }
        }
    });
}

/// Receives a mebibyte at port 5001 of any address, and then sends it all back.
const MIRROR: &str = "
server = create_server(('::', 5001), family=AF_INET6, dualstack_ipv6=True)
print('ready')
for _ in range(2):
    peer, _ = server.accept()
    data = b''
    while len(data) < 1 << 20:
        data += peer.recv(1 << 20)
    peer.sendall(data)
    peer.close()
";

#[test]
fn a_mebibyte_goes_both_ways_through_a_router_whose_far_link_is_narrow() {
    with_router(&["sh", "ping", "python3"], 1300, async |far, manager| {
        let mut mirror = far.python(MIRROR, &[]);
        assert_eq!(mirror.line().await, "ready");
        for remote in [FAR_V4, FAR_V6] {
            let content: Vec<u8> =
                (0..1u32 << 18).flat_map(|word| word.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
            let stream = TcpStream::connect(&manager.network(), SocketAddr::new(remote, 5001)).await.unwrap();
            stream.write_all(&content).await.unwrap();
            let mut back = Vec::new();
            let mut buffer = vec![0; 65_536];
            loop {
                match stream.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => back.extend_from_slice(&buffer[..count]),
                }
            }
            assert!(back == content, "through the narrow path to {remote}");
        }
        mirror.succeed().await;
    });
}

/// Answers each datagram to port 5005 with its length.
const MEASURE: &str = "
server = socket(AF_INET6, SOCK_DGRAM)
server.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 0)
server.bind(('::', 5005))
print('ready')
while True:
    data, peer = server.recvfrom(65535)
    server.sendto(str(len(data)).encode(), peer)
";

#[test]
fn what_a_narrow_path_does_not_take_whole_is_fragmented() {
    with_router(&["sh", "ping", "python3"], 1300, async |far, manager| {
        let mut measure = far.python(MEASURE, &[]);
        assert_eq!(measure.line().await, "ready");
        for far in [FAR_V4, FAR_V6] {
            let unspecified: IpAddr = if far.is_ipv4() { "0.0.0.0" } else { "::" }.parse().unwrap();
            let socket = UdpSocket::bind(&manager.network(), SocketAddr::new(unspecified, 0)).unwrap();
            let remote = SocketAddr::new(far, 5005);
            let binding = IcmpBinding::UdpPort(socket.local_addr().port());
            let watcher = IcmpSocket::bind(&manager.network(), Family::of(far), binding).unwrap();
            socket.send_to(&[7; 1400], remote).await.unwrap();
            let report = report(&watcher).await;
            assert_eq!((report.kind, report.mtu), (IcmpErrorKind::PacketTooBig, Some(1300)));
            let whole = if far.is_ipv4() { 1272 } else { 1252 };
            for size in [whole, whole + 1, 1400, 8000, 60_000] {
                socket.send_to(&vec![7; size], remote).await.unwrap();
                assert_eq!(socket.recv_datagram().await.unwrap().data, size.to_string().into_bytes());
            }
            let large = PingOptions { size: 1400, ..options() };
            assert_eq!(ping(&manager.network(), far, &large).await.map(|reply| reply.size), Ok(1400));
        }
    });
}
