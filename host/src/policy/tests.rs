//! Tests of the decisions of policies, and of the text form of rules.

use core::net::SocketAddr;

use super::*;

fn policy(text: &str) -> Policy {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn socket(text: &str) -> SocketAddr {
    text.parse().expect(text)
}

/// A request about a peer.
fn to(operation: Operation, remote: &str) -> Request<'static> {
    Request { remote: Some(socket(remote)), ..Request::new(operation) }
}

/// A request about the guest's own address.
fn at(operation: Operation, local: &str) -> Request<'static> {
    Request { local: Some(socket(local)), ..Request::new(operation) }
}

/// A request about a packet that has arrived from a peer.
fn from(operation: Operation, remote: &str, local: &str) -> Request<'static> {
    Request { local: Some(socket(local)), ..to(operation, remote) }
}

fn name(name: &str) -> Request<'_> {
    Request { name: Some(name), ..Request::new(Operation::Resolve) }
}

fn allows(policy: &Policy, request: Request<'_>) -> bool {
    policy.decide(&request).action == Action::Allow
}

#[test]
fn nothing_is_allowed_that_no_rule_allows() {
    let requests = [
        to(Operation::TcpConnect, "10.0.0.1:80"),
        at(Operation::TcpBind, "0.0.0.0:0"),
        at(Operation::TcpListen, "0.0.0.0:80"),
        from(Operation::TcpAccept, "10.0.0.9:5000", "10.0.0.1:80"),
        at(Operation::UdpBind, "[::]:0"),
        to(Operation::UdpSend, "[2001:db8::1]:53"),
        to(Operation::Ping, "10.0.0.1:0"),
        Request::new(Operation::Ping),
        name("example.org"),
        Request::new(Operation::ControlRead),
    ];
    for request in requests {
        assert!(!allows(&Policy::default(), request) && allows(&Policy::allow_all(), request), "{request:?}");
        assert!(!allows(&policy("deny any\nallow any"), request), "{request:?}");
    }
}

#[test]
fn the_first_rule_that_covers_decides_and_is_told() {
    let policy = policy("deny tcp connect 10.0.0.66\n\nallow tcp connect 10.0.0.0/8:80,443 # the web\ndeny tcp any\n");
    let decide = |remote| {
        let request = to(Operation::TcpConnect, remote);
        let Decision { action, rule } = policy.decide(&request);
        (action, rule.map(Rule::line))
    };
    assert_eq!(decide("10.0.0.66:80"), (Action::Deny, Some(1)));
    assert_eq!(decide("10.9.9.9:443"), (Action::Allow, Some(3)));
    assert_eq!(decide("10.9.9.9:444"), (Action::Deny, Some(4)));
    assert_eq!(decide("[2001:db8::1]:80"), (Action::Deny, Some(4)));
    assert_eq!(policy.decide(&to(Operation::UdpSend, "10.0.0.1:80")).rule, None);
}

#[test]
fn names_are_looked_up_only_for_a_policy_that_compares_them() {
    for (text, compares) in [
        ("", false),
        ("allow any", false),
        ("allow tcp connect 10.0.0.0/8:443\nallow udp bind :53 from 10.0.0.1", false),
        ("allow tcp connect 10.0.0.0/8\ndeny udp send example.org", true),
        ("allow icmp *.example.org", true),
    ] {
        assert_eq!(policy(text).compares_names(), compares, "{text}");
    }
    assert!(Policy::from_fn(|_| Action::Deny).compares_names());
}

#[test]
fn an_ipv4_mapped_address_is_the_ipv4_address() {
    for text in [
        "allow tcp connect 10.0.0.0/8",
        "allow tcp connect ::ffff:10.0.0.0/104",
        "allow tcp connect [::ffff:10.0.0.0/104]:80",
    ] {
        let policy = policy(text);
        assert!(allows(&policy, to(Operation::TcpConnect, "10.1.2.3:80")), "{text}");
        assert!(allows(&policy, to(Operation::TcpConnect, "[::ffff:10.1.2.3]:80")), "{text}");
        assert!(!allows(&policy, to(Operation::TcpConnect, "[::ffff:11.1.2.3]:80")), "{text}");
    }
    let few = policy("allow udp any from 10.0.0.0/8");
    assert!(allows(&few, from(Operation::UdpReceive, "10.9.9.9:1", "10.0.0.1:7")));
    assert!(!allows(&few, from(Operation::UdpReceive, "11.9.9.9:1", "10.0.0.1:7")), "whoever it may send to");
    assert!(!allows(&few, from(Operation::UdpReceive, "11.9.9.9:1", "224.0.0.251:7")));
    let group = policy("allow udp multicast 224.0.0.251");
    assert!(allows(&group, from(Operation::UdpReceive, "10.0.0.9:5353", "[::ffff:224.0.0.251]:5353")));
    let denying = policy("deny tcp connect 169.254.0.0/16\nallow any");
    assert!(!allows(&denying, to(Operation::TcpConnect, "[::ffff:169.254.169.254]:80")));
}

#[test]
fn a_listener_takes_connections_and_only_from_whom_it_may() {
    let policy = policy("deny tcp accept 10.0.0.66\nallow tcp listen :80,8000-8001 from 10.0.0.0/8 on eth0");
    let on = |interface, request| Request { interface: Some(interface), ..request };
    assert!(allows(&policy, on("eth0", at(Operation::TcpListen, "0.0.0.0:80"))));
    assert!(allows(&policy, on("eth0", at(Operation::TcpBind, "10.0.0.1:8001"))), "to listen there");
    assert!(!allows(&policy, on("eth0", at(Operation::TcpListen, "0.0.0.0:81"))));
    assert!(!allows(&policy, on("eth1", at(Operation::TcpListen, "0.0.0.0:80"))));
    assert!(!allows(&policy, at(Operation::TcpListen, "0.0.0.0:80")), "on all interfaces");
    assert!(allows(&policy, on("eth0", from(Operation::TcpAccept, "10.0.0.9:5000", "10.0.0.1:80"))));
    assert!(!allows(&policy, on("eth0", from(Operation::TcpAccept, "10.0.0.66:5000", "10.0.0.1:80"))));
    assert!(!allows(&policy, on("eth0", from(Operation::TcpAccept, "192.0.2.1:5000", "10.0.0.1:80"))));
    assert!(!allows(&policy, on("eth1", from(Operation::TcpAccept, "10.0.0.9:5000", "10.0.0.1:80"))));
}

#[test]
fn a_wildcard_is_no_way_round_a_rule_about_one_address() {
    let one = policy("allow tcp listen 10.0.0.1:80");
    assert!(allows(&one, at(Operation::TcpListen, "10.0.0.1:80")));
    assert!(!allows(&one, at(Operation::TcpListen, "0.0.0.0:80")) && !allows(&one, at(Operation::TcpBind, "[::]:80")));
    let but_one = policy("deny tcp listen 10.0.0.1\nallow tcp listen 0.0.0.0/0:80");
    assert!(
        allows(&but_one, at(Operation::TcpListen, "0.0.0.0:80"))
            && !allows(&but_one, at(Operation::TcpListen, "[::]:80"))
    );
    assert!(allows(&but_one, from(Operation::TcpAccept, "192.0.2.1:1", "10.0.0.2:80")));
    assert!(!allows(&but_one, from(Operation::TcpAccept, "192.0.2.1:1", "10.0.0.1:80")));
    let inside = policy("deny udp bind any on eth1\nallow udp bind any\nallow udp send any");
    let on = |interface, request| Request { interface: Some(interface), ..request };
    let arrival = from(Operation::UdpReceive, "192.0.2.1:1", "10.0.0.1:80");
    assert!(allows(&inside, at(Operation::UdpBind, "0.0.0.0:80")), "on all interfaces");
    assert!(allows(&inside, on("eth0", arrival)) && !allows(&inside, on("eth1", arrival)));
    let client = policy("deny udp bind any\nallow udp send 10.0.0.2");
    assert!(allows(&client, from(Operation::UdpReceive, "10.0.0.2:1", "10.0.0.1:40000")), "an answer");
}

#[test]
fn who_sends_is_answered_and_who_is_bound_receives() {
    let client = policy("allow udp send 10.0.0.53:53");
    assert!(allows(&client, at(Operation::UdpBind, "0.0.0.0:0")), "a port of chance");
    assert!(!allows(&client, at(Operation::UdpBind, "0.0.0.0:53")), "a port of its own");
    assert!(allows(&client, from(Operation::UdpReceive, "10.0.0.53:53", "10.0.0.1:40000")));
    assert!(!allows(&client, from(Operation::UdpReceive, "10.0.0.53:54", "10.0.0.1:40000")));
    let server = policy("allow udp bind :7 from 10.0.0.0/8");
    assert!(allows(&server, from(Operation::UdpReceive, "10.9.9.9:1", "10.0.0.1:7")));
    assert!(!allows(&server, from(Operation::UdpReceive, "11.9.9.9:1", "10.0.0.1:7")));
    assert!(!allows(&server, to(Operation::UdpSend, "10.9.9.9:1")), "an answer is a datagram too");
    let group = policy("allow udp multicast 224.0.0.251");
    assert!(allows(&group, from(Operation::UdpReceive, "10.0.0.9:5353", "224.0.0.251:5353")));
    assert!(!allows(&group, from(Operation::UdpReceive, "10.0.0.9:5353", "10.0.0.1:5353")));
    assert!(!allows(&group, to(Operation::UdpSend, "10.0.0.9:5353")));
}

#[test]
fn a_name_admits_the_addresses_that_it_gave() {
    let policy =
        policy("deny tcp connect bad.example.org\nallow tcp connect *.example.org:443\nallow udp send time.test:123");
    for (allowed, asked) in [
        (true, "a.example.org"),
        (true, "b.a.example.org"),
        (true, "time.test"),
        (true, "bad.example.org"),
        (false, "example.org"),
        (false, "notexample.org"),
        (false, "x.time.test"),
    ] {
        assert_eq!(allows(&policy, name(asked)), allowed, "{asked}");
    }
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let known_as = |known: &[&str], remote| {
        let names = names(known);
        allows(&policy, Request { names: &names, ..to(Operation::TcpConnect, remote) })
    };
    assert!(known_as(&["a.example.org"], "192.0.2.1:443"));
    assert!(!known_as(&["a.example.org"], "192.0.2.1:80"));
    assert!(!known_as(&["a.test"], "192.0.2.1:443") && !known_as(&[], "192.0.2.1:443"));
    assert!(!known_as(&["bad.example.org", "a.example.org"], "192.0.2.1:443"));
}

#[test]
fn commands_are_allowed_one_by_one() {
    let policy = policy("allow control read\nallow control write set-mtu on eth0");
    let command = |operation, command, interface| {
        allows(&policy, Request { command: Some(command), interface: Some(interface), ..Request::new(operation) })
    };
    assert!(command(Operation::ControlRead, "list-routes", "eth1"));
    assert!(command(Operation::ControlWrite, "set-mtu", "eth0"));
    assert!(!command(Operation::ControlWrite, "set-mtu", "eth1"));
    assert!(!command(Operation::ControlWrite, "add-route", "eth0"));
}

#[test]
fn a_function_may_decide() {
    let policy = Policy::from_fn(|request| match request.remote {
        Some(remote) if remote.port() == 80 => Action::Allow,
        _ => Action::Deny,
    });
    assert!(allows(&policy, to(Operation::TcpConnect, "10.0.0.1:80")));
    assert!(!allows(&policy, to(Operation::TcpConnect, "10.0.0.1:81")));
    assert!(policy.rules().is_empty());
}

#[test]
fn rules_are_written_as_they_are_read() {
    for text in [
        "allow any any",
        "deny udp any",
        "allow tcp connect *.example.org:443",
        "allow tcp connect,listen 10.0.0.0/8:80,8000-8999 from 10.0.0.0/8 on eth0",
        "deny tcp listen :22",
        "allow udp send [2001:db8::/32]:53",
        "allow udp send 2001:db8::53",
        "allow icmp any",
        "allow dns xn--bcher-kva.example",
        "allow control read list-routes on lo",
        "allow tcp any connect",
        "deny tcp any intranet",
        "allow dns resolve intranet",
        "allow control any set-mtu",
        "allow tcp connect any.",
        "deny tcp connect any.:80",
        "allow tcp connect from.",
        "allow icmp ping on. on on",
        "allow udp send [::ffff:10.0.0.1]:53",
        "allow any :443",
    ] {
        let read = policy(text);
        let written = read.rules()[0].to_string();
        assert_eq!(policy(&written).rules()[0].to_string(), written, "{text}");
        assert_eq!(policy(&written).rules(), read.rules(), "{text} became {written}");
    }
    assert_eq!(
        policy("allow tcp connect WWW.Example.ORG.:80").rules()[0].to_string(),
        "allow tcp connect www.example.org:80"
    );
}

#[test]
fn a_rule_about_ports_or_peers_is_not_about_names_and_commands() {
    let requests = [name("example.org"), Request { command: Some("set-mtu"), ..Request::new(Operation::ControlWrite) }];
    for request in requests {
        for text in ["allow any :443", "allow any from 10.0.0.0/8", "allow any any:1-65535 on lo"] {
            assert!(!allows(&policy(text), Request { interface: Some("lo"), ..request }), "{text}: {request:?}");
        }
        assert!(allows(&policy("deny any :443\ndeny any from 10.0.0.0/8\nallow any"), request), "{request:?}");
        assert!(allows(&policy("allow any from any"), request), "{request:?}");
    }
    assert!(allows(&policy("allow any :443"), to(Operation::TcpConnect, "10.0.0.1:443")));
}

#[test]
fn a_message_shows_the_line_and_is_not_obeyed_by_a_terminal() {
    let error = "allow tcp \u{1b}[2J\u{202e}\u{b}any".parse::<Policy>().map(drop).expect_err("no operation");
    let shown = error.to_string();
    assert_eq!(
        shown.lines().collect::<Vec<_>>()[1..],
        ["  allow tcp \u{fffd}[2J\u{fffd}\u{fffd}any", "            ^^^^^"]
    );
    let error = "allow tcp connect any on".parse::<Policy>().map(drop).expect_err("no interface");
    let shown = error.to_string();
    assert_eq!(shown.lines().map(str::len).skip(1).collect::<Vec<_>>(), [26, 28], "the mark is behind the line");
    let error = policy("allow any").explain("tcp\nconect").map(drop).expect_err("no operation");
    assert_eq!(error.to_string().lines().count(), 3, "{error}");
}

#[test]
fn what_is_wrong_is_pointed_at() {
    for (text, column, length, problem) in [
        ("alow tcp", 1, 4, "neither allow nor deny"),
        ("allow", 7, 0, "a protocol is missing"),
        ("allow sctp any", 7, 4, "no protocol"),
        ("allow tcp conect any", 11, 6, "no operation of tcp: connect, bind, listen, accept or any"),
        ("allow tcp connect,send any", 11, 12, "\"send\" is no operation"),
        ("allow tcp connect 10.0.0.0/33", 19, 11, "no length of a prefix"),
        ("allow tcp connect 10.0.0.256", 19, 10, "no address, network or name"),
        ("allow tcp connect a.*.org", 19, 7, "in front of a domain only"),
        ("allow tcp connect example.org:80-79", 19, 17, "no range of ports"),
        ("allow tcp connect example.org:+80", 19, 15, "no port"),
        ("allow tcp connect [10.0.0.1]:80", 19, 13, "no IPv6 address"),
        ("allow tcp connect :80 from 10.0.0.0/8", 23, 4, "only rules about tcp listen and udp bind"),
        ("allow tcp listen :80 from *.example.org", 27, 13, "peers are addresses"),
        ("allow tcp listen :80 from", 27, 0, "the peers is missing"),
        ("allow tcp listen :80 on", 25, 0, "the name of an interface is missing"),
        ("allow tcp listen :80 on eth0 eth1", 30, 4, "follows the end"),
        ("allow dns 10.0.0.1", 11, 8, "names are resolved"),
        ("allow icmp ping 10.0.0.1:7", 17, 10, "no ports"),
        ("allow control write Set_MTU", 21, 7, "no command"),
        ("deny tcp connect ANY", 18, 3, "no word of rules"),
        ("deny tcp connect \u{ff41}\u{ff4e}\u{ff59}:80", 18, 6, "no word of rules"),
        ("allow tcp connect \u{ff11}\u{ff10}.0.0.1", 19, 8, "no address, network or name"),
        ("allow tcp connect 10.0.0.0/+8", 19, 11, "no length of a prefix"),
        ("allow tcp connect ::ffff:10.0.0.0/64", 19, 18, "no length of a prefix: 96 to 128"),
        ("allow tcp connect [::]1", 19, 5, "no IPv6 address"),
        ("deny tcp listen any on eth0,eth1", 24, 9, "no name of an interface"),
    ] {
        let text = format!("allow any # fine\n\t {text}");
        let error = text.parse::<Policy>().map(|policy| format!("{policy:?}")).expect_err(&text);
        assert_eq!((error.line, error.column, error.length), (2, column + 2, length), "{error}");
        assert!(error.problem.contains(problem), "{error}");
        let marks = error.to_string().lines().last().map(|line| line.matches('^').count());
        assert_eq!(marks, Some(length.max(1)), "{error}");
    }
}
