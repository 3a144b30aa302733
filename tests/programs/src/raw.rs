//! Direct bindings to the WIT package, for tests of calls that the guest crate does not allow.

pub use bindings::wit_stream;
pub use bindings::xila::network::control;
pub use bindings::xila::network::tcp::{Options, TcpConnection, TcpListener};
pub use bindings::xila::network::types::{ErrorCode, IpAddress, IpCidr, SocketAddress};

use super::{SocketAddr, join};

#[allow(unsafe_code, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::use_self)]
#[allow(clippy::semicolon_if_nothing_returned, clippy::needless_pass_by_value)]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "admin", type_section_suffix: "raw" });
}

/// The host's defaults.
pub const OPTIONS: Options = Options {
    receive_buffer: None,
    send_buffer: None,
    no_delay: None,
    keep_alive: None,
    hop_limit: None,
    user_timeout: None,
    linger: None,
    congestion: None,
};

/// A listener at a place.
pub fn listen(place: SocketAddr) -> TcpListener {
    TcpListener::bind(to_wit(place), None, None, OPTIONS).unwrap()
}

/// Makes a connection; returns the connecting end and the accepting end.
pub async fn connected(place: SocketAddr) -> (TcpConnection, TcpConnection) {
    let listener = listen(place);
    let connecting = TcpConnection::connect(listener.local_address(), None, None, None, OPTIONS);
    let (client, server) = join(connecting, listener.accept()).await;
    (client.unwrap(), server.unwrap())
}

fn to_wit(address: SocketAddr) -> SocketAddress {
    let ip = match address {
        SocketAddr::V4(address) => IpAddress::Ipv4(address.ip().octets().into()),
        SocketAddr::V6(address) => IpAddress::Ipv6(address.ip().segments().into()),
    };
    SocketAddress { address: ip, port: address.port() }
}
