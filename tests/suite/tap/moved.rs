//! The host's cable is moved to another network, and back.

use std::time::{Duration, Instant};

use xila_network_host::device::Link;
use xila_network_host::interface::Change;
use xila_network_host::{Interface, InterfaceConfig};
use xila_network_tests::dnsmasq::Dnsmasq;
use xila_network_tests::netns::Namespace;
use xila_network_tests::segment::mount;

use super::{changes, lent, until, with_segment};

/// Starts a server that lends addresses of the host's network, given by its first three octets, and refuses requests
/// for other addresses.
async fn serve(host: &Namespace, network: &str) -> Dnsmasq {
    let range = format!("--dhcp-range={network}.50,{network}.59,255.255.255.0,1h");
    Dnsmasq::start(host, &["--port=0", "--no-ping", "--dhcp-authoritative", &range]).await
}

async fn until_lent(interface: &Interface, network: &str) {
    let beginning = format!("{network}.5");
    // The lease that is in use is read at once: between two questions the stack may lose one and get another.
    let is_there = || interface.dhcp().lease.is_some_and(|lease| lease.address.to_string().starts_with(&beginning));
    until(&format!("a lease of {network}"), is_there).await;
}

#[test]
fn an_interface_has_a_lease_of_the_network_that_its_cable_leads_to() {
    with_segment(&["dnsmasq"], "", async |segment| {
        let bridges = segment.namespace();
        bridges.ip("link add br1 type bridge forward_delay 0");
        bridges.ip("link set dev br1 addrgenmode none up");
        let (here, there) = (segment.kernel(&["192.0.2.1/24"]), segment.kernel(&["198.51.100.1/24"]));
        bridges.ip(&format!("link set dev {} master br1", there.interface()));
        let _servers = [serve(&here, "192.0.2").await, serve(&there, "198.51.100").await];
        let (tap, port) = segment.tap();
        let manager = mount(tap, InterfaceConfig { dhcp: true, link_local: false, ..InterfaceConfig::default() });
        let interface = manager.interface("tap0").unwrap();
        until_lent(&interface, "192.0.2").await;
        for (bridge, network) in [("br1", "198.51.100"), ("br0", "192.0.2")] {
            let before = interface.addresses()[0];
            let mut watch = interface.watch();
            bridges.ip(&format!("link set dev {port} carrier off"));
            until("no link", || interface.link() == Link::Down).await;
            bridges.ip(&format!("link set dev {port} master {bridge}"));
            bridges.ip(&format!("link set dev {port} carrier on"));
            let start = Instant::now();
            until_lent(&interface, network).await;
            assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
            let after = interface.addresses();
            assert_eq!(lent(&interface), [after[0].to_string()], "the other one is gone");
            let gateways: Vec<String> = interface.routes().iter().map(|route| route.gateway().to_string()).collect();
            assert_eq!(gateways, [format!("{network}.1")]);
            let changes = changes(&mut watch);
            let at = |wanted: Change| changes.iter().position(|change| *change == wanted);
            let (removed, added) = (at(Change::AddressRemoved(before)), at(Change::AddressAdded(after[0])));
            assert!(removed.is_some() && removed < added, "{changes:?}");
        }
    });
}
