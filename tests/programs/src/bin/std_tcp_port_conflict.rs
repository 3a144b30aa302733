//! `std::net`: a port belongs to one listener at a time, and is free again as soon as the listener is dropped.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};

use xila_network_programs::std_net::{each_family, listener};

fn main() {
    each_family(|host| {
        let (first, address) = listener(host);
        let error = TcpListener::bind(address).expect_err("it is taken");
        assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}");

        // The end that closes first enters TIME-WAIT; here it is the server's end, which has the listener's port.
        let mut client = TcpStream::connect(address).expect("a connection");
        let (mut server, _) = first.accept().expect("an accepted connection");
        server.write_all(b"goodbye").expect("written");
        drop(server);
        let mut all = Vec::new();
        client.read_to_end(&mut all).expect("read");
        assert_eq!(all, b"goodbye");
        drop(client);
        drop(first);

        let second = TcpListener::bind(address).expect("free again, in spite of TIME-WAIT");
        let _client = TcpStream::connect(address).expect("a connection");
        let (_server, _) = second.accept().expect("an accepted connection");
        // An established connection does not prevent the next listener from using the port either.
        drop(second);
        TcpListener::bind(address).expect("free again, in spite of a connection");
    });

    let error = TcpListener::bind("192.0.2.1:0").expect_err("this is nobody's own address");
    assert_eq!(error.kind(), ErrorKind::AddrNotAvailable, "{error}");
}
