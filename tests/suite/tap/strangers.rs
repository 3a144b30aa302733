//! Neighbours on the link whose addresses are of none of the stack's networks.

use std::time::Duration;

use xila_network_host::Manager;
use xila_network_host::socket::UdpSocket;
use xila_network_tests::netns::Namespace;

use super::{configured, with_segment};

/// Sends a datagram to port 5006 of an address until it is echoed.
const CLIENT: &str = "
client = socket(AF_INET6 if ':' in sys.argv[1] else AF_INET, SOCK_DGRAM)
client.settimeout(1)
client.connect((sys.argv[1], 5006))
for _ in range(20):
    client.send(b'stranger')
    try:
        assert client.recv(100) == b'stranger'
        sys.exit(0)
    except TimeoutError:
        pass
sys.exit('no answer')
";

/// Pings the stack and exchanges a datagram with it; returns the report of ping.
async fn exchange(host: &Namespace, socket: UdpSocket, address: &str) -> String {
    let report = host.start("ping", &["-n", "-c", "3", "-i", "0.1", "-W", "20", address]).succeed().await;
    assert!(report.contains(" 3 received"), "{report}");
    let client = host.python(CLIENT, &[address]);
    let datagram = socket.recv_datagram().await.unwrap();
    socket.send_to(&datagram.data, datagram.remote).await.unwrap();
    client.succeed().await;
    report
}

#[test]
fn a_host_of_another_network_on_the_link_is_answered_by_way_of_the_router() {
    with_segment(&["ping", "python3"], "", async |segment| {
        let router = segment.kernel(&["192.0.2.1/24", "10.9.9.254/24"]);
        router.forward();
        let stranger = segment.kernel(&["10.9.9.1/24"]);
        stranger.ip(&format!("route add 192.0.2.2/32 dev {}", stranger.interface()));
        let manager = segment.stack(configured(&["192.0.2.2/24"], &[]));
        // The stack answers every ARP request for its address (RFC 826), whether or not it has a route to the sender.
        let report = stranger.output("ping", &["-n", "-c", "3", "-i", "0.2", "-W", "1", "192.0.2.2"]);
        assert!(report.contains(" 0 received"), "{report}");
        let neighbour = stranger.output("ip", &["neigh", "show", "192.0.2.2"]);
        let hardware = manager.interface("tap0").unwrap().hardware_address().unwrap().to_string();
        assert!(neighbour.contains(&hardware), "{neighbour}");

        let interface = manager.interface("tap0").unwrap();
        configured(&[], &["192.0.2.1"]).routes.into_iter().for_each(|route| interface.add_route(route).unwrap());
        let socket = UdpSocket::bind(&manager.network(), "192.0.2.2:5006".parse().unwrap()).unwrap();
        let report = exchange(&stranger, socket, "192.0.2.2").await;
        assert!(report.contains("ttl=63"), "{report}");
    });
}

/// The stack's link-local address, after duplicate address detection has finished.
async fn link_local(manager: &Manager) -> String {
    let interface = manager.interface("tap0").unwrap();
    loop {
        let mut own = interface.addresses().into_iter().map(|cidr| cidr.address().to_string());
        if let Some(own) = own.find(|address| address.starts_with("fe80:")) {
            return own;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_neighbour_that_has_but_a_link_local_address_is_answered() {
    with_segment(&["ping", "python3"], "", async |segment| {
        let stranger = segment.kernel(&["fe80::9/64"]);
        stranger.ip(&format!("route add fd00::2/128 dev {}", stranger.interface()));
        let manager = segment.stack(configured(&["fd00::2/64"], &[]));
        let socket = UdpSocket::bind(&manager.network(), "[fd00::2]:5006".parse().unwrap()).unwrap();
        exchange(&stranger, socket, "fd00::2").await;

        // The stack has a link-local address too (RFC 4291 section 2.8).
        let own = tokio::time::timeout(Duration::from_secs(10), link_local(&manager)).await.unwrap();
        let scoped = format!("{own}%{}", stranger.interface());
        let report = stranger.output("ping", &["-n", "-c", "3", "-i", "0.1", "-W", "20", &scoped]);
        assert!(report.contains(" 3 received"), "{report}");
    });
}
