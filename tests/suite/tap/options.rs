//! Other options of a lease from dnsmasq, and a server that moves the client to another network.

use std::fs;
use std::net::Ipv4Addr;

use xila_network_host::InterfaceConfig;
use xila_network_host::interface::{Change, DhcpState};
use xila_network_tests::dnsmasq::Dnsmasq;
use xila_network_tests::netns::{Namespace, TemporaryFile, block_on};

use super::{changes, lent, until};

/// The hardware address of the interface.
const HARDWARE: &str = "02:00:00:00:00:07";

/// A configuration in which only DHCP is active from the beginning.
fn config() -> InterfaceConfig {
    let hardware_address = Some(HARDWARE.parse().unwrap());
    InterfaceConfig { dhcp: true, link_local: false, hardware_address, ..InterfaceConfig::default() }
}

#[test]
fn classless_routes_an_mtu_domains_and_ntp_servers_come_with_a_lease() {
    let Some(namespace) = Namespace::new(&["dnsmasq"]) else { return };
    block_on(async {
        // dnsmasq would omit the router option beside classless routes, so it is forced.
        let options = [
            "--port=0",
            "--no-ping",
            "--log-dhcp",
            "--dhcp-authoritative",
            "--dhcp-range=192.0.2.50,192.0.2.50,255.255.255.0,2m",
            "--dhcp-option-force=3,192.0.2.66",
            "--dhcp-option-force=121,0.0.0.0/0,192.0.2.1,198.51.100.0/25,192.0.2.7",
            "--dhcp-option-force=26,1400",
            "--dhcp-option-force=15,Own.Example.TEST",
            "--dhcp-option-force=119,a.example.test,b.example.test",
            "--dhcp-option-force=42,192.0.2.123,192.0.2.124",
        ];
        let manager = namespace.mount_with(1500, config());
        let interface = manager.interface("tap0").unwrap();
        let mut dnsmasq = Dnsmasq::start(&namespace, &options).await;
        dnsmasq.says("option:  3 router  192.0.2.66").await;
        until("a lease", || interface.dhcp().state == DhcpState::Bound).await;
        // RFC 3442: the router option is ignored when there are classless routes.
        let mut routes: Vec<String> = interface.routes().iter().map(|route| route.with_metric(0).to_string()).collect();
        routes.sort();
        assert_eq!(routes, ["198.51.100.0/25 via 192.0.2.7", "default via 192.0.2.1"]);
        assert_eq!((lent(&interface), interface.mtu()), (vec!["192.0.2.50/24".to_owned()], 1400));
        assert_eq!(manager.network().search_domains(), ["a.example.test", "b.example.test"]);
        let lease = interface.dhcp().lease.unwrap();
        assert_eq!((lease.domain.as_deref(), lease.router), (Some("own.example.test"), None));
        let servers = ["192.0.2.123", "192.0.2.124"].map(|server| server.parse::<Ipv4Addr>().unwrap());
        assert_eq!(lease.ntp_servers, servers);
    });
}

#[test]
fn a_host_that_its_server_moves_to_another_network_on_the_link_moves() {
    let Some(namespace) = Namespace::new(&["dnsmasq", "sh"]) else { return };
    block_on(async {
        let hosts = TemporaryFile::new(b"");
        let file = format!("--dhcp-hostsfile={}", hosts.path());
        let options = [
            "--port=0",
            "--no-ping",
            "--dhcp-authoritative",
            "--dhcp-range=tag:!moved,192.0.2.50,192.0.2.59,255.255.255.0,2m",
            "--dhcp-range=tag:moved,198.51.100.50,198.51.100.59,255.255.255.0,2m",
            "--dhcp-option=option:T1,3",
            &file,
        ];
        let manager = namespace.mount_with(1500, config());
        namespace.ip(&format!("address add 198.51.100.1/24 dev {}", namespace.interface()));
        let interface = manager.interface("tap0").unwrap();
        let mut dnsmasq = Dnsmasq::start(&namespace, &options).await;
        until("a lease", || interface.dhcp().state == DhcpState::Bound).await;
        let before = interface.addresses()[0];
        assert!(before.to_string().starts_with("192.0.2.5"), "{before}");
        let mut watch = interface.watch();
        fs::write(hosts.path(), format!("{HARDWARE},set:moved\n")).unwrap();
        dnsmasq.read_again();
        // The server refuses when the client asks to renew the lease.
        dnsmasq.says("DHCPNAK").await;
        let network = "198.51.100.5";
        until("another", || lent(&interface).iter().any(|address| address.starts_with(network))).await;
        until("a lease again", || interface.dhcp().state == DhcpState::Bound).await;
        let after = interface.addresses();
        assert_eq!((after.len(), lent(&interface)), (1, vec![after[0].to_string()]), "the old one is gone");
        let routes: Vec<String> = interface.routes().iter().map(|route| route.gateway().to_string()).collect();
        assert_eq!(routes, ["198.51.100.1"]);
        let changes = changes(&mut watch);
        let at = |wanted: Change| changes.iter().position(|change| *change == wanted);
        let (removed, added) = (at(Change::AddressRemoved(before)), at(Change::AddressAdded(after[0])));
        assert!(removed.is_some() && removed < added, "{changes:?}");
    });
}
