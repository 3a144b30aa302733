//! The response code of a server's answer.

use std::fmt;

/// A response code by its number (RFC 6895 section 2.3). Displayed by its name, or as `RCODE4095`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResponseCode(pub u16);

impl ResponseCode {
    /// No error.
    pub const NOERROR: Self = Self(0);
    /// The server could not parse the query.
    pub const FORMERR: Self = Self(1);
    /// The server failed.
    pub const SERVFAIL: Self = Self(2);
    /// There is no such name.
    pub const NXDOMAIN: Self = Self(3);
    /// The server does not implement this kind of query.
    pub const NOTIMP: Self = Self(4);
    /// The server refuses to answer.
    pub const REFUSED: Self = Self(5);
    /// The server is not an authority for the zone, or the query is not authorized.
    pub const NOTAUTH: Self = Self(9);
    /// The server does not support this version of EDNS.
    pub const BADVERS: Self = Self(16);

    const NAMES: &[(Self, &str)] = &[
        (Self::NOERROR, "NOERROR"),
        (Self::FORMERR, "FORMERR"),
        (Self::SERVFAIL, "SERVFAIL"),
        (Self::NXDOMAIN, "NXDOMAIN"),
        (Self::NOTIMP, "NOTIMP"),
        (Self::REFUSED, "REFUSED"),
        (Self::NOTAUTH, "NOTAUTH"),
        (Self::BADVERS, "BADVERS"),
    ];
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(code, _)| code == self) {
            Some((_, name)) => f.pad(name),
            None => f.pad(&format!("RCODE{}", self.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_names_or_numbers() {
        assert_eq!(ResponseCode(3).to_string(), "NXDOMAIN");
        assert_eq!(ResponseCode::REFUSED.to_string(), "REFUSED");
        assert_eq!(ResponseCode(4095).to_string(), "RCODE4095");
    }
}
