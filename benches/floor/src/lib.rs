//! Code that the programs of this crate share: the bindings to their host, and the report of the results.
//!
//! The programs exchange messages as over a connection, but without a connection. The time of this is the minimum of a
//! round trip over any network of the host.

pub use bindings::wit_stream;
pub use bindings::xila::floor::turns;

use std::time::Duration;

#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::use_self)]
#[allow(clippy::semicolon_if_nothing_returned, clippy::needless_pass_by_value)]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "floor" });
}

/// The mode in the program's arguments, and the number after it if there is one.
pub fn arguments() -> (String, Option<usize>) {
    let mut words = std::env::args().skip(1);
    (words.next().unwrap_or_default(), words.next().and_then(|word| word.parse().ok()))
}

/// Prints the number of round trips and their times.
pub fn report(mut times: Vec<Duration>) {
    times.sort();
    let quantile = |q: f64| times.get((times.len() as f64 * q) as usize).map_or(0.0, |time| time.as_secs_f64() * 1e6);
    let (p50, p99) = (quantile(0.5), quantile(0.99));
    println!("{} round trips: p50 {p50:.2} us, p99 {p99:.2} us", times.len());
}
