//! Arbitrary bytes as input of any command: a command that fails changes nothing, and nothing panics.

use proptest::prelude::*;
use xila_network_commands::drivers::{hub, loopback, tap};

use super::*;

/// The identifier of a command that exists, or any number.
fn identifiers() -> impl Strategy<Value = u32> {
    let known: Vec<u32> = [standard::ALL, hub::ALL, tap::ALL, loopback::ALL]
        .iter()
        .flat_map(|commands| commands.iter().map(|(id, _)| id.to_raw()))
        .collect();
    prop_oneof![9 => prop::sample::select(known), 1 => any::<u32>()]
}

/// Payloads that are often almost valid: a list of small numbers has many meanings in postcard.
fn payloads() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(0u8..4, 0..24),
        any::<(core::net::IpAddr, u8)>().prop_map(|cidr| encode(&cidr)),
        any::<(core::net::IpAddr, u8, core::net::IpAddr, u32)>()
            .prop_map(|(address, prefix, gateway, metric)| encode(&((address, prefix), gateway, metric, None::<()>))),
        any::<core::net::IpAddr>().prop_map(|address| encode(&address)),
        any::<u32>().prop_map(|number| encode(&number)),
        any::<[u8; 6]>().prop_map(|mac| encode(&mac)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_to_any_command_never_panic_and_an_error_changes_nothing(
        calls in prop::collection::vec((identifiers(), payloads(), any::<bool>()), 1..60),
    ) {
        let world = World::new();
        let files = [world.file(), world.open("lo", Access::READ_WRITE)];
        let mut watch = world.manager.watch();
        for (command, payload, on_loopback) in calls {
            let before = [world.interface(), world.manager.interface("lo").unwrap()].map(|it| snapshot(&it));
            let mut output = Vec::new();
            let result = files[usize::from(on_loopback)].0.control(command, &payload, &mut output);
            if result.is_err() {
                let after = [world.interface(), world.manager.interface("lo").unwrap()].map(|it| snapshot(&it));
                prop_assert_eq!(before, after);
                prop_assert_eq!(watch.try_next(), None);
                prop_assert!(output.is_empty());
            }
            while watch.try_next().is_some() {}
            world.simulation.run_ready();
            while watch.try_next().is_some() {}
        }
    }
}
