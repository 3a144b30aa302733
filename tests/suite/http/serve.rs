//! Programs that answer requests, by the built command `xila-net serve`.
//!
//! As in the suite `cli`, `XILA_NET` is the path of the program and `XILA_GUESTS` the folder of the apps. Without them
//! these tests are skipped with a message, but in CI they fail.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use std::{env, fs, io};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::response;
use super::server::authority;

/// How long a line of output may take, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const ADDRESS: &str = "127.0.0.1:8080";

/// `xila-net serve`, until this is dropped.
struct Serving {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Serving {
    /// Serves a program at [`ADDRESS`], with more arguments. `%name` is the path of a program. `None`, with the reason on
    /// standard error, if the command is not built.
    fn start(test: &str, program: &str, arguments: &[&str]) -> Option<Self> {
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
        let mut command = Command::new(command);
        command.args(["serve", &app(program), "--addr", ADDRESS]).args(arguments);
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
    async fn until_it_reports(&mut self, words: &str) {
        while let Some(line) = next(&mut self.stderr).await {
            if line.contains(words) {
                return;
            }
        }
        panic!("it ended without a report of {words:?}");
    }

    /// Sends SIGINT, and returns the status.
    async fn interrupt(&mut self) -> Option<i32> {
        self.signal().await;
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

#[tokio::test]
pub(super) async fn http_keep_alive() {
    let asks = format!("%http_keep_alive {ADDRESS} /hello 20");
    let Some(mut serving) =
        Serving::start("keep-alive", "http_answer", &["--limit", "connections=1/s", "--app", &asks])
    else {
        return;
    };
    for _ in 0..20 {
        assert_eq!(serving.line().await, "http/1.1 200 ok");
    }
}

#[tokio::test]
async fn a_policy_that_does_not_allow_to_listen_is_obeyed() {
    let rules = ["--allow", "tcp connect any", "--allow", "tcp bind any"];
    let Some(mut serving) = Serving::start("denied", "http_answer", &rules[..2]) else { return };
    serving.until_it_reports("--addr 127.0.0.1:8080: access denied").await;
    let ended = tokio::time::timeout(PATIENCE, serving.child.wait()).await.expect("it is still running");
    assert_eq!(ended.expect("a status").code(), Some(1));
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
    assert_eq!(serving.child.wait().await.expect("a status").code(), Some(130));
}

/// `--tls-roots` names the roots of all apps, those that answer too.
#[tokio::test]
async fn roots_are_given_by_a_file() {
    let (pem, _, _) = authority();
    let file = env::temp_dir().join(format!("xila-http-{}.pem", std::process::id()));
    fs::write(&file, pem).expect("a file");
    let fetch = format!("%http_fetch GET https://{ADDRESS}/");
    let roots = file.display().to_string();
    let started = Serving::start("roots", "http_answer", &["--tls-roots", &roots, "--app", &fetch]);
    if let Some(mut serving) = started {
        // The server does not speak TLS, which is found only when the roots are read.
        assert!(serving.line().await.contains("ErrorCode::TlsProtocolError"));
    }
    fs::remove_file(&file).expect("it is there");
}
