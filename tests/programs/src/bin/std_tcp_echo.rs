//! `std::net`: a connection to the program's own listener carries data in both directions, and both ends report each
//! other's addresses.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use xila_network_programs::std_net::{each_family, listener};

fn main() {
    each_family(|host| {
        let (listener, address) = listener(host);
        let mut client = TcpStream::connect(address).expect("a connection");
        let (mut server, peer) = listener.accept().expect("an accepted connection");

        assert_eq!(client.peer_addr().expect("a peer"), address);
        assert_eq!(server.local_addr().expect("an address"), address);
        assert_eq!(client.local_addr().expect("an address"), peer);
        assert_eq!(server.peer_addr().expect("a peer"), peer);
        assert_eq!(peer.ip(), host);

        client.write_all(b"a question\nanother\n").expect("written");
        let mut lines = BufReader::new(&server).lines();
        assert_eq!(lines.next().expect("a line").expect("read"), "a question");
        assert_eq!(lines.next().expect("a line").expect("read"), "another");
        drop(lines);

        server.write_all(b"an answer").expect("written");
        server.flush().expect("flushed");
        let mut answer = [0; 9];
        client.read_exact(&mut answer).expect("read");
        assert_eq!(&answer, b"an answer");

        // Dropping one end ends the connection, and the end of file stays.
        drop(server);
        for _ in 0..2 {
            assert_eq!(client.read(&mut answer).expect("an end"), 0);
        }
    });

    // A listener on the unspecified address is reached by the loopback address.
    for any in ["0.0.0.0:0", "[::]:0"] {
        let listener = TcpListener::bind(any).expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let host = if any.starts_with('[') { "::1" } else { "127.0.0.1" };
        let client = TcpStream::connect((host, port)).expect("a connection");
        let (server, peer) = listener.accept().expect("an accepted connection");
        assert_eq!(client.local_addr().expect("an address"), peer);
        assert_eq!(server.local_addr().expect("an address"), client.peer_addr().expect("a peer"));
    }
}
