//! Executes steps one after another, and prints the outcome of each.
//!
//! Each argument is a step: `resolve=NAME`, `connect=ADDRESS:PORT` (with an address or a name), `send=ADDRESS:PORT`,
//! `peer=ADDRESS:PORT` (makes it the peer of a socket that is kept), `talk` (sends to that peer), `wait=SECONDS`.

use std::time::Duration;

use xila_network_programs::dns::resolve;
use xila_network_programs::matrix::{keep, outcome, unspecified};
use xila_network_programs::*;

xila_network::main!(run);

async fn run() {
    let mut kept = None;
    let socket = |remote: &str| {
        let remote: SocketAddr = remote.parse().expect("ADDRESS:PORT");
        UdpSocket::bind(unspecified(remote)).expect("a socket")
    };
    for step in std::env::args().skip(1) {
        let (what, of) = step.split_once('=').unwrap_or((&step, ""));
        let told = match what {
            "resolve" => match resolve(of).await {
                Ok(addresses) => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
                error => outcome(&error),
            },
            "connect" => outcome(&TcpStream::connect(of).await),
            "send" => outcome(&socket(of).send_to(b"x", of).await),
            "peer" => outcome(&kept.get_or_insert_with(|| socket(of)).connect(of).await),
            "talk" => outcome(&kept.as_ref().expect("a socket").send(b"x").await),
            "wait" => {
                std::thread::sleep(Duration::from_secs(of.parse().expect("seconds")));
                "waited".to_owned()
            }
            other => panic!("no step {other}"),
        };
        println!("{told}");
    }
    keep("over");
}
