//! Parsing of names, and what is known about names without a query: literal addresses, special names, search domains.

use core::iter;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::{Reply, ResolveError, records};

/// The addresses of `localhost`.
pub(super) const LOOPBACK: [IpAddr; 2] = [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)];

/// The maximum length of a name as text, in octets: each of the 255 octets of its ASCII form may stand for a character
/// of four octets.
const MOST_TEXT: usize = 4 * 255;

/// The maximum number of search domains. A name that does not exist is queried once in each of them, and a network may
/// provide them.
pub const MOST_DOMAINS: usize = 8;

/// The time to live of `localhost` in seconds: it never changes.
pub(super) const LOOPBACK_TTL: u32 = 86_400;

/// The address, if a text is a literal address.
pub(super) fn literal(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(text) => text.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}

/// Parses a name and converts it to its ASCII form (RFC 5891). It is absolute if the text ends with a dot. Escapes are
/// not allowed: hickory reads them as octal numbers, whereas RFC 1035 section 5.1 has decimal ones, and accepts one
/// that is cut off at the end.
pub(super) fn parse(text: &str) -> Result<Name, ResolveError> {
    if text.is_empty() || text.len() > MOST_TEXT || text.contains('\\') {
        return Err(ResolveError::InvalidName);
    }
    Name::from_str_relaxed(text).map_err(|_| ResolveError::InvalidName)
}

/// A special name, for which no server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    /// `localhost` and below (RFC 6761 section 6.3).
    Loopback,
    /// `invalid`, `onion` and below: never a name of the DNS (RFC 6761 section 6.4, RFC 7686).
    Nowhere,
}

/// The kind of a special name; `None` for an ordinary one.
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

/// The answer for a special name, without asking a server.
pub(super) fn reply(special: Special, name: &Name, record_type: RecordType) -> Reply {
    let (code, found) = match special {
        Special::Loopback => (ResponseCode::NoError, loopback_records(name, record_type)),
        Special::Nowhere => (ResponseCode::NXDomain, Vec::new()),
    };
    let records = found.iter().map(records::from_wire).collect();
    Reply { server: None, code: code.into(), is_authoritative: false, by_tcp: false, records }
}

/// Whether a text can be a search domain: a valid name, with or without its final dot, that is neither the root nor a
/// special name, below which no server knows names.
#[must_use]
pub fn is_search_domain(text: &str) -> bool {
    domain(text).is_some()
}

fn domain(text: &str) -> Option<Name> {
    let mut name = parse(text).ok()?;
    name.set_fqdn(true);
    (!name.is_root() && special(&name).is_none()).then_some(name)
}

/// The search domains: the first [`MOST_DOMAINS`] valid ones of those given, without duplicates.
pub(super) fn domains<'a>(given: impl Iterator<Item = &'a str>) -> Vec<Name> {
    let mut domains: Vec<Name> = Vec::new();
    for text in given {
        match domain(text) {
            Some(domain) if domains.len() < MOST_DOMAINS && !domains.contains(&domain) => domains.push(domain),
            Some(_) => {}
            None => tracing::debug!(text, "a search domain is left out"),
        }
    }
    domains
}

/// The absolute names to try for a name, in order, as in resolv.conf(5). A name with at least `ndots` dots is tried as
/// it is first: otherwise whoever provides the search domains could take over any name (RFC 1535).
pub(super) fn candidates(name: &Name, search: &[Name], ndots: usize) -> Vec<Name> {
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
    let dots = name.iter().count().saturating_sub(1);
    if dots >= ndots { iter::once(itself).chain(below).collect() } else { below.chain([itself]).collect() }
}

/// The error of a search after one more name has failed. Returns `Err` with the error if it ends the search: if no
/// server can be asked about one name, none can be asked about the next.
pub(super) fn search_failure(before: Option<ResolveError>, error: ResolveError) -> Result<ResolveError, ResolveError> {
    let rank = |error: &ResolveError| match error {
        ResolveError::NameNotFound => Some(0),
        ResolveError::ServerFailure => Some(1),
        ResolveError::NoRecords => Some(2),
        ResolveError::InvalidName
        | ResolveError::InvalidAddress
        | ResolveError::AccessDenied
        | ResolveError::ServersUnreachable => None,
    };
    match (before, rank(&error)) {
        (_, None) => Err(error),
        (Some(before), Some(_)) if rank(&before) > rank(&error) => Ok(before),
        (_, Some(_)) => Ok(error),
    }
}

/// The error if the queries for both families failed: `NameNotFound` comes first, since it holds for both families,
/// then the errors that may be gone the next time.
pub(super) fn joint_failure(one: ResolveError, other: ResolveError) -> ResolveError {
    let rank = |error: &ResolveError| match error {
        ResolveError::NameNotFound => 4,
        ResolveError::ServersUnreachable => 3,
        ResolveError::ServerFailure => 2,
        ResolveError::InvalidName | ResolveError::InvalidAddress | ResolveError::AccessDenied => 1,
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
        asked_with(1, text, search)
    }

    fn asked_with(ndots: usize, text: &str, search: &[&str]) -> Vec<String> {
        candidates(&name(text), &domains(search.iter().copied()), ndots).iter().map(Name::to_ascii).collect()
    }

    #[test]
    fn a_name_with_at_least_ndots_dots_is_tried_as_it_is_first() {
        assert_eq!(asked_with(0, "www", &["a.example"]), ["www.", "www.a.example."]);
        assert_eq!(asked_with(2, "www.x", &["a.example"]), ["www.x.a.example.", "www.x."]);
        assert_eq!(asked_with(2, "www.x.y", &["a.example"]), ["www.x.y.", "www.x.y.a.example."]);
        assert_eq!(asked_with(1, "*.x", &["a.example"]), ["*.x.", "*.x.a.example."]);
    }

    #[test]
    fn invalid_search_domains_are_ignored_and_of_many_the_first_are_used() {
        for text in ["", ".", "a..b", "localhost", "x.localhost.", "invalid", &"a".repeat(64)] {
            assert!(!is_search_domain(text), "{text}");
        }
        assert!(is_search_domain("a.example") && is_search_domain("example."));
        let given = ["a.example", "no domain", ".", "A.EXAMPLE.", "localhost", "b.example"];
        assert_eq!(asked("www", &given), ["www.a.example.", "www.b.example.", "www."]);
        let many: Vec<String> = (0..1000).map(|number| format!("{number}.example")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let tried = asked("www", &many);
        assert_eq!((tried.len(), tried[0].as_str()), (MOST_DOMAINS + 1, "www.0.example."));
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
    fn literal_addresses_are_recognised() {
        for (text, address) in [("10.0.0.1", "10.0.0.1"), ("::1", "::1"), ("[2001:db8::1]", "2001:db8::1")] {
            assert_eq!(literal(text), address.parse().ok(), "{text}");
        }
        for text in ["[10.0.0.1]", "010.0.0.1", "10.0.0.+1", "[::1", "::1]", "[]", "", "1.2.3", "fe80::1%eth0"] {
            assert_eq!(literal(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_converted_to_their_ascii_form() {
        assert_eq!(name("bücher.example").to_ascii(), "xn--bcher-kva.example");
        assert_eq!(name("BÜCHER.example.").to_ascii(), "xn--bcher-kva.example.");
        assert_eq!(name("_sip._tcp.example").to_ascii(), "_sip._tcp.example");
        assert_eq!(name("under_score.example").to_ascii(), "under_score.example");
    }

    #[test]
    fn invalid_names_are_refused() {
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
