//! Which address to speak from, and which to try first: what RFC 6724 compares.

use core::net::IpAddr;

/// How far an address means something (RFC 6724 section 3.1 and 3.2, RFC 4291 section 2.7), as a multicast scope.
pub(crate) fn scope(address: IpAddr) -> u8 {
    const LINK_LOCAL: u8 = 0x2;
    const SITE_LOCAL: u8 = 0x5;
    const GLOBAL: u8 = 0xe;
    match address {
        IpAddr::V4(address) if address.is_loopback() || address.is_link_local() => LINK_LOCAL,
        IpAddr::V4(_) => GLOBAL,
        IpAddr::V6(address) => match address.octets() {
            [0xff, second, ..] => second & 0xf,
            _ if address.is_loopback() || address.is_unicast_link_local() => LINK_LOCAL,
            [0xfe, second, ..] if second & 0xc0 == 0xc0 => SITE_LOCAL,
            _ => GLOBAL,
        },
    }
}

/// Precedence and label of an address in the default policy table (RFC 6724 section 2.1).
pub(crate) fn policy(address: IpAddr) -> (u8, u8) {
    let segments = match address {
        IpAddr::V4(_) => return (35, 4),
        IpAddr::V6(address) => address.segments(),
    };
    match segments {
        [0, 0, 0, 0, 0, 0, 0, 1] => (50, 0),
        [0, 0, 0, 0, 0, 0xffff, ..] => (35, 4),
        [0, 0, 0, 0, 0, 0, ..] => (1, 3),
        [0x2001, 0, ..] => (5, 5),
        [0x2002, ..] => (30, 2),
        [0x3ffe, ..] => (1, 12),
        [first, ..] if first & 0xfe00 == 0xfc00 => (3, 13),
        [first, ..] if first & 0xffc0 == 0xfec0 => (1, 11),
        _ => (40, 1),
    }
}

/// How many leading bits two addresses of one family share; of IPv6 ones at most the 64 of the network (RFC 6724
/// section 2.2). Zero for two families.
pub(crate) fn common_prefix(one: IpAddr, other: IpAddr) -> u32 {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros().min(64),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => 0,
    }
}

/// An address that packets may leave from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) address: IpAddr,
    /// New connections should use another (RFC 4862 section 5.5.4).
    pub(crate) deprecated: bool,
    /// Its network holds the destination or the router on the way.
    pub(crate) on_path: bool,
}

/// Whether `one` is the better source than `other` for packets to `destination` (RFC 6724 section 5, rules 1, 2, 3, 6
/// and 8; rule 5.5 is `on_path`).
pub(crate) fn is_better_source(one: &Source, other: &Source, destination: IpAddr) -> bool {
    let equal = |source: &Source| source.address == destination;
    if equal(one) != equal(other) {
        return equal(one);
    }
    let (of_one, of_other, wanted) = (scope(one.address), scope(other.address), scope(destination));
    if of_one != of_other {
        return if of_one < of_other { of_one >= wanted } else { of_other < wanted };
    }
    if one.deprecated != other.deprecated {
        return other.deprecated;
    }
    if one.on_path != other.on_path {
        return one.on_path;
    }
    let labelled = |source: &Source| policy(source.address).1 == policy(destination).1;
    if labelled(one) != labelled(other) {
        return labelled(one);
    }
    common_prefix(one.address, destination) > common_prefix(other.address, destination)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        Source { address: address.parse().expect(address), deprecated: false, on_path: false }
    }

    fn better(one: &str, other: &str, destination: &str) -> bool {
        let destination = destination.parse().expect(destination);
        let better = is_better_source(&source(one), &source(other), destination);
        assert!(!(better && is_better_source(&source(other), &source(one), destination)), "both are better");
        better
    }

    /// The examples of RFC 6724 section 10.1 that concern one interface.
    #[test]
    fn the_source_is_chosen_as_the_rfc_has_it() {
        assert!(better("2001:db8:1::1", "fe80::1", "2001:db8:1::2"), "scope");
        assert!(better("fe80::1", "2001:db8::1", "fe80::2"), "scope");
        assert!(better("2001:db8:1::2", "2001:db8:3::2", "2001:db8:1::1"), "longest match");
        assert!(better("2002:c633:6401::1", "2001:db8:1::2", "2002:c633:6401::2"), "label");
        assert!(better("10.1.0.1", "10.2.0.1", "10.1.9.9"), "longest match");
        assert!(better("10.1.0.1", "169.254.0.1", "198.51.100.1"), "scope");
    }

    #[test]
    fn a_deprecated_address_is_used_only_where_there_is_no_other() {
        let destination = "2001:db8:1::1".parse().expect("v6");
        let old = Source { deprecated: true, ..source("2001:db8:1::2") };
        assert!(is_better_source(&source("2001:db8:9::2"), &old, destination));
        assert!(is_better_source(&old, &source("fe80::1"), destination), "scope goes before");
    }

    #[test]
    fn scopes_are_those_of_the_rfc() {
        for (address, expected) in
            [("ff02::1", 2), ("ff0e::1", 14), ("fe80::1", 2), ("::1", 2), ("fec0::1", 5), ("fd00::1", 14)]
        {
            assert_eq!(scope(address.parse().expect(address)), expected, "{address}");
        }
    }
}
