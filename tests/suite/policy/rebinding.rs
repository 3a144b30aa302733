//! Attacks by name servers, and by what another guest has resolved.

use std::time::Duration;

use crate::world::{World, program};

/// Runs the steps; returns the outcome of each, and whether a frame was sent after the last wait.
fn steps(world: &World, policy: &str, steps: &str) -> Vec<String> {
    let guest = world.start(&program("attack_names"), world.context(policy).build(), steps);
    let seconds = Duration::from_secs(120);
    world.simulation.advance(seconds);
    let printed = guest.output.printed();
    assert!(guest.last() == "over", "{steps}: {printed} {:?}", guest.ending());
    world.stop(&guest);
    printed.lines().filter(|line| *line != "over").map(str::to_owned).collect()
}

/// A name that is allowed leads to an address that is denied: the rule about the address comes first, and holds.
#[test]
pub(crate) fn attack_names() {
    let world = World::new();
    world.names.add("www.example.org", &[[10, 0, 0, 2]], 1);
    world.names.add("www.example.org", &[[10, 0, 0, 3]], 600);
    let policy = "deny any 10.0.0.3\nallow tcp connect *.example.org:80\nallow udp send *.example.org";
    let steps = steps(
        &world,
        policy,
        "connect=10.0.0.2:80 resolve=www.example.org connect=10.0.0.2:80 wait=5 resolve=www.example.org \
         connect=10.0.0.3:80 connect=www.example.org:80 send=10.0.0.3:7 peer=10.0.0.3:7",
    );
    assert_eq!(
        steps,
        ["denied", "10.0.0.2", "done", "waited", "10.0.0.3", "denied", "denied", "denied", "denied"],
        "rebound to a denied address"
    );
    let told = world.denials();
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(told[1..].iter().all(|event| event.contains("peer 10.0.0.3:")), "{told:?}");
}

/// An address is admitted for as long as the answer counts, and no longer: also for a socket that was connected before.
#[test]
fn an_answer_admits_its_addresses_for_its_time_to_live_only() {
    let world = World::new();
    for ttl in [5, 600] {
        world.names.add("www.example.org", &[[10, 0, 0, 2]], ttl);
    }
    let policy = "allow tcp connect www.example.org:80\nallow udp send www.example.org:7";
    let outcomes = steps(
        &world,
        policy,
        "resolve=www.example.org connect=10.0.0.2:80 peer=10.0.0.2:7 talk wait=6 connect=10.0.0.2:80 talk \
         peer=10.0.0.2:7 resolve=www.example.org connect=10.0.0.2:80 talk",
    );
    let expected =
        ["10.0.0.2", "done", "done", "done", "waited", "denied", "denied", "denied", "10.0.0.2", "done", "done"];
    assert_eq!(outcomes, expected);
}

/// A time to live of zero is long enough to connect at once, and not for more.
#[test]
fn a_time_to_live_of_zero_admits_one_connection_at_once() {
    let world = World::new();
    world.names.add("www.example.org", &[[10, 0, 0, 2]], 0);
    let policy = "allow tcp connect www.example.org:80";
    let outcomes = steps(&world, policy, "resolve=www.example.org connect=10.0.0.2:80 wait=1 connect=10.0.0.2:80");
    assert_eq!(outcomes, ["10.0.0.2", "done", "waited", "denied"]);
}

/// An answer with many addresses admits each of them, but not for other names, ports or protocols.
#[test]
fn a_name_admits_nothing_but_what_it_stands_for() {
    let world = World::new();
    world.names.add("www.example.org", &[[10, 0, 0, 2], [10, 0, 0, 3]], 600);
    let policy = "allow tcp connect www.example.org:80\nallow dns any\nallow udp send other.example.org";
    let outcomes = steps(
        &world,
        policy,
        "resolve=www.example.org connect=10.0.0.2:80 connect=10.0.0.3:80 connect=10.0.0.2:443 send=10.0.0.2:7 \
         connect=10.0.0.9:80",
    );
    assert_eq!(outcomes[1..], ["done", "done", "denied", "denied", "denied"], "{outcomes:?}");
}

/// What one guest has resolved admits nothing for another, with the same policy, on the same host.
#[test]
fn a_name_that_another_guest_has_resolved_admits_nothing() {
    let world = World::new();
    world.names.add("www.example.org", &[[10, 0, 0, 2]], 600);
    let policy = "allow tcp connect www.example.org:80";
    let first = world.start(
        &program("attack_names"),
        world.context(policy).build(),
        "resolve=www.example.org connect=10.0.0.2:80",
    );
    assert!(world.until(|| first.is_at(&["over"])));
    assert_eq!(first.output.printed(), "10.0.0.2\ndone\nover\n");
    let outcomes = steps(&world, policy, "connect=10.0.0.2:80 resolve=www.example.org connect=10.0.0.2:80");
    assert_eq!(outcomes, ["denied", "10.0.0.2", "done"]);
}

/// An IPv4-mapped address does not lead past a rule about the IPv4 address, with a rule about a name, a network or
/// everything in the other family.
#[test]
fn an_ipv4_mapped_address_leads_past_no_rule() {
    for policy in [
        "deny any 10.0.0.2\nallow any",
        "allow tcp connect ::/0\nallow udp send ::/0",
        "deny any 10.0.0.0/8\nallow any",
    ] {
        let world = World::new();
        let outcomes = steps(
            &world,
            policy,
            "connect=[::ffff:10.0.0.2]:80 send=[::ffff:10.0.0.2]:7 connect=10.0.0.2:80 send=10.0.0.2:7",
        );
        // No socket takes such an address at all.
        let invalid = "failed invalid-argument";
        assert_eq!(outcomes, [invalid, invalid, "denied", "denied"], "{policy:?}");
    }
}
