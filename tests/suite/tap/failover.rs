//! An address moves from one host of the segment to another, as with VRRP (RFC 9568) and similar protocols.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use xila_network_host::socket::{PingOptions, ping};
use xila_network_tests::netns::Namespace;

use super::{ask_until, configured, name, socket, with_segment};

const ADDRESSES: [(&str, u8); 2] = [("192.0.2.100", 24), ("fd00::100", 64)];
/// Less than the time in which neighbour unreachability detection would find the change (RFC 4861 section 10: eight
/// seconds at least).
const AT_ONCE: Duration = Duration::from_secs(1);

/// Moves the address to another host, which announces it: the kernel announces its addresses when its hardware address
/// changes.
fn take(from: &Namespace, to: &Namespace, (address, prefix): (&str, u8), hardware: &str) {
    from.ip(&format!("address delete {address}/{prefix} dev {}", from.interface()));
    to.ip(&format!("address add {address}/{prefix} dev {}", to.interface()));
    to.ip(&format!("link set dev {} address {hardware}", to.interface()));
}

#[test]
fn a_flow_follows_an_address_to_another_host_at_once() {
    with_segment(&["python3"], "", async |segment| {
        let hosts = [
            segment.kernel(&["192.0.2.11/24", "fd00::11/64", "fe80::11/64"]),
            segment.kernel(&["192.0.2.12/24", "fd00::12/64", "fe80::12/64"]),
        ];
        let mut servers = Vec::new();
        for (host, text) in hosts.iter().zip(["first", "second"]) {
            host.sysctl(&format!("ipv4/conf/{}/arp_notify", host.interface()), "1");
            host.sysctl(&format!("ipv6/conf/{}/ndisc_notify", host.interface()), "1");
            servers.push(name(host, text, &ADDRESSES.map(|(address, _)| address)).await);
        }
        let [first, second] = &hosts;
        let manager = segment.stack(configured(&["192.0.2.2/24", "fd00::2/64"], &[]));
        for (number, (address, prefix)) in (0..).zip(ADDRESSES) {
            let remote = SocketAddr::new(address.parse().unwrap(), 5005);
            first.ip(&format!("address add {address}/{prefix} dev {}", first.interface()));
            let socket = socket(&manager, remote.ip());
            ask_until(&socket, remote, Duration::from_secs(20), |text| text == "first").await;
            for (from, to, text, role) in [(first, second, "second", 0), (second, first, "first", 1)] {
                take(from, to, (address, prefix), &format!("02:00:00:00:0{number}:0{role}"));
                ask_until(&socket, remote, AT_ONCE, |answer| answer == text).await;
            }
        }
    });
}

/// Returns the time until an echo request is answered. A request without a prompt answer counts as lost.
async fn until_answered(manager: &xila_network_host::Manager, remote: IpAddr, patience: Duration) -> Duration {
    let start = Instant::now();
    let options = PingOptions { timeout: Duration::from_millis(50), ..PingOptions::default() };
    while ping(&manager.network(), remote, &options).await.is_err() {
        assert!(start.elapsed() < patience, "{remote}: no answer");
    }
    start.elapsed()
}

#[test]
fn echo_requests_follow_an_address_to_another_host_at_once() {
    with_segment(&[], "", async |segment| {
        let first = segment.kernel(&["192.0.2.11/24", "fd00::11/64", "fe80::11/64"]);
        let second = segment.kernel(&["192.0.2.12/24", "fd00::12/64", "fe80::12/64"]);
        second.sysctl(&format!("ipv4/conf/{}/arp_notify", second.interface()), "1");
        second.sysctl(&format!("ipv6/conf/{}/ndisc_notify", second.interface()), "1");
        let manager = segment.stack(configured(&["192.0.2.2/24", "fd00::2/64"], &[]));
        for (number, (address, prefix)) in (0..).zip(ADDRESSES) {
            let remote = address.parse().unwrap();
            first.ip(&format!("address add {address}/{prefix} dev {}", first.interface()));
            until_answered(&manager, remote, Duration::from_secs(20)).await;
            take(&first, &second, (address, prefix), &format!("02:00:00:00:00:0{number}"));
            until_answered(&manager, remote, AT_ONCE).await;
        }
    });
}
