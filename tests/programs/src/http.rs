//! Bindings to `wasi:http` 0.3 and `wasi:tls` 0.2, and helpers that the programs which test HTTP share.
//!
//! The programs that send requests print one line for each: the status, the length and the [checksum] of the body, or
//! the error.

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

/// What the arguments of a program ask for: `METHOD URL [body=BYTES] [connect=MS] [first=MS] [between=MS]`.
#[derive(Debug)]
pub struct Asked {
    /// Whether the scheme is https.
    pub is_secure: bool,
    /// The host, with the port if it was given.
    pub authority: String,
    /// The path and the query.
    pub path: String,
    /// The method.
    pub method: String,
    /// The body of the request.
    pub body: Option<Vec<u8>>,
    /// The timeouts in nanoseconds: to connect, for the first byte, between bytes.
    pub timeouts: [Option<u64>; 3],
}

impl Asked {
    /// Parses the arguments of this program.
    pub fn from_arguments() -> Self {
        let mut words = std::env::args().skip(1);
        let method = words.next().expect("a method");
        let url = words.next().expect("a URL");
        let (scheme, rest) = url.split_once("://").expect("a URL with a scheme");
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let is_secure = scheme == "https";
        let (authority, path) = (authority.to_owned(), if path.is_empty() { "/" } else { path }.to_owned());
        let mut asked = Self { is_secure, authority, path, method, body: None, timeouts: [None; 3] };
        for word in words {
            let (key, value) = word.split_once('=').expect("KEY=NUMBER");
            let number: u64 = value.parse().expect("a number");
            match key {
                "body" => asked.body = Some(super::pattern(number, usize::try_from(number).expect("a length"))),
                "connect" => asked.timeouts[0] = Some(number * 1_000_000),
                "first" => asked.timeouts[1] = Some(number * 1_000_000),
                "between" => asked.timeouts[2] = Some(number * 1_000_000),
                _ => panic!("{key} is unknown"),
            }
        }
        asked
    }
}

/// The FNV-1a hash of bytes.
pub fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Prints the result of a request.
pub fn report<E: std::fmt::Debug>(result: Result<(u16, Vec<u8>), E>) {
    match result {
        Ok((status, body)) => println!("{status}, {} bytes, {:016x}", body.len(), checksum(&body)),
        Err(error) => println!("{error:?}"),
    }
}
