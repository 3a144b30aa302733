//! What is not asked twice.

use xila_network_host::socket::{ResolveError, ResolverOptions};

use super::{A, World, Zone, www};

#[test]
fn an_answer_is_kept_for_its_time_to_live() {
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
fn that_a_name_is_not_there_is_kept_for_as_long_as_the_zone_says() {
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
fn a_time_to_live_of_zero_is_not_kept() {
    let world = World::new(Zone::default().with("now.example.", 0, std::net::IpAddr::from([10, 0, 0, 9])));
    for _ in 0..2 {
        world.resolve_v4("now.example").unwrap();
    }
    assert_eq!(world.asked().len(), 2);
}

#[test]
fn failures_are_not_kept() {
    let world = World::with(|asked| asked.failing(hickory_resolver::proto::op::ResponseCode::ServFail));
    for _ in 0..2 {
        assert_eq!(world.lookup("www.example", A), Err(ResolveError::ServerFailure));
    }
    assert_eq!(world.asked().len(), 2);
}

#[test]
fn no_more_answers_are_kept_than_the_options_say() {
    let options = ResolverOptions { cache: 0, ..ResolverOptions::default() };
    let world = World::new(www()).with_options(options);
    for _ in 0..2 {
        world.resolve_v4("www.example").unwrap();
    }
    assert_eq!(world.asked().len(), 2);
}
