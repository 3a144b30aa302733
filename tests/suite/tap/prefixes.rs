//! radvd advertises two prefixes, DNS servers and search domains, and then changes its configuration.

use std::net::{IpAddr, SocketAddr};

use xila_network_host::address::Cidr;
use xila_network_host::interface::AutoconfigurationState;
use xila_network_host::socket::UdpSocket;
use xila_network_host::{Interface, InterfaceConfig, Manager};
use xila_network_tests::netns::{Namespace, block_on};
use xila_network_tests::radvd::Radvd;

use super::until;

/// The router's address in each network.
const ROUTERS: [&str; 2] = ["fd00:5::1", "fd00:6::1"];
const FIRST: &str = "prefix fd00:5::/64 { AdvValidLifetime 3600; AdvPreferredLifetime 1800; };";
/// The first prefix, deprecated: its preferred lifetime is zero.
const FIRST_DEPRECATED: &str = "prefix fd00:5::/64 { AdvValidLifetime 3600; AdvPreferredLifetime 0; };";
const SECOND: &str = "prefix fd00:6::/64 { AdvValidLifetime 3600; AdvPreferredLifetime 1800; };";
const NAMES: &str = "RDNSS fd00:5::53 { AdvRDNSSLifetime 300; }; DNSSL Lab.Example.test { AdvDNSSLLifetime 300; };";
const NO_NAMES: &str = "RDNSS fd00:5::53 { AdvRDNSSLifetime 0; }; DNSSL Lab.Example.test { AdvDNSSLLifetime 0; };";

/// Runs a test with a namespace whose kernel has a router's addresses, and an interface with autoconfiguration.
fn with_router(said: &str, test: impl AsyncFnOnce(&Namespace, &Radvd, &Manager, &Interface)) {
    let Some(namespace) = Namespace::new(&["radvd", "sh"]) else { return };
    block_on(async {
        let config = InterfaceConfig { autoconfiguration: true, ..InterfaceConfig::default() };
        let manager = namespace.mount_with(1500, config);
        for own in ["fe80::1"].iter().chain(&ROUTERS) {
            namespace.ip(&format!("address add {own}/64 dev {} nodad", namespace.interface()));
        }
        let radvd = Radvd::start(&namespace, said);
        let interface = manager.interface("tap0").unwrap();
        let is_configured = || interface.autoconfiguration_status().state == AutoconfigurationState::Configured;
        until("an advertisement", is_configured).await;
        test(&namespace, &radvd, &manager, &interface).await;
    });
}

/// The address that the host has formed in the network of a router.
fn own(interface: &Interface, router: &str) -> Option<IpAddr> {
    let network: Cidr = format!("{router}/64").parse().unwrap();
    interface.addresses().into_iter().map(|cidr| cidr.address()).find(|address| network.contains(*address))
}

/// The source address for datagrams to an address; `None` if there is no route.
fn source(manager: &Manager, remote: &str) -> Option<IpAddr> {
    let socket = UdpSocket::bind(&manager.network(), "[::]:0".parse().unwrap()).unwrap();
    socket.connect(SocketAddr::new(remote.parse().unwrap(), 9)).ok()?;
    Some(socket.local_addr().ip()).filter(|source| !source.is_unspecified())
}

#[test]
fn an_address_in_each_of_two_prefixes_is_used_until_its_prefix_is_deprecated() {
    with_router(&format!("{FIRST} {SECOND}"), async |_, radvd, manager, interface| {
        let both = || ROUTERS.iter().all(|router| own(interface, router).is_some());
        until("two addresses", both).await;
        // The source is the address with the longest matching prefix (RFC 6724 rule 8).
        let [first, second] = ROUTERS.map(|router| own(interface, router));
        assert_eq!(ROUTERS.map(|router| source(manager, router)), [first, second]);
        radvd.say(&format!("{FIRST_DEPRECATED} {SECOND}"));
        // A deprecated address is avoided before prefixes are compared (rule 3), but it still exists.
        until("the first is deprecated", || ROUTERS.map(|router| source(manager, router)) == [second; 2]).await;
        let info = interface.address_list().into_iter().find(|info| Some(info.cidr.address()) == first).unwrap();
        assert_eq!(info.preferred.map(|time| time.as_secs()), Some(0));
        assert!(info.valid.unwrap().as_secs() > 3500, "{info:?}");
        radvd.say(&format!("{FIRST} {SECOND}"));
        until("it is preferred again", || ROUTERS.map(|router| source(manager, router)) == [first, second]).await;
    });
}

#[test]
fn servers_domains_flags_and_the_router_go_when_they_are_not_advertised_any_more() {
    // By default the router lifetime would be only twelve seconds.
    let router = "AdvDefaultLifetime 1800; AdvManagedFlag on; AdvOtherConfigFlag on;";
    with_router(&format!("{router} {FIRST} {NAMES}"), async |_, radvd, manager, interface| {
        let status = interface.autoconfiguration_status();
        assert_eq!((status.managed, status.other), (true, true));
        let server: IpAddr = "fd00:5::53".parse().unwrap();
        assert_eq!(
            (interface.dns_servers(), interface.search_domains()),
            (vec![server], vec!["lab.example.test".into()])
        );
        let gateways = || interface.routes().iter().map(|route| route.gateway().to_string()).collect::<Vec<_>>();
        assert_eq!(gateways(), ["fe80::1"]);
        let address = own(interface, ROUTERS[0]);
        assert_eq!(source(manager, "2001:db8::1"), address);

        radvd.say(&format!("AdvOtherConfigFlag on; AdvDefaultLifetime 0; {FIRST} {NO_NAMES}"));
        until("no router", || interface.routes().is_empty()).await;
        until("no names", || interface.dns_servers().is_empty() && interface.search_domains().is_empty()).await;
        let status = interface.autoconfiguration_status();
        assert_eq!((status.managed, status.other), (false, true));
        // There is no default router any more, and on-link destinations are reached as before.
        assert_eq!((source(manager, "2001:db8::1"), source(manager, ROUTERS[0])), (None, address));

        radvd.say(&format!("{FIRST} {NAMES}"));
        until("a router again", || gateways() == ["fe80::1"] && interface.dns_servers() == [server]).await;
        let status = interface.autoconfiguration_status();
        assert_eq!((status.managed, status.other), (false, false));
    });
}
