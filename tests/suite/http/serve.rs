//! Programs that answer requests, by the built command `xila-net serve`.
//!
//! As in the suite `cli`, `XILA_NET` is the path of the program and `XILA_GUESTS` the folder of the apps. Without them
//! these tests are skipped with a message, but in CI they fail.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use std::{env, io};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use xila_network_tests::netns::{TemporaryFile, is_installed};

use super::server::authority;
use super::{FETCH, response};

/// How long a line of output may take, even on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

const ADDRESS: &str = "127.0.0.1:8080";

/// The programs that answer requests, one for each version of `wasi:http`.
pub(super) const ANSWER: [&str; 2] = ["http_answer", "http_answer_p3"];

/// `xila-net`, until this is dropped.
pub(super) struct Serving {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Serving {
    /// Serves a program at [`ADDRESS`], with more arguments. `%name` is the path of a program. `None`, with the reason on
    /// standard error, if the command is not built.
    fn start(test: &str, program: &str, arguments: &[&str]) -> Option<Self> {
        let program = format!("%{program}");
        Self::command(test, &[&["serve", &program, "--addr", ADDRESS], arguments].concat(), &[])
    }

    /// Starts the command with arguments and variables.
    pub(super) fn command(test: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Option<Self> {
        Self::command_by(test, &[], arguments, variables)
    }

    /// Starts the command by another one, which is given its path and its arguments.
    fn command_by(test: &str, by: &[&str], arguments: &[&str], variables: &[(&str, &str)]) -> Option<Self> {
        let path = |variable| {
            let path = env::var_os(variable).map(PathBuf::from).filter(|path| path.exists());
            if path.is_none() {
                assert!(
                    env::var_os("CI").is_none(),
                    "{variable} names nothing that exists, and CI counts on this test"
                );
                // `eprintln!` is not used, because the test harness hides its output.
                let _ = writeln!(io::stderr(), "SKIPPED {test}: {variable} names nothing that exists: run `just test`");
            }
            path
        };
        let (command, guests) = (path("XILA_NET")?, path("XILA_GUESTS")?);
        let app = |name: &str| guests.join(name).with_extension("wasm").display().to_string();
        let word = |word: &str| word.strip_prefix('%').map_or_else(|| word.to_owned(), app);
        let arguments = arguments.iter().map(|text| text.split(' ').map(word).collect::<Vec<_>>().join(" "));
        let command = command.display().to_string();
        let mut words = by.iter().map(|&word| word.to_owned()).chain([command]).chain(arguments);
        let mut command = Command::new(words.next().expect("a command"));
        command.args(words).envs(variables.iter().copied());
        command.env_remove("RUST_LOG").env("RUST_BACKTRACE", "0").env("XDG_STATE_HOME", env::temp_dir());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the command");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let stderr = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        Some(Self { child, stdout, stderr })
    }

    /// The next line that an app prints.
    async fn line(&mut self) -> String {
        let line = next(&mut self.stdout).await;
        match line {
            Some(line) => line,
            None => panic!("it ended: {:?}", next(&mut self.stderr).await),
        }
    }

    /// Waits until the command reports something with these words.
    pub(super) async fn until_it_reports(&mut self, words: &str) {
        while let Some(line) = next(&mut self.stderr).await {
            if line.contains(words) {
                return;
            }
        }
        panic!("it ended without a report of {words:?}");
    }

    /// Sends SIGINT, and returns the status.
    pub(super) async fn interrupt(&mut self) -> Option<i32> {
        self.signal().await;
        self.status().await
    }

    /// Waits for the end, and returns the status.
    async fn status(&mut self) -> Option<i32> {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it is still running");
        ended.expect("a status").code()
    }

    async fn signal(&self) {
        let number = self.child.id().expect("it runs").to_string();
        let status = Command::new("kill").args(["-INT", &number]).status().await;
        assert!(status.expect("kill").success());
    }
}

async fn next(lines: &mut Lines<BufReader<impl AsyncRead + Unpin>>) -> Option<String> {
    tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("a line does not come").expect("text")
}

/// The FNV hash and length of what a program is answered, as a line.
fn line(status: u16, body: &str) -> String {
    response(status, body.as_bytes()).trim_end().to_owned()
}

/// A greeting with the arguments of the component, and a mebibyte there and back, which is streamed.
async fn answers(program: &str, greeting: &str) {
    let asks = format!("%http_keep_alive {ADDRESS} /hello 3");
    let echoes = format!("%http_fetch_p3 POST http://{ADDRESS}/echo body=1048576");
    let arguments = ["--app", &asks, "--", "one", "two"];
    let Some(mut serving) = Serving::start(program, program, &arguments) else { return };
    serving.until_it_reports("answers at http://127.0.0.1:8080/").await;
    for _ in 0..3 {
        assert_eq!(serving.line().await, "http/1.1 200 ok", "on one connection");
    }
    assert_eq!(serving.interrupt().await, Some(130));

    for (fetch, expected) in [
        (echoes, format!("200, 1048576 bytes, {:016x}", super::checksum(&super::requests::pattern(1 << 20, 1 << 20)))),
        (format!("%http_fetch GET http://{ADDRESS}/hello"), line(200, greeting)),
    ] {
        let mut serving = Serving::start(program, program, &["--app", &fetch, "--", "one", "two"]).expect("as before");
        assert_eq!(serving.line().await, expected, "{fetch}");
    }
}

#[tokio::test]
pub(super) async fn http_answer() {
    answers("http_answer", "127.0.0.1:8080/hello one two\n").await;
}

#[tokio::test]
pub(super) async fn http_answer_p3() {
    answers("http_answer_p3", "127.0.0.1:8080/hello\n").await;
}

/// Instances are reused in parts: their memory is in a pool, in which one follows the other.
#[tokio::test]
async fn an_instance_finds_nothing_of_the_one_before() {
    for program in ANSWER {
        let asks = format!("%http_fetch GET http://{ADDRESS}/traces then=/traces times=9");
        let Some(mut serving) = Serving::start("traces", program, &["--app", &asks]) else { return };
        for _ in 0..10 {
            assert_eq!(serving.line().await, line(200, "0 0\n"), "{program}");
        }
    }
}

/// A process that may have fewer addresses than a pool takes has none, and answers all the same.
#[tokio::test]
async fn requests_are_answered_where_there_are_no_addresses_for_a_pool() {
    // 64 GiB, in KiB.
    let by = ["sh", "-c", "ulimit -v 67108864 && exec \"$@\"", "sh"];
    let fetch = format!("%http_fetch GET http://{ADDRESS}/hello then=/hello times=9");
    let arguments = ["serve", "%http_answer", "--addr", ADDRESS, "--verbose", "--app", &fetch, "--", "one"];
    let Some(mut serving) = Serving::command_by("no pool", &by, &arguments, &[]) else { return };
    serving.until_it_reports("instances have no pool of memory").await;
    for _ in 0..10 {
        assert_eq!(serving.line().await, line(200, "127.0.0.1:8080/hello one\n"));
    }
}

/// A component that traps, answers with an error, or with nothing, costs its client one response, and not the
/// connection.
#[tokio::test]
async fn a_component_that_fails_is_a_status_of_500() {
    for (program, path, report) in [
        ("http_answer", "/trap", "as it was asked to"),
        ("http_answer", "/silence", "it ended without an answer"),
        ("http_answer_p3", "/trap", "as it was asked to"),
        ("http_answer_p3", "/error", "internal error: as it was asked to"),
    ] {
        let asks = format!("%http_keep_alive {ADDRESS} {path} 2");
        let Some(mut serving) = Serving::start("500", program, &["--app", &asks]) else { return };
        for _ in 0..2 {
            assert_eq!(serving.line().await, "http/1.1 500 internal server error", "{program} {path}");
            serving.until_it_reports(report).await;
        }
    }
}

/// One that waits and one that computes are ended alike.
#[tokio::test]
async fn a_component_that_never_answers_is_ended_in_time() {
    for (program, path) in [("http_answer", "/hang"), ("http_answer", "/spin"), ("http_answer_p3", "/hang")] {
        let asks = format!("%http_keep_alive {ADDRESS} {path} 2");
        let arguments = ["--request-timeout", "100ms", "--requests", "1", "--app", &asks];
        let Some(mut serving) = Serving::start("504", program, &arguments) else { return };
        // With room for one request, the second is answered only if the first has left.
        for _ in 0..2 {
            assert_eq!(serving.line().await, "http/1.1 504 gateway timeout", "{program} {path}");
            serving.until_it_reports("it did not answer within 100ms").await;
        }
    }
}

/// With room for one request, each is answered only if the instance before has ended.
#[tokio::test]
pub(super) async fn http_keep_alive() {
    let asks = format!("%http_keep_alive {ADDRESS} /hello 20");
    let arguments = ["--requests", "1", "--limit", "connections=1/s", "--app", &asks];
    for program in ANSWER {
        let Some(mut serving) = Serving::start("keep-alive", program, &arguments) else { return };
        for _ in 0..20 {
            assert_eq!(serving.line().await, "http/1.1 200 ok", "{program}");
        }
    }
}

#[tokio::test]
async fn a_policy_that_does_not_allow_to_listen_is_obeyed() {
    let rules = ["--allow", "tcp connect any", "--allow", "tcp bind any"];
    let Some(mut serving) = Serving::start("denied", "http_answer", &rules[..2]) else { return };
    serving.until_it_reports("--addr 127.0.0.1:8080: access denied").await;
    assert_eq!(serving.status().await, Some(1));
}

/// The request that is under way when the signal comes is answered; after that nothing is.
#[tokio::test]
async fn a_signal_lets_requests_end() {
    let asks = format!("%http_keep_alive {ADDRESS} /hang 1");
    let arguments = ["--request-timeout", "2s", "--verbose", "--app", &asks];
    let Some(mut serving) = Serving::start("signal", "http_answer", &arguments) else { return };
    serving.until_it_reports("answers at").await;
    serving.until_it_reports("a client asks for GET /hang").await;
    serving.signal().await;
    serving.until_it_reports("GET /hang: 504").await;
    assert_eq!(serving.status().await, Some(130));
}

/// `--tls-roots` names the roots of all apps, those that answer too.
#[tokio::test]
async fn roots_are_given_by_a_file() {
    let (pem, _, _) = authority();
    let file = TemporaryFile::new(pem.as_bytes());
    let fetch = format!("%http_fetch GET https://{ADDRESS}/");
    let arguments = ["--tls-roots", file.path(), "--app", &fetch];
    let Some(mut serving) = Serving::start("roots", "http_answer", &arguments) else { return };
    // The server does not speak TLS, which is found only when the roots are read.
    assert!(serving.line().await.contains("ErrorCode::TlsProtocolError"));
}

/// Each piece is sent when the one before has come back, so that neither waits for the end of the other.
#[tokio::test]
async fn bodies_are_streamed_while_they_come() {
    let bytes = 64 << 20;
    for (program, fetch) in ANSWER.into_iter().zip(FETCH) {
        let fetch = format!("%{fetch} POST http://{ADDRESS}/echo body={bytes} rounds=256");
        let Some(mut serving) = Serving::start("streams", program, &["--app", &fetch]) else { return };
        let echoed = response(200, &super::requests::pattern(bytes, 64 << 20));
        assert_eq!(serving.line().await, echoed.trim_end(), "{program}");
    }
}

#[tokio::test]
async fn trailers_are_given_and_taken() {
    for (program, fetch) in ANSWER.into_iter().zip(FETCH) {
        let fields = "header=te:trailers header=trailer:x-sum trailer=x-sum:abc";
        let fetch = format!("%{fetch} POST http://{ADDRESS}/echo body=1000 {fields}");
        let Some(mut serving) = Serving::start("trailers", program, &["--app", &fetch]) else { return };
        let echoed = response(200, &super::requests::pattern(1000, 1000));
        assert_eq!(serving.line().await, format!("{}, x-sum: abc", echoed.trim_end()), "{program}");
    }
}

/// The scheme, the authority, the fields that are not of the connection, and the environment.
#[tokio::test]
async fn a_component_is_told_what_it_was_asked() {
    for program in ANSWER {
        let fetch = format!("%http_fetch GET http://{ADDRESS}/about header=x-one:1 header=x-two:2");
        let arguments = ["--env", "ASKED=yes", "--app", &fetch];
        let Some(mut serving) = Serving::start("about", program, &arguments) else { return };
        let about = format!("http://{ADDRESS} yes\nx-one: 1\nx-two: 2\n");
        let lengthy = about.clone() + "transfer-encoding: chunked\n";
        let told = serving.line().await;
        assert!([line(200, &about), line(200, &lengthy)].contains(&told), "{program}: {told}");
    }
}

/// The response comes although nobody has read the request, whose rest is not waited for.
#[tokio::test]
async fn a_component_need_not_read_the_request() {
    for (program, fetch) in ANSWER.into_iter().zip(FETCH) {
        let fetch = format!("%{fetch} POST http://{ADDRESS}/hello body={} then=/hello", 16 << 20);
        let Some(mut serving) = Serving::start("unread", program, &["--app", &fetch]) else { return };
        let greeting =
            if program == "http_answer" { format!("{ADDRESS}/hello \n") } else { format!("{ADDRESS}/hello\n") };
        let mut told = serving.line().await;
        // A program says first that not all was sent.
        while told.contains("sent") {
            told = serving.line().await;
        }
        assert_eq!(told, line(200, &greeting), "{program}");
        assert_eq!(serving.line().await, line(200, &greeting), "{program}: the next request");
    }
}

/// The component is told that nobody reads any more, and makes room for the next request.
#[tokio::test]
async fn a_client_that_leaves_ends_what_it_asked_for() {
    for (program, fetch) in ANSWER.into_iter().zip(FETCH) {
        let fetch = format!("%{fetch} GET http://{ADDRESS}/flood drop=100000 then=/hello");
        let Some(mut serving) = Serving::start("leaves", program, &["--requests", "1", "--app", &fetch]) else {
            return;
        };
        // Either may be said first.
        let mut told = [serving.line().await, serving.line().await];
        told.sort();
        let read = response(200, &[0; 100_000]);
        assert_eq!(told, [read.trim_end(), "nobody reads the body"], "{program}");
        assert!(serving.line().await.starts_with("200, "), "{program}");
    }
}

/// The client sees that the response is not whole, and the next request is answered.
#[tokio::test]
async fn a_component_that_fails_within_its_response_cuts_it() {
    for program in ANSWER {
        let fetch = format!("%http_fetch_p3 GET http://{ADDRESS}/half then=/hello");
        let Some(mut serving) = Serving::start("half", program, &["--app", &fetch]) else { return };
        let told = serving.line().await;
        assert!(told.contains("ErrorCode::HttpResponseIncomplete"), "{program}: {told}");
        assert!(serving.line().await.starts_with("200, "), "{program}");
        serving.until_it_reports("as it was asked to").await;
    }
}

/// A request that is under way when the time is over is answered, or given up when `--linger` is over too.
#[tokio::test]
async fn the_end_of_the_time_is_no_failure() {
    let asks = format!("%http_keep_alive {ADDRESS} /hang 1");
    let arguments = ["--for", "3s", "--verbose", "--app", &asks];
    for (more, report) in [
        (&["--request-timeout", "4s"][..], "GET /hang: 504"),
        (&["--linger", "100ms"], "requests are still under way, and are given up"),
    ] {
        for program in ANSWER {
            let Some(mut serving) = Serving::start("for", program, &[&arguments[..], more].concat()) else { return };
            serving.until_it_reports("a client asks for GET /hang").await;
            serving.until_it_reports(report).await;
            assert_eq!(serving.status().await, Some(0), "{program} {more:?}");
        }
    }
}

/// Without `--tls-roots` the roots are those of the host, which the usual variable names: a server of the host that has
/// a certificate of that root is trusted, and another is not.
#[tokio::test]
async fn the_roots_of_the_host_are_used() {
    let (pem, _, acceptor) = authority();
    let file = TemporaryFile::new(pem.as_bytes());
    let (other, _, _) = authority();
    let other = TemporaryFile::new(other.as_bytes());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let said = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nsafe";
                stream.write_all(said).await.expect("a client");
                drop(stream.read_to_end(&mut Vec::new()).await);
            }
        }
    });
    let interface = format!("eth0=gateway,allow-host={port}");
    let url = format!("https://host.internal:{port}/");
    for fetch in FETCH {
        let fetch = format!("%{fetch}");
        let arguments = ["run", "--interface", &interface, &fetch, "GET", &url];
        for (file, told) in [(&file, line(200, "safe")), (&other, "ErrorCode::TlsCertificateError".to_owned())] {
            let Some(mut run) = Serving::command("roots of the host", &arguments, &[("SSL_CERT_FILE", file.path())])
            else {
                return;
            };
            assert_eq!(run.line().await, told, "{fetch}");
        }
    }
    serving.abort();
}

/// A hundred clients at once, of the kernel, by a port of the host.
#[tokio::test]
async fn apache_bench_counts_no_failure() {
    if !is_installed("ab") {
        assert!(env::var_os("CI").is_none(), "`ab` is missing, and CI counts on this test");
        let _ = writeln!(io::stderr(), "SKIPPED apache_bench_counts_no_failure: `ab` is missing");
        return;
    }
    for (arguments, ready) in [
        (&["run", "%http-server", "0.0.0.0:80"][..], None),
        (&["serve", "%http_answer", "--addr", "0.0.0.0:80"], Some("answers at")),
        (&["serve", "%http_answer_p3", "--addr", "0.0.0.0:80"], Some("answers at")),
    ] {
        // A port that was free a moment ago.
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port();
        let publish = format!("{port}:80");
        let (command, rest) = arguments.split_first().expect("a command");
        let arguments = [&[*command, "--net", "--publish", &publish], rest].concat();
        let Some(mut serving) = Serving::command("ab", &arguments, &[]) else { return };
        match ready {
            None => assert!(serving.line().await.starts_with("listening on ")),
            Some(words) => serving.until_it_reports(words).await,
        }
        let mut ab = Command::new("ab");
        ab.args(["-q", "-s", "60", "-n", "5000", "-c", "100", &format!("http://127.0.0.1:{port}/")]);
        ab.stdin(Stdio::null()).kill_on_drop(true);
        let ended = tokio::time::timeout(4 * PATIENCE, ab.output()).await.expect("it is still running");
        let ended = ended.expect("its output");
        let told = String::from_utf8_lossy(&ended.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
        let is_perfect = told.contains("Complete requests: 5000 Failed requests: 0") && !told.contains("Non-2xx");
        assert!(is_perfect, "{arguments:?}: {told} {}", String::from_utf8_lossy(&ended.stderr));
    }
}
