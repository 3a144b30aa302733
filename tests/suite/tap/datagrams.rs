//! UDP between the stack and the kernel.

use std::net::SocketAddr;

use xila_network_host::ReceiveError;
use xila_network_host::socket::UdpSocket;

use super::{FAMILIES, with_kernel};

/// Echoes datagrams at port 5005 of the address, for the given number of times.
const ECHO: &str = "
server = socket(AF_INET6 if ':' in sys.argv[1] else AF_INET, SOCK_DGRAM)
server.bind((sys.argv[1], 5005))
print('ready')
for _ in range(int(sys.argv[2])):
    data, peer = server.recvfrom(65535)
    server.sendto(data, peer)
";

/// Sends datagrams of these sizes to port 5006 of the address, one at a time, and expects an echo of each.
const CLIENT: &str = "
client = socket(AF_INET6 if ':' in sys.argv[1] else AF_INET, SOCK_DGRAM)
client.settimeout(20)
client.connect((sys.argv[1], 5006))
for size in sys.argv[2:]:
    data = bytes(index * 7 % 251 for index in range(int(size)))
    client.send(data)
    assert client.recv(65535) == data, size
";

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|index| u8::try_from(index * 7 % 251).unwrap()).collect()
}

/// Payload sizes: the largest without fragments, some that need fragments, and the largest possible.
fn sizes(family: SocketAddr) -> &'static [usize] {
    if family.is_ipv4() { &[0, 1, 1472, 1473, 4000, 60_000, 65_507] } else { &[0, 1, 1452, 1453, 4000, 60_000, 65_527] }
}

#[test]
fn datagrams_of_all_sizes_come_back_from_the_kernel() {
    with_kernel(&["python3"], 1500, async |namespace, manager| {
        for (kernel, stack) in FAMILIES {
            let remote = SocketAddr::new(kernel, 5005);
            let mut peer = namespace.python(ECHO, &[&kernel.to_string(), &sizes(remote).len().to_string()]);
            assert_eq!(peer.line().await, "ready");
            let socket = UdpSocket::bind(&manager.network(), SocketAddr::new(stack, 0)).unwrap();
            for &size in sizes(remote) {
                socket.send_to(&content(size), remote).await.unwrap();
                let datagram = socket.recv_datagram().await.unwrap();
                assert!(datagram.data == content(size), "{size} bytes to {remote}");
                assert_eq!((datagram.remote, datagram.local), (remote, socket.local_addr()));
            }
            peer.succeed().await;
        }
    });
}

#[test]
fn datagrams_of_all_sizes_from_the_kernel_are_received_and_answered() {
    with_kernel(&["python3"], 1500, async |namespace, manager| {
        for (kernel, stack) in FAMILIES {
            let socket = UdpSocket::bind(&manager.network(), SocketAddr::new(stack, 5006)).unwrap();
            let sizes = sizes(socket.local_addr());
            let stack = stack.to_string();
            let texts: Vec<String> = sizes.iter().map(usize::to_string).collect();
            let mut arguments = vec![stack.as_str()];
            arguments.extend(texts.iter().map(String::as_str));
            let peer = namespace.python(CLIENT, &arguments);
            for &size in sizes {
                let datagram = socket.recv_datagram().await.unwrap();
                assert!(datagram.data == content(size), "{size} bytes");
                assert_eq!(datagram.remote.ip(), kernel);
                socket.send_to(&datagram.data, datagram.remote).await.unwrap();
            }
            peer.succeed().await;
        }
    });
}

#[test]
fn a_connected_socket_learns_that_the_kernel_has_nobody_there() {
    with_kernel(&[], 1500, async |_, manager| {
        for (kernel, stack) in FAMILIES {
            let socket = UdpSocket::bind(&manager.network(), SocketAddr::new(stack, 0)).unwrap();
            socket.connect(SocketAddr::new(kernel, 5007)).unwrap();
            socket.send(b"anybody?").await.unwrap();
            assert_eq!(socket.recv(&mut [0; 16]).await, Err(ReceiveError::ConnectionRefused), "{kernel}");
        }
    });
}

#[test]
fn the_kernel_learns_that_the_stack_has_nobody_there() {
    const SCRIPT: &str = "
for address in sys.argv[1:]:
    client = socket(AF_INET6 if ':' in address else AF_INET, SOCK_DGRAM)
    client.settimeout(20)
    client.connect((address, 5008))
    client.send(b'anybody?')
    try:
        client.recv(1)
    except ConnectionRefusedError:
        continue
    sys.exit(f'{address} does not refuse')
";
    with_kernel(&["python3"], 1500, async |namespace, _| {
        let stack = FAMILIES.map(|(_, stack)| stack.to_string());
        namespace.python(SCRIPT, &stack.each_ref().map(String::as_str)).succeed().await;
    });
}

#[test]
fn groups_and_broadcasts_reach_the_kernel_and_come_from_it() {
    // Joins both groups, reports that, receives one datagram of each kind, then sends one of each.
    const SCRIPT: &str = "
import struct
index = if_nametoindex(sys.argv[1])
four = socket(AF_INET, SOCK_DGRAM)
four.setsockopt(SOL_SOCKET, SO_BROADCAST, 1)
four.bind(('', 5009))
interface = struct.pack('4s4si', inet_aton('239.1.2.3'), inet_aton('192.0.2.1'), index)
four.setsockopt(IPPROTO_IP, IP_ADD_MEMBERSHIP, interface)
four.setsockopt(IPPROTO_IP, IP_MULTICAST_IF, interface)
six = socket(AF_INET6, SOCK_DGRAM)
six.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
six.bind(('::', 5009))
six.setsockopt(IPPROTO_IPV6, IPV6_JOIN_GROUP, inet_pton(AF_INET6, 'ff05::123') + struct.pack('I', index))
six.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_IF, index)
for each in four, six:
    each.settimeout(20)
print('ready')
print(*sorted(data.decode() for data in (four.recv(99), four.recv(99), six.recv(99))))
four.sendto(b'group', ('239.1.2.3', 5010))
four.sendto(b'broadcast', ('192.0.2.255', 5010))
six.sendto(b'group6', ('ff05::123', 5010))
";
    with_kernel(&["python3"], 1500, async |namespace, manager| {
        let network = manager.network_of(["tap0"]).unwrap();
        let four = UdpSocket::bind(&network, "0.0.0.0:5010".parse().unwrap()).unwrap();
        let six = UdpSocket::bind(&network, "[::]:5010".parse().unwrap()).unwrap();
        four.set_broadcast(true);
        four.join_multicast("239.1.2.3".parse().unwrap(), None).unwrap();
        six.join_multicast("ff05::123".parse().unwrap(), None).unwrap();
        let mut peer = namespace.python(SCRIPT, &[namespace.interface()]);
        assert_eq!(peer.line().await, "ready");
        four.send_to(b"group", "239.1.2.3:5009".parse().unwrap()).await.unwrap();
        four.send_to(b"broadcast", "192.0.2.255:5009".parse().unwrap()).await.unwrap();
        six.send_to(b"group6", "[ff05::123]:5009".parse().unwrap()).await.unwrap();
        assert_eq!(peer.line().await, "broadcast group group6");
        peer.succeed().await;
        let mut received = Vec::new();
        for socket in [&four, &four, &six] {
            received.push(String::from_utf8(socket.recv_datagram().await.unwrap().data).unwrap());
        }
        received.sort();
        assert_eq!(received, ["broadcast", "group", "group6"]);
    });
}

/// Receives the given number of datagrams at port 5007 of the address, and prints their lengths.
const LENGTHS: &str = "
server = socket(AF_INET6 if ':' in sys.argv[1] else AF_INET, SOCK_DGRAM)
server.bind((sys.argv[1], 5007))
print('ready', flush=True)
received = [server.recv(65535)]
print('first', flush=True)
received += [server.recv(65535) for _ in range(int(sys.argv[2]) - 1)]
assert all(data == bytes([index]) * len(data) for index, data in enumerate(received)), received
print(*map(len, received))
";

/// Sends 4577 bytes to port 5008 of the address in one call, which the kernel splits into ten datagrams (UDP_SEGMENT of
/// udp(7)).
const SEGMENTS: &str = "
client = socket(AF_INET6 if ':' in sys.argv[1] else AF_INET, SOCK_DGRAM)
client.setsockopt(17, 103, 500)
client.sendto(b''.join(bytes([index]) * (500 if index < 9 else 77) for index in range(10)), (sys.argv[1], 5008))
";

#[test]
fn a_row_of_datagrams_is_one_frame_that_the_kernel_cuts_apart() {
    with_kernel(&["python3"], 1500, async |namespace, manager| {
        for (kernel, stack) in FAMILIES {
            let mut peer = namespace.python(LENGTHS, &[&kernel.to_string(), "11"]);
            assert_eq!(peer.line().await, "ready");
            let socket = UdpSocket::bind(&manager.network(), SocketAddr::new(stack, 0)).unwrap();
            let remote = SocketAddr::new(kernel, 5007);
            let payloads: Vec<Vec<u8>> = (0..11).map(|index| vec![index; if index < 10 { 500 } else { 77 }]).collect();
            // The first datagram resolves the neighbour.
            socket.send_to(&payloads[0], remote).await.unwrap();
            assert_eq!(peer.line().await, "first");
            let interface = manager.interface("tap0").unwrap();
            let before = interface.statistics().sent.packets;
            let batch: Vec<(&[u8], _)> = payloads[1..].iter().map(|payload| (&payload[..], Some(remote))).collect();
            assert_eq!(socket.send_many(&batch).await, Ok(10));
            let sent = interface.statistics().sent.packets - before;
            assert_eq!(peer.line().await, "500 500 500 500 500 500 500 500 500 500 77");
            peer.succeed().await;
            assert!(sent < 10, "{sent} frames for ten datagrams");
        }
    });
}

#[test]
fn a_row_of_datagrams_from_the_kernel_is_received_as_those() {
    with_kernel(&["python3"], 1500, async |namespace, manager| {
        for (_, stack) in FAMILIES {
            let socket = UdpSocket::bind(&manager.network(), SocketAddr::new(stack, 5008)).unwrap();
            let peer = namespace.python(SEGMENTS, &[&stack.to_string()]);
            for index in 0..10 {
                let datagram = socket.recv_datagram().await.unwrap();
                assert_eq!(datagram.data, vec![index; if index < 9 { 500 } else { 77 }], "{index}");
            }
            peer.succeed().await;
        }
    });
}
