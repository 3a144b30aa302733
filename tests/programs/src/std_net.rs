//! Code that the programs named `std_*` share. They use `std::net` and nothing else of the network.
//!
//! There are no threads on `wasm32-wasip2`: a program that holds both ends writes no more than fits into the buffers
//! before it reads, or writes without blocking.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};

/// Runs a test on 127.0.0.1 and on ::1.
pub fn each_family(behaviour: impl Fn(IpAddr)) {
    for host in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
        println!("{host}");
        behaviour(host);
    }
}

/// A listener on a free port, and its address.
pub fn listener(host: IpAddr) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((host, 0)).expect("a listener");
    let address = listener.local_addr().expect("its address");
    assert_eq!(address.ip(), host);
    assert_ne!(address.port(), 0);
    (listener, address)
}

/// Makes a connection; returns the connecting end and the accepting end.
pub fn connected(host: IpAddr) -> (TcpStream, TcpStream) {
    let (listener, address) = listener(host);
    let client = TcpStream::connect(address).expect("a connection");
    let (server, peer) = listener.accept().expect("an accepted connection");
    assert_eq!(peer, client.local_addr().expect("a local address"));
    (client, server)
}

/// An address on which no socket listens: it was just bound and released.
pub fn unused(host: IpAddr) -> SocketAddr {
    listener(host).1
}

/// The byte at `position` of a fixed sequence of bytes without a short period.
pub fn byte_at(position: u64) -> u8 {
    (position.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// The bytes `position..position + length` of this sequence.
pub fn bytes_at(position: u64, length: usize) -> Vec<u8> {
    (position..).take(length).map(byte_at).collect()
}

/// Writes `length` bytes of the sequence without blocking, and reads and checks them at the other end.
///
/// Written bytes are in flight, so that the reader may block until they arrive.
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

/// Checks that the peer has ended its side, with no further bytes before the end.
pub fn expect_end(mut stream: &TcpStream) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("an end");
    assert!(rest.is_empty(), "{} bytes before the end", rest.len());
}
