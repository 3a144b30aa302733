use std::time::Duration;

use super::*;

fn parse(text: &str) -> InterfacePlan {
    InterfacePlan::parse(text).unwrap_or_else(|problem| panic!("{problem}"))
}

/// Checks the message about an invalid option: it must name the option and contain all of `words`.
fn problem(text: &str, words: &[&str]) {
    let problem = InterfacePlan::parse(text).expect_err(text);
    assert!(problem.starts_with("--interface "), "{problem}");
    for word in words {
        assert!(problem.contains(word), "{word:?} is not in {problem:?}");
    }
}

#[test]
fn a_tap_interface_with_everything() {
    let plan = parse(
        "eth0=tap,device=tap0,addr=192.0.2.2/24,addr=2001:db8::2/64,gateway=192.0.2.1,gateway=fe80::1,dns=192.0.2.53,\
         dns=2001:db8::53,search=corp.example,search=example.,mac=02:00:00:00:00:07,mtu=9000",
    );
    assert_eq!(plan.name, "eth0");
    assert_eq!(plan.kind, Kind::Tap { device: "tap0".into(), mtu: Some(9000) });
    assert_eq!(plan.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.2/24", "2001:db8::2/64"]);
    assert_eq!(
        plan.routes.iter().map(|route| route.gateway().to_string()).collect::<Vec<_>>(),
        ["192.0.2.1", "fe80::1"]
    );
    assert_eq!(plan.dns_servers.len(), 2);
    assert_eq!(plan.search_domains, ["corp.example", "example."]);
    assert_eq!(plan.hardware_address.map(|mac| mac.to_string()).as_deref(), Some("02:00:00:00:00:07"));
    assert_eq!(plan.option(), "--interface eth0=tap");
}

#[test]
fn a_hub_interface_with_everything() {
    let plan = parse(
        "a=hub,hub=net,addr=10.0.0.1/24,gateway=10.0.0.254,latency=5ms,jitter=1ms,loss=1%,duplication=0.5%,\
         reordering=0.25,rate=100Mbit,queue=64,seed=7,mtu=9000,mac=02:00:00:00:00:01",
    );
    let Kind::Hub { hub, options } = plan.kind else { panic!("{:?}", plan.kind) };
    assert_eq!(hub, "net");
    assert_eq!(
        options,
        [
            HubOption::Latency(Duration::from_millis(5)),
            HubOption::Jitter(Duration::from_millis(1)),
            HubOption::Loss(0.01),
            HubOption::Duplication(0.005),
            HubOption::Reordering(0.25),
            HubOption::Rate(100_000_000),
            HubOption::Queue(64),
            HubOption::Seed(7),
            HubOption::Mtu(9000),
        ]
    );
}

#[test]
fn a_gateway_needs_nothing_and_takes_what_it_leads_to() {
    let plan = parse("eth0=gateway");
    assert_eq!(
        (plan.kind, plan.addresses.len(), plan.dhcp),
        (Kind::Gateway { hub: None, options: GatewayPlan::default() }, 0, false)
    );
    let plan =
        parse("eth0=gateway,network=10.9.0.1/24,mtu=1500,allow-private,allow-host=8080,allow-host=10.1.2.3:80,dhcp");
    let Kind::Gateway { options: gateway, .. } = plan.kind else { panic!("{:?}", plan.kind) };
    let options = gateway.options();
    assert_eq!((options.v4, options.mtu), (([10, 9, 0, 1].into(), 24), 1500));
    assert_eq!((options.outside.private, options.outside.allowed.len(), plan.dhcp), (true, 2, true));
    problem("eth0=gateway,network=10.0.2.0/24", &["network=10.0.2.0/24", "such as 10.0.2.2/24"]);
    problem("eth0=gateway,network=fd00::1/64", &["network=fd00::1/64", "such as 10.0.2.2/24"]);
    problem("eth0=gateway,allow-host=example.org", &["allow-host=example.org", "8080"]);
    problem("eth0=gateway,allow-private=yes", &["it takes on or off"]);
    problem("eth0=gateway,gateway=10.0.2.2", &["unknown key gateway=", "allow-host=", "allow-private"]);
    problem("a=hub,hub=net,addr=10.0.0.1/24,allow-private", &["unknown key allow-private="]);
}

#[test]
fn a_loopback_has_the_usual_addresses_by_default() {
    assert_eq!(parse("lo2=loopback").addresses, InterfacePlan::loopback().addresses);
    assert_eq!(parse("lo2=loopback,addr=127.0.0.9/8").addresses.len(), 1);
}

#[test]
fn the_option_needs_a_name_and_a_known_kind() {
    for text in ["", "eth0", "=tap"] {
        problem(text, &["NAME=KIND"]);
    }
    problem("eth0=", &["missing kind", "gateway, hub, loopback and tap"]);
    problem("eth0=wifi,addr=1.2.3.4/8", &["unknown kind wifi", "gateway, hub, loopback and tap"]);
    problem("lo=loopback", &["lo is always there", "another name"]);
    problem("lo=tap,device=tap0", &["lo is always there"]);
}

#[test]
fn an_address_may_come_from_the_link() {
    let plan = parse("eth0=tap,device=tap0,dhcp");
    assert!(plan.dhcp && !plan.autoconfiguration && plan.addresses.is_empty());
    let plan = parse("a=hub,hub=net,dhcp=on,autoconf,gateway=fe80::1,dns=192.0.2.53");
    assert!(plan.dhcp && plan.autoconfiguration);
    assert_eq!(plan.routes.len(), 1);
    assert!(parse("a=hub,hub=net,autoconfiguration").autoconfiguration);
    let plan = parse("a=hub,hub=net,addr=10.0.0.1/24,dhcp=off,autoconf=off");
    assert!(!plan.dhcp && !plan.autoconfiguration);
    assert!(!parse("a=hub,hub=net,autoconf").temporary);
    assert!(parse("a=hub,hub=net,autoconf,temporary").temporary);
    assert!(!parse("a=hub,hub=net,dhcp,temporary=off").temporary);
}

#[test]
fn dhcp_and_autoconfiguration_need_an_ethernet_link() {
    for text in ["dhcp", "dhcp=on", "dhcp=off", "autoconf", "autoconfiguration", "temporary"] {
        problem(&format!("l=loopback,{text}"), &["l=loopback: ", "needs an Ethernet link"]);
    }
    for (text, words) in [
        ("dhcp=yes", &["dhcp=yes: it takes on or off"][..]),
        ("dhcp=", &["dhcp= has no value"]),
        ("dhcp,dhcp", &["dhcp=on: given twice"]),
        ("dhcp,dhcp=off", &["dhcp=off: given twice"]),
        ("autoconf,autoconfiguration", &["given twice"]),
        ("dhcp,temporary", &["temporary: ", "autoconf"]),
        ("dhcp=off", &["missing key addr=", "dhcp"]),
        ("dhcp,gateway=10.0.0.1", &["gateway=10.0.0.1: no address is on the same network", "addr="]),
    ] {
        problem(&format!("e=tap,device=tap0,{text}"), words);
    }
    problem("e=tap,device=tap0,adress=1.2.3.4/8", &["dhcp, autoconf"]);
}

#[test]
fn every_kind_takes_a_congestion_control() {
    use CongestionAlgorithm::{Bbr, Cubic, None as Unlimited};
    for (text, congestion) in [
        ("e=tap,device=t,addr=10.0.0.2/24,congestion=cubic", Some(Cubic)),
        ("a=hub,hub=net,dhcp,congestion=none", Some(Unlimited)),
        ("l=loopback,congestion=cubic", Some(Cubic)),
        ("a=hub,hub=net,dhcp,congestion=bbr", Some(Bbr)),
        ("l=loopback", None),
    ] {
        assert_eq!(parse(text).congestion, congestion, "{text}");
    }
    problem("a=hub,hub=net,congestion=reno", &["a=hub: congestion=reno: there are", "cubic, bbr and none"]);
    problem("l=loopback,congestion=", &["congestion= has no value"]);
    problem("l=loopback,congestion=none,congestion=cubic", &["congestion=cubic: given twice"]);
}

#[test]
fn missing_keys_are_named_with_a_remedy() {
    problem("eth0=tap,addr=192.0.2.2/24", &["eth0=tap: missing key device=", "ip tuntap add tap0 mode tap"]);
    problem("eth0=tap,device=tap0", &["missing key addr=", "addr=192.0.2.2/24"]);
    problem("a=hub,addr=10.0.0.1/24", &["missing key hub=", "hub=net"]);
    problem("a=hub,hub=net", &["missing key addr="]);
}

#[test]
fn unknown_keys_are_named_with_those_there_are() {
    problem("eth0=tap,device=tap0,adress=1.2.3.4/8", &["unknown key adress=", "tap takes device=, addr="]);
    problem("eth0=tap,device=tap0,latency=5ms", &["unknown key latency="]);
    problem("a=hub,device=tap0", &["unknown key device=", "hub takes hub=, addr=", "seed="]);
    problem("l=loopback,mtu=1500", &["unknown key mtu=", "loopback takes addr="]);
    problem("a=hub,hub=net,fast", &["fast is not key=value"]);
    problem("a=hub,hub=net,,addr=10.0.0.1/24", &["a comma too many"]);
    problem("a=hub,hub=,addr=10.0.0.1/24", &["hub= has no value"]);
}

#[test]
fn keys_with_a_single_value_cannot_be_repeated() {
    for twice in ["device=tap0,device=tap1", "mac=02:00:00:00:00:01,mac=02:00:00:00:00:01", "mtu=1500,mtu=1500"] {
        problem(&format!("e=tap,{twice}"), &["given twice"]);
    }
    for twice in ["hub=a,hub=b", "loss=1%,loss=2%", "seed=1,seed=1", "addr=10.0.0.1/24,addr=10.0.0.1/8"] {
        problem(&format!("e=hub,{twice}"), &["given twice"]);
    }
    problem(
        "e=tap,device=t,addr=10.0.0.1/24,gateway=10.0.0.2,gateway=10.0.0.3",
        &["gateway=10.0.0.3", "one gateway per family"],
    );
}

#[test]
fn bad_values_are_named_with_their_key() {
    for (pair, word) in [
        ("addr=10.0.0.1", "such as 10.0.0.1/24"),
        ("addr=fd00::1", "such as fd00::1/64"),
        ("addr=10.0.0.1/33", "from 0 to 32"),
        ("addr=fd00::1/129", "from 0 to 128"),
        ("addr=10.0.0.1/", "from 0 to 32"),
        ("addr=10.0.0/8", "not an IPv4 or IPv6 address"),
        ("addr=example.org/8", "not an IPv4 or IPv6 address"),
        ("addr=224.0.0.1/4", "not an address that a host can have"),
        ("addr=0.0.0.0/0", "not an address that a host can have"),
        ("addr=::/0", "not an address that a host can have"),
        ("addr=::ffff:10.0.0.1/96", "write it as an IPv4 address"),
        ("gateway=10.0.0.0/24", "not an IPv4 or IPv6 address"),
        ("gateway=255.255.255.255", "not an address that a host can have"),
        ("dns=localhost", "not an IPv4 or IPv6 address"),
        ("search=a..b", "not a domain"),
        ("search=localhost", "not a domain"),
        ("mac=ff:ff:ff:ff:ff:ff", "unicast hardware address"),
        ("mac=2:0:0:0:0:1", "unicast hardware address"),
        ("mtu=big", "not a whole number"),
    ] {
        problem(&format!("e=tap,device=tap0,{pair}"), &["e=tap: ", pair, word]);
    }
    for pair in ["latency=5", "loss=5", "rate=100", "seed=-1", "mtu=68", "queue=0", "jitter=2h"] {
        problem(&format!("e=hub,hub=net,{pair}"), &["e=hub: ", pair]);
    }
}

#[test]
fn an_address_alone_in_its_network_may_have_a_router_outside_of_it() {
    let plan = parse("e=tap,device=t,addr=192.0.2.5/32,gateway=192.0.2.1,addr=2001:db8::5/128,gateway=2001:db8:1::1");
    let gateways: Vec<String> = plan.routes.iter().map(|route| route.gateway().to_string()).collect();
    assert_eq!(gateways, ["192.0.2.1", "2001:db8:1::1"]);
    problem("e=tap,device=t,addr=192.0.2.5/32,gateway=fd00::1", &["gateway=fd00::1: not on the link"]);
}

#[test]
fn a_gateway_is_on_the_link() {
    problem("e=tap,device=t,addr=10.0.0.2/24,gateway=10.0.1.1", &["gateway=10.0.1.1: not on the link", "10.0.0.2/24"]);
    problem("e=tap,device=t,addr=10.0.0.2/24,gateway=10.0.0.2", &["own address"]);
    parse("e=tap,device=t,gateway=10.0.0.1,addr=10.0.0.2/24");
    parse("e=tap,device=t,addr=fd00::2/64,gateway=fe80::1");
}
