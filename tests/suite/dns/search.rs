//! Search domains of interfaces.

use std::net::IpAddr;

use xila_network_host::socket::{ResolveError, ResolverOptions};
use xila_network_host::{ConfigureError, InterfaceConfig, MountError};

use super::{A, World, Zone};

fn domains(domains: &[&str]) -> Vec<String> {
    domains.iter().map(|domain| (*domain).to_owned()).collect()
}

fn zone() -> Zone {
    Zone::default().host("www.b.example.", "10.0.0.7").host("x.y.a.example.", "10.0.0.8")
}

#[test]
fn a_name_without_a_dot_is_searched_in_the_domains_of_the_interface() {
    let world = World::new(zone());
    let interface = world.link.client.interface();
    assert_eq!(world.resolve_v4("www"), Err(ResolveError::NameNotFound));
    assert_eq!(world.asked(), ["www. A"]);
    interface.set_search_domains(&domains(&["a.example", "b.example."])).unwrap();
    assert_eq!(interface.search_domains(), ["a.example", "b.example."]);
    assert_eq!(world.link.client.network.search_domains(), ["a.example", "b.example."]);
    assert_eq!(world.resolve_v4("www").unwrap(), ["10.0.0.7".parse::<IpAddr>().unwrap()]);
    assert_eq!(world.asked(), ["www.a.example. A", "www.b.example. A"]);
    assert_eq!(world.lookup("www", A).unwrap()[0].name, "www.b.example.");
    interface.set_search_domains(&[]).unwrap();
    assert_eq!(world.resolve_v4("other"), Err(ResolveError::NameNotFound));
    assert_eq!(world.asked(), ["other. A"]);
}

/// Otherwise the network that provides the domains could redirect every name (RFC 1535).
#[test]
fn a_name_with_a_dot_is_first_queried_as_it_is_and_one_with_a_final_dot_only_so() {
    let world = World::new(zone());
    world.link.client.interface().set_search_domains(&domains(&["a.example"])).unwrap();
    assert_eq!(world.resolve_v4("x.y").unwrap(), ["10.0.0.8".parse::<IpAddr>().unwrap()]);
    assert_eq!(world.asked(), ["x.y. A", "x.y.a.example. A"]);
    assert_eq!(world.resolve_v4("z.y."), Err(ResolveError::NameNotFound));
    assert_eq!(world.asked(), ["z.y. A"]);
}

#[test]
fn the_options_domains_come_before_the_interfaces_and_each_is_tried_once() {
    let options = ResolverOptions { search: domains(&["c.example", "A.example."]), ..ResolverOptions::default() };
    let world = World::new(zone()).with_options(options);
    world.link.client.interface().set_search_domains(&domains(&["a.example", "b.example"])).unwrap();
    assert_eq!(world.resolve_v4("www").unwrap().len(), 1);
    assert_eq!(world.asked(), ["www.c.example. A", "www.a.example. A", "www.b.example. A"]);
    // If the options require two dots, one dot is too few.
    let options = ResolverOptions { ndots: 2, ..ResolverOptions::default() };
    let world = World::new(zone()).with_options(options);
    world.link.client.interface().set_search_domains(&domains(&["a.example"])).unwrap();
    assert_eq!(world.resolve_v4("x.y").unwrap().len(), 1);
    assert_eq!(world.asked(), ["x.y.a.example. A"]);
}

#[test]
fn invalid_domains_and_more_than_eight_are_refused() {
    let world = World::new(zone());
    let interface = world.link.client.interface();
    let kept = domains(&["a.example"]);
    interface.set_search_domains(&kept).unwrap();
    for wrong in ["", ".", "a..b", "localhost", "b.invalid", "a b"] {
        let refused = interface.set_search_domains(&domains(&["b.example", wrong]));
        assert_eq!(refused, Err(ConfigureError::InvalidArgument), "{wrong}");
    }
    let many: Vec<String> = (0..9).map(|number| format!("{number}.example")).collect();
    assert_eq!(interface.set_search_domains(&many), Err(ConfigureError::NoFreeSlot));
    assert_eq!(interface.search_domains(), kept);
    interface.set_search_domains(&many[..8]).unwrap();
    assert_eq!(world.resolve_v4("www"), Err(ResolveError::NameNotFound));
    assert_eq!(world.asked().len(), 9, "one in each domain, and one as it is");
}

#[test]
fn an_interface_is_mounted_with_its_domains_or_not_at_all() {
    let link = xila_network_tests::link::Link::plain(1);
    let config = |domain: &str| InterfaceConfig { search_domains: domains(&[domain]), ..InterfaceConfig::default() };
    let manager = &link.client.manager;
    let refused = manager.mount_interface("eth1", link.hub.port(), config("a..b"));
    assert!(matches!(refused, Err(MountError::Configure(ConfigureError::InvalidArgument))), "{refused:?}");
    let interface = manager.mount_interface("eth1", link.hub.port(), config("c.example")).unwrap();
    assert_eq!(interface.search_domains(), ["c.example"]);
    assert_eq!(manager.network().search_domains(), ["c.example"]);
    assert_eq!(manager.network_of(["eth0"]).unwrap().search_domains(), [""; 0]);
}
