//! The protocol between the programs `policy_matrix_*` and the test that runs them.
//!
//! A program executes the one operation that its arguments name. It prints `prepared` when it has everything that the
//! operation needs (a socket, a name resolved, a local port), waits for a second so that the test can look at what it
//! holds, executes the operation and prints one line with the outcome: `done`, `denied`, or `failed` and the cause. Then
//! it keeps everything that it holds until the test ends it. If a step of the preparation may be denied too, it prints
//! `created` before that step, and waits as well.
//!
//! | Arguments | Operation |
//! |---|---|
//! | `tcp-connect REMOTE` | a connection from an unbound socket |
//! | `tcp-connect-from LOCAL REMOTE` | a connection from a bound socket |
//! | `tcp-bind LOCAL` | a socket that neither listens nor connects |
//! | `tcp-listen LOCAL`, `tcp-accept LOCAL` | a listener; a connection that arrives at it |
//! | `udp-bind LOCAL`, `udp-receive LOCAL` | a bound socket; a datagram that arrives at it |
//! | `udp-send LOCAL REMOTE`, `udp-connect LOCAL REMOTE`, `udp-send-connected LOCAL REMOTE` | one datagram or a peer |
//! | `udp-send-many LOCAL REMOTE` | two datagrams in one call (only `xila:network`) |
//! | `udp-broadcast LOCAL REMOTE`, `udp-join LOCAL GROUP` | a broadcast, a multicast group (only `xila:network`) |
//! | `icmp-bind`, `icmp-send REMOTE`, `ping REMOTE` | echo requests (only `xila:network`) |
//! | `icmp-watch-udp`, `icmp-watch-tcp` | a watch for errors about a port (only `xila:network`) |
//! | `resolve NAME` | the addresses of a name |
//! | `lookup NAME`, `reverse ADDRESS` | its records; the names of an address (only `xila:network`) |
//! | `ask SERVER NAME` | one question to one server (only `xila:network`) |
//! | `list`, `watch`, `method COMMAND INTERFACE`, `device COMMAND INTERFACE` | control (only `xila:network`) |
//!
//! `-` as LOCAL is a socket that nobody has bound, where the surface has that, and else the unspecified address and
//! port 0. `after NAME` before all of this resolves the name as a part of the preparation.

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::thread::sleep;
use std::time::Duration;

/// The words of the order that are not taken yet.
pub struct Order(std::vec::IntoIter<String>);

impl Order {
    /// The order in the arguments of the program.
    pub fn from_arguments() -> Self {
        Self(std::env::args().skip(1).collect::<Vec<_>>().into_iter())
    }

    /// Takes the next word.
    pub fn word(&mut self) -> String {
        self.0.next().expect("another word in the order")
    }

    /// Takes the name to be resolved first, if the order begins with one.
    pub fn name_before(&mut self) -> Option<String> {
        if self.0.as_slice().first().map(String::as_str) != Some("after") {
            return None;
        }
        self.0.next();
        Some(self.word())
    }

    /// Takes an address with a port.
    pub fn address(&mut self) -> SocketAddr {
        let word = self.word();
        word.parse().unwrap_or_else(|_| panic!("{word:?} is not ADDRESS:PORT"))
    }

    /// Takes an address with a port; `None` if it is `-`.
    pub fn local(&mut self) -> Option<SocketAddr> {
        let word = self.word();
        (word != "-").then(|| word.parse().unwrap_or_else(|_| panic!("{word:?} is not ADDRESS:PORT")))
    }

    /// Takes an address.
    pub fn ip(&mut self) -> IpAddr {
        let word = self.word();
        word.parse().unwrap_or_else(|_| panic!("{word:?} is not an address"))
    }
}

/// The unspecified address in the family of another address, and port 0.
pub fn unspecified(like: SocketAddr) -> SocketAddr {
    match like {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0u16; 8], 0).into(),
    }
}

/// Waits until the packets that follow the resolution of a name have been sent: the host verifies its neighbour some
/// seconds after a packet to it (RFC 4861 section 7.3.3).
pub fn resolved() {
    sleep(Duration::from_secs(8));
    created();
}

/// Says that the next step of the preparation may be denied.
pub fn created() {
    println!("created");
    sleep(Duration::from_secs(1));
}

/// Says that the preparation is over. `port` is the local port, or 0 if there is none.
pub fn prepared(port: u16) {
    println!("prepared {port}");
    sleep(Duration::from_secs(1));
}

/// Says how the operation has ended, and keeps its result until the test ends the program.
pub fn ended<T, E: Debug>(result: Result<T, E>) {
    keep(&outcome(&result));
    drop(result);
}

/// The outcome of an operation in one word, or `failed` and the cause.
pub fn outcome<T, E: Debug>(result: &Result<T, E>) -> String {
    match result.as_ref().map_err(cause) {
        Ok(_) => "done".to_owned(),
        Err(cause) if cause == "access-denied" => "denied".to_owned(),
        Err(cause) => format!("failed {cause}"),
    }
}

/// The cause of a failure, as its surface names it in WIT: `access-denied`.
pub fn cause(error: &impl Debug) -> String {
    let text = format!("{error:?}");
    // An enum of WIT shows its name, and a variant of a Rust type is the last of the words, perhaps in brackets.
    let quoted = text.split_once("name: \"").and_then(|(_, rest)| rest.split('"').next());
    let word = quoted.unwrap_or_else(|| text.trim_end_matches(')').rsplit([':', '(']).next().unwrap_or(&text));
    let mut name = String::new();
    for letter in word.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// Prints a last line, and waits until the test ends the program.
pub fn keep(line: &str) {
    println!("{line}");
    sleep(Duration::from_secs(3600));
}
