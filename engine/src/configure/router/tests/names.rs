//! Tests of DNS servers and search domains from router advertisements.

use super::*;

fn server(number: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number)
}

fn known(interface: &Interface) -> Vec<String> {
    interface.discovery.servers().map(|server| server.to_string()).collect()
}

fn domains(interface: &Interface) -> Vec<&str> {
    interface.discovery.domains().collect()
}

#[test]
fn servers_are_told_when_they_change_and_those_that_are_new_come_first() {
    let mut interface = Interface::new();
    let first = [servers(600, &[server(1), v6("fe80::53")])];
    assert_eq!(interface.receive(ROUTER, 0, router(0), &first), [Effect::Servers]);
    assert_eq!(known(&interface), ["2001:db8::1", "fe80::53"]);
    assert_eq!(interface.receive(ROUTER, 10, router(0), &first), []);
    assert_eq!(interface.discovery.next_timeout(), Some(at(610)));
    let second = [servers(60, &[server(2)]), servers(FOREVER, &[server(3), server(1)])];
    assert_eq!(interface.receive(OTHER, 10, router(0), &second), [Effect::Servers]);
    assert_eq!(known(&interface), ["2001:db8::2", "2001:db8::3", "2001:db8::1", "fe80::53"], "RFC 8106 section 6.2");
    let gone = [servers(0, &[server(3), server(9)])];
    assert_eq!(interface.receive(OTHER, 10, router(0), &gone), [Effect::Servers]);
    assert_eq!(known(&interface), ["2001:db8::2", "2001:db8::1", "fe80::53"]);
}

#[test]
fn servers_are_there_for_their_lifetimes() {
    let mut interface = Interface::new();
    let options = [servers(60, &[server(1)]), servers(FOREVER, &[server(2)]), servers(30, &[server(3)])];
    interface.receive(ROUTER, 0, router(1), &options);
    for (time, left) in [(30, vec!["2001:db8::1", "2001:db8::2"]), (60, vec!["2001:db8::2"])] {
        assert_eq!(interface.discovery.next_timeout(), Some(at(time)));
        assert_eq!(interface.discovery.poll(at(time - 1), &mut interface.random), None);
        assert_eq!(interface.discovery.poll(at(time), &mut interface.random), Some(Effect::Servers));
        assert_eq!(interface.discovery.poll(at(time), &mut interface.random), None);
        assert_eq!(known(&interface), left);
    }
    assert_eq!(interface.discovery.next_timeout(), None);
}

#[test]
fn the_server_that_is_over_first_gives_way_to_one_that_lasts_longer() {
    let mut interface = Interface::new();
    let options = [servers(600, &[server(1), server(2)]), servers(60, &[server(3), server(4)])];
    interface.receive(ROUTER, 0, router(0), &options);
    assert_eq!(interface.receive(ROUTER, 0, router(0), &[servers(60, &[server(5)])]), [], "it lasts no longer");
    assert_eq!(interface.discovery.left_out(), 1);
    assert_eq!(interface.receive(ROUTER, 0, router(0), &[servers(61, &[server(6)])]), [Effect::Servers]);
    assert_eq!(known(&interface), ["2001:db8::6", "2001:db8::1", "2001:db8::2", "2001:db8::3"]);
}

#[test]
fn a_server_is_one_host() {
    let mut interface = Interface::new();
    for none in ["::", "::1", "ff02::fb", "::ffff:1.2.3.4"] {
        assert_eq!(interface.receive(ROUTER, 0, router(0), &[servers(60, &[v6(none)])]), [], "{none}");
    }
}

#[test]
fn domains_are_kept_likewise_whatever_their_letters() {
    let mut interface = Interface::new();
    let first = [search(600, &["Example.ORG", "lan"])];
    assert_eq!(interface.receive(ROUTER, 0, router(0), &first), [Effect::Domains]);
    assert_eq!(domains(&interface), ["example.org", "lan"]);
    assert_eq!(interface.receive(ROUTER, 0, router(0), &[search(60, &["example.org"])]), []);
    assert_eq!(interface.discovery.poll(at(60), &mut interface.random), Some(Effect::Domains));
    assert_eq!((domains(&interface), interface.discovery.next_timeout()), (vec!["lan"], Some(at(600))));
    assert_eq!(interface.receive(ROUTER, 60, router(0), &[search(0, &["LAN"])]), [Effect::Domains]);
    assert_eq!(domains(&interface), [""; 0]);
    let many: Vec<String> = (0..20).map(|number| std::format!("d{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    interface.receive(ROUTER, 60, router(0), &[search(600, &many)]);
    assert_eq!(domains(&interface), ["d0", "d1", "d2", "d3", "d4", "d5", "d6", "d7"]);
}
