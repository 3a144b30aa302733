//! Which servers are queried, and through which interface.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use xila_network_host::device::hub::{Hub, HubOptions};
use xila_network_host::interface::State;
use xila_network_host::socket::{ResolveError, Resolver, ResolverOptions};
use xila_network_host::{InterfaceConfig, Manager};
use xila_network_tests::link::{Family, Link};

use super::{A, Reply, Server, World, Zone, www};

#[test]
fn a_server_that_fails_is_followed_by_the_next() {
    for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NotAuth] {
        let world = World::with(move |asked| asked.failing(code));
        let second = world.second(www());
        assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)], "{code}");
        assert_eq!((world.server.take().len(), second.take().len()), (1, 1), "{code}");
    }
}

#[test]
fn a_server_that_does_not_support_edns_is_queried_without_it() {
    for code in [ResponseCode::FormErr, ResponseCode::NotImp] {
        let world = World::with(move |asked| {
            if asked.message.edns.is_some() { asked.failing(code) } else { Reply::Answer(www().answer(asked)) }
        });
        assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)], "{code}");
        assert_eq!(world.asked(), ["www.example. A"; 2]);
        let world = World::with(move |asked| asked.failing(code));
        assert_eq!(world.resolve_v4("www.example"), Err(ResolveError::ServerFailure), "{code}");
    }
}

#[test]
fn a_server_that_does_not_answer_edns_is_queried_without_it_in_the_next_round() {
    let world =
        World::with(
            |asked| {
                if asked.message.edns.is_some() { Reply::Silence } else { Reply::Answer(www().answer(asked)) }
            },
        );
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
    assert_eq!(world.asked(), ["www.example. A"; 2]);
}

#[test]
fn a_server_that_is_silent_is_followed_by_the_next_after_the_timeout() {
    let world = World::with(|_| Reply::Silence);
    let second = world.second(www());
    let start = world.link.simulation.now();
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
    let took = world.link.simulation.now() - start;
    assert!((Duration::from_secs(5)..Duration::from_millis(5100)).contains(&took), "{took:?}");
    assert_eq!((world.server.take().len(), second.take().len()), (1, 1));
}

#[test]
fn a_server_whose_port_is_closed_is_followed_by_the_next_at_once() {
    let world = World::new(www());
    let interface = world.link.client.interface();
    let address = world.link.server.address(Family::V4);
    interface.remove_dns_server(address).unwrap();
    interface.add_dns_server(world.link.server.address(Family::V6)).unwrap();
    interface.add_dns_server(address).unwrap();
    let start = world.link.simulation.now();
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
    assert!(world.link.simulation.now() - start < Duration::from_millis(20));
}

#[test]
fn after_nxdomain_the_next_server_is_not_queried() {
    let world = World::new(Zone::default());
    let second = world.second(www());
    assert_eq!(world.resolve("www.example"), Err(ResolveError::NameNotFound));
    assert_eq!(second.take().len(), 0);
}

#[test]
fn servers_that_never_answer_are_each_queried_as_often_as_the_options_say() {
    let world = World::with(|_| Reply::Silence);
    let options = ResolverOptions { timeout: Duration::from_secs(2), attempts: 3, ..ResolverOptions::default() };
    let world = world.with_options(options);
    let start = world.link.simulation.now();
    assert_eq!(world.resolve_v4("www.example"), Err(ResolveError::ServersUnreachable));
    assert_eq!(world.link.simulation.now() - start, Duration::from_secs(6));
    assert_eq!(world.asked(), ["www.example. A"; 3]);
}

#[test]
fn failing_servers_are_a_failure_and_not_a_missing_name() {
    let world = World::with(|asked| asked.failing(ResponseCode::ServFail));
    assert_eq!(world.resolve("www.example"), Err(ResolveError::ServerFailure));
}

#[test]
fn without_servers_a_query_fails_at_once() {
    let link = Link::plain(1);
    let resolver = link.client.manager.resolver();
    let start = link.simulation.now();
    let resolved = link.block_on(resolver.resolve("www.example", None));
    assert_eq!(resolved, Err(ResolveError::ServersUnreachable));
    assert_eq!(link.simulation.now(), start);
    let nothing = Manager::without_loopback(link.simulation.platform()).resolver();
    assert_eq!(link.block_on(nothing.lookup("www.example", A)), Err(ResolveError::ServersUnreachable));
}

#[test]
fn queries_have_random_ports_and_identifiers() {
    let world = World::new(Zone::default());
    for index in 0..16 {
        assert_eq!(world.resolve_v4(&format!("{index}.example")), Err(ResolveError::NameNotFound));
    }
    let asked = world.server.take();
    let distinct = |numbers: Vec<u16>| {
        let count = numbers.len();
        let mut numbers = numbers;
        numbers.sort_unstable();
        numbers.dedup();
        count == 16 && numbers.len() >= 15
    };
    assert!(distinct(asked.iter().map(|asked| asked.from.port()).collect()), "ports");
    assert!(distinct(asked.iter().map(|asked| asked.message.id).collect()), "numbers");
}

/// Two interfaces on different segments, each of which has a server with the same address.
#[test]
fn each_server_is_queried_through_its_own_interface() {
    let link = Link::plain(1);
    let manager = Manager::new(link.simulation.platform());
    let address: IpAddr = [192, 0, 2, 53].into();
    let mut servers = Vec::new();
    let mut hosts = Vec::new();
    for name in ["eth0", "eth1"] {
        let hub = Hub::new(&link.simulation.platform(), HubOptions::default());
        let number = if name == "eth0" { 1 } else { 2 };
        let config = |address: String| InterfaceConfig {
            addresses: vec![address.parse().unwrap()],
            ..InterfaceConfig::default()
        };
        let host = Manager::new(link.simulation.platform());
        host.mount_interface("eth0", hub.port(), config("192.0.2.53/24".into())).unwrap();
        let silent = name == "eth0";
        let reply = move |asked: &super::Asked| {
            if silent { Reply::Silence } else { Reply::Answer(www().answer(asked)) }
        };
        servers.push(Server::start(&link, &host.network(), address, reply));
        let mine = InterfaceConfig { dns_servers: vec![address], ..config(format!("192.0.2.{number}/24")) };
        manager.mount_interface(name, hub.port(), mine).unwrap();
        hosts.push((host, hub));
    }
    let found = link.block_on(manager.resolver().resolve("www.example", Some(xila_network_host::address::Family::V4)));
    assert_eq!(found.unwrap(), [Family::V4.host(80)]);
    let from = |server: &Server| server.take().iter().map(|asked| asked.from.ip().to_string()).collect::<Vec<_>>();
    assert_eq!(from(&servers[0]), ["192.0.2.1"]);
    assert_eq!(from(&servers[1]), ["192.0.2.2"]);
    // A network with only one of the interfaces does not query the other's server.
    let part = manager.network_of(["eth1"]).unwrap();
    let resolver = Resolver::new(part, ResolverOptions::default());
    link.block_on(resolver.lookup("www.example", A)).unwrap();
    assert_eq!((servers[0].take().len(), servers[1].take().len()), (0, 1));
}

#[test]
fn servers_changed_between_queries_are_used_from_the_next_query_on() {
    let world = World::new(www());
    world.resolve_v4("www.example").unwrap();
    let second = world.second(www().host("new.example.", "10.0.0.90"));
    world.link.client.interface().remove_dns_server(world.link.server.address(Family::V4)).unwrap();
    world.server.take();
    assert_eq!(world.resolve_v4("new.example").unwrap(), [Family::V4.host(90)]);
    assert_eq!((world.server.take().len(), second.take().len()), (0, 1));
    // Earlier answers are still cached.
    world.resolve_v4("www.example").unwrap();
    assert_eq!((world.server.take().len(), second.take().len()), (0, 0));
}

#[test]
fn a_server_on_this_host_is_queried_through_the_loopback() {
    for address in ["127.0.0.1", "::1", "10.0.0.1", "fd00::1"] {
        let link = Link::plain(1);
        let address: IpAddr = address.parse().unwrap();
        let server = Server::start(&link, &link.client.network, address, |asked| Reply::Answer(www().answer(asked)));
        link.client.interface().add_dns_server(address).unwrap();
        let found = link.block_on(link.client.manager.resolver().lookup("www.example", A));
        assert_eq!(found.unwrap().len(), 1, "{address}");
        assert_eq!(server.take()[0].from.ip(), address);
    }
}

#[test]
fn servers_of_an_interface_that_is_down_cost_no_time() {
    let world = World::new(www());
    world.link.client.interface().set_state(State::Down);
    let start = world.link.simulation.now();
    assert_eq!(world.resolve("www.example"), Err(ResolveError::ServersUnreachable));
    assert_eq!(world.link.simulation.now(), start);
}

#[test]
fn a_server_that_comes_back_is_used_in_the_second_round() {
    let awake = Arc::new(AtomicBool::new(false));
    let count = Arc::new(Mutex::new(0));
    let world = World::with({
        let (awake, count) = (awake.clone(), count.clone());
        move |asked| {
            *count.lock().unwrap() += 1;
            if awake.swap(true, Ordering::Relaxed) { Reply::Answer(www().answer(asked)) } else { Reply::Silence }
        }
    });
    assert_eq!(world.resolve_v4("www.example").unwrap(), [Family::V4.host(80)]);
    assert_eq!(*count.lock().unwrap(), 2);
}
