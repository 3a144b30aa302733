//! The kernel's end of the link goes down and comes up again.

use std::net::{Shutdown, SocketAddr};

use xila_network_host::device::Link;
use xila_network_host::interface::{Change, DhcpState, Notice, Watch};
use xila_network_host::socket::TcpStream;
use xila_network_host::{Interface, InterfaceConfig};
use xila_network_tests::dnsmasq::Dnsmasq;
use xila_network_tests::netns::{KERNEL_V4, Namespace, block_on};

use super::with_kernel;

/// Waits for a change, and ignores others.
async fn until(watch: &mut Watch, change: Change) {
    loop {
        match watch.next().await {
            Notice::Changed(event) if event.change == change => return,
            Notice::Changed(_) => {}
            Notice::Lost(count) => panic!("{count} events were lost"),
        }
    }
}

/// Waits until the link is up, which it may already be.
async fn until_up(interface: &Interface) {
    let mut watch = interface.watch();
    if interface.link() == Link::Down {
        until(&mut watch, Change::Link(Link::Up)).await;
    }
}

/// Echoes each line.
const ECHO: &str = "
server = create_server(('192.0.2.1', 9000))
print('listening')
connection = server.accept()[0]
while True:
    data = connection.recv(1000)
    if not data: break
    connection.sendall(data)";

#[test]
fn the_link_goes_with_the_kernels_end_and_its_carrier_and_connections_outlive_that() {
    with_kernel(&["python3"], 1500, async |namespace, manager| {
        let mut peer = namespace.python(ECHO, &[]);
        assert_eq!(peer.line().await, "listening");
        let interface = manager.interface("tap0").unwrap();
        until_up(&interface).await;
        let remote = SocketAddr::new(KERNEL_V4, 9000);
        let stream = TcpStream::connect(&manager.network(), remote).await.unwrap();
        let mut watch = interface.watch();
        for (away, back) in [("carrier off", "carrier on"), ("down", "up")] {
            namespace.ip(&format!("link set {} {away}", namespace.interface()));
            until(&mut watch, Change::Link(Link::Down)).await;
            assert_eq!(interface.link(), Link::Down);
            stream.write_all(away.as_bytes()).await.unwrap();
            namespace.ip(&format!("link set {} {back}", namespace.interface()));
            until(&mut watch, Change::Link(Link::Up)).await;
            assert_eq!(interface.link(), Link::Up);
            let mut answer = vec![0; away.len()];
            let mut read = 0;
            while read < answer.len() {
                read += stream.read(&mut answer[read..]).await.unwrap();
            }
            assert_eq!(answer, away.as_bytes());
        }
        stream.shutdown(Shutdown::Write).unwrap();
        peer.succeed().await;
    });
}

#[test]
fn a_lease_outlives_the_link_and_is_verified_when_it_is_back() {
    let Some(namespace) = Namespace::new(&["dnsmasq"]) else { return };
    block_on(async {
        let config = InterfaceConfig { dhcp: true, ..InterfaceConfig::default() };
        let manager = namespace.mount_with(1500, config);
        let interface = manager.interface("tap0").unwrap();
        let mut watch = interface.watch();
        let range = "--dhcp-range=192.0.2.50,192.0.2.50,255.255.255.0,2m";
        let mut dnsmasq = Dnsmasq::start(&namespace, &["--port=0", "--no-ping", "--dhcp-authoritative", range]).await;
        until(&mut watch, Change::Dhcp(DhcpState::Bound)).await;
        dnsmasq.says("DHCPACK").await;
        namespace.ip(&format!("link set {} carrier off", namespace.interface()));
        until(&mut watch, Change::Link(Link::Down)).await;
        let lease = interface.dhcp().lease.map(|lease| lease.address);
        assert_eq!(lease, Some("192.0.2.50/24".parse().unwrap()));
        namespace.ip(&format!("link set {} carrier on", namespace.interface()));
        until(&mut watch, Change::Dhcp(DhcpState::Bound)).await;
        assert_eq!(interface.link(), Link::Up);
        // The client verifies its lease with a DHCPREQUEST, without a DHCPDISCOVER (RFC 2131 section 4.4.2).
        assert!(dnsmasq.says("DHCP").await.contains("DHCPREQUEST"));
        dnsmasq.says("DHCPACK").await;
    });
}
