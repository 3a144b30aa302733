//! Two kernels are routers, and one of them fails.

use std::net::SocketAddr;
use std::time::Duration;

use xila_network_host::InterfaceConfig;
use xila_network_host::address::Route;
use xila_network_tests::netns::{Namespace, Peer};
use xila_network_tests::segment::Segment;

use super::{ask_until, configured, name, socket, with_segment};

/// Sends router advertisements every second. Arguments: interface, source, reachable time in milliseconds, a prefix and
/// its flags (RFC 4861 sections 4.2 and 4.6.2).
const ADVERTISE: &str = "
import struct, time
interface, source, reachable, prefix, flags = sys.argv[1:]
index = if_nametoindex(interface)
router = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6)
router.setsockopt(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255)
router.bind((source, 0, 0, index))
said = struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, 1800, int(reachable), 0)
said += struct.pack('!BBBBIII', 3, 4, 64, int(flags, 16), 7200, 3600, 0) + inet_pton(AF_INET6, prefix)
print('ready')
while True:
    try:
        router.sendto(said, ('ff02::1', 0, 0, index))
    except OSError as error:
        print(error, file=sys.stderr)
    time.sleep(1)
";

/// Lets a router advertise `fd00:5::/64` with these flags from `fe80::<number>`, with a reachable time of about one
/// second.
pub(super) async fn advertise(router: &Namespace, number: u8, flags: &str) -> Peer {
    let source = format!("fe80::{number}");
    let mut peer = router.python(ADVERTISE, &[router.interface(), &source, "1000", "fd00:5::", flags]);
    assert_eq!(peer.line().await, "ready");
    peer
}

/// A router with an address that is not of the link's networks and is the same for each router.
fn router(segment: &Segment, number: u8) -> Namespace {
    let own = [format!("192.0.2.{number}/24"), format!("fd00:5::{number}/64"), format!("fe80::{number}/64")];
    let host = segment.kernel(&own.each_ref().map(String::as_str));
    host.forward();
    host.ip("address add 198.51.100.9/32 dev lo");
    host.ip("address add fd09::9/128 dev lo");
    host
}

/// Neighbour unreachability detection: a delay of five seconds and three solicitations, one second apart (RFC 4861
/// section 10).
const DETECTION: Duration = Duration::from_secs(8);
/// Additional time for a busy machine.
const SLACK: Duration = Duration::from_secs(2);

#[test]
fn a_flow_goes_on_by_the_other_advertised_router_when_its_own_goes() {
    with_segment(&["python3"], "", async |segment| {
        let (first, second) = (router(segment, 11), router(segment, 12));
        let (_first, _second) = (advertise(&first, 11, "c0").await, advertise(&second, 12, "c0").await);
        let _servers = [name(&first, "first", &["fd09::9"]).await, name(&second, "second", &["fd09::9"]).await];
        let manager = segment.stack(InterfaceConfig { autoconfiguration: true, ..InterfaceConfig::default() });
        let interface = manager.interface("tap0").unwrap();
        while interface.routes().len() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let remote: SocketAddr = "[fd09::9]:5005".parse().unwrap();
        let socket = socket(&manager, remote.ip());
        let (mut before, _) = ask_until(&socket, remote, Duration::from_secs(20), |_| true).await;
        let own = [(&first, "fe80::11"), (&second, "fe80::12")];
        for is_away in [false, true] {
            let ((goes, _), (stays, link_local)) = if before == "first" { (own[0], own[1]) } else { (own[1], own[0]) };
            if is_away {
                // The kernel has removed the address while the interface was down.
                stays.ip(&format!("link set dev {} up", stays.interface()));
                stays.ip(&format!("address add {link_local}/64 dev {}", stays.interface()));
            }
            goes.ip(&format!("link set dev {} down", goes.interface()));
            // A neighbour stays reachable for 0.5 to 1.5 seconds after the last confirmation (RFC 4861 section 6.3.2).
            let patience = Duration::from_millis(1500) + DETECTION + SLACK;
            let (after, _) = ask_until(&socket, remote, patience, |text| text != before).await;
            before = after;
        }
    });
}

#[test]
fn a_flow_goes_on_by_the_route_of_a_higher_metric_when_the_better_router_goes() {
    with_segment(&["python3", "ping"], "", async |segment| {
        let (better, worse) = (router(segment, 11), router(segment, 12));
        let address = &["198.51.100.9"];
        let _servers = [name(&better, "better", address).await, name(&worse, "worse", address).await];
        let mut config = configured(&["192.0.2.2/24"], &["192.0.2.11"]);
        config.routes.push(Route::default_via("192.0.2.12".parse().unwrap()).unwrap().with_metric(10));
        let manager = segment.stack(config);
        let remote: SocketAddr = "198.51.100.9:5005".parse().unwrap();
        let socket = socket(&manager, remote.ip());
        // An ARP request does not prove that its sender is reachable; the first packets do.
        for host in [&better, &worse] {
            let report = host.output("ping", &["-n", "-c", "1", "-W", "20", "192.0.2.2"]);
            assert!(report.contains(" 1 received"), "{report}");
        }
        let (text, _) = ask_until(&socket, remote, Duration::from_secs(2), |_| true).await;
        assert_eq!(text, "better");
        better.ip(&format!("link set dev {} down", better.interface()));
        ask_until(&socket, remote, DETECTION + SLACK, |text| text == "worse").await;
    });
}
