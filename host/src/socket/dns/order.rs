//! The order in which the addresses of a name are tried.

use core::cmp::Reverse;
use core::net::IpAddr;
use std::collections::HashSet;

use xila_network_engine::ip::addresses::{Scope, common_prefix, policy};

use crate::address::Family;

/// Sorts destinations by RFC 6724 section 6, with alternating families (RFC 8305 section 4), and removes duplicates.
/// `source` returns the source address for a destination; destinations without one come last.
pub(super) fn for_trying(destinations: Vec<IpAddr>, source: impl Fn(IpAddr) -> Option<IpAddr>) -> Vec<IpAddr> {
    let (usable, unusable): (Vec<_>, Vec<_>) =
        sorted(destinations, source).into_iter().partition(|(_, source)| source.is_some());
    let Some((first, _)) = usable.first() else {
        return unusable.into_iter().map(|(destination, _)| destination).collect();
    };
    let family = Family::of(*first);
    let (ours, others): (Vec<_>, Vec<_>) =
        usable.iter().map(|(usable, _)| *usable).partition(|one| Family::of(*one) == family);
    let turns = ours.len().max(others.len());
    let in_turns = (0..turns).flat_map(|turn| ours.get(turn).into_iter().chain(others.get(turn))).copied();
    in_turns.chain(unusable.into_iter().map(|(destination, _)| destination)).collect()
}

/// Sorts destinations, each with its source, by rules 2, 5, 6, 8, 9 and 10. Rules 3, 4 and 7 concern deprecated
/// sources, home addresses and tunnels, which are not known here.
///
/// They are sorted by a key, not by a comparison of two: rule 9 holds within one family only, and a comparison that is
/// not a total order could panic.
fn sorted(destinations: Vec<IpAddr>, source: impl Fn(IpAddr) -> Option<IpAddr>) -> Vec<(IpAddr, Option<IpAddr>)> {
    let mut seen = HashSet::new();
    let distinct = destinations.into_iter().filter(|destination| seen.insert(*destination));
    let mut found: Vec<_> = distinct.map(|destination| (destination, source(destination))).collect();
    found.sort_by_cached_key(|(destination, source)| {
        let (precedence, label) = policy(*destination);
        (
            source.is_none_or(|source| Scope::of(source) != Scope::of(*destination)),
            source.is_none_or(|source| policy(source).1 != label),
            Reverse(precedence),
            Scope::of(*destination),
            destination.is_ipv4(),
            Reverse(source.map_or(0, |source| common_prefix(source, *destination))),
        )
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of destinations, each given with its source.
    fn order(destinations: &[(&str, &str)]) -> Vec<String> {
        let address = |text: &str| text.parse::<IpAddr>().unwrap_or_else(|error| panic!("{text}: {error}"));
        let source = |wanted| {
            let found = destinations.iter().find(|(destination, _)| address(destination) == wanted);
            found.filter(|(_, source)| !source.is_empty()).map(|(_, source)| address(source))
        };
        let given = destinations.iter().map(|(destination, _)| address(destination)).collect();
        for_trying(given, source).iter().map(ToString::to_string).collect()
    }

    /// Asserts the order, whatever order the addresses come in.
    fn assert_order(destinations: &[(&str, &str)], expected: &[&str]) {
        assert_eq!(order(destinations), expected);
        let backwards: Vec<_> = destinations.iter().rev().copied().collect();
        assert_eq!(order(&backwards), expected, "backwards");
    }

    /// The examples of RFC 6724 section 10.2 that concern one interface, without home and deprecated addresses.
    #[test]
    fn destinations_are_sorted_as_in_the_rfc() {
        // Prefer matching scope.
        assert_order(
            &[("2001:db8:1::1", "2001:db8:1::2"), ("198.51.100.121", "169.254.13.78")],
            &["2001:db8:1::1", "198.51.100.121"],
        );
        assert_order(
            &[("2001:db8:1::1", "fe80::1"), ("198.51.100.121", "198.51.100.117")],
            &["198.51.100.121", "2001:db8:1::1"],
        );
        // Prefer higher precedence.
        assert_order(&[("2001:db8:1::1", "2001:db8:1::2"), ("10.1.2.3", "10.1.2.4")], &["2001:db8:1::1", "10.1.2.3"]);
        // Prefer smaller scope.
        assert_order(&[("2001:db8:1::1", "2001:db8:1::2"), ("fe80::1", "fe80::2")], &["fe80::1", "2001:db8:1::1"]);
        // Longest matching prefix.
        assert_order(
            &[("2001:db8:1::1", "2001:db8:1::2"), ("2001:db8:3ffe::1", "2001:db8:3f44::2")],
            &["2001:db8:1::1", "2001:db8:3ffe::1"],
        );
        // Prefer matching label.
        assert_order(
            &[("2002:c633:6401::1", "2002:c633:6401::2"), ("2001:db8:1::1", "2002:c633:6401::2")],
            &["2002:c633:6401::1", "2001:db8:1::1"],
        );
        // Prefer higher precedence.
        assert_order(
            &[("2002:c633:6401::1", "2002:c633:6401::2"), ("2001:db8:1::1", "2001:db8:1::2")],
            &["2001:db8:1::1", "2002:c633:6401::1"],
        );
    }

    #[test]
    fn unreachable_destinations_come_last() {
        assert_order(
            &[("2001:db8::1", ""), ("10.1.0.1", "10.0.0.1"), ("203.0.113.1", "10.0.0.1")],
            &["10.1.0.1", "203.0.113.1", "2001:db8::1"],
        );
        assert_eq!(order(&[("198.51.100.1", ""), ("198.51.100.2", "")]), ["198.51.100.1", "198.51.100.2"]);
        assert_eq!(order(&[]), [""; 0]);
    }

    #[test]
    fn families_alternate_and_equal_destinations_keep_their_order() {
        let six = ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(|text| (text, "2001:db8::9"));
        let four = [("198.51.100.130", "198.51.100.1"), ("198.51.100.129", "198.51.100.1")];
        assert_eq!(
            order(&[&four[..], &six[..]].concat()),
            ["2001:db8::1", "198.51.100.130", "2001:db8::2", "198.51.100.129", "2001:db8::3"]
        );
        assert_eq!(order(&[six[0], six[0]]), ["2001:db8::1"], "each once");
    }
}
