//! `--hub`: services on a hub, which lease addresses, advertise prefixes and answer names.

use super::*;

/// A hub with all services.
const SERVED: &str = "net,dhcp=10.0.0.0/24,ra=fd00:1::/64,dns";
const SERVER: &str = "server=hub,hub=net,dhcp,autoconf";
const CLIENT: &str = "client=hub,hub=net,dhcp,autoconf";

tests! {
    async fn apps_find_each_other_by_names_on_a_hub_that_configures_them(bench: &Bench) {
        let ended = bench.run(&[
            "--hub", SERVED, "-i", SERVER, "-i", CLIENT,
            "--app", "@server %http-server 0.0.0.0:80 --requests 2",
            "--app", "@client %http-get http://server.internal/ --wait 20",
            // The domain is searched, and the app has the name of its component too.
            "--app", "@client %http-get http://http-server/ --wait 20",
        ]).await;
        ended.expect(0, &[]);
        assert_eq!(ended.stdout.matches("It works.").count(), 2, "{}", ended.stdout);
    }

    async fn leases_and_prefixes_are_as_the_hub_says(bench: &Bench) {
        let ended = bench.run(&[
            "--hub", &format!("{SERVED},pool=10.0.0.77-10.0.0.77,lease=600s,mtu=1400"), "-i", CLIENT, "--allow-control=read",
            "--app", "@client %ip dhcp", "--app", "@client %ip addr", "--app", "@client %ip dns", "--app", "@client %ip route",
        ]).await;
        ended.expect(0, &[]);
        for words in ["client: bound 10.0.0.77/24", "inet 10.0.0.77/24", "inet6 fd00:1::", "10.0.0.1", "fd00:1::1"] {
            assert!(ended.stdout.contains(words), "{words}: {}", ended.stdout);
        }
        assert!(!ended.stdout.contains("default via"), "a hub has no outside: {}", ended.stdout);
        assert!(!ended.stderr.contains("to nothing"), "there are the services: {}", ended.stderr);
    }

    async fn names_are_resolved_and_others_are_refused(bench: &Bench) {
        let ended = bench.run(&[
            "--hub", "net,addr=10.0.0.53/24,dns=lab.example", "-i", &format!("{A},dns=10.0.0.53"), "-i", B,
            "--app", "@a %dig +short b.lab.example", "--app", "@a %dig +short -x 10.0.0.2",
        ]).await;
        ended.expect(0, &[]);
        let mut lines: Vec<&str> = ended.stdout.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["10.0.0.2", "b.lab.example."], "{}", ended.stderr);
        let ended = bench.run(&[
            "--hub", "net,addr=10.0.0.53/24,dns=lab.example", "-i", &format!("{A},dns=10.0.0.53"),
            "--app", "@a %dig example.org", "--app", "@a %dig other.lab.example",
        ]).await;
        for words in ["REFUSED", "NXDOMAIN"] {
            assert!(ended.stdout.contains(words), "{words}: {}{}", ended.stdout, ended.stderr);
        }
    }

    async fn a_simulation_with_services_is_the_same_each_time(bench: &Bench) {
        let mut printed = Vec::new();
        for _ in 0..2 {
            let ended = bench.run(&[
                "--simulate", "5", "--hub", SERVED, "-i", SERVER, "-i", CLIENT, "--allow-control=read",
                "--app", "@server %http-server 0.0.0.0:80 --requests 1",
                "--app", "@client %http-get http://server.internal/ --wait 20",
                "--app", "@client %ip addr",
            ]).await;
            ended.expect(0, &[]);
            assert!(ended.stdout.contains("It works."), "{}", ended.stdout);
            printed.push(ended.stdout);
        }
        assert_eq!(printed[0], printed[1]);
    }

    async fn mistakes_about_hubs_are_told_before_anything_runs(bench: &Bench) {
        for (hub, words) in [
            ("other,dns", "--hub other: "),
            ("net,dhcp=10.0.0.0/24", "--hub net: interface a has 10.0.0.1"),
            ("net,speed=5", "unknown key; --hub takes addr=, dhcp="),
        ] {
            bench.run(&["--hub", hub, "-i", A, "x.wasm"]).await.expect(2, &[words]);
        }
    }
}
