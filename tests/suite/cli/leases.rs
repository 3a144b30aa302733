//! Leases from dnsmasq: the same lease over several runs, and the information that a lease brings.

use tokio::io::{AsyncBufReadExt as _, BufReader};
use xila_network_tests::dnsmasq::Dnsmasq;
use xila_network_tests::netns::Namespace;

use super::control::{has_line, namespace};
use super::{Bench, Ended, PATIENCE, start, until_line};

/// A DHCP pool of five addresses.
const POOL: &str = "--dhcp-range=192.0.2.50,192.0.2.54,255.255.255.0,12h";
const ONE_ADDRESS: &str = "--dhcp-range=192.0.2.50,192.0.2.50,255.255.255.0,12h";

async fn serve(namespace: &Namespace, pool: &str) -> Dnsmasq {
    Dnsmasq::start(namespace, &["--port=0", "--no-ping", pool]).await
}

/// Runs the command as a user, and returns the address that it was lent.
async fn lent(bench: &Bench, namespace: &Namespace, user: &str, interface: &str) -> String {
    let arguments = ["-i", interface, "--allow-control=read", "%ip", "dhcp"];
    let ended = Ended::wait(start(bench.command_within(namespace, user, &arguments))).await;
    ended.expect(0, &[]);
    let mut lines = ended.stdout.lines();
    let address = lines.find_map(|line| line.strip_prefix("eth0: bound ")?.split(' ').next());
    address.unwrap_or_else(|| panic!("{}{}", ended.stdout, ended.stderr)).to_owned()
}

tests! {
    async fn each_of_six_runs_has_an_address_of_a_pool_of_five_and_a_user_the_same_each_time(bench: &Bench) {
        let Some((namespace, interface)) = namespace(&["dnsmasq"], "dhcp") else { return };
        let _dnsmasq = serve(&namespace, POOL).await;
        for users in [&["one"][..], &["two", "three"]] {
            let mut addresses = Vec::new();
            for user in users.iter().cycle().take(6) {
                addresses.push(lent(bench, &namespace, user, &interface).await);
            }
            let same = addresses.iter().zip(addresses.iter().skip(users.len())).all(|(before, after)| before == after);
            assert!(same, "{users:?}: {addresses:?}");
        }
        let folders = ["one", "two", "three"].map(|user| bench.file(user).join("xila-net/eth0"));
        let records = folders.map(|file| std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
        assert!(records[0] != records[1] && records[1] != records[2], "each user is another host: {records:?}");
    }

    async fn runs_that_are_killed_need_one_address_together(bench: &Bench) {
        let Some((namespace, interface)) = namespace(&["dnsmasq"], "dhcp") else { return };
        let mut dnsmasq = serve(&namespace, ONE_ADDRESS).await;
        for _ in 0..3 {
            let mut server = start(bench.command_within(&namespace, "one", &["-i", &interface, "%echo-server"]));
            until_line(&mut server, "listening").await;
            server.kill().await.expect("it runs");
        }
        assert_eq!(lent(bench, &namespace, "one", &interface).await, "192.0.2.50/24");
        // The lease is released only now, and another user may get the address.
        dnsmasq.says("DHCPRELEASE").await;
        assert_eq!(lent(bench, &namespace, "two", &interface).await, "192.0.2.50/24");
    }

    async fn an_app_waits_for_a_server_that_comes_late(bench: &Bench) {
        let Some((namespace, interface)) = namespace(&["dnsmasq"], "dhcp") else { return };
        let arguments = ["-v", "--wait", "200", "-i", &interface, "%ping", "-c", "1", "192.0.2.1"];
        let mut run = start(bench.command_within(&namespace, "one", &arguments));
        let mut log = BufReader::new(run.stderr.take().expect("a pipe")).lines();
        let mounted = async {
            while !log.next_line().await.expect("text").expect("it ended without a word of the interface").contains("eth0") {}
        };
        tokio::time::timeout(PATIENCE, mounted).await.expect("nothing is mounted");
        let reader = tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        let _dnsmasq = serve(&namespace, POOL).await;
        let ended = Ended::wait(run).await;
        reader.abort();
        assert!(ended.stdout.contains("1 packets transmitted, 1 received"), "{}", ended.stdout);
        ended.expect(0, &[]);
    }

    async fn what_a_lease_says_is_shown_by_ip(bench: &Bench) {
        let Some((namespace, interface)) = namespace(&["dnsmasq"], "dhcp") else { return };
        let _dnsmasq = Dnsmasq::start(&namespace, &[
            "--port=0", "--no-ping", ONE_ADDRESS, "--dhcp-option-force=3,192.0.2.66",
            "--dhcp-option-force=121,0.0.0.0/0,192.0.2.1,198.51.100.0/25,192.0.2.7", "--dhcp-option-force=26,1400",
            "--dhcp-option-force=15,own.example.test", "--dhcp-option-force=119,a.example.test,b.example.test",
            "--dhcp-option-force=42,192.0.2.123",
        ]).await;
        let arguments = ["-i", &interface, "--allow-control=read", "--app", "%ip dhcp", "--app", "%ip -4 addr show dev eth0",
            "--app", "%ip route", "--app", "%ip link show dev eth0", "--app", "%ip dns"];
        let ended = Ended::wait(start(bench.command_within(&namespace, "one", &arguments))).await;
        ended.expect(0, &[]);
        for words in [
            "eth0: bound 192.0.2.50/24 domain own.example.test search a.example.test search b.example.test ntp 192.0.2.123",
            "inet 192.0.2.50/24 scope global dynamic eth0",
            "default via 192.0.2.1 dev eth0 proto dhcp",
            "198.51.100.0/25 via 192.0.2.7 dev eth0 proto dhcp",
            "eth0: mtu 1400",
            "search a.example.test dev eth0",
            "search b.example.test dev eth0",
        ] {
            assert!(has_line(&ended.stdout, words), "{words}: {}", ended.stdout);
        }
        assert!(!ended.stdout.contains("192.0.2.66"), "the router is none beside classless routes: {}", ended.stdout);
    }
}
