//! Programs in Python, whose urllib sends its requests by `wasi:http`.

use xila_network_tests::guests::{Ending, Guest, is_ready};
use xila_network_tests::networks::{manager, nothing_is_left};

use super::server::{Server, authority};

/// By address and by name, and over TLS by the roots of the host; with a redirection, and with a body each way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(super) async fn python_https() {
    if !is_ready("python_https").await {
        return;
    }
    let manager = manager();
    let (_, roots, acceptor) = authority();
    // More than the program sends at a time.
    let body = "0123456789abcdef".repeat(1250);
    for (scheme, host, tls) in
        [("http", "127.0.0.1", None), ("http", "localhost", None), ("https", "localhost", Some(acceptor))]
    {
        let server = Server::start(&manager.network(), tls);
        let origin = format!("{host}:{}", server.address.port());
        let fetch = async |path: &str, body: &[&str]| {
            let guest = Guest::new("python_https").network(manager.network()).tls_roots(roots.clone());
            let url = format!("{scheme}://{origin}{path}");
            guest.arguments([&[&*url], body].concat()).succeed().await
        };
        assert_eq!(fetch("/page?a=b", &[]).await, format!("/page of {origin}"));
        assert_eq!(fetch("/moved", &[]).await, format!("/new of {origin}"));
        assert_eq!(fetch("/echo", &[&body]).await, body);
        let told = fetch("/about", &["text"]).await;
        let expected = format!(
            "POST /about\ncontent-length: 4\ncontent-type: application/x-www-form-urlencoded\nhost: {origin}\n\
             user-agent: Python-urllib/"
        );
        assert!(told.starts_with(&expected), "{told}");
        assert_eq!(server.requests(), 5);
        server.end().await;
    }
    nothing_is_left(&manager).await;
}

/// Which error of the network it was, and which status.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_is_told_why_nothing_can_be_fetched() {
    if !is_ready("python_https").await {
        return;
    }
    let manager = manager();
    let (_, _, acceptor) = authority();
    let (_, others, _) = authority();
    let untrusted = Server::start(&manager.network(), Some(acceptor));
    let untrusted = format!("https://localhost:{}/", untrusted.address.port());
    let server = Server::start(&manager.network(), None);
    let teapot = format!("http://{}/teapot", server.address);
    let short = Server::saying(&manager.network(), b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhalf");
    let short = format!("http://{}/", short.address);
    for (url, reason) in [
        ("http://127.0.0.1:81/", "<urlopen error ConnectionRefused>"),
        ("http://nowhere.invalid/", "<urlopen error DnsError: DnsErrorPayload(rcode='NXDOMAIN', info_code=None)>"),
        (&untrusted, "<urlopen error TlsCertificateError>"),
        (&teapot, "HTTP Error 418: I'm a Teapot"),
        (&short, "incomplete HTTP response"),
        ("gopher://127.0.0.1/", "<urlopen error unknown url type: gopher>"),
        ("http://127.0.0.1:x/", "<urlopen error HttpRequestUriInvalid>"),
        ("page", "unknown url type: 'page'"),
    ] {
        let guest = Guest::new("python_https").arguments([url]).network(manager.network());
        let exit = guest.tls_roots(others.clone()).run().await.expect("a program");
        assert_eq!(exit.stderr, format!("cannot fetch {url}: {reason}\n"));
        assert_eq!(exit.ending, Ending::Status(1));
    }
}
