//! Tests of the stack against the kernel over a TAP interface: two independent implementations must interoperate.
//!
//! Each test has a network namespace of its own, whose kernel is the peer. The tests need root, iproute2 and the
//! programs that they name; without these they are skipped and print a message.

#![cfg(target_os = "linux")]

mod conflict;
mod datagrams;
mod dhcp;
mod dns;
mod echo;
mod failover;
mod http;
mod icmp;
mod liar;
mod link;
mod moved;
mod off_link;
mod options;
mod prefixes;
mod proxy;
mod restart;
mod routers;
mod several;
mod snooping;
mod strangers;
mod transfer;
mod transit;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use xila_network_host::address::Route;
use xila_network_host::interface::{Change, Notice, Origin, Watch};
use xila_network_host::socket::{ListenOptions, TcpListener, UdpSocket};
use xila_network_host::{Interface, InterfaceConfig, Manager};
use xila_network_tests::netns::{KERNEL_V4, KERNEL_V6, Namespace, Peer, STACK_V4, STACK_V6, block_on};
use xila_network_tests::segment::Segment;

/// The kernel's and the stack's address, for each address family.
const FAMILIES: [(IpAddr, IpAddr); 2] = [(KERNEL_V4, STACK_V4), (KERNEL_V6, STACK_V6)];

/// Runs a test with a namespace and a stack; skips it where this machine does not support that.
fn with_kernel(programs: &[&str], mtu: usize, test: impl AsyncFnOnce(&Namespace, &Manager)) {
    let Some(namespace) = Namespace::new(programs) else { return };
    block_on(async {
        let manager = namespace.mount(mtu);
        test(&namespace, &manager).await;
    });
}

fn listen(manager: &Manager, address: IpAddr, port: u16) -> TcpListener {
    TcpListener::bind(&manager.network(), SocketAddr::new(address, port), ListenOptions::default()).unwrap()
}

/// Runs a test with a segment whose bridge has these options; skips it where this machine does not support that.
fn with_segment(programs: &[&str], options: &str, test: impl AsyncFnOnce(&Segment)) {
    let Some(segment) = Segment::new(programs, options) else { return };
    block_on(test(&segment));
}

/// An interface configuration with these addresses, and default routes through these routers.
fn configured(addresses: &[&str], routers: &[&str]) -> InterfaceConfig {
    let routes = routers.iter().map(|router| Route::default_via(router.parse().unwrap()).unwrap());
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    InterfaceConfig { addresses, routes: routes.collect(), ..InterfaceConfig::default() }
}

/// Waits until a condition holds.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "it does not come to this: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The addresses that the interface has from DHCP.
fn lent(interface: &Interface) -> Vec<String> {
    let lent = interface.address_list().into_iter().filter(|info| info.origin == Origin::Dhcp);
    lent.map(|info| info.cidr.to_string()).collect()
}

/// The changes since the last call.
fn changes(watch: &mut Watch) -> Vec<Change> {
    let mut changes = Vec::new();
    while let Some(notice) = watch.try_next() {
        match notice {
            Notice::Changed(event) => changes.push(event.change),
            Notice::Lost(count) => panic!("{count} events were lost"),
        }
    }
    changes
}

/// Answers each datagram to port 5005 of the addresses, which need not be configured yet, with a name.
const NAME: &str = "
import selectors
selector = selectors.DefaultSelector()
for address in sys.argv[2:]:
    server = socket(AF_INET6 if ':' in address else AF_INET, SOCK_DGRAM)
    freebind = (IPPROTO_IPV6, 78) if ':' in address else (IPPROTO_IP, 15)
    server.setsockopt(*freebind, 1)
    server.bind((address, 5005))
    selector.register(server, selectors.EVENT_READ)
print('ready')
while True:
    for key, _ in selector.select():
        try:
            _, peer = key.fileobj.recvfrom(65535)
            key.fileobj.sendto(sys.argv[1].encode(), peer)
        except OSError as error:
            print(error, file=sys.stderr)
";

/// Starts a server that answers datagrams to port 5005 of the addresses with `name`.
async fn name(host: &Namespace, name: &str, addresses: &[&str]) -> Peer {
    let mut peer = host.python(NAME, &[&[name], addresses].concat());
    assert_eq!(peer.line().await, "ready");
    peer
}

/// A socket of the address family of `remote`.
fn socket(manager: &Manager, remote: IpAddr) -> UdpSocket {
    let any: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind(&manager.network(), SocketAddr::new(any, 0)).unwrap()
}

/// Sends a datagram to `remote` fifty times a second until an answer arrives whose text is `expected`; returns the text
/// and the time that it took.
async fn ask_until(
    socket: &UdpSocket,
    remote: SocketAddr,
    patience: Duration,
    expected: impl Fn(&str) -> bool,
) -> (String, Duration) {
    let start = Instant::now();
    let mut last = None;
    while start.elapsed() < patience {
        // An error is ignored: without a route now, there may be one soon.
        let _ = socket.send_to(b"who?", remote).await;
        let answer = tokio::time::timeout(Duration::from_millis(20), socket.recv_datagram()).await;
        let Ok(Ok(datagram)) = answer else { continue };
        assert_eq!(datagram.remote, remote);
        let text = String::from_utf8(datagram.data).unwrap();
        if expected(&text) {
            return (text, start.elapsed());
        }
        last = Some(text);
    }
    panic!("{remote}: no such answer within {patience:?}; the last was {last:?}");
}
