//! The addresses that a guest got by resolving names, which rules with names are compared with.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeSet;

use hashbrown::HashMap;
use hickory_proto::rr::Name;

use crate::platform::Instant;

/// The largest number of pairs of name and address that are kept for a guest. Beyond it, the pair that expires first is
/// removed.
const MOST: usize = 4096;
/// The largest number of names that are kept for one address: each packet from there is compared with all of them.
const MOST_OF_ADDRESS: usize = 32;
/// The shortest lifetime of an address. A guest must be able to connect even to an address with a time to live of zero.
const LEAST: Duration = Duration::from_secs(1);

/// The canonical form of a name, in which rules compare it: ASCII (RFC 5891), lower case, without the final dot. `None`
/// if the text is not a name, or is the root.
pub(super) fn host_name(text: &str) -> Option<String> {
    if text.is_empty() || text.contains('\\') {
        return None;
    }
    let name = Name::from_str_relaxed(text).ok().map(|name| canonical_name(&name));
    // Letters that are written with a backslash cannot be read back.
    name.filter(|name| !name.is_empty() && !name.contains('\\'))
}

/// Like [`host_name`], for a name that is parsed already.
pub(super) fn canonical_name(name: &Name) -> String {
    let mut text = name.to_ascii().to_ascii_lowercase();
    text.truncate(text.trim_end_matches('.').len());
    text
}

/// The addresses that the guest itself got by resolving names, kept for their time to live.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The names of each address, with the time when each expires.
    known: HashMap<IpAddr, Vec<(String, Instant)>>,
    /// The same pairs in the order in which they expire.
    ends: BTreeSet<(Instant, IpAddr, String)>,
}

impl Names {
    /// Records that `name` was resolved to `address`, for `lifetime` but at least [`LEAST`].
    pub(super) fn learn(&mut self, name: &str, address: IpAddr, lifetime: Duration, now: Instant) {
        self.expire(now);
        let address = address.to_canonical();
        let end = now + lifetime.max(LEAST);
        let names = self.known.entry(address).or_default();
        match names.iter_mut().find(|(known, _)| known == name) {
            // An earlier answer that expires later stays valid.
            Some((_, until)) if *until >= end => return,
            Some((_, until)) => {
                self.ends.remove(&(*until, address, name.to_owned()));
                *until = end;
            }
            None => names.push((name.to_owned(), end)),
        }
        self.ends.insert((end, address, name.to_owned()));
        if self.known.get(&address).is_some_and(|names| names.len() > MOST_OF_ADDRESS) {
            self.forget_first_of(address);
        }
        while self.ends.len() > MOST {
            self.forget_first();
        }
    }

    /// The names of an address that have not expired.
    pub(super) fn of(&mut self, address: IpAddr, now: Instant) -> Vec<String> {
        self.expire(now);
        let names = self.known.get(&address.to_canonical());
        names.into_iter().flatten().map(|(name, _)| name.clone()).collect()
    }

    fn expire(&mut self, now: Instant) {
        while self.ends.first().is_some_and(|(end, ..)| *end <= now) {
            self.forget_first();
        }
    }

    /// Removes the pair that expires first.
    fn forget_first(&mut self) {
        let Some((_, address, name)) = self.ends.pop_first() else { return };
        self.forget(address, &name);
    }

    /// Removes the name of an address that expires first.
    fn forget_first_of(&mut self, address: IpAddr) {
        let names = self.known.get(&address).into_iter().flatten();
        let Some((name, end)) = names.min_by_key(|(_, end)| *end).cloned() else { return };
        self.forget(address, &name);
        self.ends.remove(&(end, address, name));
    }

    fn forget(&mut self, address: IpAddr, name: &str) {
        if let Some(names) = self.known.get_mut(&address) {
            names.retain(|(known, _)| known != name);
            if names.is_empty() {
                self.known.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn at(seconds: u64) -> Instant {
        Instant::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn an_address_has_its_names_for_their_time_to_live() {
        let mut names = Names::default();
        names.learn("a.example", ONE, Duration::from_secs(10), at(0));
        names.learn("b.example", ONE, Duration::from_secs(20), at(0));
        names.learn("a.example", ONE, Duration::from_secs(5), at(1));
        assert_eq!(names.of(ONE, at(9)), ["a.example", "b.example"]);
        assert_eq!(names.of(ONE, at(10)), ["b.example"]);
        assert!(names.of(ONE, at(20)).is_empty() && names.known.is_empty() && names.ends.is_empty());
        names.learn("a.example", ONE, Duration::ZERO, at(30));
        assert_eq!(names.of("::ffff:192.0.2.1".parse().unwrap(), at(30)), ["a.example"]);
        assert!(names.of(ONE, at(31)).is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded_and_that_which_ends_last_stays() {
        let mut names = Names::default();
        let address = |number: u64| IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number as u32));
        for number in 0..MOST as u64 + 100 {
            names.learn("www.example", address(number), Duration::from_secs(1000 + number), at(0));
        }
        assert_eq!((names.ends.len(), names.known.len()), (MOST, MOST));
        assert!(names.of(address(99), at(0)).is_empty());
        assert_eq!(names.of(address(100), at(0)), ["www.example"]);
    }

    #[test]
    fn an_address_has_few_names_and_those_that_end_last_stay() {
        let mut names = Names::default();
        for number in 0..100 {
            names.learn(&format!("{number}.example"), ONE, Duration::from_secs(1000 + number), at(0));
        }
        let kept: Vec<String> = (68..100).map(|number| format!("{number}.example")).collect();
        assert_eq!(names.of(ONE, at(0)), kept);
        assert_eq!(names.ends.len(), kept.len());
    }

    #[test]
    fn names_are_compared_in_one_form() {
        assert_eq!(host_name("WWW.Example.ORG.").as_deref(), Some("www.example.org"));
        assert_eq!(host_name("bücher.example").as_deref(), Some("xn--bcher-kva.example"));
        for text in ["", ".", "a..b", "a\\.b"] {
            assert_eq!(host_name(text), None, "{text}");
        }
    }
}
