//! Requests and their responses.

use xila_network_host::Manager;
use xila_network_tests::guests::Guest;
use xila_network_tests::networks::{manager, nothing_is_left};

use super::server::Server;
use super::{FETCH, response};

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

/// More than all queues of a connection and of HTTP hold, and much less than a body.
const MOST_QUEUED: usize = 16 << 20;

/// What a program prints that has a network and these arguments.
pub(super) async fn fetch(manager: &Manager, program: &str, words: &str) -> String {
    Guest::new(program).network(manager.network()).arguments(words.split_whitespace()).succeed().await
}

/// A greeting by address and by name, and a mebibyte there and back.
async fn fetches(program: &str) {
    let manager = manager();
    let server = Server::start(&manager.network(), None);
    let fetch = async |method: &str, host: &str, path: &str, more: &str| {
        fetch(&manager, program, &format!("{method} http://{host}:{}{path} {more}", server.address.port())).await
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

/// Methods, targets and fields reach the server as the program has set them, and the status reaches the program.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_sent_as_it_was_made() {
    let manager = manager();
    let server = Server::start(&manager.network(), None);
    let host = server.address;
    let long = format!("/about?{}", "a".repeat(4000));
    for program in FETCH {
        for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "POST", "QUERY"] {
            let told = fetch(&manager, program, &format!("{method} http://{host}/about")).await;
            // hyper says of each body that is not absent how long it is, or that its length is not known.
            let plain = format!("{method} /about\nhost: {host}\n");
            let framed = format!("{method} /about\ncontent-length: 0\nhost: {host}\n");
            let chunked = [&plain, "transfer-encoding: chunked\n"].concat();
            let expected = [plain, framed, chunked].map(|text| response(200, text.as_bytes()));
            assert!(expected.contains(&told), "{program} {method}: {told}");
        }
        for target in ["/about?a=1&b=2", "/about?b=%20&a=1&a=", &long] {
            let words = format!("GET http://{host}{target} header=x-one:1 header=x-two:2 header=x-two:3");
            let text = format!("GET {target}\nhost: {host}\nx-one: 1\nx-two: 2\nx-two: 3\n");
            assert_eq!(fetch(&manager, program, &words).await, response(200, text.as_bytes()), "{program} {target}");
        }
        // The empty path is the root (RFC 9112 section 3.2.1).
        let greeting = format!("/ of {host}");
        let told = fetch(&manager, program, &format!("GET http://{host}")).await;
        assert_eq!(told, response(200, greeting.as_bytes()), "{program}");
        assert_eq!(fetch(&manager, program, &format!("GET http://{host}/teapot")).await, response(418, b""));
        assert_eq!(fetch(&manager, program, &format!("HEAD http://{host}/about")).await, response(200, b""));
    }
}

/// Each piece is sent when the one before has come back: neither the head of a response waits for its body, nor the body
/// for its end, and of 64 MiB nothing is lost, doubled or changed.
#[tokio::test(flavor = "multi_thread")]
async fn both_bodies_are_streamed_while_the_other_is() {
    let manager = manager();
    let server = Server::start(&manager.network(), None);
    let bytes = 64 << 20;
    for program in FETCH {
        let words = format!("POST http://{}/mirror body={bytes} rounds=256", server.address);
        assert_eq!(fetch(&manager, program, &words).await, response(200, &pattern(bytes, 64 << 20)), "{program}");
    }
    server.end().await;
    nothing_is_left(&manager).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_follow_both_bodies() {
    let manager = manager();
    let server = Server::start(&manager.network(), None);
    for program in FETCH {
        // A server sends trailers only to whom they are welcome (RFC 9110 section 6.5.1).
        let fields = "header=te:trailers header=trailer:x-sum,x-parts trailer=x-sum:abc trailer=x-parts:1";
        let words = format!("POST http://{}/mirror body=1000 {fields}", server.address);
        let expected = format!("{}, x-sum: abc, x-parts: 1\n", response(200, &pattern(1000, 1000)).trim_end());
        assert_eq!(fetch(&manager, program, &words).await, expected, "{program}");
    }
}

/// A request that its program does not finish is never whole for the server, so there is no response.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_given_up_is_not_taken_for_a_whole_one() {
    let manager = manager();
    let server = Server::start(&manager.network(), None);
    for program in FETCH {
        let words = format!("POST http://{}/echo body=1000 unfinished=1", server.address);
        let told = fetch(&manager, program, &words).await;
        assert!(told.contains("ErrorCode::"), "{program}: {told}");
    }
}

/// The rest of a response that is given up does not arrive: the server is told by the end of the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_given_up_is_sent_no_further() {
    let manager = manager();
    for program in FETCH {
        let server = Server::start(&manager.network(), None);
        let words = format!("GET http://{}/flood drop=100000 then=/gone", server.address);
        let greeting = format!("/gone of {}", server.address);
        let expected = response(200, &[0; 100_000]) + &response(200, greeting.as_bytes());
        assert_eq!(fetch(&manager, program, &words).await, expected, "{program}");
        server.end().await;
    }
    nothing_is_left(&manager).await;
}

/// While a program does not read, the queues of the connection fill, and the server has to wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_not_read_is_not_buffered() {
    let manager = manager();
    for program in FETCH {
        let server = Server::start(&manager.network(), None);
        let words = format!("GET http://{}/flood hold=1 then=/hello times=50", server.address);
        let greeting = format!("/hello of {}", server.address);
        let expected = response(200, &[0]) + &response(200, greeting.as_bytes()).repeat(50);
        assert_eq!(fetch(&manager, program, &words).await, expected, "{program}");
        assert!(server.flooded() < MOST_QUEUED, "{program}: {}", server.flooded());
        server.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_read_is_not_buffered() {
    let manager = manager();
    let server = Server::start(&manager.network(), None);
    for program in FETCH {
        let words = format!("POST http://{}/hang body={} first=500", server.address, 64 << 20);
        let told = fetch(&manager, program, &words).await;
        assert!(told.contains("ErrorCode::ConnectionReadTimeout"), "{program}: {told}");
        let sent = told.lines().find_map(|line| line.strip_suffix(" bytes of the body were sent"));
        let sent: usize = sent.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{program}: {told}"));
        assert!(sent < MOST_QUEUED, "{program}: {sent}");
    }
}
