//! Guests that take all that their limits allow.

use std::time::Duration;

use xila_network_host::platform::Access;
use xila_network_host::policy::{Limits, Rate, Rates, Usage};
use xila_network_host::wasm::NetworkCtx;

use crate::world::{Tables, World, program};

/// The limits of numbers. Bytes are limited where they are to be what runs out.
const LIMITS: Limits =
    Limits { sockets: 20, buffer_bytes: 16 << 20, queries: 3, watches: 2, files: 2, ..Limits::DEFAULT };

/// One kind of resource: the cause with which one more is refused, and how many the guest gets.
const KINDS: &[(&str, &str, usize)] = &[
    ("xila-listeners", "limit-reached", 20),
    ("xila-connections", "limit-reached", 20),
    ("xila-udp-bytes", "limit-reached", 6),
    ("xila-send-bytes", "limit-reached", 6),
    ("xila-icmp", "limit-reached", 20),
    ("xila-watches", "limit-reached", 2),
    ("xila-queries", "limit-reached", 3),
    ("p2-tcp", "new-socket-limit", 20),
    ("p2-udp", "new-socket-limit", 20),
    ("p2-udp-bytes", "out-of-memory", 6),
    ("p2-connections", "new-socket-limit", 20),
    ("p2-queries", "temporary-resolver-failure", 3),
    ("p3-tcp", "out-of-memory", 20),
    ("p3-udp", "out-of-memory", 20),
    ("p3-connections", "out-of-memory", 20),
    ("p3-send-bytes", "out-of-memory", 6),
    ("p3-queries", "temporary-resolver-failure", 3),
];

fn context(world: &World, limits: Limits) -> NetworkCtx {
    NetworkCtx::builder()
        .network(world.guests.network())
        .control(&world.guests, Access::READ_WRITE)
        .limits(limits)
        .build()
}

/// Runs the guest to its limit, a neighbour beside it, and stops it.
fn exhaust(kind: &str, limits: Limits) -> String {
    let world = World::new();
    let attacker = world.start(&program("attack_exhaust"), context(&world, limits), kind);
    assert!(world.until(|| attacker.is_at(&["refused"])), "{kind}: {}", attacker.output.printed());
    assert_eq!(attacker.ending(), None, "{kind}: {}", attacker.output.printed());
    let held = attacker.output.quota().usage();
    assert!(held.sockets <= limits.sockets && held.buffer_bytes <= limits.buffer_bytes, "{kind}: {held:?}");
    assert!(held.queries <= limits.queries && held.watches <= limits.watches, "{kind}: {held:?}");
    assert!(held.ports <= limits.ports && held.listeners <= limits.listeners, "{kind}: {held:?}");
    for (surface, order) in [
        ("policy_matrix_xila", "tcp-connect 10.0.0.2:80"),
        ("policy_matrix_p2", "udp-send 0.0.0.0:0 10.0.0.2:7"),
        ("policy_matrix_p3", "resolve www.example.org"),
        ("policy_matrix_xila", "watch"),
    ] {
        let report = world.run(&program(surface), context(&world, Limits::default()), order, async |_| {});
        assert_eq!(report.outcome, "done", "{kind}: a neighbour's {order}");
    }
    let refused = attacker.last();
    world.stop(&attacker);
    // Queries and connections that the host still ends, and the neighbour's too.
    world.simulation.advance(Duration::from_secs(180));
    assert_eq!(world.tables(), Tables::default(), "{kind}");
    assert_eq!(attacker.output.quota().memory().held(), 0, "{kind}");
    refused
}

#[test]
pub(crate) fn attack_exhaust() {
    // A send beyond the rate waits for longer than the test lasts.
    let rates = Rates { bytes: Some(Rate { per_second: 1, burst: 1 }), ..Rates::UNLIMITED };
    for (kind, cause, count) in KINDS {
        let limits = match kind.ends_with("-bytes") {
            true => Limits { buffer_bytes: 400_000, rates, ..LIMITS },
            false => LIMITS,
        };
        assert_eq!(exhaust(kind, limits), format!("refused {cause} after {count}"), "{kind}");
    }
}

#[test]
fn each_kind_has_a_limit_of_its_own() {
    for (kind, limits, cause, count) in [
        ("xila-listeners", Limits { listeners: 5, ..LIMITS }, "limit-reached", 5),
        ("xila-listeners", Limits { ports: 4, ..LIMITS }, "limit-reached", 4),
        ("xila-connections", Limits { tcp_sockets: 6, ports: 0, ..LIMITS }, "limit-reached", 6),
        ("xila-udp", Limits { udp_sockets: 5, ..LIMITS }, "limit-reached", 5),
        ("xila-udp", Limits { ports: 3, ..LIMITS }, "limit-reached", 3),
        ("xila-icmp", Limits { icmp_sockets: 2, ..LIMITS }, "limit-reached", 2),
        ("xila-files", LIMITS, "limit-reached", 2),
        ("p2-tcp", Limits { tcp_sockets: 4, ..LIMITS }, "new-socket-limit", 4),
        ("p2-udp", Limits { udp_sockets: 4, ..LIMITS }, "new-socket-limit", 4),
        ("p3-tcp", Limits { tcp_sockets: 4, ..LIMITS }, "out-of-memory", 4),
        ("p3-udp", Limits { udp_sockets: 4, ..LIMITS }, "out-of-memory", 4),
    ] {
        assert_eq!(exhaust(kind, limits), format!("refused {cause} after {count}"), "{kind}");
    }
}

/// Each connection reserves 4096 bytes for each of its two queues.
#[test]
fn connections_end_at_the_limit_of_bytes() {
    let limits = Limits { sockets: 100, buffer_bytes: 100_000, ..LIMITS };
    assert_eq!(exhaust("xila-connection-bytes", limits), "refused limit-reached after 12");
}

/// A limit of nothing refuses the first.
#[test]
fn a_limit_of_zero_refuses_the_first() {
    let world = World::new();
    let limits = Limits { sockets: 0, buffer_bytes: 0, queries: 0, watches: 0, files: 0, ..Limits::DEFAULT };
    for (surface, order) in [
        ("policy_matrix_xila", "tcp-connect 10.0.0.2:80"),
        ("policy_matrix_xila", "udp-bind 10.0.0.1:9"),
        ("policy_matrix_xila", "icmp-bind"),
        ("policy_matrix_xila", "ping 10.0.0.2"),
        ("policy_matrix_xila", "resolve www.example.org"),
        ("policy_matrix_xila", "watch"),
        ("policy_matrix_p2", "resolve www.example.org"),
        ("policy_matrix_p3", "resolve www.example.org"),
    ] {
        let report = world.run(&program(surface), context(&world, limits), order, async |_| {});
        assert!(report.outcome.starts_with("failed"), "{surface}: {order}: {}", report.outcome);
        assert_eq!((report.frames.len(), report.after.usage), (0, Usage::default()), "{surface}: {order}");
    }
}
