//! Programs in JavaScript, whose engine has `fetch`.

use xila_network_tests::guests::{Ending, Guest, is_ready};
use xila_network_tests::networks::{manager, nothing_is_left};

use super::server::{Server, authority};

/// By address and by name, and over TLS by the roots of the host.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(super) async fn javascript_fetch() {
    if !is_ready("javascript_fetch").await {
        return;
    }
    let manager = manager();
    let (_, roots, acceptor) = authority();
    for (scheme, host, tls) in
        [("http", "127.0.0.1", None), ("http", "localhost", None), ("https", "localhost", Some(acceptor))]
    {
        let server = Server::start(&manager.network(), tls);
        let origin = format!("{host}:{}", server.address.port());
        let guest = Guest::new("javascript_fetch").network(manager.network()).tls_roots(roots.clone());
        let page = guest.arguments([format!("{scheme}://{origin}/page?a=b")]).succeed().await;
        assert_eq!(page, format!("/page of {origin}"));
        assert_eq!(server.requests(), 1);
        server.end().await;
    }
    nothing_is_left(&manager).await;
}

/// The bytes of an app that uses `xila:network`, which are no text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn javascript_fetches_what_an_app_serves() {
    if !is_ready("javascript_fetch").await {
        return;
    }
    let manager = manager();
    let server = Guest::new("http-server").arguments(["127.0.0.1:80", "--requests", "1"]).network(manager.network());
    let fetch = Guest::new("javascript_fetch").arguments(["http://127.0.0.1/", "50"]).network(manager.network());
    let (_, page) = tokio::join!(server.succeed(), fetch.succeed());
    assert_eq!(page, "It works. /bytes/N is N bytes to try the network with.\n");
    nothing_is_left(&manager).await;
}

/// The engine hides which error of the network it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn javascript_is_told_that_nothing_can_be_fetched() {
    if !is_ready("javascript_fetch").await {
        return;
    }
    let manager = manager();
    let (_, _, acceptor) = authority();
    let (_, others, _) = authority();
    let untrusted = Server::start(&manager.network(), Some(acceptor));
    let untrusted = format!("https://localhost:{}/", untrusted.address.port());
    // Nobody listens at the first, and nobody has the name of the second.
    for url in ["http://127.0.0.1:81/", "http://nowhere.invalid/", &untrusted] {
        let guest = Guest::new("javascript_fetch").arguments([url]).network(manager.network());
        let exit = guest.tls_roots(others.clone()).run().await.expect("a program");
        let message = format!("cannot fetch {url}: NetworkError when attempting to fetch resource\n");
        assert_eq!(exit.stderr, message);
        assert_eq!(exit.ending, Ending::Status(1));
    }
}
