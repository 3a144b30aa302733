//! ICMP sockets, ping, errors from the path and path MTU discovery, under virtual time.

mod echo;
mod errors;
// The packet builders of the hostile suite, some of which this suite uses.
#[allow(dead_code, reason = "shared with another suite")]
#[path = "../hostile/frames.rs"]
mod frames;
mod path;
mod ping;
mod router;

use std::time::Duration;

use xila_network_host::BindError;
use xila_network_host::address::Family as Version;
use xila_network_host::socket::icmp::{EchoReply, IcmpReport};
use xila_network_host::socket::{IcmpBinding, IcmpMessage, IcmpSocket, Network};
use xila_network_tests::link::{Family, Link};

/// Longer than any exchange on a link without losses takes.
const SOON: Duration = Duration::from_millis(100);

const fn version(family: Family) -> Version {
    match family {
        Family::V4 => Version::V4,
        Family::V6 => Version::V6,
    }
}

fn bind(network: &Network, family: Family, binding: IcmpBinding) -> Result<IcmpSocket, BindError> {
    IcmpSocket::bind(network, version(family), binding)
}

/// A socket with a free identifier.
fn socket(network: &Network, family: Family) -> IcmpSocket {
    bind(network, family, IcmpBinding::Echo(0)).unwrap()
}

fn reply(message: IcmpMessage) -> EchoReply {
    match message {
        IcmpMessage::EchoReply(reply) => reply,
        IcmpMessage::Error(report) => panic!("{report:?}"),
    }
}

fn report(message: IcmpMessage) -> IcmpReport {
    match message {
        IcmpMessage::Error(report) => report,
        IcmpMessage::EchoReply(reply) => panic!("{reply:?}"),
    }
}

/// Waits for the next message, which must come soon.
async fn next(link: &Link, socket: &IcmpSocket) -> IcmpMessage {
    link.within(SOON, socket.recv()).await.0.unwrap()
}

/// Asserts that a socket has no message and gets none.
async fn assert_silent(link: &Link, socket: &IcmpSocket) {
    link.cancelled_after(SOON, socket.recv()).await;
}
