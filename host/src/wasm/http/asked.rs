//! What a request asks for, and of which server (RFC 9112 sections 3 and 6.1).

use std::net::SocketAddr;

use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Method, Request, Version};

use super::coding;
use super::origin::is_server;

/// A request that a component may be called with: it names one server, by `http`, and has one end.
#[derive(Debug)]
pub struct Asked<B> {
    pub(super) request: Request<B>,
    /// The server that the request is for.
    pub(super) authority: Authority,
}

/// The cause why no component is called with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The request is none that a client may send (400 of RFC 9110 section 15.5.1).
    #[error("{0}")]
    Invalid(&'static str),
    /// No component can do what the request asks for (501 of RFC 9110 section 15.6.2).
    #[error("{0}")]
    NotImplemented(&'static str),
}

impl<B> Asked<B> {
    /// Checks a request that has come to the address `local`, which is the server of a request of HTTP/1.0 that names
    /// none.
    ///
    /// # Errors
    /// See [`Refused`]. Where the request ends may be uncertain then, so the connection has to be closed after the answer.
    pub fn new(mut request: Request<B>, local: SocketAddr) -> Result<Self, Refused> {
        let host = host_of(&request)?;
        check_codings(&request)?;
        if *request.method() == Method::CONNECT {
            return Err(refuse_tunnel(&request));
        }
        let uri = request.uri();
        let authority = match (uri.scheme(), uri.authority()) {
            // The server of the target counts, whatever the header says (RFC 9112 section 3.2.2).
            (Some(scheme), Some(authority)) if *scheme == Scheme::HTTP && is_server(authority) => authority.clone(),
            (Some(scheme), _) if *scheme != Scheme::HTTP => return Err(Refused::Invalid("its scheme is not http")),
            (Some(_), _) => return Err(Refused::Invalid("the server in its target is invalid")),
            (None, Some(_)) => return Err(Refused::Invalid("only CONNECT has a target without a path")),
            (None, None) if uri.path() == "*" && *request.method() != Method::OPTIONS => {
                return Err(Refused::Invalid("only OPTIONS has the target *"));
            }
            (None, None) => match host {
                Some(host) => host,
                None => own(&mut request, local)?,
            },
        };
        Ok(Self { request, authority })
    }
}

/// The server that the header names. A request of HTTP/1.0 need not have one, and none may have two (RFC 9112 section
/// 3.2).
fn host_of<B>(request: &Request<B>) -> Result<Option<Authority>, Refused> {
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() < Version::HTTP_11 => Ok(None),
        (None, _) => Err(Refused::Invalid("it names no host")),
        (Some(_), Some(_)) => Err(Refused::Invalid("it names two hosts")),
        (Some(host), None) => {
            let host = host.to_str().ok().and_then(|host| host.parse().ok()).filter(is_server);
            host.map(Some).ok_or(Refused::Invalid("the host that it names is invalid"))
        }
    }
}

/// A body that is not only chunked is not understood here (RFC 9112 section 6.1). Otherwise the component would be given
/// a coded one, and a server in front of this one might see another end of it.
fn check_codings<B>(request: &Request<B>) -> Result<(), Refused> {
    match coding::not_understood(request.headers()) {
        None => Ok(()),
        Some(_) => Err(Refused::NotImplemented("its body has another transfer coding than chunked")),
    }
}

/// Why a request for a tunnel is refused: it has to name a host and a port (RFC 9110 section 9.3.6), and no component
/// can open one.
fn refuse_tunnel<B>(request: &Request<B>) -> Refused {
    let uri = request.uri();
    let names_a_port =
        |authority: &Authority| is_server(authority) && authority.port_u16().is_some_and(|port| port != 0);
    if uri.scheme().is_none() && uri.authority().is_some_and(names_a_port) {
        Refused::NotImplemented("components open no tunnels")
    } else {
        Refused::Invalid("a tunnel leads to a host and a port")
    }
}

/// Makes a request that names no server one for `local`.
fn own<B>(request: &mut Request<B>, local: SocketAddr) -> Result<Authority, Refused> {
    let text = local.to_string();
    let invalid = Refused::Invalid("it names no host");
    let (authority, host) = (text.parse().map_err(|_| invalid)?, HeaderValue::from_str(&text).map_err(|_| invalid)?);
    request.headers_mut().insert(HOST, host);
    Ok(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVALID: &str = "invalid";
    const NOT_IMPLEMENTED: &str = "not implemented";

    /// The server of a request, or the kind of its refusal.
    fn asked(version: Version, line: &str, fields: &[(&str, &str)]) -> String {
        let (method, target) = line.split_once(' ').expect("a method and a target");
        let mut request = Request::builder().version(version).method(method).uri(target);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let local = SocketAddr::from(([192, 0, 2, 1], 8080));
        match Asked::new(request.body(()).expect("a request"), local) {
            Ok(Asked { authority, request }) => {
                assert!(request.uri().authority().is_some() || request.headers().contains_key(HOST));
                authority.to_string()
            }
            Err(Refused::Invalid(_)) => INVALID.to_owned(),
            Err(Refused::NotImplemented(_)) => NOT_IMPLEMENTED.to_owned(),
        }
    }

    #[test]
    fn a_request_names_one_server_in_its_target_or_in_its_header() {
        for (line, hosts, expected) in [
            ("GET /a", &["example.org:8080"][..], "example.org:8080"),
            ("GET /a", &["[2001:db8::1]:8080"], "[2001:db8::1]:8080"),
            ("GET /a", &["example.org:"], "example.org:"),
            ("GET http://example.net/", &["example.org"], "example.net"),
            ("OPTIONS *", &["example.org"], "example.org"),
            ("GET /", &[], INVALID),
            ("GET http://example.net/", &[], INVALID),
            ("GET /", &[""], INVALID),
            ("GET /", &["a", "a"], INVALID),
            ("GET /", &["a b"], INVALID),
            ("GET /", &["a/b"], INVALID),
            ("GET /", &["user@a"], INVALID),
            ("GET /", &["a:99999"], INVALID),
            ("GET /", &["a:+80"], INVALID),
            ("GET http://example.net/", &["a b"], INVALID),
            ("GET http://user@example.net/", &["example.net"], INVALID),
            ("GET ftp://example.net/", &["example.net"], INVALID),
            ("GET https://example.net/", &["example.net"], INVALID),
            ("GET example.net:80", &["example.net"], INVALID),
            ("GET *", &["example.net"], INVALID),
        ] {
            let fields: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            assert_eq!(asked(Version::HTTP_11, line, &fields), expected, "{line} {hosts:?}");
        }
    }

    #[test]
    fn a_request_of_http_1_0_without_a_host_is_for_the_server_that_it_has_come_to() {
        assert_eq!(asked(Version::HTTP_10, "GET /", &[]), "192.0.2.1:8080");
        assert_eq!(asked(Version::HTTP_10, "GET http://example.net/", &[]), "example.net");
        assert_eq!(asked(Version::HTTP_10, "GET /", &[("host", "example.org")]), "example.org");
        assert_eq!(asked(Version::HTTP_10, "GET /", &[("host", "a"), ("host", "b")]), INVALID);
    }

    #[test]
    fn a_body_is_at_most_chunked() {
        for (codings, expected) in [
            (&["chunked"][..], "a"),
            (&["Chunked"], "a"),
            (&[", chunked"], "a"),
            (&["gzip, chunked"], NOT_IMPLEMENTED),
            (&["chunked, chunked"], NOT_IMPLEMENTED),
            (&["identity, chunked"], NOT_IMPLEMENTED),
            (&["chunked", "chunked"], NOT_IMPLEMENTED),
            (&["gzip", "chunked"], NOT_IMPLEMENTED),
        ] {
            let mut fields = vec![("host", "a")];
            fields.extend(codings.iter().map(|coding| ("transfer-encoding", *coding)));
            assert_eq!(asked(Version::HTTP_11, "POST /", &fields), expected, "{codings:?}");
        }
    }

    #[test]
    fn nobody_is_given_a_tunnel() {
        for (target, expected) in [
            ("example.org:443", NOT_IMPLEMENTED),
            ("example.org", INVALID),
            ("example.org:0", INVALID),
            ("/a", INVALID),
            ("http://example.org:80/", INVALID),
        ] {
            let line = format!("CONNECT {target}");
            assert_eq!(asked(Version::HTTP_11, &line, &[("host", "example.org")]), expected, "{target}");
        }
    }
}
