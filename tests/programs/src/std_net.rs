//! What the programs named `std_*` share. They know `std::net` and nothing else.
//!
//! There are no threads on `wasm32-wasip2`: a program that holds both ends writes no more than fits into the buffers
//! before it reads, or writes without blocking.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

/// Runs a behaviour on 127.0.0.1 and on ::1.
pub fn each_family(behaviour: impl Fn(IpAddr)) {
    for host in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        println!("{host}");
        behaviour(host);
    }
}

/// A listener on a free port, and where it listens.
pub fn listener(host: IpAddr) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((host, 0)).expect("a listener");
    let address = listener.local_addr().expect("its address");
    assert_eq!(address.ip(), host);
    assert_ne!(address.port(), 0);
    (listener, address)
}

/// Two ends of one connection: who connected and who accepted.
pub fn connected(host: IpAddr) -> (TcpStream, TcpStream) {
    let (listener, address) = listener(host);
    let client = TcpStream::connect(address).expect("a connection");
    let (server, peer) = listener.accept().expect("an accepted connection");
    assert_eq!(peer, client.local_addr().expect("a local address"));
    (client, server)
}

/// An address that nobody listens on: it was free a moment ago.
pub fn unused(host: IpAddr) -> SocketAddr {
    listener(host).1
}

/// Byte `position` of a flow that is the same each time and has no short period.
pub fn byte_at(position: u64) -> u8 {
    (position.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// Bytes `position..position + length` of that flow.
pub fn bytes_at(position: u64, length: usize) -> Vec<u8> {
    (position..).take(length).map(byte_at).collect()
}

/// Writes `length` bytes of the flow without ever blocking while it reads and checks them at the other end.
///
/// What was written is under way, so that the reader may block until it is there.
pub fn transfer(mut from: &TcpStream, mut to: &TcpStream, length: u64) {
    const CHUNK: usize = 100_000;
    from.set_nonblocking(true).expect("without blocking");
    let (mut sent, mut received) = (0, 0);
    let mut buffer = vec![0; CHUNK];
    while received < length {
        while sent < length {
            let chunk = bytes_at(sent, CHUNK.min((length - sent) as usize));
            match from.write(&chunk) {
                Ok(0) => panic!("nothing was written, and it did not block"),
                Ok(count) => sent += count as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("after {sent} bytes: {error}"),
            }
        }
        while received < sent {
            let room = CHUNK.min((sent - received) as usize);
            let count = to.read(&mut buffer[..room]).expect("data");
            assert_ne!(count, 0, "it ended after {received} bytes of {length}");
            assert!(buffer[..count] == bytes_at(received, count), "other bytes after {received}");
            received += count as u64;
        }
    }
    from.set_nonblocking(false).expect("with blocking");
}

/// Sees to it that the peer has ended its side, with nothing more before that.
pub fn expect_end(mut stream: &TcpStream) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("an end");
    assert!(rest.is_empty(), "{} bytes before the end", rest.len());
}
