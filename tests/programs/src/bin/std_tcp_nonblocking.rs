//! `std::net` in non-blocking mode: an operation that would block says so, and can be repeated later.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use xila_network_programs::std_net::{bytes_at, connected, each_family, listener, transfer};

const LENGTH: u64 = 4_000_000;

fn main() {
    each_family(|host| {
        let (listener, address) = listener(host);
        listener.set_nonblocking(true).expect("without blocking");
        let early = listener.accept().expect_err("nobody has connected");
        assert_eq!(early.kind(), ErrorKind::WouldBlock, "{early}");
        let _client = TcpStream::connect(address).expect("a connection");
        // The client may be connected slightly before the listener has the connection.
        let _server = loop {
            match listener.accept() {
                Ok((server, _)) => break server,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
            }
        };

        let (mut client, mut server) = connected(host);
        server.set_nonblocking(true).expect("without blocking");
        let mut buffer = [0; 1000];
        let early = server.read(&mut buffer).expect_err("nothing was sent");
        assert_eq!(early.kind(), ErrorKind::WouldBlock, "{early}");

        // Write until the buffers are full.
        client.set_nonblocking(true).expect("without blocking");
        let chunk = bytes_at(0, 256 * 200);
        let mut sent = 0;
        let full = loop {
            let begin = sent % chunk.len();
            match client.write(&chunk[begin..]) {
                Ok(count) => sent += count,
                Err(error) => break error,
            }
            assert!(sent < 1 << 30, "it is never full");
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock, "{full}");
        assert_ne!(sent, 0);

        // Exactly the written bytes arrive.
        server.set_nonblocking(false).expect("with blocking");
        let mut received = 0;
        while received < sent {
            let count = server.read(&mut buffer).expect("read");
            assert_ne!(count, 0, "it ended after {received} bytes of {sent}");
            for byte in &buffer[..count] {
                assert_eq!(*byte, chunk[received % chunk.len()], "at {received}");
                received += 1;
            }
        }
        assert_eq!(received, sent);
        server.set_nonblocking(true).expect("without blocking");
        let empty = server.read(&mut buffer).expect_err("nothing is left");
        assert_eq!(empty.kind(), ErrorKind::WouldBlock, "{empty}");
        server.set_nonblocking(false).expect("with blocking");

        // There is room again, in both directions.
        transfer(&client, &server, LENGTH);
        transfer(&server, &client, LENGTH);
    });
}
