//! `wasi:http` 0.2 and 0.3 and `wasi:tls`: programs that send requests to servers of this process, and programs that
//! answer requests by the built command `xila-net serve`.
//!
//! Each program of `tests/programs` named `http_*`, each in JavaScript, and each in Python named `python_https*`, has a
//! test of its name in a module of this suite; otherwise this file does not compile.

mod clients;
mod connections;
mod failures;
mod languages;
mod requests;
mod secrets;
mod serve;
mod server;

// One line for each module with tests of programs.
use {languages::*, requests::*, secrets::*, serve::*};

macro_rules! assert_test_exists {
    ($program:ident) => {
        #[expect(unused_imports, reason = "a program without a test of its name does not compile")]
        use self::$program as _;
    };
}

xila_network_tests::foreach_http_program!(assert_test_exists);

/// The programs that send requests, one for each version of `wasi:http`.
const FETCH: [&str; 2] = ["http_fetch", "http_fetch_p3"];

/// The FNV-1a hash of bytes, as the programs print it.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// What a program prints for a response.
fn response(status: u16, body: &[u8]) -> String {
    format!("{status}, {} bytes, {:016x}\n", body.len(), checksum(body))
}
