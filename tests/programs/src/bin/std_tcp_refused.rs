//! `std::net`: a connection to a port on which no socket listens is refused.

use std::io::ErrorKind;
use std::net::TcpStream;

use xila_network_programs::std_net::{each_family, listener, unused};

fn main() {
    each_family(|host| {
        let nobody = unused(host);
        for _ in 0..3 {
            let error = TcpStream::connect(nobody).expect_err("nobody is there");
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{error}");
        }
        // Of several addresses, the first that answers is used.
        let (_listener, address) = listener(host);
        let client = TcpStream::connect(&[nobody, address][..]).expect("a connection");
        assert_eq!(client.peer_addr().expect("a peer"), address);
    });
}
