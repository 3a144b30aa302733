//! A router answers on behalf of hosts behind it whose addresses are of the link's networks (RFC 1027, RFC 4861 section
//! 7.2.8).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use xila_network_host::socket::{PingOptions, ping};

use super::{ask_until, name, socket, with_kernel};

const ADDRESSES: [&str; 2] = ["192.0.2.77", "fd00::77"];

#[test]
fn a_host_behind_a_router_that_answers_in_its_name_is_reached() {
    with_kernel(&["sh", "ping", "python3"], 1500, async |router, manager| {
        let far = router.behind(1500);
        // A kernel that forwards sends its solicitations from a link-local address.
        router.ip(&format!("address add fe80::1/64 dev {} nodad", far.interface()));
        for address in ADDRESSES {
            let (length, family) = if address.contains(':') { (128, "ipv6") } else { (32, "ipv4") };
            far.ip(&format!("address add {address}/{length} dev {} nodad", far.interface()));
            router.ip(&format!("route add {address}/{length} dev {}", far.interface()));
            let entry = if family == "ipv4" { "proxy_arp" } else { "proxy_ndp" };
            router.sysctl(&format!("{family}/conf/{}/{entry}", router.interface()), "1");
        }
        // Proxy ARP depends on the routes only, so IPv4 needs no entry.
        router.ip(&format!("neigh add proxy fd00::77 dev {}", router.interface()));
        let _server = name(&far, "behind", &ADDRESSES).await;
        for address in ADDRESSES {
            let remote: IpAddr = address.parse().unwrap();
            let options = PingOptions { timeout: Duration::from_secs(20), ..PingOptions::default() };
            let reply =
                ping(&manager.network(), remote, &options).await.unwrap_or_else(|error| panic!("{remote}: {error}"));
            assert_eq!((reply.source, reply.hop_limit), (remote, 63), "through the router");
            let patience = Duration::from_secs(5);
            ask_until(&socket(manager, remote), SocketAddr::new(remote, 5005), patience, |text| text == "behind").await;
        }
    });
}
