//! Clients of `xila-net serve` that are slow, leave, or say what no client should. They come by a port of this machine, so
//! that each byte is the test's.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::serve::{ANSWER, PATIENCE, Serving};

/// A program that answers at a port of this machine.
struct Published {
    serving: Serving,
    port: u16,
}

impl Published {
    /// `None` if the command is not built.
    async fn start(test: &str, program: &str, arguments: &[&str]) -> Option<Self> {
        // A port that was free a moment ago.
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port();
        let (publish, program) = (format!("{port}:80"), format!("%{program}"));
        let command = ["serve", "--net", "--publish", &publish, &program, "--addr", "0.0.0.0:80"];
        let mut serving = Serving::command(test, &[&command, arguments].concat(), &[])?;
        serving.until_it_reports("answers at").await;
        Some(Self { serving, port })
    }

    /// A client that has sent this.
    async fn client(&self, bytes: &[u8]) -> TcpStream {
        let mut client = TcpStream::connect(("127.0.0.1", self.port)).await.expect("a connection");
        client.write_all(bytes).await.expect("an open connection");
        client
    }

    /// What a client receives that has sent this and waits for the end.
    async fn answer(&self, request: impl AsRef<[u8]>) -> String {
        rest(self.client(request.as_ref()).await).await
    }

    /// Whether a request is answered.
    async fn answers(&self) -> bool {
        self.answer("GET /hello HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.starts_with("HTTP/1.1 200 ")
    }
}

/// What a client still receives.
async fn rest(mut client: TcpStream) -> String {
    let mut received = Vec::new();
    let read = tokio::time::timeout(PATIENCE, client.read_to_end(&mut received)).await.expect("it does not end");
    read.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&received)));
    String::from_utf8(received).expect("text")
}

/// The component has begun to answer.
async fn until_it_is_answered(client: &mut TcpStream) {
    let read = tokio::time::timeout(PATIENCE, client.read_u8()).await.expect("nothing comes");
    assert_eq!(read.expect("a response"), b'H');
}

/// A request that has to be answered by the next one's place.
const ONE: [&str; 4] = ["--requests", "1", "--request-timeout", "300s"];

#[tokio::test]
async fn a_client_that_takes_nothing_does_not_keep_its_place() {
    for program in ANSWER {
        let arguments = [&ONE[..], &["--idle-timeout", "500ms"]].concat();
        let Some(published) = Published::start("takes nothing", program, &arguments).await else { return };
        let mut client = published.client(b"GET /flood HTTP/1.1\r\nhost: a\r\n\r\n").await;
        until_it_is_answered(&mut client).await;
        assert!(published.answers().await, "{program}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_send_its_request_does_not_keep_its_place() {
    for program in ANSWER {
        let arguments = [&ONE[..], &["--idle-timeout", "500ms"]].concat();
        let Some(published) = Published::start("sends nothing", program, &arguments).await else { return };
        let mut client = published.client(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n").await;
        until_it_is_answered(&mut client).await;
        assert!(published.answers().await, "{program}");
    }
}

#[tokio::test]
async fn a_request_that_finds_no_place_in_time_is_told_so() {
    let arguments = ["--requests", "1", "--request-timeout", "3s"];
    let Some(published) = Published::start("no place", "http_answer", &arguments).await else { return };
    let mut client = published.client(b"GET /flood HTTP/1.1\r\nhost: a\r\n\r\n").await;
    until_it_is_answered(&mut client).await;
    let answer = published.answer("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_has_said_everything_is_answered() {
    for program in ANSWER {
        let Some(published) = Published::start("half-closed", program, &[]).await else { return };
        for request in [
            "GET /hello HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody",
        ]
        .repeat(10)
        {
            let mut client = published.client(request.as_bytes()).await;
            client.shutdown().await.expect("an open connection");
            let answer = rest(client).await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("0\r\n\r\n"), "{program}: {answer}");
        }
    }
}

/// Whether it has closed the connection or a half of it, nothing is sent to it, and the component is ended soon.
#[tokio::test]
async fn a_client_that_leaves_before_it_is_answered_does_not_keep_its_place() {
    for program in ANSWER {
        let arguments = [&ONE[..], &["--verbose"]].concat();
        let Some(mut published) = Published::start("leaves", program, &arguments).await else { return };
        for is_whole in [true, false] {
            let mut client = published.client(b"GET /hang HTTP/1.1\r\nhost: a\r\n\r\n").await;
            published.serving.until_it_reports("a client asks for GET /hang").await;
            client.shutdown().await.expect("an open connection");
            let client = Some(client).filter(|_| !is_whole);
            assert!(published.answers().await, "{program} {is_whole}");
            drop(client);
        }
    }
}

#[tokio::test]
async fn a_client_of_http_1_0_is_told_that_the_body_ends_with_the_connection() {
    for program in ANSWER {
        let Some(published) = Published::start("1.0", program, &[]).await else { return };
        let answer = published.answer("GET /hello HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n").await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("http/1.0 200 ") && head.contains("connection: close"), "{program}: {head}");
        assert!(!head.contains("keep-alive"), "{program}: {head}");
        // It names no host, so it is for the server's own address.
        assert!(body.contains(":80/hello"), "{program}: {body}");
    }
}

/// The answer arrives although the client goes on sending what nobody reads.
#[tokio::test]
async fn what_is_no_request_is_answered() {
    let Some(published) = Published::start("broken", "http_answer", &[]).await else { return };
    let much = "a".repeat(1 << 20);
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\nhost: a\r\nx: {much}\r\n\r\n"), "431"),
        (format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n{much}"), "400"),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("GET http://a/ HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("GET http://a/ HTTP/1.1\r\nhost: a b\r\n\r\n".to_owned(), "400"),
        ("GET http://user@a/ HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), "400"),
        ("GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), "400"),
        ("GET a:80 HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), "400"),
        ("CONNECT /a HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), "400"),
        ("CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n".to_owned(), "501"),
        (format!("POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n{much}"), "501"),
    ] {
        let answer = published.answer(&request).await;
        let request = request.lines().take(3).map(|line| line.split_at(line.len().min(40)).0).collect::<Vec<_>>();
        assert_eq!(answer.split(' ').nth(1), Some(status), "{request:?}: {answer}");
    }
}

/// A connection that waits for a further request is not waited for.
#[tokio::test]
async fn a_signal_ends_a_connection_without_a_request() {
    let Some(mut published) = Published::start("idle", "http_answer", &[]).await else { return };
    let mut client = published.client(b"HEAD /hello HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.expect("a response"));
    }
    let began = Instant::now();
    assert_eq!(published.serving.interrupt().await, Some(130));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}
