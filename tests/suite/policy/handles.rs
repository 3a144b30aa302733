//! Guests that use handles which they do not have.

use std::time::Duration;

use xila_network_host::policy::Usage;
use xila_network_host::wasm::NetworkCtx;

use crate::world::{Ending, Tables, World, program};

/// The ways to use a handle that is not the guest's; each ends the guest, whatever the number, and nobody else.
#[test]
pub(crate) fn attack_handles() {
    let world = World::new();
    let context = || NetworkCtx::builder().network(world.guests.network()).build();
    // The neighbours have handles with the numbers that are guessed.
    let listener = world.start(&program("policy_matrix_xila"), context(), "tcp-accept 10.0.0.1:80");
    let receiver = world.start(&program("policy_matrix_p3"), context(), "udp-receive 10.0.0.1:9");
    assert!(world.until(|| listener.is_at(&["prepared"]) && receiver.is_at(&["prepared"])));
    let held = world.tables();
    let numbers = (0..16).chain([100, 1 << 16, 1 << 28, u32::MAX >> 1, u32::MAX - 1, u32::MAX]);
    let guesses =
        numbers.flat_map(|number| ["connection", "listener", "socket", "connect"].map(|way| format!("{way} {number}")));
    let ways = ["other-type", "dropped", "dropped-twice", "dropped-while-in-use"].map(str::to_owned);
    let (mut trapped, mut own) = (0, 0);
    for order in guesses.chain(ways) {
        let guest = world.start(&program("attack_handles"), context(), &order);
        assert!(world.until(|| guest.ending().is_some()), "{order}: it waits");
        match (guest.ending(), &*guest.last()) {
            (Some(Ending::Trap(_)), "begun") => trapped += 1,
            (Some(Ending::Status(0)), "own") => own += 1,
            other => panic!("{order}: {other:?}: {}", guest.output.printed()),
        }
        assert_eq!((guest.output.quota().usage(), world.tables()), (Usage::default(), held), "{order}");
    }
    assert_eq!((trapped, own), (22 * 4 + 4 - 1, 1));
    // The neighbours are where they were.
    let client = world.start(&program("policy_matrix_xila"), context(), "tcp-connect 10.0.0.1:80");
    let sender = world.start(&program("policy_matrix_p2"), context(), "udp-send 0.0.0.0:0 10.0.0.1:9");
    assert!(world.until(|| listener.is_at(&["done"]) && receiver.is_at(&["done"])));
    for guest in [&client, &sender, &listener, &receiver] {
        assert_eq!(guest.last(), "done");
        world.stop(guest);
    }
    world.simulation.advance(Duration::from_secs(180));
    assert_eq!(world.tables(), Tables::default());
}
