//! dnsmasq lends an address that another host already uses.

use xila_network_host::InterfaceConfig;
use xila_network_host::interface::{Change, DhcpState};
use xila_network_tests::dnsmasq::Dnsmasq;
use xila_network_tests::segment::mount;

use super::{changes, lent, until, with_segment};

/// RFC 2131 section 4.4.1, RFC 5227 section 2.1.
#[test]
fn an_address_that_another_host_has_is_declined_and_another_one_is_taken() {
    with_segment(&["dnsmasq"], "", async |segment| {
        let server = segment.kernel(&["192.0.2.1/24"]);
        let _other = segment.kernel(&["192.0.2.50/24"]);
        // With these options dnsmasq does not check addresses itself, and offers this host the other host's address
        // first.
        let options = [
            "--port=0",
            "--no-ping",
            "--dhcp-authoritative",
            "--dhcp-host=02:00:00:00:00:07,192.0.2.50",
            "--dhcp-range=192.0.2.50,192.0.2.51,255.255.255.0,1h",
        ];
        let mut dnsmasq = Dnsmasq::start(&server, &options).await;
        let hardware_address = Some("02:00:00:00:00:07".parse().unwrap());
        let (tap, _port) = segment.tap();
        let config = InterfaceConfig { link_local: false, hardware_address, ..InterfaceConfig::default() };
        let manager = mount(tap, config);
        let interface = manager.interface("tap0").unwrap();
        let mut watch = interface.watch();
        interface.set_dhcp(true).unwrap();
        assert!(dnsmasq.says("DHCPACK").await.contains("192.0.2.50"));
        assert!(dnsmasq.says("DHCPDECLINE").await.contains("192.0.2.50"));
        // The client waits ten seconds after a DHCPDECLINE (RFC 2131 section 3.1 point 5).
        assert!(dnsmasq.says("DHCPACK").await.contains("192.0.2.51"));
        until("a lease", || interface.dhcp().state == DhcpState::Bound).await;
        assert_eq!(lent(&interface), ["192.0.2.51/24"]);
        let changes = changes(&mut watch);
        let conflict = |change: &Change| matches!(change, Change::AddressConflict { address, .. } if address.to_string() == "192.0.2.50");
        assert!(changes.iter().any(conflict), "{changes:?}");
        let added = changes.iter().filter(|change| matches!(change, Change::AddressAdded(_))).count();
        assert_eq!(added, 1, "the other one's address was never used: {changes:?}");
    });
}
