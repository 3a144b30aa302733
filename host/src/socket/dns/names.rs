//! Names as they are written, and what is known of them without asking.

use core::iter;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::ResolveError;

/// The addresses of `localhost`.
pub(super) const LOOPBACK: [IpAddr; 2] = [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)];

/// How many octets of text may be a name: of 255 in its ASCII form, each may stand for a character of four.
const MOST_TEXT: usize = 4 * 255;

/// For how long `localhost` may be kept: it never changes.
const LOOPBACK_TTL: u32 = 86_400;

/// The address that a text is, if it is one.
pub(super) fn literal(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(text) => text.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

/// A name from text, in its ASCII form (RFC 5891). Absolute where the text ends with a dot. There are no escapes: hickory
/// reads them as octal numbers, where RFC 1035 section 5.1 has decimal ones, and lets one be cut off at the end.
pub(super) fn parse(text: &str) -> Result<Name, ResolveError> {
    if text.is_empty() || text.len() > MOST_TEXT || text.contains('\\') {
        return Err(ResolveError::InvalidName);
    }
    Name::from_str_relaxed(text).map_err(|_| ResolveError::InvalidName)
}

/// A name that no server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    /// `localhost` and below (RFC 6761 section 6.3).
    Loopback,
    /// `invalid`, `onion` and below: never a name of the DNS (RFC 6761 section 6.4, RFC 7686).
    Nowhere,
}

/// What is special about a name.
pub(super) fn special(name: &Name) -> Option<Special> {
    let last = name.iter().next_back()?;
    if last.eq_ignore_ascii_case(b"localhost") {
        Some(Special::Loopback)
    } else if last.eq_ignore_ascii_case(b"invalid") || last.eq_ignore_ascii_case(b"onion") {
        Some(Special::Nowhere)
    } else {
        None
    }
}

/// The records of `localhost` or a name below it.
pub(super) fn loopback_records(name: &Name, record_type: RecordType) -> Vec<Record> {
    let mut name = name.clone();
    name.set_fqdn(true);
    let records = LOOPBACK.map(|address| Record::from_rdata(name.clone(), LOOPBACK_TTL, RData::from(address)));
    records.into_iter().filter(|record| record_type.is_any() || record.record_type() == record_type).collect()
}

/// The absolute names that a name may stand for, in the order in which they are asked for: resolv.conf(5) with `ndots:1`.
pub(super) fn candidates(name: &Name, search: &[Name]) -> Vec<Name> {
    let mut itself = name.clone();
    itself.set_fqdn(true);
    if name.is_fqdn() {
        return vec![itself];
    }
    let below = search.iter().filter_map(|domain| {
        let mut below = name.clone().append_domain(domain).ok()?;
        below.set_fqdn(true);
        Some(below)
    });
    if name.num_labels() > 1 { iter::once(itself).chain(below).collect() } else { below.chain([itself]).collect() }
}

/// The error of a search after one more name, or as `Err` the error that ends it: who cannot be asked about one name
/// cannot be asked about the next.
pub(super) fn search_failure(before: Option<ResolveError>, error: ResolveError) -> Result<ResolveError, ResolveError> {
    let rank = |error: &ResolveError| match error {
        ResolveError::NameNotFound => Some(0),
        ResolveError::ServerFailure => Some(1),
        ResolveError::NoRecords => Some(2),
        ResolveError::InvalidName | ResolveError::InvalidAddress | ResolveError::ServersUnreachable => None,
    };
    match (before, rank(&error)) {
        (_, None) => Err(error),
        (Some(before), Some(_)) if rank(&before) > rank(&error) => Ok(before),
        (_, Some(_)) => Ok(error),
    }
}

/// The error where both families failed: that there is no such name holds for both, then comes what may be otherwise the
/// next time.
pub(super) fn joint_failure(one: ResolveError, other: ResolveError) -> ResolveError {
    let rank = |error: &ResolveError| match error {
        ResolveError::NameNotFound => 4,
        ResolveError::ServersUnreachable => 3,
        ResolveError::ServerFailure => 2,
        ResolveError::InvalidName | ResolveError::InvalidAddress => 1,
        ResolveError::NoRecords => 0,
    };
    if rank(&one) >= rank(&other) { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn asked(text: &str, search: &[&str]) -> Vec<String> {
        let search: Vec<Name> = search.iter().copied().map(name).collect();
        candidates(&name(text), &search).iter().map(Name::to_ascii).collect()
    }

    #[test]
    fn search_domains_come_before_a_name_without_a_dot_and_after_one_with() {
        assert_eq!(asked("www", &["a.example", "b.example."]), ["www.a.example.", "www.b.example.", "www."]);
        assert_eq!(asked("www.x", &["a.example"]), ["www.x.", "www.x.a.example."]);
        assert_eq!(asked("www.", &["a.example"]), ["www."]);
        assert_eq!(asked("www", &[]), ["www."]);
        let long = ["a"; 126].join(".");
        assert_eq!(asked(&long, &["example"]), [format!("{long}.")], "what gets too long is not asked for");
    }

    #[test]
    fn addresses_are_taken_as_they_are_written_and_nothing_else_is() {
        for (text, address) in [("10.0.0.1", "10.0.0.1"), ("::1", "::1"), ("[2001:db8::1]", "2001:db8::1")] {
            assert_eq!(literal(text), address.parse().ok(), "{text}");
        }
        for text in ["[10.0.0.1]", "010.0.0.1", "10.0.0.+1", "[::1", "::1]", "[]", "", "1.2.3", "fe80::1%eth0"] {
            assert_eq!(literal(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_put_into_their_ascii_form() {
        assert_eq!(name("bücher.example").to_ascii(), "xn--bcher-kva.example");
        assert_eq!(name("BÜCHER.example.").to_ascii(), "xn--bcher-kva.example.");
        assert_eq!(name("_sip._tcp.example").to_ascii(), "_sip._tcp.example");
        assert_eq!(name("under_score.example").to_ascii(), "under_score.example");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long_label = "a".repeat(64);
        let long = ["abcdefg"; 33].join(".");
        let huge = "a".repeat(1 << 20);
        for text in
            ["", "..", "a..b", ".a", "a b", "a\n", &long_label, &long, &huge, "[::1]", "\\", "a\\9", "a\\\u{663}"]
        {
            assert_eq!(parse(text), Err(ResolveError::InvalidName), "{:.40}", text);
        }
        assert!(parse(&"a".repeat(63)).is_ok());
        assert!(parse(".").is_ok(), "the root has records");
    }

    #[test]
    fn localhost_is_special_with_all_below_it() {
        for text in ["localhost", "LocalHost.", "a.b.localhost"] {
            assert_eq!(special(&name(text)), Some(Special::Loopback), "{text}");
        }
        for text in ["x.invalid", "abc.onion."] {
            assert_eq!(special(&name(text)), Some(Special::Nowhere), "{text}");
        }
        for text in ["localhost.example", "mylocalhost", "."] {
            assert_eq!(special(&name(text)), None, "{text}");
        }
    }

    #[test]
    fn an_uncertain_failure_is_not_taken_for_a_certain_one() {
        use ResolveError::{NameNotFound, NoRecords, ServerFailure, ServersUnreachable};
        assert_eq!(joint_failure(NoRecords, ServersUnreachable), ServersUnreachable);
        assert_eq!(joint_failure(ServerFailure, NoRecords), ServerFailure);
        assert_eq!(joint_failure(ServersUnreachable, NameNotFound), NameNotFound);
        assert_eq!(search_failure(Some(NoRecords), NameNotFound), Ok(NoRecords));
        assert_eq!(search_failure(Some(NameNotFound), ServerFailure), Ok(ServerFailure));
        assert_eq!(search_failure(None, ServersUnreachable), Err(ServersUnreachable));
    }
}
