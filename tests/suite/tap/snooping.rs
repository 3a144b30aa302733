//! IGMP and MLD snooping (RFC 4541): a bridge forwards multicast to the members of a group only.

use std::time::{Duration, Instant};

use xila_network_host::socket::UdpSocket;
use xila_network_tests::netns::Namespace;
use xila_network_tests::segment::mount;

use super::{configured, with_segment};

const GROUPS: [&str; 2] = ["239.1.2.3", "ff05::123"];

/// Options of a bridge that sends queries of these IGMP and MLD versions every second, and removes a member that does
/// not answer within three seconds. The bridge's unit is a hundredth of a second.
fn options(igmp: u8, mld: u8) -> String {
    format!(
        "mcast_snooping 1 mcast_querier 1 mcast_igmp_version {igmp} mcast_mld_version {mld} mcast_query_interval 100 \
         mcast_query_response_interval 50 mcast_membership_interval 300 mcast_startup_query_interval 100 \
         mcast_last_member_interval 50"
    )
}

fn is_member(bridge: &Namespace, port: &str, group: &str) -> bool {
    let list = bridge.output("bridge", &["mdb", "show"]);
    list.lines().any(|line| line.contains(&format!("port {port} grp {group} ")))
}

async fn until_member(bridge: &Namespace, port: &str, group: &str, wanted: bool) {
    let start = Instant::now();
    while is_member(bridge, port, group) != wanted {
        let list = bridge.output("bridge", &["mdb", "show"]);
        assert!(start.elapsed() < Duration::from_secs(2), "{group} wanted: {wanted}\n{list}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sends a datagram to port 5010 of each group.
const SEND: &str = "
for group in sys.argv[2:]:
    sender = socket(AF_INET6 if ':' in group else AF_INET, SOCK_DGRAM)
    sender.sendto(b'group', (group, 5010, 0, if_nametoindex(sys.argv[1])) if ':' in group else (group, 5010))
";

#[test]
fn a_bridge_knows_the_groups_of_a_member_for_as_long_as_it_is_one() {
    for (igmp, mld) in [(3, 2), (2, 1)] {
        with_segment(&["bridge", "python3"], &options(igmp, mld), async |segment| {
            let bridge = segment.namespace();
            // MLD queries have a link-local source address (RFC 3810 section 5.1.14).
            bridge.ip("address add fe80::b/64 dev br0 nodad");
            let host = segment.kernel(&["192.0.2.1/24", "fd00::1/64", "fe80::1/64"]);
            host.ip(&format!("route add 239.0.0.0/8 dev {}", host.interface()));
            let (tap, port) = segment.tap();
            let manager = mount(tap, configured(&["192.0.2.2/24", "fd00::2/64"], &[]));
            let network = manager.network_of(["tap0"]).unwrap();
            let four = UdpSocket::bind(&network, "0.0.0.0:5010".parse().unwrap()).unwrap();
            let six = UdpSocket::bind(&network, "[::]:5010".parse().unwrap()).unwrap();
            let sockets = [&four, &six];
            for (socket, group) in sockets.into_iter().zip(GROUPS) {
                assert!(!is_member(bridge, &port, group));
                socket.join_multicast(group.parse().unwrap(), None).unwrap();
                until_member(bridge, &port, group, true).await;
            }
            // Members that do not answer queries would be removed by then.
            tokio::time::sleep(Duration::from_secs(5)).await;
            host.python(SEND, &[&[host.interface()], &GROUPS[..]].concat()).succeed().await;
            for (socket, group) in sockets.into_iter().zip(GROUPS) {
                assert!(is_member(bridge, &port, group), "{group}: answers to queries");
                assert_eq!(socket.recv_datagram().await.unwrap().data, b"group");
                socket.leave_multicast(group.parse().unwrap(), None).unwrap();
                until_member(bridge, &port, group, false).await;
            }
        });
    }
}
