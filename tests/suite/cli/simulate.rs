//! `--simulate`: everything runs in virtual time, and everything random is derived from one seed.

use super::*;

/// Simulates an hour in which two apps exchange packets over a bad link, with a page and a megabyte sent meanwhile;
/// returns their output and the capture.
async fn hour(bench: &Bench, seed: &str) -> (String, Vec<u8>) {
    let ended = bench
        .run(&[
            "--simulate",
            seed,
            "--pcap",
            "b=b.pcap",
            "-i",
            "a=hub,hub=net,addr=10.0.0.1/24,latency=5ms,jitter=3ms,loss=3%,reordering=2%",
            "-i",
            B,
            "--app",
            "@a %http-server 10.0.0.1:80 --requests 1",
            "--app",
            "@b %http-get http://10.0.0.1/ --wait 20",
            "--app",
            "@a %throughput sink 10.0.0.1:9",
            "--app",
            "@b %throughput source 10.0.0.1:9 --bytes 1000000 --wait 20",
            "--app",
            "@b %ping -c 3600 10.0.0.1",
            "--app",
            "@b %spin_does_not_starve 200",
        ])
        .await;
    ended.expect(0, &[]);
    assert!(ended.stdout.contains("It works.") && ended.stdout.contains("received 1000000 "), "{}", ended.stdout);
    (ended.stdout, fs::read(bench.file("b.pcap")).expect("a capture"))
}

/// Seconds and nanoseconds of the record at this offset, and the offset of the next.
fn record(capture: &[u8], at: usize) -> Option<(u32, usize)> {
    let word = |at: usize| Some(u32::from_ne_bytes(*capture.get(at..)?.first_chunk()?));
    Some((word(at)?, at + 16 + word(at + 8)? as usize))
}

tests! {
    async fn one_seed_gives_the_same_hour_again_and_another_seed_another(bench: &Bench) {
        let (printed, captured) = hour(bench, "7").await;
        let again = hour(bench, "7").await;
        assert!(printed == again.0, "{printed}\n{}", again.0);
        assert!(captured == again.1, "the captures differ");
        let other = hour(bench, "8").await;
        assert!(printed != other.0 && captured != other.1);
        let times: Vec<u32> = std::iter::successors(record(&captured, 24), |(_, next)| record(&captured, *next)).map(|(time, _)| time).collect();
        let hour = times.last().expect("packets") - times[0];
        assert!((3599..3650).contains(&hour), "{hour} seconds");
        assert!(printed.contains("3600 packets transmitted"), "{printed}");
    }

    async fn a_simulation_that_can_never_end_fails_and_for_ends_it_in_time(bench: &Bench) {
        let ended = bench.run(&["--simulate", "1", "%echo-server"]).await;
        ended.expect(1, &["error: the apps wait for one another, or for what cannot happen any more"]);
        bench.run(&["--simulate", "1", "--for", "86400000s", "-i", A, "%echo-server"]).await.expect(0, &[]);
        // `--for` also works in real time.
        bench.run(&["--for", "300ms", "%echo-server"]).await.expect(0, &[]);
    }

    async fn options_that_need_real_time_are_refused(bench: &Bench) {
        let tap = "eth0=tap,device=tap0,addr=192.0.2.2/24";
        bench.run(&["--simulate", "1", "-i", tap, "x"]).await.expect(2, &["--interface eth0=tap: --simulate has no TAP"]);
        bench.run(&["--simulate", "1", "--dir", ".", "x"]).await.expect(2, &["--dir .: --simulate has no folders"]);
        bench.run(&["--simulate", "x", "x"]).await.expect(2, &["--simulate x: not a whole number"]);
        bench.run(&["--for", "5", "x"]).await.expect(2, &["--for 5: "]);
    }
}
