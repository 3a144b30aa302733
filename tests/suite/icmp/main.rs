//! ICMP sockets, ping, errors from the path and path MTU discovery, under virtual time.

mod echo;
mod errors;
// The hostile suite's packets, of which this one needs some.
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

/// Longer than anything on a link without losses takes.
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

/// A socket with an identifier of its own.
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

/// The next message, which must come soon.
async fn next(link: &Link, socket: &IcmpSocket) -> IcmpMessage {
    link.within(SOON, socket.recv()).await.0.unwrap()
}

/// Nothing is there for a socket, and nothing comes.
async fn assert_silent(link: &Link, socket: &IcmpSocket) {
    link.cancelled_after(SOON, socket.recv()).await;
}
