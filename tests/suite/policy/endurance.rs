//! Guests that abandon operations, do nothing a million times, or drop resources in any order; and guests that are
//! ended at any moment.

use std::time::Duration;

use xila_network_host::platform::Access;
use xila_network_host::policy::Usage;
use xila_network_host::wasm::NetworkCtx;

use crate::world::{Ending, Guest, Tables, World, program};

fn start(world: &World, name: &str, order: &str) -> Guest {
    let context =
        NetworkCtx::builder().network(world.guests.network()).control(&world.guests, Access::READ_WRITE).build();
    world.start(&program(name), context, order)
}

/// Lets time pass until the program has come to its last line, for an hour at most.
fn finish(world: &World, guest: &Guest) {
    for _ in 0..3600 {
        if guest.is_at(&["over"]) {
            break;
        }
        world.simulation.advance(Duration::from_secs(1));
    }
    assert_eq!((&*guest.last(), guest.ending()), ("over", None), "{}", guest.output.printed());
}

/// Checks that a program holds nothing while it still runs, and that nothing is left when it is gone.
fn holds_nothing(world: &World, guest: &Guest, what: &str) {
    // The default linger time of connections is over by then.
    world.simulation.advance(Duration::from_secs(180));
    assert_eq!(guest.output.quota().usage(), Usage::default(), "{what}: it has dropped everything");
    assert_eq!(world.tables(), Tables::default(), "{what}");
    world.stop(guest);
}

#[test]
pub(crate) fn attack_abandon() {
    for surface in ["xila", "p3"] {
        let world = World::with_latency(Duration::from_millis(1));
        let guest = start(&world, "attack_abandon", surface);
        finish(&world, &guest);
        holds_nothing(&world, &guest, surface);
    }
}

/// Programs on each surface are ended at many moments, in whatever call they are.
#[test]
fn a_guest_that_is_ended_in_any_call_leaves_nothing() {
    for (name, surface) in [("attack_abandon", "xila"), ("attack_drop_order", "p2"), ("attack_abandon", "p3")] {
        let (mut moment, mut ends) = (Duration::from_micros(100), 0);
        loop {
            let world = World::with_latency(Duration::from_millis(1));
            let guest = start(&world, name, surface);
            world.simulation.advance(moment);
            assert_eq!(guest.ending(), None, "{surface}: {}", guest.output.printed());
            let is_over = guest.last() == "over";
            world.stop(&guest);
            world.simulation.advance(Duration::from_secs(180));
            assert_eq!(world.tables(), Tables::default(), "{surface}: ended after {moment:?}");
            assert_eq!(guest.output.quota().memory().held(), 0, "{surface}: ended after {moment:?}");
            if is_over || moment > Duration::from_secs(4) {
                break;
            }
            ends += 1;
            // Moments that lie ever further apart.
            moment += moment / 16 + Duration::from_micros(500);
        }
        assert!(ends > 20, "{surface}: it was ended {ends} times");
    }
}

#[test]
pub(crate) fn attack_zero_length() {
    let world = World::new();
    let guest = start(&world, "attack_zero_length", "");
    finish(&world, &guest);
    holds_nothing(&world, &guest, "nothing, a million times");
}

#[test]
pub(crate) fn attack_drop_order() {
    for surface in ["xila", "p2", "p3"] {
        let world = World::new();
        let guest = start(&world, "attack_drop_order", surface);
        finish(&world, &guest);
        holds_nothing(&world, &guest, surface);
    }
}

/// The one order that `wasi:io` forbids ends the guest, and only it.
#[test]
fn a_parent_that_is_dropped_before_its_pollable_ends_the_guest_only() {
    let world = World::new();
    let neighbour = start(&world, "policy_matrix_xila", "tcp-accept 127.0.0.1:80");
    assert!(world.until(|| neighbour.is_at(&["prepared"])));
    let guest = start(&world, "attack_drop_order", "pollables");
    assert!(world.until(|| guest.ending().is_some()));
    assert!(matches!(guest.ending(), Some(Ending::Trap(_))), "{:?}: {}", guest.ending(), guest.output.printed());
    assert_eq!(guest.last(), "parent first");
    let client = start(&world, "policy_matrix_p2", "tcp-connect 127.0.0.1:80");
    assert!(world.until(|| neighbour.is_at(&["done"])), "{}", neighbour.last());
    assert_eq!(client.last(), "done");
}
