//! TLS: https by `wasi:http`, and `wasi:tls`.

use std::time::Duration;

use xila_network_host::wasm::http::TlsRoots;
use xila_network_tests::guests::Guest;
use xila_network_tests::networks::{manager, nothing_is_left, until};

use super::server::{Server, authority};
use super::{FETCH, response};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_trusted_by_its_root_and_its_name_and_not_otherwise() {
    let manager = manager();
    let (_, roots, acceptor) = authority();
    let (_, others, _) = authority();
    let server = Server::start(&manager.network(), Some(acceptor));
    let port = server.address.port();
    let fetch = async |program: &str, host: &str, roots: &TlsRoots| {
        let words = ["GET".to_owned(), format!("https://{host}:{port}/hello")];
        Guest::new(program).network(manager.network()).tls_roots(roots.clone()).arguments(words).succeed().await
    };
    for program in FETCH {
        let greeting = format!("/hello of localhost:{port}");
        assert_eq!(fetch(program, "localhost", &roots).await, response(200, greeting.as_bytes()), "{program}");
        let answered = server.requests();
        // The certificate is for the name, and not for the address.
        for (host, roots) in [("localhost", &others), ("127.0.0.1", &roots)] {
            let told = fetch(program, host, roots).await;
            assert!(told.contains("ErrorCode::TlsCertificateError"), "{program} {host}: {told}");
        }
        assert_eq!(server.requests(), answered, "no request was sent to whom nobody trusts");
    }
    // Each of those that were not trusted is told why.
    let told = tokio::time::timeout(Duration::from_secs(30), until(|| server.refused() == 2 * FETCH.len())).await;
    assert!(told.is_ok(), "{}", server.refused());
    server.end().await;
    nothing_is_left(&manager).await;
}

/// By a session that another guest has begun, a server would see that they have the same host.
#[tokio::test(flavor = "multi_thread")]
async fn a_guest_takes_up_its_own_sessions_and_nobody_elses() {
    let manager = manager();
    let (_, roots, acceptor) = authority();
    for program in FETCH {
        let server = Server::start(&manager.network(), Some(acceptor.clone()));
        // What may change something has a connection of its own.
        let words = format!("GET https://localhost:{}/echo then=/echo times=1 by=POST", server.address.port());
        for guests in 1..=3 {
            let guest = Guest::new(program).network(manager.network()).tls_roots(roots.clone());
            let told = guest.arguments(words.split_whitespace()).succeed().await;
            assert_eq!(told, response(200, b"").repeat(2), "{program}");
            assert_eq!((server.connections(), server.resumed()), (2 * guests, guests), "{program}");
        }
        server.end().await;
    }
    nothing_is_left(&manager).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_a_protocol_error() {
    let manager = manager();
    let (_, roots, _) = authority();
    let server = Server::start(&manager.network(), None);
    for program in FETCH {
        let words = ["GET".to_owned(), format!("https://{}/hello", server.address)];
        let guest = Guest::new(program).network(manager.network()).tls_roots(roots.clone());
        let told = guest.arguments(words).succeed().await;
        assert!(told.contains("ErrorCode::TlsProtocolError"), "{program}: {told}");
    }
}

/// A connection of a program's own to a server that it trusts, to one that nobody trusts, and to one of another name.
async fn speaks_tls(program: &str) {
    let manager = manager();
    let (_, roots, acceptor) = authority();
    let (_, others, _) = authority();
    let server = Server::start(&manager.network(), Some(acceptor));
    let speak = async |name: &str, roots: &TlsRoots| {
        let words = [server.address.to_string(), name.to_owned()];
        Guest::new(program).network(manager.network()).tls_roots(roots.clone()).arguments(words).succeed().await
    };
    assert_eq!(speak("localhost", &roots).await, "HTTP/1.0 200 OK\n");
    for (name, roots) in [("localhost", &others), ("example.org", &roots)] {
        let told = speak(name, roots).await;
        assert!(told.starts_with("no TLS: ") && told.contains("certificate"), "{name}: {told}");
    }
    assert_eq!(server.requests(), 1);
    server.end().await;
    nothing_is_left(&manager).await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn http_tls() {
    speaks_tls("http_tls").await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn http_tls_p3() {
    speaks_tls("http_tls_p3").await;
}
