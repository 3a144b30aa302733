//! The server that a URI names.

use std::fmt;

use http::Uri;
use http::uri::{Authority, Scheme};
use tokio_rustls::rustls::pki_types::ServerName;
use wasmtime_wasi_http::Error;

/// The ports of schemes without one (RFC 9110 section 4.2).
const HTTP: u16 = 80;
const HTTPS: u16 = 443;

/// Scheme, host and port of a URI (RFC 9110 section 4.3.1). URIs of the same origin are answered by the same server, so
/// a connection that was made for one of them may be used for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    is_secure: bool,
    /// In lower case, because hosts are compared without regard to it (RFC 3986 section 6.2.2.1).
    host: String,
    port: u16,
}

impl Origin {
    /// # Errors
    /// [`Error::HttpRequestUriInvalid`] for a URI that names no server, or not only a server.
    pub(super) fn of(uri: &Uri) -> Result<Self, Error> {
        // A user name is not part of an origin, and would become part of the header `host`.
        let authority = uri.authority().filter(|authority| is_server(authority)).ok_or(Error::HttpRequestUriInvalid)?;
        let is_secure = uri.scheme().is_none_or(|scheme| *scheme == Scheme::HTTPS);
        let port = authority.port_u16().unwrap_or(if is_secure { HTTPS } else { HTTP });
        Ok(Self { is_secure, host: authority.host().to_ascii_lowercase(), port })
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// The name that the server has to prove, if it has to.
    ///
    /// # Errors
    /// [`Error::HttpRequestUriInvalid`] for a name that no certificate has.
    pub(super) fn server_name(&self) -> Result<Option<ServerName<'static>>, Error> {
        if !self.is_secure {
            return Ok(None);
        }
        let literal = self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host);
        ServerName::try_from(literal.to_owned()).map(Some).map_err(|_invalid| Error::HttpRequestUriInvalid)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

/// Whether an authority is that of a server: a host, with or without a port, and without a user (RFC 9110 sections 4.2.1
/// and 4.2.4).
pub(super) fn is_server(authority: &Authority) -> bool {
    let host = authority.host();
    // A user would come before the host.
    let Some(rest) = authority.as_str().strip_prefix(host) else { return false };
    !host.is_empty() && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

/// Whether a text is a number that ports have. An empty one is the port of the scheme (RFC 3986 section 3.2.3).
/// `Authority` takes any text; its port is then none, except that it takes a sign for a part of a number.
fn is_port(text: &str) -> bool {
    text.is_empty() || (text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(uri: &str) -> Result<Origin, Error> {
        Origin::of(&uri.parse().expect("a URI"))
    }

    #[test]
    fn uris_of_one_server_have_the_same_origin_and_others_have_not() {
        let of = |uri: &str| origin(uri).expect("an origin");
        assert_eq!(of("http://example.org/a?b"), of("http://EXAMPLE.org:80"));
        assert_eq!(of("https://example.org"), of("https://example.org:443/"));
        for other in ["https://example.org", "http://example.org:443", "http://example.com", "http://www.example.org"] {
            assert_ne!(of("http://example.org"), of(other), "{other}");
        }
        assert_eq!(of("http://[2001:DB8::1]:81").to_string(), "[2001:db8::1]:81");
    }

    #[test]
    fn what_is_no_port_is_not_taken_for_none() {
        for (valid, port) in [
            ("http://example.org", 80),
            ("http://example.org:81", 81),
            ("http://example.org:0081", 81),
            ("http://[::1]", 80),
            ("http://[::1]:81", 81),
            ("http://example.org:", 80),
            ("http://example.org:/a", 80),
            ("https://[::1]:/", 443),
        ] {
            assert_eq!(origin(valid).expect(valid).port(), port, "{valid}");
        }
        for invalid in [
            "http://example.org:99999",
            "http://example.org:+81",
            "http://[::1]:99999",
            "http://[::1]:+81",
            "http://user@host",
            "http://user:@host:80",
        ] {
            // Some of them are no URIs for the parser already.
            let uri = invalid.parse::<Uri>().map_err(|_invalid| Error::HttpRequestUriInvalid);
            let origin = uri.and_then(|uri| Origin::of(&uri));
            assert!(matches!(origin, Err(Error::HttpRequestUriInvalid)), "{invalid}");
        }
    }

    #[test]
    fn a_server_is_verified_by_its_name_or_its_address() {
        let name = |uri: &str| origin(uri).expect("an origin").server_name();
        assert!(matches!(name("http://example.org"), Ok(None)));
        assert!(matches!(name("https://example.org"), Ok(Some(ServerName::DnsName(_)))));
        for literal in ["https://192.0.2.1", "https://[2001:db8::1]"] {
            assert!(matches!(name(literal), Ok(Some(ServerName::IpAddress(_)))), "{literal}");
        }
        assert!(matches!(name("https://a_b..c"), Err(Error::HttpRequestUriInvalid)));
    }
}
