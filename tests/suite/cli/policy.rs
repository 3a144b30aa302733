//! Rules that restrict apps: `--allow`, `--deny`, `--policy`, `--audit`, and `policy check`.

use super::*;

/// The lines of the audit file.
fn denials(bench: &Bench) -> Vec<String> {
    fs::read_to_string(bench.file("audit.json")).expect("the file").lines().map(str::to_owned).collect()
}

/// The number of IPv4 frames in a capture.
fn packets(bench: &Bench, capture: &str) -> usize {
    let bytes = fs::read(bench.file(capture)).expect("the capture");
    // An Ethernet frame of IPv4 between these two hosts.
    bytes.windows(10).filter(|part| part[..2] == [0x08, 0x00] && part[2] == 0x45).count()
}

tests! {
    async fn apps_may_do_what_rules_allow_on_every_surface(bench: &Bench) {
        for (client, arguments) in [
            ("http-get", "http://10.0.0.1/ --wait 5"),
            // This guest uses wasi:sockets.
            ("python_fetch", "http://10.0.0.1/"),
        ] {
            let server = "@a %http-server 10.0.0.1:80 --requests 1";
            let app = format!("@b %{client} {arguments}");
            let rule = format!("@{client} tcp connect 10.0.0.1:80");
            let common = ["-i", A, "-i", B, "--allow", "@http-server tcp listen :80 from 10.0.0.2", "--app", server, "--app", &app];
            let ended = bench.run(&[&["--allow", &rule], &common[..]].concat()).await;
            ended.expect(0, &[]);
            assert!(ended.stdout.contains("It works."), "{}", ended.stdout);
        }
    }

    async fn what_is_denied_fails_leaves_no_packet_and_is_told(bench: &Bench) {
        for (client, surface) in [("http-get", "http://10.0.0.1/"), ("std_tcp_client", "10.0.0.1:80 10"), ("ping", "-c 1 10.0.0.1")] {
            let app = format!("@b %{client} {surface}");
            let options = ["-i", A, "-i", B, "--pcap", "b=b.pcap", "--audit", "audit.json"];
            let ended = bench.run(&[&options[..], &["--allow", "tcp connect 10.0.0.9", "--app", &app]].concat()).await;
            assert_ne!(ended.status, Some(0), "{client}: {}", ended.stdout);
            assert_eq!(packets(bench, "b.pcap"), 0, "{client}");
            let denials = denials(bench);
            let first = denials.first().unwrap_or_else(|| panic!("{client}: no denial; {}", ended.stderr));
            assert!(first.contains(&format!("\"app\":\"{client}.wasm\"")), "{first}");
            let operation = if client == "ping" { "icmp ping" } else { "tcp connect" };
            assert!(first.contains(&format!("\"operation\":\"{operation}\"")), "{first}");
        }
    }

    async fn a_mistake_in_a_rule_is_pointed_at(bench: &Bench) {
        let ended = bench.run(&["--allow", "tcp conect any", "%ping -c 1 127.0.0.1"]).await;
        ended.expect(2, &["--allow: 1:11: \"conect\" is no operation of tcp", "            ^^^^^^"]);
        fs::write(bench.file("rules.txt"), "allow any\n\ndeny tcp connect 10.0.0.0/40\n").unwrap();
        let ended = bench.run(&["--policy", "rules.txt", "%ping -c 1 127.0.0.1"]).await;
        ended.expect(2, &["--policy rules.txt: 3:18: \"40\" is no length of a prefix"]);
        bench.run(&["--policy", "nowhere.txt", "%ping -c 1 127.0.0.1"]).await.expect(2, &["--policy nowhere.txt: "]);
        bench.run(&["--allow", "@web tcp any", "%ping -c 1 127.0.0.1"]).await.expect(2, &["no app of that name"]);
    }

    async fn a_decision_is_explained(bench: &Bench) {
        fs::write(bench.file("rules.txt"), "allow tcp connect *.example.org:443\n").unwrap();
        for (operation, status, words) in [
            ("tcp connect www.example.org:443", 0, "allowed by line 1 of rules.txt: allow tcp connect *.example.org:443"),
            ("tcp connect www.example.org:80", 1, "denied because no rule of rules.txt covers it"),
        ] {
            let mut command = Command::new(&bench.program);
            command.args(["policy", "check", "rules.txt", operation]).current_dir(&bench.folder);
            let output = command.output().await.expect("it runs");
            assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).trim()), (Some(status), words));
        }
    }
}
