//! Callers that ask the same question at the same time share one query.

use std::time::Duration;

use futures_util::future::{self, join_all};
use xila_network_host::socket::{ResolveError, Resolver, ResolverOptions};
use xila_network_tests::link::Family;

use super::{A, AAAA, Reply, World, www};

/// The resolvers of several guests, each with its own cache.
fn guests(world: &World, count: usize) -> Vec<Resolver> {
    let network = &world.link.client.network;
    (0..count).map(|_| Resolver::new(network.for_guest(), ResolverOptions::default())).collect()
}

#[test]
fn many_guests_that_ask_the_same_at_once_share_one_query_on_the_wire() {
    let world = World::new(www());
    let guests = guests(&world, 100);
    let found = world.link.block_on(join_all(guests.iter().enumerate().map(|(number, guest)| {
        let name = if number % 2 == 0 { "www.example" } else { "WWW.Example." };
        guest.resolve(name, None)
    })));
    let expected = [Family::V4.host(80), Family::V6.host(0x80)];
    assert!(found.iter().all(|found| found.as_ref().is_ok_and(|found| found.len() == 2)), "{expected:?}: {found:?}");
    let mut asked = world.asked();
    asked.sort();
    assert_eq!(asked, ["www.example. A", "www.example. AAAA"]);
    // Each guest caches the answer.
    world.link.block_on(join_all(guests.iter().map(|guest| guest.resolve("www.example", None))));
    assert_eq!(world.asked(), [""; 0]);
    world.link.client.assert_empty();
}

#[test]
fn all_waiting_guests_get_a_failure() {
    let world = World::with(|_| Reply::Silence);
    let guests = guests(&world, 10);
    let found = world.link.block_on(join_all(guests.iter().map(|guest| guest.lookup("www.example", A))));
    assert!(found.iter().all(|found| *found == Err(ResolveError::ServersUnreachable)), "{found:?}");
    assert_eq!(world.asked().len(), 2, "one question in each of two rounds");
}

#[test]
fn a_guest_that_cancels_does_not_end_the_query_of_the_others() {
    let mut rounds = 0;
    let world = World::with(move |asked| {
        rounds += 1;
        if rounds == 1 { Reply::Silence } else { Reply::Answer(www().answer(asked)) }
    });
    let guests = guests(&world, 3);
    let [first, second, third] = &guests[..] else { unreachable!("there are three") };
    // The first guest starts the query; then the second, the only one left, waits for the same answer.
    let gives_up = world.link.at_most(Duration::from_millis(100), first.lookup("www.example", A));
    let gives_up_too = world.link.at_most(Duration::from_secs(3), third.lookup("www.example", A));
    let (none, found, none_either) =
        world.link.block_on(future::join3(gives_up, second.lookup("www.example", A), gives_up_too));
    assert!(none.is_none() && none_either.is_none());
    assert_eq!(found.unwrap().len(), 1);
    assert_eq!(world.asked(), ["www.example. A"; 2]);
    world.link.client.assert_empty();
}

#[test]
fn the_query_is_cancelled_with_its_last_waiter() {
    let world = World::with(|_| Reply::Silence);
    let guests = guests(&world, 5);
    let all = join_all(guests.iter().map(|guest| guest.resolve("www.example", None)));
    world.link.block_on(world.link.cancelled_after(Duration::from_millis(100), all));
    world.link.client.assert_empty();
    world.asked();
    // The question can be asked again.
    let again = guests[0].lookup("www.example", A);
    world.link.block_on(world.link.cancelled_after(Duration::from_millis(100), again));
    assert_eq!(world.asked(), ["www.example. A"]);
}

#[test]
fn questions_to_servers_that_guests_pick_are_asked_by_each_guest_for_itself() {
    let world = World::new(www());
    let second = world.second(www());
    let (first, other) = (Family::V4.host(2), Family::V6.host(2));
    let guests = guests(&world, 4);
    let found = world.link.block_on(join_all([
        guests[0].ask(Some(first), "www.example", A),
        guests[1].ask(Some(first), "www.example", AAAA),
        guests[2].ask(Some(other), "www.example", A),
        guests[3].ask(Some(first), "www.example", A),
    ]));
    let servers: Vec<_> = found.into_iter().map(|reply| reply.unwrap().server).collect();
    assert_eq!(servers, [Some(first), Some(first), Some(other), Some(first)]);
    assert_eq!((world.asked().len(), second.take().len()), (3, 1));
}

#[test]
fn other_questions_have_queries_of_their_own() {
    let world = World::new(www());
    let guests = guests(&world, 3);
    let questions = [(&guests[0], A), (&guests[1], AAAA), (&guests[2], A)];
    let asked = questions.map(|(guest, record_type)| guest.ask(None, "www.example", record_type));
    assert!(world.link.block_on(join_all(asked)).iter().all(Result::is_ok));
    assert_eq!(world.asked().len(), 2);
}

/// A guest learns nothing from the interfaces of another guest.
#[test]
fn guests_on_other_interfaces_have_queries_of_their_own() {
    let world = World::new(www());
    let alone = world.link.client.network.interface("eth0").unwrap();
    let one = Resolver::new(alone.for_guest(), ResolverOptions::default());
    let server = Some(Family::V4.host(2));
    let (all, part) = (world.resolver.ask(server, "www.example", A), one.ask(server, "www.example", A));
    let (all, part) = world.link.block_on(future::join(all, part));
    assert_eq!(all.unwrap(), part.unwrap());
    assert_eq!(world.asked().len(), 2);
}
