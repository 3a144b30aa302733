//! Bulk TCP transfers, and how connections are opened and closed.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use xila_network_host::socket::{ConnectOptions, TcpStream};
use xila_network_host::{ConnectError, Manager, ReadError};
use xila_network_tests::netns::{Namespace, TemporaryFile};

use super::{FAMILIES, listen, with_kernel};

const LENGTH: usize = 64 << 20;

/// Sends the file (argument 3): connects to the stack (argument 2), or listens itself (argument 1, port 5001).
const SENDER: &str = "
if sys.argv[2] == '-':
    server = create_server((sys.argv[1], 5001), family=AF_INET6 if ':' in sys.argv[1] else AF_INET)
    print('ready')
    peer, _ = server.accept()
else:
    peer = create_connection((sys.argv[2], 5001))
peer.sendfile(open(sys.argv[3], 'rb'))
peer.shutdown(SHUT_WR)
assert peer.recv(1) == b'', 'the stack ends its half too'
";

/// Receives until the end of the stream, with the same two modes; prints the digest of the data and that of the file.
const RECEIVER: &str = "
if sys.argv[2] == '-':
    server = create_server((sys.argv[1], 5001), family=AF_INET6 if ':' in sys.argv[1] else AF_INET)
    print('ready')
    peer, _ = server.accept()
else:
    peer = create_connection((sys.argv[2], 5001))
digest = hashlib.sha256()
while data := peer.recv(1 << 20):
    digest.update(data)
print(digest.hexdigest())
print(hashlib.sha256(open(sys.argv[3], 'rb').read()).hexdigest())
";

/// Bytes without a period, so that a shifted or repeated segment is detected.
fn content(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    };
    (0..length.div_ceil(4)).flat_map(|_| next()).take(length).collect()
}

async fn receive_all(stream: &TcpStream) -> Vec<u8> {
    let mut received = Vec::with_capacity(LENGTH);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => return received,
            count => received.extend_from_slice(&buffer[..count]),
        }
    }
}

async fn both_ways(namespace: &Namespace, manager: &Manager, (kernel, stack): (IpAddr, IpAddr)) {
    let content = content(LENGTH);
    let file = TemporaryFile::new(&content);
    let (kernel, stack) = (kernel.to_string(), (stack, stack.to_string()));

    // The kernel connects and sends.
    let listener = listen(manager, stack.0, 5001);
    let sender = namespace.python(SENDER, &["-", &stack.1, file.path()]);
    let (stream, _) = listener.accept().await.unwrap();
    assert!(receive_all(&stream).await == content, "the kernel's 64 MiB arrive intact");
    drop(stream);
    sender.succeed().await;
    drop(listener);

    // The stack connects and sends.
    let mut receiver = namespace.python(RECEIVER, &[&kernel, "-", file.path()]);
    assert_eq!(receiver.line().await, "ready");
    let remote = SocketAddr::new(kernel.parse().unwrap(), 5001);
    let stream = TcpStream::connect(&manager.network(), remote).await.unwrap();
    stream.write_all(&content).await.unwrap();
    // The stream is dropped while data is still unsent; the stack delivers it.
    drop(stream);
    let (received, sent) = (receiver.line().await, receiver.line().await);
    assert_eq!(received, sent, "the stack's 64 MiB arrive intact");
    receiver.succeed().await;
}

#[test]
fn bulk_transfers_both_ways_at_mtu_1500_over_v4() {
    with_kernel(&["python3"], 1500, async |namespace, manager| both_ways(namespace, manager, FAMILIES[0]).await);
}

#[test]
fn bulk_transfers_both_ways_at_mtu_1500_over_v6() {
    with_kernel(&["python3"], 1500, async |namespace, manager| both_ways(namespace, manager, FAMILIES[1]).await);
}

#[test]
fn bulk_transfers_both_ways_at_mtu_9000_over_v4() {
    with_kernel(&["python3"], 9000, async |namespace, manager| both_ways(namespace, manager, FAMILIES[0]).await);
}

#[test]
fn bulk_transfers_both_ways_at_mtu_9000_over_v6() {
    with_kernel(&["python3"], 9000, async |namespace, manager| both_ways(namespace, manager, FAMILIES[1]).await);
}

#[test]
fn a_port_where_the_kernel_has_nobody_refuses() {
    with_kernel(&[], 1500, async |_, manager| {
        for (kernel, _) in FAMILIES {
            let refused = TcpStream::connect(&manager.network(), SocketAddr::new(kernel, 5002)).await;
            assert_eq!(refused.unwrap_err(), ConnectError::ConnectionRefused, "{kernel}");
        }
    });
}

#[test]
fn a_port_where_the_stack_has_nobody_refuses_the_kernel() {
    const SCRIPT: &str = "
for address in sys.argv[1:]:
    try:
        create_connection((address, 5003), 10)
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
fn an_address_where_nobody_answers_is_unreachable_or_times_out() {
    with_kernel(&[], 1500, async |_, manager| {
        let options = ConnectOptions { timeout: Duration::from_secs(5), ..ConnectOptions::default() };
        for remote in ["192.0.2.77:80", "[fd00::77]:80"] {
            let outcome = TcpStream::connect_with(&manager.network(), remote.parse().unwrap(), options.clone()).await;
            let error = outcome.unwrap_err();
            assert!(matches!(error, ConnectError::TimedOut | ConnectError::RemoteUnreachable), "{remote}: {error}");
        }
    });
}

#[test]
fn a_reset_by_the_kernel_is_a_reset_here_and_the_other_way_round() {
    // Closing with a linger time of zero sends a reset.
    const SCRIPT: &str = "
import struct
first = create_connection((sys.argv[1], 5004))
first.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack('ii', 1, 0))
assert first.recv(1) == b'1'
first.close()
second = create_connection((sys.argv[1], 5004))
second.sendall(b'2')
try:
    second.recv(1)
except ConnectionResetError:
    sys.exit(0)
sys.exit('not reset')
";
    with_kernel(&["python3"], 1500, async |namespace, manager| {
        for (_, stack) in FAMILIES {
            let listener = listen(manager, stack, 5004);
            let peer = namespace.python(SCRIPT, &[&stack.to_string()]);
            let (first, _) = listener.accept().await.unwrap();
            first.write_all(b"1").await.unwrap();
            assert_eq!(first.read(&mut [0; 1]).await, Err(ReadError::ConnectionReset));
            let (second, _) = listener.accept().await.unwrap();
            assert_eq!(second.read(&mut [0; 1]).await, Ok(1));
            second.abort();
            peer.succeed().await;
        }
    });
}
