//! The kernel's ping to the stack.

use xila_network_tests::netns::Namespace;

use super::{FAMILIES, with_kernel};

async fn ping(namespace: &Namespace, arguments: &[&str]) {
    let mut all = vec!["-n", "-c", "5", "-i", "0.05", "-W", "10"];
    all.extend(arguments);
    let report = namespace.start("ping", &all).succeed().await;
    assert!(report.contains("5 packets transmitted, 5 received, 0% packet loss"), "{report}");
}

#[test]
fn the_stack_answers_the_kernels_ping() {
    with_kernel(&["ping"], 1500, async |namespace, _| {
        for (_, stack) in FAMILIES {
            ping(namespace, &[&stack.to_string()]).await;
            // The largest payload that needs no fragments.
            let size = if stack.is_ipv4() { "1472" } else { "1452" };
            ping(namespace, &["-s", size, &stack.to_string()]).await;
        }
    });
}

#[test]
fn the_stack_answers_a_ping_in_fragments_with_fragments() {
    with_kernel(&["ping"], 1500, async |namespace, _| {
        for (_, stack) in FAMILIES {
            for size in ["2000", "4000", "20000", "60000"] {
                ping(namespace, &["-s", size, &stack.to_string()]).await;
            }
        }
    });
}

#[test]
fn jumbo_frames_carry_large_pings_whole() {
    with_kernel(&["ping"], 9000, async |namespace, _| {
        for (_, stack) in FAMILIES {
            // With `-M do` the kernel refuses to fragment.
            ping(namespace, &["-M", "do", "-s", "8952", &stack.to_string()]).await;
        }
    });
}
