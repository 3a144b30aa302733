//! Programs in JavaScript, whose engine has `fetch`, and in Python, whose urllib sends its requests by `wasi:http`.

use xila_network_host::Manager;
use xila_network_tests::guests::{Ending, Guest, is_ready};
use xila_network_tests::networks::{manager, nothing_is_left};

use super::server::{Server, authority};

/// What a program is asked to fetch: the path, the other arguments, and the page of a server at `host:port`.
type Errand<'a> = (&'a str, &'a [&'a str], fn(&str) -> String);

/// Fetches by address and by name, and over TLS by the roots of the host. Each server answers so many `requests`.
async fn fetches(program: &str, errands: &[Errand<'_>], requests: usize) {
    if !is_ready(program).await {
        return;
    }
    let manager = manager();
    let (_, roots, acceptor) = authority();
    for (scheme, host, tls) in
        [("http", "127.0.0.1", None), ("http", "localhost", None), ("https", "localhost", Some(acceptor))]
    {
        let server = Server::start(&manager.network(), tls);
        let origin = format!("{host}:{}", server.address.port());
        for &(path, more, page) in errands {
            let url = format!("{scheme}://{origin}{path}");
            let guest = Guest::new(program).network(manager.network()).tls_roots(roots.clone());
            assert_eq!(guest.arguments([&[&*url], more].concat()).succeed().await, page(&origin), "{url}");
        }
        assert_eq!(server.requests(), requests);
        server.end().await;
    }
    nothing_is_left(&manager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(super) async fn javascript_fetch() {
    let errands: [Errand<'_>; 1] = [("/page?a=b", &[], |origin| format!("/page of {origin}"))];
    fetches("javascript_fetch", &errands, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
pub(super) async fn python_https() {
    /// More than the program sends at a time.
    fn text() -> String {
        "0123456789abcdef".repeat(1250)
    }
    let errands: [Errand<'_>; 4] = [
        ("/page?a=b", &[], |origin| format!("/page of {origin}")),
        ("/moved", &[], |origin| format!("/new of {origin}")),
        ("/echo", &[&text()], |_| text()),
        ("/about", &["text"], |origin| {
            format!(
                "POST /about\ncontent-length: 4\ncontent-type: application/x-www-form-urlencoded\nhost: {origin}\n\
                 user-agent: Python-urllib/3.14\n"
            )
        }),
    ];
    fetches("python_https", &errands, 5).await;
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

/// A program that cannot fetch a URL says why, and ends with a status. Its roots are no server's.
async fn fails(manager: &Manager, program: &str, reasons: &[(&str, &str)]) {
    let (_, roots, _) = authority();
    for (url, reason) in reasons {
        let guest = Guest::new(program).arguments([url]).network(manager.network()).tls_roots(roots.clone());
        let exit = guest.run().await.expect("a program");
        assert_eq!(exit.stderr, format!("cannot fetch {url}: {reason}\n"));
        assert_eq!(exit.ending, Ending::Status(1));
    }
}

/// The engine hides which error of the network it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn javascript_is_told_that_nothing_can_be_fetched() {
    if !is_ready("javascript_fetch").await {
        return;
    }
    let manager = manager();
    let server = Server::start(&manager.network(), Some(authority().2));
    let untrusted = format!("https://localhost:{}/", server.address.port());
    // Nobody listens at the first, and nobody has the name of the second.
    let reasons = ["http://127.0.0.1:81/", "http://nowhere.invalid/", &untrusted]
        .map(|url| (url, "NetworkError when attempting to fetch resource"));
    fails(&manager, "javascript_fetch", &reasons).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_is_told_why_nothing_can_be_fetched() {
    if !is_ready("python_https").await {
        return;
    }
    let manager = manager();
    let [plain, with_tls] = [None, Some(authority().2)].map(|tls| Server::start(&manager.network(), tls));
    let short = Server::saying(&manager.network(), b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhalf");
    let reasons = [
        ("http://127.0.0.1:81/", "<urlopen error ConnectionRefused>"),
        ("http://nowhere.invalid/", "<urlopen error DnsError: DnsErrorPayload(rcode='NXDOMAIN', info_code=None)>"),
        (&format!("https://localhost:{}/", with_tls.address.port()), "<urlopen error TlsCertificateError>"),
        (&format!("http://{}/teapot", plain.address), "HTTP Error 418: I'm a Teapot"),
        (&format!("http://{}/", short.address), "incomplete HTTP response"),
        ("http://127.0.0.1:x/", "<urlopen error HttpRequestUriInvalid>"),
        ("gopher://127.0.0.1/", "<urlopen error unknown url type: gopher>"),
        ("page", "unknown url type: 'page'"),
    ];
    fails(&manager, "python_https", &reasons).await;
}
