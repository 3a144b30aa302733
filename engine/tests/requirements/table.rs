//! The rows of the table.

mod connections;
mod interfaces;
mod segments;

use std::fmt;

/// A requirement, and the tests that assert it.
pub(crate) struct Row {
    /// `MUST-1`: the number in RFC 9293; `1122:4.2.x` for a section of RFC 1122.
    pub(crate) id: &'static str,
    /// A short description of the requirement, with its strength if the number does not tell it.
    what: &'static str,
    pub(crate) evidence: Evidence,
}

/// How a requirement is met.
pub(crate) enum Evidence {
    /// These tests assert it.
    Asserted(&'static [&'static str]),
    /// These tests assert a part of it. The rest is not met, for this reason.
    InPart(&'static [&'static str], &'static str),
    /// It is not met, for this reason.
    NotOffered(&'static str),
}

impl Evidence {
    /// The tests that it names.
    pub(crate) const fn tests(&self) -> &'static [&'static str] {
        match self {
            Self::Asserted(tests) | Self::InPart(tests, _) => tests,
            Self::NotOffered(_) => &[],
        }
    }

    const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Asserted(_) => None,
            Self::InPart(_, reason) | Self::NotOffered(reason) => Some(reason),
        }
    }

    /// The errors in the row itself, apart from the tests.
    pub(crate) fn complaints(&self) -> Vec<&'static str> {
        let names_none = !matches!(self, Self::NotOffered(_)) && self.tests().is_empty();
        let no_reason = self.reason().is_some_and(|reason| reason.len() < 20);
        [(names_none, "it names no test"), (no_reason, "it gives no reason")]
            .into_iter()
            .filter(|(wrong, _)| *wrong)
            .map(|(_, complaint)| complaint)
            .collect()
    }
}

impl Row {
    /// `asserted`; `in part`; `left out` if it is a MAY or SHOULD, which permits that; or `NOT MET` if it is a MUST.
    pub(crate) fn state(&self) -> &'static str {
        match &self.evidence {
            Evidence::Asserted(_) => "asserted",
            Evidence::InPart(..) => "in part",
            Evidence::NotOffered(_) if self.id.starts_with("MUST") => "NOT MET",
            Evidence::NotOffered(_) => "left out",
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:<14} {:<9} {}", self.id, self.state(), self.what)?;
        for test in self.evidence.tests() {
            write!(formatter, "\n{:25}{test}", "")?;
        }
        self.evidence.reason().map_or(Ok(()), |reason| write!(formatter, "\n{:25}({reason})", ""))
    }
}

/// All rows, in the order of appendix B.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    segments::ROWS.iter().chain(connections::ROWS).chain(interfaces::ROWS)
}

const fn asserted(id: &'static str, what: &'static str, tests: &'static [&'static str]) -> Row {
    Row { id, what, evidence: Evidence::Asserted(tests) }
}

const fn in_part(id: &'static str, what: &'static str, tests: &'static [&'static str], reason: &'static str) -> Row {
    Row { id, what, evidence: Evidence::InPart(tests, reason) }
}

const fn not_offered(id: &'static str, what: &'static str, reason: &'static str) -> Row {
    Row { id, what, evidence: Evidence::NotOffered(reason) }
}
