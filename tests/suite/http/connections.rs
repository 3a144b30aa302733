//! How many connections the requests of one program take.

use xila_network_tests::guests::Guest;
use xila_network_tests::networks::{manager, nothing_is_left};

use super::requests::fetch;
use super::server::{Server, authority};
use super::{FETCH, response};

/// A response that says nothing of the connection, which therefore stays open (RFC 9112 section 9.3).
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_one_server_share_a_connection() {
    let manager = manager();
    let (_, roots, acceptor) = authority();
    for (scheme, acceptor) in [("http", None), ("https", Some(acceptor))] {
        for program in FETCH {
            let server = Server::start(&manager.network(), acceptor.clone());
            let host = format!("localhost:{}", server.address.port());
            let guest = Guest::new(program).network(manager.network()).tls_roots(roots.clone());
            let words = format!("GET {scheme}://{host}/hello then=/hello times=50");
            let greeting = format!("/hello of {host}");
            let told = guest.arguments(words.split_whitespace()).succeed().await;
            assert_eq!(told, response(200, greeting.as_bytes()).repeat(51), "{program}");
            assert_eq!((server.connections(), server.requests()), (1, 51), "{program} {scheme}");
            server.end().await;
        }
    }
    nothing_is_left(&manager).await;
}

/// A request that changes something is not sent over a connection that the server may be closing.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_must_not_be_repeated_has_a_connection_of_its_own() {
    let manager = manager();
    for program in FETCH {
        for (method, connections) in
            [("GET", 1), ("HEAD", 1), ("OPTIONS", 1), ("POST", 4), ("PUT", 4), ("DELETE", 4), ("PATCH", 4)]
        {
            let server = Server::start(&manager.network(), None);
            let words = format!("GET http://{}/echo then=/echo times=3 by={method}", server.address);
            assert_eq!(fetch(&manager, program, &words).await, response(200, b"").repeat(4), "{program} {method}");
            assert_eq!((server.connections(), server.requests()), (connections, 4), "{program} {method}");
            server.end().await;
        }
    }
    nothing_is_left(&manager).await;
}

/// A server may close a connection at any time (RFC 9112 section 9.5), which no program hears of.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_sent_again_where_the_server_has_closed_the_connection_meanwhile() {
    let manager = manager();
    for program in FETCH {
        let server = Server::saying(&manager.network(), OK);
        let words = format!("GET http://{}/ then=/ times=200", server.address);
        assert_eq!(fetch(&manager, program, &words).await, response(200, b"ok").repeat(201), "{program}");
        assert_eq!(server.requests(), 201);
        server.end().await;

        let server = Server::saying_once(&manager.network(), OK);
        let words = format!("GET http://{}/ then=/ times=3", server.address);
        assert_eq!(fetch(&manager, program, &words).await, response(200, b"ok").repeat(4), "{program}");
        assert_eq!((server.connections(), server.requests(), server.unanswered()), (4, 4, 3), "{program}");
        server.end().await;
    }
    nothing_is_left(&manager).await;
}

/// Neither what a server does not want to continue, nor what was not read to its end, is used again.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_has_no_further_response_is_not_used_again() {
    const LAST: &[u8] = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    const OLD: &[u8] = b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok";
    const ENDLESS: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nok";
    let manager = manager();
    for program in FETCH {
        for said in [LAST, OLD] {
            let server = Server::saying_once(&manager.network(), said);
            let words = format!("GET http://{}/ then=/ times=3", server.address);
            assert_eq!(fetch(&manager, program, &words).await, response(200, b"ok").repeat(4), "{program}");
            assert_eq!((server.connections(), server.requests(), server.unanswered()), (4, 4, 0), "{program}");
            server.end().await;
        }
        let server = Server::saying(&manager.network(), ENDLESS);
        let words = format!("GET http://{}/ then=/ times=3", server.address);
        assert_eq!(fetch(&manager, program, &words).await, response(200, b"ok").repeat(4), "{program}");
        assert_eq!((server.connections(), server.requests()), (4, 4), "{program}");
        server.end().await;
    }
    nothing_is_left(&manager).await;
}
