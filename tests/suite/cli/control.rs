//! The control plane from the command line: interfaces that configure themselves, and the apps ip, dig, ping and
//! traceroute, with dnsmasq and the kernel as peers.

use tokio::io::{AsyncBufReadExt as _, BufReader};
use xila_network_tests::dnsmasq::Dnsmasq;
use xila_network_tests::netns::{FAR_V4, FAR_V6, Namespace};

use super::{A, B, Bench, Ended, PATIENCE, signal, start};

/// Makes a namespace with a TAP interface, to which `xila-net` attaches, with 192.0.2.1 and fd00::1; returns it with
/// the option that mounts the TAP as `eth0` with these additional keys.
pub(super) fn namespace(programs: &[&str], keys: &str) -> Option<(Namespace, String)> {
    let namespace = Namespace::new(programs)?;
    let device = namespace.interface();
    namespace.ip(&format!("tuntap add dev {device} mode tap"));
    namespace.ip(&format!("link set dev {device} addrgenmode none"));
    namespace.ip(&format!("address add 192.0.2.1/24 dev {device}"));
    namespace.ip(&format!("address add fd00::1/64 dev {device} nodad"));
    namespace.ip(&format!("link set dev {device} up"));
    let interface = format!("eth0=tap,device={device},{keys}");
    Some((namespace, interface))
}

/// The static addresses of the near end.
const STATIC: &str = "addr=192.0.2.2/24,addr=fd00::2/64,gateway=192.0.2.1,gateway=fd00::1,mac=02:00:00:00:00:07";

/// Runs `xila-net run` in the namespace; returns its output. Arguments that begin with `%` are names of apps.
async fn run(bench: &Bench, namespace: &Namespace, arguments: &[&str]) -> String {
    let ended = Ended::wait(start(bench.command_within(namespace, "tester", arguments))).await;
    ended.expect(0, &[]);
    ended.stdout
}

/// Whether a line contains these words in this order, possibly with others between them.
pub(super) fn has_line(text: &str, words: &str) -> bool {
    let in_order = |line: &str| {
        let mut found = line.split_whitespace();
        words.split(' ').all(|word| found.any(|known| known == word))
    };
    text.lines().any(in_order)
}

tests! {
    /// With only a name given, the app gets a lease and the answer of a DNS server.
    async fn an_interface_with_dhcp_gets_its_lease_and_names_their_addresses(bench: &Bench) {
        let Some((namespace, interface)) = namespace(&["dnsmasq"], "dhcp") else { return };
        let _dnsmasq = Dnsmasq::start(&namespace, &[
            "--dhcp-range=192.0.2.50,192.0.2.50,10m", "--host-record=example.test,192.0.2.1,fd00::1", "--local=/test/",
        ]).await;
        // The server leases one address, to one hardware address.
        let interface = interface + ",mac=02:00:00:00:00:07";
        let printed = run(bench, &namespace, &["-i", &interface, "--app", "%dig example.test"]).await;
        assert!(has_line(&printed, "example.test. IN A 192.0.2.1"), "{printed}");

        let apps = ["-i", &interface, "-i", "b=hub,hub=n,addr=10.9.0.1/24", "--allow-control=read",
            "--app", "%ip -4 addr show dev eth0", "--app", "%ip route", "--app", "%ip dns"];
        let printed = run(bench, &namespace, &apps).await;
        assert!(has_line(&printed, "inet 192.0.2.50/24 scope global dynamic eth0"), "{printed}");
        assert!(has_line(&printed, "default via 192.0.2.1 dev eth0 proto dhcp"), "{printed}");
        assert!(has_line(&printed, "192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.50"), "{printed}");
        assert!(has_line(&printed, "10.9.0.0/24 dev b proto kernel scope link src 10.9.0.1"), "{printed}");
        assert!(printed.contains("192.0.2.1"), "{printed}");
    }

    async fn the_kernel_answers_pings_and_is_a_neighbour(bench: &Bench) {
        let Some((namespace, interface)) = namespace(&[], STATIC) else { return };
        for (host, title) in
            [("192.0.2.1", "PING 192.0.2.1 (192.0.2.1) 56(84) bytes"), ("fd00::1", "PING fd00::1(fd00::1) 56 data bytes")]
        {
            let printed = run(bench, &namespace, &["-i", &interface, "%ping", "-c", "2", "-i", "0.01", host]).await;
            assert!(printed.contains(title), "{printed}");
            assert!(has_line(&printed, &format!("64 bytes from {host}: icmp_seq=2")), "{printed}");
            assert!(printed.contains("2 packets transmitted, 2 received, 0% packet loss"), "{printed}");
        }
    }

    async fn a_ping_without_an_answer_fails(bench: &Bench) {
        let ended = bench.run(&["-i", "a=hub,hub=n,addr=192.0.2.2/24", "%ping", "-c", "1", "-W", "0.2", "192.0.2.99"]).await;
        ended.expect(1, &[]);
        assert!(ended.stdout.contains("1 packets transmitted, 0 received"), "{}", ended.stdout);
    }

    /// Three networks in a row: the trace shows the router as the first hop.
    async fn a_route_is_traced_through_a_namespace(bench: &Bench) {
        let Some((namespace, interface)) = namespace(&[], STATIC) else { return };
        let _far = namespace.behind(1500);
        for (host, router) in [(FAR_V4, "192.0.2.1"), (FAR_V6, "fd00::1")] {
            let printed =
                run(bench, &namespace, &["-i", &interface, "%traceroute", "-n", "-w", "10", &host.to_string()]).await;
            assert!(has_line(&printed, &format!("1 {router} ms")), "{printed}");
            assert!(has_line(&printed, &format!("2 {host} ms")), "{printed}");
            assert_eq!(printed.lines().count(), 3, "{printed}");
        }
    }

    async fn ip_reports_errors_with_the_texts_of_ip_8(bench: &Bench) {
        let interface = "eth0=hub,hub=n,addr=10.0.0.1/24";
        for (rights, command, word) in [
            (None, "addr", "Permission denied"),
            (Some("--allow-control=read"), "addr add 10.0.0.2/24 dev eth0", "Permission denied"),
            (Some("--allow-control"), "addr add 10.0.0.1/24 dev eth0", "File exists"),
            (Some("--allow-control"), "addr show dev eth9", "eth9"),
            (Some("--allow-control"), "route del default via 10.0.0.9 dev eth0", "No such process"),
        ] {
            let app = format!("%ip {command}");
            let arguments: Vec<&str> = ["-i", interface].into_iter().chain(rights).chain(["--app", &app]).collect();
            let ended = bench.run(&arguments).await;
            assert_ne!(ended.status, Some(0), "{command}: {}", ended.stdout);
            assert!(ended.stderr.contains(word), "{command}: {}", ended.stderr);
        }
    }

    async fn apps_control_interfaces_only_if_permitted(bench: &Bench) {
        let (show, add) = ("%ip address", "%ip address add 10.0.0.9/24 dev a");
        for app in [show, add] {
            bench.run(&["-i", A, "-i", B, "--app", app]).await.expect(1, &["Permission denied"]);
        }
        let ended = bench.run(&["-i", A, "-i", B, "--allow-control=read", "--app", show]).await;
        ended.expect(0, &[]);
        for word in ["lo: <LOOPBACK", "inet 127.0.0.1/8", "inet 10.0.0.1/24", "inet 10.0.0.2/24"] {
            assert!(ended.stdout.contains(word), "{word:?} is not in: {}", ended.stdout);
        }
        bench.run(&["-i", A, "-i", B, "--allow-control=read", "--app", add]).await.expect(1, &["Permission denied"]);
        bench.run(&["-i", A, "-i", B, "--allow-control", "--app", add]).await.expect(0, &[]);

        // The app sees only the addresses of its own interface.
        let ended = bench.run(&["-i", A, "-i", B, "--allow-control", "--app", "@b %ip address"]).await;
        ended.expect(0, &[]);
        assert!(ended.stdout.contains("10.0.0.2/24") && !ended.stdout.contains("10.0.0.1/24"), "{}", ended.stdout);
        let add = "@b %ip address add 10.0.0.9/24 dev a";
        let ended = bench.run(&["-i", A, "-i", B, "--allow-control", "--app", add]).await;
        ended.expect(1, &["Cannot find device \"a\""]);
    }

    async fn apps_start_without_a_lease_when_the_time_is_over(bench: &Bench) {
        let interface = "a=hub,hub=net,dhcp";
        let ended = bench.run(&["-i", interface, "--dhcp-timeout", "100ms", "%spin_does_not_starve", "1"]).await;
        ended.expect(0, &["a has no DHCP lease after 100ms (--wait); going on without"]);
        assert!(ended.stdout.contains("rounds"), "{}", ended.stdout);
        let ended = bench.run(&["-i", interface, "--dhcp-timeout", "0", "%spin_does_not_starve", "1"]).await;
        ended.expect(0, &[]);
        assert!(!ended.stderr.contains("lease"), "{}", ended.stderr);
    }

    async fn a_missing_lease_or_router_is_reported(bench: &Bench) {
        let (lease, router) = ("a has no DHCP lease after 100ms (--wait)", "a has no router advertisement after 100ms (--wait)");
        for (interface, is_missing) in
            [("a=hub,hub=net,dhcp", [true, false]), ("a=hub,hub=net,autoconf", [false, true]), ("a=hub,hub=net,dhcp,autoconf", [true; 2])]
        {
            let ended = bench.run(&["-i", interface, "--wait", "100ms", "%spin_does_not_starve", "1"]).await;
            ended.expect(0, &[]);
            assert_eq!([lease, router].map(|words| ended.stderr.contains(words)), is_missing, "{interface}: {}", ended.stderr);
        }
        // Where nobody answers nobody waits for so long.
        let ended = bench.run(&["--simulate", "1", "-i", "a=hub,hub=net,autoconf", "--wait", "1000000s", "%spin_does_not_starve", "1"]).await;
        ended.expect(0, &["a has no router advertisement as no router answers; going on without"]);
    }

    async fn a_signal_ends_the_wait_for_a_lease(bench: &Bench) {
        let mut child = start(bench.command(&["-v", "-i", "a=hub,hub=net,dhcp", "--dhcp-timeout", "600s", "%echo-server"]));
        let mut log = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let mounted = async {
            while let Some(line) = log.next_line().await.expect("text") {
                if line.contains("mounted") && line.contains("hub") {
                    return;
                }
            }
            panic!("it ended without a word of the interface");
        };
        tokio::time::timeout(PATIENCE, mounted).await.expect("nothing is mounted");
        signal(&child, "INT").await;
        let ended = Ended::wait(child).await;
        ended.expect(130, &[]);
        assert_eq!(ended.stdout, "", "the app has started");
    }
}
