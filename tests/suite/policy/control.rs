//! The matrix of commands and rules: each command by the method of an interface, and by its device file.

use xila_network_commands::{Direction, commands};

use crate::world::{World, program};

/// The operation of a command, as rules name it, and its word.
fn words() -> impl Iterator<Item = (&'static str, String)> {
    commands::ALL.iter().map(|(command, name)| {
        let operation = match command.direction().expect("a command of the stack") {
            Direction::Get => "control read",
            Direction::Set => "control write",
        };
        (operation, name.to_ascii_lowercase().replace(' ', "-"))
    })
}

/// Runs one command with a policy; returns the outcome, the denials, and whether the interface has changed.
fn run(order: &str, policy: &str) -> (String, Vec<String>, bool) {
    let world = World::new();
    let mut watch = world.guests.watch();
    let report = world.run(&program("policy_matrix_xila"), world.controlling(policy), order, async |_| {});
    assert!(report.outcome != "denied" || report.frames.is_empty(), "{order}: {policy:?}: {report:?}");
    (report.outcome, report.denials, watch.try_next().is_some())
}

#[test]
fn each_command_is_allowed_or_denied_by_its_word_however_it_is_given() {
    for (operation, word) in words() {
        for way in ["method", "device"] {
            let order = format!("{way} {word} eth0");
            let other = if operation == "control read" { "control write" } else { "control read" };
            for policy in [
                format!("allow {operation} {word}"),
                format!("allow {operation} any on eth0"),
                format!("deny {other} any\ndeny {operation} {word} on lo\nallow control any"),
            ] {
                let (outcome, denials, _) = run(&order, &policy);
                assert_eq!((&*outcome, denials), ("done", Vec::new()), "{order}: {policy:?}");
            }
            for policy in [
                String::new(),
                format!("allow {other} any\nallow tcp any\nallow udp any"),
                format!("allow {operation} no-such-command"),
                format!("allow {operation} {word} on lo"),
                format!("deny {operation} {word}\nallow any"),
                "deny control any on eth0\nallow any".to_owned(),
            ] {
                let denied = vec![format!("{operation} {word} on eth0")];
                assert_eq!(run(&order, &policy), ("denied".into(), denied, false), "{order}: {policy:?}");
            }
        }
    }
}

/// What follows from a change is seen: the test above would not notice otherwise that a denied command has an effect.
#[test]
fn a_change_that_is_allowed_is_seen() {
    for order in ["method set-mtu eth0", "device set-mtu eth0", "method set-state eth0", "device add-address eth0"] {
        assert_eq!(run(order, "allow control any"), ("done".into(), Vec::new(), true), "{order}");
    }
}

/// A command that the stack does not know is named by its identifier. Whether it reads is in the identifier.
#[test]
fn the_commands_of_a_driver_are_named_by_their_identifiers() {
    for (operation, command) in
        [("control read", "0x11800001"), ("control write", "0x21800001"), ("control write", "0x01800001")]
    {
        let order = format!("device {command} eth0");
        let (outcome, denials, _) = run(&order, &format!("allow {operation} {command}"));
        // The driver of this interface knows no command. The device file checks the identifier before.
        assert!(outcome.starts_with("failed"), "{order}: {outcome}");
        assert_eq!(denials, Vec::<String>::new());
        let denied = (String::from("denied"), vec![format!("{operation} {command} on eth0")], false);
        assert_eq!(run(&order, &format!("deny {operation} {command}\nallow any")), denied);
        assert_eq!(run(&order, ""), denied);
    }
}

#[test]
fn listing_and_watching_are_commands_for_all_interfaces() {
    for word in ["list", "watch"] {
        for policy in [&format!("allow control read {word}"), "allow control any", "deny control write any\nallow any"]
        {
            let (outcome, denials, _) = run(word, policy);
            assert_eq!((&*outcome, denials), ("done", Vec::new()), "{word}: {policy:?}");
        }
        for policy in
            ["", &format!("deny control read {word}\nallow any"), "allow control read any on eth0", "allow tcp any"]
        {
            let denied = (String::from("denied"), vec![format!("control read {word}")], false);
            assert_eq!(run(word, policy), denied, "{word}: {policy:?}");
        }
    }
}

/// A policy narrows what the host has given, and gives nothing.
#[test]
fn a_policy_gives_no_right_to_control() {
    let world = World::new();
    let context = world.context("allow any").build();
    let report = world.run(&program("policy_matrix_xila"), context, "list", async |_| {});
    assert_eq!((&*report.outcome, report.denials), ("denied", Vec::new()));
}
