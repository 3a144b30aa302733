//! A stack with a host address only (/32 or /128): all packets go through a router outside of its networks, as with
//! some hosting providers.

use std::net::SocketAddr;
use std::time::Duration;

use xila_network_host::socket::{PingOptions, ping};
use xila_network_tests::netns::{FAR_V4, FAR_V6, KERNEL_V4, KERNEL_V6, Namespace, block_on};

use super::{ask_until, configured, name, socket};

#[test]
fn a_router_outside_of_an_address_without_a_network_is_reached_and_forwards() {
    let Some(router) = Namespace::new(&["sh", "ping", "python3"]) else { return };
    block_on(async {
        let own = ["192.0.2.5", "fd00::5"];
        let routers = [KERNEL_V4, KERNEL_V6].map(|address| address.to_string());
        let config = configured(&["192.0.2.5/32", "fd00::5/128"], &routers.each_ref().map(String::as_str));
        let manager = router.mount_with(1500, config);
        let far = router.behind(1500);
        let _server =
            name(&far, "far", &[FAR_V4, FAR_V6].map(|address| address.to_string()).each_ref().map(|a| &**a)).await;
        let options = PingOptions { timeout: Duration::from_secs(20), ..PingOptions::default() };
        for (near, far) in [(KERNEL_V4, FAR_V4), (KERNEL_V6, FAR_V6)] {
            for (remote, hop_limit) in [(near, 64), (far, 63)] {
                let reply = ping(&manager.network(), remote, &options).await.unwrap();
                assert_eq!((reply.source, reply.hop_limit), (remote, hop_limit));
            }
            let patience = Duration::from_secs(5);
            ask_until(&socket(&manager, far), SocketAddr::new(far, 5005), patience, |text| text == "far").await;
        }
        for host in [&router, &far] {
            for address in own {
                let report = host.output("ping", &["-n", "-c", "3", "-i", "0.1", "-W", "20", address]);
                assert!(report.contains(" 3 received"), "{report}");
            }
        }
    });
}
