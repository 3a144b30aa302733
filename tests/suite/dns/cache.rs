//! The cache of answers.

use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::TXT;
use xila_network_host::socket::{Budget, ResolveError, Resolver, ResolverOptions};

use super::{A, Reply, World, Zone, www};

/// The type of TXT records.
const TXT_TYPE: u16 = 16;

#[test]
fn an_answer_is_cached_for_its_time_to_live() {
    let world = World::new(www());
    world.resolve("www.example").unwrap();
    assert_eq!(world.asked().len(), 2);
    world.pass(50);
    assert_eq!(world.resolve("WWW.example").unwrap().len(), 2);
    assert_eq!(world.lookup("www.example", A).unwrap()[0].ttl, 10, "what remains of it");
    assert_eq!(world.asked(), [""; 0]);
    world.pass(11);
    world.resolve("www.example").unwrap();
    assert_eq!(world.asked().len(), 2);
}

#[test]
fn clones_share_the_cache() {
    let world = World::new(www());
    world.resolve("www.example").unwrap();
    world.asked();
    world.link.block_on(world.resolver.clone().resolve("www.example", None)).unwrap();
    assert_eq!(world.asked(), [""; 0]);
}

#[test]
fn a_negative_answer_is_cached_for_as_long_as_the_soa_says() {
    let world = World::new(www());
    for _ in 0..2 {
        assert_eq!(world.lookup("gone.example", A), Err(ResolveError::NameNotFound));
        assert_eq!(world.lookup("www.example", 15), Err(ResolveError::NoRecords));
    }
    assert_eq!(world.asked(), ["gone.example. A", "www.example. MX"]);
    // The SOA's last field is 30.
    world.pass(31);
    assert_eq!(world.lookup("gone.example", A), Err(ResolveError::NameNotFound));
    assert_eq!(world.asked(), ["gone.example. A"]);
}

#[test]
fn an_answer_with_a_time_to_live_of_zero_is_not_cached() {
    let world = World::new(Zone::default().with("now.example.", 0, std::net::IpAddr::from([10, 0, 0, 9])));
    for _ in 0..2 {
        world.resolve_v4("now.example").unwrap();
    }
    assert_eq!(world.asked().len(), 2);
}

#[test]
fn failures_are_not_cached() {
    let world = World::with(|asked| asked.failing(hickory_proto::op::ResponseCode::ServFail));
    for _ in 0..2 {
        assert_eq!(world.lookup("www.example", A), Err(ResolveError::ServerFailure));
    }
    assert_eq!(world.asked().len(), 2);
}

#[test]
fn no_more_answers_are_cached_than_the_options_allow() {
    let options = ResolverOptions { cache: 0, ..ResolverOptions::default() };
    let world = World::new(www()).with_options(options);
    for _ in 0..2 {
        world.resolve_v4("www.example").unwrap();
    }
    assert_eq!(world.asked().len(), 2);
}

/// Answers that are short on the wire and large in memory: each empty string of a TXT record takes one octet on the
/// wire, and at least sixteen times as much in memory.
#[test]
fn a_guests_cache_is_charged_to_its_memory_and_bounded() {
    let memory = Budget::new(1 << 20);
    let world = World::with(|asked| {
        let mut answer = asked.response();
        let data = RData::TXT(TXT::from_bytes(vec![&[]; 30]));
        answer.add_answer(hickory_proto::rr::Record::from_rdata(asked.query().name().clone(), 600, data));
        Reply::Answer(answer)
    });
    let guest = Resolver::for_guest(world.link.client.network.for_guest(), ResolverOptions::default(), &memory);
    let ask = |host: usize| world.link.block_on(guest.lookup(&format!("{host}.example"), TXT_TYPE)).unwrap();
    ask(0);
    let one = memory.held();
    assert!(one > 30 * 16, "{one}");
    for host in 0..1024 {
        ask(host);
        assert!(memory.held() <= (1 << 20) / 16, "{host}: {}", memory.held());
    }
    assert!(memory.held() > 10 * one);
    // The latest answers are still cached.
    world.server.take();
    (0..1024).rev().for_each(|host| drop(ask(host)));
    assert!((1..1024).contains(&world.server.take().len()));
    // Expired answers no longer count for the guest, and when the guest is gone, none do.
    world.pass(601);
    ask(0);
    assert!(memory.held() <= one);
    drop(guest);
    assert_eq!(memory.held(), 0);
}

#[test]
fn a_guest_without_memory_left_still_gets_answers() {
    let memory = Budget::new(4096);
    let world = World::new(www());
    let guest = Resolver::for_guest(world.link.client.network.for_guest(), ResolverOptions::default(), &memory);
    for _ in 0..2 {
        assert_eq!(world.link.block_on(guest.lookup("www.example", A)).unwrap().len(), 1);
    }
    assert_eq!((world.asked().len(), memory.held()), (2, 0));
}

/// The cache uses the platform's clock and not the machine's: an hour of virtual time passes at once.
#[test]
fn answers_expire_by_the_platforms_clock() {
    let world = World::new(Zone::default().with("www.example.", 3600, std::net::IpAddr::from([10, 0, 0, 9])));
    world.resolve_v4("www.example").unwrap();
    for _ in 0..59 {
        world.pass(60);
        world.resolve_v4("www.example").unwrap();
    }
    assert_eq!(world.asked().len(), 1);
    world.pass(60);
    world.resolve_v4("www.example").unwrap();
    assert_eq!(world.asked().len(), 1);
}
