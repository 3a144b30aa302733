//! A stack restarts with the same addresses and another hardware address: it must update the neighbours' outdated
//! entries.

use std::time::{Duration, Instant};

use xila_network_host::InterfaceConfig;
use xila_network_tests::netns::Namespace;

use super::{FAMILIES, configured, with_segment};

/// The stack's configuration, with a hardware address that ends in `number`.
fn config(number: u8) -> InterfaceConfig {
    let hardware_address = Some(format!("02:00:00:00:00:{number:02x}").parse().unwrap());
    InterfaceConfig { hardware_address, ..configured(&["192.0.2.2/24", "fd00::2/64"], &[]) }
}

/// Whether a ping is answered within a second.
fn is_answered(host: &Namespace, address: &str) -> bool {
    host.output("ping", &["-n", "-c", "1", "-W", "1", address]).contains(" 1 received")
}

#[test]
fn a_neighbour_that_knows_the_old_hardware_address_reaches_a_restarted_stack_at_once() {
    with_segment(&["ping"], "", async |segment| {
        let host = segment.kernel(&["192.0.2.1/24", "fd00::1/64", "fe80::1/64"]);
        for (number, (_, address)) in (0..).zip(FAMILIES) {
            let address = address.to_string();
            let before = segment.stack(config(0x31 + 2 * number));
            let known = (0..20).any(|_| is_answered(&host, &address));
            assert!(known, "{address}: no answer");
            drop(before);
            // The new stack is at another port of the bridge.
            let _after = segment.stack(config(0x32 + 2 * number));
            let start = Instant::now();
            while !is_answered(&host, &address) {
                assert!(start.elapsed() < Duration::from_secs(2), "{address}: no answer");
            }
            assert!(start.elapsed() < Duration::from_secs(2), "{address}: {:?}", start.elapsed());
        }
    });
}

#[test]
fn a_ping_that_runs_hardly_notices_another_hardware_address() {
    with_segment(&["ping"], "", async |segment| {
        let host = segment.kernel(&["192.0.2.1/24", "fd00::1/64", "fe80::1/64"]);
        let manager = segment.stack(config(0x31));
        let interface = manager.interface("tap0").unwrap();
        for (number, (_, address)) in (0..).zip(FAMILIES) {
            let address = address.to_string();
            let mut ping = host.start("ping", &["-n", "-i", "0.05", "-c", "60", "-W", "1", &address]);
            while !ping.line().await.contains("seq=10") {}
            interface.set_hardware_address(format!("02:00:00:00:00:4{number}").parse().unwrap()).unwrap();
            let report = ping.succeed().await;
            let received = report.lines().find_map(|line| line.split_once(" packets transmitted, ")?.1.split_once(' '));
            let received: u32 = received.unwrap_or_else(|| panic!("{report}")).0.parse().unwrap();
            // At most the requests of a fifth of a second are lost.
            assert!(received >= 56, "{address}: {report}");
        }
    });
}
