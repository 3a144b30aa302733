//! Bindings to `wasi:http` 0.3 and `wasi:tls` 0.2 and 0.3, and helpers that the programs which test HTTP share.
//!
//! The programs that send requests print one line for each: the status, the length and the [checksum] of the body, and
//! the trailers; or the error.

use core::hint::black_box;
use core::sync::atomic::{AtomicUsize, Ordering};

/// `wasi:http` 0.3: sending requests.
#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::use_self)]
#[allow(clippy::semicolon_if_nothing_returned, clippy::needless_pass_by_value)]
pub mod p3 {
    wit_bindgen::generate!({
        path: ["../../wit/deps/wasi-clocks-0.3.wit", "wit/wasi-http-0.3.wit"],
        inline: "
            package xila:requests;

            world client {
                import wasi:http/types@0.3.0;
                import wasi:http/client@0.3.0;
            }
        ",
        world: "xila:requests/client",
        generate_all,
        type_section_suffix: "http-p3",
    });
}

/// `wasi:tls` 0.2.
#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::use_self)]
#[allow(clippy::semicolon_if_nothing_returned, clippy::needless_pass_by_value)]
pub mod tls {
    wit_bindgen::generate!({
        path: ["../../wit/deps/wasi-io-0.2.wit", "wit/wasi-tls-0.2.wit"],
        inline: "
            package xila:secrets;

            world client {
                import wasi:tls/types@0.2.0-draft;
            }
        ",
        world: "xila:secrets/client",
        with: {
            "wasi:io/error@0.2.12": wasip2::io::error,
            "wasi:io/poll@0.2.12": wasip2::io::poll,
            "wasi:io/streams@0.2.12": wasip2::io::streams,
        },
        generate_all,
        type_section_suffix: "tls-p2",
    });
}

/// `wasi:tls` 0.3.
#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::use_self)]
#[allow(clippy::semicolon_if_nothing_returned, clippy::needless_pass_by_value)]
pub mod tls_p3 {
    wit_bindgen::generate!({
        path: "wit/wasi-tls-0.3.wit",
        inline: "
            package xila:streamed-secrets;

            world client {
                import wasi:tls/client@0.3.0-draft;
            }
        ",
        world: "xila:streamed-secrets/client",
        generate_all,
        type_section_suffix: "tls-p3",
    });
}

/// What the arguments of a program ask for: `METHOD URL [KEY=VALUE]...`.
///
/// | Key | Value |
/// |---|---|
/// | `header`, `trailer` | `NAME:VALUE`, a field of the request |
/// | `body` | how many bytes the request's body has, which are those of `pattern` |
/// | `rounds` | in how many pieces the body is sent, each after as many bytes of the response as were sent before |
/// | `connect`, `first`, `between` | the timeouts, in milliseconds |
/// | `unfinished` | anything: the request ends with an error in place of its trailers |
/// | `drop`, `hold` | how many bytes of the response are read; the rest is given up, or left until the program ends |
/// | `then`, `times`, `by` | the path of a further request to the same server, how often it is sent, and its method if that is not GET |
#[derive(Debug)]
pub struct Asked {
    /// The scheme.
    pub scheme: String,
    /// The host, with the port if it was given.
    pub authority: String,
    /// The path and the query.
    pub path: String,
    /// The method.
    pub method: String,
    /// The fields of the head.
    pub headers: Vec<Field>,
    /// The fields that follow the body.
    pub trailers: Vec<Field>,
    /// The body of the request.
    pub body: Option<Vec<u8>>,
    /// In how many pieces it is sent.
    pub rounds: usize,
    /// Whether the request ends with an error.
    pub is_unfinished: bool,
    /// The timeouts in nanoseconds: to connect, for the first byte, between bytes.
    pub timeouts: [Option<u64>; 3],
    /// How many bytes of the response are read.
    pub most: usize,
    /// Whether the rest is left where it is.
    pub holds: bool,
    then: Option<String>,
    times: usize,
    by: String,
}

/// The name and the value of a field.
pub type Field = (String, Vec<u8>);

impl Asked {
    /// Parses the arguments of this program.
    pub fn from_arguments() -> Self {
        let mut words = std::env::args().skip(1);
        let method = words.next().expect("a method");
        let url = words.next().expect("a URL");
        let (scheme, rest) = url.split_once("://").expect("a URL with a scheme");
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let mut asked = Self::new(scheme, authority, path, method);
        for word in words {
            asked.add(&word);
        }
        asked
    }

    fn new(scheme: &str, authority: &str, path: &str, method: String) -> Self {
        Self {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            path: path.to_owned(),
            method,
            headers: Vec::new(),
            trailers: Vec::new(),
            body: None,
            rounds: 1,
            is_unfinished: false,
            timeouts: [None; 3],
            most: usize::MAX,
            holds: false,
            then: None,
            times: 1,
            by: "GET".to_owned(),
        }
    }

    fn add(&mut self, word: &str) {
        let (key, value) = word.split_once('=').expect("KEY=VALUE");
        let number = || value.parse::<usize>().expect("a number");
        let field = || {
            let (name, value) = value.split_once(':').expect("NAME:VALUE");
            (name.to_owned(), value.as_bytes().to_vec())
        };
        let timeout = || Some(number() as u64 * 1_000_000);
        match key {
            "header" => self.headers.push(field()),
            "trailer" => self.trailers.push(field()),
            "body" => self.body = Some(super::pattern(number() as u64, number())),
            "rounds" => self.rounds = number(),
            "unfinished" => self.is_unfinished = true,
            "connect" => self.timeouts[0] = timeout(),
            "first" => self.timeouts[1] = timeout(),
            "between" => self.timeouts[2] = timeout(),
            "drop" => self.most = number(),
            "hold" => (self.most, self.holds) = (number(), true),
            "then" => self.then = Some(value.to_owned()),
            "times" => self.times = number(),
            "by" => self.by = value.to_owned(),
            _ => panic!("{key} is unknown"),
        }
    }

    /// The further requests to the same server.
    pub fn following(&self) -> Vec<Self> {
        let next = |path| Self::new(&self.scheme, &self.authority, path, self.by.clone());
        let paths = self.then.iter().flat_map(|path| std::iter::repeat_n(path, self.times));
        paths.map(|path| next(path)).collect()
    }

    /// The pieces of the body.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let body = self.body.as_deref().unwrap_or_default();
        body.chunks(body.len().div_ceil(self.rounds).max(1))
    }
}

/// A response.
#[derive(Debug, Default)]
pub struct Fetched {
    /// The status code.
    pub status: u16,
    /// The body, or what was read of it.
    pub body: Vec<u8>,
    /// The fields that followed the body.
    pub trailers: Vec<Field>,
}

/// The FNV-1a hash of bytes.
pub fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// The text of an error. It is no `Debug`, so that it can be made of everything that is.
pub struct Failure(pub String);

impl<E: core::fmt::Debug> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(format!("{error:?}"))
    }
}

/// Prints the result of a request. Returns what the program holds of the response.
pub fn report<H>(result: Result<(Fetched, H), Failure>) -> Option<H> {
    match result {
        Ok((Fetched { status, body, trailers }, held)) => {
            print!("{status}, {} bytes, {:016x}", body.len(), checksum(&body));
            for (name, value) in trailers {
                print!(", {name}: {}", String::from_utf8_lossy(&value));
            }
            println!();
            Some(held)
        }
        Err(Failure(text)) => {
            println!("{text}");
            None
        }
    }
}

/// Prints how much of a request's body was sent, if it was not all.
pub fn report_sent(sent: usize, length: usize) {
    if sent < length {
        println!("{sent} bytes of the body were sent");
    }
}

/// How often this instance was asked before, and how many bytes it finds in memory that it has never written. It leaves
/// traces for the next one.
pub fn traces() -> String {
    const BYTES: usize = 16 << 20;
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let mut memory = vec![0_u8; BYTES];
    let found = black_box(&memory).iter().filter(|byte| **byte != 0).count();
    memory.fill(0xaa);
    black_box(&memory);
    format!("{} {found}\n", ASKED.fetch_add(1, Ordering::Relaxed))
}

/// The text in which a program that answers says what it was asked.
pub fn about(scheme: &str, authority: &str, mut headers: Vec<Field>) -> String {
    headers.sort();
    let variable = std::env::var("ASKED").unwrap_or_default();
    let mut text = format!("{scheme}://{authority} {variable}\n");
    for (name, value) in headers {
        text += &format!("{name}: {}\n", String::from_utf8_lossy(&value));
    }
    text
}
