//! A query leaves no socket and no task behind.

use std::time::Duration;

use xila_network_host::socket::ResolveError;

use super::{Reply, World, www};

#[test]
fn a_cancelled_query_leaves_nothing() {
    let world = World::with(|_| Reply::Silence);
    for _ in 0..100 {
        let query = world.resolver.resolve("www.example", None);
        world.link.block_on(world.link.cancelled_after(Duration::from_millis(100), query));
    }
    world.link.client.assert_empty();
    // A query that was never polled leaves nothing either.
    drop(world.resolver.resolve("www.example", None));
    world.link.client.assert_empty();
}

#[test]
fn a_query_cancelled_in_its_connection_leaves_nothing() {
    let world = World::with(|asked| {
        if asked.by_tcp {
            return Reply::Silence;
        }
        let mut cut_off = asked.response();
        cut_off.metadata.truncation = true;
        Reply::Answer(cut_off)
    });
    let query = world.resolver.resolve("www.example", None);
    world.link.block_on(world.link.cancelled_after(Duration::from_secs(1), query));
    assert!(world.server.take().iter().any(|asked| asked.by_tcp));
    world.pass(60);
    world.link.client.assert_empty();
}

#[test]
fn an_idle_resolver_holds_no_socket_and_a_dropped_one_nothing_at_all() {
    let world = World::new(www());
    world.resolve("www.example").unwrap();
    world.link.client.assert_empty();
    let World { link, server: _, resolver } = world;
    drop(resolver);
    link.client.assert_empty();
}

#[test]
fn an_answer_that_comes_too_late_is_ignored() {
    let world = World::with(|_| Reply::Silence);
    assert_eq!(world.resolve("www.example"), Err(ResolveError::ServersUnreachable));
    world.link.client.assert_empty();
}
