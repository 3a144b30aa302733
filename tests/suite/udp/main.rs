//! UDP sockets, under virtual time: which socket gets a datagram, and which socket gets an error.

mod batches;
mod connected;
mod extensions;
mod fragments;
mod groups;
mod mailbox;
mod paths;
mod ports;
mod pressure;
mod readiness;
mod sizes;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future;
use xila_network_host::address::Cidr;
use xila_network_host::socket::{Network, UdpOptions, UdpSocket};
use xila_network_host::{InterfaceConfig, Manager};
use xila_network_tests::link::{Family, INTERFACE, Link};

/// The port of receiving sockets.
const PORT: u16 = 5000;

/// Longer than any exchange on a link without losses takes.
const SOON: Duration = Duration::from_millis(100);

fn bind(network: &Network, address: IpAddr, port: u16) -> UdpSocket {
    UdpSocket::bind(network, SocketAddr::new(address, port)).unwrap()
}

/// The client's socket at an ephemeral port, and the server's at [`PORT`].
fn sockets(link: &Link, family: Family) -> (UdpSocket, UdpSocket) {
    let client = bind(&link.client.network, link.client.address(family), 0);
    let server = bind(&link.server.network, link.server.address(family), PORT);
    (client, server)
}

/// The server's socket at [`PORT`], with a receive buffer of this size.
fn server_with_buffer(link: &Link, receive_buffer: usize) -> UdpSocket {
    let options = UdpOptions { receive_buffer, ..UdpOptions::default() };
    UdpSocket::bind_with(&link.server.network, link.server.at(Family::V4, PORT), &options).unwrap()
}

/// Adds another host to the segment of a link.
fn join(link: &Link, number: u8) -> Manager {
    let manager = Manager::new(link.simulation.platform());
    let addresses =
        [(Family::V4, 24), (Family::V6, 64)].map(|(family, prefix)| Cidr::new(family.host(number), prefix).unwrap());
    let config = InterfaceConfig { addresses: addresses.into(), link_local: false, ..InterfaceConfig::default() };
    manager.mount_interface(INTERFACE, link.hub.port(), config).unwrap();
    manager
}

/// The text of the next datagram, which must come soon.
async fn text(link: &Link, socket: &UdpSocket) -> String {
    let (datagram, _) = link.within(SOON, socket.recv_datagram()).await;
    String::from_utf8(datagram.unwrap().data).unwrap()
}

/// The result of `waiting`, which must be pending before `event` and ready after it.
async fn ends_with<T>(link: &Link, waiting: impl Future<Output = T>, event: impl FnOnce()) -> T {
    let event = async {
        link.sleep(SOON).await;
        event();
    };
    let ((result, took), ()) = future::join(link.within(2 * SOON, waiting), event).await;
    assert_eq!(took, SOON, "it ends with the event");
    result
}

/// Asserts that a socket has no datagram and gets none.
async fn assert_silent(link: &Link, socket: &UdpSocket) {
    link.cancelled_after(SOON, socket.recv_datagram()).await;
}
