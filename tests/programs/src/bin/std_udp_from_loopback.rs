//! Binds a UDP socket to the loopback. It can neither send to another host from there nor be connected to one: both fail
//! as on Linux.
//!
//! Usage: `std_udp_from_loopback ADDRESS:PORT`

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};

fn main() {
    let remote: SocketAddr = std::env::args().nth(1).expect("an address").parse().expect("an address");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let sent = socket.send_to(b"x", remote);
    assert_eq!(sent.map_err(|error| error.kind()), Err(ErrorKind::InvalidInput));
    let connected = socket.connect(remote);
    assert_eq!(connected.map_err(|error| error.kind()), Err(ErrorKind::InvalidInput));
}
