//! DHCP leases and router advertisements from dnsmasq.

use std::net::{IpAddr, SocketAddr};

use xila_network_host::interface::{Change, DhcpState, Notice, Origin, Watch};
use xila_network_host::socket::UdpSocket;
use xila_network_host::{Interface, InterfaceConfig, ReceiveError};
use xila_network_tests::dnsmasq::Dnsmasq;
use xila_network_tests::netns::{KERNEL_V4, Namespace, block_on};

/// A lease of two minutes with a T1 of three seconds; both are dnsmasq's minimum.
const OPTIONS: [&str; 6] = [
    "--port=0",
    "--no-ping",
    "--dhcp-authoritative",
    "--dhcp-option=option:router,192.0.2.1",
    "--dhcp-option=option:dns-server,192.0.2.1,192.0.2.7",
    "--dhcp-option=option:T1,3",
];

/// Runs a test with a namespace and an interface that is not configured.
fn with_interface(test: impl AsyncFnOnce(&Namespace, &Interface)) {
    let Some(namespace) = Namespace::new(&["dnsmasq"]) else { return };
    block_on(async {
        let manager = namespace.mount_with(1500, InterfaceConfig { link_local: false, ..InterfaceConfig::default() });
        test(&namespace, &manager.interface("tap0").unwrap()).await;
    });
}

async fn serve(namespace: &Namespace, range: &str) -> Dnsmasq {
    let range = format!("--dhcp-range={range},255.255.255.0,2m");
    let mut arguments = OPTIONS.to_vec();
    arguments.push(&range);
    Dnsmasq::start(namespace, &arguments).await
}

/// Waits until the DHCP client is in a state, and returns the changes until then.
async fn until(watch: &mut Watch, state: DhcpState) -> Vec<Change> {
    let mut changes = Vec::new();
    while changes.last() != Some(&Change::Dhcp(state)) {
        match watch.next().await {
            Notice::Changed(event) => changes.push(event.change),
            Notice::Lost(count) => panic!("{count} events were lost"),
        }
    }
    changes
}

fn address(interface: &Interface) -> IpAddr {
    let addresses = interface.address_list();
    let lent: Vec<IpAddr> =
        addresses.iter().filter(|info| info.origin == Origin::Dhcp).map(|info| info.cidr.address()).collect();
    assert_eq!(lent.len(), 1, "{addresses:?}");
    lent[0]
}

#[test]
fn dnsmasq_lends_renews_and_takes_back() {
    with_interface(async |namespace, interface| {
        let mut dnsmasq = serve(namespace, "192.0.2.50,192.0.2.50").await;
        let mut watch = interface.watch();
        interface.set_dhcp(true).unwrap();
        until(&mut watch, DhcpState::Bound).await;
        let lease = interface.dhcp().lease.unwrap();
        assert_eq!(lease.address, "192.0.2.50/24".parse().unwrap());
        assert_eq!((IpAddr::V4(lease.server), lease.router.map(IpAddr::V4)), (KERNEL_V4, Some(KERNEL_V4)));
        assert!((110..=120).contains(&lease.valid.as_secs()), "{lease:?}");
        let dns: [IpAddr; 2] = [KERNEL_V4, "192.0.2.7".parse().unwrap()];
        assert_eq!(interface.dns_servers(), dns);
        assert_eq!(interface.routes().iter().map(|route| route.gateway()).collect::<Vec<_>>(), [KERNEL_V4]);
        // The kernel can reach the leased address.
        let socket = UdpSocket::bind(&interface.network(), SocketAddr::new(address(interface), 0)).unwrap();
        socket.connect(SocketAddr::new(KERNEL_V4, 5007)).unwrap();
        socket.send(b"anybody?").await.unwrap();
        assert_eq!(socket.recv(&mut [0; 16]).await, Err(ReceiveError::ConnectionRefused));
        dnsmasq.says("DHCPACK").await;
        assert_eq!(until(&mut watch, DhcpState::Bound).await, [Change::Dhcp(DhcpState::Bound)], "a renewal");
        dnsmasq.says("DHCPREQUEST").await;
        dnsmasq.says("DHCPACK").await;
        interface.set_dhcp(false).unwrap();
        dnsmasq.says("DHCPRELEASE").await;
        assert_eq!((interface.addresses(), interface.dns_servers()), (vec![], vec![]));
    });
}

#[test]
fn a_dnsmasq_that_comes_back_with_other_addresses_lends_another() {
    with_interface(async |namespace, interface| {
        let dnsmasq = serve(namespace, "192.0.2.50,192.0.2.59").await;
        let mut watch = interface.watch();
        interface.set_dhcp(true).unwrap();
        until(&mut watch, DhcpState::Bound).await;
        let before = address(interface);
        dnsmasq.kill().await;
        let _dnsmasq = serve(namespace, "192.0.2.70,192.0.2.79").await;
        // The server refuses to renew a lease that it does not know.
        let lost = until(&mut watch, DhcpState::Searching).await;
        let removed = |change: &Change| matches!(change, Change::AddressRemoved(cidr) if cidr.address() == before);
        assert!(lost.iter().any(removed), "{lost:?}");
        until(&mut watch, DhcpState::Bound).await;
        assert!(matches!(address(interface), IpAddr::V4(address) if (70..80).contains(&address.octets()[3])));
    });
}

#[test]
fn dnsmasq_advertises_a_prefix_a_router_an_mtu_and_a_dns_server() {
    with_interface(async |namespace, interface| {
        for own in ["fe80::1/64", "fd00:5::1/64"] {
            namespace.ip(&format!("address add {own} dev {} nodad", namespace.interface()));
        }
        let parameters = format!("--ra-param={},mtu:1400,60,1200", namespace.interface());
        let arguments = [
            "--port=0",
            "--enable-ra",
            "--dhcp-range=fd00:5::,ra-only",
            "--dhcp-option=option6:dns-server,[fd00:5::53]",
            &parameters,
        ];
        let _dnsmasq = Dnsmasq::start(namespace, &arguments).await;
        let mut watch = interface.watch();
        interface.set_autoconfiguration(true).unwrap();
        let in_prefix = |change: &Change| {
            let network = "fd00:5::/64".parse::<xila_network_host::address::Cidr>().unwrap();
            matches!(change, Change::AddressAdded(cidr) if network.contains(cidr.address()))
        };
        loop {
            match watch.next().await {
                Notice::Changed(event) if in_prefix(&event.change) => break,
                Notice::Changed(_) | Notice::Lost(_) => {}
            }
        }
        let routes = interface.route_list();
        let gateways: Vec<IpAddr> = routes.iter().map(|info| info.route.gateway()).collect();
        assert_eq!(gateways, ["fe80::1".parse::<IpAddr>().unwrap()]);
        assert!(routes[0].valid.unwrap().as_secs() > 1000);
        assert_eq!((interface.mtu(), interface.dns_servers()), (1400, vec!["fd00:5::53".parse().unwrap()]));
        // The kernel can reach the formed address.
        let own = interface.addresses().into_iter().map(|cidr| cidr.address());
        let mut own = own.filter(|address| in_prefix(&Change::AddressAdded(format!("{address}/64").parse().unwrap())));
        let socket = UdpSocket::bind(&interface.network(), SocketAddr::new(own.next_back().unwrap(), 0)).unwrap();
        socket.connect("[fd00:5::1]:5007".parse().unwrap()).unwrap();
        socket.send(b"anybody?").await.unwrap();
        assert_eq!(socket.recv(&mut [0; 16]).await, Err(ReceiveError::ConnectionRefused));
    });
}
