//! Queries of routers, of every version, and what other hosts report to them.

use super::*;

#[test]
fn rfc_3376_5_2_a_general_query_is_answered_once_within_its_time() {
    let mut times = Vec::new();
    for seed in 0..200 {
        let mut host = Host::seeded(seed);
        for group in ["239.1.2.3", "224.0.0.251", "ff15::42", "ff02::fb"] {
            host.join(group);
        }
        host.run(5.0);
        host.query_v3("0.0.0.0", 20, [2, 125]);
        let sent = host.run(10.0);
        let [(at, Sent::Records(0x22, answered))] = &sent[..] else { panic!("{sent:?}") };
        let all: BTreeSet<_> = answered.iter().map(|(kind, group)| (*kind, group.as_str())).collect();
        assert_eq!(all, BTreeSet::from([(2, "239.1.2.3"), (2, "224.0.0.251")]));
        times.push(*at);
        host.query_mld("::", 2000, &[2, 125, 0, 0]);
        let sent = host.run(10.0);
        let [(at, Sent::Records(143, answered))] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(answered.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [2, 2]);
        times.push(*at);
    }
    assert!(times.iter().all(|at| *at > 0.0 && *at <= 2.0), "{times:?}");
    assert!(times.iter().any(|at| *at < 0.2) && times.iter().any(|at| *at > 1.8));
}

#[test]
fn rfc_3376_5_2_a_query_about_a_group_or_some_sources_is_answered_about_the_group() {
    let mut host = Host::joined(&["239.1.2.3", "239.1.2.4", "ff15::42"]);
    host.query_v3("239.1.2.3", 10, [2, 125]);
    let answer = records(0x22, &[(2, "239.1.2.3")]);
    assert!(matches!(&host.run(5.0)[..], [(at, sent)] if *at <= 1.0 && *sent == answer));
    let sources = [0x11, 10, 0, 0, 239, 1, 2, 3, 2, 125, 0, 2, 192, 0, 2, 9, 192, 0, 2, 10];
    host.hear_igmp(ROUTER, "239.1.2.3", &sources);
    assert!(matches!(&host.run(5.0)[..], [(at, sent)] if *at <= 1.0 && *sent == answer));
    host.hear_igmp(ROUTER, "239.1.2.3", &sources[..16]);
    assert_eq!(host.run(5.0), [], "it has fewer sources than it says");
    host.query_mld("ff15::42", 1000, &[2, 125, 0, 0]);
    let answer = records(143, &[(2, "ff15::42")]);
    assert!(matches!(&host.run(5.0)[..], [(at, sent)] if *at <= 1.0 && *sent == answer));
    host.query_v3("239.9.9.9", 10, [2, 125]);
    host.query_mld("ff15::9", 1000, &[2, 125, 0, 0]);
    assert_eq!(host.run(5.0), [], "of others' groups nothing is said");
}

#[test]
fn rfc_3376_5_2_an_answer_that_is_due_sooner_serves_a_later_query() {
    for seed in 0..50 {
        let mut host = Host::seeded(seed);
        host.join("239.1.2.3");
        host.run(5.0);
        // Rule 1: the general answer is due sooner than the answer about the group.
        host.query_v3("0.0.0.0", 1, [2, 125]);
        host.query_v3("239.1.2.3", 0xff, [2, 125]);
        host.query_v3("0.0.0.0", 0xff, [2, 125]);
        let sent = host.run(4000.0);
        assert!(matches!(&sent[..], [(at, _)] if *at <= 0.1), "{sent:?}");
        // Rule 2: an answer that is due sooner replaces the scheduled one.
        host.query_v3("0.0.0.0", 0xff, [2, 125]);
        host.query_v3("0.0.0.0", 1, [2, 125]);
        let sent = host.run(4000.0);
        assert!(matches!(&sent[..], [(at, _)] if *at <= 0.1), "{sent:?}");
        // Rules 3 and 4: the earlier of two times is used, beside the general answer.
        host.query_v3("0.0.0.0", 0xff, [2, 125]);
        host.query_v3("239.1.2.3", 100, [2, 125]);
        host.query_v3("239.1.2.3", 1, [2, 125]);
        host.query_v3("239.1.2.3", 100, [2, 125]);
        let sent = host.run(4000.0);
        assert!(matches!(&sent[..], [(sooner, _), (later, _)] if *sooner <= 0.1 && *later > 0.1), "{sent:?}");
    }
}

#[test]
fn rfc_3376_4_1_1_and_3810_5_1_3_times_are_read_as_floating_point() {
    let latest = |query: &dyn Fn(&mut Host)| {
        let mut latest: f64 = 0.0;
        for seed in 0..200 {
            let mut host = Host::seeded(seed);
            host.join("239.1.2.3");
            host.join("ff15::42");
            host.run(60.0);
            query(&mut host);
            latest = host.run(10_000.0).last().map_or(latest, |(at, _)| latest.max(*at));
        }
        latest
    };
    // The end of the range is measured: of 200 draws, some fall into the last fifth.
    let near = |latest: f64, expected: f64| latest <= expected && latest > expected * 0.8;
    for (code, expected) in [(127, 12.7), (0x80, 12.8), (0x9f, 49.6), (0xff, 3174.4)] {
        let found = latest(&|host| host.query_v3("0.0.0.0", code, [2, 125]));
        assert!(near(found, expected), "{code}: {found}, {expected}");
    }
    for (code, expected) in [(0x7fff, 32.767), (0x8000, 32.768), (0x9001, 65.552), (0xffff, 8387.584)] {
        let found = latest(&|host| host.query_mld("::", code, &[2, 125, 0, 0]));
        assert!(near(found, expected), "{code}: {found}, {expected}");
    }
    let found = latest(&|host| host.query_v2("0.0.0.0", 200));
    assert!(near(found, 20.0), "the older version has no floating point: {found}");
    let found = latest(&|host| host.query_mld("::", 0xffff, &[]));
    assert!(near(found, 65.535), "nor does that of MLD: {found}");
}

#[test]
fn rfc_3376_5_and_3810_6_all_hosts_groups_and_interface_local_groups_are_not_reported() {
    let mut host = Host::new();
    for group in ["224.0.0.1", "ff02::1", "ff00::5", "ff10::5", "ff01::1", "ff31::8"] {
        host.join(group);
        assert!(host.groups.is_member(group.parse().unwrap()));
    }
    host.query_v3("0.0.0.0", 10, [2, 125]);
    host.query_v3("224.0.0.1", 10, [2, 125]);
    host.query_mld("::", 100, &[2, 125, 0, 0]);
    host.query_mld("ff02::1", 100, &[]);
    host.groups.link_up(host.now);
    assert_eq!(host.run(60.0), []);
    for group in ["224.0.0.1", "ff02::1", "ff00::5", "ff10::5", "ff01::1", "ff31::8"] {
        host.leave(group);
    }
    assert_eq!((host.run(60.0), host.groups.len()), (vec![], 0));
    for group in ["224.0.0.1", "ff02::1", "ff01::1"] {
        assert!(host.groups.is_member(group.parse().unwrap()), "joined or not");
    }
    assert!(!host.groups.is_member("ff00::5".parse().unwrap()));
    // Other groups of the link are reported.
    host.join("224.0.0.2");
    host.join("ff02::2");
    assert_eq!(host.sent(), [records(0x22, &[(4, "224.0.0.2")]), records(143, &[(4, "ff02::2")])]);
}

#[test]
fn rfc_3376_7_2_1_an_older_querier_makes_the_host_speak_igmpv2_for_a_time() {
    let mut host = Host::joined(&["239.1.2.3"]);
    host.query_v2("239.1.2.3", 10);
    let sent = host.run(5.0);
    assert!(matches!(&sent[..], [(_, Sent::Records(0x22, _))]), "a query about a group does not change the version");
    // Two times the query interval of 60 seconds, plus the response time of 10 seconds.
    host.query_v3("239.9.9.9", 10, [2, 60]);
    host.query_v2("0.0.0.0", 100);
    let report = older(0x16, "239.1.2.3", "239.1.2.3");
    let sent = host.run(10.0);
    assert!(matches!(&sent[..], [(at, sent)] if *at <= 10.0 && *sent == report), "{sent:?}");
    host.join("239.1.2.4");
    let report = older(0x16, "239.1.2.4", "239.1.2.4");
    let sent = host.run(20.0);
    let [(first, one), (second, other)] = &sent[..] else { panic!("{sent:?}") };
    assert!(*first == 0.0 && *second <= 10.0 && *one == report && *other == report);
    host.leave("239.1.2.4");
    assert_eq!(host.run(20.0), [(0.0, older(0x17, "239.1.2.4", "224.0.0.2"))], "once, to all routers");
    // A query of the newest version does not change the version back, and is answered in the older version.
    host.query_v3("0.0.0.0", 100, [2, 60]);
    assert!(matches!(&host.run(79.9)[..], [(_, Sent::Older(0x16, ..))]));
    host.join("239.1.2.5");
    assert_eq!(host.sent(), [older(0x16, "239.1.2.5", "239.1.2.5")]);
    host.run(0.1);
    host.join("239.1.2.6");
    assert_eq!(host.sent(), [records(0x22, &[(4, "239.1.2.6")])], "after 130 seconds it is the newest again");
    let sent = host.run(20.0);
    assert!(matches!(&sent[..], [(_, Sent::Records(0x22, _))]), "what was to be repeated is void: {sent:?}");
}

#[test]
fn rfc_3376_7_2_1_an_igmpv1_querier_gets_no_leaves_and_allows_ten_seconds() {
    let mut latest: f64 = 0.0;
    for seed in 0..100 {
        let mut host = Host::seeded(seed);
        host.join("239.1.2.3");
        host.run(5.0);
        host.query_v2("0.0.0.0", 100);
        host.query_v2("0.0.0.0", 0);
        let report = older(0x12, "239.1.2.3", "239.1.2.3");
        let sent = host.run(20.0);
        assert!(matches!(&sent[..], [(at, sent)] if *at <= 10.0 && *sent == report), "{sent:?}");
        latest = latest.max(sent[0].0);
        host.leave("239.1.2.3");
        assert_eq!((host.run(20.0), host.groups.next_timeout()), (vec![], None));
    }
    assert!(latest > 9.0, "{latest}");
    let mut host = Host::joined(&["239.1.2.3"]);
    host.query_v2("0.0.0.0", 0);
    host.run(200.0);
    host.query_v2("0.0.0.0", 100);
    assert!(matches!(&host.run(59.0)[..], [(_, Sent::Older(0x12, ..))]), "the oldest one prevails");
    host.run(2.0);
    host.join("239.1.2.4");
    assert_eq!(host.sent(), [older(0x16, "239.1.2.4", "239.1.2.4")], "then the other one, which is still there");
}

#[test]
fn rfc_3810_8_2_1_an_older_querier_makes_the_host_speak_mldv1_for_a_time() {
    let mut host = Host::joined(&["ff15::42"]);
    host.query_mld("ff15::42", 1000, &[]);
    let report = older(131, "ff15::42", "ff15::42");
    let sent = host.run(5.0);
    assert!(matches!(&sent[..], [(at, sent)] if *at <= 1.0 && *sent == report), "{sent:?}");
    host.join("ff15::43");
    assert_eq!(host.run(11.0).len(), 2);
    host.leave("ff15::43");
    assert_eq!(host.run(5.0), [(0.0, older(132, "ff15::43", "ff02::2"))]);
    host.run(229.9);
    host.join("ff15::44");
    assert_eq!(host.sent(), [older(131, "ff15::44", "ff15::44")], "2 * 125 + 1 seconds");
    host.run(0.2);
    host.join("ff15::45");
    assert_eq!(host.sent(), [records(143, &[(4, "ff15::45")])]);
}

#[test]
fn rfc_2236_3_and_2710_4_a_group_that_others_report_is_neither_reported_nor_left() {
    let mut host = Host::joined(&["239.1.2.3", "ff15::42"]);
    host.query_v2("0.0.0.0", 100);
    host.query_mld("::", 10_000, &[]);
    let other = Ipv4Addr::new(192, 0, 2, 99);
    let (v1, v2) = ([0x12, 0, 0, 0, 239, 1, 2, 3], [0x16, 0, 0, 0, 239, 1, 2, 3]);
    let group_v6: Ipv6Addr = "ff15::42".parse().unwrap();
    let done = [&[131, 0, 0, 0, 0, 0, 0, 0][..], &group_v6.octets()].concat();
    // Reports of this host itself, from the unspecified address, or to another destination are ignored.
    host.hear_igmp(HOST, "239.1.2.3", &v2);
    host.hear_igmp(Ipv4Addr::UNSPECIFIED, "239.1.2.3", &v2);
    host.hear_igmp(other, "224.0.0.1", &v2);
    host.hear_mld(HOST_V6, "ff15::42", &done);
    host.hear_mld("::", "ff15::42", &done);
    host.hear_mld("fe80::99", "ff02::1", &done);
    assert_eq!(host.run(11.0).len(), 2);
    for report in [v1, v2] {
        host.query_v2("0.0.0.0", 100);
        host.query_mld("::", 10_000, &[]);
        host.hear_igmp(other, "239.1.2.3", &report);
        host.hear_mld("fe80::99", "ff15::42", &done);
        assert_eq!(host.run(11.0), []);
    }
    host.leave("239.1.2.3");
    host.leave("ff15::42");
    assert_eq!((host.run(11.0), host.groups.held() < 1000), (vec![], true), "others are still there");
    // Hosts of the newest versions do not process reports of others.
    let mut host = Host::joined(&["239.1.2.3", "ff15::42"]);
    host.query_v3("0.0.0.0", 100, [2, 125]);
    host.query_mld("::", 10_000, &[2, 125, 0, 0]);
    host.hear_igmp(other, "239.1.2.3", &v2);
    host.hear_mld("fe80::99", "ff15::42", &done);
    assert_eq!(host.run(11.0).len(), 2);
}

#[test]
fn rfc_2236_3_a_timer_that_expires_in_time_is_kept() {
    for seed in 0..50 {
        let mut host = Host::seeded(seed);
        host.join("239.1.2.3");
        host.run(5.0);
        host.query_v2("0.0.0.0", 10);
        (0..20).for_each(|_| host.query_v2("0.0.0.0", 250));
        assert!(matches!(&host.run(60.0)[..], [(at, _)] if *at <= 1.0));
        host.query_v2("0.0.0.0", 250);
        host.query_v2("239.1.2.3", 10);
        assert!(matches!(&host.run(60.0)[..], [(at, _)] if *at <= 1.0));
    }
}

#[test]
fn rfc_3376_9_1_and_3810_6_2_queries_that_do_not_come_from_a_router_of_this_link_are_ignored() {
    let good = igmp(&[0x11, 10, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0]);
    let about = igmp(&[0x11, 10, 0, 0, 239, 1, 2, 3, 2, 125, 0, 0]);
    let unicast = igmp(&[0x11, 10, 0, 0, 192, 0, 2, 7, 2, 125, 0, 0]);
    let long = igmp(&[0x11, 10, 0, 0, 0, 0, 0, 0, 2, 125]);
    let mut wrong = good.clone();
    wrong[2] ^= 1;
    let query = Received {
        source: ROUTER.into(),
        destination: ALL.into(),
        hop_limit: 1,
        hop_by_hop: &[],
        message: &good,
        verify: true,
    };
    const ALL: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
    let group: IpAddr = "239.1.2.3".parse().unwrap();
    let taken = [
        query,
        Received { source: Ipv4Addr::UNSPECIFIED.into(), ..query },
        Received { message: &wrong, verify: false, ..query },
        Received { message: &about, ..query },
        Received { message: &about, destination: group, ..query },
    ];
    let refused = [
        Received { hop_limit: 2, ..query },
        Received { hop_limit: 255, ..query },
        Received { source: group, ..query },
        Received { source: Ipv4Addr::BROADCAST.into(), ..query },
        Received { source: Ipv4Addr::LOCALHOST.into(), ..query },
        Received { destination: HOST.into(), ..query },
        Received { destination: group, ..query },
        Received { message: &about, destination: HOST.into(), ..query },
        Received { message: &unicast, ..query },
        Received { message: &unicast, destination: HOST.into(), ..query },
        Received { message: &long, ..query },
        Received { message: &good[..7], verify: false, ..query },
        Received { message: &[], verify: false, ..query },
        Received { message: &wrong, ..query },
    ];
    check(&taken, &refused);
    let (from, all, address) = (ROUTER_V6, "ff02::1", |text: &str| -> IpAddr { text.parse().unwrap() });
    let message = |group: &str, rest: &[u8]| {
        let group: Ipv6Addr = group.parse().unwrap();
        [&[130, 0, 0, 0, 0, 100, 0, 0][..], &group.octets(), rest].concat()
    };
    let good = mld(from, all, &message("::", &[2, 125, 0, 0]));
    let about = mld(from, "ff15::42", &message("ff15::42", &[2, 125, 0, 0]));
    let unicast = mld(from, HOST_V6, &message(HOST_V6, &[2, 125, 0, 0]));
    let to_host = mld(from, HOST_V6, &message("::", &[2, 125, 0, 0]));
    let between = mld(from, all, &message("::", &[2, 125]));
    let routed = mld("2001:db8::1", all, &message("::", &[2, 125, 0, 0]));
    let nameless = mld("::", all, &message("::", &[2, 125, 0, 0]));
    let mut wrong = good.clone();
    wrong[3] ^= 1;
    let query =
        Received { source: address(from), destination: address(all), hop_by_hop: &ALERT, message: &good, ..query };
    let taken = [
        query,
        Received { hop_by_hop: &[0, 1, 0, 5, 2, 0, 0], ..query },
        Received { message: &wrong, verify: false, ..query },
        Received { message: &about, destination: address("ff15::42"), ..query },
    ];
    let refused = [
        Received { hop_limit: 255, ..query },
        Received { hop_by_hop: &[], ..query },
        Received { hop_by_hop: &[1, 4, 0, 0, 0, 0], ..query },
        Received { hop_by_hop: &[5, 2, 0, 1, 1, 0], ..query },
        Received { hop_by_hop: &[5, 200, 0, 0], ..query },
        Received { source: address("2001:db8::1"), message: &routed, ..query },
        Received { source: address("::"), message: &nameless, ..query },
        Received { destination: address(HOST_V6), message: &to_host, ..query },
        Received { destination: address(HOST_V6), message: &unicast, ..query },
        Received { message: &between, ..query },
        Received { message: &good[..23], verify: false, ..query },
        Received { message: &wrong, ..query },
    ];
    check(&taken, &refused);
}

fn check(taken: &[Received<'_>], refused: &[Received<'_>]) {
    for (expected, list) in [(1, taken), (0, refused)] {
        for received in list {
            let mut host = Host::joined(&["239.1.2.3", "ff15::42"]);
            host.hear(received);
            assert_eq!(host.run(60.0).len(), expected, "{received:?}");
        }
    }
}
