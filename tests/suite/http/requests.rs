//! Requests and their responses.

use xila_network_tests::guests::Guest;
use xila_network_tests::networks::{manager, nothing_is_left};

use super::response;
use super::server::Server;

/// As in the programs.
pub(super) fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A greeting by address and by name, and a mebibyte there and back.
async fn fetches(program: &str) {
    let manager = manager();
    let server = Server::start(&manager.network(), None);
    let fetch = async |method: &str, host: &str, path: &str, more: &str| {
        let url = format!("http://{host}:{}{path}", server.address.port());
        let words = [method, &url].into_iter().chain(more.split_whitespace());
        Guest::new(program).network(manager.network()).arguments(words).succeed().await
    };
    for host in ["127.0.0.1", "localhost"] {
        let greeting = format!("/hello of {host}:{}", server.address.port());
        assert_eq!(fetch("GET", host, "/hello?a=b", "").await, response(200, greeting.as_bytes()));
    }
    let bytes = 1 << 20;
    let echoed = fetch("POST", "127.0.0.1", "/echo", &format!("body={bytes}")).await;
    assert_eq!(echoed, response(200, &pattern(bytes, 1 << 20)));
    assert_eq!(fetch("POST", "127.0.0.1", "/echo", "body=0").await, response(200, b""));
    assert_eq!(server.requests(), 4);
    server.end().await;
    nothing_is_left(&manager).await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn http_fetch() {
    fetches("http_fetch").await;
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn http_fetch_p3() {
    fetches("http_fetch_p3").await;
}

/// Eight requests at a time of one program, each answered once.
#[tokio::test(flavor = "multi_thread")]
pub(super) async fn http_requests() {
    let manager = manager();
    let server = Server::start(&manager.network(), None);
    let url = format!("http://{}/", server.address);
    let printed = Guest::new("http_requests").network(manager.network()).arguments([&*url, "0.2", "8"]).succeed().await;
    let answered: usize = printed.split(' ').next().expect("a number").parse().expect("a number");
    assert!(answered >= 8, "{printed}");
    assert_eq!(server.requests(), answered);
    server.end().await;
    nothing_is_left(&manager).await;
}
